"""What benchmark leaves, and prints, of its speed on zeros: PureInfer."""
from __future__ import annotations

import re
from typing import Any, Dict, Optional, Sequence

from common.engines.timing import summarise
from common.tools import performance
from common.tools.performance import NUMBER, Performance


def read(source: str, lines: Sequence[str], batch: Optional[int] = None) -> Performance:
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
