"""CGAN's scripts: noise, export, grid, read rate, agreement, the classifier, and the whole way."""
from __future__ import annotations

import gzip
import importlib.util
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

import CGAN_agreement
import CGAN_postprocess
import CGAN_preprocess
import digit_classifier
import onnx_models
import train_classifier
import util
from common.base.errors import UserError
from conftest import ROOT, environment, one_line_error, shared
from test_make import copy_project, make, ran

FOLDER = ROOT / "CGAN"
NARROW = dict(hidden=16, wide=8, narrow=4)


def save_narrow(path: Path, **widths: int) -> None:
    import CGAN
    from common.convert import checkpoint
    checkpoint.save(CGAN.seeded(**{**NARROW, **widths}), path)


def write_output(folder: Path, values: np.ndarray, name: str = "CGAN_sim_output_0.bin") -> Path:
    folder.mkdir(exist_ok=True)
    values.astype(np.float32).tofile(folder / name)
    return folder


def random_output(channels: int = 3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, (100, channels, 28, 28)).astype(np.float32)


# preprocess

def test_rows_share_their_noise_and_columns_their_digit():
    table = CGAN_preprocess.preprocess(7, 10, 62, 10).reshape(10, 10, 72)
    assert table.dtype == np.float32
    assert (table[:, :, :62] == table[:, :1, :62]).all()
    assert (table[:, :, 62:] == np.eye(10)).all()
    noise = table[:, 0, :62]
    assert len(np.unique(noise)) > 600 and 0 <= noise.min() < 0.02 and 0.98 < noise.max() < 1
    assert noise.mean() == pytest.approx(0.5, abs=0.04)


def test_the_seed_fixes_the_file_and_has_a_default(tmp_path, run):
    for name, arguments in (("a", ()), ("b", ("--seed", "0")), ("c", ("--seed", "1"))):
        result = run(FOLDER / "CGAN_preprocess.py", "--save_path", tmp_path / name, *arguments)
        assert result.returncode == 0, result.stderr
    content = {name: (tmp_path / name / "input.bin").read_bytes() for name in "abc"}
    assert content["a"] == content["b"] != content["c"]
    assert len(content["a"]) == 4 * 100 * 72
    (record,) = json.loads((tmp_path / "c/manifest.json").read_text())["samples"]
    assert (record["id"], record["shape"], record["dtype"], record["seed"]) == ("input", [100, 72], "float32", 1)


def test_the_number_of_noise_values_is_read_off_the_checkpoint(tmp_path, run):
    save_narrow(tmp_path / "x.pth", latent=20)
    result = run(FOLDER / "CGAN_preprocess.py", "--save_path", tmp_path / "prep", "--pth_path", tmp_path / "x.pth")
    assert result.returncode == 0, result.stderr
    rows = np.fromfile(tmp_path / "prep/input.bin", np.float32).reshape(100, 30)
    assert (rows[13, 20:] == np.eye(10)[3]).all()


def test_where_the_model_tells_the_number_of_noise_values_the_checkpoint_is_not_read(tmp_path, run):
    """An NPU host that preprocesses has no torch."""
    onnx_models.affine(tmp_path / "m.onnx", metadata={"latent": "20"})
    result = run("-X", "importtime", FOLDER / "CGAN_preprocess.py", "--save_path", tmp_path, "--pth_path", tmp_path / "none.pth", "--onnx",
                 tmp_path / "m.onnx")
    assert result.returncode == 0, result.stderr
    assert len(np.fromfile(tmp_path / "input.bin", np.float32)) == 100 * 30 and not re.search(r"\| +torch$", result.stderr, re.MULTILINE)


def test_preprocess_leaves_other_files_of_the_folder_alone(tmp_path, run):
    (tmp_path / "mine.bin").write_bytes(b"precious")
    assert run(FOLDER / "CGAN_preprocess.py", "--save_path", tmp_path).returncode == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["input.bin", "manifest.json", "mine.bin"]


def test_preprocess_bad_input(tmp_path, run):
    (tmp_path / "file").write_text("in the way")
    one_line_error(run(FOLDER / "CGAN_preprocess.py", "--save_path", tmp_path / "file"), str(tmp_path / "file"))
    one_line_error(run(FOLDER / "CGAN_preprocess.py", "--save_path", tmp_path / "p", "--pth_path", tmp_path / "no.pth"),
                   "no.pth: expected a checkpoint there, found nothing")
    assert not (tmp_path / "p").exists()
    result = run(FOLDER / "CGAN_preprocess.py", "--save_path", tmp_path / "p", "--seed", "-1")
    assert result.returncode == 2 and "Traceback" not in result.stderr


def test_info_names_the_input_with_its_columns_and_rows(tmp_path, run):
    run(FOLDER / "CGAN_preprocess.py", "--save_path", "prep", cwd=tmp_path)
    arguments = ("--dataset_bin", "prep", "--info_name", "x.info", "--width", "72", "--height", "100")
    assert run(FOLDER / "gen_dataset_info.py", *arguments, cwd=tmp_path).returncode == 0
    assert (tmp_path / "x.info").read_text() == "0 prep/input.bin 72 100\n"
    (tmp_path / "prep/input.bin").unlink()
    one_line_error(run(FOLDER / "gen_dataset_info.py", *arguments, cwd=tmp_path), "expected .bin files, found none")


# export

@pytest.mark.parametrize("channels, latent", [(3, 62), (1, 30)])
def test_every_variant_is_exported_simplified_and_held_to_pytorch(tmp_path, run, channels, latent):
    import onnx
    import torch

    import CGAN
    from common.convert import checkpoint
    save_narrow(tmp_path / "x.pth", channels=channels, latent=latent)
    for arguments in ((FOLDER / "CGAN_pth2onnx.py", "--pth_path", "x.pth", "--onnx_path", "x.onnx"),
                      ("-m", "onnxsim", f"--overwrite-input-shape=100,{latent + 10}", "x.onnx", "x_sim.onnx"),
                      ("-m", "common.convert.simplify", "x.onnx", "x_sim.onnx")):
        result = run(*arguments, cwd=tmp_path)
        assert result.returncode == 0, result.stderr
    model = onnx.load(str(tmp_path / "x_sim.onnx"))
    dims = {value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim]
            for value in (*model.graph.input, *model.graph.output)}
    assert dims == {"image": [100, latent + 10], "output1": [100, channels, 28, 28]}
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 11)]
    from onnxruntime import InferenceSession
    rows = np.random.default_rng(3).random((100, latent + 10), np.float32)
    (found,) = InferenceSession(str(tmp_path / "x_sim.onnx")).run(None, {"image": rows})
    with torch.no_grad():
        expected = CGAN.from_state(checkpoint.load(tmp_path / "x.pth"))(torch.from_numpy(rows)).numpy()
    assert np.abs(found - expected).max() < 1e-5 and np.ptp(expected) > 0.1


def test_a_checkpoint_of_another_network_is_one_line_and_leaves_no_file(tmp_path, run):
    import torch
    torch.save({"head.weight": torch.ones(2, 2)}, tmp_path / "x.pth")
    one_line_error(run(FOLDER / "CGAN_pth2onnx.py", "--pth_path", "x.pth", "--onnx_path", "x.onnx", cwd=tmp_path),
                   "fc.0.weight")
    assert not (tmp_path / "x.onnx").exists()


# the grid

def test_a_picture_is_at_the_row_of_its_noise_and_the_column_of_its_digit():
    values = np.linspace(-1, 1, 100, dtype=np.float32)
    grid = util.grid(util.to_bytes(np.broadcast_to(values[:, None, None, None], (100, 3, 28, 28))), 10)
    assert grid.shape == (280, 280, 3)
    for index in (0, 9, 10, 37, 99):
        tile = grid[index // 10 * 28:index // 10 * 28 + 28, index % 10 * 28:index % 10 * 28 + 28]
        assert set(tile.ravel()) == {int((values[index] + 1) / 2 * 255)}


def test_channels_and_pixels_keep_their_order():
    output = random_output()
    grid = util.grid(util.to_bytes(output), 10)
    for index, channel, y, x in ((0, 0, 0, 0), (57, 1, 3, 20), (99, 2, 27, 5)):
        expected = int((float(output[index, channel, y, x]) + 1) / 2 * 255)
        assert grid[index // 10 * 28 + y, index % 10 * 28 + x, channel] == expected


def test_one_channel_gives_a_grey_picture(tmp_path, run):
    output = random_output(1)
    result = run(FOLDER / "CGAN_postprocess.py", "--bin_out_path", write_output(tmp_path / "res", output),
                 "--save_path", tmp_path)
    assert result.returncode == 0, result.stderr
    image = Image.open(tmp_path / "result.png")
    assert image.mode == "L" and image.size == (280, 280)
    assert np.asarray(image)[28 + 4, 2 * 28 + 5] == int((float(output[12, 0, 4, 5]) + 1) / 2 * 255)


@pytest.mark.parametrize("channels", [1, 3])
def test_pictures_in_half_precision_are_read_too(tmp_path, channels):
    pictures = np.random.default_rng(0).uniform(-1, 1, (100, channels, 28, 28)).astype(np.float16)
    pictures.tofile(tmp_path / "x.bin")
    found = CGAN_postprocess.read_pictures(tmp_path / "x.bin", json.loads((FOLDER / "facts.json").read_text())["extra"])
    assert found.dtype == np.float32 and np.array_equal(found, pictures)


def test_the_grid_equals_the_known_answer(tmp_path, run):
    specification = importlib.util.spec_from_file_location("make_outputs", shared("golden", "make_outputs.py"))
    make_outputs = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(make_outputs)
    make_outputs.cgan(None, tmp_path, np.random.default_rng(103))  # the seed that the script itself gives it
    expected = json.loads(shared("golden", "expected.json").read_text())["postprocess"]["CGAN"]
    result = run(FOLDER / "CGAN_postprocess.py", "--bin_out_path", tmp_path / "result", "--save_path", tmp_path)
    assert result.returncode == 0, result.stderr
    pixels = np.asarray(Image.open(tmp_path / "result.png"))
    assert list(pixels.shape) == expected["result.png decoded: shape"]
    assert pixels.mean() == pytest.approx(expected["mean"], abs=1e-9)
    tensor = np.fromfile(tmp_path / "result/CGAN_bs1_output_0.bin", np.float32).reshape(10, 10, 3, 28, 28)
    exact = ((tensor + 1) / 2 * 255).transpose(0, 3, 1, 4, 2).reshape(280, 280, 3)
    assert (np.abs(pixels - exact) <= 1).all()


# postprocess

@pytest.mark.parametrize("break_it, part", [
    (lambda folder: shutil.rmtree(folder), "expected a folder with result .bin files there, found nothing"),
    (lambda folder: (folder / "CGAN_sim_output_0.bin").unlink(), "(<stem>_<number>.bin), found none"),
    (lambda folder: (folder / "CGAN_sim_output_0.bin").write_bytes(b""), "0 bytes are no float32"),
    (lambda folder: os.truncate(folder / "CGAN_sim_output_0.bin", 940800 - 4), "940796 bytes are no float32"),
    (lambda folder: write_output(folder, np.zeros((100, 2, 28, 28))), "627200 bytes are no float32"),
    (lambda folder: write_output(folder, np.zeros((100, 3, 32, 32))), "1228800 bytes are no float32 [100,3,28,28]"),
    (lambda folder: write_output(folder, np.full((100, 3, 28, 28), np.nan)), "NaN"),
    (lambda folder: write_output(folder, np.full((100, 3, 28, 28), 1.5)), "expected -1..1"),
    (lambda folder: write_output(folder, random_output(), "other_output_0.bin"),
     "holds results of 2 inferences (CGAN_sim, other), expected one"),
], ids=["no folder", "empty folder", "empty file", "truncated", "2 channels", "another size", "NaN", "not tanh", "two"])
def test_postprocess_bad_input_is_one_line_and_draws_nothing(tmp_path, run, break_it, part):
    folder = write_output(tmp_path / "res", random_output())
    break_it(folder)
    one_line_error(run(FOLDER / "CGAN_postprocess.py", "--bin_out_path", folder, "--save_path", tmp_path / "out",
                       "--accuracy", tmp_path / "out/accuracy.json"), part)
    assert not (tmp_path / "out").exists()


def test_the_score_counts_the_pictures_read_as_the_digit_of_their_column():
    asked = np.tile(np.arange(10), 10)
    assert CGAN_postprocess.score(asked, 10) == 100
    assert CGAN_postprocess.score(np.roll(asked, 1), 10) == 0
    assert CGAN_postprocess.score(np.where(np.arange(100) < 25, 10, asked), 10) == 75


@pytest.fixture(scope="module")
def mnist():
    """MNIST's t10k pictures float32 in 0..1 and digits, and the indices that the classifier was not trained on."""
    pictures, digits = train_classifier.read_mnist(shared("data", "mnist"))
    return pictures, digits, np.random.default_rng(0).permutation(10000)[:1500]


def test_real_digits_in_the_place_of_generated_ones_are_read_as_asked(tmp_path, run, mnist):
    pictures, digits, held = mnist
    chosen = np.stack([held[digits[held] == digit][:10] for digit in range(10)], 1).ravel()
    output = np.repeat(pictures[chosen][:, None] * 2 - 1, 3, 1)
    write_output(tmp_path / "res", output)
    for shift, low, high in ((0, 95, 100), (1, 0, 5)):
        write_output(tmp_path / "res", np.roll(output, shift, 0))
        result = run(FOLDER / "CGAN_postprocess.py", "--bin_out_path", tmp_path / "res", "--save_path", tmp_path,
                     "--accuracy", tmp_path / "accuracy.json")
        assert result.returncode == 0, result.stderr
        found = json.loads((tmp_path / "accuracy.json").read_text())
        assert low <= found["value"] <= high and found["samples"] == 100 and found["unit"] == "%"
        assert found["value"] == pytest.approx(np.mean([row["value"] for row in found["rows"]]))
        assert f"read rate: {found['value']:.2f} %" in result.stdout
        assert result.stdout.count(": read as") == 100 - round(found["value"])


def test_pictures_without_a_digit_are_read_as_asked_at_chance_only():
    weights = digit_classifier.load().weights
    read = CGAN_postprocess.read_digits(random_output(), weights)
    assert CGAN_postprocess.score(read, 10) <= 30


# agreement

def test_equal_outputs_agree_and_their_psnr_is_infinite():
    found = CGAN_agreement.compare_pictures(random_output(), random_output(), 10)
    assert found["verdict"] == "pass" and found["samples"] == 100 and found["max_abs"] == 0
    assert found["pictures"]["psnr"] is None and found["pictures"]["bytes_that_differ"] == 0


def test_the_picture_that_is_off_is_named_with_its_psnr(tmp_path, run):
    expected = np.zeros((100, 3, 28, 28), np.float32)
    other = expected.copy()
    other[37] += 2 * 10.2 / 255  # 127.5 rounds down to 127, 137.7 to 137
    write_output(tmp_path / "found", other)
    write_output(tmp_path / "expected", expected, "input_1.bin")
    result = run(FOLDER / "CGAN_agreement.py", "found", "expected", "--output", "a.json", cwd=tmp_path)
    found = json.loads((tmp_path / "a.json").read_text())
    assert result.returncode == 1 and found["verdict"] == "fail"
    assert found["max_abs"] == pytest.approx(0.08) and found["worst"][0]["file"] == "row 4, digit 7"
    seen = found["pictures"]
    assert (seen["worst"], seen["bytes_that_differ"], seen["largest_step"]) == ("row 4, digit 7", 3 * 28 * 28, 10)
    assert seen["psnr"] == pytest.approx(20 * np.log10(25.5))
    assert "PSNR 28.13 dB in the worst" in result.stdout and ": fail" in result.stdout


def test_agreement_of_outputs_of_two_models_is_one_line(tmp_path, run):
    write_output(tmp_path / "found", random_output(1))
    write_output(tmp_path / "expected", random_output(3))
    one_line_error(run(FOLDER / "CGAN_agreement.py", tmp_path / "found", tmp_path / "expected"), "not of one model")


# the classifier

def test_the_classifier_computes_what_the_same_network_does_in_pytorch():
    import torch
    from torch.nn import functional
    weights = digit_classifier.load().weights
    pictures = np.random.default_rng(1).random((300, 28, 28), np.float32)
    tensors = {name: torch.from_numpy(value) for name, value in weights.items()}
    x = torch.from_numpy(pictures)[:, None]
    for layer in ("conv1", "conv2"):
        x = functional.max_pool2d(functional.conv2d(x, tensors[f"{layer}.weight"], tensors[f"{layer}.bias"]).relu(), 2)
    expected = functional.linear(x.flatten(1), tensors["linear.weight"], tensors["linear.bias"]).numpy()
    assert np.abs(digit_classifier.scores(weights, pictures) - expected).max() < 1e-4 < np.ptp(expected)


def test_the_classifier_reads_as_many_held_out_digits_as_its_file_says(mnist):
    pictures, digits, held = mnist
    classifier = digit_classifier.load()
    right = int((digit_classifier.read(classifier.weights, pictures[held]) == digits[held]).sum())
    assert classifier.about["held_out"] == len(held) == 1500
    assert right == classifier.about["held_out_right"] >= 1470
    assert classifier.about["held_out_accuracy"] == right / 1500
    assert digit_classifier.WEIGHTS.stat().st_size < 100_000


@pytest.mark.parametrize("break_it", [
    lambda path: path.unlink(), lambda path: path.write_bytes(b""), lambda path: path.write_bytes(b"no archive"),
    lambda path: os.truncate(path, 20000),
    lambda path: np.savez(path, about="{}", **{name: np.zeros(3) for name in digit_classifier.SHAPES}),
    lambda path: np.savez(path, about="{}", **{name: np.full(shape, np.nan)
                                               for name, shape in digit_classifier.SHAPES.items()}),
], ids=["missing", "empty", "foreign", "truncated", "other shapes", "NaN"])
def test_damaged_classifier_weights_are_a_user_error(tmp_path, break_it):
    shutil.copy(digit_classifier.WEIGHTS, tmp_path / "c.npz")
    break_it(tmp_path / "c.npz")
    with pytest.raises(UserError, match="c.npz: "):
        digit_classifier.load(tmp_path / "c.npz")


def write_idx(path: Path, values: np.ndarray) -> None:
    header = bytes([0, 0, 8, values.ndim]) + np.array(values.shape, ">u4").tobytes()
    content = header + values.astype(np.uint8).tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


@pytest.fixture
def drawn_digits(tmp_path) -> Path:
    """1,700 digits in the layout of MNIST's t10k, drawn with a font; the labels are not packed."""
    generator = np.random.default_rng(0)
    font = ImageFont.load_default(size=22)
    pictures, labels = np.zeros((1700, 28, 28)), generator.integers(0, 10, 1700)
    for picture, label in zip(pictures, labels):
        image = Image.new("L", (28, 28))
        place = (int(generator.integers(4, 12)), int(generator.integers(-2, 5)))
        ImageDraw.Draw(image).text(place, str(label), 255, font)
        picture[:] = np.asarray(image)
    write_idx(tmp_path / "t10k-images-idx3-ubyte.gz", pictures)
    write_idx(tmp_path / "t10k-labels-idx1-ubyte", labels)
    return tmp_path


def test_training_learns_and_the_same_seed_gives_the_same_weights(drawn_digits):
    import torch
    threads = torch.get_num_threads()
    pictures, digits = train_classifier.read_mnist(drawn_digits)
    assert pictures.shape == (1700, 28, 28) and pictures.dtype == np.float32 and 0.9 < pictures.max() <= 1
    first, second, other = [train_classifier.train(pictures[:300], digits[:300], seed, 12) for seed in (3, 3, 4)]
    torch.set_num_threads(threads)
    for name in digit_classifier.SHAPES:
        assert (first[name] == second[name]).all() and not (first[name] == other[name]).all()
    assert (digit_classifier.read(first, pictures[300:]) == digits[300:]).mean() > 0.6  # chance: 0.1


def test_the_training_script_writes_what_the_classifier_reads(tmp_path, run, drawn_digits):
    result = run(FOLDER / "train_classifier.py", "--mnist", drawn_digits, "--output", tmp_path / "c.npz", "--epochs", 1)
    assert result.returncode == 0, result.stderr
    about = digit_classifier.load(tmp_path / "c.npz").about
    assert (about["held_out"], about["epochs"], about["seed"]) == (1500, 1, 0)
    assert about["trained_on"].startswith("200 digits") and about["held_out_accuracy"] == about["held_out_right"] / 1500


@pytest.mark.parametrize("break_it, part", [
    (lambda folder: (folder / "t10k-labels-idx1-ubyte").unlink(), "expected MNIST's t10k-labels-idx1-ubyte"),
    (lambda folder: os.truncate(folder / "t10k-images-idx3-ubyte.gz", 5000), "cannot be unpacked"),
    (lambda folder: os.truncate(folder / "t10k-labels-idx1-ubyte", 900), "is cut off (900 bytes unpacked)"),
    (lambda folder: (folder / "t10k-labels-idx1-ubyte").write_bytes(b"no digits"), "is not MNIST's IDX format"),
    (lambda folder: write_idx(folder / "t10k-labels-idx1-ubyte", np.zeros(1699)), "a label for each"),
], ids=["missing", "truncated archive", "truncated", "foreign", "a label short"])
def test_training_on_damaged_data_is_one_line(tmp_path, run, drawn_digits, break_it, part):
    break_it(drawn_digits)
    one_line_error(run(FOLDER / "train_classifier.py", "--mnist", drawn_digits, "--output", tmp_path / "x.npz"), part)
    assert not (tmp_path / "x.npz").exists()


@pytest.mark.full
def test_training_anew_gives_a_classifier_as_good_as_the_shipped_one(tmp_path, run):
    result = run(FOLDER / "train_classifier.py", "--mnist", shared("data", "mnist"), "--output", tmp_path / "c.npz",
                 timeout=900)
    assert result.returncode == 0, result.stderr
    shipped, anew = digit_classifier.load().about, digit_classifier.load(tmp_path / "c.npz").about
    assert abs(anew["held_out_right"] - shipped["held_out_right"]) <= 8


# the scripts

@pytest.mark.parametrize("script", sorted(path.name for path in FOLDER.glob("*.py") if os.access(path, os.X_OK)))
def test_every_script_prints_help_without_importing_torch(script, run):
    result = run("-X", "importtime", FOLDER / script, "--help")
    assert result.returncode == 0 and "usage:" in result.stdout
    assert not re.search(r"\| +(torch|onnx|onnxruntime)$", result.stderr, re.MULTILINE)


def test_evaluation_without_a_checkpoint_is_one_line(tmp_path):
    result = subprocess.run(["bash", str(FOLDER / "test/eval_acc_perf.sh"), "--pth=no.pth"], cwd=tmp_path,
                            capture_output=True, text=True, env=environment())
    one_line_error(result, f"{tmp_path}/no.pth: no such checkpoint")


# the whole way

@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """A copy of the project whose path holds a space."""
    return copy_project(tmp_path_factory.mktemp("a folder"))


@pytest.mark.full
def test_make_goes_the_whole_way_then_does_nothing_then_only_what_follows_from_a_change(project):
    quick = ("-C", "CGAN", "all", "LOOP=3", "SEEDED=hidden=16 wide=8 narrow=4")
    first = make(project, *quick)
    assert "common.tools.msame" in ran(first) and "pass" in first.stdout
    assert "no dataset is needed" in first.stdout and "never trained" in first.stdout
    report = json.loads((project / "CGAN/build/report.json").read_text())
    assert report["accuracy"] is None and report["agreement"]["samples"] == 100 and report["verdict"] == "pass"
    (run,) = report["performance"]
    assert run["batch"] == 100 and run["compute_ms"]["count"] == 2  # the first run left out
    assert run["samples_per_s"] == pytest.approx(1000 * 100 / run["compute_ms"]["mean"])
    assert ran(make(project, *quick)) == []

    again = make(project, *quick, "SEED=1")
    assert "CGAN_preprocess.py" in ran(again) and "CGAN_pth2onnx.py" not in ran(again)
    (project / "CGAN/digit_classifier.npz").touch()
    assert set(ran(make(project, *quick, "SEED=1"))) == {"CGAN_postprocess.py"}


@pytest.mark.full
def test_make_takes_a_checkpoint_with_one_channel_and_other_noise(project, tmp_path):
    save_narrow(tmp_path / "x.pth", channels=1, latent=30)
    result = make(project, "-C", "CGAN", "all", "LOOP=3", f"PTH={tmp_path / 'x.pth'}")
    assert result.returncode == 0, result.stderr
    build = project / "CGAN/build"
    assert Image.open(build / "result.png").mode == "L"
    assert (build / "prep/input.bin").stat().st_size == 4 * 100 * 40
    assert (build / "CGAN_bin.info").read_text() == "0 prep/input.bin 40 100\n"


@pytest.mark.full
def test_the_real_checkpoint_reads_as_pytorchs_and_every_readme_line_runs(project):
    """The README's commands, but those that need an NPU, a GPU or a dataset, in one bash, one after the other."""
    folder = project / "CGAN"
    shutil.copy(shared("weights", "CGAN_G.pth"), folder / "CGAN_G.pth")
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", (folder / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    lines = [line for language, block in blocks if not language for line in block.splitlines()]
    foreign = ("atc ", "./msame ", "./benchmark", "bash test/perf_t4.sh", "make setup", "make classifier",
               "make demo-weights", "cp build/digit_classifier.npz")
    kept = [line for line in lines if not line.startswith(foreign)]
    assert len(lines) >= 18 and len(lines) - len(kept) <= 8
    clean = {name: value for name, value in environment().items() if name != "PYTHONPATH"}
    result = subprocess.run(["bash", "-euo", "pipefail", "-c", "\n".join(kept)], cwd=folder, capture_output=True,
                            text=True, env=clean, timeout=900)
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr
    for place in ("build/report.json", "CGAN_sim.onnx", "prep/input.bin", "result/result.png", "result/agreement.json"):
        assert (folder / place).is_file(), place
    ours = json.loads((folder / "result/accuracy.json").read_text())
    theirs = json.loads((folder / "result/pytorch_accuracy.json").read_text())
    assert ours["value"] == theirs["value"] >= 95
    agreement = json.loads((folder / "result/agreement.json").read_text())
    assert agreement["verdict"] == "pass" and agreement["max_abs"] < 1e-4
    assert agreement["pictures"]["psnr"] is None or agreement["pictures"]["psnr"] > 60
    assert np.asarray(Image.open(folder / "result/result.png")).shape == (280, 280, 3)
