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

from common import dataset
from common.errors import UserError
from conftest import ROOT, environment


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


def test_a_bin_of_another_length_names_expected_and_found(tmp_path):
    (tmp_path / "a.bin").write_bytes(b"\0" * 10)
    with pytest.raises(UserError, match=r"a\.bin: expected 12 bytes \(3x1 float32\), found 10"):
        dataset.read_bin(tmp_path / "a.bin", [3, 1])


def test_the_info_format_cannot_hold_spaces(tmp_path):
    (tmp_path / "a b").mkdir()
    (tmp_path / "a b/x.bin").write_bytes(b"")
    with pytest.raises(UserError, match="spaces"):
        dataset.write_info(tmp_path / "a b", tmp_path / "x.info", 1, 1)


def test_an_info_of_nothing_is_an_error(tmp_path):
    (tmp_path / "bin").mkdir()
    with pytest.raises(UserError, match="found none"):
        dataset.write_info(tmp_path / "bin", tmp_path / "x.info", 1, 1)
    assert not (tmp_path / "x.info").exists()


def test_results_are_found_under_the_names_of_every_tool(tmp_path):
    for name in ("a.b_1.bin", "a.b_2.bin", "c_0.bin", "d_output_0.bin", "d_x.bin", ".e_1.bin", "f_1.txt"):
        (tmp_path / name).write_bytes(b"")
    found = dataset.results(tmp_path)
    assert {stem: sorted(numbers) for stem, numbers in found.items()} == {"a.b": [1, 2], "c": [0], "d": [0]}


def test_missing_and_unknown_results_are_told_apart():
    dataset.check_pairs(["a", "b"], ["b", "a"], "res")
    with pytest.raises(UserError, match="res: no result for a and 1 more"):
        dataset.check_pairs(["a", "b", "c"], ["c"], "res")
    with pytest.raises(UserError, match="res: unknown sample x"):
        dataset.check_pairs(["a"], ["a", "x"], "res")


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
from common import dataset, errors
def main(argv=None):
    def make(path):
        time.sleep(float(sys.argv[1]))
        return np.full(1000, int(path.stem), np.float32), {}
    sources = [(path.stem, [path]) for path in sorted(Path("in").iterdir())]
    dataset.preprocess(sources, "prep", make, {}, 4000)
errors.run(main)
"""


def start_slow(folder, delay):
    (folder / "slow.py").write_text(SLOW)
    return subprocess.Popen([sys.executable, "slow.py", str(delay)], cwd=folder, env=environment(),
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("kill", [signal.SIGKILL, signal.SIGINT])
def test_preprocessing_that_was_cut_off_goes_on_where_it_stopped(tmp_path, kill):
    (tmp_path / "in").mkdir()
    for number in range(40):
        (tmp_path / f"in/{number:02d}.txt").write_text("x")
    process = start_slow(tmp_path, 0.1)
    while len(list((tmp_path / "prep/bin").glob("*.bin"))) < 3:
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(kill)
    process.communicate()
    assert process.returncode == (130 if kill == signal.SIGINT else -kill)
    done = {path.name: path.stat() for path in (tmp_path / "prep/bin").glob("*.bin")}
    assert not (tmp_path / "prep/manifest.json").exists()
    assert {status.st_size for status in done.values()} == {4000}
    process = start_slow(tmp_path, 0)
    output, _ = process.communicate()
    assert process.returncode == 0
    # at most the one sample whose file was in place but not yet noted is made twice
    kept = sum((tmp_path / "prep/bin" / name).stat().st_mtime_ns == status.st_mtime_ns for name, status in done.items())
    assert kept >= len(done) - 1 >= 2
    assert f"({kept} were there already)" in output
    manifest = json.loads((tmp_path / "prep/manifest.json").read_text())
    assert [record["id"] for record in manifest["samples"]] == [f"{number:02d}" for number in range(40)]
    assert not [path for path in (tmp_path / "prep").rglob(".*") if path.suffix != ".bin"]
    assert {path.name for path in (tmp_path / "prep").iterdir()} == {"bin", "manifest.json"}


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
    script = "import sys, common.dataset, common.pictures, common.facts, common.report; " \
             "print([name for name in ('torch', 'onnx', 'onnxruntime', 'numpy', 'cv2', 'PIL') if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment())
    assert result.stdout == "[]\n"
    assert os.path.isdir(ROOT / "common")
