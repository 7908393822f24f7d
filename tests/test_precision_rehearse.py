"""common/precision/rehearse.py on files as `make compare ENGINES=cpu-f16` leaves them."""
import json

import pytest

from common.base.errors import UserError
from common.precision import rehearse
from conftest import one_line_error

AGREEMENT = {"samples": 2, "outputs": 2, "cosine": 0.9999, "max_abs": 0.01, "relative_euclidean": 0.001, "mean_max_abs": 0,
             "verdict": "pass",
             "worst": [{"file": "a_1.bin", "cosine": 0.9999, "max_abs": 0.01, "relative_euclidean": 0.001}]}


def left(build, by="ONNX Runtime 1, CPUExecutionProvider, half precision rehearsed, a CPU, 1 thread: no NPU figure",
         verdict="pass"):
    (build / "compare/cpu-f16").mkdir(parents=True)
    (build / "compare.json").write_text(json.dumps({"model": "EDSR", "metric": "PSNR", "unit": "dB", "columns": [
        {"by": "ONNX Runtime 1, CPUExecutionProvider", "agreement": AGREEMENT},
        {"by": by, "agreement": {**AGREEMENT, "verdict": verdict}}]}))
    for path, values in (("accuracy.json", {"a": 35.0, "b": 33.0}), ("compare/cpu-f16/accuracy.json", {"a": 34.5, "b": 33.1})):
        rows = [{"sample": name, "value": value} for name, value in values.items()]
        (build / path).write_text(json.dumps({
            "metric": "PSNR", "unit": "dB", "definition": "of the test", "value": sum(values.values()) / 2, "samples": 2,
            "baseline": None, "rows": rows}))


def test_both_figures_the_sample_that_loses_most_and_what_is_not_modelled_are_printed(tmp_path, run):
    left(tmp_path)
    result = run("-m", "common.precision.rehearse", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "float32 34.0000 dB, half precision rehearsed 33.8000 dB, difference -0.2000 dB" in result.stdout
    assert result.stdout.index("a: 35.0000 -> 34.5000") < result.stdout.index("b: 33.0000 -> 33.1000")
    assert "no NPU figure" in result.stdout and "not modelled:" in result.stdout


def test_outputs_that_miss_a_threshold_are_exit_status_1(tmp_path, run):
    left(tmp_path, verdict="fail")
    assert run("-m", "common.precision.rehearse", cwd=tmp_path).returncode == 1


def test_a_table_without_a_rehearsal_is_one_line(tmp_path, run):
    left(tmp_path, by="OpenVINO")
    one_line_error(run("-m", "common.precision.rehearse", cwd=tmp_path), "has no column of a rehearsal", "ENGINES=cpu-f16")
    with pytest.raises(UserError):
        rehearse.rehearsal(tmp_path)
