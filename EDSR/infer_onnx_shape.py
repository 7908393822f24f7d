#!/usr/bin/env python3
"""Write inferred shapes into an ONNX file, so that each tensor's size can be read off (Netron, atc's white list)."""
from __future__ import annotations

import argparse
from typing import Optional, Sequence

from common.base import errors, files


def main(argv: Optional[Sequence[str]] = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--onnx", required=True, help="ONNX file, rewritten in place")
    args = parser.parse_args(argv)
    files.existing_file(args.onnx, "an ONNX file")
    import onnx
    try:
        onnx.checker.check_model(args.onnx)  # an empty file is a model without anything in it to protobuf
        model = onnx.shape_inference.infer_shapes(onnx.load(args.onnx), check_type=True, strict_mode=True)
    except Exception as error:  # protobuf's DecodeError and onnx's InferenceError share no base class but this
        raise errors.UserError(f"{args.onnx}: no shapes can be inferred: {error}") from error
    with files.atomic(args.onnx) as temporary:
        onnx.save(model, str(temporary))
    for node in model.graph.node:
        if node.op_type in ("DepthToSpace", "Transpose"):
            shapes = {value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim]
                      for value in (*model.graph.value_info, *model.graph.input, *model.graph.output)}
            print(f"{node.op_type} {node.name}: input {shapes.get(node.input[0])}, output {shapes.get(node.output[0])}")


if __name__ == "__main__":
    errors.run(main)
