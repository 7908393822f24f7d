"""What make has to do: `python3 -m common.make.check BUILD`, run as it reads the Makefile, before it decides.

Links dataset and checkpoint (`common.data.inputs`), writes every stage's command line where it changed, and makes a
stage stale, by touching that file, whose sources or results are no longer those of its record. It needs no package.
"""
from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Optional, Sequence

from common.base import errors, stages
from common.base.journal import stamp
from common.data import inputs


def put(path: Path, text: str) -> None:
    if not path.is_file() or path.read_text(encoding="utf-8", errors="surrogateescape") != text:
        path.write_text(text, encoding="utf-8", errors="surrogateescape")


def stale(build: Path, names: Sequence[str]) -> None:
    """Touch the command line of each of these stages that has no record, or whose sources, or whose files, are not those
    of its record any more, as where a stage of another way to run wrote over them: make runs it again."""
    records = stages.load(build)
    owner, again = stages.owners(records), {stage for stage, _ in stages.changed(build, records)}
    others = {path for path, stage in owner.items() if stage not in names}
    for record in records:
        if owner.get(record["out"]) != record["stage"] or others & set(record["wrote"]) or any(
                not os.path.exists(path) or stamp(path) != kept for path, kept in record["uses"].items()):
            again.add(record["stage"])
    again |= set(names) - {record["stage"] for record in records}
    for name in again & set(names):
        (build / stages.FOLDER / name).touch()


def main(argv: Optional[Sequence[str]] = None) -> None:
    parser = argparse.ArgumentParser(prog="python3 -m common.make.check", description=errors.first_line(__doc__))
    parser.add_argument("build", metavar="BUILD", help="the model's build folder")
    parser.add_argument("--data", default="", help="dataset folder; empty: the demo, drawn by code")
    parser.add_argument("--pth", default="seeded", help="checkpoint; seeded: weights that were never trained")
    parser.add_argument("--link", action="append", default=[], metavar="NAME=CANDIDATE[,CANDIDATE]",
                        help="as common.data.inputs takes it")
    parser.add_argument("--stage", action="append", default=[], nargs=2, metavar=("NAME", "COMMAND"),
                        help="a stage and its line")
    args = parser.parse_args(argv)
    build = Path(args.build)
    (build / stages.FOLDER).mkdir(parents=True, exist_ok=True)
    inputs.prepare(build, args.data, args.pth, args.link)
    for name, command in args.stage:
        put(build / stages.FOLDER / name, command + "\n")
    stale(build, [name for name, _ in args.stage])


if __name__ == "__main__":
    errors.run(main)
