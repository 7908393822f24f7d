"""common/engines/half.py: half precision rehearsed in float32, held to NumPy's float16 and to networks computed by hand."""
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

import onnx_models
from common.base.errors import UserError
from common.engines import engine, half, sessions
from common.engines.half import Mode

FLOAT = TensorProto.FLOAT


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch):
    for name in ("DEVICE", "PRECISION", "THREADS", "KEEP", *half.CHOICES):
        monkeypatch.delenv(name, raising=False)


def computed(path, *arrays, how=Mode(), keep=()):
    """By ONNX Runtime as the engine runs it: with all graph optimizations."""
    model = half.rehearsed(half.read(path), how, keep).model
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {node.name: array for node, array in zip(session.get_inputs(), arrays)})


def every_exponent():
    """float32 of every exponent: all leading 13 mantissa bits with ties, and one step to either side of each."""
    mantissas = np.arange(1 << 13, dtype=np.uint32) << np.uint32(10)
    mantissas = np.unique(np.concatenate([mantissas, mantissas + 1, (mantissas - 1) & 0x7FFFFF]))
    bits = [(np.uint32(exponent) << np.uint32(23)) | mantissas for exponent in range(255)]
    values = np.concatenate(bits).view(np.float32)
    return np.concatenate([values, -values])


def to_half(values):
    with np.errstate(over="ignore"):
        return values.astype(np.float16).astype(np.float32)


@pytest.mark.parametrize("overflow", ["saturate", "inf"])
def test_every_exponent_subnormals_ties_and_the_edge_round_as_numpys_float16_does(tmp_path, overflow):
    values = every_exponent()
    path = onnx_models.same(tmp_path / "m.onnx", FLOAT, ["n"])
    (found,) = computed(path, values, how=Mode(overflow))
    expected = to_half(np.clip(values, -65504, 65504) if overflow == "saturate" else values)
    assert np.array_equal(found, expected), values[found != expected][:5]


@pytest.mark.parametrize("overflow", ["saturate", "inf"])
def test_the_form_for_results_of_a_relu_rounds_as_numpys_float16_does(tmp_path, overflow):
    path = onnx_models.save(
        tmp_path / "m.onnx", [helper.make_node("Cast", ["x"], ["f"], to=FLOAT), helper.make_node("Mul", ["f", "s"], ["m"]),
                              helper.make_node("Relu", ["m"], ["y"])],
        [("x", ["n"], TensorProto.DOUBLE)], [("y", ["n"], FLOAT)], [onnx_models.constant("s", [0.5])])
    values = every_exponent()
    values = values[np.abs(values) < 2.0 ** 127]
    # a product that is a group with its Relu; doubles pass the input unrounded
    (found,) = computed(path, values.astype(np.float64), how=Mode(overflow))
    product = np.maximum(values * np.float32(0.5), 0)
    expected = to_half(np.clip(product, -65504, 65504) if overflow == "saturate" else product)
    assert np.array_equal(found, expected), values[found != expected][:5]


@pytest.mark.parametrize("value, saturated, infinite", [
    (65504, 65504, 65504), (np.nextafter(np.float32(65520), np.float32(0)), 65504, 65504), (65520, 65504, np.inf),
    (65536, 65504, np.inf), (3e38, 65504, np.inf), (np.inf, 65504, np.inf), (-65520, -65504, -np.inf)])
def test_the_overflow_edge(tmp_path, value, saturated, infinite):
    path = onnx_models.same(tmp_path / "m.onnx", FLOAT, [1])
    x = np.array([value], np.float32)
    assert computed(path, x)[0] == saturated
    assert computed(path, x, how=Mode("inf"))[0] == infinite


@pytest.mark.parametrize("how", [Mode("inf"), Mode()])
def test_nan_stays_nan(tmp_path, how):
    path = onnx_models.same(tmp_path / "m.onnx", FLOAT, [1])
    assert np.isnan(computed(path, np.array([np.nan], np.float32), how=how)[0][0])


def conv(path, relu=True, norm=False, weight=None):
    """`x` [1, 1, 4, 4] -> 3x3 convolution -> BatchNormalization -> Relu `y`."""
    generator = np.random.default_rng(0)
    weight = generator.normal(size=(1, 1, 3, 3)) if weight is None else weight
    chain = ["Conv", *(["BatchNormalization"] if norm else []), *(["Relu"] if relu else [])]
    more = {"Conv": ["w", "b"], "BatchNormalization": ["gamma", "beta", "mean", "variance"], "Relu": []}
    names = ["x", *[f"v{index}" for index in range(len(chain) - 1)], "y"]
    nodes = [helper.make_node(kind, [names[index], *more[kind]], [names[index + 1]], name=kind.lower())
             for index, kind in enumerate(chain)]
    weights = {"w": weight, "b": [0.1], "gamma": [1.3], "beta": [0.2], "mean": [-0.4], "variance": [0.7]}
    used = {name for node in nodes for name in node.input}
    return onnx_models.save(path, nodes, [("x", [1, 1, 4, 4], FLOAT)], [("y", [1, 1, 2, 2], FLOAT)],
                            [onnx_models.constant(name, value) for name, value in weights.items() if name in used])


def convolved(x, weight, bias):
    windows = np.lib.stride_tricks.sliding_window_view(x[0, 0].astype(np.float64), (3, 3))
    return (windows * weight.astype(np.float64)).sum((2, 3)) + bias


@pytest.mark.parametrize("norm", [False, True])
def test_a_convolution_with_normalization_and_relu_is_rounded_once_its_folded_weights_and_its_input_too(tmp_path, norm):
    path = conv(tmp_path / "m.onnx", norm=norm)
    weights = {t.name: numpy_helper.to_array(t) for t in onnx.load(str(path)).graph.initializer}
    x = np.random.default_rng(1).normal(size=(1, 1, 4, 4)).astype(np.float32)
    weight, bias = weights["w"][0, 0], weights["b"]
    if norm:
        scale = weights["gamma"] / np.sqrt(weights["variance"] + np.float32(1e-5))
        weight, bias = weight * scale, (bias - weights["mean"]) * scale + weights["beta"]
    expected = to_half(np.maximum(convolved(to_half(x), to_half(weight), to_half(bias)), 0).astype(np.float32))
    (found,) = computed(path, x)
    assert np.array_equal(found[0, 0], expected)
    assert [step.kinds for step in half.rehearsed(half.read(path)).steps] == ["Conv+Relu"]


def test_a_kept_operator_stays_in_float32_with_its_weights_and_an_unknown_one_is_an_error(tmp_path):
    path = conv(tmp_path / "m.onnx")
    weights = {t.name: numpy_helper.to_array(t) for t in onnx.load(str(path)).graph.initializer}
    x = np.random.default_rng(1).normal(size=(1, 1, 4, 4)).astype(np.float32)
    (found,) = computed(path, x, keep=["conv"])
    expected = np.maximum(convolved(to_half(x), weights["w"][0, 0], weights["b"]), 0)
    assert np.abs(found[0, 0] - expected).max() < 1e-6 and not np.array_equal(found, to_half(found))
    with pytest.raises(UserError, match="no operator named pool to keep in float32"):
        computed(path, x, keep=["pool"])


def test_sums_in_half_round_the_partial_results_of_instance_normalization(tmp_path):
    path = onnx_models.save(tmp_path / "m.onnx", [helper.make_node("InstanceNormalization", ["x", "s", "b"], ["y"])],
                            [("x", [1, 2, 8, 8], FLOAT)], [("y", [1, 2, 8, 8], FLOAT)],
                            [onnx_models.constant("s", [1.1, 0.9]), onnx_models.constant("b", [0.3, -0.2])])
    x = np.random.default_rng(2).normal(3, 2, (1, 2, 8, 8)).astype(np.float32)
    (once,), (all_of_it,) = computed(path, x), computed(path, x, how=Mode(sums="f16"))
    mean, variance = x.mean((2, 3), keepdims=True), x.var((2, 3), keepdims=True)
    scale, bias = np.array([1.1, 0.9]).reshape(1, 2, 1, 1), np.array([0.3, -0.2]).reshape(1, 2, 1, 1)
    true = (x - mean) / np.sqrt(variance + 1e-5) * scale + bias
    assert np.abs(once - true).max() < np.abs(all_of_it - true).max() < 0.02
    assert np.array_equal(all_of_it, to_half(all_of_it))


@pytest.mark.parametrize("inside", [0, 1])
def test_sums_in_half_leave_an_average_pool_an_average_pool(tmp_path, inside):
    node = helper.make_node("AveragePool", ["x"], ["y"], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1],
                            count_include_pad=inside)
    path = onnx_models.save(tmp_path / "m.onnx", [node], [("x", [1, 2, 9, 9], FLOAT)], [("y", [1, 2, 5, 5], FLOAT)])
    x = np.random.default_rng(3).random((1, 2, 9, 9)).astype(np.float32)
    (once,), (all_of_it,) = computed(path, x), computed(path, x, how=Mode(sums="f16"))
    assert 0 < np.abs(once - all_of_it).max() <= 2 ** -11 * 2


def test_an_average_pool_that_pads_by_itself_keeps_its_shape_and_a_bias_that_is_left_out_is_none(tmp_path):
    pool = helper.make_node("AveragePool", ["x"], ["y"], kernel_shape=[3, 3], strides=[2, 2], auto_pad="SAME_UPPER")
    path = onnx_models.save(tmp_path / "m.onnx", [pool], [("x", [1, 2, 4, 4], FLOAT)], [("y", [1, 2, 2, 2], FLOAT)])
    x = np.random.default_rng(3).random((1, 2, 4, 4)).astype(np.float32)
    (once,), (all_of_it,) = computed(path, x), computed(path, x, how=Mode(sums="f16"))
    assert once.shape == all_of_it.shape and 0 < np.abs(once - all_of_it).max() <= 2 ** -11 * 2
    with_bias = onnx.load(str(conv(tmp_path / "b.onnx", norm=True, relu=False)))
    found = []
    for name in ("b", ""):
        with_bias.graph.node[0].input[2] = name
        onnx.save(with_bias, str(tmp_path / "b.onnx"))
        found.append(computed(tmp_path / "b.onnx", x[:, :1])[0])
    assert np.abs(found[0] - found[1] - 0.1 * 1.3 / np.sqrt(0.7)).max() < 0.02


def test_the_engine_says_that_it_rehearses_and_gives_half_precision_numbers(tmp_path, monkeypatch):
    path = conv(tmp_path / "m.onnx")
    session = sessions.open_session(path, "cpu", 1, precision="f16")
    (y,) = session.run([np.random.default_rng(1).normal(size=(1, 1, 4, 4)).astype(np.float32)])
    assert np.array_equal(y, to_half(y))
    by = session.provenance()
    assert by["provider"] == "CPUExecutionProvider, half precision rehearsed"
    assert engine.origin(by).endswith("1 thread: no NPU figure") and "half precision rehearsed" in engine.origin(by)
    assert engine.label(by) == "ONNX Runtime f16 rehearsed"
    monkeypatch.setenv("PRECISION", "f16")
    monkeypatch.setenv("OVERFLOW", "inf")
    monkeypatch.setenv("SUMS", "f16")
    assert sessions.open_session(path).provider == "CPUExecutionProvider, half precision rehearsed, overflow inf, sums f16"
    monkeypatch.setenv("OVERFLOW", "wrap")
    with pytest.raises(UserError, match="OVERFLOW=wrap: expected one of saturate, inf"):
        sessions.open_session(path)


def test_a_run_is_not_taken_up_with_another_list_of_kept_operators_of_the_same_length(tmp_path, monkeypatch):
    nodes = [helper.make_node("MatMul", ["x", "a"], ["h"], name="first"), helper.make_node("MatMul", ["h", "a"], ["y"], name="second")]
    path = onnx_models.save(tmp_path / "m.onnx", nodes, [("x", [1, 12], FLOAT)], [("y", [1, 12], FLOAT)],
                            [onnx_models.constant("a", np.random.default_rng(0).normal(size=(12, 12)))])
    onnx_models.samples(tmp_path / "in", 2)
    found = {}
    for name in ("first", "second", "second"):
        (tmp_path / "keep.cfg").write_text(name + "\n")
        done = onnx_models.tool("ais_infer", "--model", path, "--input", "in", "--output", ".", "--output_dirname", "out",
                                cwd=tmp_path, PRECISION="f16", KEEP="keep.cfg", RESUME="1")
        assert done.returncode == 0, done.stderr
        found.setdefault(name, []).append((tmp_path / "out/s0_0.bin").read_bytes())
    assert found["first"][0] != found["second"][0] == found["second"][1]


def test_the_engine_is_named_cpu_f16_and_other_devices_have_none():
    assert "cpu-f16" in engine.ENGINES and engine.split("cpu-f16") == ("cpu", "f16")
    sessions.check("cpu-f16")
    with pytest.raises(UserError, match="PRECISION=f16: is for DEVICE=cpu; leave it out, DEVICE=cuda computes in what"):
        engine.precision_name("cuda", "f16")


def test_a_file_that_cannot_be_rewritten_is_one_clear_line(tmp_path):
    path = onnx_models.affine(tmp_path / "m.onnx")
    model = onnx.load(str(path))
    model.opset_import[0].version = 9
    onnx.save(model, str(tmp_path / "nine.onnx"))
    with pytest.raises(UserError, match="expected opset ai.onnx 11 to 17 alone, found .*9"):
        half.read(tmp_path / "nine.onnx")
    (tmp_path / "cut.onnx").write_bytes(path.read_bytes()[:60])
    with pytest.raises(UserError, match="is truncated or not an ONNX model"):
        half.read(tmp_path / "cut.onnx")
    path = conv(tmp_path / "c.onnx")
    onnx.save(onnx.load(str(path)), str(tmp_path / "apart.onnx"), save_as_external_data=True, location="w.bin",
              size_threshold=0)
    with pytest.raises(UserError, match="weights in files of their own"):
        half.read(tmp_path / "apart.onnx")
