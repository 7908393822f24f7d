"""Preprocessing, inference and postprocessing as one pipeline, nothing written in between: `python3 -m common.stream`.

JOBS threads make and evaluate samples while the network runs; only a few samples are in memory at once, however large
the dataset. Each finished sample's row is noted at once, so that a run that was killed goes on where it stopped. The
figures are those of the three steps one after the other, to the last digit.
"""
from __future__ import annotations

import argparse
import collections
import functools
import importlib
import itertools
import os
import queue
import shlex
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Callable, Deque, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from common import dataset, engine, errors, files, offline, perf, workers
from common.errors import UserError
from common.evaluation import Evaluation, Row
from common.journal import Journal, stamp

if TYPE_CHECKING:
    import numpy as np

DEFINITIONS = {
    **offline.DEFINITIONS,
    "end_to_end_s": "time from the first sample's reading to the last one's evaluation, with preprocessing, inference "
                    "and postprocessing overlapped; loading the model is left out",
}


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
        """The row of a sample from its main output. outputs: how many the network has."""
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
    before, after = shlex.split(preprocess), shlex.split(postprocess)
    first = _script(before[0]).plan(before[1:])
    last = _script(after[0]).plan(after[1:], [sample for sample, _ in first.sources])
    return Pipeline(first, dict(sorted(first.sources)), last,
                    {"preprocess": first.settings, "preprocess_code": dataset.code_of(first.make),
                     "postprocess": after, "postprocess_code": dataset.code_of(last.one)})


def _script(name: str) -> ModuleType:
    try:
        return importlib.import_module(Path(name).stem)
    except ModuleNotFoundError as error:
        if error.name != Path(name).stem:
            raise
        raise UserError(f"{name}: cannot be imported from here; source the model's env.sh, or use make") from error


def flow(pipeline: Pipeline, sessions: Sequence[engine.Engine], todo: Sequence[Tuple[str, ...]],
         layout: offline.Plan) -> Iterator[Tuple[Batch, List[Row]]]:
    """Every batch of `todo` with its samples' rows, in order.

    Each session runs one batch at a time. No more samples are made ahead than keep all busy.
    """
    each, shape = layout.files_per_batch, layout.shapes[0]
    jobs = workers.count(3 * pipeline.preprocessing.sample_bytes + pipeline.evaluation.each)
    devices = _Devices(sessions)
    ahead: Deque[Tuple[Tuple[str, ...], List["Future[np.ndarray]"]]] = collections.deque()
    running: Deque["Future[Tuple[Batch, np.ndarray]]"] = collections.deque()
    scored: Deque[Tuple[Batch, List["Future[Row]"]]] = collections.deque()
    pool = ThreadPoolExecutor(jobs)

    def score(found: "Future[Tuple[Batch, np.ndarray]]") -> None:
        about, parts = found.result()
        scored.append((about, [pool.submit(pipeline.evaluate, sample, len(sessions[0].outputs), part)
                               for sample, part in zip(about.samples, parts)]))

    try:
        groups = iter(todo)
        while True:
            for group in itertools.islice(groups, len(sessions) + -(-jobs // each) - len(ahead)):
                ahead.append((group, [pool.submit(pipeline.prepare, sample) for sample in group]))
            if ahead:
                samples, made = ahead.popleft()
                feed = fill([array.result() for array in made], shape, each)
                running.append(devices.run(samples, feed, pipeline.evaluation.output, each))
            while running and (running[0].done() or len(running) > len(sessions) or not ahead):
                score(running.popleft())
            while scored and (scored[0][1][-1].done() or len(scored) > len(sessions) or not running):
                about, rows = scored.popleft()
                yield about, [row.result() for row in rows]
            if not (ahead or running or scored):
                return
    except Exception:
        wait(running)  # one that is interrupted does not
        raise
    finally:
        for future in itertools.chain(*(made for _, made in ahead), *(rows for _, rows in scored)):
            future.cancel()
        pool.shutdown()


def fill(arrays: Sequence["np.ndarray"], shape: Sequence[int], each: int) -> "np.ndarray":
    """The network's input, of `shape`, from up to `each` samples; free places take the first, as with the tools."""
    import numpy as np
    arrays = [*arrays, *[arrays[0]] * (each - len(arrays))]
    return np.ascontiguousarray(arrays[0] if each == 1 else np.concatenate(arrays)).reshape(shape)


class _Devices:
    """Sessions that each run one batch at a time, in threads that do not hold up an interrupted program."""

    def __init__(self, sessions: Sequence[engine.Engine]):
        self._idle: "queue.SimpleQueue[Tuple[engine.Engine, bool]]" = queue.SimpleQueue()
        for session in sessions:
            self._idle.put((session, True))

    def run(self, samples: Tuple[str, ...], feed: "np.ndarray", output: int,
            each: int) -> "Future[Tuple[Batch, np.ndarray]]":
        """One batch; gives what is known of it and each place's part of the output numbered `output`."""
        import numpy as np
        future: "Future[Tuple[Batch, np.ndarray]]" = Future()

        def work() -> None:
            session, cold = self._idle.get()
            try:
                found = session.run([feed])[output]
                about = Batch(samples, session.index, session.timing.compute, cold)
                future.set_result((about, np.split(found, each)))
            except BaseException as error:
                future.set_exception(error)
            finally:
                self._idle.put((session, False))

        threading.Thread(target=work, daemon=True).start()
        return future


Flow = Callable[[Sequence[Tuple[str, ...]], offline.Plan], Iterator[Tuple[Batch, List[Row]]]]
"""Sends batches of sample ids through; gives each with its rows, in any order."""


def stream(pipeline: Pipeline, session: engine.Engine, batch: int, output: files.PathLike, send: Flow,
           argv: Optional[Sequence[str]] = None) -> None:
    """Send every sample through; write the figures, and last the record `output`. What an earlier run did is kept.

    session: the model, or one of several alike; batch: the network's.
    """
    from tqdm import tqdm
    work = pipeline.evaluation
    layout = plan(session, batch, pipeline.preprocessing.sample_bytes)
    each = layout.files_per_batch
    journal = Journal(output, offline.recipe("stream", session, batch, **pipeline.recipe))
    sources, outputs = pipeline.sources, len(session.outputs)
    stamps = {sample: [[str(path), stamp(path)] for path in (*paths, *work.needs(sample))]
              for sample, paths in sources.items()}

    def is_finished(sample: str) -> bool:
        there = journal.finished.get(sample)
        return there is not None and there["inputs"] == stamps[sample] and all(
            path.is_file() for path in work.leaves(sample, pipeline.name(sample, outputs)))

    names = list(sources)
    groups = [tuple(names[start:start + each]) for start in range(0, len(names), each)]
    todo = [group for group in groups if not all(map(is_finished, group))]
    count = sum(map(len, todo))
    if todo:
        journal.begin()
    before = time.perf_counter()
    with tqdm(total=count, desc="stream", unit="sample", disable=None) as progress:
        for about, rows in send(todo, layout) if todo else ():
            now = time.perf_counter()
            measured = {"id": about.samples[0], "samples": len(rows), "device": about.device, "cold": about.cold,
                        "compute_ms": about.compute_ms, "s": now - before}
            before = now
            for sample, row in zip(about.samples, rows):
                journal.add(sample, {"inputs": stamps[sample], "batch": measured, "row": row})
            progress.update(len(rows))
    work.finish([journal.finished[sample]["row"] for sample in work.samples])
    batches = list({entry["batch"]["id"]: entry["batch"] for entry in journal.finished.values()}.values())
    measured = offline.record("stream", "stream", session, warm(batches), layout, len(names) * layout.batch // each,
                              sum(one["s"] for one in batches), argv)
    journal.complete(names, **{**measured, **apart(batches, measured)}, warm_up_runs=0, performance_file=None)
    print(f"stream: {len(names)} samples ({len(names) - count} were there already), nothing written in between")


def warm(batches: Sequence[Mapping[str, Any]]) -> List[float]:
    """Milliseconds of the batches; first runs are left out where there are others."""
    return [one["compute_ms"] for one in batches if not one["cold"]] or [one["compute_ms"] for one in batches]


def apart(batches: Sequence[Mapping[str, Any]], together: Mapping[str, Any]) -> Dict[str, Any]:
    """What a record says of several devices beside what it says of one (`together`), as `common.devices` does."""
    ids = sorted({one["device"] for one in batches})
    if len(ids) < 2:
        return {"definitions": DEFINITIONS}
    from common import devices
    by, each = together["provenance"], []
    for index in ids:
        own = [one for one in batches if one["device"] == index]
        count = sum(one["samples"] for one in own)
        compute = perf.summarise(warm(own))
        each.append({"device": index, "name": by["device"], "threads": by["threads"], "sample_count": count,
                     "compute_ms": compute, "samples_per_s": 1000 * together["batch"] / compute["mean"],
                     "end_to_end_s": together["end_to_end_s"], "peak_memory_bytes": together["peak_memory_bytes"],
                     "end_to_end_samples_per_s": count / together["end_to_end_s"]})
    return {"provenance": {**by, **devices.named(each), "threads": by["threads"] * len(ids)}, "devices": each,
            "samples_per_s": sum(one["samples_per_s"] for one in each),
            "definitions": {**DEFINITIONS, **{key: devices.DEFINITIONS[key] for key in ("samples_per_s", "compute_ms")}}}


def plan(session: engine.Engine, batch: int, sample_bytes: int) -> offline.Plan:
    """How samples fill the network's batch. Raises `UserError` where no whole number of them does."""
    if len(session.inputs) != 1:
        raise UserError(f"{session.path}: has {len(session.inputs)} inputs, a sample is one")
    whole = offline.plan(session, batch, 1).file_bytes[0]
    if whole % sample_bytes:
        raise UserError(f"{session.path}: takes {whole} bytes at batch {batch}, a sample has {sample_bytes}; export it "
                        "for this preprocessing, or preprocess for it")
    return offline.plan(session, batch, whole // sample_bytes)


def open_all(path: files.PathLike) -> List[engine.Engine]:
    """The model on each device of DEVICES; on the CPU they share out its cores. One, where DEVICES is not given."""
    text = os.environ.get("DEVICES", "").strip()
    if not text:
        return [engine.open_session(path)]
    from common import devices
    ids = devices.parse(text)
    threads = max(1, engine.thread_count() // len(ids)) if engine.device_name() in ("cpu", "openvino") else None
    return [engine.open_session(path, threads=threads, index=index) for index in ids]


def main(argv: Optional[Sequence[str]] = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python3 -m common.stream", description=__doc__.splitlines()[0],
        epilog=f"Environment: {engine.ENVIRONMENT} JOBS=N the threads for samples (all cores); LIMIT=N takes the first "
               "N samples; DEVICES=0,1,.. runs on these devices side by side (on the CPU they share its cores); ENGINE=ray sends them through Ray Data, on this machine or the cluster at RAY_ADDRESS "
               "(ACTORS=N processes with the model). Run again, it goes on where it was stopped.")
    parser.add_argument("--onnx", required=True, help="the model")
    parser.add_argument("--preprocess", required=True, metavar="COMMAND", help="the preprocess script and its "
                        "arguments, as one word; the folder it would write to is not touched")
    parser.add_argument("--postprocess", required=True, metavar="COMMAND", help="the postprocess script and its "
                        "arguments, as one word; the results it would read need not be there")
    parser.add_argument("--batch_size", type=dataset.positive, help="default: the model's, where that is fixed, else 1")
    parser.add_argument("--output", default="stream.json", help="record of the run (default: %(default)s)")
    args = parser.parse_args(argv)
    pipeline = load(args.preprocess, args.postprocess)
    kind = os.environ.get("ENGINE", "").strip()
    if kind not in ("", "ray"):
        raise UserError(f"ENGINE={kind}: expected ray, or nothing")

    def through(session: engine.Engine, send: Flow) -> None:
        batch = args.batch_size or session.inputs[0].shape[0] or 1
        stream(pipeline, session, batch, args.output, send, argv)

    if kind == "ray":
        from common import ray_data
        with ray_data.connect() as there:
            through(engine.open_session(args.onnx, threads=there.threads), functools.partial(
                ray_data.flow, there, (args.preprocess, args.postprocess), args.onnx))
        return
    sessions = open_all(args.onnx)
    through(sessions[0], functools.partial(flow, pipeline, sessions))


if __name__ == "__main__":
    errors.run(main)
