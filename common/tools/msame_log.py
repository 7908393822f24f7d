"""msame's log."""
from __future__ import annotations

import re
from typing import Any, Dict, Optional, Sequence

from common.base.errors import UserError
from common.engines.timing import summarise
from common.tools import performance
from common.tools.performance import NUMBER, Performance


def read(source: str, lines: Sequence[str], batch: Optional[int] = None) -> Performance:
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
            performance.one_run(source, line.partition(":")[0].strip(), 2 if label in shown else 1)
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
    performance.one_run(source, "load model", sum(line.startswith("[INFO] load model") for line in lines))
    performance.need(source, details, ("average",))
    whole_log = any(line.startswith("[INFO] load model") for line in lines)
    if whole_log and not any(line.endswith("Execute sample success") for line in lines):
        raise UserError(f"{source}: is cut off, msame's line `Execute sample success` is missing")
    figures: Dict[str, Any] = performance.by_name(summarise(times[1:] or times)) if times else {}
    if not (times and _rounded(shown["average"], times)
            and _rounded(shown.get("average without first"), times[1:])):  # an excerpt, without all of its runs
        figures["mean_ms"] = details.get("average without first", details["average"])
    mean = figures["mean_ms"]
    return Performance(source, "msame", performance.backend(source, "npu", lines), batch, details=details, **figures,
                       samples_per_s=1000 * batch / mean if batch and mean else None,
                       definition="1000 * batch / mean of msame's inference time, the first run left out where it "
                                  "printed that, on one device")


def _rounded(shown: Optional[str], times: Sequence[float]) -> bool:
    """Whether an average that msame printed is that of these times, rounded to two decimals; without one: no times."""
    if shown is None or not times:
        return shown is None and not times
    return re.fullmatch(r"\d+\.\d\d", shown) is not None and abs(sum(times) / len(times) - float(shown)) < 0.0051
