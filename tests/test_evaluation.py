"""Evaluating result files: the same rows in the same order for any number of processes."""
from __future__ import annotations

import json
import os
import time
from pathlib import Path

import numpy as np
import pytest

from common.base.errors import UserError
from common.data import dataset, evaluation


def work(folder: Path, samples, found: list) -> evaluation.Evaluation:
    def one(sample: str, name: str, output: np.ndarray) -> dict:
        time.sleep(0.02 * (int(sample[1:]) % 3))  # the later ones of three are done later
        return {"sample": sample, "name": name, "sum": float(output.sum()), "process": os.getpid()}

    return evaluation.Evaluation(samples, lambda sample: folder / f"{sample}_1.bin",
                                 lambda path: dataset.read_bin(path, (2,)), one, found.extend)


@pytest.mark.parametrize("jobs", ["1", "3"])
def test_rows_are_of_each_samples_own_file_in_the_order_of_the_samples(jobs, tmp_path, monkeypatch):
    monkeypatch.setenv("JOBS", jobs)
    samples = [f"s{number}" for number in (5, 3, 8, 1, 0, 2)]
    for sample in samples:
        np.array([int(sample[1:]), 0.5], np.float32).tofile(tmp_path / f"{sample}_1.bin")
    found: list = []
    evaluation.run(work(tmp_path, samples, found))
    processes = {row.pop("process") for row in found}
    assert found == [{"sample": sample, "name": f"{sample}_1", "sum": int(sample[1:]) + 0.5} for sample in samples]
    assert (processes == {os.getpid()}) == (jobs == "1")


def test_a_result_that_is_cut_off_is_told_and_no_figure_is_given(tmp_path, monkeypatch):
    monkeypatch.setenv("JOBS", "2")
    for sample, count in (("s0", 2), ("s1", 1), ("s2", 2)):
        np.zeros(count, np.float32).tofile(tmp_path / f"{sample}_1.bin")
    found: list = []
    with pytest.raises(UserError, match="s1_1.bin: expected 8 bytes"):
        evaluation.run(work(tmp_path, ["s0", "s1", "s2"], found))
    assert found == []


def test_results_are_expected_of_what_was_preprocessed_else_of_what_the_script_says(tmp_path):
    records = [{"id": name, "bin": f"{name}.bin", "source": [], "stamp": [], "shape": [1], "dtype": "float32"} for name in "ba"]
    (tmp_path / "manifest.json").write_text(json.dumps({"recipe": {}, "samples": records}))
    assert evaluation.expected(str(tmp_path), lambda: ["c"]) == ["b", "a"]
    assert evaluation.expected(None, lambda: ["c"]) == ["c"]
    with pytest.raises(UserError, match="preprocessing has not been run there"):
        evaluation.expected(str(tmp_path / "none"), lambda: ["c"])
