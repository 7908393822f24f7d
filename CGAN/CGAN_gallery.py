#!/usr/bin/env python3
"""Draw the report's picture: the grid of generated digits, those marked that are read as another digit."""
from __future__ import annotations

import argparse
import re
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

import numpy as np

from common.base import errors, facts, pictures
from common.judge import reports
from common.publish import gallery

TIMES, ALONE = 2, 4
"""How many times the grid is magnified, and a digit of it alone."""


def places(rows: Sequence[Mapping[str, Any]]) -> Dict[str, Tuple[int, int]]:
    """Row and column, from 0, of each digit, by its name. rows: of CGAN_postprocess.py's accuracy file."""
    found = {entry["sample"]: re.match(r"row (\d+), digit (\d+)", entry["sample"]) for entry in rows}
    return {name: (int(place[1]) - 1, int(place[2])) for name, place in found.items() if place}


def misread(rows: Sequence[Mapping[str, Any]]) -> List[Tuple[int, int]]:
    """Row and column of each digit that was read as another."""
    return sorted(places([entry for entry in rows if not entry["value"]]).values())


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
    wrong, at, side = misread(read["rows"]), places(read["rows"]), model.extra["side"]
    grid = pictures.read_rgb(args.grid)

    def digit(entry: Mapping[str, Any]) -> gallery.Row:
        row, column = at[entry["sample"]]
        alone = gallery.magnify(grid, (column * side, row * side, side, side), ALONE)
        return gallery.Row(entry["sample"], entry["value"], [gallery.Panel("the digit alone", alone, cover=True)])

    panel = gallery.Panel("a row is one noise, a column one digit, 0 to 9", marked(grid, wrong, side), cover=True)
    gallery.write(args.output, [gallery.Row(f"{read['samples']} digits", read["value"], [panel])],
                  f"{len(wrong)} of {read['samples']} digits, framed, are not read as the digit asked for.", (),
                  [entry for entry in read["rows"] if entry["sample"] in at], digit)


if __name__ == "__main__":
    errors.run(main)
