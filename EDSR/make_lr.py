#!/usr/bin/env python3
"""Make the low-resolution folder from high-resolution pictures: Pillow bicubic, names as DIV2K's (0801x2.png).

HR pictures are cropped at the right and bottom to a multiple of the scale first. Grey pictures become RGB.
"""
from __future__ import annotations

import argparse
from pathlib import Path
from typing import Optional, Sequence

import numpy as np

from common.base import errors, pictures, settings
from common.base.errors import UserError


def shrink(image: np.ndarray, scale: int) -> np.ndarray:
    """uint8 [H, W, 3] RGB to uint8 [H // scale, W // scale, 3] RGB by Pillow's bicubic (antialiased) filter.

    Raises ValueError when the picture is narrower or lower than the scale.
    """
    from PIL import Image
    if min(image.shape[:2]) < scale:
        raise ValueError(f"{image.shape[1]}x{image.shape[0]} is less than {scale} pixels wide or high, which leaves nothing at "
                         f"1/{scale}")
    height, width = image.shape[0] // scale, image.shape[1] // scale
    cropped = Image.fromarray(image[:height * scale, :width * scale])
    return np.asarray(cropped.resize((width, height), Image.BICUBIC))


def main(argv: Optional[Sequence[str]] = None) -> None:
    parser = argparse.ArgumentParser(description=errors.first_line(__doc__))
    parser.add_argument("hr", metavar="HR", help="folder with high-resolution pictures")
    parser.add_argument("lr", metavar="LR", help="folder to write to")
    parser.add_argument("--scale", type=settings.positive, choices=(2, 3, 4), default=2, help="default: %(default)s")
    args = parser.parse_args(argv)
    paths = pictures.find(args.hr, "high-resolution pictures", count=settings.limit())
    if Path(args.lr).resolve() == Path(args.hr).resolve():
        raise UserError(f"{args.lr}: is the folder of the high-resolution pictures; give another for those made of them")
    for path in paths:
        target = Path(args.lr) / f"{path.stem}x{args.scale}.png"
        try:
            small = shrink(pictures.read_rgb(path), args.scale)
        except ValueError as error:
            raise UserError(f"{path}: {error}; leave the picture out of {args.hr}") from error
        pictures.write_rgb(target, small)
    print(f"{len(paths)} pictures in {args.lr}")


if __name__ == "__main__":
    errors.run(main)
