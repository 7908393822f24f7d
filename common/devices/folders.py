"""What msame and ais_infer have in common: input folders, one per model input, and a result folder."""
from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import List, Optional, Sequence, Tuple

from common.base.errors import UserError
from common.devices.tool import Device, Tool, lay_out, option, without
from common.infer import offline


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
            lay_out(part, {os.path.basename(path): Path(path) for path in column}, links=self.standin)
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
