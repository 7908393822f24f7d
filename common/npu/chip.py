"""The chip to compile for: `python3 -m common.npu.chip` prints `Ascend310P3` (say), as npu-smi names it.

`npu-smi info` tells it for 310, 310P and 910B. On an Atlas A3 and on Ascend950 its table has the family's name only;
what atc takes is then `<Chip Name>_<NPU Name>` of `npu-smi info -t board`, such as Ascend910_9392 (CANN's documentation
of PlatformAscendC).
"""
from __future__ import annotations

import argparse
import re
import shutil
import subprocess
from typing import List, NamedTuple, Optional, Sequence

from common.base import errors
from common.base.errors import UserError

ROW = re.compile(r"^\|\s*(\d+)\s*(?:\|\s*|\s)(\S+)\s*\|\s*(?:OK|Warning|Alarm|Critical|UNKNOWN)\s*\|", re.MULTILINE)
"""A card's first row: number, name, health; since drivers 25.6 the number has a column of its own. Its second row has
a bus id, or NA, where the health would be."""
SECOND = re.compile(r"^\|\s*(\d+)\b[\s\w]*\|\s*(?:[0-9A-Fa-f]+:[0-9A-Fa-f]+:[0-9A-Fa-f.]+|NA)\s*\|")
FAMILIES = re.compile(r"Ascend(910|950\w*)")
"""Names that stand for several chips: an A3 and the training card of 2019 are both Ascend910."""
ADVICE = "give --soc_version=Ascend310P3 (say)"


class Chip(NamedTuple):
    """A chip of the table. card, place: the numbers that `-i` and `-c` take (place: None where a card is one chip)."""

    name: str
    card: int
    place: Optional[int]
    superpod: bool
    """Whether the table is of an A3: it alone has a column Phy-ID."""


def chips(text: str) -> List[Chip]:
    """The chips in the output of `npu-smi info`, in order; a name is as `atc --soc_version` wants it, or a family's.

    The table names 310, 310P and 910B without the `Ascend` that belongs in front; training cards have it already.
    """
    found = []
    for match in ROW.finditer(text):
        following = text[match.end():].partition("\n")[2].partition("\n")[0]
        second = SECOND.match(following)
        name = match[2] if match[2].startswith("Ascend") else f"Ascend{match[2]}"
        found.append(Chip(name, int(match[1]), int(second[1]) if second else None, "Phy-ID" in text))
    return found


def of_board(text: str) -> Optional[str]:
    """The `--soc_version` that `npu-smi info -t board` tells; None where it has no chip's name."""
    told = {name.strip(): value.strip() for name, sign, value in
            (line.partition(":") for line in text.splitlines()) if sign}
    name, number = told.get("Chip Name", ""), told.get("NPU Name", "")
    if name in ("", "NA", "-"):
        return None
    name = name if name.startswith("Ascend") else f"Ascend{name}"
    return name if number in ("", "NA", "-") else f"{name}_{number}"


def soc_version(found: Chip) -> str:
    """What `--soc_version` takes for a chip; asks the board where the table has the family's name only.

    Raises `UserError` where the board does not tell it: a family's name would compile for another chip in silence.
    """
    if not FAMILIES.fullmatch(found.name):
        return found.name
    words = ["info", "-t", "board", "-i", str(found.card), *(() if found.place is None else ("-c", str(found.place)))]
    done = ask(words)
    told = of_board(done.stdout) if done.returncode == 0 else None
    if told and (told != found.name or not (found.superpod or "950" in told)):
        return told
    if found.name == "Ascend910" and not found.superpod:  # the card of 2019, whose driver may know no `-t board`
        return found.name
    raise UserError(f"npu-smi {' '.join(words)} tells no NPU Name, and {found.name} alone stands for several chips; "
                    f"give --soc_version=<Chip Name>_<NPU Name>, {found.name}_9392 (say)")


def ask(words: Sequence[str]) -> "subprocess.CompletedProcess[str]":
    """Run npu-smi. Raises `UserError` where it is not there."""
    if shutil.which("npu-smi") is None:
        raise UserError(f"npu-smi is not on PATH; install the NPU's driver, or {ADVICE}")
    return subprocess.run(["npu-smi", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          errors="replace")


def npu_smi() -> str:
    """What `npu-smi info` prints. Raises `UserError` when the tool is not there or fails."""
    done = ask(["info"])
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()[-1]
        raise UserError(f"npu-smi info ended with status {done.returncode} ({said}); {ADVICE}")
    return done.stdout


def main(argv: Optional[Sequence[str]] = None) -> None:
    argparse.ArgumentParser(prog="python3 -m common.npu.chip", description=errors.first_line(__doc__)).parse_args(argv)
    found = chips(npu_smi())
    if not found:
        raise UserError(f"npu-smi info names no chip; {ADVICE}")
    print(soc_version(found[0]))


if __name__ == "__main__":
    errors.run(main)
