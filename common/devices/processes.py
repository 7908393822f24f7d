"""The tool running for every device, side by side; no process outlives the one that started it."""
from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from typing import Any, Callable, Dict, Iterator, List, Optional, Sequence, Set, Tuple

from common.base import settings
from common.base.errors import UserError
from common.base.journal import Journal, stamp
from common.devices.tool import Device, Tool, link_all
from common.engines import engine
from common.infer import offline

FINISHED = {"required": ["id", "state", "seconds"], "properties": {"id": {"type": "string"},
                                                                  "seconds": {"type": "number", "minimum": 0}}}
"""The schema of a device that has finished, in the journal."""
LOG_LINES = 10
"""How much of its log is shown of a device that failed."""
PR_SET_PDEATHSIG = 1


def share_out(cores: Sequence[int], count: int) -> List[Set[int]]:
    """`count` sets of cores, of equal size or one more, in order; every set is all of them where there are fewer."""
    if len(cores) < count:
        return [set(cores) for _ in range(count)]
    edges = [len(cores) * place // count for place in range(count + 1)]
    return [set(cores[low:high]) for low, high in zip(edges, edges[1:])]


class Process:
    """The tool, running for one device; its output goes to the log. cores: those that it may use, None for all."""

    def __init__(self, tool: Tool, device: Device, cores: Optional[Set[int]], threads: Optional[int]):
        self.device, self.begin = device, time.monotonic()
        self.seconds = 0.0
        more = {"PYTHONUNBUFFERED": "1"}  # a log without what was said last explains nothing
        if threads:
            more["THREADS"] = str(threads)
        line = tool.line(device)
        with open(tool.log(device), "wb") as log:
            try:
                self.popen = subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                                              env={**os.environ, **more}, start_new_session=True,
                                              preexec_fn=_starter(os.getpid(), cores))
            except OSError as error:
                raise UserError(f"{line[0]}: cannot be run: {error.strerror}") from error

    def ended(self) -> bool:
        """Whether it has ended; `seconds` is then how long it ran."""
        if self.popen.poll() is None:
            return False
        self.seconds = self.seconds or time.monotonic() - self.begin
        return True

    def end(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.popen.pid, number)  # a tool may be a script that has started another


@contextmanager
def _held() -> Iterator[None]:
    """A signal that would end this process comes when the block has ended, so that what was just started is known."""
    came: List[int] = []
    kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    caught = [number for number, handler in kept.items() if handler is not signal.SIG_IGN]  # what is ignored stays so
    for number in caught:
        signal.signal(number, lambda number, frame: came.append(number))
    try:
        yield
    finally:
        for number in caught:
            signal.signal(number, kept[number])
        if came:
            os.kill(os.getpid(), came[0])


def _starter(parent: int, cores: Optional[Set[int]]) -> Callable[[], None]:
    """What a new process does before it becomes the tool: takes its cores, and dies when `parent` does."""
    library = ctypes.CDLL(None) if sys.platform == "linux" else None

    def start() -> None:
        if cores:
            os.sched_setaffinity(0, cores)
        if library:
            library.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)
    return start


def run(tool: Tool, devices: Sequence[Device]) -> None:
    """Run the tool for every device, side by side, and wait for all. No process outlives this one.

    With RESUME=1 the stand-ins go on where they were stopped, and a real tool runs for the devices that have not
    finished. Raises `UserError` when a device failed, after the others have finished.
    """
    model = next((word.partition("=")[2] or word for word in tool.command if word.endswith(".om")), "")
    journal = Journal(tool.home / "finished.json",
                      {"command": tool.command, "model": stamp(model) if os.path.isfile(model) else model}, FINISHED)
    if not offline.resuming():
        journal.finished.clear()
    if tool.home.is_dir() and any(tool.home.iterdir()) and not journal.existed:
        raise UserError(f"{tool.home}: is there and no earlier run left it; parts and logs of the devices go there, so move it "
                        "or give another folder")
    failed: Dict[int, str] = {}
    running: List[Process] = []
    cores, threads = _cores(tool, len(devices))
    tool.home.mkdir(parents=True, exist_ok=True)
    journal.begin()
    before = tool.merged()
    if before and before.is_dir():  # a run that fails leaves nothing that looks merged
        link_all(before, {})
        for path in (tool.record(before), tool.summary(before)):
            if path.is_file():
                path.unlink()
    previous = signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        for device, own in zip(devices, cores):
            if not tool.standin and journal.finished.get(str(device.id), {}).get("state") == _state(tool, device):
                print(f"devices: device {device.id} had finished before", flush=True)
                continue
            if not (tool.standin and offline.resuming()):
                tool.clear(device)
            with _held():
                running.append(Process(tool, device, own, threads))
        waiting = list(running)
        while waiting:
            time.sleep(0.02)
            for process in [each for each in waiting if each.ended()]:
                waiting.remove(process)
                device, reason = process.device, failure(tool, process)
                if reason:
                    failed[device.id] = reason
                else:
                    journal.add(str(device.id), {"state": _state(tool, device), "seconds": process.seconds})
                print(f"devices: device {device.id} {reason or f'has finished its {len(device.samples)} samples'}"
                      f" ({len(running) - len(waiting)} of {len(running)})", flush=True)
    finally:
        _end(running)
        journal.close()
        signal.signal(signal.SIGTERM, previous)
    if failed:
        bad = [device for device in devices if device.id in failed]
        for device in bad:
            print(f"the end of {tool.log(device)}:", file=sys.stderr)
            for line in tool.log(device).read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_LINES:]:
                print(f"  {line}", file=sys.stderr)
        raise UserError("; ".join(f"device {each.id} {failed[each.id]} (log: {tool.log(each)})" for each in bad)
                        + "; what was finished is kept, RESUME=1 does only what is missing")
    journal.complete([str(device.id) for device in devices])


def _state(tool: Tool, device: Device) -> Any:
    """A finished part: its inputs as they are now and its result files with their sizes."""
    return json.loads(json.dumps([
        [[path, stamp(path)] for sample in device.samples for path in sample],
        [[str(path), stamp(path)] for paths in tool.results(device) for path in paths]]))


def _cores(tool: Tool, count: int) -> Tuple[List[Optional[Set[int]]], Optional[int]]:
    """Each device's cores and number of threads where the CPU computes; else none, the devices have their own."""
    if not tool.standin or engine.device_name() not in engine.ON_CPU:
        return [None] * count, None
    if not hasattr(os, "sched_setaffinity"):
        return [None] * count, max(1, settings.thread_count() // count)
    cores = sorted(os.sched_getaffinity(0))
    sets = share_out(cores, count)
    few = len(cores) < count
    print("devices: on the CPU an id only names a part; "
          + (f"{len(cores)} core{'' if len(cores) == 1 else 's'} for {count} parts, so all share them, a thread each"
             if few else "cores " + " | ".join(",".join(map(str, sorted(own))) for own in sets)), flush=True)
    return list(sets), 1 if few else min(settings.thread_count(), min(map(len, sets)))


def _end(processes: Sequence[Process]) -> None:
    """End what still runs, at once; what has not ended after five seconds is killed."""
    left = [process for process in processes if not process.ended()]
    if not left:
        return
    kept = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
    for process in left:
        process.end(signal.SIGTERM)
    for process in left:
        with suppress(subprocess.TimeoutExpired):
            process.popen.wait(5)
        process.end(signal.SIGKILL)
        process.popen.wait()
    for number, handler in kept.items():
        signal.signal(number, handler)


def failure(tool: Tool, process: Process) -> Optional[str]:
    """Why a process that has ended did not do its part, else None. msame's status is 0 whatever happened."""
    status, device = process.popen.returncode, process.device
    if status < 0:
        return f"was ended by {signal.Signals(-status).name}"
    if status:
        return f"ended with status {status}"
    if tool.name == "msame":
        for line in tool.log(device).read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("[ERROR]"):
                return f"said `{line}`"
    missing = [sample[0] for sample, paths in zip(device.samples, tool.results(device)) if not paths]
    if missing:
        return f"left no result for {len(missing)} of its {len(device.samples)} samples, the first {missing[0]}"
    return None
