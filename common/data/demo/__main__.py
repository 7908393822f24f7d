"""`python3 -m common.data.demo KIND FOLDER [--count N] [--seed S]` draws a demo dataset.

KIND is the name of a module in this package; it has `write(folder, count, seed)`.
"""
from __future__ import annotations

import argparse
import importlib
import pkgutil
import shutil
from pathlib import Path
from typing import Optional, Sequence

from common.base import errors, settings
from common.base.errors import UserError
from common.data import demo

MARK = ".drawn"
"""An empty file in a folder that this program drew, and may replace."""


def main(argv: Optional[Sequence[str]] = None) -> None:
    kinds = [module.name for module in pkgutil.iter_modules(demo.__path__) if not module.name.startswith("_")]
    parser = argparse.ArgumentParser(prog="python3 -m common.data.demo", description=errors.first_line(__doc__))
    parser.add_argument("kind", choices=kinds)
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
    importlib.import_module(f"common.data.demo.{args.kind}").write(fresh, args.count, args.seed)
    (fresh / MARK).touch()
    shutil.rmtree(folder, ignore_errors=True)
    fresh.rename(folder)
    print(f"{folder}: {args.count} demo samples ({args.kind}), drawn by code, seed {args.seed}")


if __name__ == "__main__":
    errors.run(main)
