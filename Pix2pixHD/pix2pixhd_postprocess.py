#!/usr/bin/env python3
"""Turn the network's outputs into pictures: OUT/<result file's stem>generated.jpg."""
from __future__ import annotations

import argparse
import hashlib
from pathlib import Path
from typing import Optional, Sequence, Tuple

import numpy as np

from common import cityscapes, dataset, errors, files, pictures


def to_uint8(output: np.ndarray) -> np.ndarray:
    """The picture of an output: float32 [1, 3, H, W], RGB, -1..1, to uint8 [H, W, 3], RGB.

    (x + 1) / 2 * 255, clipped to 0..255, in float32. The fraction is cut off, not rounded: pix2pixHD's tensor2im does.
    """
    values = (output[0].transpose(1, 2, 0) + np.float32(1)) / np.float32(2) * np.float32(255)
    return np.clip(values, 0, 255).astype(np.uint8)


def read_picture(path: Path, size: Tuple[int, int]) -> np.ndarray:
    """The picture of a result file, uint8 [H, W, 3] RGB. size: width, height."""
    return to_uint8(dataset.read_bin(path, (1, 3, size[1], size[0])))


def main(argv: Optional[Sequence[str]] = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__,
                                     epilog="LIMIT=N in the environment takes the first N results.")
    parser.add_argument("result", metavar="RESULT", help="folder with the result .bin files")
    parser.add_argument("out", metavar="OUT", help="folder for the pictures")
    parser.add_argument("--prep", help="what pix2pixhd_preprocess.py wrote: results must be of its samples")
    parser.add_argument("--json", help="file that lists the pictures with the SHA-256 of their pixels before JPEG")
    parser.add_argument("--size", type=dataset.width_height, help=argparse.SUPPRESS,
                        default=(cityscapes.WIDTH, cityscapes.HEIGHT))
    args = parser.parse_args(argv)

    results = dataset.results(args.result)
    if args.prep:
        dataset.check_pairs((record["id"] for record in dataset.read_manifest(args.prep)), results, args.result)
    rows = []
    for stem in sorted(results)[:pictures.limit()]:
        path = min(results[stem].items())[1]
        picture = read_picture(path, args.size)
        target = Path(args.out) / f"{path.stem}generated.jpg"
        pictures.write_rgb(target, picture)  # Pillow's default quality, 75, as pix2pixHD's save_image
        rows.append({"sample": stem, "picture": target.name, "sha256": hashlib.sha256(picture.tobytes()).hexdigest()})
    if args.json:
        files.write_json(args.json, {"pictures": rows})
    print(f"{len(rows)} pictures in {args.out}")


if __name__ == "__main__":
    errors.run(main)
