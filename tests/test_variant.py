"""What a model's file tells of its variant and identity, and that every later stage obeys it."""
from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

import edsr
from common.base import model_file
from common.base.errors import UserError
from common.convert import checkpoint
from common.data import variant
from common.engines.onnxruntime_session import Session
from conftest import ROOT, one_line_error


def model(path: Path, value: float = 2.0, where: str = "", inner: bool = False, **metadata: str) -> Path:
    """An ONNX file that multiplies [1, 3, 8, 8] by `value`, in an external file `where` or as a constant in a node."""
    weight = numpy_helper.from_array(np.full((3, 8, 8), value, np.float32), "w")
    nodes = [helper.make_node("Mul", ["x", "w"], ["y"])]
    if inner:
        nodes.insert(0, helper.make_node("Constant", [], ["w"], value=weight))
    graph = helper.make_graph(nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 8, 8])],
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 3, 8, 8])],
                              [] if inner else [weight])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)])
    made.ir_version = 8
    helper.set_model_props(made, metadata)
    if where:
        (path.parent / where).unlink(missing_ok=True)
        onnx.save(made, str(path), save_as_external_data=True, location=where, size_threshold=0, convert_attribute=True)
    else:
        onnx.save(made, str(path))
    return path


def test_metadata_is_what_onnx_itself_reads(tmp_path):
    told = {"scale": "4", "network": "EDSR", "meaning": "größer, \n 2 x"}
    path = model(tmp_path / "a.onnx", **told)
    assert model_file.metadata(path) == {entry.key: entry.value for entry in onnx.load(str(path)).metadata_props} == told
    assert model_file.metadata(model(tmp_path / "b.onnx")) == {}


@pytest.mark.parametrize("cut", [0.0, 0.5, 0.99], ids=["empty", "half", "end missing"])
def test_metadata_of_what_is_no_onnx_is_an_error(tmp_path, cut):
    path = model(tmp_path / "a.onnx", scale="4")
    content = path.read_bytes()
    path.write_bytes(content[:int(cut * len(content))] or b"\xff" * 40)
    with pytest.raises(UserError, match=r"a\.onnx: is truncated or not an ONNX model"):
        model_file.metadata(path)


@pytest.mark.parametrize("inner", [False, True], ids=["initializer", "constant of a node"])
def test_checksum_covers_external_data_as_sha256sum_would(tmp_path, inner):
    path = model(tmp_path / "m.onnx", 2, "m.data", inner)
    first, alone = model_file.sha256(path), hashlib.sha256(path.read_bytes()).hexdigest()
    lines = subprocess.run("sha256sum m.onnx m.data | sha256sum", shell=True, cwd=tmp_path, capture_output=True, text=True)
    assert first == lines.stdout.split()[0] != alone
    model(path, 7, "m.data", inner)
    assert hashlib.sha256(path.read_bytes()).hexdigest() == alone, "the same .onnx, other weights"
    assert model_file.sha256(path) != first
    assert Session(path).sha256() == model_file.sha256(path)
    whole = model(tmp_path / "whole.onnx")
    assert model_file.sha256(whole) == hashlib.sha256(whole.read_bytes()).hexdigest()


def test_resume_runs_anew_when_only_the_external_data_changed(tmp_path, run):
    np.ones((3, 8, 8), np.float32).tofile(tmp_path / "a.bin")
    (tmp_path / "i.info").write_text("0 a.bin 8 8\n")
    for value in (2.0, 7.0):
        model(tmp_path / "m.onnx", value, "m.data")
        done = run("-m", "common.tools.benchmark", "-om_path=m.onnx", "-input_text_path=i.info", "-output_binary=True",
                   cwd=tmp_path, RESUME="1")
        assert done.returncode == 0, done.stderr
        assert np.fromfile(tmp_path / "result/dumpOutput_device0/a_1.bin", np.float32)[0] == value


@pytest.mark.parametrize("how", ["link", "folder link", "parent", "absolute", "gone"])
def test_external_data_outside_of_the_folder_is_refused(tmp_path, how):
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    path = model(tmp_path / "in/m.onnx", 2, "m.data")
    outside = tmp_path / "out/m.data"
    (tmp_path / "in/m.data").rename(outside)
    location = {"parent": "../out/m.data", "absolute": str(outside), "folder link": "sub/m.data"}.get(how, "m.data")
    if how == "link":
        (tmp_path / "in/m.data").symlink_to(outside)
    elif how == "folder link":
        (tmp_path / "in/sub").symlink_to(tmp_path / "out")
    if location != "m.data":
        made = onnx.load(str(path), load_external_data=False)
        next(entry for entry in made.graph.initializer[0].external_data if entry.key == "location").value = location
        path.write_bytes(made.SerializeToString())
    for read in (Session, model_file.sha256):
        with pytest.raises(UserError, match="expected weights of m.onnx" if how == "gone" else "outside of its folder"):
            read(path)
    (tmp_path / "in/m.data").unlink(missing_ok=True)
    if how == "link":  # a link within the folder is fine
        outside.rename(tmp_path / "in/other.data")
        (tmp_path / "in/m.data").symlink_to("other.data")
        assert Session(path).run([np.ones((1, 3, 8, 8), np.float32)])[0].max() == 2


def test_variant_of_an_om_is_that_of_its_onnx_and_of_another_network_an_error(tmp_path):
    model(tmp_path / "a.onnx", network="EDSR", scale="3")
    assert variant.of_model(tmp_path / "a.om", "EDSR")["scale"] == "3"
    with pytest.raises(UserError, match="is a model of EDSR, expected one of UNet"):
        variant.of_model(tmp_path / "a.onnx", "UNet++")
    with pytest.raises(UserError, match=r"b\.om: an \.om does not tell its variant"):
        variant.of_model(tmp_path / "b.om")


@pytest.fixture(scope="module")
def scaled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """EDSR x3 with a residual scale of 0.25 and drawn pictures, HR and LR of the same names, up to the results."""
    place = tmp_path_factory.mktemp("scaled")
    checkpoint.save(edsr.EDSR(2, 8, 3, 0.25).eval(), place / "x3.pth")
    y, x = np.mgrid[:96, :90]
    for number, name in enumerate("ab"):
        drawn = Image.fromarray(np.stack([x * 2, y * 2, (x * y + number * 40) // 32 % 256], 2).astype(np.uint8))
        for folder, size in (("HR", (90, 96)), ("LR", (30, 32)), ("LR2", (45, 48))):
            (place / folder).mkdir(exist_ok=True)
            drawn.resize(size, Image.BICUBIC).save(place / folder / f"{name}.png")
    return place


def step(run, place: Path, *arguments: object, status: int = 0, **more: str):
    script = [str(ROOT / "EDSR" / arguments[0])] if str(arguments[0]).endswith(".py") else ["-m", arguments[0]]
    done = run(*script, *arguments[1:], cwd=place, **more)
    assert done.returncode == status, (done.stdout, done.stderr)
    return done


def test_scale_and_residual_scale_of_an_edsr_reach_every_stage_by_the_model_alone(scaled, run):
    place = scaled
    step(run, place, "edsr_pth2onnx.py", "--pth", "x3.pth", "--onnx", "e.onnx", "--size", 32, "--res_scale", "0.25")
    told = model_file.metadata(place / "e.onnx")
    assert (told["scale"], told["res_scale"], told["rgb_range"], told["features"], told["blocks"]) == (
        "3", "0.25", "255", "8", "2")
    assert int(told["parameters"]) == sum(each.numel() for each in edsr.EDSR(2, 8, 3).parameters())
    step(run, place, "edsr_preprocess.py", "-s", "LR", "-d", "prep", "--size", 32, "--onnx", "e.onnx", "--HR", "HR")
    step(run, place, "get_info.py", "bin", "prep/bin", "e.info", 32, 32)
    step(run, place, "common.tools.benchmark", "-model_type=vision", "-om_path=e.onnx", "-input_text_path=e.info",
         "-input_width=32", "-input_height=32", "-output_binary=True", "-useDvpp=False")
    results = ["--res", "result/dumpOutput_device0", "--HR", "HR"]
    right = step(run, place, "edsr_postprocess.py", *results, "--scale", 3).stdout
    for how in (["--prep", "prep"], ["--onnx", "e.onnx"], []):  # the last: by the record of the inference
        assert step(run, place, "edsr_postprocess.py", *results, *how).stdout == right
    one_line_error(step(run, place, "edsr_postprocess.py", *results, "--prep", "prep", "--scale", 2, status=1),
                   "the scale is 2 by --scale, but 3 by the model's metadata")
    step(run, place, "common.infer.pytorch_infer", "--model", ROOT / "EDSR", "--pth", "x3.pth", "--prep", "prep",
         "--output", "pytorch", PYTHONPATH=f"{ROOT}:{ROOT / 'EDSR'}")
    agreed = step(run, place, "common.judge.agreement", "result/dumpOutput_device0", "pytorch", "--output", "a.json")
    assert json.loads((place / "a.json").read_text())["verdict"] == "pass", agreed.stdout


def test_pictures_of_another_scale_are_told_before_anything_is_written(scaled, run):
    step(run, scaled, "edsr_pth2onnx.py", "--pth", "x3.pth", "--onnx", "f.onnx", "--size", 48, "--res_scale", "0.25")
    one_line_error(step(run, scaled, "edsr_preprocess.py", "-s", "LR2", "-d", "none", "--size", 48, "--onnx", "f.onnx",
                        "--HR", "HR", status=1), "45x48, expected 30x32: the model's scale is 3")
    assert not (scaled / "none").exists()


def test_wrong_residual_scale_is_named_where_onnx_and_pytorch_differ(tmp_path, run):
    network = edsr.EDSR(16, 8, 2, 0.01).eval()
    for block in network.body[:-1]:
        block.body[2].weight.data *= 300
    checkpoint.save(network, tmp_path / "x.pth")
    for value in ("0", "-1", "nan", "1e9", "\u00b2"):
        step(run, tmp_path, "edsr_pth2onnx.py", "--pth", "x.pth", "--onnx", "a.onnx", "--size", 16, f"--res_scale={value}",
             status=2)
    one_line_error(step(run, tmp_path, "edsr_pth2onnx.py", "--pth", "x.pth", "--onnx", "a.onnx", "--size", 16, status=1),
                   "was it trained with another --res_scale than 1 (make: RES_SCALE=)?")


MADE = {  # model: its export's arguments, with a checkpoint of another variant, and what the metadata must say
    "UNetPlusPlus": ("nested_unet", dict(classes=2, channels=1, filters=(2, 3, 4)), "nested_unet_pth2onnx.py x.pth x.onnx",
                     {"classes": "2", "channels": "1", "filters": "2,3,4"}),
    "IntraDA": ("deeplabv2", dict(classes=7, blocks=(1, 1, 1, 1), widths=(2, 2, 2, 2, 2)),
                "intrada_pth2onnx.py x.pth x.onnx", {"classes": "7"}),
    "Pix2pixHD": ("local_enhancer", dict(ngf=2, downsamplings=1, global_blocks=1, local_blocks=1),
                  "pix2pixhd_pth2onnx.py --load_pretrain x.pth --output_file x.onnx --size 32x32 --input labels",
                  {"labels": "35", "input": "labels"}),
    "CGAN": ("CGAN", dict(latent=5, classes=4, side=16, hidden=8, wide=4, narrow=2),
             "CGAN_pth2onnx.py --pth_path x.pth --onnx_path x.onnx --classes 4",
             {"latent": "5", "classes": "4", "channels": "3", "side": "16"})}


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`<model>/x.onnx` of another variant than the reference's, for each model but EDSR."""
    import importlib
    import os
    import sys
    place = tmp_path_factory.mktemp("others")
    for name, (module, sizes, export, _) in MADE.items():
        (place / name).mkdir()
        network = importlib.import_module(module).seeded(0, **sizes)
        checkpoint.save(network, place / name / "x.pth")
        script, *arguments = export.split()
        subprocess.run([sys.executable, str(ROOT / name / script), *arguments], cwd=place / name, check=True,
                       env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.DEVNULL)
    return place


@pytest.mark.parametrize("name", MADE)
def test_every_export_notes_its_variant_and_number_of_parameters(others, name):
    import importlib
    told = model_file.metadata(others / name / "x.onnx")
    module, sizes, _, expected = MADE[name]
    assert {key: told[key] for key in expected} == expected
    assert int(told["parameters"]) == sum(each.numel() for each in importlib.import_module(module).seeded(
        0, **sizes).parameters())


def test_what_the_evaluation_cannot_do_is_told_by_preprocess(others, tmp_path, run):
    for script, arguments, part in [
            ("UNetPlusPlus/preprocess_nested_unet.py", ("i", "out", "v"), "the model has channels 1, expected 3"),
            ("IntraDA/intrada_preprocess.py", ("i", "out"), "the model has classes 7, expected 19"),
            ("Pix2pixHD/pix2pixhd_preprocess.py", ("i", "out", "--input", "onehot"), "was exported with --input labels"),
            ("EDSR/edsr_preprocess.py", ("-s", "i", "-d", "out"), "is a model of CGAN, expected one of EDSR")]:
        onnx_of = "CGAN" if script.startswith("EDSR") else script.split("/")[0]
        one_line_error(run(str(ROOT / script), *arguments, "--onnx", others / onnx_of / "x.onnx", cwd=tmp_path), part)
    assert list(tmp_path.iterdir()) == []


def test_numbers_of_a_cgan_reach_preprocess_postprocess_and_pytorch(others, run):
    place = others / "CGAN"

    def call(script: str, *arguments: object, status: int = 0):
        start = [str(ROOT / "CGAN" / script)] if script.endswith(".py") else ["-m", script]
        done = run(*start, *arguments, cwd=place, PYTHONPATH=f"{ROOT}:{ROOT / 'CGAN'}")
        assert done.returncode == status, done.stderr
        return done

    call("CGAN_preprocess.py", "--save_path", "prep", "--onnx", "x.onnx")
    rows = np.fromfile(place / "prep/input.bin", np.float32).reshape(40, 9)
    assert (rows[:, 5:] == np.tile(np.eye(4), (10, 1))).all()
    assert call("common.data.variant", "prep", "shape", "classes").stdout.split() == ["40,9", "4"]
    call("common.tools.msame", "--model", "x.onnx", "--input", "prep/input.bin", "--output", "result")
    folder = call("common.data.result_files", "newest", "result").stdout.strip()
    drawn = call("CGAN_postprocess.py", "--bin_out_path", folder, "--save_path", ".", "--prep", "prep").stdout
    assert "40 digits" in drawn and "not read: the classifier knows 10 digits" in drawn
    assert Image.open(place / "result.png").size == (4 * 16, 10 * 16)
    one_line_error(call("CGAN_postprocess.py", "--bin_out_path", folder, "--save_path", ".", "--prep", "prep",
                        "--accuracy", "a.json", status=1), "the model draws 4 classes of 16x16")
    call("common.infer.pytorch_infer", "--model", ROOT / "CGAN", "--pth", "x.pth", "--prep", "prep", "--output", "pytorch")
    call("CGAN_agreement.py", folder, "pytorch", "--prep", "prep")
