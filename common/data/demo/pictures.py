"""High-resolution pictures with edges, curves, text, and fine and coarse texture, for super resolution."""
from __future__ import annotations

from pathlib import Path
from typing import Optional, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from common.base import errors
from common.base.pictures import write_rgb
from common.data.demo import _program

WORDS = ("Ascend", "super", "resolution", "edges", "0123456789", "texture", "quick brown fox", "RGB 255")


def picture(generator: np.random.Generator, width: int = 288, height: int = 192) -> np.ndarray:
    """One drawn picture: uint8 [height, width, 3], RGB.

    Everything is drawn at three times the size and averaged down, so that edges are antialiased as a lens would.
    """
    big = 3
    size = (width * big, height * big)
    x, y = np.meshgrid(np.linspace(0, 1, size[0]), np.linspace(0, 1, size[1]))
    corners = generator.uniform(40, 220, (4, 3))
    ground = sum(np.multiply.outer(weight, corner) for weight, corner in zip(
        ((1 - x) * (1 - y), x * (1 - y), (1 - x) * y, x * y), corners))
    angle, wave = generator.uniform(0, np.pi), generator.uniform(15, 70)
    ground += 18 * np.sin(2 * np.pi * wave * (x * np.cos(angle) + y * np.sin(angle)))[..., None]
    canvas = Image.fromarray(np.clip(ground, 0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(canvas)
    for _ in range(generator.integers(12, 20)):
        _shape(draw, generator, size)
    for _ in range(3):
        font = ImageFont.load_default(size=int(generator.integers(14, 30)) * big)
        place = tuple(generator.uniform((0, 0), (0.6 * size[0], 0.85 * size[1])))
        draw.text(place, str(generator.choice(WORDS)), fill=_colour(generator), font=font)
    small = canvas.resize((width, height), Image.BOX)
    grain = generator.normal(0, 1.5, (height, width, 1))
    sharp = np.asarray(small.filter(ImageFilter.GaussianBlur(0.3)), np.float32)
    return np.clip(np.round(sharp + grain), 0, 255).astype(np.uint8)


def _colour(generator: np.random.Generator) -> tuple:
    return tuple(int(value) for value in generator.integers(0, 256, 3))


def _shape(draw: ImageDraw.ImageDraw, generator: np.random.Generator, size: tuple) -> None:
    """A filled polygon, ellipse, ring, bundle of lines or checkerboard somewhere on the canvas."""
    centre = generator.uniform((0, 0), size)
    radius = generator.uniform(0.04, 0.25) * size[1]
    box = [*(centre - radius), *(centre + radius * generator.uniform(0.4, 1, 2))]
    kind = generator.integers(5)
    if kind == 0:
        angles = np.sort(generator.uniform(0, 2 * np.pi, generator.integers(3, 8)))
        points = centre + radius * np.stack([np.cos(angles), np.sin(angles)], 1)
        draw.polygon([tuple(point) for point in points], fill=_colour(generator))
    elif kind == 1:
        draw.ellipse(box, fill=_colour(generator))
    elif kind == 2:
        draw.ellipse(box, outline=_colour(generator), width=int(generator.integers(3, 12)))
    elif kind == 3:
        colour, step = _colour(generator), generator.uniform(8, 20)
        for index in range(10):
            start = centre + (index * step, 0)
            draw.line([tuple(start), tuple(start + (radius, 1.5 * radius))], fill=colour, width=4)
    else:
        dark, light, cell = _colour(generator), _colour(generator), generator.uniform(9, 24)
        for row in range(8):
            for column in range(8):
                corner = centre + cell * np.array([column, row])
                draw.rectangle([*corner, *(corner + cell)], fill=dark if (row + column) % 2 else light)


def write(folder: Path, count: int, seed: int) -> None:
    """Write `<folder>/HR/<number>.png`, numbered from 0001."""
    for number in range(count):
        write_rgb(folder / "HR" / f"{number + 1:04d}.png", picture(np.random.default_rng([seed, number])))


def main(argv: Optional[Sequence[str]] = None) -> None:
    _program.draw("pictures", write, argv)


if __name__ == "__main__":
    errors.run(main)
