#!/usr/bin/env python3
"""Find nuclei in microscope pictures: DIR/<name>_nuclei.png, the mask over the picture, and their count."""
from __future__ import annotations

from typing import Any, Optional, Sequence

import cv2
import numpy as np

from common.base import errors, facts, pictures
from common.engines import interface
from common.publish import tries
from preprocess_nested_unet import preprocess

COLOUR = (46, 160, 67)


def infer(session: Any, picture: np.ndarray, model: facts.Facts) -> np.ndarray:
    """Where a picture, uint8 [H, W, 3] RGB, shows a nucleus: bool [side, side], of the network's size."""
    side = int(model.inputs[0].shape[2])
    bgr = np.ascontiguousarray(picture[..., ::-1])
    tensor = preprocess(bgr, side, model.extra["mean"], model.extra["std"])
    (logits,) = session.infer([tensor])
    return logits[0, 0] > 0  # sigmoid > 0.5


def draw(picture: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The picture with the mask's area tinted and its outline drawn; the mask is enlarged to the picture's size."""
    height, width = picture.shape[:2]
    large = cv2.resize(mask.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST)
    drawn = picture.copy()
    drawn[large > 0] = (0.6 * drawn[large > 0] + 0.4 * np.array(COLOUR)).astype(np.uint8)
    outlines, _ = cv2.findContours(large, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    return cv2.drawContours(drawn, outlines, -1, COLOUR, max(1, max(height, width) // 400))


def main(argv: Optional[Sequence[str]] = None) -> None:
    args = tries.parser(__doc__, "build/nested_unet.onnx").parse_args(argv)
    model = facts.load(__file__)
    session, made = interface.load(args.device_id, args.model), tries.Tries(args.output, model, args.model)
    for path in tries.find(args.pictures):
        picture = pictures.read_rgb(path, upright=True)
        mask = infer(session, picture, model)
        count = cv2.connectedComponents(mask.astype(np.uint8))[0] - 1  # without the ground
        height, width, side = *picture.shape[:2], mask.shape[0]
        resized = "" if height == width == side else f", resized from {width} x {height} to {side} x {side} for the network"
        made.add(path, {"picture": picture, "nuclei": draw(picture, mask)},
                 f"{count} nuclei (those that touch count as one) on {100 * mask.mean():.1f} % of the area{resized}; "
                 f"{session.summary().exec_time_list[-1]:.0f} ms in the network",
                 [("#%02x%02x%02x" % COLOUR, "nucleus")])
    made.page()


if __name__ == "__main__":
    errors.run(main)
