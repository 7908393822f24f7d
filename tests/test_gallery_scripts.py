"""The models' gallery scripts: which pictures they pick, and what they draw."""
from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

import CGAN_gallery
import edsr_gallery
import intrada_gallery
import nested_unet_gallery
import pix2pixhd_gallery
from common.data import cityscapes
from common.publish import gallery
from conftest import ROOT, one_line_error


def picture(seed, height=64, width=80):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


@pytest.mark.parametrize("path", sorted(ROOT.glob("*/*_gallery.py")), ids=lambda path: path.name)
def test_help_without_torch(path, run):
    result = run("-X", "importtime", path, "--help")
    assert result.returncode == 0 and "usage:" in result.stdout and "torch" not in result.stderr


def test_edsr_panels_show_the_same_piece_of_each_picture():
    truth = picture(1, 80, 120)
    low = np.asarray(Image.fromarray(truth).resize((60, 40), Image.BICUBIC))
    found = truth.copy()
    made = edsr_gallery.row("x", 40.0, low, found, truth, 2, 6)
    panels = {panel.label: panel for panel in made.panels}
    assert (panels["EDSR"].pixels == panels["truth"].pixels).all() and panels["EDSR"].value == 40.0
    assert panels["EDSR"].pixels.shape == panels["bicubic"].pixels.shape == (240, 240, 3)
    assert not (panels["bicubic"].pixels == panels["truth"].pixels).all()
    large = np.asarray(Image.fromarray(low).resize((120, 80), Image.BICUBIC), float)[8:-8, 8:-8]
    expected = -10 * np.log10((((np.clip(np.round(large), 0, 255) - truth[8:-8, 8:-8]) / 255) ** 2).mean())
    assert panels["bicubic"].value == pytest.approx(expected)


@pytest.mark.parametrize("name", ["0801x2_1.bin", "0801x2_output_0.bin", "0801x2_0.bin"])
def test_edsr_reads_the_stem_off_any_tools_result_name(name):
    assert edsr_gallery.stem_of(name) == "0801x2"


def edsr_results(folder, order):
    """What EDSR's gallery reads, of pictures by number, the worst first. Gives its arguments."""
    for name in ("HR", "LR", "save"):
        (folder / name).mkdir()
    for number in order:
        truth = Image.fromarray(picture(number))
        truth.save(folder / f"HR/{number}.png")
        truth.save(folder / f"save/{number}x2.png")
        truth.resize((40, 32), Image.BICUBIC).save(folder / f"LR/{number}x2.png")
    accuracy_file(folder, [{"sample": f"{number}x2_1.bin", "value": 30.0 + place} for place, number in enumerate(order)])
    return "--accuracy", "accuracy.json", "--save", "save", "--LR", "LR", "--HR", "HR"


def accuracy_file(folder, rows, metric="PSNR", unit="dB"):
    (folder / "accuracy.json").write_text(json.dumps({
        "metric": metric, "unit": unit, "definition": "x", "value": sum(row["value"] for row in rows) / len(rows),
        "samples": len(rows), "baseline": None, "rows": rows}))


def test_edsr_script_shows_the_worst_first(tmp_path, run):
    arguments = edsr_results(tmp_path, (2, 0, 1))
    result = run(ROOT / "EDSR/edsr_gallery.py", *arguments, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    shown = json.loads((tmp_path / "gallery.json").read_text())
    assert [row["sample"] for row in shown["rows"]] == ["2x2", "0x2", "1x2"]
    assert all((tmp_path / panel["image"]).is_file() for row in shown["rows"] for panel in row["panels"])
    (tmp_path / "save/0x2.png").unlink()
    one_line_error(run(ROOT / "EDSR/edsr_gallery.py", *arguments, cwd=tmp_path), "0x2.png: expected a picture there, found nothing")


def test_edsr_samples_that_are_not_shown_have_a_thumbnail_of_their_own_piece(tmp_path, run):
    arguments = edsr_results(tmp_path, range(9))
    result = run(ROOT / "EDSR/edsr_gallery.py", *arguments, cwd=tmp_path)
    assert result.returncode == 0 and "6 samples, 30 pictures, 3 thumbnails" in result.stdout, result.stderr
    small = json.loads((tmp_path / "gallery.json").read_text())["thumbnails"]
    assert small["labels"] == ["input", "EDSR"] and small["left_out"] == 0
    assert [each["sample"] for each in small["images"]] == [f"{number}x2_1.bin" for number in (5, 6, 7)]  # 4, 8: shown
    with Image.open(tmp_path / small["images"][1]["image"]) as image:
        made = np.asarray(image).astype(int)
    away = [np.abs(made - gallery.thumbnail(edsr_gallery.row("x", 1.0, np.asarray(Image.open(
        tmp_path / f"LR/{number}x2.png")), picture(number), picture(number), 2, 6).panels)).mean() for number in range(9)]
    assert np.argmin(away) == 6 and away[6] < 20 < sorted(away)[1]  # JPEG loses much of noise


def test_cgan_digits_have_a_thumbnail_each_at_their_place_in_the_grid(tmp_path, run):
    rng = np.random.default_rng(0)
    shades = rng.permutation(20).reshape(2, 10).astype(np.uint8) * 12  # a shade for each digit
    Image.fromarray(shades.repeat(28, 0).repeat(28, 1)).save(tmp_path / "result.png")
    names = [f"row {row + 1}, digit {digit}, read as {digit}" for row in range(2) for digit in range(10)]
    accuracy_file(tmp_path, [{"sample": name, "value": 100.0} for name in names], "read rate", "%")
    result = run(ROOT / "CGAN/CGAN_gallery.py", "result.png", "--accuracy", "accuracy.json", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    for each in json.loads((tmp_path / "gallery.json").read_text())["thumbnails"]["images"]:
        with Image.open(tmp_path / each["image"]) as image:
            assert image.size == (112, 112)
            assert np.abs(np.asarray(image).astype(int) - shades.ravel()[names.index(each["sample"])]).max() < 4


def test_unet_overlay_colours_hits_additions_and_misses():
    found, truth = np.zeros((4, 4), bool), np.zeros((4, 4), bool)
    found[0, :2], truth[0, 1:3] = True, True
    drawn = nested_unet_gallery.overlay(np.full((4, 4, 3), 100, np.uint8), found, truth).astype(int)
    assert drawn[0, 1].argmax() == 1 and drawn[0, 0].argmax() == 0 and drawn[0, 2].argmax() == 2
    assert len(set(drawn[3, 3])) == 1
    panels = nested_unet_gallery.row("x", 0.5, picture(0, 10, 10), found, truth).panels
    assert [panel.pixels.shape[:2] for panel in panels] == [(12, 12)] * 4
    assert set(np.unique(panels[1].pixels)) == {0, 255}


def test_cgan_frames_the_digits_that_were_misread():
    rows = [{"sample": "row 10, digit 3, read as 5", "value": 0.0},
            {"sample": "row 1, digit 0, read as 0", "value": 100.0}]
    assert CGAN_gallery.misread(rows) == [(9, 3)]
    plain = np.zeros((280, 280, 3), np.uint8)
    drawn = CGAN_gallery.marked(plain, [(9, 3)], 28)
    ys, xs = np.nonzero(drawn.any(2))
    assert drawn.shape == (560, 560, 3)
    assert (ys.min() // 56, ys.max() // 56, xs.min() // 56, xs.max() // 56) == (9, 9, 3, 3)


def test_intrada_panels_keep_the_palettes_colours_when_shrunk():
    train_ids = np.random.default_rng(0).choice([0, 13, 255], (1024, 2048)).astype(np.uint8)
    drawn = cityscapes.colours(train_ids)
    made = intrada_gallery.row("x", 1.0, picture(0, 1024, 2048), drawn, drawn)
    assert [panel.pixels.shape for panel in made.panels] == [(240, 480, 3)] * 3
    colours = {tuple(colour) for colour in made.panels[2].pixels.reshape(-1, 3)}
    assert colours == {(128, 64, 128), (0, 0, 142), (0, 0, 0)}


def test_pix2pixhd_shows_a_photo_where_there_is_one():
    labels, made = np.full((64, 80), 7, np.uint8), picture(0)
    panels = pix2pixhd_gallery.row("x", labels, made).panels
    assert [panel.label for panel in panels] == ["labels", "picture made"]
    shown = pix2pixhd_gallery.row("x", labels, made, made, 0.5)
    panels = shown.panels
    assert panels[2].label == "photo of the scene" and shown.value == 0.5
    assert tuple(panels[0].pixels[0, 0]) == (128, 64, 128)
    assert isinstance(panels[0], gallery.Panel)


def street(folder, number, size):
    """A photo, plain in a shade by its number, and its label map, all road, in Cityscapes' layout. Gives the frame's name."""
    frame = f"a_{number:06}_000019"
    for place, ending, shade in (("leftImg8bit/val/a", cityscapes.IMAGE, (number * 20,) * 3), ("gtFine/val/a", cityscapes.LABEL_IDS, 7),
                                 ("test_label", cityscapes.LABEL_IDS, 7)):
        (folder / place).mkdir(parents=True, exist_ok=True)
        Image.new("L" if shade == 7 else "RGB", size, shade).save(folder / place / f"{frame}_{ending}.png")
    return frame


@pytest.mark.parametrize("script, expected, size, small_size", [
    ("IntraDA/intrada_gallery.py", ["photo", "found"], (2048, 1024), (320, 160 + 4 + 160)),
    ("Pix2pixHD/pix2pixhd_gallery.py", ["labels", "picture made"], (64, 32), (64, 32 + 4 + 32))])
def test_streets_that_are_not_shown_have_a_thumbnail_of_what_went_in_above_what_came_out(tmp_path, run, script, expected, size,
                                                                                        small_size):
    own = {number: street(tmp_path, number, size) for number in range(9)}
    (tmp_path / "out").mkdir()
    intrada = script.startswith("IntraDA")
    ending = cityscapes.IMAGE if intrada else cityscapes.LABEL_IDS
    for number, frame in own.items():
        if intrada:
            Image.new("RGB", size, (0, 0, 10 * number)).save(tmp_path / f"out/{frame}_{ending}_color.png")
        else:
            np.full((1, 3, *size[::-1]), number / 10, np.float32).tofile(tmp_path / f"out/{frame}_{ending}_1.bin")
    rows = [{"sample": f"{frame}_{ending}", "value": (number + 1) / 10} for number, frame in own.items()]
    accuracy_file(tmp_path, rows, *(("mIoU", "%") if intrada else ("SSIM", "")))
    more = () if intrada else ("--photos", "leftImg8bit", "--agreement", "none.json", "--size", "64x32")
    result = run(ROOT / script, ".", "out", "--accuracy", "accuracy.json", *more, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    made = json.loads((tmp_path / "gallery.json").read_text())
    shown, small = {row["sample"] for row in made["rows"]}, made["thumbnails"]
    assert small["labels"] == expected and len(shown) + len(small["images"]) == 9
    for each in small["images"]:
        number = [row["sample"] for row in rows].index(each["sample"])
        assert each["sample"] not in shown
        with Image.open(tmp_path / each["image"]) as image:
            assert image.size == small_size
            upper, lower = np.asarray(image, int)[4, 30], np.asarray(image, int)[-4, 30]
        told = ((number * 20,) * 3, (0, 0, 10 * number)) if intrada else ((128, 64, 128), (round(127.5 * (1 + number / 10)),) * 3)
        assert np.abs(upper - told[0]).max() < 5 and np.abs(lower - told[1]).max() < 5
