"""The check of a simplified ONNX file against the one before it."""
from __future__ import annotations

import json
import re

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import onnx_models
from common.base.errors import UserError
from common.convert import simplify
from conftest import one_line_error


def two_models(folder, change=lambda model: None):
    """The affine model twice; the second changed in place."""
    before = onnx_models.affine(folder / "before.onnx", metadata={"checkpoint_sha256": "abc"})
    model = onnx.load(str(before))
    change(model)
    onnx.save(model, str(folder / "after.onnx"))
    return before, folder / "after.onnx"


def scale_weight(factor):
    def change(model):
        (weight,) = [entry for entry in model.graph.initializer if entry.name == "two"]
        weight.CopyFrom(onnx_models.constant("two", 2 * factor))
    return change


def test_an_equal_model_passes_and_the_figures_are_written(tmp_path, run):
    before, after = two_models(tmp_path)
    result = run("-m", "common.convert.simplify", before, after, "--output", tmp_path / "mark.json")
    assert result.returncode == 0, result.stderr
    assert json.loads((tmp_path / "mark.json").read_text()) == {
        "nodes_before": 2, "nodes_after": 2, "cosine": pytest.approx(1), "max_abs": 0, "relative_euclidean": 0,
        "relative_max": 0}


def test_pytorch_is_not_loaded_for_it(tmp_path, run):
    result = run("-X", "importtime", "-m", "common.convert.simplify", *two_models(tmp_path))
    assert result.returncode == 0 and not re.search(r"\| +torch$", result.stderr, re.MULTILINE)


def test_a_model_with_a_folded_node_passes(tmp_path):
    def fold(model):  # x - 1 as x + (-1), with a node more
        model.graph.node[1].CopyFrom(helper.make_node("Add", ["x", "minus"], ["less"]))
        model.graph.node.insert(1, helper.make_node("Neg", ["one"], ["minus"]))
    found = simplify.check_simplified(*two_models(tmp_path, fold))
    assert (found["nodes_before"], found["nodes_after"], found["max_abs"]) == (2, 3, 0)


@pytest.mark.parametrize("change, part", [
    (scale_weight(1.0001), "differ from those of"),
    (scale_weight(np.nan), "differ from those of"),
    (lambda model: model.opset_import[0].__setattr__("version", 13), "expected opset ai.onnx 11 alone, found"),
    (lambda model: model.opset_import.add(domain="com.microsoft", version=1), "expected opset ai.onnx 11 alone"),
    (lambda model: model.metadata_props.pop(), "metadata differ from those of"),
    (lambda model: model.graph.input[0].type.tensor_type.shape.dim[0].__setattr__("dim_value", 5),
     "inputs are x [5,3,4] float32, expected x [N,3,4] float32"),
    (lambda model: model.graph.output.reverse(), "outputs are less [N,3,4] float32, twice"),
    (lambda model: model.graph.node.pop(), "is not valid ONNX"),
], ids=["weight", "NaN", "opset", "another domain", "metadata", "shape", "order", "node lost"])
def test_a_model_that_is_off_is_one_line_and_takes_the_mark_away(tmp_path, run, change, part):
    before, after = two_models(tmp_path, change)
    (tmp_path / "mark.json").write_text("{}")
    result = run("-m", "common.convert.simplify", before, after, "--output", tmp_path / "mark.json")
    one_line_error(result, "after.onnx", part)
    assert not (tmp_path / "mark.json").exists()


def test_a_difference_within_the_tolerance_passes_and_beyond_it_does_not(tmp_path):
    before, after = two_models(tmp_path, scale_weight(1 + 1e-4))
    assert simplify.check_simplified(before, after, tolerance=2e-4)["relative_max"] == pytest.approx(1e-4, rel=0.01)
    with pytest.raises(UserError, match="changed what the model computes"):
        simplify.check_simplified(before, after, tolerance=5e-5)


def test_a_change_that_shows_only_at_batch_2_is_found(tmp_path):
    """The first two rows are added up, which is the row itself where there is only one."""
    before = onnx_models.save(tmp_path / "before.onnx", [helper.make_node("Identity", ["x"], ["y"])],
                              [("x", ["N", 4], TensorProto.FLOAT)], [("y", ["N", 4], TensorProto.FLOAT)])
    after = onnx_models.save(tmp_path / "after.onnx", [
        helper.make_node("ReduceSum", ["x"], ["sum"], axes=[0], keepdims=1),
        helper.make_node("Sub", ["x", "x"], ["zero"]),
        helper.make_node("Add", ["sum", "zero"], ["y"])],
        [("x", ["N", 4], TensorProto.FLOAT)], [("y", ["N", 4], TensorProto.FLOAT)])
    with pytest.raises(UserError, match="changed what the model computes"):
        simplify.check_simplified(before, after)


@pytest.mark.parametrize("break_it, part", [
    (lambda path: path.unlink(), "expected an ONNX model there, found nothing"),
    (lambda path: path.write_bytes(path.read_bytes()[:60]), "is not valid ONNX"),
    (lambda path: path.write_bytes(b""), "is not valid ONNX"),
], ids=["missing", "cut off", "empty"])
def test_a_broken_file_is_one_line(tmp_path, run, break_it, part):
    before, after = two_models(tmp_path)
    break_it(after)
    one_line_error(run("-m", "common.convert.simplify", before, after), "after.onnx", part)
