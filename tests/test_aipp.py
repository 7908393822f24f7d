"""common/npu/aipp.py: aipp.cfg from preprocessing's scaling, its emulation, and the pixels in place of preprocessing's files."""
import html
import json
import re
import subprocess

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import onnx_models
from common.base import facts, files
from common.base.errors import UserError
from common.engines import half, sessions
from common.npu import aipp
from common.publish import precision
from conftest import ROOT, environment, one_line_error, own_lines, shared

MODULES = {"UNetPlusPlus": "preprocess_nested_unet", "IntraDA": "intrada_preprocess"}
SCALE = aipp.Scaling([104.25, 0.5, 10.0], [1.0, 0.5, 2.0])
"""Exact in half precision."""


def settings(text):
    return {name: value for name, value in re.findall(r"^\s+(\w+): (\S+)$", text, re.MULTILINE)}


def by_hand(text, pixels):
    """What CANN's page says that a chip makes of [N, H, W, 3] pixels: swap, then (pixel - mean - min) * reciprocal, in half."""
    told = settings(text)
    assert told["rbuv_swap_switch"] == "true" and told["input_format"] == "RGB888_U8"
    out = np.empty((len(pixels), 3, *pixels.shape[1:3]), np.float16)
    for channel in range(3):
        mean, least, factor = (np.float16(told[f"{name}_{channel}"]).astype(np.float32) for name in ("mean_chn", "min_chn", "var_reci_chn"))
        out[:, channel] = ((pixels[..., 2 - channel].astype(np.float32) - mean - least) * factor).astype(np.float16)
    return out.astype(np.float32)


@pytest.mark.parametrize("name", MODULES)
def test_the_emulation_does_what_the_file_says_and_stays_near_preprocessing(name):
    model = facts.load(ROOT / name)
    scale = aipp.scaling(MODULES[name], model)
    height, width = model.inputs[0].shape[2:]
    text = aipp.config(scale, width, height)
    told = settings(text)
    assert (told["src_image_size_w"], told["src_image_size_h"]) == (str(width), str(height))
    assert all(told[f"mean_chn_{channel}"].isdigit() for channel in range(3))
    pixels = np.random.default_rng(0).integers(0, 256, (1, height, width, 3), np.uint8)
    if name == "UNetPlusPlus":
        import preprocess_nested_unet
        made = preprocess_nested_unet.preprocess(np.ascontiguousarray(pixels[0, ..., ::-1]), height, model.extra["mean"], model.extra["std"])
    else:
        import intrada_preprocess
        made = intrada_preprocess.preprocess(pixels[0], (width, height), model.extra["mean_bgr"])
    assert np.array_equal(aipp.pixels(made, scale, "x"), pixels)  # preprocessing of a picture of the network's size loses nothing
    table = aipp.emulated(scale)
    ours = np.stack([table[channel][pixels[..., 2 - channel]] for channel in range(3)], 1)
    assert np.array_equal(ours, by_hand(text, pixels))
    assert np.abs(ours - made).max() < np.abs(made).max() * 2 ** -10


def tiny(path, batch=1):
    return onnx_models.save(path, [helper.make_node("Identity", ["x"], ["y"])], [("x", [batch, 3, 2, 4], TensorProto.FLOAT)],
                            [("y", [batch, 3, 2, 4], TensorProto.FLOAT)])


def test_a_network_with_aipp_in_front_takes_pixels_red_first_and_the_stand_in_reads_their_files(tmp_path):
    model = half.read(tiny(tmp_path / "m.onnx", "N"))
    onnx.save(aipp.with_aipp(model, SCALE), str(tmp_path / "aipp.onnx"))
    pixels = np.random.default_rng(1).integers(0, 256, (2, 2, 4, 3), np.uint8)
    session = sessions.open_session(tmp_path / "aipp.onnx", "cpu", 1)
    assert session.inputs[0].shape == (None, 2, 4, 3) and session.inputs[0].dtype == np.uint8
    expected = by_hand(aipp.config(SCALE, 4, 2), pixels)
    assert np.array_equal(session.run([pixels])[0], expected)
    assert expected[0, 0, 0, 0] == np.float32(pixels[0, 0, 0, 2]) - np.float32(104.25)  # blue comes out first
    (tmp_path / "in").mkdir()
    pixels[0].tofile(tmp_path / "in/a.bin")
    done = onnx_models.tool("ais_infer", "--model", "aipp.onnx", "--input", "in", "--output", ".", "--output_dirname", "out", "--outfmt",
                            "BIN", "--batchsize", "1", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert np.array_equal(np.fromfile(tmp_path / "out/a_0.bin", np.float32).reshape(1, 3, 2, 4), expected[:1])


def test_inputs_that_are_no_scaled_pixels_are_refused():
    whole = np.array([[[[5]], [[6]], [[7]]]], np.float64)
    good = ((whole - np.reshape(SCALE.subtract, (3, 1, 1))) * np.reshape(SCALE.multiply, (3, 1, 1))).astype(np.float32)
    assert aipp.pixels(good, SCALE, "x").tolist() == [[[[7, 6, 5]]]]
    for wrong in (good + np.float32(0.1), good + np.float32(600), -good - np.float32(600)):
        with pytest.raises(UserError, match="no pixels of 0..255"):
            aipp.pixels(wrong, SCALE, "x")


def test_a_script_without_scaling_and_samples_that_are_not_there_are_one_line(tmp_path, run):
    model = ["--model", ROOT / "UNetPlusPlus"]
    path = {"PYTHONPATH": f"{ROOT}:{ROOT / 'UNetPlusPlus'}"}
    one_line_error(run("-m", "common.npu.aipp", "nested_unet", tiny(tmp_path / "m.onnx"), "prep", "out", *model, cwd=tmp_path, **path),
                   "nested_unet: tells no scaling for AIPP")
    one_line_error(run("-m", "common.npu.aipp", MODULES["UNetPlusPlus"], "m.onnx", "prep", "out", *model, cwd=tmp_path, **path),
                   "preprocessing has not been run")


def make(model, *arguments):
    return subprocess.run(["make", "-s", "-C", str(ROOT / model), "aipp", "B=build_aipp", *arguments], capture_output=True, text=True,
                          timeout=900, env=environment())


def clean(model):
    subprocess.run(["make", "-s", "-C", str(ROOT / model), "clean", "B=build_aipp"], env=environment(), check=True)


@pytest.mark.parametrize("model, seeded", [("UNetPlusPlus", "filters=4,8,8,8,8"),
                                           ("IntraDA", "blocks=1,1,1,1 widths=4,4,4,4,4")])
def test_make_aipp_runs_the_pixels_in_place_of_preprocessings_files(model, seeded):
    try:
        result = make(model, "PTH=seeded", f"SEEDED={seeded}", "LIMIT=2")
        assert result.returncode == 0, result.stderr
        assert "2 samples of" in result.stdout and re.search(r"%|\d\.\d{4} with preprocessing's files", result.stdout)
        assert "--insert_op_conf=aipp/run/aipp.cfg; no NPU figure" in result.stdout
        build = ROOT / model / "build_aipp"
        sizes = [[path.stat().st_size for path in sorted(folder.glob("*.bin"))] for folder in (build / "prep", build / "aipp/run/prep")]
        assert [4 * size for size in sizes[1]] == sizes[0] and len(sizes[0]) == 2
        assert json.loads((build / "aipp/run/agreement.json").read_text())["samples"] == 2
        written = files.read_json(build / "aipp.json", "aipp")
        shown = "".join(part.render() for part in precision.sections(build, {written["model_sha256"]}))
        assert "AIPP" in shown and all(line[1:] in html.unescape(shown) for line in written["told"])
    finally:
        clean(model)


def test_make_aipp_of_a_model_without_pixels_is_one_line():
    result = make("CGAN")
    said = own_lines(result.stderr)
    assert result.returncode == 2 and len(said) == 1 and said[0].startswith("error: make aipp: the inputs of CGAN")


@pytest.mark.full
def test_aipp_keeps_unetplusplus_its_measured_iou():
    try:
        result = make("UNetPlusPlus", f"DATASETS_PATH={shared('data/dsb2018_96')}", f"PTH={shared('weights/nested_unet.pth')}")
        assert result.returncode == 0, result.stderr
        assert "IoU: 0.8402 with preprocessing's files, 0.8402 with AIPP emulated here" in result.stdout
    finally:
        clean("UNetPlusPlus")
