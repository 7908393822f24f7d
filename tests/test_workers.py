"""Several processes for one stage: the same results in the same order for any number, and none left behind."""
from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from PIL import Image

from common.base import settings, workers
from common.base.errors import UserError
from conftest import ROOT, environment, heed_ctrl_c, one_line_error


@pytest.fixture(autouse=True)
def processes_from_the_first_sample_on(monkeypatch):
    monkeypatch.setattr(workers, "SOON", 0.0)
    monkeypatch.setattr(workers, "STARTING", 0.0)


def test_many_samples_that_are_soon_done_start_no_process_and_the_rest_of_long_ones_do(monkeypatch):
    monkeypatch.setenv("JOBS", "2")
    monkeypatch.setattr(workers, "SOON", 0.1)
    assert set(workers.ordered(lambda number: os.getpid(), range(100))) == {os.getpid()}
    found = list(workers.ordered(lambda number: (time.sleep(0.02), number, os.getpid()), range(40)))
    assert [number for _, number, _ in found] == list(range(40))
    here = [pid == os.getpid() for _, _, pid in found]
    assert here[0] and not any(here[6:])  # five samples of 20 ms, and perhaps one more or fewer
    few = list(workers.ordered(lambda number: (time.sleep(0.02), os.getpid()), range(31)))  # less than 16 for each
    assert os.getpid() not in {pid for _, pid in few}


def test_no_process_is_started_for_less_work_than_that_takes_unless_later_samples_take_longer(monkeypatch):
    monkeypatch.setenv("JOBS", "2")
    monkeypatch.setattr(workers, "STARTING", 0.5)
    assert set(workers.ordered(lambda number: time.sleep(0.01) or os.getpid(), range(40))) == {os.getpid()}
    found = list(workers.ordered(lambda number: time.sleep(0.01 if number < 10 else 0.05) or os.getpid(), range(60)))
    assert found[:10] == 10 * [os.getpid()] and os.getpid() not in found[-20:]


@pytest.mark.parametrize("jobs", ["1", "2", "5"])
def test_results_come_in_the_order_of_the_items_for_any_number_of_processes(jobs, monkeypatch):
    monkeypatch.setenv("JOBS", jobs)

    def task(number):
        time.sleep(0.02 * (number % 3))  # the later ones of three are done later
        return number * number, os.getpid()

    found = list(workers.ordered(task, range(12)))
    assert [square for square, _ in found] == [number * number for number in range(12)]
    processes = {pid for _, pid in found}
    assert processes == {os.getpid()} if jobs == "1" else os.getpid() not in processes and len(processes) > 1


def test_the_first_item_that_fails_is_the_one_that_is_told(monkeypatch):
    monkeypatch.setenv("JOBS", "2")

    def task(number):
        if number in (3, 4):
            time.sleep(0.2 if number == 3 else 0)
            raise UserError(f"sample {number} is bad")
        return number

    taken = []
    with pytest.raises(UserError, match="sample 3 is bad"):
        for value in workers.ordered(task, range(100)):
            taken.append(value)
    assert taken == [0, 1, 2] and children() == []


def test_a_loop_that_is_left_early_leaves_no_process(monkeypatch):
    monkeypatch.setenv("JOBS", "2")
    for value in workers.ordered(lambda number: time.sleep(0.01) or number, range(1000)):
        if value == 3:
            break
    assert children() == []


def test_a_worker_that_the_signal_does_not_end_is_killed(monkeypatch):
    monkeypatch.setenv("JOBS", "2")
    monkeypatch.setattr(workers, "GRACE", 0.5)

    def task(number):
        if number:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            time.sleep(30)
        time.sleep(0.2)  # the other is under way
        raise UserError("sample 0 is bad")

    begin = time.monotonic()
    with pytest.raises(UserError, match="sample 0 is bad"):
        list(workers.ordered(task, [0, 1]))
    assert time.monotonic() - begin < 10 and children() == []


def test_a_worker_that_is_killed_is_an_error_that_says_what_to_do(monkeypatch):
    monkeypatch.setenv("JOBS", "2")

    def task(number):
        if number == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return number

    with pytest.raises(UserError, match="a worker process was killed, perhaps for want of memory; give JOBS=1"):
        list(workers.ordered(task, range(50)))
    assert children() == []


def test_the_number_follows_jobs_then_memory_then_cores(monkeypatch):
    monkeypatch.setattr(workers, "cores", lambda: 8)
    monkeypatch.setattr(workers, "available", lambda: 1000)
    monkeypatch.delenv("JOBS", raising=False)
    assert (workers.count(), workers.count(300), workers.count(5000)) == (8, 3, 1)
    monkeypatch.setenv("JOBS", "3")
    assert workers.count(5000) == 3  # who gives a number has it
    for wrong in ("0", "-1", "two"):
        monkeypatch.setenv("JOBS", wrong)
        with pytest.raises(UserError, match=f"JOBS={wrong}: expected a whole number"):
            workers.count()


@pytest.mark.parametrize("written, expected", [
    ({"cpu.max": "150000 100000"}, 2), ({"cpu.max": "max 100000"}, 64), ({"cpu.max": "5000 100000"}, 1), ({}, 64),
    ({"cpu/cpu.cfs_quota_us": "400000", "cpu/cpu.cfs_period_us": "100000"}, 4),
    ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, 64)])
def test_a_containers_share_of_the_processor_is_all_that_counts(written, expected, tmp_path, monkeypatch):
    (tmp_path / "cpu").mkdir()
    for name, text in written.items():
        (tmp_path / name).write_text(text + "\n")
    monkeypatch.setattr(settings, "CGROUP", str(tmp_path))
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(64)))
    assert settings.cores() == expected


def test_a_containers_memory_is_what_it_has_left_and_what_it_keeps_of_files(tmp_path, monkeypatch):
    monkeypatch.setattr(settings, "CGROUP", str(tmp_path))
    whole = workers.available()
    for name, text in (("max", "max"), ("current", "900"), ("stat", "anon 400\ninactive_file 500\n")):
        (tmp_path / f"memory.{name}").write_text(text)
    assert abs(workers.available() - whole) < whole / 4  # no limit
    (tmp_path / "memory.max").write_text("1000\n")
    assert workers.available() == 600


def test_opencv_that_was_used_with_threads_before_does_not_stall_the_workers(monkeypatch):
    cv2 = pytest.importorskip("cv2")
    monkeypatch.setenv("JOBS", "2")
    picture = np.zeros((2000, 2000, 3), np.uint8)

    def task(number):
        return int(cv2.resize(cv2.cvtColor(picture + np.uint8(number), cv2.COLOR_RGB2GRAY), (1500, 1500)).sum())

    expected, threads = task(1), cv2.getNumThreads()
    assert list(workers.ordered(task, [1, 1, 1])) == [expected] * 3
    assert cv2.getNumThreads() == threads


def test_samples_that_take_no_time_are_sent_many_at_a_time_and_those_that_do_alone(monkeypatch):
    monkeypatch.setenv("JOBS", "2")
    sizes, give = [], workers._give

    def noted(worker, piece, start, stop):
        sizes.append(stop - start)
        give(worker, piece, start, stop)

    monkeypatch.setattr(workers, "_give", noted)
    assert list(workers.ordered(lambda number: -number, range(3000))) == [-number for number in range(3000)]
    assert sum(sizes) == 3000 and len(sizes) < 600 and max(sizes) < 1500  # never the most of them to one process
    sizes.clear()
    list(workers.ordered(lambda number: time.sleep(0.03), range(12)))
    assert sizes == [1] * 12


def test_what_was_done_before_the_sample_that_fails_counts_and_the_workers_traceback_is_kept(monkeypatch):
    monkeypatch.setenv("JOBS", "2")

    def task(number):
        if number == 2500:
            raise ZeroDivisionError("of the task")
        return number

    taken = []
    with pytest.raises(ZeroDivisionError, match="of the task") as caught:
        for value in workers.ordered(task, range(3000)):
            taken.append(value)
    assert taken == list(range(2500)) and children() == []
    assert "in task" in str(caught.value.__cause__)


def children(parent: int = 0) -> list:
    """The processes below one, this one by default."""
    parent, found = parent or os.getpid(), []
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{entry}/stat", encoding="ascii", errors="replace") as file:
                state, above = file.read().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        if int(above) == parent and state != "Z":
            found.append(int(entry))
    return found


@pytest.fixture
def many(tmp_path):
    """64 pictures to preprocess, four different ones, each large enough to take a while."""
    generator = np.random.default_rng(0)
    (tmp_path / "LR").mkdir()
    for number in range(4):
        Image.fromarray(generator.integers(0, 256, (1000, 1000, 3), np.uint8)).save(tmp_path / f"LR/{number:02d}.png")
    for number in range(4, 64):
        shutil.copy(tmp_path / f"LR/{number % 4:02d}.png", tmp_path / f"LR/{number:02d}.png")
    return tmp_path


def start(folder, jobs):
    command = [sys.executable, str(ROOT / "EDSR/edsr_preprocess.py"), "-s", "LR", "-d", "out", "--size", "1020"]
    return subprocess.Popen(command, cwd=folder, env=environment(JOBS=jobs), stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True, start_new_session=True, preexec_fn=heed_ctrl_c)


def wait_for_some(folder, process, jobs):
    """Until samples are there and the processes that make them too: the first samples are made before any is started."""
    end = time.time() + 60
    while len(children(process.pid)) < jobs or len(list((folder / "out/bin").glob("[0-9]*.bin"))) < 12:  # more than three processes may have finished before the first is noted
        assert time.time() < end, "nothing was written"
        time.sleep(0.02)


def bins(folder):
    return {path.name: path.read_bytes() for path in (folder / "out/bin").glob("[0-9]*.bin")}


def test_preprocess_writes_the_same_bytes_with_any_number_of_processes(many):
    found, manifests = [], []
    for jobs in ("1", "3"):
        process = start(many, jobs)
        assert process.wait(120) == 0, process.stderr.read()
        found.append(bins(many))
        manifests.append(json.loads((many / "out/manifest.json").read_text()))
        for record in manifests[-1]["samples"]:
            del record["made"]  # when it was written
        (many / "out").rename(many / f"out{jobs}")
    assert len(found[0]) == 64 and found[0] == found[1] and manifests[0] == manifests[1]


def test_ctrl_c_ends_all_processes_at_once_and_the_next_run_goes_on(many):
    process = start(many, "3")
    wait_for_some(many, process, 3)
    group = children(process.pid)
    assert len(group) == 3
    begin = time.time()
    os.killpg(process.pid, signal.SIGINT)  # as the terminal does: to all of them
    status = process.wait(20)
    assert status == 130 and time.time() - begin < 5
    told = process.stderr.read().strip()
    assert told.splitlines()[-1].startswith("error: interrupted"), told
    assert not [open(f"/proc/{pid}/status").read() for pid in group if os.path.exists(f"/proc/{pid}")], told
    assert not list((many / "out/bin").glob(".*"))  # nothing half-written
    kept = len(list((many / "out/bin").glob("*.bin")))
    again = start(many, "2")
    output, errors = again.communicate(timeout=120)
    assert again.returncode == 0, errors
    assert 0 < kept <= 64 and "(0 were there already)" not in output and len(bins(many)) == 64


def test_a_killed_run_leaves_no_process_behind_and_the_next_goes_on(many):
    process = start(many, "2")
    wait_for_some(many, process, 2)
    group = children(process.pid)
    process.kill()
    process.wait(20)
    end = time.time() + 10
    while any(os.path.exists(f"/proc/{pid}") for pid in group) and time.time() < end:
        time.sleep(0.1)
    assert group and not any(os.path.exists(f"/proc/{pid}") for pid in group)
    again = start(many, "2")
    output, errors = again.communicate(timeout=120)
    assert again.returncode == 0, errors
    assert not list((many / "out/bin").glob(".*")) and len(bins(many)) == 64


def test_a_bad_sample_is_one_line_with_several_processes(many):
    (many / "LR/33.png").write_bytes(b"no picture")
    process = start(many, "3")
    output, errors = process.communicate(timeout=120)
    one_line_error(subprocess.CompletedProcess([], process.returncode, output, errors), "33.png", "cannot be decoded")
    assert not (many / "out/manifest.json").exists()


def test_without_shared_memory_several_processes_do_the_work_all_the_same(monkeypatch, capsys):
    def refused(*arguments, **options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("multiprocessing.synchronize.SemLock.__init__", refused)  # as with /dev/shm not writable
    monkeypatch.setenv("JOBS", "3")
    found = list(workers.ordered(lambda item: (item, os.getpid()), range(5)))
    assert [item for item, _ in found] == list(range(5)) and os.getpid() not in {pid for _, pid in found}
    assert capsys.readouterr().err == ""


class Awkward(Exception):
    """Which cannot be made again of what it holds."""

    def __init__(self, one, two):
        super().__init__(f"{one} and {two}")


def test_an_error_or_a_result_that_cannot_be_sent_is_told_all_the_same(monkeypatch):
    monkeypatch.setenv("JOBS", "2")

    def task(number):
        if number == 3:
            raise Awkward("this", "that")
        return number

    with pytest.raises(RuntimeError, match="Awkward: this and that"):
        list(workers.ordered(task, range(9)))
    with pytest.raises(RuntimeError, match="what the task gives cannot be sent"):
        list(workers.ordered(lambda number: (lambda: number), range(9)))
    assert children() == []


def test_workers_that_fail_at_the_same_time_say_nothing_themselves(monkeypatch, capfd):
    monkeypatch.setenv("JOBS", "4")

    def task(number):
        raise UserError(f"sample {number} is bad")

    for _ in range(15):
        with pytest.raises(UserError, match="sample 0 is bad"):
            list(workers.ordered(task, range(12)))
    assert capfd.readouterr().err == "" and children() == []


def test_a_worker_that_is_killed_amid_its_answer_is_told_as_one(monkeypatch):
    monkeypatch.setenv("JOBS", "2")

    def task(number):
        if number == 0:
            threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGKILL)).start()
            return bytes(200_000_000)  # more than a pipe holds: the half of it waits to be taken
        time.sleep(1)

    answers = workers.ordered(task, range(4))
    monkeypatch.setattr(workers, "_take", lambda worker, take=workers._take: (time.sleep(1), take(worker))[1])
    with pytest.raises(UserError, match="a worker process was killed"):
        list(answers)


def test_errors_of_the_task_that_a_broken_pipe_would_raise_too_are_the_tasks_own(monkeypatch):
    monkeypatch.setenv("JOBS", "2")
    for kind in (EOFError, ConnectionResetError, BrokenPipeError):
        def task(number):
            raise kind("of the file")
        with pytest.raises(kind, match="of the file"):
            list(workers.ordered(task, range(9)))
