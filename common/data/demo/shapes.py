"""Pictures of one shape each, and which it is: images/<n>.png and labels.txt, lines `<stem> <class>`.

Classes: 0 circle, 1 square, 2 triangle, 3 cross.
"""
from __future__ import annotations

from pathlib import Path
from typing import Optional, Sequence

import numpy as np
from PIL import Image, ImageDraw

from common.base import errors, files
from common.base.pictures import write_rgb
from common.data.demo import _program

CLASSES, SIDE = 4, 64


def picture(generator: np.random.Generator, kind: int) -> np.ndarray:
    """One shape on a plain ground, uint8 [64, 64, 3] RGB; size, place and colours are drawn."""
    ground, colour = (tuple(int(value) for value in generator.integers(low, low + 120, 3)) for low in (0, 130))
    image = Image.new("RGB", (SIDE, SIDE), ground)
    draw, size = ImageDraw.Draw(image), int(generator.integers(14, 24))
    x, y = (int(value) for value in generator.integers(size + 2, SIDE - size - 2, 2))
    box = (x - size, y - size, x + size, y + size)
    if kind == 0:
        draw.ellipse(box, fill=colour)
    elif kind == 1:
        draw.rectangle(box, fill=colour)
    elif kind == 2:
        draw.polygon([(x, y - size), (x - size, y + size), (x + size, y + size)], fill=colour)
    else:
        draw.line([(x - size, y), (x + size, y)], fill=colour, width=size // 2)
        draw.line([(x, y - size), (x, y + size)], fill=colour, width=size // 2)
    return np.asarray(image)


def write(folder: Path, count: int, seed: int) -> None:
    """`count` pictures, the classes in turn."""
    generator = np.random.default_rng(seed)
    for number in range(count):
        write_rgb(folder / f"images/{number:04}.png", picture(generator, number % CLASSES))
    files.write_text(folder / "labels.txt", "".join(f"{number:04} {number % CLASSES}\n" for number in range(count)))


def main(argv: Optional[Sequence[str]] = None) -> None:
    _program.draw("shapes", write, argv)


if __name__ == "__main__":
    errors.run(main)
