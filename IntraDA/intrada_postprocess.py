#!/usr/bin/env python3
"""Hold the network's scores against Cityscapes' labels: mIoU, a table of classes, OUT/result.json, coloured pictures.

OUT/<stem>_color.png shows the classes found, in Cityscapes' palette.
"""
from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from common.base import errors, facts, files, metrics, pictures
from common.base.errors import UserError
from common.data import cityscapes, dataset, evaluation, result_files
from common.judge import verdicts

ROUNDING = 2.0 ** -18
"""What a class must be behind by to be left out, as a share of the largest score: over twice what float32's rounding is."""
CELLS = 128
"""Cells that are enlarged together: their planes stay in the cache. Chosen by measurement."""

ROW = {"required": ["sample", "histogram"], "properties": {"sample": {"type": "string"}, "histogram": {
    "type": "array", "minItems": 19, "maxItems": 19, "items": {
        "type": "array", "minItems": 19, "maxItems": 19, "items": {"type": "integer", "minimum": 0}}}}}
"""The schema of what `one` keeps of a sample."""
PLAIN = "one class everywhere"
"""The plain method that a working network is better than."""


class Axis(NamedTuple):
    """Linear interpolation with aligned corners along one axis, by cells: the outputs between two neighbouring inputs.

    A cell has as many places for outputs as the fullest one needs.
    """

    low: np.ndarray
    """The input before each cell, int [cells]; cells without an output are left out."""
    high: np.ndarray
    """The input behind it."""
    weights: np.ndarray
    """Of these two inputs at each place: float32 [2, places, cells]."""
    kept: np.ndarray
    """The place of each output, counted through all cells: int [outputs]."""


def axis(outputs: int, inputs: int) -> Axis:
    """The cells of an axis. Where an output lies is computed in float32, as PyTorch does."""
    where = np.arange(outputs, dtype=np.float32) * (np.float32(inputs - 1) / np.float32(max(outputs - 1, 1)))
    where = np.minimum(where, np.float32(inputs - 1))
    low = np.minimum(where.astype(np.int64), max(inputs - 2, 0))
    share = where - low.astype(np.float32)
    used, first, cell, count = np.unique(low, return_index=True, return_inverse=True, return_counts=True)
    place, places = np.arange(outputs) - first[cell], int(count.max())
    weights = np.zeros((2, places, len(used)), np.float32)
    weights[:, place, cell] = 1 - share, share
    return Axis(used, np.minimum(used + 1, inputs - 1), weights, cell * places + place)


def highest(corners: np.ndarray, classes: np.ndarray, down: np.ndarray, across: np.ndarray) -> np.ndarray:
    """The class of the highest score, the first of equals, at each place of some cells: uint8 [rows, columns, cells].

    corners: float32 [2 upper and lower, 2 left and right, classes, cells]. classes: which they are, uint8 [classes,
    cells]. down, across: weights, float32 [2, places, cells]. Scores are enlarged down, then across; each product and each
    sum is rounded to float32, so that the classes are the same on every machine.
    """
    sides = corners[0][:, :, None] * down[0] + corners[1][:, :, None] * down[1]
    left, right = sides[:, :, :, None]  # [classes, rows, 1, cells]
    best, scores, more = np.empty((3, down.shape[1], *across.shape[1:]), np.float32)
    found, step = np.empty((2, *best.shape), np.uint8)
    best[:], found[:] = -np.inf, 0
    for number, train_id in enumerate(classes):
        np.multiply(left[number], across[0], out=scores)
        scores += np.multiply(right[number], across[1], out=more)
        np.subtract(train_id, found, out=step)  # several times as fast as np.where
        step *= (scores > best).view(np.uint8)
        found += step
        np.maximum(best, scores, out=best)
    return found


def segment(scores: np.ndarray, height: int, width: int) -> np.ndarray:
    """The class of each pixel: float32 [classes, h, w] scores to uint8 [height, width] train ids (the first of equals).

    That is the arg max over the classes of the scores enlarged as by `torch.nn.functional.interpolate`, bilinear,
    align_corners=True, to float32's rounding. No plane is enlarged whole: a pixel's score is a mean of its cell's corners,
    so where one class leads at all four it leads between them, and elsewhere those classes alone can win that reach, at
    some corner, the mean of the classes that lead at one.
    """
    down, across = axis(height, scores.shape[1]), axis(width, scores.shape[2])
    (_, rows, _), (_, columns, _) = down.weights.shape, across.weights.shape
    behind = np.float32(max(ROUNDING * float(np.abs(scores).max()), np.finfo(np.float32).tiny))
    leads = scores >= scores.max(0) - behind
    leads = leads[:, down.low] | leads[:, down.high]
    leads = leads[:, :, across.low] | leads[:, :, across.high]  # [classes, cells down, cells across]: at a corner
    found = np.repeat(np.repeat(leads.argmax(0).astype(np.uint8), columns, 1), rows, 0)
    cells = found.reshape(len(down.low), rows, len(across.low), columns).transpose(0, 2, 1, 3)

    leaders = leads.sum(0, dtype=np.uint8)
    row, column = np.nonzero(leaders > 1)
    corners = np.array([[scores[:, upper[row], left[column]] for left in (across.low, across.high)]
                        for upper in (down.low, down.high)])
    mean = (corners * (leads[:, row, column] / leaders[row, column].astype(np.float32))).sum(2, keepdims=True)
    rivals = (corners >= mean - behind).any((0, 1))  # [classes, those cells]
    count = rivals.sum(0)
    order = np.argsort(count)
    classes = np.argsort(~rivals[:, order], 0, kind="stable")  # the rivals before the others, each in order
    for start in range(0, len(order), CELLS):
        some = order[start:start + CELLS]
        own = classes[:count[some[-1]], start:start + CELLS]
        y, x = row[some], column[some]
        cells[y, x] = highest(np.ascontiguousarray(corners[:, :, own, some]), own.astype(np.uint8),
                              down.weights.take(y, 2), across.weights.take(x, 2)).transpose(2, 0, 1)
    for number, kept in enumerate((down.kept, across.kept)):
        if len(kept) < found.shape[number]:
            found = found.take(kept, number)
    return found


def score(scores: np.ndarray, truth: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """Histogram int64 [19, 19] of one picture (rows true classes, columns found ones), and the found classes.

    scores: float32 [19, h, w]. truth: uint8 [H, W], train ids, 255 is not counted. Classes: uint8 [H, W], train ids.
    """
    classes = segment(scores, *truth.shape)
    return metrics.confusion(truth, classes, len(cityscapes.CLASSES)), classes


def mean_iou(histogram: np.ndarray) -> float:
    """mIoU in per cent: the mean over the classes that truth or result has. The histogram must not be empty."""
    return float(100 * np.nanmean(metrics.iou_per_class(histogram)))


def one_class(histogram: np.ndarray) -> float:
    """mIoU in per cent of calling every pixel of one class, the most frequent: over the classes that the truth has."""
    true = histogram.sum(1)
    return float(100 * true.max() / true.sum() / np.count_nonzero(true))


def main_outputs(folder: files.PathLike) -> Dict[str, Path]:
    """The file with the main output of each sample, by stem.

    A model of two outputs (auxiliary, main), as older exports have them, leaves the main one in the second file:
    benchmark `<stem>_2.bin`, ais_bench `<stem>_1.bin`, msame `<stem>_output_1.bin`. Raises `UserError` for more than
    two, and when samples differ in the number of outputs.
    """
    found = result_files.find(folder)
    numbers = {stem: sorted(outputs) for stem, outputs in found.items()}
    first = next(iter(numbers.values()))
    for stem, own in numbers.items():
        if len(own) > 2:
            raise UserError(f"{folder}: {stem} has {len(own)} outputs, expected one (main) or two (auxiliary, main)")
        if own != first:
            raise UserError(f"{folder}: {stem} has outputs {own}, {next(iter(numbers))} has {first}; results of two "
                            "models are mixed: run the inference again in an empty folder")
    return {stem: outputs[max(outputs)] for stem, outputs in found.items()}


def find_labels(folder: files.PathLike) -> Dict[str, Path]:
    """The labelIds picture of each photo of the validation set, by the photo's stem."""
    labels = cityscapes.frames(cityscapes.root(folder), "gtFine", cityscapes.LABEL_IDS)
    return {f"{frame}_{cityscapes.IMAGE}": path for frame, path in labels.items()}


def summary(histogram: np.ndarray, images: int) -> Dict[str, Any]:
    """What result.json holds. IoU of a class that neither truth nor result has is null."""
    values = metrics.iou_per_class(histogram)
    return {"mIoU_percent": mean_iou(histogram), "images": images,
            "pixel_accuracy_percent": float(100 * np.trace(histogram) / histogram.sum()),
            "classes": [{"train_id": train_id, "name": entry.name,
                         "IoU_percent": None if np.isnan(value) else float(100 * value),
                         "true_pixels": int(histogram[train_id].sum()), "found_pixels": int(histogram[:, train_id].sum())}
                        for train_id, (entry, value) in enumerate(zip(cityscapes.CLASSES, values))],
            "confusion": histogram.tolist()}


def table(classes: Sequence[Mapping[str, Any]]) -> List[str]:
    """A line for each class: IoU, and its true and found pixels."""
    return [f"{'class':14}{'IoU %':>8}{'true pixels':>14}{'found pixels':>14}",
            *(f"{entry['name']:14}{'-' if entry['IoU_percent'] is None else format(entry['IoU_percent'], '.3f'):>8}"
              f"{entry['true_pixels']:14}{entry['found_pixels']:14}" for entry in classes)]


def plan(argv: Optional[Sequence[str]] = None, samples: Optional[Sequence[str]] = None) -> evaluation.Evaluation:
    """What the command line asks for. samples: ids whose outputs are handed over, in place of the files in RESULT."""
    model = facts.load(__file__)
    parser = argparse.ArgumentParser(description=errors.first_line(__doc__),
                                     epilog="LIMIT=N in the environment takes the first N photos.")
    parser.add_argument("cityscapes", metavar="CITYSCAPES", help="holds gtFine/val/<city>, or cityscapes/ with it")
    parser.add_argument("result", metavar="RESULT", help="folder with the result .bin files; of two outputs the second counts")
    parser.add_argument("out", metavar="OUT", help="folder for result.json and the coloured pictures")
    parser.add_argument("--prep", metavar="OUT", help="what intrada_preprocess.py wrote: results must be of its samples")
    parser.add_argument("--accuracy", metavar="JSON", help="file for the report's accuracy section")
    args = parser.parse_args(argv)

    found, labels = {} if samples is not None else main_outputs(args.result), find_labels(args.cityscapes)
    wanted = list(samples) if samples is not None else evaluation.expected(args.prep, lambda: list(labels))
    taken = evaluation.taken(wanted, found if samples is None else None, args.result)
    missing = [stem for stem in taken if stem not in labels]
    if missing:
        raise UserError(f"{args.cityscapes}: no labels for {missing[0]}, expected "
                        f"gtFine/val/<city>/{missing[0].replace(cityscapes.IMAGE, cityscapes.LABEL_IDS)}.png")
    shape = model.outputs[0].sized(N=1)

    def picture_of(stem: str) -> Path:
        return Path(args.out) / f"{stem}_color.png"

    def one(stem: str, name: str, output: np.ndarray) -> evaluation.Row:
        """A photo's histogram; its classes are drawn."""
        truth = cityscapes.to_train_ids(cityscapes.read_labels(labels[stem]))
        histogram, classes = score(output[0], truth)
        if not histogram.any():
            raise UserError(f"{labels[stem]}: has no pixel of a class that is evaluated")
        pictures.write_rgb(picture_of(stem), cityscapes.colours(classes))
        return {"sample": stem, "histogram": histogram.tolist()}

    def finish(rows: Sequence[evaluation.Row]) -> None:
        histograms = {row["sample"]: np.array(row["histogram"], np.int64) for row in rows}
        result = summary(np.sum(list(histograms.values()), axis=0), len(rows))
        files.write_json(Path(args.out) / "result.json", result)
        if args.accuracy:
            verdicts.write_accuracy(args.accuracy, model, result["mIoU_percent"],
                                    {stem: mean_iou(histogram) for stem, histogram in histograms.items()},
                                    {"name": PLAIN, "value": one_class(np.array(result["confusion"]))}, [
                                        {"name": entry["name"], "value": entry["IoU_percent"],
                                         "colour": "#%02x%02x%02x" % cityscapes.CLASSES[entry["train_id"]].colour}
                                        for entry in result["classes"]])
        print("\n".join(table(result["classes"])))
        print(f"mIoU over {len(rows)} images: {result['mIoU_percent']:.3f} % "
              f"(pixels of the right class: {result['pixel_accuracy_percent']:.3f} %)")
        print(f"mIoU: {result['mIoU_percent']:.3f}")  # the reference's name for it, for who greps it

    return evaluation.Evaluation(taken, lambda stem: found[stem], lambda path: dataset.read_result(path, shape), one,
                                 finish, output=-1, shape=shape, row=ROW, needs=lambda stem: [labels[stem]],
                                 leaves=lambda stem, name: [picture_of(stem)])


def main(argv: Optional[Sequence[str]] = None) -> None:
    evaluation.run(plan(argv))


if __name__ == "__main__":
    errors.run(main)
