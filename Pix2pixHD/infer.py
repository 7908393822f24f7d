#!/usr/bin/env python3
"""Make street photos of label maps (*_gtFine_labelIds.png): DIR/<name>_photo.png.

The instance map, *_gtFine_instanceIds.png, is looked for beside the label map, and in test_inst beside test_label.
"""
from __future__ import annotations

from pathlib import Path
from typing import Any, Optional, Sequence

import numpy as np
from PIL import Image

from common.base import errors, facts, files, pictures
from common.data import cityscapes
from common.engines import interface
from common.publish import tries
from pix2pixhd_postprocess import to_uint8
from pix2pixhd_preprocess import edges, one_hot, stacked


def infer(session: Any, labels: np.ndarray, instances: np.ndarray) -> np.ndarray:
    """The photo, uint8 [H, W, 3] RGB, of label ids, uint8 [H, W], and instance ids, uint16 [H, W], of the model's size."""
    form = stacked if session.get_inputs()[0].shape[1] == 2 else one_hot  # a model of --input labels, or the reference's
    (output,) = session.infer([form(labels, edges(instances))])
    return to_uint8(output)


def instances_of(path: Path) -> Path:
    """The instance map of a label map."""
    name = path.name.replace(cityscapes.LABEL_IDS, cityscapes.INSTANCE_IDS)
    places = [path.with_name(name), path.parent.with_name("test_inst") / name]
    return next((place for place in places if place.is_file() and place != path), places[0])


def resized(ids: np.ndarray, size: Sequence[int]) -> np.ndarray:
    """Ids, [H, W], at another width and height: each pixel the nearest one's id."""
    return np.asarray(Image.fromarray(ids).resize(tuple(size), Image.NEAREST))


def main(argv: Optional[Sequence[str]] = None) -> None:
    parser = tries.parser(__doc__, "build/try/pix2pixhd_labels.onnx", "a label map, or a folder of them")
    parser.add_argument("--instances", metavar="PNG", help="the instance map of one label map that has another name")
    args = parser.parse_args(argv)
    session, made = interface.load(args.device_id, args.model), tries.Tries(args.output, facts.load(__file__), args.model)
    size = session.get_inputs()[0].shape[:1:-1]  # width, height
    paths = tries.find(args.pictures, (".png",), cityscapes.LABEL_IDS)
    if args.instances and len(paths) > 1:
        parser.error("--instances is for one label map")
    for path in paths:
        other = files.existing_file(args.instances or instances_of(path), f"the instance map of {path}")
        labels, instances = cityscapes.read_labels(path, None), pictures.read_ids(other, 16, "instance ids")
        said = ""
        if labels.shape != (size[1], size[0]) or instances.shape != labels.shape:
            said = f" (resized from {labels.shape[1]} x {labels.shape[0]})"
            labels, instances = resized(labels, size), resized(instances, size)
        photo = infer(session, labels, instances)
        made.add(path, {"labels": cityscapes.colours(cityscapes.to_train_ids(labels)), "photo": photo},
                 f"a photo of {size[0]} x {size[1]} made of {len(np.unique(labels))} kinds of label, "
                 f"{len(np.unique(instances[instances >= 1000]))} single things{said}; "
                 f"{session.summary().exec_time_list[-1]:.0f} ms in the network")
    made.page()


if __name__ == "__main__":
    errors.run(main)
