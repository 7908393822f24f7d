"""common/tools/msame.py: msame's command line, files and printed lines, with ONNX Runtime behind them."""
import json
import os
import re
import signal
import time
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto

import onnx_models
from common.base.errors import UserError
from common.data import result_files
from common.tools import msame
from conftest import one_line_error

START = ["[INFO] acl init success", "[INFO] open device 0 success", "[INFO] create context success",
         "[INFO] create stream success", "[INFO] get run mode success", "[INFO] load model ./net.onnx success",
         "[INFO] create model description success", "[INFO] get input dynamic gear count success",
         "[INFO] create model output success"]
END = ["[INFO] unload model success, model Id is 1", r"[INFO] pid: \d+ Execute sample success",
       "[INFO] end to destroy stream", "[INFO] end to destroy context", "[INFO] end to reset device is 0",
       "[INFO] end to finalize acl"]
RUN = ["[INFO] model execute success", r"Inference time: [\d.e-]+ms"]
SAVED = ["[INFO] get max dynamic batch size success", "[INFO] output data success"]
FREED = ["[INFO] destroy model input success"]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    for name in ("DEVICE", "PRECISION", "LIMIT", "RESUME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("THREADS", "1")
    monkeypatch.chdir(tmp_path)


def run(*arguments, output="out"):
    msame.main(["--model", "./net.onnx", "--output", output, *arguments])
    return result_files.newest(output)


def assert_printed(capsys, *expected):
    """The lines after the first, each an exact text, or a pattern where it holds a backslash or a class."""
    lines = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"\[INFO\] onnxruntime stands in for msame: ONNX Runtime .*, 1 thread", lines[0])
    assert len(lines) - 1 == len(expected), lines
    for line, text in zip(lines[1:], expected):
        pattern = text if "\\d" in text or "[\\d" in text else re.escape(text)
        pattern = pattern.replace("[INFO]", r"\[INFO\]") if pattern is text else pattern
        assert re.fullmatch(pattern, line), (line, text)


def record(folder):
    return json.loads(folder.with_name(folder.name + "_onnxruntime.json").read_text())


def test_the_stamp_is_not_padded_with_zeros():
    assert msame.stamp(datetime(2023, 8, 8, 18, 34, 56, 79658)) == "202388_18_34_56_79658"
    assert msame.stamp(datetime(2021, 12, 17, 11, 36, 6, 921476)) == "20211217_11_36_6_921476"


def test_file_mode_names_outputs_after_the_model_and_prints_msames_lines(capsys):
    onnx_models.affine("net.onnx", batch=2)
    x = np.arange(24, dtype=np.float32)
    x.tofile("input.bin")
    folder = run("--input", "input.bin", "--loop", "2", output="out/")
    assert sorted(os.listdir(folder)) == ["net_output_0.bin", "net_output_1.bin"]
    assert np.array_equal(np.fromfile(folder / "net_output_0.bin", np.float32), 2 * x)
    assert np.array_equal(np.fromfile(folder / "net_output_1.bin", np.float32), x - 1)
    assert_printed(capsys, *START, r"out//\d{6,8}_\d+_\d+_\d+_\d+", "[INFO] start to process file:input.bin", *RUN,
                   *RUN, *SAVED, r"Inference average time: \d+\.\d{6} ms",
                   r"Inference average time without first time: \d+\.\d{6} ms", *FREED, *END)


def test_one_run_of_a_file_prints_no_average_without_the_first(capsys):
    onnx_models.affine("net.onnx", batch=1)
    run()
    assert_printed(capsys, *START, r"out/\d{6,8}_\d+_\d+_\d+_\d+", *RUN, *SAVED,
                   r"Inference average time: \d+\.\d{6} ms", *FREED, *END)


def test_without_input_the_model_runs_on_zeros():
    onnx_models.affine("net.onnx", batch=1)
    folder = run()
    assert np.array_equal(np.fromfile(folder / "net_output_1.bin", np.float32), np.full(12, -1, np.float32))


def test_folder_mode_runs_each_file_and_prints_msames_lines(capsys):
    onnx_models.affine("net.onnx", batch=1)
    arrays = onnx_models.samples("bins", 3)
    Path("bins/.hidden").write_bytes(b"")
    folder = run("--input=bins", "--loop=5")
    assert sorted(os.listdir(folder)) == [f"s{i}_output_{k}.bin" for i in range(3) for k in range(2)]
    assert np.array_equal(np.fromfile(folder / "s2_output_0.bin", np.float32), 2 * arrays["s2"].ravel())
    each = [line for i in range(3) for line in
            [f"[INFO] start to process file:bins/s{i}.bin", *RUN, *SAVED, *FREED]]
    assert_printed(capsys, *START, r"out/\d{6,8}_\d+_\d+_\d+_\d+", *each, r"Inference average time : \d+\.\d\d ms",
                   r"Inference average time without first time: \d+\.\d\d ms", *END)


def test_a_name_without_extension_is_an_error_where_msame_aborts():
    onnx_models.affine("net.onnx", batch=1)
    Path("in").mkdir()
    np.zeros(12, np.float32).tofile("in/bare")
    with pytest.raises(UserError, match="in/bare: has no extension, and msame aborts"):
        run("--input", "in")


def test_folder_mode_sorts_by_bytes_and_strips_the_last_suffix_only(capsys):
    onnx_models.affine("net.onnx", batch=1)
    Path("in").mkdir()
    for name in ("s10.bin", "s9.bin", "a.b.bin", "B.dat"):
        np.zeros(12, np.float32).tofile(f"in/{name}")
    folder = run("--input", "in")
    order = re.findall(r"start to process file:in/(\S+)", capsys.readouterr().out)
    assert order == ["B.dat", "a.b.bin", "s10.bin", "s9.bin"]
    assert {"a.b_output_0.bin", "B_output_0.bin"} <= set(os.listdir(folder))


def test_averages_are_those_of_the_printed_runs(capsys):
    onnx_models.slow("net.onnx", layers=5)
    np.zeros(1024, np.float32).tofile("x.bin")
    folder = run("--input", "x.bin", "--loop", "6")
    out = capsys.readouterr().out
    times = [float(text) for text in re.findall(r"Inference time: (\S+)ms", out)]
    assert len(times) == 6
    assert float(re.search(r"average time: (\S+) ms", out)[1]) == pytest.approx(np.mean(times), rel=1e-4)
    assert float(re.search(r"first time: (\S+) ms", out)[1]) == pytest.approx(np.mean(times[1:]), rel=1e-4)
    found = record(folder)
    assert found["compute_ms"]["count"] == 5 and found["warm_up_runs"] == 0
    assert found["compute_ms"]["mean"] == pytest.approx(np.mean(times[1:]), rel=1e-4)


def test_two_inputs_from_files_and_from_folders_of_equal_names():
    onnx_models.pair("net.onnx", batch=1)
    for name, value in (("a", 5), ("b", 3)):
        Path(name).mkdir()
        np.full(2, value, np.float32).tofile(f"{name}/x.bin")
    by_files, by_folders = run("--input", "a/x.bin, b/x.bin"), run("--input", "a,b")
    assert np.array_equal(np.fromfile(by_files / "net_output_0.bin", np.float32), [2, 2])
    assert np.array_equal(np.fromfile(by_folders / "x_output_0.bin", np.float32), [2, 2])
    Path("b/x.bin").rename("b/y.bin")
    with pytest.raises(UserError, match="b/x.bin: expected input b of sample x.bin there, found nothing"):
        run("--input", "a,b")


@pytest.mark.parametrize("shape, values, text", [
    ([2, 2, 2], [0.1, -2.5, 1e-7, 123456.789, 1, 2, 3, 4], "0.1 -2.5 \n1e-07 123457 \n1 2 \n3 4 \n"),
    ([3], [1.5, 2, 3], "1.5 2 3 "), ([1, 1], [1234567], "1.23457e+06 \n")])
def test_text_output_is_what_cpp_prints(shape, values, text):
    onnx_models.same("net.onnx", TensorProto.FLOAT, shape)
    np.array(values, np.float32).tofile("x.bin")
    folder = run("--input", "x.bin", "--outfmt", "TXT")
    assert (folder / "net_output_0.txt").read_text() == text


@pytest.mark.parametrize("kind, dtype, content", [
    (TensorProto.UINT8, "uint8", b"A B \nC \xff \n"), (TensorProto.BOOL, "bool", b"1 1 \n0 1 \n"),
    (TensorProto.INT32, "int32", b"65 66 \n67 255 \n")])
def test_text_of_bytes_is_raw_characters_and_of_other_integers_numbers(kind, dtype, content):
    onnx_models.same("net.onnx", kind, [2, 2])
    values = [1, 1, 0, 1] if dtype == "bool" else [65, 66, 67, 255]
    np.array(values).astype(dtype).tofile("x.bin")
    folder = run("--input", "x.bin", "--outfmt", "TXT")
    assert (folder / "net_output_0.txt").read_bytes() == content


def test_any_format_other_than_txt_is_bin():
    onnx_models.affine("net.onnx", batch=1)
    assert sorted(os.listdir(run("--outfmt", "txt"))) == ["net_output_0.bin", "net_output_1.bin"]


@pytest.mark.parametrize("rows, more", [(1, []), (5, []), (5, ["--dymBatch", "5"])])
def test_a_model_of_free_batch_takes_what_the_file_holds(rows, more):
    onnx_models.affine("net.onnx")
    x = np.arange(12 * rows, dtype=np.float32)
    x.tofile("x.bin")
    folder = run("--input", "x.bin", *more)
    assert np.array_equal(np.fromfile(folder / "net_output_0.bin", np.float32), 2 * x)
    assert record(folder)["batch"] == record(folder)["sample_count"] == rows


def test_a_file_of_the_wrong_size_names_expected_and_found():
    onnx_models.affine("net.onnx", batch=2)
    np.zeros(23, np.float32).tofile("x.bin")
    with pytest.raises(UserError, match=r"x\.bin: has 92 bytes, expected 96"):
        run("--input", "x.bin")
    onnx_models.affine("net.onnx")
    with pytest.raises(UserError, match=r"x\.bin: has 92 bytes, expected a multiple of 48"):
        run("--input", "x.bin")
    np.zeros(24, np.float32).tofile("x.bin")
    with pytest.raises(UserError, match=r"x\.bin: has 96 bytes, expected 144"):
        run("--input", "x.bin", "--dymBatch", "3")
    assert not Path("out").exists()


def test_the_record_is_beside_the_result_folder_and_says_onnxruntime():
    onnx_models.affine("net.onnx", batch=2)
    np.zeros(24, np.float32).tofile("x.bin")
    folder = run("--input", "x.bin")
    assert sorted(os.listdir("out")) == [folder.name, f"{folder.name}_onnxruntime.json"]
    found = record(folder)
    assert found["provenance"]["backend"] == "onnxruntime" and found["tool"] == "msame"
    assert found["samples_per_s"] == pytest.approx(2000 / found["compute_ms"]["mean"])


def test_only_one_level_of_the_output_folder_is_made():
    onnx_models.affine("net.onnx", batch=1)
    with pytest.raises(UserError, match="a/b: .* does not exist and msame makes one level only"):
        run(output="a/b")


def test_an_output_that_is_a_file_is_an_error():
    onnx_models.affine("net.onnx", batch=1)
    Path("out").write_text("")
    with pytest.raises(UserError, match="cannot be created"):
        run()


@pytest.mark.parametrize("flag", ["--dump", "--profiler", "--dymHW", "--dymDims", "--dymShape", "--outputSize"])
def test_options_that_need_an_npu_are_refused(flag):
    onnx_models.affine("net.onnx", batch=1)
    with pytest.raises(UserError, match=f"{flag}: needs an NPU"):
        run(flag, "true")


def test_dump_false_is_accepted():
    onnx_models.affine("net.onnx", batch=1)
    assert run("--dump", "false", "--profiler=false", "--debug", "true").is_dir()


@pytest.mark.parametrize("arguments, text", [
    (["--loop", "0"], "in 1 to 100"), (["--loop", "101"], "in 1 to 100"), (["--device", "256"], "in 0 to 255"),
    (["--frames", "3"], "--frames")])
def test_wrong_usage_is_status_2(capsys, arguments, text):
    with pytest.raises(SystemExit) as caught:
        run(*arguments)
    assert caught.value.code == 2 and text in capsys.readouterr().err


@pytest.mark.parametrize("make, name, message", [
    (lambda: None, "gone", "gone: expected a folder with input files there, found nothing"),
    (lambda: None, "gone.bin", "gone.bin: expected an input .bin .* found nothing"),
    (lambda: Path("x.dat").write_text(""), "x.dat", "must be folder or file ending in '.bin'"),
    (lambda: Path("empty").mkdir(), "empty", "empty: is empty"),
    (lambda: Path("d.bin").mkdir(), "d.bin", "d.bin: expected an input .bin .* found a folder"),
    (lambda: None, "a.bin,b.bin", "names 2 files or folders, the model has 1 inputs")])
def test_bad_input_paths_say_what_was_expected(make, name, message):
    onnx_models.affine("net.onnx", batch=1)
    make()
    with pytest.raises(UserError, match=message):
        run("--input", name)


def test_unlike_msame_a_failure_is_status_1_with_one_line():
    result = onnx_models.tool("msame", "--model", "net.om", "--output", "out", cwd=".")
    one_line_error(result, "net.om", "NPU only")
    onnx_models.affine("net.onnx", batch=1)
    result = onnx_models.tool("msame", "--model", "net.onnx", "--output", "out", "--input", "gone.bin", cwd=".")
    one_line_error(result, "gone.bin")


def test_not_finite_output_names_the_file_and_leaves_none():
    onnx_models.reciprocal("net.onnx", batch=1)
    Path("in").mkdir()
    np.zeros(4, np.float32).tofile("in/zero.bin")
    with pytest.raises(UserError, match="NaN or infinity in the output for zero.bin"):
        run("--input", "in")
    assert os.listdir(result_files.newest("out")) == []


def test_limit_takes_the_first_files(monkeypatch):
    onnx_models.affine("net.onnx", batch=1)
    onnx_models.samples("bins", 4)
    monkeypatch.setenv("LIMIT", "2")
    assert sorted({name[:2] for name in os.listdir(run("--input", "bins"))}) == ["s0", "s1"]


def test_each_run_makes_a_folder_of_its_own_unless_it_resumes(monkeypatch):
    onnx_models.affine("net.onnx", batch=1)
    onnx_models.samples("bins", 2)
    first, second = run("--input", "bins"), run("--input", "bins")
    assert first != second
    monkeypatch.setenv("RESUME", "1")
    before = (second / "s0_output_0.bin").stat().st_mtime_ns
    (second / "s1_output_0.bin").unlink()
    assert run("--input", "bins") == second
    assert (second / "s1_output_0.bin").exists() and (second / "s0_output_0.bin").stat().st_mtime_ns == before
    assert run("--input", "bins", "--outfmt", "TXT") not in (first, second)


def test_a_killed_run_is_resumed_in_its_own_folder():
    onnx_models.slow("net.onnx", batch=1)
    onnx_models.samples("bins", 100, shape=(1024,))
    arguments = ["--model", "net.onnx", "--input", "bins", "--output", "out"]
    process = onnx_models.start("msame", *arguments, cwd=".")
    deadline = time.time() + 30
    while time.time() < deadline and len(list(Path("out").glob("*/s*.bin"))) < 5:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    process.stderr.close()
    before = {path: path.stat().st_mtime_ns for path in Path("out").glob("*/s*.bin")}
    assert 5 <= len(before) < 100 and not list(Path("out").glob("*.json"))
    result = onnx_models.tool("msame", *arguments, cwd=".", RESUME="1")
    assert result.returncode == 0, result.stderr
    (folder,) = [path for path in Path("out").iterdir() if path.is_dir()]
    assert len(os.listdir(folder)) == 100
    kept = [path for path, changed in before.items() if path.stat().st_mtime_ns == changed]
    assert len(before) - 1 <= len(kept)
    assert result.stdout.count("model execute success") == 100 - len(kept)
    assert record(folder)["sample_count"] == 100


def test_repeated_runs_do_not_count_as_time_from_end_to_end():
    onnx_models.slow("net.onnx", batch=1)
    np.zeros(1024, np.float32).tofile("x.bin")
    made = record(run("--input", "x.bin", "--loop", "60"))
    whole_ms = made["compute_ms"]["mean"] * made["compute_ms"]["count"]
    assert made["sample_count"] == 1 and made["compute_ms"]["count"] == 59
    assert 0 < made["end_to_end_s"] * 1e3 < whole_ms / 2
