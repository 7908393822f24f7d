"""make STREAM=1: the same figures as without, no .bin, and going from one to the other and back."""
from __future__ import annotations

import json
from pathlib import Path

import pytest

from common.judge import reports
from conftest import ROOT, own_lines
from test_make import copy_project, make, ran
from test_stream import draw_edsr, draw_nuclei, nested_unet


@pytest.fixture(scope="module")
def edsr(tmp_path_factory):
    """`call(target, variable...)` runs make in EDSR of a copy of the project, on four small pairs, narrow weights."""
    if not (ROOT / ".venv/installed").exists():
        pytest.fail("run the tests by `make test`: these need the project's own .venv")
    folder, data = copy_project(tmp_path_factory.mktemp("a folder")), tmp_path_factory.mktemp("my data")
    draw_edsr(data)

    def call(*arguments: str):
        return make(folder, "-C", "EDSR", *arguments, f"DATASETS_PATH={data}", "SEEDED=blocks=1 features=8", "ROUND=1",
                    "PERF_SIZE=16", "THREADS=1")

    call.build = folder / "EDSR/build"
    return call


def accuracy(build: Path) -> bytes:
    return (build / "accuracy.json").read_bytes()


def test_the_whole_way_as_a_stream_then_step_by_step_gives_the_same_figures(edsr):
    streamed = edsr("all", "STREAM=1", "LIMIT=2")
    assert streamed.returncode == 0, streamed.stderr
    lines = [line for line in streamed.stdout.splitlines() if line.startswith("cd build")]
    assert len([line for line in lines if "-m common.infer.stream --onnx edsr_x2.onnx" in line]) == 1
    steps = ("../edsr_preprocess.py", "../edsr_postprocess.py", "-input_text_path", "pytorch_infer", "common.judge.agreement")
    assert [line for line in lines if any(word in line for word in steps)] == []
    assert not (edsr.build / "prep").exists() and not list(edsr.build.rglob("*.bin"))
    found, report = accuracy(edsr.build), json.loads((edsr.build / "report.json").read_text())
    reports.report(edsr.build / "report.json")
    assert report["performance"][0]["sample_count"] == 2 and report["performance"][0]["tool"] == "stream"
    assert report["agreement"] is None and report["verdict"] == "none"
    page = (edsr.build / "report.html").read_text(encoding="utf-8")
    assert page.count("data:image/") == 10
    assert ran(edsr("all", "STREAM=1", "LIMIT=2")) == []

    steps = ran(edsr("all", "LIMIT=2"))
    assert {"edsr_preprocess.py", "common.tools.benchmark", "edsr_postprocess.py", "common.infer.pytorch_infer"} <= set(steps)
    assert accuracy(edsr.build) == found
    assert json.loads((edsr.build / "report.json").read_text())["agreement"]["verdict"] == "pass"


def test_each_picture_at_its_own_size_is_as_good_a_run_by_steps_and_as_a_stream(edsr):
    assert edsr("postprocess", "LIMIT=2").returncode == 0
    padded = json.loads(accuracy(edsr.build))
    whole = edsr("all", "LIMIT=2", "SHAPE=exact")
    steps = ran(whole)
    assert {"edsr_pth2onnx.py", "edsr_preprocess.py", "get_info.py", "common.tools.benchmark"} <= set(steps)
    assert "get_max_size.py" not in steps
    own, report = accuracy(edsr.build), json.loads((edsr.build / "report.json").read_text())
    assert (edsr.build / "edsr_bin.info").read_text() == "0 prep/bin/00x2.bin 16 20\n1 prep/bin/01x2.bin 18 20\n"
    assert report["agreement"]["verdict"] == "pass" and report["performance"][0]["input_shape"] == [1, 3, "H", "W"]
    assert "edsr_x2.onnx, 1x3xHxW, batch 1, dataset" in whole.stdout
    reports.report(edsr.build / "report.json")
    assert [row["value"] for row in json.loads(own)["rows"]] != [row["value"] for row in padded["rows"]]
    assert ran(edsr("all", "LIMIT=2", "SHAPE=exact")) == []
    streamed = edsr("all", "STREAM=1", "LIMIT=2", "SHAPE=exact")
    assert streamed.returncode == 0 and "stream: 2 samples (0 were there already)" in streamed.stdout, streamed.stderr
    assert accuracy(edsr.build) == own
    back = ran(edsr("postprocess", "LIMIT=2", "SHAPE=padded"))
    assert {"edsr_pth2onnx.py", "edsr_preprocess.py", "get_info.py"} <= set(back)
    assert json.loads(accuracy(edsr.build)) == padded


def test_a_run_of_the_other_way_in_between_does_not_leave_its_figures(edsr):
    def samples() -> int:
        return json.loads(accuracy(edsr.build))["samples"]

    assert edsr("postprocess", "LIMIT=2").returncode == 0 and samples() == 2
    assert edsr("stream", "STREAM=1", "LIMIT=3").returncode == 0 and samples() == 3
    back = edsr("postprocess", "LIMIT=2")
    assert ran(back)[-1] == "edsr_postprocess.py" and "common.tools.benchmark" not in ran(back) and samples() == 2
    forth = edsr("stream", "STREAM=1", "LIMIT=3")
    assert "(3 were there already)" in forth.stdout and samples() == 3


def test_pictures_of_an_earlier_run_that_a_stream_cannot_draw_leave_the_page(edsr, tmp_path):
    folder = edsr.build.parent.parent
    draw_nuclei(tmp_path, 3)
    (tmp_path / "ids.txt").rename(tmp_path / "val_ids.txt")
    nested_unet(tmp_path / "tiny.onnx")
    old = folder / "UNetPlusPlus/build/gallery.json"
    old.parent.mkdir()
    old.write_text("{}")
    for name in ("gallery/0_0.png", "thumbnails/0.jpg", "thumbnails/own.jpg"):
        (old.parent / name).parent.mkdir(exist_ok=True)
        (old.parent / name).write_bytes(b"")
    result = make(folder, "-C", "UNetPlusPlus", "stream", "STREAM=1", "BATCH=2", f"DATASETS_PATH={tmp_path}",
                  f"export_CMD=cp {tmp_path}/tiny.onnx nested_unet.onnx")
    assert result.returncode == 0 and "3 samples (0 were there already)" in result.stdout, result.stderr
    assert not old.exists() and (old.parent / "accuracy.json").exists()
    assert [path.name for place in ("gallery", "thumbnails") for path in (old.parent / place).iterdir()] == ["own.jpg"]


def test_what_a_stream_cannot_be_asked_for_is_one_line(edsr):
    compare = edsr("compare", "STREAM=1")
    lines = own_lines(compare.stderr)
    assert compare.returncode == 2 and lines == [
        "error: make compare needs the result files that STREAM=1 does not leave; run it without"]
    wrong = edsr("all", "STREAM=yes")
    assert wrong.returncode == 2 and "STREAM=yes: expected 1" in wrong.stderr and not wrong.stdout.count("common.")


def test_help_tells_of_it(edsr):
    assert "[STREAM=1|ray]" in edsr("help").stdout
