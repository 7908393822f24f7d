"""The report of one model's run, `build/report.json`, and its summary: `python3 -m common.publish.report make|show|table`.

`common/base/schemas/report.schema.json` says what a report holds. Every figure stands with its unit, its definition, and
what produced it.
"""
from __future__ import annotations

import argparse
import datetime
import re
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from common.base import errors, facts, files, stages
from common.base.errors import UserError
from common.base.tables import aligned, short
from common.convert import cost as cost_counting
from common.engines import engine
from common.infer import records
from common.judge import peaks, reports
from common.judge.reports import SCHEMA, WORST, overall
from common.judge.verdicts import accuracy_lines, judge
from common.publish import history, provenance

SAME_SIZE = 0.05
"""By how much the number of parameters may differ from the reference network's for speeds to be compared."""
DATA = {"demo": "the demo, drawn by code", "none": "no dataset is needed, the input is seeded noise"}
WEIGHTS = {"seeded": "seeded, never trained: no accuracy, only agreement with PyTorch",
           "demo": "the demo's, which come with this collection"}


def make(model: facts.Facts, inputs: Mapping[str, str], accuracy: Optional[Mapping[str, Any]],
         pytorch: Optional[Mapping[str, Any]], agreement: Optional[Mapping[str, Any]],
         runs: Sequence[Mapping[str, Any]], om: Optional[Mapping[str, Any]] = None,
         sweep: Sequence[Mapping[str, Any]] = (), behind: Optional[Mapping[str, Any]] = None,
         disk: Sequence[Mapping[str, Any]] = (), cost: Sequence[Mapping[str, Any]] = (),
         int8: Optional[Mapping[str, Any]] = None) -> Dict[str, Any]:
    """Assemble the report from what the stages left. Seeded weights yield no accuracy, only agreement.

    agreement, om: of ONNX and of OM with PyTorch. runs, sweep: the records of inference runs (`common.infer.offline`); those
    of the sweep count where their model file is one of the runs'. behind: `provenance.gather`; disk: `provenance.disk`; cost:
    `cost.count` of model files; int8: `common.precision.int8`; those of the runs' files are taken.
    Raises `UserError` when a model says that it was exported from another checkpoint.
    """
    checksums = {run["provenance"].get("metadata", {}).get("checkpoint_sha256") for run in runs} - {None}
    checksum = min(checksums, default="")
    if behind and behind["checkpoint"]:
        checksum = behind["checkpoint"]["sha256"]
        if checksums - {checksum}:
            raise UserError(f"{runs[0]['provenance']['model']}: was exported from another checkpoint (SHA-256 "
                            f"{min(checksums - {checksum})[:12]}...) than {behind['checkpoint']['file']} "
                            f"({checksum[:12]}...); run make again from the export")
    untrained = any(map(records.untrained, runs))
    section: Optional[Dict[str, Any]] = None
    if accuracy is not None and inputs["checkpoint"] != "seeded":
        rows = accuracy["rows"]
        section = {**accuracy, **judge(model, accuracy, pytorch, checksum, untrained), "worst": rows[:WORST]}
        section = {key: value for key, value in section.items() if key not in ("rows", "classes")}  # the page has them
    known = {run["provenance"]["model_sha256"] for run in runs}
    swept = [run for run in sweep if run["provenance"]["model_sha256"] in known]
    verdicts = {name: part["verdict"] if part else "none"
                for name, part in (("accuracy", section), ("agreement", agreement), ("om_agreement", om))}
    performed = [performance(run, False) for run in runs] + [performance(run, True) for run in swept]
    costs = [one for one in cost if one["model_sha256"] in known]
    shares = peaks.shares(model, performed, costs)
    verdicts["peak"] = reports.peak_verdict(shares)
    return {"schema": SCHEMA, "model": model.name, "title": model.title, "inputs": dict(inputs), "accuracy": section,
            "agreement": agreement, "om_agreement": om,
            "performance": performed, "cost": costs, "shares": shares,
            "int8": int8 if int8 and int8["model_sha256"] in known else None,
            "network": network(model, runs),
            "references": [vars(entry) for entry in model.references], "disk": list(disk), "provenance": behind,
            "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
            "verdicts": verdicts, "verdict": overall(verdicts.values())}


def network(model: facts.Facts, runs: Sequence[Mapping[str, Any]]) -> Optional[Dict[str, Any]]:
    """How large the network is beside the reference's: speeds of a narrower one cannot be held against the reference's.

    The number of parameters is what the export wrote into the model's metadata. None where that does not tell.
    """
    told = str(runs[-1]["provenance"].get("metadata", {}).get("parameters", "")) if runs else ""
    expected = model.weights.get("parameters")
    if not re.fullmatch(r"[1-9]\d{0,15}", told) or not expected:
        return None
    found = int(told)
    return {"parameters": found, "reference_parameters": expected,
            "reference_size": abs(found / expected - 1) <= SAME_SIZE}


def smaller(report: Mapping[str, Any]) -> Optional[str]:
    """A warning where the network measured is not of the reference's size, else None."""
    size = report["network"]
    if not size or size["reference_size"]:
        return None
    return (f"the network measured has about {in_words(size['parameters'])} parameters, the reference's "
            f"{in_words(size['reference_parameters'])}: speeds cannot be compared")


def in_words(count: int) -> str:
    """A number of parameters, rounded: `44.6 million`, `16 thousand`."""
    return f"{count / 1e6:.3g} million" if count >= 1e6 else f"{max(1, round(count / 1e3))} thousand"


def performance(run: Mapping[str, Any], swept: bool) -> Dict[str, Any]:
    """One entry of the report's performance section, from the record that an inference run left."""
    by = run["provenance"]
    return {"model": Path(by["model"]).name, "input_shape": run.get("input_shape"), "disturbed": run.get("disturbed"),
            "pure": run.get("pure", False), "sweep": swept, "tool": run["tool"],
            **{key: by[key] for key in ("backend", "version", "provider", "device", "threads", "model_sha256")},
            **{key: run[key] for key in ("batch", "warm_up_runs", "sample_count", "compute_ms", "samples_per_s",
                                         "end_to_end_s", "end_to_end_samples_per_s", "peak_memory_bytes", "command",
                                         "date", "definitions")},
            **({"devices": run["devices"]} if "devices" in run else {})}


def lines(report: Mapping[str, Any]) -> List[str]:
    """The summary of one report for the terminal."""
    inputs, accuracy = report["inputs"], report["accuracy"]
    result = [f"{report['title']}: {report['verdict']}",
              f"  data      {DATA.get(inputs['data'], inputs['data'])}",
              f"  weights   {WEIGHTS.get(inputs['checkpoint'], inputs['checkpoint'])}"]
    if accuracy:
        result += accuracy_lines(accuracy)
    for name, agreement in (("ONNX", report["agreement"]), ("OM", report["om_agreement"])):
        if agreement:
            result += agreement_lines(name, agreement)
    result += [f"  cost      {one['model']}, " + ", ".join(f"{name} {cell(one)}" for name, cell in cost_counting.HEAD)
               for one in report["cost"]]
    for run in report["performance"]:
        compute = run["compute_ms"]
        shape = f", {'x'.join(map(str, run['input_shape']))}" if run["input_shape"] else ""
        result.append(f"  speed     {run['model']}{shape}, batch {run['batch']}, "
                      f"{'pure' if run['pure'] else 'dataset'}: device compute {compute['mean']:.4g} "
                      f"ms mean, {compute['median']:.4g} median, {compute['p99']:.4g} 99th percentile = "
                      f"{run['samples_per_s']:.4g} samples/s; end to end "
                      f"{run['end_to_end_samples_per_s']:.4g} samples/s"
                      + (f", by {run['device']}" if "devices" in run else ""))
        if run["disturbed"]:
            result.append(f"            not alone on the machine: {run['disturbed']}")
    if report["performance"]:
        first = next((run for run in report["performance"] if "devices" not in run), report["performance"][0])
        result.append(f"            by {engine.origin(first)}")
        if smaller(report):
            result.append(f"            {smaller(report)}")
    shares = {one["what"]: one for one in report["shares"]}
    given_too = {peaks.label(entry) for entry in report["references"]}
    result += [f"            {what}: {peaks.told(one)} nominal" for what, one in shares.items() if what not in given_too]
    result += [f"  error     {text}" for text in peaks.above(report["shares"])]
    given: Dict[Tuple[str, ...], List[str]] = {}
    for entry in report["references"]:
        if entry["quantity"] == "throughput":
            batch = f"batch {entry['batch']}: " if entry["batch"] else ""
            group = given.setdefault((entry["device"], entry["unit"], entry["definition"]), [])
            of = shares.get(peaks.label(entry))
            group.append(f"{batch}{entry['value']:.6g}" + (f" ({peaks.told(of)})" if of else ""))
    result += [f"  reference {device}, {', '.join(group)} {unit} ({definition})"
               for (device, unit, definition), group in given.items()]
    first, *rest = history.told(report) or [""]
    result += [f"  {first}:", *(f"            {text}" for text in rest)] if first else []
    return result


def agreement_lines(name: str, agreement: Mapping[str, Any]) -> List[str]:
    """The agreement of ONNX or OM with PyTorch, and of their pictures or classes where the model compares those."""
    result = [f"  agreement {name} against PyTorch over {agreement['samples']} samples: cosine "
              f"{agreement['cosine']:.9f}, largest difference {agreement['max_abs']:.3g}: {agreement['verdict']}"]
    if "pictures" in agreement:  # where there is no true picture to measure accuracy against
        worst = agreement["pictures"]
        result.append("            as 8-bit pictures: PSNR " + ("infinite (equal)" if worst["psnr"] is None else
                      f"{worst['psnr']:.2f} dB") + f", SSIM {worst['ssim']:.6f} in the worst, {worst['worst']}")
    if "classes" in agreement:
        shares = agreement["classes"]
        result.append(f"            same class in {shares['equal_percent']:.4f} % of the pixels, "
                      f"{shares['worst_equal_percent']:.4f} % in the worst, {shares['worst']}")
    return result


def fastest(report: Mapping[str, Any]) -> Optional[Mapping[str, Any]]:
    """The measurement for a one-line summary: of those outside the sweep, the one with the most samples per second."""
    own = [run for run in report["performance"] if not run["sweep"]]
    return max(own, key=lambda run: run["samples_per_s"], default=None)


HEAD = ("model", "verdict", "accuracy", "reference", "ONNX vs PyTorch", "compute", "samples/s")


def row(report: Mapping[str, Any]) -> Tuple[str, ...]:
    """One report as the cells under `HEAD`; "-" where there is nothing to say."""
    accuracy, agreement, run = report["accuracy"], report["agreement"], fastest(report)
    own = expected = agree = compute = rate = "-"
    if accuracy:
        unit = f" {accuracy['unit']}" if accuracy["unit"] else ""
        own = f"{accuracy['metric']} {accuracy['value']:.4g}{unit} / {accuracy['samples']}"
        if accuracy["reference"] is not None:
            expected = f"{accuracy['reference']:.4g}{unit} {accuracy['source'].split()[0].rstrip(',')}"
    if agreement:
        agree = f"cosine {agreement['cosine']:.6f}"
    if run:
        compute, rate = f"{run['compute_ms']['median']:.4g} ms / {run['batch']}", short(run["samples_per_s"])
    return report["model"], report["verdict"], own, expected, agree, compute, rate


def table(found: Sequence[Mapping[str, Any]]) -> List[str]:
    """The summary of several reports in one screen."""
    body = [row(report) for report in found]
    rule = ["-" * max(map(len, column)) for column in zip(HEAD, *body)]
    result = aligned([HEAD, rule, *body])
    result.append("accuracy / samples; compute: median of one batch on the device / its size")
    for text, key, names in (("demo data, drawn by code", "data", ("demo",)),
                             ("demo weights, which come with this collection", "checkpoint", ("demo",)),
                             ("seeded weights, never trained, so no accuracy", "checkpoint", ("seeded",))):
        some = [report["model"] for report in found if report["inputs"][key] in names]
        if some:
            result.append(f"{text}: {', '.join(some)}")
    result += [f"{report['model']}: {report['accuracy']['doubt']}" for report in found
               if report["accuracy"] and report["accuracy"]["doubt"]]
    small = [report["model"] for report in found if smaller(report)]
    if small:
        result.append(f"networks of another size than the reference's, speeds cannot be compared: {', '.join(small)}")
    for text in dict.fromkeys(engine.origin(run) for run in map(fastest, found) if run):
        result.append(f"speed by {text}")
    return result


def main(argv: Optional[Sequence[str]] = None) -> int:
    parser = argparse.ArgumentParser(prog="python3 -m common.publish.report", description=errors.first_line(__doc__))
    verbs = parser.add_subparsers(dest="verb", required=True)
    maker = verbs.add_parser("make", help="write one model's report, in its build folder")
    maker.add_argument("--model", default="..", help="the model's folder (default: %(default)s)")
    maker.add_argument("--output", default="report.json")
    maker.add_argument("--accuracy", help="what postprocess left of the ONNX results")
    maker.add_argument("--pytorch", help="what postprocess left of PyTorch's results")
    maker.add_argument("--agreement", help="what common.judge.agreement left of ONNX against PyTorch")
    maker.add_argument("--om", help="the same of OM against PyTorch, if the file is there")
    maker.add_argument("--int8", help="what make int8 left, if the file is there")
    maker.add_argument("--cost", help="what common.convert.cost left of the model files")
    maker.add_argument("--run", action="append", default=[], help="what an inference run left; several may be given")
    maker.add_argument("--sweep", action="append", default=[], metavar="RUN",
                       help="what a run of `make sweep` left, if the file is there")
    maker.add_argument("--stage", action="append", default=[], type=_stage, metavar="NAME=FILE",
                       help="a stage and the file that stands for it: for the commands and the bytes on disk")
    shower = verbs.add_parser("show", help="print the summary; exit status 1 when a verdict is fail")
    shower.add_argument("reports", nargs="+", metavar="REPORT")
    tabler = verbs.add_parser("table", help="print a line per report; exit status 1 when a verdict is fail")
    tabler.add_argument("reports", nargs="+", metavar="REPORT")
    args = parser.parse_args(argv)
    if args.verb == "make":
        stages.verify(Path("."), [name for name, _ in args.stage])
        model = facts.load(args.model)
        accuracy, pytorch = (reports.accuracy(path, model) if path else None for path in (args.accuracy, args.pytorch))
        if accuracy is not None:
            reports.same_samples(accuracy, pytorch, args.accuracy)
        agreement = reports.agreement(args.agreement) if args.agreement else None
        om = reports.agreement(args.om) if args.om and Path(args.om).exists() else None
        if om and (not agreement or om.get("expected_sha256") != agreement.get("expected_sha256")):
            print(f"{args.om}: left out, it is of other results of PyTorch than this run's; make compare OM_RESULT= anew")
            om = None
        disturbed = {each["out"]: each.get("disturbed") for each in stages.load(Path("."))}
        runs, sweep = ([{**records.read(path), "disturbed": disturbed.get(path)} for path in paths]
                       for paths in (args.run, [path for path in args.sweep if Path(path).is_file()]))
        made = make(model, files.read_json("inputs.json", "inputs"), accuracy, pytorch, agreement, runs,
                    om=om, sweep=sweep, cost=files.read_json(args.cost, "cost")["models"] if args.cost else (),
                    int8=files.read_json(args.int8, "int8") if args.int8 and Path(args.int8).is_file() else None,
                    behind=provenance.gather(runs, args.stage), disk=provenance.disk(args.stage, "."))
        made["since"] = history.since(made, Path(args.output).parent)
        files.write_json(args.output, made)
        return 0
    found = [reports.report(path) for path in args.reports]
    print("\n".join(table(found) if args.verb == "table" else [line for one in found for line in lines(one)]))
    return int(any(one["verdict"] == "fail" for one in found))


def _stage(text: str) -> Tuple[str, str]:
    name, _, path = text.partition("=")
    if not path:
        raise argparse.ArgumentTypeError(f"expected NAME=FILE, found {text!r}")
    return name, path


if __name__ == "__main__":
    errors.run(main)
