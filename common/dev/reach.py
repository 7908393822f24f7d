"""What a model's folder reaches of itself and of `common`, worked out from its commands and imports, for a folder that
leaves.

From the scripts under test/ on: programs that a shell script or a README runs (`python3 x.py`, `python3 -m common.x`),
modules beside them that Python code imports, and tables, patches and configurations that any of these names.
"""
from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Dict, Iterable, List, Set, Tuple

from common.base.errors import UserError
from common.dev import bundle

SHELL = bundle.SHARED / "npu"
SOURCED = re.compile(r"^( *)(?:# shellcheck source=\S+\n *)?\. \"\$\(dirname \"\$\{BASH_SOURCE\[0\]\}\"\)/(\w+\.sh)\"\n",
                     re.MULTILINE)
"""A line of `common/npu/env.sh` that sources another file of there."""
COMMENTS = re.compile(r"(?:^ *# (?!shellcheck)\S.*\n){2,}", re.MULTILINE)
"""Comments of more than a line; one that is indented behind its # is a table, and stays."""
STAND_INS = re.compile(r"^([A-Z_]+)=\(python3 -m (common\.tools\.\w+)\)$", re.MULTILINE)
"""How env.sh names what stands in for a tool."""


def imports(text: str) -> Set[str]:
    """The modules beside a file that its Python code imports anywhere."""
    found: Set[str] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module)
    return {name for name in found if name.split(".")[0] != "common"}


def commands(text: str) -> Tuple[Set[str], Set[str]]:
    """The modules of `common` that a shell script, or the commands of a README, run; and the Python files."""
    return (set(re.findall(r"-m (common(?:\.\w+)+)", text)),
            set(re.findall(r"(?:python3|\$\{?PY\}?) (?:\.\./)?([\w-]+\.py)", text)))


def environment(folder: Path) -> str:
    """A copy's env.sh: the model's own, with what it sources of `common/npu` in its place.

    Of what stands in for a tool, that which the scripts under test/ take first is kept; of a comment the first sentence.
    """
    def whole(name: str) -> str:
        lines = (SHELL / name).read_text(encoding="utf-8").splitlines(keepends=True)
        while lines[0].startswith(("#!", "# shellcheck shell")):
            del lines[0]
        return SOURCED.sub(lambda found: re.sub(r"^(?=.)", found[1], whole(found[2]), flags=re.MULTILINE), "".join(lines))
    scripts = "".join(path.read_text(encoding="utf-8") for path in sorted((folder / "test").glob("*.sh")))
    first = set(re.findall(r"if \[\[ -n \$\{(\w+)\[0\]\} \]\]", scripts))
    text = STAND_INS.sub(lambda found: found[0] if found[1] in first else f"{found[1]}=('')", whole("env.sh"))
    text = COMMENTS.sub(lambda found: bundle.sentence(found[0]) + "\n", text)
    own, _, _ = (folder / "env.sh").read_text(encoding="utf-8").partition("if [[ -f $model_folder/common")
    return own.replace("shell=bash", "shell=bash disable=SC2034,SC2154") + text


def reached(folder: Path, start: Iterable[str], kinds: Iterable[str], *texts: str) -> Tuple[Dict[str, Path], List[str]]:
    """The files of its own that a folder needs to run what `start` (paths in it) names, by their places, and the
    programs of `common` that it runs.

    kinds: endings of files that go along where code names them in a string: tables, patches, configurations. texts: of
    shell and of a README, whose commands are to run too.
    """
    found: Dict[str, Path] = {}
    modules: Set[str] = set()
    todo = list(start)
    for text in texts:
        more, programs = commands(text)
        modules |= more
        todo += sorted(programs)
    while todo:
        name = todo.pop()
        path = folder / name
        if name in found or not path.is_file():
            continue
        found[name] = path
        text = path.read_text(encoding="utf-8", errors="replace") if path.suffix in (".py", ".sh") else ""
        if path.suffix == ".py":
            todo += [module.split(".")[0] + ".py" for module in imports(text)]
        elif path.suffix == ".sh":
            more, programs = commands(text)
            modules |= more
            todo += [*programs, *(f"test/{one}" for one in re.findall(r"test/([\w-]+\.sh)\b", text))]
        todo += [one for one in re.findall(r"[\w.-]+", text) if Path(one).suffix in kinds]
    return found, sorted(module for module in modules if module in bundle.everything())


def requirements(folder: Path) -> str:
    """The model's requirements, each pinned to the version that the collection's environment is tested with."""
    pinned = dict(line.split("==") for line in (folder.parent / "requirements.txt").read_text(
        encoding="utf-8").split() if "==" in line)
    names = re.findall(r"^([A-Za-z0-9._-]+)", (folder / "requirements.txt").read_text(encoding="utf-8"), re.MULTILINE)
    loose = [name for name in names if name not in pinned]
    if loose:
        raise UserError(f"{folder}/requirements.txt: {', '.join(loose)} is in no pinned version in "
                        f"{folder.parent}/requirements.txt")
    return "".join(f"{name}=={pinned[name]}\n" for name in names if name != "dominate")
