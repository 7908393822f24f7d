"""Cityscapes: its labels, the colours they are drawn in, and its folders.

The label table is that of the dataset's own scripts (cityscapesScripts, helpers/labels.py): 35 label ids as the
`gtFine` pictures hold them, 19 of which are evaluated under train ids 0..18.
"""
from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Dict, NamedTuple, Optional, Sequence, Tuple

from common.base import files
from common.base.errors import UserError

if TYPE_CHECKING:
    import numpy as np

WIDTH, HEIGHT = 2048, 1024
LABELS = 35
"""Label ids are 0..34. The licence plate, -1 in the table, is drawn as a car in the pictures."""


class Class(NamedTuple):
    """A class that is evaluated: its train id is its place in `CLASSES`."""

    name: str
    label: int
    """Its id in the labelIds pictures."""
    colour: Tuple[int, int, int]
    """Red, green, blue."""
    things: bool
    """Whether its pixels belong to countable things: instance id = 1000 * label + number, else the label."""


CLASSES = (
    Class("road", 7, (128, 64, 128), False),
    Class("sidewalk", 8, (244, 35, 232), False),
    Class("building", 11, (70, 70, 70), False),
    Class("wall", 12, (102, 102, 156), False),
    Class("fence", 13, (190, 153, 153), False),
    Class("pole", 17, (153, 153, 153), False),
    Class("traffic light", 19, (250, 170, 30), False),
    Class("traffic sign", 20, (220, 220, 0), False),
    Class("vegetation", 21, (107, 142, 35), False),
    Class("terrain", 22, (152, 251, 152), False),
    Class("sky", 23, (70, 130, 180), False),
    Class("person", 24, (220, 20, 60), True),
    Class("rider", 25, (255, 0, 0), True),
    Class("car", 26, (0, 0, 142), True),
    Class("truck", 27, (0, 0, 70), True),
    Class("bus", 28, (0, 60, 100), True),
    Class("train", 31, (0, 80, 100), True),
    Class("motorcycle", 32, (0, 0, 230), True),
    Class("bicycle", 33, (119, 11, 32), True),
)
NOT_EVALUATED = {"unlabeled": 0, "ego vehicle": 1, "rectification border": 2, "out of roi": 3, "static": 4,
                 "dynamic": 5, "ground": 6, "parking": 9, "rail track": 10, "guard rail": 14, "bridge": 15,
                 "tunnel": 16, "polegroup": 18, "caravan": 29, "trailer": 30, "license plate": 34}
"""Label ids of the classes that are left out of the evaluation, by name."""
LABEL: Dict[str, int] = {**{entry.name: entry.label for entry in CLASSES}, **NOT_EVALUATED}
"""The label id of every class by name."""
IGNORED = 255
"""The train id of pixels that are not evaluated."""

IMAGE, LABEL_IDS, INSTANCE_IDS = "leftImg8bit", "gtFine_labelIds", "gtFine_instanceIds"
"""How the names of a frame's files end, before `.png`."""


def to_train_ids(labels: "np.ndarray") -> "np.ndarray":
    """Label ids to train ids: uint8 [H, W] in 0..255 to uint8 [H, W] in 0..18, or 255 where it is not evaluated."""
    import cv2
    import numpy as np
    table = np.full(256, IGNORED, np.uint8)
    for train_id, entry in enumerate(CLASSES):
        table[entry.label] = train_id
    return cv2.LUT(labels, table).reshape(labels.shape)


def colours(train_ids: "np.ndarray") -> "np.ndarray":
    """Train ids as a picture: uint8 [H, W] to uint8 [H, W, 3], RGB, in the palette; 255 becomes black."""
    import cv2
    import numpy as np
    table = np.zeros((256, 1, 3), np.uint8)
    table[:len(CLASSES), 0] = [entry.colour for entry in CLASSES]
    return cv2.applyColorMap(train_ids, table)


def root(folder: files.PathLike) -> Path:
    """The folder that holds `leftImg8bit` and `gtFine`: the one given, or `cityscapes` in it."""
    folder = files.existing_folder(folder, "Cityscapes (leftImg8bit and gtFine)")
    for place in (folder, folder / "cityscapes"):
        if (place / "leftImg8bit").is_dir() or (place / "gtFine").is_dir():
            return place
    raise UserError(f"{folder}: expected leftImg8bit/val/<city> and gtFine/val/<city> in it, found neither; "
                    "lay the dataset out as its archives do")


def frames(folder: files.PathLike, tree: str, ending: str, split: str = "val",
           count: Optional[int] = None) -> Dict[str, Path]:
    """The files of one kind by frame (`aachen_000000_000019`), sorted by city, then name, at most `count`.

    folder: what `root` gives; tree: "leftImg8bit" or "gtFine"; ending: `IMAGE`, `LABEL_IDS` or `INSTANCE_IDS`.
    Raises `UserError` when a folder is missing, none of these files is found, or a frame is there in two cities.
    """
    place = files.existing_folder(Path(folder) / tree / split, f"<city>/*_{ending}.png")
    suffix = f"_{ending}.png"
    found: Dict[str, Path] = {}
    for path in sorted(place.glob(f"*/*{suffix}")):
        frame = path.name[:-len(suffix)]
        if path.name.startswith("."):
            continue
        if frame in found:
            raise UserError(f"{path}: the same frame as {found[frame]}; remove one of them")
        found[frame] = path
    if not found:
        raise UserError(f"{place}: expected <city>/*{suffix} in it, found none")
    return dict(list(found.items())[:count])


def read_labels(path: files.PathLike, size: Optional[Sequence[int]] = (WIDTH, HEIGHT)) -> "np.ndarray":
    """Decode a labelIds picture: uint8 [H, W], label ids 0..34.

    size: width and height that it must have, None for any. Raises `UserError` for another size, ids of 35 and more, and
    as `pictures.read_ids` does.
    """
    from common.base import pictures
    labels = pictures.read_ids(path, 8, "label ids")
    if size is not None and labels.shape != (size[1], size[0]):
        raise UserError(f"{path}: {labels.shape[1]}x{labels.shape[0]}, expected {size[0]}x{size[1]}")
    if labels.max() >= LABELS:
        raise UserError(f"{path}: holds label id {labels.max()}, expected 0..{LABELS - 1}; train ids or colours "
                        "instead of label ids?")
    return labels
