"""Writing files whole or not at all, checksums, and the disk space that a stage needs."""
from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import shutil
import stat
from pathlib import Path
from typing import Any, Iterable, Iterator, Optional, Union

from common.base import json_files
from common.base.errors import UserError

PathLike = Union[str, "os.PathLike[str]"]

_writes = itertools.count()


@contextlib.contextmanager
def atomic(path: PathLike, link: bool = False) -> Iterator[Path]:
    """Yield a temporary name beside `path`; it takes the name `path` when the block ends without an error.

    A reader never sees a half-written file, and two writers do not get into each other's. The temporary name starts
    with a dot and ends in the suffix of `path` (some libraries choose a format by suffix), so that listings by suffix
    of visible files pass over what a killed run left behind. A symbolic link is written through, unless `link` says that
    it is to be replaced by another; a device, a pipe or a socket is refused.
    """
    with _whole(path, link) as temporary:
        yield Path(temporary)


@contextlib.contextmanager
def _whole(path: PathLike, link: bool = False) -> Iterator[str]:
    """As `atomic`, without the time that a `Path` takes."""
    path = named = str(path if isinstance(path, Path) else Path(path))
    found = _mode(path, follow=False)
    if stat.S_ISLNK(found):
        path = path if link else os.path.realpath(path)
        found = _mode(path)
    if found and not stat.S_ISREG(found) and not stat.S_ISDIR(found):
        raise UserError(f"{named}: expected a file or nothing there, found a device, pipe or socket; it is left as it is")
    folder, name = os.path.split(path)
    temporary = os.path.join(folder, f".part-{os.getpid()}-{next(_writes)}{os.path.splitext(name)[1]}")
    try:
        if not found and not os.path.isdir(folder or "."):
            Path(folder).mkdir(parents=True, exist_ok=True)
        yield temporary
        os.replace(temporary, path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        if isinstance(error, OSError) and error.filename in (None, temporary, path, folder):
            raise UserError(f"{path}: cannot be written: {error.strerror or error}") from error
        raise


def _mode(path: PathLike, follow: bool = True) -> int:
    """The mode of what is at a path, 0 where there is nothing to be seen."""
    try:
        return os.stat(path, follow_symlinks=follow).st_mode
    except (OSError, ValueError):  # a NUL in the name
        return 0


PART = re.compile(r"\.part-(\d+)-\d+")


def sweep(folder: PathLike, names: Optional[Iterable[str]] = None) -> None:
    """Take away what runs that were killed were writing in a folder. names: those of its files, where they are known."""
    with contextlib.suppress(OSError):
        for name in os.listdir(folder) if names is None else names:
            writer = PART.match(name)
            if writer and os.path.isdir("/proc/self") and not os.path.exists(f"/proc/{writer[1]}"):
                os.unlink(os.path.join(folder, name))


def write_bytes(path: PathLike, content: Any) -> None:
    """Write bytes, or anything that has the buffer protocol, atomically."""
    with _whole(path) as temporary, open(temporary, "wb") as file:
        file.write(content)


def read_into(path: PathLike, place: Any) -> None:
    """Fill a writable buffer, such as an array in C order, from the start of a file, which has as many bytes or more.

    Raises `UserError` where it has fewer.
    """
    with open(path, "rb", buffering=0) as file:
        view, done = memoryview(place).cast("B"), 0
        while done < len(view):
            count = file.readinto(view[done:])
            if not count:
                raise UserError(f"{path}: became shorter while it was read")
            done += count


def write_text(path: PathLike, text: str) -> None:
    """Write UTF-8 text with LF line ends atomically."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: PathLike, value: Any) -> None:
    """Write JSON atomically, indented by one space, in UTF-8, NaN and infinity refused."""
    try:
        text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False)
    except ValueError as error:
        raise UserError(f"{path}: a value is NaN or infinite and cannot be reported") from error
    write_text(path, text + "\n")


def read_json(path: PathLike, schema: json_files.Schema) -> Any:
    """Read a JSON file, held to the schema of its kind (`common.base.json_files`).

    Raises `UserError` when it is missing, no regular file, too large, not JSON, or of another shape; the message
    names the place in it, what was expected there, and what was found.
    """
    if kind(path) == "nothing":
        raise UserError(f"{path}: no such file")
    path = existing_file(path, "a JSON file")
    if path.stat().st_size > json_files.LARGEST:
        raise UserError(f"{path}: has {size(path.stat().st_size)}, at most {size(json_files.LARGEST)} are read")
    try:
        text = path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: is not JSON ({error})") from error
    value = json_files.parse(text, str(path))
    json_files.check(value, schema, str(path))
    return value


def existing_file(path: PathLike, what: str) -> Path:
    """Give `path` back if it is a regular file, else raise `UserError`; `what` names it in the message.

    A FIFO or a device is refused at once: reading one may wait for ever.
    """
    path = path if isinstance(path, Path) else Path(path)
    if not stat.S_ISREG(_mode(path)):
        raise UserError(f"{path}: expected {what} there, found {kind(path)}")
    return path


def length(path: PathLike, what: str) -> int:
    """The bytes of a regular file. Raises `UserError` as `existing_file` does."""
    with contextlib.suppress(OSError, ValueError):
        found = os.stat(path)
        if stat.S_ISREG(found.st_mode):
            return found.st_size
    return existing_file(path, what).stat().st_size  # which says what is there instead


def kind(path: PathLike) -> str:
    """What is at a path, in words; links are followed: `a file`, `a folder`, `a FIFO`, ..., `nothing`."""
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):  # a NUL in the name, or one that is too long
        return "a link to a file that is gone" if _is_link(path) else "nothing"
    names = ((stat.S_ISREG, "a file"), (stat.S_ISDIR, "a folder"), (stat.S_ISFIFO, "a FIFO"),
             (stat.S_ISSOCK, "a socket"))
    return next((name for test, name in names if test(mode)), "a device")


def _is_link(path: PathLike) -> bool:
    try:
        return os.path.islink(path)
    except ValueError:
        return False


def existing_folder(path: PathLike, what: str) -> Path:
    """Give `path` back if it is a folder, else raise `UserError`; `what` names it in the message."""
    path = Path(path)
    if not path.is_dir():
        found = "a file" if path.exists() else "nothing"
        raise UserError(f"{path}: expected a folder with {what} there, found {found}")
    return path


def looks_like(path: PathLike, other: PathLike) -> bool:
    """Whether one file is a copy of the other, by size and modification time."""
    first, second = os.stat(path), os.stat(other)
    return (first.st_size, first.st_mtime_ns) == (second.st_size, second.st_mtime_ns)


def passed_over(name: str) -> bool:
    """Whether a file or folder is one that systems leave beside data: hidden (`.DS_Store`, `._x.png`), or `__MACOSX`."""
    return name.startswith(".") or name == "__MACOSX"


def utf8(path: Path) -> Path:
    """Give `path` back if it is UTF-8, as the lists and manifests are that it is written into."""
    try:
        os.fspath(path).encode("utf-8")
    except UnicodeEncodeError as error:
        shown = os.fsencode(path).decode("utf-8", errors="backslashreplace")
        raise UserError(f"{shown}: its path is not UTF-8; rename it (convmv changes the encoding of many)") from error
    return path


def sha256(path: PathLike) -> str:
    """SHA-256 of a file as 64 hexadecimal digits, read in pieces of 1 MiB."""
    import hashlib
    digest = hashlib.sha256()
    existing_file(path, "a file")
    with open(path, "rb") as file:
        for piece in iter(lambda: file.read(1 << 20), b""):
            digest.update(piece)
    return digest.hexdigest()


def need_space(folder: PathLike, need: int, advice: str = "") -> None:
    """Raise `UserError` when the disk that holds `folder` has fewer than `need` bytes free."""
    place = Path(folder).absolute()
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    if free < need:
        raise UserError(f"{folder}: needs {size(need)} on this disk, {size(free)} are free. "
                        f"{advice or 'Free some space, or give LIMIT=N for fewer samples.'}")


def size(count: float) -> str:
    """A byte count for people: `302.0 MB` (powers of 1000)."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
