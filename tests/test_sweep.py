"""The table over batch sizes."""
from __future__ import annotations

import json
from pathlib import Path

import pytest

from common.base import facts
from common.judge import sweep
from common.tools import perf
from conftest import ROOT, one_line_error
from test_report import run_record

UNET = ROOT / "UNetPlusPlus"


def summary(folder: Path, batch: int, mean: float) -> Path:
    """A summary as the real ais_infer writes it: one whole batch takes `mean` ms."""
    path = folder / f"bs{batch}_summary.json"
    statistic = {"min": mean - 0.5, "max": mean + 9, "mean": mean, "median": mean - 0.25, "percentile(99%)": mean + 5}
    path.write_text(json.dumps({"filesinfo": {}, "args": [], "NPU_compute_time": statistic,
                                "throughput": 1000 * batch / mean}))
    return path


def test_measured_and_reference_figures_stand_in_the_row_of_their_batch(tmp_path, run):
    paths = [summary(tmp_path, 16, 40.0), summary(tmp_path, 1, 4.0)]
    result = run("-m", "common.judge.sweep", *paths, "--model", UNET, "--output", tmp_path / "sweep.json")
    assert result.returncode == 0, result.stderr
    lines = [line.split() for line in result.stdout.splitlines()]
    rows = {line[0]: line[1:] for line in lines if line and line[0].isdigit()}
    assert rows == {"1": ["4.00", "3.75", "9.00", "250.00", "1674.95", "1681.60", "320.59"],
                    "4": ["-", "-", "-", "-", "1868.41", "2495.60", "400.84"],
                    "8": ["-", "-", "-", "-", "1845.84", "1907.81", "458.39"],
                    "16": ["40.00", "39.75", "45.00", "400.00", "1757.90", "1852.47", "549.96"],
                    "32": ["-", "-", "-", "-", "1724.39", "1796.60", "568.22"]}
    assert [row["batch"] for row in json.loads((tmp_path / "sweep.json").read_text())["rows"]] == [1, 4, 8, 16, 32]
    assert "here (NPU)" in result.stdout and "times the card's 4 devices" in result.stdout


def test_a_figure_of_onnx_runtime_says_so_in_its_columns_name_and_where_it_was_taken(tmp_path, run):
    import onnx
    from onnx import TensorProto, helper
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g",
                              [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3])],
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 3])])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=6)
    onnx.save(model, str(tmp_path / "m.onnx"))
    for batch in (1, 4):
        result = run("-m", "common.tools.ais_infer", "--model", "m.onnx", "--output", "s", "--output_dirname", f"bs{batch}",
                     "--batchsize", batch, "--loop", 3, cwd=tmp_path, THREADS="1")
        assert result.returncode == 0, result.stderr
    for kind in ("onnxruntime", "summary"):  # the record, and the tool's own file, tell the same
        result = run("-m", "common.judge.sweep", f"s/bs1_{kind}.json", f"s/bs4_{kind}.json", "--model", UNET, cwd=tmp_path)
        assert result.returncode == 0, result.stderr
        assert "ONNX Runtime/s" in result.stdout and "no NPU figure" in result.stdout
        assert "CPUExecutionProvider" in result.stdout and "1 thread:" in result.stdout
        assert "here (NPU)" not in result.stdout


@pytest.mark.parametrize("make, part", [
    (lambda folder: [summary(folder, 1, 4.0), summary(folder, 1, 4.0)], "is of batch 1, as is"),
    (lambda folder: [folder / "gone.json"], "gone.json: expected a performance file or log there, found nothing"),
    (lambda folder: [UNET / "facts.json"], "facts.json: is neither a summary"),
], ids=["a batch twice", "missing", "foreign"])
def test_bad_input_is_one_line(tmp_path, run, make, part):
    one_line_error(run("-m", "common.judge.sweep", *make(tmp_path), "--model", UNET), part)


def test_a_measurement_that_does_not_tell_its_batch_is_refused():
    with pytest.raises(Exception, match="does not tell its batch size"):
        sweep.table(facts.load(UNET), [perf.Performance("x.log", "msame", "npu", mean_ms=2.0)])


def test_measurements_of_different_backends_are_not_mixed():
    one, other = (perf.Performance(f"{batch}.log", "trtexec", backend, batch, samples_per_s=2.0)
                  for batch, backend in ((1, "tensorrt"), (4, "npu")))
    with pytest.raises(Exception, match="measured by npu and tensorrt"):
        sweep.table(facts.load(UNET), [one, other])


def record(folder: Path, batch: int, threads: int, rate: float, provider: str = "CPUExecutionProvider") -> Path:
    """What a stand-in leaves."""
    backend = "onnxruntime" if provider.endswith("Provider") else "openvino"
    path = folder / f"bs{batch}-{threads}-{provider[-4:]}_onnxruntime.json"
    made = run_record("m.onnx", batch, 1000 * batch / rate)
    made["provenance"].update(backend=backend, version="1.2", provider=provider, device="a CPU", threads=threads)
    path.write_text(json.dumps({**made, "tool": "ais_infer"}))
    return path


def test_threads_and_engines_have_columns_and_the_best_of_all_is_named_last(tmp_path, run):
    paths = [record(tmp_path, 4, 2, 70), record(tmp_path, 4, 1, 40), record(tmp_path, 4, 2, 90.5, "CPU, bf16"),
             record(tmp_path, 1, 2, 60)]
    result = run("-m", "common.judge.sweep", *paths, "--model", UNET, "--output", tmp_path / "sweep.json")
    assert result.returncode == 0, result.stderr
    rows = [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in result.stdout.splitlines()]
    assert rows[1][:3] == ["batch", "engine", "threads"] and rows[1][6] == "samples/s"
    assert [row[:3] + row[6:8] for row in rows[2:6]] == [
        ["1", "ONNX Runtime", "2", "60.00", "1674.95"], ["4", "ONNX Runtime", "1", "40.00", "1868.41"],
        ["4", "ONNX Runtime", "2", "70.00", "1868.41"], ["4", "OpenVINO bf16", "2", "90.50", "1868.41"]]
    assert result.stdout.splitlines()[-1] == "best: batch 4, 2 threads, OpenVINO bf16: 90.50 samples/s"
    assert "OpenVINO 1.2, CPU, bf16, a CPU, 2 threads: no NPU figure" in result.stdout
    best = json.loads((tmp_path / "sweep.json").read_text())["best"]
    assert (best["batch"], best["threads"], best["engine"]) == (4, 2, "OpenVINO bf16")


def test_two_providers_of_onnx_runtime_are_two_engines(tmp_path):
    found = [sweep.measured(perf.read(record(tmp_path, 1, 1, 5, f"{name}ExecutionProvider"))).engine
             for name in ("CPU", "CUDA")]
    assert found == ["ONNX Runtime", "ONNX Runtime CUDA"]


def test_a_table_of_one_engine_and_one_number_of_threads_has_no_column_for_them(tmp_path, run):
    result = run("-m", "common.judge.sweep", record(tmp_path, 1, 1, 50, "CPU, f32"), "--model", UNET)
    assert "engine" not in result.stdout.splitlines()[1] and "OpenVINO f32/s" in result.stdout.splitlines()[1]
    assert result.stdout.splitlines()[-1] == "best: batch 1, 1 thread, OpenVINO f32: 50.00 samples/s"
    assert "ONNX Runtime" not in result.stdout


def test_the_best_of_an_npus_figures_names_no_threads_that_the_files_do_not_tell(tmp_path, run):
    result = run("-m", "common.judge.sweep", summary(tmp_path, 1, 4.0), summary(tmp_path, 16, 40.0), "--model", UNET)
    assert result.stdout.splitlines()[-1] == "best: batch 16, here (NPU): 400.00 samples/s"


def test_an_engine_that_is_not_here_is_named_with_the_reason_and_nothing_measured_is_an_error(tmp_path, run):
    for batch in (1, 4):
        (tmp_path / f"bs{batch}-2-cuda_onnxruntime.json").write_text("error: DEVICE=cuda: pip install it\n")
    gone = sorted(tmp_path.glob("*cuda*"))
    result = run("-m", "common.judge.sweep", record(tmp_path, 1, 2, 60), *gone, "--model", UNET)
    assert result.returncode == 0, result.stderr
    assert "not measured: bs1-2-cuda, bs4-2-cuda: DEVICE=cuda: pip install it\n" in result.stdout
    one_line_error(run("-m", "common.judge.sweep", *gone, "--model", UNET), "DEVICE=cuda: pip install it")


def test_a_reference_of_runs_of_a_whole_batch_is_turned_into_samples():
    cgan = sweep.table(facts.load(ROOT / "CGAN"), [perf.Performance("x", "msame", "npu", 100, samples_per_s=5.0)])
    assert cgan["rows"][0]["reference"]["310"] == pytest.approx(100 * 4 * 1000 / 2.547842, rel=2e-3)


def test_an_npus_figures_are_not_mixed_with_those_of_what_stood_in(tmp_path, run):
    one_line_error(run("-m", "common.judge.sweep", record(tmp_path, 1, 2, 60), summary(tmp_path, 4, 4.0), "--model", UNET),
                   "measured by npu and onnxruntime")
