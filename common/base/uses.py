"""Which of the project's own files a process has used: what make redoes a stage for, as a C compiler's `-MD` tells it.

A module counts when it is imported, whatever imports it; another file when the code that reads it calls `note`.
"""
from __future__ import annotations

import functools
import os
import sys
from typing import List, Set, Union

HOME = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
"""The folder of the package `common`."""

_noted: Set[str] = set()


def note(path: Union[str, "os.PathLike[str]"]) -> None:
    """A file of the project that is read, not imported, is used too."""
    _noted.add(os.path.realpath(path))


@functools.lru_cache(maxsize=None)
def _is_own(folder: str) -> bool:
    """Whether a folder is of the package `common`, a model's, which has a `facts.json`, or the running script's."""
    script: str = getattr(sys.modules.get("__main__"), "__file__", None) or ""
    return (folder == HOME or folder.startswith(HOME + os.sep) or os.path.isfile(os.path.join(folder, "facts.json"))
            or bool(script) and os.path.dirname(os.path.realpath(script)) == folder)


def used() -> List[str]:
    """The project's files that this process has used until now: whole paths without links, sorted."""
    named = [getattr(module, "__file__", None) for module in list(sys.modules.values())]
    sources = {os.path.realpath(path) for path in named if path}
    # torch gives modules that it makes itself a bare name as their file, as if it lay here
    return sorted(path for path in _noted | {path for path in sources if _is_own(os.path.dirname(path))} if os.path.isfile(path))


def digest() -> str:
    """SHA-256 over the contents of `used()`: what the code makes is made anew when it changes."""
    import hashlib
    whole = hashlib.sha256()
    for path in used():
        with open(path, "rb") as file:
            whole.update(hashlib.sha256(file.read()).digest())
    return whole.hexdigest()


def write() -> None:
    """Add `used()` to the file that `USES` of the environment names, a line each; nothing where it names none."""
    target = os.environ.get("USES")
    if target:
        with open(target, "a", encoding="utf-8", errors="surrogateescape") as file:
            file.write("".join(f"{path}\n" for path in used()))
