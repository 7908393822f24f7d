"""The HTML page and its pictures: self-contained, within its limit, references never drawn as measurements."""
from __future__ import annotations

import base64
import hashlib
import io
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from common.base import files
from common.base.errors import UserError
from common.publish import explore, gallery, page, precision
from conftest import ROOT, one_line_error
from test_report import MODELS, agreement, full, run_record

VOID = {"meta", "link", "br", "img", "hr", "input"}


class Checked(HTMLParser):
    """Collects tags and attributes, and fails where an element is closed that is not open."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.words, self._open = [], [], []
        self.feed(text)
        assert not self._open, self._open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self._open and self._open[-1] == tag, (tag, self._open)
        self._open.pop()

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


def noise(seed, height=300, width=400):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def make_gallery(folder, samples=2, panels=3, others=(), **size):
    def row(number):
        return gallery.Row(f"sample {number}", 20.0 + number, [
            gallery.Panel(f"panel {place}", noise(number * 10 + place, **size), 1.5 if place else None, cover=place < 2)
            for place in range(panels)])

    gallery.write(folder, [row(number) for number in range(samples)], "what is shown", [("#ff0000", "missed")],
                  [{"sample": name, "value": 30.0} for name in others], lambda entry: row(len(entry["sample"])))


@pytest.fixture
def reports(tmp_path):
    found = []
    for name in MODELS:
        (tmp_path / name).mkdir()
        files.write_json(tmp_path / name / "report.json", full(name, value=20 if name == "CGAN" else 34.6))
        make_gallery(tmp_path / name)
        found.append(tmp_path / name / "report.json")
    return found


def test_the_page_is_one_file_without_network_and_no_script_but_its_own(reports, tmp_path, run):
    result = run("-m", "common.publish.page", *reports, "--output", tmp_path / "report.html")
    assert result.returncode == 0, result.stderr
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    seen = Checked(text)
    assert not {tag for tag, _ in seen.tags} & {"link", "iframe", "object", "embed", "video", "base", "form"}
    for tag, attributes in seen.tags:
        assert not [name for name in attributes if name.startswith("on")], attributes
        for name in ("src", "href", "data", "action", "srcset", "poster", "xlink:href"):
            assert attributes.get(name, "data:").startswith(("data:image/", "data:", "#")), attributes
    assert "url(" not in text and "@import" not in text and "http://" not in text and "https://" not in text
    (policy,) = [attributes["content"] for tag, attributes in seen.tags if "http-equiv" in attributes]
    (script,) = re.findall("<script>(.*?)</script>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy == ("default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
                      f"script-src 'sha256-{digest}'")
    assert len(text.encode()) < page.LIMIT


def test_every_model_has_its_verdict_and_pictures_whose_data_decode(reports):
    seen = Checked(page.fitting([(files.read_json(path, "report"), path.parent) for path in reports]))
    sections = [attributes["id"] for tag, attributes in seen.tags if tag == "section"]
    assert sections == MODELS
    for name in MODELS:
        assert ("a", {"href": f"#{name}"}) in seen.tags
    badges = [attributes["class"] for tag, attributes in seen.tags if "badge" in attributes.get("class", "")]
    assert badges.count("badge fail") == 3 and badges.count("badge pass") == 2 * (len(MODELS) - 1)
    images = [attributes for tag, attributes in seen.tags if tag == "img"]
    assert len(images) == len(MODELS) * (6 + 2)  # and two at the head of the page
    for attributes in images:
        content = base64.b64decode(attributes["src"].partition(",")[2])
        with Image.open(io.BytesIO(content)) as image:
            assert image.size == (400, 300)
        assert attributes["alt"] and attributes["width"] == "400"


def test_the_page_of_large_pictures_shrinks_them_below_the_limit(tmp_path, monkeypatch):
    make_gallery(tmp_path, samples=4, panels=3, height=480, width=480)
    one = [(full(), tmp_path)]
    large = len(page.build(one, page.SIDES[0]).encode())
    monkeypatch.setattr(page, "LIMIT", large // 3)
    assert len(page.fitting(one).encode()) < large // 3
    monkeypatch.setattr(page, "LIMIT", 1000)
    with pytest.raises(UserError, match="at most 1.0 kB are allowed"):
        page.fitting(one)


def test_the_head_shows_what_went_in_and_came_out_of_the_middle_sample(reports):
    ones = [(files.read_json(path, "report"), path.parent) for path in reports]
    head = page.fitting(ones).split('class="cover"')[1].split("<section")[0]
    for name in MODELS:
        assert f'alt="{name}: panel 0"' in head and f'alt="{name}: panel 1"' in head and f'href="#{name}"' in head
    assert "panel 2" not in head and "panel 0 → panel 1" in head
    middle = page.thumbnail(ones[0][1] / "gallery/1_0.png", page.SIDES[0])  # the second of two samples
    assert middle in head and page.thumbnail(ones[0][1] / "gallery/0_0.png", page.SIDES[0]) not in head
    assert 'class="cover"' not in page.fitting(ones[:1])  # one model's page begins with its own pictures


def test_seeded_weights_show_pictures_without_values(tmp_path):
    make_gallery(tmp_path)
    seeded = full(inputs={"data": "demo", "checkpoint": "seeded"})
    text = Checked(page.build([(seeded, tmp_path)], 200)).text
    assert "20.00 dB" not in text and "PSNR" not in text and "never trained" in text and "panel 1" in text
    assert "20.00 dB" in Checked(page.build([(full(), tmp_path)], 200)).text


def test_text_from_outside_is_escaped(tmp_path):
    one = full(inputs={"data": "/data/<script>alert(1)</script>&", "checkpoint": "/y.pth"})
    text = page.build([(one, tmp_path)], 200)
    assert text.count("<script") == 1 and "&lt;script&gt;" in text


# the chart

def drawn(one):
    """The chart's rows: (class, label) with what is drawn in each."""
    text = page.chart("Throughput", page.bars(one)).render(pretty=False)
    return re.findall(r'<svg aria-label="([^"]*)" class="(here|other)" role="img">(.*?)</svg>(?=<span)', text) or \
        re.findall(r'<svg class="(here|other)" role="img" aria-label="([^"]*)">(.*?)</svg>(?=<span)', text)


@pytest.mark.parametrize("name", MODELS)
def test_references_are_drawn_hollow_and_named_and_measurements_full(name):
    one = full(name)
    rows = drawn(one)
    references = [entry for entry in one["references"] if entry["quantity"] == "throughput"]
    assert len(rows) == len(references) + 1
    for row in rows:
        here, label = ("here" in row[:2]), next(part for part in row[:2] if part not in ("here", "other"))
        assert ("measured here" in label) == here and ("reference" in label) == (not here)
        assert ("<circle" in row[2]) == here and ("<path" in row[2]) == (not here)
    style = (page.Path(page.__file__).with_name("page.css")).read_text()
    assert re.search(r"\.other \.mark \{ fill: var\(--ground\); stroke", style)  # hollow
    assert re.search(r"\.other \.stem \{[^}]*stroke-dasharray", style)


def test_the_chart_puts_the_sweep_before_a_single_run_and_leaves_other_models_out():
    one = full("UNetPlusPlus", runs=[run_record("other.onnx", batch=2, mean=1.0, sha256="b" * 64),
                                     run_record(mean=20.0)],
               sweep=[run_record(mean=10.0), run_record(batch=4, mean=30.0)])
    measured = [(bar.batch, round(bar.value, 3)) for bar in page.bars(one) if bar.here]
    assert measured == [(1, 100.0), (4, 133.333)]
    batches = [bar.batch for bar in page.bars(one)]
    assert batches == sorted(batches) and len(batches) == 2 + 15


def test_a_reference_that_counts_runs_is_turned_into_images():
    values = {bar.label: bar.value for bar in page.bars(full("CGAN"))}
    assert values["310, reference"] == 156800 and values["T4, reference"] == 233700


def test_places_on_the_axis_are_logarithmic():
    rows = [page.Bar(1, "a, measured here", 1.0, True, ""), page.Bar(1, "b, reference", 10.0, False, ""),
            page.Bar(1, "c, reference", 100.0, False, "")]
    text = page.chart("x", rows).render(pretty=False)
    assert page.decades([1.0, 10.0, 100.0]) == (0, 2)
    assert 'cx="0.00%"' in text and 'x="50.00%"' in text and 'x="100.00%"' in text
    assert page.decades([0.3, 0.4]) == (-1, 0) and page.decades([10.0]) == (1, 2)


def test_a_network_of_another_size_is_named_and_warned_of(tmp_path):
    record = run_record()
    record["provenance"]["metadata"]["parameters"] = "10000"
    text = Checked(page.build([(full(runs=[record]), tmp_path)], 200)).text
    assert "ONNX Runtime, a network of another size, here" in text
    assert "Beware: the network measured has about 10 thousand parameters, the reference's 1.37 million" in text
    assert "Beware" not in Checked(page.build([(full(), tmp_path)], 200)).text


@pytest.mark.parametrize("value, text", [(None, "-"), (0, "0.000"), (32.1752, "32.18"), (0.4359, "0.4359"),
                                         (2294.3, "2\u202f294"),
                                         (0.00001, "1.000e-05"), (1568, "1\u202f568"), (-3.14159, "-3.142"),
                                         (9.9999, "10.000")])
def test_numbers_for_people(value, text):
    assert page.number(value) == text


# bad input

def test_bad_input_is_one_line_and_no_page(reports, tmp_path, run):
    out = tmp_path / "x.html"
    one_line_error(run("-m", "common.publish.page", tmp_path / "none.json", "--output", out), "no such file")
    (tmp_path / "bad.json").write_text('{"model": "EDSR"}')
    one_line_error(run("-m", "common.publish.page", tmp_path / "bad.json", "--output", out), "is no report of this version")
    (reports[0].parent / "gallery/0_0.png").write_bytes(b"no picture")
    one_line_error(run("-m", "common.publish.page", reports[0], "--output", out), "0_0.png: cannot be decoded")
    assert not out.exists()


# every sample

def test_every_sample_class_and_raw_figure_is_on_the_page(tmp_path):
    rows = [{"sample": f's"{number}', "value": 20 + number / 3} for number in range(40)]
    files.write_json(tmp_path / "accuracy.json", {
        "metric": "PSNR", "unit": "dB", "definition": "x", "value": 26.5, "samples": 40, "baseline": None, "rows": rows, "classes": [
        {"name": "road", "value": 81.25, "colour": "#804080"}, {"name": "train", "value": None, "colour": "#005064"}]})
    text = page.build([(full(), tmp_path)], 200)
    seen = Checked(text)
    assert "All 40 samples, worst first" in seen.text and 's"39' in seen.text and "81.25 %" in seen.text
    assert "train not there" in seen.text and "width:81.2%" in text
    found = {attributes["download"]: base64.b64decode(attributes["href"].partition(",")[2]).decode()
             for tag, attributes in seen.tags if "download" in attributes}
    assert found["EDSR.csv"].splitlines()[:2] == ["sample,value", '"s""0",20.0']
    assert json.loads(found["EDSR.json"])["rows"] == rows
    assert "All 40" not in page.build([(full(accuracy=None, pytorch=None), tmp_path)], 200)


def test_a_sample_in_the_table_leads_to_its_pictures(tmp_path):
    make_gallery(tmp_path, height=30, width=40)  # sample 0 of 20, sample 1 of 21
    rows = [{"sample": name, "value": value} for name, value in (("sample 0_1.bin", 20.0), ("sample 0", 20.5), ("sample 1", 21.0))]
    files.write_json(tmp_path / "accuracy.json", {
        "metric": "PSNR", "unit": "dB", "definition": "x", "value": 20.5, "samples": 3, "baseline": None, "rows": rows})
    text = page.build([(full(), tmp_path)], 200)
    links = dict(re.findall(r'<a href="#(EDSR-[0-9]+)">([^<]*)</a>', text))
    assert links == {"EDSR-0": "sample 0_1.bin", "EDSR-1": "sample 1"}
    captions = {attributes["id"] for _, attributes in Checked(text).tags if attributes.get("class") == "sample"}
    assert captions == set(links) and "leads to the sample's pictures" in Checked(text).text


# thumbnails

def with_thumbnails(folder, others=("o1", "o2", "o3")):
    """A folder whose gallery shows two samples, and which has thumbnails of the others."""
    make_gallery(folder, others=others, height=30, width=40)
    rows = [{"sample": "sample 0", "value": 20.0}, {"sample": "sample 1", "value": 21.0}, *(
        {"sample": name, "value": 30.0} for name in (*others, "unseen"))]
    files.write_json(folder / "accuracy.json", {"metric": "PSNR", "unit": "dB", "definition": "x", "value": 25.0,
                                                "samples": len(rows), "baseline": None, "rows": rows})
    files.write_json(folder / "report.json", full())
    return folder / "report.json"


def beside(text):
    """Where the page looks for thumbnails, by sample."""
    return {name: place for place, name in re.findall(r'<a class="beside" href="([^"]*)">([^<]*)</a>', text)}


def test_a_sample_that_the_page_does_not_show_leads_to_a_file_beside_it(tmp_path):
    page.main([str(with_thumbnails(tmp_path)), "--output", str(tmp_path / "report.html")])
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert beside(text) == {"o1": "thumbnails/0.jpg", "o2": "thumbnails/1.jpg", "o3": "thumbnails/2.jpg"}
    assert "img-src data: 'self' file:;" in text and "thumbnails/" not in "".join(re.findall(r"<img[^>]*>", text))
    assert "(panel 0 → panel 1) lie beside it, in the folder thumbnails" in Checked(text).text
    assert '<a href="#EDSR-0">sample 0</a>' in text and "<td>unseen</td>" in text
    for place in beside(text).values():
        with Image.open(tmp_path / place) as image:
            assert image.format == "JPEG" and image.width <= gallery.WIDTH


def test_a_page_elsewhere_takes_the_thumbnails_along_and_removes_those_of_the_page_before(tmp_path):
    report, out = with_thumbnails(tmp_path / "EDSR/build"), tmp_path / "build/report.html"
    page.main([str(report), "--output", str(out)])
    assert list(beside(out.read_text(encoding="utf-8")).values()) == [f"thumbnails/EDSR/{number}.jpg" for number in range(3)]
    copied = out.parent / "thumbnails/EDSR"
    (copied / "own.jpg").write_bytes(b"the user's")
    assert (copied / "2.jpg").read_bytes() == (report.parent / "thumbnails/2.jpg").read_bytes()
    with_thumbnails(report.parent, ("o1",))
    page.main([str(report), "--output", str(out)])
    assert sorted(path.name for path in copied.iterdir()) == ["0.jpg", "own.jpg"]
    assert sorted(path.name for path in (report.parent / "thumbnails").iterdir()) == ["0.jpg"]
    make_gallery(report.parent)
    page.main([str(report), "--output", str(out)])
    text = out.read_text(encoding="utf-8")
    assert not beside(text) and "thumbnails" not in Checked(text).text and "img-src data:;" in text
    assert [path.name for path in copied.iterdir()] == ["own.jpg"]


def test_thumbnails_are_of_the_worst_samples_as_many_as_are_meant_and_the_page_says_who_has_none(tmp_path, monkeypatch):
    monkeypatch.setattr(gallery, "MOST", 2)
    page.main([str(with_thumbnails(tmp_path)), "--output", str(tmp_path / "report.html")])
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert list(beside(text)) == ["o1", "o2"] and "Without any: the 1 best." in Checked(text).text


def test_a_thumbnail_that_is_gone_is_one_line_and_no_page(tmp_path, run):
    report = with_thumbnails(tmp_path / "own")
    (tmp_path / "own/thumbnails/1.jpg").unlink()
    one_line_error(run("-m", "common.publish.page", report, "--output", tmp_path / "x.html"), "1.jpg: expected a thumbnail there")
    assert not (tmp_path / "x.html").exists()


@pytest.mark.parametrize("size, expected", [((300, 300), (158, 320)), ((200, 400), (324, 320)), ((60, 40), (60, 84)),
                                            ((600, 300), (158, 162))])
def test_a_thumbnail_has_the_covers_panels_beside_each_other_and_wide_ones_below(size, expected):
    panels = [gallery.Panel("in", np.full((*size, 3), 200, np.uint8), cover=True), gallery.Panel("more", noise(0)),
              gallery.Panel("out", np.full(size, 10, np.uint8), cover=True)]
    made = gallery.thumbnail(panels)
    assert made.shape == (*expected, 3) and (made[0, 0] == 200).all() and (made[-1, -1] == 10).all()
    assert (made == 255).all(2).any()  # the gap


def rehearsal(folder, checksum):
    """rehearse.json and layers.json as `make rehearse` and `make layers` leave them."""
    files.write_json(folder / "rehearse.json", {
        "model": "EDSR", "model_sha256": checksum, "by": "ONNX Runtime 1, half precision rehearsed", "agreement": agreement(),
        "metric": "PSNR", "unit": "dB", "float32": 34.0, "half": 33.75,
        "samples": [{"sample": "baby", "float32": 35.0, "half": 34.5}, {"sample": "bird", "float32": 33.0, "half": 33.0}]})
    step = {"tensor": "t", "operator": "conv1", "kinds": "Conv", "largest": 3.25, "lost_percent": 0.5, "overflowed_percent": 0.0,
            "relative": 1e-3, "largest_difference": 0.1, "growth": 2.0}
    files.write_json(folder / "layers.json", {
        "model": "EDSR", "onnx": "edsr.onnx", "model_sha256": checksum, "own": "cpu", "other": "cpu-f16", "samples": 2, "unmatched": 0, "sentences": ["all is well"],
        "rows": [step, {**step, "operator": "conv1.weight", "kinds": "weight", "growth": None}]})


def test_layers_and_rehearsal_are_on_the_page_where_they_are_of_this_run(tmp_path):
    rehearsal(tmp_path, "a" * 64)
    parts = precision.sections(tmp_path, {"a" * 64})
    text = Checked("".join(part.render() for part in parts)).text
    assert "Half precision, rehearsed pass" in text and "all 34.0000 33.7500 -0.2500" in text
    assert "baby 35.0000 34.5000 -0.5000 bird" in text and "no figure of speed follows" in text
    assert "All is well. All 2 tensors, in the network's order" in text and text.count("conv1 Conv 3.25") == 2
    assert text.count("conv1.weight weight 3.25 0.5 1.00e-03 - ") == 1  # in the whole table alone
    assert precision.sections(tmp_path, {"b" * 64}) == []  # of another model


def themes():
    """The colours of page.css by name: light, dark, print."""
    text = (ROOT / "common/publish/page.css").read_text(encoding="utf-8")
    blocks = re.findall(r":root \{(.*?)\}", text, re.DOTALL)
    assert len(blocks) == 3
    return [dict(re.findall(r"--([a-z]+): (#[0-9a-f]{3,6});", block)) for block in blocks]


def luminance(colour):
    """WCAG 2.1's relative luminance of #rgb or #rrggbb."""
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    parts = np.array([int(digits[at:at + 2], 16) for at in (0, 2, 4)]) / 255
    return float(np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4) @ [0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize("theme", range(3), ids=("light", "dark", "print"))
def test_every_ink_on_every_ground_has_the_contrast_of_wcag_aa(theme):
    colours = themes()[theme]
    assert set(colours) == {"ground", "card", "ink", "dim", "line", "here", "other", "pass", "fail", "none"}
    assert round(luminance("#fff"), 6) == 1 and luminance("#000000") == 0
    for ground in ("ground", "card"):
        for ink in ("ink", "dim", "here", "other", "pass", "fail", "none"):
            low, high = sorted((luminance(colours[ink]), luminance(colours[ground])))
            assert (high + 0.05) / (low + 0.05) >= 4.5, (ink, ground)


def test_bins_hold_every_value_once_and_the_largest_in_the_last():
    steps = explore.bins([0, 0.1, 5, 9.99, 10], 5)
    assert [many for _, _, many in steps] == [2, 0, 1, 0, 2] and steps[-1][:2] == (8, 10)
    assert explore.bins([3.0, 3.0]) == [(3.0, 3.0, 2)]


# the gallery

def test_pick_takes_the_worst_a_middle_one_and_the_best():
    rows = [{"sample": str(number), "value": number} for number in range(20)]
    assert [row["value"] for row in gallery.pick(rows)] == [0, 1, 2, 3, 10, 19]
    assert gallery.pick(rows[:6]) == rows[:6]


def test_the_busiest_square_is_found_within_the_margin():
    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[20:28, 41:49] = noise(0, 8, 8)
    left, upper, width, height = gallery.busiest(pixels, 10, margin=5)
    assert (width, height) == (10, 10) and left <= 41 <= 49 <= left + 10 and upper <= 20 <= 28 <= upper + 10
    pixels[:4] = noise(1, 4, 60)  # louder, but in the margin
    assert gallery.busiest(pixels, 10, margin=5)[1] >= 5


def test_shrink_keeps_the_ratio_and_nearest_the_values():
    assert gallery.shrink(noise(0, 100, 200), 50).shape == (25, 50, 3)
    assert gallery.shrink(noise(0, 10, 20), 50).shape == (10, 20, 3)
    labels = np.random.default_rng(0).choice([3, 200], (64, 64)).astype(np.uint8)
    assert set(np.unique(gallery.shrink(labels, 10, nearest=True))) <= {3, 200}


def test_a_new_gallery_removes_the_old_pictures(tmp_path):
    make_gallery(tmp_path, samples=3)
    make_gallery(tmp_path, samples=1, panels=1)
    assert [path.name for path in (tmp_path / "gallery").iterdir()] == ["0_0.png"]
    with pytest.raises(UserError, match="no sample to show"):
        gallery.write(tmp_path, [], "")
