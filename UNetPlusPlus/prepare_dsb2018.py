#!/usr/bin/env python3
"""Make dsb2018_96 from the raw Kaggle layout (stage1_train/<id>/images/<id>.png and masks/*.png), as the upstream does.

Writes DST/images/<id>.png and DST/masks/0/<id>.png, 96x96 pixels, and DST/prepared.json when all are done.
"""
from __future__ import annotations

import argparse
import hashlib
from pathlib import Path
from typing import Any, Dict, Iterable, List, Optional, Sequence, Tuple

import cv2
import numpy as np

import preprocess_nested_unet
from common.base import errors, facts, files, pictures, settings, uses
from common.base.errors import UserError
from common.base.journal import Journal, stamp
from common.base.progress import progress


def merge(masks: Iterable[np.ndarray], height: int, width: int) -> np.ndarray:
    """All nuclei of an image as one mask: masks uint8 [H, W], set where > 127; gives float64 [H, W], 0 or 1."""
    whole = np.zeros((height, width))
    for mask in masks:
        whole[mask > 127] = 1
    return whole


def shrink_mask(mask: np.ndarray, side: int) -> np.ndarray:
    """A merged mask (float64 [H, W], 0..1) resized bilinearly to uint8 [side, side], 0..255, fractions cut off.

    Borders become grey; training uses them so, and the metric calls a pixel a nucleus above one half.
    """
    return (cv2.resize(mask, (side, side)) * 255).astype(np.uint8)


def shrink_image(image: np.ndarray, side: int) -> np.ndarray:
    """uint8 [H, W, 3] to uint8 [side, side, 3], bilinear and not antialiased, the aspect ratio not kept."""
    return cv2.resize(image, (side, side))


class Source:
    """One sample of the raw data set: its image and its masks, one per nucleus."""

    def __init__(self, folder: Path):
        self.image = folder / "images" / f"{folder.name}.png"
        if not self.image.is_file():
            raise UserError(f"{self.image}: no such image, though its folder is there")
        self.masks: List[Path] = pictures.find(folder / "masks", "masks, one per nucleus", (".png",))

    def stamp(self) -> str:
        """Changes when one of the files does."""
        marks = [(path.name, stamp(path)) for path in (self.image, *self.masks)]
        return hashlib.sha256(repr(marks).encode()).hexdigest()

    def read(self, side: int) -> Tuple[np.ndarray, np.ndarray]:
        """Image uint8 [side, side, 3], RGB, and mask uint8 [side, side]. Raises `UserError` where sizes differ."""
        image = pictures.read_rgb(self.image)
        height, width = image.shape[:2]
        whole = merge((self._mask(path, height, width) for path in self.masks), height, width)
        return shrink_image(image, side), shrink_mask(whole, side)

    @staticmethod
    def _mask(path: Path, height: int, width: int) -> np.ndarray:
        mask = preprocess_nested_unet.read_mask(path)
        if mask.shape != (height, width):
            raise UserError(f"{path}: is {mask.shape[1]}x{mask.shape[0]}, its image is {width}x{height}")
        return mask


def samples(raw: files.PathLike, ids: Optional[str]) -> List[Path]:
    """The folders of the samples, all or those of a list of ids, at most LIMIT; `raw` or its stage1_train has them."""
    root = files.existing_folder(raw, "the raw data set")
    root = root / "stage1_train" if (root / "stage1_train").is_dir() else root
    if ids is None:
        found = sorted(path for path in root.iterdir() if path.is_dir() and not files.passed_over(path.name))
    else:
        found = [root / name for name in preprocess_nested_unet.read_ids(ids)]
    found = found[:settings.limit()]
    if not found:
        raise UserError(f"{root}: expected a folder <id> per sample, found none")
    missing = [path for path in found if not path.is_dir()]
    if missing:
        raise UserError(f"{missing[0]}: no such folder, though its id is listed; is the data set complete?")
    return found


def main(argv: Optional[Sequence[str]] = None) -> None:
    side = int(facts.load(__file__).inputs[0].shape[2])
    parser = argparse.ArgumentParser(description=errors.first_line(__doc__),
                                     epilog="LIMIT=N in the environment takes the first N samples.")
    parser.add_argument("raw", metavar="STAGE1_TRAIN", help="folder with <id>/images and <id>/masks")
    parser.add_argument("dst", metavar="DST", help="folder to write (dsb2018_96)")
    parser.add_argument("--ids", metavar="FILE", help="only these samples, one id a line (val_ids.txt)")
    args = parser.parse_args(argv)
    dst = Path(args.dst)
    folders = samples(args.raw, args.ids)
    journal = Journal(dst / "prepared.json", {"side": side, "code": uses.digest()})
    done = 0
    for folder in progress(folders, "prepare"):
        source = Source(folder)
        targets = [dst / "images" / f"{folder.name}.png", dst / "masks" / "0" / f"{folder.name}.png"]
        record: Dict[str, Any] = {"source": str(folder), "stamp": source.stamp(), "masks": len(source.masks)}
        kept = journal.finished.get(folder.name)
        if all(target.is_file() for target in targets) and \
                kept == {"id": folder.name, **record, "made": [stamp(target) for target in targets]}:
            continue
        for target, pixels in zip(targets, source.read(side)):
            pictures.write_rgb(target, pixels)
        journal.add(folder.name, {**record, "made": [stamp(target) for target in targets]})
        done += 1
    journal.complete([folder.name for folder in folders])
    print(f"prepare: {len(folders)} samples in {dst} ({len(folders) - done} were there already)")


if __name__ == "__main__":
    errors.run(main)
