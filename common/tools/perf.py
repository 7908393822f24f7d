"""Reading the performance files and logs of the inference tools: `python3 -m common.tools.perf FILE`.

Knows benchmark's perf_vision and PureInfer files, msame's log, ais_infer's summary JSON and log, trtexec's log, and
what ONNX Runtime or OpenVINO leaves when it stands in for one of the first three. Values are found by their labels.
"""
from __future__ import annotations

import argparse
import re
from dataclasses import fields
from typing import Any, Iterator, Optional, Sequence

from common.base import errors, files, json_files, settings
from common.base.errors import UserError
from common.data.result_files import newest
from common.infer import records
from common.tools import performance
from common.tools.performance import Performance

TRTEXEC = re.compile(r"^[ \t]*(?:&&&& \w+ TensorRT\.trtexec|(?:\[[^\]\n]*\] ?)*GPU Compute)", re.MULTILINE)
"""A line of trtexec's log: its name alone may also stand in a path that another tool printed."""
ELSEWHERE = "read it there"
"""What to do with a file of a tool that the scripts of a folder for ModelZoo do not use."""


def read(path: files.PathLike, batch: Optional[int] = None) -> Performance:
    """Read a performance file or log of any of the tools, told apart by what is in it.

    batch: samples per batch, for files that do not tell it (msame, PureInfer, trtexec without --shapes).
    Raises `UserError` for a file that is missing, foreign, truncated, or of a run that failed.
    """
    text = files.existing_file(path, "a performance file or log").read_bytes().decode("utf-8", errors="replace")
    if "\0" in text:
        raise UserError(f"{path}: is binary, expected a performance file or log")
    source = str(path)
    if text.lstrip().startswith("{"):
        return _read_json(source, text)
    lines = [line.strip() for line in text.splitlines()]
    if "[e2e]" in text:
        with errors.optional(f"{path}: benchmark's perf_vision", "tools/vision_log.py", ELSEWHERE):
            from common.tools import vision_log
        return vision_log.read(source, lines)
    if re.search(r"ave_th\w+Rate", text):
        with errors.optional(f"{path}: benchmark's PureInfer", "tools/pure_log.py", ELSEWHERE):
            from common.tools import pure_log
        return pure_log.read(source, lines, batch)
    if "NPU_compute_time" in text:
        with errors.optional(f"{path}: a log of ais_infer", "tools/ais_log.py", "give the summary that it left"):
            from common.tools import ais_log
        return ais_log.read(source, lines)
    if TRTEXEC.search(text):
        with errors.optional(f"{path}: a log of trtexec", "tools/trtexec_log.py", ELSEWHERE):
            from common.tools import trtexec_log
        return trtexec_log.read(source, lines, batch)
    if "Inference average time" in text or "model execute success" in text or "Inference time:" in text:
        with errors.optional(f"{path}: a log of msame", "tools/msame_log.py", ELSEWHERE):
            from common.tools import msame_log
        return msame_log.read(source, lines, batch)
    said = next((line for line in lines if line.startswith("[ERROR]")), None)
    if said:  # msame's exit status is 0 all the same
        raise UserError(f"{path}: the tool failed: {said}")
    raise UserError(f"{path}: holds none of the figures that benchmark, msame, ais_infer or trtexec leave; it is "
                    "another kind of file, or cut off")


def _read_json(source: str, text: str) -> Performance:
    value = json_files.parse(text, source)
    if isinstance(value, dict) and "provenance" in value:
        records.parse(value, source)
        return Performance(source, value["tool"], value["provenance"]["backend"], value["batch"],
                           **performance.by_name(value["compute_ms"]), samples_per_s=value["samples_per_s"],
                           definition=value["definitions"]["samples_per_s"], devices=len(value.get("devices", [0])),
                           details={key: value[key] for key in value["definitions"]
                                    if isinstance(value.get(key), (int, float))})
    if isinstance(value, dict) and {"NPU_compute_time", "throughput"} <= value.keys():
        json_files.check(value, "ais_summary", source)
        compute = value["NPU_compute_time"]
        records.compute_ms({**compute, "p99": compute.get("percentile(99%)", compute["mean"])}, f"{source}: ")
        figures = performance.by_name({name: float(number) for name, number in compute.items()})
        devices = len(value.get("devices", [0]))  # of a summary that common.devices merged, which tells the batch too
        # with --threads ais_bench keeps begin and end of each run, and tells their mean alone
        threads = [list] == sorted({type(item) for item in value.get("npu_compute_time_list", [])}, key=str)
        performance.need(source, figures, ("mean_ms",) if "devices" in value or threads else ("mean_ms", "median_ms"))
        rate = float(value["throughput"])
        return Performance(source, "ais_infer", performance.backend(source, "npu"),
                           value.get("batch") or performance.batch_of(rate, figures["mean_ms"]),
                           samples_per_s=rate, **figures, devices=devices,
                           definition="1000 * batch / mean device compute time, on one device" + (
                               f"; the sum over {devices}" if "devices" in value else ""),
                           details={f"{part} {name}": number for part in ("H2D_latency", "D2H_latency")
                                    for name, number in value.get(part, {}).items()})
    raise UserError(f"{source}: is neither a summary of ais_infer (NPU_compute_time and throughput are missing) nor "
                    "a record of what stood in for a tool")


def show(result: Performance) -> Iterator[str]:
    """A readable block, line by line."""
    yield f"{result.source}: {result.tool}, measured by {result.backend}"
    yield f"  batch {result.batch if result.batch is not None else 'not told by the file (give --batch N)'}"
    latencies = [f"{name} {value:.6g}" for name in ("mean", "median", "p99", "min", "max")
                 for value in [getattr(result, f"{name}_ms")] if value is not None]
    if latencies:
        yield f"  device compute per batch, ms: {', '.join(latencies)}"
    if result.samples_per_s is not None:
        where = "one device" if result.devices == 1 else f"{result.devices} devices together"
        yield f"  samples/s on {where}: {result.samples_per_s:.6g}"
        yield f"    = {result.definition}"
    elif result.batch is not None and result.definition.startswith("not told"):
        yield f"  samples/s: {result.definition}"
    for name, value in result.details.items():
        yield f"  {name}: {value:g}"


def main(argv: Optional[Sequence[str]] = None) -> None:
    names = [entry.name for entry in fields(Performance) if entry.name != "details"]
    parser = argparse.ArgumentParser(
        prog="python3 -m common.tools.perf", description="Show what a performance file or log of benchmark, msame, "
        "ais_infer or trtexec says.", usage="%(prog)s [--batch N] [--field NAME] FILE...\n       %(prog)s newest DIR")
    parser.add_argument("path", nargs="+", metavar="FILE", help="performance files or logs; or `newest DIR`: print "
                        "the result folder that msame or ais_infer made last in DIR")
    parser.add_argument("--batch", type=settings.positive, help="samples per batch, for files that do not tell it")
    parser.add_argument("--field", choices=names, help="print this one figure alone")
    args = parser.parse_args(argv)
    if args.path[0] == "newest":
        if len(args.path) != 2:
            parser.error("newest takes one folder")
        print(newest(args.path[1]))
        return
    for path in args.path:
        result = read(path, args.batch)
        if args.field is None:
            print("\n".join(show(result)))
            continue
        value: Any = getattr(result, args.field)
        if value is None:
            told = result.definition if args.field == "samples_per_s" and result.batch is not None else ""
            raise UserError(f"{path}: does not tell {args.field}" + (
                f": {told}" if told else ", give --batch N" if args.batch is None else ""))
        print(value)


if __name__ == "__main__":
    errors.run(main)
