"""The Makefiles, in a copy of the project whose path holds a space."""
from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from conftest import ROOT, environment, own_lines

QUICK = ("ROUND=1", "LIMIT=2", "PERF_SIZE=32")
NOT_COUNTED = ("common.convert.cost", "common.publish.report", "common.publish.page")


def copy_project(folder: Path) -> Path:
    """The project's files as git would hand them out, with this environment's .venv."""
    names = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT,
                           capture_output=True, text=True, check=True).stdout.splitlines()
    for name in names:
        if (ROOT / name).exists() or (ROOT / name).is_symlink():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name, follow_symlinks=False)
    os.symlink(ROOT / ".venv", folder / ".venv")
    return folder


def make(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    clean = {name: value for name, value in environment().items() if name != "PYTHONPATH"}
    return subprocess.run(["make", *arguments], cwd=folder, capture_output=True, text=True, env=clean, timeout=600)


def ran(result: subprocess.CompletedProcess) -> list:
    """The scripts and modules that make ran, in order, without the report's, its page's and the cost's."""
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr
    found = []
    for line in result.stdout.splitlines():
        if not line.startswith(("cd build", '"')):
            continue
        words = line.split()
        name = next((word for word in words if word.endswith(".py")), None) or words[words.index("-m") + 1]
        found.append(name.replace("../", ""))
    return [name for name in found if name not in NOT_COUNTED and not name.endswith("_gallery.py")]


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    if not (ROOT / ".venv/installed").exists():
        pytest.fail("run the tests by `make test`: these need the project's own .venv")
    return copy_project(tmp_path_factory.mktemp("a folder"))


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    """Two HR and LR pairs in a folder with a space."""
    folder = tmp_path_factory.mktemp("my data")
    for name in ("HR", "LR"):
        (folder / name).mkdir()
    generator = np.random.default_rng(0)
    for stem in ("0801", "0802"):
        image = Image.fromarray(generator.integers(0, 256, (48, 64, 3), np.uint8))
        image.save(folder / f"HR/{stem}.png")
        image.resize((32, 24), Image.BICUBIC).save(folder / f"LR/{stem}x2.png")
    return folder


def test_bare_make_prints_help(project):
    for folder in (project, project / "EDSR"):
        result = make(folder)
        assert result.returncode == 0, result.stderr
        assert "  all " in result.stdout and "whole way" in result.stdout
        assert not (folder / "build").exists()


def test_a_dry_run_on_a_fresh_folder_prints_the_lines_and_makes_nothing(project):
    result = make(project, "-n", "-C", "EDSR", "all")
    assert result.returncode == 0, result.stderr
    assert "edsr_pth2onnx.py --pth checkpoint.pth" in result.stdout and "common.tools.benchmark" in result.stdout
    assert not (project / "EDSR/build/prep").exists()


def test_an_unknown_model_is_refused(project):
    result = make(project, "all", "MODELS=EDRS")
    assert result.returncode == 2 and "no model named EDRS" in result.stderr


def test_a_picture_for_a_model_that_takes_none_is_refused(project):
    result = make(project, "-C", "CGAN", "try", "PICTURE=a.png")
    assert result.returncode == 2 and "PICTURE=a.png: expected none: this model draws by itself" in result.stderr


def test_no_model_is_refused(project):
    result = make(project, "all", "MODELS=")
    assert result.returncode == 2 and "MODELS: names no model; there are CGAN EDSR" in result.stderr


def test_the_whole_way_then_nothing_then_only_what_follows_from_a_change(project, dataset):
    arguments = ("-C", "EDSR", "all", f"DATASETS_PATH={dataset}", *QUICK)
    first = make(project, *arguments)
    assert "common.tools.benchmark" in ran(first) and "pass" in first.stdout
    assert "weights   the demo's, which come with this collection" in first.stdout
    assert ran(make(project, *arguments)) == []

    Image.new("RGB", (32, 24), (9, 9, 9)).save(dataset / "LR/0802x2.png")
    again = make(project, *arguments)
    assert sorted(ran(again)) == sorted([
        "get_max_size.py", "edsr_preprocess.py", "get_info.py", "common.tools.benchmark", "edsr_postprocess.py",
        "common.infer.pytorch_infer", "edsr_postprocess.py", "common.judge.agreement"])
    assert "(1 were there already)" in again.stdout
    results = [project / f"EDSR/build/result/dumpOutput_device0/{stem}x2_1.bin" for stem in ("0801", "0802")]
    preprocessed = project / "EDSR/build/prep/bin/0802x2.bin"
    assert results[0].stat().st_mtime_ns < preprocessed.stat().st_mtime_ns < results[1].stat().st_mtime_ns

    (dataset / "HR/0801.png").touch()
    assert set(ran(make(project, *arguments))) == {"edsr_postprocess.py"}
    assert set(ran(make(project, *arguments, "DEVICE=cpu", "THREADS=1"))) >= {"common.tools.benchmark"}


def test_a_picture_that_cannot_be_read_ends_every_run_with_its_line_until_it_is_mended(project, dataset, tmp_path):
    data = shutil.copytree(dataset, tmp_path / "data")
    whole = (data / "LR/0801x2.png").read_bytes()
    (data / "LR/0801x2.png").write_bytes(whole[:20])
    arguments = ("-C", "EDSR", "size", f"DATASETS_PATH={data}", "B=build_size")
    for _ in range(2):
        failed = make(project, *arguments)
        assert failed.returncode == 2 and "0801x2.png: cannot be decoded" in failed.stderr, failed.stderr
        assert failed.stderr.count("error: ") == 1 and not (project / "EDSR/build_size/size.mk").exists()
    (data / "LR/0801x2.png").write_bytes(whole)
    assert make(project, *arguments).returncode == 0
    assert (project / "EDSR/build_size/size.mk").read_text() == "SIZE := 32\n"
    again = make(project, "-B", *arguments)  # whatever is there
    assert again.returncode == 0 and "get_max_size.py" in ran(again), again.stderr


def test_pictures_of_samples_that_are_gone_go(project, dataset):
    arguments = ("-C", "EDSR", "postprocess", "pytorch_postprocess", f"DATASETS_PATH={dataset}", "ROUND=1", "PERF_SIZE=32", "PTH=seeded",
                 "SEEDED=blocks=1 features=8", "B=build_pictures")
    for limit, left in (("2", ["0801x2.png", "0802x2.png"]), ("1", ["0801x2.png"])):
        result = make(project, *arguments, f"LIMIT={limit}")
        assert result.returncode == 0, result.stderr
        for folder in ("result/save", "pytorch/save"):
            assert sorted(path.name for path in (project / "EDSR/build_pictures" / folder).iterdir()) == left


def test_seeded_weights_are_taken_when_asked_for_and_the_demos_again_when_not(project, dataset):
    arguments = ("-C", "EDSR", "all", f"DATASETS_PATH={dataset}", *QUICK)
    seeded = make(project, *arguments, "PTH=seeded", "SEEDED=blocks=1 features=8")
    assert "edsr_pth2onnx.py" in ran(seeded) and "never trained" in seeded.stdout
    link = project / "EDSR/build/checkpoint.pth"
    assert os.readlink(link) == "seeded.pth"
    again = make(project, *arguments)
    assert "edsr_pth2onnx.py" in ran(again) and "never trained" not in again.stdout
    assert os.readlink(link) == "../demo.pth"
    named = make(project, *arguments, "PTH=demo.pth")  # the same by its name
    assert ran(named) == []


NARROW = ("PTH=seeded", "SEEDED=blocks=1 features=8")


def test_another_precision_counts_as_a_changed_input_of_what_is_timed_alone(project, dataset):
    arguments = ("-C", "EDSR", "postprocess", f"DATASETS_PATH={dataset}", *QUICK, *NARROW)
    make(project, *arguments, "DEVICE=openvino")
    assert ran(make(project, *arguments, "DEVICE=openvino", "PRECISION=f32")) == ["common.tools.benchmark",
                                                                                  "edsr_postprocess.py"]
    record = json.loads((project / "EDSR/build/result/onnxruntime_batchsize_1_device_0.json").read_text())
    assert record["provenance"]["provider"] == "CPU, f32"
    result = make(project, *arguments, "PRECISION=f32")
    assert result.returncode == 2 and "error: PRECISION=f32: is for DEVICE=openvino" in result.stderr


def test_sweep_runs_every_combination_alone_names_the_best_and_the_report_takes_its_own_engines(project, dataset):
    arguments = ("-C", "EDSR", f"DATASETS_PATH={dataset}", *QUICK, *NARROW)
    result = make(project, "-j4", *arguments, "sweep", "SWEEP_THREADS=1 2", "SWEEP_ENGINES=cpu openvino-f32 cuda")
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr
    marks = re.findall(r"^\[INFO\] (?:(\w+) stands in for|end to finalize acl)", result.stdout, re.MULTILINE)
    assert marks == ["onnxruntime", "", "onnxruntime", "", "openvino", "", "openvino", ""]  # none while another runs
    table = result.stdout[result.stdout.index("throughput in samples per second by"):].splitlines()
    rows = [re.split(r"  +", line.strip())[:3] for line in table[2:6]]
    assert rows == [["1", "ONNX Runtime", "1"], ["1", "ONNX Runtime", "2"], ["1", "OpenVINO f32", "1"],
                    ["1", "OpenVINO f32", "2"]]
    rates = [float(re.split(r"  +", line.strip())[6]) for line in table[2:6]]
    threads, name, rate = re.search(r"^best: batch 1, (\d) threads?, (.*): ([\d.]+) samples/s$", result.stdout,
                                    re.MULTILINE).groups()
    assert float(rate) == max(rates) and rows[rates.index(max(rates))] == ["1", name, threads]
    assert re.search(r"^not measured: bs1-1-cuda, bs1-2-cuda: DEVICE=cuda: ", result.stdout, re.MULTILINE)

    plain = make(project, *arguments, "sweep")
    assert plain.returncode == 0 and "OpenVINO" not in plain.stdout[plain.stdout.index("by batch size"):]
    dry = make(project, "-n", *arguments, "report", "SWEEP_THREADS=1 2", "SWEEP_ENGINES=cpu openvino-f32")
    taken = re.findall(r"--sweep (\S+)", dry.stdout)
    assert taken == ["sweep/bs1-all-cpu_onnxruntime.json"] and (project / "EDSR/build" / taken[0]).is_file()
    unknown = make(project, *arguments, "sweep", "SWEEP_ENGINES=gpu")
    assert unknown.returncode == 2 and "no engine named gpu; there are cpu" in unknown.stderr


def test_a_changed_size_counts_as_a_changed_input(project, dataset):
    arguments = ("-C", "EDSR", "preprocess", f"DATASETS_PATH={dataset}", "LIMIT=2")
    for size in (40, 41):
        assert "edsr_preprocess.py" in ran(make(project, *arguments, f"SIZE={size}"))
        assert (project / "EDSR/build/prep/bin/0801x2.bin").stat().st_size == 12 * size ** 2


def test_going_from_one_dataset_to_another_leaves_no_old_result(project, dataset, tmp_path):
    for name in ("HR", "LR"):
        shutil.copytree(dataset / name, tmp_path / name)
    for path in ("HR/0801.png", "LR/0801x2.png"):
        (tmp_path / path).rename(tmp_path / path.replace("0801", "0900"))
    result = make(project, "-C", "EDSR", "postprocess", f"DATASETS_PATH={tmp_path}", *QUICK)
    assert result.returncode == 0, result.stderr
    names = sorted(path.name for path in (project / "EDSR/build/result/dumpOutput_device0").iterdir())
    assert names == ["0802x2_1.bin", "0900x2_1.bin"]


@pytest.mark.parametrize("arguments, part", [
    (("DATASETS_PATH=/nowhere",), "/nowhere: expected a folder with the dataset"),
    (("PTH=/nowhere.pt",), "/nowhere.pt: expected a checkpoint (PTH) there, found nothing"),
    (("DATASETS_PATH=/",), "expected /div2k/LR or /LR (LR), found neither")])
def test_a_wrong_path_is_one_line_and_a_failed_make(project, arguments, part):
    result = make(project, "-C", "EDSR", "all", *arguments)
    assert result.returncode == 2
    errors = own_lines(result.stderr)
    assert len(errors) == 1 and part in errors[0] and errors[0].startswith("error: ")


def test_clean_removes_the_build_folder_and_nothing_else(project):
    before = {path for path in (project / "EDSR").iterdir()} - {project / "EDSR/build"}
    assert make(project, "clean").returncode == 0
    assert {path for path in (project / "EDSR").iterdir()} == before


def test_a_copied_folder_runs_with_the_project_installed(project, dataset, tmp_path):
    copied = tmp_path / "elsewhere/EDSR"
    copied.parent.mkdir()
    subprocess.run(["cp", "-r", str(project / "EDSR"), str(copied)], check=True)
    shutil.rmtree(copied / "build", ignore_errors=True)
    python = ROOT / ".venv/bin/python"
    result = make(copied, "preprocess", f"DATASETS_PATH={dataset}", f"PYTHON={python}", "LIMIT=1")
    assert result.returncode == 0, result.stderr
    assert (copied / "build/prep/manifest.json").is_file()
