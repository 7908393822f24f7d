#!/usr/bin/env python3
"""Collect the label and instance maps of gtFine/test/<city> in two flat folders, which pix2pixhd_preprocess.py reads.

INST_OUT and LABEL_OUT should be CITYSCAPES/test_inst and CITYSCAPES/test_label.
"""
from __future__ import annotations

import argparse
import shutil
from pathlib import Path
from typing import List, Optional, Sequence

from common.base import errors, files, settings
from common.base.errors import UserError
from common.data import cityscapes


def copy(paths: Sequence[Path], folder: Path) -> None:
    """Copy the files that are not there yet, each whole or not at all. Size and time tell whether one is there."""
    for path in paths:
        target = folder / path.name
        if target.is_file() and files.looks_like(target, path):
            continue
        with files.atomic(target) as temporary:
            shutil.copy2(path, temporary)


def main(argv: Optional[Sequence[str]] = None) -> None:
    parser = argparse.ArgumentParser(description=errors.first_line(__doc__),
                                     epilog="LIMIT=N in the environment takes the first N samples.")
    parser.add_argument("instances", metavar="INST_OUT", help="folder for the instance maps")
    parser.add_argument("labels", metavar="LABEL_OUT", help="folder for the label maps")
    parser.add_argument("gtfine", metavar="GTFINE_TEST", help="gtFine/test, with a folder for each city")
    args = parser.parse_args(argv)
    root = Path(args.gtfine).absolute()
    labels, instances = (cityscapes.frames(root.parent, ".", ending, root.name)
                         for ending in (cityscapes.LABEL_IDS, cityscapes.INSTANCE_IDS))
    for have, lack, ending in ((labels, instances, cityscapes.INSTANCE_IDS), (instances, labels, cityscapes.LABEL_IDS)):
        alone = sorted(set(have) - set(lack))
        if alone:
            more = f" and {len(alone) - 1} more" if len(alone) > 1 else ""
            raise UserError(f"{have[alone[0]]}{more}: expected {alone[0]}_{ending}.png beside it, found none")
    names: List[str] = sorted(labels)[:settings.limit()]
    copy([instances[name] for name in names], Path(args.instances))
    copy([labels[name] for name in names], Path(args.labels))
    print(f"{len(names)} instance maps in {args.instances}, {len(names)} label maps in {args.labels}")


if __name__ == "__main__":
    errors.run(main)
