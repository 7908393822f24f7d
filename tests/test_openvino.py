"""common/openvino_session.py: DEVICE=openvino, its precisions, and that nothing calls its figures ONNX Runtime's."""
from __future__ import annotations

import hashlib
import json
import os
import re
import sys

import numpy as np
import openvino
import pytest
from onnx import TensorProto

import onnx_models
from common.base.errors import UserError
from common.dev import readme
from common.engines import engine, onnxruntime_session, openvino_session, sessions
from common.engines.sessions import open_session
from common.infer import offline
from common.tools import perf
from conftest import ROOT, one_line_error

HAS_BF16 = "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
VERSION = openvino.__version__.split("-")[0]


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch):
    for name in ("DEVICE", "PRECISION", "THREADS", "LIMIT", "RESUME"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def without_bf16(monkeypatch):
    monkeypatch.setattr(openvino.Core, "get_property", lambda core, device, name: ["FP32", "INT8"])


def rounded(values):
    """float32 to the nearest bfloat16, ties to even, as float32: the upper half of the bits."""
    bits = values.view(np.uint32).astype(np.uint64)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16 << 16).astype(np.uint32).view(np.float32)


def test_run_gives_the_outputs_in_the_models_order_for_every_batch(tmp_path):
    session = open_session(onnx_models.affine(tmp_path / "m.onnx"), "openvino")
    for batch in (2, 5, 1):
        x = np.arange(12 * batch, dtype=np.float32).reshape(batch, 3, 4)
        twice, less = session.run([x])
        assert np.array_equal(twice, 2 * x) and np.array_equal(less, x - 1)


def test_inputs_are_fed_by_position(tmp_path):
    session = open_session(onnx_models.pair(tmp_path / "m.onnx"), "openvino")
    (y,) = session.run([np.full((1, 2), 5, np.float32), np.full((1, 2), 3, np.float32)])
    assert np.array_equal(y, [[2, 2]])


def test_outputs_stay_as_they_are_when_the_model_is_run_again(tmp_path):
    session = open_session(onnx_models.affine(tmp_path / "m.onnx"), "openvino")
    x = np.ones((1, 3, 4), np.float32)
    first = session.run([x])[0]
    x[:] = 7  # the stand-ins read the next batch into the same buffer
    session.run([x])
    assert np.array_equal(first, np.full((1, 3, 4), 2))


def test_a_free_batch_is_compiled_once_per_size_and_a_fixed_one_when_loaded(tmp_path, monkeypatch):
    compiled = []
    compile_model = openvino.Core.compile_model
    monkeypatch.setattr(openvino.Core, "compile_model", lambda core, model, *rest: compiled.append(
        list(model.inputs[0].shape)) or compile_model(core, model, *rest))
    session = open_session(onnx_models.affine(tmp_path / "m.onnx"), "openvino")
    for batch in (1, 4, 1, 4, 4):
        session.run([np.zeros((batch, 3, 4), np.float32)])
    assert compiled == [[1, 3, 4], [4, 3, 4]]
    fixed = open_session(onnx_models.affine(tmp_path / "f.onnx", batch=2), "openvino")
    assert compiled[2:] == [[2, 3, 4]]
    fixed.run([np.zeros((2, 3, 4), np.float32)])
    assert len(compiled) == 3


def test_tensors_are_described_as_onnx_runtime_describes_them(tmp_path):
    for path in (onnx_models.affine(tmp_path / "a.onnx"), onnx_models.affine(tmp_path / "b.onnx", batch=2),
                 *(onnx_models.same(tmp_path / f"{kind}.onnx", kind, [2]) for kind in (
                     TensorProto.FLOAT16, TensorProto.INT64, TensorProto.UINT8, TensorProto.BOOL))):
        one, other = open_session(path, "openvino"), open_session(path, "cpu")
        assert one.inputs == other.inputs and one.outputs == other.outputs


@pytest.mark.parametrize("precision", ["f32", "bf16"])
def test_the_network_is_computed_in_the_precision_asked_for_and_alike_each_time(tmp_path, monkeypatch, precision):
    if precision == "bf16" and not HAS_BF16:
        with pytest.raises(UserError, match="no bf16 instructions"):
            open_session(onnx_models.slow(tmp_path / "m.onnx", layers=2), "openvino", precision="bf16")
        return
    monkeypatch.setenv("PRECISION", precision)
    path = onnx_models.slow(tmp_path / "m.onnx", size=256, layers=3)  # products with the identity matrix
    x = np.random.default_rng(0).normal(size=(64, 256)).astype(np.float32)
    found = [session.run([x])[0] for session in (open_session(path, "openvino"), open_session(path, "openvino"))
             for _ in range(2)]
    assert all(np.array_equal(each, found[0]) for each in found)
    assert np.array_equal(found[0], x if precision == "f32" else rounded(x))


def test_f32_is_asked_for_and_not_left_to_openvino_which_would_take_bf16(tmp_path, monkeypatch):
    asked = []
    compile_model = openvino.Core.compile_model
    monkeypatch.setattr(openvino.Core, "compile_model", lambda core, model, device, settings: asked.append(
        settings) or compile_model(core, model, device, settings))
    open_session(onnx_models.affine(tmp_path / "m.onnx", batch=1), "openvino", threads=1)
    assert asked[0]["INFERENCE_PRECISION_HINT"] == "f32" and asked[0]["INFERENCE_NUM_THREADS"] == 1
    assert asked[0]["NUM_STREAMS"] == "1" and asked[0]["PERFORMANCE_HINT"] == "LATENCY"


def test_threads_are_those_asked_for_but_no_more_than_the_cores(tmp_path, monkeypatch):
    path = onnx_models.affine(tmp_path / "m.onnx", batch=1)
    monkeypatch.setenv("THREADS", "1")
    assert open_session(path, "openvino").describe() == f"OpenVINO {VERSION}, CPU, f32, 1 thread"
    monkeypatch.setenv("THREADS", "999")
    assert open_session(path, "openvino").threads == len(os.sched_getaffinity(0))


def test_provenance_names_openvino_its_precision_and_the_models_metadata(tmp_path):
    path = onnx_models.affine(tmp_path / "m.onnx", metadata={"checkpoint_sha256": "abc"})
    found = open_session(path, "openvino", threads=1).provenance()
    assert (found["backend"], found["version"], found["provider"]) == ("openvino", VERSION, "CPU, f32")
    assert found["model_sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert found["metadata"] == {"checkpoint_sha256": "abc"}
    assert found["device"] == engine.hardware("cpu") and found["threads"] == 1
    assert open_session(onnx_models.affine(tmp_path / "n.onnx"), "openvino").metadata() == {}


def test_without_the_package_one_line_says_how_to_get_the_pinned_version(tmp_path, monkeypatch):
    pinned, = re.findall(r"^openvino==(\S+)$", (ROOT / "requirements-extra.txt").read_text(), re.MULTILINE)
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(UserError) as told:
        open_session(onnx_models.affine(tmp_path / "m.onnx"), "openvino")
    assert str(told.value).endswith(f"make extras, or pip install openvino=={pinned}") and "\n" not in str(told.value)
    with pytest.raises(UserError, match="make extras"):
        sessions.check("openvino-f32")


def test_bf16_on_a_cpu_without_it_is_refused_with_what_the_cpu_has(tmp_path, without_bf16):
    path = onnx_models.affine(tmp_path / "m.onnx")
    with pytest.raises(UserError, match=r"PRECISION=bf16: this CPU, .*, has no bf16 .* names FP32, INT8; take "
                                        "PRECISION=f32"):
        open_session(path, "openvino", precision="bf16")
    with pytest.raises(UserError, match="no bf16"):
        sessions.check("openvino-bf16")
    sessions.check("openvino-f32")
    assert open_session(path, "openvino").provider == "CPU, f32"


@pytest.mark.parametrize("device, precision, part", [
    ("cpu", "bf16", "PRECISION=bf16: is for DEVICE=openvino; leave it out, DEVICE=cpu "),
    ("cpu", "f32", "PRECISION=f32: is for DEVICE=openvino"),
    ("openvino", "int8", "PRECISION=int8: expected one of f32, bf16")])
def test_a_precision_that_does_not_fit_is_one_line(tmp_path, device, precision, part):
    path = onnx_models.affine(tmp_path / "m.onnx")
    result = onnx_models.tool("ais_infer", "--model", path, cwd=tmp_path, DEVICE=device, PRECISION=precision)
    one_line_error(result, part)


def test_what_must_be_onnx_runtime_stays_so_whatever_the_environment_says(tmp_path, monkeypatch):
    monkeypatch.setenv("DEVICE", "openvino")
    monkeypatch.setenv("PRECISION", "bf16")
    session = onnxruntime_session.Session(onnx_models.affine(tmp_path / "m.onnx"), device="cpu")  # as export and simplify do
    assert session.provenance()["backend"] == "onnxruntime"


@pytest.mark.parametrize("content", [b"", b"not a model", None])
def test_a_truncated_or_foreign_model_is_one_line(tmp_path, content):
    path = onnx_models.slow(tmp_path / "m.onnx", layers=1)
    path.write_bytes(path.read_bytes()[:100000] if content is None else content)
    one_line_error(onnx_models.tool("ais_infer", "--model", path, cwd=tmp_path, DEVICE="openvino"),
                   "is truncated or not an ONNX model that OpenVINO")


def test_a_missing_model_and_an_om_are_refused(tmp_path):
    (tmp_path / "m.om").write_bytes(b"IMOD")
    with pytest.raises(UserError, match="runs on an NPU only"):
        open_session(tmp_path / "m.om", "openvino")
    with pytest.raises(UserError, match="expected an ONNX model there"):
        open_session(tmp_path / "none.onnx", "openvino")


@pytest.mark.parametrize("array", [np.zeros((1, 3, 5), np.float32), np.zeros((1, 3, 4)), np.zeros((1, 12), np.float32)])
def test_arrays_of_another_shape_or_dtype_are_a_user_error_and_not_converted(tmp_path, array):
    session = open_session(onnx_models.affine(tmp_path / "m.onnx"), "openvino")
    with pytest.raises(UserError, match="inference failed: input x is float32"):
        session.run([array])
    with pytest.raises(UserError, match="has 1 inputs, 2 were given"):
        session.run([np.zeros((1, 3, 4), np.float32)] * 2)


def test_every_file_that_a_stand_in_leaves_says_openvino_and_none_onnx_runtime(tmp_path):
    onnx_models.affine(tmp_path / "m.onnx")
    arrays = onnx_models.samples(tmp_path / "in", 3)
    result = onnx_models.tool("ais_infer", "--model", "m.onnx", "--input", "in", "--output", "res", "--output_dirname",
                              "d", "--batchsize", 2, cwd=tmp_path, DEVICE="openvino", PRECISION="f32")
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("[INFO] openvino stands in for ais_infer: OpenVINO ")
    for stem, array in arrays.items():
        assert np.array_equal(np.fromfile(tmp_path / f"res/d/{stem}_0.bin", np.float32), 2 * array.ravel())
    (tmp_path / "log.txt").write_text(result.stdout)
    for path in ("res/d_onnxruntime.json", "res/d_summary.json", "log.txt"):
        assert perf.read(tmp_path / path).backend == "openvino"
    record = (tmp_path / "res/d_onnxruntime.json").read_text()
    assert json.loads(record)["provenance"]["backend"] == "openvino"
    assert "onnx runtime" not in (record + result.stdout).lower()


def test_resume_takes_an_engines_results_for_no_other_and_no_other_precision(tmp_path):
    path = onnx_models.affine(tmp_path / "m.onnx")
    sessions = [open_session(path, "cpu", 1), open_session(path, "openvino", 1)]
    if HAS_BF16:
        sessions.append(open_session(path, "openvino", 1, precision="bf16"))
    recipes = [json.dumps(offline.recipe("benchmark", session, 1), sort_keys=True) for session in sessions]
    assert len(set(recipes)) == len(recipes)


def test_figures_are_worded_by_the_engine_that_took_them():
    by = {"backend": "openvino", "version": "2026.4.1", "provider": "CPU, bf16", "device": "a CPU", "threads": 1}
    assert engine.label(by) == "OpenVINO bf16"
    assert engine.origin(by) == "OpenVINO 2026.4.1, CPU, bf16, a CPU, 1 thread: no NPU figure"
    ort = {**by, "backend": "onnxruntime", "provider": "CPUExecutionProvider", "threads": 2}
    assert engine.label(ort) == "ONNX Runtime"
    assert engine.origin({**by, "backend": "npu"}) == "npu 2026.4.1, a CPU"


def test_a_readmes_results_keep_engines_and_precisions_apart():
    kept = [{"data": "demo", "weights": "demo", "by": by, "on": "2 CPU cores"}
            for by in ("ONNX Runtime 1.24.4", "OpenVINO f32 2026.4.1")]
    new = {**kept[0], "by": "OpenVINO bf16 2026.4.1"}
    assert readme.add(kept, new) == [*kept, new]
    newer = {**kept[1], "by": "OpenVINO f32 2027.0.0"}
    assert readme.add(kept, newer) == [kept[0], newer]


def test_doctor_tells_whether_openvino_is_here_and_what_device_and_precision_need(tmp_path, run):
    (tmp_path / "requirements.txt").write_text("numpy>=1.21\n")
    (tmp_path / "openvino.py").write_text("raise ImportError('simulated')\n")
    asked = {"cwd": tmp_path, "DEVICE": "openvino"}
    assert f"{VERSION}: DEVICE=openvino" in run("-m", "common.npu.doctor", "--only", "machine", **asked).stdout
    for more, part in (({"PYTHONPATH": f"{tmp_path}:{ROOT}"}, "make extras"), ({"PRECISION": "x"}, "PRECISION=x")):
        result = run("-m", "common.npu.doctor", "--only", "machine", **asked, **more)
        line, = [line for line in result.stdout.splitlines() if line.startswith("MISSING")]
        assert result.returncode == 1 and part in line


def test_the_engines_that_make_knows_are_those_of_the_code():
    text = (ROOT / "common/make/compare.mk").read_text(encoding="utf-8")
    assert re.findall(r"^ALL_ENGINES := (.*)$", text, re.MULTILINE) == [" ".join(engine.ENGINES)]


def test_the_bench_lets_variants_take_turns_and_prints_their_ratio(tmp_path, run):
    path = onnx_models.affine(tmp_path / "m.onnx")
    result = run("-m", "common.dev.engine_bench", path, "cpu/1", "cpu+no-spinning", "openvino-f32/1", "--rounds", 1)
    assert result.returncode == 0, result.stderr
    rows = result.stdout.splitlines()[1:]
    assert [row.split()[0] for row in rows] == ["cpu/1", "cpu+no-spinning", "openvino-f32/1"]
    assert rows[0].split()[3] == rows[0].split()[6] == "1.00" and "OpenVINO" in rows[2] and "1 thread" in rows[0]
    one_line_error(run("-m", "common.dev.engine_bench", path, "cpu+fast"), "cpu+fast: expected cpu+ one of basic")
    one_line_error(run("-m", "common.dev.engine_bench", path, "gpu"), "gpu: expected one of cpu")


def test_the_version_named_is_the_one_that_is_pinned():
    assert f"openvino=={openvino_session.PINNED}\n" in (ROOT / "requirements-extra.txt").read_text()
