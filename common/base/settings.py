"""What a run is steered by, read in one place: flags and variables that hold numbers, and the cores there are."""
from __future__ import annotations

import argparse
import os
import re
from contextlib import suppress
from typing import Callable, List, Optional, Tuple, Union

from common.base.errors import UserError

HIGHEST = 10 ** 9
"""The largest number that any flag or variable takes; a larger one is a slip, and may be one that fills memory."""


def number(text: str, what: str, low: int = 1, high: int = HIGHEST) -> int:
    """The whole number that `text` is, in `low`..`high`; `what` names it in the `UserError` for anything else.

    ASCII digits alone count: no sign, no `²`, no `1_000`, no blanks inside.
    """
    if re.fullmatch(r"\d{1,18}", text, re.ASCII) and low <= int(text) <= high:
        return int(text)
    limits = f"of at least {low}" + ("" if high == HIGHEST else f" and at most {high}")
    found = text if len(text) <= 40 else f"{text[:40]}..."
    raise UserError(f"{what}={found}: expected a whole number {limits}")


def variable(name: str, low: int = 1, high: int = HIGHEST) -> Optional[int]:
    """The number in a variable of the environment, None where it is empty or not set."""
    text = os.environ.get(name, "").strip()
    return number(text, name, low, high) if text else None


def whole(low: int, high: int = HIGHEST) -> Callable[[str], int]:
    """An argparse type: a whole number in `low`..`high`."""
    def parse(text: str) -> int:
        try:
            return number(text, "", low, high)
        except UserError as error:
            raise argparse.ArgumentTypeError(f"{str(error).partition(': ')[2]}, found {text[:40]!r}") from error
    return parse


positive = whole(1)
"""An argparse type: a whole number of at least 1."""


FREE = "free"
"""In place of a side: each picture's own height and width."""


def side(text: str) -> Union[int, str]:
    """An argparse type: a whole number of pixels, or `free`."""
    return FREE if text == FREE else positive(text)


def width_height(text: str) -> Tuple[int, int]:
    """An argparse type: `WIDTHxHEIGHT` in pixels, such as 2048x1024."""
    width, _, height = text.partition("x")
    return positive(width), positive(height)


def limit(value: Optional[int] = None) -> Optional[int]:
    """How many samples a stage takes: `value` (a flag), else `LIMIT` of the environment, else None for all."""
    return variable("LIMIT") if value is None else number(str(value), "a limit")


CGROUP = "/sys/fs/cgroup"
"""Where a container finds its limits."""


def limited(name: str) -> List[str]:
    """The words of one of these files; none where it is not there."""
    with suppress(OSError), open(os.path.join(CGROUP, name), encoding="ascii") as file:
        return file.read().split()
    return []


def cores() -> int:
    """The processor's cores that this process may use: as many as a container's share of them (`docker run --cpus`) comes to."""
    found = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    share = limited("cpu.max") or limited("cpu/cpu.cfs_quota_us") + limited("cpu/cpu.cfs_period_us")
    if len(share) == 2 and all(map(str.isdigit, share)):  # microseconds of so many; without a limit the first is max, or -1
        found = min(found, max(1, -(-int(share[0]) // int(share[1]))))
    return found


THREADS = 1024
"""More threads than any machine that this runs on has cores."""


def thread_count(threads: Optional[int] = None) -> int:
    """`threads`, else `THREADS` of the environment, else the number of cores that this process may use."""
    if threads is not None:
        return number(str(threads), "THREADS", 1, THREADS)
    return variable("THREADS", 1, THREADS) or cores()
