"""Postprocessing, sample by sample: of result files (`run`), or of outputs that are handed over (`common.infer.stream`).

A model's postprocess script says in `plan(argv, samples)` what is to be done with one output, and what with all rows.
"""
from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Dict, Iterable, List, Mapping, NamedTuple, Optional, Sequence

from common.base import names, settings
from common.base.progress import progress
from common.data import dataset, result_files

if TYPE_CHECKING:
    import numpy as np

Row = Dict[str, Any]
"""What is kept of one sample: JSON values, from which the figures of the whole dataset follow exactly."""


class Evaluation(NamedTuple):
    """How the outputs of a dataset's samples are turned into pictures and figures."""

    samples: Sequence[str]
    """Sample ids, in the order of the figures."""
    find: Callable[[str], Path]
    """The result file of a sample's main output; not called where outputs are handed over."""
    read: Callable[[Path], "np.ndarray"]
    """That file as the array that `one` takes."""
    one: Callable[[str, str, "np.ndarray"], Row]
    """`one(sample, name, output)`: the row of a sample; its picture is written. name: the result file's stem
    (`names.of_stem`)."""
    finish: Callable[[Sequence[Row]], None]
    """Writes and prints the figures of all rows, given in the order of `samples`."""
    each: int = 0
    """Bytes of memory that `one` needs, where they are many."""
    output: int = 0
    """Which of the network's outputs is the main one, as an index."""
    shape: Sequence[Optional[int]] = ()
    """Of that output for one sample, None where it is free: one that is handed over is held to it. (): to none."""
    row: Mapping[str, Any] = {}
    """The JSON schema of a row: one that an earlier run noted is taken up where it fits."""
    needs: Callable[[str], Sequence[Path]] = lambda sample: ()
    """The files that a sample's row depends on beside the output: a change of theirs asks for it anew."""
    leaves: Callable[[str, str], Sequence[Path]] = lambda sample, name: ()
    """The files that `one` writes for a sample and result name."""


def run(work: Evaluation) -> None:
    """Evaluate result files, by JOBS processes (`common.base.workers`); the figures are the same for any number of them."""
    from common.base import workers

    def one(sample: str) -> Row:
        path = work.find(sample)
        return work.one(sample, names.of_stem(path.stem), work.read(path))

    rows = workers.ordered(one, work.samples, work.each)
    work.finish(list(progress(rows, "postprocess", len(work.samples))))


def taken(wanted: Sequence[str], found: Optional[Iterable[str]], folder: str) -> List[str]:
    """The samples to evaluate: `wanted`, at most LIMIT of them.

    found: the samples that a result folder has, None where outputs are handed over. Raises `UserError` where one of
    them has no result, and for results of others; those that LIMIT leaves out may be there.
    """
    kept = list(wanted)[:settings.limit()]
    if found is not None:
        result_files.check_pairs(kept, set(found) - set(list(wanted)[len(kept):]), folder)
    return kept


def expected(prep: Optional[str], otherwise: Callable[[], List[str]]) -> List[str]:
    """The ids that results must be of: those that were preprocessed into the folder `prep`, else `otherwise()`."""
    return [record["id"] for record in dataset.read_manifest(prep)] if prep else otherwise()
