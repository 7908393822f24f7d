"""common/tools/ais_infer.py: ais_infer's command line, files and printed lines, with ONNX Runtime behind them."""
import json
import os
import re
import time
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto

import onnx_models
from common.base.errors import UserError
from common.data import result_files
from common.tools import ais_infer
from conftest import one_line_error

STATISTICS = ["min", "max", "mean", "median", "percentile(99%)"]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    for name in ("DEVICE", "PRECISION", "LIMIT", "RESUME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("THREADS", "1")
    monkeypatch.chdir(tmp_path)


def run(*arguments, model="m.onnx"):
    ais_infer.main(["--model", model, *map(str, arguments)])


def dataset(count, batch="N"):
    onnx_models.affine("m.onnx", batch=batch)
    return onnx_models.samples("bins", count)


def summary(path="res/d_summary.json"):
    return json.loads(Path(path).read_text())


def record(path="res/d_onnxruntime.json"):
    return json.loads(Path(path).read_text())


INTO = ["--output", "./res", "--output_dirname", "d"]


def test_a_run_that_finds_all_done_tells_of_the_one_that_computed(monkeypatch):
    dataset(3)
    monkeypatch.setenv("RESUME", "1")
    run("--input", "bins", *INTO, "--batchsize", 1, "--warmup_count", 2)
    Path("res/d_onnxruntime.json").write_text(Path("res/d_onnxruntime.json").read_text().replace(record()["date"], "2001-01-01T00:00:00+00:00"))
    before = record()
    run("--input", "bins", *INTO, "--batchsize", 1, "--warmup_count", 2)
    assert before["warm_up_runs"] == 2 and {**record(), "performance_file": None} == {**before, "performance_file": None}


@pytest.mark.parametrize("batch", [1, 2, 4, 8, 16])
def test_seventeen_files_give_the_same_outputs_at_any_batch(batch, capsys):
    """The tool's own system test: 17 files, byte-identical outputs, ceil(17 / batch) runs."""
    arrays = dataset(17)
    run("--input", "./bins/", *INTO, "--batchsize", batch)
    assert sorted(os.listdir("res/d")) == sorted(f"s{i}_{k}.bin" for i in range(17) for k in range(2))
    for stem, array in arrays.items():
        assert np.array_equal(np.fromfile(f"res/d/{stem}_0.bin", np.float32), 2 * array.ravel())
        assert np.array_equal(np.fromfile(f"res/d/{stem}_1.bin", np.float32), array.ravel() - 1)
    runs = -(-17 // batch)
    assert summary()["NPU_compute_time"]["count"] == len(summary()["npu_compute_time_list"]) == runs
    assert (f"[INFO] get filesperbatch files0 size:48 tensor0size:{48 * batch} filesperbatch:{batch} runcount:{runs}"
            in capsys.readouterr().out.splitlines())


def test_the_new_summary_has_the_tools_keys_in_their_order_and_is_beside_the_folder():
    dataset(3)
    run("--input", "./bins/", *INTO, "--batchsize", 2)
    text = Path("res/d_summary.json").read_text()
    found = json.loads(text)
    assert list(found) == ["filesinfo", "args", "NPU_compute_time", "H2D_latency", "D2H_latency", "throughput",
                           "npu_compute_time_list", "pid"]
    assert list(found["NPU_compute_time"]) == [*STATISTICS, "count"]
    assert list(found["filesinfo"]) == ["0", "1", "2"]
    assert found["filesinfo"]["2"] == {"infiles": ["./bins/s2.bin"],
                                       "outfiles": ["./res/d/s2_0.bin", "./res/d/s2_1.bin"]}
    assert found["args"][1:3] == ["--model", "m.onnx"]
    assert "\n" not in text
    times = found["npu_compute_time_list"]
    assert found["NPU_compute_time"]["percentile(99%)"] == pytest.approx(np.percentile(times, 99))
    assert found["NPU_compute_time"]["median"] == pytest.approx(np.median(times))
    assert found["throughput"] == pytest.approx(1000 * 2 / np.mean(times))
    assert not list(Path("res/d").glob("*.json"))


def run_old(*arguments):
    """A run of the generation of 2022-07, whose folders have no name of one's own. Gives its folder."""
    run(*arguments, "--output", "./res", "--layout", "old")
    return result_files.newest("res")


def test_the_old_layout_has_its_summary_inside_and_numbered_names():
    arrays = dataset(12)
    Path("res").mkdir()
    folder = run_old("--input", "bins", "--batchsize", 4, "--loop", 3)
    assert sorted(os.listdir(folder)) == sorted(
        ["sumary.json", *[f"input{n}_output_{k}.bin" for n in range(12) for k in range(2)]])
    found = summary(folder / "sumary.json")
    assert list(found) == ["filesinfo", "args", "NPU_compute_time", "H2D_latency", "D2H_latency", "throughput"]
    assert list(found["NPU_compute_time"]) == STATISTICS
    stems = [Path(entry["infiles"][0]).stem for entry in found["filesinfo"].values()]
    assert stems == [f"s{i}" for i in range(12)]  # natural order, not s0 s1 s10 s11 s2
    for entry, stem in zip(found["filesinfo"].values(), stems):
        assert np.array_equal(np.fromfile(entry["outfiles"][0], np.float32), 2 * arrays[stem].ravel())


def test_the_old_layout_has_one_number_per_batch_the_mean_of_its_loop():
    dataset(1)
    Path("res").mkdir()
    compute = summary(run_old("--input", "bins", "--loop", 20) / "sumary.json")["NPU_compute_time"]
    assert compute["min"] == compute["max"] == compute["mean"]


def test_the_old_layout_needs_its_output_folder_to_exist():
    dataset(1)
    with pytest.raises(UserError, match="./res: does not exist, and this generation makes one level only"):
        run_old("--input", "bins")


@pytest.mark.parametrize("files, kept", [(7, 4), (11, 8), (8, 8)])
def test_the_old_layout_drops_a_batch_that_is_not_full_and_multiplies_by_the_batch_that_is_given(files, kept):
    dataset(files, batch=4)
    Path("res").mkdir()
    found = summary(run_old("--input", "bins") / "sumary.json")
    assert len(found["filesinfo"]) == kept
    assert found["throughput"] == pytest.approx(1000 / found["NPU_compute_time"]["mean"])


def test_the_old_layout_refuses_what_does_not_fill_a_batch_and_flags_that_came_later():
    dataset(3, batch=4)
    Path("res").mkdir()
    with pytest.raises(UserError, match="3 files do not fill a batch of 4"):
        run_old("--input", "bins")
    for flags in (["--output_dirname", "d"], ["--warmup_count", 2], ["--run_mode", "array"]):
        with pytest.raises(SystemExit):
            run_old("--input", "bins", *flags)


@pytest.mark.parametrize("layout, formula", [
    ("old", r"\(1000\*batchsize/NPU_compute_time\)"),
    ("new", r"1000\*batchsize\.mean\(1\)/NPU_compute_time\.mean\([\d.e-]+\)")])
def test_the_printed_block_is_the_generations_own(capsys, layout, formula):
    dataset(2)
    Path("res").mkdir()
    (run_old if layout == "old" else lambda *words: run(*words, *INTO))("--input", "bins")
    lines = capsys.readouterr().out.splitlines()
    figure = r"min = \S+, max = \S+, mean = \S+, median = \S+, percentile\(99%\) = \S+"
    expected = [r"\[INFO\] onnxruntime stands in for ais_infer: ONNX Runtime .*, CPUExecutionProvider, 1 thread",
                r"\[INFO\] acl init success", r"\[INFO\] open device 0 success", r"\[INFO\] load model m.onnx success",
                r"\[INFO\] create model description success",
                *([r"\[INFO\] try get model batchsize:1"] if layout == "new" else []),
                r"\[INFO\] output path:\./res/(d|[\d_-]{19})", r"\[INFO\] get filesperbatch files0 size:48 .*",
                *([r"\[INFO\] warm up 1 done"] if layout == "new" else []), r"\[INFO\] -----------------Performance Summary------------------",
                *([r"\[INFO\] H2D_latency \(ms\): " + figure] if layout == "old" else []),
                r"\[INFO\] NPU_compute_time \(ms\): " + figure,
                *([r"\[INFO\] D2H_latency \(ms\): " + figure] if layout == "old" else []),
                rf"\[INFO\] throughput {formula}: [\d.]+", r"\[INFO\] -{54}",
                r"\[INFO\] unload model success, model Id is 1", r"\[INFO\] end to destroy context",
                r"\[INFO\] end to reset device is 0", r"\[INFO\] end to finalize acl"]
    assert len(lines) == len(expected), lines
    for line, pattern in zip(lines, expected):
        assert re.fullmatch(pattern, line), (line, pattern)


def test_display_all_summary_adds_the_copies(capsys):
    dataset(1)
    run("--input", "bins", "--display_all_summary=True")
    out = capsys.readouterr().out
    assert "[INFO] H2D_latency (ms): min = " in out and "[INFO] D2H_latency (ms): min = " in out


@pytest.mark.parametrize("kind, dtype, shape, values, content", [
    (TensorProto.FLOAT, "float32", [1, 2, 2], [0.1, -2.5, 1e-7, 123456.789],
     b"0.100000 -2.500000 \n0.000000 123456.789062 \n"),
    (TensorProto.INT64, "int64", [1, 4], [0, 1, 2, 3], b"0 1 2 3 \n")])
def test_text_outputs_are_the_tools_bytes(kind, dtype, shape, values, content):
    onnx_models.same("m.onnx", kind, shape)
    np.array(values, dtype).tofile("x.bin")
    run("--input", "x.bin", *INTO, "--outfmt", "TXT")
    assert Path("res/d/x_0.txt").read_bytes() == content


def test_npy_in_and_out_keep_shape_and_dtype():
    onnx_models.affine("m.onnx")
    Path("in").mkdir()
    x = np.arange(12, dtype=np.float32).reshape(1, 3, 4)
    np.save("in/x.npy", x)
    run("--input", "in", *INTO, "--outfmt", "NPY")
    found = np.load("res/d/x_0.npy")
    assert found.dtype == np.float32 and np.array_equal(found, 2 * x)


def test_an_npy_of_another_dtype_is_an_error():
    onnx_models.affine("m.onnx")
    np.save("x.npy", np.zeros((3, 2)))  # float64: as many bytes as the model takes
    with pytest.raises(UserError, match="x.npy: holds float64, the model takes float32"):
        run("--input", "x.npy", *INTO)


def test_the_stem_is_the_text_before_the_first_dot():
    onnx_models.affine("m.onnx")
    np.zeros(12, np.float32).tofile("a.b.bin")
    run("--input", "a.b.bin", *INTO)
    assert sorted(os.listdir("res/d")) == ["a_0.bin", "a_1.bin"]


def test_stems_that_collide_are_an_error():
    onnx_models.affine("m.onnx")
    for name in ("a.b.bin", "a.c.bin"):
        np.zeros(12, np.float32).tofile(name)
    with pytest.raises(UserError, match=r"a\.b\.bin and a\.c\.bin would both be written to ./res/d/a_0\.bin"):
        run("--input", "a.b.bin,a.c.bin", *INTO)


def test_a_file_may_hold_several_samples():
    onnx_models.affine("m.onnx")
    arrays = onnx_models.samples("bins", 3, shape=(2, 3, 4))
    run("--input", "bins", *INTO, "--batchsize", 4)
    for stem, array in arrays.items():
        assert np.array_equal(np.fromfile(f"res/d/{stem}_0.bin", np.float32), 2 * array.ravel())
    assert summary()["NPU_compute_time"]["count"] == 2
    assert record()["sample_count"] == 6 and record()["files_per_batch"] == 2


def test_two_inputs_from_file_lists_and_from_folders():
    onnx_models.pair("m.onnx")
    for name, values in (("a", (5, 6)), ("b", (3, 1))):
        Path(name).mkdir()
        for index, value in enumerate(values):
            np.full(2, value, np.float32).tofile(f"{name}/x{index}.bin")
    for text in ("a,b", "a/x0.bin,a/x1.bin,b/x0.bin,b/x1.bin"):
        run("--input", text, *INTO, "--batchsize", 2)
        assert np.array_equal(np.fromfile("res/d/x0_0.bin", np.float32), [2, 2])
        assert np.array_equal(np.fromfile("res/d/x1_0.bin", np.float32), [5, 5])
        assert summary()["filesinfo"]["1"]["infiles"] == ["a/x1.bin", "b/x1.bin"]


def test_outputs_are_divided_along_the_axis_asked_for():
    shape = [2, 4]
    onnx_models.save("m.onnx", [onnx_models.helper.make_node("Transpose", ["x"], ["y"], perm=[1, 0])],
                     [("x", shape, TensorProto.FLOAT)], [("y", shape[::-1], TensorProto.FLOAT)])
    for index in range(2):
        np.arange(4 * index, 4 * index + 4, dtype=np.float32).tofile(f"x{index}.bin")
    run("--input", "x0.bin,x1.bin", *INTO, "--output_batchsize_axis", 1)
    assert np.array_equal(np.fromfile("res/d/x1_0.bin", np.float32), [4, 5, 6, 7])


@pytest.mark.parametrize("kind, test", [("zero", lambda x: not x.any()), ("random", lambda x: len(np.unique(x)) > 100)])
def test_pure_inference_runs_once_on_the_data_asked_for(kind, test, capsys):
    onnx_models.same("m.onnx", TensorProto.UINT8, [1, 1000])
    run(*INTO, "--pure_data_type", kind, "--loop", 4)
    assert os.listdir("res/d") == ["pure_infer_data_0.bin"]
    assert test(np.fromfile("res/d/pure_infer_data_0.bin", np.uint8))
    assert summary()["NPU_compute_time"]["count"] == 4
    assert summary()["filesinfo"]["0"]["outfiles"] == ["./res/d/pure_infer_data_0.bin"]


def test_random_bytes_that_make_nan_are_no_error_of_the_model():
    onnx_models.same("m.onnx", TensorProto.FLOAT, [1, 10000])
    run(*INTO, "--pure_data_type", "random")
    assert not np.isfinite(np.fromfile("res/d/pure_infer_data_0.bin", np.float32)).all()


def test_without_output_nothing_is_written(capsys):
    dataset(3)
    before = sorted(os.listdir())
    run("--input", "bins")
    assert sorted(os.listdir()) == before and "throughput" in capsys.readouterr().out


def test_without_a_name_the_folder_is_the_date_and_the_summary_beside_it():
    dataset(1)
    run("--input", "bins", "--output", "res")
    names = sorted(os.listdir("res"))
    stamp = names[0]
    assert re.fullmatch(r"\d{4}_\d\d_\d\d-\d\d_\d\d_\d\d", stamp)
    assert names == [stamp, f"{stamp}_onnxruntime.json", f"{stamp}_summary.json"]


def test_warm_up_runs_are_left_out_and_counted():
    dataset(2)
    run("--input", "bins", *INTO, "--warmup_count", 5)
    assert record()["warm_up_runs"] == 5 and record()["compute_ms"]["count"] == 2
    run("--input", "bins", *INTO, "--warmup_count", 0)
    assert summary()["NPU_compute_time"]["count"] == 2  # as the tool counts
    assert record()["compute_ms"]["count"] == 1  # the first run is no fair measurement


def test_loop_times_each_batch_again():
    dataset(4)
    run("--input", "bins", *INTO, "--batchsize", 2, "--loop", 3)
    assert summary()["NPU_compute_time"]["count"] == 6 and record()["sample_count"] == 4


def test_the_batch_is_the_models_own_where_that_is_fixed(capsys):
    dataset(4, batch=4)
    run("--input", "bins", *INTO)
    assert "[INFO] try get model batchsize:4" in capsys.readouterr().out
    assert summary()["NPU_compute_time"]["count"] == 1
    run("--input", "bins", *INTO, "--batchsize", 2)  # which only scales the rate, as with the tool
    assert summary()["throughput"] == pytest.approx(2000 / summary()["NPU_compute_time"]["mean"])
    assert record()["batch"] == 4 and record()["samples_per_s"] == pytest.approx(2 * summary()["throughput"])


def test_the_record_says_onnxruntime_and_is_beside_the_folder():
    dataset(2)
    run("--input", "bins", *INTO)
    found = record()
    assert found["provenance"]["backend"] == "onnxruntime" and found["tool"] == "ais_infer"
    assert found["samples_per_s"] == pytest.approx(summary()["throughput"])
    assert sorted(os.listdir("res")) == ["d", "d_onnxruntime.json", "d_summary.json"]


def test_resume_runs_only_what_is_missing_and_the_summary_covers_all(monkeypatch, capsys):
    dataset(5)
    run("--input", "bins", *INTO)
    before = {path.name: path.stat().st_mtime_ns for path in Path("res/d").iterdir()}
    Path("res/d/s3_1.bin").unlink()
    monkeypatch.setenv("RESUME", "1")
    capsys.readouterr()
    run("--input", "bins", *INTO)
    after = {path.name: path.stat().st_mtime_ns for path in Path("res/d").iterdir()}
    assert {name for name in after if after[name] != before[name]} == {"s3_0.bin", "s3_1.bin"}
    assert "runcount:1" in capsys.readouterr().out
    assert summary()["NPU_compute_time"]["count"] == len(summary()["filesinfo"]) == 5


def test_resume_with_another_batch_runs_everything(monkeypatch):
    dataset(4)
    run("--input", "bins", *INTO)
    monkeypatch.setenv("RESUME", "1")
    run("--input", "bins", *INTO, "--batchsize", 2)
    assert summary()["NPU_compute_time"]["count"] == 2 and record()["batch"] == 2


def test_resume_without_a_name_goes_on_in_the_newest_folder(monkeypatch):
    dataset(2)
    run("--input", "bins", "--output", "res")
    monkeypatch.setenv("RESUME", "1")
    time.sleep(1.1)  # the folder's name has seconds
    run("--input", "bins", "--output", "res")
    assert len([path for path in Path("res").iterdir() if path.is_dir()]) == 1


def test_limit_takes_the_first_files_in_natural_order(monkeypatch):
    dataset(12)
    monkeypatch.setenv("LIMIT", "3")
    run("--input", "bins", *INTO)
    assert sorted({name[:-6] for name in os.listdir("res/d")}) == ["s0", "s1", "s2"]


def test_files_that_do_not_fill_the_tensor_are_the_tools_own_error():
    onnx_models.affine("m.onnx")
    np.zeros(5, np.float32).tofile("x.bin")
    with pytest.raises(UserError, match="x.bin: arg0 tensorsize: 48 filesize: 20 not match"):
        run("--input", "x.bin", *INTO)
    assert not Path("res").exists()


def test_a_later_file_of_another_size_is_named():
    dataset(3)
    Path("bins/s2.bin").write_bytes(bytes(24))
    with pytest.raises(UserError, match="bins/s2.bin: has 24 bytes, expected 48"):
        run("--input", "bins", *INTO)


def test_not_finite_output_names_the_sample():
    onnx_models.reciprocal("m.onnx")
    for name, value in (("good", 1), ("bad", 0)):
        np.full(4, value, np.float32).tofile(f"{name}.bin")
    with pytest.raises(UserError, match="NaN or infinity in the output for bad.bin;"):
        run("--input", "good.bin,bad.bin", *INTO, "--batchsize", 2)
    assert os.listdir("res/d") == []


@pytest.mark.parametrize("flag", ["--profiler", "--dump", "--dymHW", "--dymShape", "--acl_json_path"])
def test_options_that_need_an_npu_are_refused(flag):
    dataset(1)
    with pytest.raises(UserError, match=f"{flag}: needs an NPU"):
        run("--input", "bins", flag, "x")


@pytest.mark.parametrize("arguments, text", [
    (["--outfmt", "CSV"], "--outfmt"), (["--output_dirname", "d"], "--output_dirname needs --output"),
    (["--loop", "0"], "from 1"), (["--warmup_count", "-1"], "--warmup_count"), (["--fancy"], "--fancy")])
def test_wrong_usage_is_status_2(capsys, arguments, text):
    with pytest.raises(SystemExit) as caught:
        run(*arguments)
    assert caught.value.code == 2 and text in capsys.readouterr().err


def test_an_empty_folder_is_one_line_and_status_1():
    onnx_models.affine("m.onnx")
    Path("empty").mkdir()
    Path("empty/notes.txt").write_text("no sample")
    result = onnx_models.tool("ais_infer", "--om", "m.onnx", "-i", "empty", "-o", "res", cwd=".")
    one_line_error(result, "empty: holds no .bin or .npy file")
    assert not Path("res").exists()


def test_folders_of_different_counts_are_an_error():
    onnx_models.pair("m.onnx")
    onnx_models.samples("a", 2, shape=(2,))
    onnx_models.samples("b", 1, shape=(2,))
    with pytest.raises(UserError, match="a: 2, b: 1 files"):
        run("--input", "a,b", *INTO)


def test_several_devices_are_sent_to_what_runs_them(capsys):
    onnx_models.affine("m.onnx")
    with pytest.raises(SystemExit):
        run("--device", "0,1")
    assert "python3 -m common.devices 0,1 -- " in capsys.readouterr().err


# height and width that the model leaves free


def of_own_size(sizes, free=True):
    onnx_models.affine("m.onnx", batch=1, shape=(3, "H", "W") if free else (3, 4, 5))
    Path("arrays").mkdir()
    arrays = {f"s{number}": np.random.default_rng(number).normal(size=(1, 3, *size)).astype(np.float32)
              for number, size in enumerate(sizes)}
    for stem, array in arrays.items():
        np.save(f"arrays/{stem}.npy", array)
    return arrays


def test_auto_set_dymshape_mode_runs_each_npy_file_at_its_own_size():
    arrays = of_own_size([(4, 5), (2, 9), (4, 5)])
    run("--input", "arrays", *INTO, "--auto_set_dymshape_mode", "true", "--outputSize", "100000,100000")
    for stem, array in arrays.items():
        assert np.array_equal(np.fromfile(f"res/d/{stem}_0.bin", np.float32), 2 * array.ravel())
    assert list(summary()["filesinfo"]) == ["0", "1", "2"] and record()["sample_count"] == 3


@pytest.mark.parametrize("free, spoil, more, part", [
    (False, None, ["--auto_set_dymshape_mode"], "m.onnx does not leave height and width free"),
    (True, None, [], "free beyond the batch"),
    (True, "arrays/s1.bin", ["--auto_set_dymshape_mode"], "arrays/s1.bin: --auto_set_dymshape_mode takes .npy files"),
    (True, "arrays/s1.npy", ["--auto_set_dymshape_mode"], "arrays/s1.npy: expected an array of four dimensions")],
    ids=["fixed", "not asked for", "bin", "flat"])
def test_auto_set_dymshape_mode_needs_a_free_model_and_shapes(free, spoil, more, part):
    of_own_size([(4, 5)], free)
    if spoil:
        np.save("other.npy", np.zeros(60, np.float32))
        os.rename("other.npy", spoil)
    with pytest.raises(UserError) as raised:
        run("--input", "arrays", *INTO, *more)
    assert part in str(raised.value) and not Path("res").exists()


def test_names_with_digits_that_are_no_numbers_are_sorted_too():
    assert sorted(["a10.bin", "a1²2.bin", "a2.bin", "A1.bin"], key=ais_infer.natural_key) == ["A1.bin", "a1²2.bin", "a2.bin", "a10.bin"]
