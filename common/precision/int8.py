"""A network in int8 beside float32: `python3 -m common.precision.int8 lay-out|quantise|judge`, as `make int8` runs it.

Static quantisation by ONNX Runtime: QuantizeLinear/DequantizeLinear around every operator, int8 weights per channel, int8
activations whose ranges are the least and largest value on calibration samples, none of which is one of those judged.
Activations are stored unsigned, which changes none of ONNX Runtime's figures: of signed ones OpenVINO computes something else.
AMCT, Ascend's tool, has another scheme: its ranges, its rounding, which operators it leaves, and what it fuses are its own.
"""
from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from common.base import errors, facts, files, model_file
from common.base.errors import UserError
from common.base.tables import aligned, short
from common.data import dataset, inputs
from common.engines import engine, half, tolerance
from common.infer import records
from common.judge import reports

OPSET = 13
"""The first whose QuantizeLinear takes a scale per channel."""
SCHEME = ("ONNX Runtime's static quantisation, QDQ, int8 weights per channel, int8 activations by least and largest value; "
          "AMCT's scheme is another one")
SAME = 1e-3
"""How far the outputs of the copy of opset 13 may be from the model's, of their largest value."""
ADVICE = "give CALIBRATION=folder with other samples, laid out as DATASETS_PATH is"


def lay_out(folder: Path, parts: Sequence[str], given: str, demo: bool, instead: Sequence[str] = ()) -> str:
    """Link the calibration data as `<folder>/data/<part>`; gives what they are, in words.

    parts, instead: `NAME=CANDIDATE[,CANDIDATE]` as `inputs.prepare` takes them. given: CALIBRATION's folder. demo: the parts
    are in `<folder>/demo`. Else those of `instead` are looked for in the run's own dataset, `data` beside the folder.
    Raises `UserError` where there is nothing to calibrate on.
    """
    (folder / "data").mkdir(parents=True, exist_ok=True)
    if not parts and not instead:
        return "noise of another seed"
    root = files.existing_folder(given, "calibration samples (CALIBRATION)").resolve() if given else None
    for part in parts if given or demo else instead:
        name, _, candidates = part.partition("=")
        if demo and not given:
            inputs.link(folder / "data" / name, f"../demo/{name}")
            continue
        place = _first(root or folder.parent / "data", name, candidates.split(","), given)
        (folder / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        inputs.link(folder / "data" / name, str(place))
    if given:
        return f"of {root.name if root else ''}, given as CALIBRATION"
    if demo:
        return "a demo of another seed, drawn by code"
    if not instead:
        raise UserError(f"the dataset holds no calibration samples beside those that are judged; {ADVICE}")
    return "of the same dataset, not among those judged"


def _first(root: Path, name: str, candidates: Sequence[str], given: str) -> Path:
    found = next((root / each for each in candidates if (root / each).exists()), None)
    if found is None:
        raise UserError(f"{'CALIBRATION=' + given if given else root}: expected {' or '.join(candidates)} ({name}) with "
                        f"calibration samples, found nothing; {ADVICE}")
    return found.resolve()


def other_ids(images: Path, judged: Path, target: Path) -> int:
    """Write the ids of the images that the list does not name; gives their number. Raises `UserError` where there is none."""
    listed = set(files.existing_file(judged, "a list of image ids").read_text(encoding="utf-8-sig").split())
    names = sorted(path.stem for path in files.existing_folder(images, "images <id>.png").glob("*.png")
                   if not files.passed_over(path.name) and path.stem not in listed)
    if not names:
        raise UserError(f"{images}: every image is in {judged}, so none is left to calibrate on; {ADVICE}")
    files.write_text(target, "".join(f"{name}\n" for name in names))
    return len(names)


def calibration(prep: files.PathLike, judged: files.PathLike) -> List[Dict[str, Any]]:
    """The manifest's samples in `prep`. Raises `UserError` where one is among those in `judged`, by its content."""
    samples = dataset.read_manifest(prep)
    known = {files.sha256(record["bin"]): record["id"] for record in dataset.read_manifest(judged)}
    for record in samples:
        same = known.get(files.sha256(record["bin"]))
        if same is not None:
            raise UserError(f"{record['bin']}: calibration sample {record['id']} is the judged sample {same}; {ADVICE}")
    return samples


def quantise(path: files.PathLike, samples: Sequence[Mapping[str, Any]], output: files.PathLike) -> None:
    """Write the ONNX file at `path` in int8, calibrated on the samples; its metadata stays.

    Raises `UserError` for a file that `half.read` refuses, one that opset 13 cannot express or computes otherwise, and one
    that ONNX Runtime cannot quantise.
    """
    import onnx
    from onnx import version_converter
    model = half.read(path)
    if len(half.inputs(model.graph)) != 1:
        raise UserError(f"{path}: has more than one input, expected one for the calibration samples")
    with tempfile.TemporaryDirectory() as folder:
        raised = Path(folder) / "opset.onnx"
        try:
            opset = max(entry.version for entry in model.opset_import)
            onnx.save(version_converter.convert_version(model, OPSET) if opset < OPSET else model, str(raised))
        except Exception as error:  # the converter's, of several classes
            raise UserError(f"{path}: cannot be put into opset {OPSET}, which int8 per channel needs: {error}") from error
        _hold_equal(path, raised, dataset.read_sample(samples[0]))
        with files.atomic(output) as temporary:
            _quantised(raised, samples, temporary, path)
            made = onnx.load(str(temporary))
            onnx.helper.set_model_props(made, {entry.key: entry.value for entry in model.metadata_props})
            onnx.save(made, str(temporary))


def _hold_equal(path: files.PathLike, raised: Path, x: Any) -> None:
    """Raise `UserError` unless both files compute the same of `x`."""
    import numpy as np

    from common.engines.onnxruntime_session import Session
    for ours, theirs in zip(Session(raised, "cpu").run([x]), Session(path, "cpu").run([x])):
        worst, scale = float(np.abs(ours - theirs).max()), float(np.abs(theirs).max())
        if not worst <= SAME * max(scale, 1e-6):
            raise UserError(f"{path}: its copy in opset {OPSET} computes something else (largest difference {worst:.3g}); it "
                            "is not quantised")


def _quantised(raised: Path, samples: Sequence[Mapping[str, Any]], target: Path, path: files.PathLike) -> None:
    import logging

    import onnx
    from onnxruntime import quantization
    name = onnx.load(str(raised), load_external_data=False).graph.input[0].name

    class Reader(quantization.CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.left = map(dataset.read_sample, samples)

        def get_next(self) -> Any:
            x = next(self.left, None)
            return None if x is None else {name: x}

    logging.disable(logging.WARNING)  # it advises a preprocessing of its own
    try:
        quantization.quantize_static(str(raised), str(target), Reader(), quant_format=quantization.QuantFormat.QDQ,
                                     per_channel=True, activation_type=quantization.QuantType.QUInt8,
                                     weight_type=quantization.QuantType.QInt8)
    except UserError:
        raise
    except Exception as error:  # of any class: the quantiser is a program of its own
        raise UserError(f"{path}: ONNX Runtime cannot quantise it: {type(error).__name__}: {error}") from error
    finally:
        logging.disable(logging.NOTSET)


def judge(model: facts.Facts, build: Path, run: str, network: str) -> Dict[str, Any]:
    """int8 beside float32 and half precision, from what `make int8` left in `build`, as int8.json has it.

    run: the record of the inference run, from build and from the other two's folders. network: the float32 file.
    """
    rows = [_row(model, build, name, build / place, run, size) for name, place, size in (
        ("float32", ".", (build / network).stat().st_size),
        ("half precision rehearsed", "compare/cpu-f16", _weights(build, network)),
        ("int8", "int8/run", (build / "int8/int8.onnx").stat().st_size))]
    source, count = files.read_json(build / "int8/source.json", {}), len(dataset.read_manifest(build / "int8/prep"))
    doubt, untrained = None, records.untrained(records.read(build / run))
    if (build / "accuracy.json").exists():
        doubt = reports.doubt({**reports.accuracy(build / "accuracy.json", model), "untrained": untrained,
                               "floor": model.metric.floor and vars(model.metric.floor)})
    verdict, why = decide(model, rows[0], rows[-1], untrained, doubt)
    return {"model": model.title, "model_sha256": model_file.sha256(build / network),
            "int8_sha256": files.sha256(build / "int8/int8.onnx"), "scheme": SCHEME,
            "calibration": {"samples": count, "source": source["source"]}, "metric": model.metric.name,
            "unit": model.metric.unit, "tolerance": model.metric.tolerance,
            "samples": reports.agreement(build / "agreement.json")["samples"], "rows": rows, "verdict": verdict, "why": why}


def _weights(build: Path, network: str) -> Optional[int]:
    found = files.read_json(build / "cost.json", "cost")["models"]
    return next((one["weight_bytes"] for one in found if one["model"] == network), None)


def _row(model: facts.Facts, build: Path, name: str, folder: Path, run: str, size: Optional[int]) -> Dict[str, Any]:
    record = records.read(folder / run)
    agreement = reports.agreement(folder / "agreement.json")
    return {"name": name, "by": engine.origin(record["provenance"]), "bytes": size,
            "samples_per_s": None if engine.REHEARSED in record["provenance"]["provider"] else record["samples_per_s"],
            "accuracy": reports.value(folder / "accuracy.json", model),
            "cosine": agreement["cosine"], "relative_euclidean": agreement["relative_euclidean"]}


def decide(model: facts.Facts, plain: Mapping[str, Any], int8: Mapping[str, Any], untrained: bool,
           doubt: Optional[str] = None) -> Tuple[str, str]:
    """The verdict on int8, and why. A metric that falls by more than the model's tolerance fails; without a metric, outputs
    that miss a threshold of the agreement do; weights never trained give no verdict. doubt: `reports.doubt` of float32."""
    if untrained:
        return "none", "Seeded weights, never trained: no accuracy, no verdict"
    if doubt:
        return "fail", f"In float32 already {doubt}"
    if plain["accuracy"] is not None and int8["accuracy"] is not None:
        fall = 100 * (plain["accuracy"] - int8["accuracy"]) / abs(plain["accuracy"]) if plain["accuracy"] else 0.0
        verdict = reports.verdict(int8["accuracy"], plain["accuracy"], model.metric.tolerance)
        return verdict, (f"{model.metric.name} {int8['accuracy']:.4f} for {plain['accuracy']:.4f} in float32, a fall of "
                         f"{fall:.2f} %, allowed are {100 * model.metric.tolerance:g} %")
    return tolerance.agree(int8), (f"No metric here: cosine {int8['cosine']:.4f} (at least {tolerance.COSINE}), relative "
                                   f"Euclidean {int8['relative_euclidean']:.3g} (at most {tolerance.RELATIVE_EUCLIDEAN})")


def lines(found: Mapping[str, Any]) -> List[str]:
    """For the terminal."""
    unit = f", {found['unit']}" if found["unit"] else ""
    table = [["", "size", "samples/s here", f"{found['metric']}{unit}", "cosine, lowest", "relative Euclidean, largest"]]
    table += [[row["name"], files.size(row["bytes"]) if row["bytes"] else "-",
               short(row["samples_per_s"]) if row["samples_per_s"] else "-",
               "-" if row["accuracy"] is None else f"{row['accuracy']:.4f}", f"{row['cosine']:.6f}",
               f"{row['relative_euclidean']:.2e}"] for row in found["rows"]]
    return [f"{found['model']}: int8 over {found['samples']} samples", *aligned(table, right=range(1, 6)),
            f"calibrated on {found['calibration']['samples']} samples: {found['calibration']['source']}",
            f"{found['scheme']}. Size of half: its weights. No figure of speed is an NPU's.",
            f"{found['why']}: {found['verdict']}"]


def main(argv: Optional[Sequence[str]] = None) -> int:
    parser = argparse.ArgumentParser(prog="python3 -m common.precision.int8", description=errors.first_line(__doc__))
    verbs = parser.add_subparsers(dest="verb", required=True)
    layer = verbs.add_parser("lay-out", help="link calibration samples as int8/data in the build folder")
    layer.add_argument("--given", default="", help="CALIBRATION's folder")
    layer.add_argument("--demo", action="store_true", help="they were drawn into int8/demo")
    layer.add_argument("--link", action="append", default=[], metavar="NAME=CANDIDATE[,CANDIDATE]")
    layer.add_argument("--instead", action="append", default=[], metavar="NAME=CANDIDATE[,CANDIDATE]",
                       help="parts of the run's own dataset that are not judged")
    layer.add_argument("--ids", nargs=2, metavar=("IMAGES", "JUDGED"), help="write int8/ids.txt: images of a folder in int8 that "
                       "the list does not name")
    maker = verbs.add_parser("quantise", help="write a model in int8")
    maker.add_argument("onnx", metavar="ONNX")
    maker.add_argument("--prep", default="int8/prep", help="calibration samples (default: %(default)s)")
    maker.add_argument("--judged", default="prep", help="those that it must not hold (default: %(default)s)")
    maker.add_argument("--output", default="int8/int8.onnx", help="default: %(default)s")
    judged = verbs.add_parser("judge", help="table and verdict; exit status 1 when int8 loses more than the model's tolerance")
    judged.add_argument("onnx", metavar="ONNX")
    judged.add_argument("--model", default="..", help="the model's folder (default: %(default)s)")
    judged.add_argument("--run", required=True, help="what the inference run left")
    judged.add_argument("--output", default="int8.json", help="default: %(default)s")
    args = parser.parse_args(argv)
    if args.verb == "lay-out":
        source = lay_out(Path("int8"), args.link, args.given, args.demo, args.instead)
        if args.ids:
            other_ids(Path("int8") / args.ids[0], Path(args.ids[1]), Path("int8/ids.txt"))
        files.write_json("int8/source.json", {"source": source})
    elif args.verb == "quantise":
        samples = calibration(args.prep, args.judged)
        quantise(args.onnx, samples, args.output)
        print(f"{args.output}: int8, {files.size(Path(args.output).stat().st_size)} for "
              f"{files.size(Path(args.onnx).stat().st_size)}, calibrated on {len(samples)} samples")
    else:
        found = judge(facts.load(args.model), Path("."), args.run, args.onnx)
        files.write_json(args.output, found)
        print("\n".join(lines(found)))
        return int(found["verdict"] == "fail")
    return 0


if __name__ == "__main__":
    errors.run(main)
