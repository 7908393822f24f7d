"""`make compare`: one table of the backends on the same samples."""
from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from common.base import facts, metrics
from common.base.errors import UserError
from common.data import dataset
from common.judge import agreement, compare
from conftest import ROOT, environment, own_lines
from test_report import accuracy, run_record

RUN = run_record(mean=250.0)
RUN["provenance"].update(device="a CPU")
OPENVINO = run_record(mean=1000 / 9)
OPENVINO["provenance"].update(backend="openvino", version="2026.4.1", provider="CPU, bf16", device="a CPU")


def metric(value: float) -> str:
    """An accuracy of EDSR's over the seven samples."""
    return json.dumps(accuracy(value, 7))


def results(folder: Path, *values: np.ndarray) -> Path:
    folder.mkdir(parents=True)
    for number, value in enumerate(values):
        value.tofile(folder / f"s{number}_1.bin")
    return folder


def left(build: Path, name: str, found: dict, value: float) -> None:
    """What `make compare` leaves for one backend."""
    (build / f"compare/{name}/results").mkdir(parents=True, exist_ok=True)
    (build / f"compare/{name}/agreement.json").write_text(json.dumps(found))
    (build / f"compare/{name}/accuracy.json").write_text(metric(value))


@pytest.fixture
def build(tmp_path) -> Path:
    """A build folder with PyTorch's, ONNX's and OM's figures over seven samples; OM misses a threshold in one."""
    generator = np.random.default_rng(0)
    truth = [generator.normal(size=100).astype(np.float32) for _ in range(7)]
    expected = results(tmp_path / "pytorch/result", *truth)
    onnx = results(tmp_path / "onnx", *[value + np.float32(1e-6) for value in truth])
    om = results(tmp_path / "om", *[value * np.float32(1.1 if number == 3 else 1.001)
                                    for number, value in enumerate(truth)])
    (tmp_path / "agreement.json").write_text(json.dumps(agreement.compare_folders(onnx, expected)))
    left(tmp_path, "OM", agreement.compare_folders(om, expected), 34.25)
    (tmp_path / "accuracy.json").write_text(metric(34.5))
    (tmp_path / "pytorch/accuracy.json").write_text(metric(34.75))
    (tmp_path / "inputs.json").write_text(json.dumps({"data": "x", "checkpoint": "y.pt"}))
    (tmp_path / "run.json").write_text(json.dumps(RUN))
    return tmp_path


def test_each_backend_has_a_column_with_metric_differences_thresholds_and_verdict(build, run):
    result = run("-m", "common.judge.compare", "--model", ROOT / "EDSR", "--run", "run.json", cwd=build)
    assert result.returncode == 1, result.stderr  # OM misses a threshold
    rows = {re.split(r"  +", line)[0]: re.split(r"  +", line)[1:] for line in result.stdout.splitlines()[2:7]}
    assert re.split(r"  +", result.stdout.splitlines()[1].strip()) == ["PyTorch", "ONNX", "OM", "threshold"]
    assert rows["PSNR, dB"][:3] == ["34.7500", "34.5000", "34.2500"]
    assert rows["cosine, lowest"][3] == "at least 0.99"
    assert float(rows["relative Euclidean distance, largest"][2]) == pytest.approx(0.1, rel=1e-3)
    assert rows["relative Euclidean distance, largest"][3] == "at most 0.05"
    assert rows["verdict"] == ["-", "pass", "fail"]
    assert "7 samples" in result.stdout and "never trained" not in result.stdout
    written = json.loads((build / "compare.json").read_text())
    assert [column["backend"] for column in written["columns"]] == ["ONNX", "OM"] and written["verdict"] == "fail"


def test_the_five_worst_samples_of_each_backend_are_named_worst_first(build, run):
    text = run("-m", "common.judge.compare", "--model", ROOT / "EDSR", "--run", "run.json", cwd=build).stdout
    listed = text[text.index("\nOM: "):].splitlines()[2:]
    assert len(listed) == 5
    found = agreement.compare_folders(build / "om", build / "pytorch/result")["worst"]
    assert [line.split(":")[0].strip() for line in listed] == [row["file"] for row in found]


def test_figures_are_those_of_their_definitions(build):
    found = agreement.compare_folders(build / "om", build / "pytorch/result")
    ours, theirs = [np.fromfile(build / folder / "s3_1.bin", np.float32).astype(float)
                    for folder in ("om", "pytorch/result")]
    assert found["relative_euclidean"] == pytest.approx(np.linalg.norm(ours - theirs) / np.linalg.norm(theirs))
    each = [np.abs(np.fromfile(build / "om" / f"s{number}_1.bin", np.float32)
                   - np.fromfile(build / "pytorch/result" / f"s{number}_1.bin", np.float32)).max()
            for number in range(7)]
    assert found["max_abs"] == pytest.approx(max(each), rel=1e-6)


def test_an_om_that_writes_float16_is_compared_too(tmp_path):
    value = np.linspace(-2, 2, 50, dtype=np.float32)
    om = results(tmp_path / "om", value.astype(np.float16))
    found = agreement.compare_folders(om, results(tmp_path / "p", value))
    assert found["verdict"] == "pass" and found["max_abs"] == pytest.approx(
        metrics.difference(value.astype(np.float16), value)["max_abs"])


def test_its_outputs_are_read_as_float32_by_whoever_takes_results(tmp_path):
    value = np.linspace(-2, 2, 12, dtype=np.float32)
    value.astype(np.float16).tofile(tmp_path / "half.bin")
    value.tofile(tmp_path / "whole.bin")
    half, whole = (dataset.read_result(tmp_path / f"{name}.bin", (3, 4)) for name in ("half", "whole"))
    assert half.dtype == whole.dtype == np.float32 and np.array_equal(half.ravel(), value.astype(np.float16))
    (tmp_path / "whole.bin").write_bytes(bytes(26))
    with pytest.raises(UserError, match="expected 48 bytes .3x4 float32., found 26"):
        dataset.read_result(tmp_path / "whole.bin", (3, 4))


def test_onnx_on_a_gpu_is_named_and_seeded_weights_claim_no_accuracy(build):
    (build / "inputs.json").write_text(json.dumps({"data": "demo", "checkpoint": "seeded"}))
    shutil.rmtree(build / "compare/OM")
    gpu = {**RUN, "provenance": {**RUN["provenance"], "provider": "CUDAExecutionProvider", "device": "Tesla T4"}}
    (build / "run.json").write_text(json.dumps(gpu))
    text = "\n".join(compare.lines(compare.compare(facts.load(ROOT / "EDSR"), build, "run.json")))
    assert "ONNX, Tesla T4" in text and "CUDAExecutionProvider" in text and "never trained" in text


def test_another_engine_has_a_column_with_its_speed_over_onnx_runtimes_and_an_absent_one_the_reason(build, run):
    left(build, "openvino-bf16", agreement.compare_folders(build / "om", build / "pytorch/result"), 34.0)
    (build / "compare/openvino-bf16/run.json").write_text(json.dumps(OPENVINO))
    left(build, "openvino-f32", agreement.compare_folders(build / "om", build / "pytorch/result"), 99.0)  # of before
    (build / ".args").mkdir()
    (build / ".args/engine-openvino-bf16").write_text("")
    (build / ".args/engine-openvino-f32").write_text("error: DEVICE=openvino: not here: make extras\n")
    result = run("-m", "common.judge.compare", "--model", ROOT / "EDSR", "--run", "run.json", "--engine", "openvino-f32",
                 "--engine", "openvino-bf16", cwd=build)
    assert result.returncode == 1, result.stderr  # the verdict of every column counts
    rows = {cells[0]: cells[1:] for cells in (re.split(r"  +", line.strip()) for line in result.stdout.splitlines())}
    assert re.split(r"  +", result.stdout.splitlines()[1].strip()) == ["PyTorch", "ONNX", "OpenVINO bf16", "OM",
                                                                       "threshold"]
    assert rows["PSNR, dB"] == ["34.7500", "34.5000", "34.0000", "34.2500"]
    assert rows["samples/s, device compute"] == ["-", "4", "9", "-"]
    assert rows["over ONNX's"] == ["-", "1.00", "2.25", "-"] and rows["verdict"] == ["-", "pass", "fail", "fail"]
    assert "openvino-f32 has no column: DEVICE=openvino: not here: make extras\n" in result.stdout
    assert "OpenVINO bf16: OpenVINO 2026.4.1, CPU, bf16, a CPU, 2 threads: no NPU figure" in result.stdout
    assert json.loads((build / "compare.json").read_text())["missing"] == {
        "openvino-f32": "DEVICE=openvino: not here: make extras"}


@pytest.fixture(scope="module")
def edsr(tmp_path_factory) -> Path:
    """A copy of EDSR's folder after `make compare` with a narrow network on two small pictures."""
    from PIL import Image
    folder = tmp_path_factory.mktemp("my models") / "EDSR"
    shutil.copytree(ROOT / "EDSR", folder, symlinks=True, ignore=shutil.ignore_patterns("build*", "common"))
    for name, size in (("HR", 48), ("LR", 24)):
        (folder / "data" / name).mkdir(parents=True)
        for stem in ("a", "b"):
            pixels = np.random.default_rng(ord(stem) + size).integers(0, 256, (size, size, 3), np.uint8)
            Image.fromarray(pixels).save(folder / f"data/{name}/{stem}.png")
    result = make(folder)
    assert result.returncode == 0, result.stdout + result.stderr
    return folder


def make(folder: Path, *more: str, **variables: str) -> subprocess.CompletedProcess:
    return subprocess.run(["make", "compare", "DATASETS_PATH=data", "SEEDED=blocks=1 features=8",
                           f"PYTHON={sys.executable}", *more], cwd=folder, capture_output=True, text=True,
                          env=environment(**variables))


def test_make_compare_takes_up_result_folders_of_the_real_tools(edsr):
    from_tool = edsr / "from the NPU"  # as ais_bench names them: counted from 0
    from_tool.mkdir(exist_ok=True)
    for path in (edsr / "build/pytorch/result").glob("*_1.bin"):
        rounded = np.fromfile(path, np.float32).astype(np.float16).astype(np.float32)
        rounded.tofile(from_tool / path.name.replace("_1.", "_0."))
    result = make(edsr, f"OM_RESULT={from_tool}", "GPU_RESULT=from the NPU")
    assert result.returncode == 0, result.stdout + result.stderr
    table = result.stdout[result.stdout.index("the same 2 samples"):].splitlines()
    assert table[1].split() == ["PyTorch", "ONNX", "OM", "GPU", "threshold"]
    assert table[2].startswith("PSNR, dB") and len(table[2].split()) == 6
    written = json.loads((edsr / "build/compare.json").read_text())
    assert written["columns"][1]["agreement"]["max_abs"] > written["columns"][0]["agreement"]["max_abs"]
    assert written["columns"][1]["accuracy"] == written["columns"][2]["accuracy"] != written["pytorch"]


def test_make_compare_runs_further_engines_on_the_same_samples(edsr, tmp_path):
    result = make(edsr, "ENGINES=openvino-f32 cuda")
    assert result.returncode == 0, result.stdout + result.stderr
    table = result.stdout[result.stdout.index("the same 2 samples"):].splitlines()
    assert re.split(r"  +", table[1].strip()) == ["PyTorch", "ONNX", "OpenVINO f32", "threshold"]
    assert "cuda has no column: DEVICE=cuda: " in result.stdout and "onnxruntime-gpu" in result.stdout
    folder = edsr / "build/compare/openvino-f32"
    record = json.loads((folder / "result/onnxruntime_batchsize_1_device_0.json").read_text())
    assert record["provenance"]["provider"] == "CPU, f32" and record["provenance"]["backend"] == "openvino"
    for path in (edsr / "build/pytorch/result").glob("*_1.bin"):
        ours = np.fromfile(folder / "result/dumpOutput_device0" / path.name, np.float32)
        assert np.allclose(ours, np.fromfile(path, np.float32), rtol=1e-4, atol=1e-2)
    own = json.loads((edsr / "build/result/onnxruntime_batchsize_1_device_0.json").read_text())
    assert own["provenance"]["backend"] == "onnxruntime"  # the stages' own results are as before
    assert "OpenVINO" not in make(edsr).stdout  # nor has a later table a column that was not asked for


@pytest.mark.parametrize("stage, counts", [
    ("infer", "LIMIT=7 DEVICE=cann THREADS=3 ATC_PRECISION=must_keep_origin_dtype"), ("compare-cpu", "LIMIT=7 THREADS=3"),
    ("compare-cann", "LIMIT=7 THREADS=3 ATC_PRECISION=must_keep_origin_dtype"), ("int8-run", "LIMIT=7 THREADS=3"),
    ("sweep-bs1-t3-cann", "ATC_PRECISION=must_keep_origin_dtype"), ("sweep-bs1-t3-cpu", ""), ("export", "")])
def test_what_a_stages_figures_depend_on_makes_it_stale(stage, counts):
    done = subprocess.run(["make", "-s", "-n", "-C", str(ROOT / "CGAN"), "-f", "-", "help", "DEVICE=cann", "THREADS=3", "LIMIT=7",
                           "ATC_PRECISION=must_keep_origin_dtype"], capture_output=True, text=True, env=environment(),
                          input=f"include Makefile\n$(info <$(strip $(call settings,{stage}))>)\n")
    assert f"<{counts}>" in done.stdout.splitlines(), done.stdout + done.stderr


def test_make_rehearse_has_half_precision_as_a_column_and_another_overflow_counts_as_a_change(edsr):
    def rehearse(*more):
        done = make(edsr, "rehearse", *more)
        assert done.returncode == 0, done.stdout + done.stderr
        record = json.loads((edsr / "build/compare/cpu-f16/result/onnxruntime_batchsize_1_device_0.json").read_text())
        return done.stdout, record["provenance"]["provider"]
    text, provider = rehearse()
    assert "ONNX Runtime f16 rehearsed  threshold" in text and "difference" in text and "not modelled:" in text
    assert provider == "CPUExecutionProvider, half precision rehearsed"
    for path in (edsr / "build/compare/cpu-f16/result/dumpOutput_device0").glob("*.bin"):
        values = np.fromfile(path, np.float32)
        assert np.array_equal(values, values.astype(np.float16).astype(np.float32))
    assert rehearse("OVERFLOW=inf")[1] == "CPUExecutionProvider, half precision rehearsed, overflow inf"


def test_make_compare_without_openvino_has_the_table_and_says_how_to_get_it(edsr, tmp_path):
    (tmp_path / "openvino.py").write_text("raise ImportError('simulated')\n")
    result = make(edsr, "ENGINES=openvino-bf16", PYTHONPATH=f"{tmp_path}:{ROOT}")
    assert result.returncode == 0, result.stdout + result.stderr
    line, = [line for line in result.stdout.splitlines() if line.startswith("openvino-bf16 has no column")]
    assert "make extras, or pip install openvino==" in line and "OpenVINO" not in result.stdout.replace(line, "")


def test_make_refuses_an_engine_that_it_does_not_know(edsr):
    result = make(edsr, "ENGINES=openvino")
    assert result.returncode == 2 and "no engine named openvino; there are cpu cuda" in result.stderr


def test_make_compare_with_results_far_off_fails_with_the_table(edsr, tmp_path):
    for path in (edsr / "build/pytorch/result").glob("*_1.bin"):
        (np.fromfile(path, np.float32) * np.float32(1.2)).tofile(tmp_path / path.name)
    result = make(edsr, f"OM_RESULT={tmp_path}")
    assert result.returncode and re.search(r"verdict +- +pass +fail", result.stdout), result.stdout + result.stderr


@pytest.mark.parametrize("break_it, part", [
    (lambda folder: shutil.rmtree(folder), "expected a folder with result .bin files there, found nothing"),
    (lambda folder: (folder / "a_1.bin").unlink(), "no result for a"),
    (lambda folder: (folder / "a_1.bin").write_bytes(b"\0" * 10), "a_1.bin: expected"),
    (lambda folder: np.full(3 * 48 * 48, np.nan, np.float32).tofile(folder / "a_1.bin"), "NaN")])
def test_a_result_folder_that_does_not_fit_is_one_line(edsr, tmp_path, break_it, part):
    shutil.copytree(edsr / "build/pytorch/result", tmp_path / "r")
    break_it(tmp_path / "r")
    result = make(edsr, f"OM_RESULT={tmp_path / 'r'}")
    errors = own_lines(result.stderr)
    assert result.returncode and len(errors) == 1 and part in errors[0], result.stderr
