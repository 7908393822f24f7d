"""Running an ONNX file with OpenVINO on the CPU: `DEVICE=openvino`, in `PRECISION` f32 or bf16."""
from __future__ import annotations

import time
from typing import Any, Dict, List, Optional, Sequence, Tuple

from common.base import files, settings
from common.base.errors import UserError
from common.engines import engine
from common.engines.engine import Tensor, Timing

PINNED = "2026.4.1"
"""The version that requirements-extra.txt installs."""
KEPT = 4
"""For how many shapes a network of free sizes stays compiled."""


def load(precision: str) -> Tuple[Any, Any]:
    """The package and its `Core`. Raises `UserError` without the package, and for bf16 on a CPU that lacks it."""
    try:
        import openvino
    except ImportError as error:
        raise UserError(f"DEVICE=openvino: the package is not here ({error}): make extras, or "
                        f"pip install openvino=={PINNED}") from error
    core = openvino.Core()
    can = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    if precision == "bf16" and "BF16" not in can:  # OpenVINO would take f32 and not say so
        raise UserError(f"PRECISION=bf16: this CPU, {engine.hardware('cpu')}, has no bf16 instructions (AVX512_BF16, "
                        f"AMX_BF16), OpenVINO names {', '.join(can)}; take PRECISION=f32")
    return openvino, core


class Session(engine.Engine):
    """An ONNX file in OpenVINO, as `onnxruntime_session.Session` is one in ONNX Runtime. precision: f32 or bf16, inside the
    network; inputs and outputs keep the file's dtypes.

    Raises `UserError` when the file is missing, an `.om`, truncated or not ONNX, and as `load` does.
    """

    backend = "openvino"

    def __init__(self, path: files.PathLike, precision: str, threads: Optional[int] = None, index: int = 0):
        super().__init__(path, "openvino", threads, index)
        openvino, self._core = load(precision)
        self.threads = min(self.threads, settings.cores())  # OpenVINO starts no more, whatever is asked for
        self.version = openvino.__version__.split("-")[0]
        self.provider = f"CPU, {precision}"
        # one request at a time, as in ONNX Runtime; threads that are pinned to cores share them badly with others
        self._settings = {"INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": self.threads,
                          "PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": "1", "ENABLE_HYPER_THREADING": True,
                          "ENABLE_CPU_PINNING": False}
        self._requests: Dict[Tuple[Tuple[int, ...], ...], Any] = {}
        from openvino.frontend import FrontEndManager
        try:  # by name: with a file that is not ONNX, read_model tries every format, each with lines on stderr
            reader = FrontEndManager().load_by_framework("onnx")
            self._model = reader.convert(reader.load(str(self.path)))
            self.inputs = [_tensor(port) for port in self._model.inputs]
            self.outputs = [_tensor(port) for port in self._model.outputs]
            if not self.outputs:  # what it makes of an empty file
                raise ValueError("it has no outputs")
            if not any(None in tensor.shape for tensor in self.inputs):
                self._request(tuple(tensor.shape for tensor in self.inputs))  # type: ignore[misc]
        except Exception as error:  # its errors have no base of their own
            raise UserError(f"{path}: is truncated or not an ONNX model that OpenVINO {self.version} can run; export "
                            f"it again ({' '.join(str(error).split())})") from error

    def _request(self, shapes: Tuple[Tuple[int, ...], ...]) -> Any:
        """The network compiled for inputs of these shapes, as long as no `KEPT` others come: with free sizes f32 takes
        nearly twice as long."""
        if shapes not in self._requests:
            while len(self._requests) >= KEPT:
                del self._requests[next(iter(self._requests))]
            model = self._model.clone()
            model.reshape({port: list(shape) for port, shape in zip(model.inputs, shapes)})
            self._requests[shapes] = self._core.compile_model(model, "CPU", self._settings).create_infer_request()
        return self._requests[shapes]

    def _run(self, arrays: Sequence[Any]) -> List[Any]:
        for tensor, array in zip(self.inputs, arrays):
            fits = len(array.shape) == len(tensor.shape) and all(
                size in (None, found) for size, found in zip(tensor.shape, array.shape))
            if not fits or array.dtype != tensor.dtype:  # OpenVINO would compile for another shape, and convert
                raise ValueError(f"input {tensor.name} is {tensor.dtype} {tensor.shape}, {array.dtype} "
                                 f"{array.shape} was given")
        request = self._request(tuple(array.shape for array in arrays))
        start = time.perf_counter()
        found = request.infer(list(arrays), share_inputs=True, share_outputs=True)
        middle = time.perf_counter()
        outputs = [found[index].copy() for index in range(len(self.outputs))]  # the next run writes over the originals
        self.timing = Timing(0.0, (middle - start) * 1e3, (time.perf_counter() - middle) * 1e3)
        return outputs

    def metadata(self) -> Dict[str, str]:
        place = ["framework"]  # where its ONNX reader puts a file's metadata
        if not self._model.has_rt_info(place):
            return {}
        return {key: self._model.get_rt_info([*place, key]).astype(str)
                for key in self._model.get_rt_info(place).astype(dict)}


def _tensor(port: Any) -> Tensor:
    shape = tuple(None if size.is_dynamic else size.get_length() for size in port.partial_shape)
    return Tensor(port.get_any_name(), shape, port.element_type.to_dtype())
