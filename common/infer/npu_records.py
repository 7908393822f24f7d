"""The record that `common.devices` makes over several NPUs, whose real tools tell less than what stands in."""
from __future__ import annotations

from typing import Any

from common.base import files, json_files


def check(value: Any, where: files.PathLike) -> None:
    """Raise `UserError` unless a value that was read has the shape of one."""
    json_files.check(value, "devices", str(where))
