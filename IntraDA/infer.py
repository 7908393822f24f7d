#!/usr/bin/env python3
"""Find the classes in street photos: DIR/<name>_classes.png in Cityscapes' colours, and over the photo."""
from __future__ import annotations

from typing import Any, Optional, Sequence

import numpy as np

from common.base import errors, facts, pictures
from common.data import cityscapes
from common.engines import interface
from common.publish import tries
from intrada_postprocess import segment
from intrada_preprocess import preprocess


def infer(session: Any, photo: np.ndarray, model: facts.Facts) -> np.ndarray:
    """The class of each pixel of a photo, uint8 [H, W, 3] RGB: uint8 [H, W], train ids 0..18."""
    tensor = preprocess(photo, (model.extra["width"], model.extra["height"]), model.extra["mean_bgr"])
    scores = session.infer([tensor])[-1]  # of an older model's two outputs the second is the main one
    return segment(scores[0], *photo.shape[:2])


def main(argv: Optional[Sequence[str]] = None) -> None:
    args = tries.parser(__doc__, "build/intrada_deeplabv2.onnx").parse_args(argv)
    model = facts.load(__file__)
    session, made = interface.load(args.device_id, args.model), tries.Tries(args.output, model, args.model)
    for path in tries.find(args.pictures):
        photo = pictures.read_rgb(path, upright=True)
        classes = infer(session, photo, model)
        colours = cityscapes.colours(classes)
        over = (0.45 * photo + 0.55 * colours).astype(np.uint8)
        shares = np.bincount(classes.ravel(), minlength=len(cityscapes.CLASSES)) / classes.size
        there = [index for index in np.argsort(-shares, kind="stable") if shares[index] >= 0.001]
        height, width = photo.shape[:2]
        squeezed = "" if width == 2 * height else " (not 2:1, so its shape was changed for it)"
        made.add(path, {"photo": photo, "over the photo": over, "classes": colours},
                 ", ".join(f"{cityscapes.CLASSES[index].name} {100 * shares[index]:.0f} %" for index in there[:5])
                 + f"; {width} x {height} resized to {model.extra['width']} x {model.extra['height']} for the network"
                 + f"{squeezed}; {session.summary().exec_time_list[-1]:.0f} ms in the network",
                 [("#%02x%02x%02x" % cityscapes.CLASSES[index].colour, cityscapes.CLASSES[index].name)
                  for index in there])
    made.page()


if __name__ == "__main__":
    errors.run(main)
