#!/usr/bin/env python3
"""Turn the listed microscope pictures into the network's input: OUT/<id>.bin and OUT/manifest.json."""
from __future__ import annotations

import argparse
import functools
import os
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Tuple

import numpy as np

from common.base import errors, facts, files, names, pictures, settings
from common.base.errors import UserError
from common.data import dataset, variant


def preprocess(image: np.ndarray, side: int, mean: Sequence[float], std: Sequence[float]) -> np.ndarray:
    """Make the network's input of a picture.

    image: uint8 [H, W, 3], BGR as OpenCV reads it. It is resized to side x side (bilinear, not antialiased, as
    cv2.resize). mean, std: of three channels, in 0..1. Gives float32 [1, 3, side, side], BGR.
    Source: pytorch-nested-unet's validation. Two of its oddities are kept, because weights trained there expect them:
    mean and std are ImageNet's, which are red first, but are applied to blue first; and what has been normalized is
    divided by 255 once more.
    """
    import cv2
    resized = cv2.resize(image, (side, side), interpolation=cv2.INTER_LINEAR)
    return np.ascontiguousarray(cv2.LUT(resized, _table(tuple(mean), tuple(std))).transpose(2, 0, 1))[None]


@functools.lru_cache(maxsize=None)
def _table(mean: Tuple[float, ...], std: Tuple[float, ...]) -> np.ndarray:
    """What becomes of each of the 256 values that a resized pixel may have: float32 [256, 1, 3]."""
    values = np.arange(256, dtype=np.float32)[:, None]
    table = (values / 255 - np.asarray(mean, np.float32)) / np.asarray(std, np.float32) / 255
    return table.astype(np.float32)[:, None]


def scaling(model: facts.Facts) -> Tuple[List[float], List[float]]:
    """What `preprocess` subtracts from a pixel of 0..255 and multiplies that by, blue first, for `common.npu.aipp`."""
    return [255 * mean for mean in model.extra["mean"]], [1 / (255 * 255 * std) for std in model.extra["std"]]


def read_ids(path: files.PathLike) -> List[str]:
    """The sample ids of a list, one a line, in its order. Raises `UserError` for an empty list and for repetitions."""
    text = files.existing_file(path, "a list of image ids").read_bytes().decode("utf-8-sig", errors="replace")
    ids = text.split()
    if not ids:
        raise UserError(f"{path}: lists no image id; expected one on each line")
    seen = set()
    for number, name in enumerate(ids, 1):
        if name in seen:
            raise UserError(f"{path}: lists {name} twice")
        if names.fault(name) or name.startswith(".") or not name.isprintable():
            raise UserError(f"{path}: entry {number}, {name!r:.80}, is no image id; expected a file name without .png")
        seen.add(name)
    return ids


def find(folder: files.PathLike, ids: Sequence[str], what: str = "image") -> List[Path]:
    """The file `<id>.png` of each id. Raises `UserError` when the folder or any of them is missing."""
    folder = files.existing_folder(folder, f"one {what} <id>.png per id")
    paths = [folder / f"{name}.png" for name in ids]
    there = {entry.name for entry in os.scandir(folder) if entry.is_file()}
    missing = [path for path in paths if path.name not in there and not path.is_file()]  # some systems ignore case
    if missing:
        more = f" and {len(missing) - 1} more of {len(ids)}" if len(missing) > 1 else ""
        raise UserError(f"{missing[0]}{more}: no such {what}, though the id is listed; check the folder and the list")
    return paths


def read_mask(path: Path) -> np.ndarray:
    """A mask as uint8 [H, W], 0..255, a nucleus above one half; colours become grey as OpenCV converts them.

    Where there are two values and one is 0, the other is the nuclei's, whatever it is: 1, a dark colour of a palette, 255
    in 16 bits. Shades, as the borders of shrunk masks have, must reach beyond one half; 16 bits count by 65535. Raises
    `UserError` where the values say neither (numbers of instances, say), as `pictures.read_values` does otherwise.
    """
    grey = pictures.read_values(path)
    if grey.ndim == 3:
        import cv2
        grey = cv2.cvtColor(np.ascontiguousarray(grey), cv2.COLOR_RGB2GRAY)
    full, highest, above = np.iinfo(grey.dtype).max, grey.max(), grey > 0
    if np.count_nonzero(grey == highest) == np.count_nonzero(above) < grey.size:  # 0 and one other value
        return above.astype(np.uint8) * np.uint8(255)
    if 0 < highest <= full // 2:
        values = np.unique(grey)
        raise UserError(f"{path}: holds {len(values)} values from {values[0]} to {values[-1]}, which leaves open where a "
                        f"nucleus is; expected 0 and one other value, or shades up to {full}")
    return grey if full == 255 else np.round(grey / 257).astype(np.uint8)


def fingerprint(picture: np.ndarray) -> np.ndarray:
    """What `common.data.fingerprint` keeps of: uint8 [H, W, 3] RGB to the network's input."""
    model = facts.load(__file__)
    bgr = np.ascontiguousarray(picture[..., ::-1])
    return preprocess(bgr, int(model.inputs[0].shape[2]), model.extra["mean"], model.extra["std"])


def require_one_class(told: variant.Variant) -> None:
    """Raise `UserError` for a model whose output postprocess_nested_unet.py cannot hold against the masks."""
    variant.require(told, "classes", 1, "postprocess_nested_unet.py holds one mask per image (masks/0) against it; "
                    "split masks by class and take a model for each")


def plan(argv: Optional[Sequence[str]] = None) -> dataset.Preprocessing:
    """What the command line asks for."""
    model = facts.load(__file__)
    parser = argparse.ArgumentParser(description=__doc__,
                                     epilog="LIMIT=N in the environment takes the first N ids of the list.")
    parser.add_argument("images", metavar="IMAGES", help="folder with <id>.png (dsb2018_96/images)")
    parser.add_argument("out", metavar="OUT", help="folder to write to")
    parser.add_argument("val_ids", metavar="VAL_IDS", help="list of the ids to take, one a line (val_ids.txt)")
    parser.add_argument("--onnx", metavar="ONNX", help=variant.HELP)
    args = parser.parse_args(argv)
    told = variant.find(model, args.onnx)
    variant.require(told, "channels", 3, "pictures are read as three channels")
    require_one_class(told)
    side = int(model.inputs[0].shape[2])
    used = {"side": side, "mean": model.extra["mean"], "std": model.extra["std"]}

    def make(path: Path) -> Tuple[np.ndarray, Dict[str, Any]]:
        import cv2
        image = cv2.cvtColor(pictures.read_rgb(path), cv2.COLOR_RGB2BGR)
        height, width = image.shape[:2]
        return preprocess(image, **used), {"width": width, "height": height}

    ids = read_ids(args.val_ids)[:settings.limit()]
    sources = [(path.stem, [path]) for path in find(args.images, ids)]
    # straight into OUT, where the inference tool's command line looks for them
    return dataset.Preprocessing(sources, args.out, make, used, sample_bytes=12 * side ** 2, bins=".",
                                 variant=told)


def main(argv: Optional[Sequence[str]] = None) -> None:
    dataset.preprocess(*plan(argv))


if __name__ == "__main__":
    errors.run(main)
