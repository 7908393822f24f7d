"""Throughput over batch sizes beside the reference's: `python3 -m common.sweep FILE... [--model FOLDER]`.

FILE is a performance file or log of any tool that `common.perf` reads, one per batch size; what ONNX Runtime measured
says so in its column's name. The reference's columns are the throughput figures of the model's facts.
"""
from __future__ import annotations

import argparse
from contextlib import suppress
from typing import Any, Dict, List, Optional, Sequence

from common import errors, facts, files, perf
from common.errors import UserError


def by_batch(measured: Sequence[perf.Performance]) -> Dict[int, perf.Performance]:
    """The measurements by batch size, ascending. Raises `UserError` for two of one batch, and for one without."""
    found: Dict[int, perf.Performance] = {}
    for one in measured:
        if one.batch is None or one.samples_per_s is None:
            raise UserError(f"{one.source}: does not tell {'its batch size' if one.batch is None else 'samples/s'}; "
                            "give ais_infer's summary, benchmark's perf_vision file or the record beside them")
        if one.batch in found:
            raise UserError(f"{one.source}: is of batch {one.batch}, as is {found[one.batch].source}; give one of each")
        found[one.batch] = one
    kinds = {one.backend for one in found.values()}
    if len(kinds) > 1:
        raise UserError(f"the files were measured by {' and '.join(sorted(kinds))}; one table shows one of them")
    return dict(sorted(found.items()))


def origin(one: perf.Performance) -> str:
    """Who measured it, in words: provider, device and threads where ONNX Runtime did, else the tool."""
    if one.backend != "onnxruntime":
        return f"{one.backend}, by {one.tool}"
    record: Any = one.source if one.source.endswith("_onnxruntime.json") else perf.sidecar(one.source) or one.source
    with suppress(UserError, KeyError, TypeError):
        by = files.read_json(record)["provenance"]
        return f"ONNX Runtime {by['version']}, {by['provider']}, {by['device']}, {by['threads']} threads: no NPU figure"
    return "ONNX Runtime: no NPU figure"


def table(model: facts.Facts, measured: Sequence[perf.Performance]) -> Dict[str, Any]:
    """The sweep as data: `{"model", "measured": who, "definition", "rows", "references": {device: definition}}`.

    A row is `{"batch", "mean_ms", "median_ms", "p99_ms", "samples_per_s", "reference": {device: value}}`; a batch
    that only the reference has is a row without measurement (None). Milliseconds are of a whole batch.
    """
    found = by_batch(measured)
    references = [entry for entry in model.references if entry.quantity == "throughput" and entry.batch]
    rows: List[Dict[str, Any]] = []
    for batch in sorted({*found, *(entry.batch for entry in references if entry.batch)}):
        one = found.get(batch)
        rows.append({"batch": batch,
                     **{name: one and getattr(one, name) for name in ("mean_ms", "median_ms", "p99_ms",
                                                                      "samples_per_s")},
                     "reference": {entry.device: entry.value for entry in references if entry.batch == batch}})
    first = next(iter(found.values()))
    return {"model": model.title, "measured": origin(first), "definition": first.definition, "rows": rows,
            "backend": first.backend,
            "references": {entry.device: f"{entry.definition}, {entry.unit}" for entry in references}}


def lines(sweep: Dict[str, Any]) -> List[str]:
    """The table for the terminal, columns aligned, with what each column means below."""
    devices = list(sweep["references"])
    own = {"onnxruntime": "ONNX Runtime/s", "npu": "here (NPU)/s", "tensorrt": "TensorRT/s"}[sweep["backend"]]
    head = ["batch", "mean ms", "median ms", "p99 ms", own, *(f"reference {device}" for device in devices)]
    body = [[str(row["batch"]), *(_cell(row[name], 2) for name in ("mean_ms", "median_ms", "p99_ms")),
             _cell(row["samples_per_s"], 2), *(_cell(row["reference"].get(device), 2) for device in devices)]
            for row in sweep["rows"]]
    widths = [max(map(len, column)) for column in zip(head, *body)]
    text = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths)) for row in (head, *body)]
    return [f"{sweep['model']}: throughput in samples per second by batch size", *text,
            f"  {own}: {sweep['measured']}; {sweep['definition']}; ms are of a whole batch",
            *(f"  reference {device}: {definition}" for device, definition in sweep["references"].items())]


def _cell(value: Optional[float], digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def main(argv: Optional[Sequence[str]] = None) -> None:
    parser = argparse.ArgumentParser(prog="python3 -m common.sweep", description=__doc__.splitlines()[0])
    parser.add_argument("measured", nargs="+", metavar="FILE", help="what an inference left, one file per batch size")
    parser.add_argument("--model", default=".", help="the model's folder (default: here)")
    parser.add_argument("--output", metavar="JSON", help="also write the table as data")
    args = parser.parse_args(argv)
    sweep = table(facts.load(args.model), [perf.read(path) for path in args.measured])
    if args.output:
        files.write_json(args.output, sweep)
    print("\n".join(lines(sweep)))


if __name__ == "__main__":
    errors.run(main)
