"""Preprocessing, inference and postprocessing as one pipeline, nothing written in between: `python3 -m common.stream`.

JOBS threads make and evaluate samples while the network runs; only a few samples are in memory at once, however large
the dataset. Each finished sample's row is noted at once, so that a run that was killed goes on where it stopped. The
figures are those of the three steps one after the other, to the last digit.
"""
from __future__ import annotations

import argparse
import collections
import contextlib
import functools
import importlib
import itertools
import os
import queue
import shlex
import time
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from types import ModuleType
from typing import (TYPE_CHECKING, Any, Callable, Deque, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence,
                    Tuple)

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
                    {"preprocess": first.settings, "preprocess_code": dataset.code_of(first.make),
                     "postprocess": arguments, "postprocess_code": dataset.code_of(last.one)})


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
        feed = fill([array.result() for array in made], layout.shapes[0], each)
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


def fill(arrays: Sequence["np.ndarray"], shape: Sequence[int], each: int) -> "np.ndarray":
    """The network's input, of `shape`, from up to `each` samples; free places take the first, as with the tools."""
    import numpy as np
    arrays = [*arrays, *[arrays[0]] * (each - len(arrays))]
    return np.ascontiguousarray(arrays[0] if each == 1 else np.concatenate(arrays)).reshape(shape)


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
    sending = contextlib.closing(send(todo, layout)) if todo else contextlib.nullcontext(())
    with tqdm(total=count, desc="stream", unit="sample", disable=None) as progress, sending as batches:
        for about, rows in batches:
            now = time.perf_counter()
            measured = {"id": time.time_ns(), "device": about.device, "cold": about.cold,
                        "compute_ms": [about.compute_ms], "share_s": (now - before) / len(rows)}
            before = now
            for sample, row in zip(about.samples, rows):
                journal.add(sample, {"inputs": stamps[sample], "batch": measured, "row": row})
            progress.update(len(rows))
    work.finish([journal.finished[sample]["row"] for sample in work.samples])
    noted = [journal.finished[sample] for sample in names]
    measured = offline.record("stream", "stream", session, warm(noted), layout, len(names) * layout.batch // each,
                              sum(entry["batch"]["share_s"] for entry in noted), argv)
    journal.complete(names, **{**measured, **apart(noted, measured)}, warm_up_runs=0, performance_file=None)
    print(f"stream: {len(names)} samples ({len(names) - count} were there already), nothing written in between")


def warm(noted: Sequence[Mapping[str, Any]]) -> List[float]:
    """Milliseconds of each batch of these samples; first runs are left out where there are others."""
    return offline.compute_of(offline.batches_of(noted), cold=False)


def apart(noted: Sequence[Mapping[str, Any]], together: Mapping[str, Any]) -> Dict[str, Any]:
    """What a record says of several devices beside what it says of one (`together`), as `common.devices` does."""
    ids = sorted({entry["batch"]["device"] for entry in noted})
    if len(ids) < 2:
        return {"definitions": DEFINITIONS}
    from common import devices
    by, each = together["provenance"], []
    for index in ids:
        own = [entry for entry in noted if entry["batch"]["device"] == index]
        compute = perf.summarise(warm(own))
        each.append({"device": index, "name": by["device"], "threads": by["threads"], "sample_count": len(own),
                     "compute_ms": compute, "samples_per_s": 1000 * together["batch"] / compute["mean"],
                     "end_to_end_s": together["end_to_end_s"], "peak_memory_bytes": together["peak_memory_bytes"],
                     "end_to_end_samples_per_s": len(own) / together["end_to_end_s"]})
    return {"provenance": {**by, **devices.named(each), "threads": by["threads"] * len(ids)}, "devices": each,
            "samples_per_s": sum(one["samples_per_s"] for one in each),
            "definitions": {**DEFINITIONS, **{key: devices.DEFINITIONS[key]
                                              for key in ("samples_per_s", "compute_ms")}}}


def plan(session: engine.Engine, batch: int, sample_bytes: int) -> offline.Plan:
    """How samples fill the network's batch. Raises `UserError` where no whole number of them does."""
    if len(session.inputs) != 1:
        raise UserError(f"{session.path}: has {len(session.inputs)} inputs, a sample is one")
    whole = offline.plan(session, batch, 1).file_bytes[0]
    each, rest = divmod(whole, sample_bytes)
    if rest or batch % each:
        raise UserError(f"{session.path}: takes {whole} bytes at batch {batch}, a sample has {sample_bytes}; export it "
                        "for this preprocessing, or preprocess for it")
    return offline.plan(session, batch, each)


def open_all(path: files.PathLike) -> List[engine.Engine]:
    """The model on each device of DEVICES; on the CPU they share out its cores. One, where DEVICES is not given.

    Threads that wait do not spin, which would take the cores from those that make and evaluate samples.
    """
    text = os.environ.get("DEVICES", "").strip()
    if not text:
        return [engine.open_session(path, spin=False)]
    from common import devices
    ids = devices.parse(text)
    threads = max(1, engine.thread_count() // len(ids)) if engine.device_name() in ("cpu", "openvino") else None
    return [engine.open_session(path, threads=threads, index=index, spin=False) for index in ids]


def main(argv: Optional[Sequence[str]] = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python3 -m common.stream", description=__doc__.splitlines()[0],
        epilog=f"Environment: {engine.ENVIRONMENT} JOBS=N the threads for samples (all cores); LIMIT=N takes the first "
               "N samples; DEVICES=0,1,.. runs on these devices side by side (on the CPU they share its cores); "
               "ENGINE=ray sends the samples through Ray Data, on this machine or the cluster at RAY_ADDRESS (ACTORS=N "
               "processes with the model). Run again, it goes on where it was stopped.")
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
