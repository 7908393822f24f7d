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
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Callable, Deque, Iterator, List, Optional, Sequence, Set, Tuple, TypeVar

from common.base import uses
from common.base.errors import UserError
from common.base.settings import THREADS, cores, limited, variable

if TYPE_CHECKING:  # else where processes are started: the imports take as long as many a sample
    from concurrent.futures import Future
    from multiprocessing.process import BaseProcess

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

_task: Optional[Callable[[Any], Any]] = None
"""What the workers do. They are forked, so they have it, and all that it refers to, without a copy being sent."""


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
    """Bytes of memory that programs may still take, in a container of its own as well, 0 where the system does not tell."""
    found = 0
    with suppress(IndexError, OSError, ValueError):  # no container tells max, a number, or no file at all
        with open("/proc/meminfo", encoding="ascii") as file:
            found = next(1024 * int(line.split()[1]) for line in file if line.startswith("MemAvailable:"))
        most, used, parts = (limited(f"memory.{name}") for name in ("max", "current", "stat"))
        kept = int(parts[parts.index("inactive_file") + 1])  # of files that were read: it is given back
        found = max(1, min(found, int(most[0]) - int(used[0]) + kept))
    return found


# long: one loop that hands out, takes back and ends processes
def ordered(task: Callable[[Item], Result], items: Sequence[Item], each: int = 0) -> Iterator[Result]:
    """`task` of every item, in their order, by `count(each)` processes; by none beside this one where that is 1.

    task may be any function that is there already; its results are sent back, so large ones are better written to
    files by it. What it raises is raised here, of the first item that fails, and no process is left behind then, nor
    when this one is interrupted or killed. Raises `UserError` when a process is killed from outside.
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
    import concurrent.futures
    import multiprocessing
    from concurrent.futures.process import BrokenProcessPool
    global _task
    _task = task
    opencv = sys.modules.get("cv2")
    if opencv is not None:  # its threads would be missing in a forked process, which then waits for them for ever
        threads = opencv.getNumThreads()
        opencv.setNumThreads(1)
    before = set(multiprocessing.active_children())
    try:
        executor = concurrent.futures.ProcessPoolExecutor(jobs, multiprocessing.get_context("fork"), _begin, (os.getpid(),))
    except (OSError, NotImplementedError, ImportError) as error:
        # its locks lie in /dev/shm, which a container may lack or not let write
        print(f"JOBS: one process, because several cannot share a lock here ({error}; is /dev/shm "
              "writable?)", file=sys.stderr)
        _task = None
        if opencv is not None:
            opencv.setNumThreads(threads)
        yield from map(task, items)
        return
    waiting: Deque["Future[Tuple[List[Result], float]]"] = collections.deque()
    sent, together, whole = 0, 1, False
    try:
        while sent < len(items) or waiting:
            if sent < len(items) and len(waiting) <= 2 * jobs:  # enough to keep all busy: results wait for their turn
                waiting.append(executor.submit(_work, items[sent:sent + together]))
                sent += together
                continue
            results, seconds = waiting.popleft().result()
            yield from results
            fair = (len(items) - sent) // (2 * jobs)  # towards the end fewer, so that all end together
            together = max(1, min(fair, int(len(results) * AT_A_TIME / max(seconds, 1e-6))))
        whole = True
    except _Failed as failure:
        done, cause = failure.args
        yield from done
        raise cause from failure.__cause__  # the worker's traceback
    except BrokenProcessPool as error:
        raise UserError("a worker process was killed, perhaps for want of memory; give JOBS=1, or fewer than "
                        f"{jobs}") from error
    finally:
        _task = None
        if not whole:  # cut short: the others' work is of no use any more
            _end(set(multiprocessing.active_children()) - before)
        executor.shutdown()
        if opencv is not None:
            opencv.setNumThreads(threads)


def _end(processes: Set[BaseProcess]) -> None:
    """End workers: asked again and again, killed in the end.

    A worker that has ended may have held the lock of the queue, for which another waits for ever; and a signal that comes
    just before that wait does not break it, the next one does.
    """
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


class _Failed(Exception):
    """The results before the item that failed, and what it raised."""


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


def _work(items: Sequence[Any]) -> Tuple[List[Any], float]:
    """The results of these items, and the seconds that they took."""
    global _busy
    assert _task is not None
    _busy, begin, results = True, time.perf_counter(), []
    try:
        for item in items:
            results.append(_task(item))
    except _Stop:
        os._exit(1)
    except Exception as error:
        raise _Failed(results, error) from error
    finally:
        _busy = False
    return results, time.perf_counter() - begin
