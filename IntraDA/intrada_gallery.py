#!/usr/bin/env python3
"""Pick and draw the report's pictures, worst mIoU first: the photo, the classes found, and the true ones."""
from __future__ import annotations

import argparse
from pathlib import Path
from typing import Optional, Sequence

import numpy as np

from common.base import errors, facts, pictures
from common.data import cityscapes
from common.judge import reports
from common.publish import gallery
from intrada_postprocess import find_labels


def row(sample: str, value: float, photo: np.ndarray, found: np.ndarray, truth: np.ndarray) -> gallery.Row:
    """The panels of one sample: photo, found and true colours, uint8 [H, W, 3] RGB each."""
    return gallery.Row(sample, value, [gallery.Panel("photo", gallery.shrink(photo), cover=True),
                                       gallery.Panel("found", gallery.shrink(found, nearest=True), cover=True),
                                       gallery.Panel("truth", gallery.shrink(truth, nearest=True))])


def main(argv: Optional[Sequence[str]] = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cityscapes", metavar="CITYSCAPES", help="holds leftImg8bit/val/<city> and gtFine/val/<city>")
    parser.add_argument("labels", metavar="OUT", help="what intrada_postprocess.py wrote: <stem>_color.png")
    parser.add_argument("--accuracy", required=True, metavar="JSON", help="what intrada_postprocess.py left")
    parser.add_argument("--output", default=".", metavar="DIR", help="folder for gallery.json (default: here)")
    args = parser.parse_args(argv)
    photos = cityscapes.frames(cityscapes.root(args.cityscapes), "leftImg8bit", cityscapes.IMAGE)
    stems, labels = {path.stem: path for path in photos.values()}, find_labels(args.cityscapes)
    rows, seen = [], set()
    for entry in gallery.pick(reports.accuracy(args.accuracy, facts.load(__file__))["rows"], 5):
        stem = entry["sample"]
        train_ids = cityscapes.to_train_ids(cityscapes.read_labels(labels[stem]))
        seen |= set(np.unique(train_ids))
        rows.append(row(stem, entry["value"], pictures.read_rgb(stems[stem]), pictures.read_rgb(
            Path(args.labels) / f"{stem}_color.png"), cityscapes.colours(train_ids)))
    legend = [("#%02x%02x%02x" % entry.colour, entry.name) for number, entry in enumerate(cityscapes.CLASSES)
              if number in seen]
    gallery.write(args.output, rows, "A sample's mIoU is over the classes of that photo alone; the worst comes first. "
                                     "Black in the truth is not evaluated.", [*legend, ("#000000", "not evaluated")])


if __name__ == "__main__":
    errors.run(main)
