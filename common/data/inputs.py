"""What a run starts from, put where make can see it: links to dataset and checkpoint.

Links in the build folder take names without spaces, whatever the user's paths look like; `inputs.json` says what the
run uses (the demo or real data; the demo's, seeded or real weights); `<link>.list` changes when a file of that dataset
does.
A file is rewritten only when its content changes, so make redoes only what follows from a change.
"""
from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Dict, List, Sequence

from common.base import files
from common.base.errors import UserError
from common.base.journal import stamp


def write_if_changed(path: Path, text: str) -> None:
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        files.write_text(path, text)


def link(path: Path, target: str) -> None:
    """Make `path` a symbolic link to `target`, replacing a link that points elsewhere."""
    if path.is_symlink() and os.readlink(path) == target:
        return
    if path.exists() and not path.is_symlink():
        raise UserError(f"{path}: expected nothing or a link there; remove it")
    with files.atomic(path, link=True) as temporary:
        temporary.unlink(missing_ok=True)
        os.symlink(target, temporary)


def listing(folder: Path) -> str:
    """One line per file below `folder` (links followed): path, size in bytes, times in ns; sorted.

    A part of a dataset may be a single file: it is the one line then.
    """
    if folder.is_file():
        return f"{folder.name} {_line(folder)}\n"
    lines: List[str] = []
    for place, folders, names in os.walk(folder, followlinks=True):
        folders[:] = sorted(name for name in folders if not files.passed_over(name))
        for name in sorted(name for name in names if not files.passed_over(name)):
            path = os.path.join(place, name)
            files.utf8(Path(path))
            try:
                lines.append(f"{os.path.relpath(path, folder)} {_line(path)}")
            except FileNotFoundError:
                raise UserError(f"{path}: a link to a file that is gone") from None
    return "\n".join(lines) + "\n"


def _line(path: files.PathLike) -> str:
    return " ".join(str(value) for value in stamp(path).values())


def locate(root: Path, name: str, candidates: Sequence[str]) -> Path:
    """The first of the candidate folders (or files) below `root` that exists."""
    for candidate in candidates:
        if (root / candidate).exists():
            return (root / candidate).resolve()
    wanted = " or ".join(str(root / candidate) for candidate in candidates)
    raise UserError(f"DATASETS_PATH={root}: expected {wanted} ({name}), found neither" if len(candidates) > 1
                    else f"DATASETS_PATH={root}: expected {wanted} ({name}), found nothing")


def prepare(build: Path, data: str, pth: str, parts: Sequence[str]) -> None:
    """Link dataset and checkpoint in the build folder, and write what of them make looks at.

    data: the dataset's folder, empty for the demo. pth: the checkpoint (demo.pth beside the build folder: the demo's), or
    `seeded`. parts: `NAME=CANDIDATE[,CANDIDATE]`, build/data/NAME links to the first candidate that is there.
    """
    seeded, demo = pth == "seeded", build.parent / "demo.pth"
    about: Dict[str, str] = {"data": data and str(Path(data).resolve()) or "demo", "checkpoint": "seeded"}
    if not parts:
        about["data"] = "none"  # a model that makes its input itself
    listed, target = "seeded", "seeded.pth"
    if not seeded:
        path = files.utf8(files.existing_file(pth, "a checkpoint (PTH)").resolve())
        about["checkpoint"], target = str(path), str(path)
        if path == demo.resolve():
            about["checkpoint"], target = "demo", os.path.relpath(path, build.resolve())
        listed = f"{about['checkpoint']} {_line(path)}"
    if data:
        root = files.utf8(files.existing_folder(data, "the dataset (DATASETS_PATH)").resolve())
    link(build / "checkpoint.pth", target)
    write_if_changed(build / "checkpoint.list", listed + "\n")
    for part in parts:
        name, _, candidates = part.partition("=")
        if data:
            place = locate(root, name, candidates.split(","))
            link(build / "data" / name, str(place))
            write_if_changed(build / f"{name}.list", f"{place}\n" + listing(place))
        else:
            link(build / "data" / name, f"../demo/{name}")
            write_if_changed(build / f"{name}.list", "demo\n")
    write_if_changed(build / "inputs.json", json.dumps(about, indent=1) + "\n")
