"""The results of all devices in one folder, and the record over them."""
from __future__ import annotations

import os
import re
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Dict, List, Mapping, Sequence, Tuple

from common.base import facts, files, model_file
from common.base.errors import UserError
from common.base.tables import aligned
from common.devices.ais_infer import AisInfer
from common.devices.processes import FINISHED
from common.devices.tool import Device, Tool, link_all
from common.engines import timing
from common.infer import offline, records, several
from common.tools import perf


def measured(tool: Tool, device: Device, seconds: float) -> Tuple[Dict[str, Any], List[float], Mapping[str, Any]]:
    """One device's figures, its runs of a batch in ms as far as they are told, and what is said of all in its record.

    seconds: that its process ran, which stands for the end-to-end time where the tool tells none.
    """
    file, record = tool.performance(device)
    if tool.standin:
        made = records.read(record)
        batches = offline.batches_of(made["samples"])
        by = made["provenance"]
        keys = ("sample_count", "compute_ms", "samples_per_s", "end_to_end_s", "end_to_end_samples_per_s",
                "peak_memory_bytes")
        return ({"device": device.id, "name": by["device"], "threads": by["threads"],
                 **{key: made[key] for key in keys}}, offline.compute_of(batches, cold=False), made)
    found = perf.read(file, tool.batch * tool.each)
    if found.mean_ms is None or found.samples_per_s is None:
        raise UserError(f"{file}: does not tell the device's speed")
    compute = {key: getattr(found, f"{key}_ms") for key in ("mean", "median", "p99", "min", "max")
               if getattr(found, f"{key}_ms") is not None}
    end_to_end = found.details["e2e latency"] / 1000 if "e2e latency" in found.details else seconds
    summary = files.read_json(file, "ais_summary") if isinstance(tool, AisInfer) else {}
    count = len(device.samples) * tool.each
    return ({"device": device.id, "name": f"NPU {device.id}", "sample_count": count,
             "compute_ms": compute, "samples_per_s": found.samples_per_s, "end_to_end_s": end_to_end,
             "end_to_end_samples_per_s": count / end_to_end}, single_runs(summary.get("npu_compute_time_list", [])), {})


def single_runs(told: Sequence[Any]) -> List[float]:
    """The runs' times in ms of a summary; none where it tells when each began and ended, side by side (--threads)."""
    return [] if any(isinstance(each, list) for each in told) else list(told)


def merge(tool: Tool, devices: Sequence[Device]) -> Dict[str, Any]:
    """Link all results in one folder and write the record over all devices, last of all. Gives the record.

    It is that of one device (`common.infer.offline`), with the figures of `DEFINITIONS` and, under `devices`, each one's.
    Of the tools on an NPU, compute_ms holds what all of them tell.
    """
    ran = {entry["id"]: entry for entry in files.read_json(tool.home / "finished.json", {
        "properties": {"samples": {"items": FINISHED}}})["samples"]}
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
                    *tool.command], "batch": first.get("batch", tool.batch * tool.each),
        "sample_count": count, "compute_ms": compute([(figures, times) for figures, times, _ in found], tool.batch * tool.each),
        "samples_per_s": sum(one["samples_per_s"] for one in each), "end_to_end_s": longest,
        "end_to_end_samples_per_s": count / longest,
        "definitions": {**(first.get("definitions") or {
            "end_to_end_samples_per_s": "sample_count / end_to_end_s; a device's time is the tool's own, and where it "
                                        "tells none its process's, with starting and loading"}), **several.DEFINITIONS}}
    if tool.standin:
        record.update(input_shape=first["input_shape"], warm_up_runs=max(made["warm_up_runs"] for _, _, made in found),
                      peak_memory_bytes=sum(one["peak_memory_bytes"] for one in each))
    record["devices"] = each
    summary = tool.summarise(folder, listed, record)
    record["performance_file"] = summary and {"file": summary.name, "sha256": files.sha256(summary)}
    files.write_json(tool.record(folder), record)
    return record


def together(tool: Tool, each: Sequence[Mapping[str, Any]], records: Sequence[Mapping[str, Any]]) -> Dict[str, Any]:
    """The provenance of a merged record."""
    if tool.standin:
        return {**records[0]["provenance"], **several.named(each), "threads": sum(one["threads"] for one in each)}
    model = next((word.partition("=")[2] or word for word in tool.command if word.endswith(".om")), "")
    return {"backend": "npu", **several.named(each), "model": model,
            "model_sha256": model_file.sha256(model) if os.path.isfile(model) else None}


def compute(found: Sequence[Tuple[Mapping[str, Any], Sequence[float]]], batch: int) -> Dict[str, float]:
    """Device compute over the batches of all devices: of every run, or where these are not told the mean and extremes.

    found: each device's figures and its runs.
    """
    if all(times for _, times in found):
        return timing.summarise([value for _, times in found for value in times])
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
    by = record["provenance"]
    who = "npu" if by["backend"] == "npu" else f"{by['backend']}, no NPU figure"
    return [*aligned([head, *body], right=range(len(head))),
            f"  by {who}: {by['device']}; together: samples/s is the sum, end to end all samples over the longest time",
            *(f"  reference {one.device}, batch {one.batch}: {one.value:.6g} {one.unit} ({one.definition})"
              for one in references if one.quantity == "throughput" and one.batch == record["batch"])]
