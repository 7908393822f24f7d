#!/usr/bin/env python3
"""Enlarge pictures: DIR/<name>_edsr.png beside bicubic's, by a model with free height and width (--size free).

On an NPU with ais_bench: --model edsr.om. A model of fixed size S pads, as edsr_preprocess.py does.
"""
from __future__ import annotations

from typing import Any, List, Optional, Sequence, Tuple

import numpy as np

from common.base import errors, facts, pictures
from common.base.errors import UserError
from common.engines import interface
from common.publish import tries
from edsr_postprocess import crop, enlarge, to_uint8
from edsr_preprocess import preprocess

TILE, HALO = 512, 72
"""Pixels of a side that come out of the network together, and how far around one lie those that it depends on: two for each of
up to 32 blocks, and a few. A run takes some 6 kB of memory for each that goes in."""


def pieces(length: int) -> List[Tuple[int, int, slice]]:
    """A side in even pieces of at most TILE pixels: first pixel, the one after the last, and what goes through, equally long."""
    count = -(-length // TILE)
    edges = [length * place // count for place in range(count + 1)]
    span = min(length, -(-length // count) + 2 * HALO)
    starts = [min(max(0, first - HALO), length - span) for first in edges]
    return [(first, last, slice(start, start + span)) for first, last, start in zip(edges, edges[1:], starts)]


def infer_free(session: Any, picture: np.ndarray) -> np.ndarray:
    """`infer` by a model of free height and width, tile by tile: the result is that of the picture as one."""
    rows = []
    for top, bottom, high in pieces(picture.shape[0]):
        row = []
        for left, right, wide in pieces(picture.shape[1]):
            tensor = np.ascontiguousarray(picture[high, wide].transpose(2, 0, 1)[None], np.float32)
            (output,) = session.infer([tensor], mode="dymshape", custom_sizes=16 * tensor.nbytes)  # up to scale 4
            scale = output.shape[2] // tensor.shape[2]
            inner = [slice(scale * (first - part.start), scale * (last - part.start))
                     for first, last, part in ((top, bottom, high), (left, right, wide))]
            row.append(to_uint8(output[0].transpose(1, 2, 0)[tuple(inner)]))
        rows.append(np.hstack(row))
    return np.vstack(rows)


def infer(session: Any, picture: np.ndarray) -> np.ndarray:
    """A picture, uint8 [H, W, 3] RGB, enlarged: uint8 [scale * H, scale * W, 3] RGB."""
    height, width = picture.shape[:2]
    side = session.get_inputs()[0].shape[2]
    if side < 0:
        return infer_free(session, picture)
    (output,) = session.infer([preprocess(picture, side)])
    scale = output.shape[2] // side
    return to_uint8(crop(output, scale * height, scale * width))


def main(argv: Optional[Sequence[str]] = None) -> None:
    args = tries.parser(__doc__, "build/try/edsr_free.onnx").parse_args(argv)
    session, made = interface.load(args.device_id, args.model), tries.Tries(args.output, facts.load(__file__), args.model)
    for path in tries.find(args.pictures):
        picture, runs = pictures.read_rgb(path, upright=True), len(session.summary().exec_time_list)
        try:
            found = infer(session, picture)
        except ValueError as error:  # larger than a model of fixed size takes
            raise UserError(f"{path}: {error}; export the model with --size free") from error
        (height, width), (tall, wide) = picture.shape[:2], found.shape[:2]
        bicubic = to_uint8(crop(enlarge(picture, tall // height), tall, wide))
        made.add(path, {"bicubic": bicubic, "EDSR": found},
                 f"{width} x {height} pixels made {wide} x {tall}, beside bicubic; "
                 f"{sum(session.summary().exec_time_list[runs:]):.0f} ms in the network")
    made.page()


if __name__ == "__main__":
    errors.run(main)
