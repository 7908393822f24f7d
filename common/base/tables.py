"""Tables and numbers for the terminal."""
from __future__ import annotations

from typing import Container, List, Sequence


def aligned(rows: Sequence[Sequence[str]], right: Container[int] = ()) -> List[str]:
    """Every row as a line whose cells stand under one another, two blanks between; columns in `right` are flush right."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    return ["  ".join(cell.rjust(width) if place in right else cell.ljust(width)
                      for place, (cell, width) in enumerate(zip(row, widths))).rstrip() for row in rows]


def short(value: float) -> str:
    """Four digits, all those before the point: 0.6484, 135.3, 24640."""
    return f"{value:.0f}" if value >= 1000 else f"{value:.4g}"
