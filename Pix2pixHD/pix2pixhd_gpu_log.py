#!/usr/bin/env python3
"""Read the log of pix2pixHD's test.py with pix2pixhd_gpu.diff: mean time of an image on the GPU, without the first.

This is online inference with PyTorch, one image at a time; the first image warms up and is left out.
"""
from __future__ import annotations

import argparse
import re
from typing import List, Optional, Sequence, Tuple

from common.base import errors, files
from common.base.errors import UserError
from common.engines import timing

PICTURE = re.compile(r"process image\.\.\. (.*)")
SECONDS = re.compile(r"本次生成图像耗时([0-9.]+(?:[eE][-+]?[0-9]+)?)s")  # "this image took ...s"


def read(path: files.PathLike) -> List[Tuple[str, float]]:
    """Each image of the log in order: what `process image...` names, and its seconds."""
    path = files.existing_file(path, "the log of test.py")
    found, picture = [], ""
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
        named, took = PICTURE.search(line), SECONDS.search(line)
        if named:
            picture = named[1].strip()
        if took:
            if not picture:
                raise UserError(f"{path}:{number}: a time without its `process image...` line; is the log whole?")
            found.append((picture, float(took[1])))
            picture = ""
    if len(found) < 2:
        raise UserError(f"{path}: holds the times of {len(found)} images, expected at least 2 (the first is left out); "
                        "run test.py with pix2pixhd_gpu.diff applied")
    return found


def main(argv: Optional[Sequence[str]] = None) -> None:
    parser = argparse.ArgumentParser(description=errors.first_line(__doc__))
    parser.add_argument("log", metavar="LOG", help="what test.py printed")
    parser.add_argument("--json", help="file for the figures")
    args = parser.parse_args(argv)
    times = [seconds for _, seconds in read(args.log)[1:]]
    if min(times) <= 0:
        raise UserError(f"{args.log}: an image took {min(times)} s, expected more than 0")
    figures = timing.summarise(times)
    if args.json:
        files.write_json(args.json, {"definition": "seconds an image, PyTorch's online inference on the GPU, batch 1, "
                                     "the first image left out", **figures, "images_per_s": 1 / figures["mean"]})
    print(f"{len(times)} images without the first: mean {figures['mean']:.6g} s, median {figures['median']:.6g} s an "
          f"image = {1 / figures['mean']:.6g} images/s, PyTorch's online inference")


if __name__ == "__main__":
    errors.run(main)
