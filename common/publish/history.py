"""Each run's figures, a line of `build/history.jsonl`, and what changed since the last run on the same data.

A run is told again only when a figure, a version or a checksum differs from the last line.
"""
from __future__ import annotations

import hashlib
import json
import re
from contextlib import suppress
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional

from common.base import files, json_files
from common.base.errors import UserError

NAME = "history.jsonl"
MADE = r"(?m)\w*preprocess\w*\.py [^\"\n]*?(?= LIMIT=|\"|\s*$)"
"""A preprocess script with its arguments, in the command line of a stage."""
ACCURACY = 1e-4
"""The relative change of an accuracy that other rounding alone makes: more is named."""
SPEED = 0.05
"""The relative change of a median time that is named where it also leaves the other run's own times."""


def data_digest(behind: Mapping[str, Any], folder: Path) -> str:
    """SHA-256 of the files of the dataset as make lists them, sizes and times too, and of the command line that makes the
    network's input of them, by itself or in a stream."""
    told = [path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.list")) if path.name != "checkpoint.list"]
    told += re.findall(MADE, "\n".join(each["command"] for each in behind.get("commands", []) if each["stage"] in (
        "preprocess", "stream")))
    return hashlib.sha256("\n".join(told).encode("utf-8")).hexdigest()


def line(report: Mapping[str, Any], folder: Path) -> Dict[str, Any]:
    """What is kept of a report: figures, versions, checksums, and the data that they are of, in the build folder."""
    behind, accuracy = report["provenance"] or {}, report["accuracy"]
    checkpoint = behind.get("checkpoint")
    return {
        "date": report["date"], "data": report["inputs"]["data"], "data_sha256": data_digest(behind, folder),
        "samples": (accuracy or report["agreement"] or {}).get("samples"),
        "accuracy": accuracy and {key: accuracy[key] for key in ("metric", "unit", "value")},
        "cosine": report["agreement"] and report["agreement"]["cosine"],
        "speed": {f"{run['model']}, batch {run['batch']}, {run['provider']}, {run['device']}, {run['threads']} threads"
                  + (", pure" if run.get("pure") else "") + (", own sizes" if "H" in (run.get("input_shape") or ()) else ""):
                  {key: run["compute_ms"][key] for key in ("min", "median", "p99")} for run in report["performance"]},
        "versions": behind.get("versions", {}),
        "sha256": {**({"checkpoint": checkpoint["sha256"]} if checkpoint else {}),
                   **{entry["file"]: entry["sha256"] for entry in behind.get("models", [])}}}


def changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> List[str]:
    """What differs, one sentence each, a fall beyond noise first and so named."""
    falls, others = [], []
    if before["accuracy"] and now["accuracy"]:
        old, new = before["accuracy"]["value"], now["accuracy"]["value"]
        text = f"{now['accuracy']['metric']} {old:.6g} to {new:.6g} {now['accuracy']['unit']}".rstrip()
        if new < old - ACCURACY * abs(old):
            falls.append(f"falls beyond rounding: {text}")
        elif new > old + ACCURACY * abs(old):
            others.append(f"rises: {text}")
    if before["cosine"] and now["cosine"] and now["cosine"] < before["cosine"] - ACCURACY:
        falls.append(f"falls beyond rounding: cosine of ONNX and PyTorch {before['cosine']:.6f} to {now['cosine']:.6f}")
    for name, new in now["speed"].items():
        old = before["speed"].get(name)
        if not old:
            continue
        ratio = new["median"] / old["median"]
        text = f"{name}: median {old['median']:.4g} to {new['median']:.4g} ms ({100 * (ratio - 1):+.0f} %)"
        if ratio > 1 + SPEED and new["median"] > old["p99"]:
            falls.append(f"slower beyond noise: {text}")
        elif ratio < 1 - SPEED and new["median"] < old["min"]:
            others.append(f"faster: {text}")
    for name in sorted({*before["versions"], *now["versions"]}):
        old, new = before["versions"].get(name, "none"), now["versions"].get(name, "none")
        if old != new:
            others.append(f"{name} {old} to {new}")
    others += [f"another {name}: SHA-256 {before['sha256'][name][:12]} to {checksum[:12]}"
               for name, checksum in now["sha256"].items() if before["sha256"].get(name, checksum) != checksum]
    return falls + others


def since(report: Mapping[str, Any], folder: files.PathLike) -> Optional[Dict[str, Any]]:
    """Add the report to `<folder>/history.jsonl`: `{"date", "changes"}` against the last run before it on the same data.

    None where there is none. A line that cannot be read is passed over.
    """
    path, now = Path(folder) / NAME, line(report, Path(folder))
    earlier: List[Dict[str, Any]] = []
    for text in path.read_text(encoding="utf-8").split("\n")[:-1] if path.is_file() else []:
        with suppress(UserError):
            found = json_files.parse(text, str(path))
            json_files.check(found, "history", str(path))
            earlier.append({**line_of_nothing(), **found})
    if earlier and {**earlier[-1], "date": ""} == {**now, "date": ""}:
        earlier.pop()  # the same run, told again
    else:
        text = "".join(json.dumps(entry, ensure_ascii=False) + "\n" for entry in [*earlier, now])
        files.write_text(path, text)
    same = [entry for entry in earlier if all(entry[key] == now[key] for key in ("data", "data_sha256", "samples"))]
    return {"date": same[-1]["date"], "changes": changes(same[-1], now)} if same else None


def line_of_nothing() -> Dict[str, Any]:
    """What a line of another version lacks."""
    return {"date": "", "data": "", "data_sha256": "",
            "samples": None, "accuracy": None, "cosine": None, "speed": {}, "versions": {}, "sha256": {}}


def told(report: Mapping[str, Any]) -> List[str]:
    """`since` of a report in sentences, the date first; none where there was no run before."""
    found = report.get("since")
    if not found:
        return []
    return [f"since the run of {found['date'][:16].replace('T', ' ')} UTC on the same data",
            *(found["changes"] or ["nothing changed beyond noise"])]
