"""The models' infer.py: in memory the same values as by files, and what make try writes."""
from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import edsr
import local_enhancer
import nested_unet
import onnx_models
from common.base import facts, pictures
from common.convert import checkpoint
from common.data import cityscapes
from common.engines import interface
from conftest import MODELS, ROOT, environment, one_line_error
from test_make import copy_project


def script(model: str) -> dict:
    """The names in a model's infer.py."""
    return runpy.run_path(str(ROOT / model / "infer.py"))


def export(run, model: str, *arguments: object) -> None:
    result = run(ROOT / model / arguments[0], *arguments[1:])
    assert result.returncode == 0, result.stderr


def photo(seed: int, height: int, width: int) -> np.ndarray:
    """Smooth noise, so that networks see something like a picture."""
    small = np.random.default_rng(seed).integers(0, 256, (height // 8, width // 8, 3), np.uint8)
    return np.asarray(Image.fromarray(small).resize((width, height), Image.BICUBIC))


def seeded(module, path, **widths):
    checkpoint.save(module.seeded(0, **widths), path)
    return path


@pytest.mark.parametrize("model", MODELS)
def test_an_example_is_at_most_80_lines(model):
    assert len((ROOT / model / "infer.py").read_text().splitlines()) <= 80


def by_tool(run, folder, onnx, prep, form="benchmark"):
    """The outputs of a folder of .bin files by the inference tool: raw bytes by sample."""
    if form == "ais":
        line = ("-m", "common.tools.ais_infer", "--model", onnx, "--input", prep, "--output", folder / "r",
                "--output_dirname", "out")
        place = folder / "r/out"
    else:
        line = ("-m", "common.tools.msame", "--model", onnx, "--input", prep, "--output", folder / "r")
        place = folder / "r"
    (folder / "r").mkdir(exist_ok=True)
    result = run(*line)
    assert result.returncode == 0, result.stderr
    return {path.stem: path.read_bytes() for path in place.rglob("*.bin")}


def test_edsr_of_fixed_size_gives_the_pixels_of_the_file_way(run, tmp_path):
    pth = seeded(edsr, tmp_path / "e.pth", blocks=1, features=8)
    export(run, "EDSR", "edsr_pth2onnx.py", "--pth", pth, "--onnx", tmp_path / "e.onnx", "--size", 40)
    picture = photo(1, 32, 40)
    for folder, pixels in (("LR", picture), ("HR", photo(1, 64, 80))):
        (tmp_path / folder).mkdir()
        pictures.write_rgb(tmp_path / folder / "a.png", pixels)
    export(run, "EDSR", "edsr_preprocess.py", "-s", tmp_path / "LR", "-d", tmp_path / "prep", "--size", 40)
    by_tool(run, tmp_path, tmp_path / "e.onnx", tmp_path / "prep/bin", "ais")
    export(run, "EDSR", "edsr_postprocess.py", "--res", tmp_path / "r/out", "--HR", tmp_path / "HR", "--save",
           tmp_path / "save", "--json", tmp_path / "x.json")
    found = script("EDSR")["infer"](interface.load(0, tmp_path / "e.onnx"), picture)
    assert np.array_equal(found, pictures.read_rgb(tmp_path / "save/a.png"))


def test_edsr_of_free_size_equals_pytorch_on_the_picture_alone_within_a_level(run, tmp_path):
    torch = pytest.importorskip("torch")
    pth = seeded(edsr, tmp_path / "e.pth", blocks=2, features=8)
    export(run, "EDSR", "edsr_pth2onnx.py", "--pth", pth, "--onnx", tmp_path / "e.onnx", "--size", "free")
    session = interface.load(0, tmp_path / "e.onnx")
    assert session.get_inputs()[0].shape == [1, 3, -1, -1]
    network = edsr.from_state(checkpoint.load(pth))
    for height, width in ((24, 56), (41, 33)):
        picture = photo(2, 56, 56)[:height, :width]
        with torch.no_grad():
            wanted = network(torch.from_numpy(picture.transpose(2, 0, 1)[None].astype(np.float32)))[0].numpy()
        found = script("EDSR")["infer"](session, picture)
        assert found.shape == (2 * height, 2 * width, 3)
        wanted = np.clip(np.round(wanted), 0, 255).transpose(1, 2, 0)
        assert np.abs(found - wanted).max() <= 1 and (found == wanted).mean() > 0.999


def test_unetplusplus_gives_the_mask_of_the_file_way(run, tmp_path):
    pth = seeded(nested_unet, tmp_path / "u.pth", filters=(4, 8, 8, 8, 8))
    export(run, "UNetPlusPlus", "nested_unet_pth2onnx.py", pth, tmp_path / "u.onnx")
    (tmp_path / "images").mkdir()
    picture = photo(3, 120, 96)
    pictures.write_rgb(tmp_path / "images/a.png", picture)
    (tmp_path / "ids").write_text("a\n")
    export(run, "UNetPlusPlus", "preprocess_nested_unet.py", tmp_path / "images", tmp_path / "prep", tmp_path / "ids")
    (raw,) = by_tool(run, tmp_path, tmp_path / "u.onnx", tmp_path / "prep", "ais").values()
    names = script("UNetPlusPlus")
    session = interface.load(0, tmp_path / "u.onnx")
    mask = names["infer"](session, picture, facts.load(ROOT / "UNetPlusPlus"))
    assert np.array_equal(mask, np.frombuffer(raw, np.float32).reshape(96, 96) > 0) and 0 < mask.mean() < 1
    drawn = names["draw"](picture, np.eye(96, dtype=bool))
    assert drawn.shape == picture.shape and not np.array_equal(drawn, picture)
    assert np.array_equal(names["draw"](picture, np.zeros((96, 96), bool)), picture)


def test_cgan_writes_the_digits_of_the_file_way(run, tmp_path):
    export(run, "CGAN", "CGAN_pth2onnx.py", "--pth_path", ROOT / "CGAN/demo.pth", "--onnx_path", tmp_path / "c.onnx")
    export(run, "CGAN", "CGAN_preprocess.py", "--save_path", tmp_path / "prep", "--seed", 7, "--pth_path",
           ROOT / "CGAN/demo.pth")
    (raw,) = by_tool(run, tmp_path, tmp_path / "c.onnx", tmp_path / "prep/input.bin").values()
    found = script("CGAN")["infer"](interface.load(0, tmp_path / "c.onnx"), 7, facts.load(ROOT / "CGAN"))
    assert found.shape[:2] == (10, 10) and found.tobytes() == raw
    for digits, (height, width) in (("7", (1, 10)), ("26", (10, 2))):  # one digit's hands are a row
        result = run(ROOT / "CGAN/infer.py", digits, "--model", tmp_path / "c.onnx", "--output", tmp_path / "try", "--seed", 7)
        assert result.returncode == 0, result.stderr
        tall, wide = pictures.read_rgb(tmp_path / f"try/{digits}_seed_7_digits.png").shape[:2]
        assert abs(tall / wide - height / width) < 0.15 * height / width


def test_intrada_gives_the_classes_of_the_file_way(run, tmp_path):
    export(run, "IntraDA", "intrada_pth2onnx.py", ROOT / "IntraDA/demo.pth", tmp_path / "i.onnx")
    place = tmp_path / "leftImg8bit/val/city"
    place.mkdir(parents=True)
    picture = photo(4, 1024, 2048)
    pictures.write_rgb(place / "city_000000_000000_leftImg8bit.png", picture)
    export(run, "IntraDA", "intrada_preprocess.py", tmp_path, tmp_path / "prep")
    (raw,) = by_tool(run, tmp_path, tmp_path / "i.onnx", tmp_path / "prep", "ais").values()
    names = script("IntraDA")
    found = names["infer"](interface.load(0, tmp_path / "i.onnx"), picture, facts.load(ROOT / "IntraDA"))
    wanted = names["segment"](np.frombuffer(raw, np.float32).reshape(19, 65, 129), 1024, 2048)
    assert np.array_equal(found, wanted) and len(np.unique(found)) > 1


@pytest.mark.parametrize("form", ["onehot", "labels"])
def test_pix2pixhd_makes_the_picture_of_the_file_way(run, tmp_path, form):
    pth = seeded(local_enhancer, tmp_path / "p.pth", ngf=4, downsamplings=2, global_blocks=1, local_blocks=1)
    export(run, "Pix2pixHD", "pix2pixhd_pth2onnx.py", "--load_pretrain", pth, "--output_file", tmp_path / "p.onnx",
           "--input", form, "--size", "64x32")
    labels = np.random.default_rng(5).integers(0, 35, (32, 64), np.uint8).repeat(4, 0)[:32]
    instances = labels.astype(np.uint16) * 1000
    for folder, ending, pixels in (("test_label", cityscapes.LABEL_IDS, labels),
                                   ("test_inst", cityscapes.INSTANCE_IDS, instances)):
        (tmp_path / folder).mkdir()
        Image.fromarray(pixels).save(tmp_path / folder / f"a_{ending}.png")
    export(run, "Pix2pixHD", "pix2pixhd_preprocess.py", tmp_path, tmp_path / "prep", "--input", form, "--size", "64x32")
    (raw,) = by_tool(run, tmp_path, tmp_path / "p.onnx", tmp_path / "prep", "ais").values()
    names = script("Pix2pixHD")
    found = names["infer"](interface.load(0, tmp_path / "p.onnx"), labels, instances)
    assert np.array_equal(found, names["to_uint8"](np.frombuffer(raw, np.float32).reshape(1, 3, 32, 64)))
    result = run(ROOT / "Pix2pixHD/infer.py", tmp_path / "test_label", "--model", tmp_path / "p.onnx", "--output",
                 tmp_path / "try")
    assert result.returncode == 0 and "a photo of 64 x 32 made of" in result.stdout, result.stderr
    assert np.array_equal(pictures.read_rgb(tmp_path / f"try/a_{cityscapes.LABEL_IDS}_photo.png"), found)


def test_a_large_picture_goes_through_in_tiles_and_comes_out_as_the_whole_does(run, tmp_path):
    pth = seeded(edsr, tmp_path / "e.pth", blocks=2, features=8)
    export(run, "EDSR", "edsr_pth2onnx.py", "--pth", pth, "--onnx", tmp_path / "e.onnx", "--size", "free")
    session, names, picture = interface.load(0, tmp_path / "e.onnx"), script("EDSR"), photo(3, 48, 88)[:45, :81]
    whole = names["infer"](session, picture)
    assert len(session.summary().exec_time_list) == 1
    names["infer"].__globals__.update(TILE=20, HALO=2 * 2 + 4)
    tiles = names["infer"](session, picture)
    assert len(session.summary().exec_time_list) == 1 + 3 * 5 and tiles.shape == whole.shape == (90, 162, 3)
    assert np.abs(tiles.astype(int) - whole).max() <= 1 and (tiles == whole).mean() > 0.999


@pytest.mark.parametrize("model, given", [(model, {"CGAN": "7"}.get(model, "a.png")) for model in MODELS])
def test_a_model_of_another_network_is_one_line(model, given, run, tmp_path):
    pictures.write_rgb(tmp_path / "a.png", photo(8, 24, 24))
    onnx_models.affine(tmp_path / "m.onnx", metadata={"network": "Another"})
    one_line_error(run(ROOT / model / "infer.py", given, "--model", "m.onnx", cwd=tmp_path), f"m.onnx: is a model of Another, expected one of {model}")
    assert not (tmp_path / "build").exists()


def test_what_was_done_before_a_picture_that_fails_is_on_the_page_and_a_damaged_list_begins_anew(run, tmp_path, free):
    pictures.write_rgb(tmp_path / "a.png", photo(8, 24, 24))
    (tmp_path / "b.png").write_bytes(b"no picture")
    (tmp_path / "try").mkdir()
    (tmp_path / "try/tries.json").write_text("[")
    result = run(ROOT / "EDSR/infer.py", "a.png", "b.png", "--model", free, "--output", "try", cwd=tmp_path)
    assert result.returncode == 1 and "a_edsr.png" in (tmp_path / "try/index.html").read_text()
    odd = os.fsdecode(b"\xff.png")
    pictures.write_rgb(tmp_path / "c.png", photo(8, 24, 24))
    (tmp_path / "c.png").rename(tmp_path / odd)
    one_line_error(run(ROOT / "EDSR/infer.py", odd, "--model", free, "--output", "try", cwd=tmp_path), "is not UTF-8")


# what is written

@pytest.fixture(scope="module")
def free(tmp_path_factory):
    """A narrow EDSR of free size."""
    folder = tmp_path_factory.mktemp("free")
    pth = seeded(edsr, folder / "e.pth", blocks=1, features=8)
    subprocess.run([sys.executable, ROOT / "EDSR/edsr_pth2onnx.py", "--pth",
                    pth, "--onnx", folder / "e.onnx", "--size", "free"], check=True, env=environment(),
                   capture_output=True)
    return folder / "e.onnx"


def test_a_folder_and_a_file_are_tried_and_gathered_on_one_page(run, tmp_path, free):
    (tmp_path / "own").mkdir()
    for name in ("a b", "c"):
        pictures.write_rgb(tmp_path / f"own/{name}.png", photo(6, 24, 40))
    pictures.write_rgb(tmp_path / "d.jpg", photo(7, 24, 24))

    def tried(*given):
        return run(ROOT / "EDSR/infer.py", *given, "--model", free, "--output", tmp_path / "try")

    first = tried(tmp_path / "own", tmp_path / "d.jpg")
    assert first.returncode == 0, first.stderr
    assert "c_edsr.png: 40 x 24 pixels made 80 x 48, beside bicubic; " in first.stdout
    assert pictures.read_rgb(tmp_path / "try/a_b_edsr.png").shape == (48, 80, 3)
    assert tried(tmp_path / "d.jpg").returncode == 0
    assert [entry["name"] for entry in json.loads((tmp_path / "try/tries.json").read_text())] == ["d", "c", "a_b"]
    page = (tmp_path / "try/index.html").read_text(encoding="utf-8")
    assert page.count("<img") == 6 and page.index("d_edsr.png") < page.index("c_edsr.png")


def test_bad_pictures_are_one_line_and_leave_no_result(run, tmp_path, free):
    pictures.write_rgb(tmp_path / "a.png", photo(8, 24, 24))
    pictures.write_rgb(tmp_path / "x/a.png", photo(8, 24, 24))
    (tmp_path / "broken.png").write_bytes(b"no picture")

    def tried(*given, model=free):
        return run(ROOT / "EDSR/infer.py", *given, "--model", model, "--output", tmp_path / "try")

    one_line_error(tried(tmp_path / "none.png"), "none.png: expected a picture")
    one_line_error(tried(tmp_path / "broken.png"), "cannot be decoded")
    one_line_error(tried(tmp_path / "a.png", model=tmp_path / "m.onnx"), "m.onnx")
    assert not list(tmp_path.glob("try/*.png"))
    one_line_error(tried(tmp_path / "a.png", tmp_path / "x/a.png"), "would be written to a_*.png, as")
    assert run(ROOT / "CGAN/infer.py", "seven").returncode == 2


@pytest.mark.full
def test_make_try_takes_names_from_where_it_was_called_and_exports_once(tmp_path):
    if not (ROOT / ".venv/installed").exists():
        pytest.fail("run the tests by `make test`: this one needs the project's own .venv")
    project = copy_project(tmp_path)
    pictures.write_rgb(tmp_path / "one's own" / "a b.png", photo(9, 24, 32))
    pictures.write_rgb(tmp_path / "one's own" / "c.png", photo(9, 24, 32))

    def tried(**more):
        line = ["make", "-C", str(project / "EDSR"), "try", "SEEDED=blocks=1 features=8",
                *(f"{name}={value}" for name, value in more.items())]
        return subprocess.run(line, cwd=tmp_path / "one's own", capture_output=True, text=True,
                              env=environment(PWD=str(tmp_path / "one's own")))

    first = tried(PICTURE="a b.png")
    assert first.returncode == 0 and "a_b_edsr.png: 32 x 24 pixels made 64 x 48" in first.stdout, first.stderr
    again = tried(PICTURE="c.png ./c.png")
    assert again.returncode == 0 and "edsr_pth2onnx" not in again.stdout and "c_edsr.png" in again.stdout, again.stderr
    without = tried()
    assert without.returncode == 2 and "needs a picture: PICTURE=FILE" in without.stderr
    assert not (project / "EDSR/build/demo").exists()
