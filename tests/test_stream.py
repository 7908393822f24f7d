"""The streaming pipeline: the same as the three steps, going on after an end, failing, and what is in memory."""
from __future__ import annotations

import functools
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Callable, Dict, List, NamedTuple, Sequence

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

import onnx_models
from common.base.errors import UserError
from common.base.journal import Journal
from common.data import dataset
from common.data.evaluation import Evaluation
from common.engines import onnxruntime_session
from common.infer import pipeline, stream, threads
from conftest import ROOT, environment, heed_ctrl_c, one_line_error

PARTIAL = ".stream.partial.jsonl"
SIZE = 24


# models and data


def weights(name: str, *shape: int, scale: float = 0.1):
    generator = np.random.default_rng(len(name))
    return numpy_helper.from_array((scale * generator.normal(size=shape)).astype(np.float32), name)


def network(path: Path, nodes, given, made, initializers) -> Path:
    """A model of one input and one output, both (shape, element type)."""
    return onnx_models.save(path, nodes, [("x", *given)], [("y", *made)], initializers)


def edsr(path: Path, size: int = SIZE, seed: int = 0, nan: bool = False, endless: bool = False,
         free: bool = False) -> Path:
    """x [1,3,S,S] -> y [1,3,2S,2S]; free: [1,3,H,W], of any. nan: NaN where a value is above 200; endless: hours where one is above 200."""
    kernel = 0.1 * np.random.default_rng(seed).normal(size=(12, 3, 3, 3)).astype(np.float32)
    nodes = [helper.make_node("Conv", ["x", "kernel"], ["four"], pads=[1, 1, 1, 1]),
             helper.make_node("DepthToSpace", ["four"], ["large"], blocksize=2),
             helper.make_node("ReduceMax", ["x"], ["top"], keepdims=0)]
    more = [numpy_helper.from_array(kernel, "kernel")]
    if nan:
        more += [onnx_models.constant("bound", 200)]
        nodes += [helper.make_node("Sub", ["bound", "top"], ["under"]), helper.make_node("Sqrt", ["under"], ["root"]),
                  helper.make_node("Add", ["large", "root"], ["y"])]
    elif endless:
        value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, []) for name in ("before", "after")]
        flag = [helper.make_tensor_value_info(name, TensorProto.BOOL, []) for name in ("on", "on_")]
        number = helper.make_tensor_value_info("number", TensorProto.INT64, [])
        inside = [helper.make_node("Identity", ["on"], ["on_"]), helper.make_node("Cos", ["before"], ["after"])]
        body = helper.make_graph(inside, "body", [number, flag[0], value[0]], [flag[1], value[1]])
        more += [onnx_models.constant("bound", 200), onnx_models.constant("many", 1e9), onnx_models.constant("zero", 0),
                 numpy_helper.from_array(np.array(True), "go")]
        nodes += [helper.make_node("Sub", ["top", "bound"], ["over"]),
                  helper.make_node("Max", ["over", "zero"], ["some"]),
                  helper.make_node("Mul", ["some", "many"], ["times"]),
                  helper.make_node("Cast", ["times"], ["trips"], to=TensorProto.INT64),
                  helper.make_node("Loop", ["trips", "go", "zero"], ["end"], body=body),
                  helper.make_node("Add", ["large", "end"], ["y"])]
    else:
        nodes = [nodes[0], helper.make_node("DepthToSpace", ["four"], ["y"], blocksize=2)]
    given, made = (["H", "W"], ["high", "wide"]) if free else ([size, size], [2 * size, 2 * size])
    return network(path, nodes, ([1, 3, *given], TensorProto.FLOAT), ([1, 3, *made], TensorProto.FLOAT), more)


def nested_unet(path: Path) -> Path:
    return network(path, [helper.make_node("Conv", ["x", "kernel"], ["y"], pads=[1, 1, 1, 1])],
                   (["N", 3, 96, 96], TensorProto.FLOAT), (["N", 1, 96, 96], TensorProto.FLOAT),
                   [weights("kernel", 1, 3, 3, 3)])


def intrada(path: Path) -> Path:
    return network(path, [helper.make_node("Conv", ["x", "kernel"], ["y"], strides=[8, 8], pads=[4, 4, 4, 4])],
                   (["N", 3, 512, 1024], TensorProto.FLOAT), (["N", 19, 65, 129], TensorProto.FLOAT),
                   [weights("kernel", 19, 3, 8, 8)])


def pix2pixhd(path: Path, form: str, width: int, height: int) -> Path:
    channels, kind = (2, TensorProto.UINT8) if form == "labels" else (36, TensorProto.FLOAT)
    nodes = [helper.make_node("Cast", ["x"], ["values"], to=TensorProto.FLOAT),
             helper.make_node("Conv", ["values", "kernel"], ["plain"], pads=[1, 1, 1, 1]),
             helper.make_node("Tanh", ["plain"], ["y"])]
    return network(path, nodes, ([1, channels, height, width], kind), ([1, 3, height, width], TensorProto.FLOAT),
                   [weights("kernel", 3, channels, 3, 3)])


def cgan(path: Path) -> Path:
    nodes = [helper.make_node("MatMul", ["x", "matrix"], ["flat"]),
             helper.make_node("Reshape", ["flat", "shape"], ["plain"]),
             helper.make_node("Tanh", ["plain"], ["y"])]
    return network(path, nodes, ([100, 72], TensorProto.FLOAT), ([100, 3, 28, 28], TensorProto.FLOAT),
                   [weights("matrix", 72, 3 * 28 * 28), numpy_helper.from_array(np.array([100, 3, 28, 28]), "shape")])


def picture(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


def blocks(generator: np.random.Generator, top: int, height: int, width: int, *more: int,
           dtype: type = np.uint8) -> np.ndarray:
    """A random picture of blocks of 8 pixels a side."""
    small = generator.integers(0, top, (height // 8, width // 8, *more)).astype(dtype)
    return small.repeat(8, 0).repeat(8, 1)


def draw_edsr(folder: Path, count: int = 4, bright: int = -1) -> None:
    """Pictures of values up to 180; that with the number `bright` up to 255."""
    generator = np.random.default_rng(0)
    for number in range(count):
        low = generator.integers(0, 180, (20, 16 + 2 * (number % 4), 3), np.uint8)
        low[0, 0] = 255 if number == bright else 180
        picture(folder / f"LR/{number:02d}x2.png", low)
        large = low.repeat(2, 0).repeat(2, 1)
        picture(folder / f"HR/{number:02d}.png", large ^ generator.integers(0, 16, large.shape, np.uint8))


def draw_nuclei(folder: Path, count: int = 6) -> None:
    generator = np.random.default_rng(0)
    for number in range(count):
        picture(folder / f"images/{number:03d}.png", generator.integers(0, 256, (96, 96, 3), np.uint8))
        picture(folder / f"masks/0/{number:03d}.png", 255 * blocks(generator, 2, 96, 96))
    (folder / "ids.txt").write_text("".join(f"{number:03d}\n" for number in range(count)))


def draw_streets(folder: Path, count: int = 2) -> None:
    generator = np.random.default_rng(0)
    for number in range(count):
        stem = f"val/town/town_{number:06d}_000019"
        picture(folder / f"leftImg8bit/{stem}_leftImg8bit.png", blocks(generator, 256, 1024, 2048, 3))
        picture(folder / f"gtFine/{stem}_gtFine_labelIds.png", blocks(generator, 34, 1024, 2048))


def draw_maps(folder: Path, count: int = 3, width: int = 64, height: int = 32) -> None:
    generator = np.random.default_rng(0)
    for number in range(count):
        stem = f"town_{number:06d}_000019"
        picture(folder / f"test_label/{stem}_gtFine_labelIds.png", blocks(generator, 35, height, width))
        picture(folder / f"test_inst/{stem}_gtFine_instanceIds.png",
                blocks(generator, 30000, height, width, dtype=np.uint16))
        picture(folder / f"leftImg8bit/{stem}_leftImg8bit.png", blocks(generator, 256, height, width, 3))


# running


BENCHMARK = "common.tools.benchmark -om_path=m.onnx -batch_size={} -input_text_path=m.info -output_binary=True -useDvpp=False"


class Case(NamedTuple):
    """A model's data, tiny network, and command lines as its Makefile has them."""

    folder: str
    draw: Callable[[Path], None]
    model: Callable[[Path], Path]
    preprocess: str
    between: Sequence[str]
    postprocess: str
    batch: int = 1


EDSR = Case("EDSR", draw_edsr, edsr, f"edsr_preprocess.py -s LR -d prep --size {SIZE}",
            [f"get_info.py bin prep/bin m.info {SIZE} {SIZE}", BENCHMARK.format(1)],
            "edsr_postprocess.py --res result/dumpOutput_device0 --HR HR --LR LR --prep prep --accuracy accuracy.json")
EXACT = EDSR._replace(model=functools.partial(edsr, free=True), preprocess="edsr_preprocess.py -s LR -d prep --size free",
                      between=["get_info.py bin prep/bin m.info", BENCHMARK.format(1)])
UNET = Case("UNetPlusPlus", draw_nuclei, nested_unet, "preprocess_nested_unet.py images prep ids.txt",
            ["common.tools.ais_infer --model m.onnx --input prep --output result --output_dirname bs --outfmt BIN "
             "--batchsize 4"],
            "postprocess_nested_unet.py result/bs_summary.json masks/0 --prep prep --accuracy accuracy.json", 4)
INTRADA = Case("IntraDA", draw_streets, intrada, "intrada_preprocess.py . prep",
               ["gen_dataset_info.py bin prep m.info 512 1024", BENCHMARK.format(4)],
               "intrada_postprocess.py . result/dumpOutput_device0 labels --prep prep --accuracy accuracy.json", 4)
CGAN = Case("CGAN", lambda folder: None, cgan, "CGAN_preprocess.py --save_path prep --seed 3",
            ["common.tools.msame --model m.onnx --input prep/input.bin --output result"],
            "CGAN_postprocess.py --bin_out_path result/latest --save_path . --accuracy accuracy.json", 100)


def pix2pixhd_case(form: str, photos: bool = False) -> Case:
    return Case("Pix2pixHD", draw_maps, lambda path: pix2pixhd(path, form, 64, 32),
                f"pix2pixhd_preprocess.py . prep --input {form} --size 64x32",
                ["get_info.py bin prep m.info 64 32", BENCHMARK.format(1)],
                "pix2pixhd_postprocess.py result/dumpOutput_device0 pictures --json pictures.json --size 64x32"
                + (" --photos leftImg8bit --accuracy accuracy.json" if photos else ""))


def variables(case: Case, **more: str) -> Dict[str, str]:
    """As make exports them. One thread, so that the machine's cores are not oversubscribed."""
    return {**environment(THREADS="1", **more), "PYTHONPATH": f"{ROOT}:{ROOT / case.folder}"}


def step(case: Case, folder: Path, line: str, **more: str) -> None:
    name, *arguments = line.split()
    script = ["-m", name] if name.startswith("common.") else [str(ROOT / case.folder / name)]
    subprocess.run([sys.executable, *script, *arguments], cwd=folder, env=variables(case, **more), check=True,
                   timeout=100, stdout=subprocess.DEVNULL)


def command(case: Case, **options: object) -> List[str]:
    """The command line of `common.infer.stream`; options in place of the case's."""
    given = {"onnx": "m.onnx", "preprocess": case.preprocess, "postprocess": case.postprocess, "batch_size": case.batch,
             "output": "stream.json", **options}
    return [sys.executable, "-m", "common.infer.stream",
            *(str(word) for name, value in given.items() for word in (f"--{name}", value))]


def run(case: Case, folder: Path, more: Dict[str, str] = {}, **options: object) -> subprocess.CompletedProcess:
    return subprocess.run(command(case, **options), cwd=folder, env=variables(case, **more), capture_output=True,
                          text=True, timeout=100)


def start(case: Case, folder: Path) -> subprocess.Popen:
    return subprocess.Popen(command(case), cwd=folder, env=variables(case, JOBS="2"), stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True, start_new_session=True, preexec_fn=heed_ctrl_c)


def fine(result: subprocess.CompletedProcess) -> str:
    assert result.returncode == 0, result.stderr
    return result.stdout.splitlines()[-1]


def there_already(count: int, there: int) -> str:
    return f"stream: {count} samples ({there} were there already), nothing written in between"


def tree(folder: Path) -> Dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def new(folder: Path, before: Dict[str, bytes]) -> Dict[str, bytes]:
    return {name: content for name, content in tree(folder).items() if before.get(name) != content}


def fresh(case: Case, folder: Path, model: Callable[[Path], Path] = None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    case.draw(folder)
    (model or case.model)(folder / "m.onnx")
    return folder


def notes(folder: Path) -> List[dict]:
    """What a run that goes on has noted of its samples."""
    lines = (folder / PARTIAL).read_text().splitlines(keepends=True)[1:] if (folder / PARTIAL).exists() else []
    return [json.loads(line) for line in lines if line.endswith("\n")]


# the same as the three steps


@pytest.mark.parametrize("case, jobs, limit", [
    (EDSR, "3", None), (EDSR, "1", "2"), (EXACT, "2", None), (EXACT, "1", "3"), (UNET, "1", None), (UNET, "3", "5"), (INTRADA, "2", None), (CGAN, "2", None),
    (pix2pixhd_case("onehot"), "2", None), (pix2pixhd_case("labels", photos=True), "3", "2")],
    ids=["EDSR", "EDSR-limit", "EDSR-exact", "EDSR-exact-limit", "UNet++-batch", "UNet++-limit", "IntraDA-batch", "CGAN", "Pix2pixHD-onehot",
         "Pix2pixHD-labels"])
def test_a_stream_leaves_what_postprocess_leaves_byte_for_byte_and_its_record(case, jobs, limit, tmp_path):
    more = {"LIMIT": limit} if limit else {}
    steps = fresh(case, tmp_path / "steps")
    shutil.copytree(steps, tmp_path / "stream")
    step(case, steps, case.preprocess, **more)
    for line in case.between:
        step(case, steps, line, **more)
    if case is CGAN:
        newest = next(path for path in (steps / "result").iterdir() if path.is_dir())
        newest.rename(steps / "result/latest")
    before = tree(steps)
    step(case, steps, case.postprocess, **more)
    expected = new(steps, before)
    assert expected and not [name for name in expected if name.endswith(".bin")]

    before = tree(tmp_path / "stream")
    result = run(case, tmp_path / "stream", {"JOBS": jobs, **more})
    assert result.returncode == 0, result.stderr
    found = new(tmp_path / "stream", before)
    record = json.loads(found.pop("stream.json"))
    assert found == expected
    files_of = {"EDSR": 4, "UNetPlusPlus": 6, "IntraDA": 2, "CGAN": 1, "Pix2pixHD": 3}
    count = int(limit or files_of[case.folder])
    each = 1 if case is CGAN else case.batch
    assert record["sample_count"] == (100 if case is CGAN else count) and record["batch"] == case.batch
    assert record["compute_ms"]["count"] == max(-(-count // each) - 1, 1)  # the first run is cold


def test_samples_of_their_own_size_and_a_model_of_one_are_told_apart_before_any_is_made(tmp_path):
    folder = fresh(EDSR, tmp_path)
    one_line_error(run(EXACT, folder), "m.onnx: has a fixed size, the samples are of their own; export it with --size free")
    EXACT.model(folder / "m.onnx")
    one_line_error(run(EDSR, folder), "m.onnx: leaves height and width free, the samples are padded")
    assert not (folder / "result").exists() and not (folder / PARTIAL).exists()


# going on


def test_a_killed_run_goes_on_with_the_rest_and_nothing_was_written_in_between(tmp_path):
    def slow(path: Path) -> Path:
        """The same behind 1,500 cosines, which take a while."""
        edsr(path)
        model = onnx_models.onnx.load(str(path))
        names = ["x", *[f"h{layer}" for layer in range(1500)]]
        model.graph.node[0].input[0] = names[-1]
        for index, (before, after) in enumerate(zip(names, names[1:])):
            model.graph.node.insert(index, helper.make_node("Cos", [before], [after]))
        onnx_models.onnx.save(model, str(path))
        return path

    case = EDSR._replace(draw=lambda folder: draw_edsr(folder, 30), model=slow)
    whole, folder = fresh(case, tmp_path / "whole"), fresh(case, tmp_path / "killed")
    given = set(tree(folder))
    fine(run(case, whole))
    process, seen = start(case, folder), set()
    while len(notes(folder)) < 4:
        assert process.poll() is None, process.stderr.read()
        seen |= {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()} - given
    process.kill()
    process.communicate(timeout=20)
    noted = [record["id"] for record in notes(folder)]
    dates = {stem: (folder / f"result/save/{stem}.png").stat().st_mtime_ns for stem in noted}
    assert 4 <= len(noted) < 30, "the run was to be killed amid its samples"
    assert not [name for name in seen if ".bin" in name or not name.startswith(("result/save/", "."))]
    assert not (folder / "stream.json").exists() and not (folder / "accuracy.json").exists()

    assert fine(run(case, folder)) == there_already(30, len(noted))
    assert {stem: (folder / f"result/save/{stem}.png").stat().st_mtime_ns for stem in noted} == dates
    expected, found = tree(whole), tree(folder)
    assert [json.loads(each.pop("stream.json"))["sample_count"] for each in (expected, found)] == [30, 30]
    assert found == expected


def test_only_what_a_change_touches_is_done_again(tmp_path):
    folder = fresh(EDSR, tmp_path)
    assert fine(run(EDSR, folder)) == there_already(4, 0)
    before = json.loads((folder / "result.json").read_text())["data"]
    dates = {path: path.stat().st_mtime_ns for path in (folder / "result/save").iterdir()}
    assert fine(run(EDSR, folder)) == there_already(4, 4)
    (folder / "result/save/01x2.png").unlink()
    assert fine(run(EDSR, folder)) == there_already(4, 3)
    assert [path.name for path, date in dates.items() if path.stat().st_mtime_ns != date] == ["01x2.png"]

    truth = np.asarray(Image.open(folder / "HR/02.png"))
    picture(folder / "HR/02.png", truth ^ 64)
    assert fine(run(EDSR, folder)) == there_already(4, 3)
    after = json.loads((folder / "result.json").read_text())["data"]
    assert [old == row for old, row in zip(before, after)] == [True, True, False, True]
    picture(folder / "LR/00x2.png", np.full((20, 16, 3), 7, np.uint8))
    assert fine(run(EDSR, folder)) == there_already(4, 3)
    later = json.loads((folder / "result.json").read_text())["data"]
    assert [old == row for old, row in zip(after, later)] == [False, True, True, True]

    edsr(folder / "m.onnx", seed=1)
    assert fine(run(EDSR, folder)) == there_already(4, 0)
    assert not [old for old, row in zip(later, json.loads((folder / "result.json").read_text())["data"]) if old == row]
    assert fine(run(EDSR, folder, postprocess=f"{EDSR.postprocess} --save elsewhere")) == there_already(4, 0)
    assert sorted(path.name for path in (folder / "elsewhere").iterdir()) == [f"0{number}x2.png" for number in range(4)]


def test_a_batch_goes_through_the_network_whole_again_when_one_of_its_samples_changed(tmp_path):
    folder = fresh(UNET, tmp_path)
    fine(run(UNET, folder))
    picture(folder / "masks/0/001.png", np.full((96, 96), 255, np.uint8))
    assert fine(run(UNET, folder)) == there_already(6, 2)  # of 4 and 2
    picture(folder / "masks/0/005.png", np.full((96, 96), 255, np.uint8))
    assert fine(run(UNET, folder)) == there_already(6, 4)


def test_the_record_of_fewer_samples_counts_their_time_and_their_runs_alone(tmp_path):
    folder = fresh(EDSR, tmp_path)
    records = []
    for limit in ("4", "3"):
        fine(run(EDSR, folder, {"LIMIT": limit}))
        records.append(json.loads((folder / "stream.json").read_text()))
    four, three = records
    assert [record["id"] for record in three["samples"]] == [record["id"] for record in four["samples"]][:3]
    assert three["sample_count"] == 3 and three["compute_ms"]["count"] == 2
    assert json.loads((folder / "accuracy.json").read_text())["samples"] == 3
    assert three["end_to_end_s"] == pytest.approx(sum(record["batch"]["share_s"] for record in four["samples"][:3]))
    assert three["end_to_end_samples_per_s"] == pytest.approx(3 / three["end_to_end_s"])


# interrupted


def test_ctrl_c_amid_a_long_inference_ends_it_at_once_and_keeps_what_was_finished(tmp_path):
    case = EDSR._replace(draw=lambda folder: draw_edsr(folder, 5, bright=3),
                         model=lambda path: edsr(path, endless=True))
    folder = fresh(case, tmp_path)
    given = set(tree(folder))
    process = start(case, folder)
    try:
        end = time.time() + 60
        while len(notes(folder)) < 3:  # the fourth takes hours, and the three before it are noted all the same
            assert process.poll() is None and time.time() < end, process.poll()
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGINT)
    except AssertionError:
        process.kill()
        raise
    output, error = process.communicate(timeout=30)
    assert process.returncode == 130 and error.count("\n") == 1 and error.startswith("error: interrupted; what was")
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)
    assert set(tree(folder)) - given == {PARTIAL, *(f"result/save/0{number}x2.png" for number in range(3))}
    picture(folder / "LR/03x2.png", np.full((20, 22, 3), 9, np.uint8))
    assert fine(run(case, folder)) == there_already(5, 3)


# errors


def cut_short(path: Path) -> None:
    """A picture whose header is whole, so that only decoding it fails."""
    path.write_bytes(path.read_bytes()[:-40])


@pytest.mark.parametrize("spoil, part", [
    (lambda folder: (folder / "LR/02x2.png").write_bytes(b"no picture"), "LR/02x2.png: cannot be decoded"),
    (lambda folder: picture(folder / "HR/02.png", np.zeros((60, 60, 3), np.uint8)),
     "HR/02.png: is 60x60, the low-resolution picture 02x2 is 20x20")])
def test_what_a_pictures_header_tells_is_said_before_the_first_sample(spoil, part, tmp_path):
    folder = fresh(EDSR, tmp_path)
    spoil(folder)
    one_line_error(run(EDSR, folder, {"JOBS": "3"}), part)
    assert notes(folder) == []


@pytest.mark.parametrize("spoil, part", [
    (lambda folder: cut_short(folder / "LR/02x2.png"), "LR/02x2.png: cannot be decoded"),
    (lambda folder: draw_edsr(folder, 4, bright=2), "02x2: NaN or infinity in the network's output"),
    (lambda folder: cut_short(folder / "HR/02.png"), "HR/02.png: cannot be decoded")])
def test_a_sample_that_fails_is_one_line_and_those_before_it_are_kept(spoil, part, tmp_path):
    case = EDSR._replace(model=lambda path: edsr(path, nan=True))
    folder = fresh(case, tmp_path)
    spoil(folder)
    for _ in range(2):
        one_line_error(run(case, folder, {"JOBS": "3"}), part)
        assert [record["id"] for record in notes(folder)] == ["00x2", "01x2"]
    assert not {"stream.json", "accuracy.json", "result.json"} & set(tree(folder))
    assert not [name for name in tree(folder) if ".part." in name]
    shutil.copyfile(folder / "LR/01x2.png", folder / "LR/02x2.png")
    shutil.copyfile(folder / "HR/01.png", folder / "HR/02.png")
    assert fine(run(case, folder)) == there_already(4, 2)


@pytest.mark.parametrize("options, parts", [
    ({"onnx": "larger.onnx"}, ("larger.onnx: takes 7500 bytes at batch 1, a sample has 6912",)),
    ({"onnx": "twice.onnx"}, ("twice.onnx: takes 27648 bytes at batch 1, a sample has 6912",)),
    ({"onnx": "m.onnx", "batch_size": 2}, ("m.onnx: its batch is fixed at 1, 2 was asked for",)),
    ({"onnx": "pair.onnx"}, ("pair.onnx: has 2 inputs, a sample is one",)),
    ({"onnx": "m.om"}, ("m.om: an .om runs on an NPU only",)),
    ({"onnx": "none.onnx"}, ("none.onnx: expected an ONNX model there, found nothing",)),
    ({"preprocess": "other.py -s LR"}, ("other.py: cannot be imported from here", "env.sh")),
    ({"postprocess": "get_info.py bin x y 1 1"}, ("get_info.py: is no preprocess or postprocess script",)),
    ({"preprocess": "edsr_preprocess.py -s 'LR"}, ("expected a script and its arguments as one word", "quotation")),
    ({"postprocess": ""}, ("'': expected a script and its arguments as one word",)),
    ({"preprocess": EDSR.preprocess.replace("LR", "XX")}, ("XX: expected a folder with low-resolution pictures",))])
def test_what_cannot_be_streamed_is_one_line_and_leaves_nothing(options, parts, edsr_folder):
    before = tree(edsr_folder)
    one_line_error(run(EDSR, edsr_folder, **options), *parts)
    assert tree(edsr_folder) == before


@pytest.fixture(scope="module")
def edsr_folder(tmp_path_factory) -> Path:
    folder = fresh(EDSR, tmp_path_factory.mktemp("a folder"))
    edsr(folder / "larger.onnx", size=25)
    edsr(folder / "twice.onnx", size=2 * SIZE)
    onnx_models.pair(folder / "pair.onnx")
    (folder / "m.om").write_bytes(b"om")
    return folder


def test_a_wrong_argument_of_a_script_is_wrong_usage(edsr_folder):
    result = run(EDSR, edsr_folder, preprocess="edsr_preprocess.py -s LR -d prep --size none")
    assert result.returncode == 2 and "expected a whole number of at least 1, found 'none'" in result.stderr


# what is held at a time


class Toy:
    """A pipeline of samples that are numbers, on the model y = 2x, `less` = x - 1; it counts what is under way."""

    def __init__(self, folder: Path, count: int, prepare: Callable[[int], None] = lambda number: None,
                 evaluate: Callable[[int], None] = lambda number: None):
        self.names = [f"s{number:03d}" for number in range(count)]
        self.started = self.finished = self.most = 0
        self._lock, self._do = threading.Lock(), (prepare, evaluate)
        for name in self.names:
            (folder / name).write_text("")
        first = dataset.Preprocessing([(name, [folder / name]) for name in self.names], folder, self.make, {}, 48)
        last = Evaluation(self.names, None, None, self.one, self.finish)
        self.pipeline = pipeline.Pipeline(first, dict(first.sources), last, {})
        self.rows: List[dict] = []
        self.model = onnx_models.affine(folder / "affine.onnx")

    def make(self, path: Path):
        with self._lock:
            self.started += 1
            self.most = max(self.most, self.started - self.finished)
        self._do[0](int(path.name[1:]))
        return np.full((1, 3, 4), int(path.name[1:]), np.float32), {}

    def one(self, sample: str, name: str, output: np.ndarray) -> dict:
        self._do[1](int(sample[1:]))
        with self._lock:
            self.finished += 1
        return {"sample": sample, "name": name, "value": float(output.max()), "shape": list(output.shape)}

    def finish(self, rows: Sequence[dict]) -> None:
        self.rows = list(rows)

    def flow(self, batch: int, sessions: int = 1):
        opened = [onnxruntime_session.Session(self.model, "cpu", 1, index) for index in range(sessions)]
        todo = [tuple(self.names[start:start + batch]) for start in range(0, len(self.names), batch)]
        return list(threads.flow(self.pipeline, opened, todo, pipeline.plan(opened[0], batch, 48)))


@pytest.mark.parametrize("batch, sessions", [(1, 1), (4, 1), (1, 3), (4, 2)])
def test_rows_come_in_order_each_from_its_own_sample_whatever_takes_long(batch, sessions, tmp_path, monkeypatch):
    monkeypatch.setenv("JOBS", "3")
    toy = Toy(tmp_path, 18, lambda number: time.sleep(0.01 * (number % 3 == 0)),
              lambda number: time.sleep(0.01 * (number % 4 == 1)))
    found = toy.flow(batch, sessions)
    assert [name for about, _ in found for name in about.samples] == toy.names
    assert [row for _, rows in found for row in rows] == [
        {"sample": name, "name": f"{name}_1", "value": 2.0 * number, "shape": [1, 3, 4]}
        for number, name in enumerate(toy.names)]
    cold = [about.device for about, _ in found if about.cold]
    assert sorted(cold) == sorted({about.device for about, _ in found}) and set(cold) <= set(range(sessions))


def test_an_error_comes_after_the_rows_of_the_batches_before_it(tmp_path, monkeypatch):
    monkeypatch.setenv("JOBS", "3")

    def spoilt(number: int) -> None:
        if number == 3:
            raise UserError("number 3 is bad")

    for spoil in ({"prepare": spoilt, "evaluate": lambda number: time.sleep(0.1)},
                  {"evaluate": lambda number: spoilt(number) if number == 3 else time.sleep(0.1)}):
        toy, found = Toy(tmp_path, 9, **spoil), []
        session = onnxruntime_session.Session(toy.model, "cpu", 1)
        with pytest.raises(UserError, match="number 3 is bad"):
            for about, _ in threads.flow(toy.pipeline, [session], [(name,) for name in toy.names],
                                        pipeline.plan(session, 1, 48)):
                found += about.samples
        assert found == toy.names[:3]


@pytest.mark.parametrize("shape, expected", [
    ((1, 3, 4), None), ((1, None, None), None), ((), None), ((1, 3, 5), "1x3x5"), ((1, 3), "1x3"),
    ((None, 2, 4), r"\?x2x4")])
def test_an_output_is_held_to_the_shape_that_the_script_expects(shape, expected, tmp_path):
    toy = Toy(tmp_path, 2)
    toy.pipeline = toy.pipeline._replace(evaluation=toy.pipeline.evaluation._replace(shape=shape))
    if expected is None:
        assert len(toy.flow(1)) == 2
    else:
        with pytest.raises(UserError, match=f"s000: the network's output is 1x3x4, expected {expected}; it is of"):
            toy.flow(1)


def test_an_output_that_is_not_of_as_many_samples_as_the_input_is_told(tmp_path):
    toy = Toy(tmp_path, 4)
    onnx_models.save(toy.model, [helper.make_node("ReduceMax", ["x"], ["y"], axes=[0])],
                     [("x", [2, 3, 4], TensorProto.FLOAT)], [("y", [1, 3, 4], TensorProto.FLOAT)])
    with pytest.raises(UserError, match=r"affine.onnx: an output of shape \(1, 3, 4\) cannot be divided among 2"):
        toy.flow(2)


def test_rows_hold_for_the_same_command_lines_alone(edsr_folder, monkeypatch):
    monkeypatch.chdir(edsr_folder)

    def recipe(*more: str) -> dict:
        return pipeline.load(f"{EDSR.preprocess} {more[0]}", f"{EDSR.postprocess} {more[1]}").recipe

    assert recipe("", "") == recipe("", "") != recipe("--size 25", "")
    assert recipe("", "") != recipe("", "--save elsewhere")


@pytest.mark.parametrize("prepare, evaluate", [(0.0, 0.004), (0.004, 0.0)])
def test_few_samples_are_held_at_a_time_whichever_end_is_slow(prepare, evaluate, tmp_path, monkeypatch):
    monkeypatch.setenv("JOBS", "2")
    toy = Toy(tmp_path, 150, lambda number: time.sleep(prepare), lambda number: time.sleep(evaluate))
    assert len(toy.flow(1)) == 150
    assert toy.most <= 3 + 2 + 2 + 1  # made ahead, at the network, evaluated, and one between two counts


def test_what_ends_the_loop_waits_for_pictures_that_are_being_written(tmp_path, monkeypatch):
    monkeypatch.setenv("JOBS", "2")
    toy = Toy(tmp_path, 40, evaluate=lambda number: time.sleep(0.05))
    add = Journal.add

    def interrupted(self, sample, record):
        add(self, sample, record)
        if sample == "s004":
            raise KeyboardInterrupt

    monkeypatch.setattr(Journal, "add", interrupted)
    pools: List[ThreadPoolExecutor] = []

    def pool(*arguments):
        pools.append(ThreadPoolExecutor(*arguments))
        return pools[-1]

    monkeypatch.setattr(threads, "ThreadPoolExecutor", pool)
    try:
        session = onnxruntime_session.Session(toy.model, "cpu", 1)
        send = functools.partial(threads.flow, toy.pipeline, [session])
        stream.stream(toy.pipeline, session, 1, tmp_path / "stream.json", send)
        pytest.fail("was to be interrupted")
    except KeyboardInterrupt:  # here, where errors.run ends the process
        assert pools and not [thread for thread in pools[0]._threads if thread.is_alive()]
    assert toy.finished < 12 and not toy.rows


def test_a_thousand_samples_take_no_more_memory_than_ten(tmp_path):
    draw_nuclei(tmp_path, 1)
    nested_unet(tmp_path / "m.onnx")
    peaks = {}
    for count in (10, 1000):
        names = [f"{number:04d}" for number in range(count)]
        for name, kind in ((name, kind) for name in names for kind in ("images", "masks/0")):
            if not (tmp_path / kind / f"{name}.png").exists():
                (tmp_path / kind / f"{name}.png").symlink_to("000.png")
        (tmp_path / "ids.txt").write_text("\n".join(names))
        # a shell between: a process's peak includes that of the one it was started by
        shell = ["sh", "-c", '"$@"; exit $?', "sh", *command(UNET, output=f"{count}.json")]
        subprocess.run(shell, cwd=tmp_path, env=variables(UNET), check=True, stdout=subprocess.DEVNULL, timeout=300)
        record = json.loads((tmp_path / f"{count}.json").read_text())
        assert record["sample_count"] == count
        peaks[count] = record["peak_memory_bytes"]
    held = 1000 * 12 * 96 ** 2  # 110 MB, if the inputs were kept
    assert peaks[1000] - peaks[10] < 25e6 < held / 4, peaks


# a disk that could not hold what is between


NAMESPACES = (["unshare", "-rm"], ["unshare", "-m"])


@pytest.mark.full
def test_pix2pixhds_1525_pairs_go_through_on_a_disk_that_cannot_hold_their_bins(tmp_path):
    """128x64, one-hot: 1.2 MB a sample, 1.8 GB in all, on a file system of 64 MB that only the test sees."""
    mine = next((words for words in NAMESPACES if subprocess.run(
        [*words, "mount", "-t", "tmpfs", "tmpfs", "/mnt"], capture_output=True).returncode == 0), None)
    if mine is None:
        pytest.skip("needs a mount of its own: unshare -rm, or root")
    draw_maps(tmp_path / "data", 1525, 128, 64)
    pix2pixhd(tmp_path / "m.onnx", "onehot", 128, 64)
    preprocess = "pix2pixhd_preprocess.py ../data prep --input onehot --size 128x64"
    postprocess = "pix2pixhd_postprocess.py result pictures --json pictures.json --size 128x64"
    small = tmp_path / "small"
    small.mkdir()
    case = pix2pixhd_case("onehot")
    streamed = shlex.join(command(case, onnx="../m.onnx", preprocess=preprocess, postprocess=postprocess))
    three = shlex.join([sys.executable, str(ROOT / "Pix2pixHD" / preprocess.split()[0]), *preprocess.split()[1:]])
    script = f"""set -euo pipefail
        mount -t tmpfs -o size=64m tmpfs small
        cd small
        {three} >../three.out 2>../three.err && exit 3
        {streamed} >../stream.out 2>../stream.err
        df --output=used -B1 . | tail -n 1 >../used
        find . -type f | sort >../files
        cp stream.json pictures.json ..
    """
    result = subprocess.run([*mine, "bash", "-c", script], cwd=tmp_path, env=variables(case), capture_output=True,
                            text=True, timeout=500)
    assert result.returncode == 0, (result.stderr, (tmp_path / "stream.err").read_text())
    refused = (tmp_path / "three.err").read_text()
    assert "prep: needs 1.8 GB on this disk, " in refused and "streaming (make: STREAM=1) none" in refused
    record = json.loads((tmp_path / "stream.json").read_text())
    assert record["sample_count"] == 1525 and len(record["samples"]) == 1525
    assert len(json.loads((tmp_path / "pictures.json").read_text())["pictures"]) == 1525
    left = (tmp_path / "files").read_text().split()
    assert len(left) == 1525 + 2 and [name for name in left if not name.startswith("./pictures/")] == [
        "./pictures.json", "./stream.json"]
    assert int((tmp_path / "used").read_text()) < 64e6 < 1525 * 36 * 4 * 128 * 64 / 25
