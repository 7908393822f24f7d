"""What is made of a schema, kept as Python keeps a module's code: making it takes a tenth of a small script's time."""
from __future__ import annotations

import contextlib
import importlib.util
import marshal
import os
import sys
from pathlib import Path
from typing import Any, Callable, Dict


def names(schema: Path, version: str, make: Callable[[], str]) -> Dict[str, Any]:
    """The names that the code of `make()` defines. Its compiled form is kept in `__pycache__` beside the schema, and holds for
    this version of what makes it, and as long as no schema of the folder has changed."""
    kept = Path(importlib.util.cache_from_source(str(schema.with_suffix(".py")))).with_suffix(".check")
    made_of = [version, *sorted((entry.name, entry.stat().st_size, entry.stat().st_mtime_ns)
                                for entry in os.scandir(schema.parent) if entry.is_file())]
    code = None
    with contextlib.suppress(OSError, ValueError, EOFError, TypeError):
        noted, code = marshal.loads(kept.read_bytes())
        code = code if noted == made_of else None
    if code is None:
        code = compile(make(), schema.name, "exec")
        part = kept.with_name(f".part-{os.getpid()}-{kept.name}")
        with contextlib.suppress(OSError):
            if not sys.dont_write_bytecode:
                kept.parent.mkdir(exist_ok=True, parents=True)
                part.write_bytes(marshal.dumps((made_of, code)))
                os.replace(part, kept)
    found: Dict[str, Any] = {}
    exec(code, found)
    return found
