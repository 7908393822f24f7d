"""What each stage of a run read and left, with digests: kept in the build folder, `.args/<stage>.json`.

make writes a record when a stage has ended (`common.make.stage`), looks at all of them before it decides what to do
(`common.make.check`), and the report holds every file to them.
"""
from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, Dict, Iterable, Iterator, List, Mapping, Optional, Sequence

from common.base import files, settings
from common.base.errors import UserError
from common.base.journal import stamp

FOLDER = ".args"
Stamps = Dict[str, Dict[str, int]]
"""Path: size and times of a file, by which a change is seen without reading it."""


def snapshot(build: Path) -> Stamps:
    """Every file that stages leave in the build folder, by path from there; what is hidden left out, links followed to
    files alone.

    What a run that was killed was writing (`files.atomic`) is taken away.
    """
    found: Stamps = {}
    for place, folders, names in os.walk(build):
        folders[:] = [name for name in folders if not name.startswith(".")]
        files.sweep(place, names)
        for name in names:
            path = os.path.join(place, name)
            if not name.startswith("."):
                with suppress(FileNotFoundError):
                    found[os.path.relpath(path, build)] = stamp(path)
    return found


def digests(build: Path, paths: Iterable[str]) -> Dict[str, str]:
    """SHA-256 of these files, given by path from the build folder."""
    paths = list(paths)
    with ThreadPoolExecutor(settings.cores()) as pool:
        return dict(zip(paths, pool.map(lambda path: files.sha256(build / path), paths)))


def finish(build: Path, stage: str, out: Path, before: Mapping[str, Any], needs: Sequence[str],
           earlier: Sequence[Mapping[str, Any]], anew: bool = False, **more: Any) -> None:
    """Write a stage's record. before: `snapshot` of when it began; needs: the files in the build folder that it read;
    earlier: its record of before, if there is one.

    What it left is what is new or has changed since, and what it had left before and kept; of one that writes all `anew`, that
    is taken away. `removed` is what has gone.
    """
    after = snapshot(build)
    wrote = {path: found for path, found in after.items() if before.get(path) != found}
    owner = owners(load(build))
    kept = {path: found for record in earlier for path, found in record["wrote"].items()
            if path not in wrote and path in after and owner.get(path) == stage}
    if anew:
        for path in kept:
            (build / path).unlink()
            del after[path]
        kept = {}
    read = [path for path in needs if (build / path).is_file()]
    sums = digests(build, {*wrote, *read})
    uses: Stamps = {}
    with suppress(FileNotFoundError):
        listed = (build / FOLDER / f"{stage}.uses").read_text(encoding="utf-8", errors="surrogateescape")
        for path in sorted(set(listed.splitlines())):
            with suppress(FileNotFoundError):
                uses[path] = stamp(path)
    record = {
        "stage": stage, "out": os.path.relpath(out, build), **more, "uses": uses,
        "read": {path: sums[path] for path in read},
        "wrote": {**kept, **{path: {**found, "sha256": sums[path]} for path, found in wrote.items()}},
        "removed": sorted(set(before) - set(after))}
    files.write_text(build / FOLDER / f"{stage}.json", json.dumps(record))  # in ASCII: a name may not be UTF-8


def load(build: Path, stages: Optional[Iterable[str]] = None) -> List[Dict[str, Any]]:
    """The records of these stages (of all that are there), as the stages ended; what is no record counts as none."""
    names = [path.stem for path in (build / FOLDER).glob("*.json")] if stages is None else list(stages)
    found = []
    for name in names:
        with suppress(OSError, ValueError, KeyError, TypeError):
            record = json.loads((build / FOLDER / f"{name}.json").read_text(encoding="utf-8"))
            float(record["ended"]), str(record["out"]), list(record["removed"])
            dict(record["wrote"]), dict(record["uses"]), dict(record["read"])
            found.append(record)
    return sorted(found, key=lambda record: record["ended"])


def owners(records: Sequence[Mapping[str, Any]]) -> Dict[str, str]:
    """Which stage was the last to write each file; a file that a later stage removed has none."""
    found: Dict[str, str] = {}
    for record in records:
        found.update(dict.fromkeys(record["wrote"], record["stage"]))
        for path in record["removed"]:
            found.pop(path, None)
    return found


def same(path: Path, kept: Mapping[str, Any]) -> bool:
    """Whether a file is what a record says: by size and times, and where those differ by content."""
    with suppress(OSError):
        now = stamp(path)
        if now == {key: kept[key] for key in now}:
            return True
        return now["size"] == kept["size"] and files.sha256(path) == kept["sha256"]
    return False


def changed(build: Path, records: Sequence[Mapping[str, Any]]) -> Iterator[List[str]]:
    """`[stage, path]` of every file that is no longer what the stage left that was the last to write it."""
    owner = owners(records)
    for record in records:
        for path, kept in record["wrote"].items():
            if owner.get(path) == record["stage"] and not same(build / path, kept):
                yield [record["stage"], path]


def verify(build: Path, stages: Sequence[str]) -> Dict[str, str]:
    """Hold every file of a run to the records of its stages; gives the SHA-256 of each that a stage read.

    Raises `UserError` that names the first file which is not what a stage left, or not what a later one has read.
    """
    records = load(build)
    known = {path: kept["sha256"] for record in records for path, kept in record["wrote"].items()}
    for stage, path in changed(build, records):
        if stage in stages:
            raise UserError(f"{build / path}: is no longer what {stage} left; make again redoes it")
    read: Dict[str, str] = {}
    for record in records:
        if record["stage"] not in stages:
            continue
        for path, found in record["read"].items():
            if known.get(path, found) != found:
                raise UserError(f"{build / path}: is another one than {record['stage']} has read; make again redoes it")
            read[path] = found
    return read
