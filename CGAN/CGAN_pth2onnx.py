#!/usr/bin/env python3
"""Export a CGAN generator to ONNX, opset 11, for 100 rows of noise and label. Its sizes are read off the checkpoint."""
from __future__ import annotations

import argparse
from typing import Optional, Sequence

from common.base import errors, facts, settings

TOLERANCE = 1e-4
"""Largest difference from PyTorch, in units of the output (-1..1)."""


def main(argv: Optional[Sequence[str]] = None) -> None:
    model = facts.load(__file__)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pth_path", required=True, metavar="PTH", help="checkpoint of the generator")
    parser.add_argument("--onnx_path", required=True, metavar="ONNX", help="ONNX file to write")
    parser.add_argument("--classes", type=settings.positive, default=model.extra["classes"], help="how many of the inputs "
                        "are the label; the rest is noise, and no tensor tells the two apart (default: %(default)s)")
    args = parser.parse_args(argv)

    import CGAN
    from common.base import files
    from common.convert import checkpoint, export
    network = CGAN.from_state(checkpoint.load(args.pth_path), args.classes)
    rows = model.extra["noises"] * network.classes
    port = export.Port(model.inputs[0].name, (rows, network.latent + network.classes))
    worst = export.export(network, [port], [model.outputs[0].name], args.onnx_path, tolerance=TOLERANCE,
                          metadata={"network": model.name, "latent": network.latent, "classes": network.classes,
                                    "channels": network.deconv[3].out_channels, "side": 4 * network.seed_shape[1],
                                    "checkpoint_sha256": files.sha256(args.pth_path)})
    print(export.summary(args.onnx_path, worst))


if __name__ == "__main__":
    errors.run(main)
