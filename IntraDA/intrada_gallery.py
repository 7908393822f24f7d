#!/usr/bin/env python3
"""Pick and draw the report's pictures, worst mIoU first: the photo, the classes found, and the true ones."""
from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, List, Mapping, Optional, Sequence

import numpy as np

from common.base import errors, facts, pictures
from common.data import cityscapes
from common.judge import reports
from common.publish import gallery
from intrada_postprocess import find_labels


def row(sample: str, value: float, photo: np.ndarray, found: np.ndarray, truth: Optional[np.ndarray] = None
        ) -> gallery.Row:
    """The panels of one sample: photo, found and true colours, uint8 [H, W, 3] RGB each."""
    panels = [gallery.Panel("photo", gallery.shrink(photo), cover=True),
              gallery.Panel("found", gallery.shrink(found, nearest=True), cover=True)]
    if truth is not None:
        panels.append(gallery.Panel("truth", gallery.shrink(truth, nearest=True)))
    return gallery.Row(sample, value, panels)


def main(argv: Optional[Sequence[str]] = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cityscapes", metavar="CITYSCAPES", help="holds leftImg8bit/val/<city> and gtFine/val/<city>")
    parser.add_argument("labels", metavar="OUT", help="what intrada_postprocess.py wrote: <stem>_color.png")
    parser.add_argument("--accuracy", required=True, metavar="JSON", help="what intrada_postprocess.py left")
    parser.add_argument("--output", default=".", metavar="DIR", help="folder for gallery.json (default: here)")
    args = parser.parse_args(argv)
    photos = cityscapes.frames(cityscapes.root(args.cityscapes), "leftImg8bit", cityscapes.IMAGE)
    stems, labels = {path.stem: path for path in photos.values()}, find_labels(args.cityscapes)

    def cover(entry: Mapping[str, Any]) -> List[np.ndarray]:
        stem = entry["sample"]
        return [pictures.read_rgb(stems[stem]), pictures.read_rgb(Path(args.labels) / f"{stem}_color.png")]

    entries, rows, seen = reports.accuracy(args.accuracy, facts.load(__file__))["rows"], [], set()
    picked = gallery.pick(entries, 5)
    for entry in picked:
        train_ids = cityscapes.to_train_ids(cityscapes.read_labels(labels[entry["sample"]]))
        seen |= set(np.unique(train_ids))
        rows.append(row(entry["sample"], entry["value"], *cover(entry), cityscapes.colours(train_ids)))
    legend = [("#%02x%02x%02x" % entry.colour, entry.name) for number, entry in enumerate(cityscapes.CLASSES)
              if number in seen]
    gallery.write(args.output, rows, "A sample's mIoU is over the classes of that photo alone; the worst comes first. "
                                     "Black in the truth is not evaluated.", [*legend, ("#000000", "not evaluated")],
                  gallery.rest(entries, picked), lambda entry: row(entry["sample"], entry["value"], *cover(entry)))


if __name__ == "__main__":
    errors.run(main)
