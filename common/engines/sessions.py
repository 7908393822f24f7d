"""The engine that DEVICE and PRECISION name: `python3 -m common.engines.sessions NAME` tells whether it is here.

NAME is a device, auto, or cpu-f16, openvino-f32, openvino-bf16.
"""
from __future__ import annotations

import argparse
from typing import Optional, Sequence

from common.base import errors, files
from common.engines import named
from common.engines.engine import AUTO, ENGINES, Engine, Feeds, device_name, precision_name, split


def open_session(path: files.PathLike, device: Optional[str] = None, threads: Optional[int] = None,
                 index: int = 0, precision: Optional[str] = None, spin: bool = True, feeds: Optional[Feeds] = None) -> Engine:
    """The model in the engine that `device` and `precision`, else `DEVICE` and `PRECISION`, name. spin: see `Session`.

    Raises `UserError` as `Session` and `openvino_session.Session` do, and for a precision that does not fit.
    """
    device = device_name(device)
    precision = precision_name(device, precision)
    if device == AUTO:
        with errors.optional("DEVICE=auto", "engines/fastest.py", "leave DEVICE out"):
            from common.engines import fastest
        return fastest.open_fastest(path, threads, index, spin, feeds)
    return named.open_named(path, device, threads, index, precision, spin)


def check(name: str) -> None:
    """Raise `UserError` unless this machine has the engine: its package, and what the package needs."""
    device, precision = split(name)
    named.load("cpu" if device == AUTO else device, precision or "")


def main(argv: Optional[Sequence[str]] = None) -> None:
    parser = argparse.ArgumentParser(prog="python3 -m common.engines.sessions", description="Tell whether this machine has an "
                                     "engine: exit status 0, else 1 and why not on stderr.")
    parser.add_argument("name", choices=ENGINES)
    check(parser.parse_args(argv).name)


if __name__ == "__main__":
    errors.run(main)
