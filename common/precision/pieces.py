"""A network computed piece by piece, so that every tensor in it can be looked at in bounded memory.

A piece computes one group of tensors from what earlier pieces left; what no later one reads is let go. So a sample costs
one run of the network, however many tensors are asked for.
"""
from __future__ import annotations

import math
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Set

from common.base.errors import UserError
from common.engines import half
from common.engines.engine import Engine

if TYPE_CHECKING:
    import numpy as np


def fix(model: Any, arrays: Sequence["np.ndarray"], where: str) -> None:
    """Give the inputs of an `onnx.ModelProto` the shapes of these arrays, one per input, and infer all others anew.

    Raises `UserError` where the network takes another number of arrays, another shape or dtype. where: names the file.
    """
    import onnx
    inputs = half.inputs(model.graph)
    if len(inputs) != len(arrays):
        raise UserError(f"{where}: takes {len(inputs)} inputs, the preprocessed samples have {len(arrays)}")
    for value, array in zip(inputs, arrays):
        kind = value.type.tensor_type
        sizes = [size.dim_value if size.HasField("dim_value") else None for size in kind.shape.dim]
        fits = len(sizes) == array.ndim and all(size in (None, found) for size, found in zip(sizes, array.shape))
        dtype = onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type)
        if not fits or dtype != array.dtype:
            taken = "x".join("?" if size is None else str(size) for size in sizes)
            raise UserError(f"{where}: its input {value.name} is {dtype} {taken}, the preprocessed samples are {array.dtype} "
                            f"{'x'.join(map(str, array.shape))}; preprocess for this model")
        for size, found in zip(kind.shape.dim, array.shape):
            size.dim_value = found
    del model.graph.value_info[:]
    for value in model.graph.output:
        value.type.tensor_type.ClearField("shape")
    inferred = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    model.graph.value_info.extend(inferred.value_info)
    for value, found in zip(model.graph.output, inferred.output):
        value.CopyFrom(found)


def types(graph: Any) -> Dict[str, Any]:
    """The `onnx.ValueInfoProto` of every value that shape inference knows (after `fix`)."""
    return {value.name: value for value in (*graph.value_info, *graph.input, *graph.output)}


def size(value: Any) -> Optional[int]:
    """Values of a tensor, from its `onnx.ValueInfoProto`; None where that is not known."""
    if value is None or not value.type.tensor_type.HasField("shape"):
        return None
    dimensions = value.type.tensor_type.shape.dim
    known = all(dimension.HasField("dim_value") for dimension in dimensions)
    return math.prod(dimension.dim_value for dimension in dimensions) if known else None


def grouped(names: Sequence[str], sizes: Mapping[str, Optional[int]], most: int) -> List[List[str]]:
    """The names in order, in groups of at most `most` values; a larger tensor, and one of unknown size, is alone."""
    groups: List[List[str]] = []
    room = 0
    for name in names:
        count = sizes.get(name) or most
        if count > room or not groups:
            groups.append([])
            room = most
        groups[-1].append(name)
        room -= count
    return groups


class _Piece(NamedTuple):
    nodes: List[Any]
    reads: List[str]
    made: Set[str]


class Pieces:
    """A network and the groups of tensors that are asked of it. model: `onnx.ModelProto`, fixed by `fix`. opened: gives
    the engine that runs an ONNX file.
    """

    def __init__(self, model: Any, groups: Sequence[Sequence[str]], opened: Callable[[Path], Engine]):
        self.model, self.groups, self._opened = model, groups, opened
        self.inputs = [value.name for value in half.inputs(model.graph)]
        self._folder = tempfile.TemporaryDirectory(prefix="layers-")
        pieces = self._cut()
        needed: Set[str] = set()
        self._later: List[Set[str]] = []
        for piece, group in zip(reversed(pieces), reversed(groups)):
            self._later.insert(0, set(needed))
            needed |= set(piece.reads) | set(group)
        self._parts = [self._open(number, piece, sorted(piece.made & (set(group) | later)))
                       for number, (piece, group, later) in enumerate(zip(pieces, groups, self._later))]

    def _cut(self) -> List[_Piece]:
        """For each group the nodes that it needs and that no earlier one had."""
        graph = self.model.graph
        producer = {name: node for node in graph.node for name in node.output if name}
        constant = {tensor.name for tensor in graph.initializer} | {""}
        done, pieces = set(self.inputs), []
        for group in self.groups:
            chosen: Set[int] = set()
            todo = [name for name in group if name not in done]
            while todo:
                name = todo.pop()
                if name in done or name in constant:
                    continue
                if name not in producer:
                    raise UserError(f"{name}: no such tensor in the network")
                if id(producer[name]) not in chosen:
                    chosen.add(id(producer[name]))
                    todo += producer[name].input
            nodes = [node for node in graph.node if id(node) in chosen]
            given = {name for node in nodes for name in node.output if name}
            reads = {name for node in nodes for name in node.input} - given - constant
            made = {name for node in nodes if node.op_type != "Constant" for name in node.output if name}
            done |= made  # a constant is made again in every piece that reads it
            pieces.append(_Piece(nodes, sorted(reads), made))
        return pieces

    def _open(self, number: int, piece: _Piece, gives: List[str]) -> Any:
        import onnx
        if not gives:
            return None, piece.reads, gives
        known = types(self.model.graph)
        float32 = onnx.TensorProto.FLOAT
        values = {name: known.get(name) or onnx.helper.make_tensor_value_info(name, float32, None)
                  for name in (*piece.reads, *gives)}
        read = {name for node in piece.nodes for name in node.input}
        graph = onnx.helper.make_graph(piece.nodes, f"piece{number}", [values[name] for name in piece.reads],
                                       [values[name] for name in gives],
                                       [tensor for tensor in self.model.graph.initializer if tensor.name in read])
        path = Path(self._folder.name) / f"{number}.onnx"
        onnx.save(onnx.helper.make_model(graph, opset_imports=self.model.opset_import, ir_version=self.model.ir_version),
                  str(path))
        return self._opened(path), piece.reads, gives

    def run(self, arrays: Sequence["np.ndarray"]) -> Iterator[Dict[str, "np.ndarray"]]:
        """The tensors of one group after the other, by name, for one array per input."""
        live: Dict[str, Any] = dict(zip(self.inputs, arrays))
        for (engine, reads, gives), group, later in zip(self._parts, self.groups, self._later):
            if engine is not None:
                live.update(zip(gives, engine.run([live[name] for name in reads])))
            yield {name: live[name] for name in group}
            live = {name: array for name, array in live.items() if name in later}

    def close(self) -> None:
        self._folder.cleanup()
