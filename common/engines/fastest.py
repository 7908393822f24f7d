"""DEVICE=auto: which engine, precision and number of threads run an ONNX file fastest on this CPU at equal accuracy.

A short measurement, once per file and machine: the candidates take turns with plain ONNX Runtime on the run's first samples,
and one whose outputs stray beyond `common.engines.tolerance` does not count. What was chosen is kept beside the model, as
`<model>.fastest.json`, and holds for as long as the model, what `make int8` left of it, the packages and the processor are
the same. `python3 -m common.engines.fastest FOLDER` prints a digest of all that but the model, by which make sees a change.
"""
from __future__ import annotations

import argparse
import contextlib
import hashlib
import importlib
import json
import math
import os
import statistics
import time
from pathlib import Path
from typing import Any, Dict, Iterable, Iterator, List, NamedTuple, Optional, Sequence

from common.base import errors, files, model_file, settings
from common.base.errors import UserError
from common.engines import engine, named, tolerance, turns

SECONDS = 10.0
"""That the candidates share for their turns, and half as long for the batch. With what loading takes, none begins after twice
as long."""
ROUNDS, BATCHES = 25, (2, 4, 8, 16)
PLAIN = "cpu"
EIGHT_BITS = (f"openvino-{engine.QUANTISED}", f"{PLAIN}-{engine.QUANTISED}")
CANDIDATES = (EIGHT_BITS[0], "openvino-bf16", "openvino-f32", EIGHT_BITS[1])
"""As engines are named, those first that are likely the fastest."""
MARGIN = 1.05
"""How many times as fast as what it would replace a candidate must be: less is chance."""


class Choice(NamedTuple):
    """engine: PLAIN or one of CANDIDATES. batch: what samples/s are the most at, where the model leaves it free, else 1."""

    engine: str
    threads: int
    batch: int


def open_fastest(path: files.PathLike, threads: Optional[int] = None, index: int = 0, spin: bool = True,
                 feeds: Optional[engine.Feeds] = None) -> engine.Engine:
    """The model in what is chosen. Says in a line on stdout what that is, how fast, and how far from ONNX Runtime's outputs.

    Parameters and errors as those of `sessions.open_session`.
    """
    found = choose(path, threads, feeds)
    session = opened(path, Choice(**found["chosen"]), index, spin)
    session.best_batch = found["chosen"]["batch"]
    return session


def choose(path: files.PathLike, threads: Optional[int] = None, feeds: Optional[engine.Feeds] = None) -> Dict[str, Any]:
    """What is kept beside the model, where it still holds, else what a measurement finds, which is then kept.

    A choice by noise gives way where there are real inputs. As `fastest.schema.json` has it.
    """
    checksum = model_file.sha256(files.existing_file(path, "an ONNX model"))
    int8 = int8_of(path, checksum)
    limit = min(settings.thread_count(threads), settings.cores())
    key = {"model_sha256": checksum, "int8_sha256": files.sha256(int8) if int8 else None, "threads": limit,
           "machine": machine()}
    place = Path(os.path.realpath(path)).with_suffix(".fastest.json")
    with _alone(path):
        found, unkept = _kept(place, key, feeds is not None), ""
        if found is None:
            tune = threads is None and settings.variable("THREADS") is None
            candidates = [name for name in CANDIDATES if int8 or name not in EIGHT_BITS]
            found = {**key, **measure(path, limit, candidates, tune, feeds)}
            try:
                files.write_json(place, found)
            except (OSError, UserError) as error:
                unkept = f", cannot be kept: {error}"
    print(f"[INFO] DEVICE=auto: {told(found)} ({place.name}{unkept})", flush=True)
    return found


def quantised(path: files.PathLike) -> Path:
    """Where `make int8` leaves the model in 8 bits."""
    return Path(os.path.realpath(path)).parent / "int8/int8.onnx"


def int8_of(path: files.PathLike, checksum: str) -> Optional[Path]:
    """The model in 8 bits that `make int8` left beside it, where that passed for this model (SHA-256) by this very file."""
    place = quantised(path)
    with contextlib.suppress(UserError):  # not there, or of an earlier version
        judged = files.read_json(place.parent.with_suffix(".json"), "int8")
        if judged["verdict"] == "pass" and judged["model_sha256"] == checksum and place.is_file() and (
                judged.get("int8_sha256") == files.sha256(place)):
            return place
    return None


def machine() -> Dict[str, Any]:
    """What a choice depends on beside the model: the processor, its cores and instructions, and the packages' versions, None
    for one that is not here."""
    found: Dict[str, Any] = {"cpu": engine.hardware("cpu"), "cores": os.cpu_count() or 1, "instructions": ""}
    with contextlib.suppress(OSError):  # of processors of one name some have bf16; a hypervisor may hide it
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        known = sorted({line for line in lines if line.startswith(("flags", "Features"))})
        found["instructions"] = hashlib.sha256("".join(known).encode()).hexdigest()[:16]
    for name in engine.STAND_INS:
        try:
            found[name] = importlib.import_module(name).__version__
        except ImportError:
            found[name] = None
    return found


@contextlib.contextmanager
def _alone(path: files.PathLike) -> Iterator[None]:
    """While the block runs, no other process chooses for this model: that of another device waits, and takes the choice."""
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(ImportError, OSError):
            import fcntl
            fcntl.flock(stack.enter_context(open(path, "rb")), fcntl.LOCK_EX)
        yield


def _kept(place: Path, key: Dict[str, Any], real: bool) -> Optional[Dict[str, Any]]:
    """What is kept and holds. real: there are inputs to choose by."""
    with contextlib.suppress(UserError):  # none, or damaged: it is measured again
        found: Dict[str, Any] = files.read_json(place, "fastest")
        if {name: found[name] for name in key} == key and (found["samples"] or not real) and _row(found):
            return found
    return None


def _row(found: Dict[str, Any]) -> Optional[Dict[str, Any]]:
    """What was tried and then chosen; None where the file was edited, and says of no such thing that it counts."""
    chosen: Dict[str, Any] = found["chosen"]
    return next((row for row in reversed(found["tried"]) if row["speed"] is not None and (row["engine"], row["threads"]) == (
        chosen["engine"], chosen["threads"]) and row["cosine"] is not None and tolerance.agree(row) == "pass"), None)


def measure(path: files.PathLike, threads: int, candidates: Sequence[str], tune: bool,
            feeds: Optional[engine.Feeds] = None) -> Dict[str, Any]:
    """What is fastest of plain ONNX Runtime and the candidates, with `threads` or (tune) half as many and fewer.

    Gives `{"samples", "tried", "chosen"}`, as `fastest.schema.json` has it; samples: of how many the outputs were compared, 0
    where it was noise. A model with free sizes beside the batch is left to ONNX Runtime: OpenVINO compiles for every size.
    """
    contest = _Contest(path, threads)
    inputs, batch = contest.plain.inputs, 1
    if not any(None in tensor.shape[1:] for tensor in inputs):
        contest.take(feeds(contest.plain) if feeds else [])
        share = SECONDS / (len(candidates) + tune)
        for name in candidates:
            contest.attempt(name, threads, share)
        while tune and contest.best["threads"] > 1 and contest.attempt(
                contest.best["engine"], contest.best["threads"] // 2, share):
            pass
        if all(tensor.shape[:1] == (None,) for tensor in inputs):
            batch = _best_batch(contest.first, contest.given[0])
    chosen = Choice(contest.best["engine"], contest.best["threads"], batch)
    return {"samples": contest.samples, "tried": contest.tried, "chosen": chosen._asdict()}


class _Contest:
    """Plain ONNX Runtime, the best so far, and what challenges it: no more than three at a time are loaded.

    tried: the rows, as `fastest.schema.json` has them; best: one of them; first: its session; given: the inputs, of which
    `samples` are real.
    """

    def __init__(self, path: files.PathLike, threads: int):
        self.begin = time.monotonic()
        self.path, self.samples = path, 0
        self.plain = self.first = opened(path, Choice(PLAIN, threads, 1))
        self.best: Dict[str, Any] = {"engine": PLAIN, "threads": threads, "speed": 1.0, "cosine": 1.0,
                                     "relative_euclidean": 0.0, "why": None}
        self.tried = [self.best]
        self.given: List[Sequence[Any]] = []
        self._expected: List[List[Any]] = []
        self._ratios: List[float] = []

    def take(self, feeds: Iterable[Sequence[Any]]) -> None:
        """Take the inputs, as many as a fifth of the time allows, and what plain ONNX Runtime makes of them."""
        for arrays in feeds:
            self.given.append(arrays)
            self._expected.append(self.plain.run(arrays))
            if time.monotonic() > self.begin + SECONDS / 5:
                break
        self.samples = len(self.given)
        if not self.given:
            shapes = [tuple(size or 1 for size in tensor.shape) for tensor in self.plain.inputs]
            self.given = [turns.noise(self.plain, shapes)]
            self._expected = [self.plain.run(self.given[0])]

    def attempt(self, name: str, threads: int, seconds: float) -> bool:
        """Whether this one is now the best, by turns of that many seconds, the last one begun in them."""
        row: Dict[str, Any] = {"engine": name, "threads": threads, "speed": None, "cosine": None, "relative_euclidean": None,
                               "why": None}
        self.tried.append(row)
        if time.monotonic() > self.begin + 2 * SECONDS:
            row["why"] = f"not tried: the {2 * SECONDS:g} s for it were over"
            return False
        try:
            session = opened(self.path, Choice(name, threads, 1))
            row.update(apart(session, self.given, self._expected))
            if tolerance.agree(row) == "fail":
                row["why"] = "its outputs stray too far"
                return False
            there = {"plain": self.plain, "own": session, **({"best": self.first} if self.first is not self.plain else {})}
            times = turns.take_turns(there, self.given[0], ROUNDS, time.monotonic() + seconds)
        except UserError as error:
            row["why"] = str(error)
            return False
        plain, own = times["plain"], times["own"]
        best = times.get("best", plain)
        ratios = [before / after for before, after in zip(plain, own)]
        row["speed"] = statistics.median(ratios)
        self._ratios += [before / after for before, after in zip(plain, best)]
        self.best["speed"] = statistics.median(self._ratios)
        if not statistics.median(before / after for before, after in zip(best, own)) > MARGIN:
            return False
        self.best, self.first, self._ratios = row, session, ratios
        return True


def apart(session: engine.Engine, given: Sequence[Sequence[Any]], expected: Sequence[Sequence[Any]]) -> Dict[str, float]:
    """The worst figures of the session's outputs against these. Raises `UserError` where they cannot be compared."""
    import numpy as np

    from common.base.metrics import difference
    rows = []
    for arrays, wanted in zip(given, expected):
        for own, other in zip(session.run(arrays), wanted):
            if own.shape != other.shape or not np.isfinite(own).all():
                raise UserError("its outputs are of another shape, or not finite")
            rows.append(difference(own, other))
    return {"cosine": min(row["cosine"] for row in rows),
            "relative_euclidean": max(row["relative_euclidean"] for row in rows)}


def _best_batch(session: engine.Engine, arrays: Sequence[Any]) -> int:
    """The batch of which a sample takes the least time: twice as large each time, until that costs time."""
    import numpy as np
    best, least, until = 1, math.inf, time.monotonic() + SECONDS / 2
    for size in (1, *BATCHES):
        many = [np.ascontiguousarray(np.resize(array, (size, *array.shape[1:]))) for array in arrays]
        each = statistics.median(turns.take_turns({"": session}, many, ROUNDS, until)[""]) / size
        if each * MARGIN < least:
            best, least = size, each
        if each > least * MARGIN or time.monotonic() > until:
            break
    return best


def opened(path: files.PathLike, choice: Choice, index: int = 0, spin: bool = True) -> engine.Engine:
    """The model in an engine; in 8 bits it is another file that computes, of which the session says so."""
    device, _, precision = choice.engine.partition("-")
    if precision != engine.QUANTISED:
        return named.open_named(path, device, choice.threads, index, precision, spin)
    place = quantised(path)
    session = named.open_named(place, device, choice.threads, index, "f32" if device == "openvino" else "", spin)
    session.path, session.int8_sha256 = Path(path), files.sha256(place)
    session.provider = f"{session.provider.split(', ')[0]}, {precision}"
    return session


def told(found: Dict[str, Any]) -> str:
    """What was chosen, how fast it is and how far its outputs are, in words; and why OpenVINO is not it, where it is missing."""
    chosen, tried, row = found["chosen"], found["tried"], _row(found) or found["tried"][0]
    threads = f"{chosen['threads']} thread{'' if chosen['threads'] == 1 else 's'}"
    words = [f"{in_words(chosen['engine'])}, {threads}"]
    if row is tried[0]:
        words.append("nothing tried was faster at equal accuracy" if len(tried) > 1 else
                     "its sizes are free, so nothing else was tried")
    else:
        by = f"{found['samples']} sample{'' if found['samples'] == 1 else 's'}" if found["samples"] else "noise"
        words.append(f"{row['speed']:.2f} times as fast as {in_words(PLAIN)}, on {by} cosine at least {row['cosine']:.6f}, "
                     f"relative Euclidean at most {row['relative_euclidean']:.1e}")
    if chosen["batch"] > 1:
        words.append(f"batch {chosen['batch']} when streaming")
    if found["machine"]["openvino"] is None:
        words.append("OpenVINO is not here (make extras)")
    return "; ".join(words)


def in_words(name: str) -> str:
    """`OpenVINO bf16`, `ONNX Runtime f32`."""
    device, _, precision = name.partition("-")
    return f"{engine.STAND_INS['onnxruntime' if device == PLAIN else device]} {precision or 'f32'}"


def main(argv: Optional[Sequence[str]] = None) -> None:
    parser = argparse.ArgumentParser(prog="python3 -m common.engines.fastest", description="Print a digest of what a "
                                     "choice for a model in FOLDER depends on beside the model.")
    parser.add_argument("folder", metavar="FOLDER")
    args = parser.parse_args(argv)
    judged = Path(args.folder) / "int8.json"
    known = json.dumps([machine(), settings.cores(), files.sha256(judged) if judged.is_file() else None])
    print(hashlib.sha256(known.encode()).hexdigest()[:16])


if __name__ == "__main__":
    errors.run(main)
