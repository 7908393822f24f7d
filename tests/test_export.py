"""Export and its checks, on tiny networks; agreement of result folders; the facts."""
from __future__ import annotations

import json

import numpy as np
import onnx
import pytest
import torch

from common.base import facts, metrics
from common.base.errors import UserError
from common.convert import export
from common.judge import agreement
from conftest import ROOT, one_line_error


class Doubler(torch.nn.Module):
    """Twice the input; after the first call with a batch of two, something else if `fickle`."""

    def __init__(self, fickle=False):
        super().__init__()
        self.weight, self.fickle = torch.nn.Parameter(torch.tensor(2.0)), fickle

    def forward(self, x):
        if self.fickle and not torch.jit.is_tracing() and x.shape[0] == 2:
            return x * self.weight + 1
        return x * self.weight


def run_export(path, network=None, dynamic=True, **more):
    arguments = {"tolerance": 1e-4, "metadata": {"checkpoint_sha256": "abc"}, "dynamic_batch": dynamic, **more}
    return export.export(network or Doubler(), [export.Port("image", (1, 3, 4, 5))], ["out"], path, **arguments)


def test_the_file_has_opset_11_the_names_a_free_batch_and_its_metadata(tmp_path):
    worst = run_export(tmp_path / "a.onnx")
    model = onnx.load(str(tmp_path / "a.onnx"))
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 11)]
    assert model.graph.input[0].name == "image" and model.graph.output[0].name == "out"
    dims = model.graph.input[0].type.tensor_type.shape.dim
    assert dims[0].dim_param and [dim.dim_value for dim in dims[1:]] == [3, 4, 5]
    assert {entry.key: entry.value for entry in model.metadata_props}["checkpoint_sha256"] == "abc"
    assert worst["max_abs"] == 0 and worst["cosine"] == pytest.approx(1)


def test_a_fixed_batch_stays_fixed(tmp_path):
    run_export(tmp_path / "a.onnx", dynamic=False)
    dims = onnx.load(str(tmp_path / "a.onnx")).graph.input[0].type.tensor_type.shape.dim
    assert [dim.dim_value for dim in dims] == [1, 3, 4, 5]


class Rolled(torch.nn.Module):
    """The input moved by one column, by an index that a trace takes for a constant."""

    def forward(self, x):
        return torch.cat([x[..., 1:], x[..., :1]], 3)[..., [*range(int(x.shape[3]))]]


def test_a_free_size_stands_in_the_file_beside_the_batch_and_holds_at_other_sizes(tmp_path):
    from common.engines.onnxruntime_session import Session
    run_export(tmp_path / "a.onnx", dynamic=False, free_size=True)
    model = onnx.load(str(tmp_path / "a.onnx"))
    assert [[dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]
            for value in (*model.graph.input, *model.graph.output)] == [[1, 3, "H", "W"], [1, 3, "output_H", "output_W"]]
    for size in ((7, 2), (1, 9)):
        values = np.arange(3 * size[0] * size[1], dtype=np.float32).reshape(1, 3, *size)
        assert (Session(tmp_path / "a.onnx", device="cpu").run([values])[0] == 2 * values).all()


def test_a_network_that_keeps_the_size_of_its_trace_is_not_exported_for_any_size(tmp_path):
    run_export(tmp_path / "a.onnx", Rolled(), dynamic=False)
    with pytest.raises(UserError):
        run_export(tmp_path / "b.onnx", Rolled(), dynamic=False, free_size=True)
    assert [path.name for path in tmp_path.iterdir()] == ["a.onnx"]


def test_a_difference_at_batch_2_stops_the_export_and_leaves_no_file(tmp_path):
    with pytest.raises(UserError, match="differ by 1, allowed is 0.0001"):
        run_export(tmp_path / "a.onnx", Doubler(fickle=True))
    assert not list(tmp_path.iterdir())


def test_a_network_whose_output_is_nan_is_not_exported(tmp_path):
    network = Doubler()
    network.weight.data.fill_(float("nan"))
    with pytest.raises(UserError, match="PyTorch itself gives NaN or infinite values"):
        run_export(tmp_path / "a.onnx", network)


def test_another_opset_and_other_names_are_refused(tmp_path):
    run_export(tmp_path / "a.onnx")
    with pytest.raises(UserError, match="expected outputs"):
        export.check_file(tmp_path / "a.onnx", {"image": [None, 3, 4, 5]}, ["other"])
    with pytest.raises(UserError, match="expected inputs"):
        export.check_file(tmp_path / "a.onnx", {"image": [1, 3, 4, 5]}, ["out"])
    model = onnx.load(str(tmp_path / "a.onnx"))
    model.opset_import[0].version = 13
    onnx.save(model, str(tmp_path / "b.onnx"))
    with pytest.raises(UserError, match="expected opset ai.onnx 11 alone"):
        export.check_file(tmp_path / "b.onnx", {"image": [None, 3, 4, 5]}, ["out"])


def test_random_integer_inputs_keep_their_dtype_and_range():
    values = export.Port("labels", (1, 1, 50, 50), "uint8", 0, 35).random(seed=3, batch=2)
    assert values.shape == (2, 1, 50, 50) and values.dtype == np.uint8 and values.min() == 0 and values.max() == 34


def test_the_worst_of_two_is_kept_and_nan_is_worst_of_all():
    worst = {"cosine": 0.9, "max_abs": 1.0}
    metrics.merge_worst(worst, {"cosine": 0.99, "max_abs": 2.0})
    assert worst == {"cosine": 0.9, "max_abs": 2.0}
    metrics.merge_worst(worst, {"cosine": float("nan"), "max_abs": 0.0})
    assert np.isnan(worst["cosine"]) and worst["max_abs"] == 2.0


# agreement of two result folders

def two_folders(folder, change=None):
    generator = np.random.default_rng(2)
    for side in ("found", "expected"):
        (folder / side).mkdir()
    for stem in ("a", "b", "c"):
        values = generator.normal(size=100).astype(np.float32)
        values.tofile(folder / f"expected/{stem}_1.bin")
        if change and stem == "b":
            values = change(values)
        values.tofile(folder / f"found/{stem}_output_0.bin")
    return folder / "found", folder / "expected"


def test_equal_folders_agree_whatever_the_tools_named_the_files(tmp_path):
    result = agreement.compare_folders(*two_folders(tmp_path))
    assert (result["samples"], result["max_abs"], result["verdict"]) == (3, 0, "pass")
    assert result["cosine"] == pytest.approx(1)


@pytest.mark.parametrize("change, verdict", [(lambda v: v * 1.04, "pass"), (lambda v: v * 1.06, "fail"),
                                             (lambda v: -v, "fail")])
def test_msit_thresholds_decide(tmp_path, run, change, verdict):
    found, expected = two_folders(tmp_path, change)
    result = run("-m", "common.judge.agreement", found, expected, "--output", tmp_path / "a.json")
    assert result.returncode == (verdict == "fail")
    written = json.loads((tmp_path / "a.json").read_text())
    assert written["verdict"] == verdict
    assert max(written["worst"], key=lambda row: row["max_abs"])["file"] == "b_output_0.bin"


def test_folders_of_other_samples_or_lengths_or_with_nan_are_errors(tmp_path, run):
    found, expected = two_folders(tmp_path)
    np.zeros(99, np.float32).tofile(found / "b_output_0.bin")
    one_line_error(run("-m", "common.judge.agreement", found, expected), "b_output_0.bin", "expected 400 bytes")
    np.full(100, np.nan, np.float32).tofile(found / "b_output_0.bin")
    one_line_error(run("-m", "common.judge.agreement", found, expected), "b_output_0.bin", "NaN")
    (found / "b_output_0.bin").unlink()
    one_line_error(run("-m", "common.judge.agreement", found, expected), "no result for b")


# facts

@pytest.mark.parametrize("path", sorted(ROOT.glob("*/facts.json")), ids=lambda path: path.parent.name)
def test_facts_of_every_model_are_whole(path):
    model = facts.load(path.parent)
    assert model.name == path.parent.name
    assert len(model.upstream["commit"]) == 40
    assert all((path.parent / diff).is_file() for diff in model.upstream["diffs"])
    assert (path.parent / f"{model.network}.py").is_file()
    assert {entry.quantity for entry in model.references} >= {"throughput"}
    assert all(entry.definition for entry in model.references)
    assert all(entry.unit in ("images/s", "runs/s") for entry in model.references if entry.quantity == "throughput")


def test_facts_that_are_missing_or_broken_are_user_errors(tmp_path):
    with pytest.raises(UserError, match="run this in a model's folder"):
        facts.load(tmp_path)
    (tmp_path / "facts.json").write_text('{"name": "X"}')
    with pytest.raises(UserError, match=r"facts.json: must contain .*title"):
        facts.load(tmp_path)


def test_a_network_that_gives_the_same_value_everywhere_is_not_exported(tmp_path):
    network = Doubler()
    network.weight.data.fill_(0)
    with pytest.raises(UserError, match=r"a\.onnx: for random input PyTorch itself gives 0 everywhere"):
        export.export(network, [export.Port("x", (1, 2))], ["y"], tmp_path / "a.onnx", tolerance=1, metadata={})
    assert list(tmp_path.iterdir()) == []
