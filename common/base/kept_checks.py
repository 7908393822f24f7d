"""The checks of JSON files, kept as Python keeps a module's code: making one takes a tenth of a small script's time."""
from __future__ import annotations

import contextlib
import importlib.util
import marshal
import os
import sys
from pathlib import Path
from typing import Any, Callable, Dict

from common.base import files, json_files
from common.base.errors import UserError


def check(kind: str) -> Callable[[Any], Any]:
    """The check of a kind of file, from `__pycache__` beside the schemas; made anew where a schema or the package changed."""
    kept = Path(importlib.util.cache_from_source(str(json_files.SCHEMAS / f"{kind}.py"))).with_suffix(".schema")
    package = json_files.package()
    made_of = [package.VERSION, *sorted((entry.name, entry.stat().st_size, entry.stat().st_mtime_ns)
                                        for entry in os.scandir(json_files.SCHEMAS) if entry.is_file())]
    code = None
    with contextlib.suppress(OSError, ValueError, EOFError, TypeError):
        noted, code = marshal.loads(kept.read_bytes())
        code = code if noted == made_of else None
    if code is None:
        text = package.compile_to_code(json_files.load(f"{kind}.schema.json"), handlers=json_files.HANDLERS)
        code = compile(text, f"{kind}.schema.json", "exec")
        with contextlib.suppress(OSError, UserError):
            if not sys.dont_write_bytecode:
                files.write_bytes(kept, marshal.dumps((made_of, code)))
    names: Dict[str, Any] = {}
    exec(code, names)
    return names["validate"]  # type: ignore[no-any-return]
