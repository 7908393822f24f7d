"""The results tables of the READMEs, written from the reports: `python3 -m common.readme` in a model's folder.

What a README quotes of a run is kept in `results.json` beside it, so that the tables can be made again without the run:
`--report` adds a report's figures there. References are the facts'. The tables stand between two marks; the rest of a
README is left alone.
"""
from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence

from common import errors, facts, files, report
from common.errors import UserError

RESULTS = "results.json"
BEGIN, END = "<!-- results:begin -->", "<!-- results:end -->"


def entry(one: Mapping[str, Any], data: Optional[str] = None) -> Dict[str, Any]:
    """What is kept of a report. data: what to call its dataset (default: the folder's name, or demo)."""
    inputs, runs = one["inputs"], [run for run in one["performance"] if not run["sweep"]]
    if not runs:
        raise UserError(f"{one['model']}: the report holds no measurement; run make all first")
    by, checkpoint = runs[-1], (one["provenance"] or {}).get("checkpoint")
    accuracy, agreement = one["accuracy"], one["agreement"]
    cores = f"{by['threads']} CPU core{'' if by['threads'] == 1 else 's'}"
    swept = [run for run in one["performance"] if run["sweep"]]
    return {
        "data": data or Path(inputs["data"]).name, "weights": Path(inputs["checkpoint"]).name,
        "checkpoint_sha256": checkpoint and checkpoint["sha256"],
        "by": ("ONNX Runtime" if by["backend"] == "onnxruntime" else by["backend"]) + f" {by['version']}",
        "on": cores if by["provider"] == "CPUExecutionProvider" else by["device"], "date": one["date"][:10],
        "accuracy": accuracy and {key: accuracy[key] for key in ("metric", "unit", "value", "samples", "baseline",
                                                                 "reference", "source", "verdict")},
        "speeds": report.smaller(one),
        "agreement": agreement and {key: agreement[key] for key in ("samples", "cosine", "max_abs", "verdict")},
        "performance": [{"model": run["model"], "batch": run["batch"], "runs": run["compute_ms"]["count"],
                         **{key: run["compute_ms"][key] for key in ("mean", "median", "p99")},
                         "samples_per_s": run["samples_per_s"],
                         "end_to_end_samples_per_s": run["end_to_end_samples_per_s"]} for run in [*runs, *swept]]}


def add(results: Sequence[Mapping[str, Any]], new: Mapping[str, Any]) -> List[Mapping[str, Any]]:
    """The results with `new` in the place of one on the same data, weights, backend and machine, else at the end."""
    def name(each: Mapping[str, Any]) -> Any:
        return each["data"], each["weights"], each["by"].split()[0], each["on"]
    if any(name(each) == name(new) for each in results):
        return [new if name(each) == name(new) else each for each in results]
    return [*results, new]


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> List[str]:
    """A table in Markdown."""
    return ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |"
            for row in (head, ["---"] * len(head), *rows)]


def data_name(result: Mapping[str, Any]) -> str:
    """The data and weights of a result, in words."""
    data = {"demo": "demo data", "none": "seeded noise"}.get(result["data"], result["data"])
    named = {"demo": "demo weights", "seeded": "seeded weights, never trained"}
    weights = named.get(result["weights"], result["weights"])
    return f"{data}, {weights}"


def section(model: facts.Facts, results: Sequence[Mapping[str, Any]]) -> str:
    """What stands between the marks of a model's README: measured here first, then the reference."""
    metric = model.metric
    rows = []
    for result in results:
        who, found, agreement = f"here: {result['by']}, {result['on']}", result["accuracy"], result["agreement"]
        if found:
            beside = [f"{found['baseline']['name']} {found['baseline']['value']:.6g}"] if found["baseline"] else []
            if found["reference"] is not None:
                beside.append(f"{found['reference']:.6g} {found['source']}: {found['verdict']}")
            rows.append((f"{who}: {metric.name}", data_name(result), str(found["samples"]),
                         f"{found['value']:.6g} {found['unit']}".strip(), "; ".join(beside)))
        if agreement:
            rows.append((f"{who}: ONNX against PyTorch", data_name(result), str(agreement["samples"]),
                         f"cosine {agreement['cosine']:.7f}",
                         f"largest difference {agreement['max_abs']:.3g}: {agreement['verdict']}"))
    for given in model.references:
        if given.quantity != "throughput":
            who = "published" if given.device == "published" else f"reference: {given.device}"
            figure = f"{given.value:.6g} {given.unit}".strip()
            rows.append((f"{who}: {given.quantity}", given.definition, "", figure, ""))
    text = [*table(("accuracy", "data and weights", "samples", "figure", "beside it"), rows), ""] if rows else []
    rows = []
    for result in results:
        beware = f"; {result['speeds']}" if result["speeds"] else ""
        for run in result["performance"]:
            rows.append((f"here: {result['by']}, {result['on']}, `{run['model']}`", str(run["batch"]),
                         f"{run['samples_per_s']:.4g} samples/s",
                         f"device compute of a batch: mean {run['mean']:.4g}, median {run['median']:.4g}, 99th "
                         f"percentile {run['p99']:.4g} ms over {run['runs']} runs; end to end "
                         f"{run['end_to_end_samples_per_s']:.4g} samples/s; no NPU figure{beware}"))
    for given in model.references:
        if given.quantity == "throughput":
            rows.append((f"reference: {given.device}", str(given.batch or ""), f"{given.value:.6g} {given.unit}",
                         given.definition))
    text += table(("throughput", "batch", "figure", "definition"), rows)
    return "\n".join(text)


def overview(models: Sequence[facts.Facts], results: Sequence[Sequence[Mapping[str, Any]]]) -> str:
    """What stands between the marks of the collection's README: a row or more per model."""
    rows = []
    for model, own in zip(models, results):
        given = [each for each in model.references if each.quantity != "throughput"]
        figures = [" ".join(f"{each.value:.6g} {each.unit} {each.device}".split()) for each in given]
        reference = ", ".join(figures) or "none"
        for result in own:
            found, agreement = result["accuracy"], result["agreement"]
            rows.append((model.name, data_name(result),
                         f"{found['metric']} {found['value']:.4g} {found['unit']}".strip() if found else "",
                         reference, f"{agreement['cosine']:.6f}" if agreement else ""))
        if not own:
            rows.append((model.name, "not measured yet", "", reference, ""))
    return "\n".join(table(("model", "data and weights", "measured here, ONNX Runtime on the CPU", "reference",
                            "ONNX against PyTorch, cosine"), rows))


def put(readme: Path, text: str) -> bool:
    """Put `text` between the marks of a README; whether that changed the file. Raises `UserError` without the marks."""
    whole = files.existing_file(readme, "a README").read_text(encoding="utf-8")
    if whole.count(BEGIN) != 1 or whole.count(END) != 1 or whole.index(BEGIN) > whole.index(END):
        raise UserError(f"{readme}: expected the marks {BEGIN} and {END} there once, in this order")
    new = whole[:whole.index(BEGIN) + len(BEGIN)] + "\n" + text + "\n" + whole[whole.index(END):]
    if new == whole:
        return False
    files.write_text(readme, new)
    return True


def kept(folder: Path) -> List[Mapping[str, Any]]:
    """The results that a model's README quotes."""
    path = folder / RESULTS
    return files.read_json(path) if path.is_file() else []


def main(argv: Optional[Sequence[str]] = None) -> None:
    parser = argparse.ArgumentParser(prog="python3 -m common.readme", description=__doc__.splitlines()[0])
    parser.add_argument("--model", default=".", help="the model's folder (default: here)")
    parser.add_argument("--report", metavar="JSON", help="a report whose figures to take up")
    parser.add_argument("--data", metavar="NAME", help="what to call its dataset (default: its folder's name)")
    parser.add_argument("--overview", nargs="+", metavar="FOLDER",
                        help="write the collection's table over these models")
    args = parser.parse_args(argv)
    folder = Path(args.model)
    if args.overview:
        text = overview([facts.load(each) for each in args.overview], [kept(Path(each)) for each in args.overview])
    else:
        results = kept(folder)
        if args.report:
            one = files.read_json(args.report)
            if one.get("schema") != report.SCHEMA:
                raise UserError(f"{args.report}: is no report of this version; run make again")
            results = add(results, entry(one, args.data or None))
            files.write_json(folder / RESULTS, results)
        text = section(facts.load(folder), results)
    changed = put(folder / "README.md", text)
    print(f"{folder / 'README.md'}: {'written' if changed else 'nothing to change'}")


if __name__ == "__main__":
    errors.run(main)
