#!/usr/bin/env python3
"""Pick and draw the report's pictures, worst PSNR first: input, bicubic, EDSR and truth, and a magnified piece."""
from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, Mapping, Optional, Sequence

import numpy as np

import edsr_postprocess
from common.base import errors, facts, pictures, settings
from common.judge import reports
from common.publish import gallery

PIECE, TIMES = 48, 5
"""Side of the piece in high-resolution pixels, and how many times it is magnified."""


def row(sample: str, value: float, low: np.ndarray, found: np.ndarray, truth: np.ndarray, scale: int,
        shave: int, brief: bool = False) -> gallery.Row:
    """The panels of one sample. low, found, truth: uint8 [H, W, 3] RGB; truth may be larger than found at the right
    and at the bottom. value: PSNR of found in dB. brief: what a thumbnail shows, of the piece with the most detail."""
    height, width = found.shape[:2]
    truth = truth[:height, :width]
    box = gallery.busiest(truth, PIECE, scale + shave)
    small = tuple(side // scale for side in box)
    entered = gallery.Panel("input", gallery.magnify(low, small, TIMES * scale), cover=True)
    made = gallery.Panel("EDSR", gallery.magnify(found, box, TIMES), value, cover=True)
    if brief:
        return gallery.Row(sample, value, [entered, made])
    output = edsr_postprocess.enlarge(low, scale)
    plain = edsr_postprocess.to_uint8(edsr_postprocess.crop(output, height, width))
    bicubic = edsr_postprocess.score(plain.astype(np.float32), truth, scale, shave)
    pieces = [entered, gallery.Panel("bicubic", gallery.magnify(plain, box, TIMES), bicubic), made,
              gallery.Panel("truth", gallery.magnify(truth, box, TIMES))]
    whole = gallery.Panel("EDSR, whole", gallery.shrink(gallery.frame(found, box)))
    return gallery.Row(sample, value, [whole, *pieces])


def stem_of(result: str) -> str:
    """The picture's stem from its result file's name: `0801x2` from `0801x2_1.bin` or `0801x2_output_0.bin`."""
    stem = Path(result).stem.rpartition("_")[0]
    return stem[:-len("_output")] if stem.endswith("_output") else stem


def main(argv: Optional[Sequence[str]] = None) -> None:
    model = facts.load(__file__)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--accuracy", required=True, metavar="JSON", help="what edsr_postprocess.py left")
    parser.add_argument("--save", required=True, help="its folder with the pictures")
    parser.add_argument("--LR", required=True, help="folder with the low-resolution pictures")
    parser.add_argument("--HR", required=True, help="folder with the high-resolution pictures")
    parser.add_argument("--output", default=".", metavar="DIR", help="folder for gallery.json (default: here)")
    parser.add_argument("--scale", type=settings.positive, choices=(2, 3, 4), help="default: as the pictures' sizes tell")
    args = parser.parse_args(argv)
    truths = {path.stem: path for path in pictures.find(args.HR, "high-resolution pictures")}
    low = {path.stem: path for path in pictures.find(args.LR, "low-resolution pictures")}
    entries = reports.accuracy(args.accuracy, model)["rows"]
    first = stem_of(entries[0]["sample"])
    scale = args.scale or pictures.read_size(Path(args.save) / f"{first}.png")[0] // pictures.read_size(low[first])[0]
    pairs = edsr_postprocess.pair([stem_of(entry["sample"]) for entry in entries], truths, scale, args.HR)

    def draw(entry: Mapping[str, Any], brief: bool = False) -> gallery.Row:
        stem = stem_of(entry["sample"])
        found = pictures.read_rgb(Path(args.save) / f"{stem}.png")
        return row(stem, entry["value"], pictures.read_rgb(low[stem]), found, pictures.read_rgb(pairs[stem]), scale,
                   model.extra["shave"], brief)

    picked = gallery.pick(entries)
    note = (f"The {PIECE} x {PIECE} pixels with the most detail, magnified {TIMES} times; their place is marked in the whole "
            "picture. The worst PSNR comes first; of many pictures, a middle one and the best end the list.")
    gallery.write(args.output, [draw(entry) for entry in picked], note, (), gallery.rest(entries, picked),
                  lambda entry: draw(entry, brief=True))


if __name__ == "__main__":
    errors.run(main)
