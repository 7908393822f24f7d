#!/usr/bin/env python3
"""Turn low-resolution pictures into the network's input: DST/bin/<stem>.bin, DST/pad_info.json, DST/manifest.json.

With --size free each keeps its own size, for a model that was exported with --size free.
"""
from __future__ import annotations

import argparse
import math
from contextlib import suppress
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Tuple

import numpy as np

from common.base import errors, facts, files, names, pictures, settings
from common.base.errors import UserError
from common.base.settings import FREE, side
from common.data import dataset, variant

BESIDE = {"save_img": "png", "npy": "npy"}
"""The flags that leave a file of each sample beside its tensor, and the folder that it is in."""


def preprocess(image: np.ndarray, size: Optional[int] = None) -> np.ndarray:
    """Pad a picture to the network's input; without a size it is not padded.

    image: uint8 [H, W, 3], RGB. Gives float32 [1, 3, size, size], RGB, 0..255, zeros on the right and at the bottom, or
    [1, 3, H, W]. Raises ValueError when the picture is larger than size.
    """
    height, width = image.shape[:2]
    if size and max(height, width) > size:
        raise ValueError(f"{width}x{height} is larger than {size}x{size}")
    padded = np.zeros((1, 3, size or height, size or width), np.float32)
    padded[0, :, :height, :width] = image.transpose(2, 0, 1)
    return padded


def check_scale(paths: Sequence[Path], folder: str, scale: int) -> None:
    """Raise `UserError` unless the high-resolution picture of each path is `scale` times its size (less a remainder)."""
    import edsr_postprocess
    truths = {path.stem: path for path in pictures.find(folder, "high-resolution pictures")}
    pairs = edsr_postprocess.pair([path.stem for path in paths], truths, scale, folder)
    for path in paths:
        (width, height), (wide, high) = pictures.read_size(path), pictures.read_size(pairs[path.stem])
        if (wide // scale, high // scale) != (width, height):
            raise UserError(f"{path}: {width}x{height}, expected {wide // scale}x{high // scale}: the model's scale is "
                            f"{scale}, {pairs[path.stem]} is {wide}x{high}; make_lr.py --scale {scale} makes them of HR")


def fingerprint(picture: np.ndarray) -> np.ndarray:
    """What `common.data.fingerprint` keeps of: uint8 [H, W, 3] RGB to the network's input of a few more pixels a side."""
    return preprocess(picture, max(picture.shape[:2]) + 8)


def plan(argv: Optional[Sequence[str]] = None) -> dataset.Preprocessing:
    """What the command line asks for."""
    default = facts.load(__file__).extra["size"]
    parser = argparse.ArgumentParser(description=__doc__,
                                     epilog="LIMIT=N in the environment takes the first N pictures.")
    parser.add_argument("-s", "--src", required=True, metavar="LR", help="folder with the low-resolution pictures")
    parser.add_argument("-d", "--dst", required=True, metavar="DST", help="folder to write to")
    parser.add_argument("--size", type=side, default=default, metavar="S", help="side to pad to, or `free`: each picture "
                        "at its own size, for a model of free height and width (default: %(default)s)")
    parser.add_argument("--crop", action="store_true", help="cut what is beyond --size off larger pictures (to calibrate on)")
    parser.add_argument("--save_img", action="store_true", help="also write the padded pictures to DST/png")
    parser.add_argument("--npy", action="store_true", help="also write the tensors to DST/npy, where ais_bench finds "
                        "their shapes (--auto_set_dymshape_mode)")
    parser.add_argument("--onnx", metavar="ONNX", help=variant.HELP)
    parser.add_argument("--HR", metavar="HR", help="folder with the high-resolution pictures: holds them to --onnx's "
                        "scale before anything is written")
    args = parser.parse_args(argv)
    told = variant.find(facts.load(__file__), args.onnx)
    dst, size = Path(args.dst), None if args.size == FREE else args.size
    if args.save_img and (dst / "png").resolve() == Path(args.src).resolve():
        raise UserError(f"{args.src}: is where --save_img writes; give another DST")

    def make(path: Path) -> Tuple[np.ndarray, Dict[str, Any]]:
        image = pictures.read_rgb(path)
        if args.crop and size:
            image = image[:size, :size]
        height, width = image.shape[:2]
        try:
            tensor = preprocess(image, size)
        except ValueError as error:
            raise UserError(f"{path}: {error}; give --size (make: SIZE=) at least {max(width, height)} and export "
                            "the model for it") from error
        return tensor, {"name": path.name, "width": width, "height": height,
                        "pad_x": tensor.shape[3] - width, "pad_y": tensor.shape[2] - height}

    paths = pictures.find(args.src, "low-resolution pictures", count=settings.limit())
    if args.HR and "scale" in told:
        check_scale(paths, args.HR, variant.number(told, "scale", 2))
    sizes = {} if size else {path.stem: pictures.read_size(path)[::-1] for path in paths}
    largest = size ** 2 if size else max(map(math.prod, sizes.values()))
    return dataset.Preprocessing([(path.stem, [path]) for path in paths], dst, make,
                                 {key: getattr(args, key) for key in ("size", "save_img", "crop", "npy")},
                                 sample_bytes=12 * largest, variant=told, sizes=sizes)


def beside(folder: Path, flag: str, sample: str) -> Path:
    """The file that a flag leaves of a sample."""
    return folder / BESIDE[flag] / f"{sample if flag == 'save_img' else names.stem(sample)}.{BESIDE[flag]}"


def left(folder: Path) -> List[Path]:
    """The files that the flags of an earlier run left. The manifest is read only where such a folder is."""
    flags = [flag for flag in BESIDE if (folder / BESIDE[flag]).is_dir()]
    with suppress(UserError):
        told = dataset.manifest(folder) if flags else {"samples": []}
        return [beside(folder, flag, record["id"]) for record in told["samples"] for flag in flags
                if told["recipe"]["settings"].get(flag)]
    return []


def write_beside(folder: Path, flags: Sequence[str]) -> None:
    """What these flags ask for, of every sample."""
    for record in dataset.read_manifest(folder) if flags else ():
        tensor = dataset.read_sample(record)
        for flag in flags:
            path = beside(folder, flag, record["id"])
            if flag == "save_img":
                pictures.write_rgb(path, tensor[0].transpose(1, 2, 0).astype(np.uint8))
                continue
            with files.atomic(path) as temporary, open(temporary, "wb") as file:
                np.save(file, tensor)


def main(argv: Optional[Sequence[str]] = None) -> None:
    work = plan(argv)
    folder = Path(work.folder)
    earlier = left(folder)
    records = dataset.preprocess(*work)
    for path in earlier:
        path.unlink(missing_ok=True)
    write_beside(folder, [flag for flag in BESIDE if work.settings[flag]])
    files.write_json(folder / "pad_info.json", [{key: record[key] for key in ("name", "pad_x", "pad_y")} for record in records])


if __name__ == "__main__":
    errors.run(main)
