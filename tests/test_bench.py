"""The benchmark: its floor does what the step cannot avoid, and its figures follow from the times. Nothing is timed."""
from __future__ import annotations

import contextlib
import io
import json
import re
import shutil
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from common.base import files
from common.base.errors import UserError
from common.data.demo import streets
from common.dev import bench, bench_steps
from conftest import MODELS, ROOT, environment, one_line_error

SCRIPTS = re.compile(r".*(preprocess|postprocess).*\.py")


def steps_of(model, folder, count, monkeypatch):
    monkeypatch.chdir(ROOT / model)
    with contextlib.redirect_stdout(io.StringIO()):
        return bench.MODELS[model](folder, count)


def written(folder):
    """What lies in a folder of what a step is there to write: tensors and pictures."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*")
            if path.suffix in (".bin", ".png", ".jpg")}


def test_every_model_and_every_one_of_its_steps_is_measured(tmp_path, monkeypatch):
    assert sorted(bench.MODELS) == MODELS
    for model in ("EDSR", "CGAN", "UNetPlusPlus"):  # those that are drawn at once
        steps = steps_of(model, tmp_path / model, 1, monkeypatch)
        assert {f"{step.module}.py" for step in steps} == {path.name for path in (ROOT / model).glob("*.py")
                                                            if SCRIPTS.fullmatch(path.name)}


@pytest.mark.parametrize("model, count, files", [
    ("EDSR", 3, [3, 3, 3]), ("CGAN", 5, [1, 1]), ("UNetPlusPlus", 3, [3, 0])])
def test_the_floor_writes_the_bytes_that_the_step_writes(model, count, files, tmp_path, monkeypatch):
    monkeypatch.delenv("LIMIT", raising=False)
    for step, number in zip(steps_of(model, tmp_path / "data", count, monkeypatch), files):
        out = tmp_path / "out"
        floors = bench.floors_of(step, out)
        expected = written(out)
        assert len(expected) == number
        out.rename(tmp_path / "data" / step.name)
        for jobs in (1, 2):
            bench.run_floor(floors, out, jobs)
            assert written(out) == expected
            for path in out.rglob("*.*"):
                path.unlink()
        shutil.rmtree(out, ignore_errors=True)


@pytest.fixture
def quick_streets(monkeypatch):
    """Streets of full size that are quickly drawn, each another."""
    def street(generator):
        labels = np.kron(generator.integers(7, 34, (8, 16)), np.ones((128, 128), int))
        return np.repeat(labels[..., None] * 7, 3, 2).astype(np.uint8), labels.astype(np.uint8), labels.astype(np.uint16)
    monkeypatch.setattr(streets, "street", street)


@pytest.mark.parametrize("model, kind", [("IntraDA", "*.png"), ("Pix2pixHD", "*.jpg")])
def test_the_floor_writes_what_the_steps_write_of_streets_which_stand_under_many_names(model, kind, tmp_path, monkeypatch,
                                                                                       quick_streets):
    data = tmp_path / "data"
    steps = {step.name: step for step in steps_of(model, data, 3, monkeypatch)}
    assert len({path.resolve() for path in (data / "result").iterdir()}) == bench_steps.STREETS == 2
    for name, pattern in (("preprocess", "*.bin"), ("postprocess", kind)):
        floors = bench.floors_of(steps[name], data / name)
        bench.run_floor(floors, tmp_path / "floor", 1)
        expected = {path.name: path.read_bytes() for path in (data / name).glob(pattern)}
        assert len(floors) == len(expected) == 3
        assert {path.name: path.read_bytes() for path in (tmp_path / "floor").glob(pattern)} == expected
        assert len({id(array) for floor in floors for _, array in (*floor.write, *floor.encode)}) == 2  # kept once


def test_large_samples_are_few(tmp_path, monkeypatch, quick_streets):
    limits = {step.name: step.limit for step in steps_of("Pix2pixHD", tmp_path, 9, monkeypatch)}
    assert limits == {"preprocess": None, "preprocess, one-hot": 4, "postprocess": None, "postprocess --photos": None}


def opened(monkeypatch):
    """The files that are decoded as pictures or read as arrays from here on."""
    decoded, read = [], []
    open_image, read_into = Image.open, files.read_into
    monkeypatch.setattr(Image, "open", lambda path, **more: decoded.append(Path(path).resolve()) or open_image(path, **more))
    monkeypatch.setattr(files, "read_into", lambda path, place: read.append(Path(path).resolve()) or read_into(path, place))
    return decoded, read


@pytest.mark.parametrize("model", ["EDSR", "UNetPlusPlus", "CGAN"])
def test_the_floor_decodes_and_reads_the_files_that_the_step_does(model, tmp_path, monkeypatch):
    decoded, read = opened(monkeypatch)
    for step in steps_of(model, tmp_path / "data", 2, monkeypatch):
        out = tmp_path / "out"
        floors = bench.floors_of(step, out)
        out.rename(tmp_path / "data" / step.name)
        decoded.clear(), read.clear()
        step.run(out, 1)
        by_step = set(decoded), set(read)
        assert any(by_step) or (model, step.name) == ("CGAN", "preprocess")
        decoded.clear(), read.clear()
        bench.run_floor(floors, tmp_path / "floor", 1)
        assert (set(decoded), set(read)) == by_step
        assert len(decoded) == len(set(decoded)) and len(read) == len(set(read))  # each once
        shutil.rmtree(out, ignore_errors=True)


def test_the_floor_decodes_whole_pictures(tmp_path):
    Image.fromarray(np.zeros((50, 50, 3), np.uint8)).save(tmp_path / "x.png")
    whole = (tmp_path / "x.png").read_bytes()
    (tmp_path / "x.png").write_bytes(whole[:len(whole) // 2])  # only who decodes it notices
    with pytest.raises(OSError):
        bench.Floor([tmp_path / "x.png"]).work(tmp_path)


class Clock:
    """Moves only when it is told to."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now

    def passes(self, seconds):
        self.now += seconds


def test_tasks_take_turns_and_what_comes_before_each_is_not_timed():
    clock, order = Clock(), []
    tasks = {name: lambda name=name, seconds=seconds: (order.append(name), clock.passes(seconds))
             for name, seconds in (("step", 3.0), ("floor", 2.0))}
    found = bench.rounds(tasks, 2, 5, lambda: (order.append("fresh"), clock.passes(0.5)), clock)
    assert order == ["fresh", "step", "fresh", "floor"] * 5
    assert found == {"step": [3.0] * 5, "floor": [2.0] * 5}


def test_rounds_end_when_there_was_time_enough_but_not_before_the_fewest():
    clock = Clock()
    found = bench.rounds({"slow": lambda: clock.passes(bench.ENOUGH * 0.6)}, 3, 9, clock=clock)
    assert len(found["slow"]) == 3
    clock = Clock()
    found = bench.rounds({"quick": lambda: clock.passes(bench.ENOUGH * 0.3)}, 3, 9, clock=clock)
    assert len(found["quick"]) == 4  # the fourth begins at 0.9 of it, a fifth would at 1.2
    assert len(bench.rounds({"no time": lambda: None}, 3, 9, clock=clock)["no time"]) == 9


def test_a_figure_is_the_median_of_the_ratios_of_each_round():
    assert bench.ratio([2.0, 9.0, 4.0], [1.0, 3.0, 4.0]) == {"median": 2.0, "low": 1.0, "high": 3.0}


def row(monkeypatch, tmp_path, jobs, seconds, samples=3, clock=time.perf_counter):
    """A row that is measured with these seconds."""
    step = bench.Step("preprocess", "x", [])
    monkeypatch.setattr(bench, "floors_of", lambda step, out: out.mkdir() or [bench.Floor()] * samples)

    def rounds(tasks, fewest, most, fresh, by):
        assert by is clock
        return {name: seconds[name] for name in tasks}
    monkeypatch.setattr(bench, "rounds", rounds)
    return bench.measure(step, tmp_path / "out", jobs, tmp_path / "kept", clock)


def test_the_figures_of_a_row_follow_from_its_times(monkeypatch, tmp_path):
    seconds = {"step_2": [3.0, 4.0, 5.0], "floor_2": [2.0, 2.0, 2.0], "step_1": [6.0, 6.0, 5.0],
               "floor_1": [3.0, 2.0, 4.0]}
    found = row(monkeypatch, tmp_path, 2, seconds)
    assert found == {"step": "preprocess", "samples": 3, "jobs": 2, "rounds": 3, "seconds": seconds,
                     "over_floor": {"median": 2.0, "low": 1.5, "high": 2.5},
                     "speed_up": {"median": 1.5, "low": 1.0, "high": 2.0},
                     "floor_speed_up": {"median": 1.5, "low": 1.0, "high": 2.0}}
    assert (tmp_path / "kept").is_dir() and not (tmp_path / "out").exists()


def test_one_process_or_one_sample_has_no_speed_up(monkeypatch, tmp_path):
    alone = row(monkeypatch, tmp_path, 1, {"step_1": [3.0], "floor_1": [2.0]})
    assert alone["over_floor"]["median"] == 1.5 and alone["speed_up"] is alone["floor_speed_up"] is None
    times = dict.fromkeys(("step_2", "floor_2", "step_1", "floor_1"), [1.0])
    (tmp_path / "b").mkdir()
    assert row(monkeypatch, tmp_path / "b", 2, times, samples=1)["speed_up"] is None


@pytest.mark.parametrize("cpu, jobs, clock", [(True, 1, time.process_time), (False, 3, time.perf_counter)])
def test_cpu_time_is_of_one_process(cpu, jobs, clock, tmp_path, monkeypatch):
    monkeypatch.setenv("JOBS", "3")
    monkeypatch.setitem(bench.MODELS, "EDSR", lambda work, count: [bench.Step("preprocess", "x", [])])
    taken = []
    monkeypatch.setattr(bench, "measure", lambda step, out, jobs, keep, clock: taken.append((jobs, clock)))
    monkeypatch.setattr(bench, "start_ups", lambda programs, out: [])
    monkeypatch.setattr(bench, "scripts", lambda steps, work: {})
    assert ("CPU" in bench.run("EDSR", tmp_path, 1, cpu)["definitions"].get("time", "")) is cpu
    assert taken == [(jobs, clock)]


def measured(model="EDSR", over=1.25, split=1.5, start=0.28, samples=100, load=0.5):
    def flat(value):
        return {"median": value, "low": value - 0.25, "high": value + 0.25}
    once = {"seconds": flat(start), "over_bare": flat(1.75)}
    return {"models": [{"model": model, "steps": [{
        "step": "preprocess", "samples": samples, "jobs": 2, "rounds": 5, "over_floor": flat(over),
        "speed_up": flat(split), "floor_speed_up": flat(1.8), "seconds": {}}],
        "start_ups": [{"script": "a.py", "rounds": 7, "help": once, "run": None}]}],
        "definitions": {}, "date": "2026-11-25T12:00:00+00:00", "machine": {"cores": 2, "load_before": [load] * 3, "load_after": [2 * load] * 3}}


def test_the_table_marks_what_misses_its_goal_and_nothing_else():
    text = "\n".join(bench.lines(measured(over=1.5, split=1.7, start=0.3)))
    assert "1.50 (1.25 to 1.75)" in text and "1.70 (1.45 to 1.95)" in text and " !" not in text
    text = "\n".join(bench.lines(measured(over=1.51, split=1.69, start=0.31)))
    assert "1.51 (1.26 to 1.76) !" in text and "1.69 (1.44 to 1.94) !" in text and "0.31 (0.06 to 0.56) !" in text
    assert text.count(" !") == 3
    assert " !" not in "\n".join(bench.lines(measured(over=9, split=0.5, samples=99)))  # too few to be held to it


def test_several_models_are_shown_as_one_table(tmp_path, run):
    for name, load in (("EDSR", 0.5), ("CGAN", 1.5)):
        (tmp_path / f"{name}.json").write_text(json.dumps(measured(name, load=load)))
    result = run("-m", "common.dev.bench", "show", "EDSR.json", "CGAN.json", "--output", "all.json", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert [line.split()[0] for line in result.stdout.splitlines() if line.split()[1:2] == ["preprocess"]] == ["EDSR", "CGAN"]
    assert "load before 0.50, after 3.00" in result.stdout
    assert [each["model"] for each in json.loads((tmp_path / "all.json").read_text())["models"]] == ["EDSR", "CGAN"]
    one_line_error(run("-m", "common.dev.bench", "show", "gone.json", cwd=tmp_path), "gone.json: no such file")


def test_a_script_that_fails_is_no_quick_start(tmp_path):
    with pytest.raises(UserError, match="broken.py --help: failed: .*(No such file|can't open)"):
        bench.start_ups({"broken.py": (["broken.py", "--help"], None)}, tmp_path / "out")


def test_make_bench_runs_one_model_after_the_other_and_count_is_its_number_of_samples():
    result = subprocess.run(["make", "-n", "-s", "bench", "COUNT=7", "MODELS=EDSR CGAN"], cwd=ROOT, capture_output=True,
                            text=True, env=environment())
    assert result.returncode == 0, result.stderr
    own = subprocess.run(["make", "-n", "-C", "EDSR", "bench", "COUNT=7"], cwd=ROOT, capture_output=True, text=True,
                         env=environment())
    assert "common.dev.bench run --work build/bench --output build/bench.json --count 7\n" in own.stdout
    made = "$(ls EDSR/build/bench.json CGAN/build/bench.json 2>/dev/null)"  # a folder without steps leaves none
    assert f"common.dev.bench show {made} --output build/bench.json\n" in result.stdout


@pytest.mark.parametrize("name, samples, scripts", [
    ("UNetPlusPlus", 2, {"preprocess_nested_unet.py", "postprocess_nested_unet.py", "gen_dataset_info.py"}),
    ("CGAN", 1, {"CGAN_preprocess.py", "CGAN_postprocess.py", "gen_dataset_info.py"})])
def test_a_model_is_measured_with_few_samples_and_nothing_else_is_left(name, samples, scripts, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(ROOT / name)
    for variable, value in (("PYTHONPATH", str(ROOT)), ("JOBS", "2"), ("LIMIT", "1")):  # the steps do not heed LIMIT
        monkeypatch.setenv(variable, value)
    monkeypatch.setattr(bench, "STARTS", 1)
    bench.main(["run", "--work", str(tmp_path / "work"), "--output", str(tmp_path / "bench.json"), "--count", "2"])
    output = capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["bench.json"]
    found = json.loads((tmp_path / "bench.json").read_text())
    assert set(found) == {"models", "definitions", "machine", "date"}
    (model,) = found["models"]
    assert model["model"] == name
    assert [(each["step"], each["samples"], each["jobs"]) for each in model["steps"]] == [
        ("preprocess", samples, 2), ("postprocess", samples, 2)]
    for each in model["steps"]:
        times = each["seconds"]
        assert set(times) == {"step_2", "floor_2", "step_1", "floor_1"}
        assert {len(values) for values in times.values()} == {each["rounds"]}
        ratios = [a / b for a, b in zip(times["step_2"], times["floor_2"])]
        assert each["over_floor"]["low"] == min(ratios) and each["over_floor"]["high"] == max(ratios)
    assert scripts | {"common.tools.perf", "common.judge.verdicts"} == {each["script"] for each in model["start_ups"]} - {
        "common.devices"}
    assert re.search(rf"{name} +postprocess +{samples} ", output)


def test_a_folder_that_has_no_benchmark_is_one_line(tmp_path, run):
    facts = json.loads((ROOT / "EDSR/facts.json").read_text())
    (tmp_path / "facts.json").write_text(json.dumps({**facts, "name": "Other"}))
    result = run("-m", "common.dev.bench", "run", "--output", "b.json", cwd=tmp_path)
    assert result.returncode == 0 and "Other: has no steps" in result.stdout and "there are EDSR, CGAN" in result.stdout
    assert not (tmp_path / "b.json").exists()
