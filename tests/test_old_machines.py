"""What old and lean machines lack: docstrings (python -OO), newer arguments of torch, versions above the floors."""
from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

from common.base.workers import ordered
from common.convert import trace
from conftest import MODELS, ROOT, one_line_error

FOLDERS = ("common", *MODELS)


def is_program(path: Path) -> bool:
    text = path.read_text(encoding="utf-8")
    return ("__main__" in (path.stem, *re.findall(r'^if __name__ == "(\w+)"', text, re.MULTILINE))
            and any(word in text for word in ("ArgumentParser(", "train.parser(")))


SCRIPTS = sorted(str(path.relative_to(ROOT)) for folder in FOLDERS for path in (
    (ROOT / folder).rglob("*.py") if folder == "common" else (ROOT / folder).glob("*.py")) if is_program(path))


def test_no_program_takes_its_docstring_apart_which_is_none_under_oo():
    """argparse itself takes None; what is to be shown of one goes through errors.first_line."""
    found = [f"{path.relative_to(ROOT)}: {line.strip()}" for path in (ROOT / name for name in SCRIPTS)
             for line in path.read_text(encoding="utf-8").splitlines() if re.search(r"__doc__\s*[.\[]", line)]
    assert not found


@pytest.mark.full
def test_every_help_answers_without_docstrings(run):
    def ask(script: str) -> str:
        name = ["-m", script[:-3].replace("/", ".").replace(".__main__", "")] if script.startswith("common/") else [
            str(ROOT / script)]
        done = run(*name, "--help", cwd=ROOT, PYTHONOPTIMIZE="2")
        return "" if done.returncode == 0 and "usage:" in done.stdout else f"{script}: {done.stderr[-300:]}"

    assert len(SCRIPTS) > 40
    assert [found for found in ordered(ask, SCRIPTS) if found] == []


@pytest.mark.parametrize("arguments", [("EDSR/make_lr.py", "--help"), ("-m", "common.make.check", "--help"),
                                       ("EDSR/edsr_postprocess.py", "--help")], ids=" ".join)
def test_help_answers_without_docstrings(run, arguments):
    script = arguments if arguments[0] == "-m" else (str(ROOT / arguments[0]), *arguments[1:])
    done = run(*script, cwd=ROOT, PYTHONOPTIMIZE="2")
    assert done.returncode == 0 and "usage:" in done.stdout, done.stderr


def test_export_does_without_the_argument_that_torch_before_2_4_lacks(monkeypatch, tmp_path):
    kept = {}

    def old(model, args, f, opset_version=None, input_names=None, output_names=None, dynamic_axes=None):
        kept.update(opset_version=opset_version)
        Path(f).write_bytes(b"")

    monkeypatch.setattr(torch.onnx, "export", old)
    trace.write(torch.nn.Identity(), (torch.ones(1),), tmp_path / "a.onnx", {"input_names": ["x"]})
    assert kept == {"opset_version": trace.OPSET}


@pytest.mark.parametrize("size, scale", [((1, 1), 2), ((1, 40), 2), ((40, 2), 3)])
def test_picture_that_is_narrower_than_the_scale_is_one_line(run, tmp_path, size, scale):
    (tmp_path / "HR").mkdir()
    Image.new("RGB", size).save(tmp_path / "HR/a.png")
    one_line_error(run(str(ROOT / "EDSR/make_lr.py"), "HR", "LR", "--scale", scale, cwd=tmp_path),
                   "HR/a.png", f"{size[0]}x{size[1]}", f"less than {scale} pixels")


def test_requirements_oldest_pins_the_floors_of_the_models(tmp_path):
    """What a model's requirements.txt allows is what tests/oldest.sh runs."""
    pinned = dict(line.split("==") for line in (ROOT / "requirements-oldest.txt").read_text().split("\n") if "==" in line)
    floors = {}
    for path in ROOT.glob("*/requirements.txt"):
        for line in path.read_text().splitlines():
            if ">=" in line:
                name, _, floor = line.partition(">=")
                assert floors.setdefault(name, floor) == floor, f"{path}: another floor of {name}"
    assert sys.version_info >= (3, 8)
    for name, floor in floors.items():
        assert (pinned[name] + ".").startswith(floor + "."), f"{name}: {floor} is allowed, {pinned[name]} is tested"
