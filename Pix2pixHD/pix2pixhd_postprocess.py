#!/usr/bin/env python3
"""Turn the network's outputs into pictures: OUT/<result file's stem>generated.jpg.

With --photos, each picture is held against the photo of its scene (SSIM). That says whether it shows the scene that the
labels ask for; a label map has no one true picture, so it is no measure of how real a picture looks.
"""
from __future__ import annotations

import argparse
import hashlib
from pathlib import Path
from typing import Dict, Optional, Sequence, Tuple

import numpy as np

from common.base import errors, facts, files, metrics, pictures, settings
from common.base.errors import UserError
from common.data import cityscapes, dataset, evaluation, result_files
from common.judge import verdicts

STRIP = 64
"""Rows at a time: what is computed of them stays in the cache."""

ROW = {"required": ["about", "ssim"], "properties": {"ssim": {"type": ["number", "null"]}, "about": {
    "type": "object", "required": ["sample", "picture", "sha256"], "additionalProperties": {"type": "string"}}}}
"""The schema of what `one` keeps of a sample."""


def to_uint8(output: np.ndarray) -> np.ndarray:
    """The picture of an output: float32 [1, 3, H, W], RGB, -1..1, to uint8 [H, W, 3], RGB.

    (x + 1) / 2 * 255, clipped to 0..255, in float32: times 127.5 is the same, as halving rounds nothing. The fraction is
    cut off, not rounded: pix2pixHD's tensor2im does.
    """
    picture = np.empty((*output.shape[2:], 3), np.uint8)
    for top in range(0, len(picture), STRIP):
        values = output[0, :, top:top + STRIP] + np.float32(1)
        values *= np.float32(127.5)
        for channel, plane in enumerate(np.clip(values, 0, 255, out=values)):
            picture[top:top + STRIP, :, channel] = plane
    return picture


def read_output(path: Path, size: Tuple[int, int]) -> np.ndarray:
    """A result file as float32 [1, 3, H, W]. size: width, height."""
    return dataset.read_result(path, (1, 3, size[1], size[0]))


def read_picture(path: Path, size: Tuple[int, int]) -> np.ndarray:
    """The picture of a result file, uint8 [H, W, 3] RGB. size: width, height."""
    return to_uint8(read_output(path, size))


def find_photos(folder: files.PathLike) -> Dict[str, Path]:
    """The photos below a folder (`leftImg8bit`) by the stem of their scene's label map."""
    found = {path.name.replace(f"_{cityscapes.IMAGE}.png", f"_{cityscapes.LABEL_IDS}"): path
             for path in sorted(files.existing_folder(folder, "photos").rglob(f"*_{cityscapes.IMAGE}.png"))}
    if not found:
        raise UserError(f"{folder}: expected *_{cityscapes.IMAGE}.png below it, found none")
    return found


def score(picture: np.ndarray, path: Path) -> float:
    """SSIM of a picture, uint8 [H, W, 3] RGB, with the photo of its scene."""
    photo = pictures.read_rgb(path)
    if photo.shape != picture.shape:
        raise UserError(f"{path}: {photo.shape[1]}x{photo.shape[0]}, expected {picture.shape[1]}x{picture.shape[0]}")
    return metrics.ssim(picture, photo)


def plan(argv: Optional[Sequence[str]] = None, samples: Optional[Sequence[str]] = None) -> evaluation.Evaluation:
    """What the command line asks for. samples: ids whose outputs are handed over, in place of the files in RESULT."""
    parser = argparse.ArgumentParser(description=errors.first_line(__doc__),
                                     epilog="LIMIT=N in the environment takes the first N results.")
    parser.add_argument("result", metavar="RESULT", help="folder with the result .bin files")
    parser.add_argument("out", metavar="OUT", help="folder for the pictures")
    parser.add_argument("--prep", help="what pix2pixhd_preprocess.py wrote: results must be of its samples")
    parser.add_argument("--json", help="file that lists the pictures with the SHA-256 of their pixels before JPEG")
    parser.add_argument("--photos", metavar="FOLDER", help="leftImg8bit, with the photo of every scene")
    parser.add_argument("--accuracy", metavar="JSON", help="file for the report's figures; needs --photos")
    parser.add_argument("--size", type=settings.width_height, help=argparse.SUPPRESS,
                        default=(cityscapes.WIDTH, cityscapes.HEIGHT))
    args = parser.parse_args(argv)
    if args.accuracy and not args.photos:
        parser.error("--accuracy needs --photos")

    results = result_files.find(args.result) if samples is None else {}
    wanted = sorted(evaluation.expected(args.prep, lambda: list(results)) if samples is None else samples)
    stems = evaluation.taken(wanted, results if samples is None else None, args.result)
    photos = find_photos(args.photos) if args.photos else {}
    if photos:
        alone = next((stem for stem in stems if stem not in photos), None)
        if alone is not None:
            raise UserError(f"{args.photos}: no photo for {alone}, expected "
                            f"{alone.replace(cityscapes.LABEL_IDS, cityscapes.IMAGE)}.png below it")

    def picture_of(name: str) -> Path:
        return Path(args.out) / f"{name}generated.jpg"

    def one(stem: str, name: str, output: np.ndarray) -> evaluation.Row:
        """What --json says of a picture, and its SSIM with --photos."""
        picture = to_uint8(output)
        pictures.write_rgb(picture_of(name), picture)  # Pillow's default quality, 75, as pix2pixHD's save_image
        about = {"sample": stem, "picture": picture_of(name).name,
                 "sha256": hashlib.sha256(picture).hexdigest()}
        return {"about": about, "ssim": score(picture, photos[stem]) if photos else None}

    def finish(rows: Sequence[evaluation.Row]) -> None:
        values = {row["about"]["sample"]: row["ssim"] for row in rows if photos}
        for stem, value in values.items():
            print(f"{stem}: SSIM {value:.4f}")
        if args.json:
            files.write_json(args.json, {"pictures": [row["about"] for row in rows]})
        print(f"{len(rows)} pictures in {args.out}")
        if values:
            mean = float(np.mean(list(values.values())))
            print(f"mean SSIM with the scenes' photos: {mean:.4f}")
            if args.accuracy:
                verdicts.write_accuracy(args.accuracy, facts.load(__file__), mean, values)

    return evaluation.Evaluation(
        stems, lambda stem: min(results[stem].items())[1], lambda path: read_output(path, args.size), one, finish,
        each=10 * 3 * 4 * args.size[0] * args.size[1], shape=(1, 3, args.size[1], args.size[0]), row=ROW,
        needs=lambda stem: [photos[stem]] if photos else [], leaves=lambda stem, name: [picture_of(name)])


def main(argv: Optional[Sequence[str]] = None) -> None:
    evaluation.run(plan(argv))


if __name__ == "__main__":
    errors.run(main)
