"""The opset of every ONNX file here, and the check that a file is of it; PyTorch is not needed for that."""
from __future__ import annotations

from typing import Any

from common.base import files
from common.base.errors import UserError

OPSET = 11


def checked(path: files.PathLike) -> Any:
    """The `onnx.ModelProto` in a file, weights outside of it left out, that onnx's checker takes and that is of the opset alone.

    Raises `UserError` for another opset, and what the checker raises.
    """
    import onnx
    onnx.checker.check_model(str(path), full_check=True)
    model = onnx.load(str(path), load_external_data=False)
    opsets = {entry.domain or "ai.onnx": entry.version for entry in model.opset_import}
    if opsets != {"ai.onnx": OPSET}:
        raise UserError(f"{path}: expected opset ai.onnx {OPSET} alone, found {opsets}")
    return model
