#!/usr/bin/env python3
"""Lay photos, labels and instances from plain folders out as Cityscapes' archives do, by links or copies.

SOURCE holds folders such as train_img, train_label, train_inst, test_label, test_inst. What is in train_* goes to
leftImg8bit/val/<city> and gtFine/val/<city> of TARGET, what is in test_* to gtFine/test/<city>; the city is the first
part of a file's name.
"""
from __future__ import annotations

import argparse
import os
import re
import shutil
from pathlib import Path
from typing import Dict, Optional, Sequence

from common.base import errors, files
from common.base.errors import UserError
from common.data import cityscapes

SPLITS = {"train": "val", "test": "test"}
"""Where the files of a part go. The few training photos at hand are to be evaluated: hence val."""
KINDS = {"img": ("leftImg8bit", cityscapes.IMAGE), "label": ("gtFine", cityscapes.LABEL_IDS),
         "inst": ("gtFine", cityscapes.INSTANCE_IDS)}


def layout(source: files.PathLike, parts: Optional[Sequence[str]] = None) -> Dict[str, Path]:
    """Where each file goes: `{path below the target: source file}`, sorted.

    parts: "train", "test"; None takes those that are there. Raises `UserError` when there is none, when a folder holds
    anything but files named as Cityscapes', and when a photo has no labels.
    """
    source = files.existing_folder(source, "train_img, train_label, ...")
    places: Dict[str, Path] = {}
    for part, split in SPLITS.items():
        for kind, (tree, ending) in KINDS.items():
            folder = source / f"{part}_{kind}"
            if (parts is None or part in parts) and folder.is_dir():
                for path in sorted(folder.iterdir()):
                    if path.name.startswith("."):
                        continue
                    match = re.fullmatch(rf"([^_]+)_\d+_\d+_{ending}\.png", path.name)
                    if match is None:
                        raise UserError(f"{path}: expected a name like aachen_000000_000019_{ending}.png")
                    places[f"{tree}/{split}/{match[1]}/{path.name}"] = path
    if not places:
        wanted = " or ".join(f"{part}_*" for part in parts or SPLITS)
        raise UserError(f"{source}: expected folders {wanted} (_img, _label, _inst) with pictures, found none")
    for place in places:
        labels = place.replace("leftImg8bit/", "gtFine/", 1).replace(cityscapes.IMAGE, cityscapes.LABEL_IDS)
        if place.startswith("leftImg8bit/") and labels not in places:
            raise UserError(f"{places[place]}: has no labels; expected {Path(labels).name} in {source}")
    return dict(sorted(places.items()))


def main(argv: Optional[Sequence[str]] = None) -> None:
    parser = argparse.ArgumentParser(description=errors.first_line(__doc__))
    parser.add_argument("source", metavar="SOURCE", help="folder with train_img, train_label, ...")
    parser.add_argument("target", metavar="TARGET", help="folder to write to, leftImg8bit and gtFine in it")
    parser.add_argument("--copy", action="store_true", help="copy the files (default: symbolic links)")
    parser.add_argument("--part", action="append", choices=sorted(SPLITS), help="take only this one (default: all)")
    args = parser.parse_args(argv)
    places = layout(args.source, args.part)
    if args.copy:
        files.need_space(args.target, sum(path.stat().st_size for path in places.values()), "Leave out --copy to link.")
    for folder in {(Path(args.target) / place).parent for place in places}:
        files.sweep(folder)
    for place, path in places.items():
        with files.atomic(Path(args.target) / place, link=True) as temporary:
            temporary.unlink(missing_ok=True)  # a killed run's link must not be written through
            if args.copy:
                shutil.copyfile(path, temporary)
            else:
                os.symlink(path.resolve(), temporary)
    print(f"{args.target}: {len(places)} files {'copied' if args.copy else 'linked'}, for "
          + " and ".join(sorted({'/'.join(place.split('/')[:2]) for place in places})))


if __name__ == "__main__":
    errors.run(main)
