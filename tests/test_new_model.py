"""docs/NEW_MODEL.md, followed from `make new` to a copied-out folder; and the names that are refused."""
from __future__ import annotations

import json
import re
import shutil
import subprocess

import pytest

from conftest import ROOT, environment, one_line_error
from test_make import copy_project, make

PAGE = (ROOT / "docs/NEW_MODEL.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return copy_project(tmp_path_factory.mktemp("new model"))


def good(result):
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr
    return result.stdout


def test_a_new_folder_goes_the_whole_way_before_a_line_is_changed(project, tmp_path):
    good(make(project, "new", "MODEL=Shapes"))
    assert "Shapes: selftest passed" in good(make(project, "-C", "Shapes", "selftest"))
    assert "Shapes, classification: pass" in good(make(project, "-C", "Shapes", "all"))
    assert json.loads((project / "Shapes/build/report.json").read_text())["model"] == "Shapes"
    good(make(project, "-C", "Shapes", "dist", f"DEST={tmp_path / 'out'}"))
    assert (tmp_path / "out/shapes_preprocess.py").is_file()
    assert "Shapes" in good(make(project, "help"))
    for place in ("README.md", "Makefile", "pyproject.toml"):
        assert (project / place).read_bytes() == (ROOT / place).read_bytes()
    shutil.rmtree(project / "Shapes")


def test_the_pages_lead_to_a_resnet_in_a_copied_out_folder(project, tmp_path):
    code = dict(re.findall(r"`(ResNet18/[\w.]+)`[^`]*?\n\n```(?:python|json)\n(.*?)```", PAGE, re.DOTALL))
    assert set(code) == {"ResNet18/resnet18.py", "ResNet18/facts.json"}
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    commands = [line for language, block in blocks if not language for line in block.splitlines()]
    assert commands[0] == "make new MODEL=ResNet18" and "dist" in commands[-1]
    clean = {name: value for name, value in environment().items() if name != "PYTHONPATH"}
    for number, command in enumerate(commands):
        if number == 2:  # after the new folder and its self-test
            for name, text in code.items():
                (project / name).write_text(text, encoding="utf-8")
        line = command.replace("../ModelZoo/ResNet18", str(tmp_path / "ResNet18"))
        done = subprocess.run(["bash", "-c", line], cwd=project, capture_output=True, text=True, env=clean, timeout=300)
        assert done.returncode == 0, command + "\n" + done.stdout[-3000:] + done.stderr
    report = json.loads((project / "ResNet18/build/report.json").read_text())
    assert report["verdict"] == "pass" and report["agreement"]["cosine"] > 0.9999
    assert (tmp_path / "ResNet18/resnet18.py").is_file() and not (tmp_path / "ResNet18/build").exists()
    help_ = subprocess.run(["bash", "test/pth2om.sh", "--help"], cwd=tmp_path / "ResNet18", capture_output=True, text=True,
                           env=environment())
    assert "resnet18.onnx" in good(help_)


@pytest.mark.parametrize("name, part", [
    ("EDSR", "is there already"), ("edsr", "is there already"), ("docs", "is there already"), ("torch", "Python module torch"),
    ("Json", "Python module json"), ("class", "identifier"), ("1a", "identifier"), ("A-b", "identifier"), ("", "missing"),
    ("Ä", "identifier"), ("build", "give another name"), ("Build2", "a folder"), ("all", "target of make"), ("export", "target of make"), ("a" * 200, "identifier"), ("../x", "identifier")])
def test_a_name_that_will_not_do_is_one_line_and_leaves_nothing(run, tmp_path, name, part):
    for place in ("EDSR", "docs"):
        (tmp_path / place).mkdir()
    shutil.copy(ROOT / "Makefile", tmp_path)
    one_line_error(run("-m", "common.dev.new", name, cwd=tmp_path), part)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["EDSR", "Makefile", "docs"]
