"""The first run: what comes with the collection, and that it does its job on samples that it was not trained on."""
from __future__ import annotations

import json
from pathlib import Path

import pytest

from common.base import files
from common.data import result_files
from conftest import MODELS, ROOT, shared
from test_make import copy_project, make


def test_demo_weights_are_small_and_are_what_their_descriptions_say():
    sizes = []
    for model in MODELS:
        about = files.read_json(ROOT / model / "demo.json", {})
        path = ROOT / model / "demo.pth"
        assert files.sha256(path) == about["sha256"], f"{model}: demo.json is of another demo.pth"
        assert about["command"].startswith("python3 train_demo.py ") and about["seconds"] > 0 and about["trained_on"]
        assert "/" not in about["command"], "a path of the machine that trained it"
        sizes.append(path.stat().st_size)
    assert max(sizes) <= 6e6 and sum(sizes) <= 15e6, sizes


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """A copy of the project in which `make all` has run with nothing given."""
    folder = copy_project(tmp_path_factory.mktemp("first run"))
    result = make(folder, "all")
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    assert "demo data, drawn by code: EDSR, IntraDA, Pix2pixHD, UNetPlusPlus" in result.stdout
    assert "demo weights, which come with this collection: CGAN, EDSR, IntraDA, Pix2pixHD, UNetPlusPlus" in result.stdout
    return folder


def accuracy(project: Path, model: str) -> dict:
    report = json.loads((project / model / "build/report.json").read_text())
    assert report["inputs"]["checkpoint"] == "demo" and report["verdict"] == "pass"
    return report["accuracy"]


@pytest.mark.full
def test_edsr_is_sharper_than_bicubic(project):
    found = accuracy(project, "EDSR")
    assert found["baseline"]["name"] == "bicubic" and found["value"] >= found["baseline"]["value"] + 1.5


@pytest.mark.full
def test_unetplusplus_finds_the_nuclei(project):
    assert accuracy(project, "UNetPlusPlus")["value"] >= 0.85


@pytest.mark.full
def test_intrada_segments_the_streets(project):
    assert accuracy(project, "IntraDA")["value"] >= 60


@pytest.mark.full
def test_cgans_digits_are_read_as_asked(project):
    assert accuracy(project, "CGAN")["value"] >= 90


@pytest.mark.full
def test_pix2pixhd_paints_the_scene(project):
    """Closer to the photo of its scene than to that of another: SSIM of the pairs is the largest in each row."""
    import pix2pixhd_postprocess as post
    from common.base import metrics as metric
    from common.base import pictures
    build = project / "Pix2pixHD/build"
    photos = {stem: pictures.read_rgb(path) for stem, path in post.find_photos(build / "data/leftImg8bit").items()}
    for stem, outputs in result_files.find(build / "result/dumpOutput_device0").items():
        made = post.read_picture(min(outputs.items())[1], (2048, 1024))
        values = {name: metric.ssim(made, photo) for name, photo in photos.items()}
        assert len(values) > 1 and max(values, key=values.get) == stem, values
    assert accuracy(project, "Pix2pixHD")["metric"] == "SSIM"


@pytest.mark.full
def test_the_page_says_demo_of_every_model_and_holds_their_pictures(project):
    text = (project / "build/report.html").read_text()
    assert text.count("demo / demo") == 4 and text.count("none / demo") == 1
    cover = text.split('class="cover"')[1].split("<section")[0]
    assert cover.count("<img") == 9  # input and output of each, and CGAN's grid


@pytest.mark.full
def test_unetplusplus_also_finds_nuclei_in_dsb2018(project):
    """The real validation set, with the demo's weights."""
    result = make(project, "-C", "UNetPlusPlus", "all", f"DATASETS_PATH={shared('data', 'dsb2018_96')}", "B=build_real")
    assert result.returncode == 0, result.stderr
    report = json.loads((project / "UNetPlusPlus/build_real/report.json").read_text())
    assert report["accuracy"]["samples"] == 134 and report["accuracy"]["value"] >= 0.80
    assert report["inputs"]["checkpoint"] == "demo" and "the demo's" in result.stdout
