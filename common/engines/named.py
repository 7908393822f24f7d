"""The engine of a device and precision that are named: ONNX Runtime or OpenVINO."""
from __future__ import annotations

from typing import Optional

from common.base import errors, files
from common.engines import onnxruntime_session
from common.engines.engine import Engine


def open_named(path: files.PathLike, device: str, threads: Optional[int] = None, index: int = 0,
               precision: str = "", spin: bool = True) -> Engine:
    """The model in this engine, as `onnxruntime_session.Session` or `openvino_session.Session` opens it, errors too."""
    if device == "openvino":
        with errors.optional("DEVICE=openvino", "engines/openvino_session.py", "leave DEVICE out"):
            from common.engines import openvino_session
        return openvino_session.Session(path, precision, threads, index)
    return onnxruntime_session.Session(path, device, threads, index, spin, precision=precision)


def load(device: str, precision: str = "") -> None:
    """Raise `UserError` unless this machine has what computes: its package, and what the package needs."""
    if device == "openvino":
        with errors.optional("DEVICE=openvino", "engines/openvino_session.py", "leave DEVICE out"):
            from common.engines import openvino_session
        openvino_session.load(precision)
    else:
        onnxruntime_session.load(device)
