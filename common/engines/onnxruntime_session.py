"""Running an ONNX file with ONNX Runtime, on the CPU or by another execution provider."""
from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Callable, Collection, Dict, List, Optional, Sequence, Tuple

from common.base import errors, files
from common.base.errors import UserError
from common.engines.engine import PROVIDERS, Engine, Tensor, Timing, cann_precision, device_name

DTYPES = {"float": "float32", "float16": "float16", "double": "float64", "bool": "bool",
          "int8": "int8", "int16": "int16", "int32": "int32", "int64": "int64",
          "uint8": "uint8", "uint16": "uint16", "uint32": "uint32", "uint64": "uint64"}


class Session(Engine):
    """An ONNX file in ONNX Runtime, on the CPU or another execution provider. device: one of `PROVIDERS`.

    spin: whether threads that wait for work keep their core; False where pre- and postprocessing share the cores.
    precision: f16 rehearses half precision, `common.engines.half`; empty computes in what the file says. keep: what stays
    in float32 of a rehearsal, by default what `KEEP` of the environment lists.
    adjust: changes the `onnxruntime.SessionOptions` before the model is loaded, to measure what they do.
    Raises `UserError` when the file is missing, an `.om`, truncated or not ONNX, and when the execution provider is
    not in this onnxruntime or cannot be started.
    """

    backend = "onnxruntime"

    def __init__(self, path: files.PathLike, device: Optional[str] = None, threads: Optional[int] = None,
                 index: int = 0, spin: bool = True, adjust: Optional[Callable[[Any], None]] = None,
                 precision: str = "", keep: Optional[Collection[str]] = None):
        super().__init__(path, device_name(device), threads, index)
        onnxruntime = load(self.device)
        self.provider, _, self._memory = PROVIDERS[self.device]
        self.version = onnxruntime.__version__
        self._rewritten: Optional[bytes] = None
        if precision:
            with errors.optional(f"PRECISION={precision}", "engines/half.py", "leave PRECISION out"):
                from common.engines import half, keep_list
            how, self.kept = half.mode(), sorted(keep_list.given() if keep is None else keep)
            self.provider += f", {how}{f', {len(self.kept)} kept in float32' if self.kept else ''}"
            self._rewritten = half.session_bytes(self.path, how, self.kept)
        self._precision = cann_precision() if self.device == "cann" else ""
        self._profile: Optional[tempfile.TemporaryDirectory[str]] = None
        self.on_cpu: Optional[Tuple[int, int]] = None
        """On an NPU, how many of how many nodes the CPU computed in the first run."""
        if self._precision:
            self.provider += f", {self._precision}"
            self._profile = tempfile.TemporaryDirectory(prefix="cann-")
        self._session = self._open(onnxruntime, spin, adjust)
        self.inputs = [_tensor(node, path) for node in self._session.get_inputs()]
        self.outputs = [_tensor(node, path) for node in self._session.get_outputs()]

    def _open(self, onnxruntime: Any, spin: bool, adjust: Optional[Callable[[Any], None]]) -> Any:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.inter_op_num_threads = 1
        # chosen by measurement, `python3 -m common.dev.engine_bench` (docs/SPEED.md, Engines): all graph optimizations, one
        # operator after the other, memory kept between runs, threads that spin while they wait for the next operator
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.enable_mem_pattern = options.enable_cpu_mem_arena = True
        options.add_session_config_entry("session.intra_op.allow_spinning", "1" if spin else "0")
        options.log_severity_level = 4 if self.device == "cpu" else 3  # why a provider did not start, is logged
        if self._profile:
            options.enable_profiling, options.profile_file_prefix = True, str(Path(self._profile.name, "run"))
        if adjust:
            adjust(options)
        settings = {} if self.device == "cpu" else {"device_id": str(self.index)}
        if self._precision:
            settings["precision_mode"] = self._precision
        own = PROVIDERS[self.device][0]
        providers: List[Any] = [(own, settings)]
        if self.device == "tensorrt":
            providers.append((PROVIDERS["cuda"][0], settings))
        try:
            session = onnxruntime.InferenceSession(self._rewritten or str(self.path), options, providers=providers,
                                                   enable_fallback=0)
            self._rewritten = None
        except Exception as error:  # onnxruntime has a class of its own for each of its status codes
            if self.device != "cpu" and "PROTOBUF" not in str(error).upper():
                raise UserError(f"{self.path}: {self.provider} cannot run it: {error}") from error
            raise UserError(f"{self.path}: is truncated or not an ONNX model that onnxruntime {self.version} can "
                            f"read; export it again ({error})") from error
        if session.get_providers()[0] != own:
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
        if self._profile:
            self.on_cpu = placed(self._session.end_profiling())
            self._profile.cleanup()
            self._profile = None
            if self.on_cpu[0]:
                print(f"warning: {self.path}: {self.on_cpu[0]} of {self.on_cpu[1]} nodes ran on the CPU, not on the NPU",
                      file=sys.stderr)
        return outputs

    def provenance(self) -> Dict[str, Any]:
        told = super().provenance()
        return told if self.on_cpu is None else {**told, "nodes_on_cpu": self.on_cpu[0], "nodes": self.on_cpu[1]}

    def metadata(self) -> Dict[str, str]:
        return dict(self._session.get_modelmeta().custom_metadata_map)


def load(device: str) -> Any:
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


def placed(profile: files.PathLike) -> Tuple[int, int]:
    """How many nodes the CPU computed, and how many there are, in ONNX Runtime's profile of a session."""
    events = files.read_json(profile, {"type": "array", "items": {"type": "object"}})
    nodes = {event["args"].get("node_index", event["name"]): event["args"]["provider"] for event in events
             if event.get("cat") == "Node" and event.get("args", {}).get("provider")}
    return sum(provider == PROVIDERS["cpu"][0] for provider in nodes.values()), len(nodes)


def _tensor(node: Any, path: files.PathLike) -> Tensor:
    import numpy as np
    kind = node.type[len("tensor("):-1] if node.type.startswith("tensor(") else node.type
    if kind not in DTYPES:
        raise UserError(f"{path}: {node.name} is of type {node.type}, which has no .bin form")
    return Tensor(node.name, tuple(dim if isinstance(dim, int) else None for dim in node.shape),
                  np.dtype(DTYPES[kind]))
