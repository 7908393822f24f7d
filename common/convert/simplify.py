"""Hold a simplified ONNX file to the one it was made from: `python3 -m common.convert.simplify BEFORE AFTER`.

onnxsim itself leaves with status 0 whatever it made of the input's shape, and writes its file in place. So the step is
done when this check has passed; `--output` then writes its figures, as the mark of that.
"""
from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Sequence, Tuple

from common.base import errors, files
from common.base.errors import UserError
from common.convert import opset
from common.engines import onnxruntime_session

if TYPE_CHECKING:
    import numpy as np

    from common.engines.engine import Tensor

TOLERANCE = 1e-5
"""Largest difference between the two models' outputs, in parts of the largest absolute value of the output."""


def check_simplified(before: files.PathLike, after: files.PathLike, tolerance: float = TOLERANCE) -> Dict[str, Any]:
    """Check that `after` is valid ONNX of opset 11 and computes what `before` computes.

    Held equal: names, order, shapes and dtypes of inputs and outputs, the metadata, and the outputs on two sets of
    random inputs (floats in 0..1, integers 0 or 1; for batch 1 and 2 where the batch is free), by ONNX Runtime on the
    CPU. Gives `{"nodes_before", "nodes_after", "cosine", "max_abs", "relative_euclidean", "relative_max"}`, the worst
    found. Raises `UserError` where anything is off.
    """
    import numpy as np

    from common.base import metrics
    (nodes, metadata), (nodes_after, metadata_after) = [_read(path) for path in (before, after)]
    first, second = [onnxruntime_session.Session(path, device="cpu") for path in (before, after)]
    for what, ours, theirs in (("inputs", second.inputs, first.inputs), ("outputs", second.outputs, first.outputs)):
        if ours != theirs:
            raise UserError(f"{after}: {what} are {_text(ours)}, expected {_text(theirs)} as in {before}; "
                            "was another shape given to onnxsim?")
    if metadata != metadata_after:
        lost = ", ".join(sorted(name for name, value in metadata.items() if metadata_after.get(name) != value))
        raise UserError(f"{after}: its metadata differ from those of {before} ({lost or 'some were added'})")
    worst: Dict[str, float] = {}
    free = any(None in tensor.shape for tensor in first.inputs)
    for seed in (0, 1):
        feeds = _random(first.inputs, batch=1 + seed if free else 1, seed=seed)
        for ours, theirs in zip(second.run(feeds), first.run(feeds)):
            if ours.shape != theirs.shape:
                raise UserError(f"{after}: an output has shape {list(ours.shape)}, {before} gives {list(theirs.shape)}")
            found = metrics.difference(ours, theirs)
            scale = float(np.abs(theirs.astype(np.float64)).max()) or 1.0
            metrics.merge_worst(worst, {**found, "relative_max": found["max_abs"] / scale})
    if not worst["relative_max"] <= tolerance:  # NaN fails too
        raise UserError(f"{after}: its outputs differ from those of {before} by {worst['relative_max']:.3g} of the "
                        f"largest value, allowed is {tolerance:g}; the simplification changed what the model computes")
    return {"nodes_before": nodes, "nodes_after": nodes_after, **worst}


def _read(path: files.PathLike) -> Tuple[int, Dict[str, str]]:
    """The number of nodes and the metadata of a valid ONNX file of opset 11."""
    files.existing_file(path, "an ONNX model")
    try:
        model = opset.checked(path)
    except UserError:
        raise
    except Exception as error:  # a parser's, the checker's or the shape inference's, each of a class of its own
        raise UserError(f"{path}: is not valid ONNX ({error}); make it again") from error
    return len(model.graph.node), {entry.key: entry.value for entry in model.metadata_props}


def _random(inputs: Sequence[Tensor], batch: int, seed: int) -> List[np.ndarray]:
    import numpy as np
    generator = np.random.default_rng(seed)
    shapes = [[batch if size is None else size for size in tensor.shape] for tensor in inputs]
    draw = [generator.random(shape) if tensor.dtype.kind == "f" else generator.integers(0, 2, shape)
            for tensor, shape in zip(inputs, shapes)]
    return [values.astype(tensor.dtype) for values, tensor in zip(draw, inputs)]


def _text(tensors: Sequence[Tensor]) -> str:
    return ", ".join(f"{tensor.name} [{','.join('N' if size is None else str(size) for size in tensor.shape)}] "
                     f"{tensor.dtype}" for tensor in tensors)


def main(argv: Optional[Sequence[str]] = None) -> None:
    parser = argparse.ArgumentParser(prog="python3 -m common.convert.simplify", description=errors.first_line(__doc__))
    parser.add_argument("before", metavar="BEFORE", help="the ONNX file that the export wrote")
    parser.add_argument("after", metavar="AFTER", help="the ONNX file that onnxsim wrote")
    parser.add_argument("--output", metavar="JSON", help="file for the figures, written when the check has passed")
    args = parser.parse_args(argv)
    if args.output:
        Path(args.output).unlink(missing_ok=True)  # an earlier run's mark
    result = check_simplified(args.before, args.after)
    if args.output:
        files.write_json(args.output, result)
    print(f"{args.after}: opset 11, {result['nodes_before']} nodes made {result['nodes_after']}, "
          f"against {args.before}: largest difference {result['max_abs']:.3g}, cosine {result['cosine']:.9f}")


if __name__ == "__main__":
    errors.run(main)
