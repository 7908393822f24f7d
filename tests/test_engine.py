"""common/engines/engine.py: loading an ONNX file, choosing the device, running, provenance."""
import hashlib
import os

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto

import onnx_models
from common.base.errors import UserError
from common.base.settings import thread_count
from common.engines.engine import PROVIDERS, device_name
from common.engines.onnxruntime_session import Session


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch):
    for name in ("DEVICE", "PRECISION", "THREADS"):
        monkeypatch.delenv(name, raising=False)


def test_run_gives_the_outputs_in_the_models_order(tmp_path):
    session = Session(onnx_models.affine(tmp_path / "m.onnx"))
    x = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    twice, less = session.run([x])
    assert np.array_equal(twice, 2 * x) and np.array_equal(less, x - 1)


def test_inputs_are_fed_by_position(tmp_path):
    session = Session(onnx_models.pair(tmp_path / "m.onnx"))
    (y,) = session.run([np.full((1, 2), 5, np.float32), np.full((1, 2), 3, np.float32)])
    assert np.array_equal(y, [[2, 2]])


def test_a_free_dimension_is_none_and_a_fixed_one_a_number(tmp_path):
    free = Session(onnx_models.affine(tmp_path / "free.onnx"))
    fixed = Session(onnx_models.affine(tmp_path / "fixed.onnx", batch=2))
    assert [(t.name, t.shape, t.dtype) for t in free.inputs] == [("x", (None, 3, 4), np.dtype("float32"))]
    assert [(t.name, t.shape) for t in fixed.outputs] == [("twice", (2, 3, 4)), ("less", (2, 3, 4))]


@pytest.mark.parametrize("kind, dtype", [(TensorProto.FLOAT16, "float16"), (TensorProto.INT64, "int64"),
                                         (TensorProto.UINT8, "uint8"), (TensorProto.BOOL, "bool")])
def test_element_types_become_numpy_dtypes(tmp_path, kind, dtype):
    session = Session(onnx_models.same(tmp_path / "m.onnx", kind, [2]))
    assert session.inputs[0].dtype == np.dtype(dtype)
    value = np.array([1, 0]).astype(dtype)
    assert np.array_equal(session.run([value])[0], value)


def test_compute_time_of_a_larger_batch_is_longer_and_is_in_milliseconds(tmp_path):
    session = Session(onnx_models.slow(tmp_path / "m.onnx", layers=10), threads=1)
    def best(batch):
        x = np.ones((batch, 1024), np.float32)
        times = []
        for _ in range(3):
            session.run([x])
            times.append(session.timing.compute)
        return min(times)
    small, large = best(1), best(256)
    assert large > 3 * small
    assert 1 < large < 20000  # 5.4 Gflop on one core


def test_describe_names_version_provider_and_threads(tmp_path):
    session = Session(onnx_models.affine(tmp_path / "m.onnx"), threads=2)
    assert session.describe() == f"ONNX Runtime {onnxruntime.__version__}, CPUExecutionProvider, 2 threads"


def test_provenance_holds_the_models_checksum_and_metadata(tmp_path):
    path = onnx_models.affine(tmp_path / "m.onnx", metadata={"checkpoint_sha256": "abc"})
    found = Session(path, threads=1).provenance()
    assert found["model_sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert found["metadata"] == {"checkpoint_sha256": "abc"}
    assert (found["backend"], found["provider"], found["threads"]) == ("onnxruntime", "CPUExecutionProvider", 1)
    assert found["version"] == onnxruntime.__version__ and found["device"]


def test_threads_default_to_the_cores_this_process_may_use(monkeypatch):
    assert thread_count() == len(os.sched_getaffinity(0))
    monkeypatch.setenv("THREADS", "3")
    assert thread_count() == 3
    monkeypatch.setenv("THREADS", "")  # what make exports for a variable that is not set
    assert thread_count() == len(os.sched_getaffinity(0))


@pytest.mark.parametrize("value", ["0", "two", "-1", "1.5"])
def test_threads_that_are_no_positive_whole_number_are_an_error(monkeypatch, value):
    monkeypatch.setenv("THREADS", value)
    with pytest.raises(UserError, match=f"THREADS={value}"):
        thread_count()


def test_an_unknown_device_lists_the_known_ones(monkeypatch):
    monkeypatch.setenv("DEVICE", "npu")
    with pytest.raises(UserError, match="DEVICE=npu: expected one of cpu, cuda, tensorrt, cann, openvino"):
        device_name()


@pytest.mark.parametrize("device, package", [("cuda", "onnxruntime-gpu"), ("cann", "onnxruntime-cann"),
                                             ("tensorrt", "onnxruntime-gpu plus TensorRT")])
def test_a_device_this_onnxruntime_lacks_names_the_package_that_brings_it(tmp_path, monkeypatch, device, package):
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(UserError, match=f"DEVICE={device}: .*{PROVIDERS[device][0]}: pip install {package}$"):
        Session(onnx_models.affine(tmp_path / "m.onnx"), device=device)


def test_a_provider_that_silently_fell_back_to_the_cpu_is_an_error(tmp_path, monkeypatch):
    class FellBack:
        def __init__(self, *args, **kwargs):
            pass

        def get_providers(self):
            return ["CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    monkeypatch.setattr(onnxruntime, "InferenceSession", FellBack)
    with pytest.raises(UserError, match="fell back to CPUExecutionProvider"):
        Session(onnx_models.affine(tmp_path / "m.onnx"), device="cuda")


def test_an_om_is_refused_with_advice(tmp_path):
    (tmp_path / "m.om").write_bytes(b"IMOD")
    with pytest.raises(UserError, match=r"an \.om runs on an NPU only; give the \.onnx"):
        Session(tmp_path / "m.om")


@pytest.mark.parametrize("content", [b"", b"not a model", None])
def test_a_truncated_or_foreign_model_is_a_user_error(tmp_path, content):
    path = onnx_models.slow(tmp_path / "m.onnx", layers=1)
    path.write_bytes(path.read_bytes()[:100000] if content is None else content)
    with pytest.raises(UserError, match="truncated or not an ONNX model"):
        Session(path)


def test_a_missing_model_is_a_user_error(tmp_path):
    with pytest.raises(UserError, match="none.onnx: expected an ONNX model there, found nothing"):
        Session(tmp_path / "none.onnx")


def test_arrays_the_model_does_not_take_are_a_user_error(tmp_path):
    session = Session(onnx_models.affine(tmp_path / "m.onnx"))
    with pytest.raises(UserError, match="inference failed"):
        session.run([np.zeros((1, 3, 5), np.float32)])
    with pytest.raises(UserError, match="has 1 inputs, 2 were given"):
        session.run([np.zeros((1, 3, 4), np.float32)] * 2)


