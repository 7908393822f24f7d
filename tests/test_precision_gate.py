"""The gate of test/eval_acc_perf.sh: a model whose metric holds but whose outputs do not, fails; half precision passes."""
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import onnx_models
from common.engines import sessions
from common.judge import agreement
from conftest import ROOT, shared


def upsampled(path, nearest_mode):
    """A Resize x2 as UNet++ has it."""
    node = helper.make_node("Resize", ["x", "roi", "scales"], ["y"], mode="nearest", nearest_mode=nearest_mode,
                            coordinate_transformation_mode="asymmetric")
    return onnx_models.save(path, [node], [("x", [1, 1, 8, 8], TensorProto.FLOAT)], [("y", [1, 1, 16, 16], TensorProto.FLOAT)],
                            [onnx_models.constant("roi", []), onnx_models.constant("scales", [1, 1, 2, 2])])


def results(folder, path, inputs, precision=None):
    """The model's result files as benchmark names them."""
    session = sessions.open_session(path, "cpu", 2, precision=precision)
    folder.mkdir()
    for index, x in enumerate(inputs):
        session.run([x])[0].tofile(folder / f"s{index}_1.bin")
    return folder


def test_a_resize_that_rounds_up_fails_the_gate_on_one_operator(tmp_path):
    inputs = [np.random.default_rng(0).random((1, 1, 8, 8)).astype(np.float32)]
    right, wrong = (results(tmp_path / mode, upsampled(tmp_path / f"{mode}.onnx", mode), inputs)
                    for mode in ("floor", "round_prefer_ceil"))
    again = results(tmp_path / "again", tmp_path / "floor.onnx", inputs)
    assert agreement.main([str(again), str(right)]) == 0
    assert agreement.main([str(wrong), str(right)]) == 1


@pytest.mark.full
def test_unetplusplus_with_resize_as_cann_describes_it_fails_the_gate_and_half_precision_passes(tmp_path, run):
    weights, data = shared("weights/nested_unet.pth"), shared("data/dsb2018_96")
    ids = (data / "val_ids.txt").read_text().split()[:6]
    (tmp_path / "ids.txt").write_text("\n".join(ids) + "\n")
    path = tmp_path / "right.onnx"
    for line in (["nested_unet_pth2onnx.py", weights, path],
                 ["preprocess_nested_unet.py", data / "images", tmp_path / "prep", tmp_path / "ids.txt"]):
        done = run(ROOT / "UNetPlusPlus" / line[0], *line[1:])
        assert done.returncode == 0, done.stderr
    model = onnx.load(str(path))
    for node in model.graph.node:
        if node.op_type == "Resize":
            mode = next(attribute for attribute in node.attribute if attribute.name == "nearest_mode")
            assert mode.s == b"floor"
            mode.s = b"round_prefer_ceil"
    onnx.save(model, str(tmp_path / "wrong.onnx"))
    inputs = [np.fromfile(each, np.float32).reshape(1, 3, 96, 96) for each in sorted((tmp_path / "prep").rglob("*.bin"))]
    assert len(inputs) == 6
    right = results(tmp_path / "right", path, inputs)
    wrong = results(tmp_path / "wrong", tmp_path / "wrong.onnx", inputs)
    half = results(tmp_path / "half", path, inputs, "f16")
    found = agreement.compare_folders(wrong, right)
    assert found["verdict"] == "fail" and found["relative_euclidean"] > 0.1
    assert agreement.main([str(wrong), str(right)]) == 1
    rehearsed = agreement.compare_folders(half, right)
    assert rehearsed["verdict"] == "pass" and rehearsed["relative_euclidean"] < 0.01
