"""What a performance file or log of any tool tells, once read, and what all their readers do."""
from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from common.base import files
from common.base.errors import UserError
from common.engines import engine
from common.infer import records

NUMBER = r"([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)"


@dataclass(frozen=True)
class Performance:
    """One measurement: device compute of one whole batch on one device, in milliseconds.

    A figure that the file does not hold is None. `batch` is known where the file, its name or the caller tells it.
    """

    source: str
    """The file that was read."""
    tool: str
    """benchmark, benchmark-pure, msame, ais_infer or trtexec."""
    backend: str
    """onnxruntime or openvino, whichever stood in for the tool, else npu, or tensorrt for trtexec."""
    batch: Optional[int] = None
    mean_ms: Optional[float] = None
    median_ms: Optional[float] = None
    p99_ms: Optional[float] = None
    min_ms: Optional[float] = None
    max_ms: Optional[float] = None
    samples_per_s: Optional[float] = None
    """Samples per second of one device (a 310 card has four), device compute only, as `definition` says."""
    devices: int = 1
    """How many devices the rate is the sum of: more than one where `common.devices` merged them."""
    definition: str = ""
    details: Dict[str, float] = field(default_factory=dict)
    """The file's other figures, by the file's own labels."""


def pairs(text: str) -> List[Tuple[str, float]]:
    found = re.findall(rf"(min|max|mean|median|percentile\( *\d+% *\)) *= *{NUMBER}", text)
    return [(name.replace(" ", ""), float(value)) for name, value in found]


def once(source: str, found: Dict[str, float], name: str, value: float, subject: str = "") -> None:
    """Keep a figure; another value for it is of another run, whose figures must not be mixed with this one's."""
    if found.setdefault(name, value) != value:
        raise UserError(f"{source}: holds more than one run ({subject}{name} is {found[name]:g} and {value:g}); give "
                        "a log of one run")


def one_run(source: str, mark: str, count: int) -> None:
    if count > 1:
        raise UserError(f"{source}: holds more than one run (`{mark}` stands there {count} times); give a log of one "
                        "run")


def by_name(found: Mapping[str, float]) -> Dict[str, Any]:
    names = {"mean": "mean_ms", "median": "median_ms", "min": "min_ms", "max": "max_ms",
             "p99": "p99_ms", "percentile(99%)": "p99_ms"}
    return {names[name]: value for name, value in found.items() if name in names}


def need(source: str, found: Mapping[str, float], labels: Sequence[str]) -> None:
    missing = [label for label in labels if label not in found]
    if missing:
        raise UserError(f"{source}: is cut off or of another kind: {', '.join(missing)} missing")


def batch_of(rate: float, mean_ms: float) -> Optional[int]:
    return round(rate * mean_ms / 1000) or None


def sidecar(source: files.PathLike) -> Optional[Path]:
    """Where a stand-in leaves its own record beside a tool's performance file; None for other names."""
    path = Path(source)
    for pattern, name in ((r"perf_\w+?_(batchsize_\d+_device_\d+)\.txt", r"onnxruntime_\1.json"),
                          (r"PureInfer_perf_of_(.+)_in_(device_\d+)\.txt", r"onnxruntime_pure_\1_\2.json"),
                          (r"(.+)_summary\.json", r"\1_onnxruntime.json")):
        match = re.fullmatch(pattern, path.name)
        if match:
            return path.with_name(match.expand(name))
    return path.parent.with_name(path.parent.name + "_onnxruntime.json") if path.name == "sumary.json" else None


def backend(source: str, tool: str, lines: Sequence[str] = ()) -> str:
    """The stand-in that the log names, or the record beside the file, if it holds the file's checksum; else `tool`."""
    for name in engine.STAND_INS:
        if any(line.startswith(f"[INFO] {name} stands in for") for line in lines):
            return name
    record = sidecar(source)
    if record is not None and record.exists():
        left = records.read(record)
        mark = left["performance_file"]
        if mark and mark["sha256"] == hashlib.sha256(Path(source).read_bytes()).hexdigest():
            return left["provenance"]["backend"]
    return tool
