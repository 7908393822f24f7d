"""`make doctor`: what it finds, what it advises, and when its exit status is 1."""
from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from common.npu import doctor
from conftest import ROOT, environment
from test_chip import TABLES, fake_npu_smi


@pytest.fixture
def copy(tmp_path) -> Path:
    """A folder of its own with requirements that this environment meets."""
    (tmp_path / "requirements.txt").write_text("numpy>=1.21\nonnxruntime>=1.12\n# a comment\npillow\n")
    shutil.copy(ROOT / "EDSR/facts.json", tmp_path)
    return tmp_path


def lines(result: subprocess.CompletedProcess, subject: str) -> list:
    return [line for line in result.stdout.splitlines() if line[9:].startswith(subject)]


def test_a_machine_without_npu_or_gpu_has_what_make_all_needs(copy, run):
    result = run("-m", "common.npu.doctor", "--link", "LR=LR", cwd=copy)
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.endswith("`make all` has what it needs on this machine\n")
    assert lines(result, "Python")[0].startswith("ok") and "numpy" in lines(result, "packages")[0]
    assert "CPUExecutionProvider" in lines(result, "providers")[0]
    assert lines(result, "disk")[0].startswith("ok") and "seeded weights" in lines(result, "weights")[0]


@pytest.mark.parametrize("requirement, state, part", [
    ("no-such-package==1.0", "MISSING", "no-such-package==1.0 is not installed -> make setup"),
    ("numpy>=10.1", "MISSING", "expected 10.1 or newer -> make setup"),
    ("numpy==1.0", "-", "tested with 1.0")])
def test_packages_are_held_to_requirements(copy, run, requirement, state, part):
    (copy / "requirements.txt").write_text(requirement + "\n")
    result = run("-m", "common.npu.doctor", cwd=copy)
    line, = lines(result, "package ")
    assert line.split()[0] == state and part in line
    assert result.returncode == int(state == "MISSING")


@pytest.mark.parametrize("text, expected", [
    ("torch==2.11.0\n# tests\npytest>=7 # why\n\ntqdm\n-r other.txt\n",
     [("torch", "==", "2.11.0"), ("pytest", ">=", "7"), ("tqdm", "", "")]), ("", [])])
def test_requirements_are_read(text, expected):
    assert doctor.requirements(text) == expected


@pytest.mark.parametrize("older, newer", [("1.9.0", "1.21"), ("2.11.0+cu130", "2.11.1"), ("1.21", "1.21.1")])
def test_versions_compare_by_number(older, newer):
    assert doctor.numbers(older) < doctor.numbers(newer)


@pytest.mark.parametrize("device, part", [("cuda", "pip install onnxruntime-gpu"),
                                          ("cann", "pip install onnxruntime-cann"),
                                          ("tpu", "one of cpu, cuda, tensorrt, cann, openvino")])
def test_a_device_without_its_provider_is_missing(copy, run, device, part):
    import onnxruntime
    if device == "cuda" and "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this onnxruntime has CUDA")
    result = run("-m", "common.npu.doctor", cwd=copy, DEVICE=device)
    assert result.returncode == 1 and part in lines(result, "providers")[-1]


@pytest.mark.parametrize("expected", TABLES)
def test_the_chip_is_named_as_atc_wants_it(copy, run, tmp_path, expected):
    result = run("-m", "common.npu.doctor", cwd=copy, PATH=fake_npu_smi(tmp_path / "bin", TABLES[expected]))
    assert f"{expected}: --soc_version={expected}" in lines(result, "NPU")[0]
    assert "install the two wheels" in lines(result, "tools")[0] and result.returncode == 0
    result = run("-m", "common.npu.doctor", cwd=copy, PATH=fake_npu_smi(tmp_path / "more", TABLES[expected]),
                 PYTHONPATH=f"{ROOT}{os.pathsep}{ROOT / 'tests/ascend'}")
    assert lines(result, "tools")[0].endswith("python3 -m ais_bench")


def test_cann_and_the_gpus_driver_are_found(copy, run, tmp_path):
    (tmp_path / "cann/compiler").mkdir(parents=True)
    (tmp_path / "cann/compiler/version.info").write_text("Version=5.1.RC2\n")
    path = fake_npu_smi(tmp_path / "bin", TABLES["Ascend310"])
    for name, text in (("atc", ""), ("nvidia-smi", "echo Tesla T4, 470.82.01"), ("msame", "")):
        (tmp_path / f"bin/{name}").write_text(f"#!/bin/bash\n{text}\n")
        (tmp_path / f"bin/{name}").chmod(0o755)
    result = run("-m", "common.npu.doctor", cwd=copy, PATH=path, ASCEND_HOME_PATH=str(tmp_path / "cann"))
    assert "5.1.RC2" in lines(result, "CANN")[0] and lines(result, "atc")[0].startswith("ok")
    assert "Tesla T4, 470.82.01" in lines(result, "NVIDIA GPU")[0] and "msame" in lines(result, "tools")[0]


def test_a_datasets_layout_is_checked_part_by_part(copy, run, tmp_path):
    (tmp_path / "data/div2k/LR").mkdir(parents=True)
    (tmp_path / "data/HR").mkdir()
    (tmp_path / "data/HR/a.png").write_text("")
    links = ("--link", "LR=div2k/LR,LR", "--link", "HR=HR", "--link", "masks=masks")
    result = run("-m", "common.npu.doctor", "--data", tmp_path / "data", *links, cwd=copy)
    assert result.returncode == 1 and result.stdout.endswith("2 missing for `make all`\n")
    assert [line.split()[0] for line in lines(result, "data")] == ["MISSING", "ok", "MISSING"]
    assert "is empty" in lines(result, "data")[0] and "HR: 1 files" in lines(result, "data")[1]
    assert "expected" in lines(result, "data")[2] and "-> lay it out" in lines(result, "data")[2]
    assert run("-m", "common.npu.doctor", "--data", "/nowhere", *links, cwd=copy).returncode == 1


def test_the_checkpoint_is_held_to_the_published_one(copy, run, tmp_path):
    (tmp_path / "x.pt").write_bytes(b"12345")
    result = run("-m", "common.npu.doctor", "--pth", "x.pt", cwd=copy)
    assert result.returncode == 0 and "not the published checkpoint" in lines(result, "weights")[0]
    facts = json.loads((copy / "facts.json").read_text())
    facts["weights"]["sha256"] = "5994471abb01112afcc18159f6cc74b4f511b99806da59b3caf5a9c173cacfc5"
    (copy / "facts.json").write_text(json.dumps(facts))
    line, = lines(run("-m", "common.npu.doctor", "--pth", "x.pt", cwd=copy), "weights")
    assert line.endswith(", the published checkpoint")
    assert run("-m", "common.npu.doctor", "--pth", "gone.pt", cwd=copy).returncode == 1


def test_too_little_disk_is_missing(tmp_path):
    line, = doctor.disk(tmp_path, 10 ** 18)
    assert line.state == "MISSING" and "1000000.0 TB needed" in line.found


def test_make_doctor_for_one_model_and_for_all():
    clean = {name: value for name, value in environment().items() if name != "PYTHONPATH"}
    one = subprocess.run(["make", "-C", "EDSR", "doctor"], cwd=ROOT, capture_output=True, text=True, env=clean)
    assert one.returncode == 0 and "`make all` has what it needs" in one.stdout, one.stdout + one.stderr
    every = subprocess.run(["make", "doctor", "MODELS=EDSR", "EDSR_DATASETS_PATH=/nowhere"], cwd=ROOT,
                           capture_output=True, text=True, env=clean)
    assert every.returncode == 2 and "EDSR data" in every.stdout and "/nowhere: no such folder" in every.stdout
    assert every.stdout.count("providers ") == 1


def python_with(folder: Path, **modules: str) -> str:
    """A PATH with a python3 in front that finds these modules (dots: packages) and no others of CANN's list."""
    place = folder / "modules"
    for name, text in modules.items():
        path = place.joinpath(*name.split("__"))
        path.mkdir(parents=True)
        (path / "__init__.py").write_text(text)
    (folder / "bin").mkdir(exist_ok=True)
    (folder / "bin/python3").write_text(f'#!/bin/bash\nPYTHONPATH="{place}" exec /usr/bin/python3 -S "$@"\n')
    (folder / "bin/atc").write_text("#!/bin/bash\n")
    for name in ("python3", "atc"):
        (folder / "bin" / name).chmod(0o755)
    return f"{ROOT / '.venv/bin'}{os.pathsep}{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"


CANN_LIST = {name: "" for name in ("google__protobuf", "decorator", "sympy", "scipy", "psutil", "attr", "cffi", "yaml")}


def test_atcs_own_python_is_held_to_canns_list_and_not_the_projects(copy, run, tmp_path):
    (tmp_path / "cann").mkdir()
    right = python_with(tmp_path / "right", numpy="__version__ = '1.24.0'", **CANN_LIST)
    result = run("-m", "common.npu.doctor", cwd=copy, PATH=right, ASCEND_HOME_PATH=str(tmp_path / "cann"))
    assert lines(result, "atc's Python") == [
        f"ok       atc's Python  {tmp_path}/right/bin/python3: numpy 1.24.0 and the rest of CANN's list"], result.stdout
    assert result.returncode == 0
    newer = python_with(tmp_path / "newer", numpy="__version__ = '2.1.0'", scipy="")
    result = run("-m", "common.npu.doctor", cwd=copy, PATH=newer, ASCEND_HOME_PATH=str(tmp_path / "cann"))
    line, = lines(result, "atc's Python")
    assert line.startswith("MISSING") and "numpy below 2 (there is 2.1.0), protobuf, decorator, sympy, psutil" in line
    assert "scipy," not in line.partition("->")[0] and "'numpy<2'" in line and result.returncode == 1


@pytest.mark.parametrize("own, state, part", [
    ({"ais_bench": ""}, "-", "does not run an .om (ModuleNotFoundError: No module named 'aclruntime')"),
    ({"ais_bench": "", "aclruntime": ""}, "-", "No module named 'ais_bench.infer'"),
    ({"ais_bench": "", "ais_bench__infer": "", "aclruntime": ""}, "ok", "python3 -m ais_bench"),
    ({}, "-", "benchmark, msame, ais_infer, ais_bench: none there")])
def test_the_right_ais_bench_is_told_from_another_of_its_name(copy, run, tmp_path, own, state, part):
    for name, text in own.items():
        path = tmp_path.joinpath("mine", *name.split("__"))
        path.mkdir(parents=True, exist_ok=True)
        (path / "__init__.py").write_text(text)
    result = run("-m", "common.npu.doctor", cwd=copy, PATH=fake_npu_smi(tmp_path / "bin", TABLES["Ascend310"]),
                 PYTHONPATH=f"{ROOT}{os.pathsep}{tmp_path / 'mine'}")
    line, = lines(result, "tools")
    assert line.split()[0] == state and part in line
    assert state == "ok" or ("aclruntime-" in line and "ais_bench-" in line)
