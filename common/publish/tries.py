"""One's own pictures through a model, `make try`: what the `infer.py` of the models share beside the session.

`Tries` writes the pictures and the page `index.html` that gathers them, in `build/try`.
"""
from __future__ import annotations

import argparse
import re
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional, Sequence, Tuple

from common.base import facts, files, pictures, settings
from common.base.errors import UserError
from common.data import variant

if TYPE_CHECKING:
    import numpy as np

KEPT = 60
"""Tries on the page."""


def parser(description: Optional[str], model: str, what: Optional[str] = "a picture, or a folder of them"
           ) -> argparse.ArgumentParser:
    """The flags of every infer.py. model: the file to run if no other is given. what: PICTURE is, None where it is not."""
    made = argparse.ArgumentParser(description=(description or "").splitlines()[0])
    if what:
        made.add_argument("pictures", nargs="+", metavar="PICTURE", help=what)
    made.add_argument("--model", default=model, help="the .onnx, or on an NPU the .om (default: %(default)s)")
    made.add_argument("--device_id", type=settings.whole(0), default=0, help="which NPU or GPU (default: %(default)s)")
    made.add_argument("--output", default="build/try", metavar="DIR", help="folder to write to (default: %(default)s)")
    return made


def find(places: Sequence[str], suffixes: Tuple[str, ...] = pictures.SUFFIXES, ending: str = "") -> List[Path]:
    """The files among `places`, and those in the folders among them whose stem ends in `ending`; each once."""
    found: List[Path] = []
    for place in places:
        if Path(place).is_dir():
            inside = [path for path in pictures.find(place, suffixes=suffixes) if path.stem.endswith(ending)]
            if not inside:
                raise UserError(f"{place}: expected pictures *{ending}.png, found none")
            found += inside
        else:
            found.append(files.utf8(files.existing_file(place, "a picture or a folder of pictures")))
    return list(dict.fromkeys(found))


class Tries:
    """The folder of a model's tries. onnx: the file that was run. Raises `UserError` where that says it is another model's."""

    def __init__(self, folder: files.PathLike, model: facts.Facts, onnx: files.PathLike = ""):
        if Path(onnx).suffix == ".onnx":
            variant.of_model(onnx, model.name)
        self.folder, self.model = Path(folder), model.title
        self._list = self.folder / "tries.json"
        self._taken: Dict[str, Path] = {}

    def add(self, source: Path, panels: Mapping[str, "np.ndarray"], said: str,
            legend: Sequence[Tuple[str, str]] = ()) -> None:
        """Write the panels of one try, newest first on the page, and print where its last one, the result, is.

        panels: by label, uint8 [H, W, 3] RGB or [H, W]; said: what came of it, one line. legend: (#rrggbb, text).
        An earlier try of a source of the same name is replaced.
        """
        name = re.sub(r"[^\w.-]+", "_", source.stem) or "picture"
        if self._taken.setdefault(name, source) != source:
            raise UserError(f"{source}: would be written to {name}_*.png, as {self._taken[name]} just now; rename one of them")
        written = []
        for label, pixels in panels.items():
            path = self.folder / f"{name}_{re.sub(r'[^a-z0-9]+', '_', label.lower())}.png"
            pictures.write_rgb(path, pixels)
            written.append({"label": label, "image": path.name, "width": pixels.shape[1], "height": pixels.shape[0]})
        entry = {"name": name, "source": str(source), "said": said, "panels": written,
                 "legend": [list(pair) for pair in legend]}
        before: List[Dict[str, Any]] = []
        with suppress(UserError):  # damaged: the list begins anew
            before = files.read_json(self._list, "tries") if self._list.is_file() else []
        files.write_json(self._list, [entry, *(old for old in before if old["name"] != name)][:KEPT])
        self._write()  # each time, so that one that fails leaves a page of those before
        print(f"{self.folder / written[-1]['image']}: {said}")

    def _write(self) -> None:
        files.write_text(self.folder / "index.html", build(self.model, files.read_json(self._list, "tries")))

    def page(self) -> None:
        """Write `index.html` of all tries that are there, and tell where it is."""
        self._write()
        print(f"{self.folder / 'index.html'} shows them all")


def build(model: str, tries: Sequence[Mapping[str, Any]]) -> str:
    """The page as text; its pictures lie beside it."""
    import dominate
    from dominate import tags

    from common.publish import explore
    page = dominate.document(title=f"{model}: tries", lang="en")
    page.body.add(tags.h1(page.title), tags.p(f"{len(tries)} of one's own, the newest first.", cls="dim"))
    for entry in tries:
        made = tags.section(tags.h2(entry["name"]), tags.p(entry["said"]))
        if entry["legend"]:
            made.add(tags.div(*[tags.span(tags.span(cls="swatch", style=f"background:{colour}"), text)
                                for colour, text in entry["legend"]], cls="key"))
        panels = tags.div(cls="panels")
        for panel in entry["panels"]:
            ratio = panel["width"] / panel["height"]
            figure = tags.figure(
                tags.a(tags.img(src=panel["image"], alt=f"{entry['name']}: {panel['label']}", width=panel["width"],
                                height=panel["height"]), href=panel["image"]),
                tags.figcaption(f"{panel['label']}, {panel['width']} x {panel['height']}"),
                style=f"flex:{ratio:.3f} 1 {ratio * 220:.0f}px;max-width:{max(panel['width'], 288)}px")
            if panel in (entry["panels"][0], entry["panels"][-1]):
                figure["data-compare"] = panel["label"]
            panels.add(figure)
        page.body.add(made)
        made.add(panels)
    explore.furnish(page, "'self' file:")
    return page.render(pretty=False) + "\n"
