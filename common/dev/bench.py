"""How fast pre- and postprocessing are: `python3 -m common.dev.bench run` in a model's folder, `show FILE...` for several.

Each step runs in this process on made-up samples, into an empty folder, and so does its `Floor`, what cannot be
avoided, in turn. A figure is the median of the rounds' ratios, beside the lowest and the highest, which tell how quiet
the machine was.
"""
from __future__ import annotations

import argparse
import contextlib
import datetime
import hashlib
import importlib
import io
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple
from unittest import mock

import numpy as np

from common.base import errors, facts, files, pictures, settings, workers
from common.base.errors import UserError
from common.base.tables import aligned
from common.data import dataset
from common.dev.bench_steps import MODELS, Step, environment, placed, scripts

MARK = ".bench"
"""An empty file in the folder that a benchmark works in, and removes."""
COUNT = 100
"""Samples of a step."""
ROUNDS, ENOUGH, STARTS = (3, 9), 40.0, 7
"""Fewest and most rounds of a step; seconds after which none is begun; rounds of the start-ups."""
FLOOR_GOAL, SPEED_UP_GOAL, START_GOAL = 1.5, 1.7, 0.3
DEFINITIONS = {
    "over_floor": "time of the step over that of its floor, by as many processes (jobs): the same pictures decoded by "
                  "Pillow, the same result files read, the same .bin bytes written, the same pictures encoded; no more",
    "speed_up": "time with one process over that with `jobs`; floor_speed_up: the floor's, what the machine gives",
    "over_bare": "time of a process from start to end over that of python -c 'import numpy, PIL.Image'",
    "median, low, high": "of the rounds; seconds: each round's",
}
BARE = ("-c", "import numpy, PIL.Image")


class Floor(NamedTuple):
    """What cannot be avoided for one sample: pictures to decode, files to read, files and pictures to write.

    What is written is named relative to the folder; pictures are uint8 [H, W] or [H, W, 3].
    """

    decode: Sequence[Path] = ()
    read: Sequence[Path] = ()
    write: Sequence[Tuple[str, np.ndarray]] = ()
    encode: Sequence[Tuple[str, np.ndarray]] = ()

    def work(self, out: Path) -> None:
        from PIL import Image
        for path in self.decode:
            with Image.open(path) as image:
                np.asarray(image)
        for path in self.read:
            files.read_into(path, np.empty(os.path.getsize(path), np.uint8))
        for name, array in self.write:
            array.tofile(out / name)
        for name, pixels in self.encode:
            (out / name).write_bytes(pictures.encoded(name, pixels))


def run_floor(floors: Sequence[Floor], out: Path, jobs: int) -> None:
    """The floor of every sample, by processes as a step's."""
    with environment(JOBS=jobs):
        for parent in {(out / name).parent for floor in floors for name, _ in (*floor.write, *floor.encode)}:
            parent.mkdir(parents=True, exist_ok=True)
        for _ in workers.ordered(lambda number: floors[number].work(out), range(len(floors))):  # arrays are not sent
            pass


def floors_of(step: Step, out: Path) -> List[Floor]:
    """The floor of each sample: what the step's plan names, and what it writes when it is run, into `out`."""
    kept: Dict[bytes, np.ndarray] = {}  # a street stands under many names: equal arrays are kept once
    written: Dict[Path, np.ndarray] = {}
    write_rgb = pictures.write_rgb

    def once(array: np.ndarray) -> np.ndarray:
        return kept.setdefault(hashlib.sha256(array).digest(), array)

    def note(path: files.PathLike, pixels: np.ndarray) -> None:
        written[Path(path)] = once(np.ascontiguousarray(pixels))
        write_rgb(path, pixels)

    with mock.patch.object(pictures, "write_rgb", note):
        step.run(out, jobs=1)  # in this process, where it is noted
    with environment(LIMIT=step.limit):
        plan = importlib.import_module(step.module).plan(placed(step.argv, out))
    if isinstance(plan, dataset.Preprocessing):
        bins = {record["id"]: record["bin"] for record in dataset.read_manifest(out)}
        return [Floor(paths, (), [(os.path.relpath(bins[sample], out), once(np.fromfile(bins[sample], np.uint8)))])
                for sample, paths in plan.sources]
    results = [(sample, plan.find(sample)) for sample in plan.samples]
    return [Floor(plan.needs(sample), [result], (), [(os.path.relpath(path, out), written[path])
                                                     for path in plan.leaves(sample, result.stem)])
            for sample, result in results]


def rounds(tasks: Mapping[Any, Callable[[], Any]], fewest: int, most: int, fresh: Callable[[], Any] = lambda: None,
           clock: Callable[[], float] = time.perf_counter) -> Dict[Any, List[float]]:
    """The seconds of each task in each round: one task after the other, again and again; `fresh` comes before each."""
    seconds: Dict[Any, List[float]] = {name: [] for name in tasks}
    begin = clock()
    for number in range(most):
        if number >= fewest and clock() - begin > ENOUGH:
            break
        for name, task in tasks.items():
            fresh()
            start = clock()
            task()
            seconds[name].append(clock() - start)
    return seconds


def spread(values: Sequence[float]) -> Dict[str, float]:
    return {"median": statistics.median(values), "low": min(values), "high": max(values)}


def ratio(over: Sequence[float], under: Sequence[float]) -> Dict[str, float]:
    return spread([a / b for a, b in zip(over, under)])


def measure(step: Step, out: Path, jobs: int, keep: Path, clock: Callable[[], float] = time.perf_counter) -> Dict[str, Any]:
    """A row of the table: the step over its floor by `jobs` processes, and each by one over `jobs`.

    What the step makes is left in `keep`, nothing in `out`.
    """
    floors = floors_of(step, out)
    os.rename(out, keep)
    tasks: Dict[str, Callable[[], None]] = {}
    for count in dict.fromkeys((jobs, 1)):
        tasks[f"step_{count}"] = lambda count=count: step.run(out, count)  # type: ignore[misc]
        tasks[f"floor_{count}"] = lambda count=count: run_floor(floors, out, count)  # type: ignore[misc]
    seconds = rounds(tasks, *ROUNDS, lambda: shutil.rmtree(out, ignore_errors=True), clock)
    shutil.rmtree(out, ignore_errors=True)
    split = jobs > 1 and len(floors) > 1
    return {"step": step.name, "samples": len(floors), "jobs": jobs, "rounds": len(seconds["step_1"]),
            "over_floor": ratio(seconds[f"step_{jobs}"], seconds[f"floor_{jobs}"]),
            "speed_up": ratio(seconds["step_1"], seconds[f"step_{jobs}"]) if split else None,
            "floor_speed_up": ratio(seconds["floor_1"], seconds[f"floor_{jobs}"]) if split else None,
            "seconds": seconds}


def start_ups(programs: Mapping[str, Tuple[Sequence[str], Optional[Sequence[str]]]], out: Path) -> List[Dict[str, Any]]:
    """A row for each program: its help and its run (Python's arguments), seconds and over `BARE`.

    Raises `UserError` when one fails.
    """
    def task(argv: Sequence[str]) -> Callable[[], None]:
        def call() -> None:
            done = subprocess.run([sys.executable, *placed(argv, out)], capture_output=True, text=True)
            if done.returncode:
                raise UserError(f"{' '.join(argv)}: failed: {done.stderr.strip()[-300:]}")
        return call

    lines = {(name, kind): argv for name, both in programs.items() for kind, argv in zip(("help", "run"), both) if argv}
    with environment(LIMIT=1):
        seconds = rounds({("", ""): task(BARE), **{key: task(argv) for key, argv in lines.items()}}, STARTS, STARTS,
                         lambda: shutil.rmtree(out, ignore_errors=True))
    bare = seconds[("", "")]

    def figures(times: Optional[Sequence[float]]) -> Optional[Dict[str, Any]]:
        return {"seconds": spread(times), "over_bare": ratio(times, bare)} if times else None

    return [{"script": name, "rounds": STARTS, "help": figures(seconds[name, "help"]),
             "run": figures(seconds.get((name, "run")))} for name in programs]


def run(model: str, work: Path, count: int, cpu: bool = False) -> Dict[str, Any]:
    """Measure the steps and start-ups of the model whose folder this is; gives what bench.json holds.

    cpu: the steps by the CPU time of this one process.
    """
    jobs, load = 1 if cpu else workers.count(1 << 30), os.getloadavg()  # no step takes more than 1 GB a process
    clock = time.process_time if cpu else time.perf_counter
    with contextlib.redirect_stdout(io.StringIO()):
        steps = MODELS[model](work, count)
    rows = []
    for step in steps:
        print(f"bench: {model} {step.name}", file=sys.stderr, flush=True)
        rows.append(measure(step, work / "out", jobs, work / step.name, clock))
        if step.limit:  # is large, and nothing goes on from it
            shutil.rmtree(work / step.name)
    print(f"bench: {model} start-ups", file=sys.stderr, flush=True)
    starts = start_ups(scripts(steps, work), work / "out")
    return {"models": [{"model": model, "steps": rows, "start_ups": starts}],
            "definitions": {**DEFINITIONS, **({"time": "of the steps: CPU time"} if cpu else {})},
            "machine": {"cores": os.cpu_count(), "python": platform.python_version(), "platform": platform.platform(),
                        "load_before": load, "load_after": os.getloadavg()},
            "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")}


def merged(parts: Sequence[Mapping[str, Any]]) -> Dict[str, Any]:
    """The measurements of several models as one."""
    return {**parts[-1], "models": [model for part in parts for model in part["models"]],
            "machine": {**parts[-1]["machine"], "load_before": parts[0]["machine"]["load_before"]}}


def cell(value: Optional[Mapping[str, float]], worst: float = float("inf"), best: float = 0) -> str:
    """Median, lowest and highest; `!` behind them when the median is above `worst` or below `best`, the goals."""
    if value is None:
        return "-"
    mark = "" if best <= value["median"] <= worst else " !"
    return f"{value['median']:.2f} ({value['low']:.2f} to {value['high']:.2f}){mark}"


def lines(bench: Mapping[str, Any]) -> List[str]:
    """The tables for the terminal."""
    jobs = bench["models"][0]["steps"][0]["jobs"]
    steps = [["model", "step", "samples", "rounds", "over its floor", f"{jobs} processes over 1", "the floor's"]]
    starts = [["model", "script", "--help, s", "over bare Python", "one sample, s", "over bare Python"]]
    for model in bench["models"]:
        for row in model["steps"]:
            goals = (FLOOR_GOAL, SPEED_UP_GOAL if jobs == 2 else 0) if row["samples"] >= COUNT else (float("inf"), 0)
            steps.append([model["model"], row["step"], str(row["samples"]), str(row["rounds"]),
                          cell(row["over_floor"], worst=goals[0]), cell(row["speed_up"], best=goals[1]),
                          cell(row["floor_speed_up"])])
        for row in model["start_ups"]:
            ran = row["run"] or {}
            starts.append([model["model"], row["script"], cell(row["help"]["seconds"], worst=START_GOAL),
                           cell(row["help"]["over_bare"]), cell(ran.get("seconds")), cell(ran.get("over_bare"))])
    result = []
    for table in (steps, starts):
        result += [*aligned(table), ""]
    machine = bench["machine"]
    return [*result, "medians (lowest to highest) of the rounds; what each figure means is in the file's definitions",
            f"! misses a goal: over its floor {FLOOR_GOAL} from {COUNT} samples on, 2 processes {SPEED_UP_GOAL}, "
            f"--help {START_GOAL} s on an idle machine",
            f"{machine['cores']} cores; load before {machine['load_before'][0]:.2f}, after "
            f"{machine['load_after'][0]:.2f}"]


def main(argv: Optional[Sequence[str]] = None) -> None:
    parser = argparse.ArgumentParser(prog="python3 -m common.dev.bench", description=errors.first_line(__doc__))
    verbs = parser.add_subparsers(dest="verb", required=True)
    runner = verbs.add_parser("run", help="measure the model whose folder this is",
                              epilog="JOBS=N in the environment: processes (default: all cores).")
    runner.add_argument("--count", type=settings.positive, default=COUNT, help="samples (default: %(default)s)")
    runner.add_argument("--cpu", action="store_true", help="the steps' CPU time, with one process: for a machine that other "
                        "work shares")
    runner.add_argument("--work", default="build/bench", help="folder for it, removed (default: %(default)s)")
    shower = verbs.add_parser("show", help="print the table of several models' measurements")
    shower.add_argument("measured", nargs="+", metavar="FILE", help="what `run` wrote")
    for verb in (runner, shower):
        verb.add_argument("--output", metavar="JSON", help="file to write")
    args = parser.parse_args(argv)
    if args.verb == "show":
        bench = merged([files.read_json(path, "bench") for path in args.measured])
    else:
        name = facts.load(".").name
        if name not in MODELS:
            print(f"{name}: has no steps in common/dev/bench_steps.py to measure; there are {', '.join(MODELS)}")
            return
        work = Path(args.work).absolute()
        if os.path.lexists(work) and not (work.is_dir() and not any(work.iterdir())) and not (work / MARK).is_file():
            raise UserError(f"{args.work}: is there and no benchmark left it; give a new or empty folder")
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        (work / MARK).touch()
        try:
            bench = run(name, work, args.count, args.cpu)
        finally:
            shutil.rmtree(work, ignore_errors=True)
    if args.output:
        files.write_json(args.output, bench)
    print("\n".join(lines(bench)))


if __name__ == "__main__":
    errors.run(main)
