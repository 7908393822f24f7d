"""A network as a chip that computes in half precision will give it, rehearsed in float32: `rehearsed(model)`.

Weights, the input and the result of every operator are rounded to half precision; sums inside an operator stay float32,
as in the chip's cube unit. What the chip does in one go is one operator here: a convolution with the BatchNormalization
and the activation behind it. ONNX Runtime takes casts to half and back out of a graph, so a value is rounded in plain
float32 arithmetic, which it has to leave alone and which gives exactly the half-precision number:

    c = 8193 x,   r = c - (c - x)    Veltkamp's splitting: the nearest number of 11 bits, ties to even
    c = x + 0.75, r = c - 0.75       for |x| < 2^-14, where half precision has steps of 2^-24

Beyond 65504, `OVERFLOW=saturate` (the 310's way) gives 65504 and `OVERFLOW=inf` (the 910B's) infinity. `SUMS=f16`, the
pessimistic mode, also rounds the partial sums of operators that CANN may sum in half precision: those of
InstanceNormalization, average pooling and means. `KEEP=file` leaves the operators of a list, as atc's `--keep_dtype` takes
it (`common.engines.keep_list`), in float32. What is not modelled stands in docs/PRECISION.md.
"""
from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Collection, Dict, FrozenSet, List, NamedTuple, Optional, Set, Tuple

from common.base import files
from common.base.errors import UserError
from common.engines import keep_list
from common.engines.engine import REHEARSED

if TYPE_CHECKING:
    import numpy as np

LARGEST = 65504.0
OPSETS = range(11, 18)
CHOICES = {"OVERFLOW": ("saturate", "inf"), "SUMS": ("f32", "f16")}
"""What the environment chooses, the default first."""

MOVES = frozenset((
    "Reshape", "Transpose", "Concat", "Slice", "Squeeze", "Unsqueeze", "Flatten", "Identity", "Split", "Expand", "Gather",
    "Pad", "DepthToSpace", "SpaceToDepth", "MaxPool", "GlobalMaxPool", "Relu", "Max", "Min", "Neg", "Abs", "Tile",
    "Dropout", "Where", "Constant", "ConstantOfShape", "Shape"))
"""Operators whose results are half-precision numbers where their inputs are: nothing to round."""
PRODUCTS = ("Conv", "ConvTranspose", "Gemm", "MatMul")
ACTIVATIONS = ("Relu", "LeakyRelu", "PRelu", "Clip")
SUMMED = ("InstanceNormalization", "AveragePool", "GlobalAveragePool", "ReduceMean")


class Mode(NamedTuple):
    """What is rounded, and how. Chosen by `OVERFLOW` and `SUMS` of the environment where `mode()` is asked."""

    overflow: str = "saturate"
    sums: str = "f32"

    def __str__(self) -> str:
        return (f"{REHEARSED}{', overflow inf' if self.overflow == 'inf' else ''}"
                f"{', sums f16' if self.sums == 'f16' else ''}")


def mode() -> Mode:
    """As `OVERFLOW` and `SUMS` of the environment say. Raises `UserError` for another value."""
    found = {}
    for name, known in CHOICES.items():
        found[name.lower()] = os.environ.get(name, "").strip() or known[0]
        if found[name.lower()] not in known:
            raise UserError(f"{name}={found[name.lower()]}: expected one of {', '.join(known)}")
    return Mode(**found)


def nearest(values: "np.ndarray", overflow: str = "saturate") -> "np.ndarray":
    """The half-precision numbers nearest to float32 `values`, as float32; NumPy's own rounding."""
    import numpy as np
    with np.errstate(over="ignore"):
        if overflow == "saturate":
            values = np.clip(values, -LARGEST, LARGEST)
        return values.astype(np.float16).astype(np.float32)


def read(path: files.PathLike) -> Any:
    """The `onnx.ModelProto` in a file. Raises `UserError` for one that cannot be rewritten."""
    import onnx
    files.existing_file(path, "an ONNX model")
    try:
        model = onnx.load(str(path), load_external_data=False)
        apart = any(tensor.external_data for tensor in model.graph.initializer)
        if not apart:
            onnx.checker.check_model(model)
    except Exception as error:  # a parser's or the checker's, each of a class of its own
        raise UserError(f"{path}: is truncated or not an ONNX model; export it again ({_first_line(error)})") from error
    if apart:
        raise UserError(f"{path}: has its weights in files of their own; save it as one file "
                        "(onnx.save with save_as_external_data=False)")
    opsets = {entry.domain or "ai.onnx": entry.version for entry in model.opset_import}
    if set(opsets) != {"ai.onnx"} or opsets["ai.onnx"] not in OPSETS:
        raise UserError(f"{path}: expected opset ai.onnx {OPSETS[0]} to {OPSETS[-1]} alone, found {opsets}; export it "
                        "again")
    if any(attribute.HasField("g") or attribute.graphs for node in model.graph.node for attribute in node.attribute):
        raise UserError(f"{path}: has a branch or loop, expected a network without")
    return model


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def inputs(graph: Any) -> List[Any]:
    """The inputs of an `onnx.GraphProto` that a caller gives: weights may be listed among them."""
    weights = {tensor.name for tensor in graph.initializer}
    return [value for value in graph.input if value.name not in weights]


def name_nodes(graph: Any) -> List[str]:
    """Name the nodes of an `onnx.GraphProto` that have no name, by operator and place; gives the names that were made.

    What is kept in float32, and what atc is told, goes by name.
    """
    made = []
    for index, node in enumerate(graph.node):
        if not node.name:
            node.name = f"{node.op_type}_{index}"
            made.append(node.name)
    return made


class Step(NamedTuple):
    """What the chip does in one go: nodes, the last of which gives `result`."""

    name: str
    kinds: str
    result: str
    nodes: Tuple[str, ...]
    """The names of the exported file's nodes."""


class Rehearsal(NamedTuple):
    """A rewritten network. model: `onnx.ModelProto`. steps: the operators whose results are rounded, in order.

    weights: by name, the node that reads it and the float32 array before it was rounded. The rounded form of a weight,
    an input or a kept step's result is named `<name>/half`.
    """

    model: Any
    steps: List[Step]
    weights: Dict[str, Tuple[str, Any]]


def rehearsed(model: Any, how: Mode = Mode(), keep: Collection[str] = ()) -> Rehearsal:
    """`model`, an `onnx.ModelProto`, rewritten so that it computes in half precision; the original stays as it was.

    keep: names of nodes, or `OpType::` and Ascend's type: a `Step` with one of them is left in float32, with its weights,
    and so is what only moves values; what they give to others is rounded. The results keep their names, so that they can
    be asked for; inputs and outputs keep names, shapes and dtypes. Raises `UserError` for what `keep` names and the
    network lacks.
    """
    return _Rewriter(model, how, frozenset(keep)).run()


class _Rewriter:
    def __init__(self, model: Any, how: Mode, keep: FrozenSet[str]):
        import onnx
        from onnx import numpy_helper
        self.onnx, self.how, self.keep = onnx, how, keep
        self.model = onnx.ModelProto()
        self.model.CopyFrom(model)
        self.graph = self.model.graph
        name_nodes(self.graph)
        self.read: Dict[str, Tuple[str, Any]] = {}
        """The weights that were rounded: who reads them, and as they were."""
        there = {node.name for node in self.graph.node} | {keep_list.BY_TYPE + keep_list.TYPES.get(node.op_type, "")
                                                           for node in self.graph.node}
        if set(keep) - there:
            raise UserError(f"no operator named {', '.join(sorted(set(keep) - there))} to keep in float32; a list is for the "
                            "network that it was made from")
        self.weights: Dict[str, Any] = {tensor.name: numpy_helper.to_array(tensor) for tensor in self.graph.initializer}
        for node in [node for node in self.graph.node if node.op_type == "Constant"]:
            value = next((attribute.t for attribute in node.attribute if attribute.name == "value"), None)
            if value is not None:
                self.weights[node.output[0]] = numpy_helper.to_array(value)
                self.graph.node.remove(node)
        self.made: List[Any] = []
        self.steps: List[Step] = []
        self.added: Dict[str, Any] = {}
        self.half: Dict[str, str] = {}
        """By name of a value that is not itself of half precision: the name of its rounded one."""
        self.unrounded: Set[str] = set()
        """The results of kept steps."""

    def run(self) -> Rehearsal:
        from onnx import TensorProto, numpy_helper
        self._fold()
        self.kinds = self._kinds()
        outputs = {value.name for value in self.graph.output}
        nodes, used = list(self.graph.node), self._uses()
        for value in self.graph.input:
            if value.name not in self.weights and value.type.tensor_type.elem_type == TensorProto.FLOAT:
                self._round(value.name, value.name + "/half")
        taken: Set[int] = set()
        for node in nodes:
            if id(node) in taken:
                continue
            group = [node]
            while self._fuses(group, used, outputs):
                group.append(used[group[-1].output[0]][0])
            taken.update(map(id, group))
            self._step(group)
        del self.graph.node[:]
        self.graph.node.extend(self.made)
        del self.graph.initializer[:]
        needed = {name for node in self.made for name in node.input} | outputs
        self.graph.initializer.extend(numpy_helper.from_array(array, name)
                                      for name, array in {**self.weights, **self.added}.items() if name in needed)
        there = set(self.weights) | set(self.added)
        for value in [value for value in self.graph.input if value.name in there]:
            self.graph.input.remove(value)
        del self.graph.value_info[:]
        return Rehearsal(self.model, self.steps, self.read)

    def _uses(self) -> Dict[str, List[Any]]:
        used: Dict[str, List[Any]] = {}
        for node in self.graph.node:
            for name in node.input:
                used.setdefault(name, []).append(node)
        return used

    def _kinds(self) -> Dict[str, int]:
        """The element type of every value that shape inference knows."""
        inferred = self.onnx.shape_inference.infer_shapes(self.model).graph
        return {value.name: value.type.tensor_type.elem_type
                for value in (*inferred.value_info, *inferred.input, *inferred.output)}

    def _fold(self) -> None:
        """A BatchNormalization behind a convolution goes into its weights, in float32, as atc does before it rounds."""
        import numpy as np
        used, outputs = self._uses(), {value.name for value in self.graph.output}
        for conv in [node for node in self.graph.node if node.op_type in ("Conv", "ConvTranspose")]:
            name = conv.output[0]
            after = used.get(name, [])
            if len(after) != 1 or after[0].op_type != "BatchNormalization" or name in outputs:
                continue
            norm = after[0]
            groups = next((attribute.i for attribute in conv.attribute if attribute.name == "group"), 1)
            constants: List[Any] = [self.weights.get(each) for each in (conv.input[1], *norm.input[1:5])]
            if any(each is None for each in constants) or len(norm.output) > 1 or conv.op_type != "Conv" and groups > 1:
                continue
            weight, gamma, beta, mean, variance = constants
            epsilon = next((attribute.f for attribute in norm.attribute if attribute.name == "epsilon"), 1e-5)
            scale = gamma / np.sqrt(variance + np.float32(epsilon))
            bias = self.weights[conv.input[2]] if "".join(conv.input[2:]) else np.zeros_like(mean)
            places = (-1, 1, 1, 1) if conv.op_type == "Conv" else (1, -1, 1, 1)
            self.weights[name + "/weight"] = (weight * scale.reshape(places[:weight.ndim])).astype(np.float32)
            self.weights[name + "/bias"] = ((bias - mean) * scale + beta).astype(np.float32)
            conv.input[:] = [conv.input[0], name + "/weight", name + "/bias"]
            conv.output[0] = norm.output[0]
            conv.name = f"{conv.name}+{norm.name}"
            self.graph.node.remove(norm)

    def _fuses(self, group: List[Any], used: Dict[str, List[Any]], outputs: Collection[str]) -> bool:
        """Whether the node behind the group is done by the chip in one go with it."""
        last = group[-1]
        after = used.get(last.output[0], [])
        return (len(group) == 1 and len(last.output) == 1 and last.op_type in (*PRODUCTS, "InstanceNormalization", "Add",
                                                                               "BatchNormalization")
                and len(after) == 1 and last.output[0] not in outputs and
                after[0].op_type in (ACTIVATIONS if last.op_type in PRODUCTS else ("Relu",)))

    def _step(self, group: List[Any]) -> None:
        from onnx import TensorProto
        result = group[-1].output[0]
        rounds = any(node.op_type not in MOVES and not self._picks(node) for node in group) and \
            self.kinds.get(result, TensorProto.FLOAT) == TensorProto.FLOAT and group[0].op_type != "Cast"
        name = "+".join(node.name for node in group)
        kept = bool(self.keep.intersection(name.split("+")) or self.keep.intersection(
            keep_list.BY_TYPE + keep_list.TYPES.get(node.op_type, "") for node in group))
        for node in group:
            for place, value in enumerate(node.input):
                node.input[place] = self._read(node, place, value, kept)
        last = group[-1]
        if not rounds:  # where it is kept it carries what stays unrounded, and what was rounded already once more
            self.made += group
            for each in last.output if kept and group[0].op_type != "Constant" else ():
                if self.kinds.get(each, TensorProto.FLOAT) == TensorProto.FLOAT:
                    self.unrounded.add(each)
                    self._round(each, each + "/half")
            return
        self.steps.append(Step(name, "+".join(node.op_type for node in group), result, tuple(name.split("+"))))
        if self.how.sums == "f16" and group[0].op_type in SUMMED and not kept:
            self._sum_in_half(group[0])
            self.made += group[1:]
        else:
            self.made += group
        if kept:
            self.unrounded.add(result)
            self._round(result, result + "/half", last.op_type == "Relu")
        else:
            self.made[-1].output[0] = result + "/full"
            self._round(result + "/full", result, last.op_type == "Relu")

    def _read(self, node: Any, place: int, value: str, kept: bool) -> str:
        """The name under which a node reads a value: rounded, unless it and what gave the value are kept."""
        import numpy as np
        if value in self.weights:
            array = self.weights[value]
            if kept or array.dtype != np.float32 or node.op_type in ("Resize", "Upsample") and place:
                return value
            if value not in self.read:
                self.read[value] = node.name, array
                self.added[value + "/half"] = nearest(array, self.how.overflow)
            return value + "/half"
        if kept and value in self.unrounded:
            return value
        return self.half.get(value, value)

    def _picks(self, node: Any) -> bool:
        """Whether it is a Resize that takes values as they are, or a product with 1 (a residual scale of 1)."""
        if node.op_type == "Mul":
            return any((self.weights[name] == 1).all() for name in node.input if name in self.weights)
        chosen = next((attribute.s for attribute in node.attribute if attribute.name == "mode"), b"nearest")
        return node.op_type in ("Resize", "Upsample") and chosen == b"nearest"

    def _constant(self, name: str, value: float) -> str:
        import numpy as np
        name = f"half/{name}"
        self.added[name] = np.array(value, np.float32)
        return name

    def _node(self, kind: str, inputs: List[str], output: str, **attributes: Any) -> str:
        self.made.append(self.onnx.helper.make_node(kind, inputs, [output], name=output + "/" + kind, **attributes))
        return output

    def _round(self, value: str, result: str, positive: bool = False) -> None:
        """`result` = `value` rounded. positive: no value is below 0."""
        step = f"{result}/round"
        edge = LARGEST if self.how.overflow == "saturate" else 2 * 65536.0
        if positive:  # a maximum chooses between the two forms: below 2^-14 x + 0.75 is the larger
            clipped = self._node("Min", [value, self._constant("largest", edge)], step + "1")
            large = self._node("Mul", [clipped, self._constant("split", 8193)], step + "2")
            small = self._node("Add", [clipped, self._constant("small", 0.75)], step + "3")
            c = self._node("Max", [large, small], step + "4")
        else:
            clipped = self._node("Clip", [value, self._constant("smallest", -edge), self._constant("largest", edge)],
                                 step + "1")
            large = self._node("Mul", [clipped, self._constant("split", 8193)], step + "2")
            small = self._node("Add", [clipped, self._constant("small", 0.75)], step + "3")
            size = self._node("Abs", [clipped], step + "4")
            below = self._node("Less", [size, self._constant("normal", 2.0 ** -14)], step + "5")
            c = self._node("Where", [below, small, large], step + "6")
        rest = self._node("Sub", [c, clipped], step + "7")
        if self.how.overflow == "saturate":
            self._node("Sub", [c, rest], result)
        else:  # 65520 and more has become 65536 or more: times 2^112 that is beyond float32, 65504 is not
            rounded = self._node("Sub", [c, rest], step + "8")
            raised = self._node("Mul", [rounded, self._constant("up", 2.0 ** 112)], step + "9")
            self._node("Mul", [raised, self._constant("down", 2.0 ** -112)], result)
        self.half[value] = result

    def _sum_in_half(self, node: Any) -> None:
        """The nodes in place of one that sums: every partial result is rounded; a sum goes axis by axis, as a mean."""
        import numpy as np
        x, result = node.input[0], node.output[0]
        about = {attribute.name: self.onnx.helper.get_attribute_value(attribute) for attribute in node.attribute}

        def rounded(kind: str, inputs: List[str], label: str, **attributes: Any) -> str:
            full = self._node(kind, inputs, f"{result}/{label}/full", **attributes)
            self._round(full, f"{result}/{label}")
            return f"{result}/{label}"

        def mean(value: str, label: str) -> str:
            return rounded("ReduceMean", [rounded("ReduceMean", [value], label + "-w", axes=[3], keepdims=1)], label,
                           axes=[2], keepdims=1)

        if node.op_type == "GlobalAveragePool":
            self._node("Identity", [mean(x, "mean")], result)
        elif node.op_type == "ReduceMean":
            axes = sorted(about.get("axes", []), reverse=True)
            if not axes or not about.get("keepdims", 1):
                self.made.append(node)
                return
            for axis in axes:
                x = rounded("ReduceMean", [x], f"mean{axis}", axes=[axis], keepdims=1)
            self._node("Identity", [x], result)
        elif node.op_type == "AveragePool":  # a window's mean is the mean of its rows' means: what counts is a rectangle
            high, wide = about["kernel_shape"]
            strides = about.get("strides", [1, 1])
            rest = {name: about[name] for name in ("ceil_mode", "count_include_pad", "auto_pad") if name in about}
            across, down = {}, {}
            if "pads" in about:
                top, left, bottom, right = about["pads"]
                across, down = {"pads": [0, left, 0, right]}, {"pads": [top, 0, bottom, 0]}
            rows = rounded("AveragePool", [x], "rows", kernel_shape=[1, wide], strides=[1, strides[1]], **across, **rest)
            self._node("AveragePool", [rows], result, kernel_shape=[high, 1], strides=[strides[0], 1], **down, **rest)
        else:  # InstanceNormalization: scale and bias have one value per channel
            scale, bias = [self.added[name].reshape(1, -1, 1, 1) for name in node.input[1:3]]
            self.added[f"{result}/scale"], self.added[f"{result}/bias"] = scale, bias
            epsilon = nearest(np.float32(about.get("epsilon", 1e-5)))
            self.added[f"{result}/epsilon"] = np.asarray(epsilon, np.float32)
            centred = rounded("Sub", [x, mean(x, "mean")], "centred")
            variance = mean(rounded("Mul", [centred, centred], "squared"), "variance")
            root = rounded("Sqrt", [rounded("Add", [variance, f"{result}/epsilon"], "safe")], "root")
            scaled = rounded("Mul", [rounded("Div", [centred, root], "normal"), f"{result}/scale"], "scaled")
            self._node("Add", [scaled, f"{result}/bias"], result)


def session_bytes(path: files.PathLike, how: Optional[Mode] = None, keep: Collection[str] = ()) -> bytes:
    """The file at `path` rewritten, for ONNX Runtime to load from memory."""
    try:
        return bytes(rehearsed(read(Path(path)), how or mode(), keep).model.SerializeToString())
    except ValueError as error:  # protobuf's limit, 2 GiB
        raise UserError(f"{path}: is too large to be rehearsed in memory ({_first_line(error)})") from error
