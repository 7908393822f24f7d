"""benchmark's command line, one line per device."""
from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import List, Optional, Sequence, Tuple

from common.base import files, settings
from common.base.errors import UserError
from common.devices.tool import Device, Tool, by_stem, option, without
from common.tools.benchmark import read_info


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
        self.samples = read_info(path, self._inputs, settings.limit())

    def stem(self, sample: Tuple[str, ...]) -> str:
        return Path(sample[0]).stem

    def folder(self, device: Device) -> Path:
        return Path(f"result/dumpOutput_{device.name}")

    def clear(self, device: Device) -> None:
        named = [path for path in self.folder(device).glob("*") if re.fullmatch(r".+_\d+\.(bin|txt)", path.name)]
        for path in [*named, *self.performance(device)]:  # what the tool names so, and nothing else
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
