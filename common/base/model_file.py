"""What an ONNX file says of itself, read without onnx or ONNX Runtime: its metadata, and the files its weights lie in.

Only the bytes that lead there are touched, so a file of 1 GB is read in milliseconds. Source of the field numbers:
onnx.proto of ONNX 1.17; they never change.
"""
from __future__ import annotations

import mmap
import os
from pathlib import Path
from typing import Any, Dict, Iterator, List, Tuple

from common.base import files
from common.base.errors import UserError

GRAPH = 7
METADATA_PROPS = 14
EXTERNAL_DATA = 13
_INSIDE: Dict[str, Dict[int, str]] = {  # of each message, the fields that lead to tensors
    "model": {7: "graph", 20: "training", 25: "function"}, "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"}, "function": {7: "node"}, "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"}}
_DEEPEST = 64


class _Malformed(ValueError):
    pass


def metadata(path: files.PathLike) -> Dict[str, str]:
    """The file's `metadata_props`, as the export wrote them. Raises `UserError` for a file that is not ONNX."""
    with _opened(path) as content:
        try:
            fields = list(_fields(content, 0, len(content)))
            if not any(number == GRAPH for number, _ in fields):
                raise UserError(f"{path}: holds no network; export it again")
            return dict(_entry(content, *where) for number, where in fields if number == METADATA_PROPS)
        except _Malformed as error:
            raise UserError(f"{path}: is truncated or not an ONNX model; export it again") from error


def external(path: files.PathLike) -> List[Path]:
    """The files beside an ONNX file that hold weights of it, sorted; none for a file that holds all (or is no ONNX).

    Raises `UserError` for one outside of the model's folder, by its name or through a link, and for one that is gone.
    """
    locations = set()
    with _opened(path) as content:
        try:
            for where in _tensors(content, "model", 0, len(content), 0):
                told = dict(_entry(content, *entry) for number, entry in _fields(content, *where)
                            if number == EXTERNAL_DATA)
                if told:
                    locations.add(told.get("location", ""))
        except _Malformed:
            return []  # what loads it says so
    folder = Path(path).parent
    inside = os.path.realpath(folder)
    for location in sorted(locations):
        place = os.path.realpath(folder / location)
        if not location or "\0" in location or os.path.commonpath([inside, place]) != inside:
            raise UserError(f"{path}: has weights in {location!r:.200}, which is outside of its folder"
                            f"{'' if os.path.isabs(location) or '..' in location else ' through a link'}; put the file "
                            "itself beside the model")
        files.existing_file(folder / location, f"weights of {Path(path).name}")
    return [folder / location for location in sorted(locations)]


def sha256(path: files.PathLike) -> str:
    """What identifies a model: SHA-256 of its file; where weights lie in other files, of `sha256sum`'s lines of all.

    That is `sha256sum model.onnx first.data second.data | sha256sum` in the model's folder.
    """
    others = external(path) if str(path).endswith(".onnx") else []
    if not others:
        return files.sha256(path)
    folder = Path(path).parent
    lines = "".join(f"{files.sha256(each)}  {os.path.relpath(each, folder)}\n" for each in [Path(path), *others])
    import hashlib
    return hashlib.sha256(lines.encode("utf-8", "surrogateescape")).hexdigest()


class _opened:
    """A file's bytes, mapped into memory."""

    def __init__(self, path: files.PathLike):
        self._path = files.existing_file(path, "an ONNX model")

    def __enter__(self) -> Any:
        with open(self._path, "rb") as file:
            if not os.fstat(file.fileno()).st_size:
                self._map: Any = None
                return b""
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        return self._map

    def __exit__(self, *error: object) -> None:
        if self._map is not None:
            self._map.close()


def _varint(content: Any, at: int, end: int) -> Tuple[int, int]:
    value = shift = 0
    while at < end and shift < 70:
        byte = content[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7
    raise _Malformed


def _fields(content: Any, at: int, end: int) -> Iterator[Tuple[int, Tuple[int, int]]]:
    """The fields of a message that are bytes, texts or messages: number, and begin and end of the content."""
    while at < end:
        tag, at = _varint(content, at, end)
        number, kind = tag >> 3, tag & 7
        if kind == 0:
            _, at = _varint(content, at, end)
        elif kind in (1, 5):
            at += 8 if kind == 1 else 4
        elif kind == 2:
            length, at = _varint(content, at, end)
            if at + length > end:
                raise _Malformed
            yield number, (at, at + length)
            at += length
        else:
            raise _Malformed
        if at > end or not number:
            raise _Malformed


def _entry(content: Any, at: int, end: int) -> Tuple[str, str]:
    """Key and value of a StringStringEntryProto."""
    texts = {number: bytes(content[slice(*where)]).decode("utf-8", "surrogateescape")
             for number, where in _fields(content, at, end)}
    return texts.get(1, ""), texts.get(2, "")


def _tensors(content: Any, kind: str, at: int, end: int, depth: int) -> Iterator[Tuple[int, int]]:
    """Where each tensor of a message is."""
    if depth > _DEEPEST:
        raise _Malformed
    for number, where in _fields(content, at, end):
        inner = _INSIDE[kind].get(number)
        if inner == "tensor":
            yield where
        elif inner:
            yield from _tensors(content, inner, *where, depth + 1)
