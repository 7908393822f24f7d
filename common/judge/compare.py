"""One table of the backends on the same samples: `python3 -m common.judge.compare` in a model's build folder.

`make compare` has left under `compare/<backend>/`, and the run itself for ONNX, how each backend's outputs differ
from PyTorch's, and its metric;
the engines that ENGINES= names have their results there too.
Thresholds are msit's: cosine at least 0.99, relative Euclidean distance at most 0.05.
"""
from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence

from common.base import errors, facts, files
from common.base.errors import UserError
from common.base.tables import aligned, short
from common.engines import engine, tolerance
from common.infer import records
from common.judge import agreement, reports

ROWS = (("cosine", "cosine, lowest", "{:.9f}", f"at least {tolerance.COSINE}"),
        ("relative_euclidean", "relative Euclidean distance, largest", "{:.3g}",
         f"at most {tolerance.RELATIVE_EUCLIDEAN}"),
        ("max_abs", "absolute difference, largest", "{:.3g}", ""))
PICTURES = (("psnr", "8-bit pictures: PSNR, lowest, dB", "{:.2f}"), ("ssim", "8-bit pictures: SSIM, lowest", "{:.6f}"))
"""Of a model without a true picture to measure against (Pix2pixHD)."""


def compare(model: facts.Facts, build: files.PathLike, run: str, engines: Sequence[str] = ()) -> Dict[str, Any]:
    """Gather what `make compare` left in `build`.

    run: the record of the inference run, from there; each of the engines has left one of the same name in its folder.
    Gives `{"model", "metric", "unit", "samples", "seeded", "pytorch", "columns": [{"backend", "by", "accuracy",
    "agreement", "samples_per_s", "model_sha256"}], "missing": {engine: why}, "verdict"}`; `pytorch` and `accuracy` are
    None for a model that has no metric, `samples_per_s` (device compute) and `model_sha256` for result folders that were given.
    """
    build = Path(build)
    columns: List[Dict[str, Any]] = []
    missing: Dict[str, str] = {}
    seeded = files.read_json(build / "inputs.json", "inputs")["checkpoint"] == "seeded"
    for name in dict.fromkeys(("ONNX", *engines, "OM", "GPU")):
        folder = build if name == "ONNX" else build / "compare" / name
        why = engine.missing(build / ".args" / f"engine-{name}") if name in engines else None
        if why:
            missing[name] = why
        if why or not (folder / "agreement.json").is_file():
            continue
        heading, by, speed, checksum = name, f"result files in {(folder / 'results').resolve()}", None, None
        if name == "ONNX" or name in engines:
            record = records.read(folder / run)
            origin, speed, seeded = record["provenance"], record["samples_per_s"], seeded or records.untrained(record)
            checksum = origin["model_sha256"]
            heading = "ONNX" if origin["provider"].startswith("CPUExecutionProvider") else f"ONNX, {origin['device']}"
            if engine.label(origin) != engine.STAND_INS["onnxruntime"]:
                heading = engine.label(origin)
            by = engine.origin(origin)
        columns.append({"backend": heading, "by": by, "agreement": reports.agreement(folder / "agreement.json"),
                        "accuracy": reports.value(folder / "accuracy.json", model),
                        "samples_per_s": speed, "model_sha256": checksum})
    if not columns:
        raise UserError(f"{build / 'agreement.json'}: no such file, and no other backend's either; run make compare")
    verdicts = [column["agreement"]["verdict"] for column in columns]
    return {"model": model.title, "metric": model.metric.name, "unit": model.metric.unit,
            "samples": columns[0]["agreement"]["samples"],
            "seeded": seeded,
            "pytorch": reports.value(build / "pytorch/accuracy.json", model), "columns": columns, "missing": missing,
            "verdict": "fail" if "fail" in verdicts else "pass"}


def lines(result: Mapping[str, Any]) -> List[str]:
    """The table for the terminal: a column per backend, then the samples in which each differs most from PyTorch."""
    columns = result["columns"]
    table = [["", "PyTorch", *(column["backend"] for column in columns), "threshold"]]
    if result["pytorch"] is not None:
        values = [result["pytorch"], *(column["accuracy"] for column in columns)]
        name = f"{result['metric']}{', ' + result['unit'] if result['unit'] else ''}"
        table.append([name, *("-" if value is None else f"{value:.4f}" for value in values), ""])
    for key, name, form in PICTURES:
        if any("pictures" in column["agreement"] for column in columns):
            values = [column["agreement"].get("pictures", {}).get(key) for column in columns]
            table.append([name, "-", *("equal" if value is None else form.format(value) for value in values), ""])
    for key, name, form, threshold in ROWS:
        table.append([name, "-", *(form.format(column["agreement"][key]) for column in columns), threshold])
    speeds = [column["samples_per_s"] for column in columns]
    if sum(speed is not None for speed in speeds) > 1:  # the first column's engine is that of the other stages
        table.append(["samples/s, device compute", "-",
                      *("-" if speed is None else short(speed) for speed in speeds), ""])
        table.append([f"  over {columns[0]['backend']}'s", "-",
                      *("-" if speed is None else f"{speed / speeds[0]:.2f}" for speed in speeds), ""])
    table.append(["verdict", "-", *(column["agreement"]["verdict"] for column in columns), ""])
    text = [f"{result['model']}: the same {result['samples']} samples by each backend; differences from PyTorch's "
            "outputs"]
    text += aligned(table, right=range(1, len(table[0]) - 1))
    if sum(speed is not None for speed in speeds) > 1:
        text.append("The engines ran one after the other; `python3 -m common.dev.engine_bench` lets them take turns, which "
                    "tells more on a busy machine.")
    text += [f"{name} has no column: {why}" for name, why in result["missing"].items()]
    if result["seeded"]:
        text.append("Seeded weights, never trained: the metric shows whether the backends agree, no accuracy.")
    for column in columns:
        text.append(f"{column['backend']}: {column['by']}. Worst samples:")
        text += [f"  {row['file']}: cosine {row['cosine']:.9f}, relative Euclidean {row['relative_euclidean']:.3g}, "
                 f"largest {row['max_abs']:.3g}" for row in column["agreement"]["worst"][:agreement.WORST]]
    return text


def main(argv: Optional[Sequence[str]] = None) -> int:
    parser = argparse.ArgumentParser(prog="python3 -m common.judge.compare", description=errors.first_line(__doc__),
                                     epilog="Exit status 1 when a backend misses a threshold.")
    parser.add_argument("--model", default="..", help="the model's folder (default: %(default)s)")
    parser.add_argument("--run", required=True, help="what the inference run left")
    parser.add_argument("--engine", action="append", default=[], metavar="NAME", choices=engine.ENGINES,
                        help="a further engine that has a column; several may be given")
    parser.add_argument("--output", default="compare.json", help="default: %(default)s")
    args = parser.parse_args(argv)
    result = compare(facts.load(args.model), ".", args.run, args.engine)
    files.write_json(args.output, result)
    print("\n".join(lines(result)))
    return int(result["verdict"] == "fail")


if __name__ == "__main__":
    errors.run(main)
