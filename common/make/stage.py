"""One stage of a run: `python3 -m common.make.stage NAME COMMAND` is the shell that make gives the stage's line to.

The command runs in bash. Its output goes to a log, `.args/<stage>.log` of the build folder, and a stage of kind `told` ends
with a line on the terminal, its time and its result; with V=1 all goes to the terminal. What the command used, read and left
is then noted (`common.base.stages`), by which make knows what to redo. A stage that is timed runs while no other stage of any
run on this machine does.
"""
from __future__ import annotations

import argparse
import contextlib
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Dict, Iterator, Optional, Sequence

from common.base import errors, stages

KINDS = {
    "timed": "it is timed, and runs alone",
    "judged": "its status is a verdict, which the report tells at the end: it failed only where it left no file",
    "told": "its end is told on the terminal",
    "anew": "it writes all of its files anew: what it left before and does not now is removed",
    "fresh": "its status proves nothing: what an earlier run left is removed before",
}
OUTSIDE = Path(__file__).resolve().parents[1] / "npu/outside.sh"
PATIENCE = 600.0
"""Seconds that a timed stage waits for the others on this machine."""


@contextlib.contextmanager
def turn(timed: bool, patience: float = PATIENCE) -> Iterator[Optional[str]]:
    """While the block runs, no timed stage of another run does, and where this one is `timed` no other stage at all.

    Gives None, or why that could not be had; then the block runs all the same. Who waits holds a gate that those who
    come later wait at, so that nobody waits for ever.
    """
    path = Path(tempfile.gettempdir()) / "ascend-model-collection.lock"
    try:
        import fcntl
        gate, turnstile = _open(f"{path}.gate"), _open(str(path))
    except (ImportError, OSError) as error:
        yield f"{path}: cannot be locked ({error}), so others may have used the cores"
        return
    try:
        kind, end = fcntl.LOCK_EX if timed else fcntl.LOCK_SH, time.monotonic() + patience
        had = _lock(gate, kind, end) and _lock(turnstile, kind, end)
        fcntl.flock(gate, fcntl.LOCK_UN)
        yield None if had else f"other stages ran on this machine for {patience:.0f} s without a pause"
    finally:
        os.close(turnstile)
        os.close(gate)


def _open(path: str) -> int:
    """A lock file that every user of this machine can open."""
    how = os.O_RDWR | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0) | os.O_NONBLOCK
    try:  # where it is there: of another user's file in a folder of all, O_CREAT is refused (fs.protected_regular)
        descriptor = os.open(path, how)
    except FileNotFoundError:
        descriptor = os.open(path, how | os.O_CREAT, 0o666)
    with contextlib.suppress(OSError):
        os.fchmod(descriptor, 0o666)
    return descriptor


def _lock(descriptor: int, kind: int, end: float) -> bool:
    """Whether the lock was had before `end`; says on stderr that it waits."""
    import fcntl
    told = False
    while True:
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() > end:
                return False
            if not told:
                told = True
                print("waiting for the stages of another run on this machine, so that timing is not disturbed",
                      file=sys.stderr, flush=True)
            time.sleep(0.05)


def run(build: Path, name: str, command: str, out: Path, needs: Sequence[str], kind: Sequence[str]) -> int:
    """Run the command line; gives its status, 0 for a verdict that leaves a file. Then the stage's record is written."""
    uses = build / stages.FOLDER / f"{name}.uses"
    uses.unlink(missing_ok=True)
    before, earlier = stages.snapshot(build), stages.load(build, [name])
    if {"judged", "fresh"} & set(kind):
        out.unlink(missing_ok=True)
    log = None if os.environ.get("V", "").strip() not in ("", "0") else build / stages.FOLDER / f"{name}.log"
    with turn("timed" in kind) as disturbed:
        begin = time.time()
        # atc is run outside the project's environment; else, what stands in the build folder is not imported
        status = _bash(command, {"USES": str(uses.resolve()), "PYTHONSAFEPATH": "1"},
                       ["bash", str(OUTSIDE)] if "fresh" in kind else [], log)
    if status and not ("judged" in kind and out.is_file() and out.stat().st_size):
        if log and log.stat().st_size:
            print(f"{Path.cwd().name} {name}: failed; what it printed is in {log}", flush=True)
        return status
    if not out.exists():
        return errors.report(f"{name} left no {out}")
    os.utime(out)
    ended = time.time()
    if log and "told" in kind:
        print(f"{Path.cwd().name:<12} {name:<12} {ended - begin:6.1f} s  {last_line(log)}", flush=True)
    stages.finish(build, name, out, before, needs, earlier, "anew" in kind, command=command, ended=ended, seconds=ended - begin,
                  disturbed=disturbed)
    return 0


def last_line(log: Path) -> str:
    """The last line of a log that tells a throughput, else a figure, else anything; at most 100 characters of it."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    told = [line.strip() for line in reversed(lines) if re.search(r"[A-Za-z]", line)]
    text = next((line for pattern in (r"throughput\D*\d", r"\d", "") for line in told if re.search(pattern, line)), "done")
    return text if len(text) <= 100 else text[:97] + "..."


def _bash(command: str, more: Dict[str, str], before: Sequence[str], log: Optional[Path]) -> int:
    """The status of the command line in bash (`before` it, a program that runs it), which Ctrl-C reaches as well.

    log: where its standard output goes; None: where this process's goes.
    """
    line = [*before, "bash", "-euo", "pipefail", "-c", command]
    with contextlib.ExitStack() as stack:
        output = stack.enter_context(open(log, "wb")) if log else None
        process = subprocess.Popen(line, env={**os.environ, **more}, stdout=output)
        while True:
            try:
                status = process.wait()
                return 128 - status if status < 0 else status
            except KeyboardInterrupt:
                continue  # the stage says what it has to say about it


def main(argv: Optional[Sequence[str]] = None) -> int:
    parser = argparse.ArgumentParser(prog="python3 -m common.make.stage", description="The shell of a stage's line.")
    parser.add_argument("--build", required=True, help="the build folder")
    parser.add_argument("--out", required=True, help="the file in it that stands for the finished stage")
    parser.add_argument("--need", action="append", default=[], help="a file in it that the stage reads")
    parser.add_argument("--kind", action="append", default=[], choices=KINDS, help="; ".join(
        f"{kind}: {text}" for kind, text in KINDS.items()))
    parser.add_argument("name", metavar="NAME")
    parser.add_argument("command", metavar="COMMAND")
    args = parser.parse_args(argv)
    build = Path(args.build)
    return run(build, args.name, args.command, build / args.out, args.need, args.kind)


if __name__ == "__main__":
    errors.run(main)
