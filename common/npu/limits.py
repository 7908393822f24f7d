"""CANN's published limits held against an ONNX file: `python3 -m common.npu.limits MODEL.onnx`.

The limits are data, limits.json beside this file: operator, what is asked of it, product, CANN version, the page that says
so. A finding cites its page. What the table does not know is "not checked"; nothing is called good. `make cann` also runs
what a chip may compute instead, where a finding changes numbers, and puts the cost in the metric beside it.
"""
from __future__ import annotations

import argparse
import functools
import re
from pathlib import Path
from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Set, Tuple

from common.base import errors, facts, files, model_file
from common.base.errors import UserError
from common.engines import half
from common.judge import agreement, reports
from common.npu import atc_flags

TABLE = Path(__file__).with_suffix(".json")


class Chip(NamedTuple):
    """name: as atc takes it; product: what CANN's pages call its family; page: where that is said."""

    name: str
    product: str
    page: str


class Finding(NamedTuple):
    """A limit that nodes break. found: what the file has there."""

    limit: Mapping[str, Any]
    nodes: Tuple[str, ...]
    found: str

    def name(self) -> str:
        """In words of letters: `resize-nearest_mode`."""
        check = self.limit["check"]
        return f"{self.limit['operator'].lower()}-{check.get('attribute', check.get('input', 'limit'))}"


class Held(NamedTuple):
    """What a file was held to: findings, and by operator what held and what was not checked, with the number of nodes."""

    findings: List[Finding]
    held: Dict[str, List[str]]
    unchecked: Dict[str, List[str]]
    counts: Dict[str, int]


@functools.lru_cache(maxsize=None)
def table() -> Dict[str, Any]:
    """`{"chips": [...], "limits": [...]}`, as `limits.schema.json` says."""
    found: Dict[str, Any] = files.read_json(TABLE, "limits")
    return found


def chip(name: str) -> Chip:
    """The chip of that name, as `--soc_version` takes it. Raises `UserError` for one that the table does not know."""
    rows = table()["chips"]
    for row in rows:
        if re.fullmatch(row["chip"], name):
            return Chip(name, row["product"], row["page"])
    raise UserError(f"SOC_VERSION={name}: is no chip of the table of limits; it knows Ascend310, Ascend310P3, Ascend310B1, "
                    "Ascend910A, Ascend910B3, Ascend910_9392, Ascend950PR and their like")


class _View:
    """A model's nodes as limits see them."""

    def __init__(self, model: Any):
        import onnx
        from onnx import TensorProto, helper, numpy_helper
        self.opset = next(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))
        graph = onnx.shape_inference.infer_shapes(model).graph
        half.name_nodes(graph)
        self.shapes: Dict[str, List[Optional[int]]] = {}
        self.kinds: Dict[str, str] = {}
        for value in (*graph.input, *graph.value_info, *graph.output):
            about = value.type.tensor_type
            self.kinds[value.name] = TensorProto.DataType.Name(about.elem_type).lower()
            if about.HasField("shape"):
                self.shapes[value.name] = [size.dim_value if size.HasField("dim_value") else None for size in about.shape.dim]
        self.values: Dict[str, Any] = {}
        for tensor in graph.initializer:
            self.shapes[tensor.name] = list(tensor.dims)
            self.kinds[tensor.name] = TensorProto.DataType.Name(tensor.data_type).lower()
            self.values[tensor.name] = tensor
        for node in graph.node:
            if node.op_type == "Constant" and any(each.name == "value" for each in node.attribute):
                self.values[node.output[0]] = helper.get_attribute_value(node.attribute[0])
        self.array = numpy_helper.to_array
        self.nodes = list(graph.node)

    def attributes(self, node: Any) -> Dict[str, Any]:
        """By name, ONNX's defaults included where they are values."""
        from onnx import defs, helper
        found: Dict[str, Any] = {}
        for name, about in defs.get_schema(node.op_type, self.opset, "").attributes.items():
            found[name] = helper.get_attribute_value(about.default_value) if about.default_value.name else None
        found.update({each.name: helper.get_attribute_value(each) for each in node.attribute})
        return {name: value.decode() if isinstance(value, bytes) else value for name, value in found.items()}


def holds(check: Mapping[str, Any], node: Any, view: _View, product: Optional[str], precision: str) -> Tuple[Optional[bool], str]:
    """Whether a node is within a limit, None where that cannot be told, and what it has there."""
    inputs = [name for name in node.input]
    given = view.attributes(node)
    if "opset" in check:
        return view.opset in check["opset"], f"opset {view.opset}"
    if "attribute" in check:
        return _within(check, given.get(check["attribute"]), check["attribute"])
    if "absent" in check:
        return given.get(check["absent"]) is None, check["absent"]
    if "unused" in check:
        return True, ""
    if "products" in check:
        if product is None:
            return False if check["not"] else None, ""
        return True if product in check["products"] else False if product in check["not"] else None, ""
    if "precision" in check:
        kept = precision in check["precision"] and view.kinds.get(inputs[0]) == "float"
        return not kept, f"float input, precision {precision}"
    for key in ("rank", "size", "dtype"):
        if key in check:
            return _of_input(key, check, inputs[check[key][0]], view)
    there = [place for place in (*check.get("constant", ()), check.get("input", -1), check.get("zero", -1))
             if 0 <= place < len(inputs) and inputs[place]]
    if "constant" in check:
        return all(inputs[place] in view.values for place in there), "computed in the graph"
    if "input" in check:
        return bool(there) == check["given"], f"{inputs[there[0]]}" if there else "none"
    if "zero" in check:
        known = [view.values.get(inputs[place]) for place in there]
        return (None if None in known else not any(view.array(each).any() for each in known)), "another value"
    return None, ""


def _within(check: Mapping[str, Any], value: Any, name: str) -> Tuple[Optional[bool], str]:
    """An attribute's value, or each of a list of them; one that is not given leaves the chip nothing to break."""
    values = [] if value is None else list(value) if isinstance(value, (list, tuple)) else [value]
    good = all((each in check["in"]) if "in" in check else
               check.get("min", float("-inf")) <= each <= check.get("max", float("inf")) for each in values)
    return good, f"{name} {value}"


def _of_input(key: str, check: Mapping[str, Any], name: str, view: _View) -> Tuple[Optional[bool], str]:
    shape, wanted = view.shapes.get(name), check[key][1]
    if key == "dtype":
        kind = view.kinds.get(name)
        return (None if kind is None else kind in wanted), str(kind)
    if shape is None:
        return None, ""
    if key == "rank":
        return len(shape) in wanted, f"{len(shape)} dimensions"
    size = shape[wanted] if wanted < len(shape) else None
    return (None if size is None else check.get("min", 0) <= size <= check["max"]), str(size)


def hold(model: Any, product: Optional[str] = None, precision: str = atc_flags.DEFAULT) -> Held:
    """Hold an `onnx.ModelProto` against the table. product: of a `Chip`, None for all; precision: what atc is given."""
    view, limits = _View(model), table()["limits"]
    broken: Dict[int, Tuple[List[str], Set[str]]] = {}
    held, unchecked, counts = {}, {}, {}  # type: Dict[str, List[str]], Dict[str, List[str]], Dict[str, int]
    for node in view.nodes:
        kind = node.op_type
        counts[kind] = counts.get(kind, 0) + 1
        good, unknown = held.setdefault(kind, []), unchecked.setdefault(kind, [])
        own = [(place, limit) for place, limit in enumerate(limits) if limit["operator"] == kind]
        given = view.attributes(node)
        if not own:
            _note(unknown, "the table has no page of it")
            continue
        about = {limit["check"].get(key) for _, limit in own for key in ("attribute", "unused", "absent")}
        for name in (name for name, value in given.items() if value is not None and name not in about and name != "value"):
            _note(unknown, name)
        if not any("products" in limit["check"] for _, limit in own):
            _note(unknown, "which products have it")
        for place, limit in own:
            if not all(given.get(name) in values for name, values in limit.get("where", {}).items()):
                continue
            state, found = holds(limit["check"], node, view, product, precision)
            if state is False:
                nodes, seen = broken.setdefault(place, ([], set()))
                nodes.append(node.name)
                seen.add(found)
            else:
                _note(unknown if state is None else good, limit["limit"])
    findings = [Finding(limits[place], tuple(nodes), ", ".join(sorted(seen))) for place, (nodes, seen) in sorted(broken.items())]
    for finding in findings:  # what some nodes break, is not said to hold
        kept = held[finding.limit["operator"]]
        if finding.limit["limit"] in kept:
            kept.remove(finding.limit["limit"])
    return Held(findings, held, unchecked, counts)


def _note(where: List[str], what: str) -> None:
    if what not in where:
        where.append(what)


def suspected(model: Any, finding: Finding) -> Any:
    """A copy of the model in which the nodes of a finding compute what the chip may compute instead."""
    import onnx
    changed, change = onnx.ModelProto(), finding.limit["suspect"]
    changed.CopyFrom(model)
    half.name_nodes(changed.graph)
    for node in changed.graph.node:
        if node.name not in finding.nodes:
            continue
        if "drop" in change:
            node.input[change["drop"]] = ""
        else:
            kept = [each for each in node.attribute if each.name != change["attribute"]]
            del node.attribute[:]
            node.attribute.extend([*kept, onnx.helper.make_attribute(change["attribute"], change["value"])])
    return changed


def rewrite(model: Any, found: Held, folder: files.PathLike, name: str) -> List[str]:
    """Write `<folder>/<finding>/<name>` for each finding that changes numbers; gives the findings' names."""
    made = []
    for finding in found.findings:
        if "suspect" in finding.limit:
            place = Path(folder) / finding.name()
            place.mkdir(parents=True, exist_ok=True)
            files.write_bytes(place / name, suspected(model, finding).SerializeToString())
            made.append(finding.name())
    return made


def costs(found: Held, folder: files.PathLike, model: facts.Facts) -> Dict[str, Dict[str, Any]]:
    """By name of a finding what `make cann` measured: `{"metric", "unit", "before", "after", "samples", "agreement"}`.

    The metric's figures are None for a model without one. Raises `UserError` for files that deny themselves.
    """
    measured: Dict[str, Dict[str, Any]] = {}
    for finding in found.findings:
        place = Path(folder) / finding.name()
        if (place / "agreement.json").is_file():
            values = [reports.value(path, model) for path in (Path("accuracy.json"), place / "accuracy.json")]
            agreed = reports.agreement(place / "agreement.json")
            measured[finding.name()] = {"metric": model.metric.name, "unit": model.metric.unit, "before": values[0],
                                        "after": values[1], "samples": agreed["samples"], "agreement": agreed}
    return measured


def lines(where: str, found: Held, on: Optional[Chip], precision: str, measured: Mapping[str, Mapping[str, Any]]) -> List[str]:
    """For the terminal."""
    target = f"{on.name}, {on.product} ({on.page})" if on else "every product (SOC_VERSION= picks one)"
    text = [f"{where}: held against CANN's published limits for {target}, atc's precision {precision}", "found:"]
    for finding in found.findings:
        first, *rest = told(finding, measured.get(finding.name()))
        text += [f"  {first}", *(f"    {line}" for line in rest)]
    text += [] if found.findings else ["  no limit of the table is broken"]
    text += ["within what a page says:", *_listed(found.held, found.counts)]
    text += ["not checked:", *_listed(found.unchecked, found.counts)]
    return [*text, "No figure here is of an NPU; a page may be wrong of another version than its own."]


def told(finding: Finding, cost: Optional[Mapping[str, Any]]) -> List[str]:
    """The limit, its page, and what it costs where it may change numbers."""
    limit = finding.limit
    version = f"{limit['cann']} to {limit['until']}" if "until" in limit else limit["cann"]
    there = f"; the file has {finding.found}" if finding.found else ""
    return [f"{limit['operator']}, {_nodes(len(finding.nodes))} from {finding.nodes[0]} on: {limit['limit']}{there}",
            f"CANN {version}: {limit['page']}", *([_cost(limit["suspect"], cost)] if "suspect" in limit else [])]


def _cost(change: Mapping[str, Any], cost: Optional[Mapping[str, Any]]) -> str:
    how = f"without input {change['drop']}" if "drop" in change else f"with {change['attribute']} {change['value']}"
    if cost is None:
        return f"it may change numbers: make cann runs the network {how}"
    value = "" if cost["after"] is None else (f"{cost['metric']} {cost['before']:.4f} -> {cost['after']:.4f}"
                                              f"{' ' + cost['unit'] if cost['unit'] else ''}, ")
    return f"run here {how}, {cost['samples']} samples: {value}outputs {agreement.figures(cost['agreement'])}"


def _nodes(count: int) -> str:
    return f"{count} node{'' if count == 1 else 's'}"


def _listed(by: Mapping[str, Sequence[str]], counts: Mapping[str, int]) -> Iterator[str]:
    for kind in sorted(by):
        if by[kind]:
            yield f"  {kind}, {_nodes(counts[kind])}: {'; '.join(by[kind])}"


def as_json(checksum: str, found: Held, on: Optional[Chip], precision: str,
            measured: Mapping[str, Any]) -> Dict[str, Any]:
    """What `--output` writes. checksum: the model's SHA-256."""
    return {"model_sha256": checksum, "chip": on and on._asdict(), "precision": precision,
            "operators": found.counts, "within": found.held, "not_checked": found.unchecked,
            "findings": [{**finding.limit, "nodes": finding.nodes, "found": finding.found, "cost": measured.get(finding.name()),
                          "told": told(finding, measured.get(finding.name()))}
                         for finding in found.findings]}


def main(argv: Optional[Sequence[str]] = None) -> None:
    parser = argparse.ArgumentParser(prog="python3 -m common.npu.limits", description=errors.first_line(__doc__),
                                     epilog="ATC_PRECISION in the environment is what atc is to be given (force_fp16).")
    parser.add_argument("onnx", metavar="MODEL", help="the .onnx file")
    parser.add_argument("--soc_version", default="", metavar="CHIP", help="the chip, as atc takes it; without, every product")
    parser.add_argument("--rewrite", metavar="FOLDER", help="write there, in a folder for each finding that changes numbers, the "
                        "model as the chip may compute it, and print the folders' names alone")
    parser.add_argument("--costs", metavar="FOLDER", help="the same folder, with what running those models left")
    parser.add_argument("--model", default="..", help="with --costs, the model's folder (default: %(default)s)")
    parser.add_argument("--output", metavar="JSON", help="file for all of it")
    args = parser.parse_args(argv)
    on = chip(args.soc_version.strip()) if args.soc_version.strip() else None
    precision = atc_flags.precision()
    model = half.read(args.onnx)
    found = hold(model, on.product if on else None, precision)
    if args.rewrite:
        print("\n".join(rewrite(model, found, args.rewrite, Path(args.onnx).name)))
        return
    measured = costs(found, args.costs, facts.load(args.model)) if args.costs else {}
    if args.output:
        files.write_json(args.output, as_json(model_file.sha256(args.onnx), found, on, precision, measured))
    print("\n".join(lines(args.onnx, found, on, precision, measured)))


if __name__ == "__main__":
    errors.run(main)
