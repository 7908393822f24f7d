"""Several devices at once: their ids, their name together, and what figures over all of them mean."""
from __future__ import annotations

import re
from collections import Counter
from typing import Any, Dict, List, Mapping, Sequence

from common.base.errors import UserError

HIGHEST = 255
DEFINITIONS = {
    "samples_per_s": "sum of the devices' samples per second, each of device compute alone on its part",
    "end_to_end_s": "the longest of the devices' end-to-end times; they run side by side",
    "compute_ms": "device compute of one whole batch, milliseconds, over the batches of all devices",
    "peak_memory_bytes": "sum of the largest resident memory of each device's process",
}


def parse(text: str) -> List[int]:
    """The device ids of `0,1,2,3`: whole numbers from 0 to 255, all different. Raises `UserError` for anything else."""
    words = [word.strip() for word in text.split(",")]
    if not all(re.fullmatch(r"\d+", word, re.ASCII) and int(word) <= HIGHEST for word in words):
        raise UserError(f"DEVICES={text}: expected device ids from 0 to {HIGHEST} with commas between them, such as "
                        "0,1,2,3")
    ids = [int(word) for word in words]
    twice = [str(each) for each, count in Counter(ids).items() if count > 1]
    if twice:
        raise UserError(f"DEVICES={text}: names device {twice[0]} more than once")
    return ids


def named(each: Sequence[Mapping[str, Any]]) -> Dict[str, str]:
    """All devices in words, as a provenance has them: `{"device": "2 devices: AMD EPYC (0, 1)"}`."""
    names = list(dict.fromkeys(one["name"] for one in each))
    ids = ", ".join(str(one["device"]) for one in each)
    words = f"{names[0]} ({ids})" if len(names) == 1 else ", ".join(one["name"] for one in each)
    return {"device": f"{len(each)} device{'' if len(each) == 1 else 's'}: {words}"}
