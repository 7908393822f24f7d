"""Every program that reads pictures, on every kind of file that is none it can take: one line, status 1, nothing left."""
from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Callable, Dict

import pytest
from PIL import Image

from conftest import ROOT, one_line_error, shared


def saved(kind: str, mode: str = "RGB", side: int = 96) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        with open(path, "wb") as file:
            Image.new(mode, (side, side)).save(file, kind)
    return make


def case(name: str) -> Callable[[Path], None]:
    return lambda path: shutil.copyfile(shared("cases/07_pictures_16_bit", name), path) and None


def cut(path: Path) -> None:
    saved("PNG")(path)
    path.write_bytes(path.read_bytes()[:60])


BAD: Dict[str, Callable[[Path], None]] = {
    "eps": saved("EPS"), "gif": saved("GIF"), "ppm": saved("PPM"), "bomb": saved("PNG", "1", 20_000),
    "rgba": saved("PNG", "RGBA"), "cmyk": saved("TIFF", "CMYK"), "float": saved("TIFF", "F"), "cut": cut,
    "empty": lambda path: path.write_bytes(b"") and None, "text": lambda path: path.write_text("x") and None,
    "pipe": lambda path: os.mkfifo(path), "dangling": lambda path: path.symlink_to("gone"),
    "rgba16": case("rgba16_alpha.png"), "trns": case("rgb_trns.png")}
"""What is put in place of x.png. rgba16_alpha.png is not opaque, so that it is none for masks either."""

PROGRAMS = {
    "edsr_preprocess": ("EDSR/edsr_preprocess.py -s in -d out --size 96", "in/x.png"),
    "make_lr": ("EDSR/make_lr.py in out", "in/x.png"),
    "preprocess_nested_unet": ("UNetPlusPlus/preprocess_nested_unet.py in out ids.txt", "in/x.png"),
    "prepare_image": ("UNetPlusPlus/prepare_dsb2018.py raw out", "raw/x/images/x.png"),
    "prepare_mask": ("UNetPlusPlus/prepare_dsb2018.py raw out", "raw/x/masks/x.png"),
    "intrada_preprocess": ("IntraDA/intrada_preprocess.py city out", "city/leftImg8bit/val/a/x_leftImg8bit.png"),
    "pix2pixhd_preprocess": ("Pix2pixHD/pix2pixhd_preprocess.py test out --size 96x96",
                             "test/test_label/x_gtFine_labelIds.png")}


@pytest.mark.full
@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("bad", BAD)
def test_a_bad_picture_is_one_line_and_leaves_nothing(tmp_path, run, program, bad):
    line, place = PROGRAMS[program]
    script, *arguments = line.split()
    (tmp_path / "ids.txt").write_text("x\n")
    for good in ("raw/x/images/x.png", "raw/x/masks/x.png", "test/test_inst/x_gtFine_instanceIds.png"):
        (tmp_path / good).parent.mkdir(parents=True, exist_ok=True)
        saved("PNG", "I;16" if "instance" in good else "L")(tmp_path / good)
    path = tmp_path / place
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        path.unlink()
    BAD[bad](path)
    one_line_error(run(ROOT / script, *arguments, cwd=tmp_path, timeout=60), "x")
    left = [found for found in (tmp_path / "out").rglob("*") if found.suffix in (".bin", ".png", ".json", ".jpg")]
    assert not left, left
