#!/usr/bin/env python3
"""Export an EDSR checkpoint to ONNX, opset 11, for one input size or for any. The variant is read off the checkpoint."""
from __future__ import annotations

import argparse
import re
from contextlib import suppress
from pathlib import Path
from typing import Optional, Sequence

from common.base import errors, facts
from common.base.settings import FREE, side

TOLERANCE = 1e-3
"""Largest difference from PyTorch in 0..255 units."""

TRACED = 32
"""Side to trace a file of free size with: what it computes on other sizes is checked."""


def scale_factor(text: str) -> float:
    """An argparse type: a number above 0 and at most 10."""
    with suppress(ValueError):
        if re.fullmatch(r"\d*\.?\d+(e-?\d+)?", text, re.ASCII) and 0 < float(text) <= 10:
            return float(text)
    raise argparse.ArgumentTypeError(f"expected a number above 0 and at most 10, such as 0.1, found {text[:40]!r}")


def main(argv: Optional[Sequence[str]] = None) -> None:
    model = facts.load(__file__)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pth", required=True, help="checkpoint of EDSR-PyTorch (baseline or large, x2, x3, x4)")
    parser.add_argument("--onnx", required=True, help="ONNX file to write")
    parser.add_argument("--size", required=True, type=side, metavar="S", help="side of the input [1,3,S,S], as "
                        "get_max_size.py prints it (DIV2K x2: 1020; performance: 256), or `free` for [1,3,H,W] of any size")
    parser.add_argument("--res_scale", type=scale_factor, help="weight of the residual branches, which stands in no tensor "
                        "(default: 0.1 for more than 64 features, else 1)")
    args = parser.parse_args(argv)

    import edsr
    from common.base import files
    from common.convert import checkpoint, export
    # a file under the published name must be the published file
    published = model.weights if Path(args.pth).name == model.weights["file"] else {}
    state = checkpoint.load(args.pth, sha256=published.get("sha256"), size=published.get("bytes"))
    network = edsr.from_state(state, args.res_scale)
    size = TRACED if args.size == FREE else args.size
    port = export.Port(model.inputs[0].name, (1, 3, size, size), high=255)
    worst = export.export(network, [port], [model.outputs[0].name], args.onnx, free_size=args.size == FREE,
                          tolerance=TOLERANCE,
                          metadata={"network": model.name, "scale": network.scale, "res_scale": network.res_scale,
                                    "rgb_range": format(network.rgb_range, "g"),
                                    "features": len(network.head[0].weight), "blocks": len(network.body) - 1,
                                    "checkpoint_sha256": files.sha256(args.pth)},
                          suspicion=f"was it trained with another --res_scale than {network.res_scale:g} (make: "
                                    "RES_SCALE=)? It stands in no tensor")
    if network.rgb_range != 255:
        print(f"{args.pth}: trained on 0..{network.rgb_range:g}; the model takes and gives 0..255 all the same")
    print(export.summary(args.onnx, worst))


if __name__ == "__main__":
    errors.run(main)
