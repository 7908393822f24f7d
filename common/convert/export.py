"""From a PyTorch network to an ONNX file of opset 11 that is known to compute the same."""
from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

import numpy as np
import torch

from common.base import errors, files, metrics
from common.base.errors import UserError
from common.convert import checkpoint, opset, trace

OTHER_SIZES = ((24, 40), (37, 23), (1, 1))
"""Heights and widths at which a file of free size is held to PyTorch: none is the trace's, two are odd, one is least."""


class Port(NamedTuple):
    """An input of the export: name, the shape to trace with, dtype, and the range that random test values take.

    low and high may be arrays that broadcast to the shape.
    """

    name: str
    shape: Tuple[int, ...]
    dtype: str = "float32"
    low: float = 0.0
    high: float = 1.0

    def random(self, seed: int, batch: Optional[int] = None, size: Sequence[int] = ()) -> np.ndarray:
        """Uniform random values in low..high (integers: low..high-1).

        batch, size: lengths that take the place of the shape's first and of its last.
        """
        generator = np.random.default_rng(seed)
        shape = self.shape if batch is None else (batch, *self.shape[1:])
        shape = (*shape[:len(shape) - len(size)], *size)
        if np.dtype(self.dtype).kind in "iu":
            return generator.integers(np.int64(self.low), np.int64(self.high), shape).astype(self.dtype)
        return generator.uniform(self.low, self.high, shape).astype(self.dtype)


def export(network: torch.nn.Module, inputs: Sequence[Port], outputs: Sequence[str], path: files.PathLike, *,
           dynamic_batch: bool = False, free_size: bool = False, tolerance: float, metadata: Mapping[str, Any],
           suspicion: str = "") -> Dict[str, float]:
    """Write `path`, opset 11, after checking it; it appears only when every check has passed.

    Checked: the opset in the file, `onnx.checker`, input and output names and shapes, and the outputs against PyTorch's
    on inputs other than those of the trace, for batch 1 and 2 where the batch is dynamic and, with free_size, for other
    heights and widths, the last two axes of every input and output, odd ones among them. tolerance: the largest
    absolute difference allowed, in units of the output. metadata: the variant of the network, kept in the file
    (`metadata_props`, as text) for all later stages (`common.data.variant`), with the number of parameters and the mark of
    weights that were never trained.
    suspicion: what else may be wrong where ONNX and PyTorch differ or the output makes no sense. With SOURCE=upstream
    the upstream's network is traced, and held to `network` all the same.
    Gives back the worst differences found (`metrics.difference`). Raises `UserError` where a check fails.
    """
    network = network.eval()
    metadata = {**{key: str(value) for key, value in metadata.items()},
                "parameters": str(sum(parameter.numel() for parameter in network.parameters())),
                **({checkpoint.UNTRAINED: "yes"} if checkpoint.untrained(network) else {})}
    axes = {name: {**({0: "N"} if dynamic_batch else {}), **({2: f"{of}H", 3: f"{of}W"} if free_size else {})}
            for names, of in (([port.name for port in inputs], ""), (outputs, "output_")) for name in names}
    example = tuple(torch.from_numpy(port.random(seed=0)) for port in inputs)
    options = {"input_names": [port.name for port in inputs], "output_names": list(outputs), "dynamic_axes": axes}
    with files.atomic(path) as temporary:
        commit = trace_upstream(network, example, temporary, options)
        if commit:
            metadata = {**metadata, "upstream": commit}
        else:
            trace.write(network, example, temporary, options)
        annotate(temporary, metadata)
        shapes = [tuple(None if axis in axes[port.name] else length for axis, length in enumerate(port.shape))
                  for port in inputs]
        check_file(temporary, dict(zip([port.name for port in inputs], shapes)), outputs)
        worst: Dict[str, float] = {}
        for batch in ([1, 2] if dynamic_batch else [None]):
            for size in OTHER_SIZES if free_size else [()]:
                feeds = [port.random(seed=1, batch=batch, size=size) for port in inputs]
                metrics.merge_worst(worst, compare(network, temporary, feeds, suspicion, path))
        if not worst["max_abs"] <= tolerance:  # NaN fails too
            raise UserError(f"{path}: ONNX and PyTorch differ by {worst['max_abs']:.3g}, allowed is {tolerance:g}"
                            f"{suspicion and '; ' + suspicion}")
    return worst


def trace_upstream(network: torch.nn.Module, example: Sequence[torch.Tensor], path: files.PathLike,
                   options: Mapping[str, Any]) -> Optional[str]:
    """Trace the upstream's network into `path` where SOURCE of the environment asks for it, and give its commit; else None."""
    if not os.environ.get("SOURCE", "").strip():
        return None
    with errors.optional("SOURCE", "convert/upstream.py", "leave SOURCE out"):
        from common.convert import upstream
    return upstream.trace(network, example, path, options) if upstream.asked() else None


def annotate(path: files.PathLike, metadata: Mapping[str, str]) -> None:
    """Add `metadata` to an ONNX file's metadata_props, in place."""
    import onnx
    model = onnx.load(str(path))
    onnx.helper.set_model_props(model, {**{entry.key: entry.value for entry in model.metadata_props}, **metadata})
    with files.atomic(path) as temporary:
        onnx.save(model, str(temporary))


def check_file(path: files.PathLike, inputs: Mapping[str, Sequence[Optional[int]]], outputs: Sequence[str]) -> None:
    """Raise `UserError` unless the file is valid ONNX of opset 11 with these inputs (None: a free size) and outputs."""
    model = opset.checked(path)
    found = {entry.name: _dims(entry) for entry in model.graph.input}
    wanted = {name: list(shape) for name, shape in inputs.items()}
    if found != wanted:
        raise UserError(f"{path}: expected inputs {wanted}, found {found}")
    names = [entry.name for entry in model.graph.output]
    if names != list(outputs):
        raise UserError(f"{path}: expected outputs {list(outputs)}, found {names}")


def _dims(entry: object) -> List[Optional[int]]:
    return [dim.dim_value if dim.HasField("dim_value") else None for dim in entry.type.tensor_type.shape.dim]  # type: ignore[attr-defined]


def compare(network: torch.nn.Module, path: files.PathLike, feeds: Sequence[np.ndarray],
            suspicion: str = "", shown: files.PathLike = "") -> Dict[str, float]:
    """The worst difference over all outputs between PyTorch and ONNX Runtime on the CPU for one set of inputs.

    suspicion: see `export`. shown: the file's name in messages.

    Raises `UserError` where PyTorch itself gives NaN, infinity or one and the same value everywhere.
    """
    from common.engines.onnxruntime_session import Session
    shown = shown or path
    with torch.no_grad():
        expected = network(*[torch.from_numpy(feed) for feed in feeds])
    expected = [expected] if isinstance(expected, torch.Tensor) else expected
    for tensor in expected:
        least, most = float(tensor.min()), float(tensor.max())
        if not np.isfinite(most - least) or (least == most and tensor.numel() > 1):
            what = f"{least:.4g} everywhere" if least == most else "NaN or infinite values"
            raise UserError(f"{shown}: for random input PyTorch itself gives {what}; the checkpoint holds no trained "
                            f"weights of this network{suspicion and ', or ' + suspicion}")
    found = Session(path, device="cpu").run(list(feeds))
    worst: Dict[str, float] = {}
    for ours, theirs in zip(found, expected):
        if ours.shape != tuple(theirs.shape):
            raise UserError(f"{shown}: an output has shape {list(ours.shape)}, PyTorch gives {list(theirs.shape)}")
        metrics.merge_worst(worst, metrics.difference(ours, theirs.numpy()))
    return worst


def summary(path: files.PathLike, worst: Mapping[str, float]) -> str:
    """The line that an export script ends with."""
    return (f"{path}: opset {opset.OPSET}, {files.size(Path(path).stat().st_size)}, ONNX against PyTorch: "
            f"largest difference {worst['max_abs']:.3g}, cosine {worst['cosine']:.9f}")
