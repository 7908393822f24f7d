"""What every tool's command line has in common: its part for one device, and what it leaves."""
from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from common.base.errors import UserError


class Device(NamedTuple):
    """One device's part. samples: the files of each, one per model input; first: the number of the first of them."""

    id: int
    first: int
    samples: Sequence[Tuple[str, ...]]

    @property
    def name(self) -> str:
        return f"device{self.id}"


def cut(count: int, batch: int, ids: Sequence[int]) -> List[Tuple[int, int]]:
    """The first sample of each part and the one after its last: whole batches, evenly, the last one's tail apart.

    Raises `UserError` when there are fewer batches than devices.
    """
    batches = -(-count // batch)
    if batches < len(ids):
        made = f", {batches} batch{'' if batches == 1 else 'es'} of {batch}" if batch > 1 else ""
        raise UserError(f"too few samples for {len(ids)} devices: {count}{made}; fewer devices will do: "
                        f"DEVICES={','.join(map(str, ids[:batches]))}")
    edges = [min(count, batch * (batches * place // len(ids))) for place in range(len(ids) + 1)]
    return list(zip(edges, edges[1:]))


def option(command: Sequence[str], *names: str) -> Optional[str]:
    """The value of an option under any of its names, `name=value` or `name value`; None where it is not given."""
    found = None
    for place, word in enumerate(command):
        name, sign, value = word.partition("=")
        if name in names:
            found = value if sign else "".join(command[place + 1:place + 2])
    return found


def without(command: Sequence[str], *names: str) -> List[str]:
    """The command line without these options and their values."""
    words, kept = iter(command), []
    for word in words:
        if word.partition("=")[0] not in names:
            kept.append(word)
        elif "=" not in word:
            next(words, None)
    return kept


def link_all(folder: Path, targets: Mapping[str, Path]) -> None:
    """Make `folder` hold relative links to these files, and no other links.

    Raises `UserError` for any other file in it: it is the user's.
    """
    folder.mkdir(parents=True, exist_ok=True)
    there = list(folder.iterdir())
    foreign = next((path for path in sorted(there) if not path.is_symlink()), None)
    if foreign is not None:
        raise UserError(f"{foreign}: is in a folder where results are merged, and is no link that an earlier run left; move "
                        "it, or give another folder")
    for path in there:
        path.unlink()
    here = os.path.realpath(folder)
    for name, target in targets.items():
        os.symlink(os.path.relpath(os.path.realpath(target), here), folder / name)


def lay_out(folder: Path, targets: Mapping[str, Path], links: bool = False) -> None:
    """Make `folder` hold these files under these names, and no other, so that every generation of the tools takes them.

    Since 2023-09 ais_bench refuses links, files that group or others can write, and files of another owner. A hard link
    is none of these where the file itself is not; otherwise, and on another disk, it is a copy. links: whether links will
    do, as they do for a stand-in: they leave the file's times alone, by which RESUME=1 knows it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(folder.stat().st_mode & ~0o022)
    for path in folder.iterdir():
        if path.is_symlink() or path.is_file():
            path.unlink()
    for name, target in targets.items():
        place, target = folder / name, Path(os.path.realpath(target))
        if links:
            os.symlink(target, place)
            continue
        found = target.stat()
        if not found.st_mode & 0o022 and found.st_uid == os.geteuid():
            with suppress(OSError):
                os.link(target, place)
                continue
        shutil.copy2(target, place)
        place.chmod(0o640)


def by_stem(folder: Path, separator: str) -> Dict[str, List[Path]]:
    """The result files `<stem><separator><number>.<suffix>` of a folder by stem, in the order of their numbers."""
    found: Dict[str, List[Tuple[int, Path]]] = {}
    for path in folder.iterdir() if folder.is_dir() else ():
        stem, _, number = path.stem.rpartition(separator)
        if number.isdecimal() and not path.name.startswith("."):
            found.setdefault(stem, []).append((int(number), path))
    return {stem: [path for _, path in sorted(paths)] for stem, paths in found.items()}


class Tool:
    """A tool's command line: what it reads, its line for one device, and what it leaves. home: for logs and parts."""

    name: str
    home: Path
    batch: int
    each: int = 1
    """Samples in a file, where the model's name tells: `_bs4` of msame, whose files are whole batches."""
    samples: List[Tuple[str, ...]]

    def __init__(self, command: Sequence[str]):
        self.command = list(command)
        self.standin = any(word.startswith("common.") for word in command[:3])

    def stem(self, sample: Tuple[str, ...]) -> str:
        """What the names of a sample's result files begin with."""
        raise NotImplementedError

    def clear(self, device: Device) -> None:
        """Remove what an earlier run of this device left, which the tool itself may not."""
        raise NotImplementedError

    def line(self, device: Device) -> List[str]:
        """Write the device's part; gives the command line that runs it."""
        raise NotImplementedError

    def results(self, device: Device) -> List[List[Path]]:
        """The result files of each sample of the part; an empty list for one that has none."""
        raise NotImplementedError

    def performance(self, device: Device) -> Tuple[Path, Path]:
        """The performance file that the tool left for the device, and a stand-in's own record."""
        raise NotImplementedError

    def folder(self, device: Device) -> Path:
        """Where the tool left the device's results."""
        raise NotImplementedError

    def merged(self, device: Optional[Device] = None) -> Optional[Path]:
        """The folder that all results are linked in. None where its name is known of a `device` that has ended only."""
        raise NotImplementedError

    def record(self, folder: Path) -> Path:
        """The record that goes with a merged folder."""
        raise NotImplementedError

    def summary(self, folder: Path) -> Path:
        """The summary beside a result folder, which ais_infer alone leaves."""
        return folder.with_name(f"{folder.name}_summary.json")

    def summarise(self, folder: Path, listed: Mapping[str, Any], record: Mapping[str, Any]) -> Optional[Path]:
        """Write the summary over all devices, where the tool leaves one."""
        return None

    def log(self, device: Device) -> Path:
        return self.home / f"{device.name}.log"

    def refuse_collisions(self) -> None:
        owner: Dict[str, Tuple[str, ...]] = {}
        for sample in self.samples:
            other = owner.setdefault(self.stem(sample), sample)
            if other is not sample:
                raise UserError(f"{other[0]} and {sample[0]} have results of the same name; rename one")
