"""common/tools/benchmark.py: benchmark's command line, files and figures, with ONNX Runtime behind them."""
import hashlib
import json
import os
import re
import signal
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import onnx_models
from common.base import files
from common.base.errors import UserError
from common.engines import onnxruntime_session
from common.infer.offline import six_digits
from common.tools import benchmark
from conftest import one_line_error

OUT = Path("result/dumpOutput_device0")
RECORD = "result/onnxruntime_batchsize_{}_device_0.json"


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    for name in ("DEVICE", "PRECISION", "LIMIT", "RESUME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("THREADS", "1")
    monkeypatch.chdir(tmp_path)


def info(stems, path="list.info", folder="bins"):
    Path(path).write_text("".join(f"{index} {folder}/{stem}.bin 4 3\n" for index, stem in enumerate(stems)))


def run(batch=1, *more, model="m.onnx", lines="list.info", binary="True"):
    benchmark.main(["-model_type=vision", "-device_id=0", f"-batch_size={batch}", f"-om_path={model}",
                    f"-input_text_path={lines}", "-input_width=4", "-input_height=3", f"-output_binary={binary}",
                    "-useDvpp=False", *more])


def dataset(count, batch="N"):
    onnx_models.affine("m.onnx", batch=batch)
    arrays = onnx_models.samples("bins", count)
    info(arrays)
    return arrays


def figures(batch):
    """{(tag, label): value} of a perf_vision file, read in the test's own way."""
    lines = Path(f"result/perf_vision_batchsize_{batch}_device_0.txt").read_text().splitlines()
    return {(line.split("]")[0][1:], pair.split(": ")[0]): float(pair.split(": ")[1])
            for line in lines for pair in line.split("] ")[1].split(", ")}


def record(batch):
    return json.loads(Path(RECORD.format(batch)).read_text())


@pytest.mark.parametrize("value, text", [
    (1611900, "1.6119e+06"), (12059, "12059"), (0.0829254, "0.0829254"), (1673030, "1.67303e+06"), (96.455, "96.455"),
    (881339, "881339"), (134.0, "134"), (1e-5, "1e-05"), (2.0000001, "2"), (0.2, "0.2")])
def test_numbers_have_six_significant_digits_as_cpp_prints_them(value, text):
    assert six_digits(value) == text


def test_each_sample_leaves_one_file_per_output_numbered_from_1():
    arrays = dataset(3)
    run(1)
    assert sorted(os.listdir(OUT)) == ["s0_1.bin", "s0_2.bin", "s1_1.bin", "s1_2.bin", "s2_1.bin", "s2_2.bin"]
    for stem, array in arrays.items():
        assert np.array_equal(np.fromfile(OUT / f"{stem}_1.bin", np.float32), 2 * array.ravel())
        assert np.array_equal(np.fromfile(OUT / f"{stem}_2.bin", np.float32), array.ravel() - 1)


@pytest.mark.parametrize("batch", [2, 4, 16])
def test_a_part_filled_last_batch_gives_the_same_files_as_batch_1(batch):
    dataset(7)
    run(1)
    expected = {path.name: path.read_bytes() for path in OUT.iterdir()}
    for path in OUT.iterdir():
        path.unlink()
    run(batch)
    assert {path.name: path.read_bytes() for path in OUT.iterdir()} == expected
    assert record(batch)["compute_ms"]["count"] == -(-7 // batch)


def test_free_places_of_the_last_batch_are_filled_with_its_first_sample(monkeypatch):
    arrays = dataset(5)
    seen = []
    original = onnxruntime_session.Session.run
    monkeypatch.setattr(onnxruntime_session.Session, "run",
                        lambda self, feeds: seen.append(feeds[0].copy()) or original(self, feeds))
    run(3)
    assert np.array_equal(seen[-1], [arrays["s3"], arrays["s4"], arrays["s3"]])


def test_the_five_lines_obey_the_tools_arithmetic():
    dataset(10)
    run(4)
    found, whole = figures(4), record(4)
    assert [tag for tag, _ in found] == ["e2e", "e2e", "data read", "data read", "preprocess", "preprocess",
                                         "infer", "infer", "infer", "post", "post"]
    assert found["e2e", "throughputRate"] * found["e2e", "latency"] / 1000 == pytest.approx(10, rel=1e-5)
    for tag in ("data read", "preprocess", "post"):
        assert found[tag, "throughputRate"] * found[tag, "moduleLatency"] == pytest.approx(1000, rel=1e-5)
    batches = {sample["batch"]["id"]: sample["batch"] for sample in whole["samples"]}.values()
    assert len(batches) == 3
    assert found["post", "moduleLatency"] == pytest.approx(np.mean([b["write_ms"] for b in batches]), rel=1e-5)
    compute = np.mean([b["compute_ms"] for b in batches])
    assert found["infer", "Interface throughputRate"] == pytest.approx(4000 / compute, rel=1e-5)
    per_sample = sum(b["infer_ms"] for b in batches) / 10
    assert found["infer", "moduleLatency"] == pytest.approx(per_sample, rel=1e-5)
    assert found["e2e", "latency"] == pytest.approx(sum(b["total_ms"] for b in batches), rel=1e-5)
    assert found["e2e", "latency"] > sum(b["read_ms"] + b["infer_ms"] + b["write_ms"] for b in batches)


def test_the_modelzoo_parser_finds_the_interface_rate_in_place_7_and_the_batch_in_the_path():
    dataset(4)
    run(2)
    path = "result/perf_vision_batchsize_2_device_0.txt"
    content = Path(path).read_text()
    assert content.endswith("\n") and len(content.splitlines()) == 5
    joined = content.replace("\n", ",")
    assert float(re.findall(r":(.*?),", joined)[7]) == figures(2)["infer", "Interface throughputRate"]
    assert path.split("_")[3] == "2"


def test_text_outputs_hold_all_values_on_one_line_with_six_digits():
    onnx_models.affine("m.onnx")
    Path("bins").mkdir()
    np.array([0.1, 1234567, -2.5, 1e-7] * 3, np.float32).tofile("bins/a.bin")
    info(["a"])
    run(1, binary="false")
    lines = (OUT / "a_1.txt").read_text().splitlines()
    assert len(lines) == 1
    assert lines[0].strip().split(" ") == ["0.2", "2.46913e+06", "-5", "2e-07"] * 3


def test_a_model_of_two_inputs_takes_lines_of_the_same_index():
    onnx_models.pair("m.onnx")
    for stem, value in (("p", 5), ("q", 3), ("r", 10), ("t", 4)):
        np.full(2, value, np.float32).tofile(f"{stem}.bin")
    Path("list.info").write_text("0 p.bin\n0 q.bin\n1 r.bin\n1 t.bin\n")
    run(2)
    assert np.array_equal(np.fromfile(OUT / "p_1.bin", np.float32), [2, 2])
    assert np.array_equal(np.fromfile(OUT / "r_1.bin", np.float32), [6, 6])
    assert sorted(os.listdir(OUT)) == ["p_1.bin", "r_1.bin"]


def test_the_record_tells_what_was_measured_and_that_onnxruntime_did():
    dataset(5)
    run(2)
    found = record(2)
    assert found["provenance"]["backend"] == "onnxruntime"
    assert found["provenance"]["provider"] == "CPUExecutionProvider"
    assert found["provenance"]["model_sha256"] == hashlib.sha256(Path("m.onnx").read_bytes()).hexdigest()
    assert (found["batch"], found["warm_up_runs"], found["sample_count"]) == (2, 1, 5)
    compute = found["compute_ms"]
    assert set(compute) == {"mean", "median", "p99", "min", "max", "count"} and compute["count"] == 3
    assert found["samples_per_s"] == pytest.approx(2000 / compute["mean"])
    assert "mean" in found["definitions"]["samples_per_s"]
    assert found["end_to_end_samples_per_s"] == pytest.approx(5 / found["end_to_end_s"])
    assert 10e6 < found["peak_memory_bytes"] < 10e9
    assert found["command"][:3] == ["python3", "-m", "common.tools.benchmark"] and "-batch_size=2" in found["command"]
    assert found["date"].startswith("20")


def test_results_folder_holds_nothing_but_results_and_the_record_is_beside():
    dataset(2)
    run(1)
    assert all(re.fullmatch(r"s\d_[12]\.bin", name) for name in os.listdir(OUT))
    assert sorted(os.listdir("result")) == ["dumpOutput_device0", "onnxruntime_batchsize_1_device_0.json",
                                            "perf_vision_batchsize_1_device_0.txt"]


def test_the_warm_up_run_is_not_among_the_measured_ones(monkeypatch):
    dataset(3)
    calls = []
    original = onnxruntime_session.Session.run
    monkeypatch.setattr(onnxruntime_session.Session, "run", lambda self, arrays: calls.append(1) or original(self, arrays))
    run(1)
    assert len(calls) == 4 and record(1)["compute_ms"]["count"] == 3


def test_limit_takes_the_first_samples(monkeypatch):
    dataset(5)
    monkeypatch.setenv("LIMIT", "2")
    run(1)
    assert sorted(os.listdir(OUT)) == ["s0_1.bin", "s0_2.bin", "s1_1.bin", "s1_2.bin"]
    assert record(1)["sample_count"] == 2


def test_paths_with_blanks_work():
    onnx_models.affine("m.onnx")
    onnx_models.samples("my bins", 1)
    info(["s0"], folder="my bins")
    run(1)
    assert (OUT / "s0_1.bin").stat().st_size == 48


def test_pure_inference_prints_and_writes_the_tools_lines(capsys):
    onnx_models.affine("edsr_x2_256.onnx", batch=2)
    benchmark.main(["-round=5", "-om_path=./edsr_x2_256.onnx", "-device_id=0", "-batch_size=2"])
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith("[INFO] onnxruntime stands in for benchmark: ONNX Runtime ")
    costs = [re.fullmatch(rf"\[INFO\] Dataset number: {index} finished cost (\S+)ms", line)[1]
             for index, line in enumerate(printed[1:6])]
    assert printed[6] == "[INFO] PureInfer result saved in ./result/PureInfer_perf_of_edsr_x2_256_in_device_0.txt"
    assert printed[7] == "-----------------PureInfer Performance Summary------------------"
    summary = re.fullmatch(r"\[INFO\] ave_throughputRate: (\S+)samples/s, ave_latency: (\S+)ms", printed[8])
    assert printed[9:] == ["-" * 64]
    content = Path("result/PureInfer_perf_of_edsr_x2_256_in_device_0.txt").read_text()
    assert content == f"ave_throughputRate = {summary[1]}samples/s, ave_latency = {summary[2]}ms\n"
    times = np.array(costs, float)
    assert float(summary[2]) == pytest.approx(times.mean() / 2, rel=1e-4)
    assert float(summary[1]) == pytest.approx((2000 / times).mean(), rel=1e-4)
    found = json.loads(Path("result/onnxruntime_pure_edsr_x2_256_device_0.json").read_text())
    assert found["compute_ms"]["count"] == 5 and found["sample_count"] == 10
    assert not OUT.exists()


def test_resume_runs_only_what_is_missing_and_changed(monkeypatch):
    dataset(6)
    run(1)
    before = {path.name: path.stat().st_mtime_ns for path in OUT.iterdir()}
    (OUT / "s1_2.bin").unlink()
    (OUT / "s2_1.bin").write_bytes(b"short")
    np.zeros((3, 4), np.float32).tofile("bins/s3.bin")
    monkeypatch.setenv("RESUME", "1")
    run(1)
    after = {path.name: path.stat().st_mtime_ns for path in OUT.iterdir()}
    assert {name.split("_")[0] for name in after if after[name] != before.get(name)} == {"s1", "s2", "s3"}
    assert (OUT / "s2_1.bin").stat().st_size == 48
    assert not np.fromfile(OUT / "s3_1.bin", np.float32).any()
    assert record(1)["compute_ms"]["count"] == 6
    found = figures(1)
    assert found["e2e", "throughputRate"] * found["e2e", "latency"] / 1000 == pytest.approx(6, rel=1e-5)


def test_results_of_samples_that_are_gone_go_with_resume_and_stay_without_as_with_the_tool(monkeypatch):
    dataset(3)
    run(1)
    info(["s0", "s2"])
    (OUT / "mine.bin").write_bytes(b"the user's")
    monkeypatch.setenv("RESUME", "1")
    run(1)
    assert sorted(os.listdir(OUT)) == ["mine.bin", "s0_1.bin", "s0_2.bin", "s2_1.bin", "s2_2.bin"]
    monkeypatch.delenv("RESUME")
    info(["s0"])
    run(1)
    assert (OUT / "s2_1.bin").exists()


@pytest.mark.parametrize("change", ["model", "batch", "format"])
def test_resume_with_another_model_batch_or_format_runs_everything(monkeypatch, change):
    dataset(4)
    run(1)
    monkeypatch.setenv("RESUME", "1")
    before = time.time_ns()
    if change == "model":
        onnx_models.affine("m.onnx", metadata={"other": "model"})
    run(2 if change == "batch" else 1, binary="False" if change == "format" else "True")
    suffix = "txt" if change == "format" else "bin"
    assert len(list(OUT.glob(f"*.{suffix}"))) == 8
    assert all(path.stat().st_mtime_ns >= before for path in OUT.glob(f"*.{suffix}"))


def test_without_resume_everything_is_run_anew():
    dataset(2)
    run(1)
    (OUT / "s0_1.bin").write_bytes(bytes(48))
    run(1)
    assert np.fromfile(OUT / "s0_1.bin", np.float32).any()


def test_after_a_kill_no_partial_file_shows_and_resume_runs_only_the_rest():
    onnx_models.slow("m.onnx")
    arrays = onnx_models.samples("bins", 150, shape=(1024,))
    info(arrays)
    arguments = ["-batch_size=2", "-om_path=m.onnx", "-input_text_path=list.info", "-output_binary=True"]
    process = onnx_models.start("benchmark", *arguments, cwd=".")
    deadline = time.time() + 30
    while time.time() < deadline and len(list(OUT.glob("s*.bin"))) < 10:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    process.stderr.close()
    visible = [path for path in OUT.iterdir() if not path.name.startswith(".")]
    assert 10 <= len(visible) < 150
    assert {path.stat().st_size for path in visible} == {4096}
    assert not Path(RECORD.format(2)).exists()
    listed = Path("result/.onnxruntime_batchsize_2_device_0.partial.jsonl").read_text().splitlines()[1:]
    noted = {Path(json.loads(line)["id"]).stem for line in listed if line.endswith("}")}
    before = {path.name: path.stat().st_mtime_ns for path in visible}
    result = onnx_models.tool("benchmark", *arguments, cwd=".", RESUME="1")
    assert result.returncode == 0, result.stderr
    after = {path.name: path.stat().st_mtime_ns for path in OUT.iterdir()}
    assert sorted(after) == sorted(f"{stem}_1.bin" for stem in arrays)
    assert {name[:-6] for name in before if after[name] == before[name]} == noted and len(noted) >= 8
    for stem, array in arrays.items():
        assert np.array_equal(np.fromfile(OUT / f"{stem}_1.bin", np.float32), array)
    whole = record(2)
    assert [Path(sample["id"]).stem for sample in whole["samples"]] == list(arrays)
    assert whole["compute_ms"]["count"] == 75 or whole["compute_ms"]["count"] == 76  # the kill may split a batch
    assert not [path for path in Path("result").rglob(".*")]


def test_the_first_printed_line_says_that_onnxruntime_stands_in():
    dataset(1)
    result = onnx_models.tool("benchmark", "-om_path=m.onnx", "-input_text_path=list.info", cwd=".", THREADS="2")
    assert result.returncode == 0 and result.stderr == ""
    assert re.fullmatch(r"\[INFO\] onnxruntime stands in for benchmark: ONNX Runtime [\d.]+, CPUExecutionProvider, "
                        r"2 threads", result.stdout.splitlines()[0])
    assert (OUT / "s0_1.txt").exists()


def test_bad_input_is_one_line_on_stderr_and_status_1():
    dataset(1)
    Path("list.info").write_text("0 bins/s0.bin 4 3\n1 bins/gone.bin 4 3\n")
    result = onnx_models.tool("benchmark", "-om_path=m.onnx", "-input_text_path=list.info", cwd=".")
    one_line_error(result, "list.info:2", "bins/gone.bin")
    assert not Path("result").exists()


@pytest.mark.parametrize("arguments, text", [
    (["-om_path=m.onnx", "-input_text_path=l", "-foo=1"], "-foo"), (["-om_path=m.onnx"], "-input_text_path"),
    (["-om_path=m.onnx", "-round=0"], "from 1"), (["-round=3"], "-om_path"),
    (["-om_path=m.onnx", "-round=3", "-input_text_path=l"], "either"),
    (["-om_path=m.onnx", "-input_text_path=l", "-output_binary=maybe"], "true or false")])
def test_wrong_usage_is_status_2(capsys, arguments, text):
    with pytest.raises(SystemExit) as caught:
        benchmark.main(arguments)
    assert caught.value.code == 2 and text in capsys.readouterr().err


@pytest.mark.parametrize("content, message", [
    ("0 bins/s0.bin 4 3\nbins/s0.bin 4 3\n", r"list\.info:2: expected `index path\.bin width height`, found `bins/s0"),
    ("0 bins/s0.bin 4\n", r"list\.info:1: expected"), ("x bins/s0.bin 4 3\n", r"list\.info:1: expected"),
    ("0 bins/s0.bin 4 3\n\n1 bins/s1.bin 4 3\n", r"list\.info:2: expected"),
    ("0 bins/s0.jpg 4 3\n", r"list\.info:1: lists a picture; .*-useDvpp=True"),
    ("1 bins/s0.bin\n1 bins/s1.bin\n", r"list\.info:2: index 1 stands on more than one line"),
    ("", "lists no sample")])
def test_a_malformed_info_list_names_file_and_line(content, message):
    dataset(2)
    Path("list.info").write_text(content)
    with pytest.raises(UserError, match=message):
        run(1)
    assert not Path("result").exists()


def test_a_missing_line_of_a_two_input_model_names_the_line():
    onnx_models.pair("m.onnx")
    np.zeros(2, np.float32).tofile("p.bin")
    Path("list.info").write_text("0 p.bin\n0 p.bin\n1 p.bin\n")
    with pytest.raises(UserError, match=r"list\.info:3: the model has 2 inputs, expected 2 lines with index 1"):
        run(1)


def test_a_missing_info_list_is_named():
    onnx_models.affine("m.onnx")
    with pytest.raises(UserError, match="list.info: expected the .info list .* there, found nothing"):
        run(1)


@pytest.mark.parametrize("size", [44, 52, 0, 96])
def test_a_bin_of_the_wrong_size_names_the_file_and_both_sizes(size):
    dataset(3)
    Path("bins/s1.bin").write_bytes(bytes(size))
    with pytest.raises(UserError, match=rf"bins/s1\.bin: has {size} bytes, expected 48"):
        run(2)
    assert not list(Path(".").rglob("s0_1.bin"))


def test_a_batch_that_a_fixed_model_cannot_take_is_an_error():
    dataset(2, batch=4)
    with pytest.raises(UserError, match=r"m\.onnx: its batch is fixed at 4, 2 was asked for"):
        run(2)
    run(4)
    assert len(list(OUT.iterdir())) == 4


def test_two_files_of_the_same_stem_are_an_error_instead_of_one_result():
    onnx_models.affine("m.onnx")
    onnx_models.samples("a", 1)
    onnx_models.samples("b", 1)
    Path("list.info").write_text("0 a/s0.bin 4 3\n1 b/s0.bin 4 3\n")
    with pytest.raises(UserError, match=r"a/s0\.bin and b/s0\.bin would both be written to .*s0_1\.bin"):
        run(1)


def test_not_finite_output_names_the_sample_and_leaves_no_file_of_it():
    onnx_models.reciprocal("m.onnx")
    Path("bins").mkdir()
    for stem, value in (("good", 1), ("bad", 0)):
        np.full(4, value, np.float32).tofile(f"bins/{stem}.bin")
    info(["good", "bad"])
    with pytest.raises(UserError, match="NaN or infinity in the output for bins/bad.bin;"):
        run(1)
    assert os.listdir(OUT) == ["good_1.bin"] and not Path(RECORD.format(1)).exists()


def test_a_padded_place_that_is_not_finite_is_no_error():
    onnx_models.reciprocal("m.onnx")
    Path("bins").mkdir()
    for index in range(3):
        np.full(4, index + 1, np.float32).tofile(f"bins/s{index}.bin")
    info(["s0", "s1", "s2"])
    run(2)
    assert np.array_equal(np.fromfile(OUT / "s2_1.bin", np.float32), np.full(4, 1 / 3, np.float32))


def test_usedvpp_is_refused_with_the_reason():
    dataset(1)
    with pytest.raises(UserError, match="-useDvpp=True .* does not fit .bin files"):
        run(1, "-useDvpp=True")


def test_an_output_folder_that_cannot_be_made_is_an_error():
    dataset(1)
    Path("result").write_text("a file in the way")
    with pytest.raises(UserError, match="result/dumpOutput_device0: cannot be created"):
        run(1)


@pytest.mark.parametrize("binary, need", [("True", 10 * 2 * 48), ("False", 10 * 2 * 12 * 13)])
def test_too_little_disk_stops_the_run_before_the_first_file(monkeypatch, binary, need):
    """10 samples, 2 outputs of 12 float32: 4 bytes each, or up to 13 characters as text (`-1.23457e+06 `)."""
    dataset(10)
    monkeypatch.setattr(files.shutil, "disk_usage", lambda place: SimpleNamespace(free=need - 1))
    with pytest.raises(UserError, match="on this disk, .* are free"):
        run(4, binary=binary)
    assert not list(OUT.iterdir())


def test_help_answers_without_loading_numpy_or_onnxruntime():
    begin = time.time()
    result = onnx_models.tool("benchmark", "--help", cwd=".", PYTHONPROFILEIMPORTTIME="1")
    assert result.returncode == 0 and time.time() - begin < 1.5
    for word in ("RESUME=1", "LIMIT=N", "DEVICE=", "THREADS=N"):
        assert word in result.stdout
    imported = {line.rpartition("|")[2].strip() for line in result.stderr.splitlines()}
    assert not imported & {"numpy", "onnxruntime"}


# height and width that the model leaves free


def of_own_size(sizes, batch=1):
    """A model of free height and width, and samples of these (height, width); gives them by stem."""
    onnx_models.affine("m.onnx", batch=batch, shape=(3, "H", "W"))
    arrays = {}
    Path("bins").mkdir()
    for number, size in enumerate(sizes):
        arrays[f"s{number}"] = np.random.default_rng(number).normal(size=(3, *size)).astype(np.float32)
        arrays[f"s{number}"].tofile(f"bins/s{number}.bin")
    Path("list.info").write_text("".join(f"{number} bins/s{number}.bin {wide} {high}\n"
                                         for number, (high, wide) in enumerate(sizes)))
    return arrays


@pytest.mark.parametrize("batch, fixed, runs", [(1, 1, 5), (2, "N", 4)])
def test_each_sample_runs_at_the_size_that_the_list_tells(batch, fixed, runs):
    arrays = of_own_size([(4, 5), (2, 9), (4, 5), (7, 3), (4, 5)], fixed)
    run(batch)
    for stem, array in arrays.items():
        assert np.array_equal(np.fromfile(OUT / f"{stem}_1.bin", np.float32), 2 * array.ravel())
        assert np.array_equal(np.fromfile(OUT / f"{stem}_2.bin", np.float32), array.ravel() - 1)
    found = record(batch)
    assert [sample["id"] for sample in found["samples"]] == [f"bins/s{number}.bin" for number in range(5)]
    assert len({sample["batch"]["id"] for sample in found["samples"]}) == found["compute_ms"]["count"] == runs
    assert found["input_shape"] == [batch, 3, "H", "W"] and found["definitions"]["compute_ms"].endswith("each runs at its own")


def test_the_largest_size_runs_first_and_a_run_that_was_cut_off_goes_on(monkeypatch):
    of_own_size([(4, 5), (2, 9), (7, 3)])
    ran, infer = [], onnxruntime_session.Session.run

    def until(session, arrays):
        if len(ran) == 3:  # after the warm-up and two samples
            raise KeyboardInterrupt
        ran.append(arrays[0].shape[2:])
        return infer(session, arrays)

    monkeypatch.setattr(onnxruntime_session.Session, "run", until)
    with pytest.raises(KeyboardInterrupt):
        run(1)
    assert ran == [(7, 3), (7, 3), (4, 5)]
    monkeypatch.setattr(onnxruntime_session.Session, "run", infer)
    before = (OUT / "s2_1.bin").stat().st_mtime_ns
    monkeypatch.setenv("RESUME", "1")
    run(1)
    assert (OUT / "s2_1.bin").stat().st_mtime_ns == before and record(1)["sample_count"] == 3


@pytest.mark.parametrize("lines, part", [
    ("0 bins/s0.bin 5 4\n1 bins/s1.bin\n", "list.info:2: does not tell the sample's width and height"),
    ("0 bins/s0.bin 5 4\n1 bins/s1.bin 0 4\n", "list.info:2: does not tell"),
    ("0 bins/s0.bin 5 4\n1 bins/s1.bin 8 2\n", "bins/s1.bin: has 216 bytes, expected 192: 1 per batch of [1,3,2,8]")])
def test_a_size_that_is_not_told_or_not_the_files_is_an_error(lines, part):
    of_own_size([(4, 5), (2, 9)])
    Path("list.info").write_text(lines)
    with pytest.raises(UserError) as raised:
        run(1)
    assert part in str(raised.value) and not OUT.exists()


def test_pure_inference_of_a_free_size_is_an_error():
    of_own_size([(4, 5)])
    with pytest.raises(UserError, match="free beyond the batch"):
        benchmark.main(["-om_path=m.onnx", "-round=2"])
