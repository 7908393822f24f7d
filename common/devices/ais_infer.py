"""ais_infer's (ais_bench's) command line, one line per device."""
from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any, List, Mapping, Sequence, Tuple

from common.base import files, settings
from common.base.errors import UserError
from common.devices.folders import Folders
from common.devices.tool import Device, option
from common.infer import offline
from common.tools import ais_infer


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
        return ais_infer.list_inputs(",".join(names), len(names), settings.limit())

    def stem(self, sample: Tuple[str, ...]) -> str:
        return os.path.basename(sample[0]).split(".")[0]

    def _read(self, device: Device) -> Tuple[Path, Mapping[str, Any]]:
        folder = self.folder(device)
        inside = folder / "sumary.json"
        path = inside if inside.is_file() else self.summary(folder)
        return path, files.read_json(path, "ais_summary") if path.is_file() else {"filesinfo": {}}

    def results(self, device: Device) -> List[List[Path]]:
        listed = self._read(device)[1].get("filesinfo", {})
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
