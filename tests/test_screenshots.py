"""What the page looks like, part by part, at two widths in both themes, beside pictures in `tests/screenshots`.

The report is made up, and its text is set in `box_font`, so that neither the models' figures nor a machine's fonts count.
Pictures are kept at a quarter of their size. After a change that is meant,

    SCREENSHOTS=write python -m pytest -m full tests/test_screenshots.py

writes those anew that differ; look at them before they are committed. A test that fails leaves what it saw in its folder.
"""
from __future__ import annotations

import base64
import io
import os

import numpy as np
import pytest
from PIL import Image

import box_font
from common.base import files
from common.publish import gallery, page
from conftest import ROOT
from test_browser import THEMES, Tab
from test_report import accuracy, full

pytestmark = pytest.mark.full
KEPT = ROOT / "tests/screenshots"
WIDTHS = (400, 1280)
SHARE = 4
"""A picture is kept at one part in SHARE of its width and height."""
BLOCK, MOST = 4, 20
"""No square of BLOCK pixels a side, so 16 of the page's, may differ by more than MOST of 255 in its mean colour. An edge that
another version of the browser puts a pixel aside changes a square by half of that; a badge in another colour by twice as much."""
PARTS = ("head", "EDSR", "pictures-worst-first", "every-sample", "every-class", "throughput-by-batch", "performance", "on-disk")
CUTS = """() => {
  const section = document.querySelector('section');
  const name = (text) => text.toLowerCase().replace(/[^a-z0-9]+/g, '-');
  const top = (each) => Math.round(each.getBoundingClientRect().top + scrollY);
  return [['head', 0], [section.id, top(section)],
          ...[...section.querySelectorAll('h3')].map((each) => [name(each.textContent), top(each)]),
          ['end', top(section) + section.offsetHeight]];
}"""


def drawn(seed, side=96):
    """A picture of plain colours: uint8 [side, side, 3]."""
    ys, xs = np.mgrid[:side, :side] / side
    disc = (xs - 0.5) ** 2 + (ys - 0.4) ** 2 < 0.09
    made = np.stack([xs, ys, np.full_like(xs, seed / 4)], 2)
    made[disc] = (1, 0.8, seed / 4)
    return (255 * made).astype(np.uint8)


@pytest.fixture(scope="module")
def made_up(tmp_path_factory):
    """The page of two models that are no models: nothing in it is of a run or of facts.json but the two names."""
    folder = tmp_path_factory.mktemp("made_up")
    found = []
    for place, (name, value) in enumerate((("EDSR", 34.6), ("CGAN", 20))):
        def row(number):
            return gallery.Row(f"sample {number}", 30.0 + number, [
                gallery.Panel(label, drawn(number + at), cover=at > 0) for at, label in enumerate(("whole", "in", "out"))])

        gallery.write(folder / name, [row(0), row(1)], "What is shown.", [("#ff0000", "missed")],
                      [{"sample": f"sample {number}", "value": 30.0 + number} for number in (2, 3, 4)], lambda entry: row(2))
        rows = [{"sample": f"sample {number}", "value": 30.0 + number} for number in range(5)]
        files.write_json(folder / name / "accuracy.json", {**accuracy(32.0, 5), "rows": rows, "classes": [
            {"name": "road", "value": 80.0, "colour": "#804080"}, {"name": "sky", "value": 35.0, "colour": "#4682b4"}]})
        one = full(name, value=value)
        one.update(title=f"Network {place}", date="2024-05-06T07:08:09+00:00", cost=[], shares=[], references=[
            {"quantity": "throughput", "value": 400.0 * batch, "unit": "images/s", "batch": batch, "device": "a chip",
             "definition": "as others measured it"} for batch in (1, 4)])
        found.append((one, folder / name))
    files.write_text(folder / "report.html", page.build(found, 200, folder))
    return folder / "report.html"


def parts(tab):
    """The page's parts by name, from its top on, each reduced: uint8 [H, W, 3]."""
    text = tab.page.evaluate("document.documentElement.textContent")
    font = base64.b64encode(box_font.build(text)).decode()
    tab.page.add_style_tag(content=f"@font-face {{ font-family: Box; font-weight: 1 1000; src: url(data:font/ttf;base64,{font}); }}"
                                   "* { font-family: Box !important; text-rendering: geometricPrecision; }")
    tab.page.evaluate("document.querySelectorAll('details:not(.slide)').forEach((each) => { each.open = true; })")
    loaded = tab.page.evaluate("document.fonts.ready.then(() => [...document.fonts].map((each) => each.status))")
    assert loaded == ["loaded"], "the browser loads no font; where a machine has none at all, it loads none of a page's either"
    cuts = tab.page.evaluate(CUTS)
    with Image.open(io.BytesIO(tab.page.screenshot(full_page=True))) as image:
        whole = image.convert("RGB")
    found = {}
    for (name, top), (_, bottom) in zip(cuts, cuts[1:]):
        size = max(1, whole.width // SHARE), max(1, (bottom - top) // SHARE)
        found[name] = np.asarray(whole.crop((0, top, whole.width, bottom)).resize(size, Image.BOX))
    return found


def apart(seen, kept):
    """How far two pictures, uint8 [H, W, 3], are apart: the largest difference of a square's mean colour, 0 to 255.

    What one has and the other has not, beyond a pixel, counts as 255.
    """
    if max(abs(one - other) for one, other in zip(seen.shape, kept.shape)) > 1:
        return 255.0
    height, width = (min(sides) for sides in zip(seen.shape[:2], kept.shape[:2]))
    difference = seen[:height, :width].astype(float) - kept[:height, :width]
    total = np.zeros((height + 1, width + 1, 3))
    total[1:, 1:] = difference.cumsum(0).cumsum(1)
    down, across = min(BLOCK, height), min(BLOCK, width)
    sums = total[down:, across:] - total[:-down, across:] - total[down:, :-across] + total[:-down, :-across]
    return float(np.abs(sums).max()) / (down * across)


def differing(seen, width, theme):
    """The names of PARTS that do not look as they did, and of those that are there and were not."""
    found = [name for name in seen if name not in PARTS]
    for name in PARTS:
        path = KEPT / f"{name}-{width}-{theme}.png"
        if name not in seen or not path.is_file() or apart(seen[name], np.asarray(Image.open(path).convert("RGB"))) > MOST:
            found.append(name)
    return found


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("width", WIDTHS)
def test_every_part_of_the_page_looks_as_it_did(browser, made_up, tmp_path, width, theme):
    with Tab(browser, made_up, width, theme, bypass_csp=True) as tab:
        seen = parts(tab)
    assert tuple(seen) == PARTS
    found = differing(seen, width, theme)
    write = os.environ.get("SCREENSHOTS") == "write"
    for name in found:
        target = (KEPT if write else tmp_path) / f"{name}-{width}-{theme}.png"
        target.parent.mkdir(exist_ok=True)
        Image.fromarray(seen[name]).save(target, optimize=True)
    assert write or not found, f"not as in {KEPT}: {', '.join(found)}; as seen: {tmp_path}"


BROKEN = {
    "a part is missing": ("document.querySelector('#EDSR .classes').parentElement.previousElementSibling.remove();"
                          "document.querySelector('#EDSR .classes').parentElement.remove()", {"every-class"}),
    "a chart is empty": ("document.querySelectorAll('#EDSR .chart .mark').forEach((each) => each.remove())", {"throughput-by-batch"}),
    "a picture is missing": ("document.querySelector('#EDSR .panels img').style.visibility = 'hidden'", {"pictures-worst-first"}),
    "a column is too wide": ("document.querySelector('#EDSR .cards').style.gridTemplateColumns = 'repeat(9, 12rem)'", {"EDSR"}),
    "a table lost its style": ("document.querySelector('table').className = ''; document.querySelector('table').style.width = 'auto'",
                               {"head"}),
    **{f"the colour of {name} is another": (f"document.documentElement.style.setProperty('--{name}', '{colour}')", {part})
       for name, colour, part in (("ground", "#808080", "on-disk"), ("card", "#808080", "EDSR"), ("ink", "#c08000", "performance"),
                                  ("dim", "#c08000", "head"), ("here", "#c08000", "every-sample"),
                                  ("other", "#c000c0", "throughput-by-batch"), ("pass", "#c000c0", "EDSR"), ("fail", "#0000ff", "head"))},
}
"""What may go wrong, as a script does it, and the parts in which it must be seen."""


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("what", BROKEN)
def test_what_is_broken_on_purpose_is_seen_where_it_is(browser, made_up, width, theme, what):
    script, where = BROKEN[what]
    with Tab(browser, made_up, width, theme, bypass_csp=True) as tab:
        tab.page.evaluate(f"() => {{ {script}; }}")
        assert where <= set(differing(parts(tab), width, theme))


def test_the_other_themes_pictures_are_not_taken_for_this_ones(browser, made_up):
    with Tab(browser, made_up, 1280, "light", bypass_csp=True) as tab:
        assert set(differing(parts(tab), 1280, "dark")) == set(PARTS)


def test_an_edge_a_pixel_aside_is_within_the_tolerance_and_a_colour_is_not():
    page_like = np.full((160, 160, 3), 255, np.uint8)
    page_like[40:48, 20:140] = 28  # a line of text
    reduced = [np.asarray(Image.fromarray(np.roll(page_like, by, axis)).resize((40, 40), Image.BOX))
               for by, axis in ((0, 0), (1, 0), (1, 1))]
    assert all(apart(other, reduced[0]) < MOST for other in reduced[1:])
    red = page_like.copy()
    red[40:48, 20:140] = (220, 28, 28)
    assert apart(np.asarray(Image.fromarray(red).resize((40, 40), Image.BOX)), reduced[0]) > 2 * MOST
    assert apart(reduced[0][:-2], reduced[0]) == 255


def test_no_picture_is_kept_that_no_part_has():
    kept = {path.name for path in KEPT.iterdir()}
    assert kept == {f"{name}-{width}-{theme}.png" for name in PARTS for width in WIDTHS for theme in THEMES}
    assert sum(path.stat().st_size for path in KEPT.iterdir()) < 300_000
