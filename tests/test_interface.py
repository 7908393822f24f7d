"""InferSession on ONNX Runtime: what ais_bench's own class takes, gives and refuses (sources named in the module)."""
from __future__ import annotations

import sys
import types

import numpy as np
import pytest

import onnx_models
from common.base.errors import UserError
from common.engines import interface


@pytest.fixture
def session(tmp_path):
    """`x` [2, 3, 4] float32 -> twice, less."""
    return interface.load(0, onnx_models.affine(tmp_path / "m.onnx", batch=2))


def test_inputs_and_outputs_are_described_as_aclruntime_does(session):
    (one,) = session.get_inputs()
    assert (one.name, one.datatype.name, one.shape, one.size, one.realsize) == ("x", "float32", [2, 3, 4], 96, 96)
    assert [entry.name for entry in session.get_outputs()] == ["twice", "less"]


def test_infer_gives_a_list_of_arrays_in_the_outputs_order_and_keeps_its_input(session):
    x = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    found = session.infer([x], mode="static")
    assert isinstance(found, list) and [type(entry) for entry in found] == [np.ndarray] * 2
    assert np.array_equal(found[0], np.arange(24).reshape(2, 3, 4) * 2) and np.array_equal(found[1], x - 1)
    assert x[1, 2, 3] == 23 and np.array_equal(session.infer([x])[0], found[0])


def test_bytes_are_taken_not_converted(session):
    x = np.linspace(-1, 1, 24, dtype=np.float32)
    for same in (x, x.reshape(4, 6), x.view(np.int32), x.view(np.uint8), np.repeat(x, 2)[::2]):
        assert np.array_equal(session.infer([same])[0].ravel(), 2 * x)


def test_a_torch_tensor_is_a_feed(session):
    torch = pytest.importorskip("torch")
    x = torch.arange(24.).reshape(4, 3, 2).transpose(0, 2)
    assert np.array_equal(session.infer([x])[0].ravel(), 2 * x.contiguous().numpy().ravel())


def test_a_numpy_scalar_is_a_feed(tmp_path):
    session = interface.load(0, onnx_models.affine(tmp_path / "one.onnx", batch=1, shape=()))
    assert session.infer([np.float32(3)])[0].tolist() == [6]


@pytest.mark.parametrize("feeds, options, said", [
    ([[1.0] * 24], {}, "type:<class 'list'> invalid"),
    ([b"\0" * 96], {}, "type:<class 'bytes'> invalid"),
    ([np.zeros(24)], {}, "in size:192 needsize:96 not match"),
    ([np.zeros((1, 3, 4), np.float32)], {}, "in size:48 needsize:96 not match"),
    ([], {}, "nums not matched"),
    ([np.zeros(24, np.float32)] * 2, {}, "nums not matched"),
    ([np.zeros(24, np.float32)], {"mode": "dynamic"}, "wrong infer_mode:dynamic"),
    ([np.zeros(24, np.float32)], {"mode": "dymbatch"}, "not a dymbatch model"),
])
def test_what_the_real_class_refuses_is_a_runtime_error(session, feeds, options, said):
    with pytest.raises(RuntimeError, match=said.replace("(", r"\(")) as caught:
        session.infer(feeds, **options)
    assert isinstance(caught.value, UserError) and session.summary().exec_time_list == []


def test_a_free_batch_is_the_arrays_in_every_mode_and_the_rest_is_held_to_the_model(tmp_path):
    session = interface.load(0, onnx_models.affine(tmp_path / "m.onnx"))
    assert session.get_inputs()[0].shape == [-1, 3, 4] and session.get_inputs()[0].size == 0
    for mode in ("static", "dymbatch", "dymdims", "dymshape"):
        assert session.infer([np.ones((5, 3, 4), np.float32)], mode)[0].shape == (5, 3, 4)
    with pytest.raises(RuntimeError, match="not a dymhw model"):
        session.infer([np.ones((5, 3, 4), np.float32)], "dymhw")
    with pytest.raises(RuntimeError, match="dim not matched"):
        session.infer([np.ones((5, 4, 3), np.float32)])


def test_the_summary_has_a_time_for_every_execution(tmp_path):
    session = interface.InferSession(0, str(onnx_models.affine(tmp_path / "m.onnx", batch=1)), None, False, 3)
    for _ in range(2):
        session.infer([np.ones(12, np.float32)])
    times = session.summary().exec_time_list
    assert len(times) == 6 and all(0 < time < 1000 for time in times)


@pytest.mark.parametrize("options, said", [({"device_id": 256}, "expected 0..255"), ({"device_id": -1}, "expected 0..255"),
                                           ({"device_id": 0, "loop": 0}, "loop:0 invalid")])
def test_constructor_ranges(tmp_path, options, said):
    with pytest.raises(RuntimeError, match=said):
        interface.InferSession(model_path=str(onnx_models.affine(tmp_path / "m.onnx")), **options)


def test_an_om_without_ais_bench_says_so_and_with_it_goes_to_the_real_class(tmp_path, monkeypatch):
    om = tmp_path / "m.om"
    om.write_bytes(b"")
    monkeypatch.setitem(sys.modules, "ais_bench.infer.interface", None)
    with pytest.raises(UserError, match="ais_bench, which is not here"):
        interface.load(0, om)
    real = types.ModuleType("ais_bench.infer.interface")
    real.InferSession = lambda *given, **options: (given, options)
    for name, module in (("ais_bench", types.ModuleType("ais_bench")), ("ais_bench.infer", types.ModuleType("x")),
                         ("ais_bench.infer.interface", real)):
        monkeypatch.setitem(sys.modules, name, module)
    assert interface.load(3, om, loop=2) == ((3, str(om)), {"loop": 2})


def test_openvino_computes_the_same(tmp_path, monkeypatch):
    pytest.importorskip("openvino")
    monkeypatch.setenv("DEVICE", "openvino")
    session = interface.load(0, onnx_models.affine(tmp_path / "m.onnx"))
    assert session.infer([np.ones((2, 3, 4), np.float32)], "dymbatch")[0].max() == 2
