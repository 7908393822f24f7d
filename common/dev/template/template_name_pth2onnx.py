#!/usr/bin/env python3
"""Export a checkpoint of TemplateName to ONNX, opset 11, with a free batch size."""
from __future__ import annotations

import argparse
from typing import Optional, Sequence

from common.base import errors, facts

TOLERANCE = 1e-3
"""Largest difference from PyTorch's outputs, in their unit."""


def main(argv: Optional[Sequence[str]] = None) -> None:
    model = facts.load(__file__)
    parser = argparse.ArgumentParser(description=errors.first_line(__doc__))
    parser.add_argument("pth", metavar="PTH", help="checkpoint")
    parser.add_argument("onnx", metavar="ONNX", help="ONNX file to write")
    args = parser.parse_args(argv)

    import template_name

    from common.base import files
    from common.convert import checkpoint, export
    network = template_name.from_state(checkpoint.load(args.pth))
    entry = model.inputs[0]
    low, high = entry.range or (0.0, 1.0)
    port = export.Port(entry.name, entry.sized(N=1), low=low, high=high)
    worst = export.export(network, [port], [model.outputs[0].name], args.onnx, dynamic_batch=True, tolerance=TOLERANCE,
                          metadata={"network": model.name, "checkpoint_sha256": files.sha256(args.pth)})
    print(export.summary(args.onnx, worst))


if __name__ == "__main__":
    errors.run(main)
