from __future__ import annotations

import os

import cv2
import numpy as np
import pytest
from PIL import Image

from common.base import pictures, settings
from common.base.errors import UserError
from conftest import ROOT, one_line_error, shared


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


def test_large_photos_are_png_by_huffman_codes_and_maps_by_runs_and_both_keep_every_pixel(tmp_path):
    generator = np.random.default_rng(2)
    patches = np.kron(generator.integers(0, 256, (20, 30, 3), np.uint8), np.ones((25, 25, 1), np.uint8))
    hills = cv2.resize(patches, (750, 500), interpolation=cv2.INTER_CUBIC)[::-1] // 2
    photo = hills + cv2.resize(generator.integers(0, 128, (250, 375, 3), np.uint8), (750, 500), interpolation=cv2.INTER_CUBIC)
    for pixels, strategy in ((photo, cv2.IMWRITE_PNG_STRATEGY_HUFFMAN_ONLY), (patches, cv2.IMWRITE_PNG_STRATEGY_RLE),
                             (photo[..., 0], cv2.IMWRITE_PNG_STRATEGY_HUFFMAN_ONLY),
                             (patches[..., 0].astype(np.uint16), cv2.IMWRITE_PNG_STRATEGY_RLE),
                             (photo.reshape(-1, 1, 3), cv2.IMWRITE_PNG_STRATEGY_HUFFMAN_ONLY)):
        pictures.write_rgb(tmp_path / "a.png", pixels)
        assert (np.asarray(Image.open(tmp_path / "a.png")).reshape(pixels.shape) == pixels).all()
        expected = cv2.imencode(".png", pixels[..., ::-1] if pixels.ndim == 3 else pixels, [cv2.IMWRITE_PNG_STRATEGY, strategy])[1]
        assert (tmp_path / "a.png").read_bytes() == expected.tobytes()


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


@pytest.mark.parametrize("name, part", [
    ("rgb16.png", "16 bits"), ("rgba16_alpha.png", "16 bits"), ("la16.png", "16 bits"), ("rgb16.tiff", "16 bits"),
    ("rgb_trns.png", "transparent"), ("grey_trns.png", "transparent")])
def test_what_eight_opaque_bits_cannot_hold_is_an_error(name, part):
    with pytest.raises(UserError, match=part):
        pictures.read_rgb(shared("cases/07_pictures_16_bit", name))


@pytest.mark.parametrize("kind", ["EPS", "GIF", "PPM", "PDF"])
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif"])
def test_only_the_formats_that_are_meant_are_opened_whatever_the_name(tmp_path, kind, suffix):
    path = tmp_path / f"a{suffix}"
    with open(path, "wb") as file:
        Image.new("RGB", (8, 8)).save(file, kind)
    for read in (pictures.read_rgb, pictures.read_size, pictures.read_values, lambda path: pictures.read_ids(path, 8)):
        with pytest.raises(UserError, match="cannot be decoded as a picture"):
            read(path)


def test_a_bomb_is_one_line(tmp_path, run):
    for side, status in ((10_000, 0), (20_000, 1)):  # Pillow warns of the first and refuses the second
        Image.new("1", (side, side)).save(tmp_path / "a.png")
        result = run("-c", "from common.base import errors, pictures; "
                     "errors.run(lambda argv: print(pictures.read_size('a.png')))", cwd=tmp_path)
        assert result.returncode == status and result.stderr.count("\n") == status, result.stderr


def test_a_dangling_link_and_a_pipe_are_not_passed_over(tmp_path):
    Image.new("L", (2, 2)).save(tmp_path / "a.png")
    for make, found in ((lambda path: path.symlink_to("gone.png"), "a link to a file that is gone"),
                        (os.mkfifo, "a FIFO")):
        make(tmp_path / "b.png")
        with pytest.raises(UserError, match=f"b.png.*{found}"):
            pictures.find(tmp_path)
        (tmp_path / "b.png").unlink()


def test_a_name_that_is_not_utf8_is_one_line(tmp_path):
    with open(os.fsencode(tmp_path) + b"/caf\xe9.png", "wb") as file:
        Image.new("L", (2, 2)).save(file, "PNG")
    with pytest.raises(UserError, match=r"caf\\xe9.png: its path is not UTF-8") as error:
        pictures.find(tmp_path)
    str(error.value).encode("utf-8")


def test_a_folder_whose_name_is_not_utf8_is_one_line(tmp_path, run):
    folder = os.fsdecode(os.fsencode(tmp_path) + b"/lr\xff")
    os.mkdir(folder)
    Image.new("RGB", (8, 8)).save(os.path.join(folder, "a.png"))
    one_line_error(run(ROOT / "EDSR/edsr_preprocess.py", "-s", folder, "-d", tmp_path / "prep", "--size", 8), r"lr\xff/a.png: its path is not UTF-8")
    for given in (("--data", folder), ("--pth", os.path.join(folder, "a.png"))):
        one_line_error(run("-m", "common.make.check", tmp_path / "build", "--link", "LR=.", *given), r"lr\xff", "is not UTF-8; rename it")


def test_pictures_one_level_too_deep_are_pointed_at(tmp_path):
    for name in ("__MACOSX", "inner"):
        (tmp_path / name).mkdir()
        Image.new("L", (2, 2)).save(tmp_path / name / "a.png")
    with pytest.raises(UserError, match="inner holds some: give that folder"):
        pictures.find(tmp_path)


def test_the_lower_byte_is_kept_where_it_counts():
    assert pictures.read_values(shared("cases/07_pictures_16_bit/rgb16.png")).dtype == np.uint16
    with pytest.raises(UserError, match="transparent"):
        pictures.read_values(shared("cases/07_pictures_16_bit/rgba16_alpha.png"))


@pytest.mark.parametrize("mode, dtype", [("L", np.uint8), ("I;16", np.uint16)])
def test_values_of_a_grey_picture_are_one_plane_and_those_of_colours_three(tmp_path, mode, dtype):
    grey = np.arange(64, dtype=dtype).reshape(8, 8) * (np.iinfo(dtype).max // 63)
    Image.fromarray(grey).save(tmp_path / "a.png")
    found = pictures.read_values(tmp_path / "a.png")
    assert found.dtype == dtype and np.array_equal(found, grey)
    Image.fromarray(grey.astype(np.uint8)).convert("RGB").save(tmp_path / "b.png")
    assert np.array_equal(pictures.read_values(tmp_path / "b.png"), np.repeat(grey.astype(np.uint8)[..., None], 3, 2))


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_a_full_disk_leaves_no_picture(tmp_path, monkeypatch, suffix):
    def full(path, content):
        raise OSError(28, "No space left on device", str(path))
    monkeypatch.setattr(pictures.files, "write_bytes", full)
    with pytest.raises(OSError):
        pictures.write_rgb(tmp_path / f"a{suffix}", np.zeros((4, 4, 3), np.uint8))
    assert not list(tmp_path.iterdir())


def test_a_photo_is_turned_as_the_camera_says_where_that_is_asked_for(tmp_path):
    photo = Image.new("RGB", (40, 20), (200, 0, 0))
    photo.paste((0, 0, 200), (0, 0, 20, 20))  # the left half; orientation 6: it is the upper one
    exif = Image.Exif()
    exif[0x0112] = 6
    photo.save(tmp_path / "p.jpg", exif=exif, quality=95)
    assert pictures.read_rgb(tmp_path / "p.jpg").shape == (20, 40, 3)
    upright = pictures.read_rgb(tmp_path / "p.jpg", upright=True)
    assert upright.shape == (40, 20, 3) and upright[:15, :, 2].min() > 150 and upright[25:, :, 0].min() > 150


def test_32_bits_are_not_cut_to_16(tmp_path):
    Image.fromarray(np.full((4, 4), 70000, np.int32)).save(tmp_path / "d.tif")
    with pytest.raises(UserError, match="d.tif: has 32 bits a channel, expected 8 or 16"):
        pictures.read_values(tmp_path / "d.tif")
    with pytest.raises(UserError, match="d.tif: expected ids in 16-bit grey, found a picture of 32-bit"):
        pictures.read_ids(tmp_path / "d.tif", 16)
