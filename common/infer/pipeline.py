"""What flows through streaming: two scripts of a model as one pipeline, and the batches that go through the network."""
from __future__ import annotations

import importlib
import shlex
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Callable, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from common.base import uses
from common.base.errors import UserError
from common.data import dataset
from common.data.evaluation import Evaluation, Row
from common.engines import engine
from common.infer import offline

if TYPE_CHECKING:
    import numpy as np


class Pipeline(NamedTuple):
    """What two scripts of a model say is to be done: make samples, and evaluate outputs."""

    preprocessing: dataset.Preprocessing
    sources: Dict[str, Sequence[Path]]
    """The files that each sample is made from, in the order in which the inference tools take samples."""
    evaluation: Evaluation
    recipe: Dict[str, Any]
    """What rows depend on beside the samples and the network."""

    def prepare(self, sample: str) -> "np.ndarray":
        """The network's input of a sample. Raises `UserError` when it holds NaN or infinity."""
        array, _ = self.preprocessing.make(*self.sources[sample])
        if not dataset.is_finite(array):
            raise UserError(f"{sample}: its input holds NaN or infinite values")
        return array

    def evaluate(self, sample: str, outputs: int, output: "np.ndarray") -> Row:
        """The row of a sample from its main output. outputs: how many the network has.

        Raises `UserError` for an output of another shape than expected, and for NaN or infinity in it.
        """
        shape = self.evaluation.shape
        if shape and (len(output.shape) != len(shape) or any(want not in (None, size)
                                                             for want, size in zip(shape, output.shape))):
            found, expected = ("x".join("?" if size is None else str(size) for size in each)
                               for each in (output.shape, shape))
            raise UserError(f"{sample}: the network's output is {found}, expected {expected}; it is of another model")
        if not dataset.is_finite(output):
            raise UserError(f"{sample}: NaN or infinity in the network's output; check the checkpoint and that it "
                            "belongs to this preprocessing")
        return self.evaluation.one(sample, self.name(sample, outputs), output)

    def name(self, sample: str, outputs: int) -> str:
        """What benchmark would call the result of a sample: its main output's number, from 1, behind its id."""
        return f"{sample}_{self.evaluation.output % outputs + 1}"


class Batch(NamedTuple):
    """Samples that go through the network together, always the same ones, and how that went."""

    samples: Tuple[str, ...]
    device: int = 0
    compute_ms: float = 0.0
    cold: bool = False
    """Whether it was the first run of its device."""


def load(preprocess: str, postprocess: str) -> Pipeline:
    """The pipeline of two command lines, such as `edsr_preprocess.py -s LR -d prep`; the scripts are imported."""
    before, arguments = _command(preprocess)
    first = before.plan(arguments)
    after, arguments = _command(postprocess)
    last = after.plan(arguments, [sample for sample, _ in first.sources])
    return Pipeline(first, dict(sorted(first.sources)), last,
                    {"preprocess": first.settings, "postprocess": arguments, "code": uses.digest()})


def _command(line: str) -> Tuple[ModuleType, List[str]]:
    """The script that a command line names, imported, and its arguments."""
    try:
        name, *arguments = shlex.split(line)
        script = importlib.import_module(Path(name).stem)
    except ValueError as error:
        raise UserError(f"{line!r}: expected a script and its arguments as one word ({error})") from error
    except ModuleNotFoundError as error:
        if error.name != Path(name).stem:
            raise
        raise UserError(f"{name}: cannot be imported from here; source the model's env.sh, or use make") from error
    if not hasattr(script, "plan"):
        raise UserError(f"{name}: is no preprocess or postprocess script")
    return script, arguments


def fill(arrays: Sequence["np.ndarray"], layout: offline.Plan) -> "np.ndarray":
    """The network's input from the samples of a batch; free places take the first, as with the tools.

    Of samples that each have a size of their own, [1, C, H, W], those of a batch are alike.
    """
    import numpy as np
    each = layout.files_per_batch
    arrays = [*arrays, *[arrays[0]] * (each - len(arrays))]
    whole = np.ascontiguousarray(arrays[0] if each == 1 else np.concatenate(arrays))
    return whole.reshape(layout.shapes[0]) if layout.shapes else whole


def plan(session: engine.Engine, batch: int, sample_bytes: int,
         sizes: Optional[Mapping[str, Tuple[int, int]]] = None) -> offline.Plan:
    """How samples fill the network's batch. sizes: of each, where they are of their own (`dataset.Preprocessing`).

    Raises `UserError` where no whole number of them does, and where model and samples differ in whether sizes are free.
    """
    if len(session.inputs) != 1:
        raise UserError(f"{session.path}: has {len(session.inputs)} inputs, a sample is one")
    if bool(sizes) != offline.is_free(session):
        raise UserError(f"{session.path}: " + ("has a fixed size, the samples are of their own; export it with --size free, "
                        "or give preprocess a size" if sizes else "leaves height and width free, the samples are padded to "
                        "one; export it for that size, or give preprocess --size free"))
    if sizes:
        return offline.of_sizes(session, batch, batch, lambda: list(sizes.values()), len(sizes))[0]
    whole = offline.plan(session, batch, 1).file_bytes[0]
    each, rest = divmod(whole, sample_bytes)
    if rest or batch % each:
        raise UserError(f"{session.path}: takes {whole} bytes at batch {batch}, a sample has {sample_bytes}; export it "
                        "for this preprocessing, or preprocess for it")
    return offline.plan(session, batch, each)


def first_inputs(pipeline: Pipeline, session: engine.Engine, batch: int) -> Iterator[List["np.ndarray"]]:
    """The network's input from the first samples, `offline.FIRST` batches."""
    work, names = pipeline.preprocessing, list(pipeline.sources)
    layout = plan(session, batch, work.sample_bytes, work.sizes)
    each = layout.files_per_batch
    for start in range(0, min(len(names), offline.FIRST * each), each):
        yield [fill([pipeline.prepare(sample) for sample in names[start:start + each]], layout)]


Flow = Callable[[Sequence[Tuple[str, ...]], offline.Plan], Iterator[Tuple[Batch, List[Row]]]]
"""Sends batches of sample ids through; gives each with its rows, in any order."""
