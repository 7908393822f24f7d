"""STREAM=ray: the streaming pipeline on Ray Data gives what it gives without, whatever is killed meanwhile."""
from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

import onnx_models
from common.engines import half
from common.infer import ray_data
from conftest import ROOT, environment, heed_ctrl_c, one_line_error

MODEL = ROOT / "UNetPlusPlus"
PREPROCESS = "preprocess_nested_unet.py images prep ids.txt"
POSTPROCESS = "postprocess_nested_unet.py results masks --accuracy accuracy.json"


@pytest.fixture
def place(tmp_path):
    """Twelve pictures with their masks, and a network of one convolution, 3 to 1 planes of 96x96."""
    return lay_out(tmp_path, 12)


def lay_out(folder: Path, count: int, layers: int = 1) -> Path:
    generator = np.random.default_rng(0)
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    ids = [f"s{number:03}" for number in range(count)]
    for name in ids:
        Image.fromarray(generator.integers(0, 256, (100, 90, 3), np.uint8)).save(folder / f"images/{name}.png")
        Image.fromarray(generator.integers(0, 2, (96, 96), np.uint8) * 255).save(folder / f"masks/{name}.png")
    (folder / "ids.txt").write_text("\n".join(reversed(ids)) + "\n")
    names = ["x", *[f"h{layer}" for layer in range(1, layers)], "y"]
    planes = [3, *[32] * (layers - 1), 1]
    nodes = [helper.make_node("Conv", [before, f"w{layer}"], [after], pads=[1, 1, 1, 1])
             for layer, (before, after) in enumerate(zip(names, names[1:]))]
    weights = [numpy_helper.from_array(generator.normal(size=(out, into, 3, 3)).astype(np.float32), f"w{layer}")
               for layer, (into, out) in enumerate(zip(planes, planes[1:]))]
    onnx_models.save(folder / "model.onnx", nodes, [("x", ["N", 3, 96, 96], TensorProto.FLOAT)],
                     [("y", ["N", 1, 96, 96], TensorProto.FLOAT)], weights)
    return folder


def command(*more: str) -> list:
    return [sys.executable, "-m", "common.infer.stream", "--onnx", "model.onnx", "--preprocess", PREPROCESS,
            "--postprocess", POSTPROCESS, *more]


def settings(**more: str) -> dict:
    return {**environment(**more), "PYTHONPATH": f"{MODEL}{os.pathsep}{ROOT}"}


def stream(place: Path, *more: str, **variables: str) -> subprocess.CompletedProcess:
    return subprocess.run(command(*more), cwd=place, env=settings(**variables), capture_output=True, text=True,
                          timeout=300)


def plain_errors(result: subprocess.CompletedProcess) -> subprocess.CompletedProcess:
    """Without the lines that Ray's own processes write."""
    kept = [line for line in result.stderr.splitlines() if not line.startswith("[20") and "(raylet)" not in line]
    return subprocess.CompletedProcess(result.args, result.returncode, result.stdout, "\n".join(kept))


def test_the_figures_are_those_without_ray_batches_and_their_tail_included(place):
    plain = stream(place, "--batch_size", "5")
    assert plain.returncode == 0, plain.stderr
    expected = (place / "accuracy.json").read_bytes()
    (place / "accuracy.json").unlink()
    (place / "stream.json").unlink()
    result = stream(place, "--batch_size", "5", STREAM="ray")
    assert result.returncode == 0, result.stderr
    assert (place / "accuracy.json").read_bytes() == expected
    assert [line for line in result.stdout.splitlines() if "IoU over" in line] \
        == [line for line in plain.stdout.splitlines() if "IoU over" in line]
    record = json.loads((place / "stream.json").read_text())
    assert sorted(sample["id"] for sample in record["samples"]) == [f"s{number:03}" for number in range(12)]
    assert record["sample_count"] == 12 and record["batch"] == 5 and record["provenance"]["threads"] == 1
    assert not list(place.rglob("*.bin")) and not (place / "prep").exists()
    again = stream(place, "--batch_size", "5", STREAM="ray")  # nothing is left to do
    assert "12 were there already" in again.stdout and (place / "accuracy.json").read_bytes() == expected


def test_a_bad_picture_is_one_line(place):
    (place / "images/s007.png").write_bytes((place / "images/s007.png").read_bytes()[:200])
    one_line_error(plain_errors(stream(place, STREAM="ray")), "s007.png", "cannot be decoded")
    assert not (place / "accuracy.json").exists() and not (place / "stream.json").exists()


@pytest.mark.parametrize("variables, parts", [
    ({"STREAM": "dask"}, ("STREAM=dask", "ray")),
    ({"STREAM": "ray", "ACTORS": "none"}, ("ACTORS=none", "at least 1")),
])
def test_settings_that_cannot_be_are_refused(place, variables, parts):
    one_line_error(plain_errors(stream(place, **variables)), *parts)


def test_without_ray_the_line_says_how_to_get_it(place):
    blocked = "import sys; sys.modules['ray'] = None; from common.base import errors; from common.infer import stream; errors.run(stream.main)"
    result = subprocess.run([sys.executable, "-c", blocked, *command()[3:]], cwd=place, env=settings(STREAM="ray"),
                            capture_output=True, text=True, timeout=100)
    one_line_error(result, "STREAM=ray", "make extras", "pip install 'ray[data]'")


def test_streaming_without_ray_does_not_import_it(place):
    watched = ("import sys; from common.base import errors; from common.infer import stream; stream.main(sys.argv[1:]); "
               "sys.exit(int('ray' in sys.modules))")
    assert subprocess.run([sys.executable, "-c", watched, *command()[3:]], cwd=place, env=settings(),
                          capture_output=True, timeout=100).returncode == 0


def test_a_cluster_that_does_not_answer_is_said_at_once(place):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{unused.getsockname()[1]}"  # nobody listens there
        one_line_error(plain_errors(stream(place, STREAM="ray", RAY_ADDRESS=address)), address, "nothing answers")


def test_the_machines_of_a_cluster_are_given_all_that_an_engine_reads():
    sources = "".join(path.read_text() for path in (ROOT / "common/engines").glob("*.py"))
    read = {*re.findall(r'environ\.get\("([A-Z_]+)"', sources), *half.CHOICES}
    assert len(read) > 5 and read <= set(ray_data.PASSED)


@pytest.mark.parametrize("cpus, variables, expected", [
    (2, {}, (1, 1)), (3, {}, (2, 1)), (16, {}, (15, 1)), (1, {}, (1, 1)),
    (16, {"THREADS": "4"}, (3, 4)), (16, {"ACTORS": "2"}, (2, 1)), (16, {"ACTORS": "2", "THREADS": "7"}, (2, 7)),
])
def test_actors_leave_one_cpu_for_the_other_steps(monkeypatch, cpus, variables, expected):
    for name in ("ACTORS", "THREADS", "DEVICE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    found = ray_data.cluster({"CPU": float(max(2, cpus))})
    assert (found.actors, found.threads) == expected
    assert found.actors * found.resources["num_cpus"] < max(2, cpus)


def test_more_actors_than_leave_a_cpu_are_refused(monkeypatch):
    monkeypatch.setenv("ACTORS", "4")
    monkeypatch.delenv("THREADS", raising=False)
    monkeypatch.delenv("DEVICE", raising=False)
    with pytest.raises(ray_data.UserError, match="ACTORS=4: with 1 thread each, 3 leave one of Ray's 4 CPUs"):
        ray_data.cluster({"CPU": 4.0})


def test_gpus_get_an_actor_each(monkeypatch):
    monkeypatch.setenv("DEVICE", "cuda")
    monkeypatch.delenv("ACTORS", raising=False)
    found = ray_data.cluster({"CPU": 16.0, "GPU": 4.0})
    assert found.actors == 4 and found.resources["num_gpus"] == 1


def descendants(pid: int) -> dict:
    """The command lines of the processes that a process started, and those that these started, by pid."""
    parents, titles = {}, {}
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            with suppress(OSError):
                parents[int(process.name)] = int((process / "stat").read_text().rpartition(")")[2].split()[1])
                titles[int(process.name)] = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
    found, last = set(), {pid}
    while last:
        last = {child for child, parent in parents.items() if parent in last}
        found |= last
    return {child: titles[child] for child in found if child in titles}


@pytest.fixture
def long(tmp_path):
    return lay_out(tmp_path, 120, layers=6)


def start(place: Path, **variables: str) -> subprocess.Popen:
    """A run in a session of its own, waited for until some samples are finished."""
    process = subprocess.Popen(command(), cwd=place, env=settings(STREAM="ray", **variables), text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
                               preexec_fn=heed_ctrl_c)
    partial, deadline = place / ".stream.partial.jsonl", time.monotonic() + 120
    while not partial.exists() or partial.read_text().count("\n") < 10:
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()
        time.sleep(0.05)
    return process


@pytest.mark.full
def test_an_actor_killed_amid_its_work_changes_nothing(long):
    process = start(long)
    actors = [pid for pid, title in descendants(process.pid).items() if "MapWorker" in title]
    assert actors
    for pid in actors:
        os.kill(pid, signal.SIGKILL)
    done = (long / ".stream.partial.jsonl").read_text().count("\n")
    output = process.communicate(timeout=300)
    assert process.returncode == 0 and done < 120, output
    ray = (long / "accuracy.json").read_bytes()
    (long / "stream.json").unlink()
    assert stream(long).returncode == 0 and (long / "accuracy.json").read_bytes() == ray


@pytest.mark.full
def test_ctrl_c_ends_ray_too_and_the_next_run_goes_on(long):
    process = start(long)
    started = descendants(process.pid)
    assert any("raylet" in title for title in started.values())
    process.send_signal(signal.SIGINT)
    errors = process.communicate(timeout=60)[1]
    assert process.returncode == 130 and "interrupted; what was finished is kept" in errors
    deadline = time.monotonic() + 20
    while any(Path(f"/proc/{pid}").exists() for pid in started) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not [pid for pid in started if Path(f"/proc/{pid}").exists()]
    again = stream(long, STREAM="ray")
    there = int(again.stdout.rpartition("(")[2].split()[0])
    assert again.returncode == 0 and 10 <= there < 120


@pytest.mark.full
def test_a_cluster_that_runs_already_gives_the_same(place):
    """On this machine, as `ray start --head` leaves it; it asks for a token."""
    assert stream(place).returncode == 0
    expected = (place / "accuracy.json").read_bytes()
    (place / "stream.json").unlink()
    ray = str(Path(sys.executable).with_name("ray"))
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    begun = subprocess.run([ray, "start", "--head", "--port", "0", "--num-cpus", "3", "--include-dashboard", "false",
                            "--disable-usage-stats"], env=settings(**token), capture_output=True, text=True)
    assert begun.returncode == 0, begun.stdout + begun.stderr
    try:
        address = re.search(r"ray start --address='([^']+)'", begun.stdout)[1]
        result = stream(place, STREAM="ray", RAY_ADDRESS=address, **token)
        assert result.returncode == 0, result.stderr
    finally:
        subprocess.run([ray, "stop", "--force"], env=settings(**token), capture_output=True)
    assert (place / "accuracy.json").read_bytes() == expected
    assert json.loads((place / "stream.json").read_text())["provenance"]["threads"] == 1


@pytest.mark.full
def test_it_works_where_only_the_loopback_address_exists(place):
    alone = ["unshare", "-rn", "bash", "-c", "ip link set lo up && exec \"$@\"", "bash"]
    if shutil.which("ip") is None or subprocess.run([*alone, "true"], capture_output=True).returncode:
        pytest.skip("needs `ip` and a network namespace of its own, which this machine does not allow")
    assert stream(place).returncode == 0
    expected = (place / "accuracy.json").read_bytes()
    (place / "stream.json").unlink()
    result = subprocess.run([*alone, *command()], cwd=place, env=settings(STREAM="ray"), capture_output=True, text=True,
                            timeout=300)
    assert result.returncode == 0, result.stderr
    assert (place / "accuracy.json").read_bytes() == expected
