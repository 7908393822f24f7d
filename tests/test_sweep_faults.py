"""Every program of the collection on every kind of bad input: a sweep of two tables, the first complete by construction."""
from __future__ import annotations

import ast
import json
import os
import re
import runpy
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Tuple

import pytest

from conftest import MODELS, ROOT, environment

FOLDERS = ("common", *MODELS)
SECONDS = 60
"""A case may take so long, on a machine that does other things too."""

CITY, PTH, MODEL = "leftImg8bit/val/a/x_leftImg8bit.png", "in/a.pth", str(ROOT / "EDSR")
PROGRAMS: Dict[str, Tuple[str, str]] = {
    "CGAN/CGAN_agreement.py": ("in other --onnx in/a.onnx --prep in", "in/a.onnx in/manifest.json in/a_0.bin"),
    "CGAN/CGAN_gallery.py": ("in/a.png --accuracy in/a.json --output out", "in/a.json in/a.png"),
    "CGAN/CGAN_postprocess.py": ("--bin_out_path in --save_path out --accuracy out/a.json --prep in", "in/a_0.bin in/manifest.json"),
    "CGAN/CGAN_preprocess.py": ("--save_path out --seed 1 --pth_path in/a.pth", PTH),
    "CGAN/CGAN_pth2onnx.py": ("--pth_path in/a.pth --onnx_path out/a.onnx --classes 10", PTH),
    "CGAN/gen_dataset_info.py": ("--dataset_bin in --info_name out/a.info --width 28 --height 28", "in/manifest.json"),
    "CGAN/infer.py": ("7 --model in/a.onnx --output out/a.png --seed 1", "in/a.onnx"),
    "CGAN/train_classifier.py": ("--mnist in --output out/a.pth --seed 1 --epochs 1", "in/train-images-idx3-ubyte.gz"),
    "CGAN/train_demo.py": ("--mnist in --output out/a.pth --seed 1", "in/train-images-idx3-ubyte.gz"),
    "EDSR/edsr_gallery.py": ("--accuracy in/a.json --save in --LR in --HR in --output out --scale 2", "in/a.json in/a.png"),
    "EDSR/edsr_postprocess.py": ("--res in --HR in --scale 2 --save out --accuracy out/a.json", "in/a.png in/manifest.json"),
    "EDSR/edsr_preprocess.py": ("-s in -d out --size 96", "in/a.png"),
    "EDSR/edsr_pth2onnx.py": ("--pth in/a.pth --onnx out/a.onnx --size 96 --res_scale 1", PTH),
    "EDSR/get_info.py": ("bin in out/a.info 96 96", "in/manifest.json"),
    "EDSR/get_max_size.py": ("--dir in", "in/a.png"),
    "EDSR/infer.py": ("in/a.png --model in/a.onnx --output out/a.png", "in/a.png in/a.onnx"),
    "EDSR/infer_onnx_shape.py": ("--onnx in/a.onnx", "in/a.onnx"),
    "EDSR/make_lr.py": ("in out --scale 2", "in/a.png"),
    "EDSR/train_demo.py": ("--pictures in --output out/a.pth --seed 1", "in/a.png"),
    "IntraDA/gen_dataset_info.py": ("bin in out/a.info 96 96", "in/manifest.json"),
    "IntraDA/infer.py": ("in/a.png --model in/a.onnx --output out/a.png", "in/a.png in/a.onnx"),
    "IntraDA/intrada_agreement.py": ("in other", "in/a_0.bin"),
    "IntraDA/intrada_gallery.py": ("in in --accuracy in/a.json --output out", "in/a.json"),
    "IntraDA/intrada_postprocess.py": ("in in out --accuracy out/a.json --prep in", "in/manifest.json in/a_0.bin"),
    "IntraDA/intrada_preprocess.py": ("in out", f"in/{CITY}"),
    "IntraDA/intrada_pth2onnx.py": ("in/a.pth out/a.onnx", PTH),
    "IntraDA/lay_out_cityscapes.py": ("in out", "in/a.zip"),
    "IntraDA/train_demo.py": ("--output out/a.pth --seed 1", ""),
    "Pix2pixHD/datasets_deal.py": ("in in in", "in/a.png"),
    "Pix2pixHD/get_info.py": ("bin in out/a.info 96 96", "in/manifest.json"),
    "Pix2pixHD/infer.py": ("in/a.png --instances in/a.png --model in/a.onnx --output out/a.png", "in/a.png in/a.onnx"),
    "Pix2pixHD/pix2pixhd_agreement.py": ("in other", "in/a_0.bin"),
    "Pix2pixHD/pix2pixhd_gallery.py": ("in in --agreement in/a.json --output out", "in/a.json"),
    "Pix2pixHD/pix2pixhd_gpu_log.py": ("in/a.log --json out/a.json", "in/a.log"),
    "Pix2pixHD/pix2pixhd_postprocess.py": ("in out --prep in --json out/a.json", "in/manifest.json in/a_0.bin"),
    "Pix2pixHD/pix2pixhd_preprocess.py": ("in out --size 96x96", "in/test_label/a_gtFine_labelIds.png"),
    "Pix2pixHD/pix2pixhd_pth2onnx.py": ("--load_pretrain in/a.pth --output_file out/a.onnx --size 64x32", PTH),
    "Pix2pixHD/train_demo.py": ("--output out/a.pth --seed 1", ""),
    "UNetPlusPlus/gen_dataset_info.py": ("bin in out/a.info 96 96", "in/manifest.json"),
    "UNetPlusPlus/infer.py": ("in/a.png --model in/a.onnx --output out/a.png", "in/a.png in/a.onnx"),
    "UNetPlusPlus/nested_unet_gallery.py": ("in in in --accuracy in/a.json --output out", "in/a.json"),
    "UNetPlusPlus/nested_unet_pth2onnx.py": ("in/a.pth out/a.onnx", PTH),
    "UNetPlusPlus/postprocess_nested_unet.py": ("in in --val_ids in/ids.txt --prep in --accuracy out/a.json",
                                                "in/ids.txt in/manifest.json in/a_0.bin"),
    "UNetPlusPlus/prepare_dsb2018.py": ("in out", "in/a/images/a.png in/a/masks/a.png"),
    "UNetPlusPlus/preprocess_nested_unet.py": ("in out in/ids.txt", "in/ids.txt in/a.png"),
    "UNetPlusPlus/train_demo.py": ("--dsb2018 in --output out/a.pth --seed 1", "in/images/a.png"),
    "common/convert/cost.py": ("in/a.onnx --output out/a.json", "in/a.onnx"),
    "common/convert/seed.py": ("--model in --output out/a.pth --seed 1", "in/facts.json"),
    "common/convert/simplify.py": ("in/a.onnx in/a.onnx --output out/a.onnx", "in/a.onnx"),
    "common/convert/upstream.py": ("fetch --model in", "in/facts.json"),
    "common/data/demo/nuclei.py": ("out --count 1 --seed 1", ""),
    "common/data/demo/pictures.py": ("out --count 1 --seed 1", ""),
    "common/data/demo/shapes.py": ("out --count 1 --seed 1", ""),
    "common/data/demo/streets.py": ("out --count 1 --seed 1", ""),
    "common/data/fingerprint.py": ("check --model in", "in/facts.json in/fingerprint.json"),
    "common/data/result_files.py": ("newest in", "in/2026_1_1_1/a_0.bin"),
    "common/data/variant.py": ("in/a.onnx scale", "in/a.onnx"),
    "common/dev/bench.py": ("show in/a.json --output out/a.json", "in/a.json"),
    "common/dev/dist.py": ("out --model in", "in/facts.json"),
    "common/dev/engine_bench.py": (f"{MODEL} in --batch 1 --rounds 1", "in/a.onnx"),
    "common/dev/readme.py": ("--model in --report in/a.json", "in/facts.json in/a.json"),
    "common/infer/pytorch_infer.py": (f"--pth in/a.pth --prep in --output out --model {MODEL}", f"{PTH} in/manifest.json"),
    "common/infer/stream.py": ("--onnx in/a.onnx --preprocess p --postprocess p --batch_size 1 --output out", "in/a.onnx"),
    "common/judge/agreement.py": ("in other --output out/a.json", "in/a_0.bin"),
    "common/judge/compare.py": (f"--model {MODEL} --run in/a.json --output out/a.json", "in/a.json"),
    "common/judge/sweep.py": (f"in/a.json --model {MODEL} --output out/a.json", "in/a.json"),
    "common/judge/verdicts.py": (f"judge --accuracy in/a.json --pth in/a.pth --model {MODEL}", f"in/a.json {PTH}"),
    "common/npu/aipp.py": (f"preprocess_nested_unet in/a.onnx in out --model {ROOT}/UNetPlusPlus", "in/a.onnx in/manifest.json"),
    "common/npu/limits.py": ("in/a.onnx --output out/a.json", "in/a.onnx"),
    "common/npu/testcase.py": ("in", "in/testcase.json"),
    "common/precision/int8.py": ("quantise in/a.onnx", "in/a.onnx"),
    "common/precision/layers.py": (f"--onnx in/a.onnx --prep in --model {MODEL} --output out/a.json", "in/a.onnx in/manifest.json"),
    "common/precision/rehearse.py": ("--output out/a.json", "edsr.onnx manifest.json facts.json"),
    "common/publish/page.py": ("in/a.json --output out/a.html", "in/a.json"),
    "common/publish/report.py": (f"make --model {MODEL} --output out/a.json --accuracy in/a.json --run in/a.json", "in/a.json"),
    "common/tools/ais_infer.py": ("--model in/a.onnx --input in --output out --loop 1 --batchsize 1", "in/a.onnx in/a.bin"),
    "common/tools/benchmark.py": ("-om_path=in/a.onnx -batch_size=1 -device_id=0 -input_text_path=in/a.info -model_type=vision "
                                  "-input_width=96 -input_height=96 -output_binary=True -useDvpp=False", "in/a.onnx in/a.info"),
    "common/tools/msame.py": ("--model in/a.onnx --input in --output out --loop 1", "in/a.onnx in/a.bin"),
    "common/tools/perf.py": ("in/a.txt --batch 1", "in/a.txt"),
}
"""A program: its arguments (a number among them is replaced by each of NUMBERS in turn), and the files that it reads, each of
which is replaced by each of BAD."""

ELSEWHERE = {
    "common/dev/new.py": "test_new_model.py", "common/dev/submit.py": "test_submit.py: its findings are its output",
    "common/devices/__main__.py": "runs the command it is given: test_devices.py",
    "common/engines/fastest.py": "takes a folder's name: test_auto_engine.py", "common/engines/sessions.py": "takes a name", "common/make/__main__.py": "test_make.py", "common/make/check.py": "test_make.py",
    "common/make/lock.py": "test_make.py", "common/make/stage.py": "runs the command it is given: test_make_house.py",
    "common/npu/atc_flags.py": "takes words: test_pth2om.py", "common/npu/chip.py": "test_chip.py", "common/npu/doctor.py": "test_doctor.py: its findings are its output",
    "common/precision/keep.py": "runs the command it is given: test_precision_layers.py",
}
"""Programs that read none of BAD, and why or where they are tried."""


def saved(kind: str) -> Callable[[Path], Any]:
    def make(path: Path) -> None:
        from PIL import Image
        with open(path, "wb") as file:
            Image.new("RGB", (96, 96)).save(file, kind)
    return make


def content(given: bytes) -> Callable[[Path], Any]:
    return lambda path: path.write_bytes(given)


BAD: Dict[str, Callable[[Path], Any]] = {
    "missing": lambda path: None, "empty": content(b""), "bytes": content(bytes(range(256)) * 8), "text": content(b"a b\n\xff\x00\n"),
    "json": content(b'[{"a": NaN}]'), "deep": content(b"[" * 100_000), "eps": saved("EPS"), "pickle": content(b"cos\nsystem\n(S'touch ran'\ntR."),
    "pipe": os.mkfifo, "folder": os.mkdir, "dangling": lambda path: path.symlink_to("gone"), "loop": lambda path: path.symlink_to(path.name),
    "device": lambda path: path.symlink_to("/dev/zero")}
NUMBERS = ("", "-1", "\u00b2", "9" * 5000, "1e9", "nan", "0x10", "1_0", "1;touch ran", "$(touch ran)", "`touch ran`", "99999999999")
QUICK = ("bytes", "pipe", "\u00b2")
"""Those of BAD and NUMBERS that the quick test tries."""


def is_program(path: Path) -> bool:
    last = ast.parse(path.read_text(encoding="utf-8")).body[-1:]
    return path.stem == "__main__" or bool(last) and ast.unparse(last[0]).startswith("if __name__ == '__main__'")


def programs() -> List[str]:
    return sorted(str(path.relative_to(ROOT)) for folder in FOLDERS for path in (
        (ROOT / folder).rglob("*.py") if folder == "common" else (ROOT / folder).glob("*.py"))
        if is_program(path) and "template" not in path.parts)


def cases(quick: bool) -> Iterator[Tuple[str, str, List[str]]]:
    """Each program, what is wrong (one of BAD, or `number`), and its arguments."""
    for program, (line, places) in PROGRAMS.items():
        for bad in BAD if places else ():
            if bad in QUICK or not quick:
                yield program, bad, line.split()
        words = line.split()
        for place, word in enumerate(words):
            flag = re.fullmatch(r"(-\w+=)?\d+", word)
            for number in NUMBERS if flag else ():
                if flag and (number in QUICK or not quick):
                    yield program, "number", [*words[:place], (flag[1] or "") + number, *words[place + 1:]]


def tree(folder: Path) -> Dict[str, Any]:
    """What is in a folder, but for empty folders."""
    return {str(path.relative_to(folder)): (os.lstat(path).st_mode, os.lstat(path).st_size, os.lstat(path).st_mtime_ns)
            for path in folder.rglob("*") if path.is_symlink() or not path.is_dir()}


def start(folder: Path, program: str, words: List[str]) -> int:
    """Fork a process that runs a program as a user would; it is ended after SECONDS. Gives its number."""
    child = os.fork()
    if child:
        return child
    signal.alarm(SECONDS)
    os.setsid()
    os.chdir(folder)
    for name, number in (("stdout", 1), ("stderr", 2)):
        os.dup2(os.open(folder.parent / name, os.O_WRONLY | os.O_CREAT), number)
    sys.argv = [program, *words]
    status = 0
    try:
        if program.startswith("common/"):
            runpy.run_module(program[:-3].replace("/", ".").replace(".__main__", ""), run_name="__main__", alter_sys=True)
        else:
            sys.path.insert(0, str(ROOT / program.partition("/")[0]))
            runpy.run_path(str(ROOT / program), run_name="__main__")
    except SystemExit as left:
        status = left.code if isinstance(left.code, int) else 1
    except BaseException:
        import traceback
        traceback.print_exc()
        status = 99
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def fault(status: int, said: str, bad: str, before: Dict[str, Any], after: Dict[str, Any]) -> str:
    """What is wrong with how a program ended, as `kind: detail`; empty where nothing is."""
    lines = [line for line in said.splitlines() if line.strip()]
    if status == -signal.SIGALRM:
        return "hang"
    if "Traceback" in said or status < 0 or status == 99:
        return f"traceback: {status} {lines[-1:]}"
    if [name for name in before if before[name] != after.get(name)]:
        return f"deletion: {[name for name in before if before[name] != after.get(name)]}"
    if set(after) - set(before):
        return f"half file: {sorted(set(after) - set(before))}"
    if status == 0:
        return "silent pass"
    if status == 2 and bad == "number" and "error: " in said:
        return ""
    return "" if status == 1 and len(lines) == 1 and lines[0].startswith("error: ") else f"lines: {status} {lines[-3:]}"


def sweep(place: Path) -> None:
    """Run the cases below a folder; print a JSON line for each fault, and the number of cases."""
    for module in ("numpy", "cv2", "PIL.Image", "onnx", "onnxruntime", "torch", "fastjsonschema"):
        __import__(module)
    sys.path.insert(0, str(ROOT))
    count, wanted = 0, sys.argv[3:]
    for program, bad, words in cases(sys.argv[2] == "quick"):
        if wanted and program not in wanted:
            continue
        folder = place / str(count) / "w"
        (folder / "in").mkdir(parents=True)
        for name in PROGRAMS[program][1].split() if bad != "number" else ():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            BAD[bad](folder / name)
        (folder / "other").mkdir()
        (folder / "other/a_0.bin").write_bytes(b"\0\0\x80\x3f" * 12)  # what is compared with
        before = tree(folder)
        _, status = os.waitpid(start(folder, program, words), 0)
        status = os.WEXITSTATUS(status) if os.WIFEXITED(status) else -os.WTERMSIG(status)
        said = (folder.parent / "stderr").read_text(errors="replace")
        found = fault(status, said, bad, before, tree(folder))
        count += 1
        if found:
            print(json.dumps([program, bad, " ".join(words)[:200], found[:400]]), flush=True)
    print(json.dumps(count))


def test_every_program_is_in_the_table():
    assert sorted([*PROGRAMS, *ELSEWHERE]) == programs()


@pytest.mark.parametrize("extent", ["quick", pytest.param("full", marks=pytest.mark.full)])
def test_every_program_on_every_kind_of_bad_input_is_one_line_and_leaves_all_as_it_was(tmp_path, extent):
    done = subprocess.run([sys.executable, __file__, str(tmp_path), extent], stdout=subprocess.PIPE, text=True, check=True,
                          env=environment())
    *faults, count = map(json.loads, done.stdout.splitlines())
    assert count == len(list(cases(extent == "quick"))) and not faults, "\n".join(map(str, faults))


if __name__ == "__main__":
    sweep(Path(sys.argv[1]))
