"""The chip to compile for: `python3 -m common.npu.chip` prints `Ascend310P3` (say), as `npu-smi info` names it."""
from __future__ import annotations

import argparse
import re
import shutil
import subprocess
from typing import List, Optional, Sequence

from common.base import errors
from common.base.errors import UserError

ROW = re.compile(r"^\|\s*\d+\s+(\S+)\s*\|\s*(?:OK|Warning|Alarm|Critical|UNKNOWN)\s*\|", re.MULTILINE)
"""A card's first row: number, name, health. Its second row has a bus id, or NA, where the health would be."""


def chips(text: str) -> List[str]:
    """The chips in the output of `npu-smi info`, in order, as `atc --soc_version` wants them.

    The table names 310, 310P and 910B without the `Ascend` that belongs in front; training cards have it already.
    """
    return [name if name.startswith("Ascend") else f"Ascend{name}" for name in ROW.findall(text)]


def npu_smi() -> str:
    """What `npu-smi info` prints. Raises `UserError` when the tool is not there or fails."""
    if shutil.which("npu-smi") is None:
        raise UserError("npu-smi is not on PATH; install the NPU's driver, or give --soc_version=Ascend310P3 (say)")
    done = subprocess.run(["npu-smi", "info"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          errors="replace")
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()[-1]
        raise UserError(f"npu-smi info ended with status {done.returncode} ({said}); give --soc_version=Ascend310P3 "
                        "(say)")
    return done.stdout


def main(argv: Optional[Sequence[str]] = None) -> None:
    argparse.ArgumentParser(prog="python3 -m common.npu.chip", description=errors.first_line(__doc__)).parse_args(argv)
    found = chips(npu_smi())
    if not found:
        raise UserError("npu-smi info names no chip; give --soc_version=Ascend310P3 (say)")
    print(found[0])


if __name__ == "__main__":
    errors.run(main)
