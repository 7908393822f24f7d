"""common/engines/fastest.py: DEVICE=auto, what it chooses, keeps beside the model, and says."""
from __future__ import annotations

import json
import sys
import time

import numpy as np
import pytest

import onnx_models
from common.base import files, model_file
from common.base.errors import UserError
from common.engines import engine, fastest, openvino_session, sessions
from common.infer import records
from common.precision import tensors
from conftest import ROOT, one_line_error
from test_make import copy_project, make, ran


@pytest.fixture(autouse=True)
def short(monkeypatch):
    """The environment without what steers a run, and measurements of few runs."""
    for name in ("DEVICE", "PRECISION", "THREADS", "LIMIT", "RESUME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(fastest, "SECONDS", 2.0)
    monkeypatch.setattr(fastest, "ROUNDS", 2)


def beside(path):
    return path.with_name(f"{path.stem}.fastest.json")


def in_8_bits(path, make_file, verdict="pass", **more):
    """Lay a network beside the model as `make int8` does, with its verdict."""
    (path.parent / "int8").mkdir(exist_ok=True)
    made = make_file(path.parent / "int8/int8.onnx")
    row = {"name": "int8", "by": "x", "bytes": 1, "samples_per_s": 1.0, "accuracy": 1.0, "cosine": 1.0, "relative_euclidean": 0.0}
    files.write_json(path.parent / "int8.json", {
        "model": "x", "model_sha256": model_file.sha256(path), "int8_sha256": files.sha256(made), "scheme": "x", "calibration": {
            "samples": 1, "source": "x"}, "metric": "x", "unit": "", "tolerance": 0.01, "samples": 1, "rows": [row, row],
        "verdict": verdict, "why": "x", **more})


def chosen_anew(monkeypatch, path, **more):
    """Whether `choose` measures."""
    asked = []
    row = {"engine": "cpu", "threads": 1, "speed": 1.0, "cosine": 1.0, "relative_euclidean": 0.0, "why": None}
    monkeypatch.setattr(fastest, "measure", lambda *args: asked.append(args) or {
        "samples": 1, "tried": [row], "chosen": {"engine": "cpu", "threads": 1, "batch": 1}})
    fastest.choose(path, **more)
    return bool(asked)


def test_a_faster_engine_of_equal_outputs_is_chosen_within_seconds_and_said_with_speed_and_difference(tmp_path, monkeypatch, capsys):
    path = onnx_models.slow(tmp_path / "m.onnx", layers=60, size=512)
    in_8_bits(path, lambda place: onnx_models.slow(place, layers=1, size=512))  # computes the same, with a sixtieth of the work
    monkeypatch.setenv("DEVICE", "auto")
    x = np.random.default_rng(1).random((1, 512), np.float32)
    begin = time.monotonic()
    session = sessions.open_session(path, feeds=lambda plain: [[x], [2 * x]])
    assert time.monotonic() - begin < 12
    kept = files.read_json(beside(path), "fastest")
    assert kept["chosen"]["engine"] in ("openvino-int8", "cpu-int8") and kept["samples"] == 2
    best = [kept["chosen"]["engine"], kept["chosen"]["threads"]]  # one that was not faster by the margin may have a higher figure
    (speed,) = [row["speed"] for row in kept["tried"] if [row["engine"], row["threads"]] == best]
    said = capsys.readouterr().out
    assert speed > 2 and f"{speed:.2f} times as fast as ONNX Runtime f32, on 2 samples cosine at least 1.0000" in said
    assert said.startswith("[INFO] DEVICE=auto: ") and said.count("\n") == 1 and "m.fastest.json" in said
    by = session.provenance()
    assert by["provider"].endswith(", int8") and engine.label(by).endswith(" int8") and by["model"] == str(path)
    assert by["model_sha256"] == model_file.sha256(path) != by["int8_sha256"] == files.sha256(tmp_path / "int8/int8.onnx")
    assert np.allclose(session.run([x])[0], x, atol=0.01)


def test_a_candidate_whose_outputs_stray_is_not_taken_however_fast(tmp_path):
    path = onnx_models.slow(tmp_path / "m.onnx", layers=60, size=512)
    in_8_bits(path, lambda place: onnx_models.save(
        place, [onnx_models.helper.make_node("Sin", ["x"], ["y"])], [("x", ["N", 512], 1)], [("y", ["N", 512], 1)]))
    found = fastest.choose(path, feeds=lambda plain: [[np.linspace(-9, 9, 512, dtype=np.float32)[None]]])
    rows = [row for row in found["tried"] if row["engine"].endswith("int8")]
    assert rows[0]["why"] == "its outputs stray too far" and [row["speed"] for row in rows] == [None, None]
    assert not found["chosen"]["engine"].endswith("int8")


@pytest.mark.parametrize("wrong", [{"verdict": "fail"}, {"verdict": "none"}, {"model_sha256": "a" * 64}, {"int8_sha256": "a" * 64}])
def test_8_bits_are_a_candidate_only_by_the_very_file_that_passed_for_this_model(tmp_path, wrong):
    path = onnx_models.affine(tmp_path / "m.onnx", batch=1)
    in_8_bits(path, lambda place: onnx_models.affine(place, batch=1))
    assert fastest.int8_of(path, model_file.sha256(path)) == tmp_path / "int8/int8.onnx"
    in_8_bits(path, lambda place: onnx_models.affine(place, batch=1), **wrong)
    assert fastest.int8_of(path, model_file.sha256(path)) is None
    assert not any(row["engine"].endswith("int8") for row in fastest.choose(path)["tried"])


def test_a_kept_choice_is_read_and_not_measured_again_and_holds_for_what_it_was_made_of_alone(tmp_path, monkeypatch, capsys):
    path = onnx_models.affine(tmp_path / "m.onnx", batch=1)
    fastest.choose(path)
    first = capsys.readouterr().out
    whole = beside(path).read_text()
    with monkeypatch.context() as patched:
        patched.setattr(fastest, "measure", None)
        fastest.choose(path)
        assert capsys.readouterr().out == first and beside(path).read_text() == whole
    kept = json.loads(whole)
    for change in ({"model_sha256": "a" * 64}, {"threads": 77}, {"int8_sha256": "a" * 64}, *(
            {"machine": {**kept["machine"], name: other}} for name, other in (
                ("cpu", "Z80"), ("cores", 77), ("instructions", "x"), ("onnxruntime", "1.0"), ("openvino", None)))):
        files.write_json(beside(path), {**kept, **change})
        assert chosen_anew(monkeypatch, path), change
    assert not chosen_anew(monkeypatch, path)


def test_a_choice_by_noise_gives_way_to_one_by_the_runs_samples(tmp_path, monkeypatch):
    path = onnx_models.affine(tmp_path / "m.onnx", batch=1)
    assert fastest.choose(path)["samples"] == 0
    assert chosen_anew(monkeypatch, path, feeds=lambda plain: []) and not chosen_anew(monkeypatch, path, feeds=lambda plain: [])


@pytest.mark.parametrize("damage", [
    lambda text: "", lambda text: text[:90], lambda text: "[" * 10 ** 5, lambda text: "{}", lambda text: text.replace("null", "NaN"),
    lambda text: text.replace('"speed": 1.0', '"speed": null'), lambda text: text.replace('"cosine": 1.0', '"cosine": 0.5')])
def test_a_damaged_or_edited_choice_is_measured_again(tmp_path, monkeypatch, damage):
    path = onnx_models.affine(tmp_path / "m.onnx", batch=1)
    monkeypatch.setattr(fastest, "MARGIN", 1e9)  # ONNX Runtime is chosen, whose row is the first
    fastest.choose(path)
    text = beside(path).read_text()
    assert damage(text) != text
    beside(path).write_text(damage(text))
    assert chosen_anew(monkeypatch, path) and not chosen_anew(monkeypatch, path)


def test_without_openvino_onnx_runtime_is_taken_and_one_line_says_so(tmp_path, monkeypatch, capsys):
    path = onnx_models.affine(tmp_path / "m.onnx", batch=1)
    monkeypatch.setitem(sys.modules, "openvino", None)
    session = sessions.open_session(path, "auto")
    assert session.backend == "onnxruntime"
    said = capsys.readouterr().out
    assert said.count("\n") == 1 and "OpenVINO is not here (make extras)" in said and "ONNX Runtime f32, " in said
    assert all("make extras" in row["why"] for row in json.loads(beside(path).read_text())["tried"][1:] if row["engine"] != "cpu")


def test_free_sizes_are_left_to_onnx_runtime(tmp_path):
    path = onnx_models.affine(tmp_path / "m.onnx", batch=1, shape=(3, "H", "W"))
    found = fastest.choose(path)
    assert found["chosen"]["engine"] == "cpu" and len(found["tried"]) == 1 and "sizes are free" in fastest.told(found)


def test_the_threads_asked_for_are_the_most_and_half_of_them_a_candidate_only_where_none_are_asked_for(tmp_path, monkeypatch):
    path = onnx_models.slow(tmp_path / "m.onnx", layers=2)
    assert {row["threads"] for row in fastest.choose(path, threads=1)["tried"]} == {1}
    monkeypatch.setattr(fastest.settings, "cores", lambda: 2)
    assert {row["threads"] for row in fastest.choose(path)["tried"]} == {1, 2}
    monkeypatch.setenv("THREADS", "2")
    beside(path).unlink()
    assert {row["threads"] for row in fastest.choose(path)["tried"]} == {2}


def test_a_free_batch_is_measured_for_streams(tmp_path):
    """Products with four matrices of 16 MB wait for memory: of a batch each sample takes a part of the time."""
    found = fastest.choose(onnx_models.slow(tmp_path / "m.onnx", size=2048, layers=4), threads=1)
    assert found["chosen"]["batch"] in fastest.BATCHES
    fixed = onnx_models.slow(tmp_path / "f.onnx", batch=1, size=2048, layers=2)
    assert fastest.choose(fixed, threads=1)["chosen"]["batch"] == 1


def test_a_precision_beside_auto_and_a_copy_without_the_module_are_one_line(tmp_path, monkeypatch):
    path = onnx_models.affine(tmp_path / "m.onnx")
    with pytest.raises(UserError, match="PRECISION=bf16: is for DEVICE=openvino; leave it out, DEVICE=auto computes in what is fastest"):
        sessions.open_session(path, "auto", precision="bf16")
    monkeypatch.setitem(sys.modules, "common.engines.fastest", None)
    monkeypatch.delattr("common.engines.fastest", raising=False)
    with pytest.raises(UserError, match="DEVICE=auto: this folder has no common/engines/fastest.py"):
        sessions.open_session(path, "auto")


def test_tensor_by_tensor_an_engine_must_be_named(tmp_path, monkeypatch):
    monkeypatch.setenv("DEVICE", "auto")
    with pytest.raises(UserError, match="name the engine"):
        tensors.by_engine(onnx_models.affine(tmp_path / "m.onnx"), tensors.own_engine())


def test_a_folder_that_cannot_be_written_to_is_said_and_the_choice_made(tmp_path, monkeypatch, capsys):
    path = onnx_models.affine(tmp_path / "m.onnx", batch=1)
    monkeypatch.setattr(fastest.files, "write_json", lambda *args: (_ for _ in ()).throw(PermissionError("read-only")))
    assert sessions.open_session(path, "auto").run([np.ones((1, 3, 4), np.float32)])[0].max() == 2
    assert "cannot be kept: read-only" in capsys.readouterr().out


@pytest.mark.parametrize("name, words", [("none.onnx", "none.onnx: expected an ONNX model there"), ("a.om", "runs on an NPU only"),
                                         ("b.onnx", "truncated or not an ONNX model"), ("none.om", "none.om: ")])
def test_what_is_no_model_is_one_line_as_without_auto(tmp_path, name, words):
    for there in ("a.om", "b.onnx"):
        (tmp_path / there).write_bytes(b"not a model")
    with pytest.raises(UserError, match=words):
        sessions.open_session(tmp_path / name, "auto")
    assert not beside(tmp_path / name).exists()


TOOLS = {"benchmark": ("-om_path=m.onnx", "-input_text_path=m.info", "-batch_size=1", "-output_binary=True"),
         "ais_infer": ("--model", "m.onnx", "--input", "in", "--output", ".", "--output_dirname", "result"),
         "msame": ("--model", "m.onnx", "--input", "in", "--output", "result")}


@pytest.mark.parametrize("name", TOOLS)
def test_the_stand_ins_choose_by_their_samples_and_their_records_name_what_computed(tmp_path, name):
    path = onnx_models.affine(tmp_path / "m.onnx", batch=1)
    onnx_models.samples(tmp_path / "in", 3)
    (tmp_path / "m.info").write_text("".join(f"{number} in/s{number}.bin 4 3\n" for number in range(3)))
    for _ in range(2):
        done = onnx_models.tool(name, *TOOLS[name], cwd=tmp_path, DEVICE="auto")
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("[INFO] DEVICE=auto: ") == 1
    kept = files.read_json(beside(path), "fastest")
    device, _, precision = kept["chosen"]["engine"].partition("-")
    by = records.read(sorted(tmp_path.glob("result*/../**/*onnxruntime*.json"))[-1])["provenance"]
    assert kept["samples"] == 3 and by["backend"] == ("openvino" if device == "openvino" else "onnxruntime")
    assert not precision or by["provider"].endswith(precision)


def test_of_two_devices_one_measures_and_both_compute_by_the_same(tmp_path):
    onnx_models.slow(tmp_path / "m.onnx", batch=1, layers=3, size=12)
    onnx_models.samples(tmp_path / "in", 4, (12,))
    done = onnx_models.tool("devices", "0,1", "--", sys.executable, "-m", "common.tools.ais_infer", *TOOLS["ais_infer"][:-1],
                            "result", "--batchsize", "1", cwd=tmp_path, DEVICE="auto")
    assert done.returncode == 0, done.stderr + done.stdout
    said = {line.partition("DEVICE=auto: ")[2] for log in tmp_path.rglob("*.log") for line in log.read_text().splitlines()
            if "DEVICE=auto" in line}
    assert len(said) == 1, said


def test_the_digest_for_make_changes_with_the_machine_and_with_what_int8_left(tmp_path, monkeypatch, capsys):
    def digest():
        fastest.main([str(tmp_path)])
        return capsys.readouterr().out
    first = digest()
    assert digest() == first
    (tmp_path / "int8.json").write_text("{}")
    second = digest()
    monkeypatch.setattr(openvino_session, "PINNED", "x")
    monkeypatch.setitem(sys.modules, "openvino", None)
    assert len({first, second, digest()}) == 3


def test_the_bench_takes_samples_and_what_int8_left_and_tells_how_far_the_outputs_are(tmp_path, run):
    path = onnx_models.affine(tmp_path / "m.onnx", batch=1)
    in_8_bits(path, lambda place: onnx_models.affine(place, batch=1))
    onnx_models.samples(tmp_path, 2)
    done = run("-m", "common.dev.engine_bench", path, "cpu", "openvino-int8", "--rounds", 2, "--sample", tmp_path / "s0.bin",
               "--sample", tmp_path / "s1.bin")
    assert done.returncode == 0, done.stderr
    last = done.stdout.splitlines()[-1]
    assert last.startswith("openvino-int8") and "cosine 1.000000, relative Euclidean 0.0e+00" in last and "CPU, int8" in last
    one_line_error(run("-m", "common.dev.engine_bench", path, "cpu", "--sample", tmp_path / "m.onnx"), "m.onnx: has")


# make

SMALL = ("-C", "UNetPlusPlus", "PTH=seeded", "SEEDED=filters=4,8,8,8,8", "LIMIT=3", "LOOP=2", "THREADS=1", "DEVICE=auto")


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return copy_project(tmp_path_factory.mktemp("auto"))


def test_make_names_the_engine_that_computed_in_report_and_table_and_redoes_inference_for_another_choice(project):
    build = project / "UNetPlusPlus/build"
    done = make(project, *SMALL, "all")
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    kept = files.read_json(build / "nested_unet.fastest.json", "fastest")
    backend = kept["chosen"]["engine"].partition("-")[0].replace("cpu", "onnxruntime")
    report = json.loads((build / "report.json").read_text())
    assert kept["samples"] == 3 and {run["backend"] for run in report["performance"]} == {backend}
    assert engine.label(report["performance"][0]) in (build / "report.html").read_text()
    assert ran(make(project, *SMALL, "infer")) == []
    table = make(project, *SMALL, "compare", "ENGINES=auto")
    assert table.returncode == 0 and engine.STAND_INS[backend] in table.stdout, table.stdout + table.stderr
    files.write_json(build / "nested_unet.fastest.json", {**kept, "machine": {**kept["machine"], "cpu": "another"}})
    assert "common.tools.ais_infer" in ran(make(project, *SMALL, "infer"))
    (build / "int8.json").write_text("{}")  # what a choice depends on
    assert "common.tools.ais_infer" in ran(make(project, *SMALL, "infer"))


def test_streaming_takes_the_choice_and_int8_and_a_wrong_word_are_one_line(project):
    done = make(project, *SMALL, "stream", "STREAM=1")
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    build = project / "UNetPlusPlus/build"
    kept = files.read_json(build / "nested_unet.fastest.json", "fastest")
    record = records.read(build / "stream.json")
    assert record["batch"] == kept["chosen"]["batch"]
    assert (record["provenance"]["backend"] == "openvino") == kept["chosen"]["engine"].startswith("openvino")
    done = make(project, *SMALL, "int8")
    assert done.returncode == 2 and "which DEVICE=auto may not choose" in done.stderr
    assert "expected cpu or cuda" in make(project, *SMALL[:-1], "DEVICE=fast", "infer").stderr


def test_without_device_nothing_is_chosen(run, tmp_path):
    onnx_models.affine(tmp_path / "m.onnx", batch=1)
    done = run("-m", "common.tools.msame", "--model", tmp_path / "m.onnx", "--output", tmp_path / "r")
    assert done.returncode == 0 and "DEVICE=auto" not in done.stdout and not beside(tmp_path / "m.onnx").exists()
    one_line_error(run("-m", "common.tools.msame", "--model", tmp_path / "m.onnx", "--output", tmp_path / "r", DEVICE="automatic"),
                   "expected one of cpu, cuda, tensorrt, cann, openvino, auto")
    assert "DEVICE=auto" in (ROOT / "docs/USAGE.md").read_text()
