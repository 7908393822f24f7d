"""The pictures of the report's page: a model's gallery script picks and labels them, this writes `gallery.json`.

Each row of the gallery is one sample, each panel of a row one small picture. `common.publish.page` puts them on the page.
"""
from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from common.base import files
from common.base.errors import UserError

if TYPE_CHECKING:
    import numpy as np

SIDE = 480
"""Longest side of a panel in pixels; larger pictures are shrunk to it."""
COUNT = 6
"""Rows of a gallery."""


class Panel(NamedTuple):
    """One picture: uint8 [H, W, 3], RGB, or [H, W], grey. value: of the metric, where the panel has one.

    cover: whether it is among those that stand for the model at the head of the page.
    """

    label: str
    pixels: "np.ndarray"
    value: Optional[float] = None
    cover: bool = False


class Row(NamedTuple):
    """One sample with its value of the metric, None where there is none."""

    sample: str
    value: Optional[float]
    panels: Sequence[Panel]


def pick(rows: Sequence[Mapping[str, Any]], count: int = COUNT) -> List[Mapping[str, Any]]:
    """Which samples to show, of rows `{"sample", "value"}` in ascending order: the worst, a middle one and the best.

    All of them where there are no more than `count`.
    """
    if len(rows) <= count:
        return list(rows)
    return [*rows[:count - 2], rows[len(rows) // 2], rows[-1]]


def shrink(pixels: "np.ndarray", side: int = SIDE, nearest: bool = False) -> "np.ndarray":
    """A picture whose longest side is at most `side`; `nearest` keeps exact values, for maps of few colours."""
    import numpy as np
    from PIL import Image
    height, width = pixels.shape[:2]
    share = side / max(height, width)
    if share >= 1:
        return pixels
    size = max(1, round(width * share)), max(1, round(height * share))
    return np.asarray(Image.fromarray(pixels).resize(size, Image.NEAREST if nearest else Image.LANCZOS))


def magnify(pixels: "np.ndarray", box: Tuple[int, int, int, int], times: int) -> "np.ndarray":
    """A piece of a picture, each pixel as a square of times x times. box: left, upper, width, height."""
    left, upper, width, height = box
    return pixels[upper:upper + height, left:left + width].repeat(times, 0).repeat(times, 1)


def busiest(pixels: "np.ndarray", side: int, margin: int = 0) -> Tuple[int, int, int, int]:
    """The square of `side` pixels with the most detail, away from the border by `margin`: left, upper, width, height.

    Detail is the summed difference of neighbours. The square is no larger than the picture.
    """
    import numpy as np
    grey = pixels.astype(np.float32).reshape(*pixels.shape[:2], -1).mean(2)
    height, width = grey.shape
    side = max(1, min(side, height - 2 * margin, width - 2 * margin))
    detail = np.zeros((height, width))
    detail[:, 1:] += np.abs(np.diff(grey, axis=1))
    detail[1:] += np.abs(np.diff(grey, axis=0))
    total = np.zeros((height + 1, width + 1))
    total[1:, 1:] = detail.cumsum(0).cumsum(1)
    sums = total[side:, side:] - total[:-side, side:] - total[side:, :-side] + total[:-side, :-side]
    inner = sums[margin:sums.shape[0] - margin or None, margin:sums.shape[1] - margin or None]
    upper, left = np.unravel_index(int(inner.argmax()), inner.shape)
    return int(left) + margin, int(upper) + margin, side, side


def frame(pixels: "np.ndarray", box: Tuple[int, int, int, int], colour: Tuple[int, int, int] = (255, 64, 64)
          ) -> "np.ndarray":
    """A copy of a picture, uint8 [H, W, 3], with a line drawn around the box (left, upper, width, height)."""
    import numpy as np
    from PIL import Image, ImageDraw
    image = Image.fromarray(np.ascontiguousarray(pixels))
    left, upper, across, down = box
    width = max(2, max(pixels.shape[:2]) // 120)  # still seen when the picture is shrunk
    ImageDraw.Draw(image).rectangle((left - width, upper - width, left + across + width - 1, upper + down + width - 1),
                                    outline=colour, width=width)
    return np.asarray(image)


def write(folder: files.PathLike, rows: Sequence[Row], note: str, legend: Sequence[Tuple[str, str]] = ()) -> None:
    """Write `<folder>/gallery.json` and the pictures it names, in `<folder>/gallery`, PNG; earlier ones are removed.

    note: what the panels show and how the samples were picked. legend: (colour as #rrggbb, what it stands for).
    """
    from common.base.pictures import write_rgb
    if not rows:
        raise UserError(f"{folder}: there is no sample to show")
    folder = Path(folder)
    if (folder / "gallery.json").exists():  # of the pictures that are there, those that it names are its own
        for old in files.read_json(folder / "gallery.json", "gallery")["rows"]:
            for panel in old["panels"]:
                (folder / panel["image"]).unlink(missing_ok=True)
    listed: List[Dict[str, Any]] = []
    for number, row in enumerate(rows):
        panels = []
        for place, panel in enumerate(row.panels):
            name = f"gallery/{number}_{place}.png"
            write_rgb(folder / name, panel.pixels)
            panels.append({"label": panel.label, "value": panel.value, "image": name, "cover": panel.cover,
                           "width": panel.pixels.shape[1], "height": panel.pixels.shape[0]})
        listed.append({"sample": row.sample, "value": row.value, "panels": panels})
    files.write_json(folder / "gallery.json", {"note": note, "rows": listed,
                                               "legend": [{"colour": colour, "text": text} for colour, text in legend]})
    print(f"{folder / 'gallery.json'}: {len(rows)} samples, {sum(len(row.panels) for row in rows)} pictures")
