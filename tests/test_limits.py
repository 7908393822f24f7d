"""common/npu/limits.py: ONNX files held against CANN's published limits, each finding with its page, the rest "not checked"."""
import json
import re
import subprocess

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import onnx_models
from common.base import facts
from common.base.errors import UserError
from common.engines import half, sessions
from common.npu import limits
from conftest import ROOT, environment, one_line_error, shared

FLOAT = TensorProto.FLOAT
NETWORKS = {"EDSR": "Add Constant Conv DepthToSpace Identity Mul Relu", "CGAN": "BatchNormalization Constant ConvTranspose Gemm Relu "
            "Reshape Tanh", "IntraDA": "Add Conv MaxPool Relu", "UNetPlusPlus": "Concat Constant Conv MaxPool Relu Resize",
            "Pix2pixHD": "Add AveragePool Cast Concat Constant Conv ConvTranspose Equal InstanceNormalization Pad Relu Slice Tanh"}
"""The operators of the files that the five exports write."""


def tiny(path, kind, inputs=("x",), shape=(1, 4, 8, 8), out=(None,) * 4, initializers=(), **attributes):
    node = helper.make_node(kind, list(inputs), ["y"], name="node", **attributes)
    return onnx_models.save(path, [node], [("x", list(shape), FLOAT)], [("y", list(out), FLOAT)], list(initializers))


def resize(path, nearest_mode="floor"):
    return tiny(path, "Resize", ("x", "roi", "scales"), mode="nearest", nearest_mode=nearest_mode,
                coordinate_transformation_mode="asymmetric", initializers=[
                    onnx_models.constant("roi", []), onnx_models.constant("scales", [1, 1, 2, 2])])


def held(path, soc="", **more):
    return limits.hold(half.read(path), limits.chip(soc).product if soc else None, **more)


def broken(path, soc="", **more):
    return [finding.limit["limit"] for finding in held(path, soc, **more).findings]


def test_every_operator_of_the_five_networks_has_a_page_and_every_row_its_address():
    rows = limits.table()["limits"]
    known = {row["operator"] for row in rows}
    assert {name for names in NETWORKS.values() for name in names.split()} == known
    assert all(re.match(r"https://(www\.)?(hiascend\.com|gitcode\.com/cann)/", row["page"]) for row in rows)


def test_resize_that_rounds_down_is_found_with_its_page_and_one_that_rounds_as_the_page_says_is_not(tmp_path, run):
    path = resize(tmp_path / "m.onnx")
    result = run("-m", "common.npu.limits", path)
    assert result.returncode == 0, result.stderr
    assert "Resize, 1 node from node on: nearest only as round_prefer_ceil; the file has nearest_mode floor" in result.stdout
    assert "CANN 8.3.RC1: https://www.hiascend.com/document/detail/zh/CANNCommunityEdition/83RC1/" in result.stdout
    assert not broken(resize(tmp_path / "good.onnx", "round_prefer_ceil"))


def test_depth_to_space_is_found_on_310b_alone_and_reflection_on_what_the_page_leaves_out(tmp_path):
    path = tiny(tmp_path / "d.onnx", "DepthToSpace", blocksize=2, mode="CRD")
    assert broken(path, "Ascend310B1") == broken(path) == ["not on Atlas 200I/500 A2 inference"]
    assert not broken(path, "Ascend310P3")
    # the page's table has no line of the 310: that is not known, and neither found nor said to hold
    old = held(path, "Ascend310")
    assert not old.findings and "not on Atlas 200I/500 A2 inference" in old.unchecked["DepthToSpace"]
    pads = onnx.numpy_helper.from_array(np.array([0, 0, 1, 1, 0, 0, 1, 1], np.int64), "pads")
    path = tiny(tmp_path / "p.onnx", "Pad", ("x", "pads"), mode="reflect", initializers=[pads])
    assert [text.split(",")[0] for text in broken(path, "Ascend910B3")] == ["on Atlas inference products (Ascend310P) alone"]
    assert not broken(path, "Ascend310P3")


@pytest.mark.parametrize("attributes, found", [
    ({"strides": [64, 1]}, "strides: 1 to 63"), ({"group": 2}, "group: 1"), ({"dilations": [1, 256]}, "dilations: 1 to 255"),
    ({"strides": [63, 1], "pads": [255] * 4}, None)])
def test_a_convolution_is_held_to_each_number_of_its_page(tmp_path, attributes, found):
    weights = onnx_models.constant("w", np.zeros((4, 4 // attributes.get("group", 1), 1, 1)))
    path = tiny(tmp_path / "m.onnx", "Conv", ("x", "w"), initializers=[weights], shape=(1, 4, 300, 300), **attributes)
    assert broken(path) == ([found] if found else [])


def test_width_is_held_to_its_limit_and_a_free_width_is_not_checked(tmp_path):
    weights = onnx_models.constant("w", np.zeros((4, 4, 1, 1)))
    wide, free = (tiny(tmp_path / f"{width}.onnx", "Conv", ("x", "w"), initializers=[weights], shape=(1, 4, 8, width))
                  for width in (4097, "W"))
    assert broken(wide) == ["width of X: 1 to 4096"]
    assert not broken(free) and "width of X: 1 to 4096" in held(free).unchecked["Conv"]
    assert "width of X: 1 to 4096" not in held(free).held["Conv"]


def test_a_kept_float_input_is_found_with_atcs_precision(tmp_path):
    path = tiny(tmp_path / "m.onnx", "Conv", ("x", "w"), initializers=[onnx_models.constant("w", np.zeros((4, 4, 1, 1)))])
    assert not broken(path, precision="force_fp16") and not broken(path, precision="mixed_float16")
    for name in ("must_keep_origin_dtype", "origin"):
        assert broken(path, precision=name) == ["no float input with precision_mode must_keep_origin_dtype"]


def test_an_unknown_operator_and_an_attribute_without_a_row_are_not_checked_and_nothing_is_called_ok(tmp_path, run):
    result = run("-m", "common.npu.limits", tiny(tmp_path / "m.onnx", "Elu", alpha=0.5), "--soc_version", "Ascend310P3")
    assert "not checked:\n  Elu, 1 node: the table has no page of it" in result.stdout and "Elu" not in result.stdout.split("not checked:")[0]
    assert "cubic_coeff_a" in held(resize(tmp_path / "r.onnx")).unchecked["Resize"]
    for path in (tmp_path / "m.onnx", tmp_path / "r.onnx"):
        assert not re.search(r"\bok\b", run("-m", "common.npu.limits", path).stdout, re.IGNORECASE)


def test_a_bias_is_found_and_left_out_in_a_copy_while_the_file_stays_as_it_is(tmp_path, run):
    values = [onnx_models.constant("w", np.eye(4)), onnx_models.constant("b", [1, 2, 3, 4])]
    path = tiny(tmp_path / "m.onnx", "Gemm", ("x", "w", "b"), shape=(2, 4), out=(2, 4), initializers=values)
    before = path.read_bytes()
    result = run("-m", "common.npu.limits", path, "--rewrite", tmp_path / "out")
    assert result.stdout == "gemm-2\n" and path.read_bytes() == before
    x = np.ones((2, 4), np.float32)
    assert np.array_equal(sessions.open_session(tmp_path / "out/gemm-2/m.onnx", "cpu", 1).run([x])[0], x)
    assert np.array_equal(sessions.open_session(path, "cpu", 1).run([x])[0], x + np.array([1, 2, 3, 4]))


def test_what_is_rewritten_computes_as_a_file_that_was_made_so(tmp_path):
    model = half.read(resize(tmp_path / "floor.onnx"))
    assert limits.rewrite(model, limits.hold(model), tmp_path, "m.onnx") == ["resize-nearest_mode"]
    x = np.random.default_rng(0).random((1, 4, 8, 8)).astype(np.float32)
    ours, made, floor = (sessions.open_session(each, "cpu", 1).run([x])[0] for each in (
        tmp_path / "resize-nearest_mode/m.onnx", resize(tmp_path / "ceil.onnx", "round_prefer_ceil"), tmp_path / "floor.onnx"))
    assert np.array_equal(ours, made) and not np.array_equal(ours, floor)


@pytest.mark.parametrize("arguments, parts", [
    (["--soc_version", "Ascend311"], ["SOC_VERSION=Ascend311", "no chip of the table"]),
    (["--soc_version", "310P3"], ["SOC_VERSION=310P3"])])
def test_a_chip_that_the_table_does_not_know_is_one_line(tmp_path, run, arguments, parts):
    one_line_error(run("-m", "common.npu.limits", resize(tmp_path / "m.onnx"), *arguments), *parts)


def test_a_file_of_another_opset_or_with_weights_elsewhere_or_of_nothing_is_one_line(tmp_path, run):
    model = onnx.load(str(resize(tmp_path / "m.onnx")))
    model.opset_import[0].version = 10
    del model.graph.node[0].attribute[1:]
    del model.graph.node[0].attribute[:]
    model.graph.node[0].input[:] = ["x", "scales"]
    onnx.save(model, str(tmp_path / "old.onnx"))
    one_line_error(run("-m", "common.npu.limits", tmp_path / "old.onnx"), "expected opset", "found {'ai.onnx': 10}")
    big = onnx.load(str(onnx_models.slow(tmp_path / "big.onnx", layers=2)))
    onnx.save(big, str(tmp_path / "apart.onnx"), save_as_external_data=True, location="apart.data")
    one_line_error(run("-m", "common.npu.limits", tmp_path / "apart.onnx"), "weights in files of their own")
    (tmp_path / "none.onnx").write_bytes(b"")
    one_line_error(run("-m", "common.npu.limits", tmp_path / "none.onnx"), "none.onnx")


def test_costs_are_those_of_the_files_and_a_metric_of_another_model_is_refused(tmp_path, monkeypatch):
    found = limits.hold(half.read(resize(tmp_path / "m.onnx")))
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "cann/resize-nearest_mode"
    folder.mkdir(parents=True)
    worst = {"file": "a_0.bin", "cosine": 0.98, "max_abs": 9.0, "relative_euclidean": 0.19}
    (folder / "agreement.json").write_text(json.dumps({"samples": 1, "outputs": 1, "mean_max_abs": 9.0, "verdict": "fail", "worst": [worst],
                                                       **{name: worst[name] for name in ("cosine", "max_abs", "relative_euclidean")}}))
    accuracy = {"metric": "IoU", "unit": "", "definition": "d", "samples": 1, "baseline": None}
    for path, value in ((tmp_path / "accuracy.json", 0.84), (folder / "accuracy.json", 0.83)):
        path.write_text(json.dumps({**accuracy, "value": value, "rows": [{"sample": "a", "value": value}]}))
    measured = limits.costs(found, "cann", facts.load(ROOT / "UNetPlusPlus"))
    assert measured["resize-nearest_mode"]["before"] == 0.84 and measured["resize-nearest_mode"]["after"] == 0.83
    text = "\n".join(limits.lines("m.onnx", found, None, "force_fp16", measured))
    assert "run here with nearest_mode round_prefer_ceil, 1 samples: IoU 0.8400 -> 0.8300, outputs cosine 0.98" in text and ": fail" in text
    with pytest.raises(UserError):
        limits.costs(found, "cann", facts.load(ROOT / "EDSR"))


def make(model, *arguments):
    return subprocess.run(["make", "-s", "-C", str(ROOT / model), *arguments], capture_output=True, text=True, timeout=600,
                          env=environment())


def test_make_lint_and_make_cann_of_unetplusplus_find_resize_and_run_it():
    try:
        given = ["B=build_limits", "PTH=seeded", "SEEDED=filters=4,8,8,8,8", "LIMIT=2"]
        looked = make("UNetPlusPlus", "lint", *given, "SOC_VERSION=Ascend310P3")
        assert looked.returncode == 0, looked.stderr
        assert "make cann runs the network with nearest_mode round_prefer_ceil" in looked.stdout
        result = make("UNetPlusPlus", "cann", *given)
        assert result.returncode == 0, result.stderr
        assert re.search(r"run here with nearest_mode round_prefer_ceil, 2 samples: IoU \d\.\d{4} -> \d\.\d{4}, outputs cosine", result.stdout)
        build = ROOT / "UNetPlusPlus/build_limits"
        cost, = [row["cost"] for row in json.loads((build / "cann.json").read_text())["findings"]]
        assert cost["agreement"] == json.loads((build / "cann/resize-nearest_mode/agreement.json").read_text())
        assert not list((build / "cann").rglob("*.onnx"))  # nobody takes it for the model
        refused = make("UNetPlusPlus", "lint", *given, "SOC_VERSION=Ascend1")
        assert refused.returncode and "no chip of the table" in refused.stderr
    finally:
        make("UNetPlusPlus", "clean", "B=build_limits")


@pytest.mark.full
def test_the_resize_of_the_page_costs_unetplusplus_its_measured_iou():
    data, weights = shared("data/dsb2018_96"), shared("weights/nested_unet.pth")
    try:
        result = make("UNetPlusPlus", "cann", "B=build_limits", f"DATASETS_PATH={data}", f"PTH={weights}")
        assert result.returncode == 0, result.stderr
        assert "134 samples: IoU 0.8402 -> 0.8330" in result.stdout
    finally:
        make("UNetPlusPlus", "clean", "B=build_limits")
