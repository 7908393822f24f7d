#!/usr/bin/env python3
"""Pick and draw the report's pictures: the label map, the picture made of it, and the scene's photo where there is one.

First come those on which the two backends agree least (pix2pixhd_agreement.py), as there is no true picture.
"""
from __future__ import annotations

import argparse
from pathlib import Path
from typing import List, Optional, Sequence

import numpy as np

from common import accuracy, cityscapes, dataset, errors, files, gallery, pictures
from pix2pixhd_postprocess import read_picture


def row(sample: str, labels: np.ndarray, made: np.ndarray, photo: Optional[np.ndarray]) -> gallery.Row:
    """The panels of one sample. labels: uint8 [H, W], label ids; made, photo: uint8 [H, W, 3] RGB."""
    colours = cityscapes.colours(cityscapes.to_train_ids(labels))
    panels: List[gallery.Panel] = [gallery.Panel("labels", gallery.shrink(colours, nearest=True)),
                                   gallery.Panel("picture made", gallery.shrink(made))]
    if photo is not None and photo.shape == made.shape:
        label = f"photo of the scene, SSIM {accuracy.ssim(made, photo):.3f}"
        panels.append(gallery.Panel(label, gallery.shrink(photo)))
    return gallery.Row(sample, None, panels)


def main(argv: Optional[Sequence[str]] = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cityscapes", metavar="CITYSCAPES", help="holds test_label")
    parser.add_argument("result", metavar="RESULT", help="folder with the result .bin files")
    parser.add_argument("--agreement", required=True, metavar="JSON", help="what pix2pixhd_agreement.py left")
    parser.add_argument("--photos", metavar="FOLDER",
                        help="a leftImg8bit folder with the scenes' photos, if it is there")
    parser.add_argument("--output", default=".", metavar="DIR", help="folder for gallery.json (default: here)")
    parser.add_argument("--size", type=dataset.width_height, help=argparse.SUPPRESS,
                        default=(cityscapes.WIDTH, cityscapes.HEIGHT))
    args = parser.parse_args(argv)
    photos = {path.name: path for path in Path(args.photos).rglob(f"*_{cityscapes.IMAGE}.png")} if args.photos else {}
    found, rows = dataset.results(args.result), []
    for entry in files.read_json(args.agreement)["pictures"]["rows"][:gallery.COUNT]:
        stem = entry["sample"]
        labels = cityscapes.read_labels(Path(args.cityscapes) / "test_label" / f"{stem}.png", args.size)
        photo = photos.get(stem.replace(cityscapes.LABEL_IDS, cityscapes.IMAGE) + ".png")
        rows.append(row(stem, labels, read_picture(min(found[stem].items())[1], args.size),
                        pictures.read_rgb(photo) if photo else None))
    gallery.write(args.output, rows, "First those on which ONNX and PyTorch agree least. Labels in Cityscapes' "
                                     "colours, black where a class is not evaluated.")


if __name__ == "__main__":
    errors.run(main)
