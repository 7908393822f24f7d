"""One make at a time in a build folder: `python3 -m common.make.lock BUILD PID` waits for its turn, and returns.

The lock is held by a process of its own until the process PID, the make that asks, has ended, however it ends.
"""
from __future__ import annotations

import argparse
import os
import select
import sys
import time
from pathlib import Path
from typing import Optional, Sequence

from common.base import errors, settings
from common.base.errors import UserError


def acquire(path: Path) -> int:
    """A descriptor of the lock file, locked; says so on stderr where another holds it. `make clean` may remove it."""
    import fcntl
    told = False
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.exists() and os.fstat(descriptor).st_ino == os.stat(path).st_ino:
                return descriptor
        except BlockingIOError:
            if not told:
                told = True
                print(f"another make is at work in {path.parent.resolve()}; waiting for it to end", file=sys.stderr,
                      flush=True)
            time.sleep(0.1)
        os.close(descriptor)


def hold(pid: int) -> None:
    """Return when process `pid` has ended."""
    try:
        ended = select.poll()
        ended.register(os.pidfd_open(pid), select.POLLIN)
        ended.poll()
    except (AttributeError, OSError):  # before Python 3.9, or another system than Linux
        while os.path.exists(f"/proc/{pid}") if os.path.isdir("/proc/self") else _alive(pid):
            time.sleep(0.05)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True


def main(argv: Optional[Sequence[str]] = None) -> None:
    parser = argparse.ArgumentParser(prog="python3 -m common.make.lock", description="One make at a time in BUILD.")
    parser.add_argument("build", metavar="BUILD", help="the build folder")
    parser.add_argument("pid", metavar="PID", type=settings.positive, help="the make that holds the lock until it ends")
    args = parser.parse_args(argv)
    build = Path(args.build)
    try:
        build.mkdir(exist_ok=True)
        acquire(build / ".lock")
    except (ImportError, OSError) as error:
        raise UserError(f"{build}: cannot be locked ({error})") from error
    if os.fork():
        os._exit(0)
    os.setsid()
    null = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):  # make waits for its output to end
        os.dup2(null, number)
    hold(args.pid)
    os._exit(0)


if __name__ == "__main__":
    errors.run(main)
