#!/usr/bin/env python3
"""Draw the generated digits as a grid, DIR/result.png, and count how many are read as the digit that was asked for.

A row of the grid is one noise, a column one digit. Digits are read by digit_classifier.py.
"""
from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, Dict, Mapping, Optional, Sequence

import numpy as np

import digit_classifier
import util
from common.base import errors, facts, files, pictures
from common.base.errors import UserError
from common.data import dataset, evaluation, result_files, variant
from common.judge import verdicts

ROW = {"required": ["read"], "properties": {"read": {"type": "array", "minItems": 1, "items": {
    "type": "integer", "minimum": 0, "maximum": 9}}}}
"""The schema of what `one` keeps of a sample."""


def find_output(folder: files.PathLike) -> Path:
    """The first output of the one inference whose results are in the folder."""
    found = result_files.find(folder)
    if len(found) > 1:
        raise UserError(f"{folder}: holds results of {len(found)} inferences ({', '.join(sorted(found))}), expected "
                        "one; give the result folder of one run")
    (outputs,) = found.values()
    return min(outputs.items())[1]


def read_output(folder: files.PathLike, extra: Mapping[str, Any]) -> np.ndarray:
    """The pictures in a result folder: float32 [noises * classes, C, side, side] in -1..1, C (1 or 3) by the length."""
    return read_pictures(find_output(folder), extra)


def read_pictures(path: Path, extra: Mapping[str, Any]) -> np.ndarray:
    """The pictures of a result file, as `read_output`."""
    count, side = extra["noises"] * extra["classes"], extra["side"]
    found = path.stat().st_size
    channels = next((each for each in (1, 3) for width in (4, 2) if found == width * count * each * side * side), None)
    if channels is None:
        raise UserError(f"{path}: {found} bytes are no float32 [{count},3,{side},{side}] or "
                        f"[{count},1,{side},{side}]; the file is cut off or of another model; run the inference again")
    output = dataset.read_result(path, (count, channels, side, side))
    if np.abs(output).max() > 1.001:  # tanh; a half-precision device may round a little beyond
        raise UserError(f"{path}: has values up to {np.abs(output).max():.4g}, expected -1..1; it is of another model")
    return output


def read_digits(output: np.ndarray, weights: Mapping[str, np.ndarray]) -> np.ndarray:
    """The digit that the classifier reads in each picture: int [N]. output: float32 [N, C, 28, 28] in -1..1.

    Colours count by their mean: the network was trained on grey digits, its three channels are nearly equal.
    """
    return digit_classifier.read(weights, util.to_unit(output).mean(1))


def score(read: np.ndarray, classes: int) -> float:
    """Per cent of the pictures that are read as the digit asked for: the digits 0, 1, 2, ... again and again."""
    return 100 * float((read == np.arange(len(read)) % classes).mean())


def sizes(model: facts.Facts, onnx: Optional[str], prep: Optional[str]) -> Dict[str, int]:
    """`noises`, `classes` and `side` of the pictures, as the model or the samples tell them, else the reference's."""
    told = variant.find(model, onnx, prep)
    return {key: variant.number(told, key, model.extra[key]) for key in ("noises", "classes", "side")}


def plan(argv: Optional[Sequence[str]] = None, samples: Optional[Sequence[str]] = None) -> evaluation.Evaluation:
    """What the command line asks for. samples: the one id, where its output is handed over."""
    model = facts.load(__file__)
    parser = argparse.ArgumentParser(description=errors.first_line(__doc__))
    parser.add_argument("--bin_out_path", required=True, metavar="DIR", help="folder with the result .bin file "
                        "(`python3 -m common.data.result_files newest result` names msame's latest)")
    parser.add_argument("--save_path", required=True, metavar="DIR", help="folder for result.png")
    parser.add_argument("--accuracy", metavar="JSON", help="file for the read rate, which the report takes up")
    parser.add_argument("--onnx", metavar="ONNX", help="the model that the results are of (default: the reference's)")
    parser.add_argument("--prep", metavar="DIR", help="what CGAN_preprocess.py wrote, which knows the model if it was told")
    args = parser.parse_args(argv)
    extra = sizes(model, args.onnx, args.prep if samples is None else None)
    classes, side = extra["classes"], extra["side"]
    count, readable = extra["noises"] * classes, (classes, side) == (model.extra["classes"], model.extra["side"])
    if args.accuracy and not readable:
        raise UserError(f"--accuracy: the model draws {classes} classes of {side}x{side}, the classifier reads the "
                        f"{model.extra['classes']} digits of {model.extra['side']}x{model.extra['side']}; leave it out")
    target = Path(args.save_path) / "result.png"
    classifier = digit_classifier.load()

    def one(sample: str, name: str, output: np.ndarray) -> evaluation.Row:
        """The digits that are read."""
        pictures.write_rgb(target, util.grid(util.to_bytes(output), classes))
        return {"read": read_digits(output, classifier.weights).tolist() if readable else []}

    def finish(rows: Sequence[evaluation.Row]) -> None:
        read = np.array(rows[0]["read"])
        print(f"{target}: {count} digits, a row per noise, a column per digit")
        if not readable:
            print(f"not read: the classifier knows {model.extra['classes']} digits of {model.extra['side']} pixels a side")
            return
        value, own = score(read, classes), 100 * classifier.about["held_out_accuracy"]
        for index in np.flatnonzero(read != np.arange(len(read)) % classes):
            print(f"row {index // classes + 1}, digit {index % classes}: read as {read[index]}")
        if args.accuracy:
            values = {f"row {index // classes + 1}, digit {index % classes}, read as {digit}":
                      100.0 * (digit == index % classes) for index, digit in enumerate(read)}
            verdicts.write_accuracy(args.accuracy, model, value, values, {
                "name": f"on {classifier.about['held_out']} real MNIST digits", "value": own})
        print(f"read rate: {value:.2f} % of {len(read)} generated digits are read as the digit asked for "
              f"(of {classifier.about['held_out']} real MNIST digits the classifier reads {own:.2f} %)")

    return evaluation.Evaluation(samples or ["input"], lambda sample: find_output(args.bin_out_path),
                                 lambda path: read_pictures(path, extra), one, finish,
                                 shape=(count, None, side, side), row=ROW, leaves=lambda sample, name: [target])


def main(argv: Optional[Sequence[str]] = None) -> None:
    evaluation.run(plan(argv))


if __name__ == "__main__":
    errors.run(main)
