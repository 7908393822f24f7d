"""The Dockerfiles, held to a linter where no engine runs, and the CI file's commands to what is there."""
from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import ROOT

FILES = ("Dockerfile", "Dockerfile.ascend")


@pytest.mark.parametrize("name", FILES)
def test_hadolint_has_nothing_to_say(name):
    tool = shutil.which("hadolint", path=str(Path(sys.executable).parent)) or shutil.which("hadolint")
    if tool is None:
        pytest.skip("needs hadolint: make extras")
    done = subprocess.run([tool, name], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", FILES)
def test_what_a_dockerfile_copies_and_runs_is_there(name):
    text = (ROOT / name).read_text()
    for sources in re.findall(r"^COPY (?:--chown=\S+ )?(.+) \S+$", text, re.MULTILINE):
        assert all((ROOT / source).exists() for source in sources.split()), sources
    for script in re.findall(r"^RUN bash (\S+)", text, re.MULTILINE):
        assert (ROOT / script).is_file()
    assert len(re.findall(r"^#   docker (?:build|run|cp) ", text, re.MULTILINE)) == 3, "a build and two commands"


def test_ci_runs_targets_that_there_are():
    rules = (ROOT / "Makefile").read_text() + (ROOT / "common/make/setup.mk").read_text()
    called = re.findall(r"- run: make (\w+)", (ROOT / ".github/workflows/ci.yml").read_text())
    assert called and all(re.search(rf"^{target}:", rules, re.MULTILINE) for target in called)
