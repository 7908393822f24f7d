"""The diffs against the pinned upstreams, and the upstreams' networks against ours.

Needs UPSTREAMS, a folder with a clean checkout of each upstream at its pinned commit, named EDSR, CGAN, IntraDA,
UNetPlusPlus, Pix2pixHD. Upstream code runs in processes of its own, in a patched copy: its modules are called model,
data, utils and the like.
"""
from __future__ import annotations

import filecmp
import importlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional

import numpy as np
import pytest
import torch

from common.convert import checkpoint, upstream

ROOT = Path(__file__).resolve().parents[1]
pytestmark = [
    pytest.mark.upstream,
    pytest.mark.skipif("UPSTREAMS" not in os.environ,
                       reason="UPSTREAMS is not set: a folder with a clean checkout of each upstream")]

DIFFS = ["EDSR/edsr.diff", "CGAN/CGAN.diff", "IntraDA/intrada.diff", "UNetPlusPlus/nested_unet.diff",
         "Pix2pixHD/pix2pixhd_npu.diff", "Pix2pixHD/pix2pixhd_gpu.diff"]


def clean(model: str, target: Path) -> Path:
    """A copy of the upstream's checkout, without its history and pictures."""
    source = Path(os.environ["UPSTREAMS"]) / model
    if not source.is_dir():
        pytest.skip(f"{source} is not there")
    return Path(shutil.copytree(source, target, ignore=shutil.ignore_patterns(".git", "*.gif", "*.png", "*.jpg")))


def apply(diff: str, folder: Path) -> None:
    """`patch -p1`, strictly: every hunk at its place, no fuzz."""
    done = subprocess.run(["patch", "-p1", "--fuzz=0", "-i", str(ROOT / diff)], cwd=folder, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 0 and "offset" not in done.stdout, done.stdout


def patched(model: str, target: Path, *diffs: str) -> Path:
    folder = clean(model, target)
    for diff in diffs or [entry for entry in DIFFS if entry.startswith(model + "/")][:1]:
        apply(diff, folder)
    return folder


def python(model: str, folder: Path, code: List[str], *args: Any, cwd: Optional[Path] = None) -> str:
    """Run Python on `code` (`-c …` or a script) in the upstream's `folder`, as `common.convert.upstream` would: ours,
    `common` and the upstream can be imported. Without a GPU. Gives back what it printed."""
    environment = {**upstream.environment(ROOT / model, folder), "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, *code, *map(str, args)], cwd=cwd or folder, text=True, encoding="utf-8",
                          env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert done.returncode == 0, done.stderr
    return done.stdout


START = """
import sys, numpy, torch, {module} as module
from common.convert import checkpoint
pth, x, out = sys.argv[1:]
ours = module.from_state(checkpoint.load(pth))
network = call = module.from_upstream(ours)
"""

OURS: Dict[str, Any] = {  # module, options of its seeded network, input shape, input range
    "EDSR": ("edsr", dict(blocks=3, features=8), (1, 3, 24, 20), (0, 255)),
    "CGAN": ("CGAN", dict(), (20, 72), (0, 1)),
    "IntraDA": ("deeplabv2", dict(), (1, 3, 65, 97), (-120, 140)),
    "UNetPlusPlus": ("nested_unet", dict(), (2, 3, 96, 96), (-0.01, 0.01)),
    "Pix2pixHD": ("local_enhancer", dict(ngf=4, downsamplings=3, global_blocks=2, local_blocks=2),
                  (1, 36, 64, 96), (0, 1))}


def prepare(model: str, folder: Path) -> Any:
    """Our seeded network, its checkpoint `pth` and a random input `x.npy` in `folder`."""
    module, options, shape, (low, high) = OURS[model]
    module = importlib.import_module(module)
    network = module.seeded(11, **options)
    checkpoint.save(network, folder / "pth")
    x = np.random.default_rng(7).uniform(low, high, shape).astype(np.float32)
    np.save(folder / "x.npy", x)
    return module, torch.from_numpy(x)


def upstream_output(model: str, folder: Path, exchange: Path, program: str = "") -> np.ndarray:
    """What the upstream's network gives for `x.npy`; `program` may replace `network` and `call`."""
    python(model, folder, ["-c", START.format(module=OURS[model][0]) + program + """
with torch.no_grad():
    numpy.save(out, call(torch.from_numpy(numpy.load(x))).numpy())
"""], exchange / "pth", exchange / "x.npy", exchange / "out.npy", cwd=exchange)
    return np.load(exchange / "out.npy")


def assert_equal(ours: np.ndarray, theirs: np.ndarray) -> None:
    """At most 1e-5 of the output's range apart."""
    assert ours.shape == theirs.shape
    spread = theirs.max() - theirs.min()
    assert spread > 0 and np.abs(ours - theirs).max() <= 1e-5 * spread


@pytest.mark.parametrize("diff", DIFFS)
def test_diff_applies_with_patch_and_with_git_alike(diff: str, tmp_path: Path) -> None:
    model = diff.split("/")[0]
    by_patch = patched(model, tmp_path / "patch", diff)
    by_git = clean(model, tmp_path / "git")
    subprocess.run(["git", "init", "-q"], cwd=by_git, check=True)
    subprocess.run(["git", "apply", str(ROOT / diff)], cwd=by_git, check=True)
    names = {path.relative_to(by_patch) for path in by_patch.rglob("*") if path.is_file()}
    assert not [name for name in names if name.suffix in (".rej", ".orig")]
    assert names == {path.relative_to(by_git) for path in by_git.rglob("*")
                     if path.is_file() and ".git" not in path.relative_to(by_git).parts}
    assert all(filecmp.cmp(by_patch / name, by_git / name, shallow=False) for name in names)


@pytest.mark.parametrize("model", OURS)
def test_upstream_network_and_ours_give_the_same_output(model: str, tmp_path: Path) -> None:
    module, x = prepare(model, tmp_path)
    program = "call = lambda x: network(x)[1]" if model == "IntraDA" else ""  # both outputs: the second is evaluated
    theirs = upstream_output(model, patched(model, tmp_path / "upstream"), tmp_path, program)
    with torch.no_grad():
        assert_equal(module.from_state(checkpoint.load(tmp_path / "pth"))(x).numpy(), theirs)


@pytest.mark.parametrize("model", OURS)
def test_patched_upstream_exports_one_input_and_one_output_at_opset_11(model: str, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    module, x = prepare(model, tmp_path)
    python(model, patched(model, tmp_path / "upstream"), ["-c", START.format(module=OURS[model][0]) + """
torch.onnx.export(network, torch.from_numpy(numpy.load(x)), out, opset_version=11, dynamo=False)
"""], tmp_path / "pth", tmp_path / "x.npy", tmp_path / "upstream.onnx", cwd=tmp_path)
    session = onnxruntime.InferenceSession(str(tmp_path / "upstream.onnx"), providers=["CPUExecutionProvider"])
    assert len(session.get_inputs()) == len(session.get_outputs()) == 1
    with torch.no_grad():
        expected = module.from_state(checkpoint.load(tmp_path / "pth"))(x).numpy()
    found = session.run(None, {session.get_inputs()[0].name: x.numpy()})[0]
    assert np.abs(found - expected).max() <= 1e-4 * (expected.max() - expected.min())


@pytest.mark.parametrize("options", ["", "self_ensemble=True"])
def test_edsr_upstreams_own_call_behaves_as_before_its_patch(options: str, tmp_path: Path) -> None:
    prepare("EDSR", tmp_path)
    program = f"network = module.from_upstream(ours, {options})\ncall = lambda x: network(x, 0)"
    before = upstream_output("EDSR", clean("EDSR", tmp_path / "before"), tmp_path, program)
    after = upstream_output("EDSR", patched("EDSR", tmp_path / "after"), tmp_path, program)
    assert np.array_equal(before, after)


def test_intrada_upstreams_own_call_still_gives_both_outputs(tmp_path: Path) -> None:
    module, x = prepare("IntraDA", tmp_path)
    program = "call = lambda x: torch.cat(network(x))"
    theirs = upstream_output("IntraDA", patched("IntraDA", tmp_path / "upstream"), tmp_path, program)
    with torch.no_grad():
        both = module.from_state(checkpoint.load(tmp_path / "pth"), both_outputs=True)(x)
    assert_equal(torch.cat(both).numpy(), theirs)


def test_nested_unet_upstream_with_deep_supervision_ends_with_our_output(tmp_path: Path) -> None:
    module, x = prepare("UNetPlusPlus", tmp_path)
    checkpoint.save(module.seeded(4, deep_supervision=True), tmp_path / "pth")
    program = "call = lambda x: network(x)[-1]"
    theirs = upstream_output("UNetPlusPlus", patched("UNetPlusPlus", tmp_path / "upstream"), tmp_path, program)
    with torch.no_grad():
        assert_equal(module.from_state(checkpoint.load(tmp_path / "pth"))(x).numpy(), theirs)


def test_nested_unet_upstream_reads_the_id_lists_of_the_dataset_before_those_beside_it(tmp_path: Path) -> None:
    folder = patched("UNetPlusPlus", tmp_path / "upstream")
    (folder / "inputs/nuclei").mkdir(parents=True)
    (folder / "inputs/nuclei/train_ids.txt").write_text("a1\nb2\n")
    for name in ("train_ids.txt", "val_ids.txt"):
        (folder / name).write_text("c3\n")
    program = "import json, sys, utils\nprint(json.dumps([utils.read_ids('nuclei', name) for name in sys.argv[1:]]))"
    printed = python("UNetPlusPlus", folder, ["-c", program], "train_ids.txt", "val_ids.txt")
    assert json.loads(printed) == [["a1", "b2"], ["c3"]]
    for script, count in (("train.py", 2), ("val.py", 1)):
        text = (folder / script).read_text()
        assert "train_test_split" not in text and text.count("read_ids(") == count


PIX2PIXHD_SMALL = ["--netG", "local", "--ngf", "1", "--n_downsample_global", "1", "--n_blocks_global", "1",
                   "--n_blocks_local", "1"]


def pix2pixhd_checkpoint(folder: Path) -> None:
    network = importlib.import_module("local_enhancer").seeded(ngf=1, downsamplings=1, global_blocks=1, local_blocks=1)
    checkpoint.save(network, folder / "latest_net_G.pth")


def test_pix2pixhd_upstream_exports_without_cuda_at_full_size(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    pix2pixhd_checkpoint(tmp_path / "trained")
    python("Pix2pixHD", patched("Pix2pixHD", tmp_path / "upstream"), ["export_onnx.py"], *PIX2PIXHD_SMALL,
           "--load_pretrain", tmp_path / "trained", "--output_file", tmp_path / "g.onnx")
    model = onnx.load(str(tmp_path / "g.onnx"))
    ports = {port.name: [dim.dim_value for dim in port.type.tensor_type.shape.dim]
             for port in [*model.graph.input, *model.graph.output]}
    assert ports["input_concat"] == [1, 36, 1024, 2048] and ports["fake_image"][1] == 3 and len(ports) == 2
    assert model.opset_import[0].version == 11


def test_pix2pixhd_upstream_prints_the_time_after_each_image_and_their_mean_without_the_first(tmp_path: Path) -> None:
    pytest.importorskip("dominate")
    image = pytest.importorskip("PIL.Image")
    folder = patched("Pix2pixHD", tmp_path / "upstream", *DIFFS[-2:])  # both: the test machine has no CUDA
    pix2pixhd_checkpoint(tmp_path / "trained")
    random = np.random.default_rng(3)
    for kind, dtype, top in (("label", np.uint8, 35), ("inst", np.int32, 3)):
        (tmp_path / f"data/test_{kind}").mkdir(parents=True)
        for index in range(3):
            blocks = random.integers(0, top, (8, 16)).repeat(4, 0).repeat(4, 1).astype(dtype)
            image.fromarray(blocks).save(str(tmp_path / f"data/test_{kind}/town_{index}.png"))
    printed = python("Pix2pixHD", folder, ["test.py"], *PIX2PIXHD_SMALL, "--resize_or_crop", "none", "--load_pretrain",
                     tmp_path / "trained", "--dataroot", tmp_path / "data", "--results_dir", tmp_path / "out")
    lines = printed[printed.index("process image"):].splitlines()
    assert [re.sub(r"\[.*/|[\d.]{6,}", "", line) for line in lines[:6]] == [
        text for index in range(3) for text in (f"process image... town_{index}.png']", "本次生成图像耗时s")]
    times = [float(re.search(r"耗时(.*)s$", line).group(1)) for line in lines[1:6:2]]  # type: ignore[union-attr]
    mean = float(re.search(r"平均生成图像耗时(.*)s", lines[6]).group(1))  # type: ignore[union-attr]
    assert mean == pytest.approx(sum(times[1:]) / 2)
    assert len(list(tmp_path.glob("out/**/town_*_synthesized_image.jpg"))) == 3


@pytest.fixture
def model_folder(tmp_path: Path) -> Callable[[str], Path]:
    """`model_folder(model)` copies a model's folder; its upstream is UPSTREAMS' clone, at the commit it holds."""
    def copy(model: str) -> Path:
        source = Path(os.environ["UPSTREAMS"]) / model
        head = subprocess.run(["git", "-C", str(source), "rev-parse", "HEAD"], capture_output=True, text=True)
        if head.returncode:
            pytest.skip(f"{source} is no git repository")
        folder = tmp_path / model
        shutil.copytree(ROOT / model, folder, ignore=shutil.ignore_patterns("build*", "common", "__pycache__"))
        facts = json.loads((folder / "facts.json").read_text(encoding="utf-8"))
        facts["upstream"]["commit"] = head.stdout.strip()
        (folder / "facts.json").write_text(json.dumps(facts), encoding="utf-8")
        return folder
    return copy


EXPORTS: Dict[str, List[str]] = {
    "EDSR": ["edsr_pth2onnx.py", "--pth", "pth", "--size", "24", "--onnx"],
    "CGAN": ["CGAN_pth2onnx.py", "--pth_path", "pth", "--onnx_path"],
    "IntraDA": ["intrada_pth2onnx.py", "pth"],
    "UNetPlusPlus": ["nested_unet_pth2onnx.py", "pth"],
    "Pix2pixHD": ["pix2pixhd_pth2onnx.py", "--load_pretrain", "pth", "--size", "128x64", "--output_file"]}


@pytest.mark.parametrize("model", EXPORTS)
@pytest.mark.parametrize("address", ["{}", "file://{}"], ids=["path", "file"])
def test_make_upstream_then_both_sources_export_the_same(model: str, address: str, model_folder: Any,
                                                         tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    folder = model_folder(model)
    url = address.format(Path(os.environ["UPSTREAMS"]).resolve() / model)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(["make", "upstream", f"UPSTREAM_URL={url}", f"PYTHON={sys.executable}"], cwd=folder,
                          capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    if model == "IntraDA" and address != "{}":
        return  # its export takes minutes: once is enough
    prepare(model, folder)
    outputs = {}
    for source in ("built-in", "upstream"):
        path = folder / f"{source}.onnx"
        done = subprocess.run([sys.executable, *EXPORTS[model], str(path)], cwd=folder, capture_output=True, text=True,
                              env={**environment, "SOURCE": source})
        assert done.returncode == 0, done.stderr
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        port = session.get_inputs()[0]
        low, high = OURS[model][3]
        shape = [size if isinstance(size, int) else 2 for size in port.shape]
        x = np.random.default_rng(5).uniform(low, high, shape).astype(np.float32)
        outputs[source] = session.run(None, {port.name: x})
        assert ("upstream" in session.get_modelmeta().custom_metadata_map) == (source == "upstream")
    assert len(outputs["built-in"]) == len(outputs["upstream"]) == 1
    assert_equal(outputs["built-in"][0], outputs["upstream"][0])
