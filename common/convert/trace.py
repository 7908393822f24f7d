"""A PyTorch network traced by TorchScript's exporter, the one that writes opset 11."""
from __future__ import annotations

import inspect
import warnings
from typing import Any, Mapping, Tuple

import torch

from common.base import files
from common.base.errors import UserError
from common.convert.opset import OPSET


def write(network: torch.nn.Module, example: Tuple[torch.Tensor, ...], path: files.PathLike,
          options: Mapping[str, Any]) -> None:
    """Write what `network` computes on `example` as ONNX, unchecked. options: names and axes for torch.onnx.export."""
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the TorchScript exporter is deprecated, and is the one with opset 11
            # torch before 2.4 has this exporter alone, and no such argument
            only = {"dynamo": False} if "dynamo" in inspect.signature(torch.onnx.export).parameters else {}
            torch.onnx.export(network, example, str(path), opset_version=OPSET, **only, **options)
    except torch.onnx.errors.OnnxExporterError as error:
        raise UserError(f"the network cannot be exported to opset {OPSET}: {error}") from error
