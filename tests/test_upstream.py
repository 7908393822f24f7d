"""`make upstream` and SOURCE=upstream, with a made-up repository and a made-up model."""
from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import onnx
import pytest

from common.convert import upstream
from conftest import ROOT, environment, one_line_error

THEIRS = """import torch
from helper import factor

class Twice(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(4))

    def forward(self, x, unused):
        return x * self.weight * factor()
"""
DIFF = """diff --git a/code/net.py b/code/net.py
--- a/code/net.py
+++ b/code/net.py
@@ -9,2 +9,2 @@ class Twice(torch.nn.Module):
-    def forward(self, x, unused):
+    def forward(self, x, unused=None):
         return x * self.weight * factor()
"""
OURS = """import torch

class Twice(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(4))

    def forward(self, x):
        return x * self.weight + x * self.weight

def from_upstream(ours):
    from common.convert import upstream
    return upstream.fill(upstream.load_file("net.py").Twice(), ours)
"""
EXPORT = """import sys
import net, torch
from common.base import errors
from common.convert import export

def main(argv=None):
    network = net.Twice()
    torch.nn.init.normal_(network.weight)
    print(export.export(network, [export.Port("x", (1, 4))], ["y"], sys.argv[1], tolerance=1e-4, metadata={"a": "b"}))

errors.run(main)
"""


def git(folder: Path, *arguments: str) -> str:
    who = {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b"}
    return subprocess.run(["git", "-C", str(folder), *arguments], check=True, capture_output=True, text=True,
                          env={**os.environ, **who}).stdout.strip()


@pytest.fixture
def repository(tmp_path) -> Path:
    """A repository of two commits, the first of which is the pinned one; its path holds a space."""
    folder = tmp_path / "their code"
    for name, text in (("code/net.py", THEIRS), ("code/helper.py", "def factor():\n    return 2\n"),
                       ("code/deep/er.py", ""), ("LICENSE", "MIT"), ("pictures/large.gif", "x" * 1000)):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    git(folder, "init", "--quiet")
    for message in ("first", "second"):
        git(folder, "add", ".")
        git(folder, "commit", "--quiet", "-m", message)
        (folder / "code/helper.py").write_text("def factor():\n    return 3\n")
    return folder


@pytest.fixture
def model(tmp_path, repository) -> Path:
    """A model's folder whose upstream is that repository's first commit; its path holds a space."""
    folder = tmp_path / "a model"
    folder.mkdir()
    facts = json.loads((ROOT / "EDSR/facts.json").read_text())
    facts.update(network="net", upstream={
        "repository": "http://127.0.0.1:9/none.git", "commit": git(repository, "rev-parse", "HEAD~"),
        "folders": ["code"], "python": "code", "diffs": ["net.diff"]})
    (folder / "facts.json").write_text(json.dumps(facts))
    (folder / "net.diff").write_text(DIFF)
    (folder / "net.py").write_text(OURS)
    (folder / "export.py").write_text(EXPORT)
    return folder


def change_facts(model: Path, **values: object) -> None:
    facts = json.loads((model / "facts.json").read_text())
    facts["upstream"].update(values)
    (model / "facts.json").write_text(json.dumps(facts))


def fetch(run, model: Path, url: object, **variables: str) -> subprocess.CompletedProcess:
    return run("-m", "common.convert.upstream", "fetch", "--url", url, cwd=model, **variables)


@pytest.mark.parametrize("address", ["{}", "file://{}", "../their code"])
def test_the_pinned_commit_comes_shallow_and_sparse_with_the_diff_applied(model, repository, run, address):
    result = fetch(run, model, address.format(repository))
    assert result.returncode == 0, result.stderr
    folder = model / "build/upstream"
    assert "unused=None" in (folder / "code/net.py").read_text()
    assert "return 2" in (folder / "code/helper.py").read_text()
    assert (folder / "LICENSE").is_file() and (folder / "code/deep/er.py").is_file()
    assert not (folder / "pictures").exists()
    assert git(folder, "rev-list", "--count", "HEAD") == "1"


def test_a_second_fetch_does_nothing_and_needs_no_git(model, repository, run, tmp_path):
    fetch(run, model, repository)
    before = {path: path.stat().st_mtime_ns for path in (model / "build/upstream").rglob("*")}
    (tmp_path / "empty").mkdir()
    result = fetch(run, model, "/nowhere", PATH=str(tmp_path / "empty"))
    assert result.returncode == 0 and "was there already" in result.stdout
    assert {path: path.stat().st_mtime_ns for path in (model / "build/upstream").rglob("*")} == before


def test_another_commit_or_diff_replaces_what_is_there(model, repository, run):
    fetch(run, model, repository)
    (model / "build/upstream/stray").write_text("")
    change_facts(model, commit=git(repository, "rev-parse", "HEAD"))
    assert fetch(run, model, repository).returncode == 0
    assert "return 3" in (model / "build/upstream/code/helper.py").read_text()
    assert not (model / "build/upstream/stray").exists()
    (model / "net.diff").write_text(DIFF.replace("unused=None", "unused=0"))
    assert fetch(run, model, repository).returncode == 0
    assert "unused=0" in (model / "build/upstream/code/net.py").read_text()


def test_a_server_that_gives_no_single_commit_is_asked_for_all(model, repository, run, tmp_path):
    (tmp_path / "config").write_text("[protocol]\n\tversion = 0\n")
    result = fetch(run, model, f"file://{repository}", GIT_CONFIG_GLOBAL=str(tmp_path / "config"))
    assert result.returncode == 0, result.stderr
    assert "return 2" in (model / "build/upstream/code/helper.py").read_text()


def test_a_repository_without_the_commit_is_one_line_and_leaves_nothing(model, repository, run):
    change_facts(model, commit="0123456789" * 4)
    one_line_error(fetch(run, model, repository), "does not have the pinned commit 01234567890123", "UPSTREAM_URL=")
    assert list((model / "build").iterdir()) == []


@pytest.mark.parametrize("url", ["", "http://somebody:secret@127.0.0.1:9/none.git", "/nowhere/at/all"])
def test_an_address_that_cannot_be_reached_is_one_line_without_password(model, run, url):
    result = fetch(run, model, url, no_proxy="127.0.0.1")
    one_line_error(result, "cannot be fetched from", "UPSTREAM_URL=", url.rpartition("@")[2])
    assert "secret" not in result.stderr
    assert list((model / "build").iterdir()) == []


def test_without_git_is_one_line(model, repository, run, tmp_path):
    (tmp_path / "empty").mkdir()
    one_line_error(fetch(run, model, repository, PATH=str(tmp_path / "empty")), "git is not on PATH")


def test_a_diff_that_does_not_apply_keeps_what_was_there(model, repository, run):
    fetch(run, model, repository)
    (model / "net.diff").write_text(DIFF.replace("x * self.weight", "y * self.weight"))
    one_line_error(fetch(run, model, repository), "net.diff does not apply to commit")
    assert "unused=None" in (model / "build/upstream/code/net.py").read_text()
    assert [path.name for path in (model / "build").iterdir()] == ["upstream"]


def test_export_takes_the_upstreams_network_and_says_so_in_the_file(model, repository, run):
    fetch(run, model, repository)
    found = {}
    for source in ("", "built-in", "upstream"):
        result = run("export.py", f"{source}.onnx", cwd=model, SOURCE=source)
        assert result.returncode == 0, result.stderr
        file = onnx.load(str(model / f"{source}.onnx"))
        found[source] = ({node.op_type for node in file.graph.node if node.op_type in ("Add", "Mul")},
                         {entry.key: entry.value for entry in file.metadata_props})
    assert found[""] == found["built-in"] == ({"Mul", "Add"}, {"a": "b", "parameters": "4"})
    assert found["upstream"][0] == {"Mul"}
    assert found["upstream"][1] == {"a": "b", "parameters": "4", "upstream": "http://127.0.0.1:9/none.git@"
                                                          + git(repository, "rev-parse", "HEAD~")}


def test_an_upstream_that_computes_something_else_leaves_no_file(model, repository, run):
    change_facts(model, commit=git(repository, "rev-parse", "HEAD"))  # times 3, not 2
    fetch(run, model, repository)
    one_line_error(run("export.py", "x.onnx", cwd=model, SOURCE="upstream"), "ONNX and PyTorch differ")
    assert not list(model.glob("*.onnx")) and not list(model.glob(".*"))


@pytest.mark.parametrize("prepare, source, part", [
    (lambda model: None, "upstream", "run `make upstream` first"),
    (lambda model: None, "elsewhere", "SOURCE=elsewhere: expected built-in (default) or upstream"),
    (lambda model: (model / "net.diff").write_text(DIFF + "\n"), "upstream", "run `make upstream` first"),
    (lambda model: (model / "build/upstream/code/helper.py").unlink(), "upstream", "No module named 'helper'"),
    (lambda model: (model / "build/upstream/code/net.py").write_text(THEIRS.replace("ones(4)", "ones(5)")), "upstream",
     "does not fit the upstream's network"),
], ids=["nothing fetched", "unknown source", "another diff", "broken upstream", "other widths"])
def test_an_export_that_cannot_take_the_upstream_is_one_line(model, repository, run, prepare, source, part):
    if "make upstream" not in part or "net.diff" in str(prepare.__code__.co_consts):
        fetch(run, model, repository)
    prepare(model)
    one_line_error(run("export.py", "x.onnx", cwd=model, SOURCE=source), part)
    assert not list(model.glob("*.onnx"))


def test_sparse_patterns_take_the_top_levels_files_and_the_named_folders_whole():
    assert upstream.sparse_patterns([]) == ["/*", "!/*/"]
    assert upstream.sparse_patterns(["a/b", "c/"]) == ["/*", "!/*/", "/a/", "!/a/*/", "/a/b/", "/c/"]


def test_make_upstream_then_an_export_from_it(tmp_path, repository):
    """EDSR's own Makefile, with a made-up network as its upstream."""
    if not (ROOT / ".venv/installed").exists():
        pytest.fail("run the tests by `make test`: these need the project's own .venv")
    folder = tmp_path / "EDSR"
    folder.mkdir()
    for path in (ROOT / "EDSR").iterdir():
        if path.is_file() and path.name != "facts.json":
            (folder / path.name).write_bytes(path.read_bytes())
    (folder / "facts.json").write_bytes((ROOT / "EDSR/facts.json").read_bytes())
    change_facts(folder, commit=git(repository, "rev-parse", "HEAD~"), folders=["code"], diffs=["net.diff"])
    (folder / "net.diff").write_text(DIFF)
    make = ["make", f"PYTHON={sys.executable}", f"UPSTREAM_URL={repository}", "SEEDED=blocks=1 features=8", "LIMIT=1"]
    clean = {name: value for name, value in environment().items() if name != "PYTHONPATH"}

    def called(*more: str) -> subprocess.CompletedProcess:
        return subprocess.run([*make, *more], cwd=folder, capture_output=True, text=True, env=clean)

    for _ in range(2):
        result = called("upstream")
        assert result.returncode == 0, result.stderr
    assert "was there already" in result.stdout
    assert "edsr_pth2onnx.py" in called("export").stdout and (folder / "build/edsr_x2.onnx").exists()
    assert "edsr_pth2onnx.py" not in called("export").stdout
    result = called("SOURCE=upstream", "export")  # a changed SOURCE exports anew; the made-up upstream is no EDSR
    assert result.returncode and "the upstream's network cannot be exported" in result.stderr
