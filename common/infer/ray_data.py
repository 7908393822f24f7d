"""The streaming pipeline on Ray Data, STREAM=ray: on one machine, or on the cluster at RAY_ADDRESS.

A row of the Ray dataset is the ids of one batch. Tasks make its samples, an actor that holds the model runs it, tasks
evaluate it, and the rows come back in any order, to be gathered by id. Machines of a cluster share the file system and
have this code in the same place.
"""
from __future__ import annotations

import functools
import json
import logging
import os
import re
import socket
from contextlib import contextmanager
from typing import Any, Dict, Iterator, List, NamedTuple, Sequence, Tuple

from common.base import files, settings
from common.base.errors import UserError
from common.data.evaluation import Row
from common.engines import engine, sessions
from common.infer import offline
from common.infer.pipeline import Batch, Pipeline, fill, load

BLOCK = 32 << 20
"""Bytes of input in one block, the piece of the dataset that Ray Data gives a task; one batch may be more."""
PASSED = ("PYTHONPATH", "LIMIT", "DEVICE", "PRECISION", "THREADS", "ATC_PRECISION", "OVERFLOW", "SUMS", "KEEP")
"""What of the environment the machines of a cluster are given."""


class Cluster(NamedTuple):
    """What there is to compute with."""

    actors: int
    """Processes that hold the model."""
    threads: int
    """Threads of each, on the CPU."""
    resources: Dict[str, float]
    """What each takes of Ray's resources."""


@contextmanager
def connect() -> Iterator[Cluster]:
    """Ray, started here for as long as the block lasts, or that at RAY_ADDRESS.

    ACTORS=N of the environment says how many processes hold the model: by default one to each GPU, or as many as CPUs
    allow, one CPU left for the other steps: actors that take them all would wait for ever for their input. THREADS=N
    are those of each (1). Raises `UserError` where ray cannot be imported or reached.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise UserError(f"STREAM=ray: Ray Data cannot be imported ({error}): make extras, or pip install "
                        "'ray[data]'") from error
    address = os.environ.get("RAY_ADDRESS", "").strip()
    start: Dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    if address:
        _refuse_unreachable(address)
        passed = {name: os.environ[name] for name in PASSED if name in os.environ}
        start.update(address=address, runtime_env={"env_vars": passed})
    else:
        start.update(num_cpus=max(2, settings.cores()), include_dashboard=False, _node_ip_address="127.0.0.1")
    try:
        ray.init(**start)
    except (OSError, ValueError, RuntimeError) as error:
        where = f"RAY_ADDRESS={address} (where it asks for a token: RAY_AUTH_MODE=token)" if address else "no start"
        raise UserError(f"STREAM=ray: {where}: {error}") from error
    try:
        logging.getLogger("ray.data").setLevel(logging.CRITICAL)
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        context.print_on_execution_start = False
        yield cluster(ray.cluster_resources())
    finally:
        ray.shutdown()


def _refuse_unreachable(address: str) -> None:
    """Raise `UserError` where nothing answers at host:port: Ray itself tries for minutes."""
    match = re.fullmatch(r"(?:ray://)?(.+):(\d+)", address)
    try:
        if match:
            socket.create_connection((match[1], int(match[2])), timeout=10).close()
    except OSError as error:
        raise UserError(f"STREAM=ray: nothing answers at RAY_ADDRESS={address} ({error.strerror or error}); start Ray "
                        "there (`ray start --head`), or leave RAY_ADDRESS out for this machine alone") from error


def cluster(there: Dict[str, float]) -> Cluster:
    """How Ray's resources (`ray.cluster_resources()`) are used, as ACTORS and THREADS of the environment ask."""
    asked = settings.variable("ACTORS", 1, settings.THREADS)
    if engine.device_name() not in engine.ON_CPU:
        return Cluster(int(asked or there.get("GPU", 1)), settings.thread_count(), {"num_cpus": 0, "num_gpus": 1})
    threads = settings.thread_count() if settings.variable("THREADS") else 1
    room = max(1, (int(there["CPU"]) - 1) // threads)
    if asked and asked > room:
        raise UserError(f"ACTORS={asked}: with {threads} thread{'' if threads == 1 else 's'} each, {room} leave one of "
                        f"Ray's {int(there['CPU'])} CPUs to the other steps")
    return Cluster(asked or room, threads, {"num_cpus": min(threads, int(there["CPU"]) - 1)})


def flow(there: Cluster, commands: Tuple[str, str], model: files.PathLike, todo: Sequence[Tuple[str, ...]],
         layout: offline.Plan) -> Iterator[Tuple[Batch, List[Row]]]:
    """Every batch of `todo` with its samples' rows, as they come. commands: as `pipeline.load` takes them."""
    import ray
    place, each = os.getcwd(), layout.files_per_batch
    start = _pipeline(place, *commands)
    whole = start.preprocessing.sample_bytes * each
    blocks = min(len(todo), max(4 * there.actors, len(todo) * whole // BLOCK))

    def prepare(row: Dict[str, Any]) -> Dict[str, Any]:
        pipeline = _pipeline(place, *commands)
        made = [pipeline.prepare(sample) for sample in json.loads(row["samples"])]
        return {**row, "feed": fill(made, layout)}

    def evaluate(row: Dict[str, Any]) -> Dict[str, Any]:
        import numpy as np
        pipeline, samples = _pipeline(place, *commands), json.loads(row["samples"])
        rows = [pipeline.evaluate(sample, row["outputs"], part)
                for sample, part in zip(samples, np.split(row["output"], each))]
        return {**{key: row[key] for key in ("samples", "compute_ms", "cold")}, "rows": json.dumps(rows)}

    output = start.evaluation.output

    class Model:
        """An actor: it loads the model once and runs one batch at a time."""

        def __init__(self) -> None:
            os.chdir(place)
            self._session, self._cold = sessions.open_session(model, threads=there.threads), True

        def __call__(self, row: Dict[str, Any]) -> Dict[str, Any]:
            found = self._session.run([row.pop("feed")])
            cold, self._cold = self._cold, False
            return {**row, "output": found[output], "outputs": len(found), "cold": cold,
                    "compute_ms": self._session.timing.compute}

    # other resources than the actors' keep Ray Data from running tasks inside them, where the model would wait
    data = ray.data.from_items([{"samples": json.dumps(group)} for group in todo], override_num_blocks=blocks)
    data = data.map(prepare, num_cpus=0.5)
    data = data.map(Model, compute=ray.data.ActorPoolStrategy(size=there.actors), **there.resources)
    data = data.map(evaluate, num_cpus=0.5)
    try:
        for row in data.iter_rows():
            about = Batch(tuple(json.loads(row["samples"])), 0, row["compute_ms"], row["cold"])
            yield about, json.loads(row["rows"])
    except ray.exceptions.RayError as error:
        raise _plain(error) from error


@functools.lru_cache(maxsize=1)
def _pipeline(place: str, preprocess: str, postprocess: str) -> Pipeline:
    """The pipeline, once in each process."""
    os.chdir(place)
    return load(preprocess, postprocess)


def _plain(error: Exception) -> UserError:
    """What the user can act on: the `UserError` of a task, of which Ray keeps the text alone, else Ray's own."""
    said = re.findall(r"UserError: (.+)", str(error))
    return UserError(said[-1] if said else f"STREAM=ray: {str(error).strip().splitlines()[-1]}")
