"""Statistics of times."""
from __future__ import annotations

import math
import statistics
from typing import Dict, Sequence


def summarise(values: Sequence[float]) -> Dict[str, float]:
    """Mean, median, p99 (linear interpolation), min and max in the unit of the values, and their count."""
    ordered = sorted(values)
    place = 0.99 * (len(ordered) - 1)
    low, high = ordered[math.floor(place)], ordered[math.ceil(place)]
    return {"mean": statistics.fmean(ordered), "median": statistics.median(ordered),
            "p99": low + (high - low) * (place - math.floor(place)),
            "min": ordered[0], "max": ordered[-1], "count": len(ordered)}
