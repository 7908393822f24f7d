"""msame's command line, one line per device."""
from __future__ import annotations

import os
import re
from pathlib import Path
from typing import List, Sequence, Tuple

from common.base import settings
from common.devices.folders import Folders
from common.devices.tool import Device, by_stem, option
from common.infer import offline
from common.tools import msame


class Msame(Folders):
    name = "msame"
    _said = r"^{}/+([^/\n]+)$"

    def __init__(self, command: Sequence[str]):
        super().__init__(command)
        self.batch = 1  # samples are cut by files, each of which is a whole batch
        named = re.search(r"_bs(\d+)\.(?:om|onnx)$", option(command, "--model") or "")
        self.each = int(named[1]) if named else 1

    def _list(self, names: Sequence[str]) -> List[Tuple[str, ...]]:
        return [tuple(os.path.join(name, entry) for name in names)
                for entry in msame.entries(names[0])[:settings.limit()]]

    def stem(self, sample: Tuple[str, ...]) -> str:
        return os.path.splitext(os.path.basename(sample[0]))[0]

    def results(self, device: Device) -> List[List[Path]]:
        found = by_stem(self.folder(device), "_output_")
        return [found.get(self.stem(sample), []) for sample in device.samples]

    def performance(self, device: Device) -> Tuple[Path, Path]:
        return self.log(device), Path(offline.beside(str(self.folder(device))))
