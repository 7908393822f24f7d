"""The shell scripts of every model and of common/."""
from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from conftest import ROOT, environment

PROGRAMS = sorted(ROOT.glob("*/test/*.sh"))


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("script", PROGRAMS, ids=name)
def test_help_is_status_0_and_an_unknown_option_status_2_from_any_directory(script, tmp_path):
    for option, status in (("--help", 0), ("--colour", 2)):
        result = subprocess.run(["bash", str(script), option], cwd=tmp_path, capture_output=True, text=True,
                                env=environment())
        assert result.returncode == status, result.stderr
        assert "usage: bash test/" in (result.stdout if status == 0 else result.stderr)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("arguments, said", [
    (["--pth"], "--pth: expected --pth=VALUE"), (["--pth="], "--pth: expected a path, found none"),
    (["--datasets_path", "/data"], "--datasets_path: expected --datasets_path=VALUE"), (["--path=x"], "unknown option --path=x"),
    (["pth=x"], "unknown option pth=x"), (["--loop=x"], "--loop: expected a number of at least 1, found x"), ([], "--datasets_path is missing")])
def test_wrong_usage_is_said_of_the_option_that_it_is_about(arguments, said):
    result = subprocess.run(["bash", str(ROOT / "UNetPlusPlus/test/eval_acc_perf.sh"), *arguments], capture_output=True, text=True,
                            env=environment())
    assert result.returncode == 2 and result.stderr.splitlines()[0] == f"error: {said}"


@pytest.mark.parametrize("folder", sorted({path.parent for path in ROOT.glob("*/env.sh")} - {ROOT / "common"}),
                         ids=lambda path: path.name)
def test_sourcing_env_twice_changes_nothing_more_and_works_under_set_u(folder):
    script = 'set -eu; . ./env.sh; first=$(declare -p PATH PYTHONPATH BENCHMARK MSAME MODEL_SUFFIX); . ./env.sh; ' \
             '[ "$first" = "$(declare -p PATH PYTHONPATH BENCHMARK MSAME MODEL_SUFFIX)" ]'
    result = subprocess.run(["bash", "-c", script], cwd=folder, capture_output=True, text=True,
                            env={"PATH": environment()["PATH"]})
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert len(lines) == 2 and lines[0] == lines[1] and lines[0].startswith("env: ")
