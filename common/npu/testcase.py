"""The last word of ModelZoo's self-test: `python3 -m common.npu.testcase BUILD` judges the report.json there."""
from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Any, List, Mapping, Optional, Sequence

from common.base import errors
from common.base.errors import UserError
from common.judge import reports


def check(report: Mapping[str, Any]) -> List[str]:
    """The findings: agreement with PyTorch, and each measured speed. Raises `UserError` where one is bad."""
    agreement = report["agreement"]
    if not agreement or agreement["verdict"] != "pass":
        raise UserError(f"{report['model']}: the outputs do not agree with PyTorch's: {agreement}")
    lines = [f"{report['model']}: {agreement['samples']} samples agree with PyTorch, cosine {agreement['cosine']:.9f}"]
    for run in report["performance"]:
        name, rate = run["model"], run["samples_per_s"]
        if not (math.isfinite(rate) and rate > 0):
            raise UserError(f"{report['model']}: {name} was not timed, {rate} samples/s")
        lines.append(f"{name}, batch {run['batch']}: {rate:.4g} samples/s, {run['compute_ms']['mean']:.4g} ms mean "
                     f"device compute, by {run['backend']}, {run['provider']}, {run['device']}")
    if not report["performance"]:
        raise UserError(f"{report['model']}: no run was timed")
    return lines


def main(argv: Optional[Sequence[str]] = None) -> None:
    parser = argparse.ArgumentParser(prog="python3 -m common.npu.testcase", description=errors.first_line(__doc__))
    parser.add_argument("build", metavar="BUILD", help="the model's build folder")
    args = parser.parse_args(argv)
    print("\n".join(check(reports.report(Path(args.build) / "report.json"))))


if __name__ == "__main__":
    errors.run(main)
