#!/usr/bin/env python3
"""Pick and draw the report's pictures: the label map, the picture made of it, and the scene's photo where there is one.

First come those on which the two backends agree least (pix2pixhd_agreement.py), as there is no true picture.
"""
from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence

import numpy as np

from common.base import errors, facts, files, pictures, settings
from common.base.errors import UserError
from common.data import cityscapes, result_files
from common.judge import reports
from common.publish import gallery
from pix2pixhd_postprocess import find_photos, read_picture


def row(sample: str, labels: np.ndarray, made: np.ndarray, photo: Optional[np.ndarray] = None,
        value: Optional[float] = None) -> gallery.Row:
    """The panels of one sample. labels: uint8 [H, W], label ids. made, photo: uint8 [H, W, 3] RGB. value: their SSIM."""
    colours = cityscapes.colours(cityscapes.to_train_ids(labels))
    panels: List[gallery.Panel] = [gallery.Panel("labels", gallery.shrink(colours, nearest=True), cover=True),
                                   gallery.Panel("picture made", gallery.shrink(made), cover=True)]
    if photo is not None:
        panels.append(gallery.Panel("photo of the scene", gallery.shrink(photo)))
    return gallery.Row(sample, value, panels)


def compared(path: files.PathLike) -> List[Dict[str, Any]]:
    """The pictures of a comparison (pix2pixhd_agreement.py), the worst first."""
    found = reports.agreement(path).get("pictures", {}).get("rows")
    if not found:
        raise UserError(f"{path}: tells nothing of pictures; expected what pix2pixhd_agreement.py leaves")
    return found


def main(argv: Optional[Sequence[str]] = None) -> None:
    parser = argparse.ArgumentParser(description=errors.first_line(__doc__))
    parser.add_argument("cityscapes", metavar="CITYSCAPES", help="holds test_label")
    parser.add_argument("result", metavar="RESULT", help="folder with the result .bin files")
    parser.add_argument("--agreement", required=True, metavar="JSON", help="what pix2pixhd_agreement.py left")
    parser.add_argument("--photos", metavar="FOLDER",
                        help="leftImg8bit, with the photo of every scene; needs --accuracy")
    parser.add_argument("--accuracy", metavar="JSON", help="what pix2pixhd_postprocess.py left")
    parser.add_argument("--output", default=".", metavar="DIR", help="folder for gallery.json (default: here)")
    parser.add_argument("--size", type=settings.width_height, help=argparse.SUPPRESS,
                        default=(cityscapes.WIDTH, cityscapes.HEIGHT))
    args = parser.parse_args(argv)
    if bool(args.photos) != bool(args.accuracy):
        parser.error("--photos and --accuracy go together")
    photos = find_photos(args.photos) if args.photos else {}
    found = result_files.find(args.result)
    listed = reports.accuracy(args.accuracy, facts.load(__file__))["rows"] if photos else \
        compared(args.agreement)

    def draw(entry: Mapping[str, Any]) -> gallery.Row:
        stem = entry["sample"]
        labels = cityscapes.read_labels(Path(args.cityscapes) / "test_label" / f"{stem}.png", args.size)
        made = read_picture(min(found[stem].items())[1], args.size)
        shown = (pictures.read_rgb(photos[stem]), entry["value"]) if photos else ()
        return row(stem, labels, made, *shown)

    picked = gallery.pick(listed)
    order = "The lowest SSIM comes first." if photos else "First those on which ONNX and PyTorch agree least."
    # without a metric the page has no list of samples that would lead to the others
    gallery.write(args.output, [draw(entry) for entry in picked],
                  f"{order} Labels in Cityscapes' colours, black where a class is not evaluated.", (),
                  gallery.rest(listed, picked) if photos else (), draw)


if __name__ == "__main__":
    errors.run(main)
