"""Reading the record that an inference run left: its shape, and whether its figures hold together."""
from __future__ import annotations

import math
from typing import Any, Dict, Mapping

from common.base import errors, files, json_files
from common.base.errors import UserError

CLOSE = 1e-6
"""Relative difference of two figures that must be equal; they are stored in full."""


def read(path: files.PathLike) -> Dict[str, Any]:
    """The record of a run by what stands in for a tool, of one device or several. Raises `UserError` as `check` does."""
    found = files.read_json(path, "record")
    check(found, path)
    return found


def untrained(record: Mapping[str, Any]) -> bool:
    """Whether the model that a record is of has the mark of weights that were never trained."""
    return "untrained" in record["provenance"].get("metadata", {})


def parse(value: Any, where: files.PathLike) -> Dict[str, Any]:
    """A record, of a stand-in or over several NPUs, that was read already."""
    by = value.get("provenance") if isinstance(value, dict) else None
    if isinstance(by, dict) and by.get("backend") == "npu":
        with errors.optional(f"{where}: a record over several NPUs", "devices", "read it there"):
            from common.infer import npu_records
        npu_records.check(value, where)
    else:
        json_files.check(value, "record", str(where))
    check(value, where)
    return value


def check(record: Mapping[str, Any], where: files.PathLike) -> None:
    """Raise `UserError` where figures of a record, or of a report's entry of one, deny each other.

    A rate must follow from its time, percentiles must be in their order, and what is said of several devices must be the
    sum of them.
    """
    each = record.get("devices", [])
    for one in (*each, record):
        name = f"device {one['device']}: " if one is not record else ""
        compute_ms(one["compute_ms"], f"{where}: {name}")
        if "end_to_end_samples_per_s" in one:
            equal(one["end_to_end_samples_per_s"], one["sample_count"] / one["end_to_end_s"],
                  f"{where}: {name}end_to_end_samples_per_s", "sample_count / end_to_end_s")
    if not each:
        equal(record["samples_per_s"], 1000 * record["batch"] / record["compute_ms"]["mean"], f"{where}: samples_per_s",
              "1000 * batch / compute_ms.mean")
        return
    ids = [one["device"] for one in each]
    if len(set(ids)) < len(ids):
        raise UserError(f"{where}: devices: names one twice; it was edited or two runs were mixed, make it again")
    for key in ("samples_per_s", "sample_count"):
        equal(record[key], sum(one[key] for one in each), f"{where}: {key}", "the devices' sum")


def compute_ms(found: Mapping[str, float], where: str) -> None:
    """Raise `UserError` where the mean or a percentile of times is outside of their extremes."""
    low, high = found.get("min", 0.0), found.get("max", math.inf)
    for key in ("mean", "median", "p99"):
        if key in found and not low * (1 - CLOSE) <= found[key] <= high * (1 + CLOSE):
            raise UserError(f"{where}compute_ms.{key} is {found[key]:g}, outside of {low:g} to {high:g}, its min and max; "
                            "the file was edited or is damaged, make it again")
    if found.get("median", 0.0) > found.get("p99", math.inf) * (1 + CLOSE):
        raise UserError(f"{where}compute_ms.median is {found['median']:g}, above its 99th percentile, {found['p99']:g}; the "
                        "file was edited or is damaged, make it again")


def equal(found: float, expected: float, what: str, how: str) -> None:
    """Raise `UserError` unless a figure is what others make it."""
    if not math.isclose(found, expected, rel_tol=CLOSE):
        raise UserError(f"{what} is {found:g}, but {how} gives {expected:g}; the file was edited or is damaged, make it "
                        "again")
