"""Two networks on the same samples, tensor by tensor: `Comparison`, the table behind `common.precision.layers`."""
from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Dict, Iterable, List, Mapping, NamedTuple, Optional, Tuple

from common.base import files, settings
from common.base.errors import UserError
from common.data import dataset
from common.engines import engine, half, keep_list, onnxruntime_session, sessions
from common.engines.engine import Engine
from common.precision import pieces

if TYPE_CHECKING:
    import numpy as np

FLOOR = 2.0 ** -11
"""Half precision's unit roundoff: an error of that size is rounding alone."""
VANISHES, OVERFLOWS = 2.0 ** -25, 65520.0
"""Magnitudes that round to 0, up to the first, and beyond 65504, from the second."""


class Side(NamedTuple):
    """One of the two that are compared. names: by a tensor's name in the float32 network, its name in `model`."""

    model: Any
    opened: Callable[[Path], Engine]
    names: Dict[str, str]


class Operator(NamedTuple):
    """What gives a tensor. parents: the tensors of the table that it is computed from."""

    name: str
    kinds: str
    nodes: Tuple[str, ...]
    parents: List[str]


def samples(prep: files.PathLike) -> List[Dict[str, Any]]:
    """The records of the preprocessed samples, at most `LIMIT`."""
    return dataset.read_manifest(prep)[:settings.limit()]


def by_engine(path: files.PathLike, name: str) -> Tuple[Any, Callable[[Path], Engine], Optional[half.Rehearsal]]:
    """A file's network as this engine computes it, and what opens a piece of it."""
    device, precision = engine.split(name)
    if device == engine.AUTO:
        raise UserError("auto: what is fastest for a network may not be so for a piece of it; name the engine")
    sessions.check(name)
    model, rehearsal = half.read(path), None
    half.name_nodes(model.graph)
    if precision == "f16":
        rehearsal = half.rehearsed(model, half.mode(), keep_list.given())
        model = rehearsal.model
    if device == "openvino":
        return model, lambda piece: sessions.open_session(piece, device, precision=precision), None
    return model, lambda piece: onnxruntime_session.Session(piece, device), rehearsal


def own_engine() -> str:
    """The engine that DEVICE and PRECISION name; float32 on the CPU where they name none."""
    device = engine.device_name()
    precision = engine.precision_name(device)
    return f"{device}-{precision}" if precision else device


class Comparison:
    """Two networks on the same samples, every tensor that both have. path: the ONNX file; other: the name of an engine, or
    another ONNX file. memory: bytes of the tensors of both that are held at a time, beside what a network itself needs.
    """

    def __init__(self, path: files.PathLike, own: str, other: str, first: Mapping[str, Any], memory: int):
        self.path, self.memory = Path(path), memory
        half_network = other in engine.ENGINES and other.endswith("f16")
        model, opened, _ = by_engine(path, own)
        if other in engine.ENGINES:
            theirs, theirs_opened, rehearsal = by_engine(path, other)
        else:
            theirs, theirs_opened, rehearsal = by_engine(other, own)
        sample = [dataset.read_sample(first)]
        pieces.fix(model, sample, str(path))
        pieces.fix(theirs, sample, str(path) if other in engine.ENGINES else other)
        self.steps = rehearsal.steps if rehearsal else []
        self.weights = rehearsal.weights if rehearsal else {}
        self.known = pieces.types(model.graph)
        names = self._rehearsed_names(model, theirs) if half_network else self._common_names(model, theirs)
        self.unmatched = sum(1 for name in self._results(model) if name not in names)
        if not names:
            raise UserError(f"{other}: has no tensor in common with {path}, nor as many outputs")
        self.own, self.other = Side(model, opened, {}), Side(theirs, theirs_opened, names)
        self.operators = self._operators(model)

    def _results(self, model: Any) -> List[str]:
        """The float32 tensors that the nodes of a network give, in order."""
        import onnx
        known = pieces.types(model.graph)
        wanted = (onnx.TensorProto.FLOAT, onnx.TensorProto.UNDEFINED)
        return [name for node in model.graph.node if node.op_type != "Constant" for name in node.output
                if name and (name not in known or known[name].type.tensor_type.elem_type in wanted)]

    def _rehearsed_names(self, model: Any, theirs: Any) -> Dict[str, str]:
        """Of the input and of what operators give; what stays inside an operator of the chip is no tensor there."""
        step = {node: each for each in self.steps for node in each.nodes}
        inside = {name for node in model.graph.node if node.name in step for name in node.output
                  if name != step[node.name].result}
        there = {name for node in theirs.graph.node for name in node.output}
        inputs = {value.name: f"{value.name}/half" for value in model.graph.input}
        return {**{name: rounded for name, rounded in inputs.items() if rounded in there},
                **{name: name for name in self._results(model) if name in there and name not in inside}}

    def _common_names(self, model: Any, theirs: Any) -> Dict[str, str]:
        """By name, where shapes are equal too; outputs by their place."""
        ours, other = pieces.types(model.graph), pieces.types(theirs.graph)
        there = set(self._results(theirs))
        found = {name: name for name in self._results(model)
                 if name in there and pieces.size(ours.get(name)) == pieces.size(other.get(name))}
        if len(model.graph.output) == len(theirs.graph.output):
            pairs = zip(model.graph.output, theirs.graph.output)
            found.update({one.name: two.name for one, two in pairs if pieces.size(one) == pieces.size(two)})
        return found

    def _operators(self, model: Any) -> Dict[str, Operator]:
        """What gives each tensor of the table."""
        producer = {name: node for node in model.graph.node for name in node.output if name}
        step = {each.result: each for each in self.steps}
        found = {}
        for name in self.other.names:
            parents: List[str] = []
            seen, todo = {name}, list(producer[name].input) if name in producer else []
            while todo:
                before = todo.pop()
                if before in seen:
                    continue
                seen.add(before)
                if before in self.other.names:
                    parents.append(before)
                elif before in producer:
                    todo += producer[before].input
            if name in step:
                found[name] = Operator(step[name].name, step[name].kinds, step[name].nodes, parents)
            elif name in producer:
                node = producer[name]
                found[name] = Operator(node.name, node.op_type, (node.name,), parents)
            else:
                found[name] = Operator(name, "input", (), [])
        return found

    def measure(self, records: Iterable[Mapping[str, Any]]) -> List[Dict[str, Any]]:
        """The table: a row per tensor, in the network's order, then one per weight that is rounded."""
        names = list(self.other.names)
        groups = pieces.grouped(names, {name: pieces.size(self.known.get(name)) for name in names}, self.memory // 8)
        sides = [pieces.Pieces(self.own.model, groups, self.own.opened),
                 pieces.Pieces(self.other.model, [[self.other.names[name] for name in group] for group in groups],
                               self.other.opened)]
        total: Dict[str, Dict[str, float]] = {}
        try:
            for record in records:
                sample = [dataset.read_sample(record)]
                for group, ours, theirs in zip(groups, *(side.run(sample) for side in sides)):
                    for name in group:
                        found = tally(theirs[self.other.names[name]], ours[name], f"{name} of sample {record['id']}")
                        add(total.setdefault(name, {}), found)
        finally:
            for side in sides:
                side.close()
        rows = [self._row(name, total) for name in names]
        for name, (node, values) in self.weights.items():
            found = tally(half.nearest(values, half.mode().overflow), values, f"weight {name}")
            rows.append({"tensor": name, "operator": node, "kinds": "weight", **shown(found), "growth": None})
        return rows

    def _row(self, name: str, total: Mapping[str, Dict[str, float]]) -> Dict[str, Any]:
        operator = self.operators[name]
        before = max([FLOOR, *(total[parent]["relative"] for parent in operator.parents)])
        growth = total[name]["relative"] / before if math.isfinite(before) else 0.0
        return {"tensor": name, "operator": operator.name, "kinds": operator.kinds, **shown(total[name]),
                "growth": growth if math.isfinite(growth) else None}


def tally(found: "np.ndarray", expected: "np.ndarray", where: str) -> Dict[str, float]:
    """Figures of one tensor against its float32 self, taken in pieces that stay in the cache.

    Gives `{"largest", "values", "lost", "overflowed", "relative", "largest_difference"}`; relative is infinite where
    `found` is not finite. Raises `UserError` where `expected` is not: the network itself is wrong there.
    """
    import numpy as np
    if found.shape != expected.shape:
        raise UserError(f"{where}: has shape {'x'.join(map(str, found.shape))} in one and "
                        f"{'x'.join(map(str, expected.shape))} in the other")
    one, two = found.reshape(-1), expected.reshape(-1)
    largest = difference = gap = norm = 0.0
    lost = over = 0
    for start in range(0, two.size, 1 << 18):
        theirs, ours = (flat[start:start + (1 << 18)].astype(np.float64) for flat in (one, two))
        if not np.isfinite(ours).all():
            raise UserError(f"{where}: holds NaN or infinite values in float32 already; the network or its weights are "
                            "wrong, no precision mends that")
        sizes = np.abs(ours)
        largest = max(largest, float(sizes.max()))
        lost += int(np.count_nonzero((sizes <= VANISHES) & (sizes > 0)))
        over += int(np.count_nonzero(sizes >= OVERFLOWS))
        if not np.isfinite(theirs).all():
            gap = difference = math.inf
            continue
        apart = theirs - ours
        difference = max(difference, float(np.abs(apart).max()))
        gap, norm = gap + float(apart @ apart), norm + float(ours @ ours)
    relative = math.sqrt(gap / norm) if norm else math.inf if gap else 0.0
    return {"largest": largest, "values": two.size, "lost": lost, "overflowed": over, "relative": relative,
            "largest_difference": difference}


def add(total: Dict[str, float], found: Mapping[str, float]) -> None:
    """Take another sample's figures in: counts are summed, of all else the worst stays."""
    for key, value in found.items():
        before = total.get(key, 0)
        total[key] = before + value if key in ("values", "lost", "overflowed") else max(before, value)


def shown(found: Mapping[str, float]) -> Dict[str, Any]:
    """The figures as the JSON has them: shares in per cent, what is not finite as null."""
    values = max(1.0, found["values"])
    figures = {"largest": found["largest"], "lost_percent": 100 * found["lost"] / values,
               "overflowed_percent": 100 * found["overflowed"] / values, "relative": found["relative"],
               "largest_difference": found["largest_difference"]}
    return {key: value if math.isfinite(value) else None for key, value in figures.items()}
