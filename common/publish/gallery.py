"""The pictures of the report's page: a model's gallery script picks and labels them, this writes `gallery.json`.

Each row of the gallery is one sample, each panel of a row one small picture. `common.publish.page` puts them on the page.
The other samples have a thumbnail each, in files that the page asks for when its reader does.
"""
from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from common.base import files, workers
from common.base.errors import UserError

if TYPE_CHECKING:
    import numpy as np

SIDE = 480
"""Longest side of a panel in pixels; larger pictures are shrunk to it."""
COUNT = 6
"""Rows of a gallery."""
WIDTH = 320
"""Of a thumbnail, pixels at most."""
MOST = 500
"""Thumbnails of a model, of the worst samples: as many as Cityscapes has to validate on."""


class Panel(NamedTuple):
    """One picture: uint8 [H, W, 3], RGB, or [H, W], grey. value: of the metric, where the panel has one.

    cover: whether it is among those that stand for the model at the head of the page, and for a sample in its thumbnail.
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


def rest(rows: Sequence[Mapping[str, Any]], picked: Sequence[Mapping[str, Any]]) -> List[Mapping[str, Any]]:
    """The rows that were not picked, in their order."""
    shown = {row["sample"] for row in picked}
    return [row for row in rows if row["sample"] not in shown]


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


def thumbnail(panels: Sequence[Panel]) -> "np.ndarray":
    """The cover's panels as one picture, uint8 [H, W, 3] RGB, W at most `WIDTH`: beside each other, wide ones below."""
    import numpy as np
    shown = [panel.pixels for panel in panels if panel.cover]
    below, gap = shown[0].shape[1] > 1.5 * shown[0].shape[0], 4
    small = [shrink(pixels, WIDTH if below else (WIDTH + gap) // len(shown) - gap) for pixels in shown]
    if not below:
        small = [pixels.swapaxes(0, 1) for pixels in small]
    height, width = sum(len(pixels) + gap for pixels in small) - gap, max(pixels.shape[1] for pixels in small)
    sheet, top = np.full((height, width, 3), 255, np.uint8), 0
    for pixels in small:
        sheet[top:top + len(pixels), :pixels.shape[1]] = pixels if pixels.ndim == 3 else pixels[..., None]
        top += len(pixels) + gap
    return sheet if below else sheet.swapaxes(0, 1)


def _thumbnails(folder: Path, entries: Sequence[Mapping[str, Any]], draw: Callable[[Mapping[str, Any]], Row]
                ) -> Dict[str, Any]:
    """Write the thumbnails of the first `MOST` entries, JPEG, by JOBS processes; gives what gallery.json says of them."""
    from common.base.pictures import write_rgb

    def one(numbered: Tuple[int, Mapping[str, Any]]) -> Tuple[str, List[str]]:
        panels = draw(numbered[1]).panels
        name = f"thumbnails/{numbered[0]}.jpg"
        write_rgb(folder / name, thumbnail(panels))
        return name, [panel.label for panel in panels if panel.cover]

    drawn = list(workers.ordered(one, list(enumerate(entries[:MOST]))))
    return {"labels": drawn[0][1], "left_out": len(entries) - len(drawn),
            "images": [{"sample": entry["sample"], "image": name} for entry, (name, _) in zip(entries, drawn)]}


def write(folder: files.PathLike, rows: Sequence[Row], note: str, legend: Sequence[Tuple[str, str]] = (),
          others: Sequence[Mapping[str, Any]] = (), draw: Optional[Callable[[Mapping[str, Any]], Row]] = None) -> None:
    """Write `<folder>/gallery.json` and the pictures it names, in `gallery` and `thumbnails`; earlier ones are removed.

    note: what the panels show and how the samples were picked. legend: (colour as #rrggbb, what it stands for).
    others: rows of the accuracy file that are not among `rows`, the worst first, of which `draw` makes a row with at least
    the cover's panels, for the thumbnail.
    """
    from common.base.pictures import write_rgb
    if not rows:
        raise UserError(f"{folder}: there is no sample to show")
    folder = Path(folder)
    if (folder / "gallery.json").exists():  # of the pictures that are there, those that it names are its own
        old = files.read_json(folder / "gallery.json", "gallery")
        for shown in [panel for row in old["rows"] for panel in row["panels"]] + old.get("thumbnails", {}).get("images", []):
            (folder / shown["image"]).unlink(missing_ok=True)
    listed: List[Dict[str, Any]] = []
    for number, row in enumerate(rows):
        panels = []
        for place, panel in enumerate(row.panels):
            name = f"gallery/{number}_{place}.png"
            write_rgb(folder / name, panel.pixels)
            panels.append({"label": panel.label, "value": panel.value, "image": name, "cover": panel.cover,
                           "width": panel.pixels.shape[1], "height": panel.pixels.shape[0]})
        listed.append({"sample": row.sample, "value": row.value, "panels": panels})
    made: Dict[str, Any] = {"note": note, "rows": listed,
                            "legend": [{"colour": colour, "text": text} for colour, text in legend]}
    if draw and others:
        made["thumbnails"] = _thumbnails(folder, others, draw)
    files.write_json(folder / "gallery.json", made)
    print(f"{folder / 'gallery.json'}: {len(rows)} samples, {sum(len(row.panels) for row in rows)} pictures"
          + (f", {len(made['thumbnails']['images'])} thumbnails" if "thumbnails" in made else ""))
