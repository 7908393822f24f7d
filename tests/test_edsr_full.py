"""EDSR at full size: real pictures, the shared checkpoint, both ways of running it."""
from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from conftest import ROOT, environment, shared
from test_make import copy_project, make

pytestmark = pytest.mark.full


def lay_out(folder: Path, *sets: str) -> Path:
    """HR pictures of the given sets, and LR made of them by the project's own script."""
    (folder / "HR").mkdir(parents=True)
    for name in sets:
        for path in shared("data", "super_resolution", name).glob("*.png"):
            shutil.copy(path, folder / "HR")
    subprocess.run([str(ROOT / ".venv/bin/python"), str(ROOT / "EDSR/make_lr.py"), str(folder / "HR"),
                    str(folder / "LR")], check=True, env=environment())
    return folder


def psnrs(path: Path) -> dict:
    return {row["sample"]: row["value"] for row in json.loads(path.read_text())["rows"]}


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    return copy_project(tmp_path_factory.mktemp("full size"))


def test_set5_and_set14_by_make_equal_pytorch_and_stand_above_bicubic(project, tmp_path):
    data, weights = lay_out(tmp_path / "my data", "Set5", "Set14"), shared("weights", "edsr_x2.pt")
    result = make(project, "-C", "EDSR", "all", f"DATASETS_PATH={data}", f"PTH={weights}", "ROUND=3")
    assert result.returncode == 0, result.stderr
    build = project / "EDSR/build"
    onnx, pytorch = psnrs(build / "accuracy.json"), psnrs(build / "pytorch/accuracy.json")
    assert len(onnx) == 19 and set(onnx) == set(pytorch)
    for sample, value in onnx.items():
        assert value == pytest.approx(pytorch[sample], abs=0.001), sample
    report = json.loads((build / "report.json").read_text())
    assert report["accuracy"]["value"] > report["accuracy"]["baseline"]["value"] + 2.5
    assert report["verdict"] == "pass" and "PyTorch on the same samples" in report["accuracy"]["source"]
    # what the checkpoint reaches on each picture at its own size (weights/README.md); padding costs a little
    for name, value in (("baby", 37.071), ("bird", 39.911), ("butterfly", 32.687), ("head", 32.147), ("woman", 34.844)):
        assert onnx[f"{name}x2_1.bin"] == pytest.approx(value, abs=0.01)


def test_set5_at_its_own_sizes_reaches_what_the_checkpoint_was_measured_at(project, tmp_path):
    """weights/README.md: by another program, each picture at its own size."""
    data, weights = lay_out(tmp_path / "my data", "Set5"), shared("weights", "edsr_x2.pt")
    arguments = (f"DATASETS_PATH={data}", f"PTH={weights}", "SHAPE=exact", "PERF_SIZE=32", "ROUND=1")
    for more in ((), ("STREAM=1",)):
        result = make(project, "-C", "EDSR", "all", *arguments, *more)
        assert result.returncode == 0, result.stderr
        found = psnrs(project / "EDSR/build/accuracy.json")
        for name, value in (("baby", 37.071), ("bird", 39.911), ("butterfly", 32.687), ("head", 32.147), ("woman", 34.844)):
            assert found[f"{name}x2_1.bin"] == pytest.approx(value, abs=0.0006)


def test_set5_by_the_test_script_reports_both_figures(project, tmp_path):
    data, weights = lay_out(tmp_path / "my data", "Set5"), shared("weights", "edsr_x2.pt")
    result = subprocess.run(["bash", str(project / "EDSR/test/eval_acc_perf.sh"), f"--datasets_path={data}",
                             f"--pth={weights}"], cwd=tmp_path, capture_output=True, text=True, env=environment())
    assert result.returncode == 0, result.stdout + result.stderr
    measured = psnrs(project / "EDSR/result/accuracy.json")
    pytorch = psnrs(project / "EDSR/result/pytorch_accuracy.json")
    assert len(measured) == 5 and measured == pytest.approx(pytorch, abs=0.001)
    assert "PSNR      35.3" in result.stdout and "bicubic 31.789" in result.stdout
    assert "[INFO] ave_throughputRate" in result.stdout and result.stdout.rstrip().endswith(": pass")
    assert "onnxruntime stands in for benchmark" in result.stdout


def test_the_test_script_fails_when_the_accuracy_is_below_its_reference(project, tmp_path):
    """A result folder whose PSNR is 2 % below PyTorch's makes the last step, and so the script, fail."""
    for name, value in (("a.json", 30.0), ("b.json", 30.7)):
        (tmp_path / name).write_text(json.dumps({"metric": "PSNR", "unit": "dB", "definition": "of Y", "value": value, "samples": 1,
                                                 "baseline": None, "rows": [{"sample": "x", "value": value}]}))
    weights = shared("weights", "edsr_x2.pt")
    result = subprocess.run([str(ROOT / ".venv/bin/python"), "-m", "common.judge.verdicts", "judge", "--accuracy",
                             str(tmp_path / "a.json"), "--pytorch", str(tmp_path / "b.json"), "--pth", str(weights)],
                            cwd=project / "EDSR", capture_output=True, text=True, env=environment())
    assert result.returncode == 1 and result.stdout.rstrip().endswith(": fail")


def test_onnx_at_size_1020_agrees_with_pytorch(tmp_path):
    result = subprocess.run([str(ROOT / ".venv/bin/python"), str(ROOT / "EDSR/edsr_pth2onnx.py"), "--pth",
                             str(shared("weights", "edsr_x2.pt")), "--onnx", "x.onnx", "--size", "1020"],
                            cwd=tmp_path, capture_output=True, text=True, env=environment())
    assert result.returncode == 0, result.stderr
    assert float(result.stdout.split("largest difference ")[1].split(",")[0]) < 1e-3
