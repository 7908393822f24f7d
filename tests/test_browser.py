"""The page in a real browser: Chromium of the system, without a window, driven by Playwright.

The fixture `browser` says when they are skipped.
"""
from __future__ import annotations

import numpy as np
import pytest

from common.base import facts, files, pictures
from common.publish import page as publish
from common.publish import tries
from conftest import ROOT
from test_page import make_gallery, noise
from test_report import MODELS, accuracy, full

pytestmark = pytest.mark.full
SIZES = (400, 800, 1280)
THEMES = ("light", "dark")


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """A page of five models, each with a gallery and sixty samples."""
    folder = tmp_path_factory.mktemp("page")
    for name in MODELS:
        (folder / name).mkdir()
        make_gallery(folder / name, height=60, width=80, others=["sample_1", "sample_2"])
        rows = [{"sample": f"sample_{number}", "value": 20 + (number * 37 % 60) / 7} for number in range(60)]
        files.write_json(folder / name / "accuracy.json", {
            **accuracy(34.6), "rows": sorted(rows, key=lambda row: row["value"]),
            "classes": [{"name": "road", "value": 80.0, "colour": "#804080"}]})
        files.write_json(folder / name / "report.json", full(name))
    publish.main([*(str(folder / name / "report.json") for name in MODELS), "--output", str(folder / "report.html")])
    return folder / "report.html"


class Tab:
    """A page that is open; `complaints` holds what its console said and what it asked the network for."""

    def __init__(self, browser, path, width=1280, theme="light", script=True, **more):
        self.context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=theme,
                                           java_script_enabled=script, **more)
        self.page = self.context.new_page()
        self.complaints = []
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: request.url.startswith(("file:", "data:"))
                     or self.complaints.append(request.url))
        self.page.goto(path.as_uri())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.context.close()


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("width", SIZES)
def test_nothing_is_wider_than_the_window_and_the_console_is_silent(browser, report, width, theme):
    with Tab(browser, report, width, theme) as tab:
        tab.page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
        wide = tab.page.evaluate("""() => [...document.querySelectorAll('body *')]
            .filter((each) => !each.closest('.scroll, svg, dialog') && each.getBoundingClientRect().right > innerWidth + 1)
            .map((each) => each.outerHTML.slice(0, 80))""")
        assert wide == [] and tab.page.evaluate("document.documentElement.scrollWidth") <= width
        assert tab.complaints == []


CONTRAST = """() => {
  const rgb = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = (colour) => { const [r, g, b] = colour.map((part) => { const share = part / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4; });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const ground = (each) => { for (; each; each = each.parentElement) {
      const colour = rgb(getComputedStyle(each).backgroundColor);
      if (colour.length < 4 || colour[3] > 0) return colour.slice(0, 3); } return [255, 255, 255]; };
  const poor = [];
  for (const each of document.querySelectorAll('body *')) {
    if (!each.checkVisibility() || ![...each.childNodes].some((node) => node.nodeType === 3 && node.data.trim())) continue;
    const style = getComputedStyle(each);
    const ink = rgb(each.namespaceURI.endsWith('svg') ? style.fill : style.color).slice(0, 3);
    const [low, high] = [light(ink), light(ground(each))].sort((one, other) => one - other);
    const ratio = (high + 0.05) / (low + 0.05);
    if (ratio < 4.5) poor.push(`${each.tagName} ${each.className} ${ratio.toFixed(2)}: ${each.textContent.slice(0, 30)}`);
  }
  return poor;
}"""


@pytest.mark.parametrize("theme", THEMES)
def test_every_text_has_the_contrast_of_wcag_aa(browser, report, theme):
    with Tab(browser, report, theme=theme) as tab:
        tab.page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
        assert tab.page.evaluate(CONTRAST) == []


def test_zoom_opens_and_closes_by_keyboard_and_mouse(browser, report):
    with Tab(browser, report) as tab:
        image = tab.page.locator("#EDSR .panels img").first
        image.focus()
        tab.page.keyboard.press("Enter")
        shown = tab.page.get_by_role("dialog")
        assert shown.is_visible() and shown.locator("img").get_attribute("src") == image.get_attribute("src")
        tab.page.wait_for_function("document.querySelector('dialog output').textContent === '200 %'")
        shown.get_by_role("button", name="larger").click()
        assert shown.locator("output").inner_text() == "400 %"
        assert shown.locator("img").evaluate("(image) => image.getBoundingClientRect().width") == 4 * 80
        tab.page.keyboard.press("Escape")
        assert not shown.is_visible() and image.evaluate("(image) => image === document.activeElement")
        image.click()
        shown.get_by_role("button", name="close").click()
        assert not shown.is_visible() and tab.complaints == []


def test_the_slider_uncovers_one_picture_or_the_other(browser, report):
    with Tab(browser, report) as tab:
        tab.page.locator("#EDSR summary", has_text="by a slider").first.click()
        stack = tab.page.locator("#EDSR .stack2").first
        slider = tab.page.get_by_role("slider", name="left of here panel 0, right of it panel 1").first
        originals = tab.page.locator("#EDSR .panels img").evaluate_all("(all) => all.slice(0, 2).map((each) => each.src)")

        def pixels(value):
            slider.fill(str(value))
            return np.asarray(pictures_of(stack.screenshot()), int)

        left, right = pixels(100), pixels(0)
        assert np.abs(left - right).mean() > 20  # two different noises
        middle = pixels(50)
        half = middle.shape[1] // 2
        assert np.abs(middle[:, :half - 6] - left[:, :half - 6]).mean() < 2
        assert np.abs(middle[:, half + 6:] - right[:, half + 6:]).mean() < 2
        slider.focus()
        tab.page.keyboard.press("ArrowRight")
        assert slider.input_value() == "51"
        assert stack.locator("img").evaluate_all("(all) => all.map((each) => each.src)") == originals[::-1]


def pictures_of(png):
    """A screenshot as uint8 [H, W, 3]."""
    import io

    from PIL import Image
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


def test_the_table_of_samples_sorts_both_ways(browser, report):
    with Tab(browser, report) as tab:
        tab.page.locator("#EDSR summary", has_text="All 60 samples").click()
        table = tab.page.locator("#EDSR table.samples")

        def column(number):
            return table.locator(f"tbody td:nth-child({number})").all_inner_texts()

        worst = column(2)
        assert [float(text) for text in worst] == sorted(float(text) for text in worst)
        by_value, by_name = table.locator("th").get_by_role("button").all()[::-1]
        by_value.click(), by_value.click()
        assert column(2) == worst[::-1]
        assert table.locator("th").nth(1).get_attribute("aria-sort") == "descending"
        by_name.click()
        assert column(1) == [f"sample_{number}" for number in range(60)]


@pytest.mark.parametrize("width", SIZES)
def test_a_samples_picture_is_read_from_beside_the_page_when_it_is_asked_for(browser, report, width):
    with Tab(browser, report, width) as tab:
        asked = []
        tab.page.on("request", lambda request: asked.append(request.url.rpartition("/")[2]))
        tab.page.locator("#EDSR summary", has_text="All 60 samples").click()
        name = tab.page.locator("#EDSR").get_by_role("button", name="sample_2", exact=True)
        name.focus()
        assert asked == [] and name.get_attribute("aria-expanded") == "false"
        tab.page.keyboard.press("Enter")
        picture = tab.page.locator("#EDSR").get_by_role("img", name="sample_2: panel 0 → panel 1")
        picture.wait_for()
        assert picture.evaluate("(image) => image.decode().then(() => image.naturalWidth)") == 80 + 4 + 80
        assert asked == ["1.jpg"] and name.get_attribute("aria-expanded") == "true"
        assert tab.page.evaluate("document.documentElement.scrollWidth") <= width
        tab.page.locator("#EDSR table.samples").get_by_role("button", name="sort by sample").click()
        names = tab.page.locator("#EDSR table.samples tbody td:first-child").all_inner_texts()
        assert [text.split("\n")[0] for text in names] == [f"sample_{number}" for number in range(60)]
        tab.page.keyboard.press("Shift+Tab")
        name.press("Space")
        assert not picture.is_visible() and name.get_attribute("aria-expanded") == "false"
        name.click()
        assert picture.is_visible() and asked == ["1.jpg"] and tab.complaints == []


def test_a_page_without_its_folder_is_complete_and_says_where_pictures_would_lie(browser, report, tmp_path):
    alone = tmp_path / "report.html"
    alone.write_bytes(report.read_bytes())
    with Tab(browser, alone) as tab:
        assert tab.page.locator("img").evaluate_all("(all) => all.filter((each) => each.src).every((each) => each.naturalWidth)")
        tab.page.locator("#EDSR summary", has_text="All 60 samples").click()
        assert tab.page.locator("#EDSR").get_by_text("lie beside it, in the folder thumbnails").is_visible()
        assert tab.complaints == []
        tab.page.locator("#EDSR").get_by_role("button", name="sample_2", exact=True).click()
        told = tab.page.locator("#EDSR table.samples").get_by_role("status")
        told.get_by_text("There is no thumbnails/EDSR/1.jpg beside this page.").wait_for()
        assert told.locator("img").count() == 0


def test_figures_are_downloaded_as_csv(browser, report):
    with Tab(browser, report) as tab:
        with tab.page.expect_download() as waiting:
            tab.page.locator("#EDSR a[download='EDSR.csv']").click()
        assert len(waiting.value.path().read_text().splitlines()) == 61


def test_without_script_everything_is_there_to_read(browser, report):
    with Tab(browser, report, script=False) as tab:
        for text in ("Every sample", "All 60 samples", "road", "Throughput by batch"):
            assert tab.page.locator("#EDSR").get_by_text(text).first.is_visible(), text
        tab.page.locator("#EDSR summary", has_text="All 60 samples").click()
        assert tab.page.locator("#EDSR table.samples").get_by_text("sample_59").is_visible()
        assert tab.page.locator("button, dialog").count() == 0
        tab.page.locator("#EDSR").get_by_role("link", name="sample_2", exact=True).click()
        tab.page.wait_for_url("**/thumbnails/EDSR/1.jpg")


def test_print_is_light_and_no_wider_than_a_sheet(browser, report):
    with Tab(browser, report, width=794, theme="dark") as tab:  # A4 at 96 pixels an inch
        tab.page.emulate_media(media="print")
        assert tab.page.evaluate("document.documentElement.scrollWidth") <= 794
        assert tab.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        assert tab.page.pdf().startswith(b"%PDF")


def test_the_page_of_tries_loads_its_pictures_and_compares_them(browser, tmp_path):
    made = tries.Tries(tmp_path, facts.load(ROOT / "EDSR"))
    pictures.write_rgb(tmp_path / "own.png", noise(1))
    made.add(tmp_path / "own.png", {"bicubic": noise(1, 40, 60), "EDSR": noise(2, 40, 60)}, "made larger")
    made.page()
    with Tab(browser, tmp_path / "index.html", 400) as tab:
        assert tab.page.locator("img").evaluate_all("(all) => all.filter((each) => each.src).every((each) => each.naturalWidth)")
        tab.page.locator("summary").click()
        assert tab.page.get_by_role("slider").is_visible() and tab.complaints == []
        assert tab.page.evaluate("document.documentElement.scrollWidth") <= 400
