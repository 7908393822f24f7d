"""Running an ONNX file with ONNX Runtime, which stands in for the Ascend tools where there is no NPU.

Environment: `DEVICE` picks the execution provider (cpu, cuda, tensorrt, cann; default cpu), `THREADS` the threads
within one operator on the CPU (default: the cores that this process may use).
"""
from __future__ import annotations

import os
import platform
import shutil
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

from common import files
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
ENVIRONMENT = ("DEVICE=cpu|cuda|tensorrt|cann picks the ONNX Runtime execution provider (cpu); "
               "THREADS=N the threads on the CPU (all cores).")


class Tensor(NamedTuple):
    """An input or output of the model. A dimension that is free in the file is None. dtype is a NumPy dtype."""

    name: str
    shape: Tuple[Optional[int], ...]
    dtype: Any


class Timing(NamedTuple):
    """Milliseconds of one run: copy to the device, compute on it, copy back. On the CPU nothing is copied: 0."""

    h2d: float
    compute: float
    d2h: float


def device_name(device: Optional[str] = None) -> str:
    """`device`, else `DEVICE` of the environment, else cpu. Raises `UserError` for one that is not known."""
    device = device or os.environ.get("DEVICE", "").strip() or "cpu"
    if device not in PROVIDERS:
        raise UserError(f"DEVICE={device}: expected one of {', '.join(PROVIDERS)}")
    return device


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


class Session:
    """An ONNX file that is loaded and can be run.

    path: the `.onnx` file. device, threads: see `device_name` and `thread_count`. index: which GPU or NPU of several.
    inputs, outputs: lists of `Tensor`. timing: `Timing` of the latest `run`.
    Raises `UserError` when the file is missing, an `.om`, truncated or not ONNX, and when the execution provider is
    not in this onnxruntime or cannot be started.
    """

    def __init__(self, path: files.PathLike, device: Optional[str] = None, threads: Optional[int] = None,
                 index: int = 0):
        self.path = Path(path)
        self.device = device_name(device)
        self.threads = thread_count(threads)
        self.index = index
        self.timing = Timing(0.0, 0.0, 0.0)
        self._sha256: Optional[str] = None
        self.provider, package, self._memory = PROVIDERS[self.device]
        if self.path.suffix == ".om":
            raise UserError(f"{path}: an .om runs on an NPU only; give the .onnx it was made from")
        files.existing_file(path, "an ONNX model")
        try:
            import onnxruntime
        except ImportError as error:
            raise UserError(f"onnxruntime cannot be imported ({error}): pip install {package}") from error
        self.version = onnxruntime.__version__
        if self.provider not in onnxruntime.get_available_providers():
            raise UserError(f"DEVICE={self.device}: this onnxruntime {self.version} has no {self.provider}: "
                            f"pip install {package}")
        self._session = self._open(onnxruntime)
        self.inputs = [_tensor(node, path) for node in self._session.get_inputs()]
        self.outputs = [_tensor(node, path) for node in self._session.get_outputs()]

    def _open(self, onnxruntime: Any) -> Any:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 4 if self.device == "cpu" else 3  # why a provider did not start, is logged
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

    def run(self, arrays: Sequence[Any]) -> List[Any]:
        """Run the model once: one array per input, in its order, of its dtype and shape; gives one per output.

        `timing` then holds the milliseconds. Raises `UserError` when the model does not take the arrays.
        """
        if len(arrays) != len(self.inputs):
            raise UserError(f"{self.path}: has {len(self.inputs)} inputs, {len(arrays)} were given")
        feeds = {tensor.name: array for tensor, array in zip(self.inputs, arrays)}
        try:
            return self._run_here(feeds) if self.device == "cpu" else self._run_there(feeds)
        except Exception as error:  # as above
            raise UserError(f"{self.path}: inference failed: {error}") from error

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

    def describe(self) -> str:
        """One line: `ONNX Runtime 1.24.4, CPUExecutionProvider, 2 threads`."""
        return (f"ONNX Runtime {self.version}, {self.provider}, "
                f"{self.threads} thread{'' if self.threads == 1 else 's'}")

    def sha256(self) -> str:
        """SHA-256 of the model file, read once."""
        if self._sha256 is None:
            self._sha256 = files.sha256(self.path)
        return self._sha256

    def provenance(self) -> Dict[str, Any]:
        """What stands behind this session's outputs and figures, as JSON values."""
        return {"backend": "onnxruntime", "version": self.version, "provider": self.provider,
                "device": hardware(self.device, self.index), "threads": self.threads, "model": str(self.path),
                "model_sha256": self.sha256(),
                "metadata": dict(self._session.get_modelmeta().custom_metadata_map)}


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
    if device == "cpu":
        with suppress(OSError):
            for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
        return platform.processor() or platform.machine()
    return f"{device}:{index}"
