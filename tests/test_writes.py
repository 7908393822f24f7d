"""How files are written and removed, found in the code itself: whole or not at all, and only what is the collection's own."""
from __future__ import annotations

import ast
from pathlib import Path
from typing import Iterator, List, Tuple

import pytest

from conftest import MODELS, ROOT

FREE = {
    "common/base/uses.py": "adds to the list of sources that the stage's runner made",
    "common/make/check.py": "make's own record of a line, in .args",
    "common/make/stage.py": "a stage's log, in .args",
    "common/base/files.py": "files.atomic itself, and what uses it in there",
    "common/make/lock.py": "the lock of a build folder, which holds nothing",
    "common/precision/pieces.py": "pieces of a network, in a temporary folder",
    "common/base/kept_checks.py": "a check's code, beside its name in __pycache__: files.atomic is above it",
    "common/base/journal.py": "a hidden part file, which takes its name when it is complete",
    "common/devices/processes.py": "a tool's log, while it runs",
    "common/convert/upstream.py": "a request for its own child, in a temporary folder"}
"""Files that write otherwise than through `files.atomic`, and what."""
WRITERS = {"write_text", "write_bytes", "tofile", "imwrite", "savez", "savez_compressed"}
REMOVERS = {
    "common/convert/upstream.py": "its own clone, by the mark in it", "common/data/demo/_program.py": "what it drew, by the mark in it",
    "common/devices/folders.py": "a device's, in a folder that an earlier run left"}
"""Files that remove whole folders, and which."""


def sources() -> List[Path]:
    own = [path for model in MODELS for path in (ROOT / model).glob("*.py")]
    return [path for path in [*(ROOT / "common").rglob("*.py"), *own] if "dev" not in path.relative_to(ROOT).parts]


def calls(tree: ast.AST, within: Tuple[str, ...] = ()) -> Iterator[Tuple[ast.Call, str, Tuple[str, ...]]]:
    """Every call with its name as it stands, and the calls of the `with` statements around it."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Call):
            yield node, ast.unparse(node.func), within
        opened = (ast.unparse(item.context_expr) for item in node.items) if isinstance(node, ast.With) else ()
        yield from calls(node, (*within, *opened))


def writes(call: ast.Call, name: str) -> bool:
    """Whether a call writes to a file by its name."""
    owner, _, last = name.rpartition(".")
    if last == "open" and owner in ("", "io", "os", "gzip"):
        mode = next(iter([*call.args[1:2], *(key.value for key in call.keywords if key.arg == "mode")]), None)
        return isinstance(mode, ast.Constant) and bool(set("wax+") & set(str(mode.value)))
    return (last in WRITERS or name in ("np.save", "torch.save", "onnx.save")) and owner not in ("files", "pictures")


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_is_written_whole_or_not_at_all(path):
    """Through `files.atomic`, which refuses devices and pipes, writes through links, and never leaves half a file."""
    if str(path.relative_to(ROOT)) in FREE:
        return
    for call, name, within in calls(ast.parse(path.read_text(encoding="utf-8"))):
        if writes(call, name):
            assert any("atomic(" in text or "BytesIO" in text or "TemporaryDirectory" in text for text in within), (
                f"{path}:{call.lineno}: {name} outside of files.atomic")


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_whole_folders_are_removed_where_a_mark_says_whose_they_are(path):
    for call, name, _ in calls(ast.parse(path.read_text(encoding="utf-8"))):
        if name.rpartition(".")[2] in ("rmtree", "removedirs"):
            assert str(path.relative_to(ROOT)) in REMOVERS, f"{path}:{call.lineno}: {name}"


@pytest.mark.parametrize("text, found", [
    ("open(p, 'w')", True), ("open(p)", False), ("open(p, mode='ab')", True), ("p.write_text(t)", True), ("files.write_text(p, t)", False),
    ("array.tofile(p)", True), ("cv2.imwrite(p, a)", True), ("checkpoint.save(s, p)", False), ("onnx.save(m, p)", True)])
def test_what_counts_as_writing(text, found):
    call = ast.parse(text).body[0].value
    assert writes(call, ast.unparse(call.func)) is found
