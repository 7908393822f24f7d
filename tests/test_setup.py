"""common/make/setup.sh, with a Python and a uv that only note how they are called."""
from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from conftest import ROOT, environment

PYTHON = """#!/usr/bin/env bash
if [[ $1 == -c ]]; then echo "imports $2 PYTHONDONTWRITEBYTECODE=$PYTHONDONTWRITEBYTECODE" >>"$CALLS.imports"; exit 0; fi
echo "python $*" >>"$CALLS"
if [[ "$1 $2" == "-m venv" ]]; then mkdir -p .venv/bin; cp "$0" .venv/bin/python; fi
"""
UV = '#!/usr/bin/env bash\necho "uv $*" >>"$CALLS"\nexit "$UV_STATUS"\n'


@pytest.fixture
def set_up(tmp_path):
    """`set_up(uv=None or its exit status, **variables)` gives the installers' calls, each a line."""
    for name in ("requirements.txt", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    tools = tmp_path / "tools"
    tools.mkdir()
    calls = tmp_path / "calls"

    def script(name: str, text: str) -> Path:
        (tools / name).write_text(text)
        (tools / name).chmod(0o755)
        return tools / name

    def call(uv=None, **variables):
        python = script("python-of-ours", PYTHON)
        if uv is not None:
            script("uv", UV)
        calls.write_text("")
        path = ":".join([str(tools), *(one for one in os.environ["PATH"].split(":") if not (Path(one) / "uv").exists())])
        subprocess.run(["bash", str(ROOT / "common/make/setup.sh"), str(tmp_path), str(python)], check=True,
                       env=environment(PATH=path, CALLS=str(calls), UV_STATUS=str(uv), **variables))
        return [line for line in calls.read_text().splitlines() if " install " in line and "requirements.txt" in line]
    return call


def test_pip_installs_what_is_pinned_and_nothing_a_second_time(set_up):
    assert [line.split()[:4] for line in set_up()] == [["python", "-m", "pip", "install"]]
    assert set_up() == []


def test_an_environment_of_another_folder_is_left_alone(set_up, tmp_path):
    (tmp_path / "theirs").mkdir()
    (tmp_path / ".venv").symlink_to("theirs")
    with pytest.raises(subprocess.CalledProcessError):
        set_up()
    assert not list((tmp_path / "theirs").iterdir()) and not (tmp_path / "calls").read_text()


def test_a_python_that_is_missing_is_one_line_and_what_is_there_stays(tmp_path):
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv/mine").touch()
    done = subprocess.run(["bash", str(ROOT / "common/make/setup.sh"), str(tmp_path), "python0.9"], capture_output=True, text=True,
                          env=environment())
    assert done.returncode == 1 and (tmp_path / ".venv/mine").exists()
    assert done.stderr == ("error: python0.9 is missing; the pinned packages need Python 3.11 to 3.13, give PYTHON=python3.11 (say)\n")


def test_what_stages_start_with_is_compiled_where_python_is_told_to_write_nothing(set_up, tmp_path, run):
    set_up(PYTHONDONTWRITEBYTECODE="1")
    line = (tmp_path / "calls.imports").read_text().splitlines()[-1]
    statement, _, variable = line[len("imports "):].rpartition(" ")
    assert variable == "PYTHONDONTWRITEBYTECODE=" and {"torch.onnx.utils", "onnxruntime", "cv2"} <= set(re.findall(r"[\w.]+", statement))
    done = run("-c", statement)  # what it cannot import is passed over there
    assert done.returncode == 0, done.stderr


def test_uv_is_taken_where_it_is_there(set_up):
    first, = set_up(uv=0)
    assert first.startswith("uv pip install") and ".venv/bin/python" in first


def test_pip_follows_where_uv_fails(set_up):
    assert [line.split()[0] for line in set_up(uv=2)] == ["uv", "python"]


@pytest.mark.parametrize("uv", (None, 0))
@pytest.mark.parametrize("variables, index", (
    ({"TORCH": "cpu"}, "https://download.pytorch.org/whl/cpu"), ({"TORCH": "cpu", "TORCH_INDEX": "file:///mine"}, "file:///mine")))
def test_builds_for_the_cpu_come_from_an_index_of_their_own(set_up, uv, variables, index):
    first, = set_up(uv=uv, **variables)
    assert f"--extra-index-url {index} " in first
