"""A model's folder made self-contained, as Ascend's ModelZoo takes it: `python3 -m common.dev.dist DEST` in the folder.

It holds the model's scripts and of `common` what they reach (common.dev.reach), as one module (common.dev.bundle), each
file with the licence header; a README in ModelZoo's order, the level that results.json proves, and every public address by name
(common.dev.modelzoo). `--full`: all of `common`, Makefile, demo and pages too, with the READMEs as they are.
"""
from __future__ import annotations

import argparse
import itertools
import re
import shutil
from pathlib import Path
from typing import Container, Dict, Iterable, List, Mapping, Optional, Sequence, Union

from common.base import errors, facts, files
from common.base.errors import UserError
from common.dev import bundle, modelzoo, reach

HOLDER = "The authors of ascend-model-collection"
YEAR = 2026
LICENCE = """Copyright {year} {holder}

Licensed under the Apache License, Version 2.0 (the "License");
you may not use this file except in compliance with the License.
You may obtain a copy of the License at

    http://www.apache.org/licenses/LICENSE-2.0

Unless required by applicable law or agreed to in writing, software
distributed under the License is distributed on an "AS IS" BASIS,
WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
See the License for the specific language governing permissions and
limitations under the License."""
SOURCES = (".py", ".sh", ".mk")
KINDS = {*SOURCES, ".diff", ".cfg", ".npz", ".md", ".css", ".js", ".html"}
NAMES = {"facts.json", "fingerprint.json", "results.json", "demo.pth", "demo.json", "LICENSE",
         "LICENSE.upstream", "Makefile", "requirements.txt", "modelzoo_level.txt", "val_ids.txt"}
REQUIRED = ("facts.json", "LICENSE", "Makefile", "README.md", "requirements.txt", "modelzoo_level.txt", "env.sh",
            "test/offline_inference_testcase.sh", "test/pth2om.sh")
LEFT_OUT = {"setup.mk", "setup.sh", "template"}
"""Of common/: what sets up the collection's environment, and what `make new` copies."""
LINKS = {"README.md": ("](README.md)", "](README.en.md)"), "README.en.md": ("](README.zh.md)", "](README.md)")}
"""The READMEs link to each other; in the copy they have other names."""


TABLES = {".cfg", ".diff", ".json", ".npz", ".txt"}
"""Endings of files that go along where a script names them."""
REQUIRED_LEAN = ("LICENSE", "env.sh", "test/offline_inference_testcase.sh", "test/pth2om.sh")
LEAN = ("LICENSE", "LICENSE.upstream", "facts.json", "fingerprint.json", "results.json", "env.sh")


def header(text: str, holder: str = HOLDER) -> str:
    """A source file's text with the licence header, after the `#!` line; a file that has one stays as it is."""
    opening = itertools.takewhile(lambda line: line.startswith("#"), text.splitlines())
    if "Licensed under the Apache License" in "\n".join(opening):
        return text
    comment = "\n".join(f"# {line}".rstrip() for line in LICENCE.format(holder=holder, year=YEAR).splitlines()) + "\n"
    first, end, rest = text.partition("\n")
    return f"{first}\n{comment}{rest}" if first.startswith("#!") and end else comment + text


def selection(folder: Path) -> Dict[str, Path]:
    """What goes into the copy: path there, path here. Datasets, weights, results and builds stay behind."""
    chosen: Dict[str, Path] = {}
    for place in (folder, folder / "test"):
        for path in sorted(place.iterdir() if place.is_dir() else ()):
            if path.is_file() and not path.is_symlink() and (path.suffix in KINDS or path.name in NAMES):
                chosen[str(path.relative_to(folder))] = path
    chinese = chosen.pop("README.zh.md", None)
    if chinese is not None:
        chosen["README.en.md"], chosen["README.md"] = chosen["README.md"], chinese
    shared = Path(__file__).resolve().parents[1]
    for path in sorted(shared.rglob("*")):
        if path.is_file() and path.suffix in {*KINDS, ".json"} and not LEFT_OUT & set(path.relative_to(shared).parts):
            chosen[f"common/{path.relative_to(shared)}"] = path
    require(folder, REQUIRED, chosen)
    return chosen


def require(folder: Path, names: Iterable[str], chosen: Container[str]) -> None:
    """Raise `UserError` where a model's folder lacks one of these."""
    missing = [name for name in names if name not in chosen]
    if missing:
        raise UserError(f"{folder}: {', '.join(missing)} missing; ModelZoo asks for it, or the copy cannot run without "
                        "it")


def lean(folder: Path) -> Dict[str, Union[Path, str]]:
    """What the scripts under test/ reach, the patches that facts names, and the licences, by their places: files, and
    texts that are made for the copy.

    Left out, because only make and the project itself use them: pages, demo weights, training, benches, Ray.
    """
    start = [*LEAN, *(f"test/{path.name}" for path in sorted((folder / "test").glob("*.sh"))),
             *facts.load(folder).upstream["diffs"]]
    texts = {"env.sh": reach.environment(folder), "README.md": modelzoo.readme(folder)}
    chosen, programs = reach.reached(folder, start, TABLES, *texts.values())
    require(folder, REQUIRED_LEAN, chosen)
    code = {name: path.read_text(encoding="utf-8") for name, path in chosen.items() if path.suffix == ".py"}
    shell = "".join(path.read_text(encoding="utf-8") for name, path in chosen.items() if name.startswith("test/"))
    texts.update(bundle.bundle(code.values(), programs,
                               [part for part, sign in bundle.PARTS.items() if re.search(sign, shell)]))
    texts.update({name: bundle.script(text) for name, text in code.items()})
    rest = [text for name, text in texts.items() if name not in code]
    texts.update(bundle.without_unused({name: texts[name] for name in code}, [*rest, shell, *(
        path.read_text(encoding="utf-8") for name, path in chosen.items() if name.endswith(".json"))]))
    texts.update({name: path.read_text(encoding="utf-8") for name, path in chosen.items() if path.suffix == ".sh"
                  and name not in texts})
    texts["requirements.txt"] = reach.requirements(folder)
    texts["modelzoo_level.txt"] = modelzoo.level(folder)
    return {**{name: path for name, path in chosen.items() if name != "demo.json"},
            **{name: bundle.commands(text) for name, text in texts.items()}}


def write(folder: Path, target: Path, full: bool = False, holder: str = HOLDER) -> List[str]:
    """Write the self-contained folder to `target`, which must not exist or be empty; gives the paths in it.

    It appears whole or not at all. Raises `UserError` for a target that is not empty.
    """
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UserError(f"DEST={target}: is {'not empty' if target.is_dir() else 'a file'}; give a new or empty folder")
    part = target.with_name(f".{target.name}.part")
    chosen: Mapping[str, Union[Path, str]] = selection(folder) if full else lean(folder)
    shutil.rmtree(part, ignore_errors=True)
    try:
        for name, source in chosen.items():
            place = part / name
            place.parent.mkdir(parents=True, exist_ok=True)
            code = place.suffix in SOURCES or name == "Makefile"
            if isinstance(source, Path) and not code and name not in LINKS:
                shutil.copy2(source, place)
                continue
            text = source if isinstance(source, str) else source.read_text(encoding="utf-8")
            if full and name in LINKS:
                text = text.replace(*LINKS[name])
            files.write_text(place, header(text, holder) if code else text)
            place.chmod(0o755 if text.startswith("#!") else 0o644)
        names = list(chosen)
        if not full:
            files.write_text(part / modelzoo.ADDRESSES, modelzoo.addresses(part))
            names.append(modelzoo.ADDRESSES)
        if target.exists():
            target.rmdir()
        part.rename(target)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return sorted(names)


def main(argv: Optional[Sequence[str]] = None) -> None:
    parser = argparse.ArgumentParser(prog="python3 -m common.dev.dist", description=errors.first_line(__doc__))
    parser.add_argument("dest", metavar="DEST", help="folder to write, new or empty")
    parser.add_argument("--model", default=".", help="the model's folder (default: here)")
    parser.add_argument("--full", action="store_true", help="all of common, Makefile, demo and pages too")
    parser.add_argument("--holder", default=HOLDER, help="who holds the copyright (default: %(default)s)")
    args = parser.parse_args(argv)
    if not args.dest.strip():
        raise UserError("DEST= is missing: make dist DEST=folder, a new or empty one")
    folder, target = Path(args.model).resolve(), Path(args.dest).resolve()
    paths = write(folder, target, args.full, args.holder.strip() or HOLDER)
    size = sum((target / name).stat().st_size for name in paths if not name.startswith("LICENSE"))
    print(f"{target}: {facts.load(folder).name}, {len(paths)} files, {files.size(size)} without licences, needs "
          "nothing outside itself but the packages of requirements.txt")


if __name__ == "__main__":
    errors.run(main)
