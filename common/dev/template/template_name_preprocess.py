#!/usr/bin/env python3
"""Turn pictures into the network's input: OUT/<stem>.bin and OUT/manifest.json."""
from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, Dict, Optional, Sequence, Tuple

import numpy as np

from common.base import errors, facts, pictures, settings
from common.data import dataset


def preprocess(image: np.ndarray, resize: int, side: int, mean: Sequence[float], std: Sequence[float]) -> np.ndarray:
    """uint8 [H, W, 3] RGB: shorter side to `resize` (Pillow's bilinear), the centre `side` x `side`, (x / 255 - mean) / std.

    Gives float32 [1, 3, side, side].
    """
    from PIL import Image
    height, width = image.shape[:2]
    share = resize / min(height, width)
    size = max(resize, int(width * share)), max(resize, int(height * share))
    large = np.asarray(Image.fromarray(image).resize(size, Image.BILINEAR), np.float32)
    top, left = (large.shape[0] - side) // 2, (large.shape[1] - side) // 2
    cut = large[top:top + side, left:left + side] / 255
    return np.ascontiguousarray(((cut - np.array(mean, np.float32)) / np.array(std, np.float32)).transpose(2, 0, 1)[None])


def used() -> Dict[str, Any]:
    """The settings of `preprocess`, from the facts."""
    model = facts.load(__file__)
    return {"resize": model.extra["resize"], "side": model.inputs[0].shape[-1], "mean": model.extra["mean"],
            "std": model.extra["std"]}


def fingerprint(picture: np.ndarray) -> np.ndarray:
    """What fingerprint.json is held to: the input made of a picture, uint8 [H, W, 3] RGB."""
    return preprocess(picture, **used())


def plan(argv: Optional[Sequence[str]] = None) -> dataset.Preprocessing:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(description=errors.first_line(__doc__))
    parser.add_argument("images", metavar="IMAGES", help="folder with the pictures")
    parser.add_argument("out", metavar="OUT", help="folder to write")
    args = parser.parse_args(argv)
    chosen = used()

    def make(path: Path) -> Tuple[np.ndarray, Dict[str, Any]]:
        return preprocess(pictures.read_rgb(path), **chosen), {}

    paths = pictures.find(args.images, "pictures", count=settings.limit())
    return dataset.Preprocessing([(path.stem, [path]) for path in paths], args.out, make, chosen,
                                 sample_bytes=12 * chosen["side"] ** 2, bins=".")


def main(argv: Optional[Sequence[str]] = None) -> None:
    dataset.preprocess(*plan(argv))


if __name__ == "__main__":
    errors.run(main)
