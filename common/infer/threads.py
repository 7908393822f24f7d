"""The streaming pipeline on threads of this process: samples are made and evaluated while the network runs."""
from __future__ import annotations

import collections
import itertools
import queue
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Any, Deque, Iterator, List, Sequence, Tuple

from common.base import workers
from common.base.errors import UserError
from common.data.evaluation import Row
from common.engines import engine
from common.infer import offline
from common.infer.pipeline import Batch, Pipeline, fill

if TYPE_CHECKING:
    import numpy as np


# long: its functions share the queues, which are the state of one run
def flow(pipeline: Pipeline, sessions: Sequence[engine.Engine], todo: Sequence[Tuple[str, ...]],
         layout: offline.Plan) -> Iterator[Tuple[Batch, List[Row]]]:
    """Every batch of `todo` with its samples' rows, in order.

    Each session runs one batch at a time. No more samples are made ahead than keep all busy, and none before the
    evaluations that wait in the same queue. An error is raised in its turn, after the rows of the batches before it.
    """
    each = layout.files_per_batch
    jobs = workers.count(3 * pipeline.preprocessing.sample_bytes + pipeline.evaluation.each)
    ahead: Deque[Tuple[Tuple[str, ...], List["Future[np.ndarray]"]]] = collections.deque()
    running: Deque["Future[Tuple[Batch, Sequence[np.ndarray]]]"] = collections.deque()
    scored: Deque[Tuple[Batch, List["Future[Any]"]]] = collections.deque()
    idle: "queue.SimpleQueue[Tuple[engine.Engine, bool]]" = queue.SimpleQueue()
    for session in sessions:
        idle.put((session, True))
    pool, devices = ThreadPoolExecutor(jobs), ThreadPoolExecutor(len(sessions))

    def infer(samples: Tuple[str, ...], made: Sequence["Future[np.ndarray]"]) -> "Tuple[Batch, Sequence[np.ndarray]]":
        """One batch; gives what is known of it and each place's part of the main output."""
        import numpy as np
        feed = fill([array.result() for array in made], layout)
        session, cold = idle.get()
        try:
            found = session.run([feed])[pipeline.evaluation.output]
            if not found.ndim or len(found) % each:
                raise UserError(f"{session.path}: an output of shape {found.shape} cannot be divided among {each} "
                                "samples")
            return Batch(samples, session.index, session.timing.compute, cold), np.split(found, each)
        finally:
            idle.put((session, False))

    def score(found: "Future[Tuple[Batch, Sequence[np.ndarray]]]") -> None:
        if found.exception():  # raised when its turn comes
            scored.append((Batch(()), [found]))
            return
        about, parts = found.result()
        scored.append((about, [pool.submit(pipeline.evaluate, sample, len(sessions[0].outputs), part)
                               for sample, part in zip(about.samples, parts)]))

    def are_done(futures: "Sequence[Future[Any]]") -> bool:
        return all(future.done() for future in futures)

    try:
        groups = iter(todo)
        while True:
            for group in itertools.islice(groups, len(sessions) + -(-jobs // each) - len(ahead)):
                ahead.append((group, [pool.submit(pipeline.prepare, sample) for sample in group]))
            made, rows = (ahead[0][1] if ahead else []), (scored[0][1] if scored else [])
            if scored and are_done(rows):
                yield scored.popleft()[0], [row.result() for row in rows]
            elif running and running[0].done():
                score(running.popleft())
            elif ahead and are_done(made) and len(running) <= len(sessions):
                running.append(devices.submit(infer, *ahead.popleft()))
            elif ahead or running or scored:
                wait([future for future in (*made, *running, *rows) if not future.done()], return_when=FIRST_COMPLETED)
            else:
                return
    finally:
        for future in itertools.chain(*(made for _, made in ahead), running, *(rows for _, rows in scored)):
            future.cancel()
        devices.shutdown(wait=False)  # an inference may take long: who is interrupted does not wait for it
        pool.shutdown()
