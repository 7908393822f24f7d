"""What a run starts from, put where make can see it: `python3 -m common.data.inputs` links dataset and checkpoint.

Links in the build folder take names without spaces, whatever the user's paths look like; `inputs.json` says what the
run uses (the demo or real data; the demo's, seeded or real weights); `<link>.list` changes when a file of that dataset
does.
A file is rewritten only when its content changes, so make redoes only what follows from a change.
"""
from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Dict, List, Optional, Sequence

from common.base import errors, files
from common.base.errors import UserError


def write_if_changed(path: Path, text: str) -> None:
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        files.write_text(path, text)


def link(path: Path, target: str) -> None:
    """Make `path` a symbolic link to `target`, replacing a link that points elsewhere."""
    if path.is_symlink() and os.readlink(path) == target:
        return
    if path.exists() and not path.is_symlink():
        raise UserError(f"{path}: expected nothing or a link there; remove it")
    with files.atomic(path) as temporary:
        temporary.unlink(missing_ok=True)
        os.symlink(target, temporary)


def listing(folder: Path) -> str:
    """One line per file below `folder` (links followed): path, size in bytes, modification time in ns; sorted.

    A part of a dataset may be a single file: it is the one line then.
    """
    if folder.is_file():
        status = os.stat(folder)
        return f"{folder.name} {status.st_size} {status.st_mtime_ns}\n"
    lines: List[str] = []
    for place, folders, names in os.walk(folder, followlinks=True):
        folders.sort()
        for name in sorted(names):
            path = os.path.join(place, name)
            try:
                status = os.stat(path)
            except FileNotFoundError:
                raise UserError(f"{path}: a link to a file that is gone") from None
            lines.append(f"{os.path.relpath(path, folder)} {status.st_size} {status.st_mtime_ns}")
    return "\n".join(lines) + "\n"


def locate(root: Path, name: str, candidates: Sequence[str]) -> Path:
    """The first of the candidate folders (or files) below `root` that exists."""
    for candidate in candidates:
        if (root / candidate).exists():
            return (root / candidate).resolve()
    wanted = " or ".join(str(root / candidate) for candidate in candidates)
    raise UserError(f"DATASETS_PATH={root}: expected {wanted} ({name}), found neither" if len(candidates) > 1
                    else f"DATASETS_PATH={root}: expected {wanted} ({name}), found nothing")


def main(argv: Optional[Sequence[str]] = None) -> None:
    parser = argparse.ArgumentParser(prog="python3 -m common.data.inputs", description=__doc__.splitlines()[0])
    parser.add_argument("--build", required=True, help="the model's build folder")
    parser.add_argument("--data", default="", help="dataset folder; empty: the demo, drawn by code")
    parser.add_argument("--pth", default="seeded", help="checkpoint (demo.pth beside the build folder: the demo's); "
                                                        "default: seeded weights")
    parser.add_argument("--link", action="append", default=[], metavar="NAME=CANDIDATE[,CANDIDATE]",
                        help="a part of the dataset: build/data/NAME links to the first candidate that is there")
    args = parser.parse_args(argv)
    build = Path(args.build)
    seeded, demo = args.pth == "seeded", build.parent / "demo.pth"
    about: Dict[str, str] = {"data": args.data and str(Path(args.data).resolve()) or "demo", "checkpoint": "seeded"}
    if not args.link:
        about["data"] = "none"  # a model that makes its input itself
    listed, target = "seeded", "seeded.pth"
    if not seeded:
        path = files.existing_file(args.pth, "a checkpoint (PTH)").resolve()
        about["checkpoint"], target = str(path), str(path)
        if path == demo.resolve():
            about["checkpoint"], target = "demo", os.path.relpath(path, build.resolve())
        status = os.stat(path)
        listed = f"{about['checkpoint']} {status.st_size} {status.st_mtime_ns}"
    link(build / "checkpoint.pth", target)
    write_if_changed(build / "checkpoint.list", listed + "\n")
    if args.data:
        root = files.existing_folder(args.data, "the dataset (DATASETS_PATH)").resolve()
    for part in args.link:
        name, _, candidates = part.partition("=")
        if args.data:
            target = locate(root, name, candidates.split(","))
            link(build / "data" / name, str(target))
            write_if_changed(build / f"{name}.list", f"{target}\n" + listing(target))
        else:
            link(build / "data" / name, f"../demo/{name}")
            write_if_changed(build / f"{name}.list", "demo\n")
    write_if_changed(build / "inputs.json", json.dumps(about, indent=1) + "\n")


if __name__ == "__main__":
    errors.run(main)
