"""Paths and helpers that several test files share."""
from __future__ import annotations

import atexit
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Callable

import pytest

ROOT = Path(__file__).resolve().parent.parent
MODELS = sorted(path.parent.name for path in ROOT.glob("*/facts.json"))
"""The models' folders."""
sys.path.extend(str(ROOT / model) for model in MODELS)
SHARED = Path(os.environ.get("SHARED", ROOT.parent / "shared"))


os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # common/make/variables.mk says why
# hundreds of processes start: what they import is compiled once
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
TMPDIR = tempfile.mkdtemp(prefix="tests-")
"""Of this process of pytest alone, so that stages of tests that run side by side do not wait for one another's timing."""
atexit.register(shutil.rmtree, TMPDIR, ignore_errors=True)


def environment(**more: str) -> dict:
    """The environment of a script: this one without the variables that steer a run, the project importable.

    V=1: make shows its commands, by which the tests see what was done.
    """
    kept = {name: value for name, value in os.environ.items()
            if name not in ("LIMIT", "DEVICE", "DEVICES", "PRECISION", "ATC_PRECISION", "ATC_FLAGS", "OVERFLOW", "SUMS", "KEEP", "THREADS", "JOBS",
                            "RESUME", "BATCH", "PTH", "STREAM", "ENGINE", "ACTORS", "DATASETS_PATH", "MAKEFLAGS",
                            "MAKELEVEL", "MFLAGS", "MODELS", "STAGES", "SIZE", "ROUND", "ENGINES", "SWEEP_THREADS",
                            "SWEEP_ENGINES", "RAY_ADDRESS", "SHAPE", "CALIBRATION", "CALIBRATION_COUNT")}
    return {**kept, "PYTHONPATH": str(ROOT), "TMPDIR": TMPDIR, "V": "1", **more}


@pytest.fixture
def run() -> Callable[..., subprocess.CompletedProcess]:
    """`run(script, *arguments, cwd=..., **variables)` runs a script (or "-m module") as a user would."""
    def call(*arguments: object, cwd: object = None, timeout: float = 300, **variables: str):
        return subprocess.run([sys.executable, *map(str, arguments)], cwd=None if cwd is None else str(cwd),
                              capture_output=True, text=True, timeout=timeout, env=environment(**variables))
    return call


@pytest.fixture(scope="session")
def browser():
    """Chromium of the system, or the one that BROWSER names; without one, or without Playwright, a test is skipped by name."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright: make extras")
    found = os.environ.get("BROWSER") or shutil.which("chromium") or shutil.which("chromium-browser")
    if not found:
        pytest.skip("needs a browser: apt-get install chromium, or BROWSER=path")
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield started
        started.close()


def heed_ctrl_c() -> None:
    """For Popen's preexec_fn: what a shell starts in the background ignores SIGINT, and so would what the tests start."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def one_line_error(result: subprocess.CompletedProcess, *parts: str, status: int = 1) -> None:
    """Assert that a run failed with one line on stderr that names every part, and no traceback."""
    assert result.returncode == status, (result.returncode, result.stdout, result.stderr)
    lines = [line for line in result.stderr.splitlines() if line.strip()]
    assert len(lines) == 1 and lines[0].startswith("error: "), result.stderr
    for part in parts:
        assert part in lines[0], (part, lines[0])


def own_lines(stderr: str) -> list:
    """The lines on stderr that are not make's own, which say where it ended."""
    return [line for line in stderr.splitlines() if not line.startswith("make") and not line.endswith("  Stop.")]


def shared(*parts: str) -> Path:
    """A path below the shared folder; the test is skipped by name where it is absent."""
    path = SHARED.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"needs {'/'.join(('shared', *parts))}, which is not there ({path})")
    return path


@pytest.fixture(scope="session")
def golden_outputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The made-up datasets and network outputs of golden/make_outputs.py (about 1 GB)."""
    script, data = shared("golden", "make_outputs.py"), shared("data")
    folder = tmp_path_factory.mktemp("golden")
    subprocess.run([sys.executable, str(script), str(data), str(folder)], check=True)
    return folder
