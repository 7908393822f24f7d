"""Preprocessing, inference and postprocessing as one pipeline, nothing written in between: `python3 -m common.infer.stream`.

JOBS threads make and evaluate samples while the network runs; only a few samples are in memory at once, however large
the dataset. Each finished sample's row is noted at once, so that a run that was killed goes on where it stopped. The
figures are those of the three steps one after the other, to the last digit.
"""
from __future__ import annotations

import argparse
import contextlib
import functools
import os
import time
from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence

from common.base import errors, files, json_files, settings
from common.base.errors import UserError
from common.base.journal import Journal, stamp
from common.base.progress import progress
from common.engines import engine, sessions, timing
from common.infer import offline, several, threads
from common.infer.pipeline import Flow, Pipeline, first_inputs, load, plan

SAMPLE = {"allOf": [{"$ref": "record.schema.json#/definitions/sample"}, {"required": ["row"], "properties": {
    "batch": {"required": ["device", "share_s"]}}}]}
"""The schema of a sample in the record of a stream."""
DEFINITIONS = {
    **offline.DEFINITIONS,
    "end_to_end_s": "time from the first sample's reading to the last one's evaluation, with preprocessing, inference "
                    "and postprocessing overlapped; loading the model is left out",
}


def stream(pipeline: Pipeline, session: engine.Engine, batch: int, output: files.PathLike, send: Flow,
           argv: Optional[Sequence[str]] = None) -> None:
    """Send every sample through; write the figures, and last the record `output`. What an earlier run did is kept.

    session: the model, or one of several alike; batch: the network's.
    """
    work = pipeline.evaluation
    sizes = pipeline.preprocessing.sizes
    layout = plan(session, batch, pipeline.preprocessing.sample_bytes, sizes)
    each = layout.files_per_batch
    journal = Journal(output, offline.recipe("stream", session, batch, **pipeline.recipe), SAMPLE)
    sources, outputs = pipeline.sources, len(session.outputs)
    stamps = {sample: [[str(path), stamp(path)] for path in (*paths, *work.needs(sample))]
              for sample, paths in sources.items()}

    def is_finished(sample: str) -> bool:
        there = journal.finished.get(sample)
        return there is not None and there["inputs"] == stamps[sample] and json_files.fits(there["row"], work.row) and all(
            path.is_file() for path in work.leaves(sample, pipeline.name(sample, outputs)))

    names = list(sources)
    groups = [tuple(group) for group in offline.by_size(names, lambda sample: sizes.get(sample, ()), each)]
    todo = [group for group in groups if not all(map(is_finished, group))]
    count = sum(map(len, todo))
    for folder in {path.parent for sample in names for path in work.leaves(sample, pipeline.name(sample, outputs))}:
        files.sweep(folder)
    if todo:
        journal.begin()
    before = time.perf_counter()
    sending: Any = contextlib.closing(send(todo, layout)) if todo else contextlib.nullcontext(())  # type: ignore[type-var]
    with sending as batches, journal:
        for about, rows in progress(batches, "stream", len(todo), "batch"):
            now = time.perf_counter()
            measured = {"id": time.time_ns(), "device": about.device, "cold": about.cold,
                        "compute_ms": [about.compute_ms], "share_s": (now - before) / len(rows)}
            before = now
            for sample, row in zip(about.samples, rows):
                journal.add(sample, {"inputs": stamps[sample], "batch": measured, "row": row})
    work.finish([journal.finished[sample]["row"] for sample in work.samples])
    noted = [journal.finished[sample] for sample in names]
    measured = offline.record("stream", "infer.stream", session, warm(noted), layout, len(names) * layout.batch // each,
                              sum(entry["batch"]["share_s"] for entry in noted), argv)
    several_of = apart(noted, measured, offline.define(DEFINITIONS, layout))
    journal.complete(names, **{**measured, **several_of}, warm_up_runs=0, performance_file=None)
    print(f"stream: {len(names)} samples ({len(names) - count} were there already), nothing written in between")


def warm(noted: Sequence[Mapping[str, Any]]) -> List[float]:
    """Milliseconds of each batch of these samples; first runs are left out where there are others."""
    return offline.compute_of(offline.batches_of(noted), cold=False)


def apart(noted: Sequence[Mapping[str, Any]], together: Mapping[str, Any], definitions: Mapping[str, str]) -> Dict[str, Any]:
    """What a record says of several devices beside what it says of one (`together`), as `common.devices` does."""
    ids = sorted({entry["batch"]["device"] for entry in noted})
    if len(ids) < 2:
        return {"definitions": definitions}
    by, each = together["provenance"], []
    for index in ids:
        own = [entry for entry in noted if entry["batch"]["device"] == index]
        compute = timing.summarise(warm(own))
        each.append({"device": index, "name": by["device"], "threads": by["threads"], "sample_count": len(own),
                     "compute_ms": compute, "samples_per_s": 1000 * together["batch"] / compute["mean"],
                     "end_to_end_s": together["end_to_end_s"], "peak_memory_bytes": together["peak_memory_bytes"],
                     "end_to_end_samples_per_s": len(own) / together["end_to_end_s"]})
    return {"provenance": {**by, **several.named(each), "threads": by["threads"] * len(ids)}, "devices": each,
            "samples_per_s": sum(one["samples_per_s"] for one in each),
            "definitions": {**definitions, **{key: several.DEFINITIONS[key]
                                              for key in ("samples_per_s", "compute_ms")}}}


def open_all(path: files.PathLike, feeds: Optional[engine.Feeds] = None) -> List[engine.Engine]:
    """The model on each device of DEVICES; on the CPU they share out its cores. One, where DEVICES is not given.
    feeds: as `sessions.open_session` takes it.

    Threads that wait do not spin, which would take the cores from those that make and evaluate samples.
    """
    text = os.environ.get("DEVICES", "").strip()
    if not text:
        return [sessions.open_session(path, spin=False, feeds=feeds)]
    ids = several.parse(text)
    threads = max(1, settings.thread_count() // len(ids)) if engine.device_name() in engine.ON_CPU else None
    return [sessions.open_session(path, threads=threads, index=index, spin=False, feeds=feeds) for index in ids]


def main(argv: Optional[Sequence[str]] = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python3 -m common.infer.stream", description=errors.first_line(__doc__),
        epilog=f"Environment: {engine.ENVIRONMENT} JOBS=N the threads for samples (all cores); LIMIT=N takes the first "
               "N samples; DEVICES=0,1,.. runs on these devices side by side (on the CPU they share its cores); "
               "STREAM=ray sends the samples through Ray Data, on this machine or the cluster at RAY_ADDRESS (ACTORS=N "
               "processes with the model). Run again, it goes on where it was stopped.")
    parser.add_argument("--onnx", required=True, help="the model")
    parser.add_argument("--preprocess", required=True, metavar="COMMAND", help="the preprocess script and its "
                        "arguments, as one word; the folder it would write to is not touched")
    parser.add_argument("--postprocess", required=True, metavar="COMMAND", help="the postprocess script and its "
                        "arguments, as one word; the results it would read need not be there")
    parser.add_argument("--batch_size", type=settings.positive, help="default: the model's, where that is fixed, else 1")
    parser.add_argument("--output", default="stream.json", help="record of the run (default: %(default)s)")
    args = parser.parse_args(argv)
    pipeline = load(args.preprocess, args.postprocess)
    kind = os.environ.get("STREAM", "").strip()
    if kind not in ("", "0", "1", "ray"):
        raise UserError(f"STREAM={kind}: expected ray, or 1")

    def feeds(plain: engine.Engine) -> Iterator[List[Any]]:
        return first_inputs(pipeline, plain, args.batch_size or plain.inputs[0].shape[0] or 1)

    def through(session: engine.Engine, send: Flow) -> None:
        batch = args.batch_size or session.inputs[0].shape[0] or session.best_batch
        stream(pipeline, session, batch, args.output, send, argv)

    if kind == "ray":
        from common.infer import ray_data
        with ray_data.connect() as there:
            through(sessions.open_session(args.onnx, threads=there.threads, feeds=feeds), functools.partial(
                ray_data.flow, there, (args.preprocess, args.postprocess), args.onnx))
        return
    opened = open_all(args.onnx, feeds)
    through(opened[0], functools.partial(threads.flow, pipeline, opened))


if __name__ == "__main__":
    errors.run(main)
