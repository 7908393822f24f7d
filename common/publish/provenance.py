"""What stands behind a report's figures: commands, checksums, versions, the machine, and bytes on disk."""
from __future__ import annotations

import os
import platform
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any, Dict, Iterable, List, Mapping, Optional, Sequence, Tuple

from common.base import files, settings
from common.engines import engine
from common.npu import chip

PACKAGES = ("numpy", "pillow", "opencv-python-headless", "torch", "onnx", "onnxruntime", "onnxruntime-gpu",
            "onnxruntime-cann", "onnxsim", "openvino")
INTERPRETER = '"$INTERPRETER"'
"""The interpreter as make writes it."""


def versions() -> Dict[str, str]:
    """Python's version and those of the packages that compute, of those that are installed. Imports none of them."""
    from importlib import metadata
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        with suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def machine(threads: Optional[int] = None) -> Dict[str, Any]:
    """This machine: processor, the cores that this process may use, threads of a run, bytes of memory, chips."""
    memory = None
    with suppress(ValueError, OSError, AttributeError):
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {"cpu": engine.hardware("cpu"), "cores": settings.cores(), "threads": threads, "memory_bytes": memory,
            "system": f"{platform.system()} {platform.machine()}", "chips": chips()}


def chips() -> List[str]:
    """The names of the NPUs that `npu-smi` lists and of the GPUs that `nvidia-smi` lists, none where neither is."""
    found: List[str] = []
    with suppress(OSError, subprocess.SubprocessError):
        if shutil.which("nvidia-smi"):
            listed = subprocess.run(["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"], check=True,
                                    capture_output=True, text=True, timeout=30).stdout
            found += [line.strip() for line in listed.splitlines() if line.strip()]
    with suppress(OSError, subprocess.SubprocessError):
        if shutil.which("npu-smi"):
            listed = subprocess.run(["npu-smi", "info"], check=True, capture_output=True, text=True, timeout=30).stdout
            found += [each.name for each in chip.chips(listed)]
    return found


def collection() -> Optional[str]:
    """The commit of this code, "-dirty" when files were changed since; None outside of git."""
    with suppress(OSError, subprocess.SubprocessError):
        return subprocess.run(["git", "describe", "--always", "--dirty", "--abbrev=12"], check=True, timeout=30,
                              cwd=Path(__file__).resolve().parent, capture_output=True,
                              text=True).stdout.strip() or None
    return None


def file_entry(path: files.PathLike, shown: Optional[str] = None) -> Dict[str, Any]:
    """`{"file", "sha256", "bytes"}` of one file; `shown` is the name to give it."""
    return {"file": shown or str(path), "sha256": files.sha256(path), "bytes": os.path.getsize(path)}


def commands(stages: Iterable[str], folder: files.PathLike) -> List[Dict[str, str]]:
    """The command line of each stage, as make keeps it in `.args/<stage>`; the interpreter is called python3."""
    found = []
    for stage in stages:
        path = Path(folder) / ".args" / stage
        if path.is_file():
            line = " ".join(path.read_text(encoding="utf-8").split())
            found.append({"stage": stage, "command": line.replace(INTERPRETER, "python3")})
    return found


def disk(outputs: Sequence[Tuple[str, str]], folder: files.PathLike) -> List[Dict[str, Any]]:
    """Bytes on disk by the folders and files of `folder` (the build folder), each with the stages that write there.

    outputs: (stage, the file that stands for it). Links are not followed: a dataset elsewhere does not count.
    """
    folder = Path(folder)
    owners: Dict[str, List[str]] = {}
    for stage, path in outputs:
        owners.setdefault(Path(path).parts[0], []).append(stage)
    found = []
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith(".") or entry.is_symlink():
            continue
        inside = [entry] if entry.is_file() else [path for path in entry.rglob("*") if not path.is_symlink()]
        sizes = [path.stat().st_size for path in inside if path.is_file()]
        if sum(sizes):
            found.append({"path": entry.name + ("" if entry.is_file() else "/"), "stages": owners.get(entry.name, []),
                          "files": len(sizes), "bytes": sum(sizes)})
    return found


def gather(runs: Sequence[Mapping[str, Any]], outputs: Sequence[Tuple[str, str]],
           folder: files.PathLike = ".", checkpoint: str = "checkpoint.pth") -> Dict[str, Any]:
    """The report's provenance, from the build folder. checkpoint: the file (or link) there that it started from."""
    folder = Path(folder)
    models = {run["provenance"]["model"]: run["provenance"]["model_sha256"] for run in runs}
    source = folder / checkpoint
    return {
        "checkpoint": file_entry(source, source.resolve().name) if source.is_file() else None,
        "models": [{"file": Path(name).name, "sha256": checksum,
                    "bytes": (folder / name).stat().st_size if (folder / name).is_file() else None}
                   for name, checksum in sorted(models.items())],
        "commands": commands([stage for stage, _ in outputs], folder), "versions": versions(),
        "machine": machine(runs[0]["provenance"]["threads"] if runs else None), "collection": collection()}
