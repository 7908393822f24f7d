"""Reading the performance files and logs of the inference tools: `python3 -m common.tools.perf FILE`.

Knows benchmark's perf_vision and PureInfer files, msame's log, ais_infer's summary JSON and log, trtexec's log, and
what ONNX Runtime or OpenVINO leaves when it stands in for one of the first three. Values are found by their labels.
"""
from __future__ import annotations

import argparse
import hashlib
import re
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple

from common.base import errors, files, json_files, settings
from common.base.errors import UserError
from common.data.result_files import newest
from common.engines import engine
from common.engines.timing import summarise
from common.infer import records

NUMBER = r"([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)"
TRTEXEC = re.compile(r"^[ \t]*(?:&&&& \w+ TensorRT\.trtexec|(?:\[[^\]\n]*\] ?)*GPU Compute)", re.MULTILINE)
"""A line of trtexec's log: its name alone may also stand in a path that another tool printed."""


@dataclass(frozen=True)
class Performance:
    """One measurement: device compute of one whole batch on one device, in milliseconds.

    A figure that the file does not hold is None. `batch` is known where the file, its name or the caller tells it.
    """

    source: str
    """The file that was read."""
    tool: str
    """benchmark, benchmark-pure, msame, ais_infer or trtexec."""
    backend: str
    """onnxruntime or openvino, whichever stood in for the tool, else npu, or tensorrt for trtexec."""
    batch: Optional[int] = None
    mean_ms: Optional[float] = None
    median_ms: Optional[float] = None
    p99_ms: Optional[float] = None
    min_ms: Optional[float] = None
    max_ms: Optional[float] = None
    samples_per_s: Optional[float] = None
    """Samples per second of one device (a 310 card has four), device compute only, as `definition` says."""
    devices: int = 1
    """How many devices the rate is the sum of: more than one where `common.devices` merged them."""
    definition: str = ""
    details: Dict[str, float] = field(default_factory=dict)
    """The file's other figures, by the file's own labels."""


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
        return read_benchmark(source, lines)
    if re.search(r"ave_th\w+Rate", text):
        return read_pure(source, lines, batch)
    if "NPU_compute_time" in text:
        return read_ais_log(source, lines)
    if TRTEXEC.search(text):
        return read_trtexec(source, lines, batch)
    if "Inference average time" in text or "model execute success" in text or "Inference time:" in text:
        return read_msame(source, lines, batch)
    said = next((line for line in lines if line.startswith("[ERROR]")), None)
    if said:  # msame's exit status is 0 all the same
        raise UserError(f"{path}: the tool failed: {said}")
    raise UserError(f"{path}: holds none of the figures that benchmark, msame, ais_infer or trtexec leave; it is "
                    "another kind of file, or cut off")


def read_benchmark(source: str, lines: Sequence[str]) -> Performance:
    """benchmark's five lines, newer tags ([infer], [post]) or older ([inference], [postprocess]).

    The tool of 2020 spelled latency `lantency` and had no [preprocess] line. samples/s is the interface rate; the mean
    per batch follows from it where the file's name tells the batch.
    """
    names = {"inference": "infer", "postprocess": "post"}
    details: Dict[str, float] = {}
    last = ""
    first = any("antency: " in line for line in lines)
    for line in filter(None, lines):
        if "，" in line or "：" in line:
            raise UserError(f"{source}: was edited by hand: `{line[:60]}` has full-width commas or colons, where "
                            "benchmark writes `, ` and `: `; give the tool's own file")
        if len(re.findall(r"\[[a-z0-9 ]+\] ", line)) > 1:
            raise UserError(f"{source}: expected one `[stage] name: value, …` per line, its line ends are gone: "
                            f"`{line[:60]}`; give the tool's own file")
        match = re.fullmatch(r"\[([a-z0-9 ]+)\] ([^\[\]]*)", line)
        if not match:
            raise UserError(f"{source}: expected one `[stage] name: value, …` per line, found `{line[:60]}`")
        tag = names.get(match[1], match[1])
        for label, value in re.findall(rf"(\w[\w ]*): {NUMBER}(?=,|$)", match[2]):
            if first:
                label = label.replace("antency", "atency")
            _once(source, details, f"{tag} {label}", float(value))
            last = value
    needed = ("e2e throughputRate", "e2e latency", "data read moduleLatency", "preprocess moduleLatency",
              "infer Interface throughputRate", "infer moduleLatency", "post throughputRate",
              "post moduleLatency")
    _need(source, details, [label for label in needed if not (first and label.startswith("preprocess"))])
    rate, latency = details["post throughputRate"], details["post moduleLatency"]
    if abs(rate * latency / 1000 - 1) > 1e-3:
        why = "is cut off" if rate and f"{1000 / rate:.6g}".startswith(last) else "was edited by hand"
        raise UserError(f"{source}: {why}: the rate and latency of its last line do not belong together, they are of "
                        f"{rate * latency:.6g} ms, expected 1000")
    name = re.search(r"_batchsize_(\d+)_device_\d+\.txt$", source)
    batch = int(name[1]) if name else None
    rate = details["infer Interface throughputRate"]
    return Performance(source, "benchmark", _backend(source, "npu"), batch, samples_per_s=rate,
                       mean_ms=1000 * batch / rate if batch and rate else None, details=details,
                       definition="interface rate: samples per second of device compute on one device; "
                                  "mean = 1000 * batch / rate")


def read_pure(source: str, lines: Sequence[str], batch: Optional[int] = None) -> Performance:
    """benchmark's pure inference, its file (`=`) or what it prints (`:`); its latency is per sample.

    The file tells no batch but in the model's name, where that ends in `_bs<batch>`.
    """
    named = re.search(r"_bs(\d+)_in_device_\d+\.txt$", source)
    batch = batch or (int(named[1]) if named else None)
    details: Dict[str, float] = {}
    for line in lines:
        match = re.search(rf"ave_th\w+Rate ?[=:] ?{NUMBER}samples/s, ave_latency ?[=:] ?{NUMBER}ms$", line)
        if match:
            _once(source, details, "ave_throughputRate", float(match[1]))
            _once(source, details, "ave_latency", float(match[2]))
    _one_run(source, "Dataset number: 0", sum("Dataset number: 0 " in line for line in lines))
    _need(source, details, ("ave_throughputRate", "ave_latency"))
    costs = [float(cost) for cost in re.findall(rf"finished cost {NUMBER}ms", "\n".join(lines))]
    figures: Dict[str, Any] = _figures(summarise(costs)) if costs else {}
    if batch and not costs:
        figures["mean_ms"] = details["ave_latency"] * batch
    return Performance(source, "benchmark-pure", _backend(source, "npu", lines), batch,
                       samples_per_s=details["ave_throughputRate"], details=details, **figures,
                       definition="mean of the rounds' rates, in samples per second of device compute on one device")


def read_msame(source: str, lines: Sequence[str], batch: Optional[int] = None) -> Performance:
    """msame's log in each of its modes. The mean leaves out the first run where msame printed that figure.

    Median and 99th percentile are over the printed runs, the first left out where there are more. With a folder as
    input msame rounds its averages to two decimals; where its `Inference time` lines are all there, the mean is theirs.
    """
    details = {}
    shown: Dict[str, str] = {}
    times = []
    for line in lines:
        match = re.fullmatch(rf"Inference average time( without first time)? ?: (?:{NUMBER}|-?nan) ms", line)
        if match:
            label = "average without first" if match[1] else "average"
            _one_run(source, line.partition(":")[0].strip(), 2 if label in shown else 1)
            if match[2] is None:
                raise UserError(f"{source}: msame failed: it ran nothing ({line})")
            shown[label], details[label] = match[2], float(match[2])
        elif re.match(r"Inference average time[\w ]*: ?[\d.]+ ?ms", line):
            raise UserError(f"{source}: was edited by hand: msame does not write `{line[:60]}` so; give its own log")
        match = re.fullmatch(rf"Inference time: {NUMBER}ms", line)
        if match:
            times.append(float(match[1]))
        if line.startswith("[ERROR]"):
            raise UserError(f"{source}: msame failed: {line}")
        if line.startswith("terminate called"):
            raise UserError(f"{source}: msame failed: it was aborted ({line})")
    _one_run(source, "load model", sum(line.startswith("[INFO] load model") for line in lines))
    _need(source, details, ("average",))
    whole_log = any(line.startswith("[INFO] load model") for line in lines)
    if whole_log and not any(line.endswith("Execute sample success") for line in lines):
        raise UserError(f"{source}: is cut off, msame's line `Execute sample success` is missing")
    figures: Dict[str, Any] = _figures(summarise(times[1:] or times)) if times else {}
    if not (times and _rounded(shown["average"], times)
            and _rounded(shown.get("average without first"), times[1:])):  # an excerpt, without all of its runs
        figures["mean_ms"] = details.get("average without first", details["average"])
    mean = figures["mean_ms"]
    return Performance(source, "msame", _backend(source, "npu", lines), batch, details=details, **figures,
                       samples_per_s=1000 * batch / mean if batch and mean else None,
                       definition="1000 * batch / mean of msame's inference time, the first run left out where it "
                                  "printed that, on one device")


def _rounded(shown: Optional[str], times: Sequence[float]) -> bool:
    """Whether an average that msame printed is that of these times, rounded to two decimals; without one: no times."""
    if shown is None or not times:
        return shown is None and not times
    return re.fullmatch(r"\d+\.\d\d", shown) is not None and abs(sum(times) / len(times) - float(shown)) < 0.0051


def read_ais_log(source: str, lines: Sequence[str]) -> Performance:
    """ais_infer's or ais_bench's log, all three wordings of its throughput line."""
    details: Dict[str, float] = {}
    figures: Dict[str, Any] = {}
    batch = None
    for line in lines:
        match = re.search(r"\b(NPU_compute_time|H2D_latency|D2H_latency) \(ms\): (.*)", line)
        if match:
            found = {name: value for name, value in _pairs(match[2])}
            for name, value in found.items():
                _once(source, details, f"{match[1]} {name}", value)
            if match[1] == "NPU_compute_time":
                figures = _figures(found)
        match = re.search(rf"\bthroughput\b.*\D: {NUMBER}$", line)
        if match:
            _once(source, details, "throughput", float(match[1]))
            named = re.search(rf"batchsize(?:\.mean)?\({NUMBER}\)/NPU_compute_time\.mean\({NUMBER}\)", line)
            if named:
                batch = int(float(named[1]))
                figures.setdefault("mean_ms", float(named[2]))
    _need(source, {**details, **figures}, ("throughput", "mean_ms"))
    return Performance(source, "ais_infer", _backend(source, "npu", lines),
                       batch or _batch(details["throughput"], figures["mean_ms"]), details=details, **figures,
                       samples_per_s=details["throughput"],
                       definition="1000 * batch / mean device compute time, on one device")


def read_trtexec(source: str, lines: Sequence[str], batch: Optional[int] = None) -> Performance:
    """trtexec's log, TensorRT 7 (a block per section) and 8 to 10 (a line per section): the GPU compute section.

    The throughput that trtexec itself prints is not used: it counts queries, or is 0. Of several streams no rate is
    told: their queries overlap, so the time of one tells none. Reference figures of the T4 are of the median, so that
    rate stands beside, in `details`.
    """
    sections: Dict[str, Dict[str, float]] = {}
    section, streams = "", 1
    for line in lines:
        if line.startswith("&&&& FAILED"):
            said = next((other.partition("[E]")[2].strip() for other in lines if "] [E] " in other), line)
            raise UserError(f"{source}: trtexec failed: {said}")
        if batch is None:
            batch = _trtexec_batch(line)
        several = re.search(r"--(?:infS|s)treams=(\d+)", line)
        streams = int(several[1]) if several else streams
        body = re.sub(r"^(\[[^\]]*\] ?)+", "", line)
        if re.fullmatch(r"(Host Latency|Enqueue Time|GPU Compute)", body):
            section = body
        elif "=" in body and re.match(r"[\w -]+: min", body):
            section, _, rest = body.partition(":")
            _add(source, sections, section, _pairs(rest))
            section = ""
        elif section:
            match = re.match(rf"(min|max|mean|median|percentile): {NUMBER} ms(?: at (\d+)%)?", body)
            if match:
                name = f"percentile({match[3]}%)" if match[3] else match[1]
                _add(source, sections, section, [(name, float(match[2]))])
            elif not re.match(r"[a-z ]+: ", body):
                section = ""
    if any(line.startswith("&&&& RUNNING") for line in lines) and not any("&&&& PASSED" in line for line in lines):
        raise UserError(f"{source}: is cut off, trtexec's line `&&&& PASSED` is missing")
    compute = sections.get("GPU Compute Time") or sections.get("GPU Compute") or {}
    _need(source, compute, ("mean", "median"))
    details = {f"{section} {name}": value for section, found in sections.items() for name, value in found.items()}
    if streams > 1:
        return Performance(source, "trtexec", "tensorrt", batch, **_figures(compute), details=details,
                           definition=f"not told by a run of {streams} streams, whose queries overlap; run trtexec "
                                      "without --streams")
    if batch:
        details["samples/s by the median, as the reference's T4 figures are"] = 1000 * batch / compute["median"]
    return Performance(source, "trtexec", "tensorrt", batch, **_figures(compute), details=details,
                       samples_per_s=1000 * batch / compute["mean"] if batch else None,
                       definition="1000 * batch / mean GPU compute time")


def _trtexec_batch(line: str) -> Optional[int]:
    """The batch that a line of trtexec's log tells: --batch=16, `Batch: 16`, or --shapes where all inputs agree."""
    match = re.search(r"--batch=(\d+)|\] Batch: (\d+)$", line)
    if match:
        return int(match[1] or match[2])
    shapes = re.search(r"--shapes=(\S+)", line)
    if not shapes:
        return None
    firsts = {found[1] if found else "" for part in shapes[1].strip("'\"").split(",")
              for found in [re.search(r":(\d+)(?:x\d+)*$", part)]}
    return int(firsts.pop()) if len(firsts) == 1 and firsts != {""} else None


def _read_json(source: str, text: str) -> Performance:
    value = json_files.parse(text, source)
    if isinstance(value, dict) and "provenance" in value:
        records.parse(value, source)
        return Performance(source, value["tool"], value["provenance"]["backend"], value["batch"],
                           **_figures(value["compute_ms"]), samples_per_s=value["samples_per_s"],
                           definition=value["definitions"]["samples_per_s"], devices=len(value.get("devices", [0])),
                           details={key: value[key] for key in value["definitions"]
                                    if isinstance(value.get(key), (int, float))})
    if isinstance(value, dict) and {"NPU_compute_time", "throughput"} <= value.keys():
        json_files.check(value, "ais_summary", source)
        compute = value["NPU_compute_time"]
        records.compute_ms({**compute, "p99": compute.get("percentile(99%)", compute["mean"])}, f"{source}: ")
        figures = _figures({name: float(number) for name, number in compute.items()})
        devices = len(value.get("devices", [0]))  # of a summary that common.devices merged, which tells the batch too
        # with --threads ais_bench keeps begin and end of each run, and tells their mean alone
        threads = [list] == sorted({type(item) for item in value.get("npu_compute_time_list", [])}, key=str)
        _need(source, figures, ("mean_ms",) if "devices" in value or threads else ("mean_ms", "median_ms"))
        rate = float(value["throughput"])
        return Performance(source, "ais_infer", _backend(source, "npu"),
                           value.get("batch") or _batch(rate, figures["mean_ms"]),
                           samples_per_s=rate, **figures, devices=devices,
                           definition="1000 * batch / mean device compute time, on one device" + (
                               f"; the sum over {devices}" if "devices" in value else ""),
                           details={f"{part} {name}": number for part in ("H2D_latency", "D2H_latency")
                                    for name, number in value.get(part, {}).items()})
    raise UserError(f"{source}: is neither a summary of ais_infer (NPU_compute_time and throughput are missing) nor "
                    "a record of what stood in for a tool")


def _pairs(text: str) -> List[Tuple[str, float]]:
    found = re.findall(rf"(min|max|mean|median|percentile\( *\d+% *\)) *= *{NUMBER}", text)
    return [(name.replace(" ", ""), float(value)) for name, value in found]


def _add(source: str, sections: Dict[str, Dict[str, float]], section: str, pairs: Sequence[Tuple[str, float]]) -> None:
    for name, value in pairs:
        _once(source, sections.setdefault(section, {}), name, value, f"{section} ")


def _once(source: str, found: Dict[str, float], name: str, value: float, subject: str = "") -> None:
    """Keep a figure; another value for it is of another run, whose figures must not be mixed with this one's."""
    if found.setdefault(name, value) != value:
        raise UserError(f"{source}: holds more than one run ({subject}{name} is {found[name]:g} and {value:g}); give "
                        "a log of one run")


def _one_run(source: str, mark: str, count: int) -> None:
    if count > 1:
        raise UserError(f"{source}: holds more than one run (`{mark}` stands there {count} times); give a log of one "
                        "run")


def _figures(found: Mapping[str, float]) -> Dict[str, Any]:
    names = {"mean": "mean_ms", "median": "median_ms", "min": "min_ms", "max": "max_ms",
             "p99": "p99_ms", "percentile(99%)": "p99_ms"}
    return {names[name]: value for name, value in found.items() if name in names}


def _need(source: str, found: Mapping[str, float], labels: Sequence[str]) -> None:
    missing = [label for label in labels if label not in found]
    if missing:
        raise UserError(f"{source}: is cut off or of another kind: {', '.join(missing)} missing")


def _batch(rate: float, mean_ms: float) -> Optional[int]:
    return round(rate * mean_ms / 1000) or None


def sidecar(source: files.PathLike) -> Optional[Path]:
    """Where a stand-in leaves its own record beside a tool's performance file; None for other names."""
    path = Path(source)
    for pattern, name in ((r"perf_\w+?_(batchsize_\d+_device_\d+)\.txt", r"onnxruntime_\1.json"),
                          (r"PureInfer_perf_of_(.+)_in_(device_\d+)\.txt", r"onnxruntime_pure_\1_\2.json"),
                          (r"(.+)_summary\.json", r"\1_onnxruntime.json")):
        match = re.fullmatch(pattern, path.name)
        if match:
            return path.with_name(match.expand(name))
    return path.parent.with_name(path.parent.name + "_onnxruntime.json") if path.name == "sumary.json" else None


def _backend(source: str, tool: str, lines: Sequence[str] = ()) -> str:
    """The stand-in that the log names, or the record beside the file, if it holds the file's checksum; else `tool`."""
    for name in engine.STAND_INS:
        if any(line.startswith(f"[INFO] {name} stands in for") for line in lines):
            return name
    record = sidecar(source)
    if record is not None and record.exists():
        left = records.read(record)
        mark = left["performance_file"]
        if mark and mark["sha256"] == hashlib.sha256(Path(source).read_bytes()).hexdigest():
            return left["provenance"]["backend"]
    return tool


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
