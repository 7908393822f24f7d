"""Running an ONNX file with ONNX Runtime or OpenVINO, which stand in for the Ascend tools where there is no NPU.

Environment: `DEVICE` picks ONNX Runtime's execution provider (cpu, cuda, tensorrt, cann; default cpu) or OpenVINO on
the CPU (openvino), there in `PRECISION` f32 or bf16 (default f32), or what is fastest here (auto, `common.engines.fastest`);
`THREADS` the threads within one operator on the CPU (default: the cores that this process may use). On cpu,
`PRECISION` f16 rehearses half precision (`common.engines.half`): `OVERFLOW` saturate or inf, `SUMS` f32 or
f16. On cann, `ATC_PRECISION` is the provider's precision_mode. `python3 -m common.engines.sessions NAME` tells whether
this machine has an engine: a device, auto, or cpu-f16, openvino-f32, openvino-bf16.
"""
from __future__ import annotations

import os
import platform
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any, Callable, Dict, Iterable, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from common.base import files, model_file, settings
from common.base.errors import UserError

PROVIDERS = {  # device: (execution provider, the package that brings it, the name of its memory)
    "cpu": ("CPUExecutionProvider", "onnxruntime", "cpu"),
    "cuda": ("CUDAExecutionProvider", "onnxruntime-gpu", "cuda"),
    "tensorrt": ("TensorrtExecutionProvider", "onnxruntime-gpu plus TensorRT", "cuda"),
    "cann": ("CANNExecutionProvider", "onnxruntime-cann", "cann"),
}
AUTO = "auto"
"""In place of a device: what `common.engines.fastest` measures to be the fastest."""
DEVICES = (*PROVIDERS, "openvino", AUTO)
ON_CPU = ("cpu", "openvino", AUTO)
PRECISIONS = {"openvino": ("f32", "bf16"), "cpu": ("f16",)}
"""By device; without one, OpenVINO takes its first, the others compute in what the model's file says."""
ENGINES = (*PROVIDERS, AUTO, *(f"{device}-{precision}" for device in PRECISIONS for precision in PRECISIONS[device]))
CANN_PRECISIONS = ("force_fp16", "force_fp32", "cube_fp16in_fp32out", "allow_fp32_to_fp16", "must_keep_origin_dtype",
                   "allow_mix_precision", "allow_mix_precision_fp16")
"""What ONNX Runtime's CANN provider takes as precision_mode, its default first, of atc's values (docs/CANN.md, Sources)."""
QUANTISED = "int8"
"""Ends the provider where the network was computed in 8 bits, by the file that `make int8` leaves."""
REHEARSED = "half precision rehearsed"
"""Stands in the provider of a rehearsal, so that no figure of one goes without saying so."""
STAND_INS = {"onnxruntime": "ONNX Runtime", "openvino": "OpenVINO"}
"""The backends that stand in for the Ascend tools, by the name in a provenance. None takes an NPU's figures."""
ENVIRONMENT = ("DEVICE=cpu|cuda|tensorrt|cann picks the ONNX Runtime execution provider (cpu), DEVICE=openvino takes "
               "OpenVINO on the CPU, in PRECISION=f32|bf16 (f32); with cpu, PRECISION=f16 rehearses "
               "half precision, OVERFLOW=saturate|inf (saturate), SUMS=f32|f16 (f32); DEVICE=auto takes what a short "
               "measurement finds the fastest on the CPU, and keeps the choice beside the model; THREADS=N the threads on the "
               "CPU (all cores).")


class Tensor(NamedTuple):
    """An input or output of the model. A dimension that is free in the file is None. dtype is a NumPy dtype."""

    name: str
    shape: Tuple[Optional[int], ...]
    dtype: Any


class Timing(NamedTuple):
    """Milliseconds of one run: copy to the device, compute on it, copy back.

    On the CPU nothing is copied, but for the outputs out of OpenVINO's own memory: 0.
    """

    h2d: float
    compute: float
    d2h: float


def device_name(device: Optional[str] = None) -> str:
    """`device`, else `DEVICE` of the environment, else cpu. Raises `UserError` for one that is not known."""
    device = device or os.environ.get("DEVICE", "").strip() or "cpu"
    if device not in DEVICES:
        raise UserError(f"DEVICE={device}: expected one of {', '.join(DEVICES)}")
    return device


def precision_name(device: str, precision: Optional[str] = None) -> str:
    """`precision`, else `PRECISION` of the environment, else OpenVINO's f32; empty where the model's file says it.

    Raises `UserError` for one that is not known, and for one that the device has not.
    """
    precision = precision or os.environ.get("PRECISION", "").strip()
    known = list(dict.fromkeys(each for its in PRECISIONS.values() for each in its))
    if precision and precision not in known:
        raise UserError(f"PRECISION={precision}: expected one of {', '.join(known)}")
    its = PRECISIONS.get(device, ())
    if precision and precision not in its:
        has = " and ".join(other for other in PRECISIONS if precision in PRECISIONS[other])
        own = {"openvino": " or ".join(its), AUTO: "what is fastest at equal accuracy"}.get(device, "what the model file says")
        raise UserError(f"PRECISION={precision}: is for DEVICE={has}; leave it out, DEVICE={device} computes in {own}")
    return precision or (its[0] if device == "openvino" else "")


class Engine:
    """An ONNX file that is loaded and can be run: what ONNX Runtime's `Session` and OpenVINO's share.

    path: the `.onnx` file. device, threads: see `device_name` and `thread_count`. index: which GPU or NPU of several.
    inputs, outputs: lists of `Tensor`. timing: `Timing` of the latest `run`. backend: a key of `STAND_INS`; version of
    its package; provider: what of it computes, with the precision where that is a choice.
    Raises `UserError` when the file is missing or an `.om`, or has weights outside of its folder.
    """

    backend: str
    version: str
    provider: str
    inputs: List[Tensor]
    outputs: List[Tensor]
    best_batch = 1
    """Of the most samples/s, where DEVICE=auto has measured it."""
    kept: Sequence[str] = ()
    """The operators that stay in float32, in order, where the rest computes in half precision."""

    def __init__(self, path: files.PathLike, device: str, threads: Optional[int], index: int):
        self.path = Path(path)
        self.device = device
        self.threads = settings.thread_count(threads)
        self.index = index
        self.timing = Timing(0.0, 0.0, 0.0)
        self.int8_sha256 = ""
        """Of the file that computes in place of the model's, in 8 bits; empty: its own does."""
        self._sha256: Optional[str] = None
        if self.path.suffix == ".om":
            raise UserError(f"{path}: an .om runs on an NPU only; give the .onnx it was made from")
        files.existing_file(path, "an ONNX model")
        model_file.external(path)  # refuses what lies outside of the folder

    def run(self, arrays: Sequence[Any]) -> List[Any]:
        """Run the model once: one array per input, in its order, of its dtype and shape; gives one per output.

        The arrays given back stay as they are when the model is run again. `timing` then holds the milliseconds.
        Raises `UserError` when the model does not take the arrays.
        """
        if len(arrays) != len(self.inputs):
            raise UserError(f"{self.path}: has {len(self.inputs)} inputs, {len(arrays)} were given")
        try:
            return self._run(arrays)
        except Exception as error:  # each of onnxruntime's status codes has a class of its own; openvino has no base
            raise UserError(f"{self.path}: inference failed: {error}") from error

    def _run(self, arrays: Sequence[Any]) -> List[Any]:
        raise NotImplementedError

    def metadata(self) -> Dict[str, str]:
        """The model file's own metadata, as the export wrote it."""
        raise NotImplementedError

    def describe(self) -> str:
        """One line: `ONNX Runtime 1.24.4, CPUExecutionProvider, 2 threads`."""
        return (f"{STAND_INS[self.backend]} {self.version}, {self.provider}, "
                f"{self.threads} thread{'' if self.threads == 1 else 's'}")

    def sha256(self) -> str:
        """SHA-256 of the model, its external data included (`common.base.model_file`), read once."""
        if self._sha256 is None:
            self._sha256 = model_file.sha256(self.path)
        return self._sha256

    def provenance(self) -> Dict[str, Any]:
        """What stands behind this session's outputs and figures, as JSON values."""
        return {"backend": self.backend, "version": self.version, "provider": self.provider,
                "device": hardware(self.device, self.index), "threads": self.threads, "model": str(self.path),
                "model_sha256": self.sha256(), "metadata": self.metadata(),
                **({"int8_sha256": self.int8_sha256} if self.int8_sha256 else {})}


Feeds = Callable[[Engine], Iterable[Sequence[Any]]]
"""A run's first few inputs, an array for each of the model's, given the model loaded: what DEVICE=auto chooses by."""


def split(name: str) -> Tuple[str, Optional[str]]:
    """Device and precision of an engine's name, one of `ENGINES`: `openvino-bf16`, `cpu`."""
    if name not in ENGINES:
        raise UserError(f"{name}: expected one of {', '.join(ENGINES)}")
    device, _, precision = name.partition("-")
    return device, precision or None


def missing(path: files.PathLike) -> Optional[str]:
    """Why an engine is not here, from a file with what `python3 -m common.engines.sessions` said; None where it said nothing."""
    text = Path(path).read_text(encoding="utf-8", errors="replace")
    return text[len("error: "):].strip() if text.startswith("error: ") else None


def cann_precision() -> str:
    """`ATC_PRECISION` of the environment for DEVICE=cann. Raises `UserError` for one that the provider does not take."""
    chosen = os.environ.get("ATC_PRECISION", "").strip() or CANN_PRECISIONS[0]
    if chosen not in CANN_PRECISIONS:
        raise UserError(f"ATC_PRECISION={chosen}: DEVICE=cann takes {', '.join(CANN_PRECISIONS)}")
    return chosen


def label(by: Mapping[str, Any]) -> str:
    """A short name for who computed, from a provenance or an entry of a report: `ONNX Runtime`, `OpenVINO bf16`."""
    name = STAND_INS.get(by["backend"], by["backend"])
    if REHEARSED in by["provider"]:
        return f"{name} f16 rehearsed{by['provider'].partition(REHEARSED)[2]}"
    last = by["provider"].split(", ")[-1]
    return f"{name} {last}" if by["backend"] == "openvino" or last == QUANTISED else name


def origin(by: Mapping[str, Any]) -> str:
    """Who took a figure, in words, from a provenance or an entry of a report."""
    if by["backend"] not in STAND_INS:
        return f"{by['backend']} {by['version']}, {by['device']}"
    threads = f"{by['threads']} thread{'' if by['threads'] == 1 else 's'}"
    return f"{STAND_INS[by['backend']]} {by['version']}, {by['provider']}, {by['device']}, {threads}: no NPU figure"


def hardware(device: str, index: int = 0) -> str:
    """The name of the processor that computes, as its system gives it, e.g. `Tesla T4`."""
    if device in ("cuda", "tensorrt") and shutil.which("nvidia-smi"):
        with suppress(OSError, subprocess.SubprocessError):
            return subprocess.run(["nvidia-smi", "-i", str(index), "--query-gpu=name", "--format=csv,noheader"],
                                  check=True, capture_output=True, text=True, timeout=30).stdout.strip()
    if device in ("cpu", "openvino"):
        with suppress(OSError):
            for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
        return platform.processor() or platform.machine()
    return f"{device}:{index}"
