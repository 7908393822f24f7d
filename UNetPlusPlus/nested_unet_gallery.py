#!/usr/bin/env python3
"""Pick and draw the report's pictures, worst IoU first: image, found and true mask, and where they differ."""
from __future__ import annotations

import argparse
from typing import Any, Mapping, Optional, Sequence

import cv2
import numpy as np

import postprocess_nested_unet
import preprocess_nested_unet
from common.base import errors, facts, pictures
from common.data import dataset
from common.judge import reports
from common.publish import gallery

TIMES = 3
BOTH, ADDED, MISSED = (46, 160, 67), (216, 48, 48), (58, 110, 230)
"""Colours over the image: nucleus in both masks, found but not true, true but not found."""


def overlay(image: np.ndarray, found: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """The image, grey and dark, under the two masks' colours. image: uint8 [H, W, 3] RGB; masks: bool [H, W]."""
    grey = np.repeat(image.mean(2, keepdims=True) * 0.55 + 20, 3, 2)
    for mask, colour in ((found & truth, BOTH), (found & ~truth, ADDED), (truth & ~found, MISSED)):
        grey[mask] = 0.35 * grey[mask] + 0.65 * np.array(colour)
    return grey.astype(np.uint8)


def row(sample: str, value: float, image: np.ndarray, found: np.ndarray, truth: np.ndarray) -> gallery.Row:
    """The panels of one sample. image: uint8 [H, W, 3] RGB of any size; found, truth: bool [side, side]."""
    small = cv2.resize(np.ascontiguousarray(image), found.shape[::-1], interpolation=cv2.INTER_LINEAR)
    named = (("image", small), ("found", found * np.uint8(255)), ("truth", truth * np.uint8(255)),
             ("found against truth", overlay(small, found, truth)))
    whole = 0, 0, found.shape[1], found.shape[0]
    return gallery.Row(sample, value, [gallery.Panel(label, gallery.magnify(pixels, whole, TIMES),
                                                     cover=label in ("image", "found against truth"))
                                       for label, pixels in named])


def main(argv: Optional[Sequence[str]] = None) -> None:
    model = facts.load(__file__)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", metavar="SUMARY_JSON_OR_DIR", help="as for postprocess_nested_unet.py")
    parser.add_argument("images", metavar="IMAGES", help="folder with the images <id>.png")
    parser.add_argument("masks", metavar="MASKS", help="folder with the true masks <id>.png")
    parser.add_argument("--accuracy", required=True, metavar="JSON", help="what postprocess_nested_unet.py left")
    parser.add_argument("--output", default=".", metavar="DIR", help="folder for gallery.json (default: here)")
    args = parser.parse_args(argv)
    found, shape = postprocess_nested_unet.results(args.results), model.outputs[0].sized(N=1)

    def draw(entry: Mapping[str, Any]) -> gallery.Row:
        name = entry["sample"]
        (image,), (mask,) = (preprocess_nested_unet.find(folder, [name]) for folder in (args.images, args.masks))
        return row(name, entry["value"], pictures.read_rgb(image), dataset.read_result(found[name], shape)[0, 0] > 0,
                   preprocess_nested_unet.read_mask(mask) / 255 > 0.5)

    entries = reports.accuracy(args.accuracy, model)["rows"]
    picked = gallery.pick(entries)
    legend = [("#%02x%02x%02x" % colour, text) for colour, text in (
        (BOTH, "nucleus, found"), (ADDED, "found, but no nucleus"), (MISSED, "nucleus, missed"))]
    note = ("The network's input, 96 x 96 pixels, magnified three times. The worst IoU comes first; of many images, a middle one "
            "and the best end the list.")
    gallery.write(args.output, [draw(entry) for entry in picked], note, legend, gallery.rest(entries, picked), draw)


if __name__ == "__main__":
    errors.run(main)
