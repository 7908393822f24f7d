"""What the stand-ins for benchmark, msame and ais_infer share: batches, outputs, timings, resuming, the record.

Samples are read, run and written one batch at a time, so memory does not grow with the dataset. Each run leaves a
record (JSON) beside the tool's own files: it marks completion and says what was measured, by which engine and on what.
"""
from __future__ import annotations

import argparse
import itertools
import math
import os
import resource
import sys
import time
from contextlib import suppress
from datetime import datetime, timezone
from typing import Any, Callable, Dict, Iterable, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from common.base import files, json_files, progress, settings, uses
from common.base.errors import UserError
from common.base.journal import Journal, stamp
from common.data import result_files
from common.engines import engine, timing

EPILOG = (f"Environment: {engine.ENVIRONMENT} LIMIT=N takes the first N samples; RESUME=1 keeps what an earlier run "
          "with the same model and settings finished, instead of running everything anew, and removes results of "
          "samples that are no longer asked for.")
DEFINITIONS = {
    "sample_count": "samples of the dataset (rows of the model's batch dimension, padding not counted); without a "
                    "dataset, batch times runs",
    "compute_ms": "device compute of one whole batch, milliseconds; warm-up runs are left out, and without "
                            "any the first run is, where there are more",
    "samples_per_s": "1000 * batch / compute_ms.mean: samples per second of device compute on one "
                          "device of the engine that stood in",
    "end_to_end_s": "sum over the samples of their share of the time from reading a batch to its last output "
                          "file; loading the model, warming up and runs repeated by --loop are left out",
    "end_to_end_samples_per_s": "sample_count / end_to_end_s",
    "peak_memory_bytes": "largest resident memory of the process",
}
FIRST = 4
"""Batches that DEVICE=auto chooses by."""
OWN_SIZES = "; samples differ in size and each runs at its own"
"""What a definition of compute_ms ends with where that is so."""


SAMPLE = {"allOf": [{"$ref": "record.schema.json#/definitions/sample"}, {"required": ["outputs"], "properties": {
    "batch": {"required": ["files", "read_ms", "prepare_ms", "infer_ms", "h2d_ms", "d2h_ms", "write_ms", "total_ms"]}}}]}
"""The schema of a sample in a record, as one that is resumed has it."""


class Sample(NamedTuple):
    """One dataset entry: a name that no other has, its input files (one per model input), its output files.

    size: height and width, for a model that leaves them free (`is_free`).
    """

    name: str
    inputs: Tuple[str, ...]
    outputs: Tuple[str, ...]
    size: Tuple[int, ...] = ()


class Plan(NamedTuple):
    """How files fill a batch. shapes: the model's input shapes at this batch; file_bytes: of one file, per input.

    Both are empty where each sample has a size of its own: `fit` tells them for one.
    """

    batch: int
    files_per_batch: int
    shapes: Tuple[Tuple[int, ...], ...]
    file_bytes: Tuple[int, ...]


def parser(tool: str, description: str) -> argparse.ArgumentParser:
    """The command line that all stand-ins begin with."""
    return argparse.ArgumentParser(prog=f"python3 -m common.tools.{tool}", description=description, epilog=EPILOG,
                                   allow_abbrev=False)


def add_npu_only(arguments: argparse.ArgumentParser, flags: Sequence[str]) -> None:
    """Declare flags of the real tool that make sense on an NPU only."""
    for flag in flags:
        arguments.add_argument(flag, nargs="?", const="true", metavar="X", help="needs an NPU: refused here")


def refuse_npu_only(args: argparse.Namespace, flags: Sequence[str]) -> None:
    """Raise `UserError` for such a flag, unless it says false."""
    for flag in flags:
        if (getattr(args, flag.lstrip("-")) or "false").lower() not in ("false", "0", "no"):
            raise UserError(f"{flag}: needs an NPU, what stands in for it has nothing like it; leave it out")


def whole(low: int, high: Optional[int] = None) -> Callable[[str], int]:
    """An argparse type: a whole number from `low`, to `high` where that is given."""
    def number(text: str) -> int:
        try:
            return settings.number(text, "", low, settings.HIGHEST if high is None else high)
        except UserError as error:
            limits = f"in {low} to {high}" if high is not None else f"a whole number from {low}"
            raise argparse.ArgumentTypeError(f"must be {limits}, found {text[:40]}") from error
    return number


def boolean(text: str) -> bool:
    """An argparse type: the Ascend tools' yes and no, in either case."""
    if text.lower() not in ("yes", "true", "t", "y", "1", "no", "false", "f", "n", "0"):
        raise argparse.ArgumentTypeError(f"expected true or false, found {text}")
    return text.lower() in ("yes", "true", "t", "y", "1")


def announce(tool: str, session: engine.Engine) -> None:
    """The first line on stdout: who stands in for the tool."""
    print(f"[INFO] {session.backend} stands in for {tool}: {session.describe()}", flush=True)


def resuming() -> bool:
    """Whether `RESUME` of the environment asks to keep what an earlier run finished."""
    return os.environ.get("RESUME", "").strip() not in ("", "0")


def six_digits(value: float) -> str:
    """A number as C++ streams print it: six significant digits, `1.6119e+06`, `12059`, `0.0829254`."""
    return format(float(value), "g")


def is_free(session: engine.Engine) -> bool:
    """Whether the model has one input, [N, C, H, W], that leaves height and width free: each sample runs at its own."""
    shape = session.inputs[0].shape
    return len(session.inputs) == 1 and len(shape) == 4 and shape[1] is not None and shape[2:] == (None, None)


def fit(session: engine.Engine, layout: Plan, size: Sequence[int]) -> Plan:
    """The plan for samples of one size, height and width; without a size `layout` itself."""
    return plan(session, layout.batch, layout.files_per_batch, size) if size else layout


def of_sizes(session: engine.Engine, batch: int, files_per_batch: int, read: Callable[[], Sequence[Tuple[int, int]]],
             count: int) -> Tuple[Plan, Sequence[Tuple[int, ...]]]:
    """The plan and each of `count` samples' size: what `read` gives for a model that leaves it free, else none.

    Raises `UserError` as `plan` does.
    """
    if not is_free(session):
        return plan(session, batch, files_per_batch), [()] * count
    sizes = read()
    plan(session, batch, files_per_batch, sizes[0])
    return Plan(batch, files_per_batch, (), ()), sizes


def plan(session: engine.Engine, batch: int, files_per_batch: int, size: Sequence[int] = ()) -> Plan:
    """Fit the model to `batch` samples, filled by `files_per_batch` files per input.

    size: height and width, for a model that leaves them free.
    Raises `UserError` when the model's batch is fixed at another number, when a size other than the batch is free,
    and when the batch cannot be divided into that many files.
    """
    shapes = []
    for position, tensor in enumerate(session.inputs):
        sizes = (*tensor.shape[:2], *size) if size and is_free(session) else tensor.shape
        if None in sizes[1:]:
            raise UserError(f"{session.path}: input {tensor.name} has shape {_shape(tensor.shape)}, free beyond the "
                            "batch; export it with fixed sizes")
        fixed = sizes[0] if sizes else 1
        if position == 0 and fixed not in (None, batch):
            raise UserError(f"{session.path}: its batch is fixed at {fixed}, {batch} was asked for; export it with a "
                            f"dynamic batch, or ask for {fixed}")
        shapes.append(tuple(batch if length is None else length for length in sizes))
    lengths = [_bytes(shape, tensor) for shape, tensor in zip(shapes, session.inputs)]
    if batch % files_per_batch or any(length % files_per_batch for length in lengths):
        raise UserError(f"{session.path}: a batch of {batch} (inputs of {lengths} bytes) cannot be made of "
                        f"{files_per_batch} files")
    return Plan(batch, files_per_batch, tuple(shapes), tuple(length // files_per_batch for length in lengths))


def by_size(samples: Iterable[Any], size: Callable[[Any], Sequence[int]], step: int) -> List[List[Any]]:
    """Samples in groups of at most `step`, of one size each, those with the most pixels first.

    Their memory then holds whatever follows, and an engine that compiles for a shape does so once. Samples of one size
    stay in their order.
    """
    ordered = sorted(samples, key=lambda sample: (-math.prod(size(sample)), *size(sample)))
    alike = [list(group) for _, group in itertools.groupby(ordered, size)]
    return [group[start:start + step] for group in alike for start in range(0, len(group), step)]


def input_bytes(session: engine.Engine, batch: int) -> int:
    """Bytes of the first input at this batch; raises as `plan` does."""
    return plan(session, batch, 1).file_bytes[0]


def file_bytes(path: str, dtype: Any) -> int:
    """Bytes of the samples in a `.npy` file (its dtype must be the model's) or in any other, raw, file."""
    if path.lower().endswith(".npy"):
        array = _load_npy(path)
        if array.dtype != dtype:
            raise UserError(f"{path}: holds {array.dtype}, the model takes {dtype}")
        return array.nbytes
    return os.path.getsize(path)


def npy_shape(path: str) -> Tuple[int, ...]:
    """The shape of the array in a `.npy` file, from its header."""
    return tuple(_load_npy(path).shape)


def result_folder(output: str, name: str, recipe: Dict[str, Any]) -> str:
    """`<output>/<name>`; with RESUME=1 the newest result folder, where one of an earlier run can be gone on with."""
    if resuming():
        with suppress(UserError):
            latest = result_files.newest(output).name
            if Journal(beside(os.path.join(output, latest)), recipe).finished:
                return latest
    return name


def beside(folder: str) -> str:
    """Where the record of a result folder is: beside it, because consumers list what is inside."""
    return folder.rstrip("/") + "_onnxruntime.json"


def make_folder(path: str) -> None:
    """Create a folder with its parents. Raises `UserError` when it cannot be written to."""
    try:
        os.makedirs(path, exist_ok=True)
    except OSError as error:
        raise UserError(f"{path}: cannot be created: {error.strerror}") from error
    if not os.access(path, os.W_OK | os.X_OK):
        raise UserError(f"{path}: cannot be written to; check its permissions")


def recipe(tool: str, session: engine.Engine, batch: int, **settings: Any) -> Dict[str, Any]:
    """What outputs and timings depend on beside the samples."""
    return {"tool": tool, "code": uses.digest(), "model_sha256": session.sha256(), "batch": batch,
            session.backend: session.version,
            "provider": session.provider, "threads": session.threads, **({"kept": list(session.kept)} if session.kept else {}),
            **({"int8_sha256": session.int8_sha256} if session.int8_sha256 else {}), **settings}


def save_binary(path: str, array: Any) -> None:
    """Write an array's bytes, C order, atomically."""
    import numpy as np
    files.write_bytes(path, np.ascontiguousarray(array))


class Run:
    """One pass over a dataset: `for group in run.todo: write(group, infer(read(group)))`.

    save(path, array): writes one output of one sample. record: path of the record, None to leave none.
    axis: the outputs' batch dimension. growth: bytes on disk per byte of output, for the check of free space.
    fill: what samples without input files are made of: `zero`, or `random` bytes (seeded).
    """

    def __init__(self, session: engine.Engine, layout: Plan, samples: Sequence[Sample],
                 save: Callable[[str, Any], None], record: Optional[str], settings: Dict[str, Any], *,
                 axis: int = 0, growth: float = 1.0, fill: str = "zero"):
        if not samples:
            raise UserError("the dataset holds no sample; run the preprocess script first")
        self.session, self.layout, self.samples = session, layout, list(samples)
        self.warm_up_runs = 0
        self._save, self._axis, self._growth, self._fill = save, axis, growth, fill
        self._buffers: List[Any] = []
        self._space_checked = False
        self._refuse_collisions()
        self._inputs = {sample.name: self._stamps(sample) for sample in samples}
        for path in [*samples[0].outputs[:1], *([record] if record else [])]:
            make_folder(os.path.dirname(path) or ".")
            files.sweep(os.path.dirname(path) or ".")
        self._journal = Journal(record, settings, SAMPLE) if record else None
        self._finished: Dict[str, Dict[str, Any]] = self._journal.finished if self._journal else {}
        if self._journal and not resuming():
            self._finished.clear()
            with suppress(FileNotFoundError):
                self._journal.path.unlink()
        if self._journal and resuming():
            self._remove_strays()
        self.todo = by_size((sample for sample in samples if not self._is_finished(sample)), lambda sample: sample.size,
                            layout.files_per_batch)

    def _refuse_collisions(self) -> None:
        owner: Dict[str, Sample] = {}
        for sample in self.samples:
            for path in sample.outputs:
                other = owner.setdefault(path, sample)
                if other is not sample:
                    raise UserError(f"{', '.join(other.inputs)} and {', '.join(sample.inputs)} would both be written "
                                    f"to {path}; rename one")

    def _remove_strays(self) -> None:
        """With RESUME=1 the results of samples that are gone, go: those that the record of the earlier run names."""
        assert self._journal is not None
        kept = {os.path.abspath(path) for sample in self.samples for path in sample.outputs}
        folders = {os.path.dirname(path) for path in kept}
        for record in self._journal.left.values():
            if not json_files.fits(record, SAMPLE):
                continue
            for path, left in zip(record.get("files", []), record["outputs"]):
                place = os.path.abspath(path)  # only in the result folder, and as it was left
                if place not in kept and os.path.dirname(place) in folders and os.path.isfile(place) and \
                        stamp(place) == left:
                    os.unlink(place)

    def _stamps(self, sample: Sample) -> List[Any]:
        layout = fit(self.session, self.layout, sample.size)
        for path, expected, shape, tensor in zip(sample.inputs, layout.file_bytes, layout.shapes, self.session.inputs):
            files.existing_file(path, f"input {tensor.name} of sample {sample.name}")
            found = file_bytes(path, tensor.dtype)
            if found != expected:
                raise UserError(f"{path}: has {found} bytes, expected {expected}: {layout.files_per_batch} "
                                f"per batch of {_shape(shape)} {tensor.dtype}")
        return [[path, stamp(path)] for path in sample.inputs]

    def _is_finished(self, sample: Sample) -> bool:
        record = self._finished.get(sample.name)
        if record is None or record["inputs"] != self._inputs[sample.name]:
            return False
        return all(map(os.path.isfile, sample.outputs)) and [stamp(path) for path in sample.outputs] == record["outputs"]

    def warm_up(self, runs: int) -> None:
        """Run the first batch `runs` times; outputs and timings are thrown away."""
        if self.todo and runs:
            arrays = self.read(self.todo[0])
            for _ in range(runs):
                outputs = self.infer(arrays)
            self._check_space(self.todo[0], outputs)
            self.warm_up_runs = runs

    def progress(self, description: str) -> Iterable[Sequence[Sample]]:
        """`todo`, and how far it is."""
        return progress.progress(self.todo, description, unit="batch")

    def read(self, group: Sequence[Sample]) -> List[Any]:
        """The model's inputs for up to `files_per_batch` samples; free places are filled with the first of them."""
        import numpy as np
        self._timings: List[engine.Timing] = []
        self._infer_ms = 0.0
        self._repeats_ms = 0.0
        layout = fit(self.session, self.layout, group[0].size)
        if [buffer.size for buffer in self._buffers] != [size * layout.files_per_batch for size in layout.file_bytes]:
            self._buffers = [self._filled(np, size * layout.files_per_batch) for size in layout.file_bytes]
        self._begin = time.perf_counter()
        for position, (size, buffer) in enumerate(zip(layout.file_bytes, self._buffers)):
            for place, sample in enumerate(group):
                if sample.inputs:
                    _read_into(sample.inputs[position], buffer[place * size:(place + 1) * size])
        self._read_ms = max((time.perf_counter() - self._begin) * 1e3, 1e-6)  # rates are 1 / time
        for size, buffer in zip(layout.file_bytes, self._buffers):
            for place in range(len(group), layout.files_per_batch):
                buffer[place * size:(place + 1) * size] = buffer[:size]
        arrays = [buffer.view(tensor.dtype).reshape(shape) for buffer, tensor, shape
                  in zip(self._buffers, self.session.inputs, layout.shapes)]
        self._prepare_ms = max((time.perf_counter() - self._begin) * 1e3 - self._read_ms, 1e-6)
        return arrays

    def _filled(self, np: Any, count: int) -> Any:
        if self._fill == "random":
            return np.random.default_rng(0).integers(0, 256, count, np.uint8)
        return np.zeros(count, np.uint8)

    def infer(self, arrays: Sequence[Any]) -> List[Any]:
        """Run the batch once. Call it again on the same arrays to time it again."""
        start = time.perf_counter()
        outputs = self.session.run(arrays)
        end = time.perf_counter()
        self._infer_ms += (end - start) * 1e3
        if not self._timings:
            self._first_end = end
        self._repeats_ms = (end - self._first_end) * 1e3
        self._timings.append(self.session.timing)
        return outputs

    @property
    def compute_ms(self) -> float:
        """Device compute of the latest run, in milliseconds."""
        return self._timings[-1].compute

    def write(self, group: Sequence[Sample], outputs: Sequence[Any]) -> None:
        """Write each sample's part of the outputs, places that were filled up left out, and note the samples.

        Raises `UserError`, and writes nothing, when an output holds NaN or infinity.
        """
        start = time.perf_counter()
        if group[0].outputs:
            self._check_space(group, outputs)
            parts = [self._divide(output, tensor.name) for output, tensor in zip(outputs, self.session.outputs)]
            if self._fill == "zero":
                self._refuse_not_finite(group, parts)
            for place, sample in enumerate(group):
                for path, part in zip(sample.outputs, parts):
                    self._save(path, part[place])
        end = time.perf_counter()
        batch = {"id": time.time_ns(), "files": len(group), "read_ms": self._read_ms, "prepare_ms": self._prepare_ms,
                 "infer_ms": self._infer_ms, "compute_ms": [timing.compute for timing in self._timings],
                 "h2d_ms": [timing.h2d for timing in self._timings], "d2h_ms": [timing.d2h for timing in self._timings],
                 "write_ms": (end - start) * 1e3,
                 "total_ms": (end - self._begin) * 1e3 - (self._repeats_ms if group[0].inputs else 0),
                 "cold": not self.warm_up_runs and group is self.todo[0]}
        for sample in group:
            record = {"inputs": self._inputs[sample.name], "batch": batch,
                      "outputs": [stamp(path) for path in sample.outputs], "files": list(sample.outputs)}
            if self._journal:
                self._journal.add(sample.name, record)
            else:
                self._finished[sample.name] = record

    def _divide(self, output: Any, name: str) -> List[Any]:
        import numpy as np
        count = self.layout.files_per_batch
        if count == 1:
            return [output]
        if output.ndim <= self._axis or output.shape[self._axis] % count:
            raise UserError(f"{self.session.path}: output {name} has shape {_shape(output.shape)}, which cannot be "
                            f"divided among {count} files along dimension {self._axis}")
        return np.array_split(output, count, self._axis)

    def _refuse_not_finite(self, group: Sequence[Sample], parts: Sequence[Sequence[Any]]) -> None:
        import numpy as np
        bad = [sample.name for place, sample in enumerate(group) for part in parts
               if part[place].dtype.kind == "f" and part[place].size
               and not (np.isfinite(part[place].min()) and np.isfinite(part[place].max()))]
        if bad:
            raise UserError(f"{self.session.path}: NaN or infinity in the output for {', '.join(dict.fromkeys(bad))}; "
                            "check the checkpoint and that the inputs were preprocessed for this model")

    def _check_space(self, group: Sequence[Sample], outputs: Sequence[Any]) -> None:
        """outputs: of that group; what others take follows from their inputs' size."""
        if self._space_checked:
            return
        self._space_checked = True
        new = [sample for group in self.todo for sample in group
               if sample.outputs and any(_size(path) is None for path in sample.outputs)]
        if new:
            each = sum(output.nbytes for output in outputs) * self._growth / self.layout.files_per_batch
            share = sum(math.prod(sample.size) for sample in new) / math.prod(group[0].size)
            files.need_space(os.path.dirname(new[0].outputs[0]) or ".", int(each * share))

    def batches(self) -> List[Dict[str, Any]]:
        """What was measured of each batch: times in ms by stage, in the order of the samples, each batch once."""
        return batches_of([self._finished[sample.name] for sample in self.samples])

    def per_sample(self, key: str) -> List[float]:
        """Each file's share of a stage's time, in ms."""
        batches = [self._finished[sample.name]["batch"] for sample in self.samples]
        return [batch[key] / batch["files"] for batch in batches]

    def compute_list(self, cold: bool = True) -> List[float]:
        """Milliseconds of device compute of each run of a whole batch; `cold`: with first runs without warm-up."""
        return compute_of(self.batches(), cold)

    def finish(self, tool: str, argv: Optional[Sequence[str]], performance_file: Optional[str] = None) -> None:
        """Write the record, last of all: the run is complete."""
        if self._journal is None:
            return
        each = self.layout.batch // self.layout.files_per_batch
        runs = 1 if self.samples[0].inputs else sum(len(batch["compute_ms"]) for batch in self.batches())
        count = len(self.samples) * each * runs
        seconds = sum(self.per_sample("total_ms")) / 1e3
        mark = {"file": os.path.basename(performance_file), "sha256": files.sha256(performance_file)} \
            if performance_file else None
        module = f"tools.{'benchmark' if tool.startswith('benchmark') else tool}"
        # a run that found all done before has computed nothing: who did, says so
        told: Mapping[str, Any] = {} if self.todo else self._journal.told
        self._journal.complete([sample.name for sample in self.samples], **{
            **record(tool, module, self.session, self.compute_list(cold=False), self.layout, count, seconds, argv),
            "pure": not self.samples[0].inputs, "warm_up_runs": self.warm_up_runs, "performance_file": mark,
            "definitions": define(DEFINITIONS, self.layout),
            **{key: told[key] for key in ("date", "peak_memory_bytes", "warm_up_runs") if key in told}})


def first_inputs(session: engine.Engine, layout: Plan, listed: Sequence[Tuple[str, ...]]) -> Iterator[List[Any]]:
    """The network's inputs from the first files of a run, `FIRST` batches."""
    few = [Sample(paths[0], paths, ()) for paths in listed[:FIRST * layout.files_per_batch]]
    run = Run(session, layout, few, save_binary, None, {})
    for group in run.todo:
        yield [array.copy() for array in run.read(group)]


def define(definitions: Mapping[str, str], layout: Plan) -> Dict[str, str]:
    """What figures mean with this layout."""
    return {**definitions, "compute_ms": definitions["compute_ms"] + ("" if layout.shapes else OWN_SIZES)}


def record(tool: str, module: str, session: engine.Engine, compute_ms: Sequence[float], layout: Plan, count: int,
           seconds: float, argv: Optional[Sequence[str]]) -> Dict[str, Any]:
    """What every run's record says. compute_ms: of each batch that counts; count: samples; seconds: end to end."""
    compute = timing.summarise(compute_ms)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return {"tool": tool, "provenance": session.provenance(),
            "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "command": ["python3", "-m", f"common.{module}", *(sys.argv[1:] if argv is None else argv)],
            "input_shape": list(layout.shapes[0]) if layout.shapes else [layout.batch, session.inputs[0].shape[1], "H", "W"],
            "batch": layout.batch,
            "files_per_batch": layout.files_per_batch,
            "sample_count": count,
            "compute_ms": compute, "samples_per_s": 1000 * layout.batch / compute["mean"], "end_to_end_s": seconds,
            "end_to_end_samples_per_s": count / seconds, "peak_memory_bytes": peak}


def batches_of(samples: Sequence[Mapping[str, Any]]) -> List[Dict[str, Any]]:
    """The batches of a record's samples, in their order, each once."""
    return list({sample["batch"]["id"]: sample["batch"] for sample in samples}.values())


def compute_of(batches: Sequence[Mapping[str, Any]], cold: bool) -> List[float]:
    """As `Run.compute_list`, of these batches."""
    every = [value for batch in batches for value in batch["compute_ms"]]
    warm = [value for batch in batches for value in batch["compute_ms"][1 if batch["cold"] else 0:]]
    return every if cold or not warm else warm


def _shape(shape: Sequence[Optional[int]]) -> str:
    return "[" + ",".join("N" if size is None else str(size) for size in shape) + "]"


def _bytes(shape: Sequence[int], tensor: engine.Tensor) -> int:
    count = tensor.dtype.itemsize
    for size in shape:
        count *= size
    return count


def _size(path: str) -> Optional[int]:
    try:
        return os.path.getsize(path)
    except OSError:
        return None


def _load_npy(path: str) -> Any:
    import numpy as np
    try:
        return np.load(path, mmap_mode="r")
    except (ValueError, EOFError) as error:
        raise UserError(f"{path}: is not a NumPy array that can be read ({error})") from error


def _read_into(path: str, place: Any) -> None:
    if path.lower().endswith(".npy"):
        place[:] = _load_npy(path).reshape(-1).view("uint8")
        return
    files.read_into(path, place)
