#!/usr/bin/env python3
"""Hold the network's outputs against the true masks: prints the IoU of each image and their mean."""
from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Dict, Optional, Sequence

import numpy as np

import preprocess_nested_unet
from common.base import errors, facts, metrics
from common.base.errors import UserError
from common.data import dataset, evaluation, result_files, variant
from common.judge import verdicts

ROW = {"required": ["sample", "IoU", "empty", "plain"], "properties": {
    "sample": {"type": "string"}, "IoU": {"type": "number"}, "empty": {"type": "boolean"}, "plain": {"type": "number"}}}
"""The schema of what `one` keeps of a sample."""
PLAIN = "every pixel a nucleus"
"""The plain method that a working network is better than."""


def score(output: np.ndarray, truth: np.ndarray) -> float:
    """IoU of one image. output: float32 [1, 1, H, W], logits. truth: uint8 [H, W], 0..255, a nucleus where > 127.5.

    Predicted where sigmoid(logit) > 0.5, which is logit > 0. (Older scripts of this model compare the logit itself with
    0.5; that asks for sigmoid > 0.622.)
    """
    return metrics.iou(output[0, 0], truth > 127)


def results(place: str) -> Dict[str, Path]:
    """The result file of each sample id, from a summary of ais_infer or from a folder.

    A folder may be benchmark's (`<id>_1.bin`), ais_infer's (`<id>_0.bin`) or msame's (`<id>_output_0.bin`); one of
    ais_infer with its summary is read through that.
    """
    path = Path(place)
    if path.is_dir():
        found = result_files.find(path)
        if all(re.fullmatch(r"input\d+|sample_id_\d+", stem) for stem in found):
            raise UserError(f"{path}: its files are only numbered and {result_files.OLD_SUMMARY}, which tells the images, "
                            "is not there; run the inference again, or give the folder with it")
    elif path.is_file():
        found = result_files.from_summary(path)
    else:
        raise UserError(f"{place}: no such file or folder; expected ais_infer's summary (.json) or a folder of results")
    return {sample: min(outputs.items())[1] for sample, outputs in found.items()}


def evaluate(output: np.ndarray, truth: np.ndarray, mask: Path) -> float:
    """IoU of an output, float32 [1, 1, H, W], against the mask at `mask`, read as uint8 of H x W pixels."""
    if truth.shape != output.shape[2:]:
        raise UserError(f"{mask}: is {truth.shape[1]}x{truth.shape[0]}, the network's output is "
                        f"{output.shape[3]}x{output.shape[2]}; make the masks of that size (prepare_dsb2018.py)")
    return score(output, truth)


def plan(argv: Optional[Sequence[str]] = None, samples: Optional[Sequence[str]] = None) -> evaluation.Evaluation:
    """What the command line asks for. samples: ids whose outputs are handed over, in place of result files."""
    model = facts.load(__file__)
    parser = argparse.ArgumentParser(description=__doc__,
                                     epilog="LIMIT=N in the environment takes the first N ids.")
    parser.add_argument("results", metavar="SUMARY_JSON_OR_DIR", help="ais_infer's summary (sumary.json in its result "
                        "folder, or <folder>_summary.json beside it), or a folder with the results")
    parser.add_argument("masks", metavar="MASKS", help="folder with the true masks <id>.png (dsb2018_96/masks/0)")
    parser.add_argument("--val_ids", default=str(Path(__file__).with_name("val_ids.txt")), metavar="FILE",
                        help="the ids that there must be results for (default: the reference's 134, val_ids.txt)")
    parser.add_argument("--prep", metavar="OUT", help="what preprocess_nested_unet.py wrote: its ids instead")
    parser.add_argument("--accuracy", metavar="JSON", help="file for the report's accuracy section")
    args = parser.parse_args(argv)

    found: Dict[str, Path] = {}
    if samples is None:
        preprocess_nested_unet.require_one_class(variant.find(model, prep=args.prep))
        found = results(args.results)
        samples = evaluation.expected(args.prep, lambda: preprocess_nested_unet.read_ids(args.val_ids))
        taken = evaluation.taken(samples, found, args.results)
    else:
        taken = evaluation.taken(samples, None, args.results)
    masks = dict(zip(taken, preprocess_nested_unet.find(args.masks, taken, "mask")))
    shape = model.outputs[0].sized(N=1)

    def one(sample: str, name: str, output: np.ndarray) -> evaluation.Row:
        truth = preprocess_nested_unet.read_mask(masks[sample])
        nuclei = int(np.count_nonzero(truth > 127))
        return {"sample": sample, "IoU": evaluate(output, truth, masks[sample]), "empty": not nuclei,
                "plain": metrics.overlap(nuclei, truth.size)}

    def finish(rows: Sequence[evaluation.Row]) -> None:
        if all(row["empty"] for row in rows):
            raise UserError(f"{args.masks}: none of the {len(rows)} masks holds a nucleus; is it the folder of the masks?")
        values = {row["sample"]: row["IoU"] for row in rows}
        for sample, value in values.items():
            print(f"{sample}: {value:.4f}")
        mean = float(np.mean(list(values.values())))
        if args.accuracy:
            verdicts.write_accuracy(args.accuracy, model, mean, values, {
                "name": PLAIN, "value": float(np.mean([row["plain"] for row in rows]))})
        print(f"IoU over {len(rows)} images: {mean:.4f}")
        print(f"IoU: {mean:.4f}")  # the reference's own last line, for who greps it

    return evaluation.Evaluation(taken, lambda sample: found[sample], lambda path: dataset.read_result(path, shape), one,
                                 finish, shape=shape, row=ROW, needs=lambda sample: [masks[sample]])


def main(argv: Optional[Sequence[str]] = None) -> None:
    evaluation.run(plan(argv))


if __name__ == "__main__":
    errors.run(main)
