"""Every stage of a run, as make's records tell it, with one input at a time replaced and with outputs that are none.

What a stage is and reads is taken from a run that went well, so a new stage is in the sweep by itself; the same line on the
untouched build folder is the control.
"""
from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, Iterator, List, Tuple

import pytest

from conftest import environment
from test_make import copy_project, make
from test_sweep_faults import BAD

SMALL = {"UNetPlusPlus": "filters=4,8,8,8,8"}
KINDS = ("missing", "empty", "json", "pipe", "device")
"""Those of BAD that are tried here: what each reader does with all of them is tried elsewhere."""
READS = ("infer", "pytorch")
"""Stages that read the preprocessed samples themselves."""
FINE = {("infer", "missing"): "the tools take what a folder holds; postprocess misses the sample"}
"""Where a stage may pass, and why."""
WITHOUT = ("demo", "seeded", "fingerprint")
"""Stages that read nothing of the build folder."""


def lines(build: Path) -> Dict[str, Dict[str, Any]]:
    """The records of a run's stages, by name."""
    found = (json.loads(path.read_text()) for path in sorted((build / ".args").glob("*.json")))
    return {record["stage"]: record for record in found if record["stage"] not in WITHOUT}


def inputs(build: Path, record: Dict[str, Any]) -> List[str]:
    """The files that a stage's line names and did not write; of a folder, the first file of a sample in it, or what lists
    them where that is all that the stage reads."""
    samples = {one["id"] for one in json.loads((build / "prep/manifest.json").read_text())["samples"]}
    found = []
    for word in shlex.split(record["command"]):
        path = build / word
        if not word.startswith(("/", "-", "..")) and path.is_dir():
            listed = path / "manifest.json"
            path = listed if listed.exists() and record["stage"] not in READS else next((one for one in sorted(
                path.rglob("*")) if one.is_file() and any(one.name.startswith(sample) for sample in samples)), path)
        name = os.path.relpath(path, build)
        if path.is_file() and not (record["stage"] == "perf" and name.startswith("result/")) and name not in record["wrote"] and not name.startswith("..") and name not in found:
            found.append(name)
    return found


def run(project: Path, model: str, record: Dict[str, Any]) -> Tuple[int, List[str]]:
    """A stage's line, run as make runs it: its status, and what it says on stderr."""
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", record["command"]], cwd=project / model, text=True, timeout=120,
                          stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True, env={
                              **environment(), "INTERPRETER": sys.executable, "PYTHONPATH": str(project / model), "LIMIT": "3",
                              "THREADS": "1", "PYTHONSAFEPATH": "1"})
    return done.returncode, [line for line in done.stderr.splitlines() if line.strip()]


def tree(folder: Path) -> Dict[str, Any]:
    return {str(path.relative_to(folder)): (os.lstat(path).st_mode, os.lstat(path).st_size)
            for path in folder.rglob("*") if path.is_symlink() or not path.is_dir()}


def cases(build: Path, record: Dict[str, Any]) -> Iterator[Tuple[str, str]]:
    for name in inputs(build, record):
        for kind in KINDS:
            yield name, kind


@pytest.fixture(scope="module", params=SMALL)
def good(request, tmp_path_factory):
    """A project with a finished run of narrow seeded weights, and a copy of its build folder."""
    project = copy_project(tmp_path_factory.mktemp("stages") / "p")
    result = make(project, "-C", request.param, "PTH=seeded", f"SEEDED={SMALL[request.param]}", "LIMIT=3", "LOOP=2", "ROUND=2",
                  "THREADS=1", "report", "compare")
    assert result.returncode == 0, result.stdout + result.stderr
    shutil.copytree(project / request.param / "build", project / "good", symlinks=True)
    return project, request.param


def restore(project: Path, model: str) -> Path:
    build = project / model / "build"
    shutil.rmtree(build)
    shutil.copytree(project / "good", build, symlinks=True)
    return build


@pytest.mark.full
def test_each_input_of_each_stage_is_refused_in_one_line_where_it_is_wrong(good):
    project, model = good
    faults, count = [], 0
    for stage, record in lines(project / "good").items():
        restore(project, model)
        status, said = run(project, model, record)
        assert status == 0, (stage, said)
        for name, kind in cases(project / "good", record):
            build = restore(project, model)
            (build / name).unlink()
            BAD[kind](build / name)
            for out in record["wrote"]:  # done anew, not taken up
                if not record["command"].count(out) or out == record["out"]:
                    (build / out).unlink(missing_ok=True)
            before = tree(build)
            count += 1
            try:
                status, said = run(project, model, record)
            except subprocess.TimeoutExpired:
                faults.append((stage, name, kind, "hangs"))
                continue
            gone = [one for one, about in before.items() if one not in record["wrote"] and tree(build).get(one) != about]
            if (stage, kind) in FINE and name.endswith(".bin") and status == 0:
                continue
            if status == 0 or status > 2 or len(said) != 1 or not said[0].startswith("error: ") or gone:
                faults.append((stage, name, kind, status, said[-2:], gone))
    print(count, "cases")
    assert not faults, "\n".join(map(str, faults))
