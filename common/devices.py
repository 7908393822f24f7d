"""One dataset over several devices: `python3 -m common.devices 0,1,2,3 -- COMMAND LINE OF THE TOOL`.

The tool is benchmark, msame or ais_infer (ais_bench), the real one or its stand-in; it runs once per device, side by
side, each on a part of the dataset. On the CPU an id only names a part, and the parts share out the cores. Parts are
cut between whole batches, so that every batch holds the samples that it would hold on one device.

Each device's files stay as the tool left them, and all are merged in one place:
  benchmark         result/dumpOutput_device<id> and its performance file
                    merged: result/dumpOutput_devices, result/devices.json
  msame, ais_infer  <output>/devices/device<id>/
                    merged: <output>/<folder>, named as the tool names it, and beside it <folder>_onnxruntime.json (of a
                    real tool <folder>_devices.json), with ais_infer <folder>_summary.json too
Lists, links and logs are in result/devices or <output>/devices.
"""
from __future__ import annotations

import argparse
import ctypes
import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence, Set, Tuple

from common import ais_infer, benchmark, engine, errors, facts, files, msame, offline, perf, pictures
from common.errors import UserError
from common.journal import Journal, stamp

HIGHEST = 255
LOG_LINES = 10
"""How much of its log is shown of a device that failed."""
PR_SET_PDEATHSIG = 1
DEFINITIONS = {
    "samples_per_s": "sum of the devices' samples per second, each of device compute alone on its part",
    "end_to_end_s": "the longest of the devices' end-to-end times; they run side by side",
    "compute_ms": "device compute of one whole batch, milliseconds, over the batches of all devices",
    "peak_memory_bytes": "sum of the largest resident memory of each device's process",
}


def parse(text: str) -> List[int]:
    """The device ids of `0,1,2,3`: whole numbers from 0 to 255, all different. Raises `UserError` for anything else."""
    words = [word.strip() for word in text.split(",")]
    if not all(re.fullmatch(r"\d+", word, re.ASCII) and int(word) <= HIGHEST for word in words):
        raise UserError(f"DEVICES={text}: expected device ids from 0 to {HIGHEST} with commas between them, such as "
                        "0,1,2,3")
    ids = [int(word) for word in words]
    twice = [str(each) for each, count in Counter(ids).items() if count > 1]
    if twice:
        raise UserError(f"DEVICES={text}: names device {twice[0]} more than once")
    return ids


class Device(NamedTuple):
    """One device's part. samples: the files of each, one per model input; first: the number of the first of them."""

    id: int
    first: int
    samples: Sequence[Tuple[str, ...]]

    @property
    def name(self) -> str:
        return f"device{self.id}"


def cut(count: int, batch: int, ids: Sequence[int]) -> List[Tuple[int, int]]:
    """The first sample of each part and the one after its last: whole batches, evenly, the last one's tail apart.

    Raises `UserError` when there are fewer batches than devices.
    """
    batches = -(-count // batch)
    if batches < len(ids):
        made = f", {batches} batch{'' if batches == 1 else 'es'} of {batch}" if batch > 1 else ""
        raise UserError(f"too few samples for {len(ids)} devices: {count}{made}; fewer devices will do: "
                        f"DEVICES={','.join(map(str, ids[:batches]))}")
    edges = [min(count, batch * (batches * place // len(ids))) for place in range(len(ids) + 1)]
    return list(zip(edges, edges[1:]))


def option(command: Sequence[str], *names: str) -> Optional[str]:
    """The value of an option under any of its names, `name=value` or `name value`; None where it is not given."""
    found = None
    for place, word in enumerate(command):
        name, sign, value = word.partition("=")
        if name in names:
            found = value if sign else "".join(command[place + 1:place + 2])
    return found


def without(command: Sequence[str], *names: str) -> List[str]:
    """The command line without these options and their values."""
    words, kept = iter(command), []
    for word in words:
        if word.partition("=")[0] not in names:
            kept.append(word)
        elif "=" not in word:
            next(words, None)
    return kept


def link_all(folder: Path, targets: Mapping[str, Path]) -> None:
    """Make `folder` hold relative links to these files, and no other file."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        if path.is_symlink() or path.is_file():
            path.unlink()
    here = os.path.realpath(folder)
    for name, target in targets.items():
        os.symlink(os.path.relpath(os.path.realpath(target), here), folder / name)


def by_stem(folder: Path, separator: str) -> Dict[str, List[Path]]:
    """The result files `<stem><separator><number>.<suffix>` of a folder by stem, in the order of their numbers."""
    found: Dict[str, List[Tuple[int, Path]]] = {}
    for path in folder.iterdir() if folder.is_dir() else ():
        stem, _, number = path.stem.rpartition(separator)
        if number.isdigit() and not path.name.startswith("."):
            found.setdefault(stem, []).append((int(number), path))
    return {stem: [path for _, path in sorted(paths)] for stem, paths in found.items()}


class Tool:
    """A tool's command line: what it reads, its line for one device, and what it leaves. home: for logs and parts."""

    name: str
    home: Path
    batch: int
    samples: List[Tuple[str, ...]]

    def __init__(self, command: Sequence[str]):
        self.command = list(command)
        self.standin = any(word.startswith("common.") for word in command[:3])

    def stem(self, sample: Tuple[str, ...]) -> str:
        """What the names of a sample's result files begin with."""
        raise NotImplementedError

    def clear(self, device: Device) -> None:
        """Remove what an earlier run of this device left, which the tool itself may not."""
        raise NotImplementedError

    def line(self, device: Device) -> List[str]:
        """Write the device's part; gives the command line that runs it."""
        raise NotImplementedError

    def results(self, device: Device) -> List[List[Path]]:
        """The result files of each sample of the part; an empty list for one that has none."""
        raise NotImplementedError

    def performance(self, device: Device) -> Tuple[Path, Path]:
        """The performance file that the tool left for the device, and a stand-in's own record."""
        raise NotImplementedError

    def folder(self, device: Device) -> Path:
        """Where the tool left the device's results."""
        raise NotImplementedError

    def merged(self, device: Optional[Device] = None) -> Optional[Path]:
        """The folder that all results are linked in. None where its name is known of a `device` that has ended only."""
        raise NotImplementedError

    def record(self, folder: Path) -> Path:
        """The record that goes with a merged folder."""
        raise NotImplementedError

    def summary(self, folder: Path) -> Path:
        """The summary beside a result folder, which ais_infer alone leaves."""
        return folder.with_name(f"{folder.name}_summary.json")

    def summarise(self, folder: Path, listed: Mapping[str, Any], record: Mapping[str, Any]) -> Optional[Path]:
        """Write the summary over all devices, where the tool leaves one."""
        return None

    def log(self, device: Device) -> Path:
        return self.home / f"{device.name}.log"

    def refuse_collisions(self) -> None:
        owner: Dict[str, Tuple[str, ...]] = {}
        for sample in self.samples:
            other = owner.setdefault(self.stem(sample), sample)
            if other is not sample:
                raise UserError(f"{other[0]} and {sample[0]} have results of the same name; rename one")


class Benchmark(Tool):
    name = "benchmark"
    home = Path("result/devices")

    def __init__(self, command: Sequence[str]):
        super().__init__(command)
        info = option(command, "-input_text_path")
        if info is None:
            raise UserError("benchmark without -input_text_path is pure inference, which measures one device; run it "
                            "without DEVICES")
        batch = option(command, "-batch_size") or "1"
        if not re.fullmatch("[1-9][0-9]*", batch):
            raise UserError(f"-batch_size={batch}: expected a number of at least 1")
        self.batch = int(batch)
        path = files.existing_file(info, "the .info list of get_info or gen_dataset_info")
        self._lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        indices = [line.partition(" ")[0] for line in self._lines]
        self._inputs = max(1, len(list(itertools.takewhile(lambda index: index == indices[0], indices))))
        self.samples = benchmark.read_info(path, self._inputs, pictures.limit())

    def stem(self, sample: Tuple[str, ...]) -> str:
        return Path(sample[0]).stem

    def folder(self, device: Device) -> Path:
        return Path(f"result/dumpOutput_{device.name}")

    def clear(self, device: Device) -> None:
        for path in [*self.folder(device).glob("*"), *self.performance(device)]:
            if path.is_file():
                path.unlink()

    def line(self, device: Device) -> List[str]:
        part = self.home / f"{device.name}.info"
        lines = [f"{number // self._inputs} {self._lines[device.first * self._inputs + number].partition(' ')[2]}\n"
                 for number in range(len(device.samples) * self._inputs)]
        files.write_text(part, "".join(lines))
        return [*without(self.command, "-input_text_path", "-device_id"), f"-input_text_path={part}",
                f"-device_id={device.id}"]

    def results(self, device: Device) -> List[List[Path]]:
        found = by_stem(self.folder(device), "_")
        return [found.get(self.stem(sample), []) for sample in device.samples]

    def performance(self, device: Device) -> Tuple[Path, Path]:
        kind = option(self.command, "-model_type") or "vision"
        ending = f"batchsize_{self.batch}_device_{device.id}"
        return Path(f"result/perf_{kind}_{ending}.txt"), Path(f"result/onnxruntime_{ending}.json")

    def merged(self, device: Optional[Device] = None) -> Path:
        return Path("result/dumpOutput_devices")

    def record(self, folder: Path) -> Path:
        return Path("result/devices.json")


class Folders(Tool):
    """What msame and ais_infer have in common: input folders, one per model input, and a result folder."""

    _said: str
    """How the tool's log names its result folder."""
    _devices: Tuple[str, ...] = ("--device",)

    def __init__(self, command: Sequence[str]):
        super().__init__(command)
        text, output = option(command, "--input", "-i"), option(command, "--output", "-o")
        if text is None:
            raise UserError(f"{self.name} without --input is pure inference, which measures one device; run it without "
                            "DEVICES")
        if not output:
            raise UserError(f"{self.name}: --output is missing; results of several devices are merged there")
        self.output = Path(output)
        self.home = self.output / "devices"
        names = [name.strip() for name in text.split(",")]
        odd = next((name for name in names if not os.path.isdir(name)), None)
        if odd is not None:
            what = "is a file: one sample cannot be divided; leave DEVICES out" if os.path.isfile(odd) else \
                "expected a folder with the samples there, found nothing"
            raise UserError(f"{odd}: {what}")
        self.samples = self._list(names)

    def _list(self, names: Sequence[str]) -> List[Tuple[str, ...]]:
        raise NotImplementedError

    def _own(self, device: Device) -> Path:
        return self.home / device.name

    def clear(self, device: Device) -> None:
        shutil.rmtree(self._own(device), ignore_errors=True)

    def line(self, device: Device) -> List[str]:
        own = self._own(device)
        parts = [own / f"input{place}" for place in range(len(device.samples[0]))]
        for part, column in zip(parts, zip(*device.samples)):
            link_all(part, {os.path.basename(path): Path(path) for path in column})
        words = without(self.command, "--input", "-i", "--output", "-o", *self._devices)
        return [*words, f"--input={','.join(map(str, parts))}", f"--output={own}", f"--device={device.id}"]

    def folder(self, device: Device) -> Path:
        # its log tells the name, which is a date unless --output_dirname gives one
        text = self.log(device).read_text(encoding="utf-8", errors="replace") if self.log(device).is_file() else ""
        found = re.findall(self._said.format(re.escape(str(self._own(device)))), text, re.MULTILINE)
        return self._own(device) / (found[-1] if found else "none")

    def merged(self, device: Optional[Device] = None) -> Optional[Path]:
        name = self.folder(device).name if device else option(self.command, "--output_dirname")
        return self.output / name if name else None

    def record(self, folder: Path) -> Path:
        return Path(offline.beside(str(folder)) if self.standin else f"{folder}_devices.json")


class Msame(Folders):
    name = "msame"
    _said = r"^{}/+([^/\n]+)$"

    def __init__(self, command: Sequence[str]):
        super().__init__(command)
        self.batch = 1  # a file is a whole batch

    def _list(self, names: Sequence[str]) -> List[Tuple[str, ...]]:
        return [tuple(os.path.join(name, entry) for name in names)
                for entry in msame.entries(names[0])[:pictures.limit()]]

    def stem(self, sample: Tuple[str, ...]) -> str:
        return os.path.splitext(os.path.basename(sample[0]))[0]

    def results(self, device: Device) -> List[List[Path]]:
        found = by_stem(self.folder(device), "_output_")
        return [found.get(self.stem(sample), []) for sample in device.samples]

    def performance(self, device: Device) -> Tuple[Path, Path]:
        return self.log(device), Path(offline.beside(str(self.folder(device))))


class AisInfer(Folders):
    name = "ais_infer"
    _said = r"output path:{}/+([^/\n]+?)/?$"
    _devices = ("--device", "--device_id", "-d")

    def __init__(self, command: Sequence[str]):
        super().__init__(command)
        batch = option(command, "--batchsize") or option(command, "--dymBatch") or ""
        if not re.fullmatch("[1-9][0-9]*", batch):
            raise UserError("ais_infer: give --batchsize, the model's batch, so that no batch is cut in two; found "
                            f"{batch or 'none'}")
        self.batch = int(batch)

    def _list(self, names: Sequence[str]) -> List[Tuple[str, ...]]:
        return ais_infer.list_inputs(",".join(names), len(names), pictures.limit())

    def stem(self, sample: Tuple[str, ...]) -> str:
        return os.path.basename(sample[0]).split(".")[0]

    def _read(self, device: Device) -> Tuple[Path, Mapping[str, Any]]:
        folder = self.folder(device)
        inside = folder / "sumary.json"
        path = inside if inside.is_file() else self.summary(folder)
        return path, files.read_json(path) if path.is_file() else {"filesinfo": {}}

    def results(self, device: Device) -> List[List[Path]]:
        listed = self._read(device)[1]["filesinfo"]
        named = [listed.get(str(place), {}).get("outfiles", []) for place in range(len(device.samples))]
        return [[Path(name) for name in names if Path(name).is_file()] for names in named]

    def performance(self, device: Device) -> Tuple[Path, Path]:
        return self._read(device)[0], Path(offline.beside(str(self.folder(device))))

    def summarise(self, folder: Path, listed: Mapping[str, Any], record: Mapping[str, Any]) -> Path:
        """As ais_infer's, with the devices' ids and the batch.

        The copies' times, of which it keeps no list, are left out; of a generation that keeps none of its compute times
        either, median and 99th percentile too.
        """
        names = {"p99": "percentile(99%)"}
        compute = {names.get(key, key): value for key, value in record["compute_ms"].items()}
        path = self.summary(folder)
        files.write_text(path, json.dumps({
            "filesinfo": listed, "args": self.command, "NPU_compute_time": compute,
            "throughput": record["samples_per_s"], "batch": self.batch,
            "devices": [each["device"] for each in record["devices"]]}))
        return path


def recognise(command: Sequence[str]) -> Tool:
    """The tool that a command line runs, by its flags and its name. Raises `UserError` for none that is known."""
    if any(word.startswith(("-om_path", "-input_text_path")) for word in command):
        return Benchmark(command)
    for word in command[:3]:
        match = re.search(r"msame|ais_infer|ais_bench", os.path.basename(word))
        if match:
            return (Msame if match[0] == "msame" else AisInfer)(command)
    raise UserError(f"{' '.join(command[:3]) or 'no command'}: expected a command line of benchmark, msame or "
                    "ais_infer (ais_bench)")


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
                      {"command": tool.command, "model": stamp(model) if os.path.isfile(model) else model})
    if not offline.resuming():
        journal.finished.clear()
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
        [[str(path), os.path.getsize(path)] for paths in tool.results(device) for path in paths]]))


def _cores(tool: Tool, count: int) -> Tuple[List[Optional[Set[int]]], Optional[int]]:
    """Each device's cores and number of threads where the CPU computes; else none, the devices have their own."""
    if not tool.standin or engine.device_name() not in ("cpu", "openvino"):
        return [None] * count, None
    if not hasattr(os, "sched_setaffinity"):
        return [None] * count, max(1, engine.thread_count() // count)
    cores = sorted(os.sched_getaffinity(0))
    sets = share_out(cores, count)
    few = len(cores) < count
    print("devices: on the CPU an id only names a part; "
          + (f"{len(cores)} core{'' if len(cores) == 1 else 's'} for {count} parts, so all share them, a thread each"
             if few else "cores " + " | ".join(",".join(map(str, sorted(own))) for own in sets)), flush=True)
    return list(sets), 1 if few else min(engine.thread_count(), min(map(len, sets)))


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


def measured(tool: Tool, device: Device, seconds: float) -> Tuple[Dict[str, Any], List[float], Mapping[str, Any]]:
    """One device's figures, its runs of a batch in ms as far as they are told, and what is said of all in its record.

    seconds: that its process ran, which stands for the end-to-end time where the tool tells none.
    """
    file, record = tool.performance(device)
    if tool.standin:
        made = files.read_json(record)
        batches = offline.batches_of(made["samples"])
        by = made["provenance"]
        keys = ("sample_count", "compute_ms", "samples_per_s", "end_to_end_s", "end_to_end_samples_per_s",
                "peak_memory_bytes")
        return ({"device": device.id, "name": by["device"], "threads": by["threads"],
                 **{key: made[key] for key in keys}}, offline.compute_of(batches, cold=False), made)
    found = perf.read(file, tool.batch)
    if found.mean_ms is None or found.samples_per_s is None:
        raise UserError(f"{file}: does not tell the device's speed")
    compute = {key: getattr(found, f"{key}_ms") for key in ("mean", "median", "p99", "min", "max")
               if getattr(found, f"{key}_ms") is not None}
    end_to_end = found.details["e2e latency"] / 1000 if "e2e latency" in found.details else seconds
    times = files.read_json(file).get("npu_compute_time_list", []) if isinstance(tool, AisInfer) else []
    return ({"device": device.id, "name": f"NPU {device.id}", "sample_count": len(device.samples),
             "compute_ms": compute, "samples_per_s": found.samples_per_s, "end_to_end_s": end_to_end,
             "end_to_end_samples_per_s": len(device.samples) / end_to_end}, times, {})


def merge(tool: Tool, devices: Sequence[Device]) -> Dict[str, Any]:
    """Link all results in one folder and write the record over all devices, last of all. Gives the record.

    It is that of one device (`common.offline`), with the figures of `DEFINITIONS` and, under `devices`, each one's.
    Of the tools on an NPU, compute_ms holds what all of them tell.
    """
    ran = {entry["id"]: entry for entry in files.read_json(tool.home / "finished.json")["samples"]}
    found = [measured(tool, device, ran[str(device.id)]["seconds"]) for device in devices]
    each = [figures for figures, _, _ in found]
    folder = tool.merged(devices[0])
    assert folder is not None
    links: Dict[str, Path] = {}
    listed: Dict[str, Any] = {}
    for device in devices:
        for place, (sample, paths) in enumerate(zip(device.samples, tool.results(device)), device.first):
            # ais_infer's only numbered results of 2022-07 begin at 0 on each device
            names = [re.sub(r"^(input|sample_id_)\d+(?=_output_\d)", rf"\g<1>{place}", one.name) if isinstance(
                tool, AisInfer) and (one.parent / "sumary.json").is_file() else one.name for one in paths]
            links.update(zip(names, paths))
            listed[str(place)] = {"infiles": list(sample), "outfiles": [str(folder / name) for name in names]}
    link_all(folder, links)

    count = sum(one["sample_count"] for one in each)
    longest = max(one["end_to_end_s"] for one in each)
    first = found[0][2]
    record: Dict[str, Any] = {
        "tool": tool.name, "provenance": together(tool, each, [made for _, _, made in found]),
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "command": ["python3", "-m", "common.devices", ",".join(str(device.id) for device in devices), "--",
                    *tool.command], "batch": first.get("batch", tool.batch),
        "sample_count": count, "compute_ms": compute([(figures, times) for figures, times, _ in found], tool.batch),
        "samples_per_s": sum(one["samples_per_s"] for one in each), "end_to_end_s": longest,
        "end_to_end_samples_per_s": count / longest,
        "definitions": {**(first.get("definitions") or {
            "end_to_end_samples_per_s": "sample_count / end_to_end_s; a device's time is the tool's own, and where it "
                                        "tells none its process's, with starting and loading"}), **DEFINITIONS}}
    if tool.standin:
        record.update(warm_up_runs=max(made["warm_up_runs"] for _, _, made in found),
                      peak_memory_bytes=sum(one["peak_memory_bytes"] for one in each))
    record["devices"] = each
    summary = tool.summarise(folder, listed, record)
    record["performance_file"] = summary and {"file": summary.name, "sha256": files.sha256(summary)}
    files.write_json(tool.record(folder), record)
    return record


def named(each: Sequence[Mapping[str, Any]]) -> Dict[str, str]:
    """All devices in words, as a provenance has them: `{"device": "2 devices: AMD EPYC (0, 1)"}`."""
    names = list(dict.fromkeys(one["name"] for one in each))
    ids = ", ".join(str(one["device"]) for one in each)
    words = f"{names[0]} ({ids})" if len(names) == 1 else ", ".join(one["name"] for one in each)
    return {"device": f"{len(each)} device{'' if len(each) == 1 else 's'}: {words}"}


def together(tool: Tool, each: Sequence[Mapping[str, Any]], records: Sequence[Mapping[str, Any]]) -> Dict[str, Any]:
    """The provenance of a merged record."""
    if tool.standin:
        return {**records[0]["provenance"], **named(each), "threads": sum(one["threads"] for one in each)}
    model = next((word.partition("=")[2] or word for word in tool.command if word.endswith(".om")), "")
    return {"backend": "npu", **named(each), "model": model,
            "model_sha256": files.sha256(model) if os.path.isfile(model) else None}


def compute(found: Sequence[Tuple[Mapping[str, Any], Sequence[float]]], batch: int) -> Dict[str, float]:
    """Device compute over the batches of all devices: of every run, or where these are not told the mean and extremes.

    found: each device's figures and its runs.
    """
    if all(times for _, times in found):
        return perf.summarise([value for _, times in found for value in times])
    weights = [-(-one["sample_count"] // batch) for one, _ in found]
    parts = [one["compute_ms"] for one, _ in found]
    made = {"mean": sum(part["mean"] * weight for part, weight in zip(parts, weights)) / sum(weights)}
    for key, chosen in (("min", min), ("max", max)):
        if all(key in part for part in parts):
            made[key] = chosen(part[key] for part in parts)
    return made


def lines(record: Mapping[str, Any], references: Sequence[facts.Reference] = ()) -> List[str]:
    """The table for the terminal: a line per device, and all together; then the reference's throughput."""
    head = ("device", "samples", "samples/s", "end to end/s")
    body = [(str(name), str(one["sample_count"]), *(f"{one[key]:.2f}" for key in ("samples_per_s",
                                                                                 "end_to_end_samples_per_s")))
            for name, one in [*((one["device"], one) for one in record["devices"]), ("together", record)]]
    widths = [max(map(len, column)) for column in zip(head, *body)]
    by = record["provenance"]
    who = "npu" if by["backend"] == "npu" else f"{by['backend']}, no NPU figure"
    return [*("  ".join(cell.rjust(width) for cell, width in zip(row, widths)) for row in (head, *body)),
            f"  by {who}: {by['device']}; together: samples/s is the sum, end to end all samples over the longest time",
            *(f"  reference {one.device}, batch {one.batch}: {one.value:.6g} {one.unit} ({one.definition})"
              for one in references if one.quantity == "throughput" and one.batch == record["batch"])]


def main(argv: Optional[Sequence[str]] = None) -> None:
    words = sys.argv[1:] if argv is None else list(argv)
    split = words.index("--") if "--" in words else len(words)
    parser = argparse.ArgumentParser(
        prog="python3 -m common.devices", usage="%(prog)s [--model FOLDER] IDS -- COMMAND...",
        description="Run benchmark, msame or ais_infer (ais_bench), or the stand-in of one, on several devices, each "
        "with a part of the dataset, and merge results and performance.",
        epilog="On the CPU the parts share out the cores. LIMIT=N takes the first N samples; RESUME=1 keeps what an "
        "earlier run finished.")
    parser.add_argument("devices", metavar="IDS", help="device ids with commas between them: 0,1,2,3")
    parser.add_argument("--model", metavar="FOLDER", help="a model's folder: print its reference's throughput too")
    args = parser.parse_args(words[:split])
    if split == len(words):
        parser.error("the tool's command line is missing: IDS -- COMMAND...")
    ids = parse(args.devices)
    references = facts.load(args.model).references if args.model else ()
    tool = recognise(words[split + 1:])
    tool.refuse_collisions()
    devices = [Device(each, low, tool.samples[low:high])
               for each, (low, high) in zip(ids, cut(len(tool.samples), tool.batch, ids))]
    run(tool, devices)
    print("\n".join(lines(merge(tool, devices), references)))


if __name__ == "__main__":
    errors.run(main)
