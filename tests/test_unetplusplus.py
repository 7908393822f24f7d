"""UNet++'s scripts, on small data drawn here and on the shared known answers."""
from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

import postprocess_nested_unet
import prepare_dsb2018
import preprocess_nested_unet
from common.base import facts
from common.base.errors import UserError
from conftest import ROOT, environment, one_line_error, shared

UNET = ROOT / "UNetPlusPlus"
NARROW = (2, 3, 4, 5, 6)


def preprocess(image: np.ndarray) -> np.ndarray:
    extra = facts.load(UNET).extra
    return preprocess_nested_unet.preprocess(image, 96, extra["mean"], extra["std"])


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """images, masks/0 and ids.txt of three samples b, a, c; masks are half set."""
    generator = np.random.default_rng(3)
    for folder in ("images", "masks/0"):
        (tmp_path / folder).mkdir(parents=True)
    for name in "abc":
        Image.fromarray(generator.integers(0, 256, (96, 96, 3), np.uint8)).save(tmp_path / f"images/{name}.png")
        mask = np.zeros((96, 96), np.uint8)
        mask[:48] = 255
        Image.fromarray(mask).save(tmp_path / f"masks/0/{name}.png")
    (tmp_path / "ids.txt").write_text("b\na\nc\n")
    return tmp_path


def write_results(folder: Path, names="abc", pattern: str = "{}_0.bin") -> Path:
    """Results that call the upper half of the left half nucleus: IoU 1/2 with the masks of `data`."""
    folder.mkdir(exist_ok=True, parents=True)
    logits = np.full((1, 1, 96, 96), -0.3, np.float32)
    logits[..., :48, :48] = 0.3
    for name in names:
        logits.tofile(folder / pattern.format(name))
    return folder


def write_summary(path: Path, entries: dict) -> Path:
    path.write_text(json.dumps({"filesinfo": {str(number): {"infiles": [infile], "outfiles": [outfile]}
                                              for number, (infile, outfile) in enumerate(entries.items())}}))
    return path


def postprocess(run, data: Path, results: object = "res", **variables: str):
    return run(UNET / "postprocess_nested_unet.py", results, "masks/0", "--val_ids", "ids.txt", "--accuracy",
               "accuracy.json", cwd=data, **variables)


# the facts

def test_the_list_of_ids_is_the_references():
    assert (UNET / "val_ids.txt").read_text().split() == shared("data", "dsb2018_96", "val_ids.txt").read_text().split()


def test_facts_hold_the_references_throughput_at_each_batch_size():
    model = facts.load(UNET)
    table = {device: [model.reference("throughput", device, batch).value for batch in (1, 4, 8, 16, 32)]
             for device in ("310", "310P3", "T4")}
    assert table == {"310": [1674.95, 1868.41, 1845.84, 1757.90, 1724.39],
                     "310P3": [1681.60, 2495.60, 1907.81, 1852.47, 1796.60],
                     "T4": [320.59, 400.84, 458.39, 549.96, 568.22]}


# preprocess

def test_preprocess_statistics_and_values_equal_the_known_answers(tmp_path, run):
    expected = json.loads(shared("golden", "expected.json").read_text())["preprocess"]["UNetPlusPlus"]
    images = shared("data", "dsb2018_96", "images")
    result = run(UNET / "preprocess_nested_unet.py", images, tmp_path, UNET / "val_ids.txt")
    assert result.returncode == 0, result.stderr
    assert len(list(tmp_path.glob("*.bin"))) == 134
    for name, answer in expected.items():
        values = np.fromfile(tmp_path / name, np.float32)
        assert values.size == answer["size"]
        found = {"mean": values.mean(dtype=float), "std": values.std(dtype=float),
                 "min": values.min(), "max": values.max()}
        for key, value in found.items():
            assert value == pytest.approx(answer[key], rel=1e-5), (name, key)
        for index, value in answer["samples"].items():
            assert values[int(index)] == pytest.approx(value, rel=1e-5), (name, index)


def test_preprocess_is_blue_first_normalized_and_divided_by_255_twice(tmp_path, run):
    (tmp_path / "images").mkdir()
    Image.new("RGB", (96, 96), (10, 20, 30)).save(tmp_path / "images/a.png")
    (tmp_path / "ids.txt").write_text("a")
    assert run(UNET / "preprocess_nested_unet.py", "images", "prep", "ids.txt", cwd=tmp_path).returncode == 0
    planes = np.fromfile(tmp_path / "prep/a.bin", np.float32).reshape(3, -1)
    expected = [(30 / 255 - 0.485) / 0.229 / 255, (20 / 255 - 0.456) / 0.224 / 255, (10 / 255 - 0.406) / 0.225 / 255]
    for plane, value in zip(planes, expected):
        assert plane == pytest.approx(value, rel=1e-5)


def test_an_image_of_another_size_is_resized_bilinearly_without_antialiasing():
    columns = np.tile(np.array([255, 100, 200, 255], np.uint8), 96)  # of each four, the middle two are averaged
    image = np.repeat(np.broadcast_to(columns, (192, 384))[..., None], 3, 2)
    assert preprocess(np.ascontiguousarray(image))[0, 0] == pytest.approx((150 / 255 - 0.485) / 0.229 / 255, rel=1e-5)


def test_decoding_equals_opencvs_on_every_validation_image():
    folder = shared("data", "dsb2018_96", "images")
    from common.base.pictures import read_rgb
    for path in preprocess_nested_unet.find(folder, preprocess_nested_unet.read_ids(UNET / "val_ids.txt")):
        assert (read_rgb(path)[..., ::-1] == cv2.imread(str(path))).all(), path


def test_preprocess_takes_the_listed_ids_in_their_order_and_limit_the_first(data, run):
    for limit, names in (("", ["b", "a", "c"]), ("2", ["b", "a"])):
        result = run(UNET / "preprocess_nested_unet.py", "images", "prep", "ids.txt", cwd=data, LIMIT=limit)
        assert result.returncode == 0, result.stderr
        manifest = json.loads((data / "prep/manifest.json").read_text())
        assert [(record["id"], record["shape"]) for record in manifest["samples"]] == [
            (name, [1, 3, 96, 96]) for name in names]
        assert sorted(path.name for path in (data / "prep").glob("*.bin")) == sorted(f"{name}.bin" for name in names)


@pytest.mark.parametrize("break_it, parts", [
    (lambda folder: (folder / "ids.txt").unlink(), ["ids.txt: expected a list of image ids there, found nothing"]),
    (lambda folder: (folder / "ids.txt").write_text("\n"), ["ids.txt: lists no image id"]),
    (lambda folder: (folder / "ids.txt").write_text("a\nb\na\n"), ["ids.txt: lists a twice"]),
    (lambda folder: (folder / "ids.txt").write_text("../images/a\n"), ["'../images/a', is no image id"]),
    (lambda folder: (folder / "ids.txt").write_text("a\nmore/a\n"), ["entry 2, 'more/a', is no image id"]),
    (lambda folder: (folder / "ids.txt").write_text("a\nx\ny\n"), ["images/x.png and 1 more of 3: no such image"]),
    (lambda folder: (folder / "images/a.png").unlink(), ["images/a.png: no such image, though the id is listed"]),
    (lambda folder: shutil.rmtree(folder / "images"), ["images: expected a folder with one image <id>.png per id"]),
    (lambda folder: [path.unlink() for path in (folder / "images").iterdir()], ["images/b.png and 2 more of 3"]),
    (lambda folder: (folder / "images/a.png").write_bytes(b"no picture"), ["a.png: cannot be decoded"]),
    (lambda folder: (folder / "images/c.png").write_bytes((folder / "images/c.png").read_bytes()[:900]),
     ["c.png: cannot be decoded"]),
    (lambda folder: Image.new("RGBA", (96, 96), (1, 2, 3, 4)).save(folder / "images/c.png"),
     ["c.png: has transparent"]),
    (lambda folder: (folder / "prep").write_text("in the way"), ["prep"]),
], ids=["no list", "empty list", "id twice", "id with a path", "id in a folder", "missing ids", "mask without image",
        "no folder", "empty folder", "not a picture", "truncated", "transparent", "file in the way"])
def test_preprocess_bad_input_is_one_line(data, run, break_it, parts):
    break_it(data)
    one_line_error(run(UNET / "preprocess_nested_unet.py", "images", "prep", "ids.txt", cwd=data), *parts)
    assert not (data / "prep/manifest.json").exists()


# postprocess

def test_iou_equals_the_known_answer(tmp_path, run):
    expected = json.loads(shared("golden", "expected.json").read_text())["postprocess"]["UNetPlusPlus"]["IoU"]
    spec = importlib.util.spec_from_file_location("make_outputs", shared("golden", "make_outputs.py"))
    make_outputs = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(make_outputs)
    make_outputs.unetplusplus(shared("data"), tmp_path, np.random.default_rng(101))  # its third model, seeds from 99
    result = run(UNET / "postprocess_nested_unet.py", tmp_path / "result", shared("data", "dsb2018_96", "masks", "0"),
                 "--accuracy", tmp_path / "accuracy.json")
    assert result.returncode == 0, result.stderr
    accuracy = json.loads((tmp_path / "accuracy.json").read_text())
    assert accuracy["value"] == pytest.approx(expected, abs=1e-9) and accuracy["samples"] == 134
    assert result.stdout.splitlines()[-2:] == [f"IoU over 134 images: {expected:.4f}", f"IoU: {expected:.4f}"]
    assert len(result.stdout.splitlines()) == 136


@pytest.mark.parametrize("logit, nucleus", [(-0.01, False), (0.0, False), (0.01, True), (0.49, True)])
def test_the_threshold_is_sigmoid_one_half_not_logit_one_half(logit, nucleus):
    truth = np.full((4, 4), 255, np.uint8)
    found = postprocess_nested_unet.score(np.full((1, 1, 4, 4), logit, np.float32), truth)
    assert found == pytest.approx(float(nucleus), abs=1e-6)


def test_a_mask_counts_above_one_half():
    logits = np.ones((1, 1, 2, 2), np.float32)
    truth = np.array([[127, 127], [127, 128]], np.uint8)
    assert postprocess_nested_unet.score(logits, truth) == pytest.approx(0.25, abs=1e-5)


def test_an_image_without_nuclei_that_is_found_empty_has_iou_one():
    assert postprocess_nested_unet.score(np.full((1, 1, 2, 2), -1, np.float32), np.zeros((2, 2), np.uint8)) == 1


@pytest.mark.parametrize("pattern", ["{}_0.bin", "{}_1.bin", "{}_output_0.bin"],
                         ids=["ais_infer", "benchmark", "msame"])
def test_a_folder_of_each_tool_is_read(data, run, pattern):
    write_results(data / "res", pattern=pattern)
    result = postprocess(run, data)
    assert result.returncode == 0, result.stderr
    assert result.stdout == "b: 0.5000\na: 0.5000\nc: 0.5000\nIoU over 3 images: 0.5000\nIoU: 0.5000\n"
    accuracy = json.loads((data / "accuracy.json").read_text())
    assert accuracy["metric"] == "IoU" and accuracy["value"] == pytest.approx(0.5, abs=1e-6)


def test_old_summary_pairs_numbered_files_by_the_inputs_it_names(data, run):
    folder = write_results(data / "res", ["0", "1"], "input{}_output_0.bin")
    np.ones((1, 1, 96, 96), np.float32).tofile(folder / "input2_output_0.bin")
    write_summary(folder / "sumary.json", {f"./prep/{name}.bin": f"./res/input{number}_output_0.bin"
                                           for number, name in enumerate("acb")})
    for place in ("res", "res/sumary.json"):
        result = postprocess(run, data, place)
        assert result.returncode == 0, result.stderr
        assert result.stdout.splitlines()[:3] == ["b: 0.5000", "a: 0.5000", "c: 0.5000"]
    Image.new("L", (96, 96), 255).save(data / "masks/0/b.png")  # b's result, and no other's, calls all of it nucleus
    assert postprocess(run, data).stdout.splitlines()[:3] == ["b: 1.0000", "a: 0.5000", "c: 0.5000"]


def test_new_summary_beside_a_folder_that_was_moved_is_read(data, run):
    write_results(data / "elsewhere/bs1")
    summary = write_summary(data / "elsewhere/bs1_summary.json",
                            {f"./prep/{name}.bin": f"./gone/bs1/{name}_0.bin" for name in "abc"})
    result = postprocess(run, data, summary)
    assert result.returncode == 0 and "IoU over 3 images: 0.5000" in result.stdout, result.stderr


def test_limit_takes_the_first_ids_and_lets_the_others_results_lie(data, run):
    write_results(data / "res")
    result = postprocess(run, data, LIMIT="2")
    assert result.stdout.splitlines() == ["b: 0.5000", "a: 0.5000", "IoU over 2 images: 0.5000", "IoU: 0.5000"]


def test_ids_come_from_the_manifest_when_it_is_given(data, run):
    run(UNET / "preprocess_nested_unet.py", "images", "prep", "ids.txt", cwd=data, LIMIT="2")
    write_results(data / "res")
    command = (UNET / "postprocess_nested_unet.py", "res", "masks/0", "--prep", "prep")
    one_line_error(run(*command, cwd=data), "unknown sample c")
    (data / "res/c_0.bin").unlink()
    assert "over 2 images" in run(*command, cwd=data).stdout


@pytest.mark.parametrize("break_it, part", [
    (lambda folder: (folder / "res/a_0.bin").unlink(), "res: no result for a"),
    (lambda folder: shutil.copy(folder / "res/a_0.bin", folder / "res/x_0.bin"), "res: unknown sample x"),
    (lambda folder: (folder / "res/a_0.bin").write_bytes(b"\0" * 1000),
     "a_0.bin: expected 36864 bytes (1x1x96x96 float32), found 1000"),
    (lambda folder: (folder / "res/a_0.bin").write_bytes(b""), "a_0.bin: expected 36864 bytes"),
    (lambda folder: np.full(9216, np.nan, np.float32).tofile(folder / "res/a_0.bin"), "a_0.bin: holds NaN"),
    (lambda folder: [path.unlink() for path in (folder / "res").iterdir()], "res: expected result files"),
    (lambda folder: shutil.rmtree(folder / "res"), "res: no such file or folder"),
    (lambda folder: (folder / "masks/0/a.png").unlink(), "masks/0/a.png: no such mask"),
    (lambda folder: shutil.rmtree(folder / "masks"), "masks/0: expected a folder with one mask"),
    (lambda folder: Image.new("L", (95, 96)).save(folder / "masks/0/a.png"),
     "a.png: is 95x96, the network's output is 96x96"),
    (lambda folder: (folder / "masks/0/a.png").write_bytes(b"no"), "a.png: cannot be decoded"),
    (lambda folder: [path.rename(folder / f"res/input{number}_output_0.bin")
                     for number, path in enumerate(sorted((folder / "res").iterdir()))], "only numbered"),
], ids=["no result", "unknown id", "short", "empty file", "NaN", "empty folder", "no folder", "no mask", "no masks",
        "mask of another size", "corrupt mask", "numbered without summary"])
def test_postprocess_bad_input_is_one_line(data, run, break_it, part):
    write_results(data / "res")
    break_it(data)
    one_line_error(postprocess(run, data), part)
    assert not (data / "accuracy.json").exists()


@pytest.mark.parametrize("text, part", [
    ("{", "s.json: is not JSON"),
    ("[1]", "s.json: must be object, found a list of 1"),
    ('{"filesinfo": {}}', "s.json: lists no result"),
    ('{"filesinfo": {"0": {"infiles": []}}}', "s.json: filesinfo.0 must contain ['outfiles']"),
    ('{"filesinfo": {"0": {"infiles": ["p/a.bin"], "outfiles": ["res/a_0.txt"]}}}', "a_0.txt is no .bin file"),
    ('{"filesinfo": {"0": {"infiles": ["p/a.bin"], "outfiles": ["res/x_0.bin"]}}}', "x_0.bin: no such file, though"),
    ('{"filesinfo": {"0": {"infiles": ["p/a.bin"], "outfiles": ["res/a_0.bin"]},'
     ' "1": {"infiles": ["q/a.bin"], "outfiles": ["res/b_0.bin"]}}}', "names two results for a"),
    ('{"filesinfo": {"0": {"infiles": ["p/a.bin"], "outfiles": ["res/a_0.bin"]}}}', "no result for b and 1 more"),
], ids=["cut off", "foreign", "empty", "incomplete", "text results", "result gone", "two results", "missing ids"])
def test_a_bad_summary_is_one_line(data, run, text, part):
    write_results(data / "res")
    (data / "s.json").write_text(text)
    one_line_error(postprocess(run, data, "s.json"), part)


# the raw Kaggle layout

@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """stage1_train with samples k1 (RGBA, 120x80) and k2 (RGB, 96x200), three nuclei each, two of them overlapping."""
    generator = np.random.default_rng(8)
    for name, (height, width) in (("k1", (80, 120)), ("k2", (200, 96))):
        folder = tmp_path / "stage1_train" / name
        for part in ("images", "masks"):
            (folder / part).mkdir(parents=True)
        image = generator.integers(0, 256, (height, width, 3), np.uint8)
        if name == "k1":
            image = np.dstack([image, np.full((height, width), 255, np.uint8)])
        Image.fromarray(image).save(folder / f"images/{name}.png")
        for number, (top, left) in enumerate(((10, 10), (20, 25), (50, 60))):
            mask = np.zeros((height, width), np.uint8)
            mask[top:top + 25, left:left + 30] = 255
            Image.fromarray(mask).save(folder / f"masks/{number}.png")
    return tmp_path


def test_prepare_merges_the_masks_and_resizes_both_as_opencv_does(raw, run):
    result = run(UNET / "prepare_dsb2018.py", "stage1_train", "dsb2018_96", cwd=raw)
    assert result.returncode == 0, result.stderr
    for name in ("k1", "k2"):
        image = cv2.imread(str(raw / f"stage1_train/{name}/images/{name}.png"))
        whole = np.zeros(image.shape[:2])
        for top, left in ((10, 10), (20, 25), (50, 60)):
            whole[top:top + 25, left:left + 30] = 1
        assert (cv2.imread(str(raw / f"dsb2018_96/images/{name}.png"), -1) == cv2.resize(image, (96, 96))).all()
        mask = cv2.imread(str(raw / f"dsb2018_96/masks/0/{name}.png"), -1)
        assert mask.dtype == np.uint8 and (mask == np.floor(cv2.resize(whole, (96, 96)) * 255)).all()


def test_prepare_makes_what_was_edited_and_all_where_the_code_is_another(raw, run):
    def prepared():
        return run(UNET / "prepare_dsb2018.py", "stage1_train", "out", cwd=raw).stdout
    assert "(0 were" in prepared() and "(2 were" in prepared()
    Image.new("L", (96, 96)).save(raw / "out/masks/0/k1.png")
    assert "(1 were" in prepared() and cv2.imread(str(raw / "out/masks/0/k1.png"), -1).max() == 255
    kept = json.loads((raw / "out/prepared.json").read_text())
    kept["recipe"]["code"] = "0" * 64  # of another version of what it imports
    (raw / "out/prepared.json").write_text(json.dumps(kept))
    assert "(0 were" in prepared()


def test_a_raw_mask_counts_above_127():
    masks = [np.array([[127, 128, 0]], np.uint8), np.array([[0, 0, 255]], np.uint8)]
    assert prepare_dsb2018.merge(masks, 1, 3).tolist() == [[0, 1, 1]]


@pytest.mark.upstream
@pytest.mark.skipif("UPSTREAMS" not in os.environ, reason="UPSTREAMS is not set: a folder with the upstreams")
def test_prepare_equals_the_upstreams_own_script(raw, run):
    inputs = raw / "inputs/data-science-bowl-2018"
    inputs.mkdir(parents=True)
    (raw / "stage1_train").rename(inputs / "stage1_train")
    script = Path(os.environ["UPSTREAMS"], "UNetPlusPlus/preprocess_dsb2018.py")
    subprocess.run([sys.executable, str(script)], cwd=raw, check=True, env=environment())
    assert run(UNET / "prepare_dsb2018.py", inputs, "ours", cwd=raw).returncode == 0
    for name in ("images/k1.png", "images/k2.png", "masks/0/k1.png", "masks/0/k2.png"):
        theirs, ours = (cv2.imread(str(raw / folder / name), -1) for folder in ("inputs/dsb2018_96", "ours"))
        assert theirs.shape == ours.shape and (theirs == ours).all(), name


def test_prepare_redoes_only_a_touched_sample(raw, run):
    run(UNET / "prepare_dsb2018.py", "stage1_train", "out", cwd=raw)
    before = {path: path.stat().st_mtime_ns for path in sorted((raw / "out/images").iterdir())}
    assert "(2 were there already)" in run(UNET / "prepare_dsb2018.py", "stage1_train", "out", cwd=raw).stdout
    Image.new("L", (96, 200), 255).save(raw / "stage1_train/k2/masks/2.png")
    assert "(1 were there already)" in run(UNET / "prepare_dsb2018.py", "stage1_train", "out", cwd=raw).stdout
    changed = [path.name for path, time in before.items() if path.stat().st_mtime_ns != time]
    assert changed == ["k2.png"] and cv2.imread(str(raw / "out/masks/0/k2.png"), 0).min() == 255


def test_prepare_takes_listed_samples_from_the_folder_above(raw, run):
    (raw / "ids.txt").write_text("k2\n")
    assert run(UNET / "prepare_dsb2018.py", ".", "out", "--ids", "ids.txt", cwd=raw).returncode == 0
    assert [path.name for path in (raw / "out/masks/0").iterdir()] == ["k2.png"]


@pytest.mark.parametrize("break_it, part", [
    (lambda folder: (folder / "k1/images/k1.png").unlink(), "k1/images/k1.png: no such image"),
    (lambda folder: shutil.rmtree(folder / "k1/masks"), "k1/masks: expected a folder with masks"),
    (lambda folder: [path.unlink() for path in (folder / "k1/masks").iterdir()], "k1/masks: expected masks"),
    (lambda folder: Image.new("L", (7, 8)).save(folder / "k1/masks/1.png"),
     "k1/masks/1.png: is 7x8, its image is 120x80"),
    (lambda folder: (folder / "k1/masks/1.png").write_bytes(b"no"), "k1/masks/1.png: cannot be decoded"),
    (lambda folder: [shutil.rmtree(path) for path in folder.iterdir()],
     "expected a folder <id> per sample, found none"),
    (lambda folder: shutil.rmtree(folder), "stage1_train: expected a folder with the raw data set"),
], ids=["mask without image", "no masks folder", "no masks", "mask of another size", "corrupt mask", "empty",
        "missing"])
def test_prepare_bad_input_is_one_line(raw, run, break_it, part):
    break_it(raw / "stage1_train")
    one_line_error(run(UNET / "prepare_dsb2018.py", "stage1_train", "out", cwd=raw), part)
    assert not (raw / "out/prepared.json").exists()


def test_prepare_with_a_listed_sample_that_is_missing_is_one_line(raw, run):
    (raw / "ids.txt").write_text("k2\nk3\n")
    one_line_error(run(UNET / "prepare_dsb2018.py", "stage1_train", "out", "--ids", "ids.txt", cwd=raw),
                   "stage1_train/k3: no such folder")


# export and inference

@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A narrow network's checkpoint (narrow.pth), its export, and five preprocessed demo pictures (demo, prep)."""
    import nested_unet
    from common.convert import checkpoint
    folder = tmp_path_factory.mktemp("narrow")
    checkpoint.save(nested_unet.seeded(0, filters=NARROW), folder / "narrow.pth")
    for command in (["-m", "common.data.demo.nuclei", "demo", "--count", "5"],
                    [UNET / "preprocess_nested_unet.py", "demo/images", "prep", "demo/val_ids.txt"],
                    [UNET / "nested_unet_pth2onnx.py", "narrow.pth", "narrow.onnx"]):
        subprocess.run([sys.executable, *map(str, command)], cwd=folder, check=True, env=environment())
    return folder


def test_export_has_the_references_names_shapes_and_a_free_batch(narrow):
    import onnx
    model = onnx.load(str(narrow / "narrow.onnx"))
    found = {value.name: [dim.dim_value if dim.HasField("dim_value") else None
                          for dim in value.type.tensor_type.shape.dim]
             for value in (*model.graph.input, *model.graph.output)}
    assert found == {"actual_input_1": [None, 3, 96, 96], "output1": [None, 1, 96, 96]}
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 11)]
    modes = {attribute.s for node in model.graph.node if node.op_type in ("Resize", "Upsample")
             for attribute in node.attribute if attribute.name == "mode"}
    assert modes == {b"nearest"}


def test_a_checkpoint_that_does_not_fit_names_the_tensor_that_is_off(tmp_path, run):
    import nested_unet
    from common.convert import checkpoint
    state = dict(nested_unet.seeded(0, filters=NARROW).state_dict())
    state["conv1_2.bn2.bias"] = state["conv1_2.bn2.bias"][:1]
    checkpoint.save(state, tmp_path / "x.pth")
    one_line_error(run(UNET / "nested_unet_pth2onnx.py", "x.pth", "x.onnx", cwd=tmp_path), "conv1_2.bn2.bias")
    assert not (tmp_path / "x.onnx").exists()


def test_every_tool_and_layout_and_batch_size_gives_pytorchs_iou_of_each_image(narrow, run):
    import torch

    import nested_unet
    from common.convert import checkpoint
    network = nested_unet.from_state(checkpoint.load(narrow / "narrow.pth"))
    expected = {}
    for sample in (narrow / "demo/val_ids.txt").read_text().split():
        values = torch.from_numpy(np.fromfile(narrow / f"prep/{sample}.bin", np.float32).reshape(1, 3, 96, 96))
        with torch.no_grad():
            predicted = torch.sigmoid(network(values))[0, 0].numpy() > 0.5
        truth = cv2.imread(str(narrow / f"demo/masks/0/{sample}.png"), 0) > 127.5
        expected[sample] = ((predicted & truth).sum() + 1e-5) / ((predicted | truth).sum() + 1e-5)
    assert max(expected.values()) > 0.05  # not all of it empty
    (narrow / "result").mkdir(exist_ok=True)
    (narrow / "bins").mkdir()
    for path in (narrow / "prep").glob("*.bin"):  # msame takes every file of a folder
        shutil.copy(path, narrow / "bins")
    ais = ["-m", "common.tools.ais_infer", "--model", "narrow.onnx", "--input", "prep", "--output", "result",
           "--output_dirname"]
    places = []
    for command, found in (
            ([*ais, "bs1"], ["result/bs1_summary.json", "result/bs1"]),
            ([*ais, "bs4", "--batchsize", 4], ["result/bs4_summary.json", "result/bs4"]),  # 4 and 1: part-filled
            ([*ais[:-1], "--batchsize", 1, "--layout", "old"], []),
            ([UNET / "gen_dataset_info.py", "bin", "prep", "x.info", 96, 96], []),
            (["-m", "common.tools.benchmark", "-om_path=narrow.onnx", "-input_text_path=x.info", "-batch_size=16",
              "-output_binary=True"], ["result/dumpOutput_device0"])):
        result = run(*command, cwd=narrow)
        assert result.returncode == 0, result.stderr
        places += found
    result = run("-m", "common.tools.msame", "--model", "narrow.onnx", "--input", "bins", "--output", "msame", cwd=narrow)
    assert result.returncode == 0, result.stderr
    places += [str(path) for path in (narrow / "msame").iterdir() if path.is_dir()]
    old, = (narrow / "result").glob("*/sumary.json")
    places += [str(old), str(old.parent)]
    assert len(places) == 8
    for place in places:
        result = run(UNET / "postprocess_nested_unet.py", place, "demo/masks/0", "--prep", "prep",
                     "--accuracy", "a.json", cwd=narrow)
        assert result.returncode == 0, (place, result.stderr)
        rows = {row["sample"]: row["value"] for row in json.loads((narrow / "a.json").read_text())["rows"]}
        assert rows == pytest.approx(expected, abs=1e-4), place


@pytest.mark.parametrize("script", sorted(path.name for path in UNET.glob("*.py") if path.name != "nested_unet.py"))
def test_every_script_prints_help_without_importing_torch(script, run):
    result = run("-X", "importtime", UNET / script, "--help")
    assert result.returncode == 0 and "usage:" in result.stdout
    assert "torch" not in result.stderr


def test_an_unknown_flag_is_wrong_usage_with_status_2(run):
    for script in ("preprocess_nested_unet.py", "postprocess_nested_unet.py", "prepare_dsb2018.py"):
        result = run(UNET / script, "--colour")
        assert result.returncode == 2 and "Traceback" not in result.stderr


@pytest.mark.parametrize("script", ["pth2om.sh", "eval_acc_perf.sh", "perf_t4.sh"])
def test_a_test_script_prints_help_and_refuses_what_it_does_not_know(script, tmp_path):
    def call(*arguments):
        return subprocess.run(["bash", str(UNET / "test" / script), *arguments], cwd=tmp_path, capture_output=True,
                              text=True, env=environment())
    assert call("--help").returncode == 0 and call("--help").stdout.startswith("usage: bash test/" + script)
    refused = call("--colour")
    assert refused.returncode == 2 and "unknown option --colour" in refused.stderr


def test_a_part_of_the_dataset_that_is_a_file_changes_its_list_when_it_changes(tmp_path):
    from common.data.inputs import listing
    (tmp_path / "val_ids.txt").write_text("a\n")
    before = listing(tmp_path / "val_ids.txt")
    (tmp_path / "val_ids.txt").write_text("a\nb\n")
    assert before != listing(tmp_path / "val_ids.txt")


# the demo

def test_the_demo_is_the_same_for_a_seed_and_another_for_another(tmp_path):
    from common.data.demo import nuclei
    for folder, seed in (("one", 4), ("two", 4), ("three", 5)):
        nuclei.write(tmp_path / folder, 5, seed)
    one, two, three = ({path.relative_to(tmp_path / folder): path.read_bytes()
                        for path in (tmp_path / folder).rglob("*") if path.is_file()}
                       for folder in ("one", "two", "three"))
    assert one == two and not set(one.values()) & set(three.values())
    assert len(one) == 11


def test_the_demo_has_the_dataset_s_layout_and_nuclei_in_every_picture(tmp_path):
    from common.data.demo import nuclei
    nuclei.write(tmp_path, 10, 0)
    ids = (tmp_path / "val_ids.txt").read_text().split()
    assert len(set(ids)) == 10 and all(len(name) == 64 for name in ids)
    dark = 0
    for name in ids:
        image = cv2.imread(str(tmp_path / f"images/{name}.png"))
        mask = cv2.imread(str(tmp_path / f"masks/0/{name}.png"), -1)
        assert image.shape == (96, 96, 3) and mask.shape == (96, 96)
        inside = mask > 127
        assert 0.02 < inside.mean() < 0.6
        grey = image.mean(2)
        assert abs(grey[inside].mean() - grey[~inside].mean()) > 5  # one can tell them
        dark += bool(grey[inside].mean() > grey[~inside].mean())
    assert dark == 6  # the rest are bright-field and stained: nuclei darker than the ground


# full size, real data

@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shared checkpoint's export and the 134 validation images preprocessed."""
    folder = tmp_path_factory.mktemp("real")
    images, pth = shared("data", "dsb2018_96", "images"), shared("weights", "nested_unet.pth")
    for command in ([UNET / "preprocess_nested_unet.py", images, "prep", UNET / "val_ids.txt"],
                    [UNET / "nested_unet_pth2onnx.py", pth, "nested_unet.onnx"],
                    ["-m", "common.infer.pytorch_infer", "--model", UNET, "--pth", pth, "--prep", "prep",
                     "--output", "pytorch"]):
        subprocess.run([sys.executable, *map(str, command)], cwd=folder, check=True,
                       env=environment(PYTHONPATH=f"{ROOT}:{UNET}"))
    return folder


@pytest.mark.full
def test_real_iou_equals_pytorchs_and_what_the_weights_are_said_to_reach_at_batch_1_and_16(real, run):
    def rows(place: str) -> dict:
        masks = shared("data", "dsb2018_96", "masks", "0")
        result = run(UNET / "postprocess_nested_unet.py", place, masks, "--prep", "prep", "--accuracy", "a.json",
                     cwd=real)
        assert result.returncode == 0, result.stderr
        accuracy = json.loads((real / "a.json").read_text())
        found = {row["sample"]: row["value"] for row in accuracy["rows"]}
        assert len(found) == 134 and np.mean(list(found.values())) == pytest.approx(accuracy["value"], abs=1e-12)
        return found
    theirs = rows("pytorch")
    ours = {}
    for batch in (1, 16):
        result = run("-m", "common.tools.ais_infer", "--model", "nested_unet.onnx", "--input", "prep", "--output", "result",
                     "--output_dirname", f"bs{batch}", "--batchsize", batch, cwd=real, timeout=600)
        assert result.returncode == 0, result.stderr
        ours[batch] = rows(f"result/bs{batch}_summary.json")
        assert np.mean(list(ours[batch].values())) == pytest.approx(np.mean(list(theirs.values())), abs=1e-4)
        assert ours[batch] == pytest.approx(theirs, abs=5e-3)  # a pixel of a small nucleus may be at the threshold
    assert ours[1] == pytest.approx(ours[16], abs=5e-3)
    assert np.mean(list(ours[1].values())) == pytest.approx(0.8402, abs=1e-4)  # weights/README.md


@pytest.mark.full
def test_make_takes_the_raw_layout_then_does_nothing_then_only_what_follows(raw, narrow, tmp_path_factory):
    from test_make import copy_project, make, ran
    project = copy_project(tmp_path_factory.mktemp("a folder"))
    data = raw.rename(raw.with_name("raw data"))
    (data / "val_ids.txt").write_text("k2\nk1\n")
    arguments = ("-C", "UNetPlusPlus", "all", f"DATASETS_PATH={data}", f"PTH={narrow / 'narrow.pth'}", "LOOP=1")
    first = make(project, *arguments)
    assert ran(first)[0] == "prepare_dsb2018.py" and "over 2 samples" in first.stdout and ": pass" in first.stdout
    report = json.loads((project / "UNetPlusPlus/build/report.json").read_text())
    assert report["verdict"] == "pass" and report["accuracy"]["samples"] == 2
    assert report["accuracy"]["value"] == pytest.approx(report["accuracy"]["reference"], abs=1e-4)
    assert ran(make(project, *arguments)) == []
    (data / "stage1_train/k1/masks/0.png").touch()
    redone = ran(make(project, *arguments))
    assert redone[0] == "prepare_dsb2018.py" and not {"nested_unet_pth2onnx.py"} & set(redone)
    (data / "val_ids.txt").write_text("k2\n")
    assert "over 1 samples" in make(project, *arguments).stdout
    assert "common.tools.ais_infer" in ran(make(project, *arguments, "BATCH=4"))
    sweep = make(project, "-j2", "-C", "UNetPlusPlus", "sweep", *arguments[3:])
    assert sweep.returncode == 0 and "568.22" in sweep.stdout and "no NPU figure" in sweep.stdout
    again = make(project, "-C", "UNetPlusPlus", "sweep", *arguments[3:])
    assert ran(again) == [] and "568.22" in again.stdout


@pytest.mark.full
def test_make_on_seeded_weights_reports_agreement_and_no_accuracy(tmp_path_factory):
    from test_make import copy_project, make
    project = copy_project(tmp_path_factory.mktemp("fresh clone"))
    result = make(project, "-C", "UNetPlusPlus", "all", "PTH=seeded", "LOOP=1", "LIMIT=10")
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr
    assert "never trained" in result.stdout and "agreement ONNX against PyTorch over 10 samples" in result.stdout
    report = json.loads((project / "UNetPlusPlus/build/report.json").read_text())
    assert report["accuracy"] is None and report["agreement"]["verdict"] == "pass"


@pytest.mark.full
def test_eval_acc_perf_runs_the_whole_way_on_data_and_in_a_folder_with_spaces(narrow, tmp_path_factory):
    from test_make import copy_project
    project = copy_project(tmp_path_factory.mktemp("a clone"))
    data = tmp_path_factory.mktemp("my data")
    shutil.copytree(narrow / "demo", data / "dsb2018_96")
    result = subprocess.run(["bash", str(project / "UNetPlusPlus/test/eval_acc_perf.sh"), f"--datasets_path={data}",
                             f"--pth={narrow / 'narrow.pth'}", "--loop=1"], cwd=narrow, capture_output=True, text=True,
                            env=environment(), timeout=600)
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr
    assert result.stdout.count("IoU over 5 images") == 2 and "reference T4" in result.stdout
    assert result.stdout.count("(PyTorch on the same samples with the same checkpoint): pass") == 2


@pytest.mark.parametrize("kind", ["0_1", "0_255", "palette", "16_bit"])
def test_masks_are_read_as_meant_whatever_value_a_nucleus_has(tmp_path, kind):
    subprocess.run([sys.executable, str(shared("cases/05_unet_masks/make.py")), str(tmp_path)], check=True)
    y, x = np.mgrid[:96, :96]
    mask = preprocess_nested_unet.read_mask(tmp_path / kind / "masks/0/a.png")
    assert mask.dtype == np.uint8 and (mask == 255 * ((y - 48) ** 2 + (x - 40) ** 2 < 600)).all()


def test_a_mask_of_instance_numbers_is_an_error(tmp_path):
    Image.fromarray(np.arange(96 * 96).reshape(96, 96).astype(np.uint8) % 38).save(tmp_path / "a.png")
    with pytest.raises(UserError, match="holds 38 values from 0 to 37"):
        preprocess_nested_unet.read_mask(tmp_path / "a.png")
