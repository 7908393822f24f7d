"""What a network takes of a chip, counted off its ONNX file: `python3 -m common.convert.cost ONNX... --output JSON`.

Counted at batch 1, or the batch that the file has fixed, in half precision (2 bytes a floating-point value), as an NPU
computes; in float32 all bytes are double and the intensity is half.
"""
from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple

from common.base import errors, files, model_file
from common.base.errors import UserError
from common.base.tables import aligned
from common.engines import half

DEFINITIONS = {
    "parameters": "values of the weights as exported, normalization folded into them",
    "macs": "multiply-accumulates of one sample in Conv, ConvTranspose, Gemm and MatMul, borders that are padded included; "
            "an operation of a chip's nominal peak is half a multiply-accumulate",
    "weight_bytes": "the weights in half precision",
    "activation_bytes": "the most that lies in memory at once, at the batch of input_shape: inputs and results that a later "
                        "operator reads, in the file's order, in half precision",
    "flop_per_byte": "arithmetic intensity: 2 x multiply-accumulates over the bytes moved where every operator reads its "
                     "inputs and weights once and writes its results once, an activation and a normalization with the "
                     "convolution before it"}
UNCOUNTED = ("LSTM", "GRU", "RNN", "Einsum", "MatMulInteger", "ConvInteger", "QLinearConv", "QLinearMatMul",
             "QuantizeLinear", "DequantizeLinear", "DeformConv")
VIEWS = ("Reshape", "Identity", "Squeeze", "Unsqueeze", "Flatten", "Dropout")
"""Their result is their input's memory."""
FUSED = (*half.ACTIVATIONS, "BatchNormalization", "Sigmoid", "Tanh")
"""Done in place where they alone read a convolution's or a matrix product's result."""
SMALL = 4096
"""Values of a weight that shape inference may need the content of."""

Shape = Tuple[int, ...]


def count(path: files.PathLike) -> Dict[str, Any]:
    """The cost of an ONNX file, as cost.json and the report have it; `DEFINITIONS` says what each figure is.

    Raises `UserError` for a file that `half.read` refuses, a free size beside the batch, a shape that inference does not
    find, and operators of `UNCOUNTED`.
    """
    model = half.read(path)
    uncounted = sorted({node.op_type for node in model.graph.node} & set(UNCOUNTED))
    if uncounted:
        raise UserError(f"{path}: has {', '.join(uncounted)}, whose multiply-accumulates are not counted here; give a "
                        "float32 export of convolutions and matrix products")
    weights = {tensor.name: (tuple(tensor.dims), tensor.data_type) for tensor in model.graph.initializer}
    first = _fix_batch(model, path)
    known = _shapes(model, weights, path)
    samples = first[0]
    total = sum(_macs(node, known) for node in model.graph.node)
    live, moved = _memory(model, known, weights)
    used = {name for node in model.graph.node for name in node.input}
    floats = {name: shape for name, (shape, kind) in weights.items() if name in used and _width(kind) == 2}
    values = sum(math.prod(shape) for shape in floats.values())
    return {"model": Path(path).name, "model_sha256": model_file.sha256(path), "input_shape": list(first),
            "parameters": values, "macs": total // samples, "weight_bytes": 2 * values,
            "activation_bytes": live, "flop_per_byte": 2 * total / moved if moved else 0.0}


def _width(kind: int) -> int:
    """Bytes of a value on the chip: 2 for any floating-point type, else the type's own."""
    import numpy as np
    from onnx import helper
    dtype = np.dtype(helper.tensor_dtype_to_np_dtype(kind))
    return 2 if dtype.kind == "f" else dtype.itemsize


def _fix_batch(model: Any, path: files.PathLike) -> Shape:
    """Set a free batch to 1 in the model; gives the shape of its first input."""
    shapes: List[Shape] = []
    for value in half.inputs(model.graph):
        dims = value.type.tensor_type.shape.dim
        if dims and dims[0].dim_value < 1:
            dims[0].dim_value = 1
        free = next((dim.dim_param or "?" for dim in dims if dim.dim_value < 1), None)
        if free is not None or not dims:
            raise UserError(f"{path}: {value.name} has the free size {free or 'of a scalar'}, so its cost is open; export it "
                            "for one size (EDSR: --size 256)")
        shapes.append(tuple(dim.dim_value for dim in dims))
    if not shapes:
        raise UserError(f"{path}: has no input; expected a network")
    return shapes[0]


def _shapes(model: Any, weights: Mapping[str, Tuple[Shape, int]], path: files.PathLike) -> Dict[str, Tuple[Shape, int]]:
    """Shape and element type of every value. The weights' content, which inference does not need, is left behind."""
    import onnx
    named = {value.name for value in model.graph.input}
    for tensor in [each for each in model.graph.initializer if math.prod(each.dims) > SMALL]:
        if tensor.name not in named:
            model.graph.input.append(onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
        model.graph.initializer.remove(tensor)
    del model.graph.value_info[:]
    for value in model.graph.output:  # a batch that was free is fixed now
        value.type.tensor_type.ClearField("shape")
    try:
        graph = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True).graph
    except Exception as error:  # onnx's InferenceError and protobuf's
        raise UserError(f"{path}: its shapes cannot be inferred: {error}") from error
    known = dict(weights)
    for value in (*graph.input, *graph.value_info, *graph.output):
        kind = value.type.tensor_type
        dims = [dim.dim_value for dim in kind.shape.dim]
        if kind.HasField("shape") and all(size > 0 or dim.HasField("dim_value") for size, dim in zip(dims, kind.shape.dim)):
            known[value.name] = tuple(dims), kind.elem_type
    for node in model.graph.node:
        for name in node.output:
            if name and name not in known:
                raise UserError(f"{path}: the shape of {name}, a result of {node.op_type}, depends on data, so its cost is open")
    return known


def _macs(node: Any, known: Mapping[str, Tuple[Shape, int]]) -> int:
    """Multiply-accumulates of a node for the whole batch; 0 for one that is no product."""
    if node.op_type not in half.PRODUCTS:
        return 0
    x, w, y = (known[name][0] for name in (node.input[0], node.input[1], node.output[0]))
    if node.op_type == "Conv":
        return math.prod(y) * math.prod(w[1:])
    if node.op_type == "ConvTranspose":
        return math.prod(x) * math.prod(w[1:])
    if node.op_type == "Gemm":
        transposed = next((attribute.i for attribute in node.attribute if attribute.name == "transA"), 0)
        return math.prod(y) * x[0 if transposed else 1]
    return math.prod(y) * x[-1]


def _memory(model: Any, known: Mapping[str, Tuple[Shape, int]], weights: Mapping[str, Any]) -> Tuple[int, int]:
    """The most bytes of activations that lie in memory at once, and all bytes that the operators move."""
    nodes = [node for node in model.graph.node if node.op_type != "Constant"]
    made = {name: node.op_type for node in nodes for name in node.output}
    constants = {name for node in model.graph.node if node.op_type == "Constant" for name in node.output}
    readers: Dict[str, int] = {}
    for node in nodes:
        for name in node.input:
            readers[name] = readers.get(name, 0) + 1
    outputs = {value.name for value in model.graph.output}
    place: Dict[str, str] = {}

    def at(name: str) -> str:
        return place.get(name, name)

    def size(name: str) -> int:
        return math.prod(known[name][0]) * _width(known[name][1])

    last: Dict[str, int] = {}
    held: List[Tuple[List[str], List[str]]] = []
    moved = 0
    for step, node in enumerate(nodes):
        fused = (node.op_type in FUSED and made.get(node.input[0]) in half.PRODUCTS and readers[node.input[0]] == 1
                 and node.input[0] not in outputs)
        inside = node.op_type in VIEWS or fused
        if fused:
            made[node.output[0]] = made[node.input[0]] if node.op_type == "BatchNormalization" else node.op_type
        if inside:
            place[node.output[0]] = at(node.input[0])
        reads = [name for name in dict.fromkeys(node.input) if name]
        if not inside:
            moved += sum(size(name) for name in reads) + sum(size(name) for name in node.output if name in known)
        live = [at(name) for name in reads if name not in weights and name not in constants]
        writes = [at(name) for name in node.output if name]
        held.append((live, writes))
        for name in live + writes:
            last[name] = step
    for name in outputs:
        last[at(name)] = len(nodes)
    alive = {value.name for value in model.graph.input if value.name not in weights}
    most = 0
    for step, (_, writes) in enumerate(held):
        alive.update(writes)
        most = max(most, sum(size(name) for name in alive))
        alive = {name for name in alive if last.get(name, -1) > step}
    return most, moved


HEAD: Tuple[Tuple[str, Callable[[Mapping[str, Any]], str]], ...] = (
    ("input", lambda one: "x".join(map(str, one["input_shape"]))),
    ("parameters", lambda one: f"{one['parameters']:,}"),
    ("GMAC a sample", lambda one: f"{one['macs'] / 1e9:.4g}"),
    ("weights", lambda one: files.size(one["weight_bytes"])),
    ("activations", lambda one: files.size(one["activation_bytes"])),
    ("FLOP/byte", lambda one: f"{one['flop_per_byte']:.3g}"))
"""Columns of a table of costs, for terminal, page and README."""


def main(argv: Optional[Sequence[str]] = None) -> None:
    parser = argparse.ArgumentParser(prog="python3 -m common.convert.cost", description=errors.first_line(__doc__))
    parser.add_argument("onnx", nargs="+", metavar="ONNX", help="a model file; only its batch may be free")
    parser.add_argument("--output", metavar="JSON", help="file for the figures")
    args = parser.parse_args(argv)
    found = [count(path) for path in dict.fromkeys(args.onnx)]
    if args.output:
        files.write_json(args.output, {"models": found, "definitions": DEFINITIONS})
    print("\n".join([*aligned([["model", *(name for name, _ in HEAD)], *(
        [one["model"], *(cell(one) for _, cell in HEAD)] for one in found)], right=range(2, 7)),
        "weights and activations in half precision, FLOP = 2 x MAC"]))


if __name__ == "__main__":
    errors.run(main)
