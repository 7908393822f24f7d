"""What the stand-ins for CANN's inference tools share: reading an `.om` of the atc stand-in, and running it.

They are written from the tools' documented behaviour and from nothing of the project, so that they are an outside check
of it. An `.om` is a zip file with `model.onnx` (the bytes) and `atc.json` (what atc was given; `input_shape` names each
input's dimensions); ONNX Runtime on the CPU is the device.

Environment of all of them:
  STANDIN_CALLS  a file that each call is added to, one JSON line: [tool, argument, ...]
  STANDIN_THREADS  of ONNX Runtime; default: 2
  STANDIN_NOW    the clock that dated folders are named after, in seconds; default: the machine's
  STANDIN_FAIL   1: fail as the tool does when its arguments are wrong; load: as when the model cannot be loaded
"""
from __future__ import annotations

import json
import os
import sys
import time
import zipfile
from typing import Any, Dict, List, Sequence, Tuple

import numpy as np

DTYPES = {"tensor(float)": "float32", "tensor(float16)": "float16", "tensor(uint8)": "uint8", "tensor(int8)": "int8",
          "tensor(int32)": "int32", "tensor(int64)": "int64", "tensor(bool)": "bool"}


class LoadError(Exception):
    """The file is no `.om`."""


def called(tool: str) -> None:
    """Note this call in STANDIN_CALLS."""
    if os.environ.get("STANDIN_CALLS"):
        with open(os.environ["STANDIN_CALLS"], "a", encoding="utf-8") as file:
            file.write(json.dumps([tool, *sys.argv[1:]]) + "\n")


def failing() -> str:
    return os.environ.get("STANDIN_FAIL", "")


def clock() -> float:
    return float(os.environ.get("STANDIN_NOW") or time.time())


class Model:
    """A loaded `.om`. inputs: (name, shape, dtype) of each; batch: the first dimension of the first."""

    def __init__(self, path: str):
        import onnxruntime
        if failing() == "load":
            raise LoadError(path)
        try:
            with zipfile.ZipFile(path) as archive:
                onnx, about = archive.read("model.onnx"), json.loads(archive.read("atc.json"))
        except (OSError, zipfile.BadZipFile, KeyError) as error:
            raise LoadError(path) from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = int(os.environ.get("STANDIN_THREADS", 2)), 4
        self._session = onnxruntime.InferenceSession(onnx, options, providers=["CPUExecutionProvider"])
        compiled = about["input_shape"]
        self.inputs: List[Tuple[str, Tuple[int, ...], np.dtype]] = [
            (node.name, tuple(int(size) for size in compiled.get(node.name, node.shape)), np.dtype(DTYPES[node.type]))
            for node in self._session.get_inputs()]
        self.batch = self.inputs[0][1][0]
        self.outputs = len(self._session.get_outputs())

    def input_bytes(self) -> List[int]:
        return [int(np.prod(shape)) * dtype.itemsize for _, shape, dtype in self.inputs]

    def run(self, buffers: Sequence[bytes]) -> Tuple[List[np.ndarray], float]:
        """The outputs for one whole batch, raw bytes per input, and the milliseconds that it took."""
        feeds: Dict[str, Any] = {name: np.frombuffer(buffer, dtype).reshape(shape)
                                 for buffer, (name, shape, dtype) in zip(buffers, self.inputs)}
        begin = time.perf_counter()
        outputs = self._session.run(None, feeds)
        return outputs, (time.perf_counter() - begin) * 1000
