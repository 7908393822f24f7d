"""EDSR's scripts, on small pictures made here and on the shared known answers."""
from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import edsr_postprocess
import edsr_preprocess
import get_max_size
import make_lr
from conftest import ROOT, environment, one_line_error, shared

EDSR = ROOT / "EDSR"


@pytest.fixture
def pictures_pair(tmp_path: Path) -> Path:
    """HR and LR of two small random pictures: 40x32 and 36x48 high-resolution pixels."""
    generator = np.random.default_rng(5)
    for folder in ("HR", "LR"):
        (tmp_path / folder).mkdir()
    for name, (width, height) in (("0801", (40, 32)), ("0802", (36, 48))):
        image = Image.fromarray(generator.integers(0, 256, (height, width, 3), np.uint8))
        image.save(tmp_path / f"HR/{name}.png")
        image.resize((width // 2, height // 2), Image.BICUBIC).save(tmp_path / f"LR/{name}x2.png")
    return tmp_path


def write_results(folder: Path, side: int = 48, stems=("0801x2", "0802x2")) -> Path:
    folder.mkdir(exist_ok=True)
    for stem in stems:
        np.full((1, 3, side, side), 100, np.float32).tofile(folder / f"{stem}_1.bin")
    return folder


# preprocess

def test_preprocess_keeps_rgb_order_and_pads_right_and_bottom_with_zeros():
    image = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    padded = edsr_preprocess.preprocess(image, 4)
    assert padded.shape == (1, 3, 4, 4) and padded.dtype == np.float32
    assert padded[0, :, 0, 0].tolist() == [0, 1, 2] and padded[0, :, 1, 2].tolist() == [15, 16, 17]
    assert not padded[0, :, 2:].any() and not padded[0, :, :, 3:].any()


def test_preprocess_files_equal_the_known_checksums(tmp_path, run, golden_outputs):
    expected = json.loads(shared("golden", "expected.json").read_text())["preprocess"]["EDSR"]
    result = run(EDSR / "edsr_preprocess.py", "-s", golden_outputs / "edsr/LR", "-d", tmp_path)
    assert result.returncode == 0, result.stderr
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (tmp_path / "bin").glob("*.bin")}
    assert found == expected


def test_what_is_written_beside_the_tensors_is_of_this_runs_pictures(pictures_pair, run):
    def preprocess(*flags):
        assert run(EDSR / "edsr_preprocess.py", "-s", "LR", "-d", "prep", "--size", "free", *flags, cwd=pictures_pair).returncode == 0
        return {path.name for name in ("npy", "png") for path in (pictures_pair / "prep" / name).glob("*")}
    both = {f"{stem}{suffix}" for stem in ("0801x2", "0802x2") for suffix in (".npy", ".png")}
    assert preprocess("--npy", "--save_img") == both
    (pictures_pair / "prep/npy/0801x2.npy").unlink()
    (pictures_pair / "prep/npy/mine.npy").touch()
    assert preprocess("--npy", "--save_img") == {*both, "mine.npy"}  # made again
    before = np.load(pictures_pair / "prep/npy/0801x2.npy")
    Image.new("RGB", before.shape[:1:-1], (9, 8, 7)).save(pictures_pair / "LR/0801x2.png")
    (pictures_pair / "LR/0802x2.png").unlink()
    assert preprocess("--npy") == {"0801x2.npy", "mine.npy"}
    assert np.load(pictures_pair / "prep/npy/0801x2.npy")[0, :, 0, 0].tolist() == [9, 8, 7]
    assert preprocess() == {"mine.npy"}


def test_pictures_of_ones_own_in_a_folder_of_that_name_are_left_alone(pictures_pair, run):
    (pictures_pair / "LR").rename(pictures_pair / "png")
    for _ in range(2):
        assert run(EDSR / "edsr_preprocess.py", "-s", "png", "-d", ".", "--size", 32, cwd=pictures_pair).returncode == 0
        assert sorted(path.name for path in (pictures_pair / "png").iterdir()) == ["0801x2.png", "0802x2.png"]
    one_line_error(run(EDSR / "edsr_preprocess.py", "-s", "png", "-d", ".", "--size", 32, "--save_img", cwd=pictures_pair),
                   "png: is where --save_img writes")


@pytest.mark.parametrize("width", [4, 2])
def test_a_square_results_side_follows_from_its_length_in_either_precision(width, tmp_path):
    output = np.linspace(0, 255, 3 * 24 * 24).reshape(1, 3, 24, 24).astype(f"float{8 * width}")
    output.tofile(tmp_path / "a_1.bin")
    found = edsr_postprocess.read_output(tmp_path / "a_1.bin", 2)
    assert found.dtype == np.float32 and np.array_equal(found, output)


def test_preprocess_writes_pad_info_manifest_and_pictures(pictures_pair, run):
    result = run(EDSR / "edsr_preprocess.py", "-s", pictures_pair / "LR", "-d", pictures_pair / "prep",
                 "--size", 32, "--save_img")
    assert result.returncode == 0, result.stderr
    assert json.loads((pictures_pair / "prep/pad_info.json").read_text()) == [
        {"name": "0801x2.png", "pad_x": 12, "pad_y": 16}, {"name": "0802x2.png", "pad_x": 14, "pad_y": 8}]
    saved = np.asarray(Image.open(pictures_pair / "prep/png/0801x2.png"))
    assert saved.shape == (32, 32, 3)
    assert (saved[:16, :20] == np.asarray(Image.open(pictures_pair / "LR/0801x2.png"))).all() and not saved[16:].any()
    manifest = json.loads((pictures_pair / "prep/manifest.json").read_text())
    assert [(record["id"], record["shape"], record["dtype"], record["width"], record["height"])
            for record in manifest["samples"]] == [("0801x2", [1, 3, 32, 32], "float32", 20, 16),
                                                   ("0802x2", [1, 3, 32, 32], "float32", 18, 24)]


def test_preprocess_of_free_size_keeps_each_picture_at_its_own(pictures_pair, run):
    result = run(EDSR / "edsr_preprocess.py", "-s", "LR", "-d", "prep", "--size", "free", "--npy", cwd=pictures_pair)
    assert result.returncode == 0, result.stderr
    for stem, height, width in (("0801x2", 16, 20), ("0802x2", 24, 18)):
        expected = np.asarray(Image.open(pictures_pair / f"LR/{stem}.png")).transpose(2, 0, 1)[None].astype(np.float32)
        found = np.fromfile(pictures_pair / f"prep/bin/{stem}.bin", np.float32).reshape(1, 3, height, width)
        assert np.array_equal(found, expected)
        assert np.array_equal(np.load(pictures_pair / f"prep/npy/{stem}.npy"), expected)
    assert json.loads((pictures_pair / "prep/pad_info.json").read_text()) == [
        {"name": "0801x2.png", "pad_x": 0, "pad_y": 0}, {"name": "0802x2.png", "pad_x": 0, "pad_y": 0}]
    manifest = json.loads((pictures_pair / "prep/manifest.json").read_text())
    assert [record["shape"] for record in manifest["samples"]] == [[1, 3, 16, 20], [1, 3, 24, 18]]
    assert run(EDSR / "get_info.py", "bin", "prep/bin", "x.info", cwd=pictures_pair).returncode == 0
    assert (pictures_pair / "x.info").read_text() == "0 prep/bin/0801x2.bin 20 16\n1 prep/bin/0802x2.bin 18 24\n"
    (pictures_pair / "prep/bin/more.bin").write_bytes(b"")
    one_line_error(run(EDSR / "get_info.py", "bin", "prep/bin", "x.info", cwd=pictures_pair), "prep/bin/more.bin: is none of")
    assert run(EDSR / "get_info.py", "bin", "prep/bin", "x.info", 20, cwd=pictures_pair).returncode == 2


def test_preprocess_redoes_only_a_touched_picture(pictures_pair, run):
    arguments = ("-s", pictures_pair / "LR", "-d", pictures_pair / "prep", "--size", 32)
    run(EDSR / "edsr_preprocess.py", *arguments)
    before = {path.name: path.stat().st_mtime_ns for path in (pictures_pair / "prep/bin").iterdir()}
    Image.new("RGB", (10, 10), (1, 2, 3)).save(pictures_pair / "LR/0802x2.png")
    result = run(EDSR / "edsr_preprocess.py", *arguments)
    after = {path.name: path.stat().st_mtime_ns for path in (pictures_pair / "prep/bin").iterdir()}
    assert result.returncode == 0 and "1 were there already" in result.stdout
    assert after["0801x2.bin"] == before["0801x2.bin"] and after["0802x2.bin"] > before["0802x2.bin"]
    assert np.fromfile(pictures_pair / "prep/bin/0802x2.bin", np.float32).max() == 3


def test_preprocess_with_another_size_redoes_every_picture(pictures_pair, run):
    for size in (32, 40):
        result = run(EDSR / "edsr_preprocess.py", "-s", pictures_pair / "LR", "-d", pictures_pair / "p", "--size", size)
    assert "0 were there already" in result.stdout
    assert {path.stat().st_size for path in (pictures_pair / "p/bin").iterdir()} == {12 * 40 * 40}


def test_preprocess_removes_the_bin_of_a_picture_that_is_gone(pictures_pair, run):
    arguments = ("-s", pictures_pair / "LR", "-d", pictures_pair / "prep", "--size", 32)
    run(EDSR / "edsr_preprocess.py", *arguments)
    (pictures_pair / "LR/0802x2.png").unlink()
    assert run(EDSR / "edsr_preprocess.py", *arguments).returncode == 0
    assert [path.name for path in (pictures_pair / "prep/bin").iterdir()] == ["0801x2.bin"]


def test_limit_takes_the_first_pictures_in_order(pictures_pair, run):
    assert run(EDSR / "edsr_preprocess.py", "-s", pictures_pair / "LR", "-d", pictures_pair / "prep", "--size", 32,
               LIMIT="1").returncode == 0
    assert [path.name for path in (pictures_pair / "prep/bin").iterdir()] == ["0801x2.bin"]


def test_a_grey_picture_is_converted_to_rgb(tmp_path, run):
    (tmp_path / "LR").mkdir()
    Image.new("L", (8, 8), 77).save(tmp_path / "LR/grey.png")
    assert run(EDSR / "edsr_preprocess.py", "-s", tmp_path / "LR", "-d", tmp_path / "p", "--size", 8).returncode == 0
    assert set(np.fromfile(tmp_path / "p/bin/grey.bin", np.float32)) == {77.0}


def test_opaque_rgba_is_converted_and_transparent_rgba_is_an_error(tmp_path, run):
    (tmp_path / "LR").mkdir()
    Image.new("RGBA", (8, 8), (1, 2, 3, 255)).save(tmp_path / "LR/a.png")
    assert run(EDSR / "edsr_preprocess.py", "-s", tmp_path / "LR", "-d", tmp_path / "p", "--size", 8).returncode == 0
    Image.new("RGBA", (8, 8), (1, 2, 3, 128)).save(tmp_path / "LR/b.png")
    result = run(EDSR / "edsr_preprocess.py", "-s", tmp_path / "LR", "-d", tmp_path / "p", "--size", 8)
    one_line_error(result, "b.png", "transparent")


@pytest.mark.parametrize("break_it, part", [
    (lambda folder: shutil.rmtree(folder / "LR"),
     "expected a folder with low-resolution pictures there, found nothing"),
    (lambda folder: [path.unlink() for path in (folder / "LR").iterdir()], "found none"),
    (lambda folder: (folder / "LR/0801x2.png").write_bytes(b"no picture"), "0801x2.png: cannot be decoded"),
    (lambda folder: (folder / "LR/0802x2.png").write_bytes((folder / "LR/0802x2.png").read_bytes()[:300]),
     "0802x2.png: cannot be decoded"),
    (lambda folder: Image.new("RGB", (33, 8)).save(folder / "LR/0801x2.png"), "33x8 is larger than 32x32"),
    (lambda folder: Image.new("I;16", (8, 8)).save(folder / "LR/0801x2.png"), "mode I"),
    (lambda folder: shutil.copy(folder / "LR/0801x2.png", folder / "LR/0801x2.bmp"), "same stem"),
], ids=["missing folder", "empty folder", "not a picture", "truncated", "too large", "16 bit", "same stem"])
def test_preprocess_bad_input_is_one_line(pictures_pair, run, break_it, part):
    break_it(pictures_pair)
    result = run(EDSR / "edsr_preprocess.py", "-s", pictures_pair / "LR", "-d", pictures_pair / "prep", "--size", 32)
    one_line_error(result, part)
    assert not (pictures_pair / "prep/manifest.json").exists()


def test_preprocess_into_a_file_instead_of_a_folder_is_one_line(pictures_pair, run):
    (pictures_pair / "prep").write_text("in the way")
    one_line_error(run(EDSR / "edsr_preprocess.py", "-s", pictures_pair / "LR", "-d", pictures_pair / "prep",
                       "--size", 32), "prep")


def test_an_unknown_flag_is_wrong_usage_with_status_2(run):
    result = run(EDSR / "edsr_preprocess.py", "--colour")
    assert result.returncode == 2 and "Traceback" not in result.stderr


# postprocess

def test_psnrs_equal_the_known_answers(tmp_path, run, golden_outputs):
    expected = json.loads(shared("golden", "expected.json").read_text())["postprocess"]["EDSR"]
    result = run(EDSR / "edsr_postprocess.py", "--res", golden_outputs / "edsr/result", "--HR",
                 golden_outputs / "edsr/HR", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    found = json.loads((tmp_path / "result.json").read_text())
    assert [row["file"] for row in found["data"]] == [row["file"] for row in expected["data"]]
    for ours, theirs in zip(found["data"], expected["data"]):
        assert ours["psnr"] == pytest.approx(theirs["psnr"], abs=1e-6)
    assert found["accuracy"] == pytest.approx(expected["accuracy"], abs=1e-6)
    assert len(list((tmp_path / "result/save").glob("*.png"))) == 19


def test_saved_picture_is_the_rounded_clamped_output_without_padding(pictures_pair, run):
    values = np.zeros((1, 3, 48, 48), np.float32)
    values[0, 0], values[0, 1], values[0, 2] = 300, -5, 10.6
    values[0, :, 32:], values[0, :, :, 40:] = 77, 77
    (pictures_pair / "res").mkdir()
    values.tofile(pictures_pair / "res/0801x2_1.bin")
    result = run(EDSR / "edsr_postprocess.py", "--res", "res", "--HR", "HR", cwd=pictures_pair, LIMIT="1")
    assert result.returncode == 0, result.stderr
    saved = np.asarray(Image.open(pictures_pair / "result/save/0801x2.png"))
    assert saved.shape == (32, 40, 3) and (saved == (255, 0, 11)).all()


def test_psnr_leaves_out_scale_plus_6_pixels_at_each_border(pictures_pair):
    truth = np.zeros((40, 40, 3), np.uint8)
    output = np.full((40, 40, 3), 100, np.float32)
    output[8:-8, 8:-8] = 255 / 10
    assert edsr_postprocess.score(output, truth, 2, 6) == pytest.approx(-20 * np.log10(26 / 255))  # 25.5 rounds to 26


def test_an_odd_high_resolution_picture_is_cropped_to_a_multiple_of_the_scale(tmp_path):
    Image.new("RGB", (41, 33)).save(tmp_path / "a.png")
    picture, _ = edsr_postprocess.evaluate(np.ones((1, 3, 48, 48), np.float32), tmp_path / "a.png", 2, 6)
    assert picture.shape == (32, 40, 3)


@pytest.mark.parametrize("break_it, part", [
    (lambda folder: (folder / "HR/0802.png").unlink(), "no high-resolution picture for 0802x2"),
    (lambda folder: (folder / "res/0802x2_1.bin").unlink(), "0802.png: high-resolution picture without a result"),
    (lambda folder: (folder / "res/0801x2_1.bin").write_bytes(b"\0" * 1000), "0801x2_1.bin: 1000 bytes are no float32"),
    (lambda folder: np.full((1, 3, 48, 48), np.nan, np.float32).tofile(folder / "res/0801x2_1.bin"), "NaN"),
    (lambda folder: np.ones((1, 3, 20, 20), np.float32).tofile(folder / "res/0801x2_1.bin"), "larger than the network"),
    (lambda folder: Image.new("RGB", (16, 16)).save(folder / "HR/0801.png"), "leaves nothing"),
    (lambda folder: shutil.rmtree(folder / "res"), "expected a folder with result .bin files"),
    (lambda folder: shutil.rmtree(folder / "HR"), "expected a folder with high-resolution pictures"),
], ids=["result without HR", "HR without result", "truncated", "NaN", "too small", "tiny HR", "no results", "no HR"])
def test_postprocess_bad_input_is_one_line(pictures_pair, run, break_it, part):
    write_results(pictures_pair / "res")
    break_it(pictures_pair)
    result = run(EDSR / "edsr_postprocess.py", "--res", "res", "--HR", "HR", cwd=pictures_pair)
    one_line_error(result, part)
    assert not (pictures_pair / "result.json").exists()


def test_results_of_other_samples_than_the_preprocessed_are_an_error(pictures_pair, run):
    run(EDSR / "edsr_preprocess.py", "-s", pictures_pair / "LR", "-d", pictures_pair / "prep", "--size", 24)
    write_results(pictures_pair / "res", stems=("0801x2", "0803x2"))
    one_line_error(run(EDSR / "edsr_postprocess.py", "--res", "res", "--HR", "HR", "--prep", "prep",
                       cwd=pictures_pair), "no result for 0802x2")


def test_results_of_pictures_at_their_own_size_are_read_at_it(pictures_pair, run):
    assert run(EDSR / "edsr_preprocess.py", "-s", "LR", "-d", "prep", "--size", "free", cwd=pictures_pair).returncode == 0
    (pictures_pair / "res").mkdir()
    for stem, side in (("0801", (32, 40)), ("0802", (48, 36))):
        truth = np.asarray(Image.open(pictures_pair / f"HR/{stem}.png"), np.float32).copy()
        truth[8:24, 8:24] += np.where(truth[8:24, 8:24] < 128, 10, -10)
        assert truth.shape[:2] == side
        truth.transpose(2, 0, 1).tofile(pictures_pair / f"res/{stem}x2_1.bin")
    arguments = (EDSR / "edsr_postprocess.py", "--res", "res", "--HR", "HR", "--prep", "prep")
    result = run(*arguments, cwd=pictures_pair)
    assert result.returncode == 0, result.stderr
    found = [row["psnr"] for row in json.loads((pictures_pair / "result.json").read_text())["data"]]
    # 8 pixels shaved off each side leave 16x24 and 32x20; 16x16 of them differ by 10, and 16x16 again
    assert found == pytest.approx([20 * np.log10(255 / np.sqrt(100 * 256 / (16 * 24))),
                                   20 * np.log10(255 / np.sqrt(100 * 256 / (32 * 20)))])
    np.ones((1, 3, 48, 48), np.float32).tofile(pictures_pair / "res/0801x2_1.bin")
    one_line_error(run(*arguments, cwd=pictures_pair), "0801x2_1.bin: expected 15360 bytes (1x3x32x40 float32), found 27648")


# the small scripts

def test_max_size_is_the_longest_side(pictures_pair, run):
    assert get_max_size.max_side(str(pictures_pair / "LR")) == 24
    assert run(EDSR / "get_max_size.py", "--dir", pictures_pair / "LR").stdout == "24\n"


def test_make_lr_crops_to_even_sides_and_halves_as_pillow_bicubic(tmp_path, run):
    (tmp_path / "HR").mkdir()
    pixels = np.random.default_rng(1).integers(0, 256, (21, 31, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "HR/a.png")
    assert run(EDSR / "make_lr.py", tmp_path / "HR", tmp_path / "LR").returncode == 0
    expected = Image.fromarray(pixels).crop((0, 0, 30, 20)).resize((15, 10), Image.BICUBIC)
    assert (np.asarray(Image.open(tmp_path / "LR/ax2.png")) == np.asarray(expected)).all()
    assert make_lr.shrink(pixels, 3).shape == (7, 10, 3)


def test_info_lists_index_path_width_height_sorted(tmp_path, run):
    (tmp_path / "bin").mkdir()
    for name in ("b", "a"):
        (tmp_path / f"bin/{name}.bin").write_bytes(b"")
    assert run(EDSR / "get_info.py", "bin", "bin", "x.info", 1020, 678, cwd=tmp_path).returncode == 0
    assert (tmp_path / "x.info").read_bytes() == b"0 bin/a.bin 1020 678\n1 bin/b.bin 1020 678\n"


# export

def test_every_variant_exports_and_agrees_with_pytorch(tmp_path, run):
    import onnx

    import edsr
    from common.convert import checkpoint
    for blocks, features, scale in ((2, 8, 2), (1, 80, 3), (3, 8, 4)):
        checkpoint.save(edsr.seeded(0, blocks, features, scale), tmp_path / "x.pt")
        result = run(EDSR / "edsr_pth2onnx.py", "--pth", "x.pt", "--onnx", "x.onnx", "--size", 16, cwd=tmp_path)
        assert result.returncode == 0, result.stderr
        model = onnx.load(str(tmp_path / "x.onnx"))
        dims = [[dim.dim_value for dim in value.type.tensor_type.shape.dim]
                for value in (*model.graph.input, *model.graph.output)]
        assert dims == [[1, 3, 16, 16], [1, 3, 16 * scale, 16 * scale]]
        assert model.graph.input[0].name == "input.1"
        assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 11)]


def test_a_file_of_free_size_enlarges_each_picture_as_the_file_of_its_own_size_does(tmp_path, run):
    import edsr
    from common.convert import checkpoint
    from common.engines.onnxruntime_session import Session
    checkpoint.save(edsr.seeded(0, 2, 8, 3), tmp_path / "x.pt")
    for size in ("free", 19):
        result = run(EDSR / "edsr_pth2onnx.py", "--pth", "x.pt", "--onnx", f"{size}.onnx", "--size", size, cwd=tmp_path)
        assert result.returncode == 0, result.stderr
    free, own = (Session(tmp_path / name, device="cpu") for name in ("free.onnx", "19.onnx"))
    assert free.inputs[0].name == "input.1" and free.inputs[0].shape == (1, 3, None, None)
    assert free.outputs[0].name == "output" and free.outputs[0].shape == (1, 3, None, None)
    picture = np.random.default_rng(0).uniform(0, 255, (1, 3, 19, 19)).astype(np.float32)
    assert np.abs(free.run([picture])[0] - own.run([picture])[0]).max() < 1e-3
    assert free.run([picture[:, :, :7, :12]])[0].shape == (1, 3, 21, 36)
    result = run(EDSR / "edsr_pth2onnx.py", "--pth", "x.pt", "--onnx", "x.onnx", "--size", "any", cwd=tmp_path)
    assert result.returncode == 2 and "Traceback" not in result.stderr


def test_residual_scale_is_a_tenth_for_the_wide_variant_and_can_be_set():
    import edsr
    wide = edsr.from_state(edsr.seeded(0, 1, 96, 2).state_dict())
    assert wide.body[0].res_scale == 0.1
    assert edsr.from_state(edsr.seeded(0, 1, 8, 2).state_dict()).body[0].res_scale == 1
    assert edsr.from_state(edsr.seeded(0, 1, 8, 2).state_dict(), 0.5).body[0].res_scale == 0.5


@pytest.mark.parametrize("change, part", [
    (lambda state: state.update({"body.1.body.2.weight": state["body.1.body.2.weight"][:, :4]}),
     "body.1.body.2.weight"),
    (lambda state: state.pop("tail.1.bias"), "tail.1.bias"),
    (lambda state: state.update({"tail.7.bias": state["tail.1.bias"]}), "tail.7.bias"),
    (lambda state: [state.pop(name) for name in list(state) if name.startswith("body")], "body.0.body.0.weight"),
], ids=["shape", "missing", "unknown", "other network"])
def test_a_checkpoint_that_fits_no_variant_names_the_tensor_that_is_off(tmp_path, run, change, part):
    import edsr
    from common.convert import checkpoint
    state = dict(edsr.seeded(0, 2, 8, 2).state_dict())
    change(state)
    checkpoint.save(state, tmp_path / "x.pt")
    result = run(EDSR / "edsr_pth2onnx.py", "--pth", "x.pt", "--onnx", "x.onnx", "--size", 16, cwd=tmp_path)
    one_line_error(result, part)
    assert not (tmp_path / "x.onnx").exists()


def test_a_file_under_the_published_name_must_have_the_published_size_and_checksum(tmp_path, run):
    import edsr
    from common.convert import checkpoint
    path = tmp_path / "edsr_baseline_x2-1bc95232.pt"
    checkpoint.save(edsr.seeded(0, 1, 8, 2), path)
    arguments = (EDSR / "edsr_pth2onnx.py", "--pth", path, "--onnx", tmp_path / "x.onnx", "--size", 16)
    one_line_error(run(*arguments), "expected 5490680 bytes")
    path.write_bytes(bytes(5490680))
    one_line_error(run(*arguments), "expected SHA-256 1bc9523228fdc3b0a5ddb0d7062001e22b31bbb398ae09cfdefb97e8ee06e171")


def test_inferred_shapes_show_the_input_of_the_pixel_shuffle(tmp_path, run):
    import edsr
    from common.convert import checkpoint
    checkpoint.save(edsr.seeded(0, 1, 8, 2), tmp_path / "x.pt")
    run(EDSR / "edsr_pth2onnx.py", "--pth", "x.pt", "--onnx", "x.onnx", "--size", 16, cwd=tmp_path)
    result = run(EDSR / "infer_onnx_shape.py", "--onnx", "x.onnx", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "input [1, 32, 16, 16], output [1, 8, 32, 32]" in result.stdout


def test_of_two_layouts_the_script_takes_the_one_that_make_takes(tmp_path):
    for name in ("LR", "HR", "div2k/LR", "div2k/HR"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "x.pth").touch()
    told = subprocess.run(["bash", str(EDSR / "test/eval_acc_perf.sh"), f"--datasets_path={tmp_path}", f"--pth={tmp_path}/x.pth"],
                          capture_output=True, text=True, env=environment())
    assert told.returncode == 1 and f"{tmp_path}/div2k/LR: " in told.stderr, told.stderr
    try:
        subprocess.run(["make", "-s", "-C", str(EDSR), "size", "B=build_order", f"DATASETS_PATH={tmp_path}"], capture_output=True,
                       env=environment())
        assert os.readlink(EDSR / "build_order/data/LR") == f"{tmp_path}/div2k/LR"
    finally:
        shutil.rmtree(EDSR / "build_order", ignore_errors=True)


@pytest.mark.parametrize("script", sorted(path.name for path in EDSR.glob("*.py") if path.name != "edsr.py"))
def test_every_script_prints_help_without_importing_torch(script, run):
    result = run("-X", "importtime", EDSR / script, "--help")
    assert result.returncode == 0 and "usage:" in result.stdout
    assert "torch" not in result.stderr


@pytest.mark.parametrize("kind, found", [("same", "a.png: is 128x128, the low-resolution picture a is 128x128"),
                                         ("mixed", "a.png: is 128x128, the low-resolution picture a is 32x32")])
@pytest.mark.parametrize("given", ["--LR", "--prep"])
def test_low_resolution_pictures_that_are_not_of_the_scale_are_an_error(tmp_path, run, kind, found, given):
    subprocess.run([sys.executable, str(shared("cases/06_edsr_lr_not_of_hr/make.py")), str(tmp_path)], check=True)
    data = tmp_path / kind
    assert run(ROOT / "EDSR/edsr_preprocess.py", "-s", data / "LR", "-d", tmp_path / "prep", "--size", 128).returncode == 0
    (tmp_path / "result").mkdir()
    for path in (data / "LR").iterdir():
        np.zeros((1, 3, 256, 256), np.float32).tofile(tmp_path / f"result/{path.stem}_1.bin")
    one_line_error(run(ROOT / "EDSR/edsr_postprocess.py", "--res", "result", "--HR", data / "HR", given,
                       data / "LR" if given == "--LR" else "prep", cwd=tmp_path), found, "expected 64x64 (scale 2)")
