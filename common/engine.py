"""Running an ONNX file with ONNX Runtime or OpenVINO, which stand in for the Ascend tools where there is no NPU.

Environment: `DEVICE` picks ONNX Runtime's execution provider (cpu, cuda, tensorrt, cann; default cpu) or OpenVINO on
the CPU (openvino), there in `PRECISION` f32 or bf16 (default f32); `THREADS` the threads within one operator on the CPU
(default: the cores that this process may use). `python3 -m common.engine NAME` tells whether this machine has an
engine: a device, or openvino-f32, openvino-bf16.
"""
from __future__ import annotations

import argparse
import os
import platform
import shutil
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from common import errors, files
from common.errors import UserError

PROVIDERS = {  # device: (execution provider, the package that brings it, the name of its memory)
    "cpu": ("CPUExecutionProvider", "onnxruntime", "cpu"),
    "cuda": ("CUDAExecutionProvider", "onnxruntime-gpu", "cuda"),
    "tensorrt": ("TensorrtExecutionProvider", "onnxruntime-gpu plus TensorRT", "cuda"),
    "cann": ("CANNExecutionProvider", "onnxruntime-cann", "cann"),
}
DTYPES = {"float": "float32", "float16": "float16", "double": "float64", "bool": "bool",
          "int8": "int8", "int16": "int16", "int32": "int32", "int64": "int64",
          "uint8": "uint8", "uint16": "uint16", "uint32": "uint32", "uint64": "uint64"}
DEVICES = (*PROVIDERS, "openvino")
PRECISIONS = ("f32", "bf16")
"""Of OpenVINO; the others compute in what the model's file says."""
ENGINES = (*PROVIDERS, *(f"openvino-{precision}" for precision in PRECISIONS))
STAND_INS = {"onnxruntime": "ONNX Runtime", "openvino": "OpenVINO"}
"""The backends that stand in for the Ascend tools, by the name in a provenance. None takes an NPU's figures."""
ENVIRONMENT = ("DEVICE=cpu|cuda|tensorrt|cann picks the ONNX Runtime execution provider (cpu), DEVICE=openvino takes "
               "OpenVINO on the CPU, in PRECISION=f32|bf16 (f32); THREADS=N the threads on the CPU (all cores).")


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
    """`precision`, else `PRECISION` of the environment, else f32; empty for a device that leaves no choice.

    Raises `UserError` for one that is not known, and for any that is given for a device other than openvino.
    """
    precision = precision or os.environ.get("PRECISION", "").strip()
    if precision and precision not in PRECISIONS:
        raise UserError(f"PRECISION={precision}: expected one of {', '.join(PRECISIONS)}")
    if precision and device != "openvino":
        raise UserError(f"PRECISION={precision}: is for DEVICE=openvino; leave it out, DEVICE={device} computes in "
                        "what the model's file says")
    return precision or (PRECISIONS[0] if device == "openvino" else "")


def cores() -> int:
    """The processor's cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def thread_count(threads: Optional[int] = None) -> int:
    """`threads`, else `THREADS` of the environment, else the number of cores that this process may use."""
    text = os.environ.get("THREADS", "").strip()
    if threads is None and text:
        if not text.isdigit():
            raise UserError(f"THREADS={text}: expected a whole number, at least 1")
        threads = int(text)
    if threads is None:
        threads = cores()
    if threads < 1:
        raise UserError(f"THREADS={threads}: expected at least 1")
    return threads


class Engine:
    """An ONNX file that is loaded and can be run: what ONNX Runtime's `Session` and OpenVINO's share.

    path: the `.onnx` file. device, threads: see `device_name` and `thread_count`. index: which GPU or NPU of several.
    inputs, outputs: lists of `Tensor`. timing: `Timing` of the latest `run`. backend: a key of `STAND_INS`; version of
    its package; provider: what of it computes, with the precision where that is a choice.
    Raises `UserError` when the file is missing or an `.om`.
    """

    backend: str
    version: str
    provider: str
    inputs: List[Tensor]
    outputs: List[Tensor]

    def __init__(self, path: files.PathLike, device: str, threads: Optional[int], index: int):
        self.path = Path(path)
        self.device = device
        self.threads = thread_count(threads)
        self.index = index
        self.timing = Timing(0.0, 0.0, 0.0)
        self._sha256: Optional[str] = None
        if self.path.suffix == ".om":
            raise UserError(f"{path}: an .om runs on an NPU only; give the .onnx it was made from")
        files.existing_file(path, "an ONNX model")

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
        """SHA-256 of the model file, read once."""
        if self._sha256 is None:
            self._sha256 = files.sha256(self.path)
        return self._sha256

    def provenance(self) -> Dict[str, Any]:
        """What stands behind this session's outputs and figures, as JSON values."""
        return {"backend": self.backend, "version": self.version, "provider": self.provider,
                "device": hardware(self.device, self.index), "threads": self.threads, "model": str(self.path),
                "model_sha256": self.sha256(), "metadata": self.metadata()}


class Session(Engine):
    """An ONNX file in ONNX Runtime, on the CPU or another execution provider. device: one of `PROVIDERS`.

    spin: whether threads that wait for work keep their core; False where pre- and postprocessing share the cores.
    adjust: changes the `onnxruntime.SessionOptions` before the model is loaded, to measure what they do.
    Raises `UserError` when the file is missing, an `.om`, truncated or not ONNX, and when the execution provider is
    not in this onnxruntime or cannot be started.
    """

    backend = "onnxruntime"

    def __init__(self, path: files.PathLike, device: Optional[str] = None, threads: Optional[int] = None,
                 index: int = 0, spin: bool = True, adjust: Optional[Callable[[Any], None]] = None):
        super().__init__(path, device_name(device), threads, index)
        onnxruntime = _onnxruntime(self.device)
        self.provider, _, self._memory = PROVIDERS[self.device]
        self.version = onnxruntime.__version__
        self._session = self._open(onnxruntime, spin, adjust)
        self.inputs = [_tensor(node, path) for node in self._session.get_inputs()]
        self.outputs = [_tensor(node, path) for node in self._session.get_outputs()]

    def _open(self, onnxruntime: Any, spin: bool, adjust: Optional[Callable[[Any], None]]) -> Any:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.inter_op_num_threads = 1
        # chosen by measurement, `python3 -m common.engine_bench` (README.md, Engines): all graph optimizations, one
        # operator after the other, memory kept between runs, threads that spin while they wait for the next operator
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.enable_mem_pattern = options.enable_cpu_mem_arena = True
        options.add_session_config_entry("session.intra_op.allow_spinning", "1" if spin else "0")
        options.log_severity_level = 4 if self.device == "cpu" else 3  # why a provider did not start, is logged
        if adjust:
            adjust(options)
        settings = {} if self.device == "cpu" else {"device_id": str(self.index)}
        providers: List[Any] = [(self.provider, settings)]
        if self.device == "tensorrt":
            providers.append((PROVIDERS["cuda"][0], settings))
        try:
            session = onnxruntime.InferenceSession(str(self.path), options, providers=providers, enable_fallback=0)
        except Exception as error:  # onnxruntime has a class of its own for each of its status codes
            if self.device != "cpu" and "PROTOBUF" not in str(error).upper():
                raise UserError(f"{self.path}: {self.provider} cannot run it: {error}") from error
            raise UserError(f"{self.path}: is truncated or not an ONNX model that onnxruntime {self.version} can "
                            f"read; export it again ({error})") from error
        if session.get_providers()[0] != self.provider:
            raise UserError(f"DEVICE={self.device}: {self.provider} did not start, onnxruntime fell back to "
                            f"{session.get_providers()[0]}; check the driver and the libraries it needs")
        return session

    def _run(self, arrays: Sequence[Any]) -> List[Any]:
        feeds = {tensor.name: array for tensor, array in zip(self.inputs, arrays)}
        return self._run_here(feeds) if self.device == "cpu" else self._run_there(feeds)

    def _run_here(self, feeds: Dict[str, Any]) -> List[Any]:
        start = time.perf_counter()
        outputs = self._session.run(None, feeds)
        self.timing = Timing(0.0, (time.perf_counter() - start) * 1e3, 0.0)
        return outputs

    def _run_there(self, feeds: Dict[str, Any]) -> List[Any]:
        import onnxruntime
        binding = self._session.io_binding()
        marks = [time.perf_counter()]
        for name, array in feeds.items():
            value = onnxruntime.OrtValue.ortvalue_from_numpy(array, self._memory, self.index)
            binding.bind_ortvalue_input(name, value)
        for tensor in self.outputs:
            binding.bind_output(tensor.name, self._memory, self.index)
        binding.synchronize_inputs()
        marks.append(time.perf_counter())
        self._session.run_with_iobinding(binding)
        binding.synchronize_outputs()
        marks.append(time.perf_counter())
        outputs = binding.copy_outputs_to_cpu()
        marks.append(time.perf_counter())
        self.timing = Timing(*[(after - before) * 1e3 for before, after in zip(marks, marks[1:])])
        return outputs

    def metadata(self) -> Dict[str, str]:
        return dict(self._session.get_modelmeta().custom_metadata_map)


def _onnxruntime(device: str) -> Any:
    """The package. Raises `UserError` when it cannot be imported or has no provider for the device."""
    provider, package, _ = PROVIDERS[device]
    try:
        import onnxruntime
    except ImportError as error:
        raise UserError(f"onnxruntime cannot be imported ({error}): pip install {package}") from error
    if provider not in onnxruntime.get_available_providers():
        raise UserError(f"DEVICE={device}: this onnxruntime {onnxruntime.__version__} has no {provider}: "
                        f"pip install {package}")
    return onnxruntime


def open_session(path: files.PathLike, device: Optional[str] = None, threads: Optional[int] = None,
                 index: int = 0, precision: Optional[str] = None, spin: bool = True) -> Engine:
    """The model in the engine that `device` and `precision`, else `DEVICE` and `PRECISION`, name. spin: see `Session`.

    Raises `UserError` as `Session` and `openvino_engine.Session` do, and for a precision that does not fit.
    """
    device = device_name(device)
    precision = precision_name(device, precision)
    if device == "openvino":
        from common import openvino_engine
        return openvino_engine.Session(path, precision, threads, index)
    return Session(path, device, threads, index, spin)


def split(name: str) -> Tuple[str, Optional[str]]:
    """Device and precision of an engine's name, one of `ENGINES`: `openvino-bf16`, `cpu`."""
    if name not in ENGINES:
        raise UserError(f"{name}: expected one of {', '.join(ENGINES)}")
    device, _, precision = name.partition("-")
    return device, precision or None


def check(name: str) -> None:
    """Raise `UserError` unless this machine has the engine: its package, and what the package needs."""
    device, precision = split(name)
    if device == "openvino":
        from common import openvino_engine
        openvino_engine.load(precision or PRECISIONS[0])
    else:
        _onnxruntime(device)


def missing(path: files.PathLike) -> Optional[str]:
    """Why an engine is not here, from a file with what `python3 -m common.engine` said; None where it said nothing."""
    text = Path(path).read_text(encoding="utf-8")
    return text[len("error: "):].strip() if text.startswith("error: ") else None


def label(by: Mapping[str, Any]) -> str:
    """A short name for who computed, from a provenance or an entry of a report: `ONNX Runtime`, `OpenVINO bf16`."""
    name = STAND_INS.get(by["backend"], by["backend"])
    return f"{name} {by['provider'].split(', ')[-1]}" if by["backend"] == "openvino" else name


def origin(by: Mapping[str, Any]) -> str:
    """Who took a figure, in words, from a provenance or an entry of a report."""
    if by["backend"] not in STAND_INS:
        return f"{by['backend']} {by['version']}, {by['device']}"
    threads = f"{by['threads']} thread{'' if by['threads'] == 1 else 's'}"
    return f"{STAND_INS[by['backend']]} {by['version']}, {by['provider']}, {by['device']}, {threads}: no NPU figure"


def _tensor(node: Any, path: files.PathLike) -> Tensor:
    import numpy as np
    kind = node.type[len("tensor("):-1] if node.type.startswith("tensor(") else node.type
    if kind not in DTYPES:
        raise UserError(f"{path}: {node.name} is of type {node.type}, which has no .bin form")
    return Tensor(node.name, tuple(dim if isinstance(dim, int) else None for dim in node.shape),
                  np.dtype(DTYPES[kind]))


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


def main(argv: Optional[Sequence[str]] = None) -> None:
    parser = argparse.ArgumentParser(prog="python3 -m common.engine", description="Tell whether this machine has an "
                                     "engine: exit status 0, else 1 and why not on stderr.")
    parser.add_argument("name", choices=ENGINES)
    check(parser.parse_args(argv).name)


if __name__ == "__main__":
    errors.run(main)
