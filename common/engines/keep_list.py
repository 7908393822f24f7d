"""What stays in float32 while the rest computes in half precision: atc's `--keep_dtype` file and `--modify_mixlist` JSON.

`--keep_dtype` goes with `--precision_mode=force_fp16`: a line per operator, its name in the ONNX file or `OpType::` and its
type in Ascend's IR. `--modify_mixlist` goes with the mixed modes and knows types only. Sources: CANN 8.0's and 8.5's ATC
pages on the two (hiascend.com, atlasatcparam_16_0074 and _0071); the types are those that CANN's published ONNX plugins
register.
"""
from __future__ import annotations

import os
from typing import Any, Dict, FrozenSet, Iterable

from common.base import files
from common.base.errors import UserError

FILE, MIXLIST = "keep_dtype.cfg", "modify_mixlist.json"
BY_TYPE = "OpType::"
TYPES = {"Conv": "Conv2D", "ConvTranspose": "Conv2DTranspose", "Gemm": "MatMulV2", "MatMul": "BatchMatMulV2",
         "BatchNormalization": "BatchNorm", "InstanceNormalization": "InstanceNorm", "Div": "RealDiv",
         "Clip": "ClipByValue", "AveragePool": "AvgPoolV2", "Softmax": "SoftmaxV2",
         **{name: name for name in ("Add", "Sub", "Mul", "Sqrt", "Pow", "Reciprocal", "Sigmoid", "Tanh", "Relu", "LeakyRelu",
                                    "PRelu", "GlobalAveragePool", "ReduceMean", "Softplus", "Erf")}}
"""Ascend IR's type by ONNX operator."""


def read(path: files.PathLike) -> FrozenSet[str]:
    """The lines of a `--keep_dtype` file. Raises `UserError` when it is missing, empty or not text."""
    try:
        text = files.existing_file(path, "a list of operators (KEEP)").read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: is no list of operators, a name per line ({error})") from error
    found = frozenset(line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#"))
    if not found:
        raise UserError(f"{path}: names no operator; leave KEEP out where all are to compute in half precision")
    return found


def given() -> FrozenSet[str]:
    """What `KEEP` of the environment, the path of such a file, says; nothing where it is not set."""
    path = os.environ.get("KEEP", "").strip()
    return read(path) if path else frozenset()


def text(names: Iterable[str]) -> str:
    """A `--keep_dtype` file of these operators."""
    return "".join(f"{name}\n" for name in names)


def mixlist(kinds: Iterable[str]) -> Dict[str, Any]:
    """A `--modify_mixlist` JSON that keeps all operators of these ONNX types; those without a known type are left out."""
    return {"black-list": {"to-add": sorted({TYPES[kind] for kind in kinds if kind in TYPES})}}
