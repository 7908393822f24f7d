"""Where half precision strays, tensor by tensor: `python3 -m common.precision.layers` in a model's build folder.

On the preprocessed samples the network is computed twice side by side, in float32 and by another engine (half precision
rehearsed, unless OTHER names another, or another ONNX file), piece by piece so that memory stays bounded. Of every tensor
are told: its largest magnitude against 65504, the share of its values that half precision makes 0, and the relative
Euclidean error, in the worst sample; and the first operator where the error jumps. No figure is an NPU's.
"""
from __future__ import annotations

import argparse
import math
import os
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from common.base import errors, facts, files, model_file, settings
from common.base.errors import UserError
from common.base.progress import progress
from common.base.tables import aligned, short
from common.engines import engine, half
from common.precision import msprobe
from common.precision.tensors import FLOOR, Comparison, own_engine, samples

JUMP = 10.0
"""A jump is an error of this many times the largest of the operator's inputs, or of half precision's unit roundoff where
those are smaller."""
SHOWN, MOST = 8, 3
"""Rows of the terminal's table: those where the error grows most, and those of the largest magnitudes and losses each."""


def first_jump(rows: Sequence[Mapping[str, Any]]) -> Optional[Mapping[str, Any]]:
    """The first row, in the network's order, whose error is `JUMP` times that of its inputs; weights have none."""
    return next((row for row in rows if row["kinds"] != "weight" and (row["growth"] is None or row["growth"] >= JUMP)), None)


def with_chip(comparison: Comparison, rows: Sequence[Dict[str, Any]], path: files.PathLike) -> Optional[Mapping[str, Any]]:
    """Put what a result table of msprobe says beside every row it has an operator of; gives the first jump of the chip's.

    The last of the nodes that the chip makes one operator of gives its result. Raises `UserError` where none is ours.
    """
    measured = {each.nodes[-1]: each.figures for each in msprobe.read(path)}
    so_far: Dict[str, float] = {}
    jump = None
    for row in rows:
        operator = comparison.operators.get(row["tensor"])
        if operator is None or row["kinds"] == "weight":
            continue
        before = max([FLOOR, *(so_far.get(parent, 0.0) for parent in operator.parents)])
        figures = next((measured[node] for node in reversed(operator.nodes) if node in measured), None)
        error = figures["relative"] if figures else None
        so_far[row["tensor"]] = before if error is None else error
        if figures is not None and error is not None:
            row["chip"] = dict(figures)
            if jump is None and error >= JUMP * before:
                jump = row
    if not any("chip" in row for row in rows):
        raise UserError(f"{path}: names no operator of {comparison.path}; it is of another network or export")
    return jump


def sentence(row: Optional[Mapping[str, Any]]) -> str:
    """The first jump, named plainly."""
    if row is None:
        return f"no operator's error jumps: none is {JUMP:.0f} times that of its inputs"
    error = "not finite" if row["relative"] is None else f"{row['relative']:.2g}"
    times = "" if row["growth"] is None else f", {row['growth']:.0f} times that of its inputs"
    text = (f"the first operator that strays: {row['operator']} ({row['kinds']}), result {row['tensor']}: relative error "
            f"{error}{times}")
    if row["overflowed_percent"]:
        return f"{text}; {row['overflowed_percent']:.3g} % of its values are beyond 65504, the largest is {short(row['largest'])}"
    if row["lost_percent"]:
        return f"{text}; {row['lost_percent']:.3g} % of its values are below the smallest half-precision number"
    return text


def chip_sentence(row: Optional[Mapping[str, Any]]) -> str:
    """The same of what msprobe measured on a chip."""
    if row is None:
        return "by msprobe's table no operator's error jumps on the chip"
    rehearsed = "not finite" if row["relative"] is None else f"{row['relative']:.2g}"
    return (f"by msprobe's table the first operator that strays on the chip: {row['operator']} ({row['kinds']}): relative error "
            f"{row['chip']['relative']:.2g}, rehearsed {rehearsed}")


def lines(found: Mapping[str, Any]) -> List[str]:
    """For the terminal: the rows where the error grows most, of the largest magnitudes and losses, in order; the jump."""
    rows = found["rows"]
    kinds = (lambda row: math.inf if row["growth"] is None and row["kinds"] != "weight" else row["growth"] or 0.0, SHOWN), \
        (lambda row: row["largest"], MOST), (lambda row: row["lost_percent"], MOST)
    chosen = {id(row) for rank, count in kinds for row in sorted(rows, key=rank, reverse=True)[:count] if rank(row)}
    chip = any("chip" in row for row in rows)
    shown = [["operator", "kind", "largest", "of 65504", "lost %", "relative error", "times its inputs'",
              *(["on the chip"] if chip else [])]]
    for row in rows:
        if id(row) in chosen:
            shown.append([_cut(row["operator"]), row["kinds"], short(row["largest"]), f"{row['largest'] / half.LARGEST:.2g}",
                          f"{row['lost_percent']:.3g}", "not finite" if row["relative"] is None else f"{row['relative']:.2e}",
                          "-" if row["growth"] is None else f"{row['growth']:.1f}",
                          *([f"{row['chip']['relative']:.2e}" if "chip" in row else "-"] if chip else [])])
    more = f"; {found['unmatched']} more of the first are not in the second" if found["unmatched"] else ""
    text = [f"{found['model']}: {found['own']} against {found['other']}, {len(rows)} tensors on {found['samples']} samples{more}",
            *aligned(shown, right=range(2, len(shown[0]))), *found["sentences"]]
    return [*text, "no NPU figure" if not chip else "on the chip: msprobe's figures as its table has them; all others are no "
            "NPU figures"]


def _cut(name: str, length: int = 48) -> str:
    return name if len(name) <= length else f"...{name[3 - length:]}"


def table(path: files.PathLike, own: str, other: str, records: Sequence[Mapping[str, Any]],
          memory: int = 512) -> Tuple[Comparison, List[Dict[str, Any]]]:
    """The comparison and its rows. other: an engine's name or an ONNX file; memory: MB of tensors held at a time."""
    comparison = Comparison(path, own, other, records[0], memory * 1_000_000)
    return comparison, comparison.measure(progress(records, "layers"))


def main(argv: Optional[Sequence[str]] = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python3 -m common.precision.layers", description=errors.first_line(__doc__),
        epilog="LIMIT=N in the environment takes the first N samples; DEVICE and PRECISION name the first engine, OVERFLOW, "
        "SUMS and KEEP say what is rehearsed.")
    parser.add_argument("--onnx", required=True, help="the network")
    parser.add_argument("--prep", default="prep", help="folder of the preprocessed samples (default: %(default)s)")
    parser.add_argument("--other", default="", metavar="ENGINE|ONNX|CSV", help="what it is held against: an engine "
                        f"({', '.join(engine.ENGINES)}), another ONNX file, or msprobe's result table, which is put beside "
                        "cpu-f16 (default: cpu-f16)")
    parser.add_argument("--base", default=".", metavar="DIR", help="where the path of such a file begins (default: here)")
    parser.add_argument("--model", default="..", help="the model's folder (default: %(default)s)")
    parser.add_argument("--memory", type=settings.positive, default=512, metavar="MB",
                        help="of the tensors that are held at a time (default: %(default)s)")
    parser.add_argument("--output", default="layers.json", help="default: %(default)s")
    args = parser.parse_args(argv)
    other, chip = args.other.strip() or "cpu-f16", None
    if other not in engine.ENGINES:
        path = os.path.join(args.base, other)
        if not other.endswith((".onnx", ".csv")):
            raise UserError(f"OTHER={other}: expected an engine ({', '.join(engine.ENGINES)}), an .onnx file or msprobe's .csv")
        chip, other = (path, "cpu-f16") if other.endswith(".csv") else (None, path)
    records = samples(args.prep)
    own = own_engine()
    comparison, rows = table(args.onnx, own, other, records, args.memory)
    sentences = [sentence(first_jump(rows))]
    if chip:
        sentences.append(chip_sentence(with_chip(comparison, rows, chip)))
    found = {"model": facts.load(args.model).title, "onnx": args.onnx, "model_sha256": model_file.sha256(args.onnx), "own": own,
             "other": f"{other} ({half.mode()})" if other.endswith("f16") else other, "samples": len(records),
             "unmatched": comparison.unmatched, "sentences": sentences, "rows": rows}
    files.write_json(args.output, found)
    print("\n".join(lines(found)))


if __name__ == "__main__":
    errors.run(main)
