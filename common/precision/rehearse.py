"""Half precision rehearsed beside float32: `python3 -m common.precision.rehearse` in a model's build folder.

`make compare ENGINES=cpu-f16` has left compare.json, and the accuracy of each sample in accuracy.json and
compare/cpu-f16/accuracy.json. Printed are both figures, the samples that lose most, and what is not modelled.
"""
from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence

from common.base import errors, files
from common.base.errors import UserError
from common.engines.engine import REHEARSED
from common.judge.agreement import WORST, figures

NOT_MODELLED = (
    "the order of sums inside an operator, and sums that CANN takes in half (SUMS=f16 rounds the partial ones)",
    "CANN's own approximations (Sigmoid, Tanh, Exp, division, square root) and its semantics of an operator",
    "what CANN fuses beyond Convolution+BatchNormalization+activation, or leaves in float32",
    "formats, AIPP, and everything about time and memory: no figure of speed follows from a rehearsal")


def rehearsal(build: files.PathLike) -> Dict[str, Any]:
    """`{"model", "model_sha256", "by", "agreement", "metric", "unit", "float32", "half",
    "samples": [{"sample", "float32", "half"}]}`.

    Metric figures are None and samples empty for a model without metric; samples come with the largest loss first.
    Raises `UserError` where no rehearsal has been run in `build`.
    """
    build = Path(build)
    compared = files.read_json(build / "compare.json", "compare")
    column = next((each for each in compared["columns"] if REHEARSED in each["by"]), None)
    if column is None:
        raise UserError(f"{build / 'compare.json'}: has no column of a rehearsal; run make compare ENGINES=cpu-f16")
    found: Dict[str, Any] = {"model": compared["model"], "model_sha256": column.get("model_sha256"),
                             "by": column["by"], "agreement": column["agreement"],
                             "metric": compared["metric"], "unit": compared["unit"], "float32": None, "half": None,
                             "samples": []}
    plain, half = build / "accuracy.json", build / "compare/cpu-f16/accuracy.json"
    if plain.is_file() and half.is_file():
        ours, theirs = files.read_json(half, "accuracy"), files.read_json(plain, "accuracy")
        before = {row["sample"]: row["value"] for row in theirs["rows"]}
        rows = [{"sample": row["sample"], "float32": before[row["sample"]], "half": row["value"]}
                for row in ours["rows"] if row["sample"] in before]
        found.update(float32=theirs["value"], half=ours["value"],
                     samples=sorted(rows, key=lambda row: row["half"] - row["float32"]))
    return found


def lines(found: Mapping[str, Any]) -> List[str]:
    """For the terminal."""
    unit = f" {found['unit']}" if found["unit"] else ""
    text = [f"{found['model']}: {found['by']}", f"  outputs against PyTorch's: {figures(found['agreement'])}"]
    if found["half"] is not None:
        text.append(f"  {found['metric']}: float32 {found['float32']:.4f}{unit}, half precision rehearsed "
                    f"{found['half']:.4f}{unit}, difference {found['half'] - found['float32']:+.4f}{unit}")
        text.append("  samples that lose most:")
        text += [f"    {row['sample']}: {row['float32']:.4f} -> {row['half']:.4f}" for row in found["samples"][:WORST]]
    return [*text, "  not modelled:", *(f"    - {each}" for each in NOT_MODELLED)]


def main(argv: Optional[Sequence[str]] = None) -> int:
    parser = argparse.ArgumentParser(prog="python3 -m common.precision.rehearse", description=errors.first_line(__doc__),
                                     epilog="Exit status 1 when the outputs miss a threshold of the agreement.")
    parser.add_argument("--output", default="rehearse.json", help="default: %(default)s")
    args = parser.parse_args(argv)
    found = rehearsal(".")
    files.write_json(args.output, found)
    print("\n".join(lines(found)))
    return int(found["agreement"]["verdict"] == "fail")


if __name__ == "__main__":
    errors.run(main)
