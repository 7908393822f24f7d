"""`make submit`: five folders made by dist are taken, and each rule turns back the folder that breaks it."""
from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Callable, Dict

import pytest

from common.dev import dist, modelzoo, reach, submit
from conftest import MODELS, ROOT


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Callable[[str], Path]:
    """A model's folder for ModelZoo, made once; not to be changed."""
    place: Path = tmp_path_factory.mktemp("dist")
    done: Dict[str, Path] = {}

    def get(model: str) -> Path:
        if model not in done:
            dist.write(ROOT / model, place / model)
            done[model] = place / model
        return done[model]
    return get


@pytest.mark.parametrize("model", MODELS)
def test_what_dist_makes_is_taken_and_its_row_and_request_are_written(model, made, run, tmp_path):
    result = run("-m", "common.dev.submit", made(model), "--output", tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    assert f"all {len(modelzoo.RULES['rules'])} rules are kept" in result.stdout
    assert (tmp_path / "row.md").read_text() == f"| [{model}](./{model}) | PyTorch | " + \
        (tmp_path / "row.md").read_text().split(" | ", 2)[2]
    request = (tmp_path / "pull_request.md").read_text()
    assert json.loads((ROOT / model / "facts.json").read_text())["upstream"]["commit"] in request
    assert "PerfStatus:NOK" in request


@pytest.mark.parametrize("model", MODELS)
def test_what_two_scripts_share_imports_nothing_large_by_itself(model, made):
    code = "import sys, common; print([name for name in ('torch', 'onnx', 'onnxruntime', 'cv2') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-B", "-c", code], cwd=made(model), capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stdout + done.stderr


def edit(path: str, old: str, new: str) -> Callable[[Path], object]:
    def change(folder: Path) -> None:
        text = (folder / path).read_text()
        assert old in text
        (folder / path).write_text(text.replace(old, new, 1))
    return change


def add(path: str, text: str) -> Callable[[Path], object]:
    def change(folder: Path) -> None:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    return change


def addressed(folder: Path, path: str, text: str) -> None:
    """Add a text with its addresses, and state them as they should be."""
    add(path, text)(folder)
    rows = [f"| 文档 | {name} | {line} | {address} | 说明 |" for name, line, address in modelzoo.found_addresses(folder)
            if name == path]
    with open(folder / modelzoo.ADDRESSES, "a", encoding="utf-8") as file:
        file.write("\n".join(rows) + "\n")


BROKEN = {  # rule: (model, what breaks it, where it must be found)
    "files": ("EDSR", lambda folder: (folder / "LICENSE").unlink(), "LICENSE: is missing"),
    "files, a link": ("CGAN", lambda folder: (folder / "x.txt").symlink_to("LICENSE"), "x.txt: is a link"),
    "names": ("CGAN", add("读我.txt", ""), "读我.txt: has other characters"),
    "sizes": ("IntraDA", add("big.bin", "0" * 1_000_001), "big.bin: has 1.0 MB"),
    "headers": ("UNetPlusPlus", add("helper.py", "print(1)\n"), "helper.py: has no licence header"),
    "downloads": ("Pix2pixHD", lambda folder: addressed(folder, "data.txt", "https://drive.google.com/file/d/1\n"),
                  "data.txt:1: https://drive.google.com"),
    "downloads, an archive": ("EDSR", lambda folder: addressed(folder, "data.txt", "https://example.com/DIV2K.zip\n"),
                              "data.txt:1: https://example.com/DIV2K.zip is a download"),
    "addresses": ("EDSR", add("notes.txt", "\nsee https://arxiv.org/abs/1\n"), "notes.txt:2: https://arxiv.org/abs/1"),
    "addresses, in code": ("EDSR", edit("edsr.py", '"""', '"""https://arxiv.org/abs/2 '), "stands in code"),
    "chapters": ("CGAN", edit("README.md", "## 推理环境准备", "## 环境"), "README.md: has the chapters"),
    "chapters, a section": ("CGAN", edit("README.md", "### 获取源码", "### 源码"), "chapter 快速上手 lacks"),
    "level": ("IntraDA", edit("modelzoo_level.txt", "PerfStatus:NOK", "PerfStatus:OK"), "results.json proves"),
    "pins": ("UNetPlusPlus", edit("requirements.txt", "numpy==", "numpy>="), "is not pinned"),
    "commands": ("EDSR", lambda folder: (folder / "make_lr.py").unlink(), "`python3 make_lr.py` does not run: no such"),
    "commands, a program": ("EDSR", edit("common/__main__.py", '    "benchmark": common.benchmark_main,\n', ""),
                            "`python3 -m common benchmark` does not run"),
    "exit": ("Pix2pixHD", edit("test/pth2om.sh", "set -euo pipefail", "set -u"), "test/pth2om.sh: goes on after"),
    "leftovers": ("Pix2pixHD", add("common/__pycache__/x.pyc", ""), "common/__pycache__: is left over"),
    "licence": ("IntraDA", lambda folder: (folder / "LICENSE.upstream").unlink(), "LICENSE.upstream: is missing")}


@pytest.mark.parametrize("case", BROKEN)
def test_each_rule_turns_back_what_breaks_it_and_says_the_cure(case, made, tmp_path, run):
    model, break_it, part = BROKEN[case]
    folder = shutil.copytree(made(model), tmp_path / model)
    break_it(folder)
    found = submit.review(folder)
    assert {finding.rule for finding in found} == {case.split(",")[0]}, found
    assert any(part in f"{finding.where}: {finding.what}" for finding in found), found
    if case == "files":
        result = run("-m", "common.dev.submit", folder, "--output", tmp_path / "out")
        assert result.returncode == 1 and "rule (files)" in result.stdout and "cure: " in result.stdout
        assert not (tmp_path / "out").exists()


def test_every_rule_has_a_folder_that_breaks_it_a_cure_and_a_source():
    assert {case.split(",")[0] for case in BROKEN} == set(modelzoo.RULES["rules"]) == set(submit.CHECKS)
    assert all(set(rule) == {"rule", "cure", "source"} for rule in modelzoo.RULES["rules"].values())
    assert {model for model, _, _ in BROKEN.values()} == set(MODELS)


def test_a_folder_that_is_none_of_ours_is_reviewed_too(tmp_path, run):
    (tmp_path / "any").mkdir()
    result = run("-m", "common.dev.submit", tmp_path / "any")
    assert result.returncode == 1 and "README.md: is missing" in result.stdout


@pytest.mark.parametrize("model", MODELS)
def test_the_level_in_the_folder_is_the_one_that_the_results_prove(model):
    assert (ROOT / model / "modelzoo_level.txt").read_text() == modelzoo.level(ROOT / model)


@pytest.mark.parametrize("by, rate, level", [
    ("ONNX Runtime 1.24.4", 1e6, "NOK"), ("NPU, CANN 5.1.RC2", 85.0, "NOK"), ("NPU, CANN 5.1.RC2", 86.0, "OK")])
def test_speed_counts_only_as_an_npu_measured_it(by, rate, level, tmp_path):
    shutil.copy(ROOT / "EDSR/facts.json", tmp_path)  # T4: 85.8465 images/s
    result = json.loads((ROOT / "EDSR/results.json").read_text())[0]
    result["by"] = by
    for run in result["performance"]:
        run["samples_per_s"] = rate
    (tmp_path / "results.json").write_text(json.dumps([result]))
    assert modelzoo.level(tmp_path).splitlines()[-1] == f"PerfStatus:{level}"
    result["agreement"]["verdict"] = "fail"
    (tmp_path / "results.json").write_text(json.dumps([result]))
    assert "PrecisionStatus:NOK" in modelzoo.level(tmp_path)
    (tmp_path / "results.json").unlink()
    assert modelzoo.level(tmp_path) == "FuncStatus:NOK\nPrecisionStatus:NOK\nPerfStatus:NOK\n"


@pytest.mark.parametrize("rate, level", [(23370.0, "NOK"), (2.4e5, "OK")])
def test_a_reference_in_runs_of_a_whole_batch_is_turned_into_samples(rate, level, tmp_path):
    shutil.copy(ROOT / "CGAN/facts.json", tmp_path)  # T4: 2337 runs/s of a hundred digits
    result = json.loads((ROOT / "CGAN/results.json").read_text())[0]
    result["by"] = "NPU, CANN 5.1.RC2"
    for run in result["performance"]:
        run["samples_per_s"] = rate
    (tmp_path / "results.json").write_text(json.dumps([result]))
    assert modelzoo.level(tmp_path).splitlines()[-1] == f"PerfStatus:{level}"


@pytest.mark.parametrize("model", MODELS)
def test_the_one_line_command_of_the_readme_has_what_its_script_demands(model, made):
    text = (made(model) / "README.md").read_text()
    (line,) = re.findall(r"^bash test/eval_acc_perf.sh.*$", text[text.index("一键执行"):], re.MULTILINE)
    demanded = set(re.findall(r"(\w+):\w+!", (ROOT / model / "test/eval_acc_perf.sh").read_text()))
    assert set(re.findall(r"--(\w+)=", line)) == demanded


@pytest.mark.parametrize("model", MODELS)
def test_nothing_of_the_readme_needs_a_model_before_the_one_that_makes_it(model, made):
    text = (made(model) / "README.md").read_text()
    before = text[text.index("### 准备数据集"):text.index("1. 模型转换")]
    shell = "\n".join(re.findall(r"```[a-z]*\n(.*?)```", before, re.DOTALL))
    assert ".onnx" not in shell and (model == "CGAN" or "preprocess" in shell)


def test_a_command_that_does_not_end_is_a_finding(tmp_path, monkeypatch):
    monkeypatch.setattr(submit, "PATIENCE", 0.2)
    assert submit.run(tmp_path, sys.executable, "-c", "import time; time.sleep(9)") == "did not end within 0.2 s"


def test_an_address_without_a_purpose_is_an_error(made, tmp_path):
    folder = shutil.copytree(made("EDSR"), tmp_path / "EDSR")
    (folder / "x.txt").write_text("https://example.com/page\n")
    with pytest.raises(dist.UserError, match=r"x.txt:1: https://example.com/page has no purpose"):
        modelzoo.addresses(folder)


def test_modules_beside_a_script_are_reached_inside_functions_too_and_text_is_not():
    assert reach.imports("import os\nfrom common.base import files\n\ndef f():\n    from util import x\n    import one.two\n"
                         "'python3 other.py'\n") == {"os", "util", "one.two"}


@pytest.mark.parametrize("model", MODELS)
def test_the_readme_has_every_command_of_ais_bench_and_no_make(model, made):
    text = (made(model) / "README.md").read_text()
    shell = "\n".join(re.findall(r"```[a-z]*\n(.*?)```", text, re.DOTALL))
    lines = [line for line in shell.splitlines() if line.startswith("python3 -m ais_bench --model ")]
    form = r"python3 -m ais_bench --model [\w.]+\.om( --\w+ [\w./]+)+"
    assert lines and all(re.fullmatch(form, line) for line in lines), lines
    assert not re.search(r"\bmake\b", shell)
    upstream = json.loads((ROOT / model / "facts.json").read_text())["upstream"]
    assert f"git reset --hard {upstream['commit']}" in shell and f"`{upstream['diffs'][0]}`" in text
