"""What is removed is what the collection itself wrote, by its own record; what a stranger's folder says moves nothing."""
from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest

import onnx_models
from common.base.errors import UserError
from common.base.journal import Journal
from common.data import dataset
from common.devices.tool import link_all
from common.publish import gallery
from conftest import ROOT, one_line_error


def foreign(folder: Path, *names: str) -> dict:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_bytes(b"the user's")
    return {folder / name: b"the user's" for name in names}


def there(files: dict) -> bool:
    return all(path.read_bytes() == content for path, content in files.items())


def make(path: Path):
    return np.zeros((1, 2), np.float32), {}


@pytest.mark.parametrize("ours", [False, True], ids=["first run", "second run"])
def test_preprocess_leaves_what_no_record_names(tmp_path, ours):
    (tmp_path / "a.png").write_bytes(b"a")
    if ours:
        dataset.preprocess([("a", [tmp_path / "a.png"]), ("b", [tmp_path / "a.png"])], tmp_path / "prep", make, {}, 8)
    kept = foreign(tmp_path / "prep/bin", "mine.bin", "notes.txt")
    with pytest.raises(UserError, match="mine.bin: was not written by an earlier run"):
        dataset.preprocess([("a", [tmp_path / "a.png"])], tmp_path / "prep", make, {}, 8)
    assert there(kept)
    (tmp_path / "prep/bin/mine.bin").unlink()
    dataset.preprocess([("a", [tmp_path / "a.png"])], tmp_path / "prep", make, {}, 8)
    assert sorted(path.name for path in (tmp_path / "prep/bin").iterdir()) == ["a.bin", "notes.txt"]


def test_a_journal_with_a_path_for_a_sample_removes_nothing(tmp_path):
    (tmp_path / "a.png").write_bytes(b"a")
    kept = foreign(tmp_path, "x.bin")
    journal = Journal(tmp_path / "prep/manifest.json", {})
    journal.add("../../x", {})
    journal.complete(["../../x"])
    with pytest.raises(UserError, match="leads out of its folder"):
        dataset.preprocess([("a", [tmp_path / "a.png"])], tmp_path / "prep", make, {}, 8)
    assert there(kept)


def test_resuming_in_a_folder_with_the_users_files_removes_none(tmp_path, run):
    onnx_models.affine(tmp_path / "m.onnx")
    (tmp_path / "prep").mkdir()
    np.zeros(12, np.float32).tofile(tmp_path / "prep/a.bin")
    line = ("-m", "common.tools.ais_infer", "--model", "m.onnx", "--input", "prep", "--output", ".", "--output_dirname", "out",
            "--batchsize", 1)
    kept = foreign(tmp_path / "out", "thesis.txt", "b_0.bin")
    for _ in range(2):
        result = run(*line, cwd=tmp_path, RESUME="1")
        assert result.returncode == 0, result.stderr
        assert there(kept)


def test_a_gallery_removes_no_picture_that_it_did_not_make(tmp_path):
    kept = {**foreign(tmp_path / "gallery", "holiday.png", "9_9.png"), **foreign(tmp_path / "thumbnails", "9.jpg", "x.jpg")}
    row = gallery.Row("a", 1.0, [gallery.Panel("found", np.zeros((4, 4, 3), np.uint8), cover=True)])
    for _ in range(2):
        gallery.write(tmp_path, [row], "x", (), [{"sample": "b", "value": 2.0}], lambda entry: row)
    assert there(kept) and (tmp_path / "gallery/0_0.png").is_file() and (tmp_path / "thumbnails/0.jpg").is_file()


def test_the_demo_replaces_no_folder_that_it_did_not_draw(tmp_path, run):
    kept = foreign(tmp_path / "demo", "thesis.txt")
    one_line_error(run("-m", "common.data.demo.pictures", tmp_path / "demo", "--count", 1), "was not drawn by this program")
    assert there(kept)
    for _ in range(2):
        assert run("-m", "common.data.demo.pictures", tmp_path / "own", "--count", 1).returncode == 0


def test_merging_devices_removes_no_file_of_the_users(tmp_path):
    kept = foreign(tmp_path / "merged", "mine.bin")
    with pytest.raises(UserError, match="mine.bin: is in a folder where results are merged"):
        link_all(tmp_path / "merged", {})
    assert there(kept)


def test_a_benchmark_removes_no_folder_that_it_did_not_make(tmp_path, run):
    kept = foreign(tmp_path, "thesis.txt")
    one_line_error(run("-m", "common.dev.bench", "run", "--work", tmp_path, "--count", 1, cwd=ROOT / "CGAN"),
                   "no benchmark left it")
    assert there(kept)


@pytest.mark.parametrize("name", [".", "..", "../x", "a/b", "/tmp/x"])
def test_a_result_folders_name_stays_in_its_folder(tmp_path, run, name):
    one_line_error(run("-m", "common.tools.ais_infer", "--model", "m.onnx", "--output", "o", "--output_dirname", name,
                       cwd=tmp_path), "--output_dirname: sample")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("module", ["numpy", "json", "PIL", "tqdm", "fastjsonschema", "argparse", "onnxruntime"])
def test_a_module_among_results_is_not_imported(tmp_path, run, module):
    (tmp_path / f"{module}.py").write_text("open('ran', 'w').close(); raise SystemExit('ran')\n")
    for program in ("publish.report", "judge.agreement", "tools.benchmark", "tools.perf", "data.demo.pictures", "infer.pytorch_infer"):
        result = run("-m", f"common.{program}", "--help", cwd=tmp_path)
        assert result.returncode == 0 and not (tmp_path / "ran").exists(), (program, result.stderr)


@pytest.mark.parametrize("function", ["os.getcwd", "shutil.rmtree", "evil.f", "preprocess_evil.f"])
def test_a_fingerprint_chooses_no_module(tmp_path, run, function):
    text = (ROOT / "EDSR/fingerprint.json").read_text().replace("edsr_preprocess.fingerprint", function)
    (tmp_path / "fingerprint.json").write_text(text)
    (tmp_path / "elsewhere").mkdir()
    for name in ("evil", "preprocess_evil"):
        (tmp_path / f"elsewhere/{name}.py").write_text("open('ran', 'w').close()\n")
    one_line_error(run("-m", "common.data.fingerprint", "check", cwd=tmp_path,
                       PYTHONPATH=os.pathsep.join([str(ROOT), str(tmp_path / "elsewhere")])),
                   "expected a function of the preprocess script beside it")
    assert not (tmp_path / "ran").exists()


class Ran:
    def __reduce__(self):
        return Path.touch, (Path("ran"),)


def test_trace_unpickles_no_file(tmp_path, run):
    (tmp_path / "request.pt").write_bytes(pickle.dumps(Ran()))
    result = run("-m", "common.convert.upstream", "trace", "--model", ROOT / "EDSR", "request.pt", "x.onnx", cwd=tmp_path)
    assert result.returncode == 2 and not (tmp_path / "ran").exists()
    with open(tmp_path / "request.pt", "rb") as file:
        import subprocess
        import sys

        from conftest import environment
        result = subprocess.run([sys.executable, "-m", "common.convert.upstream", "trace", "--model", str(ROOT / "EDSR"), "x"],
                                cwd=tmp_path, stdin=file, capture_output=True, text=True, env=environment())
    one_line_error(result, "not for use by hand")
    assert not (tmp_path / "ran").exists()
