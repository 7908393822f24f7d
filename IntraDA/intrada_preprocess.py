#!/usr/bin/env python3
"""Turn the photos of Cityscapes' validation set into the network's input: OUT/<stem>.bin and OUT/manifest.json."""
from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Tuple

import numpy as np

from common.base import errors, facts, pictures, settings
from common.base.errors import UserError
from common.data import cityscapes, dataset, variant


def preprocess(image: np.ndarray, size: Tuple[int, int], mean_bgr: Sequence[float]) -> np.ndarray:
    """Shrink a photo to the network's input.

    image: uint8 [H, W, 3], RGB. size: width and height. Gives float32 [1, 3, height, width], BGR, 0..255 minus the
    mean. Pillow's bicubic filter is antialiased and gives whole values, unlike OpenCV's or PyTorch's of that name.
    """
    from PIL import Image
    small = np.asarray(Image.fromarray(image).resize(size, Image.BICUBIC))
    planes = small.transpose(2, 0, 1)[::-1][None].astype(np.float32, "C")
    planes -= np.array(mean_bgr, np.float32)[:, None, None]
    return planes


def scaling(model: facts.Facts) -> Tuple[List[float], List[float]]:
    """What `preprocess` subtracts from a pixel of 0..255 and multiplies that by, blue first, for `common.npu.aipp`."""
    return model.extra["mean_bgr"], [1.0, 1.0, 1.0]


def fingerprint(picture: np.ndarray) -> np.ndarray:
    """What `common.data.fingerprint` keeps of: uint8 [H, W, 3] RGB to the network's input."""
    extra = facts.load(__file__).extra
    return preprocess(picture, (extra["width"], extra["height"]), extra["mean_bgr"])


def plan(argv: Optional[Sequence[str]] = None) -> dataset.Preprocessing:
    """What the command line asks for."""
    model = facts.load(__file__)
    size = model.extra["width"], model.extra["height"]
    parser = argparse.ArgumentParser(description=__doc__,
                                     epilog="LIMIT=N in the environment takes the first N photos.")
    parser.add_argument("cityscapes", metavar="CITYSCAPES", help="holds leftImg8bit/val/<city>, or cityscapes/ with it")
    parser.add_argument("out", metavar="OUT", help="folder to write to")
    parser.add_argument("--onnx", metavar="ONNX", help=variant.HELP)
    args = parser.parse_args(argv)
    told = variant.find(model, args.onnx)
    variant.require(told, "classes", int(model.outputs[0].shape[1]), "intrada_postprocess.py holds Cityscapes' classes "
                    "against it")

    def make(path: Path) -> Tuple[np.ndarray, Dict[str, Any]]:
        image = pictures.read_rgb(path)
        if image.shape[:2] != (cityscapes.HEIGHT, cityscapes.WIDTH):
            raise UserError(f"{path}: {image.shape[1]}x{image.shape[0]}, expected {cityscapes.WIDTH}x{cityscapes.HEIGHT}")
        return preprocess(image, size, model.extra["mean_bgr"]), {"width": image.shape[1], "height": image.shape[0]}

    photos = cityscapes.frames(cityscapes.root(args.cityscapes), "leftImg8bit", cityscapes.IMAGE,
                               count=settings.limit())
    return dataset.Preprocessing([(path.stem, [path]) for path in photos.values()], args.out, make,
                                 {"size": size, "mean_bgr": model.extra["mean_bgr"]},
                                 sample_bytes=12 * size[0] * size[1], bins=".", variant=told)  # into OUT itself


def main(argv: Optional[Sequence[str]] = None) -> None:
    dataset.preprocess(*plan(argv))


if __name__ == "__main__":
    errors.run(main)
