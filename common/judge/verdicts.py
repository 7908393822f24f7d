"""An accuracy against its reference: `python3 -m common.judge.verdicts judge|published --accuracy JSON --pth PTH`."""
from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence

from common.base import errors, facts, files
from common.judge import reports


def write_accuracy(path: files.PathLike, model: facts.Facts, value: float, rows: Mapping[str, float],
                   baseline: Optional[Mapping[str, Any]] = None,
                   classes: Optional[List[Dict[str, Any]]] = None) -> None:
    """Write a postprocess's figures for the report: the metric's mean and every sample's value, worst first.

    rows: value by sample, larger is better. baseline: `{"name", "value"}` of a plain method on the same samples. classes: of a
    segmentation, `{"name", "value", "colour"}` each, value in per cent, None where neither truth nor result has it.
    """
    worst = sorted(rows.items(), key=lambda row: row[1])
    files.write_json(path, {"metric": model.metric.name, "unit": model.metric.unit,
                            "definition": model.metric.definition, "value": value, "samples": len(rows),
                            "baseline": baseline, "rows": [{"sample": name, "value": each} for name, each in worst],
                            **({"classes": classes} if classes else {})})


def published_counts(model: facts.Facts, accuracy: Mapping[str, Any], checkpoint_sha256: str) -> bool:
    """Whether the published figure is the reference: the published checkpoint on as many samples as it had."""
    return checkpoint_sha256 == model.weights.get("sha256") and accuracy["samples"] == model.metric.samples


def judge(model: facts.Facts, accuracy: Mapping[str, Any], pytorch: Optional[Mapping[str, Any]],
          checkpoint_sha256: str, untrained: bool = False) -> Dict[str, Any]:
    """Hold a measured accuracy against its reference, and against the floor that no working model falls to.

    The published figure counts for the published checkpoint on the whole published set; PyTorch's own result on the
    same samples counts otherwise. untrained: whether the checkpoint says that its weights were never trained; below the
    floor they do not fail.
    """
    floor, gap = model.metric.floor, None
    reference: Optional[float] = None
    if published_counts(model, accuracy, checkpoint_sha256):
        entry = model.reference(model.metric.name, "published")
        reference, source = entry.value, f"published, {entry.definition}"
    elif pytorch is not None:
        reference, source = pytorch["value"], "PyTorch on the same samples with the same checkpoint"
    else:
        source = "none on these samples"
    if reference:
        gap = 100 * (accuracy["value"] - reference) / reference
    found = {"reference": reference, "source": source, "gap_percent": gap, "tolerance": model.metric.tolerance,
             "floor": floor and vars(floor), "untrained": untrained}
    section = {**accuracy, **found}
    return {**found, "doubt": reports.doubt(section), "verdict": reports.accuracy_verdict(section)}


def accuracy_lines(section: Mapping[str, Any]) -> List[str]:
    """The accuracy section in up to three lines: the measured figure, its reference and verdict, why it is impossible."""
    unit = f" {section['unit']}" if section["unit"] else ""
    line = f"  {section['metric']:9} {section['value']:.4f}{unit} over {section['samples']} samples"
    if section["baseline"]:
        line += f", {section['baseline']['name']} {section['baseline']['value']:.4f}{unit}"
    doubt = [f"            {section['doubt']}"] if section["doubt"] else []
    if section["reference"] is None:
        return [line + (": fail" if section["verdict"] == "fail" else ""), *doubt]
    return [line, f"            reference {section['reference']:.4f}{unit} ({section['source']}): "
                  f"{section['verdict']}", *doubt]


def main(argv: Optional[Sequence[str]] = None) -> int:
    parser = argparse.ArgumentParser(prog="python3 -m common.judge.verdicts", description=errors.first_line(__doc__))
    verbs = parser.add_subparsers(dest="verb", required=True)
    for verb, text in (("published", "exit status 0 when the published figure is the reference, else 1"),
                       ("judge", "print accuracy, reference and verdict; exit status 1 when it is fail")):
        judged = verbs.add_parser(verb, help=text)
        judged.add_argument("--accuracy", required=True, help="what postprocess left")
        judged.add_argument("--pytorch", help="what postprocess left of PyTorch's results, if the file is there")
        judged.add_argument("--pth", required=True, help="the checkpoint")
        judged.add_argument("--model", default=".", help="the model's folder (default: here)")
    args = parser.parse_args(argv)
    model = facts.load(args.model)
    accuracy, checksum = reports.accuracy(args.accuracy, model), files.sha256(args.pth)
    if args.verb == "published":
        return int(not published_counts(model, accuracy, checksum))
    own = reports.accuracy(args.pytorch, model) if args.pytorch and Path(args.pytorch).exists() else None
    reports.same_samples(accuracy, own, args.accuracy)
    found = judge(model, accuracy, own, checksum)
    if found["doubt"]:  # PyTorch is loaded only where the mark matters
        from common.convert import checkpoint
        found = judge(model, accuracy, own, checksum, checkpoint.load(args.pth).untrained)
    section = {**accuracy, **found}
    print("\n".join(accuracy_lines(section)))
    return int(section["verdict"] == "fail")


if __name__ == "__main__":
    errors.run(main)
