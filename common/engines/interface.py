"""The Python front end of ais_bench where there is no NPU: `InferSession` as in `ais_bench.infer.interface`.

`load` gives the real one for an `.om`, and this one, on ONNX Runtime or OpenVINO, for an `.onnx`. Held to the sources of
Ascend/tools at 9d6da90 (2023-06) and of Ascend/msit (2024): what is taken and refused there, is here.
"""
from __future__ import annotations

import enum
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, List, NamedTuple, Sequence

from common.base import files
from common.base.errors import UserError
from common.engines.engine import Tensor

if TYPE_CHECKING:
    import numpy as np

MODES = ("static", "dymbatch", "dymhw", "dymdims", "dymshape")
DataType = enum.Enum("dtype", ["float32", "float16", "int8", "int32", "uint8", "int16", "uint16", "uint32", "int64",  # type: ignore[misc]
                               "uint64", "float64", "bool"])
"""What a tensor's `datatype` is one of, as in aclruntime: `datatype.name` is NumPy's name."""
SCALARS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "float16", "float32", "float64")
TORCH = tuple(f"torch.{name}Tensor" for name in ("Float", "Double", "Half", "BFloat16", "Byte", "Char", "Short", "Long",
                                                 "Bool", "Int"))


class InferError(UserError, RuntimeError):
    """What the real class says by RuntimeError; of a script it is the one line of a `UserError`."""


class TensorDesc(NamedTuple):
    """What `get_inputs` and `get_outputs` tell of a tensor. A size that is free is -1; size, realsize: bytes, 0 then."""

    name: str
    datatype: Any
    format: int
    shape: List[int]
    size: int
    realsize: int


class Summary(NamedTuple):
    """exec_time_list: ms of every execution so far, without copies: a number each, as in 2023 (later a pair of marks)."""

    exec_time_list: List[float]


def load(device_id: int, model_path: files.PathLike, **options: Any) -> Any:
    """An `InferSession`: ais_bench's own for an `.om`, else this module's. Raises `UserError` for an `.om` without it."""
    if Path(model_path).suffix != ".om":
        return InferSession(device_id, str(model_path), **options)
    try:
        from ais_bench.infer.interface import InferSession as Real  # type: ignore[import-not-found]
    except ImportError as error:
        raise UserError(f"{model_path}: an .om runs on an NPU, by ais_bench, which is not here ({error}); give the "
                        ".onnx it was made from") from error
    files.existing_file(model_path, "an .om")
    return Real(device_id, str(model_path), **options)


class InferSession:
    """A model that is loaded, with the four methods of `ais_bench.infer.interface.InferSession` that scripts use.

    device_id: 0..255; of the GPUs or NPUs that DEVICE picks, else of no effect. model_path: the `.onnx` file.
    acl_json_path, debug: taken and of no effect. loop: executions for one `infer`.
    Raises `UserError` as `sessions.open_session` does, and `InferError` for a device_id or loop out of range.
    """

    def __init__(self, device_id: int, model_path: str, acl_json_path: Any = None, debug: bool = False, loop: int = 1):
        if not isinstance(device_id, int) or not 0 <= device_id <= 255:
            raise InferError(f"device_id:{device_id} invalid, expected 0..255")
        if not isinstance(loop, int) or loop < 1:
            raise InferError(f"loop:{loop} invalid, expected at least 1")
        from common.engines.sessions import open_session
        self.device_id, self.model_path, self.loop = device_id, model_path, loop
        self._engine = open_session(model_path, index=device_id)
        self._times: List[float] = []

    def get_inputs(self) -> List[TensorDesc]:
        """The model's inputs, in the order that `infer` takes them."""
        return [_describe(tensor) for tensor in self._engine.inputs]

    def get_outputs(self) -> List[TensorDesc]:
        """The model's outputs, in the order that `infer` gives them."""
        return [_describe(tensor) for tensor in self._engine.outputs]

    def summary(self) -> Summary:
        """How long each execution took."""
        return Summary(list(self._times))

    def infer(self, feeds: Sequence[Any], mode: str = "static", custom_sizes: Any = 100000,
              out_array: bool = True) -> List["np.ndarray"]:
        """Run the model once: an array for each input, an array of each output.

        feeds: NumPy arrays or scalars, or PyTorch tensors on the CPU, need not be contiguous. As on the NPU their bytes
        are taken, none is converted: another dtype or shape of as many bytes is read as the model's own.
        mode: static, or which sizes of the model are free; a free size of an `.onnx` is the array's in any mode.
        custom_sizes: the bytes to set aside for outputs in mode dymshape; of no effect here.
        Raises `InferError` for another kind of feed or mode, a mode that the model has no free size for, another number
        of feeds, and as many bytes as do not fit.
        """
        import numpy as np
        arrays = []
        for feed in feeds:
            if type(feed) is np.ndarray:
                array = feed
            elif type(feed).__module__ == "numpy" and type(feed).__name__ in SCALARS:
                array = np.array([feed])
            elif hasattr(feed, "type") and callable(feed.type) and feed.type() in TORCH:
                array = feed.numpy()
            else:
                raise InferError(f"type:{type(feed)} invalid, expected a NumPy array, one for each input in a list")
            arrays.append(np.ascontiguousarray(array))
        if mode not in MODES:
            raise InferError(f"wrong infer_mode:{mode}, only support {', '.join(MODES)}")
        wanted = self._engine.inputs
        if len(arrays) != len(wanted):
            raise InferError(f"{self.model_path}: input datas and intensors nums not matched: {len(arrays)} were given, "
                             f"the model has {len(wanted)}")
        if mode != "static" and not any(_free(tensor, mode) for tensor in wanted):
            raise InferError(f"{self.model_path}: not a {mode} model, its sizes are fixed: "
                             f"{', '.join(str(list(tensor.shape)) for tensor in wanted)}")
        given = [_as(array, tensor, self.model_path) for array, tensor in zip(arrays, wanted)]
        for _ in range(self.loop):
            outputs = self._engine.run(given)
            self._times.append(self._engine.timing.compute)
        return outputs


def _describe(tensor: Tensor) -> TensorDesc:
    import numpy as np
    kind = np.dtype(tensor.dtype)
    shape = [-1 if size is None else size for size in tensor.shape]
    size = 0 if -1 in shape else math.prod(shape) * kind.itemsize
    return TensorDesc(tensor.name, DataType[kind.name], 0 if len(shape) == 4 else 2, shape, size, size)  # NCHW, ND


def _free(tensor: Tensor, mode: str) -> bool:
    """Whether the sizes that a mode is about are free."""
    of = {"dymbatch": tensor.shape[:1], "dymhw": tensor.shape[2:4]}.get(mode, tensor.shape)
    return None in of


def _as(array: "np.ndarray", tensor: Tensor, model: str) -> "np.ndarray":
    """The bytes of an array as what the model takes."""
    import numpy as np
    kind = np.dtype(tensor.dtype)
    shape = tensor.shape
    if None in shape:
        fits = len(shape) == array.ndim and all(size in (None, own) for size, own in zip(shape, array.shape))
        if not fits:
            raise InferError(f"{model}: input datas and intensors dim not matched: {tensor.name} is "
                             f"{[-1 if size is None else size for size in shape]}, {list(array.shape)} was given")
        shape = array.shape
    need = math.prod(shape) * kind.itemsize  # type: ignore[arg-type]
    if array.nbytes != need:
        raise InferError(f"{model}: {tensor.name} in size:{array.nbytes} needsize:{need} not match: expected {kind} "
                         f"{list(shape)}, {array.dtype} {list(array.shape)} was given")
    return array.reshape(-1).view(kind).reshape(shape)
