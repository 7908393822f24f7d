"""Inputs that failed once, shared/cases: each by its name, with what is right. What takes a second is with its own kind."""
from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import environment, shared
from test_edsr_full import lay_out, psnrs
from test_make import copy_project, make

pytestmark = pytest.mark.full


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    return copy_project(tmp_path_factory.mktemp("cases"))


def made(case: str, script: str, *arguments: object) -> None:
    subprocess.run([sys.executable, str(shared("cases", case, script)), *map(str, arguments)], check=True, env=environment())


def edsr(project: Path, data: Path, *more: str) -> subprocess.CompletedProcess:
    return make(project, "-C", "EDSR", "postprocess", f"DATASETS_PATH={data}", *more)


def accuracy(project: Path, model: str = "EDSR") -> float:
    return json.loads((project / model / "build/accuracy.json").read_text())["value"]


def test_04_an_edsr_of_rgb_range_1_is_fed_0_to_1(project, tmp_path):
    made("04_edsr_rgb_range_1", "make.py", shared("weights", "edsr_x2.pt"), tmp_path / "rgb1.pt")
    result = edsr(project, lay_out(tmp_path / "data", "Set5"), f"PTH={tmp_path / 'rgb1.pt'}")
    assert result.returncode == 0, result.stderr
    assert accuracy(project) == pytest.approx(35.331, abs=5e-4)


def test_05_a_mask_is_read_as_meant_whatever_values_it_has(project, tmp_path):
    made("05_unet_masks", "make.py", tmp_path)
    found = {}
    for kind in ("0_255", "0_1", "palette", "16_bit"):
        result = make(project, "-C", "UNetPlusPlus", "postprocess", f"DATASETS_PATH={tmp_path / kind}",
                      f"PTH={shared('weights', 'nested_unet.pth')}")
        assert result.returncode == 0, result.stderr
        found[kind] = accuracy(project, "UNetPlusPlus")
    assert found["0_255"] > 0.3 and set(found.values()) == {found["0_255"]}


def test_09_res_scale_is_make_s_to_give(project, tmp_path):
    made("09_edsr_res_scale", "make.py", shared("weights", "edsr_x2.pt"), tmp_path / "x.pt")
    data = lay_out(tmp_path / "data", "Set5")
    result = make(project, "-C", "EDSR", "postprocess", "agreement", f"DATASETS_PATH={data}", f"PTH={tmp_path / 'x.pt'}", "RES_SCALE=0.1",
                  "SHAPE=exact")
    assert result.returncode == 0, result.stderr
    assert psnrs(project / "EDSR/build/accuracy.json")["birdx2_1.bin"] == pytest.approx(39.9108, abs=5e-5)
    assert json.loads((project / "EDSR/build/agreement.json").read_text())["verdict"] == "pass"
    without = edsr(project, data, f"PTH={tmp_path / 'x.pt'}", "SHAPE=exact")
    assert without.returncode == 2 and "RES_SCALE=" in without.stderr


@pytest.fixture(scope="module")
def named(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("names")
    made("10_names", "recreate.py", folder)
    return folder


def test_10_a_name_that_is_not_utf8_is_named(project, named):
    result = edsr(project, named / "not_utf8")
    assert result.returncode == 2 and "its path is not UTF-8; rename it" in result.stderr and "Traceback" not in result.stderr


def test_10_a_picture_named_like_a_result_is_a_sample(project, named):
    result = edsr(project, named / "output")
    assert result.returncode == 0, result.stderr
    rows = json.loads((project / "EDSR/build/accuracy.json").read_text())["rows"]
    assert sorted(row["sample"] for row in rows) == ["foo_1.bin", "foo_output_1.bin"]


def test_10_a_space_in_a_name_makes_no_difference_to_lists_results_and_figures(project, named):
    found = []
    for stream in ((), ("STREAM=1",)):
        result = make(project, "-C", "EDSR", "stream", f"DATASETS_PATH={named / 'space'}", *stream) if stream else edsr(
            project, named / "space")
        assert result.returncode == 0, result.stderr
        rows = json.loads((project / "EDSR/build/accuracy.json").read_text())["rows"]
        assert [row["sample"] for row in rows] == ["my photox2_1.bin"]
        found.append(rows)
    assert found[0] == found[1]


def test_10_img_is_not_scored_against_imgx2_under_a_limit(project, named, tmp_path):
    (tmp_path / "HR").mkdir()
    shutil.copy(named / "twins/HR/img.png", tmp_path / "HR")
    found = []
    for data in (tmp_path, named / "twins"):
        subprocess.run([sys.executable, str(project / "EDSR/make_lr.py"), str(data / "HR"), str(data / "LR")], check=True,
                       env=environment())
        result = edsr(project, data, "LIMIT=1")
        assert result.returncode == 0, result.stderr
        found.append(accuracy(project))
    assert found[0] == found[1]


def test_15_prefixes_are_taken_off(project, tmp_path):
    made("15_checkpoint_prefixes", "make.py", project, tmp_path)
    for prefix in ("_orig_mod.", "model.", "net."):
        result = make(project, "-C", "EDSR", "export", f"PTH={tmp_path / prefix}pt", "SIZE=24")
        assert result.returncode == 0, (prefix, result.stderr)


def test_17_a_device_in_pytorchs_words_is_one_line(project):
    result = make(project, "-C", "CGAN", "all", "DEVICE=cuda:0")
    assert result.returncode == 2 and "DEVICE=cuda:0: expected" in result.stderr
