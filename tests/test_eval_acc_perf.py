"""test/eval_acc_perf.sh of every model, run whole, with CANN's tools played by the stand-ins of tests/ascend.

The stand-ins know nothing of the project: they are written from the tools' documented behaviour, and refuse what the
real ones would refuse. Narrow seeded weights and made-up data; what is checked is that each tool's files lead to
PyTorch's figures.
"""
from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Dict, List, NamedTuple, Tuple

import numpy as np
import pytest
from PIL import Image

import onnx_models
from conftest import ROOT, environment
from test_make import copy_project

ASCEND = ROOT / "tests/ascend"
ANOTHER_DAY = "1640995199.25"
"""The tools' clock, in the last second of 2021: folders are not named after the day that the script sees."""
FLAGS = {  # of the reference's command lines
    "EDSR": {"-model_type=vision", "-useDvpp=False", "-output_binary=True", "-batch_size=1", "-round=20"},
    "IntraDA": {"-input_width=1024", "-input_height=512", "-output_binary=True"},
    "Pix2pixHD": {"-input_width=2048", "-input_height=1024", "-output_binary=True"}}


class Model(NamedTuple):
    """How little of a model is needed. tool: what the reference ran. line: the accuracy that the script prints."""

    tool: str
    seeded: Tuple[str, ...]
    options: Tuple[str, ...]
    line: str


MODELS = {
    "EDSR": Model("benchmark", ("blocks=1", "features=8"), ("--datasets_path={data}",),
                  r"PSNR over 2 images: (\S+) dB"),
    "CGAN": Model("msame", ("hidden=16", "wide=8", "narrow=4"), (), r"read rate: (\S+) % of 100 generated digits"),
    "IntraDA": Model("benchmark", ("blocks=1,1,1,1", "widths=4,4,4,4,4"),
                     ("--datasets_path={data}", "--batch_sizes=1", "--loop=2"), r"mIoU over 1 images: (\S+) %"),
    "UNetPlusPlus": Model("ais_infer", ("filters=4,8,8,8,8",), ("--datasets_path={data}", "--loop=2"),
                          r"IoU over 3 images: (\S+)"),
    "Pix2pixHD": Model("benchmark", ("ngf=1", "global_blocks=1", "local_blocks=1"),
                       ("--datasets_path={data}", "--input=labels"), r"worst picture of 1: .*PSNR (?:(\S+) dB|equal)"),
}


def machine(folder: Path, *tools: str, **variables: str) -> Dict[str, str]:
    """The environment of a machine that has these of the stand-ins, and of CANN and NVIDIA nothing else."""
    folder.mkdir(parents=True, exist_ok=True)
    for tool in tools:
        if tool != "ais_bench":
            (folder / tool).symlink_to(ASCEND / tool)
    own = folder / "python3"  # CANN's, which the stand-ins of its tools need: they run outside the project's .venv
    own.write_text(f'#!/bin/bash\nexec "{sys.executable}" "$@"\n')
    own.chmod(0o755)
    python = [str(ASCEND)] if "ais_bench" in tools else []
    path = os.pathsep.join([str(folder), str(Path(sys.executable).parent), "/usr/bin", "/bin"])
    kept = {name: value for name, value in environment().items()
            if not name.startswith(("STANDIN_", "ASCEND_")) and name != "PYTHONPATH"}
    return {**kept, "PATH": path, "PYTHONPATH": os.pathsep.join(python), "HOME": str(folder), "THREADS": "1",
            "OMP_NUM_THREADS": "1", "STANDIN_THREADS": "1",  # two threads wait for each other where cores are busy
            "STANDIN_CHIP": "310P3", "STANDIN_CALLS": str(folder / "calls"), "STANDIN_NOW": ANOTHER_DAY,
            "ASCEND_ROOT": str(folder / "none"), **variables}


def calls(folder: Path, *tools: str) -> List[List[str]]:
    """The calls of these stand-ins, in order."""
    path = folder / "calls"
    lines = path.read_text().splitlines() if path.exists() else []
    return [call for call in map(json.loads, lines) if call[0] in tools]


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """A copy of the project whose path holds a space."""
    return copy_project(tmp_path_factory.mktemp("a folder"))


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """`inputs(model)`: its data folder and seeded checkpoint, made once."""
    made: Dict[str, Tuple[Path, Path]] = {}

    def draw(model: str, folder: Path) -> None:
        def run(*command: str) -> None:
            subprocess.run([sys.executable, *command], cwd=folder, check=True, capture_output=True, env=environment())
        if model == "EDSR":
            generator = np.random.default_rng(0)
            for name, size in (("one", (44, 60)), ("two", (64, 40))):
                (folder / "demo/HR").mkdir(parents=True, exist_ok=True)
                smooth = Image.fromarray(generator.integers(0, 256, (6, 6, 3), np.uint8))
                smooth.resize(size, Image.BICUBIC).save(folder / f"demo/HR/{name}.png")
            run(str(ROOT / "EDSR/make_lr.py"), "demo/HR", "demo/LR")
        elif model == "UNetPlusPlus":
            run("-m", "common.data.demo.nuclei", "demo", "--count", "3")
        elif model in ("IntraDA", "Pix2pixHD"):
            run("-m", "common.data.demo.streets", "demo", "--count", "1")
            if model == "Pix2pixHD":
                run(str(ROOT / "Pix2pixHD/datasets_deal.py"), "demo/test_inst", "demo/test_label", "demo/gtFine/val")

    def get(model: str) -> Tuple[Path, Path]:
        if model not in made:
            folder = tmp_path_factory.mktemp("my data")
            draw(model, folder)
            pth = folder / "latest_net_G.pth"
            widths = [word for part in MODELS[model].seeded for word in ("--set", part)]
            subprocess.run([sys.executable, "-m", "common.convert.seed", "--model", ROOT / model, "--output", pth, *widths],
                           cwd=ROOT / model, check=True, capture_output=True, env=environment())
            made[model] = folder / "demo", pth
        return made[model]
    return get


def evaluate(project: Path, inputs, model: str, variables: Dict[str, str]) -> subprocess.CompletedProcess:
    """Run the script from another folder, as a user would."""
    data, pth = inputs(model)
    weights = f"--load_pretrain={pth.parent}" if model == "Pix2pixHD" else f"--pth={pth}"
    options = [option.format(data=data) for option in MODELS[model].options]
    return subprocess.run(["bash", str(project / model / "test/eval_acc_perf.sh"), weights, *options], cwd=pth.parent,
                          env=variables, capture_output=True, text=True, timeout=600)


def accuracies(project: Path, model: str) -> Tuple[float, float]:
    """What the run found, and what PyTorch's own outputs give."""
    result = project / model / "result"
    if model == "UNetPlusPlus":
        found = {json.loads((result / f"accuracy_bs{batch}.json").read_text())["value"] for batch in (1, 16)}
        assert max(found) - min(found) < 1e-9  # a tail that is filled up changes no real sample
        (ours,) = {round(value, 9) for value in found}
    else:
        ours = json.loads((result / "accuracy.json").read_text())["value"]
    return ours, json.loads((result / "pytorch_accuracy.json").read_text())["value"]


def check(project: Path, model: str, result: subprocess.CompletedProcess, npu: bool) -> None:
    """The whole way, PyTorch's accuracy, and a throughput that says who measured it."""
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    printed = re.findall(MODELS[model].line, result.stdout)
    assert printed
    if model == "Pix2pixHD":
        agreement = json.loads((project / "Pix2pixHD/result/agreement.json").read_text())
        assert agreement["verdict"] == "pass" and agreement["samples"] == 1 and agreement["cosine"] > 0.99999
    else:
        ours, theirs = accuracies(project, model)
        assert ours == pytest.approx(theirs, abs=1e-3)
        assert all(float(one) == pytest.approx(theirs, abs=0.01) for one in printed)
        assert "(PyTorch on the same samples with the same checkpoint): pass" in result.stdout
    assert ("measured by npu" in result.stdout or "  here (NPU)/s: npu, by " in result.stdout) == npu
    assert ("onnxruntime stands in for" in result.stdout) != npu


def cases() -> list:
    """The model's own tool, and ais_bench alone; without an NPU: none of them. The quick ones are one of each tool."""
    quick = {("CGAN", "msame"), ("CGAN", "ais_bench"), ("EDSR", "benchmark")}
    return [pytest.param(name, tool, id=f"{name}-{tool}", marks=[] if (name, tool) in quick else pytest.mark.full)
            for name, model in MODELS.items() for tool in (model.tool, "ais_bench", "none")]


@pytest.mark.parametrize("model, tool", cases())
def test_the_whole_way_gives_pytorchs_accuracy_by_the_tool_that_the_machine_has(model, tool, project, inputs, tmp_path):
    names = {"benchmark": "benchmark.x86_64", "none": None}.get(tool, tool)
    there = ["atc", "npu-smi", names] if names else []
    if (model, tool) == ("IntraDA", "benchmark"):
        there.append("ais_bench")  # the reference timed with it
    more = {"STANDIN_AIS": "2022-09"} if tool == "ais_infer" else {}
    result = evaluate(project, inputs, model, machine(tmp_path / "bin", *there, **more))
    check(project, model, result, npu=bool(there))
    called = calls(tmp_path / "bin", "benchmark", "msame", "ais_infer", "ais_bench")
    assert {call[0] for call in called} == ({tool} | set(there) & {"ais_bench"} if there else set())
    words = {word for call in called for word in call}
    if tool == "benchmark":
        assert FLAGS[model] <= words
    if (model, tool) == ("UNetPlusPlus", "ais_infer"):
        assert {f"nested_unet_bs{batch}.om" for batch in (1, 4, 8, 16, 32)} <= words


@pytest.mark.parametrize("model", ["CGAN", *(pytest.param(name, marks=pytest.mark.full) for name in MODELS
                                             if name != "CGAN")])
def test_an_account_whose_group_can_write_runs_the_newest_ais_bench(model, project, inputs, tmp_path):
    before = os.umask(0o002)
    try:
        result = evaluate(project, inputs, model,
                          machine(tmp_path / "bin", "atc", "npu-smi", "ais_bench", STANDIN_AIS="2024"))
    finally:
        os.umask(before)
    check(project, model, result, npu=True)


def test_weights_that_are_not_marked_as_untrained_and_draw_no_digit_end_with_status_1_and_the_reasons(project, inputs, tmp_path):
    from common.convert import checkpoint
    path = tmp_path / "latest_net_G.pth"
    checkpoint.save(dict(checkpoint.load(inputs("CGAN")[1])), path)
    result = evaluate(project, lambda model: (None, path), "CGAN", machine(tmp_path / "bin"))
    assert result.returncode == 1, result.stdout[-2000:] + result.stderr
    assert result.stdout.splitlines()[-1].strip().startswith("no working model has a read rate of 19 % (chance is 10 %")
    assert "likely weights that were never loaded" in result.stdout.splitlines()[-1]
    assert "untrained weights, their accuracy says nothing" in evaluate(
        project, inputs, "CGAN", machine(tmp_path / "other")).stdout


@pytest.mark.full
def test_a_machine_with_atc_and_without_an_npu_runs_on_onnxruntime(project, inputs, tmp_path):
    result = evaluate(project, inputs, "CGAN", machine(tmp_path / "bin", "atc", "benchmark.x86_64", "msame"))
    check(project, "CGAN", result, npu=False)
    assert not calls(tmp_path / "bin", "atc", "msame")


@pytest.mark.full
@pytest.mark.parametrize("model, tool, generation", [
    ("UNetPlusPlus", "benchmark.x86_64", ""), ("EDSR", "ais_infer", "2022-07"), ("IntraDA", "ais_infer", "2022-07"),
    ("CGAN", "ais_infer", "2022-07"), ("EDSR", "ais_bench", "2022-11"), ("IntraDA", "benchmark.x86_64", "")])
def test_the_whole_way_by_an_older_generation_of_tools_and_by_benchmark_alone(model, tool, generation, project, inputs,
                                                                            tmp_path):
    result = evaluate(project, inputs, model,
                      machine(tmp_path / "bin", "atc", "npu-smi", tool, STANDIN_AIS=generation or "2023"))
    check(project, model, result, npu=True)


@pytest.mark.full
def test_a_generation_that_drops_a_batch_that_is_not_full_is_an_error(project, inputs, tmp_path):
    result = evaluate(project, inputs, "UNetPlusPlus",
                      machine(tmp_path / "bin", "atc", "npu-smi", "ais_infer", STANDIN_AIS="2022-07"))
    one_error(result, "ais_infer ended with status 1")
    assert "== inference, batch 16 ==" in result.stdout


def one_error(result: subprocess.CompletedProcess, *parts: str) -> None:
    """Exit status 1, and of the script's own lines on stderr one, the last: an error that names every part."""
    lines = result.stderr.splitlines()
    assert result.returncode == 1, result.stdout[-2000:] + result.stderr
    assert [line for line in lines if line.startswith("error: ")] == lines[-1:], result.stderr
    for part in parts:
        assert part in lines[-1], (part, lines[-1])


@pytest.fixture(scope="module")
def unexported(tmp_path_factory) -> Path:
    """A copy of the project whose pth2om.sh leaves files that are no model, for tools that fail before they read it."""
    folder = copy_project(tmp_path_factory.mktemp("un exported"))
    for script in folder.glob("*/test/pth2om.sh"):
        script.write_text('cd "$(dirname "$0")/.."\nfor name in CGAN_bs1 edsr_x2_{32,256} nested_unet_bs{1,4,8,16,32}\n'
                          'do echo none > $name.om; done\n')
    return folder


@pytest.mark.parametrize("model, tool, how, part", [
    ("CGAN", "msame", "1", "msame left no results in result/msame"),  # ends with status 0 all the same
    ("EDSR", "benchmark.x86_64", "1", "benchmark left no results in result/dumpOutput_device0"),
    ("EDSR", "ais_bench", "1", "ais_bench ended with status 1"),
    *(pytest.param(*case, marks=pytest.mark.full) for case in (
        ("CGAN", "msame", "load", "msame ended with status 1"),
        ("CGAN", "ais_bench", "1", "ais_bench ended with status 1"),
        ("EDSR", "benchmark.x86_64", "load", "benchmark.x86_64 ended with status 1"),
        ("UNetPlusPlus", "ais_infer", "load", "ais_infer ended with status 1"),
        ("UNetPlusPlus", "benchmark.x86_64", "1", "benchmark left no results in result/dumpOutput_device0")))])
def test_a_tool_that_fails_is_one_error_whatever_its_exit_status_and_an_earlier_runs_results(
        model, tool, how, part, unexported, inputs, tmp_path):
    for name in ("dumpOutput_device0/onex2_1.bin", "dumpOutput_device0/twox2_1.bin",
                 "msame/20211231_1_1_1_1/CGAN_bs1_output_0.bin", "ais/2021_12_31-01_01_01/input_0.bin"):
        path = unexported / model / "result" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"old")
    result = evaluate(unexported, inputs, model,
                      machine(tmp_path / "bin", "atc", "npu-smi", tool, STANDIN_FAIL=how))
    one_error(result, part)
    assert "[ERROR]" in result.stdout and "== accuracy" not in result.stdout


@pytest.mark.parametrize("model", MODELS)
def test_an_npu_without_any_tool_is_one_error_before_any_work(model, project, inputs, tmp_path):
    """The checkpoint is not even looked for."""
    result = subprocess.run(["bash", str(project / model / "test/eval_acc_perf.sh"), "--datasets_path=."], cwd=tmp_path,
                            env=machine(tmp_path / "bin", "atc", "npu-smi"), capture_output=True, text=True)
    tool = "benchmark" if MODELS[model].tool == "ais_infer" else MODELS[model].tool
    one_error(result, f"neither {tool} nor ais_bench is on this machine")
    assert not calls(tmp_path / "bin", "atc")


# ModelZoo's self-test

@pytest.mark.full
@pytest.mark.parametrize("model", MODELS)
def test_modelzoos_self_test_compares_the_om_too_on_a_machine_with_an_npu(model, project, tmp_path):
    tool = {"benchmark": "benchmark.x86_64"}.get(MODELS[model].tool, MODELS[model].tool)
    there = machine(tmp_path / "bin", "atc", "npu-smi", tool, *(["ais_bench"] if model == "IntraDA" else []),
                    STANDIN_AIS="2023")
    result = subprocess.run(["bash", str(project / model / "test/offline_inference_testcase.sh")], cwd=tmp_path,
                            env=there, capture_output=True, text=True, timeout=1800)
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    assert result.stdout.splitlines()[-1] == "Run testcase success!"
    agreement = json.loads((project / model / "build_testcase/compare/OM/agreement.json").read_text())
    assert agreement["verdict"] == "pass" and calls(tmp_path / "bin", MODELS[model].tool)


# the stand-ins themselves, and ONNX Runtime's beside them

@pytest.fixture
def compiled(tmp_path) -> Path:
    """A folder with m.onnx, m.om as the atc stand-in makes it for batch 2, and five samples in bins."""
    onnx_models.affine(tmp_path / "m.onnx")
    onnx_models.samples(tmp_path / "bins", 5)
    (tmp_path / "m.info").write_text("".join(f"{number} bins/s{number}.bin 4 3\n" for number in range(5)))
    with zipfile.ZipFile(tmp_path / "m.om", "w") as archive:
        archive.write(tmp_path / "m.onnx", "model.onnx")
        archive.writestr("atc.json", json.dumps({"arguments": {}, "input_shape": {"x": [2, 3, 4]}}))
    return tmp_path


def call(compiled: Path, line: str, **variables: str) -> subprocess.CompletedProcess:
    tools = [path.name for path in ASCEND.iterdir() if os.access(path, os.X_OK) and path.is_file()]
    there = machine(compiled / "bin", *([] if (compiled / "bin").exists() else tools), **variables)
    there["PYTHONPATH"] = f"{ROOT}:{ASCEND}"
    return subprocess.run(["bash", "-c", line], cwd=compiled, env=there, capture_output=True, text=True)


DATASET = "-model_type=vision -device_id=0 -input_width=4 -input_height=3 -output_binary=True -useDvpp=False"


@pytest.mark.parametrize("line, status, part", [
    (f"benchmark.x86_64 {DATASET} -batch_size=2 -om_path=m.om -input_text_path=m.info -colour=1", 1, "-colour=1"),
    (f"benchmark.x86_64 {DATASET} -batch_size=2 -om_path=m.om", 1, "-input_text_path is missing"),
    (f"benchmark.x86_64 {DATASET} -batch_size=1 -om_path=m.om -input_text_path=m.info", 1, "compiled for 2"),
    (f"sed -i 's/^3/4/' m.info; benchmark.x86_64 {DATASET} -batch_size=2 -om_path=m.om -input_text_path=m.info", 1,
     "line 4 is malformed"),
    ("msame --model m.onnx --output out", 0, "input model file type is not .om"),
    ("msame --model m.om --output out --loop 101", 0, "loop must in 1 to 100"),
    ("msame --model m.om --output out --input bins/s1.bin", 1, "Sample process failed"),  # a file is a whole batch
    ("python3 -m ais_bench --model m.om --colour", 2, "unrecognized arguments: --colour"),
    ("truncate -s 40 bins/s0.bin; python3 -m ais_bench --model m.om --input bins", 1,
     "[ERROR] arg0 tensorsize: 96 filesize: 40 not match"),
    ("ais_infer --model m.om --output out", 1, "No such file or directory"),  # before 2022-11 one level is made
    ("mkdir out; ais_infer --model m.om --output out --output_dirname x", 2, "--output_dirname")])
def test_a_stand_in_refuses_what_the_real_tool_refuses_with_its_exit_status(line, status, part, compiled):
    result = call(compiled, line)
    assert result.returncode == status, result.stdout + result.stderr
    assert part in result.stdout + result.stderr
    assert not list(compiled.glob("result/dumpOutput*/*.bin"))


@pytest.mark.parametrize("line, there", [
    (f"{DATASET} -batch_size=2 -input_text_path=m.info -om_path=", "benchmark.x86_64 "),
    ("-device_id=0 -batch_size=2 -round=3 -om_path=", "benchmark.x86_64 "),
    ("--output out --input bins --model ", "msame "),
    ("--output out --input bins --outfmt BIN --output_dirname d --batchsize 2 --model ", "python3 -m ais_bench "),
    ("--output out --input bins --outfmt TXT --output_dirname d --batchsize 2 --model ", "python3 -m ais_bench "),
    ("--output out --loop 3 --output_dirname d --batchsize 2 --model ", "python3 -m ais_bench ")])
def test_onnxruntimes_tools_leave_the_files_that_the_outside_stand_ins_leave(line, there, compiled):
    """Names and bytes of the results; of the performance files the form, numbers apart."""
    if there == "msame ":  # it takes a batch as one file
        for name in ("s0", "s1"):
            (compiled / f"bins/{name}.bin").write_bytes((compiled / f"bins/{name}.bin").read_bytes() * 2)
        for name in ("s2", "s3", "s4"):
            (compiled / f"bins/{name}.bin").unlink()
    module = {"python3 -m ais_bench ": "ais_infer"}.get(there, there.split(".")[0].strip())
    found = []
    for command in (f"{there}{line}m.om", f"python3 -m common.tools.{module} {line}m.onnx"):
        result = call(compiled, f"mkdir -p out; rm -rf result; {command}")
        assert result.returncode == 0, result.stdout + result.stderr
        files = {}
        for path in sorted([*compiled.glob("out/**/*"), *compiled.glob("result/**/*")]):
            if path.is_file() and "onnxruntime" not in path.name:
                name = re.sub(r"\d{6,8}_\d+_\d+_\d+_\d+", "STAMP", str(path.relative_to(compiled)))
                text = path.suffix != ".bin" and "dumpOutput" not in name and not re.search(r"/d/", name)
                files[name] = shape(path.read_text()) if text else path.read_bytes()
        found.append(files)
        subprocess.run(["rm", "-rf", "out", "result"], cwd=compiled, check=True)
    assert found[0] and found[0] == found[1]


def shape(text: str) -> str:
    """A performance file without its numbers, and without the command line that it may quote."""
    if text.startswith("{"):
        value = json.loads(text)
        return json.dumps([list(value), value["filesinfo"], *(list(part) for part in value.values()
                                                             if isinstance(part, dict) and "mean" in part)])
    return re.sub(r"[0-9][0-9.e+-]*", "#", text).strip()
