"""One dataset over several devices: what comes out is what one device gives; what dies, dies alone and is told."""
from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any, Callable, Dict, List

import numpy as np
import pytest

import onnx_models
from common.base import facts, json_files
from common.base.errors import UserError
from common.data import result_files
from common.dev import readme
from common.devices import merging, processes, tool
from common.infer import offline, several
from common.judge import reports
from common.publish import report
from common.tools import perf
from conftest import ROOT, heed_ctrl_c, one_line_error
from test_eval_acc_perf import MODELS, calls, check, evaluate, inputs, machine, project  # noqa: F401 # fixtures
from test_make import dataset as pictures  # noqa: F401 # a fixture
from test_make import make
from test_make import project as copied  # noqa: F401 # a fixture

INFO = "-model_type=vision -device_id=0 -input_width=4 -input_height=3 -output_binary=True -useDvpp=False"


def split(ids: str, name: str, *arguments: object, cwd: Path, **variables: str) -> subprocess.CompletedProcess:
    """Run the stand-in of a tool on devices, as its user does."""
    return onnx_models.tool("devices", ids, "--", sys.executable, "-m", f"common.tools.{name}", *arguments, cwd=cwd,
                            **variables)


def good(result: subprocess.CompletedProcess) -> str:
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def contents(folder: Path) -> Dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def place(tmp_path) -> Path:
    """m.onnx, eleven samples in bins, and their list."""
    onnx_models.affine(tmp_path / "m.onnx")
    onnx_models.samples(tmp_path / "bins", 11)
    (tmp_path / "m.info").write_text("".join(f"{number} bins/s{number}.bin 4 3\n" for number in range(11)))
    return tmp_path


def benchmark(batch: int = 2) -> List[str]:
    return [*INFO.split(), f"-batch_size={batch}", "-om_path=m.onnx", "-input_text_path=m.info"]


# ids and parts

def test_ids_are_taken_in_the_order_given():
    assert several.parse("3, 0,255") == [3, 0, 255]


@pytest.mark.parametrize("text", ["", "0,", "a", "-1", "256", "0 1", "1.0", "²"])
def test_what_is_no_id_is_refused(text):
    with pytest.raises(UserError, match="expected device ids from 0 to 255"):
        several.parse(text)


def test_an_id_that_stands_twice_is_refused():
    with pytest.raises(UserError, match="names device 1 more than once"):
        several.parse("0,1,01")


@pytest.mark.parametrize("count, batch, number, expected", [
    (6, 1, 2, [(0, 3), (3, 6)]), (7, 2, 2, [(0, 4), (4, 7)]), (9, 4, 3, [(0, 4), (4, 8), (8, 9)]),
    (16, 8, 2, [(0, 8), (8, 16)]), (5, 2, 1, [(0, 5)])])
def test_parts_are_whole_batches_in_order_and_the_tail_is_the_last(count, batch, number, expected):
    assert tool.cut(count, batch, range(number)) == expected


@pytest.mark.parametrize("count, number", [(2, 2), (8, 3), (64, 5), (7, 7)])
def test_cores_are_shared_out_apart_evenly_and_all(count, number):
    cores = [3 * core for core in range(count)]
    shares = processes.share_out(cores, number)
    assert sorted(core for share in shares for core in share) == cores
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_where_there_are_fewer_cores_than_parts_each_part_has_them_all():
    assert processes.share_out([4, 5], 3) == [{4, 5}] * 3


# the same results

def test_benchmark_gives_the_same_bytes_and_each_device_had_its_part(place):
    assert good(onnx_models.tool("benchmark", *benchmark(), cwd=place))
    one = contents(place / "result/dumpOutput_device0")
    printed = good(split("0,1", "benchmark", *benchmark(), cwd=place))
    assert contents(place / "result/dumpOutput_devices") == one and len(one) == 22
    assert [path.read_text() for path in sorted(place.glob("result/devices/*.info"))] == [
        "".join(f"{number} bins/s{number}.bin 4 3\n" for number in range(6)),
        "".join(f"{number - 6} bins/s{number}.bin 4 3\n" for number in range(6, 11))]
    assert {path.name for path in place.glob("result/dumpOutput_device1/*")} == {
        f"s{number}_{output}.bin" for number in range(6, 11) for output in (1, 2)}
    assert all(not os.path.isabs(os.readlink(path)) for path in place.glob("result/dumpOutput_devices/*"))
    rows = [line.split() for line in printed.splitlines() if re.match(r" *(0|1|together) ", line)]
    assert [row[:2] for row in rows] == [["0", "6"], ["1", "5"], ["together", "11"]]


def test_a_rerun_on_fewer_samples_leaves_no_result_of_those_that_are_gone(place):
    good(split("0,1", "benchmark", *benchmark(), cwd=place, RESUME="1"))
    good(split("2,0", "benchmark", *benchmark(), cwd=place, RESUME="1", LIMIT="3"))
    found = {os.readlink(path) for path in place.glob("result/dumpOutput_devices/*")}
    assert found == {f"../dumpOutput_device{device}/s{number}_{output}.bin"
                     for device, number in ((2, 0), (2, 1), (0, 2)) for output in (1, 2)}


def test_a_model_of_two_inputs_keeps_its_lines_together(place):
    onnx_models.pair(place / "m.onnx")
    for name in ("a", "b"):
        onnx_models.samples(place / name, 5, (2,), ord(name))
    (place / "m.info").write_text("".join(f"{number} {name}/s{number}.bin\n" for number in range(5) for name in "ab"))
    good(split("0,1", "benchmark", *benchmark(), cwd=place))
    for number in range(5):
        a, b = (np.fromfile(place / f"{name}/s{number}.bin", np.float32) for name in "ab")
        assert (np.fromfile(place / f"result/dumpOutput_devices/s{number}_1.bin", np.float32) == a - b).all()
    good(split("0,1", "ais_infer", "--model", "m.onnx", "--input", "a,b", "--output", "out", "--output_dirname", "d",
               "--batchsize", 2, cwd=place))
    assert {name[:2]: data for name, data in contents(place / "out/d").items()} == {
        name[:2]: data for name, data in contents(place / "result/dumpOutput_devices").items()}


def test_ais_infer_gives_the_same_bytes_and_a_summary_that_names_each_input(place, monkeypatch):
    line = ["--model", "m.onnx", "--input", "bins", "--batchsize", 4, "--output_dirname", "d"]
    good(onnx_models.tool("ais_infer", *line, "--output", "one", cwd=place))
    good(split("1,5", "ais_infer", *line, "--output", "all", cwd=place))
    assert contents(place / "all/d") == contents(place / "one/d")
    one, merged = (json.loads((place / f"{name}/d_summary.json").read_text())["filesinfo"] for name in ("one", "all"))
    assert {number: (entry["infiles"], [Path(name).name for name in entry["outfiles"]]) for number, entry
            in merged.items()} == {number: (entry["infiles"], [Path(name).name for name in entry["outfiles"]])
                                   for number, entry in one.items()}
    monkeypatch.chdir(place)
    assert {sample: path.read_bytes() for sample, (path, _) in (
        (sample, outputs.values()) for sample, outputs in result_files.find("all/d").items())} == {
            sample: (place / f"one/d/{sample}_0.bin").read_bytes() for sample in (f"s{n}" for n in range(11))}
    # not an NPU's, and the sum
    read = perf.read("all/d_summary.json")
    rates = [json.loads((place / f"all/devices/device{device}/d_onnxruntime.json").read_text())["samples_per_s"]
             for device in (1, 5)]
    assert (read.backend, read.batch, read.devices) == ("onnxruntime", 4, 2)
    assert read.samples_per_s == pytest.approx(sum(rates))


def test_dated_folders_are_merged_into_one_that_is_found_as_the_newest(place):
    """Where --output_dirname gives no name: with msame always."""
    for name, line in (("ais_infer", ["--batchsize", 1]), ("msame", [])):
        line = ["--model", "m.onnx", "--input", "bins", *line, "--output"]
        good(onnx_models.tool(name, *line, f"one_{name}", cwd=place))
        good(split("0,1,2", name, *line, f"all_{name}", cwd=place))
        one, merged = (result_files.newest(place / f"{run}_{name}") for run in ("one", "all"))
        assert contents(merged) == contents(one) and len(contents(one)) == 22
        assert json.loads(Path(offline.beside(str(merged))).read_text())["sample_count"] == 11


@pytest.mark.parametrize("name, line", [("ais_infer", ["--batchsize", 1, "--output_dirname", "d"]), ("msame", [])])
def test_a_rerun_that_goes_on_finds_all_done_and_leaves_the_samples_alone(name, line, place):
    before = {path.name: path.stat().st_ctime_ns for path in (place / "bins").iterdir()}
    (place / "all").mkdir()
    for _ in range(2):
        good(split("0,1", name, "--model", "m.onnx", "--input", "bins", *line, "--output", "all", cwd=place, RESUME="1"))
    assert {path.name: path.stat().st_ctime_ns for path in (place / "bins").iterdir()} == before
    logs = [(place / f"all/devices/device{device}.log").read_text() for device in (0, 1)]
    assert not any(re.search("runcount:[1-9]|start to process", log) for log in logs), logs


# figures

def test_the_merged_figures_are_those_of_the_devices_files_together(place):
    good(split("0,3", "benchmark", *benchmark(), cwd=place, THREADS="2"))
    record = json.loads((place / "result/devices.json").read_text())
    own = [json.loads((place / f"result/onnxruntime_batchsize_2_device_{device}.json").read_text())
           for device in (0, 3)]
    batches = {sample["batch"]["id"]: sample["batch"] for one in own for sample in one["samples"]}
    times = [value for batch in batches.values() for value in batch["compute_ms"]]
    assert len(times) == 6 and record["compute_ms"]["count"] == 6
    assert record["compute_ms"]["mean"] == pytest.approx(sum(times) / 6)
    assert record["compute_ms"]["p99"] == pytest.approx(np.percentile(times, 99))
    assert record["samples_per_s"] == pytest.approx(own[0]["samples_per_s"] + own[1]["samples_per_s"])
    assert record["end_to_end_s"] == max(one["end_to_end_s"] for one in own)
    assert record["end_to_end_samples_per_s"] == pytest.approx(11 / record["end_to_end_s"])
    assert record["sample_count"] == 11 and record["batch"] == 2
    assert record["provenance"]["threads"] == sum(one["provenance"]["threads"] for one in own)
    share = max(1, min(2, len(os.sched_getaffinity(0)) // 2))  # THREADS=2, and no more than a device has cores
    assert [one["provenance"]["threads"] for one in own] == [share, share]
    assert record["provenance"]["device"].startswith("2 devices: ")
    assert [(one["device"], one["sample_count"]) for one in record["devices"]] == [(0, 6), (3, 5)]
    read = perf.read(place / "result/devices.json")
    assert (read.backend, read.devices, read.batch) == ("onnxruntime", 2, 2)
    assert "samples/s on 2 devices together: " in "\n".join(perf.show(read))
    assert "sum of the devices'" in read.definition


def test_devices_whose_tool_runs_threads_tell_no_single_runs():
    """ais_bench with --threads notes when each run began and ended, side by side."""
    figures = {"sample_count": 4, "compute_ms": {"mean": 2.0, "min": 1.0, "max": 3.0}}
    with_times, without = {**figures, "compute_ms": {"mean": 4.0}}, figures
    assert merging.compute([(with_times, [4.0]), (without, merging.single_runs([[0.5, 2.5], [0.6, 2.7]]))], 1) == {"mean": 3.0}
    assert merging.single_runs([1.5, 2.5]) == [1.5, 2.5]


# what is refused

@pytest.mark.parametrize("ids, line, part", ids=range(9), argvalues=[
    ("0,1", "-m common.tools.benchmark -om_path=m.onnx -round=3", "is pure inference, which measures one device"),
    ("0,1", "-m common.tools.ais_infer --model m.onnx --output o --batchsize 1", "is pure inference"),
    ("0,1", "-m common.tools.msame --model m.onnx --output o --input bins/s1.bin", "one sample cannot be divided"),
    ("0,1", "-m common.tools.ais_infer --model m.onnx --output o --input bins", "give --batchsize"),
    ("0,1", "-m common.tools.ais_infer --model m.onnx --input bins --batchsize 2", "--output is missing"),
    ("0,1", "-m common.tools.msame --model m.onnx --output o --input none", "none: expected a folder"),
    ("0,1", "-m common.engines.sessions --model m.onnx", "expected a command line of benchmark, msame or ais_infer"),
    ("0,1,2,3", "-m common.tools.ais_infer --model m.onnx --output o --input bins --batchsize 4",
     "too few samples for 4 devices: 11, 3 batches of 4; fewer devices will do: DEVICES=0,1,2"),
    ("0,0", "-m common.tools.benchmark -om_path=m.onnx -input_text_path=m.info", "names device 0 more than once")])
def test_what_cannot_be_divided_is_one_line_before_anything_runs(ids, line, part, place):
    one_line_error(onnx_models.tool("devices", ids, "--", sys.executable, *line.split(), cwd=place), part)
    assert not list(place.glob("o*")) and not (place / "result").exists()


def test_samples_whose_results_would_have_one_name_are_refused_though_on_two_devices(place):
    onnx_models.samples(place / "more", 1)
    with (place / "m.info").open("a") as file:
        file.write("11 more/s0.bin 4 3\n")
    one_line_error(split("0,1", "benchmark", *benchmark(), cwd=place), "bins/s0.bin and more/s0.bin", "rename one")


def test_without_a_command_it_is_wrong_usage(place):
    result = onnx_models.tool("devices", "0,1", cwd=place)
    assert result.returncode == 2 and "the tool's command line is missing" in result.stderr


# what dies

class Running:
    """The split run of a slow model on `each` samples per device, its processes by device; device 1 has begun."""

    def __init__(self, folder: Path, each: int):
        onnx_models.slow(folder / "m.onnx")
        onnx_models.samples(folder / "bins", 2 * each, (1024,))
        (folder / "m.info").write_text("".join(f"{number} bins/s{number}.bin 1 1\n" for number in range(2 * each)))
        self.folder, self.line = folder, [sys.executable, "-m", "common.devices", "0,1", "--", sys.executable, "-m",
                                          "common.tools.benchmark", *benchmark(1)]
        self.parent = subprocess.Popen(self.line, cwd=folder, env=onnx_models.environment(), text=True,
                                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=heed_ctrl_c)
        self.wait(lambda: len(self.results(1)) > 2)
        self.pids = {}
        for pid in Path(f"/proc/{self.parent.pid}/task/{self.parent.pid}/children").read_text().split():
            words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
            self.pids[int(next(word for word in words if word.startswith("-device_id="))[11:])] = int(pid)
        assert set(self.pids) == {0, 1}

    def results(self, device: int) -> Dict[str, int]:
        """Finished results of a device, and when."""
        folder = self.folder / f"result/dumpOutput_device{device}"
        return {path.name: path.stat().st_mtime_ns for path in folder.glob("s*.bin")}

    @staticmethod
    def wait(until: Callable[[], Any]) -> None:
        end = time.monotonic() + 60
        while not until():
            assert time.monotonic() < end
            time.sleep(0.01)

    def gone(self) -> bool:
        return not any(Path(f"/proc/{pid}/exe").exists() for pid in self.pids.values())


@pytest.fixture
def running(tmp_path, request):
    """More samples than are run before a test is over, unless the test says how many."""
    one = Running(tmp_path, getattr(request, "param", 1000))
    yield one
    one.parent.kill()
    one.parent.communicate()
    one.wait(one.gone)


@pytest.mark.parametrize("running", [200], indirect=True)
def test_a_device_that_is_killed_fails_the_run_and_a_rerun_does_what_is_missing(running):
    os.kill(running.pids[1], signal.SIGKILL)
    printed, said = running.parent.communicate(timeout=60)
    finished = running.results(0), running.results(1)
    assert running.parent.returncode == 1
    assert len(finished[0]) == 200 and 2 < len(finished[1]) < 200  # the other went on to its end
    shown = said.splitlines()
    assert shown[0] == "the end of result/devices/device1.log:" and "onnxruntime stands in for benchmark" in said
    assert shown[-1].startswith("error: device 1 was ended by SIGKILL (log: result/devices/device1.log)")
    assert "device 0 has finished its 200 samples" in printed
    assert not (running.folder / "result/devices.json").exists()

    again = subprocess.run(running.line, cwd=running.folder, env=onnx_models.environment(RESUME="1"), text=True,
                           capture_output=True, timeout=60)
    good(again)
    for device in (0, 1):
        after = running.results(device)
        # what was being noted when it was killed, one batch at most, is done again
        assert len(after) == 200 and len(finished[device].items() - after.items()) <= device
    assert json.loads((running.folder / "result/devices.json").read_text())["sample_count"] == 400


@pytest.mark.parametrize("number, status", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_ctrl_c_and_sigterm_end_every_process_at_once(number, status, running):
    running.parent.send_signal(number)
    running.parent.communicate(timeout=60)
    assert running.parent.returncode == status and running.gone()
    assert len(running.results(0)) < 1000


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_a_tool_has_started_ends_too(number, place):
    """The tool is a script here, which waits for what it has started."""
    script = place / "msame"
    script.write_text('#!/bin/bash\nsleep 600 &\necho $! > started$BASHPID.new\nmv started$BASHPID.new pid$BASHPID\n'
                      'wait\n')
    script.chmod(0o755)
    parent = subprocess.Popen([sys.executable, "-m", "common.devices", "0,1", "--", "./msame", "--model", "m.om",
                               "--input", "bins", "--output", "out"], cwd=place, env=onnx_models.environment(),
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=heed_ctrl_c)
    Running.wait(lambda: len(list(place.glob("pid*"))) == 2)
    started = [path.read_text().strip() for path in place.glob("pid*")]
    parent.send_signal(number)
    parent.wait(60)
    Running.wait(lambda: not any(Path(f"/proc/{pid}/exe").exists() for pid in started))


def test_a_signal_amid_the_start_of_a_process_waits_until_it_is_known(run):
    script = """
import os, signal, time
from common.devices import processes
for handler in (signal.SIG_IGN, signal.default_int_handler):
    signal.signal(signal.SIGINT, handler)
    try:
        with processes._held():
            os.kill(os.getpid(), signal.SIGINT)
            print("started")
        time.sleep(0.2)
        print("went on")
    except KeyboardInterrupt:
        print("ended")
"""
    assert run("-c", script).stdout.split("\n")[:-1] == ["started", "went on", "started", "ended"]


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system gives a process no cores of its own")
def test_where_there_are_fewer_cores_than_devices_it_is_said_and_each_has_one_thread(place):
    core = min(os.sched_getaffinity(0))
    result = subprocess.run(
        [sys.executable, "-m", "common.devices", "0,1", "--", sys.executable, "-m", "common.tools.benchmark", *benchmark()],
        cwd=place, env=onnx_models.environment(THREADS="4"), preexec_fn=lambda: os.sched_setaffinity(0, {core}),
        capture_output=True, text=True, timeout=60)
    assert "1 core for 2 parts, so all share them, a thread each" in good(result)
    assert [one["threads"] for one in json.loads((place / "result/devices.json").read_text())["devices"]] == [1, 1]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a process with its parent")
def test_no_process_outlives_a_run_that_is_killed(running):
    running.parent.kill()
    running.wait(running.gone)
    assert len(running.results(0)) < 1000


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system gives a process no cores of its own")
def test_on_the_cpu_the_processes_have_cores_of_their_own_and_all_of_them(running):
    mine, (first, second) = os.sched_getaffinity(0), map(os.sched_getaffinity, running.pids.values())
    assert first | second == mine
    assert not first & second or len(mine) < 2


# the real tools, played by the stand-ins of tests/ascend

@pytest.fixture
def compiled(place) -> Path:
    """m.om for batch 2 beside the rest."""
    with zipfile.ZipFile(place / "m.om", "w") as archive:
        archive.write(place / "m.onnx", "model.onnx")
        archive.writestr("atc.json", json.dumps({"arguments": {}, "input_shape": {"x": [2, 3, 4]}}))
    return place


def npu(compiled: Path, line: str, ids: str = "", **variables: str) -> subprocess.CompletedProcess:
    there = machine(compiled / "bin", *([] if (compiled / "bin").exists() else ["benchmark.x86_64", "msame",
                                                                               "ais_infer"]), **variables)
    there["PYTHONPATH"] = f"{ROOT}:{ROOT / 'tests/ascend'}"
    there["PATH"] = f"{compiled}:{there['PATH']}"
    prefix = f"python3 -m common.devices {ids} -- " if ids else ""
    return subprocess.run(["bash", "-c", prefix + line], cwd=compiled, env=there, capture_output=True, text=True)


REAL = f"benchmark.x86_64 {INFO} -batch_size=2 -om_path=m.om -input_text_path=m.info"


def test_the_real_benchmark_gives_the_same_and_its_performance_files_make_the_record(compiled):
    lines = (compiled / "m.info").read_text().splitlines(keepends=True)
    (compiled / "m.info").write_text("".join(lines[:9]))
    good(npu(compiled, REAL))
    one = contents(compiled / "result/dumpOutput_device0")
    assert "by npu: 2 devices: NPU 0, NPU 2" in good(npu(compiled, REAL, "0,2"))
    assert contents(compiled / "result/dumpOutput_devices") == one
    rates, times = zip(*((float(re.search(r"Interface throughputRate: ([\d.e+]+)", text)[1]),
                          float(re.search(r"e2e\].*latency: ([\d.e+]+)", text)[1]))
                         for text in (path.read_text() for path in sorted(compiled.glob("result/perf_vision_*"))
                                      if path.name[-5] in "02")))
    read = perf.read(compiled / "result/devices.json")
    assert (read.backend, read.devices, read.batch) == ("npu", 2, 2)
    assert read.samples_per_s == pytest.approx(sum(rates))
    assert read.mean_ms == pytest.approx((2 * 2000 / rates[0] + 3 * 2000 / rates[1]) / 5, rel=1e-4)  # 2 and 3 batches
    assert read.details["end_to_end_s"] == pytest.approx(max(times) / 1000)
    assert read.median_ms is None  # what the tool does not tell is not made up


@pytest.mark.parametrize("generation, tool", [("2022-07", "ais_infer"), ("2022-09", "ais_infer"),
                                              ("2023", "python3 -m ais_bench"), ("2024", "python3 -m ais_bench")])
def test_each_generation_of_the_real_ais_infer_is_merged_under_the_samples_names(generation, tool, compiled,
                                                                                      monkeypatch):
    (compiled / "bins/s10.bin").unlink()  # 2022-07 drops a batch that is not full
    good(npu(compiled, f"mkdir out; {tool} --model m.om --input bins --output out --batchsize 2",
             STANDIN_AIS=generation))
    monkeypatch.chdir(compiled)
    one = {sample: [path.read_bytes() for path in paths.values()]
           for sample, paths in result_files.find(result_files.newest("out")).items()}
    line = f"{tool} --model m.om --input bins --output all --batchsize 2"
    good(npu(compiled, line, "0,1", STANDIN_AIS=generation))
    merged = result_files.newest("all")
    assert {sample: [path.read_bytes() for path in paths.values()]
            for sample, paths in result_files.find(merged).items()} == one and len(one) == 10
    read, device = (perf.read(path) for path in (f"{merged}_summary.json", f"{merged}_devices.json"))
    assert read.backend == device.backend == "npu" and read.samples_per_s == device.samples_per_s
    assert read.batch == 2 and read.devices == 2


def test_a_file_of_the_real_msame_counts_as_many_samples_as_its_models_name_says(compiled):
    (compiled / "m.om").rename(compiled / "m_bs2.om")
    onnx_models.samples(compiled / "whole", 4, shape=(2, 3, 4))
    (compiled / "out").mkdir()
    good(npu(compiled, "msame --model m_bs2.om --input whole --output out", "0,1"))
    found = json.loads(next((compiled / "out").glob("*_devices.json")).read_text())
    assert (found["batch"], found["sample_count"]) == (2, 8)
    for one in found["devices"]:
        assert one["sample_count"] == 4 and one["samples_per_s"] == pytest.approx(2000 / one["compute_ms"]["mean"])
    assert found["samples_per_s"] == pytest.approx(sum(one["samples_per_s"] for one in found["devices"]))


@pytest.mark.parametrize("mode", ["private", "of the group", "a link", "on another disk"])
def test_the_newest_ais_bench_takes_the_parts_whatever_the_datasets_modes_are(mode, compiled, monkeypatch):
    """It refuses links and what the group can write; the parts are the files themselves where they can be."""
    for path in list((compiled / "bins").iterdir()):
        path.chmod(0o664 if mode == "of the group" else 0o640)
        if mode == "a link":
            path.rename(compiled / path.name)
            path.symlink_to(compiled / path.name)
    if mode == "on another disk":
        real = os.link
        monkeypatch.setattr(os, "link", lambda *names: real("/nowhere", *names[1:]))
        tool.lay_out(compiled / "part", {path.name: path for path in (compiled / "bins").iterdir()})
        assert all(path.stat().st_nlink == 1 and path.stat().st_mode & 0o777 == 0o640
                   and path.read_bytes() == (compiled / "bins" / path.name).read_bytes()
                   and path.stat().st_mtime_ns == (compiled / "bins" / path.name).stat().st_mtime_ns
                   for path in (compiled / "part").iterdir())
        return
    (compiled / "m.om").chmod(0o600)
    good(npu(compiled, "umask 002; python3 -m common.devices 0,1 -- python3 -m ais_bench --model m.om --input bins "
             "--output all --batchsize 2", STANDIN_AIS="2024"))
    parts = [path for device in "01" for path in (compiled / f"all/devices/device{device}/input0").iterdir()]
    assert len(parts) == 11 and not any(path.is_symlink() for path in parts)
    assert {path.stat().st_nlink for path in parts} == {1 if mode == "of the group" else 2}


def test_the_real_tool_that_dies_is_told_and_a_rerun_runs_that_device_alone(compiled):
    """A script in front of the tool, which dies on one device until a file says otherwise."""
    script = compiled / "benchmark"
    script.write_text('#!/bin/bash\n[[ " $* " != *" -device_id=1 "* || -e well ]] || { echo "[ERROR] chip is lost"; '
                      'kill -9 $$; }\nexec benchmark.x86_64 "$@"\n')
    script.chmod(0o755)
    line = REAL.replace("benchmark.x86_64", "benchmark")
    result = npu(compiled, line, "0,1")
    assert result.returncode == 1 and "  [ERROR] chip is lost\n" in result.stderr
    assert "error: device 1 was ended by SIGKILL (log: result/devices/device1.log)" in result.stderr
    (compiled / "well").touch()
    assert "device 0 had finished before" in good(npu(compiled, line, "0,1", RESUME="1"))
    assert [[word for word in call if "device_id" in word] for call in calls(compiled / "bin", "benchmark")] == [
        ["-device_id=0"], ["-device_id=1"]]
    assert len(contents(compiled / "result/dumpOutput_devices")) == 22
    good(npu(compiled, line, "0,1"))  # without RESUME everything
    assert len(calls(compiled / "bin", "benchmark")) == 4
    os.utime(compiled / "bins/s1.bin", ns=(1, 1))
    good(npu(compiled, line, "0,1", RESUME="1"))  # a changed input is no finished part
    assert len(calls(compiled / "bin", "benchmark")) == 5


@pytest.mark.parametrize("line, part", ids=["benchmark", "msame", "ais_infer"], argvalues=[
    (REAL, "device 0 left no result for 6 of its 6 samples, the first bins/s0.bin"),  # status 0, nothing written
    ("mkdir -p out; msame --model m.om --input whole --output out", "device 0 said `[ERROR] device id must in"),
    ("ais_infer --model m.om --input bins --output out --batchsize 2", "device 0 ended with status 1")])
def test_a_tool_that_fails_with_any_status_is_an_error_whatever_an_earlier_run_left(line, part, compiled):
    (compiled / "whole").mkdir()
    for number in range(2):
        (compiled / f"whole/w{number}.bin").write_bytes((compiled / "bins/s0.bin").read_bytes() * 2)
    line = line.split("; ")[-1]
    if "ais_infer" not in line:  # which drops the tail
        good(npu(compiled, line, "0,1"))
    result = npu(compiled, line, "0,1", STANDIN_FAIL="1")
    assert result.returncode == 1 and part in result.stderr.splitlines()[-1], result.stderr
    assert not (compiled / "result/devices.json").exists()


# the whole way

NARROW = ("-C", "EDSR", "ROUND=1", "PTH=seeded", "SEEDED=blocks=1 features=8")


def test_make_gives_the_same_accuracy_and_a_record_that_fits_the_report(copied, pictures):  # noqa: F811
    arguments, build = (*NARROW, "postprocess", f"DATASETS_PATH={pictures}"), copied / "EDSR/build"
    found = []
    for more in ([], ["DEVICES=0,1"]):
        result = make(copied, *arguments, *more)
        assert result.returncode == 0, result.stdout[-2000:] + result.stderr
        found.append(json.loads((build / "accuracy.json").read_text()))
    assert found[0] == found[1] and len(found[0]["rows"]) == 2
    assert "--res result/dumpOutput_devices " in result.stdout and "pth2onnx" not in result.stdout
    assert not [line for line in make(copied, *arguments, *more).stdout.splitlines() if line.startswith("cd build")]
    entry = report.performance(json.loads((build / "result/devices.json").read_text()), False)
    json_files.check(entry, {"$ref": "report.schema.json#/definitions/performance"}, "entry")
    assert [one["device"] for one in entry["devices"]] == [0, 1]
    assert entry["samples_per_s"] == pytest.approx(sum(one["samples_per_s"] for one in entry["devices"]))


@pytest.mark.full
def test_report_page_and_readme_tell_each_device_and_all_together(copied, pictures):  # noqa: F811
    build = copied / "EDSR/build"
    result = make(copied, *NARROW, "all", f"DATASETS_PATH={pictures}", "DEVICES=0,1")
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr
    assert re.search(r"speed     edsr_x2.onnx, \S+, batch 1, .*, by 2 devices: ", result.stdout)
    made = json.loads((build / "report.json").read_text())
    reports.report(build / "report.json")
    merged, pure = made["performance"]
    assert len(merged["devices"]) == 2 and "devices" not in pure
    page = (build / "report.html").read_text()
    assert page.count("device 1: ") == 1 and ", 2 devices: " in page
    assert "on several devices: sum of the devices" in page
    edsr = facts.load(copied / "EDSR")
    rows = readme.throughput_table(edsr, [readme.entry(made)], readme.speaker(edsr, True))
    assert "2 个设备合计" in rows[2] and "合计" not in rows[3]


@pytest.mark.parametrize("model", [name for name in MODELS if name != "CGAN"])
def test_from_nothing_every_stage_of_every_model_follows_from_the_merged_results(model, copied):  # noqa: F811
    result = make(copied, "-n", "-C", model, "all", "compare", "B=build_fresh", "DEVICES=0,1")
    assert result.returncode == 0, result.stderr
    assert 'INTERPRETER" -m common.devices "0,1" -- ' in result.stdout
    assert "dumpOutput_device0" not in result.stdout and "onnxruntime_batchsize" not in result.stdout


@pytest.mark.parametrize("ids, first", [("3,1", "3"), ("1", "1")])
def test_cgan_has_one_sample_and_runs_on_the_first_of_several_devices(ids, first, copied):  # noqa: F811
    result = make(copied, "-n", "-C", "CGAN", "infer", f"DEVICES={ids}")
    assert result.returncode == 0, result.stderr
    assert f"--device {first} &&" in result.stdout and "common.devices" not in result.stdout


@pytest.mark.parametrize("model", [name for name in MODELS if name != "CGAN"])
def test_a_script_is_told_wrong_ids_before_any_work(model, tmp_path):
    result = subprocess.run(["bash", str(ROOT / model / "test/eval_acc_perf.sh"), "--datasets_path=.", "--devices=0,a"],
                            cwd=tmp_path, capture_output=True, text=True, env=machine(tmp_path / "bin"))
    assert result.returncode == 2 and result.stderr.splitlines()[-1] == "error: --devices: expected ids such as " \
        "0,1,2,3, found 0,a"


@pytest.mark.full
@pytest.mark.parametrize("tool", ["benchmark.x86_64", "ais_bench", "none"])
def test_the_script_on_two_devices_gives_pytorchs_accuracy_and_the_sum_beside_the_reference(
        tool, project, inputs, tmp_path, monkeypatch):  # noqa: F811
    there = ["atc", "npu-smi", tool] if tool != "none" else []
    edsr = MODELS["EDSR"]
    monkeypatch.setitem(MODELS, "EDSR", edsr._replace(options=(*edsr.options, "--devices=0,1")))
    result = evaluate(project, inputs, "EDSR", machine(tmp_path / "bin", *there))
    check(project, "EDSR", result, npu=bool(there))
    assert re.search(r"^together +2 ", result.stdout, re.MULTILINE)
    assert "  reference 310, batch 1: 89.4824 images/s (256x256, 22.3706 samples/s (44.7073 ms) on one device, times " \
        "the card's 4 devices)" in result.stdout
