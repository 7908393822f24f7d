"""trtexec's log."""
from __future__ import annotations

import re
from typing import Dict, Optional, Sequence, Tuple

from common.base.errors import UserError
from common.tools import performance
from common.tools.performance import NUMBER, Performance


def read(source: str, lines: Sequence[str], batch: Optional[int] = None) -> Performance:
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
            _add(source, sections, section, performance.pairs(rest))
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
    performance.need(source, compute, ("mean", "median"))
    details = {f"{section} {name}": value for section, found in sections.items() for name, value in found.items()}
    if streams > 1:
        return Performance(source, "trtexec", "tensorrt", batch, **performance.by_name(compute), details=details,
                           definition=f"not told by a run of {streams} streams, whose queries overlap; run trtexec "
                                      "without --streams")
    if batch:
        details["samples/s by the median, as the reference's T4 figures are"] = 1000 * batch / compute["median"]
    return Performance(source, "trtexec", "tensorrt", batch, **performance.by_name(compute), details=details,
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


def _add(source: str, sections: Dict[str, Dict[str, float]], section: str, pairs: Sequence[Tuple[str, float]]) -> None:
    for name, value in pairs:
        performance.once(source, sections.setdefault(section, {}), name, value, f"{section} ")
