"""`.bin`, `.info`, manifest and result files."""
from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from common.base import names
from common.base.errors import UserError
from common.base.journal import Journal
from common.data import dataset, result_files
from conftest import ROOT, environment, heed_ctrl_c


def test_bin_is_raw_little_endian_in_c_order(tmp_path):
    dataset.write_bin(tmp_path / "a.bin", np.array([[1, 2], [3, 4]], "<f4").T)
    assert (tmp_path / "a.bin").read_bytes() == np.array([1, 3, 2, 4], "<f4").tobytes()
    assert dataset.read_bin(tmp_path / "a.bin", [2, 2]).tolist() == [[1, 3], [2, 4]]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nan_and_infinity_are_neither_written_nor_read(tmp_path, value):
    array = np.array([1, value], np.float32)
    with pytest.raises(UserError, match="NaN or infinite"):
        dataset.write_bin(tmp_path / "a.bin", array)
    array.tofile(tmp_path / "a.bin")
    with pytest.raises(UserError, match="NaN or infinite"):
        dataset.read_bin(tmp_path / "a.bin", [2])


@pytest.mark.parametrize("place", [0, 65535, 65536, 131071, 131072, 200000])
def test_one_value_that_is_not_finite_is_noticed_wherever_it_stands(tmp_path, place):
    array = np.zeros((1, 3, 66667), np.float32)
    dataset.write_bin(tmp_path / "good.bin", array)
    array[0, place // 66667, place % 66667] = -np.inf
    with pytest.raises(UserError, match="NaN or infinite"):
        dataset.write_bin(tmp_path / "x.bin", array)
    with pytest.raises(UserError, match="NaN or infinite"):
        dataset.write_bin(tmp_path / "x.bin", array.transpose(0, 2, 1))
    assert dataset.read_bin(tmp_path / "good.bin", array.shape).shape == array.shape


def test_a_bin_of_another_length_names_expected_and_found(tmp_path):
    (tmp_path / "a.bin").write_bytes(b"\0" * 10)
    with pytest.raises(UserError, match=r"a\.bin: expected 12 bytes \(3x1 float32\), found 10"):
        dataset.read_bin(tmp_path / "a.bin", [3, 1])


def test_the_info_format_cannot_hold_spaces(tmp_path):
    (tmp_path / "a b").mkdir()
    (tmp_path / "a b/x.bin").write_bytes(b"")
    with pytest.raises(UserError, match="spaces"):
        dataset.write_info(tmp_path / "a b", tmp_path / "x.info", (1, 1))


def test_an_info_of_nothing_is_an_error(tmp_path):
    (tmp_path / "bin").mkdir()
    with pytest.raises(UserError, match="found none"):
        dataset.write_info(tmp_path / "bin", tmp_path / "x.info", (1, 1))
    assert not (tmp_path / "x.info").exists()


def test_results_are_found_under_the_names_of_every_tool(tmp_path):
    for name in ("a.b_1.bin", "a.b_2.bin", "c_0.bin", "d_x.bin", ".e_1.bin", "f_1.txt"):
        (tmp_path / name).write_bytes(b"")
    found = result_files.find(tmp_path)
    assert {stem: sorted(numbers) for stem, numbers in found.items()} == {"a.b": [1, 2], "c": [0]}


@pytest.mark.parametrize("written, right", [
    (("foo_output_0", "foo_output_output_0"), {"foo": [0], "foo_output": [0]}),  # msame's
    (("foo_1", "foo_output_1"), {"foo": [1], "foo_output": [1]}),  # benchmark's
    (("foo_0", "foo_output_0"), {"foo": [0], "foo_output": [0]}),  # ais_infer's
    (("foo_output_1", "foo_output_2"), {"foo_output": [1, 2]}), (("a_output_0", "a_output_1"), {"a": [0, 1]})])
def test_case_10_names_results_of_a_picture_called_output_are_its_own(tmp_path, written, right):
    for name in written:
        (tmp_path / f"{name}.bin").write_bytes(b"")
    assert {stem: sorted(numbers) for stem, numbers in result_files.find(tmp_path).items()} == right


@pytest.mark.parametrize("sample, stem", [("my photo", "my%20photo"), ("50%", "50%25"), ("a%20b", "a%2520b"), ("a\u3000b", "a%E3%80%80b"),
                                          ("照片", "照片"), ("a.b_1", "a.b_1")])
def test_case_10_names_the_files_of_a_sample_hold_no_space_and_lead_back_to_it(tmp_path, sample, stem):
    assert names.stem(sample) == stem and names.of_stem(stem) == sample
    records = dataset.preprocess([(sample, [])], tmp_path / "p", lambda: (np.zeros((3, 2, 5), np.float32), {}), {}, 60)
    assert records[0]["bin"] == f"bin/{stem}.bin" and [one["id"] for one in dataset.read_manifest(tmp_path / "p")] == [sample]
    dataset.write_info(tmp_path / "p/bin", tmp_path / "x.info")
    assert (tmp_path / "x.info").read_text() == f"0 {tmp_path}/p/bin/{stem}.bin 5 2\n"
    for name in ("msame/{}_output_0", "benchmark/{}_1"):
        path = tmp_path / f"{name.format(stem)}.bin"
        path.parent.mkdir()
        path.write_bytes(b"")
        assert result_files.find(path.parent) == {sample: {int(path.stem[-1]): path}}
    path = tmp_path / "ais_summary.json"
    (tmp_path / "ais").mkdir()
    (tmp_path / "ais/x_0.bin").write_bytes(b"")
    path.write_text(json.dumps({"filesinfo": {"0": {"infiles": [f"p/bin/{stem}.bin"], "outfiles": ["ais/x_0.bin"]}}}))
    assert result_files.find(tmp_path / "ais") == {sample: {0: tmp_path / "ais/x_0.bin"}}


def test_a_name_leaves_room_for_what_the_tools_add(tmp_path):
    sample = "n" * names.LONGEST
    (tmp_path / f"{names.check(sample, 'x')}_output_99.bin").write_bytes(b"")
    for name in (sample + "n", "é" * 121 + " "):
        with pytest.raises(UserError, match="is longer than 241 bytes"):
            names.check(name, "x")


@pytest.mark.parametrize("summary, names", [
    ("bs1/sumary.json", ["input0_output_{}", "input1_output_{}"]),  # ais_infer of 2022-07 numbers its files
    ("bs1_summary.json", ["a_{}", "b_{}"])])  # ais_bench names them up to the first dot
def test_results_of_ais_infer_are_told_by_its_summary_under_a_link_and_after_a_move_too(tmp_path, summary, names):
    folder = tmp_path / "moved/bs1"
    folder.mkdir(parents=True)
    entries = {}
    for number, (sample, name) in enumerate(zip(("a.v2", "b.v2"), names)):
        for index in (0, 1):
            (folder / f"{name.format(index)}.bin").write_bytes(b"")
        entries[str(number)] = {"infiles": [f"prep/{sample}.bin"],
                                "outfiles": [f"result/bs1/{name.format(index)}.bin" for index in (0, 1)]}
    (tmp_path / "moved" / summary).write_text(json.dumps({"filesinfo": entries}))
    (tmp_path / "latest").symlink_to(folder)
    for place in (folder, tmp_path / "latest"):
        found = result_files.find(place)
        assert {stem: {number: path.name for number, path in outputs.items()} for stem, outputs in found.items()} == \
            {sample: {index: f"{name.format(index)}.bin" for index in (0, 1)}
             for sample, name in zip(("a.v2", "b.v2"), names)}
    (folder / f"{names[1].format(1)}.bin").unlink()
    with pytest.raises(UserError, match="names it as the result of b.v2"):
        result_files.find(folder)


def test_missing_and_unknown_results_are_told_apart():
    result_files.check_pairs(["a", "b"], ["b", "a"], "res")
    with pytest.raises(UserError, match="res: no result for a and 1 more"):
        result_files.check_pairs(["a", "b", "c"], ["c"], "res")
    with pytest.raises(UserError, match="res: unknown sample x"):
        result_files.check_pairs(["a"], ["a", "x"], "res")


def test_an_unfinished_preprocessing_has_no_manifest_to_read(tmp_path):
    with pytest.raises(UserError, match="has not finished"):
        dataset.read_manifest(tmp_path)


def test_too_little_disk_stops_preprocessing_before_the_first_file(tmp_path):
    with pytest.raises(UserError, match="needs 1000.0 TB.*take the small one"):
        dataset.preprocess([("a", [])], tmp_path / "prep", lambda: None, {}, 10 ** 15, "take the small one")
    assert not (tmp_path / "prep").exists()


def test_a_folder_with_bin_files_of_somebody_else_is_refused_and_kept(tmp_path):
    (tmp_path / "source.txt").write_text("x")
    (tmp_path / "prep").mkdir()
    (tmp_path / "prep/other.bin").write_bytes(b"precious")

    def make(path):
        return np.zeros(1, np.float32), {}
    arguments = ([("a", [tmp_path / "source.txt"])], tmp_path / "prep", make, {}, 4)
    with pytest.raises(UserError, match="other.bin: was not written by an earlier run"):
        dataset.preprocess(*arguments, bins=".")
    assert [path.name for path in (tmp_path / "prep").iterdir()] == ["other.bin"]


SLOW = """
import sys, time, numpy as np
from pathlib import Path
from common.base import errors
from common.data import dataset
def main(argv=None):
    def make(path):
        time.sleep(float(sys.argv[1]))
        return np.full(1000, int(path.stem), np.float32), {}
    sources = [(path.stem, [path]) for path in sorted(Path("in").iterdir())]
    dataset.preprocess(sources, "prep", make, {}, 4000)
errors.run(main)
"""


def start_slow(folder, delay, jobs="1"):
    (folder / "slow.py").write_text(SLOW)
    return subprocess.Popen([sys.executable, "slow.py", str(delay)], cwd=folder, env=environment(JOBS=jobs), preexec_fn=heed_ctrl_c,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("jobs, ahead", [("1", 1), ("2", 6)])  # how many may be in place, but not noted yet
@pytest.mark.parametrize("kill", [signal.SIGKILL, signal.SIGINT])
def test_preprocessing_that_was_cut_off_goes_on_where_it_stopped(tmp_path, kill, jobs, ahead):
    (tmp_path / "in").mkdir()
    for number in range(40):
        (tmp_path / f"in/{number:02d}.txt").write_text("x")
    process = start_slow(tmp_path, 0.1, jobs)
    while len(list((tmp_path / "prep/bin").glob("[0-9]*.bin"))) < ahead + 2:
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(kill)
    process.communicate()
    assert process.returncode == (130 if kill == signal.SIGINT else -kill)
    time.sleep(1)  # without their parent the workers end by themselves
    done = {path.name: path.stat() for path in (tmp_path / "prep/bin").glob("[0-9]*.bin")}
    assert not (tmp_path / "prep/manifest.json").exists()
    assert {status.st_size for status in done.values()} == {4000}
    process = start_slow(tmp_path, 0)
    output, _ = process.communicate()
    assert process.returncode == 0
    # only samples whose files were in place but not yet noted are made twice
    kept = sum((tmp_path / "prep/bin" / name).stat().st_mtime_ns == status.st_mtime_ns for name, status in done.items())
    assert kept >= len(done) - ahead >= 2
    assert f"({kept} were there already)" in output
    manifest = json.loads((tmp_path / "prep/manifest.json").read_text())
    assert [record["id"] for record in manifest["samples"]] == [f"{number:02d}" for number in range(40)]
    assert not [path for path in (tmp_path / "prep").rglob(".*") if path.suffix != ".bin"]
    assert {path.name for path in (tmp_path / "prep").iterdir()} == {"bin", "manifest.json"}


KILLED = """
import os, signal, sys, numpy as np
from pathlib import Path
from common.base import errors
from common.data import dataset
def main(argv=None):
    def make(path):
        if path.stem == sys.argv[1]:
            os.kill(os.getpid(), signal.SIGKILL)
        return np.full(1000, int(path.stem), np.float32), {}
    sources = [(path.stem, [path]) for path in sorted(Path("in").iterdir()) if path.stem not in sys.argv[2:]]
    dataset.preprocess(sources, "prep", make, {}, 4000)
errors.run(main)
"""


@pytest.mark.parametrize("again", ["the same samples", "fewer", "fewer, and killed once more"])
def test_samples_of_a_killed_run_that_were_not_noted_yet_are_its_own_and_made_again(tmp_path, again):
    """Notes wait for others, so a kill loses some; their files are there all the same."""
    (tmp_path / "in").mkdir()
    for number in range(40):
        (tmp_path / f"in/{number:02d}.txt").write_text("x")
    (tmp_path / "killed.py").write_text(KILLED)

    def run(*arguments):
        return subprocess.run([sys.executable, "killed.py", *arguments], cwd=tmp_path, env=environment(JOBS="1"), text=True,
                              capture_output=True)

    assert run("30").returncode == -signal.SIGKILL
    there = {path.stem for path in (tmp_path / "prep/bin").glob("[0-9]*.bin")}
    noted = Journal(tmp_path / "prep/manifest.json", {}).left
    assert len(there) == 30 and len(noted) < 30, "no note was lost: the test tries nothing"
    gone = [] if again == "the same samples" else ["05", "29"]
    if "killed" in again:
        assert run("39", *gone).returncode == -signal.SIGKILL
    done = run("none", *gone)
    assert done.returncode == 0, done.stderr
    assert {path.stem: np.fromfile(path, np.float32)[0] for path in (tmp_path / "prep/bin").iterdir()} == {
        f"{number:02d}": number for number in range(40) if f"{number:02d}" not in gone}


def test_a_first_run_whose_first_sample_fails_leaves_nothing_that_other_processes_made_ahead(tmp_path, monkeypatch):
    monkeypatch.setenv("JOBS", "2")
    for number in range(4):
        (tmp_path / f"{number}.txt").write_text("x")

    def make(path):
        if path.stem == "0":
            until = time.monotonic() + 30
            while not list((tmp_path / "prep/bin").glob("[0-9]*.bin")) and time.monotonic() < until:
                time.sleep(0.01)
            assert list((tmp_path / "prep/bin").glob("[0-9]*.bin")), "nothing was made ahead: the test tries nothing"
            raise UserError("0: is broken")
        return np.full(1000, int(path.stem), np.float32), {}

    def preprocess(*stems):
        sources = [(stem, [tmp_path / f"{stem}.txt"]) for stem in stems]
        return dataset.preprocess(sources, tmp_path / "prep", make, {}, 4000)
    with pytest.raises(UserError, match="0: is broken"):
        preprocess("0", "1", "2", "3")
    assert not [path for path in (tmp_path / "prep").rglob("*") if path.is_file()]
    assert [record["id"] for record in preprocess("2")] == ["2"]


def test_notes_wait_for_others_no_longer_than_a_moment_and_not_at_all_when_the_run_ends(tmp_path, monkeypatch):
    now = [100.0]
    monkeypatch.setattr("common.base.journal.time.monotonic", lambda: now[0])
    journal = Journal(tmp_path / "m.json", {})
    with pytest.raises(KeyboardInterrupt), journal:
        journal.begin("abcd")
        for sample, later, noted in (("a", 0.1, []), ("b", 0.15, ["a", "b"]), ("c", 0.1, ["a", "b"])):
            now[0] += later
            journal.add(sample, {})
            assert list(Journal(tmp_path / "m.json", {}).finished) == noted
        raise KeyboardInterrupt
    assert list(Journal(tmp_path / "m.json", {}).finished) == ["a", "b", "c"]


def test_a_changed_source_text_of_the_step_redoes_every_sample(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in/1.txt").write_text("x")
    start_slow(tmp_path, 0).communicate()
    (tmp_path / "slow.py").write_text(SLOW.replace("int(path.stem)", "7"))
    subprocess.run([sys.executable, "slow.py", "0"], cwd=tmp_path, env=environment(), check=True)
    assert np.fromfile(tmp_path / "prep/bin/1.bin", np.float32)[0] == 7


def test_progress_bar_is_not_in_a_log(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in/1.txt").write_text("x")
    _, error = start_slow(tmp_path, 0).communicate()
    assert error == ""


def test_the_light_stages_start_without_the_heavy_packages():
    script = "import sys, common.data.dataset, common.base.pictures, common.base.facts, common.publish.report, " \
             "common.base.workers; list(common.base.workers.ordered(print, [])); " \
             "print([name for name in ('torch', 'onnx', 'onnxruntime', 'numpy', 'cv2', 'PIL', 'multiprocessing') " \
             "if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment())
    assert result.stdout == "[]\n"
    assert os.path.isdir(ROOT / "common")
