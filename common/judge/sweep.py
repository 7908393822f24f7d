"""Throughput over batch sizes, threads and engines beside the reference's: `python3 -m common.judge.sweep FILE...`.

FILE is a performance file or log of any tool that `common.tools.perf` reads, one per combination; what ONNX Runtime or
OpenVINO measured says so. The reference's columns are the throughput figures of the model's facts. A file may also hold
why an engine is not here (`python3 -m common.engines.sessions`), in place of its figures.
"""
from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from common.base import errors, facts, files
from common.base.errors import UserError
from common.base.tables import aligned
from common.engines import engine
from common.infer import records
from common.tools import perf, performance

FIGURES = ("mean_ms", "median_ms", "p99_ms", "samples_per_s")
HERE = {"npu": "here (NPU)", "tensorrt": "TensorRT"}


class Measured(NamedTuple):
    """Who measured one combination. threads: None where the file does not tell; origin: all that is known, in words."""

    one: performance.Performance
    engine: str
    threads: Optional[int]
    origin: str

    @property
    def place(self) -> Tuple[Any, ...]:
        return self.one.batch, self.engine, self.threads


def measured(one: performance.Performance) -> Measured:
    """With what its record tells of engine and threads. Raises `UserError` for a file without batch or samples/s."""
    if one.batch is None or one.samples_per_s is None:
        raise UserError(f"{one.source}: does not tell {'its batch size' if one.batch is None else 'samples/s'}; "
                        "give ais_infer's summary, benchmark's perf_vision file or the record beside them")
    if one.backend not in engine.STAND_INS:
        return Measured(one, HERE[one.backend], None, f"{one.backend}, by {one.tool}")
    record = Path(one.source) if one.source.endswith(".json") and not one.source.endswith(
        ("_summary.json", "sumary.json")) else performance.sidecar(one.source)
    if record is not None and record.exists():
        by = records.read(record)["provenance"]
        name = engine.label(by)
        kind = by["provider"].split(",")[0]
        if kind.endswith("ExecutionProvider") and kind != engine.PROVIDERS["cpu"][0]:
            name += f" {kind[:-len('ExecutionProvider')]}"  # two providers are two engines
        return Measured(one, name, by["threads"], engine.origin(by))
    name = engine.STAND_INS[one.backend]
    return Measured(one, name, None, f"{name}: no NPU figure")


def ordered(found: Sequence[performance.Performance]) -> List[Measured]:
    """By batch, engine (as they come) and threads. Raises `UserError` for two of one combination, and for figures of a
    real tool among others: one table shows either those or what stood in."""
    places: Dict[Tuple[Any, ...], Measured] = {}
    for each in map(measured, found):
        other = places.setdefault(each.place, each)
        if other is not each:
            raise UserError(f"{each.one.source}: is of batch {each.one.batch}, as is {other.one.source}; give one of "
                            "each")
    kinds = sorted({each.one.backend for each in places.values()})
    if len(kinds) > 1 and not set(kinds) <= set(engine.STAND_INS):
        raise UserError(f"the files were measured by {' and '.join(kinds)}; one table shows one of them")
    engines = list(dict.fromkeys(each.engine for each in places.values()))
    return sorted(places.values(), key=lambda each: (each.one.batch, engines.index(each.engine), each.threads or 0))


def table(model: facts.Facts, found: Sequence[performance.Performance],
          missing: Optional[Mapping[str, str]] = None) -> Dict[str, Any]:
    """The sweep as data: `{"model", "measured": [who], "definition", "rows", "best", "references": {device:
    definition}, "missing"}`.

    A row is `{"batch", "engine", "threads", "mean_ms", "median_ms", "p99_ms", "samples_per_s", "reference": {device:
    value}}`; a batch that only the reference has is a row without measurement (None). Milliseconds are of a whole
    batch. best: the row with the most samples/s. missing: the combinations that could not be measured, and why.
    """
    by_place = ordered(found)
    if not by_place:
        raise UserError("; ".join(dict.fromkeys((missing or {}).values())) or "nothing was measured")
    references = [entry for entry in model.references if entry.quantity == "throughput" and entry.batch]

    def row(batch: int, each: Optional[Measured]) -> Dict[str, Any]:
        return {"batch": batch, "engine": each and each.engine, "threads": each and each.threads,
                **{name: each and getattr(each.one, name) for name in FIGURES},
                "reference": {entry.device: entry.value * entry.times for entry in references if entry.batch == batch}}

    rows: List[Dict[str, Any]] = []
    for batch in sorted({*(each.one.batch or 0 for each in by_place), *(entry.batch or 0 for entry in references)}):
        rows += [row(batch, each) for each in by_place if each.one.batch == batch] or [row(batch, None)]
    return {"model": model.title, "measured": list(dict.fromkeys(each.origin for each in by_place)),
            "definition": by_place[0].one.definition, "rows": rows,
            "best": max(rows, key=lambda each: each["samples_per_s"] or 0), "missing": dict(missing or {}),
            "references": {entry.device: f"{entry.definition}, {entry.unit}" +
                           (f", here times {entry.times}" if entry.times > 1 else "") for entry in references}}


def lines(sweep: Mapping[str, Any]) -> List[str]:
    """The table for the terminal, columns aligned, with what each column means below, and the best at the end.

    Engine and threads have columns where there is more than one of them.
    """
    devices, rows, best = list(sweep["references"]), sweep["rows"], sweep["best"]
    there = [row for row in rows if row["samples_per_s"] is not None]
    axes = [name for name in ("engine", "threads") if len({row[name] for row in there}) > 1]
    own = "samples/s" if "engine" in axes else f"{best['engine']}/s"
    head = ["batch", *axes, "mean ms", "median ms", "p99 ms", own, *(f"reference {device}" for device in devices)]
    body = [[str(row["batch"]), *(str(row[name] or "-") for name in axes), *(_cell(row[name], 2) for name in FIGURES),
             *(_cell(row["reference"].get(device), 2) for device in devices)] for row in rows]
    text = aligned([head, *body], right=range(len(head)))
    by = "batch size" + "".join(f", {name}" for name in axes)
    threads = f", {best['threads']} thread{'' if best['threads'] == 1 else 's'}" if best["threads"] else ""
    return [f"{sweep['model']}: throughput in samples per second by {by}", *text,
            *(f"  {own}: {who}" for who in sweep["measured"]),
            f"  {own}: {sweep['definition']}; ms are of a whole batch",
            *(f"  reference {device}: {definition}" for device, definition in sweep["references"].items()),
            *(f"not measured: {', '.join(name for name, each in sweep['missing'].items() if each == why)}: {why}"
              for why in dict.fromkeys(sweep["missing"].values())),
            f"best: batch {best['batch']}{threads}, {best['engine']}: {best['samples_per_s']:.2f} samples/s"]


def _cell(value: Optional[float], digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def main(argv: Optional[Sequence[str]] = None) -> None:
    parser = argparse.ArgumentParser(prog="python3 -m common.judge.sweep", description=errors.first_line(__doc__))
    parser.add_argument("measured", nargs="+", metavar="FILE", help="what an inference left, one file per combination")
    parser.add_argument("--model", default=".", help="the model's folder (default: here)")
    parser.add_argument("--output", metavar="JSON", help="also write the table as data")
    args = parser.parse_args(argv)
    reasons = {path: engine.missing(path) for path in args.measured if Path(path).is_file()}
    missing = {Path(path).name.replace("_onnxruntime.json", ""): why for path, why in reasons.items() if why}
    sweep = table(facts.load(args.model), [perf.read(path) for path in args.measured if not reasons.get(path)], missing)
    if args.output:
        files.write_json(args.output, sweep)
    print("\n".join(lines(sweep)))


if __name__ == "__main__":
    errors.run(main)
