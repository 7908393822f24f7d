"""Pix2pixHD's scripts, on small maps and networks made here and on the shared known answers."""
from __future__ import annotations

import collections
import hashlib
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Callable, Dict, List, Tuple

import cv2
import numpy as np
import pytest
from PIL import Image

import pix2pixhd_gpu_log
import pix2pixhd_postprocess
import pix2pixhd_preprocess
import pix2pixhd_pth2onnx
from common.base import facts, files, metrics
from common.base.errors import UserError
from common.data import dataset
from conftest import ROOT, environment, one_line_error, shared

MODEL = ROOT / "Pix2pixHD"
WIDTH, HEIGHT = 96, 64
SMALL = dict(ngf=2, downsamplings=2, global_blocks=2, local_blocks=2)  # a light network of the reference's structure


def write_maps(folder: Path, names: Tuple[str, ...] = ("a_0", "b_1")) -> Path:
    """test_label and test_inst: random blocks of label ids, some of them things with an instance id of their own."""
    for place in ("test_label", "test_inst"):
        (folder / place).mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        generator = np.random.default_rng(number)
        coarse = generator.integers(0, 35, (HEIGHT // 8, WIDTH // 8))
        labels = np.kron(coarse, np.ones((8, 8), int)).astype(np.uint8)
        things = np.kron(coarse * 1000 + generator.integers(0, 2, coarse.shape), np.ones((8, 8), int))
        instances = np.where(labels >= 24, things, labels).astype(np.uint16)
        Image.fromarray(labels).save(folder / f"test_label/{name}_gtFine_labelIds.png")
        Image.fromarray(instances).save(folder / f"test_inst/{name}_gtFine_instanceIds.png")
    return folder


@pytest.fixture
def maps(tmp_path: Path) -> Path:
    return write_maps(tmp_path / "cityscapes")


def preprocess(cityscapes: Path, out: Path, form: str) -> None:
    pix2pixhd_preprocess.main([str(cityscapes), str(out), "--input", form, "--size", f"{WIDTH}x{HEIGHT}"])


def write_results(folder: Path, stems: Tuple[str, ...] = ("a", "b"), seed: int = 0) -> Path:
    folder.mkdir(exist_ok=True)
    generator = np.random.default_rng(seed)
    for stem in stems:
        generator.uniform(-1.1, 1.1, (1, 3, HEIGHT, WIDTH)).astype(np.float32).tofile(folder / f"{stem}_1.bin")
    return folder


# preprocess

def test_edges_are_where_a_left_right_upper_or_lower_neighbour_differs():
    instances = np.random.default_rng(3).integers(26000, 26003, (9, 11)).astype(np.uint16)
    expected = np.zeros((9, 11), np.uint8)
    for y in range(9):
        for x in range(11):
            around = [(y, x - 1), (y, x + 1), (y - 1, x), (y + 1, x)]
            expected[y, x] = any(instances[place] != instances[y, x] for place in around
                                 if 0 <= place[0] < 9 and 0 <= place[1] < 11)
    found = pix2pixhd_preprocess.edges(instances)
    assert found.dtype == np.uint8 and (found == expected).all() and 0 < expected.mean() < 1


def test_one_instance_has_no_edge_and_ids_above_255_are_told_apart():
    assert not pix2pixhd_preprocess.edges(np.full((4, 5), 26001, np.uint16)).any()
    beside = np.array([[26001, 26001 + 256]], np.uint16)
    assert (pix2pixhd_preprocess.edges(beside) == 1).all()


def test_one_hot_has_a_plane_for_each_label_then_the_edges():
    labels, edge = np.array([[0, 34], [7, 7]], np.uint8), np.array([[0, 1], [1, 0]], np.uint8)
    planes = pix2pixhd_preprocess.one_hot(labels, edge)
    assert planes.shape == (1, 36, 2, 2) and planes.dtype == np.float32
    assert planes[0, 7].tolist() == [[0, 0], [1, 1]] and planes[0, 34].tolist() == [[0, 1], [0, 0]]
    assert planes[0, :35].sum(0).tolist() == [[1, 1], [1, 1]] and (planes[0, 35] == edge).all()


def test_small_form_is_label_ids_then_edges_as_uint8():
    labels, edge = np.array([[0, 34]], np.uint8), np.array([[0, 1]], np.uint8)
    found = pix2pixhd_preprocess.stacked(labels, edge)
    assert found.dtype == np.uint8 and found.tolist() == [[[[0, 34]], [[0, 1]]]]


def test_both_forms_are_written_with_a_manifest_and_hold_the_same(maps, tmp_path, run):
    for form in ("onehot", "labels"):
        result = run(MODEL / "pix2pixhd_preprocess.py", maps, tmp_path / form, "--input", form,
                     "--size", f"{WIDTH}x{HEIGHT}")
        assert result.returncode == 0, result.stderr
    manifest = json.loads((tmp_path / "labels/manifest.json").read_text())["samples"]
    assert [(record["id"], record["shape"], record["dtype"]) for record in manifest] == [
        (f"{name}_gtFine_labelIds", [1, 2, HEIGHT, WIDTH], "uint8") for name in ("a_0", "b_1")]
    for record in manifest:
        planes = np.fromfile(tmp_path / f"onehot/{record['id']}.bin", np.float32).reshape(36, HEIGHT, WIDTH)
        ids, edge = np.fromfile(tmp_path / f"labels/{record['id']}.bin", np.uint8).reshape(2, HEIGHT, WIDTH)
        assert (ids == np.asarray(Image.open(record["source"][0]))).all()
        assert (planes[:35].argmax(0) == ids).all() and (planes[35] == edge).all()
        assert set(np.unique(planes)) == {0, 1} and planes[:35].sum() == WIDTH * HEIGHT


def test_another_form_in_the_same_folder_replaces_every_file(maps, tmp_path):
    for form, size in (("onehot", 144), ("labels", 2)):
        preprocess(maps, tmp_path / "prep", form)
        assert {path.stat().st_size for path in (tmp_path / "prep").glob("*.bin")} == {size * WIDTH * HEIGHT}


def test_limit_takes_the_first_pair(maps, tmp_path, monkeypatch):
    monkeypatch.setenv("LIMIT", "1")
    preprocess(maps, tmp_path / "prep", "labels")
    assert [path.name for path in (tmp_path / "prep").glob("*.bin")] == ["a_0_gtFine_labelIds.bin"]


def label(folder: Path) -> Path:
    return folder / "test_label/a_0_gtFine_labelIds.png"


def instance(folder: Path) -> Path:
    return folder / "test_inst/a_0_gtFine_instanceIds.png"


def with_id_35(folder: Path) -> None:
    pixels = np.asarray(Image.open(label(folder))).copy()
    pixels[3, 5] = 35
    Image.fromarray(pixels).save(label(folder))


@pytest.mark.parametrize("break_it, parts", [
    (lambda folder: instance(folder).unlink(), ("a_0_gtFine_labelIds.png", "test_inst/a_0_gtFine_instanceIds.png")),
    (lambda folder: label(folder).unlink(), ("a_0_gtFine_instanceIds.png", "test_label/a_0_gtFine_labelIds.png")),
    (with_id_35, ("test_label/a_0_gtFine_labelIds.png", "label id 35", "0..34")),
    (lambda folder: Image.new("L", (50, 40)).save(label(folder)), ("a_0_gtFine_labelIds.png", "50x40", "96x64")),
    (lambda folder: Image.new("I;16", (50, 40)).save(instance(folder)),
     ("a_0_gtFine_instanceIds.png", "50x40", "96x64")),
    (lambda folder: Image.new("L", (96, 64)).save(instance(folder)), ("a_0_gtFine_instanceIds.png", "16-bit", "8-bit")),
    (lambda folder: Image.new("I;16", (96, 64)).save(label(folder)), ("a_0_gtFine_labelIds.png", "8-bit", "16-bit")),
    (lambda folder: Image.new("RGB", (96, 64)).save(label(folder)), ("a_0_gtFine_labelIds.png", "mode RGB")),
    (lambda folder: instance(folder).write_bytes(instance(folder).read_bytes()[:90]),
     ("a_0_gtFine_instanceIds.png: cannot be decoded",)),
    (lambda folder: label(folder).rename(folder / "test_label/a_0_color.png"),
     ("a_0_color.png", "_gtFine_labelIds.png")),
    (lambda folder: shutil.rmtree(folder / "test_inst"), ("test_inst", "found nothing")),
    (lambda folder: [path.unlink() for path in (folder / "test_label").iterdir()], ("test_label", "found none")),
], ids=["labels without instances", "instances without labels", "label id 35", "labels of another size",
        "instances of another size", "8-bit instances", "16-bit labels", "coloured labels", "truncated", "another name",
        "no test_inst", "empty test_label"])
def test_preprocess_bad_input_is_one_line_that_names_the_file(maps, tmp_path, run, break_it, parts):
    break_it(maps)
    result = run(MODEL / "pix2pixhd_preprocess.py", maps, tmp_path / "prep", "--input", "labels",
                 "--size", f"{WIDTH}x{HEIGHT}")
    one_line_error(result, *parts)
    assert not (tmp_path / "prep/manifest.json").exists()


def free_disk(monkeypatch: pytest.MonkeyPatch, free: int) -> None:
    usage = collections.namedtuple("usage", "total used free")
    monkeypatch.setattr(files.shutil, "disk_usage", lambda place: usage(10 ** 12, 10 ** 12 - free, free))


def test_too_little_disk_says_what_is_needed_and_what_the_small_form_needs(maps, tmp_path, monkeypatch, capsys):
    free_disk(monkeypatch, 600_000_000)  # two one-hot samples of 301,989,888 bytes need 603,979,776
    with pytest.raises(UserError, match=re.escape("needs 604.0 MB")) as caught:
        pix2pixhd_preprocess.main([str(maps), str(tmp_path / "prep")])
    assert "600.0 MB are free" in str(caught.value) and "INPUT=labels) needs 8.4 MB" in str(caught.value)
    assert "302.0 MB a sample" in capsys.readouterr().out
    assert not (tmp_path / "prep").exists()


def test_the_small_form_needs_4_2_mb_a_sample(maps, tmp_path, monkeypatch):
    free_disk(monkeypatch, 8_388_607)  # one byte less than two samples of 4,194,304
    with pytest.raises(UserError, match=re.escape("needs 8.4 MB")):
        pix2pixhd_preprocess.main([str(maps), str(tmp_path / "prep"), "--input", "labels"])


@pytest.mark.full
def test_one_hot_files_equal_the_known_checksums(tmp_path, run):
    expected = json.loads(shared("golden", "expected.json").read_text())["preprocess"]["Pix2pixHD"]
    data = shared("data", "cityscapes")
    found = {}
    for path in sorted((data / "test_label").iterdir()):  # one at a time: 302 MB each
        one = tmp_path / "one"
        for place, name in (("test_label", path.name), ("test_inst", path.name.replace("labelIds", "instanceIds"))):
            (one / place).mkdir(parents=True)
            (one / place / name).symlink_to(data / place / name)
        result = run(MODEL / "pix2pixhd_preprocess.py", one, tmp_path / "prep")
        assert result.returncode == 0, result.stderr
        for bin_file in (tmp_path / "prep").glob("*.bin"):
            assert bin_file.stat().st_size == 301_989_888
            found[bin_file.name] = files.sha256(bin_file)
        shutil.rmtree(tmp_path / "prep")
        shutil.rmtree(one)
    assert found == expected and len(found) == 10


# datasets_deal

def write_gtfine(folder: Path) -> Path:
    """gtFine/test with two cities and the colour pictures that lie there too."""
    flat = write_maps(folder / "flat", ("aachen_0", "bonn_0", "bonn_1"))
    for path in flat.glob("*/*.png"):
        city = folder / "gtFine/test" / path.name.split("_")[0]
        city.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, city)
    Image.new("RGBA", (4, 4)).save(folder / "gtFine/test/bonn/bonn_0_gtFine_color.png")
    shutil.rmtree(flat)
    return folder / "gtFine/test"


def test_datasets_deal_collects_the_maps_of_all_cities_for_preprocess(tmp_path, run):
    tree = write_gtfine(tmp_path)
    arguments = (MODEL / "datasets_deal.py", tmp_path / "c/test_inst", tmp_path / "c/test_label", tree)
    assert run(*arguments).returncode == 0
    before = {path: path.stat().st_ino for path in (tmp_path / "c").glob("*/*")}
    assert sorted(path.name for path in (tmp_path / "c/test_inst").iterdir()) == [
        f"{name}_gtFine_instanceIds.png" for name in ("aachen_0", "bonn_0", "bonn_1")]
    assert run(*arguments).returncode == 0
    assert {path: path.stat().st_ino for path in (tmp_path / "c").glob("*/*")} == before  # not copied again
    preprocess(tmp_path / "c", tmp_path / "prep", "labels")
    assert len(list((tmp_path / "prep").glob("*.bin"))) == 3


@pytest.mark.parametrize("break_it, parts", [
    (lambda tree: (tree / "bonn/bonn_1_gtFine_instanceIds.png").unlink(),
     ("bonn_1_gtFine_labelIds.png", "expected bonn_1_gtFine_instanceIds.png")),
    (lambda tree: (tree / "bonn/bonn_1_gtFine_labelIds.png").unlink(),
     ("bonn_1_gtFine_instanceIds.png", "expected bonn_1_gtFine_labelIds.png")),
    (lambda tree: shutil.rmtree(tree), ("gtFine/test", "found nothing")),
    (lambda tree: [shutil.rmtree(city) for city in tree.iterdir()], ("gtFine/test", "found none")),
], ids=["labels without instances", "instances without labels", "no tree", "no city"])
def test_datasets_deal_bad_input_is_one_line_and_copies_nothing(tmp_path, run, break_it, parts):
    tree = write_gtfine(tmp_path)
    break_it(tree)
    result = run(MODEL / "datasets_deal.py", tmp_path / "c/test_inst", tmp_path / "c/test_label", tree)
    one_line_error(result, *parts)
    assert not (tmp_path / "c").exists()


# postprocess

def test_picture_is_cut_off_not_rounded_and_clipped_and_in_rgb():
    output = np.zeros((1, 3, 1, 3), np.float32)
    output[0, :, 0, 0] = -1.5, 1.5, 0.0           # below, above, 127.5
    output[0, :, 0, 1] = -1, 1, 200.9 / 127.5 - 1  # 0, 255, 200.9
    assert pix2pixhd_postprocess.to_uint8(output)[0, :2].tolist() == [[0, 255, 127], [0, 255, 200]]


def test_picture_equals_the_formula_to_the_bit_beside_each_step_and_far_out():
    steps = (np.arange(256) / 127.5 - 1).astype(np.float32).view(np.int32)
    beside = (steps[:, None] + np.arange(-8, 9)).astype(np.int32).view(np.float32).ravel()
    far = np.float32([0, -0.0, 1e-45, -1e-45, 1e-38, 3.4e38, -3.4e38, 1e30, -1e30, 2 ** -24 - 1, 1e3])
    noise = np.random.default_rng(0).normal(0, 0.7, 200_000).astype(np.float32)
    values = np.concatenate([beside, far, noise])
    with np.errstate(over="ignore"):
        expected = np.clip((values + np.float32(1)) / np.float32(2) * np.float32(255), 0, 255).astype(np.uint8)
        found = pix2pixhd_postprocess.to_uint8(np.tile(values, (1, 3, 1, 1)))
    assert len(np.unique(expected)) == 256 and (found == expected[:, None]).all()


@pytest.mark.full
def test_picture_equals_the_known_checksum_before_jpeg(tmp_path, run, golden_outputs):
    expected = json.loads(shared("golden", "expected.json").read_text())["postprocess"]["Pix2pixHD"]
    result = run(MODEL / "pix2pixhd_postprocess.py", golden_outputs / "pix2pixhd/result", tmp_path / "out",
                 "--json", tmp_path / "pictures.json")
    assert result.returncode == 0, result.stderr
    found = {f"{row['sample']}_1.bin": row["sha256"]
             for row in json.loads((tmp_path / "pictures.json").read_text())["pictures"]}
    checksums: Dict[str, str] = expected["uint8 HWC array before JPEG, sha256"]
    assert checksums and {name: found[name] for name in checksums} == checksums


def test_pictures_are_named_after_the_result_files(tmp_path, run):
    write_results(tmp_path / "result", ("x_labelIds",))
    result = run(MODEL / "pix2pixhd_postprocess.py", "result", "out", "--size", f"{WIDTH}x{HEIGHT}", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["x_labelIds_1generated.jpg"]
    saved = np.asarray(Image.open(tmp_path / "out/x_labelIds_1generated.jpg")).astype(int)
    picture = pix2pixhd_postprocess.read_picture(tmp_path / "result/x_labelIds_1.bin", (WIDTH, HEIGHT))
    assert saved.shape == (HEIGHT, WIDTH, 3)
    assert np.abs(saved.mean((0, 1)) - picture.mean((0, 1))).max() < 4  # JPEG of noise: the mean colour stays


@pytest.mark.parametrize("break_it, part", [
    (lambda folder: (folder / "result/a_1.bin").write_bytes(b"\0" * 100), "result/a_1.bin: expected 73728 bytes"),
    (lambda folder: np.full((1, 3, HEIGHT, WIDTH), np.nan, np.float32).tofile(folder / "result/a_1.bin"), "NaN"),
    (lambda folder: [path.unlink() for path in (folder / "result").iterdir()], "found none"),
    (lambda folder: shutil.rmtree(folder / "result"), "found nothing"),
], ids=["truncated", "NaN", "empty", "no folder"])
def test_postprocess_bad_input_is_one_line(tmp_path, run, break_it, part):
    write_results(tmp_path / "result")
    break_it(tmp_path)
    result = run(MODEL / "pix2pixhd_postprocess.py", "result", "out", "--json", "pictures.json",
                 "--size", f"{WIDTH}x{HEIGHT}", cwd=tmp_path)
    one_line_error(result, part)
    assert not (tmp_path / "pictures.json").exists() and not list(tmp_path.glob("out/*"))


def test_results_of_other_samples_than_the_preprocessed_are_an_error(maps, tmp_path, run):
    preprocess(maps, tmp_path / "prep", "labels")
    write_results(tmp_path / "result", ("a_0_gtFine_labelIds", "c_2_gtFine_labelIds"))
    one_line_error(run(MODEL / "pix2pixhd_postprocess.py", "result", "out", "--prep", "prep",
                       "--size", f"{WIDTH}x{HEIGHT}", cwd=tmp_path), "no result for b_1_gtFine_labelIds")


def test_pictures_are_held_against_the_photos_of_their_scenes(tmp_path, run):
    """A photo equal to the picture has SSIM 1; the mean of it and of another stands in the file, the worst first."""
    write_results(tmp_path / "result", ("a_gtFine_labelIds", "b_gtFine_labelIds"))
    (tmp_path / "photos/city").mkdir(parents=True)
    made = pix2pixhd_postprocess.read_picture(tmp_path / "result/a_gtFine_labelIds_1.bin", (WIDTH, HEIGHT))
    for stem, pixels in (("a", made), ("b", np.full_like(made, 128))):
        Image.fromarray(pixels).save(tmp_path / f"photos/city/{stem}_leftImg8bit.png")
    arguments = ("result", "out", "--photos", "photos", "--accuracy", "accuracy.json", "--size", f"{WIDTH}x{HEIGHT}")
    result = run(MODEL / "pix2pixhd_postprocess.py", *arguments, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    found = json.loads((tmp_path / "accuracy.json").read_text())
    values = {row["sample"]: row["value"] for row in found["rows"]}
    assert found["metric"] == "SSIM" and found["samples"] == 2 and list(values)[0] == "b_gtFine_labelIds"
    assert values["a_gtFine_labelIds"] == pytest.approx(1) and values["b_gtFine_labelIds"] < 0.2
    assert found["value"] == pytest.approx(sum(values.values()) / 2)
    assert "a_gtFine_labelIds: SSIM 1.0000" in result.stdout

    Image.fromarray(made[:-2]).save(tmp_path / "photos/city/b_leftImg8bit.png")
    one_line_error(run(MODEL / "pix2pixhd_postprocess.py", *arguments, cwd=tmp_path), "b_leftImg8bit.png", "expected")
    (tmp_path / "photos/city/b_leftImg8bit.png").unlink()
    one_line_error(run(MODEL / "pix2pixhd_postprocess.py", *arguments, cwd=tmp_path), "photos", "b_gtFine_labelIds",
                   "expected b_leftImg8bit.png")
    fewer = run(MODEL / "pix2pixhd_postprocess.py", *arguments, cwd=tmp_path, LIMIT="1")  # a's alone is there
    assert fewer.returncode == 0, fewer.stderr
    wrong = run(MODEL / "pix2pixhd_postprocess.py", "result", "out", "--accuracy", "x.json", cwd=tmp_path)
    assert wrong.returncode == 2 and "--accuracy needs --photos" in wrong.stderr


# agreement

def plain_ssim(x: np.ndarray, y: np.ndarray) -> float:
    """SSIM of two planes, position by position, straight from the formulas of Wang et al. 2004."""
    steps = np.arange(-5, 6)
    window = np.exp(-(steps[:, None] ** 2 + steps[None] ** 2) / (2 * 1.5 ** 2))
    window /= window.sum()
    values = []
    for top in range(x.shape[0] - 10):
        for left in range(x.shape[1] - 10):
            a, b = (plane[top:top + 11, left:left + 11].astype(float) for plane in (x, y))
            mean_a, mean_b = (window * a).sum(), (window * b).sum()
            variance_a, variance_b = (window * (a - mean_a) ** 2).sum(), (window * (b - mean_b) ** 2).sum()
            covariance = (window * (a - mean_a) * (b - mean_b)).sum()
            values.append((2 * mean_a * mean_b + 6.5025) * (2 * covariance + 58.5225)
                          / ((mean_a ** 2 + mean_b ** 2 + 6.5025) * (variance_a + variance_b + 58.5225)))
    return float(np.mean(values))


@pytest.mark.parametrize("height, width", [(17, 23), (11, 12), (26, 43), (27, 42)])  # parts of a block, whole ones, and more
def test_ssim_equals_the_formula_at_every_position(height, width):
    generator = np.random.default_rng(0)
    truth = generator.integers(0, 256, (height, width, 3)).astype(np.uint8)
    output = np.clip(truth * 0.8 + generator.normal(20, 15, truth.shape), 0, 255).astype(np.uint8)
    expected = np.mean([plain_ssim(output[..., channel], truth[..., channel]) for channel in range(3)])
    assert 0.5 < expected < 0.98
    assert metrics.ssim(output, truth) == pytest.approx(expected, abs=1e-9)
    assert metrics.ssim(truth, truth) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("kind", ["other noise", "a step apart", "bright and nearly flat"])
def test_ssim_of_a_large_picture_equals_that_by_opencv_s_filter(kind):
    generator = np.random.default_rng(1)
    truth = cv2.resize(generator.integers(0, 256, (20, 30, 3)).astype(np.uint8), (333, 250), interpolation=cv2.INTER_CUBIC)
    if kind == "bright and nearly flat":
        truth = 254 + truth // 128
    noise = generator.normal(0, 12, truth.shape) if kind == "other noise" else generator.integers(0, 2, truth.shape)
    output = np.clip(truth.astype(int) - noise, 0, 255).astype(np.uint8)

    def mean(values):
        return cv2.GaussianBlur(values, (11, 11), 1.5)[5:-5, 5:-5]
    x, y = output.astype(np.float64), truth.astype(np.float64)
    mean_x, mean_y = mean(x), mean(y)
    expected = np.mean((2 * mean_x * mean_y + 6.5025) * (2 * (mean(x * y) - mean_x * mean_y) + 58.5225)
                       / ((mean_x ** 2 + mean_y ** 2 + 6.5025)
                          * (mean(x * x) - mean_x ** 2 + mean(y * y) - mean_y ** 2 + 58.5225)))
    assert metrics.ssim(output, truth) == pytest.approx(expected, abs=1e-9) and expected < 0.9999


def test_ssim_s_matrix_products_are_so_small_that_openblas_starts_no_threads_for_them(monkeypatch):
    sizes, matmul = [], np.matmul

    def note(a, b, out):
        sizes.append(a.shape[-2] * a.shape[-1] * b.shape[-1])
        return matmul(a, b, out=out)
    monkeypatch.setattr(np, "matmul", note)
    metrics.ssim(*np.zeros((2, 30, 2048, 1), np.uint8))
    assert sizes and max(sizes) < 2 ** 18


def test_ssim_of_two_flat_pictures_by_hand():
    black, white = np.zeros((11, 11, 1), np.uint8), np.full((11, 11, 1), 255, np.uint8)
    assert metrics.ssim(black, white) == pytest.approx(6.5025 / (255 ** 2 + 6.5025))


def test_ssim_refuses_two_sizes_and_pictures_below_the_window():
    with pytest.raises(ValueError, match="shapes differ"):
        metrics.ssim(np.zeros((12, 12, 3), np.uint8), np.zeros((12, 13, 3), np.uint8))
    with pytest.raises(ValueError, match="smaller than the window"):
        metrics.ssim(np.zeros((10, 12, 3), np.uint8), np.zeros((10, 12, 3), np.uint8))


def test_agreement_names_the_worst_picture_and_gives_psnr_and_ssim_of_each(tmp_path, run):
    write_results(tmp_path / "expected", ("a", "b", "c"))
    shutil.copytree(tmp_path / "expected", tmp_path / "found")
    for stem, noise in (("b", 0.02), ("c", 0.01)):
        values = np.fromfile(tmp_path / f"expected/{stem}_1.bin", np.float32)
        (values + np.float32(noise)).tofile(tmp_path / f"found/{stem}_1.bin")
    result = run(MODEL / "pix2pixhd_agreement.py", "found", "expected", "--output", "agreement.json",
                 "--size", f"{WIDTH}x{HEIGHT}", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "a: PSNR equal, SSIM 1.000000" in result.stdout and "worst picture of 3: b" in result.stdout
    found = json.loads((tmp_path / "agreement.json").read_text())
    assert found["verdict"] == "pass" and found["samples"] == 3 and found["pictures"]["worst"] == "b"
    assert [row["sample"] for row in found["pictures"]["rows"]] == ["b", "c", "a"]
    ours, theirs = ((np.fromfile(tmp_path / f"{folder}/b_1.bin", np.float32).reshape(3, HEIGHT, WIDTH) + 1) / 2 * 255
                    for folder in ("found", "expected"))
    ours, theirs = (np.floor(np.clip(values, 0, 255)).astype(np.float64) for values in (ours, theirs))
    assert found["pictures"]["psnr"] == pytest.approx(10 * np.log10(255 ** 2 / np.mean((ours - theirs) ** 2)), abs=1e-6)
    assert found["pictures"]["ssim"] < 1 and found["pictures"]["rows"][2]["psnr"] is None


def test_agreement_fails_with_status_1_below_the_thresholds(tmp_path, run):
    write_results(tmp_path / "expected")
    write_results(tmp_path / "found", seed=1)
    result = run(MODEL / "pix2pixhd_agreement.py", "found", "expected", "--size", f"{WIDTH}x{HEIGHT}", cwd=tmp_path)
    assert result.returncode == 1 and "fail" in result.stdout and not result.stderr


def test_agreement_on_a_missing_sample_is_one_line(tmp_path, run):
    write_results(tmp_path / "expected")
    write_results(tmp_path / "found", ("a",))
    one_line_error(run(MODEL / "pix2pixhd_agreement.py", "found", "expected", "--size", f"{WIDTH}x{HEIGHT}",
                       cwd=tmp_path), "no result for b")


# the GPU log

LOG = """webpage ...
process image... ['datasets/cityscapes/test_label/frankfurt_000000_000576_gtFine_labelIds.png']
本次生成图像耗时5.25s
process image... ['datasets/cityscapes/test_label/frankfurt_000000_001236_gtFine_labelIds.png']
本次生成图像耗时0.49680328369140625s
process image... ['datasets/cityscapes/test_label/frankfurt_000000_003357_gtFine_labelIds.png']
本次生成图像耗时0.50319671630859375s
平均生成图像耗时0.5s (2, 不含第一张)
"""


def test_gpu_log_gives_the_mean_without_the_first_image(tmp_path, run):
    (tmp_path / "gpu.log").write_text(LOG, encoding="utf-8")
    result = run(MODEL / "pix2pixhd_gpu_log.py", "gpu.log", "--json", "gpu.json", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "2 images without the first: mean 0.5 s" in result.stdout and "2 images/s" in result.stdout
    found = json.loads((tmp_path / "gpu.json").read_text())
    assert found["mean"] == pytest.approx(0.5) and found["count"] == 2 and found["max"] == 0.50319671630859375
    assert pix2pixhd_gpu_log.read(tmp_path / "gpu.log")[0][0].endswith("frankfurt_000000_000576_gtFine_labelIds.png']")


@pytest.mark.parametrize("text, part", [
    ("", "times of 0 images"),
    ("\n".join(LOG.splitlines()[:3]), "times of 1 images"),
    (re.sub("process image.*001236.*\n", "", LOG), "gpu.log:4: a time without"),
    (LOG.replace("0.49680328369140625", "0.0"), "expected more than 0"),
], ids=["empty", "one image", "cut", "zero"])
def test_gpu_log_bad_input_is_one_line(tmp_path, run, text, part):
    (tmp_path / "gpu.log").write_text(text, encoding="utf-8")
    one_line_error(run(MODEL / "pix2pixhd_gpu_log.py", "gpu.log", cwd=tmp_path), part)


def test_the_lines_that_the_gpu_log_holds_are_those_that_the_diff_prints():
    printed = re.findall(r"print\('([^']*)'", (MODEL / "pix2pixhd_gpu.diff").read_text(encoding="utf-8"))
    assert any(pix2pixhd_gpu_log.SECONDS.search(text.replace("%s", "0.5")) for text in printed)
    assert sum(bool(pix2pixhd_gpu_log.SECONDS.search(text.replace("%s", "0.5"))) for text in printed) == 1


# export

@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small seeded checkpoint and its four exports: <input>_<reflect_pad>.onnx."""
    import local_enhancer
    from common.convert import checkpoint
    folder = tmp_path_factory.mktemp("exported")
    checkpoint.save(local_enhancer.seeded(1, **SMALL), folder / "latest_net_G.pth")
    for form in ("onehot", "labels"):
        for pad in ("pad", "slice"):
            pix2pixhd_pth2onnx.main(["--load_pretrain", str(folder), "--input", form, "--reflect_pad", pad,
                                     "--output_file", str(folder / f"{form}_{pad}.onnx"),
                                     "--size", f"{WIDTH}x{HEIGHT}"])
    return folder


def run_onnx(path: Path, prep: Path) -> List[np.ndarray]:
    from common.engines.onnxruntime_session import Session
    session = Session(path, device="cpu", threads=1)
    return [session.run([dataset.read_bin(record["bin"], record["shape"], record["dtype"])])[0]
            for record in dataset.read_manifest(prep)]


def ports(path: Path) -> List[Tuple[str, int, List[int]]]:
    import onnx
    model = onnx.load(str(path))
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 11)]
    return [(value.name, value.type.tensor_type.elem_type, [dim.dim_value for dim in value.type.tensor_type.shape.dim])
            for value in (*model.graph.input, *model.graph.output)]


def operators(path: Path) -> set:
    import onnx
    return {node.op_type for node in onnx.load(str(path)).graph.node}


def test_export_has_the_facts_names_types_and_shapes(exported):
    numbers = {"float32": 1, "uint8": 2}
    model = facts.load(MODEL)
    for form, tensor in zip(("onehot", "labels"), model.inputs):
        ours, output = ports(exported / f"{form}_pad.onnx")
        assert ours == (tensor.name, numbers[tensor.dtype], [*tensor.shape[:2], HEIGHT, WIDTH])
        assert output == (model.outputs[0].name, 1, [1, 3, HEIGHT, WIDTH])


def test_export_uses_plain_operators_alone(exported):
    plain = {"Conv", "ConvTranspose", "InstanceNormalization", "Relu", "AveragePool", "Add", "Tanh", "Constant"}
    assert operators(exported / "onehot_pad.onnx") == plain | {"Pad"}
    assert operators(exported / "labels_pad.onnx") == plain | {"Pad", "Cast", "Slice", "Equal", "Concat"}
    assert operators(exported / "onehot_slice.onnx") == plain | {"Slice", "Concat"}
    assert operators(exported / "labels_slice.onnx") == plain | {"Cast", "Slice", "Equal", "Concat"}


def test_all_four_exports_give_the_same_pixels_and_pytorchs(exported, maps, tmp_path):
    import torch

    import local_enhancer
    from common.convert import checkpoint
    for form in ("onehot", "labels"):
        preprocess(maps, tmp_path / form, form)
    network = local_enhancer.from_state(checkpoint.load(exported / "latest_net_G.pth"))
    reference = [network(torch.from_numpy(dataset.read_bin(record["bin"], record["shape"]))).detach().numpy()
                 for record in dataset.read_manifest(tmp_path / "onehot")]
    found = {name: run_onnx(exported / f"{name}.onnx", tmp_path / name.split("_")[0])
             for name in ("onehot_pad", "onehot_slice", "labels_pad", "labels_slice")}
    assert np.abs(reference[0] - reference[1]).max() > 0.1  # the two samples differ
    for name, outputs in found.items():
        for ours, first, theirs in zip(outputs, found["onehot_pad"], reference):
            assert (pix2pixhd_postprocess.to_uint8(ours) == pix2pixhd_postprocess.to_uint8(first)).all(), name
            assert np.abs(ours - theirs).max() < 1e-4, name


def test_pytorch_infer_takes_both_forms_and_gives_the_same(exported, maps, tmp_path):
    from common.infer import pytorch_infer
    outputs = []
    for form in ("onehot", "labels"):
        preprocess(maps, tmp_path / form, form)
        pytorch_infer.infer(exported / "latest_net_G.pth", tmp_path / form, tmp_path / f"{form}_out", MODEL)
        outputs.append([path.read_bytes() for path in sorted((tmp_path / f"{form}_out").glob("*_1.bin"))])
    assert len(outputs[0]) == 2 and outputs[0] == outputs[1]


def test_a_label_id_beyond_the_last_gives_no_plane_a_one():
    import torch

    import local_enhancer
    taken = []
    network = local_enhancer.FromLabels(lambda x: taken.append(x) or x)
    network(torch.tensor([[[[0, 34, 35, 255]], [[0, 1, 1, 0]]]], dtype=torch.uint8))
    assert taken[0].shape == (1, 36, 1, 4) and taken[0].dtype == torch.float32
    assert taken[0][0, :35].sum(0).tolist() == [[1, 1, 0, 0]] and taken[0][0, 35].tolist() == [[0, 1, 1, 0]]
    assert taken[0][0, 0, 0, 0] == 1 and taken[0][0, 34, 0, 1] == 1


def test_export_without_a_checkpoint_is_one_line(tmp_path, run):
    result = run(MODEL / "pix2pixhd_pth2onnx.py", "--load_pretrain", tmp_path, "--output_file", tmp_path / "x.onnx")
    one_line_error(result, "latest_net_G.pth: expected a checkpoint there, found nothing")


@pytest.mark.parametrize("make_it, part", [
    (lambda folder: (folder / "latest_net_G.pth").write_bytes(b"no checkpoint"),
     "latest_net_G.pth: is no PyTorch checkpoint"),
    (lambda folder: save(folder, channels=35), "latest_net_G.pth: the generator takes 35 channels, expected 36"),
    (lambda folder: save(folder, drop="model1_1.4.weight"), "model1_1.4.weight: expected"),
], ids=["garbage", "without instances", "missing tensor"])
def test_export_of_a_bad_checkpoint_is_an_error_and_leaves_no_file(tmp_path, make_it, part):
    make_it(tmp_path)
    with pytest.raises(UserError, match=re.escape(part)):
        pix2pixhd_pth2onnx.main(["--load_pretrain", str(tmp_path), "--output_file", str(tmp_path / "x.onnx"),
                                 "--size", f"{WIDTH}x{HEIGHT}"])
    assert [path.name for path in tmp_path.iterdir()] == ["latest_net_G.pth"]


def save(folder: Path, drop: str = "", **widths: int) -> None:
    import local_enhancer
    from common.convert import checkpoint
    state = dict(local_enhancer.seeded(0, **{**SMALL, **widths}).state_dict())
    state.pop(drop, None)
    checkpoint.save(state, folder / "latest_net_G.pth")


def test_atc_lines_of_the_facts_stand_in_the_script():
    script = " ".join((MODEL / "test/pth2om.sh").read_text().replace("\\\n", " ").split())
    for line in facts.load(MODEL).atc:
        assert line.replace("${soc}", '"$soc_version"') in script


# scripts and make

@pytest.mark.parametrize("script", sorted(path.name for path in MODEL.glob("*.py") if path.name != "local_enhancer.py"))
def test_every_script_prints_help_without_importing_torch(script, run):
    result = run("-X", "importtime", MODEL / script, "--help")
    assert result.returncode == 0 and "usage:" in result.stdout
    assert "torch" not in result.stderr


def shell(script: str, *arguments: object, cwd: Path, **variables: str) -> subprocess.CompletedProcess:
    return subprocess.run(["bash", str(MODEL / "test" / script), *map(str, arguments)], cwd=str(cwd), timeout=600,
                          capture_output=True, text=True, env=environment(**variables))


@pytest.mark.parametrize("script", ["pth2om.sh", "eval_acc_perf.sh"])
def test_shell_scripts_refuse_another_input(script, tmp_path):
    result = shell(script, "--input=pictures", cwd=tmp_path)
    assert result.returncode == 2 and "--input: expected onehot or labels, found pictures" in result.stderr


def test_perf_t4_reads_the_log_of_an_earlier_run(tmp_path):
    (tmp_path / "a log").write_text(LOG, encoding="utf-8")
    result = shell("perf_t4.sh", "--log=a log", cwd=tmp_path)
    assert result.returncode == 0 and "mean 0.5 s" in result.stdout, result.stderr


def test_perf_t4_wants_an_upstream_with_the_diff(tmp_path):
    result = shell("perf_t4.sh", cwd=tmp_path)
    assert result.returncode == 2 and "--upstream" in result.stderr
    result = shell("perf_t4.sh", "--upstream=.", "--datasets_path=.", cwd=tmp_path)
    assert result.returncode == 1 and "clone pix2pixHD there" in result.stderr
    (tmp_path / "test.py").write_text("")
    result = shell("perf_t4.sh", "--upstream=.", "--datasets_path=.", cwd=tmp_path)
    assert result.returncode == 1 and "apply pix2pixhd_gpu.diff" in result.stderr


def test_makefile_refuses_another_input():
    result = subprocess.run(["make", "-C", str(MODEL), "help", "INPUT=pictures"], capture_output=True, text=True,
                            env=environment())
    assert result.returncode == 2 and "INPUT=pictures: expected onehot or labels" in result.stderr


def make(folder: Path, *arguments: str) -> str:
    result = subprocess.run(["make", "-C", str(folder), "all", f"PYTHON={sys.executable}", *arguments],
                            capture_output=True, text=True, timeout=600, env=environment())
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.mark.full
def test_make_goes_the_whole_way_in_a_copied_folder_with_both_inputs(tmp_path):
    folder = tmp_path / "a copy/Pix2pixHD"
    shutil.copytree(MODEL, folder, ignore=shutil.ignore_patterns("build", "common", "result", "prep", "__pycache__"))
    pictures, sizes = [], []
    for form in ("onehot", "labels"):
        output = make(folder, f"INPUT={form}", "SEEDED=ngf=2")
        assert "never trained" in output and ": pass" in output
        assert "pix2pixhd_" not in make(folder, f"INPUT={form}", "SEEDED=ngf=2")  # nothing is left to do
        pictures.append((folder / "build/pictures.json").read_text())
        sizes.append({path.stat().st_size for path in (folder / "build/prep").glob("*.bin")})
    assert pictures[0] == pictures[1] and sizes == [{301_989_888}, {4_194_304}]
    assert len(list((folder / "build/pictures").glob("*_gtFine_labelIds_1generated.jpg"))) == 3


@pytest.mark.full
def test_every_readme_line_runs_as_printed(tmp_path):
    """The README's commands, but make's and those that need an NPU, a GPU or the network, in one bash, in order."""
    data, folder = shared("data", "cityscapes"), tmp_path / "Pix2pixHD"
    shutil.copytree(MODEL, folder, ignore=shutil.ignore_patterns("build", "common", "result", "prep", "__pycache__"))
    (folder / "common").symlink_to(ROOT / "common")
    city = folder / "gtFine/test/frankfurt"
    city.mkdir(parents=True)
    for path in data.glob("test_*/frankfurt_000000_000576_*.png"):
        (city / path.name).symlink_to(path)
    (folder / "checkpoints/label2city_1024p").mkdir(parents=True)
    save(folder / "checkpoints/label2city_1024p")
    blocks = re.findall(r"^```\n(.*?)^```$", (folder / "README.md").read_text(encoding="utf-8"), re.M | re.S)
    elsewhere = ("make ", "./benchmark", "atc ", "git ", "patch ", "bash test/perf_t4.sh")
    lines = [line for block in blocks for line in block.splitlines() if not line.startswith(elsewhere)]
    assert len(lines) == 16
    path = f"{Path(sys.executable).parent}:{environment()['PATH']}"
    result = subprocess.run(["bash", "-e", "-c", "\n".join(lines)], cwd=folder, capture_output=True, text=True,
                            env=environment(PATH=path), timeout=900)
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr
    assert (folder / "pictures/frankfurt_000000_000576_gtFine_labelIds_1generated.jpg").stat().st_size > 0
    assert json.loads((folder / "result/agreement.json").read_text())["verdict"] == "pass"


@pytest.mark.full
def test_ten_pictures_of_the_full_width_are_the_same_from_both_inputs(tmp_path, run):
    data = shared("data", "cityscapes")
    seed = run("-m", "common.convert.seed", "--model", MODEL, "--output", tmp_path / "latest_net_G.pth", cwd=MODEL)
    assert seed.returncode == 0, seed.stderr
    found: Dict[str, List[str]] = {}
    for form in ("onehot", "labels"):
        model_file = tmp_path / f"{form}.onnx"
        result = run(MODEL / "pix2pixhd_pth2onnx.py", "--load_pretrain", tmp_path, "--output_file", model_file,
                     "--input", form, timeout=600)
        assert result.returncode == 0, result.stderr
        assert 700_000_000 < model_file.stat().st_size < 2 ** 31  # whole in one file, below protobuf's limit
        found[form] = pixels(model_file, data, pix2pixhd_preprocess.FORMS[form])
        model_file.unlink()
    assert len(set(found["onehot"])) == 10 and found["onehot"] == found["labels"]


def pixels(model_file: Path, data: Path, form: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> List[str]:
    """SHA-256 of the picture of every pair in `data`."""
    from common.engines.onnxruntime_session import Session
    session = Session(model_file, device="cpu")
    found = []
    for _, (path, other) in pix2pixhd_preprocess.pair(data):
        labels, instances = pix2pixhd_preprocess.read(path, other, (2048, 1024))
        output = session.run([form(labels, pix2pixhd_preprocess.edges(instances))])[0]
        found.append(hashlib.sha256(pix2pixhd_postprocess.to_uint8(output).tobytes()).hexdigest())
    return found
