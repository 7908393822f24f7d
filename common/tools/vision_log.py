"""What benchmark leaves of its speed on a dataset: perf_vision, five lines."""
from __future__ import annotations

import re
from typing import Dict, Sequence

from common.base.errors import UserError
from common.tools import performance
from common.tools.performance import NUMBER, Performance


def read(source: str, lines: Sequence[str]) -> Performance:
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
