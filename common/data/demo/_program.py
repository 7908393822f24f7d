"""What every kind of demo dataset is as a program: `python3 -m common.data.demo.KIND FOLDER [--count N] [--seed S]`."""
from __future__ import annotations

import argparse
import shutil
from pathlib import Path
from typing import Callable, Optional, Sequence

from common.base import settings
from common.base.errors import UserError

MARK = ".drawn"
"""An empty file in a folder that such a program drew, and may replace."""


def draw(kind: str, write: Callable[[Path, int, int], None], argv: Optional[Sequence[str]]) -> None:
    """Have `write(folder, count, seed)` draw into the folder that the command line names.

    Raises `UserError` for one that holds anything that no such program drew.
    """
    parser = argparse.ArgumentParser(prog=f"python3 -m common.data.demo.{kind}", description="Draw a demo dataset.")
    parser.add_argument("folder", help="folder to write, replaced when it is there")
    parser.add_argument("--count", type=settings.positive, default=4, help="samples (default: %(default)s)")
    parser.add_argument("--seed", type=settings.whole(0), default=0, help="default: %(default)s")
    args = parser.parse_args(argv)
    folder, fresh = Path(args.folder), Path(args.folder).with_name(f".{Path(args.folder).name}.part")
    mark = folder / MARK
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()) or (
            folder.is_dir() and any(folder.iterdir()) and not mark.is_file()):
        raise UserError(f"{folder}: is there and was not drawn by this program; give a new or empty folder, or remove it")
    shutil.rmtree(fresh, ignore_errors=True)
    write(fresh, args.count, args.seed)
    (fresh / MARK).touch()
    shutil.rmtree(folder, ignore_errors=True)
    fresh.rename(folder)
    print(f"{folder}: {args.count} demo samples ({kind}), drawn by code, seed {args.seed}")
