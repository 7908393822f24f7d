"""The report of one model's run, `build/report.json`, and its summary: `python3 -m common.report make|show`."""
from __future__ import annotations

import argparse
import datetime
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence

from common import errors, facts, files

WORST = 5


def write_accuracy(path: files.PathLike, model: facts.Facts, value: float, rows: Mapping[str, float],
                   baseline: Optional[Mapping[str, Any]] = None) -> None:
    """Write a postprocess's figures for the report: the metric's mean and every sample's value, worst first.

    rows: value by sample, larger is better. baseline: `{"name", "value"}` of a plain method on the same samples.
    """
    worst = sorted(rows.items(), key=lambda row: row[1])
    files.write_json(path, {"metric": model.metric.name, "unit": model.metric.unit,
                            "definition": model.metric.definition, "value": value, "samples": len(rows),
                            "baseline": baseline, "rows": [{"sample": name, "value": each} for name, each in worst]})


def verdict(value: float, reference: float, tolerance: float) -> str:
    """"pass" unless the value falls more than `tolerance` (relative) below the reference."""
    return "pass" if value >= reference * (1 - tolerance) else "fail"


def published_counts(model: facts.Facts, accuracy: Mapping[str, Any], checkpoint_sha256: str) -> bool:
    """Whether the published figure is the reference: the published checkpoint on as many samples as it was taken over."""
    return checkpoint_sha256 == model.weights.get("sha256") and accuracy["samples"] == model.metric.samples


def judge(model: facts.Facts, accuracy: Mapping[str, Any], pytorch: Optional[Mapping[str, Any]],
          checkpoint_sha256: str) -> Dict[str, Any]:
    """Hold a measured accuracy against its reference.

    The published figure counts for the published checkpoint on the whole published set; PyTorch's own result on the
    same samples counts otherwise.
    """
    if published_counts(model, accuracy, checkpoint_sha256):
        entry = model.reference(model.metric.name, "published")
        reference, source = entry.value, f"published, {entry.definition}"
    elif pytorch is not None:
        reference, source = pytorch["value"], "PyTorch on the same samples with the same checkpoint"
    else:
        return {"reference": None, "source": "none on these samples", "gap_percent": None, "verdict": "none"}
    return {"reference": reference, "source": source,
            "gap_percent": 100 * (accuracy["value"] - reference) / reference if reference else None,
            "verdict": verdict(accuracy["value"], reference, model.metric.tolerance)}


def make(model: facts.Facts, inputs: Mapping[str, str], accuracy: Optional[Mapping[str, Any]],
         pytorch: Optional[Mapping[str, Any]], agreement: Optional[Mapping[str, Any]],
         runs: Sequence[Mapping[str, Any]]) -> Dict[str, Any]:
    """Assemble the report from what the stages left. Seeded weights yield no accuracy, only agreement."""
    checksum = runs[0]["provenance"].get("metadata", {}).get("checkpoint_sha256", "") if runs else ""
    section: Optional[Dict[str, Any]] = None
    if accuracy is not None and inputs["checkpoint"] != "seeded":
        rows = accuracy["rows"]
        section = {**accuracy, **judge(model, accuracy, pytorch, checksum), "worst": rows[:WORST]}
        del section["rows"]
    verdicts = [part["verdict"] for part in (section, agreement) if part]
    return {"model": model.name, "title": model.title, "inputs": dict(inputs), "accuracy": section,
            "agreement": agreement, "runs": list(runs),
            "references": [vars(entry) for entry in model.references],
            "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
            "verdict": "fail" if "fail" in verdicts else "pass" if "pass" in verdicts else "none"}


def lines(report: Mapping[str, Any]) -> List[str]:
    """The summary of one report for the terminal."""
    inputs, accuracy, agreement = report["inputs"], report["accuracy"], report["agreement"]
    data = {"demo": "the demo, drawn by code", "none": "no dataset is needed, the input is seeded noise"}
    result = [f"{report['title']}: {report['verdict']}",
              f"  data      {data.get(inputs['data'], inputs['data'])}",
              "  weights   " + ("seeded, never trained: no accuracy, only agreement with PyTorch"
                                if inputs["checkpoint"] == "seeded" else inputs["checkpoint"])]
    if accuracy:
        result += accuracy_lines(accuracy)
    if agreement:
        result.append(f"  agreement ONNX against PyTorch over {agreement['samples']} samples: cosine "
                      f"{agreement['cosine']:.9f}, largest difference {agreement['max_abs']:.3g}: {agreement['verdict']}")
        if "pictures" in agreement:  # where there is no true picture to measure accuracy against
            worst = agreement["pictures"]
            result.append("            as 8-bit pictures: PSNR " + ("infinite (equal)" if worst["psnr"] is None else
                          f"{worst['psnr']:.2f} dB") + f", SSIM {worst['ssim']:.6f} in the worst, {worst['worst']}")
        if "classes" in agreement:
            shares = agreement["classes"]
            result.append(f"            same class in {shares['equal_percent']:.4f} % of the pixels, "
                          f"{shares['worst_equal_percent']:.4f} % in the worst, {shares['worst']}")
    for run in report["runs"]:
        compute, origin = run["compute_ms"], run["provenance"]
        result.append(f"  speed     {Path(origin['model']).name} batch {run['batch']}: device compute {compute['mean']:.4g} "
                      f"ms mean, {compute['median']:.4g} median, {compute['p99']:.4g} 99th percentile = "
                      f"{run['samples_per_s']:.4g} samples/s; end to end "
                      f"{run['end_to_end_samples_per_s']:.4g} samples/s")
    if report["runs"]:
        origin = report["runs"][0]["provenance"]
        result.append(f"            by {origin['backend']} {origin['version']}, {origin['provider']}, {origin['device']}, "
                      f"{origin['threads']} threads: no NPU figure")
    for entry in report["references"]:
        if entry["quantity"] == "throughput":
            batch = f" batch {entry['batch']}" if entry["batch"] else ""
            result.append(f"  reference {entry['device']}{batch}: {entry['value']:.6g} {entry['unit']} "
                          f"({entry['definition']})")
    return result


def accuracy_lines(section: Mapping[str, Any]) -> List[str]:
    """The accuracy section in one or two lines: the measured figure, then its reference and verdict."""
    unit = f" {section['unit']}" if section["unit"] else ""
    line = f"  {section['metric']:9} {section['value']:.4f}{unit} over {section['samples']} samples"
    if section["baseline"]:
        line += f", {section['baseline']['name']} {section['baseline']['value']:.4f}{unit}"
    if section["reference"] is None:
        return [line]
    return [line, f"            reference {section['reference']:.4f}{unit} ({section['source']}): "
                  f"{section['verdict']}"]


def main(argv: Optional[Sequence[str]] = None) -> int:
    parser = argparse.ArgumentParser(prog="python3 -m common.report", description=__doc__.splitlines()[0])
    verbs = parser.add_subparsers(dest="verb", required=True)
    maker = verbs.add_parser("make", help="write one model's report, in its build folder")
    maker.add_argument("--model", default="..", help="the model's folder (default: %(default)s)")
    maker.add_argument("--output", default="report.json")
    maker.add_argument("--accuracy", help="what postprocess left of the ONNX results")
    maker.add_argument("--pytorch", help="what postprocess left of PyTorch's results")
    maker.add_argument("--agreement", help="what common.agreement left")
    maker.add_argument("--run", action="append", default=[], help="what an inference run left; several may be given")
    shower = verbs.add_parser("show", help="print the summary; exit status 1 when a verdict is fail")
    shower.add_argument("reports", nargs="+", metavar="REPORT")
    for verb, text in (("published", "exit status 0 when the published figure is the reference, else 1"),
                       ("judge", "print accuracy, reference and verdict; exit status 1 when it is fail")):
        judged = verbs.add_parser(verb, help=text)
        judged.add_argument("--accuracy", required=True, help="what postprocess left")
        judged.add_argument("--pytorch", help="what postprocess left of PyTorch's results, if the file is there")
        judged.add_argument("--pth", required=True, help="the checkpoint")
        judged.add_argument("--model", default=".", help="the model's folder (default: here)")
    args = parser.parse_args(argv)
    if args.verb in ("published", "judge"):
        model, accuracy, checksum = facts.load(args.model), files.read_json(args.accuracy), files.sha256(args.pth)
        if args.verb == "published":
            return int(not published_counts(model, accuracy, checksum))
        own = files.read_json(args.pytorch) if args.pytorch and Path(args.pytorch).is_file() else None
        judged = {**accuracy, **judge(model, accuracy, own, checksum)}
        print("\n".join(accuracy_lines(judged)))
        return int(judged["verdict"] == "fail")
    if args.verb == "make":
        read = [files.read_json(path) if path else None for path in (args.accuracy, args.pytorch, args.agreement)]
        runs = [{key: value for key, value in files.read_json(path).items() if key != "samples"} for path in args.run]
        files.write_json(args.output, make(facts.load(args.model), files.read_json("inputs.json"), *read, runs))
        return 0
    reports = [files.read_json(path) for path in args.reports]
    print("\n".join(line for report in reports for line in lines(report)))
    return int(any(report["verdict"] == "fail" for report in reports))


if __name__ == "__main__":
    errors.run(main)
