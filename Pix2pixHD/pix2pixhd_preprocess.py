#!/usr/bin/env python3
"""Turn label and instance maps into the network's input: OUT/<label map's stem>.bin and OUT/manifest.json.

--input onehot: float32 [1,36,1024,2048], 302 MB each. --input labels: uint8 [1,2,1024,2048], 4.2 MB each, for a model
that was exported with --input labels.
"""
from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Tuple

import numpy as np

from common.base import errors, facts, files, pictures, settings
from common.base.errors import UserError
from common.data import cityscapes, dataset, variant


def edges(instances: np.ndarray) -> np.ndarray:
    """Where one instance meets another: 1 where a pixel's id differs from its left, right, upper or lower neighbour's.

    instances: ids, [H, W]. Gives uint8 [H, W]. The border of the picture is no edge. Source: get_edges of pix2pixHD.
    """
    found = np.zeros(instances.shape, bool)
    across, down = instances[:, 1:] != instances[:, :-1], instances[1:] != instances[:-1]
    found[:, 1:] |= across
    found[:, :-1] |= across
    found[1:] |= down
    found[:-1] |= down
    return found.astype(np.uint8)


def one_hot(labels: np.ndarray, edge: np.ndarray, count: int = cityscapes.LABELS) -> np.ndarray:
    """The network's own input: float32 [1, count + 1, H, W], one plane per label id, then the edge map.

    labels: uint8 [H, W], ids 0..count-1. edge: uint8 [H, W], 0 or 1.
    """
    planes = np.empty((1, count + 1, *labels.shape), np.float32)
    for number in range(count):
        np.equal(labels, number, out=planes[0, number], casting="unsafe")
    planes[0, count] = edge
    return planes


def stacked(labels: np.ndarray, edge: np.ndarray) -> np.ndarray:
    """The input of a model exported with --input labels: uint8 [1, 2, H, W], label ids, then the edge map."""
    return np.stack([labels, edge])[None]


FORMS = {"onehot": one_hot, "labels": stacked}


def sample_bytes(form: str, width: int, height: int) -> int:
    """Size of one `.bin`."""
    return width * height * (2 if form == "labels" else 4 * (cityscapes.LABELS + 1))


def read(path: Path, other: Path, size: Tuple[int, int]) -> Tuple[np.ndarray, np.ndarray]:
    """Label ids and instance ids of a sample: uint8 and uint16 [H, W], of this width and height."""
    labels = cityscapes.read_labels(path, size)
    instances = pictures.read_ids(other, 16, "instance ids")
    if instances.shape != labels.shape:
        raise UserError(f"{other}: {instances.shape[1]}x{instances.shape[0]}, expected {size[0]}x{size[1]}")
    return labels, instances


def pair(root: Path) -> List[Tuple[str, List[Path]]]:
    """Each sample of `root`: the label map's stem, the label map and the instance map. Neither may lack the other."""
    found = []
    for folder, ending in (("test_label", cityscapes.LABEL_IDS), ("test_inst", cityscapes.INSTANCE_IDS)):
        paths = pictures.find(root / folder, f"*_{ending}.png", (".png",))
        odd = next((path for path in paths if not path.stem.endswith(f"_{ending}")), None)
        if odd is not None:
            raise UserError(f"{odd}: expected a name that ends in _{ending}.png")
        found.append({path.stem[:-len(ending) - 1]: path for path in paths})
    labels, instances = found
    for have, lack, place in ((labels, instances, f"test_inst/{{}}_{cityscapes.INSTANCE_IDS}.png"),
                              (instances, labels, f"test_label/{{}}_{cityscapes.LABEL_IDS}.png")):
        alone = sorted(set(have) - set(lack))
        if alone:
            more = f" and {len(alone) - 1} more" if len(alone) > 1 else ""
            raise UserError(f"{have[alone[0]]}{more}: expected {root / place.format(alone[0])} beside it, found none")
    return [(path.stem, [path, instances[name]]) for name, path in labels.items()]


def fingerprint(picture: np.ndarray) -> np.ndarray:
    """What `common.data.fingerprint` keeps of: the one-hot input of label ids and instances that are made of the picture."""
    return one_hot(picture[..., 0] % cityscapes.LABELS, edges(picture[..., 1] // 24))


def plan(argv: Optional[Sequence[str]] = None) -> dataset.Preprocessing:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(description=errors.first_line(__doc__),
                                     epilog="LIMIT=N in the environment takes the first N samples.")
    parser.add_argument("cityscapes", metavar="CITYSCAPES", help="holds test_label and test_inst (datasets_deal.py)")
    parser.add_argument("out", metavar="OUT", help="folder to write to")
    parser.add_argument("--input", choices=sorted(FORMS, reverse=True), dest="form",
                        help="what the model was exported for: onehot (302 MB a sample) or labels (4.2 MB) (default: as "
                        "--onnx tells, else onehot)")
    parser.add_argument("--onnx", metavar="ONNX", help=variant.HELP)
    parser.add_argument("--size", type=settings.width_height, help=argparse.SUPPRESS,
                        default=(cityscapes.WIDTH, cityscapes.HEIGHT))
    args = parser.parse_args(argv)
    told = variant.find(facts.load(__file__), args.onnx)
    variant.require(told, "labels", cityscapes.LABELS, "the label maps have Cityscapes' ids")
    form = told.get("input", args.form or "onehot")
    if form != (args.form or form):
        raise UserError(f"--input {args.form}: {args.onnx} was exported with --input {form}; give that, or leave it out")
    if form not in FORMS:
        raise UserError(f"{args.onnx}: takes input {form!r:.40}, expected one of {', '.join(FORMS)}")

    def make(path: Path, other: Path) -> Tuple[np.ndarray, Dict[str, Any]]:
        labels, instances = read(path, other, args.size)
        return FORMS[form](labels, edges(instances)), {"width": args.size[0], "height": args.size[1]}

    samples = pair(Path(args.cityscapes))[:settings.limit()]
    each = sample_bytes(form, *args.size)
    small = sample_bytes("labels", *args.size)
    advice = ""
    if form == "onehot":
        advice = (f"--input labels (make: INPUT=labels) needs {files.size(len(samples) * small)} for these "
                  f"{len(samples)} samples, streaming (make: STREAM=1) none; or give LIMIT=N for fewer.")
    return dataset.Preprocessing(samples, args.out, make, {"input": form, "size": args.size}, each, advice, ".", told)


def main(argv: Optional[Sequence[str]] = None) -> None:
    work = plan(argv)
    if work.settings["input"] == "onehot":
        count, each, small = len(work.sources), work.sample_bytes, sample_bytes("labels", *work.settings["size"])
        print(f"one-hot input: {files.size(each)} a sample, {files.size(count * each)} for {count}; "
              f"with --input labels {files.size(small)} and {files.size(count * small)}", flush=True)
    dataset.preprocess(*work)


if __name__ == "__main__":
    errors.run(main)
