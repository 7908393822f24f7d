"""Errors that a user can act on: one line, no traceback, a settled exit status."""
from __future__ import annotations

import os
import sys
import threading
from contextlib import contextmanager
from typing import Any, Callable, Iterator, NoReturn, Optional, Sequence

from common.base import uses


class UserError(Exception):
    """Bad input. The text is one line: what, where, what was expected and found, what to do."""


@contextmanager
def optional(what: str, part: str, advice: str) -> Iterator[None]:
    """Around the import of what a folder for ModelZoo may lack: there it raises a `UserError` that says so.

    what: asks for it, a variable of the environment or a kind of file. part: the file under common. advice: what to do.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "common":
            raise
        raise UserError(f"{what}: this folder has no common/{part}, the collection that it comes from does; "
                        f"{advice}") from error


def absent(module: str) -> Any:
    """In a folder for ModelZoo, in place of the import of a module that it lacks."""
    raise ModuleNotFoundError(f"No module named {module!r}", name=module)


def run(main: Callable[[Optional[Sequence[str]]], Optional[int]]) -> NoReturn:
    """Call `main(None)` and leave the process with its status.

    Exit status: what `main` returns (0 for None), 1 after a `UserError` or an `OSError` (one line on stderr),
    2 for wrong usage (argparse), 130 after Ctrl-C, 141 when the reader of stdout went away.

    What the process writes the group cannot write, whatever the umask: since 2023-09 ais_bench refuses such input.
    """
    os.umask(os.umask(0o077) | 0o022)
    try:
        status = main(None) or 0
        sys.stdout.flush()
    except UserError as error:
        status = report(error)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 141
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        status = report(f"{where}{error.strerror or error}")
    except KeyboardInterrupt:
        status = report("interrupted; what was finished is kept, run the same command again to go on", 130)
        if threading.active_count() > 1:  # a library may be computing in one: neither wait for it nor pull it apart
            sys.stdout.flush()
            os._exit(status)
    uses.write()
    sys.exit(status)


def first_line(text: Optional[str]) -> str:
    """The first line of a docstring, which `--help` shows; empty where Python was told to drop docstrings (-OO)."""
    return (text or "").partition("\n")[0]


def report(message: object, status: int = 1) -> int:
    """Print `error: <message>` on stderr as one line and give back `status`."""
    print("error: " + " ".join(str(message).split()), file=sys.stderr)
    return status
