"""Folders that leave: `make dist` and `cp -r`, run where the project is not installed, and where it is."""
from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from common.dev import dist
from common.judge import peaks
from conftest import MODELS, ROOT, environment, one_line_error


@pytest.fixture(scope="session")
def bare(tmp_path_factory) -> Path:
    """The bin folder of an environment with this one's packages, and without the project.

    A folder named in a .pth file comes on the path; its own .pth files, an editable install among them, do not count.
    """
    folder = tmp_path_factory.mktemp("bare")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    there = [path for path in sys.path if path.endswith("site-packages")]
    place = next(folder.glob("lib/python*/site-packages"))
    (place / "packages.pth").write_text("\n".join(there) + "\n")
    done = subprocess.run([folder / "bin/python3", "-c", "import torch, common"], cwd=folder, capture_output=True,
                          text=True, env=plain())
    assert "No module named 'common'" in done.stderr, "the project can be imported where it should not"
    return folder / "bin"


def plain(**more: str) -> dict:
    return {**{name: value for name, value in environment().items() if name != "PYTHONPATH"}, **more}


def call(*command: object, cwd: Path, timeout: float = 900, **more: str) -> subprocess.CompletedProcess:
    return subprocess.run([str(part) for part in command], cwd=cwd, capture_output=True, text=True, timeout=timeout,
                          env=plain(**more))


def make_dist(model: str, target: Path, *options: str) -> Path:
    result = call(sys.executable, "-m", "common.dev.dist", *(options or ["--full"]), target, cwd=ROOT / model)
    assert result.returncode == 0, result.stderr
    return target


@pytest.mark.parametrize("model", MODELS)
def test_dist_holds_every_file_of_the_model_and_of_common(model, tmp_path):
    copied = make_dist(model, tmp_path / "a b" / model)
    names = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard", model, "common"], cwd=ROOT,
                           capture_output=True, text=True, check=True).stdout.splitlines()
    wanted = {name[len(model) + 1:] if name.startswith(model + "/") else name for name in names
              if (ROOT / name).is_file()}
    wanted -= {"common", "common/make/setup.mk", "common/make/setup.sh",
               *(name for name in wanted if name.startswith("common/dev/template/"))}
    if "README.zh.md" in wanted:
        wanted = wanted - {"README.zh.md"} | {"README.en.md"}
    assert {str(path.relative_to(copied)) for path in copied.rglob("*") if not path.is_dir()} == wanted
    assert not [path for path in copied.rglob("*") if path.is_symlink()]
    assert os.access(copied / "test/pth2om.sh", os.X_OK)
    level = (copied / "modelzoo_level.txt").read_text().split()
    assert [line.split(":")[0] for line in level] == ["FuncStatus", "PrecisionStatus", "PerfStatus"]


@pytest.mark.parametrize("model", MODELS)
def test_every_source_file_of_the_copy_opens_with_the_licence(model, tmp_path):
    copied = make_dist(model, tmp_path / model)
    sources = [path for path in copied.rglob("*") if path.suffix in (".py", ".sh", ".mk") or path.name == "Makefile"]
    assert len(sources) > 30
    for path in sources:
        text = path.read_text()
        opening = text.split("\n", 1)[1] if text.startswith("#!") else text
        assert opening.startswith("# Copyright "), path
        assert text.count("\n# Licensed under the Apache License, Version 2.0") == 1, path
        if path.suffix == ".py":
            compile(text, str(path), "exec")


def test_the_licence_comes_once_after_the_interpreter_line_and_leaves_the_text():
    once = dist.header("#!/bin/bash\necho\n")
    assert once.startswith("#!/bin/bash\n# Copyright ") and once.endswith("limitations under the License.\necho\n")
    assert dist.header(once) == once
    assert dist.header('"""Doc."""\n').endswith('License.\n"""Doc."""\n')


def test_the_chinese_readme_comes_in_front(tmp_path):
    folder = tmp_path / "m"
    shutil.copytree(ROOT / "EDSR", folder, ignore=shutil.ignore_patterns("build*", "common"))
    (folder / "README.zh.md").write_text("中文")
    dist.write(folder, tmp_path / "out", full=True)
    assert (tmp_path / "out/README.md").read_text() == "中文"
    english = (folder / "README.md").read_text(encoding="utf-8").replace("](README.zh.md)", "](README.md)")
    assert (tmp_path / "out/README.en.md").read_text(encoding="utf-8") == english


def test_data_weights_and_results_stay_behind(tmp_path):
    folder = tmp_path / "m"
    shutil.copytree(ROOT / "EDSR", folder, ignore=shutil.ignore_patterns("build*", "common"))
    for name in ("build/x.py", "div2k/LR/a.png", "edsr.pt", "edsr.onnx", "edsr.om", "result.json", "pad_info.json",
                 "a.info"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("")
    names = dist.write(folder, tmp_path / "out", full=True)
    assert not {name for name in names if name != "edsr.py" and name.startswith(
        ("build", "div2k", "edsr.p", "edsr.o", "result.json", "result/", "pad_", "a."))}


@pytest.mark.parametrize("prepare, part", [
    (lambda out: (out.mkdir(), (out / "x").write_text("keep")), "is not empty"),
    (lambda out: out.write_text("keep"), "is a file")])
def test_a_destination_that_is_not_empty_is_refused_and_kept(tmp_path, run, prepare, part):
    out = tmp_path / "out"
    prepare(out)
    one_line_error(run("-m", "common.dev.dist", out, cwd=ROOT / "EDSR"), part, "give a new or empty folder")
    assert "keep" in ((out / "x") if out.is_dir() else out).read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_an_empty_destination_is_taken_and_a_missing_one_is_an_error(tmp_path, run):
    (tmp_path / "out").mkdir()
    make_dist("EDSR", tmp_path / "out")
    one_line_error(run("-m", "common.dev.dist", "", cwd=ROOT / "EDSR"), "DEST= is missing")


def test_a_folder_that_lacks_what_modelzoo_asks_for_is_an_error(tmp_path, run):
    shutil.copytree(ROOT / "EDSR", tmp_path / "m", ignore=shutil.ignore_patterns("build*", "common"))
    (tmp_path / "m/modelzoo_level.txt").unlink()
    one_line_error(run("-m", "common.dev.dist", "--full", tmp_path / "out", cwd=tmp_path / "m"),
                   "modelzoo_level.txt missing")
    assert not (tmp_path / "out").exists()


def test_the_copy_runs_where_the_project_is_not_installed(bare, tmp_path):
    """Scripts by hand and make, each with the `common` inside the copy."""
    copied = make_dist("EDSR", tmp_path / "my models" / "EDSR")
    path = f"{bare}{os.pathsep}{os.environ['PATH']}"
    result = call("make", "preprocess", "LIMIT=1", cwd=copied, PATH=path)
    assert result.returncode == 0, result.stderr
    assert (copied / "build/prep/manifest.json").is_file()
    result = call("python3", copied / "edsr_preprocess.py", "--help", cwd=tmp_path, PATH=path)
    assert result.returncode == 0, result.stderr
    result = call("bash", "-c", ". ./env.sh >/dev/null; cd /; python3 -c 'import common; print(common.__file__)'",
                  cwd=copied, PATH=path)
    assert result.stdout.strip() == str(copied / "common/__init__.py"), result.stderr
    assert call("make", "doctor", cwd=copied, PATH=path).returncode == 0
    again = call("python3", "-m", "common.dev.dist", "--full", tmp_path / "again", cwd=copied, PATH=path,
                 PYTHONPATH=str(copied))
    assert again.returncode == 0, again.stderr
    same = subprocess.run(["diff", "-r", "-x", "build", "-x", "__pycache__", str(copied), str(tmp_path / "again")])
    assert same.returncode == 0


def self_test(folder: Path, path: str) -> None:
    result = call("bash", "test/offline_inference_testcase.sh", cwd=folder, PATH=path, timeout=600)
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    assert result.stdout.splitlines()[-1] == "Run testcase success!"


@pytest.mark.full
@pytest.mark.parametrize("model", MODELS)
def test_modelzoos_self_test_passes_in_a_copy_where_the_project_is_not_installed(model, bare, tmp_path):
    self_test(make_dist(model, tmp_path / "a copy"), f"{bare}{os.pathsep}{os.environ['PATH']}")


LEAN = ["--holder", "Some One"]
LARGEST = {"EDSR": 316_000, "CGAN": 329_300, "IntraDA": 389_000, "UNetPlusPlus": 342_300, "Pix2pixHD": 361_200}
"""Bytes of a lean copy without its licences: what they have now, and a little. The aim is 250,000 for EDSR."""


@pytest.mark.parametrize("model", [pytest.param(name, marks=[] if name == "CGAN" else pytest.mark.full)
                                   for name in MODELS])
def test_modelzoos_self_test_passes_in_a_lean_copy_with_its_own_packages_alone(model, bare, tmp_path):
    """Packages outside its requirements.txt (and what those need) cannot be imported there."""
    copied = make_dist(model, tmp_path / "a copy", *LEAN)
    path = tmp_path / "site/sitecustomize.py"
    path.parent.mkdir()
    path.write_text("import sys\nfor name in ('pytest', 'jsonschema', 'torchvision', 'imageio', 'openvino', 'ray', "
                    "'dominate'):\n    sys.modules[name] = None\n")
    result = call("bash", "test/offline_inference_testcase.sh", cwd=copied, timeout=600,
                  PATH=f"{bare}{os.pathsep}/usr/bin{os.pathsep}/bin", PYTHONPATH=str(path.parent), OMP_NUM_THREADS="1")
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    assert result.stdout.splitlines()[-1] == "Run testcase success!"


@pytest.mark.parametrize("model", MODELS)
def test_a_lean_copy_has_what_the_model_reaches_and_nothing_of_the_project_itself(model, tmp_path):
    copied = make_dist(model, tmp_path / model, *LEAN)
    names = {str(path.relative_to(copied)) for path in copied.rglob("*") if path.is_file()}
    stays = re.compile(r"Makefile|demo\.|train_|.*_gallery")
    assert not {name for name in names if stays.match(name)}
    assert {name for name in names if name.startswith("common/")} == {"common/__init__.py", "common/__main__.py"}
    own = [copied / name for name in names if not name.startswith("LICENSE")]
    assert len(own) <= 25
    assert sum(path.stat().st_size for path in own) <= LARGEST[model]
    for check in ([sys.executable, "-m", "ruff", "check", "--isolated", "--select", "F,E9", "."],
                  [shutil.which("shellcheck", path=f"{ROOT}/.venv/bin"), "-x", "env.sh", *sorted(copied.glob("test/*.sh"))]):
        done = call(*check, cwd=copied)
        assert done.returncode == 0, done.stdout
    assert {"README.md", "LICENSE", "facts.json", "results.json", "test/pth2om.sh"} <= names
    for path in copied.rglob("*.py"):
        assert path.read_text().lstrip("#!/usrbinenvpython3 \n").startswith("Copyright 2026 Some One"), path
    pins = (copied / "requirements.txt").read_text().split()
    assert pins and all(re.fullmatch(r"[\w-]+==[\d.]+", pin) for pin in pins)
    assert set(pins) <= set((ROOT / "requirements.txt").read_text().split())
    other = call(sys.executable, "edsr_preprocess.py" if model == "EDSR" else "-c", "--help" if model == "EDSR" else "",
                 cwd=copied)
    assert other.returncode == 0, other.stderr
    refused = call("bash", "test/eval_acc_perf.sh", "--devices=0,1", "--datasets_path=/", "--pth=/x", cwd=copied)
    assert refused.returncode in (1, 2) and "Traceback" not in refused.stderr


@pytest.mark.full
@pytest.mark.parametrize("model", MODELS)
def test_modelzoos_self_test_passes_in_a_plain_copy_with_the_project_installed(model, tmp_path):
    source, copied = tmp_path / "source", tmp_path / "a copy"
    shutil.copytree(ROOT / model, source, symlinks=True, ignore=shutil.ignore_patterns("build*"))
    subprocess.run(["cp", "-r", str(source), str(copied)], check=True)
    self_test(copied, f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")


@pytest.mark.parametrize("stage", ["export", "agreement"])
def test_the_self_test_fails_when_a_part_is_broken(stage, bare, tmp_path):
    copied = make_dist("CGAN", tmp_path / "CGAN")
    if stage == "export":
        (copied / "CGAN_pth2onnx.py").write_text("raise SystemExit(1)\n")
    else:  # PyTorch's answer is another one than ONNX's
        path = copied / "common/infer/pytorch_infer.py"
        path.write_text(path.read_text().replace("tensor.numpy()", "1 - tensor.numpy()"))
    result = call("bash", "test/offline_inference_testcase.sh", cwd=copied,
                  PATH=f"{bare}{os.pathsep}{os.environ['PATH']}")
    assert result.returncode == 1 and result.stdout.splitlines()[-1] == "Run testcase failed!"


@pytest.mark.parametrize("model", MODELS)
def test_the_self_tests_usage(model):
    script = ROOT / model / "test/offline_inference_testcase.sh"
    assert call("bash", script, "--help", cwd=ROOT).returncode == 0
    assert call("bash", script, "--fast", cwd=ROOT).returncode == 2


def test_no_dataset_is_linked_for_download():
    """Model folders name datasets, and link papers, code, weights, CANN's pages and those of chips alone."""
    allowed = re.compile(r"https?://(arxiv\.org|github\.com|cv\.snu\.ac\.kr/research/EDSR/models/|www\.apache\.org/|www\.w3\.org/|json-schema\.org/|(www\.)?hiascend\.com/|gitcode\.com/cann/)")
    for model in MODELS:
        for path in sorted(dist.selection(ROOT / model).values()):
            if path.suffix in (".md", ".py", ".sh", ".json", ".txt"):
                for link in re.findall(r"https?://[^\s\"')>`]+", path.read_text(encoding="utf-8")):
                    assert allowed.match(link) or link in {peak.page for peak in peaks.PEAKS.values()}, f"{path}: {link}"
