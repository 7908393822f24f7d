"""DEVICE=cann: the precision reaches ONNX Runtime's provider and the record, and nodes that the CPU computed are counted.

A stand-in claims the provider and computes on the CPU, so every node is one that fell back."""
import json

import onnx_models
from common.engines import onnxruntime_session, sessions
from conftest import ROOT, one_line_error

STANDIN = ROOT / "tests/ascend/onnxruntime_gpu"


def infer(tmp_path, **more):
    onnx_models.affine(tmp_path / "m.onnx", batch=1)
    onnx_models.samples(tmp_path / "in", 2)
    return onnx_models.tool("ais_infer", "--model", "m.onnx", "--input", "in", "--output", ".", "--output_dirname", "out", "--outfmt",
                            "BIN", cwd=tmp_path, DEVICE="cann", STANDIN_PROVIDERS="CANNExecutionProvider",
                            STANDIN_SESSIONS=str(tmp_path / "sessions"), PYTHONPATH=f"{STANDIN}:{ROOT}", **more)


def test_the_precision_reaches_the_provider_and_the_record_and_nodes_on_the_cpu_are_counted_once(tmp_path):
    for chosen, expected in (("", "force_fp16"), ("must_keep_origin_dtype", "must_keep_origin_dtype")):
        (tmp_path / "sessions").unlink(missing_ok=True)
        result = infer(tmp_path, ATC_PRECISION=chosen)
        assert result.returncode == 0, result.stderr
        (name, options), = json.loads((tmp_path / "sessions").read_text().splitlines()[0])
        assert name == "CANNExecutionProvider" and options == {"device_id": "0", "precision_mode": expected}
        by = json.loads((tmp_path / "out_onnxruntime.json").read_text())["provenance"]
        assert by["provider"] == f"CANNExecutionProvider, {expected}" and (by["nodes_on_cpu"], by["nodes"]) == (2, 2)
        assert result.stderr.count("warning: ") == 1 and "2 of 2 nodes ran on the CPU, not on the NPU" in result.stderr


def test_a_precision_that_the_provider_does_not_take_is_one_line(tmp_path):
    one_line_error(infer(tmp_path, ATC_PRECISION="mixed_float16"), "ATC_PRECISION=mixed_float16", "DEVICE=cann takes force_fp16")


def test_nodes_are_counted_by_provider_and_once_each(tmp_path):
    node = {"cat": "Node", "name": "a", "args": {"provider": "CPUExecutionProvider", "node_index": "0"}}
    other = {"cat": "Node", "name": "b", "args": {"provider": "CANNExecutionProvider", "node_index": "1"}}
    (tmp_path / "p.json").write_text(json.dumps([{"cat": "Session", "name": "model_run"}, node, node, other]))
    assert onnxruntime_session.placed(tmp_path / "p.json") == (1, 2)


def test_on_the_cpu_nothing_is_profiled_or_counted(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    session = sessions.open_session(onnx_models.affine(tmp_path / "m.onnx", batch=1), "cpu", 1)
    session.run([next(iter(onnx_models.samples(tmp_path / "in", 1).values()))[None]])
    assert "nodes" not in session.provenance() and not list(tmp_path.glob("*.json"))
