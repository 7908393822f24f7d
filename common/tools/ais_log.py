"""The log of ais_infer or ais_bench."""
from __future__ import annotations

import re
from typing import Any, Dict, Sequence

from common.tools import performance
from common.tools.performance import NUMBER, Performance


def read(source: str, lines: Sequence[str]) -> Performance:
    """ais_infer's or ais_bench's log, all three wordings of its throughput line."""
    details: Dict[str, float] = {}
    figures: Dict[str, Any] = {}
    batch = None
    for line in lines:
        match = re.search(r"\b(NPU_compute_time|H2D_latency|D2H_latency) \(ms\): (.*)", line)
        if match:
            found = {name: value for name, value in performance.pairs(match[2])}
            for name, value in found.items():
                performance.once(source, details, f"{match[1]} {name}", value)
            if match[1] == "NPU_compute_time":
                figures = performance.by_name(found)
        match = re.search(rf"\bthroughput\b.*\D: {NUMBER}$", line)
        if match:
            performance.once(source, details, "throughput", float(match[1]))
            named = re.search(rf"batchsize(?:\.mean)?\({NUMBER}\)/NPU_compute_time\.mean\({NUMBER}\)", line)
            if named:
                batch = int(float(named[1]))
                figures.setdefault("mean_ms", float(named[2]))
    performance.need(source, {**details, **figures}, ("throughput", "mean_ms"))
    return Performance(source, "ais_infer", performance.backend(source, "npu", lines),
                       batch or performance.batch_of(details["throughput"], figures["mean_ms"]), details=details, **figures,
                       samples_per_s=details["throughput"],
                       definition="1000 * batch / mean device compute time, on one device")
