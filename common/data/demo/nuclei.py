"""Microscope pictures of cell nuclei with their masks, in the layout of dsb2018_96, for segmentation.

Dark field (bright nuclei on black, the most common in the data set), bright field (grey on white) and stained tissue
(violet on pink). Nuclei touch and overlap, light is uneven, focus and exposure vary from picture to picture.
"""
from __future__ import annotations

import hashlib
from pathlib import Path
from typing import List, Optional, Sequence, Tuple

import cv2
import numpy as np

from common.base import errors, files
from common.base.pictures import write_rgb
from common.data.demo import _program

SIDE, FINE = 96, 4
"""Pixels of a side, and how many times finer everything is drawn before it is averaged down."""
KINDS = ("dark", "dark", "stained", "dark", "bright")


def outline(generator: np.random.Generator, centre: np.ndarray, radius: float, roughness: float) -> np.ndarray:
    """A nucleus's outline: int32 [64, 2] of x, y. An ellipse, bent by a few waves around its border."""
    angle = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    bend = np.ones(64)
    for wave in (2, 3, 5):
        bend += generator.normal(0, roughness / wave) * np.sin(wave * angle + generator.uniform(0, 2 * np.pi))
    flat, turn = generator.uniform(0.55, 1), generator.uniform(0, np.pi)
    x, y = radius * bend * np.cos(angle), radius * flat * bend * np.sin(angle)
    turned = np.stack([x * np.cos(turn) - y * np.sin(turn), x * np.sin(turn) + y * np.cos(turn)], 1)
    return np.round(centre + turned).astype(np.int32)


def clouds(generator: np.random.Generator, coarse: int) -> np.ndarray:
    """Smooth random texture, float32 [S, S] of the fine side S, mean about 0, deviation about 1; coarse: its cells."""
    cells = generator.normal(0, 1, (coarse, coarse)).astype(np.float32)
    return cv2.resize(cells, (SIDE * FINE, SIDE * FINE), interpolation=cv2.INTER_CUBIC)


def place(generator: np.random.Generator) -> List[Tuple[np.ndarray, float]]:
    """Centre (x, y) and radius of each nucleus, in fine pixels: single ones and clusters of ones that touch."""
    side = SIDE * FINE
    radius = float(np.exp(generator.uniform(np.log(2.2), np.log(9)))) * FINE
    wanted = int(np.clip(generator.uniform(0.06, 0.35) * side ** 2 / (np.pi * radius ** 2), 4, 130))
    placed: List[Tuple[np.ndarray, float]] = []
    while len(placed) < wanted:
        centre = generator.uniform(0, side, 2)
        for _ in range(generator.choice([1, 1, 2, 3, 5])):
            size = radius * generator.uniform(0.7, 1.25)
            placed.append((centre, size))
            turn = generator.uniform(0, 2 * np.pi)  # the next of the cluster: overlapping, touching or just apart
            centre = centre + generator.uniform(1.1, 2.1) * size * np.array([np.cos(turn), np.sin(turn)])
    return placed


def picture(generator: np.random.Generator, kind: str) -> Tuple[np.ndarray, np.ndarray]:
    """One drawn picture and its mask: uint8 [96, 96, 3] RGB and uint8 [96, 96], 255 in a nucleus, grey on borders."""
    side = SIDE * FINE
    mask, density = np.zeros((side, side), np.uint8), np.zeros((side, side), np.float32)
    for centre, radius in place(generator):
        one = np.zeros_like(mask)
        cv2.fillPoly(one, [outline(generator, centre, radius, generator.uniform(0.05, 0.25))], 1)
        mask |= one
        body = cv2.GaussianBlur(one.astype(np.float32), (0, 0), 0.12 * radius)
        density += body * generator.uniform(0.55, 1)  # where nuclei overlap, more of them is in the light's way
    density *= 1 + 0.18 * clouds(generator, 60)
    light = 1 + 0.22 * clouds(generator, 3)  # the lamp's uneven field
    if kind == "dark":
        exposure, ground = np.exp(generator.uniform(np.log(30), np.log(170))), generator.uniform(4, 22)
        haze = cv2.GaussianBlur(density, (0, 0), 6 * FINE)  # light from out of focus
        grey = ground * light + exposure * light * (density + 0.12 * haze)
        fine = np.repeat(grey[..., None], 3, 2)
    elif kind == "bright":
        lamp = generator.uniform(200, 240) * (1 + 0.25 * (light - 1))
        grey = lamp * np.exp(-0.7 * density) - 14 * np.abs(clouds(generator, 24))
        fine = np.repeat(grey[..., None], 3, 2)
    else:  # the stains absorb by colour (Lambert-Beer): haematoxylin in the nuclei, eosin everywhere
        tissue = np.clip(0.45 + 0.25 * clouds(generator, 12), 0, None)
        fine = generator.uniform(225, 250) * (1 + 0.2 * (light[..., None] - 1)) * np.exp(
            -density[..., None] * (1.05, 1.3, 0.35) - tissue[..., None] * (0.35, 0.7, 0.3))
    blurred = cv2.GaussianBlur(fine.astype(np.float32), (0, 0), generator.uniform(0.3, 0.9) * FINE)
    small = cv2.resize(blurred, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    grain = generator.normal(0, 1, small.shape[:2] + ((1,) if kind != "stained" else (3,)))
    noisy = small + grain * (0.8 + 0.12 * np.sqrt(np.clip(small, 0, None)))
    truth = cv2.resize(mask.astype(np.float32), (SIDE, SIDE), interpolation=cv2.INTER_AREA) * 255
    return np.clip(np.round(noisy), 0, 255).astype(np.uint8), truth.astype(np.uint8)


def write(folder: Path, count: int, seed: int) -> None:
    """Write `<folder>/images/<id>.png`, `<folder>/masks/0/<id>.png` and val_ids.txt with all ids (64 hex digits)."""
    ids = []
    for number in range(count):
        image, mask = picture(np.random.default_rng([seed, number]), KINDS[number % len(KINDS)])
        ids.append(hashlib.sha256(image.tobytes()).hexdigest())
        write_rgb(folder / "images" / f"{ids[-1]}.png", image)
        write_rgb(folder / "masks" / "0" / f"{ids[-1]}.png", mask)
    files.write_text(folder / "val_ids.txt", "".join(f"{sample}\n" for sample in ids))


def main(argv: Optional[Sequence[str]] = None) -> None:
    _program.draw("nuclei", write, argv)


if __name__ == "__main__":
    errors.run(main)
