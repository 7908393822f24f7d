from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from common.base import pictures, settings
from common.base.errors import UserError


def test_pictures_are_found_sorted_in_any_case_and_hidden_files_are_passed_over(tmp_path):
    for name in ("b.PNG", "a.jpg", ".c.png", "d.txt"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "e.png").mkdir()
    assert [path.name for path in pictures.find(tmp_path)] == ["a.jpg", "b.PNG"]
    assert [path.name for path in pictures.find(tmp_path, count=1)] == ["a.jpg"]


def test_a_file_in_place_of_the_folder_is_said(tmp_path):
    (tmp_path / "LR").write_text("")
    with pytest.raises(UserError, match="expected a folder with pictures there, found a file"):
        pictures.find(tmp_path / "LR")


@pytest.mark.parametrize("mode, colour, expected", [
    ("RGB", (1, 2, 3), (1, 2, 3)), ("L", 9, (9, 9, 9)), ("1", 1, (255, 255, 255)), ("RGBA", (1, 2, 3, 255), (1, 2, 3)),
    ("LA", (5, 255), (5, 5, 5))])
def test_supported_modes_become_rgb(tmp_path, mode, colour, expected):
    Image.new(mode, (2, 3), colour).save(tmp_path / "a.png")
    pixels = pictures.read_rgb(tmp_path / "a.png")
    assert pixels.shape == (3, 2, 3) and pixels.dtype == np.uint8
    assert (pixels == expected).all()


def test_a_palette_picture_with_transparency_is_an_error_and_without_is_converted(tmp_path):
    palette = Image.new("RGB", (2, 2), (10, 20, 30)).convert("P", palette=Image.ADAPTIVE)
    palette.save(tmp_path / "a.png")
    assert (pictures.read_rgb(tmp_path / "a.png") == (10, 20, 30)).all()
    palette.save(tmp_path / "b.png", transparency=palette.getpixel((0, 0)))
    with pytest.raises(UserError, match="transparent"):
        pictures.read_rgb(tmp_path / "b.png")


def test_written_pixels_are_read_back_equal(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (5, 4, 3), np.uint8)
    pictures.write_rgb(tmp_path / "new/a.png", pixels)
    assert (pictures.read_rgb(tmp_path / "new/a.png") == pixels).all()
    assert pictures.read_size(tmp_path / "new/a.png") == (4, 5)


@pytest.mark.parametrize("side", [6, 400], ids=["small", "large"])
def test_png_keeps_every_pixel_of_grey_of_both_depths_and_of_a_view(tmp_path, side):
    generator = np.random.default_rng(1)
    for name, pixels in (("grey", generator.integers(0, 256, (side, side + 1), np.uint8)),
                         ("ids", generator.integers(0, 65536, (side, side + 1), np.uint16)),
                         ("view", generator.integers(0, 256, (3, side, 2 * side), np.uint8).transpose(1, 2, 0)[::-1, ::2])):
        pictures.write_rgb(tmp_path / f"{name}.PNG", pixels)
        assert (np.asarray(Image.open(tmp_path / f"{name}.PNG")) == pixels).all(), name
    assert (pictures.read_ids(tmp_path / "ids.PNG", 16)).dtype == np.uint16


@pytest.mark.parametrize("text", ["0", "-1", "x", "1.5"])
def test_a_limit_that_is_no_count_is_an_error(monkeypatch, text):
    monkeypatch.setenv("LIMIT", text)
    with pytest.raises(UserError, match="at least 1"):
        settings.limit()


def test_the_limit_is_the_flag_then_the_environment_then_none(monkeypatch):
    monkeypatch.setenv("LIMIT", "3")
    assert settings.limit(2) == 2 and settings.limit() == 3
    monkeypatch.setenv("LIMIT", "")
    assert settings.limit() is None
