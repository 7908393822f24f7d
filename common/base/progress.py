"""How far a long loop is: `for item in progress(items, "preprocess")`."""
from __future__ import annotations

import sys
import time
from typing import Iterable, Iterator, Optional, Sized, TypeVar

Item = TypeVar("Item")
EVERY = 10.0
"""Seconds between two lines."""


def progress(items: Iterable[Item], what: str, total: Optional[int] = None, unit: str = "sample") -> Iterable[Item]:
    """The items: with a bar on stderr where that is a terminal, else with a line on stdout, a log, every ten seconds.

    total: how many there are, for items that do not tell.
    """
    count = len(items) if total is None and isinstance(items, Sized) else total
    if sys.stderr is not None and sys.stderr.isatty():
        from tqdm import tqdm
        return tqdm(items, what, count, unit=unit)
    return _told(items, what, count, unit)


def _told(items: Iterable[Item], what: str, total: Optional[int], unit: str) -> Iterator[Item]:
    begin = last = time.monotonic()
    for done, item in enumerate(items):
        now = time.monotonic()
        if now - last >= EVERY:
            last = now
            left = f", {(now - begin) / done * (total - done):.0f} s left" if total and done else ""
            print(f"{what}: {done}{f' of {total}' if total else ''} {unit}s, {now - begin:.0f} s{left}", flush=True)
        yield item
