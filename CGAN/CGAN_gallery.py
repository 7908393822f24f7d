#!/usr/bin/env python3
"""Draw the report's picture: the grid of generated digits, those marked that are read as another digit."""
from __future__ import annotations

import argparse
import re
from typing import Any, List, Mapping, Optional, Sequence, Tuple

import numpy as np

from common.base import errors, facts, pictures
from common.judge import reports
from common.publish import gallery

TIMES = 2


def misread(rows: Sequence[Mapping[str, Any]]) -> List[Tuple[int, int]]:
    """Row and column, from 0, of each digit that was read as another. rows: of CGAN_postprocess.py's accuracy file."""
    found = []
    for entry in rows:
        place = re.match(r"row (\d+), digit (\d+)", entry["sample"])
        if place and not entry["value"]:
            found.append((int(place[1]) - 1, int(place[2])))
    return sorted(found)


def marked(grid: np.ndarray, places: Sequence[Tuple[int, int]], side: int) -> np.ndarray:
    """The grid, uint8 [H, W, 3], magnified, with a frame around the digits at these places."""
    large = gallery.magnify(grid, (0, 0, grid.shape[1], grid.shape[0]), TIMES)
    for row, column in places:
        left, upper, inner = column * side * TIMES + 4, row * side * TIMES + 4, side * TIMES - 8
        large = gallery.frame(large, (left, upper, inner, inner))
    return large


def main(argv: Optional[Sequence[str]] = None) -> None:
    model = facts.load(__file__)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("grid", metavar="PNG", help="result.png of CGAN_postprocess.py")
    parser.add_argument("--accuracy", required=True, metavar="JSON", help="what CGAN_postprocess.py left")
    parser.add_argument("--output", default=".", metavar="DIR", help="folder for gallery.json (default: here)")
    args = parser.parse_args(argv)
    read = reports.accuracy(args.accuracy, model)
    wrong = misread(read["rows"])
    panel = gallery.Panel("a row is one noise, a column one digit, 0 to 9",
                          marked(pictures.read_rgb(args.grid), wrong, model.extra["side"]), cover=True)
    gallery.write(args.output, [gallery.Row(f"{read['samples']} digits", read["value"], [panel])],
                  f"{len(wrong)} of {read['samples']} digits, framed, are not read as the digit asked for.")


if __name__ == "__main__":
    errors.run(main)
