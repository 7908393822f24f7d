"""`common` as one module, for a folder that leaves (`common.dev.dist`): of each file what the folder's programs reach.

A definition keeps its name where `common` has no other of that name, else its module's stands in front (`run` of
errors.py is `errors_run`); what was `files.write_text` in a script is `common.write_text` there, and
`python3 -m common.npu.chip` is `python3 -m common chip`. Comments go along, and of what documents a module, a definition or
an assignment the first sentence; of the schemas what a reader of the copy holds a file to.
"""
from __future__ import annotations

import ast
import builtins
import collections
import functools
import json
import keyword
import re
import sys
import textwrap
from pathlib import Path
from typing import Any, Dict, FrozenSet, Iterable, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Set, Tuple

from common.base import files
from common.base.errors import UserError

SHARED = Path(__file__).resolve().parents[1]
OPTIONAL = ("common.devices", "common.engines.openvino_session", "common.engines.half", "common.engines.keep_list",
            "common.engines.fastest", "common.convert.upstream", "common.infer.npu_records", "common.base.kept_checks")
"""What one NPU, or ONNX Runtime in its place, does without: several devices, OpenVINO, the rehearsal of float16, the
choice of the fastest engine, the upstream's code, the record over several NPUs, checks of JSON files that are kept. Each is
imported within `errors.optional`, which says so where it is not there, or passed over."""
PARTS = {"common.tools.ais_log": r"\bais\w*\.log", "common.tools.msame_log": r"\bmsame\w*\.log",
         "common.tools.pure_log": r"\bPureInfer_perf", "common.tools.trtexec_log": r"\btrtexec\w*\.log",
         "common.tools.vision_log": r"\bperf_vision"}
"""What only some copies have: those whose shell scripts hold this. Imported as `OPTIONAL`."""
LEFT_OUT = ("common.dev", "common.make", "common.publish", "common.precision", *OPTIONAL)
READER = "common.base.json_files"
"""The module that reads schemas: files in the collection, text of this module in a copy."""

ABSENT = ("common.base.errors", "absent")
"""What stands in a copy in place of the import of what it lacks."""

HELD: Dict[str, Any] = {"facts.schema.json": {"type": "object"}}
"""Schemas that say no more in a copy: its facts.json was held to the whole one when it was made."""

FUTURE = "from __future__ import annotations"
TITLE = """What the scripts of this folder share, of the ascend-model-collection, which has the full documentation.

Here a definition has its first sentence alone. A value's unit, shape and errors stand in the collection, in the module
that a part's heading names.
"""
"""What a copy's `common` opens with."""
MARKER = re.compile(r"  # (?:type: ignore|noqa)\b.*$|^# long: .*\n", re.MULTILINE)
"""What tells the collection's own checks to pass over a line: no copy is checked by them."""
SENTENCE = re.compile(r".*?(?<!e\.g)(?<!i\.e)(?<! al)[.](?=\s+[^\sa-z]|\s*$)", re.DOTALL)
REFERENCE = re.compile(r'"\$ref": "(\w+\.schema\.json)?#/definitions/(\w+)"')
"""In a schema: a definition of another file, or of its own."""
PROGRAMS = '''"""The programs of `common`: `python3 -m common PROGRAM ...`."""
import sys

import common

PROGRAMS = {{
{rows}}}

if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in PROGRAMS:
        print("usage: python3 -m common PROGRAM ...; there are " + ", ".join(PROGRAMS), file=sys.stderr)
        sys.exit(2)
    common.{run}(PROGRAMS[sys.argv.pop(1)])
'''
"""The text of a copy's `common/__main__.py`."""

Name = Tuple[str, str]
"""A module of `common`, and what is defined at its top."""
Reference = Tuple[str, str]
"""The file of a schema, and a definition in it."""
Edit = Tuple[int, int, str]
"""Characters of a text, from and to, and what is to stand there instead."""


class Unit(NamedTuple):
    """One statement at the top of a file, with the comments above it and the text below that documents it."""

    start: int
    end: int
    nodes: Tuple[ast.stmt, ...]
    names: Tuple[str, ...]
    """What it defines. None: it only does something."""


class Source:
    """A Python file: its statements, and where it uses which names of `common`."""

    def __init__(self, text: str, name: str = ""):
        self.name, self.text, self.tree = name, text, ast.parse(text)
        self.lines = text.splitlines(keepends=True)
        self.starts = [0]
        for line in self.lines:
            self.starts.append(self.starts[-1] + len(line))
        self.imported: Dict[str, Name] = {}
        """A local name: the module of `common` that it is, with no name, or the module and the name."""
        self.outside: Dict[str, str] = {}
        """A local name: the statement at the top that imports it from elsewhere."""
        self.typing: Dict[str, str] = {}
        """The same of what annotations alone need."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "common":
                for alias in node.names:
                    whole = f"{node.module}.{alias.name}"
                    self.imported[alias.asname or alias.name] = (whole, "") if path_of(whole) else (
                        str(node.module), alias.name)
        self.units = self._units()
        self.own = {name: unit for unit in self.units for name in unit.names}

    def _units(self) -> List[Unit]:
        units: List[Unit] = []
        end = 0
        for index, node in enumerate(self.tree.body):
            start, end = end, self.starts[int(node.end_lineno or 0)]
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                self.outside.update(statements(node))
            elif isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
                for one in node.body:
                    self.typing.update(statements(one))
            elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
                if index:  # what documents the assignment above
                    units[-1] = units[-1]._replace(end=end, nodes=(*units[-1].nodes, node))
            elif not (isinstance(node, ast.If) and "__name__" in ast.unparse(node.test)):
                units.append(Unit(start, end, (node,), tuple(bound_by(node))))
        return units

    def span(self, node: ast.AST) -> Tuple[int, int]:
        """The characters of a node."""
        places = ((node.lineno, node.col_offset), (node.end_lineno, node.end_col_offset))  # type: ignore[attr-defined]
        start, end = (self.starts[line - 1] + len(self.lines[line - 1].encode("utf-8")[:column].decode("utf-8"))
                      for line, column in places)
        return start, end

    def uses(self, nodes: Iterable[Optional[ast.AST]], bound: FrozenSet[str] = frozenset()) -> Iterator[
            Tuple[ast.AST, Name]]:
        """Every place in these nodes that names something of `common`, and what. bound: what functions around bind."""
        for node in nodes:
            if isinstance(node, ast.Name):
                if node.id not in bound and node.id in self.own:
                    yield node, (self.name, node.id)
                elif node.id not in bound and node.id in self.imported:
                    if not self.imported[node.id][1]:
                        raise UserError(f"{self.name or 'a script'}:{node.lineno}: {node.id} is used as an object; a "
                                        "module of common may only stand before a dot, or no copy can be made")
                    yield node, origin(self.imported[node.id])
            elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and (
                    node.value.id not in bound and self.imported.get(node.value.id, ("", "-"))[1] == ""):
                yield node, origin((self.imported[node.value.id][0], node.attr))
            elif isinstance(node, ast.Global):
                yield from ((node, (self.name, name)) for name in node.names)
            elif isinstance(node, (ast.FunctionDef, ast.Lambda)):
                yield from self.uses(around(node), bound)
                body = node.body if isinstance(node, ast.FunctionDef) else [node.body]
                yield from self.uses(body, bound | locals_of(node))
            elif isinstance(node, ast.ClassDef):
                yield from self.uses([*node.decorator_list, *node.bases, *(word.value for word in node.keywords)], bound)
                inside = bound | {name for one in node.body for name in bound_by(one)}
                for one in node.body:
                    yield from self.uses([one], bound if isinstance(one, ast.FunctionDef) else inside)
            elif isinstance(node, (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)):
                inside = bound | {name for one in node.generators for name in stored(one.target)}
                yield from self.uses(ast.iter_child_nodes(node), inside)
            elif node is not None:
                yield from self.uses(ast.iter_child_nodes(node), bound)

    def edits(self, nodes: Sequence[ast.stmt], new: Mapping[Name, str], front: str = "") -> List[Edit]:
        """What to put where so that these statements use the new names, with `front` before each, and import none.

        What is not in `new` stays as it is.
        """
        found: Dict[int, Edit] = {}
        texts = {id(part): one for one in reversed([node for node in walk(nodes) if isinstance(node, ast.JoinedStr)])
                 for part in ast.walk(one)}
        fields: Dict[ast.JoinedStr, Dict[str, str]] = collections.defaultdict(dict)
        for node, name in self.uses(nodes):
            if name not in new:
                continue
            to = front + new[name]
            start, end = self.span(node)
            if id(node) in texts:  # before Python 3.12 no name in an f-string has a place of its own
                fields[texts[id(node)]][ast.unparse(node)] = to
            elif isinstance(node, ast.Global):
                known = {one: new[self.name, one] for one in node.names if (self.name, one) in new}
                found[start] = (start, end, "global " + ", ".join(known.get(one, one) for one in node.names))
            else:
                found[start] = (start, end, to)
        for one, known in fields.items():
            start, end = self.span(one)
            found[start] = (start, end, in_fields(self.text[start:end], known))
        for node in walk(nodes):
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and node in self.tree.body and (
                    (self.name, node.name) in new):
                start = self.text.index(node.name, self.span(node)[0] + len("def "))
                found[start] = (start, start + len(node.name), new[self.name, node.name])
            for body in (getattr(node, field, None) for field in ("body", "orelse", "finalbody")):
                if isinstance(body, list):
                    found.update(self._without_imports(body, new, front))
        gone = [one for one in found.values() if not one[2]]
        return [one for one in found.values() if not any(
            start <= one[0] and one[1] <= end and one[2] for start, end, _ in gone)]

    def briefly(self, nodes: Iterable[ast.AST]) -> Iterator[Edit]:
        """The first sentence in place of each text in these nodes that documents something."""
        for node in walk(nodes):
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
                start, end = self.span(node)
                opening, closing = self.text.index('"""', start, end) + 3, end - 3
                text = self.text[opening:closing]
                yield opening, closing, sentence(text)

    def rows(self, node: ast.stmt) -> Tuple[int, int]:
        """The characters of the whole lines of a statement, its decorators counted."""
        first = min([node.lineno, *(one.lineno for one in getattr(node, "decorator_list", []))])
        return self.starts[first - 1], self.starts[int(node.end_lineno or 0)]

    def _without_imports(self, body: Sequence[ast.stmt], new: Mapping[Name, str], front: str) -> Iterator[Tuple[int, Edit]]:
        """An import of what the copy has goes; one of what it lacks fails, even where the collection is installed."""
        gone = [node for node in body if is_bundled(node, new)]
        for node in body:
            if node not in gone and isinstance(node, ast.ImportFrom) and str(node.module).split(".")[0] == "common":
                start, end = self.span(node)
                names = " = ".join(alias.asname or alias.name for alias in node.names)
                lacks = f'"{node.module}.{node.names[0].name}"'
                yield start, (start, end, f"{names} = {front}{new[ABSENT]}({lacks})")
        for node in gone:
            start, end = self.span(node)
            yield start, (start, end, "pass") if len(gone) == len(body) else (*self.rows(node), "")

    def edited(self, start: int, end: int, edits: Iterable[Edit]) -> str:
        """The text from `start` to `end` after these edits."""
        text = self.text[start:end]
        for first, last, to in sorted(edits, reverse=True):
            text = text[:first - start] + to + text[last - start:]
        return text


def walk(nodes: Iterable[ast.AST]) -> Iterator[ast.AST]:
    for node in nodes:
        yield from ast.walk(node)


def named(nodes: Iterable[ast.AST]) -> Set[str]:
    """The names that stand anywhere in these nodes."""
    return {node.id for node in walk(nodes) if isinstance(node, ast.Name)}


def is_standard(statement: str) -> bool:
    """Whether an import is of the standard library."""
    return re.split(r"[ .]", statement)[1] in sys.stdlib_module_names


def statements(node: ast.stmt) -> Iterator[Tuple[str, str]]:
    """The local names that an import of something outside of `common` brings, each with the statement that does it."""
    if isinstance(node, ast.Import) or isinstance(node, ast.ImportFrom) and (
            str(node.module).split(".")[0] not in ("common", "__future__")):
        start = f"from {node.module} import " if isinstance(node, ast.ImportFrom) else "import "
        for alias in node.names:
            told = f"{alias.name} as {alias.asname}" if alias.asname else alias.name
            yield alias.asname or alias.name, start + told


def stored(node: ast.AST) -> Iterator[str]:
    return (one.id for one in ast.walk(node) if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store))


def bound_by(node: ast.AST) -> Iterator[str]:
    """The names that a statement binds in the scope that it stands in."""
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        yield node.name
    elif isinstance(node, (ast.Import, ast.ImportFrom)):
        yield from (name.split(".")[0] for name, _ in statements(node))
    elif not isinstance(node, (ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        if isinstance(node, ast.ExceptHandler) and node.name:
            yield node.name
        for child in ast.iter_child_nodes(node):
            yield from bound_by(child)


def parameters(node: "ast.FunctionDef | ast.Lambda") -> List[ast.arg]:
    every = node.args
    return [*every.posonlyargs, *every.args, *every.kwonlyargs, *(one for one in (every.vararg, every.kwarg) if one)]


def locals_of(node: "ast.FunctionDef | ast.Lambda") -> FrozenSet[str]:
    """The names that a function binds: parameters and what its body binds, but for what it declares global."""
    names = {one.arg for one in parameters(node)}
    if isinstance(node, ast.FunctionDef):
        names |= {name for one in node.body for name in bound_by(one)}
        names -= {name for one in ast.walk(node) if isinstance(one, ast.Global) for name in one.names}
    return frozenset(names)


def around(node: "ast.FunctionDef | ast.Lambda") -> List[Optional[ast.AST]]:
    """What of a function is not in its own scope."""
    parts: List[Optional[ast.AST]] = [*node.args.defaults, *node.args.kw_defaults,
                                      *(one.annotation for one in parameters(node))]
    return [*parts, *node.decorator_list, node.returns] if isinstance(node, ast.FunctionDef) else parts


def annotated(node: ast.AST) -> List[ast.AST]:
    parts = [node.annotation] if isinstance(node, (ast.arg, ast.AnnAssign)) else [getattr(node, "returns", None)]
    return [part for part in parts if part is not None]


def sentence(text: str) -> str:
    """The first sentence of what documents something, its lines as they are."""
    first = text.partition("\n\n")[0].rstrip()
    found = SENTENCE.match(first)
    return found[0] if found else first


def in_fields(text: str, new: Mapping[str, str]) -> str:
    """An f-string with these expressions in its fields replaced."""
    pattern = re.compile("|".join(rf"(?<![\w.]){re.escape(name)}(?!\w)" for name in sorted(new, key=len, reverse=True)))
    done, depth, start, place = "", 0, 0, 0
    while place < len(text):
        if depth == 0 and text[place:place + 2] in ("{{", "}}"):
            place += 2
            continue
        if text[place] in "{}":
            depth += 1 if text[place] == "{" else -1
            if depth == (1 if text[place] == "{" else 0):
                piece = text[start:place]
                done += pattern.sub(lambda found: new[found[0]], piece) if text[place] == "}" else piece
                start = place
        place += 1
    return done + text[start:]


@functools.lru_cache(maxsize=None)
def path_of(module: str) -> Optional[Path]:
    """The file of a module of `common`, or of a package's."""
    place = SHARED.joinpath(*module.split(".")[1:])
    return next((path for path in (place.with_suffix(".py"), place / "__init__.py") if path.is_file()), None)


@functools.lru_cache(maxsize=None)
def everything() -> Dict[str, Source]:
    """The modules of `common` that a copy can have, by name."""
    found = {}
    for path in sorted(SHARED.rglob("*.py")):
        name = ".".join(("common", *path.relative_to(SHARED).with_suffix("").parts))
        if path.stem != "__init__" and not f"{name}.".startswith(tuple(f"{one}." for one in LEFT_OUT)):
            found[name] = Source(path.read_text(encoding="utf-8"), name)
    return found


def origin(name: Name) -> Name:
    """Where a name is defined that a module may have only imported."""
    source = everything().get(name[0])
    return origin(source.imported[name[1]]) if source and name[1] in source.imported else name


def is_bundled(node: ast.stmt, new: Mapping[Name, str]) -> bool:
    """Whether a statement imports modules, or out of one, that the copy has, and does nothing else. new: its names."""
    if isinstance(node, ast.With):
        return all(is_bundled(one, new) for one in node.body)
    if not isinstance(node, ast.ImportFrom) or (node.module or "").split(".")[0] != "common":
        return False
    modules = {module for module, _ in new}
    return all(f"{node.module}.{alias.name}" in modules or node.module in modules for alias in node.names)


@functools.lru_cache(maxsize=None)
def new_names() -> Dict[Name, str]:
    """What each definition is called in a copy: the same in every copy."""
    taken = collections.Counter({*dir(builtins), *keyword.kwlist, "common"})
    for source in everything().values():
        top = {name for unit in source.units for name in unit.names}
        taken.update(top)
        inner: Set[str] = {node.arg for node in ast.walk(source.tree) if isinstance(node, ast.arg)}
        for node in ast.walk(source.tree):
            if isinstance(node, (ast.FunctionDef, ast.Import, ast.ImportFrom)):
                inner |= {name for one in getattr(node, "body", [node]) for name in bound_by(one)}
            elif isinstance(node, ast.comprehension):
                inner |= set(stored(node.target))
        taken.update(inner | set(source.outside) | set(source.typing))
    found = {}
    for name, source in everything().items():
        for own in source.own:
            mark, short = "_" if own.startswith("_") else "", name.rpartition(".")[2].strip("_")
            found[name, own] = own if taken[own] == 1 else f"{mark}{short}_{own.lstrip('_')}"
    twice = [name for name, count in collections.Counter(found.values()).items() if count > 1]
    if twice:
        raise UserError(f"common: {', '.join(twice)} would stand twice in a copy; rename one")
    return found


def reached(start: Iterable[Name], new: Mapping[Name, str]) -> Dict[str, List[Unit]]:
    """The statements that these names need, by module: those that define what is used, and of each module that has one
    those that only do something. An empty name stands for the module alone. new: the names of what the copy may have.
    """
    chosen: Dict[str, Dict[int, Unit]] = collections.defaultdict(dict)
    todo = list(start)
    while todo:
        module, name = todo.pop()
        source = everything().get(module)
        if source is None:
            continue
        if name and name not in source.own:
            raise UserError(f"{module} has no {name}, which is asked of it")
        if name and (module, name) not in new:
            continue
        for unit in (*([source.own[name]] if name else []), *(one for one in source.units if not one.names)):
            if unit.start not in chosen[module]:
                chosen[module][unit.start] = unit
                todo += [used for _, used in source.uses(unit.nodes)]
    for module, units in chosen.items():
        source = everything()[module]
        used = named(node for unit in units.values() for node in unit.nodes)
        for node in source.tree.body:
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("common") and not is_bundled(node, new):
                lost = sorted(used & {alias.asname or alias.name for alias in node.names} & set(source.imported))
                if lost:
                    raise UserError(f"{module} needs {', '.join(lost)} of {node.module}, which no copy has")
    return {module: [units[place] for place in sorted(units)] for module, units in chosen.items()}


def ordered(modules: Iterable[str]) -> List[str]:
    """Each after those that its statements at the top import."""
    done: List[str] = []

    def visit(name: str) -> None:
        source = everything().get(name)
        if source and name not in done:
            for node in source.tree.body:
                if isinstance(node, ast.ImportFrom):
                    for alias in node.names:
                        visit(f"{node.module}.{alias.name}")
                    visit(str(node.module))
            done.append(name)
    for name in sorted(modules):
        visit(name)
    return [name for name in done if name in modules]


def eager(node: ast.AST) -> Iterator[str]:
    """The names that a statement looks up when it is run itself: not those in bodies of functions and annotations."""
    if isinstance(node, (ast.FunctionDef, ast.Lambda)):
        parts = [*node.args.defaults, *node.args.kw_defaults, *getattr(node, "decorator_list", [])]
    elif isinstance(node, ast.AnnAssign):
        parts = [node.value]
    else:
        parts = list(ast.iter_child_nodes(node))
    if isinstance(node, ast.Name):
        yield node.id
    for part in parts:
        yield from eager(part) if part else ()


class Imports:
    """What the statements of a copy import from elsewhere: the standard library, and others where a statement at the top
    needs them, stand at its top; the rest, as torch, is imported in the functions that use it, so that one that does
    without runs without."""

    def __init__(self, chosen: Mapping[str, Sequence[Unit]]):
        self.top: Set[str] = set()
        self.typing: Set[str] = set()
        self.late: Dict[str, Dict[str, str]] = {}
        now: Set[str] = set()
        for module, units in chosen.items():
            source = everything()[module]
            now |= {source.outside[name] for unit in units for node in unit.nodes for name in eager(node)
                    if name in source.outside}
        for module, units in chosen.items():
            source = everything()[module]
            used = named(node for unit in units for node in unit.nodes)
            used |= {name for unit in units for node in walk(unit.nodes) if isinstance(node, ast.Constant) and isinstance(
                node.value, str) and "[" in node.value for name in re.findall(r"\w+", node.value)}  # annotations in quotes
            self.late[module] = {}
            for name, statement in source.outside.items():
                if name.split(".")[0] not in used:
                    continue
                if statement in now or is_standard(statement):
                    self.top.add(statement)
                else:
                    self.late[module][name] = statement
            noted = named(part for unit in units for node in walk(unit.nodes) for part in annotated(node))
            self.typing |= {statement for name, statement in {**self.late[module], **source.typing}.items()
                            if name in (noted if name in self.late[module] else used)}
        self.typing -= self.top

    def head(self) -> List[str]:
        """The lines at the top: of the standard library, of others, and for annotations alone."""
        def merged(found: Iterable[str]) -> List[str]:
            plain = sorted(one for one in found if one.startswith("import "))
            names: Dict[str, Set[str]] = collections.defaultdict(set)
            for one in found:
                if one.startswith("from "):
                    module, _, name = one[len("from "):].partition(" import ")
                    names[module].add(name)
            whole = [f"from {module} import {', '.join(sorted(each))}" for module, each in sorted(names.items())]
            return plain + [one if len(one) <= 120 else textwrap.fill(
                one.replace(" import ", " import (", 1) + ")", 120, subsequent_indent="    ") for one in whole]
        own = {one for one in self.top if is_standard(one)}
        typing = [f"    {line}" for line in merged(self.typing)]
        if typing:
            own.add("from typing import TYPE_CHECKING")
        parts = [merged(own), merged(self.top - own), ["if TYPE_CHECKING:", *typing] if typing else []]
        return ["\n".join(part) for part in parts]

    def edits(self, source: Source, unit: Unit) -> Iterator[Edit]:
        """A line in each function of a statement that uses what is not imported at the top."""
        late = self.late[source.name]
        node = unit.nodes[0]
        for function in [node] if isinstance(node, ast.FunctionDef) else getattr(node, "body", []):
            if isinstance(function, ast.FunctionDef):
                first = function.body[1 if ast.get_docstring(function) is not None and len(function.body) > 1 else 0]
                start, _ = source.rows(first)
                for name in sorted(named(function.body) & set(late)):
                    yield start, start, " " * first.col_offset + late[name] + "\n"


def commands(text: str) -> str:
    """A text with the programs and definitions of `common` as a copy calls them."""
    def called(found: "re.Match[str]") -> str:
        module, name = found[1], found[2] or ""
        while module not in everything() and "." in module:
            module, _, last = module.rpartition(".")
            name = last
        if module not in everything():
            return found[0]
        return f"common.{new_names()[module, name]}" if (module, name) in new_names() else module.rpartition(".")[2]
    text = re.sub(r"-m common\.[\w.]*\{", "-m common {", text)
    text = re.sub(r"-m (common(?:\.\w+)*\.(\w+))", lambda found: f"-m common {found[2].strip('_')}"
                  if found[1] in everything() or found[2].isupper() else found[0], text)
    return re.sub(r"(?<![\w/])(common(?:\.\w+)+?)(?:\.(\w+))?(?![\w.]*\w)", called, text)


def script(text: str) -> str:
    """A script of a model's folder, with the names of a copy's `common`."""
    source = Source(text)
    new = new_names()
    nodes = [node for node in source.tree.body if is_bundled(node, new)]
    edits = source.edits([node for node in source.tree.body if node not in nodes], new, "common.")
    edits += [(*source.rows(node), "" if place else "import common\n") for place, node in enumerate(nodes)]
    return commands(source.edited(0, len(text), edits))


def without_unused(scripts: Mapping[str, str], texts: Iterable[str]) -> Dict[str, str]:
    """A model's scripts (file name to text) without the functions that neither they nor these texts name, and what those
    alone import."""
    left = dict(scripts)
    words = collections.Counter(re.findall(r"\w+", "\n".join([*left.values(), *texts])))
    for name, text in left.items():
        source = Source(text)
        gone = [unit for unit in source.units if isinstance(unit.nodes[0], ast.FunctionDef) and words[unit.names[0]] == len(
            re.findall(rf"\b{unit.names[0]}\b", text[unit.start:unit.end]))]
        lost = named(node for unit in gone for node in unit.nodes) - named(
            node for node in source.tree.body if all(node not in unit.nodes for unit in gone))
        edits = [(unit.start, unit.end, "") for unit in gone]
        for node in source.tree.body:
            if isinstance(node, (ast.Import, ast.ImportFrom)) and lost & {one.asname or one.name for one in node.names}:
                kept = [one for one in node.names if (one.asname or one.name) not in lost]
                begin, end = source.rows(node)
                node.names = kept or node.names
                edits.append((begin, end, ast.unparse(node) + "\n" if kept else ""))
        left[name] = source.edited(0, len(text), edits)
    return left


def schemas(chosen: Mapping[str, Sequence[Unit]]) -> Dict[str, Any]:
    """The schemas that these statements name, by file name: what a value is held to, and nothing else.

    A definition that is referred to once, or is shorter than a reference to it, stands in the reference's place.
    """
    start: List[Reference] = []
    for node in walk(node for units in chosen.values() for unit in units for node in unit.nodes):
        if isinstance(node, ast.Call) and re.search(r"\b(read_json|check|fits)$", ast.unparse(node.func)):
            start += [(f"{one.value}.schema.json", "") for one in walk(node.args) if isinstance(one, ast.Constant)
                      and isinstance(one.value, str)]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            start += re.findall(r"^(\w+\.schema\.json)#/definitions/(\w+)$", node.value)
    folder = SHARED / "base/schemas"
    start = [one for one in start if (folder / one[0]).is_file()]
    every = {path.name: without_prose(files.read_json(path, {})) for path in folder.glob("*.json")}
    whole = referred(start, {**every, **HELD})
    often = collections.Counter(one for name, schema in whole.items() for one in references(schema, name))
    often.update(2 * start)
    return referred(start, {name: put_in(schema, name, name, whole, often) for name, schema in whole.items()})


def references(schema: Any, name: str) -> List[Reference]:
    """The definitions that a schema of the file `name` refers to, one for each time that it does."""
    return [(other or name, one) for other, one in REFERENCE.findall(json.dumps(schema))]


def referred(start: Iterable[Reference], every: Mapping[str, Any]) -> Dict[str, Any]:
    """Of every schema what these references need, by file name; one without a definition stands for the file's own."""
    found: Dict[str, Any] = {}
    done, todo = set(), list(start)
    while todo:
        name, part = todo.pop()
        if (name, part) not in done:
            done.add((name, part))
            own = {key: value for key, value in every[name].items() if key != "definitions"}
            new = {part: every[name]["definitions"][part]} if part else own
            (found.setdefault(name, {}).setdefault("definitions", {}) if part else found.setdefault(name, {})).update(new)
            todo += references(new, name)
    return dict(sorted(found.items()))


def put_in(schema: Any, name: str, home: str, whole: Mapping[str, Any], often: Mapping[Reference, int]) -> Any:
    """A schema of the file `name` as it may stand in the file `home`, with the definitions that are better in place."""
    if isinstance(schema, list):
        return [put_in(one, name, home, whole, often) for one in schema]
    if not isinstance(schema, dict):
        return schema
    for place, part in references(schema, name) if list(schema) == ["$ref"] else ():
        there = put_in(whole[place]["definitions"][part], place, home, whole, often)
        short = {"$ref": f"{place if place != home else ''}#/definitions/{part}"}
        return there if often[place, part] == 1 or len(json.dumps(there)) <= len(json.dumps(short)) else short
    return {key: put_in(one, name, home, whole, often) for key, one in schema.items()}


def without_prose(schema: Any) -> Any:
    """A schema without what only people and editors read."""
    if isinstance(schema, list):
        return [without_prose(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    return {key: {name: without_prose(one) for name, one in value.items()} if key in ("properties", "definitions")
            else without_prose(value) for key, value in schema.items() if key not in ("$schema", "title", "description")}


def wrapped(value: Any) -> str:
    """A value in JSON, on lines of at most 120 characters."""
    lines = [""]
    for piece in json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).iterencode(value):
        if len(lines[-1]) + len(piece) > 119 and piece not in ",:]}":
            lines[-1] += "," * piece.startswith(",")
            lines.append(piece.lstrip(","))
        else:
            lines[-1] += piece
    return "\n".join(lines)


def documented(source: Source) -> str:
    """A module's docstring as the comment that its part of a copy opens with."""
    lines = sentence(ast.get_docstring(source.tree) or "").splitlines()
    title = source.name.rpartition(".")[2].strip("_")
    return "\n".join(f"# {line}".rstrip() for line in [f"---- {title} ----", *lines])


def with_schemas(text: str, chosen: Mapping[str, Sequence[Unit]]) -> str:
    """The reader of JSON files, with the schemas in it in place of the folder that they lie in."""
    name = new_names()[READER, "SCHEMAS"]
    rows = "".join(f"    {json.dumps(key)}: r'''\n{wrapped(schema)}''',\n" for key, schema in schemas(chosen).items())
    for old, new in ((f'{name} = Path(__file__).with_name("schemas")', f"{name} = {{\n{rows}}}"),
                     (f'({name} / name).read_text(encoding="utf-8")', f"{name}[name]")):
        if text.count(old) != 1:
            raise UserError(f"{READER}: expected {old} in it once, to put schemas in a copy")
        text = text.replace(old, new)
    return text


def bundle(scripts: Iterable[str], programs: Iterable[str], parts: Iterable[str] = PARTS) -> Dict[str, str]:
    """The two files of a copy's `common`: what these scripts (their texts) use and these programs (modules) are.

    parts: those of `PARTS` that the copy has.
    Raises `UserError` for a program that is none, and a script that asks for what is not there.
    """
    programs, absent = sorted(set(programs)), set(PARTS) - set(parts)
    new = {name: to for name, to in new_names().items() if name[0] not in absent}
    start = [(module, "main") for module in programs] + [("common.base.errors", "run"), ABSENT]
    for text in scripts:
        source = Source(text)
        start += [*map(origin, source.imported.values()), *(name for _, name in source.uses(source.tree.body))]
    chosen = reached((name for name in start if name[0] in everything()), new)
    imports = Imports(chosen)
    effects: List[str] = []
    pieces: List[str] = []
    for module in ordered(chosen):
        source = everything()[module]
        part = documented(source) + "\n\n\n"
        for unit in chosen[module]:
            edits = [*source.edits(unit.nodes, new), *imports.edits(source, unit), *source.briefly(unit.nodes)]
            edits += [(*source.span(node), json.dumps((ast.get_docstring(source.tree) or "").partition("\n")[0]))
                      for node in walk(unit.nodes) if isinstance(node, ast.Name) and node.id == "__doc__"]
            text = MARKER.sub("", source.edited(unit.start, unit.end, edits))
            if not unit.names:
                effects.append(text.strip("\n"))
            else:
                part += text.lstrip("\n") if part.endswith("\n\n\n") else text
        pieces.append(part.rstrip("\n"))
    front = (SHARED / "__init__.py").read_text(encoding="utf-8").partition('"""\n')[2].strip("\n")
    standard, others, typing = imports.head()
    whole = [f'"""{TITLE}"""\n{FUTURE}\n\n{front}',
             standard, *effects, "\n\n".join(part for part in (others, typing) if part),
             with_schemas("\n\n\n".join(pieces), chosen) if READER in chosen else "\n\n\n".join(pieces)]
    rows = "".join(f'    "{module.rpartition(".")[2]}": common.{new[module, "main"]},\n' for module in programs)
    return {"common/__init__.py": commands("\n\n\n".join(whole) + "\n"), "common/__main__.py": PROGRAMS.format(rows=rows,
            run=new["common.base.errors", "run"])}
