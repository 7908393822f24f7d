"""int8: what it is calibrated on, the file that is made, the verdict, its part of the report, and `make int8`."""
from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import onnx_models
from common.base import facts, files
from common.base.errors import UserError
from common.data import dataset
from common.engines import sessions
from common.precision import int8
from common.publish import page
from conftest import ROOT, one_line_error, shared
from test_make import copy_project, make
from test_report import full

F = TensorProto.FLOAT


def network(path, inputs=("x",)):
    """A convolution whose channels differ a thousandfold in size, ReLU, another; opset 11."""
    generator = np.random.default_rng(1)
    w = generator.normal(size=(4, 3, 3, 3)) * np.array([1e-3, 1e-2, 0.1, 1])[:, None, None, None]
    nodes = [helper.make_node("Conv", ["x", "w"], ["a"], pads=[1, 1, 1, 1]), helper.make_node("Relu", ["a"], ["b"]),
             helper.make_node("Conv", ["b", "v"], ["y"])]
    return onnx_models.save(path, nodes, [(name, ["N", 3, 8, 8], F) for name in inputs], [("y", ["N", 2, 8, 8], F)],
                            [onnx_models.constant("w", w), onnx_models.constant("v", generator.normal(size=(2, 4, 1, 1)))],
                            {"checkpoint_sha256": "c" * 64})


def preprocessed(folder, count, seed=0):
    """Samples as a preprocess script leaves them."""
    def make_one(path):
        return np.random.default_rng([seed, int(path.stem)]).normal(size=(1, 3, 8, 8)).astype(np.float32), {}

    sources = [folder.parent / f"{number}.txt" for number in range(count)]
    for source in sources:
        source.touch()
    dataset.preprocess([(f"s{source.stem}", [source]) for source in sources], folder, make_one, {"seed": seed}, 1)
    return folder


def test_weights_have_a_scale_per_channel_metadata_stays_and_the_outputs_are_near(tmp_path):
    path = network(tmp_path / "a.onnx")
    samples = int8.calibration(preprocessed(tmp_path / "calib", 8), preprocessed(tmp_path / "prep", 2, seed=1))
    int8.quantise(path, samples, tmp_path / "q.onnx")
    made = onnx.load(str(tmp_path / "q.onnx"))
    assert {entry.key: entry.value for entry in made.metadata_props}["checkpoint_sha256"] == "c" * 64
    (opset,) = [entry.version for entry in made.opset_import if not entry.domain]
    assert opset == int8.OPSET
    weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in made.graph.initializer}
    scales = next(weights[node.input[1]] for node in made.graph.node if node.op_type == "DequantizeLinear"
                  and node.input[0].startswith("w"))
    assert scales.shape == (4,) and scales.max() / scales.min() > 100
    x = np.random.default_rng(2).normal(size=(1, 3, 8, 8)).astype(np.float32)
    ours, theirs = (sessions.open_session(each, "cpu", 1).run([x])[0] for each in (tmp_path / "q.onnx", path))
    distance = np.linalg.norm(ours - theirs) / np.linalg.norm(theirs)
    assert 1e-4 < distance < 0.1


def test_a_calibration_sample_that_is_judged_is_one_line(tmp_path, run):
    preprocessed(tmp_path / "calib", 3)
    preprocessed(tmp_path / "prep", 2)
    network(tmp_path / "a.onnx")
    done = run("-m", "common.precision.int8", "quantise", "a.onnx", "--prep", "calib", "--output", "q.onnx", cwd=tmp_path)
    one_line_error(done, "is the judged sample s0", "CALIBRATION=folder")
    assert not (tmp_path / "q.onnx").exists()


def test_images_that_the_list_does_not_name_are_taken_and_where_none_is_left_it_is_one_line(tmp_path):
    (tmp_path / "images").mkdir()
    for name in ("b", "a", "c"):
        (tmp_path / f"images/{name}.png").touch()
    (tmp_path / "val.txt").write_text("b\n")
    assert int8.other_ids(tmp_path / "images", tmp_path / "val.txt", tmp_path / "ids.txt") == 2
    assert (tmp_path / "ids.txt").read_text() == "a\nc\n"
    (tmp_path / "val.txt").write_text("a b c")
    with pytest.raises(UserError, match="none is left to calibrate on"):
        int8.other_ids(tmp_path / "images", tmp_path / "val.txt", tmp_path / "ids.txt")


def test_calibration_data_are_laid_out_or_it_is_said_what_is_missing(tmp_path):
    folder, mine = tmp_path / "build/int8", tmp_path / "mine"
    (mine / "LR").mkdir(parents=True)
    assert "given" in int8.lay_out(folder, ["LR=div2k/LR,LR"], str(mine), demo=False)
    assert (folder / "data/LR").resolve() == mine / "LR"
    with pytest.raises(UserError, match=r"expected HR \(HR\) with calibration samples, found nothing"):
        int8.lay_out(folder, ["HR=HR"], str(mine), demo=False)
    with pytest.raises(UserError, match="no calibration samples beside those that are judged; give CALIBRATION=folder"):
        int8.lay_out(folder, ["LR=LR"], "", demo=False)
    with pytest.raises(UserError, match="calibration samples"):
        int8.lay_out(folder, ["a/val=a/train"], "", demo=False, instead=["a/val=a/train"])
    (folder.parent / "data/a/train").mkdir(parents=True)
    assert "not among those judged" in int8.lay_out(folder, ["a=a"], "", demo=False, instead=["a/val=a/train"])
    assert (folder / "data/a/val").resolve() == folder.parent / "data/a/train"


def test_two_inputs_and_weights_in_a_file_of_their_own_are_refused(tmp_path):
    samples = int8.calibration(preprocessed(tmp_path / "calib", 1), preprocessed(tmp_path / "prep", 1, seed=1))
    with pytest.raises(UserError, match="more than one input"):
        int8.quantise(network(tmp_path / "two.onnx", ("x", "z")), samples, tmp_path / "q.onnx")
    path = network(tmp_path / "a.onnx")
    onnx.save(onnx.load(str(path)), str(path), save_as_external_data=True, location="a.data", size_threshold=16)
    with pytest.raises(UserError, match="files of their own"):
        int8.quantise(path, samples, tmp_path / "q.onnx")
    assert not (tmp_path / "q.onnx").exists()


def row(accuracy, cosine=0.999, euclidean=0.02, name="int8"):
    return {"name": name, "by": "x: no NPU figure", "bytes": 9300000, "samples_per_s": 20.0, "accuracy": accuracy, "cosine": cosine,
            "relative_euclidean": euclidean}


@pytest.mark.parametrize("plain, quantised, seeded, verdict", [
    (row(0.8402), row(0.8395), False, "pass"), (row(0.8402), row(0.8317), False, "fail"), (row(0.8402), row(0.9), False, "pass"),
    (row(0.8402), row(0.1), True, "none"), (row(None), row(None), False, "pass"), (row(None), row(None, 0.98), False, "fail"),
    (row(None), row(None, euclidean=0.06), False, "fail")])
def test_int8_passes_only_within_the_models_tolerance_or_without_a_metric_the_agreements(plain, quantised, seeded, verdict):
    assert int8.decide(facts.load(ROOT / "UNetPlusPlus"), plain, quantised, seeded)[0] == verdict


def found(checksum="a" * 64):
    return {"model": "UNet++", "model_sha256": checksum, "scheme": int8.SCHEME, "calibration": {"samples": 32, "source": "others"},
            "metric": "IoU", "unit": "", "tolerance": 0.01, "samples": 134, "rows": [row(0.8402, name="float32"), row(0.8395)],
            "verdict": "pass", "why": "IoU 0.8395 for 0.8402 in float32"}


def test_the_page_has_int8_of_the_model_that_was_run_and_of_no_other(tmp_path):
    one = full(int8=found())
    files.write_json(tmp_path / "report.json", one)
    text = page.build([(one, tmp_path)], 96)
    assert "AMCT" in text and "0.83950" in text and "9.3 MB" in text
    assert full(int8=found("b" * 64))["int8"] is None and "AMCT" not in page.build([(full(), tmp_path)], 96)


# make

@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    return copy_project(tmp_path_factory.mktemp("a folder"))


def test_make_int8_goes_the_whole_way_on_narrow_seeded_weights(project):
    arguments = ("-C", "CGAN", "int8", "PTH=seeded", "SEEDED=hidden=16 wide=8 narrow=4", "LOOP=2")
    done = make(project, *arguments)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    made = files.read_json(project / "CGAN/build/int8.json", "int8")
    assert made["verdict"] == "none" and [each["name"] for each in made["rows"]] == ["float32", "half precision rehearsed", "int8"]
    assert made["calibration"] == {"samples": 1, "source": "noise of another seed"} and made["rows"][1]["samples_per_s"] is None
    done = make(project, "-C", "CGAN", "report", *arguments[3:])
    assert done.returncode == 0, done.stderr
    assert json.loads((project / "CGAN/build/report.json").read_text())["int8"]["verdict"] == "none"
    assert make(project, "-C", "CGAN", "cost", *arguments[3:]).stdout.count("CGAN_sim.onnx") == 1


def test_a_dataset_without_calibration_samples_is_one_line(project, tmp_path):
    from PIL import Image
    for name, size in (("HR", (64, 48)), ("LR", (32, 24))):
        (tmp_path / name).mkdir()
        Image.new("RGB", size, (9, 90, 200)).save(tmp_path / name / ("0801.png" if name == "HR" else "0801x2.png"))
    done = make(project, "-C", "EDSR", "int8", "PTH=seeded", "SEEDED=blocks=1 features=8", "ROUND=1", f"DATASETS_PATH={tmp_path}")
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert done.returncode == 2 and len(errors) == 1 and "give CALIBRATION=folder" in errors[0], done.stderr
    done = make(project, "-C", "EDSR", "int8", "STREAM=1")
    assert done.returncode == 2 and "run it without" in done.stderr


@pytest.mark.full
def test_int8_of_unetplusplus_keeps_its_iou_on_the_real_validation_images(project):
    weights, data = shared("weights/nested_unet.pth"), shared("data/dsb2018_96")
    done = make(project, "-C", "UNetPlusPlus", "int8", f"PTH={weights}", f"DATASETS_PATH={data}")
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    made = files.read_json(project / "UNetPlusPlus/build/int8.json", "int8")
    plain, half, quantised = made["rows"]
    assert made["samples"] == 134 and made["calibration"]["samples"] == 32 and made["verdict"] == "pass"
    assert plain["accuracy"] == pytest.approx(0.8402, abs=5e-5) and half["accuracy"] == pytest.approx(0.8402, abs=5e-4)
    assert abs(quantised["accuracy"] - 0.8402) < 0.0042 and quantised["accuracy"] != plain["accuracy"]
    assert 3.5 < plain["bytes"] / quantised["bytes"] < 4
    val = set((data / "val_ids.txt").read_text().split())
    used = {record["id"] for record in dataset.read_manifest(project / "UNetPlusPlus/build/int8/prep")}
    assert len(used) == 32 and not used & val
