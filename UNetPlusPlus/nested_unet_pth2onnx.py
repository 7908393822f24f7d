#!/usr/bin/env python3
"""Export a UNet++ checkpoint to ONNX, opset 11, with a free batch size. The variant is read off the checkpoint."""
from __future__ import annotations

import argparse
from typing import Optional, Sequence

from common.base import errors, facts

TOLERANCE = 1e-3
"""Largest difference from PyTorch in a logit."""


def main(argv: Optional[Sequence[str]] = None) -> None:
    model = facts.load(__file__)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pth", metavar="PTH", help="checkpoint of pytorch-nested-unet's NestedUNet, trained with "
                        "nearest upsampling (nested_unet.diff)")
    parser.add_argument("onnx", metavar="ONNX", help="ONNX file to write")
    args = parser.parse_args(argv)

    import nested_unet
    from common.base import files
    from common.convert import checkpoint, export
    network = nested_unet.from_state(checkpoint.load(args.pth))
    entry = model.inputs[0]
    channels = network.conv0_0.conv1.in_channels
    low, high = entry.range or (0.0, 1.0)
    port = export.Port(entry.name, (1, channels, *entry.shape[2:]), low=low, high=high)
    worst = export.export(network, [port], [model.outputs[0].name], args.onnx, dynamic_batch=True, tolerance=TOLERANCE,
                          metadata={"network": model.name, "channels": channels,
                                    "classes": getattr(network, network.head).out_channels,
                                    "filters": ",".join(str(getattr(network, f"conv{level}_0").conv1.out_channels)
                                                        for level in range(network.levels)),
                                    "checkpoint_sha256": files.sha256(args.pth)})
    print(export.summary(args.onnx, worst))


if __name__ == "__main__":
    errors.run(main)
