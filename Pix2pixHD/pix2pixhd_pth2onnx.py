#!/usr/bin/env python3
"""Export a Pix2pixHD generator to ONNX, opset 11. Widths and depths are read off the checkpoint."""
from __future__ import annotations

import argparse
from pathlib import Path
from typing import Optional, Sequence

from common.base import errors, facts, files
from common.base.errors import UserError
from common.base.settings import width_height
from common.data import cityscapes

TOLERANCE = 1e-3
"""Largest difference from PyTorch in the output's -1..1; one level of the 8-bit picture is 2/255 = 7.8e-3."""


def main(argv: Optional[Sequence[str]] = None) -> None:
    model = facts.load(__file__)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--load_pretrain", required=True, metavar="DIR",
                        help="folder that holds latest_net_G.pth, or the checkpoint itself")
    parser.add_argument("--output_file", required=True, metavar="ONNX", help="ONNX file to write")
    parser.add_argument("--input", choices=["onehot", "labels"], default="onehot", dest="form",
                        help="onehot: float32 [1,36,1024,2048], as the reference; labels: uint8 [1,2,1024,2048], label "
                        "ids and edges, made into the 36 channels inside the graph (default: %(default)s)")
    parser.add_argument("--reflect_pad", choices=["pad", "slice"], default="pad",
                        help="pad: ONNX's Pad, mode reflect; slice: slices and concatenation, for engines that lack "
                        "it, such as TensorRT before 8.2 (default: %(default)s)")
    parser.add_argument("--size", type=width_height, default=(cityscapes.WIDTH, cityscapes.HEIGHT),
                        help=argparse.SUPPRESS)
    args = parser.parse_args(argv)

    path = Path(args.load_pretrain)
    if path.is_dir():
        path = path / model.weights["file"]
    files.existing_file(path, "a checkpoint")

    import numpy as np

    import local_enhancer
    from common.convert import checkpoint, export
    network = local_enhancer.from_state(checkpoint.load(path), {"pad": "native", "slice": "slice"}[args.reflect_pad])
    width, height = args.size
    labels = cityscapes.LABELS
    channels = next(network.parameters()).shape[1]
    if channels != labels + 1:
        raise UserError(f"{path}: the generator takes {channels} channels, expected {labels + 1}: {labels} labels and "
                               "the edge map; train it with --label_nc 35 and without --no_instance")
    if args.form == "labels":
        network = local_enhancer.for_input(network, "uint8")
        port = export.Port(model.inputs[1].name, (1, 2, height, width), "uint8",
                           high=np.array([labels, 2]).reshape(2, 1, 1))
    else:
        port = export.Port(model.inputs[0].name, (1, labels + 1, height, width))
    worst = export.export(network, [port], [model.outputs[0].name], args.output_file, tolerance=TOLERANCE,
                          metadata={"network": model.name, "labels": labels, "input": args.form,
                                    "reflect_pad": args.reflect_pad,
                                    "checkpoint_sha256": files.sha256(path)})
    print(export.summary(args.output_file, worst))


if __name__ == "__main__":
    errors.run(main)
