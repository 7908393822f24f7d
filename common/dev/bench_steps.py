"""What `common.dev.bench` measures of each model: its steps' command lines on made-up samples, and its scripts'.

The pictures are the demos', drawn by code; a network's outputs are made from the truth, as a good network's would be.
"""
from __future__ import annotations

import contextlib
import importlib
import importlib.util
import io
import os
import shutil
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple
from unittest import mock

import numpy as np

from common.base import files, pictures
from common.data import cityscapes

STREETS, ONE_HOT = 2, 4
"""Streets that are drawn, to stand under many names; samples where one is 302 MB."""


class Step(NamedTuple):
    """A script of the model and its arguments, in which `{out}` is the folder to write to."""

    name: str
    module: str
    argv: Sequence[str]
    limit: Optional[int] = None
    """LIMIT of the environment."""

    def run(self, out: Path, jobs: int) -> None:
        """The script's `main`, silent."""
        with environment(JOBS=jobs, LIMIT=self.limit), contextlib.redirect_stdout(io.StringIO()), \
                contextlib.redirect_stderr(io.StringIO()):
            importlib.import_module(self.module).main(placed(self.argv, out))


def placed(argv: Sequence[str], out: Path) -> List[str]:
    return [word.replace("{out}", str(out)) for word in argv]


@contextlib.contextmanager
def environment(**variables: Any) -> Iterator[None]:
    """These variables set, those of value None not set, and all as before when it ends."""
    with mock.patch.dict(os.environ, {name: str(value) for name, value in variables.items() if value is not None}):
        for name, value in variables.items():
            if value is None:
                os.environ.pop(name, None)
        yield


def put(folder: Path, name: str, array: np.ndarray) -> None:
    """An output of the network: float32, with noise of a thousandth of its range, so that it is no smooth picture."""
    noise = np.random.default_rng(0).normal(0, 1e-3 * np.ptp(array), array.shape)
    folder.mkdir(parents=True, exist_ok=True)
    (array + noise).astype(np.float32).tofile(folder / f"{name}.bin")


def again(folder: Path, count: int) -> None:
    """Links to the files of streets, so that there are `count` of them."""
    for path in sorted(folder.glob("demo_*_000019_*")):
        first = int(path.name.split("_")[1])
        for number in range(first + STREETS, count, STREETS):
            (folder / path.name.replace(f"{first:06d}", f"{number:06d}", 1)).symlink_to(path.name)


def edsr(data: Path, count: int) -> List[Step]:
    import make_lr  # type: ignore[import-not-found]
    from common.data.demo import pictures as drawn
    drawn.write(data, count, 0)
    make_lr.main([str(data / "HR"), str(data / "LR")])
    for path in pictures.find(data / "HR"):
        large = pictures.read_rgb(path)
        canvas = np.zeros((1, 3, max(large.shape), max(large.shape)))
        canvas[0, :, :large.shape[0], :large.shape[1]] = large.transpose(2, 0, 1)
        put(data / "result", f"{path.stem}x2_1", canvas)
    post = ["--res", f"{data}/result", "--HR", f"{data}/HR", "--prep", f"{data}/preprocess", "--save", "{out}/save",
            "--json", "{out}/result.json", "--accuracy", "{out}/accuracy.json"]
    return [Step("preprocess", "edsr_preprocess", ["-s", f"{data}/LR", "-d", "{out}", "--size", "144"]),
            Step("postprocess", "edsr_postprocess", post),
            Step("postprocess --LR", "edsr_postprocess", [*post, "--LR", f"{data}/LR"])]


def cgan(data: Path, count: int) -> List[Step]:
    put(data / "result", "input_output_0", np.tanh(np.random.default_rng(0).normal(0, 2, (100, 3, 28, 28))) * 0.99)
    return [Step("preprocess", "CGAN_preprocess", ["--save_path", "{out}"]),
            Step("postprocess", "CGAN_postprocess", ["--bin_out_path", f"{data}/result", "--save_path", "{out}",
                                                     "--accuracy", "{out}/accuracy.json"])]


def intrada(data: Path, count: int) -> List[Step]:
    from common.data.demo import streets as drawn
    drawn.write(data, min(count, STREETS), 0)
    for frame, path in cityscapes.frames(data, "gtFine", cityscapes.LABEL_IDS).items():
        small = cityscapes.to_train_ids(cityscapes.read_labels(path))[::16, ::16]
        small = np.pad(small, ((0, 1), (0, 1)), "edge")
        put(data / "result", f"{frame}_{cityscapes.IMAGE}_1", 10.0 * (small == np.arange(19)[:, None, None])[None])
    for folder in ("leftImg8bit/val/demo", "gtFine/val/demo", "result"):
        again(data / folder, count)
    return [Step("preprocess", "intrada_preprocess", [f"{data}", "{out}"]),
            Step("postprocess", "intrada_postprocess", [f"{data}", f"{data}/result", "{out}", "--prep",
                                                        f"{data}/preprocess", "--accuracy", "{out}/accuracy.json"])]


def unetplusplus(data: Path, count: int) -> List[Step]:
    from common.data.demo import nuclei as drawn
    drawn.write(data, count, 0)
    for path in pictures.find(data / "masks/0"):
        put(data / "result", f"{path.stem}_0", pictures.read_rgb(path)[None, None, ..., 0] / 25.5 - 5)
    return [Step("preprocess", "preprocess_nested_unet", [f"{data}/images", "{out}", f"{data}/val_ids.txt"]),
            Step("postprocess", "postprocess_nested_unet", [f"{data}/result", f"{data}/masks/0", "--prep",
                                                            f"{data}/preprocess", "--accuracy", "{out}/accuracy.json"])]


def pix2pixhd(data: Path, count: int) -> List[Step]:
    from common.data.demo import streets as drawn
    drawn.write(data, min(count, STREETS), 0)
    for frame, path in cityscapes.frames(data, "leftImg8bit", cityscapes.IMAGE).items():
        photo = pictures.read_rgb(path).transpose(2, 0, 1)[None] / 127.5 - 1
        put(data / "result", f"{frame}_{cityscapes.LABEL_IDS}_1", photo)
    for folder, ending in (("test_label", cityscapes.LABEL_IDS), ("test_inst", cityscapes.INSTANCE_IDS)):
        (data / folder).mkdir()
        for path in (data / "gtFine/val/demo").glob(f"*_{ending}.png"):
            shutil.copy(path, data / folder)
    for folder in ("test_label", "test_inst", "leftImg8bit/val/demo", "result"):
        again(data / folder, count)
    post = [f"{data}/result", "{out}", "--prep", f"{data}/preprocess", "--json", "{out}/pictures.json"]
    return [Step("preprocess", "pix2pixhd_preprocess", [f"{data}", "{out}", "--input", "labels"]),
            Step("preprocess, one-hot", "pix2pixhd_preprocess", [f"{data}", "{out}"], min(count, ONE_HOT)),
            Step("postprocess", "pix2pixhd_postprocess", post),
            Step("postprocess --photos", "pix2pixhd_postprocess", [
                *post, "--photos", f"{data}/leftImg8bit", "--accuracy", "{out}/accuracy.json"])]


MODELS: Dict[str, Callable[[Path, int], List[Step]]] = {
    "EDSR": edsr, "CGAN": cgan, "IntraDA": intrada, "UNetPlusPlus": unetplusplus, "Pix2pixHD": pix2pixhd}


def scripts(steps: Sequence[Step], work: Path) -> Dict[str, Tuple[List[str], Optional[List[str]]]]:
    """Python's arguments for the help and a run of every script here that needs no torch, by its name.

    work: holds what each step made, in a folder of its name. A run is of one sample; LIMIT=1 is to be set.
    """
    prep = work / steps[0].name
    bins = os.path.relpath(prep / "bin" if (prep / "bin").is_dir() else prep)  # .info takes no spaces
    info = dict.fromkeys(("get_info.py", "gen_dataset_info.py"), ["bin", bins, "{out}.info", "8", "8"])
    if steps[0].module == "CGAN_preprocess":
        info = {"gen_dataset_info.py": ["--dataset_bin", bins, "--info_name", "{out}.info", "--width=8", "--height=8"]}
    runs = {**{f"{step.module}.py": list(step.argv) for step in reversed(steps)},
            **{name: argv for name, argv in info.items() if Path(name).is_file()}}
    found: Dict[str, Tuple[List[str], Optional[List[str]]]] = {
        name: ([name, "--help"], [name, *argv]) for name, argv in runs.items()}
    summary = work / "bs1_summary.json"  # as ais_infer leaves it
    files.write_json(summary, {"filesinfo": {}, "NPU_compute_time": {
        "min": 1.0, "max": 1.0, "mean": 1.0, "median": 1.0, "percentile(99%)": 1.0}, "throughput": 1000.0})
    modules = {"common.tools.perf": [str(summary)], "common.devices": None, "common.judge.verdicts": None}
    found.update({name: (["-m", name, "--help"], argv and ["-m", name, *argv])
                  for name, argv in modules.items() if importlib.util.find_spec(name)})
    return found
