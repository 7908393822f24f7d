"""Cost counted off an ONNX file against counts by hand, and throughputs beside the nominal peaks of chips."""
from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import onnx_models
from common.base import facts, files
from common.base.errors import UserError
from common.convert import cost
from common.judge import peaks, reports
from common.publish import page, report
from conftest import ROOT, one_line_error
from test_report import full, run_record

F = TensorProto.FLOAT


def network(path, nodes, x, y, **weights):
    return onnx_models.save(path, nodes, [("x", x, F)], [("y", y, F)],
                            [onnx_models.constant(name, np.ones(shape)) for name, shape in weights.items()])


@pytest.mark.parametrize("nodes, x, y, weights, macs", [
    ([helper.make_node("Conv", ["x", "w", "b"], ["y"], pads=[1, 1, 1, 1], strides=[2, 2])], [1, 3, 8, 6], [1, 5, 4, 3],
     dict(w=(5, 3, 3, 3), b=(5,)), 5 * 4 * 3 * 3 * 9),
    ([helper.make_node("Conv", ["x", "w"], ["y"], group=2)], [1, 4, 5, 5], [1, 6, 5, 5], dict(w=(6, 2, 1, 1)), 6 * 25 * 2),
    ([helper.make_node("ConvTranspose", ["x", "w"], ["y"], strides=[2, 2])], [1, 3, 4, 4], [1, 2, 8, 8],
     dict(w=(3, 2, 2, 2)), 3 * 16 * 2 * 4),
    ([helper.make_node("Gemm", ["x", "w", "b"], ["y"], transB=1)], [10, 7], [10, 4], dict(w=(4, 7), b=(4,)), 28),
    ([helper.make_node("MatMul", ["x", "w"], ["y"])], [2, 3, 7], [2, 3, 4], dict(w=(7, 4)), 3 * 4 * 7),
    ([helper.make_node("Relu", ["x"], ["y"])], [1, 3], [1, 3], {}, 0)])
def test_multiply_accumulates_of_one_sample_are_those_counted_by_hand(tmp_path, nodes, x, y, weights, macs):
    found = cost.count(network(tmp_path / "a.onnx", nodes, x, y, **weights))
    assert found["macs"] == macs
    assert found["parameters"] == sum(int(np.prod(shape)) for shape in weights.values())


def test_memory_and_intensity_count_a_convolution_and_its_activation_as_one_and_free_what_nobody_reads(tmp_path):
    nodes = [helper.make_node("Conv", ["x", "w"], ["a"]), helper.make_node("Relu", ["a"], ["b"]),
             helper.make_node("MaxPool", ["b"], ["c"], kernel_shape=[2, 2], strides=[2, 2]),
             helper.make_node("Conv", ["c", "v"], ["y"])]
    found = cost.count(network(tmp_path / "a.onnx", nodes, ["N", 2, 4, 4], ["N", 3, 2, 2], w=(8, 2, 1, 1), v=(3, 8, 1, 1)))
    x, b, c, y, w, v = (2 * values for values in (2 * 16, 8 * 16, 8 * 4, 3 * 4, 16, 24))
    assert found["activation_bytes"] == max(x + b, b + c, c + y) and found["weight_bytes"] == w + v
    macs = 8 * 16 * 2 + 3 * 4 * 8
    assert found["flop_per_byte"] == pytest.approx(2 * macs / ((x + w + b) + (b + c) + (c + v + y)))
    assert found["input_shape"] == [1, 2, 4, 4] and found["macs"] == macs


def test_a_residual_keeps_its_input_in_memory(tmp_path):
    nodes = [helper.make_node("Conv", ["x", "w"], ["a"]), helper.make_node("Add", ["a", "x"], ["y"])]
    found = cost.count(network(tmp_path / "a.onnx", nodes, [1, 2, 4, 4], [1, 2, 4, 4], w=(2, 2, 1, 1)))
    assert found["activation_bytes"] == 3 * 2 * 32


@pytest.mark.parametrize("nodes, x, y, part", [
    ([helper.make_node("Relu", ["x"], ["y"])], [1, 3, "H", 4], [1, 3, "H", 4], "free size H"),
    ([helper.make_node("NonZero", ["x"], ["n"]), helper.make_node("Cast", ["n"], ["y"], to=F)], [2, 3], [2, "M"],
     "depends on data"),
    ([helper.make_node("Einsum", ["x"], ["y"], equation="ij->i")], [2, 3], [2], "Einsum")])
def test_what_cannot_be_counted_is_one_line(tmp_path, run, nodes, x, y, part):
    path = tmp_path / "a.onnx"
    graph = helper.make_graph(nodes, "g", [helper.make_tensor_value_info("x", F, x)], [helper.make_tensor_value_info("y", F, y)])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 12)], ir_version=6), str(path))
    one_line_error(run("-m", "common.convert.cost", path, "--output", tmp_path / "c.json"), str(path), part)
    assert not (tmp_path / "c.json").exists()


def test_weights_in_a_file_of_their_own_are_one_line(tmp_path, run):
    path = network(tmp_path / "a.onnx", [helper.make_node("Gemm", ["x", "w"], ["y"])], [1, 64], [1, 64], w=(64, 64))
    onnx.save(onnx.load(str(path)), str(path), save_as_external_data=True, location="a.data", size_threshold=16)
    one_line_error(run("-m", "common.convert.cost", path), "files of their own")


def test_the_terminal_and_the_file_have_the_figures(tmp_path, run):
    path = network(tmp_path / "a.onnx", [helper.make_node("Gemm", ["x", "w"], ["y"])], [1, 64], [1, 64], w=(64, 64))
    done = run("-m", "common.convert.cost", path, "--output", tmp_path / "c.json")
    assert done.returncode == 0 and "4,096" in done.stdout, done.stderr
    (one,) = files.read_json(tmp_path / "c.json", "cost")["models"]
    assert one["macs"] == 4096 and one["model"] == "a.onnx"


# peaks

@pytest.mark.parametrize("device, chip", [("310", "310"), ("310 autotuned", "310"), ("310P", "310P"), ("Ascend310P3", "310P3"),
                                          ("Ascend910B4", "910B4"), ("Tesla T4", "T4"), ("NVIDIA H100 80GB HBM3", "H100"),
                                          ("GPU", None), ("cann:0", None), ("Ascend310B1", None), ("AMD EPYC", None)])
def test_a_chip_is_found_by_its_device_and_an_unknown_one_has_no_peak(device, chip):
    assert peaks.find(device) == chip


def test_every_peak_has_its_page():
    assert all(peak.page.startswith("http") and peak.says and peak.tflops > 0 for peak in peaks.PEAKS.values())


def test_unetplusplus_on_a_310p3_is_a_third_of_70_tflops_and_no_reference_is_above_its_peak():
    shares = {one["what"]: one for one in full("UNetPlusPlus", accuracy=None, pytorch=None)["shares"]}
    assert shares["310P3, reference, batch 4"]["share"] == pytest.approx(0.346, abs=5e-4)
    assert shares["310, reference, batch 4"]["chips"] == 4
    for path in ROOT.glob("*/facts.json"):
        model = facts.load(path.parent)
        found = peaks.shares(model, [], [])
        assert len(found) == sum(entry.quantity == "throughput" and entry.device != "GPU" for entry in model.references)
        assert found and not peaks.above(found)


def measured(mean, provider="CUDAExecutionProvider", device="Tesla T4"):
    record = run_record(mean=mean)
    record["provenance"].update(provider=provider, device=device)
    return full(runs=[record], cost=[{"model": "a.onnx", "model_sha256": "a" * 64, "input_shape": [1, 3, 8, 8], "parameters": 9,
                                      "macs": 10 ** 12, "weight_bytes": 18, "activation_bytes": 9, "flop_per_byte": 3.0}])


def test_a_measured_figure_above_the_peak_fails_the_report_in_one_line(tmp_path, run):
    fine = measured(mean=40.0)  # 25 samples/s of 2 TFLOP
    assert fine["shares"][0]["share"] == pytest.approx(50 / 65) and fine["verdict"] == "pass"
    wrong = measured(mean=20.0)
    assert wrong["verdicts"]["peak"] == "fail" and wrong["verdict"] == "fail"
    files.write_json(tmp_path / "report.json", wrong)
    done = run("-m", "common.publish.report", "show", tmp_path / "report.json")
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("  error")]
    assert done.returncode == 1 and "154 % of the nominal peak of 1 x T4" in line
    text = page.build([(reports.report(tmp_path / "report.json"), tmp_path)], 96)
    assert "Beside the nominal peak" in text and "154 %" in text and "GMAC" in text and peaks.PEAKS["T4"].page[len("https://"):] in text


def test_a_cpu_has_no_share():
    made = measured(20.0, "CPUExecutionProvider", "Some CPU T4")
    assert len(made["cost"]) == 1 and not any("Some CPU" in one["what"] for one in made["shares"])


def test_a_share_that_was_edited_is_refused(tmp_path):
    made = json.loads(json.dumps(measured(20.0)))
    made["shares"][0]["share"] = 0.5
    made["verdicts"]["peak"], made["verdict"] = "none", "pass"
    files.write_json(tmp_path / "report.json", made)
    with pytest.raises(UserError, match="share of a.onnx"):
        reports.report(tmp_path / "report.json")


def test_a_reference_above_the_peak_is_an_error_too():
    model = facts.load(ROOT / "UNetPlusPlus")
    model = replace(model, references=[replace(entry, value=entry.value * 10) for entry in model.references])
    assert reports.peak_verdict(peaks.shares(model, [], [])) == "fail"
    assert report.make(model, {"data": "/d", "checkpoint": "/p"}, None, None, None, [run_record()])["verdict"] == "fail"
