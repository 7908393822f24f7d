"""Several processes for the samples of one stage: JOBS=N, by default as many as there are cores.

What comes out is the same for any N: results are handed back in the order of the samples, and each is made alone.
"""
from __future__ import annotations

import collections
import os
import signal
import sys
import threading
import time
from contextlib import contextmanager, suppress
from typing import Any, Callable, Deque, Dict, Iterator, List, NamedTuple, Optional, Sequence, Set, Tuple, TypeVar

from common.base import uses
from common.base.errors import UserError
from common.base.settings import THREADS, cores, limited, variable

# the processes are the parallel part: NumPy's own threads double the CPU time of matrix products. It counts
# where this is imported before NumPy
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

Item = TypeVar("Item")
Result = TypeVar("Result")

SOON, MANY, STARTING = 0.1, 16, 0.07
"""Seconds of work that are done before any process is started, where there are so many samples for each, and seconds that
starting them takes: none is started until the rest, as fast as those were, would be done sooner by more."""
AT_A_TIME = 0.02
"""Seconds of work that are sent to a process together, where samples take less: handing over takes time too."""
GRACE = 5.0
"""Seconds that a worker has to take away what it was writing."""

_Answer = Tuple[List[Any], float, Optional[Tuple[Exception, str]]]
"""What a worker sends back of a piece: its results, the seconds that they took, and what was raised and where."""


def count(each: int = 0) -> int:
    """How many processes to use: JOBS of the environment, else the cores, but no more than free memory has room for.

    each: bytes of memory that one needs, as far as is known. Raises `UserError` for a JOBS that is no number.
    """
    asked = variable("JOBS", 1, THREADS)
    if asked:
        return asked
    free = available()
    return max(1, min(cores(), free // each)) if each and free else cores()


def available() -> int:
    """Bytes of memory that programs may still take, a container's (cgroup 2) its own, 0 where the system does not tell."""
    found = 0
    with suppress(IndexError, OSError, ValueError):  # outside of a container there is no such file, without a limit it says max
        with open("/proc/meminfo", encoding="ascii") as file:
            found = next(1024 * int(line.split()[1]) for line in file if line.startswith("MemAvailable:"))
        most, used, parts = (limited(f"memory.{name}") for name in ("max", "current", "stat"))
        kept = int(parts[parts.index("inactive_file") + 1])  # of files that were read: it is given back
        found = max(1, min(found, int(most[0]) - int(used[0]) + kept))
    return found


# long: one loop that hands out, takes back and ends processes
def ordered(task: Callable[[Item], Result], items: Sequence[Item], each: int = 0) -> Iterator[Result]:
    """`task` of every item, in their order, by `count(each)` processes; by none beside this one where that is 1.

    task may be any function that is there already, but none that comes here again; its results are sent back, so large
    ones are better written to files by it. What it raises is raised here, of the first item that fails, and no process is
    left behind then, nor when this one is interrupted or killed. Raises `UserError` when a process is killed from outside.
    """
    jobs = min(count(each), len(items))
    if jobs <= 1 or not hasattr(os, "fork"):
        yield from map(task, items)
        return
    if len(items) >= MANY * jobs:
        seconds, done = 0.0, 0
        while done < len(items) and (
                seconds < SOON or seconds / max(done, 1) * (len(items) - done) * (1 - 1 / jobs) < STARTING):
            begin = time.perf_counter()
            result = task(items[done])
            seconds += time.perf_counter() - begin
            done += 1
            yield result
        items = items[done:]
        if not items:
            return
    from multiprocessing import connection
    opencv = sys.modules.get("cv2")
    if opencv is not None:  # its threads would be missing in a forked process, which then waits for them for ever
        threads = opencv.getNumThreads()
        opencv.setNumThreads(1)
    crew: List[_Worker] = []
    answers: Dict[int, _Answer] = {}
    sent, together, pieces, turn, whole = 0, 1, 0, 0, False
    try:
        for _ in range(jobs):
            crew.append(_start(task, items))
        while sent < len(items) or turn < pieces:
            # a piece ahead keeps each busy; towards the end none waits behind another
            ahead = 2 if len(items) - sent > 2 * jobs * together else 1
            free = min(crew, key=lambda worker: len(worker.pieces))
            if sent < len(items) and len(free.pieces) < ahead and pieces - turn <= 2 * jobs:  # results wait for their turn
                stop = min(sent + together, len(items))
                _give(free, pieces, sent, stop)
                pieces, sent = pieces + 1, stop
                continue
            if turn not in answers:
                busy = {worker.pipe: worker for worker in crew if worker.pieces}
                answers.update(_take(busy[pipe]) for pipe in connection.wait(list(busy)))
                continue
            results, seconds, failure = answers.pop(turn)
            turn += 1
            yield from results
            if failure is not None:
                error, text = failure
                raise error from _Traceback(text)
            fair = (len(items) - sent) // (2 * jobs)  # towards the end fewer, so that all end together
            together = max(1, min(fair, int(len(results) * AT_A_TIME / max(seconds, 1e-6))))
        whole = True
    finally:
        for worker in crew if whole else ():
            with suppress(OSError):
                worker.pipe.send(None)
        if not whole:  # cut short: the others' work is of no use any more
            _end({worker.process for worker in crew})
        for worker in crew:
            worker.process.join()
            worker.pipe.close()
        if opencv is not None:
            opencv.setNumThreads(threads)


class _Worker(NamedTuple):
    """A process, this one's end of the pipe to it, and the numbers of the pieces that it has to do, in order."""

    process: Any
    pipe: Any
    pieces: Deque[int]


class _Traceback(Exception):
    """Where in a worker an error was raised, as text."""


def _start(task: Callable[[Any], Any], items: Sequence[Any]) -> _Worker:
    """A new worker. It is forked, so it has the task and the items, and all that they refer to, without a copy being sent; it
    shares nothing else with others: a lock would outlive a worker that ends while it holds it."""
    import multiprocessing
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe()
    process = context.Process(target=_serve, args=(there, here, os.getpid(), task, items), daemon=True)
    process.start()
    there.close()  # the worker's alone, so that its end is seen here
    return _Worker(process, here, collections.deque())


def _give(worker: _Worker, piece: int, start: int, stop: int) -> None:
    """Have a worker do `items[start:stop]`, the piece of that number."""
    with _told():
        worker.pipe.send((start, stop))
    worker.pieces.append(piece)


def _take(worker: _Worker) -> Tuple[int, _Answer]:
    """The first of a worker's pieces, and what came of it."""
    with _told():
        return worker.pieces.popleft(), worker.pipe.recv()


@contextmanager
def _told() -> Iterator[None]:
    """Say in a `UserError` that the worker at the other end has gone."""
    try:
        yield
    except (EOFError, OSError) as error:
        raise UserError("a worker process was killed, perhaps for want of memory; give JOBS=1, or another number") from error


def _end(processes: Set[Any]) -> None:
    """End workers: asked again and again, killed in the end. A signal that comes just before one begins to wait does not
    break the wait, the next one does."""
    from multiprocessing import connection
    deadline = time.monotonic() + GRACE
    while processes:
        for process in processes:
            if time.monotonic() < deadline:
                process.terminate()
            else:
                process.kill()
        ended = connection.wait([process.sentinel for process in processes], 0.1)
        processes = {process for process in processes if process.sentinel not in ended}


class _Stop(BaseException):
    """Ends a worker amid its task, which takes half-written files away then."""


_busy = False


def _begin(parent: int) -> None:
    """In a new worker: Ctrl-C is the parent's to answer, and without the parent there is nothing to do."""
    def stop(number: int, frame: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # it comes twice; cleaning up is not cut short
        if _busy:
            raise _Stop
        os._exit(1)

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, stop)
    os.environ["OPENCV_FOR_THREADS_NUM"] = "1"  # for a task that imports it first: the processes are the parallel part

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.2)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
    from multiprocessing.util import Finalize
    Finalize(None, uses.write, exitpriority=1)  # what only a worker imported counts too


def _serve(pipe: Any, other: Any, parent: int, task: Callable[[Any], Any], items: Sequence[Any]) -> None:
    """A worker's life: do the pieces that are asked for, until there are no more."""
    other.close()
    _begin(parent)
    with suppress(EOFError, ConnectionError):  # nobody is there any more
        for start, stop in iter(pipe.recv, None):
            answer = _work(task, items[start:stop])
            try:
                pipe.send(answer)
            except ConnectionError:
                raise
            except Exception as error:  # of pickle, which has many
                pipe.send(([], 0.0, _failure(RuntimeError(f"what the task gives cannot be sent: {error}"))))


def _work(task: Callable[[Any], Any], items: Sequence[Any]) -> _Answer:
    """The results of these items up to the first that fails, the seconds that they took, and what that raised."""
    global _busy
    _busy, begin, results, failure = True, time.perf_counter(), [], None
    try:
        for item in items:
            results.append(task(item))
    except _Stop:
        os._exit(1)
    except Exception as error:
        _busy = False  # nothing of the task's is under way any more
        failure = _failure(error)
    finally:
        _busy = False
    return results, time.perf_counter() - begin, failure


def _failure(error: Exception) -> Tuple[Exception, str]:
    """The error, or, where it cannot be sent, one that says the same; and where it was raised, as text."""
    import pickle
    import traceback
    text = traceback.format_exc()
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # its class may do anything when it is made again
        error = RuntimeError(f"{type(error).__name__}: {error}")
    return error, text
