"""The rooms of common/: imports point downwards only, and what the Makefiles say stays short."""
from __future__ import annotations

import ast

import pytest

from conftest import ROOT

ROOMS = ("base", "engines", "data", "convert", "infer", "tools", "devices", "judge", "precision", "npu", "publish", "make", "dev")
"""From the ground up, as docs/ARCHITECTURE.md has them."""
MODULES = sorted(path for path in (ROOT / "common").rglob("*.py") if path.parent != ROOT / "common")


def imported(path):
    """The modules of common that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "common":
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("common."))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_downwards_only(path):
    own = path.relative_to(ROOT / "common").parts[0]
    assert own in ROOMS, f"a room that ROOMS does not have: {own}"
    for name in imported(path):
        room = name.split(".")[1]
        assert room in ROOMS and ROOMS.index(room) <= ROOMS.index(own), f"{own} imports {name}"


def test_modules_of_a_room_import_each_other_in_no_circle():
    graph = {}
    for path in MODULES:
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        graph[name] = set(imported(path))
    known = {name: {other for other in found if other in graph} | {
        other.rpartition(".")[0] for other in found if other.rpartition(".")[0] in graph} for name, found in graph.items()}
    seen, path = set(), []

    def visit(name):
        assert name not in path, " -> ".join([*path[path.index(name):], name])
        if name not in seen:
            path.append(name)
            for other in sorted(known[name]):
                visit(other)
            path.pop()
            seen.add(name)

    for name in known:
        visit(name)


def test_every_room_says_what_lives_there():
    for room in ROOMS:
        if (ROOT / "common" / room).is_dir():
            assert ast.get_docstring(ast.parse((ROOT / "common" / room / "__init__.py").read_text(encoding="utf-8"))), room


@pytest.mark.parametrize("path", sorted(ROOT.glob("*/Makefile")), ids=lambda path: path.parent.name)
def test_a_models_makefile_has_what_is_particular_to_it(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 50
    assert "_SRC" not in path.read_text(encoding="utf-8")


def test_no_function_is_longer_than_60_lines_without_a_reason():
    for path in [*MODULES, *ROOT.glob("*/*.py")]:
        if "tests" in path.parts:
            continue
        lines = path.read_text(encoding="utf-8").splitlines()
        for node in ast.walk(ast.parse("\n".join(lines))):
            if isinstance(node, ast.FunctionDef) and node.end_lineno - node.lineno >= 60:
                assert "# long: " in lines[node.lineno - 2], f"{path}:{node.lineno}: {node.name}"
