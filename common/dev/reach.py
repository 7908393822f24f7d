"""What a model's folder reaches of itself and of `common`, worked out from the imports, for a folder that leaves.

From the scripts under test/ on: programs that a shell script runs (`python3 x.py`, `python3 -m common.x`), shell files
it sources, modules that Python code imports, inside functions too, and files that any of these names.
"""
from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Dict, Iterable, Iterator, List, Set, Tuple

from common.base.errors import UserError

SHARED = Path(__file__).resolve().parents[1]
OPTIONAL = {"common.devices", "common.engines.openvino_session", "common.convert.upstream"}
"""What one NPU, or ONNX Runtime in its place, does without: several devices, OpenVINO, the upstream's code.

Where they are named it is in a branch of its own, which says so where the module is not there.
"""


STAND_INS = re.compile(r"^([A-Z_]+)=\(python3 -m (common\.tools\.\w+)\)$", re.MULTILINE)
"""How env.sh names what stands in for a tool."""


def imports(text: str) -> Set[str]:
    """The modules of `common`, and those beside the file, that Python code imports anywhere; also as `module.name`."""
    found: Set[str] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):  # importlib.import_module("common.x")
            found |= {node.value} if re.fullmatch(r"common(\.\w+)+", node.value) else set()
    return found


def commands(text: str) -> Tuple[Set[str], Set[str]]:
    """The modules that a shell script, or the commands of a README, run or import; and the Python files."""
    modules = set(re.findall(r"-m (common(?:\.\w+)*)", text)) | set(re.findall(r"\bimport (common(?:\.\w+)+)", text))
    modules |= {f"common.data.demo.{kind}" for kind in re.findall(r"-m common\.data\.demo (\w+)", text)}
    return modules, set(re.findall(r"(?:python3|\$\{?PY\}?) (?:\.\./)?([\w-]+\.py)", text))


def files_of(module: str) -> Iterator[Tuple[str, Path]]:
    """A module's file and those of the packages above it, by their places in a copy."""
    parts = module.split(".")
    for length in range(1, len(parts) + 1):
        place = SHARED.joinpath(*parts[1:length])
        name = "/".join(parts[:length])
        for ending in (".py", "/__init__.py"):
            path = Path(f"{place}{ending}")
            if path.is_file():
                yield name + ending, path
    place = SHARED.joinpath(*parts[1:])
    if (place / "__main__.py").is_file():
        yield f"{'/'.join(parts)}/__main__.py", place / "__main__.py"


def reached(folder: Path, start: Iterable[str], kinds: Iterable[str], text: str = "") -> Dict[str, Path]:
    """The files that a folder needs to run what `start` (paths in it) names: place in a copy, place here.

    kinds: endings of files that go along where code names them in a string: tables, patches, configurations. text: a
    README, whose commands are to run too.
    """
    found: Dict[str, Path] = {}
    modules, programs = commands(text)
    todo: List[Tuple[str, Path]] = [(name, folder / name) for name in (*start, *sorted(programs))]
    todo += [one for module in sorted(modules) for one in files_of(module)]
    while todo:
        name, path = todo.pop()
        if name in found or not path.is_file():
            continue
        found[name] = path
        text = path.read_text(encoding="utf-8", errors="replace") if path.suffix in (".py", ".sh") else ""
        kinds_named = re.findall(r"[\"']([a-z_]+)[\"']", text)
        kinds_named += re.findall(r"([a-z_]+)\.schema\.json", text)
        if path.name.endswith(".schema.json"):
            kinds_named = re.findall(r"([a-z_]+)\.schema\.json", path.read_text(encoding="utf-8"))
        schemas = (f"base/schemas/{kind}.schema.json" for kind in kinds_named)
        todo += [(f"common/{one}", SHARED / one) for one in schemas]
        modules = set()
        if path.suffix == ".py":
            modules = imports(text)
        elif path.suffix == ".sh":
            modules, programs = commands(text)
            for variable, module in STAND_INS.findall(text):  # the tools' stand-ins, of which a model uses one or two
                if not any(f"${{{variable}[" in one.read_text(encoding="utf-8") for one in (folder / "test").glob("*.sh")):
                    modules.discard(module)
            todo += [(program, folder / program) for program in programs]
            todo += [(f"{place}/{one}", base / one) for one in re.findall(r"([\w-]+\.sh)\b", text)
                     for place, base in (("test", folder / "test"), ("common/npu", SHARED / "npu")) if place in name
                     or place == "common/npu"]
        for module in modules:
            if module == "common" or module.startswith("common."):
                if not any(module == left or module.startswith(left + ".") for left in OPTIONAL):
                    todo += files_of(module)
            else:
                one = module.split(".")[0] + ".py"
                todo.append((one, folder / one))
        todo += [(one, folder / one) for one in re.findall(r"[\w.-]+", text)
                 if Path(one).suffix in kinds and "/" not in one]
    return found


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
