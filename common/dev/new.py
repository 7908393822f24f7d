"""A folder for another model: `python3 -m common.dev.new NAME`, or `make new MODEL=NAME`, in the collection's folder.

It is a copy of `template/` beside this file with the names filled in, and goes the whole way as it stands; see
docs/NEW_MODEL.md.
"""
from __future__ import annotations

import argparse
import keyword
import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Optional, Sequence

from common.base import errors, files
from common.base.errors import UserError

TEMPLATE = Path(__file__).with_name("template")
NAMES = ("TemplateName", "template_name")
"""What stands in the template for the model's name and its module's."""


def module_name(name: str) -> str:
    """The Python module of a model's network: its name in lower case. Raises `UserError` for a name that will not do."""
    module = name.lower()
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,59}", name) or keyword.iskeyword(module):
        raise UserError(f"MODEL={name[:60]}: expected a Python identifier of ASCII letters and digits, such as ResNet18")
    for taken in (name, module):
        if find_spec(taken) is not None:
            raise UserError(f"MODEL={name}: would shadow the Python module {taken}; give another name")
    return module


def write(name: str, collection: Path) -> Path:
    """Write the folder `collection/name`; it appears whole or not at all. Raises `UserError` where one of the name is."""
    there = next((path for path in collection.iterdir() if path.name.lower() == name.lower()), None)
    if there is not None:
        raise UserError(f"MODEL={name}: {there} is there already; give another name")
    module = module_name(name)
    lines = re.findall(r"^(?:STAGES +:=|\.PHONY:).*", (collection / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    if name.lower().startswith("build") or name in re.findall(r"[\w-]+", " ".join(lines)):
        raise UserError(f"MODEL={name}: is what a target of make or a folder that it makes is called; give another name")
    target, part = collection / name, collection / f".{name}.part"
    shutil.rmtree(part, ignore_errors=True)
    try:
        for path in sorted(TEMPLATE.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                place = part / str(path.relative_to(TEMPLATE)).replace(NAMES[1], module)
                text = path.read_text(encoding="utf-8").replace(NAMES[0], name).replace(NAMES[1], module)
                files.write_text(place, text)
                place.chmod(path.stat().st_mode & 0o777)
        shutil.copy2(collection / "LICENSE", part)
        (part / "common").symlink_to("../common")
        done = subprocess.run([sys.executable, "-m", "common.data.fingerprint", "write", "--function",
                               f"{module}_preprocess.fingerprint", "--picture", "64x48"], cwd=part, text=True,
                              env={**os.environ, "PYTHONPATH": str(part)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if done.returncode:
            raise UserError(f"{name}: its fingerprint cannot be made: {done.stderr.strip().splitlines()[-1]}")
        part.rename(target)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return target


def main(argv: Optional[Sequence[str]] = None) -> None:
    parser = argparse.ArgumentParser(prog="python3 -m common.dev.new", description=errors.first_line(__doc__))
    parser.add_argument("name", metavar="NAME", help="the model's name, such as ResNet18")
    args = parser.parse_args(argv)
    if not args.name.strip():
        raise UserError("MODEL= is missing: make new MODEL=ResNet18 (say)")
    target = write(args.name, Path.cwd())
    print(f"{target.name}/: written; `make -C {target.name} selftest` and `make -C {target.name} all` go the whole way as it "
          "stands, docs/NEW_MODEL.md says what to put in")


if __name__ == "__main__":
    errors.run(main)
