"""IntraDA's scripts, on pictures made here, on the shared real ones and on the shared known answers."""
from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import intrada_agreement
import intrada_postprocess
import intrada_preprocess
import intrada_pth2onnx
import lay_out_cityscapes
from common.base.errors import UserError
from common.data import cityscapes, result_files
from conftest import ROOT, environment, one_line_error, shared

INTRADA = ROOT / "IntraDA"
STEMS = ("aachen_000000_000019", "bochum_000000_000313")
# Cityscapes' palette, by train id
PALETTE = [(128, 64, 128), (244, 35, 232), (70, 70, 70), (102, 102, 156), (190, 153, 153), (153, 153, 153), (250, 170, 30),
           (220, 220, 0), (107, 142, 35), (152, 251, 152), (70, 130, 180), (220, 20, 60), (255, 0, 0), (0, 0, 142),
           (0, 0, 70), (0, 60, 100), (0, 80, 100), (0, 0, 230), (119, 11, 32)]


def scores_of(left: int, right: int) -> np.ndarray:
    """Scores that say class `left` in the left half of the picture and `right` in the right one."""
    scores = np.zeros((1, 19, 65, 129), np.float32)
    scores[0, left, :, :64] = scores[0, right, :, 65:] = 1
    scores[0, left, :, 64] = scores[0, right, :, 64] = 0.5
    return scores


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Two frames in two cities, all road (7) on the left and sky (23) on the right, and results that say so."""
    labels = np.full((1024, 2048), 7, np.uint8)
    labels[:, 1024:] = 23
    for stem in STEMS:
        city = stem.split("_")[0]
        for tree in ("leftImg8bit", "gtFine"):
            (tmp_path / "data" / tree / "val" / city).mkdir(parents=True)
        Image.new("RGB", (2048, 1024), (200, 100, 50)).save(
            tmp_path / f"data/leftImg8bit/val/{city}/{stem}_leftImg8bit.png", compress_level=1)
        Image.fromarray(labels).save(tmp_path / f"data/gtFine/val/{city}/{stem}_gtFine_labelIds.png", compress_level=1)
    write_results(tmp_path / "res")
    return tmp_path


def write_results(folder: Path, names: str = "{}_leftImg8bit_1.bin", scores: np.ndarray = scores_of(0, 10)) -> Path:
    folder.mkdir(exist_ok=True)
    for stem in STEMS:
        scores.tofile(folder / names.format(stem))
    return folder


# preprocess

def test_preprocess_reverses_to_bgr_subtracts_the_mean_and_stays_in_0_to_255():
    image = np.full((1024, 2048, 3), (200, 100, 50), np.uint8)
    tensor = intrada_preprocess.preprocess(image, (1024, 512), (104.00698793, 116.66876762, 122.67891434))
    assert tensor.shape == (1, 3, 512, 1024) and tensor.dtype == np.float32 and tensor.flags.c_contiguous
    for plane, value in zip(tensor[0], (50 - 104.00698793, 100 - 116.66876762, 200 - 122.67891434)):
        assert np.allclose(plane, value, rtol=0, atol=1e-5)


def test_preprocess_shrinks_with_the_antialiased_filter():
    stripes = np.zeros((4, 64, 3), np.uint8)
    stripes[:, ::2] = 255  # without antialiasing these alias to black or white
    small = intrada_preprocess.preprocess(stripes, (32, 2), (0, 0, 0))[0, :, :, 4:-4]
    assert small.min() > 110 and small.max() < 145


def test_preprocess_of_the_real_photos_equals_the_known_statistics(tmp_path, run):
    """The photos laid out by the script of this folder; tolerances as golden/expected.json states them."""
    expected = json.loads(shared("golden", "expected.json").read_text())["preprocess"]["IntraDA"]
    assert run(INTRADA / "lay_out_cityscapes.py", shared("data", "cityscapes"), tmp_path / "cityscapes").returncode == 0
    result = run(INTRADA / "intrada_preprocess.py", tmp_path, tmp_path / "prep")
    assert result.returncode == 0, result.stderr
    assert sorted(path.name for path in (tmp_path / "prep").glob("*.bin")) == sorted(expected)
    for name, known in expected.items():
        tensor = np.fromfile(tmp_path / "prep" / name, np.float32)
        assert tensor.size == known["size"]
        for statistic in ("mean", "std", "min", "max"):
            assert getattr(tensor.astype(np.float64), statistic)() == pytest.approx(known[statistic], rel=1e-5, abs=1e-3)
        for place, value in known["samples"].items():
            assert tensor[int(place)] == pytest.approx(value, abs=1e-3)


def test_preprocess_writes_a_bin_a_photo_and_the_manifest_and_redoes_only_a_touched_photo(dataset, run):
    arguments = (INTRADA / "intrada_preprocess.py", dataset / "data", dataset / "prep")
    assert run(*arguments).returncode == 0
    manifest = json.loads((dataset / "prep/manifest.json").read_text())
    assert [(record["id"], record["shape"], record["dtype"]) for record in manifest["samples"]] == [
        (f"{stem}_leftImg8bit", [1, 3, 512, 1024], "float32") for stem in STEMS]
    before = {path.name: path.stat().st_mtime_ns for path in (dataset / "prep").glob("*.bin")}
    Image.new("RGB", (2048, 1024)).save(dataset / f"data/leftImg8bit/val/bochum/{STEMS[1]}_leftImg8bit.png")
    assert "1 were there already" in run(*arguments).stdout
    after = {path.name: path.stat().st_mtime_ns for path in (dataset / "prep").glob("*.bin")}
    assert [after[name] == before[name] for name in sorted(before)] == [True, False]


def test_limit_takes_the_first_photos_over_the_cities(dataset, run):
    assert run(INTRADA / "intrada_preprocess.py", dataset / "data", dataset / "prep", LIMIT="1").returncode == 0
    assert [path.name for path in (dataset / "prep").glob("*.bin")] == [f"{STEMS[0]}_leftImg8bit.bin"]


@pytest.mark.parametrize("break_it, part", [
    (lambda folder: shutil.rmtree(folder / "data"), "expected a folder with Cityscapes"),
    (lambda folder: shutil.rmtree(folder / "data/leftImg8bit/val"), "expected a folder with <city>/*_leftImg8bit.png"),
    (lambda folder: [shutil.rmtree(city) for city in (folder / "data/leftImg8bit/val").iterdir()], "found none"),
    (lambda folder: photo(folder).write_bytes(b"no picture"), "cannot be decoded"),
    (lambda folder: photo(folder).write_bytes(photo(folder).read_bytes()[:2000]), "cannot be decoded"),
    (lambda folder: Image.new("RGB", (1024, 512)).save(photo(folder)), "1024x512, expected 2048x1024"),
    (lambda folder: Image.new("I;16", (2048, 1024)).save(photo(folder)), "it has 16 bits a channel"),
], ids=["no dataset", "no val", "no photo", "not a picture", "truncated", "size", "16 bit"])
def test_preprocess_bad_input_is_one_line(dataset, run, break_it, part):
    break_it(dataset)
    one_line_error(run(INTRADA / "intrada_preprocess.py", dataset / "data", dataset / "prep"), part)
    assert not (dataset / "prep/manifest.json").exists()


def photo(folder: Path) -> Path:
    return folder / f"data/leftImg8bit/val/aachen/{STEMS[0]}_leftImg8bit.png"


def label_ids(folder: Path) -> Path:
    return folder / f"data/gtFine/val/aachen/{STEMS[0]}_gtFine_labelIds.png"


# postprocess

def enlarged(scores: np.ndarray, height: int, width: int) -> np.ndarray:
    """All planes, whole: float32, down, then across."""
    for axis, outputs in ((1, height), (2, width)):
        last = scores.shape[axis] - 1
        where = np.minimum(np.arange(outputs, dtype=np.float32) * (np.float32(last) / np.float32(max(outputs - 1, 1))), np.float32(last))
        low = np.minimum(np.floor(where).astype(int), max(last - 1, 0))
        share = (where - low.astype(np.float32)).reshape(-1, *[1] * (2 - axis))
        scores = scores.take(low, axis) * (1 - share) + scores.take(np.minimum(low + 1, last), axis) * share
    assert scores.dtype == np.float32
    return scores


SIZES = [(1024, 2048), (129, 257), (130, 131), (65, 129), (64, 100), (7, 2048), (2, 2), (1, 1)]


@pytest.mark.parametrize("height, width", SIZES[:-1])
def test_enlarging_equals_pytorch_s_bilinear_with_aligned_corners(height, width):
    import torch
    scores = np.random.default_rng(3).normal(0, 5, (19, 65, 129)).astype(np.float32)
    for part in (scores, np.sort(scores.reshape(19, -1)).reshape(scores.shape)):  # noise, and large areas of a class
        part = np.ascontiguousarray(part)
        expected = torch.nn.functional.interpolate(torch.from_numpy(part)[None], size=(height, width), mode="bilinear",
                                                   align_corners=True)[0].numpy()
        assert np.abs(enlarged(part, height, width) - expected).max() < 1e-5
        classes = intrada_postprocess.segment(part, height, width)
        assert classes.dtype == np.uint8 and (classes == expected.argmax(0)).mean() > 0.99999


def made(kind: str) -> np.ndarray:
    generator = np.random.default_rng(4)
    scores = generator.normal(size=(19, 65, 129)).astype(np.float32)
    if kind == "patches of a class":
        scores += 9 * (np.arange(19)[:, None, None] == np.kron(generator.integers(0, 19, (5, 9)), np.ones((13, 15)))[:, :129])
    elif kind == "whole numbers with many ties":
        scores = np.round(scores)
    elif kind == "each class twice":
        scores = np.repeat(scores, 2, 0)[:19]
    elif kind == "equal but for the last digit":
        scores = 1 + 2.0 ** -23 * generator.integers(0, 2, scores.shape)
    elif kind == "equal but for some last digits, in patches":
        scores = made("patches of a class")
        scores[9:] = scores[:10] * (1 + 2.0 ** -23 * generator.integers(-3, 4, scores[9:].shape))
    elif kind == "all equal":
        scores[:] = 1
    elif kind == "far below zero":
        scores = scores - 1000
    elif kind == "next to nothing":
        scores = 2.0 ** -149 * np.where(made("patches of a class") > 5, 5, 4)  # float32's smallest steps
    else:
        scores *= np.float32(3e38 / np.abs(scores).max())
    return np.ascontiguousarray(scores, np.float32)


KINDS = ["patches of a class", "whole numbers with many ties", "each class twice", "equal but for the last digit",
         "equal but for some last digits, in patches", "all equal", "far below zero", "next to nothing", "as large as can be"]


@pytest.mark.parametrize("kind", KINDS)
def test_the_classes_are_those_of_all_planes_enlarged_whole_to_the_last_tie(kind):
    scores = made(kind)
    for size in SIZES:
        assert np.array_equal(intrada_postprocess.segment(scores, *size), enlarged(scores, *size).argmax(0))


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (5, 1), (2, 2)])
def test_inputs_of_a_pixel_are_enlarged_too(shape):
    scores = np.random.default_rng(5).normal(size=(19, *shape)).astype(np.float32)
    for size in ((1, 1), (4, 9), (300, 500)):
        assert np.array_equal(intrada_postprocess.segment(scores, *size), enlarged(scores, *size).argmax(0))


def test_the_classes_of_real_scores_are_those_of_all_planes_enlarged_whole():
    import torch

    import deeplabv2
    from common.base import pictures
    from common.convert import checkpoint
    network = deeplabv2.from_state(checkpoint.load(INTRADA / "demo.pth")).eval()
    for path in sorted(shared("data", "cityscapes", "train_img").glob("*.png"))[:2]:
        with torch.no_grad():
            scores = network(torch.from_numpy(intrada_preprocess.fingerprint(pictures.read_rgb(path))))[0].numpy()
        classes = intrada_postprocess.segment(scores, 1024, 2048)
        assert len(np.unique(classes)) > 5 and np.array_equal(classes, enlarged(scores, 1024, 2048).argmax(0))


def test_of_equal_scores_the_first_class_is_taken():
    assert (intrada_postprocess.segment(np.ones((19, 3, 3), np.float32), 5, 5) == 0).all()
    pair = np.zeros((19, 3, 3), np.float32)
    pair[[4, 9]] = 1
    assert (intrada_postprocess.segment(pair, 300, 500) == 4).all()


@pytest.fixture(scope="module")
def made_up(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """IntraDA's part of the shared made-up outputs, with their own seed."""
    spec = importlib.util.spec_from_file_location("make_outputs", shared("golden", "make_outputs.py"))
    make_outputs = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(make_outputs)
    folder = tmp_path_factory.mktemp("made up")
    make_outputs.intrada(shared("data"), folder, np.random.default_rng(100))  # its second model, seeds from 99
    return folder


def test_miou_of_the_made_up_outputs_equals_the_known_answer(tmp_path, run, made_up):
    expected = json.loads(shared("golden", "expected.json").read_text())["postprocess"]["IntraDA"]["mIoU_percent"]
    result = run(INTRADA / "intrada_postprocess.py", made_up, made_up / "result",
                 tmp_path / "out", "--accuracy", tmp_path / "accuracy.json")
    assert result.returncode == 0, result.stderr
    found = json.loads((tmp_path / "out/result.json").read_text())
    assert found["mIoU_percent"] == pytest.approx(expected, abs=5e-4) and found["images"] == 6
    accuracy = json.loads((tmp_path / "accuracy.json").read_text())
    assert (accuracy["metric"], accuracy["unit"], accuracy["samples"]) == ("mIoU", "%", 6)
    assert accuracy["value"] == found["mIoU_percent"] and len(accuracy["rows"]) == 6
    assert f"mIoU over 6 images: {expected:.3f} %" in result.stdout
    assert result.stdout.splitlines()[-1] == f"mIoU: {expected:.3f}"


def test_results_pictures_and_table_of_a_set_whose_answer_is_plain(dataset, run):
    """Found: road and sky in the right halves; labelled: a quarter of the sky as trees (21), some road not evaluated."""
    labels = np.full((1024, 2048), 7, np.uint8)
    labels[:, 1024:], labels[:512, 1536:], labels[:, :128] = 23, 21, 0
    Image.fromarray(labels).save(label_ids(dataset))
    result = run(INTRADA / "intrada_postprocess.py", "data", "res", "out", cwd=dataset)
    assert result.returncode == 0, result.stderr
    found = json.loads((dataset / "out/result.json").read_text())
    classes = {entry["name"]: entry for entry in found["classes"]}
    # the two halves meet where both scores are equal: the column beside the middle may go to the first class
    assert classes["road"]["IoU_percent"] == pytest.approx(100, abs=0.2)
    assert classes["sky"]["IoU_percent"] == pytest.approx(100 * 1.75 / 2, abs=0.2)
    assert classes["vegetation"]["IoU_percent"] == 0 and classes["car"]["IoU_percent"] is None
    assert classes["road"]["true_pixels"] == 1024 * (1024 + 1024 - 128)
    assert found["mIoU_percent"] == pytest.approx((100 + 87.5 + 0) / 3, abs=0.2)
    confusion = np.array(found["confusion"])
    assert confusion.shape == (19, 19) and confusion[8, 10] == 512 * 512 and confusion.sum() == 2 * 1024 * 2048 - 128 * 1024
    for stem in STEMS:
        picture = np.asarray(Image.open(dataset / f"out/{stem}_leftImg8bit_color.png"))
        assert picture.shape == (1024, 2048, 3)
        assert (picture[:, :1023] == PALETTE[0]).all() and (picture[:, 1026:] == PALETTE[10]).all()
    lines = {line.split()[0]: line for line in result.stdout.splitlines() if line}
    assert lines["vegetation"].split()[1:3] == ["0.000", "262144"] and lines["car"].split()[1:] == ["-", "0", "0"]


def test_each_score_is_its_train_id_and_each_train_id_has_its_colour():
    for train_id in range(0, 18, 2):
        assert (intrada_postprocess.segment(scores_of(train_id, train_id + 1)[0], 8, 64)[:, [0, -1]]
                == [train_id, train_id + 1]).all()
    assert [tuple(colour) for colour in cityscapes.colours(np.arange(19, dtype=np.uint8)[None])[0].tolist()] == PALETTE


@pytest.mark.parametrize("auxiliary, main", [("{}_leftImg8bit_1.bin", "{}_leftImg8bit_2.bin"),
                                             ("{}_leftImg8bit_0.bin", "{}_leftImg8bit_1.bin"),
                                             ("{}_leftImg8bit_output_0.bin", "{}_leftImg8bit_output_1.bin")],
                         ids=["benchmark", "ais_bench", "msame"])
def test_of_the_older_two_output_models_the_second_file_counts(tmp_path, auxiliary, main):
    write_results(tmp_path, auxiliary, scores_of(3, 4))
    write_results(tmp_path, main)
    found = intrada_postprocess.main_outputs(tmp_path)
    assert {stem: path.name for stem, path in found.items()} == {
        f"{stem}_leftImg8bit": main.format(stem) for stem in STEMS}


@pytest.mark.parametrize("only", ["{}_leftImg8bit_1.bin", "{}_leftImg8bit_0.bin", "{}_leftImg8bit_output_0.bin"],
                         ids=["benchmark", "ais_bench", "msame"])
def test_the_only_output_is_the_main_one_whatever_the_tool_counts_from(tmp_path, only):
    write_results(tmp_path, only)
    assert {path.name for path in intrada_postprocess.main_outputs(tmp_path).values()} == {only.format(s) for s in STEMS}


@pytest.mark.parametrize("break_it, part", [
    (lambda folder: shutil.rmtree(folder / "res"), "expected a folder with result .bin files"),
    (lambda folder: [path.unlink() for path in (folder / "res").iterdir()], "found none"),
    (lambda folder: result_file(folder).unlink(), f"no result for {STEMS[0]}"),
    (lambda folder: shutil.copy(result_file(folder), folder / "res/other_1.bin"), "unknown sample other"),
    (lambda folder: result_file(folder).write_bytes(b"\0" * 1000), "expected 637260 bytes (1x19x65x129 float32), found 1000"),
    (lambda folder: np.full(19 * 65 * 129, np.nan, np.float32).tofile(result_file(folder)), "NaN"),
    (lambda folder: shutil.copy(result_file(folder), folder / f"res/{STEMS[0]}_leftImg8bit_2.bin"), "results of two models"),
    (lambda folder: [shutil.copy(result_file(folder), folder / f"res/{stem}_leftImg8bit_{k}.bin")
                     for stem in STEMS for k in (2, 3)], "has 3 outputs"),
    (lambda folder: label_ids(folder).unlink(), f"unknown sample {STEMS[0]}"),
    (lambda folder: shutil.rmtree(folder / "data/gtFine"), "<city>/*_gtFine_labelIds.png"),
    (lambda folder: label_ids(folder).write_bytes(label_ids(folder).read_bytes()[:200]), "cannot be decoded"),
    (lambda folder: Image.new("L", (1024, 512), 7).save(label_ids(folder)), "1024x512, expected 2048x1024"),
    (lambda folder: Image.new("L", (2048, 1024), 35).save(label_ids(folder)), "label id 35"),
    (lambda folder: Image.new("RGB", (2048, 1024)).save(label_ids(folder)), "8-bit"),
    (lambda folder: Image.new("L", (2048, 1024), 0).save(label_ids(folder)), "no pixel of a class that is evaluated"),
], ids=["no results", "empty", "missing", "unknown", "truncated", "NaN", "mixed", "three outputs", "no labels of one",
        "no labels", "labels truncated", "size", "label 35", "colour", "nothing evaluated"])
def test_postprocess_bad_input_is_one_line(dataset, run, break_it, part):
    break_it(dataset)
    one_line_error(run(INTRADA / "intrada_postprocess.py", "data", "res", "out", "--accuracy", "accuracy.json",
                       cwd=dataset), part)
    assert not (dataset / "out/result.json").exists() and not (dataset / "accuracy.json").exists()


def result_file(folder: Path) -> Path:
    return folder / f"res/{STEMS[0]}_leftImg8bit_1.bin"


def test_results_of_other_samples_than_the_preprocessed_and_photos_without_labels_are_errors(dataset, run):
    assert run(INTRADA / "intrada_preprocess.py", dataset / "data", dataset / "prep", LIMIT="1").returncode == 0
    arguments = (INTRADA / "intrada_postprocess.py", "data", "res", "out", "--prep", "prep")
    one_line_error(run(*arguments, cwd=dataset), f"unknown sample {STEMS[1]}")
    for path in (dataset / "res").glob(f"{STEMS[1]}*"):
        path.unlink()
    assert run(*arguments, cwd=dataset).returncode == 0
    label_ids(dataset).unlink()
    one_line_error(run(*arguments, cwd=dataset), f"no labels for {STEMS[0]}", f"gtFine/val/<city>/{STEMS[0]}_gtFine_labelIds")


def test_limit_takes_the_first_results(dataset, run):
    assert run(INTRADA / "intrada_postprocess.py", "data", "res", "out", cwd=dataset, LIMIT="1").returncode == 0
    assert json.loads((dataset / "out/result.json").read_text())["images"] == 1


# agreement

def test_agreement_is_the_share_of_pixels_with_the_same_class(dataset):
    other = write_results(dataset / "other", scores=scores_of(0, 11))
    found = intrada_agreement.equal_classes(dataset / "res", other, (1, 19, 65, 129))
    assert list(found) == [f"{stem}_leftImg8bit" for stem in STEMS]
    assert all(value == pytest.approx(50, abs=0.2) for value in found.values())


def test_agreement_script_names_the_worst_image_and_fails_below_the_threshold(dataset, run):
    write_results(dataset / "other", "{}_leftImg8bit_0.bin")
    arguments = (INTRADA / "intrada_agreement.py", "other", "res", "--output", "a.json")
    result = run(*arguments, cwd=dataset)
    assert result.returncode == 0 and "same class in 100.0000 % of the pixels of 2 images" in result.stdout
    scores_of(5, 6).tofile(dataset / f"other/{STEMS[1]}_leftImg8bit_0.bin")
    result = run(*arguments, cwd=dataset)
    assert result.returncode == 1 and f"0.0000 % in the worst, {STEMS[1]}_leftImg8bit" in result.stdout
    written = json.loads((dataset / "a.json").read_text())
    assert written["verdict"] == "fail" and written["classes"]["worst"] == f"{STEMS[1]}_leftImg8bit"
    assert written["classes"]["equal_percent"] == pytest.approx(50)


# layout

@pytest.fixture
def plain(tmp_path: Path) -> Path:
    for name in ("train_img/aachen_000000_000019_leftImg8bit.png", "train_label/aachen_000000_000019_gtFine_labelIds.png",
                 "train_inst/aachen_000000_000019_gtFine_instanceIds.png", "test_label/ulm_000001_000002_gtFine_labelIds.png",
                 "test_inst/ulm_000001_000002_gtFine_instanceIds.png"):
        (tmp_path / "plain" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "plain" / name).write_text(name)
    return tmp_path


@pytest.mark.parametrize("flags, link", [((), True), (("--copy",), False)], ids=["links", "copies"])
def test_layout_is_the_official_one(plain, run, flags, link):
    for _ in range(2):  # a second run changes nothing
        assert run(INTRADA / "lay_out_cityscapes.py", "plain", "set", *flags, cwd=plain).returncode == 0
    found = {str(path.relative_to(plain / "set")): path for path in (plain / "set").rglob("*") if not path.is_dir()}
    assert {place: path.read_text() for place, path in found.items()} == {
        "leftImg8bit/val/aachen/aachen_000000_000019_leftImg8bit.png": "train_img/aachen_000000_000019_leftImg8bit.png",
        "gtFine/val/aachen/aachen_000000_000019_gtFine_labelIds.png": "train_label/aachen_000000_000019_gtFine_labelIds.png",
        "gtFine/val/aachen/aachen_000000_000019_gtFine_instanceIds.png": "train_inst/aachen_000000_000019_gtFine_instanceIds.png",
        "gtFine/test/ulm/ulm_000001_000002_gtFine_labelIds.png": "test_label/ulm_000001_000002_gtFine_labelIds.png",
        "gtFine/test/ulm/ulm_000001_000002_gtFine_instanceIds.png": "test_inst/ulm_000001_000002_gtFine_instanceIds.png"}
    assert {path.is_symlink() for path in found.values()} == {link}


def test_copies_in_place_of_links_leave_the_sources_alone(plain, run):
    run(INTRADA / "lay_out_cityscapes.py", "plain", "set", cwd=plain)
    left = plain / "set/leftImg8bit/val/aachen/.part-999999999-0.png"  # by a run that was killed
    left.symlink_to(plain / "plain/train_label/aachen_000000_000019_gtFine_labelIds.png")
    assert run(INTRADA / "lay_out_cityscapes.py", "plain", "set", "--copy", cwd=plain).returncode == 0
    source = plain / "plain/train_img/aachen_000000_000019_leftImg8bit.png"
    assert source.read_text() == "train_img/aachen_000000_000019_leftImg8bit.png" and not source.is_symlink()
    label = plain / "plain/train_label/aachen_000000_000019_gtFine_labelIds.png"
    assert label.read_text() == "train_label/aachen_000000_000019_gtFine_labelIds.png"
    assert not any(path.is_symlink() for path in (plain / "set").rglob("*"))


@pytest.mark.parametrize("break_it, part", [
    (lambda folder: shutil.rmtree(folder / "plain"), "expected a folder with train_img"),
    (lambda folder: [shutil.rmtree(path) for path in (folder / "plain").iterdir()], "expected folders train_* or test_*"),
    (lambda folder: (folder / "plain/train_img/cat.png").write_text(""), "cat.png: expected a name like"),
    (lambda folder: (folder / "plain/train_label/aachen_000000_000019_gtFine_labelIds.png").unlink(), "has no labels"),
], ids=["missing", "empty", "name", "no labels"])
def test_layout_bad_input_is_one_line_and_writes_nothing(plain, run, break_it, part):
    break_it(plain)
    one_line_error(run(INTRADA / "lay_out_cityscapes.py", "plain", "set", cwd=plain), part)
    assert not (plain / "set").exists()


def test_layout_of_one_part(plain):
    assert all("/val/" in place for place in lay_out_cityscapes.layout(plain / "plain", ["train"]))


# export

def narrow_checkpoint(path: Path) -> None:
    import deeplabv2
    from common.convert import checkpoint
    checkpoint.save(deeplabv2.seeded(0, blocks=(1, 1, 1, 1), widths=(4, 2, 2, 2, 2)), path)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a narrow checkpoint x.pth and its export x.onnx."""
    folder = tmp_path_factory.mktemp("exported")
    narrow_checkpoint(folder / "x.pth")
    intrada_pth2onnx.main([str(folder / "x.pth"), str(folder / "x.onnx")])
    return folder


def test_export_has_the_main_output_alone_opset_11_and_a_free_batch(exported):
    import onnx
    model = onnx.load(str(exported / "x.onnx"))
    dims = {value.name: [dim.dim_value or dim.dim_param for dim in value.type.tensor_type.shape.dim]
            for value in (*model.graph.input, *model.graph.output)}
    assert dims == {"image": ["N", 3, 512, 1024], "segmentation": ["N", 19, 65, 129]}
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 11)]
    names = [value.name for value in model.graph.initializer]
    assert any(name.startswith("layer6.") for name in names) and not any(name.startswith("layer5.") for name in names)


def test_exported_output_is_the_second_of_the_upstream_s_two(exported):
    import onnxruntime
    import torch

    import deeplabv2
    from common.convert import checkpoint
    image = np.random.default_rng(2).uniform(-100, 100, (1, 3, 512, 1024)).astype(np.float32)
    with torch.no_grad():
        auxiliary, main = deeplabv2.from_state(checkpoint.load(exported / "x.pth"), both_outputs=True)(torch.from_numpy(image))
    session = onnxruntime.InferenceSession(str(exported / "x.onnx"), providers=["CPUExecutionProvider"])
    found, = session.run(None, {"image": image})
    scale = float(main.abs().max())
    assert np.abs(found - main.numpy()).max() < 1e-4 * scale < np.abs(found - auxiliary.numpy()).max()


def test_a_checkpoint_that_does_not_fit_names_the_tensor(tmp_path, exported):
    from common.convert import checkpoint
    state = checkpoint.load(exported / "x.pth")
    del state["layer4.0.conv2.weight"]
    checkpoint.save(state, tmp_path / "x.pth")
    with pytest.raises(UserError, match="layer4.0.conv2.weight"):
        intrada_pth2onnx.main([str(tmp_path / "x.pth"), str(tmp_path / "x.onnx")])
    assert not (tmp_path / "x.onnx").exists()


def test_an_export_that_differs_from_pytorch_is_refused(tmp_path, exported, monkeypatch):
    monkeypatch.setattr(intrada_pth2onnx, "TOLERANCE", 0)
    with pytest.raises(UserError, match="ONNX and PyTorch differ by"):
        intrada_pth2onnx.main([str(exported / "x.pth"), str(tmp_path / "x.onnx")])
    assert not (tmp_path / "x.onnx").exists()


# all scripts

def test_info_has_height_before_width_as_the_reference_s_command_gives_them(dataset, run):
    run(INTRADA / "intrada_preprocess.py", "data", "prep", cwd=dataset)
    assert run(INTRADA / "gen_dataset_info.py", "bin", "prep", "x.info", 512, 1024, cwd=dataset).returncode == 0
    assert (dataset / "x.info").read_text() == "".join(
        f"{index} prep/{stem}_leftImg8bit.bin 512 1024\n" for index, stem in enumerate(STEMS))


@pytest.mark.parametrize("script", sorted(path.name for path in INTRADA.glob("*.py") if path.name != "deeplabv2.py"))
def test_every_script_prints_help_without_importing_torch(script, run):
    result = run("-X", "importtime", INTRADA / script, "--help")
    assert result.returncode == 0 and "usage:" in result.stdout
    assert "torch" not in result.stderr and "onnx" not in result.stderr


def test_facts_hold_the_atc_lines_of_every_batch_size():
    from common.base import facts
    model = facts.load(INTRADA)
    assert [f'"image:{batch},3,512,1024"' in line and f"_bs{batch} " in line
            for batch, line in zip((1, 4, 8, 16, 32), model.atc)] == [True] * 5 and len(model.atc) == 5
    assert model.extra["batches"] == [1, 4, 8, 16, 32]


# full size

@pytest.mark.full
def test_onnx_and_pytorch_agree_on_the_six_photos_in_miou_and_in_classes(tmp_path, run):
    """Full-width seeded checkpoint: mIoU within 0.01 points, more than 99.9 % of the pixels of the same class."""
    def ok(*arguments: object) -> None:
        result = run(*arguments, cwd=tmp_path, timeout=1800, PYTHONPATH=f"{INTRADA}:{ROOT}")
        assert result.returncode == 0, result.stderr
    ok(INTRADA / "lay_out_cityscapes.py", shared("data", "cityscapes"), "cityscapes")
    ok("-m", "common.convert.seed", "--model", INTRADA, "--output", "x.pth")
    ok(INTRADA / "intrada_pth2onnx.py", "x.pth", "x.onnx")
    ok(INTRADA / "intrada_preprocess.py", "cityscapes", "prep")
    ok(INTRADA / "gen_dataset_info.py", "bin", "prep", "x.info", 512, 1024)
    ok("-m", "common.tools.benchmark", "-om_path=x.onnx", "-input_text_path=x.info", "-input_width=1024", "-input_height=512",
       "-output_binary=True", "-useDvpp=False")
    ok("-m", "common.infer.pytorch_infer", "--model", INTRADA, "--pth", "x.pth", "--prep", "prep", "--output", "pytorch")
    for folder in ("result/dumpOutput_device0", "pytorch"):
        ok(INTRADA / "intrada_postprocess.py", "cityscapes", folder, f"{folder}_labels", "--prep", "prep")
    onnx, pytorch = (json.loads((tmp_path / f"{folder}_labels/result.json").read_text())
                     for folder in ("result/dumpOutput_device0", "pytorch"))
    assert onnx["images"] == pytorch["images"] == 6
    assert onnx["mIoU_percent"] == pytest.approx(pytorch["mIoU_percent"], abs=0.01)
    same = intrada_agreement.equal_classes(tmp_path / "result/dumpOutput_device0", tmp_path / "pytorch", (1, 19, 65, 129))
    assert len(same) == 6 and min(same.values()) > 99.9


@pytest.mark.full
def test_a_batch_of_four_with_a_partial_last_batch_gives_the_results_of_batch_one(tmp_path, run, exported):
    from common.data import dataset as common_dataset
    run(INTRADA / "lay_out_cityscapes.py", shared("data", "cityscapes"), "cityscapes", cwd=tmp_path)
    run(INTRADA / "intrada_preprocess.py", "cityscapes", "prep", cwd=tmp_path)
    for batch in (1, 4):
        result = run("-m", "common.tools.ais_infer", "--model", exported / "x.onnx", "--input", "prep", "--output", "out",
                     "--output_dirname", f"bs{batch}", "--batchsize", batch, cwd=tmp_path)
        assert result.returncode == 0, result.stderr
    first, second = (result_files.find(tmp_path / f"out/bs{batch}") for batch in (1, 4))
    assert sorted(first) == sorted(second) and len(first) == 6
    for stem in first:
        one, four = (common_dataset.read_bin(found[stem][0], (19, 65, 129)) for found in (first, second))
        assert np.abs(one - four).max() <= 1e-5 * np.abs(one).max()


@pytest.mark.full
def test_make_goes_the_whole_way_then_does_nothing_then_only_what_follows(dataset, exported, tmp_path_factory):
    from test_make import copy_project, make, ran
    project = copy_project(tmp_path_factory.mktemp("a folder"))
    (dataset / "my data").mkdir()
    (dataset / "data").rename(dataset / "my data/cityscapes")
    arguments = (f"DATASETS_PATH={dataset / 'my data'}", f"PTH={exported / 'x.pth'}", "ROUND=1", "LOOP=1", "BATCHES=1 4")
    first = make(project, "-C", "IntraDA", "all", *arguments)
    assert first.returncode == 0, first.stdout[-2000:] + first.stderr
    assert "over 2 samples" in first.stdout and "same class in 100.0000 % of the pixels" in first.stdout
    report = json.loads((project / "IntraDA/build/report.json").read_text())
    assert report["verdict"] == "pass" and report["accuracy"]["samples"] == 2
    assert report["accuracy"]["value"] == pytest.approx(report["accuracy"]["reference"], abs=0.01)
    assert (project / f"IntraDA/build/labels/{STEMS[0]}_leftImg8bit_color.png").is_file()
    assert ran(make(project, "-C", "IntraDA", "all", *arguments)) == []
    (dataset / f"my data/cityscapes/gtFine/val/aachen/{STEMS[0]}_gtFine_labelIds.png").touch()
    assert set(ran(make(project, "-C", "IntraDA", "all", *arguments))) - {"common.publish.page"} == {"intrada_postprocess.py"}
    assert "over 1 samples" in make(project, "-C", "IntraDA", "all", *arguments, "LIMIT=1").stdout
    sweep = make(project, "-C", "IntraDA", "sweep", *arguments)
    assert sweep.returncode == 0 and "28.79" in sweep.stdout and "no NPU figure" in sweep.stdout
    assert ran(make(project, "-C", "IntraDA", "sweep", *arguments)) in ([], ["common.judge.sweep"])


@pytest.mark.full
def test_eval_acc_perf_runs_the_whole_way_on_data_and_in_a_folder_with_spaces(dataset, exported, tmp_path_factory):
    from test_make import copy_project
    project = copy_project(tmp_path_factory.mktemp("a clone"))
    data = (dataset / "data").rename(dataset / "my data")
    result = subprocess.run(["bash", str(project / "IntraDA/test/eval_acc_perf.sh"), f"--datasets_path={data}",
                             f"--pth={exported / 'x.pth'}", "--loop=1", "--batch_sizes=1 4", "--batch_size=4"],
                            cwd=exported, capture_output=True, text=True, env=environment(), timeout=900)
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr
    assert "mIoU over 2 images" in result.stdout and "reference 310P" in result.stdout
    assert "(PyTorch on the same samples with the same checkpoint): pass" in result.stdout
