#!/usr/bin/env python3
"""Export an IntraDA checkpoint to ONNX, opset 11, with a free batch size: the main output alone, as `segmentation`."""
from __future__ import annotations

import argparse
from typing import Optional, Sequence

from common.base import errors, facts

TOLERANCE = 2e-5
"""Largest difference from PyTorch, as a share of the largest score: scores grow with the weights, without a bound."""


def main(argv: Optional[Sequence[str]] = None) -> None:
    model = facts.load(__file__)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pth", metavar="PTH", help=f"checkpoint of ADVENT's get_deeplab_v2 ({model.weights['file']})")
    parser.add_argument("onnx", metavar="ONNX", help="ONNX file to write")
    args = parser.parse_args(argv)

    import torch

    import deeplabv2
    from common.base import files
    from common.convert import checkpoint, export
    network = deeplabv2.from_state(checkpoint.load(args.pth))
    entry = model.inputs[0]
    low, high = entry.range or (0.0, 1.0)
    port = export.Port(entry.name, entry.sized(N=1), low=low, high=high)
    with torch.no_grad():
        largest = float(network(torch.from_numpy(port.random(seed=1))).abs().max())
    worst = export.export(network, [port], [model.outputs[0].name], args.onnx, dynamic_batch=True,
                          tolerance=TOLERANCE * largest,
                          metadata={"network": model.name, "classes": network.layer6.conv2d_list[0].out_channels,
                                    "checkpoint_sha256": files.sha256(args.pth)})
    print(f"{export.summary(args.onnx, worst)}, largest score {largest:.3g}")


if __name__ == "__main__":
    errors.run(main)
