"""test/perf_t4.sh of every model with the stand-ins of trtexec and nvidia-smi (tests/ascend), and of onnxruntime-gpu.

Only the time is measured here, so tiny models stand for the networks: those with free batch keep input name and size.
"""
from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Dict, List, Tuple

import pytest
from onnx import TensorProto, helper

import onnx_models
from test_eval_acc_perf import ASCEND, MODELS, calls, machine, one_error
from test_make import copy_project

SWEPT = {"IntraDA": ("image", (3, 512, 1024)), "UNetPlusPlus": ("actual_input_1", (3, 96, 96))}
"""Models that are timed at several batch sizes: name and size of the input (FACTS)."""
BATCHES = (1, 4, 8, 16, 32)
BATCH = {"EDSR": 1, "CGAN": 100, "Pix2pixHD": 1}


def sparing(quick: list, slow: list) -> list:
    """Cases: the slow ones, which add a model or a version and no other way through, are of the full tests."""
    return quick + [pytest.param(*(case if isinstance(case, tuple) else [case]), marks=pytest.mark.full)
                    for case in slow]


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    return copy_project(tmp_path_factory.mktemp("a folder"))


@pytest.fixture
def model_file(tmp_path):
    """`model_file(model)`: a model that takes what the script gives it, in a folder with a space."""
    def make(model: str) -> Path:
        (tmp_path / "my models").mkdir()
        name, size = SWEPT.get(model, ("x", (3, 8, 8)))
        return onnx_models.save(tmp_path / "my models/x.onnx", [helper.make_node("GlobalAveragePool", [name], ["y"])],
                                [(name, ["N" if model in SWEPT else 1, *size], TensorProto.FLOAT)],
                                [("y", ["N" if model in SWEPT else 1, size[0], 1, 1], TensorProto.FLOAT)])
    return make


def script(project: Path, model: str, *options: object, variables: Dict[str, str], cwd: Path = Path("/")):
    return subprocess.run(["bash", str(project / model / "test/perf_t4.sh"), *map(str, options)], cwd=cwd,
                          env=variables, capture_output=True, text=True, timeout=300)


def gpu_compute(log: str, version: str) -> Tuple[float, float]:
    """Mean and median of trtexec's GPU compute section, read as a person would: each version's own look."""
    if version == "7":
        section = log.split("[I] GPU Compute\n")[1]
        return tuple(float(re.search(rf"\[I\] {name}: (\S+) ms\n", section)[1]) for name in ("mean", "median"))
    line = next(line for line in log.splitlines() if "] [I] GPU Compute Time: " in line)
    assert line.count("percentile(") == (1 if version == "8" else 3)
    return tuple(float(re.search(rf"{name} = (\S+) ms", line)[1]) for name in ("mean", "median"))


def figure(text: str, label: str) -> List[float]:
    return [float(value) for value in re.findall(rf"^ *{re.escape(label)}: (\S+)$", text, re.MULTILINE)]


@pytest.mark.parametrize("model, version", sparing(
    [("EDSR", "7"), ("EDSR", "10"), ("CGAN", "8"), ("UNetPlusPlus", "8")],
    [("EDSR", "8"), ("CGAN", "7"), ("CGAN", "10"), ("Pix2pixHD", "7"), ("Pix2pixHD", "8"), ("Pix2pixHD", "10"),
     ("UNetPlusPlus", "7"), ("UNetPlusPlus", "10"), ("IntraDA", "7"), ("IntraDA", "8"), ("IntraDA", "10")]))
def test_trtexecs_gpu_compute_time_gives_the_figures_with_their_definition(model, version, project, model_file,
                                                                           tmp_path):
    there = machine(tmp_path / "bin", "trtexec", "nvidia-smi", STANDIN_TRT=version)
    result = script(project, model, f"--onnx={model_file(model)}", variables=there)
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr
    commands = [call for call in calls(tmp_path / "bin", "trtexec") if "--help" not in call]
    asked = [f"--shapes={SWEPT[model][0]}:{batch}x{'x'.join(map(str, SWEPT[model][1]))}" for batch in BATCHES] \
        if model in SWEPT else [None]
    assert commands == [["trtexec", f"--onnx={tmp_path}/my models/x.onnx", "--fp16", *([shape] if shape else []),
                         "--threads"] for shape in asked]
    logs = [f"trtexec_bs{batch}.log" for batch in BATCHES] if model in SWEPT else ["trtexec.log"]
    times = [gpu_compute((project / model / "result" / log).read_text(), version) for log in logs]
    batches = BATCHES if model in SWEPT else [BATCH[model]]
    assert figure(result.stdout, "samples/s on one device") == pytest.approx(
        [1000 * batch / mean for batch, (mean, _) in zip(batches, times)], rel=1e-4)
    assert figure(result.stdout, "samples/s by the median, as the reference's T4 figures are") == pytest.approx(
        [1000 * batch / median for batch, (_, median) in zip(batches, times)], rel=1e-4)
    assert "= 1000 * batch / mean GPU compute time" in result.stdout
    if model in SWEPT:
        assert "tensorrt, by trtexec" in result.stdout and "TensorRT/s" in result.stdout


def test_a_trtexec_without_fp16_is_given_none_and_the_figure_is_said_to_be_of_float32(project, model_file, tmp_path):
    there = machine(tmp_path / "bin", "trtexec", "nvidia-smi", STANDIN_TRT="11")
    result = script(project, "EDSR", f"--onnx={model_file('EDSR')}", variables=there)
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr
    assert "has no --fp16, so the figure is of float32" in result.stdout
    assert not [call for call in calls(tmp_path / "bin", "trtexec") if "--fp16" in call]


@pytest.mark.parametrize("model, version", sparing(
    [("EDSR", "7"), ("UNetPlusPlus", "10")], [("CGAN", "8"), ("IntraDA", "8"), ("Pix2pixHD", "10")]))
def test_a_trtexec_that_fails_is_one_error_with_its_first_reason(model, version, project, model_file, tmp_path):
    there = machine(tmp_path / "bin", "trtexec", "nvidia-smi", STANDIN_TRT=version, STANDIN_FAIL="1")
    result = script(project, model, f"--onnx={model_file(model)}", variables=there)
    one_error(result, "trtexec failed: Error[4]: [network.cpp::validate")
    assert len([call for call in calls(tmp_path / "bin", "trtexec") if "--help" not in call]) == 1


@pytest.mark.parametrize("model", MODELS)
def test_without_a_gpu_it_is_one_error_that_says_so(model, project, model_file, tmp_path):
    there = machine(tmp_path / "bin", "trtexec", "nvidia-smi", STANDIN_GPU="none")
    result = script(project, model, f"--onnx={model_file(model)}", variables=there)
    one_error(result, "no NVIDIA GPU on this machine")
    assert not calls(tmp_path / "bin", "trtexec")


@pytest.mark.parametrize("model", sparing(["CGAN", "UNetPlusPlus"], ["EDSR", "IntraDA", "Pix2pixHD"]))
def test_without_trtexec_and_without_a_provider_it_is_one_error_that_names_the_package(model, project, model_file,
                                                                                      tmp_path):
    result = script(project, model, f"--onnx={model_file(model)}", variables=machine(tmp_path / "bin", "nvidia-smi"))
    one_error(result, "DEVICE=cuda", "pip install onnxruntime-gpu")


@pytest.mark.parametrize("model, providers", sparing(
    [("EDSR", "TensorrtExecutionProvider,CUDAExecutionProvider"), ("CGAN", "CUDAExecutionProvider")],
    [("EDSR", "CUDAExecutionProvider"), ("UNetPlusPlus", "TensorrtExecutionProvider,CUDAExecutionProvider"),
     ("IntraDA", "CUDAExecutionProvider"), ("Pix2pixHD", "CUDAExecutionProvider")]))
def test_without_trtexec_onnxruntimes_best_provider_is_timed_and_named(model, providers, project, model_file, tmp_path):
    there = machine(tmp_path / "bin", "nvidia-smi", STANDIN_PROVIDERS=providers)
    there["PYTHONPATH"] = str(ASCEND / "onnxruntime_gpu")
    result = script(project, model, f"--onnx={model_file(model)}", variables=there)
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr
    assert f", {providers.split(',')[0]}, " in result.stdout
    assert "1000 * batch / " in result.stdout  # the definition
    if model in SWEPT:
        assert "Tesla T4" in result.stdout and ("568.22" in result.stdout) == (model == "UNetPlusPlus")
        assert "no NPU figure" in result.stdout
    else:
        assert "measured by onnxruntime" in result.stdout


# Pix2pixHD: the reference's figure is PyTorch's

TEST_PY = """
import sys
assert sys.argv[1:] == ["--name", "label2city_1024p", "--netG", "local", "--ngf", "32", "--resize_or_crop", "none",
                        "--dataroot", DATA, "--checkpoints_dir", WEIGHTS, "--how_many", "3"], sys.argv
for seconds in (5.25, 0.5, 0.75):  # as 本次生成图像耗时 of pix2pixhd_gpu.diff
    print("process image... ['x.png']\\n本次生成图像耗时%ss" % seconds)
sys.exit(STATUS)
"""


@pytest.mark.parametrize("status", [0, 1])
def test_pix2pixhd_runs_the_upstreams_pytorch_on_the_gpu_and_leaves_the_first_image_out(status, project, tmp_path):
    upstream = tmp_path / "up stream"
    upstream.mkdir()
    text = TEST_PY.replace("DATA", repr(f"{tmp_path}/data")).replace("WEIGHTS", repr(f"{tmp_path}/checkpoints"))
    (upstream / "test.py").write_text(text.replace("STATUS", str(status)), encoding="utf-8")
    result = script(project, "Pix2pixHD", "--upstream=up stream", "--datasets_path=data", cwd=tmp_path,
                    variables=machine(tmp_path / "bin", "nvidia-smi", LIMIT="3", PYTHONIOENCODING="utf-8"))
    if status:
        one_error(result, "test.py failed")
        return
    assert result.returncode == 0, result.stdout + result.stderr
    assert "mean 0.625 s" in result.stdout and "1.6 images/s, PyTorch's online inference" in result.stdout
    figures = json.loads((project / "Pix2pixHD/result/gpu.json").read_text())
    assert figures["images_per_s"] == 1.6 and "the first image left out" in figures["definition"]
