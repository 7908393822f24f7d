"""What Ascend's benchmark leaves of its speed: perf_vision of a dataset, PureInfer of runs on zeros."""
from __future__ import annotations

import re
from typing import Any, Dict, Optional, Sequence

from common.base.errors import UserError
from common.engines.timing import summarise
from common.tools import performance
from common.tools.performance import NUMBER, Performance


def read(source: str, lines: Sequence[str], batch: Optional[int] = None) -> Performance:
    """Either file. batch: samples per batch, for a PureInfer file that does not tell it."""
    if any("[e2e]" in line for line in lines):
        return read_dataset(source, lines)
    return read_pure(source, lines, batch)


def read_dataset(source: str, lines: Sequence[str]) -> Performance:
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
            performance.once(source, details, f"{tag} {label}", float(value))
            last = value
    needed = ("e2e throughputRate", "e2e latency", "data read moduleLatency", "preprocess moduleLatency",
              "infer Interface throughputRate", "infer moduleLatency", "post throughputRate",
              "post moduleLatency")
    performance.need(source, details, [label for label in needed if not (first and label.startswith("preprocess"))])
    rate, latency = details["post throughputRate"], details["post moduleLatency"]
    if abs(rate * latency / 1000 - 1) > 1e-3:
        why = "is cut off" if rate and f"{1000 / rate:.6g}".startswith(last) else "was edited by hand"
        raise UserError(f"{source}: {why}: the rate and latency of its last line do not belong together, they are of "
                        f"{rate * latency:.6g} ms, expected 1000")
    name = re.search(r"_batchsize_(\d+)_device_\d+\.txt$", source)
    batch = int(name[1]) if name else None
    rate = details["infer Interface throughputRate"]
    return Performance(source, "benchmark", performance.backend(source, "npu"), batch, samples_per_s=rate,
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
            performance.once(source, details, "ave_throughputRate", float(match[1]))
            performance.once(source, details, "ave_latency", float(match[2]))
    performance.one_run(source, "Dataset number: 0", sum("Dataset number: 0 " in line for line in lines))
    performance.need(source, details, ("ave_throughputRate", "ave_latency"))
    costs = [float(cost) for cost in re.findall(rf"finished cost {NUMBER}ms", "\n".join(lines))]
    figures: Dict[str, Any] = performance.by_name(summarise(costs)) if costs else {}
    if batch and not costs:
        figures["mean_ms"] = details["ave_latency"] * batch
    return Performance(source, "benchmark-pure", performance.backend(source, "npu", lines), batch,
                       samples_per_s=details["ave_throughputRate"], details=details, **figures,
                       definition="mean of the rounds' rates, in samples per second of device compute on one device")
