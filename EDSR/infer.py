#!/usr/bin/env python3
"""Enlarge pictures: DIR/<name>_edsr.png beside bicubic's, by a model with free height and width (--size free).

On an NPU with ais_bench: --model edsr.om. A model of fixed size S pads, as edsr_preprocess.py does.
"""
from __future__ import annotations

from typing import Any, Optional, Sequence

import numpy as np

from common.base import errors, facts, pictures
from common.base.errors import UserError
from common.engines import interface
from common.publish import tries
from edsr_postprocess import crop, enlarge, to_uint8
from edsr_preprocess import preprocess


def infer(session: Any, picture: np.ndarray) -> np.ndarray:
    """A picture, uint8 [H, W, 3] RGB, enlarged: uint8 [scale * H, scale * W, 3] RGB."""
    height, width = picture.shape[:2]
    side = session.get_inputs()[0].shape[2]
    if side < 0:  # free height and width
        tensor = np.ascontiguousarray(picture.transpose(2, 0, 1)[None], np.float32)
        (output,) = session.infer([tensor], mode="dymshape", custom_sizes=16 * tensor.nbytes)  # up to scale 4
        return to_uint8(output[0].transpose(1, 2, 0))
    (output,) = session.infer([preprocess(picture, side)])
    scale = output.shape[2] // side
    return to_uint8(crop(output, scale * height, scale * width))


def main(argv: Optional[Sequence[str]] = None) -> None:
    args = tries.parser(__doc__, "build/try/edsr_free.onnx").parse_args(argv)
    session, made = interface.load(args.device_id, args.model), tries.Tries(args.output, facts.load(__file__).title)
    for path in tries.find(args.pictures):
        picture = pictures.read_rgb(path, upright=True)
        try:
            found = infer(session, picture)
        except ValueError as error:  # larger than a model of fixed size takes
            raise UserError(f"{path}: {error}; export the model with --size free") from error
        (height, width), (tall, wide) = picture.shape[:2], found.shape[:2]
        bicubic = to_uint8(crop(enlarge(picture, tall // height), tall, wide))
        made.add(path, {"bicubic": bicubic, "EDSR": found},
                 f"{width} x {height} pixels made {wide} x {tall}, beside bicubic; "
                 f"{session.summary().exec_time_list[-1]:.0f} ms in the network")
    made.page()


if __name__ == "__main__":
    errors.run(main)
