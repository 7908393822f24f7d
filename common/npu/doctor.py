"""What this machine has for `make all` and the Ascend side: `python3 -m common.npu.doctor` in a model's folder or above.

A line per thing: `ok` it is there, `-` it is absent and not needed here, `MISSING` it is needed. It needs no package.
"""
from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Iterator, List, NamedTuple, Optional, Sequence, Tuple

from common.base import errors, facts, files
from common.base.errors import UserError
from common.data import inputs
from common.engines import sessions
from common.npu import chip

NEEDED_DISK = 2 * 10 ** 9
"""Bytes that `make all` of one model may take with demo data; for a whole dataset its preprocess checks."""
ENVIRONMENT_DISK = 6 * 10 ** 9
"""Bytes of .venv with torch's CUDA packages, plus room to unpack."""


WHEELS = ("aclruntime-<version>-cp<Python>-linux_<machine>.whl", "ais_bench-<version>-py3-none-any.whl")
CANN_PACKAGES = {"numpy": "numpy", "protobuf": "google.protobuf", "decorator": "decorator", "sympy": "sympy",
                 "scipy": "scipy", "psutil": "psutil", "attrs": "attr", "cffi": "cffi", "pyyaml": "yaml"}
"""What CANN's installation guide has pip install for atc's compiler, and the module that each brings."""


class Line(NamedTuple):
    """One finding. state: "ok", "-" (absent, not needed) or "MISSING" (needed)."""

    state: str
    subject: str
    found: str
    advice: str = ""

    def __str__(self) -> str:
        return f"{self.state:7}  {self.subject:12}  {self.found}" + (f" -> {self.advice}" if self.advice else "")


def requirements(text: str) -> List[Tuple[str, str, str]]:
    """(name, relation, version) of each line of a requirements file; relation is "==", ">=" or "" (any version)."""
    found = []
    for line in text.splitlines():
        match = re.fullmatch(r"([A-Za-z0-9._-]+)\s*(?:(==|>=)\s*([0-9][\w.]*))?", line.split("#")[0].strip())
        if match:
            found.append((match.group(1), match.group(2) or "", match.group(3) or ""))
    return found


def numbers(version: str) -> Tuple[int, ...]:
    """The leading numbers of a version for comparison: `2.11.0+cu130` gives (2, 11, 0)."""
    return tuple(int(part) for part in re.findall(r"\d+", version.split("+")[0])[:4])


def installed(name: str) -> Optional[str]:
    """The version of a package; another build of the same one (onnxruntime-gpu, opencv-python) counts."""
    from importlib import metadata
    twins = {"onnxruntime": ("onnxruntime-gpu", "onnxruntime-cann"), "opencv-python-headless": ("opencv-python",)}
    for one in (name, *twins.get(name, ())):
        try:
            return metadata.version(one)
        except metadata.PackageNotFoundError:
            continue
    return None


def python(pinned: bool = False) -> Iterator[Line]:
    """The interpreter; `pinned`: .venv is to be made with it, from packages of pinned versions."""
    version, where = platform.python_version(), sys.executable
    if pinned and not (3, 11) <= sys.version_info[:2] <= (3, 13):
        yield Line("MISSING", "Python", f"{version} ({where}); the pinned packages need 3.11 to 3.13",
                   "give PYTHON=python3.11 (say)")
        return
    yield Line("ok", "Python", f"{version} ({where})") if sys.version_info >= (3, 8) else \
        Line("MISSING", "Python", f"{version} ({where}), expected 3.8 or newer",
             "install it, give PYTHON=python3.11 (say)")


def packages(required: Path) -> Iterator[Line]:
    """Every package of a requirements file: missing ones, and ones of another version than asked for."""
    if not required.is_file():
        yield Line("MISSING", "packages", f"{required}: no such file", "take it from the collection")
        return
    good = []
    for name, relation, wanted in requirements(required.read_text(encoding="utf-8")):
        found = installed(name)
        asked = f"{name}{relation}{wanted}"
        if found is None:
            yield Line("MISSING", "package", f"{asked} is not installed", "make setup")
        elif relation == ">=" and numbers(found) < numbers(wanted):
            yield Line("MISSING", "package", f"{name} {found}, expected {wanted} or newer", "make setup")
        elif relation == "==" and numbers(found) != numbers(wanted):
            yield Line("-", "package", f"{name} {found}, tested with {wanted}", "make setup, if anything fails")
        else:
            good.append(f"{name} {found}")
    if good:
        yield Line("ok", "packages", ", ".join(good))


def providers() -> Iterator[Line]:
    """ONNX Runtime's execution providers, and OpenVINO, against what DEVICE and PRECISION ask for."""
    from common.engines import engine
    try:
        import onnxruntime
    except ImportError as error:
        yield Line("MISSING", "onnxruntime", f"cannot be imported ({error})", "make setup")
        return
    there = onnxruntime.get_available_providers()
    devices = [name for name, (provider, _, _) in engine.PROVIDERS.items() if provider in there]
    yield Line("ok", "providers",
               f"onnxruntime {onnxruntime.__version__}: {', '.join(there)}; DEVICE={'|'.join(devices)}")
    version = installed("openvino")
    yield Line("ok", "OpenVINO", f"{version}: DEVICE=openvino") if version else \
        Line("-", "OpenVINO", "not installed", "for DEVICE=openvino: make extras")
    try:
        device = engine.device_name()
        precision = engine.precision_name(device)
        sessions.check(f"{device}-{precision}" if precision else device)
    except UserError as error:
        yield Line("MISSING", "providers", str(error))


def programs() -> Iterator[Line]:
    """Programs that make and `make upstream` use."""
    for name, needed, advice in (("bash", True, "install it"), ("make", True, "install GNU Make 4"),
                                 ("git", False, "install it for `make upstream`")):
        path = shutil.which(name)
        yield Line("ok", name, path) if path else Line("MISSING" if needed else "-", name, "not on PATH", advice)


def cann() -> Iterator[Line]:
    """CANN and its compiler, in the places where env.sh looks."""
    home, root = os.environ.get("ASCEND_HOME_PATH", ""), Path(os.environ.get("ASCEND_ROOT") or "/usr/local/Ascend")
    usual = (root / "ascend-toolkit/latest", root / "ascend-toolkit", root / "cann")
    place = Path(home) if home and Path(home).is_dir() else next((path for path in usual if path.is_dir()), None)
    advice = "to make .om files, install the CANN toolkit; ONNX Runtime stands in for inference"
    if place is None:
        yield Line("-", "CANN", "not found", advice)
        return
    told = sorted(place.glob("*/*.info")) + sorted(place.glob("*.cfg"))
    version = next((line.split("=", 1)[1].strip() for path in told
                    for line in path.read_text(encoding="utf-8", errors="replace").splitlines()
                    if line.lower().startswith(("version=", "package_version="))), "version not said")
    yield Line("ok", "CANN", f"{version} in {place}")
    atc = shutil.which("atc")
    if atc is None:
        yield Line("-", "atc", "not on PATH", ". ./env.sh in the model's folder")
        return
    yield Line("ok", "atc", atc)
    yield atc_python()


def atc_python() -> Line:
    """The Python that atc's compiler imports its packages from: the first on PATH without the project's environment."""
    outside = ["bash", str(Path(__file__).with_name("outside.sh"))]
    found = subprocess.run([*outside, "bash", "-c", "command -v python3"], stdout=subprocess.PIPE, text=True)
    python = found.stdout.strip()
    advice = "atc's compiler imports them; in that Python: python3 -m pip install " + " ".join(
        "'numpy<2'" if name == "numpy" else name for name in CANN_PACKAGES)
    if not python:
        return Line("MISSING", "atc's Python", "no python3 on PATH outside .venv",
                    "install the one that CANN is made for")
    code = ("import importlib, json, sys\nlost = []\nfor name in sys.argv[1:]:\n"
            " try: importlib.import_module(name)\n"
            " except Exception: lost.append(name)\n"
            "print(json.dumps([lost, getattr(sys.modules.get('numpy'), '__version__', '')]))")
    done = subprocess.run([*outside, python, "-c", code, *CANN_PACKAGES.values()], stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, text=True)
    if done.returncode:
        return Line("MISSING", "atc's Python", f"{python} ended with status {done.returncode}", "install it anew")
    lost, version = json.loads(done.stdout.splitlines()[-1])
    wrong = [name for name, module in CANN_PACKAGES.items() if module in lost]
    if version and numbers(version) >= (2,):
        wrong.insert(0, f"numpy below 2 (there is {version})")
    if wrong:
        return Line("MISSING", "atc's Python", f"{python} has no {', '.join(wrong)}", advice)
    return Line("ok", "atc's Python", f"{python}: numpy {version} and the rest of CANN's list")


def cannot_import(python: str, modules: Sequence[str]) -> str:
    """Why a Python cannot import these modules, a line; empty where it can. A broken library may end that process."""
    done = subprocess.run([python, "-c", f"import {', '.join(modules)}"], stdout=subprocess.DEVNULL,
                          stderr=subprocess.PIPE, text=True)
    return (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1] if done.returncode else ""


def npu() -> Iterator[Line]:
    """The chips, and the tools that run an .om on them."""
    try:
        found = chip.chips(chip.npu_smi())
    except UserError as error:
        yield Line("-", "NPU", str(error).split(";")[0], "without one, ONNX Runtime stands in for the tools")
        return
    if not found:
        yield Line("-", "NPU", "npu-smi info names no chip", "see npu-smi info; give pth2om.sh --soc_version=")
        return
    try:
        yield Line("ok", "NPU", f"{', '.join(each.name for each in found)}: --soc_version={chip.soc_version(found[0])}")
    except UserError as error:
        said, _, advice = str(error).partition("; ")
        yield Line("MISSING", "NPU", f"{', '.join(each.name for each in found)}: {said}", advice)
    names = (f"benchmark.{platform.machine()}", "benchmark", "msame", "ais_infer")
    tools = [name for name in names if shutil.which(name)]
    advice = f"install the two wheels {' and '.join(WHEELS)} of Ascend's tools, or put one of the others on PATH"
    absent = "benchmark, msame, ais_infer, ais_bench: none there"
    if importlib.util.find_spec("ais_bench"):
        why = cannot_import(sys.executable, ["aclruntime", "ais_bench.infer"])
        if why:
            absent = f"the ais_bench that is installed does not run an .om ({why})"
            advice = f"pip uninstall ais_bench, if it is the program of that name for language models; {advice}"
        else:
            tools.append("python3 -m ais_bench")
    yield Line("ok", "tools", ", ".join(tools)) if tools else Line("-", "tools", absent, advice)


def gpu() -> Iterator[Line]:
    """The NVIDIA driver and trtexec, for test/perf_t4.sh."""
    tool = shutil.which("nvidia-smi")
    said = subprocess.run([tool, "--query-gpu=name,driver_version", "--format=csv,noheader"], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True) if tool else None
    if said is None or said.returncode or not said.stdout.strip():
        yield Line("-", "NVIDIA GPU", "nvidia-smi finds none" if tool else "nvidia-smi is not on PATH",
                   "only test/perf_t4.sh and DEVICE=cuda|tensorrt need one")
        return
    yield Line("ok", "NVIDIA GPU", "; ".join(f"driver of {line}" for line in said.stdout.strip().splitlines()))
    trtexec = shutil.which("trtexec")
    yield Line("ok", "trtexec", trtexec) if trtexec else \
        Line("-", "trtexec", "not on PATH", "install TensorRT; perf_t4.sh takes ONNX Runtime instead")


def disk(folder: Path, need: int) -> Iterator[Line]:
    free = shutil.disk_usage(folder).free
    text = f"{files.size(free)} free in {folder.resolve()}"
    yield Line("ok", "disk", text) if free >= need else \
        Line("MISSING", "disk", f"{text}, {files.size(need)} needed", "free some space")


def dataset(data: str, links: Sequence[str], model: str = "") -> Iterator[Line]:
    """The dataset's layout, and how many files each part holds."""
    subject = f"{model} data".strip()
    if not links:
        yield Line("ok", subject, "none is needed")
    elif not data:
        yield Line("ok", subject, "DATASETS_PATH is not given: the demo, drawn by code")
    elif not Path(data).is_dir():
        yield Line("MISSING", subject, f"DATASETS_PATH={data}: no such folder", "give the dataset's folder")
    else:
        for part in links:
            name, _, candidates = part.partition("=")
            try:
                place = inputs.locate(Path(data), name, candidates.split(","))
                count = 1 if place.is_file() else sum(len(names) for _, _, names in os.walk(place, followlinks=True))
            except UserError as error:
                yield Line("MISSING", subject, str(error), "lay it out as the model's README says")
                continue
            yield Line("ok", subject, f"{name}: {count} files in {place}") if count else \
                Line("MISSING", subject, f"{name}: {place} is empty", "lay it out as the model's README says")


def declared(folder: Path) -> Tuple[str, Optional[str]]:
    """The model's name and the checksum of its published weights; as far as can be told without the packages."""
    if installed("fastjsonschema"):
        model = facts.load(folder)
        return model.name, model.weights.get("sha256")
    text = files.existing_file(folder / "facts.json", "a model's facts").read_text(encoding="utf-8", errors="replace")
    found = re.search(r'"name": "([^"]+)"', text), re.search(r'"sha256": "([0-9a-f]{64})"', text)
    return found[0][1] if found[0] else "", found[1][1] if found[1] else None


def weights(pth: str, folder: Path, model: str = "") -> Iterator[Line]:
    """The checkpoint, held to the published one's checksum where that is known."""
    subject = f"{model} weights".strip()
    if pth == "seeded":
        yield Line("ok", subject, "seeded weights, never trained")
        return
    path = Path(pth)
    if path.resolve() == (folder / "demo.pth").resolve() and path.is_file():
        yield Line("ok", subject, f"PTH is not given: the demo's (demo.pth, {files.size(path.stat().st_size)})")
        return
    if not path.is_file():
        yield Line("MISSING", subject, f"PTH={pth}: no such file", "give the checkpoint's path")
        return
    published = declared(folder)[1]
    same = ""
    if published:
        same = f", {'the published' if files.sha256(path) == published else 'not the published'} checkpoint"
    yield Line("ok", subject, f"{pth}, {files.size(path.stat().st_size)}{same}")


def machine(required: Path, need: int) -> Iterator[Line]:
    """What does not depend on a model."""
    for check in (python(), packages(required), providers(), programs(), disk(required.parent, need), cann(), npu(),
                  gpu()):
        yield from check


def main(argv: Optional[Sequence[str]] = None) -> int:
    parser = argparse.ArgumentParser(prog="python3 -m common.npu.doctor", description=errors.first_line(__doc__),
                                     epilog="Exit status 1 when a line says MISSING.")
    parser.add_argument("--data", default="", help="dataset folder; empty: the demo")
    parser.add_argument("--pth", default="seeded", help="checkpoint; default: seeded weights")
    parser.add_argument("--link", action="append", default=[], metavar="NAME=CANDIDATE[,CANDIDATE]",
                        help="a part of the dataset and where it may lie")
    parser.add_argument("--only", choices=["machine", "model"], help="a part of the lines")
    args = parser.parse_args(argv)
    folder, required = Path("."), Path("requirements.txt")
    lines: List[Line] = []
    collection = Path("common/make/setup.mk").is_file()  # there the collection's own file pins the environment
    if collection and Path("facts.json").is_file() and Path("common").is_symlink():
        required = Path("../requirements.txt")
    ready = not collection or (required.parent / ".venv/installed").is_file()
    if args.only != "model":
        if ready:
            lines += machine(required, NEEDED_DISK)
        else:  # `make` sets it up by itself, so its packages are not missing
            lines.append(Line("-", "environment", ".venv is not set up", "make setup; make all does it by itself"))
            room = disk(required.parent, ENVIRONMENT_DISK)
            for check in (python(pinned=True), programs(), room, cann(), npu(), gpu()):
                lines += check
    if args.only != "machine":
        name = declared(folder)[0]
        label = name if args.only else ""
        lines += [*dataset(args.data, args.link, label), *weights(args.pth, folder, label)]
    for line in lines:
        print(line)
    missing = sum(line.state == "MISSING" for line in lines)
    if args.only is None or missing:
        print(f"{missing} missing for `make all`" if missing else "`make all` has what it needs on this machine")
    return int(missing > 0)


if __name__ == "__main__":
    errors.run(main)
