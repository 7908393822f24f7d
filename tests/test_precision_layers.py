"""common/precision/layers.py and keep.py: networks whose stray operator is known, and what they refuse."""
import csv
import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import onnx_models
from common.base import files
from common.base.errors import UserError
from common.engines import half, keep_list, onnxruntime_session
from common.precision import keep, layers, msprobe, pieces, tensors
from conftest import ROOT, one_line_error

FLOAT = TensorProto.FLOAT


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch):
    for name in ("DEVICE", "PRECISION", "THREADS", "LIMIT", "KEEP", *half.CHOICES):
        monkeypatch.delenv(name, raising=False)


def overflowing(path):
    """x [1, 3, 4, 4] -> Sigmoid -> times 1e6 (beyond 65504) -> MaxPool -> times 1e-6 -> plus 1: strays at `raise`."""
    nodes = [helper.make_node("Sigmoid", ["x"], ["a"], name="squash"), helper.make_node("Mul", ["a", "up"], ["b"], name="raise"),
             helper.make_node("MaxPool", ["b"], ["c"], name="pool", kernel_shape=[2, 2]),
             helper.make_node("Mul", ["c", "down"], ["d"], name="lower"),
             helper.make_node("Add", ["d", "one"], ["y"], name="plus")]
    return onnx_models.save(path, nodes, [("x", [1, 3, 4, 4], FLOAT)], [("y", [1, 3, 3, 3], FLOAT)],
                            [onnx_models.constant("up", 1e6), onnx_models.constant("down", 3e-6),
                             onnx_models.constant("one", 1)])


def prepared(folder, count=2, shape=(3, 4, 4), fill=None):
    """What a preprocess leaves, and PyTorch's results by the true formula."""
    (folder / "prep/bin").mkdir(parents=True)
    (folder / "pytorch/result").mkdir(parents=True)
    records = []
    for index in range(count):
        x = np.random.default_rng(index).normal(size=shape).astype(np.float32)
        if fill is not None:
            x[:] = fill
        x.tofile(folder / f"prep/bin/s{index}.bin")
        a = 1 / (1 + np.exp(-x.astype(np.float64)))
        if x.ndim == 3:
            y = np.lib.stride_tricks.sliding_window_view(a, (2, 2), (1, 2)).max((3, 4)) * 3 + 1
            y.astype(np.float32).tofile(folder / f"pytorch/result/s{index}_1.bin")
        records.append({"id": f"s{index}", "bin": f"bin/s{index}.bin", "shape": list(shape), "dtype": "float32"})
    from common.base.journal import Journal
    journal = Journal(folder / "prep/manifest.json", {"settings": {}, "code": ""}, {})
    for record in records:
        journal.add(record["id"], {key: value for key, value in record.items() if key != "id"} | {
            "source": ["x"], "stamp": [{"size": 1, "mtime_ns": 1}], "made": {"size": 1, "mtime_ns": 1}})
    journal.complete([record["id"] for record in records], variant={})
    return folder


def told(run, folder, *arguments, module="layers", **variables):
    return run("-m", f"common.precision.{module}", "--onnx", "m.onnx", "--model", ROOT / "EDSR", *arguments, cwd=folder, **variables)


@pytest.mark.parametrize("memory", [8, 1000000])
def test_the_operator_that_overflows_is_named_however_little_memory_there_is(tmp_path, memory):
    overflowing(tmp_path / "m.onnx")
    prepared(tmp_path)
    records = tensors.samples(tmp_path / "prep")
    comparison = tensors.Comparison(tmp_path / "m.onnx", "cpu", "cpu-f16", records[0], memory)
    rows = comparison.measure(records)
    jump = layers.first_jump(rows)
    assert (jump["operator"], jump["tensor"], jump["kinds"]) == ("raise", "b", "Mul")
    assert jump["overflowed_percent"] > 90 and 65504 < jump["largest"] < 1e6
    assert "raise (Mul)" in layers.sentence(jump) and "beyond 65504" in layers.sentence(jump)
    by = {row["tensor"]: row for row in rows}
    x = np.concatenate([np.fromfile(tmp_path / f"prep/bin/s{index}.bin", np.float32) for index in (0, 1)])
    assert by["x"]["largest"] == np.abs(x).max() and by["x"]["relative"] < tensors.FLOOR
    assert by["b"]["largest"] == pytest.approx(1e6 / (1 + np.exp(-x.max())), rel=1e-6)
    assert by["a"]["growth"] < 2 and comparison.unmatched == 0


def test_values_below_the_smallest_half_are_counted():
    values = np.array([0, 2.0 ** -25, np.nextafter(np.float32(2.0 ** -25), np.float32(1)), 65519, 65520], np.float32)
    found = tensors.tally(values, values, "t")
    assert (found["lost"], found["overflowed"], found["relative"]) == (1, 1, 0)
    assert [half.nearest(value) == 0 for value in values[1:3]] == [True, False]


def test_pieces_give_what_the_whole_network_gives(tmp_path):
    path = overflowing(tmp_path / "m.onnx")
    model = half.read(path)
    x = np.random.default_rng(5).normal(size=(1, 3, 4, 4)).astype(np.float32)
    pieces.fix(model, [x], "m.onnx")
    names = ["x", "a", "b", "c", "d", "y"]
    cut = pieces.Pieces(model, [[name] for name in names], lambda piece: onnxruntime_session.Session(piece, "cpu"))
    found = {name: value for group in cut.run([x]) for name, value in group.items()}
    cut.close()
    (whole,) = onnxruntime_session.Session(path, "cpu").run([x])
    assert list(found) == names and np.array_equal(found["y"], whole) and np.array_equal(found["x"], x)
    assert pieces.grouped(["a", "b", "c"], {"a": 3, "b": 2, "c": None}, 5) == [["a", "b"], ["c"]]


def test_keep_finds_the_operators_and_the_mended_rehearsal_passes(tmp_path, run):
    path = overflowing(tmp_path / "m.onnx")
    prepared(tmp_path)
    result = told(run, tmp_path, module="keep")
    assert result.returncode == 0, result.stderr
    kept = (tmp_path / "keep_dtype.cfg").read_text().split()
    assert kept == ["raise", "pool", "lower"]  # pool carries the large values between the two
    assert json.loads((tmp_path / "modify_mixlist.json").read_text()) == {"black-list": {"to-add": ["Mul"]}}
    found = json.loads((tmp_path / "keep.json").read_text())
    assert found["keep"] == ["raise", "lower"]
    assert found["half"]["verdict"] == "fail" and found["mended"]["verdict"] == "pass"
    assert "fails" in result.stdout and "with these in float32: cosine 0.99" in result.stdout
    mended = told(run, tmp_path, KEEP=str(tmp_path / "keep_dtype.cfg"))
    assert mended.returncode == 0 and "no operator's error jumps" in mended.stdout, mended.stdout
    x = np.fromfile(tmp_path / "prep/bin/s0.bin", np.float32).reshape(1, 3, 4, 4)
    session = onnxruntime_session.Session(path, "cpu", precision="f16", keep=keep_list.read(tmp_path / "keep_dtype.cfg"))
    expected = np.fromfile(tmp_path / "pytorch/result/s0_1.bin", np.float32).reshape(1, 3, 3, 3)
    assert np.abs(session.run([x])[0] - expected).max() < 0.004 and "3 kept in float32" in session.provider


def test_a_network_that_holds_needs_no_list_and_an_older_one_goes(tmp_path, run):
    onnx_models.save(tmp_path / "m.onnx", [helper.make_node("Identity", ["x"], ["y"])], [("x", [1, 3, 4, 4], FLOAT)],
                     [("y", [1, 3, 4, 4], FLOAT)])
    prepared(tmp_path)
    for index in (0, 1):
        (tmp_path / f"pytorch/result/s{index}_1.bin").write_bytes((tmp_path / f"prep/bin/s{index}.bin").read_bytes())
    (tmp_path / "keep_dtype.cfg").write_text("old\n")
    result = told(run, tmp_path, module="keep")
    assert result.returncode == 0 and "no operator has to stay in float32" in result.stdout, result.stderr
    assert not (tmp_path / "keep_dtype.cfg").exists()


def test_a_list_that_no_operator_can_leave_is_found_by_bisection():
    asked = []

    def passes(kept):
        asked.append(kept)
        return {"e", "p"} <= kept

    assert sorted(keep.smallest([chr(97 + index) for index in range(26)], passes)) == ["e", "p"]
    assert len(asked) <= 16


def test_operators_are_kept_by_ascends_type_too(tmp_path):
    path = overflowing(tmp_path / "m.onnx")
    (tmp_path / "k.cfg").write_text("OpType::Mul\npool\n")
    model = half.rehearsed(half.read(path), keep=keep_list.read(tmp_path / "k.cfg")).model
    onnx.checker.check_model(model, full_check=True)
    (tmp_path / "k.cfg").write_text("\n")
    with pytest.raises(UserError, match="names no operator"):
        keep_list.read(tmp_path / "k.cfg")


def test_another_file_is_compared_by_name_or_by_its_outputs(tmp_path, run):
    overflowing(tmp_path / "m.onnx")
    prepared(tmp_path)
    model = onnx.load(str(tmp_path / "m.onnx"))
    model.graph.node[4].op_type = "Sub"
    onnx.save(model, str(tmp_path / "other.onnx"))
    result = told(run, tmp_path, "--other", "other.onnx")
    assert result.returncode == 0 and "first operator that strays: plus (Add)" in result.stdout, result.stderr
    for node in model.graph.node:
        for names in (node.input, node.output):
            names[:] = [f"{name}2" if name in "abcdy" else name for name in names]
    model.graph.output[0].name = "y2"
    onnx.save(model, str(tmp_path / "renamed.onnx"))
    result = told(run, tmp_path, "--other", "renamed.onnx")
    assert result.returncode == 0 and "1 tensors on 2 samples; 4 more" in result.stdout, (result.stdout, result.stderr)


def msprobes(path, rows):
    with open(path, "w", newline="") as file:
        out = csv.writer(file)
        out.writerow(["Index", "OpType", "NPUDump", "DataType", "Address", "GroundTruth", "DataType", "TensorIndex", "Shape",
                      "OverFlow", "CosineSimilarity", "MaxAbsoluteError", "RelativeEuclideanDistance", "CompareFailReason"])
        for index, (names, relative) in enumerate(rows):
            joined = names.replace(",", "")
            for place in ("input", "output"):
                out.writerow([index, "Mul", joined, "float16", "NaN", names, "float32", f"{joined}:{place}:0", "[1]", "NO",
                              "0.99", "0.1", relative, ""])


def test_msprobes_table_stands_beside_the_rehearsal_and_its_first_jump_is_named(tmp_path, run):
    overflowing(tmp_path / "m.onnx")
    prepared(tmp_path)
    msprobes(tmp_path / "r.csv", [("squash", "0.3"), ("raise,pool", "0.31"), ("lower", "NaN"), ("*", "0.1")])
    assert [each.nodes for each in msprobe.read(tmp_path / "r.csv")] == [["squash"], ["raise", "pool"]]
    result = told(run, tmp_path, "--other", "r.csv")
    assert result.returncode == 0, result.stderr
    assert "strays on the chip: squash (Sigmoid): relative error 0.3" in result.stdout
    msprobes(tmp_path / "r.csv", [("somebody", "0.3")])
    one_line_error(told(run, tmp_path, "--other", "r.csv"), "names no operator of m.onnx")
    (tmp_path / "r.csv").write_text("a,b\n1,2\n")
    one_line_error(told(run, tmp_path, "--other", "r.csv"), "is no result table of msprobe", "GroundTruth")


def test_bad_input_is_one_line(tmp_path, run):
    path = overflowing(tmp_path / "m.onnx")
    prepared(tmp_path, fill=np.float32(1))
    one_line_error(told(run, tmp_path, "--other", "npu"), "OTHER=npu: expected an engine", "cpu-f16")
    one_line_error(told(run, tmp_path, "--prep", "nowhere"), "manifest.json: no such file")
    one_line_error(told(run, tmp_path, KEEP="gone.cfg"), "gone.cfg")
    model = onnx.load(str(path))
    model.graph.initializer[0].CopyFrom(onnx_models.constant("up", np.nan))
    onnx.save(model, str(path))
    one_line_error(told(run, tmp_path), "b of sample s0", "NaN or infinite values in float32 already")
    model.opset_import[0].version = 9
    onnx.save(model, str(path))
    one_line_error(told(run, tmp_path), "expected opset")
    onnx_models.affine(path, batch=2)
    one_line_error(told(run, tmp_path), "its input x is float32 2x3x4, the preprocessed samples are float32 1x3x4x4")


def test_a_free_size_takes_the_samples(tmp_path, run):
    onnx_models.affine(tmp_path / "m.onnx")
    prepared(tmp_path)
    one_line_error(told(run, tmp_path), "float32 ?x3x4, the preprocessed samples are float32 1x3x4x4")
    model = half.read(tmp_path / "m.onnx")
    pieces.fix(model, [np.zeros((5, 3, 4), np.float32)], "m")
    assert pieces.size(pieces.types(model.graph)["twice"]) == 60


def test_the_page_shows_the_layers_and_what_is_kept(tmp_path, run):
    from common.publish import precision
    overflowing(tmp_path / "m.onnx")
    prepared(tmp_path)
    known = [files.sha256(tmp_path / "m.onnx")]
    assert precision.sections(tmp_path, known) == []
    for module in ("layers", "keep"):
        assert told(run, tmp_path, module=module).returncode == 0
    text = "".join(part.render() for part in precision.sections(tmp_path, known))
    assert "none of it is an NPU figure" in text and "first operator that strays: raise (Mul)" in text
    assert "Kept in float32, so that half precision holds: raise, lower." in text
    assert precision.sections(tmp_path, ["0" * 64]) == []  # they are of another model
