"""common/tools/perf.py against real logs of the tools, as published."""
import json
import os
import time
from pathlib import Path

import numpy as np
import pytest

import onnx_models
from common.base.errors import UserError
from common.data import result_files
from common.engines import timing
from common.tools import ais_infer, benchmark, msame, perf, performance
from conftest import one_line_error

UNETPP_BS1 = """\
[e2e] throughputRate: 96.455, latency: 1389.25
[data read] throughputRate: 1640.63, moduleLatency: 0.609522
[preprocess] throughputRate: 1633.73, moduleLatency: 0.612097
[infer] throughputRate: 356.828, Interface throughputRate: 428.223, moduleLatency: 2.78137
[post] throughputRate: 356.654, moduleLatency: 2.80384
"""
UNETPP_BS16 = """\
[e2e] throughputRate: 95.2159, latency: 1407.33
[data read] throughputRate: 12059, moduleLatency: 0.0829254
[preprocess] throughputRate: 5134.3, moduleLatency: 0.194769
[infer] throughputRate: 386.438, Interface throughputRate: 443.958, moduleLatency: 2.5702
[post] throughputRate: 25.8257, moduleLatency: 38.7211
"""
DEIT = """\
[e2e] throughputRate: 29.886, latency: 1.67303e+06
[data read] throughputRate: 31.6095, moduleLatency: 31.6361
[preprocess] throughputRate: 31.5478, moduleLatency: 31.698
[infer] throughputRate: 29.9075, Interface throughputRate: 32.4487, moduleLatency: 32.3314
[post] throughputRate: 1.86921, moduleLatency: 534.984
"""
C3D_OLDER_TAGS = """\
[e2e] throughputRate: 4.28779, latency: 881339
[data read] throughputRate: 4.5526, moduleLatency: 219.655
[preprocess] throughputRate: 4.39146, moduleLatency: 227.715
[inference] throughputRate: 4.29808, Interface throughputRate: 7.59556, moduleLatency: 229.201
[postprocess] throughputRate: 4.2992, moduleLatency: 232.602
"""
UFLD_PURE = """\
[INFO] Dataset number: 97 finished cost 49.436ms
[INFO] Dataset number: 98 finished cost 49.493ms
[INFO] Dataset number: 99 finished cost 49.343ms
[INFO] PureInfer result saved in ./result/PureInfer_perf_of_aipp_no_export_bs16_in_device_2.txt
-----------------PureInfer Performance Summary------------------
[INFO] ave_throughputRate: 323.826samples/s, ave_latency: 3.08851ms
----------------------------------------------------------------
"""
MSAME_LOOP = """\
    out//202388_18_34_56_79658
    [INFO] model execute success
    Inference time: 32.349ms
    [INFO] get max dynamic batch size success
    [INFO] output data success
    Inference average time: 32.115267 ms
    Inference average time without first time: 32.115220 ms
    [INFO] destroy model input success
    [INFO] unload model success, model Id is 1
    [INFO] pid: 117994 Execute sample success
"""
MSAME_FOLDER = """\
Inference average time : 92.93 ms
Inference average time without first time: 92.92 ms
[INFO] unload model success, model Id is 1
[INFO] Execute sample success
[INFO] end to destroy stream
"""
AIS_2022_07 = """\
[INFO] load model /home/infname63/spach-smlp/sMLPNet-T-batch1-high.om success
[INFO] create model description success
[INFO] output path:test/2022_07_09-18_23_06
Inference Processing task: 100%|█…█| 1/1 [00:00<00:00, 21.29it/s]
[INFO] -----------------Performance Summary------------------
[INFO] H2D_latency (ms): min = 0.2384185791015625, max = 0.2384185791015625, mean = 0.2384185791015625, \
median = 0.2384185791015625, percentile(99%) = 0.2384185791015625
[INFO] NPU_compute_time (ms): min = 5.828554630279541, max = 5.828554630279541, mean = 5.828554630279541, \
median = 5.828554630279541, percentile(99%) = 5.828554630279541
[INFO] D2H_latency (ms): min = 0.08606910705566406, max = 0.08606910705566406, mean = 0.08606910705566406, \
median = 0.08606910705566406, percentile(99%) = 0.08606910705566406
[INFO] throughput (1000*batchsize/NPU_compute_time): 171.5691219234638
[INFO] ------------------------------------------------------
"""
AIS_2022_08 = """\
[INFO] warm up 5 times done
[INFO] get filesperbatch files0 size:24084480 tensor0size:24084480 filesperbatch:1 runcount:3779
[INFO] throughput 1000*batchsize(1)/NPU_compute_time.mean(19.04405264540241): 52.50983173696586
"""
AIS_2023 = """\
[INFO] try get model batchsize:1
[INFO] warm up 1 done
Inference array Processing: 100%|██████████████| 1/1 [00:00<00:00, 10.73it/s]
[INFO] -----------------Performance Summary------------------
[INFO] NPU_compute_time (ms): min = 2.4560000896453857, max = 2.4560000896453857, mean = 2.4560000896453857, \
median = 2.4560000896453857, percentile(99%) = 2.4560000896453857
[INFO] throughput 1000*batchsize.mean(1)/NPU_compute_time.mean(2.4560000896453857): 407.16610891670894
"""
GHOSTNET = {
    "filesinfo": {"0": {"infiles": ["./prep/a.bin"], "outfiles": ["./res/d/input0_output_0.bin"]}}, "args": [],
    "NPU_compute_time": {"min": 3.8949999809265137, "max": 81.9729995727539, "mean": 4.652794558563232,
                         "median": 3.9760000705718994, "percentile(99%)": 9.564919853210439},
    "H2D_latency": {"min": 1.6279220581054688, "max": 43.206214904785156, "mean": 4.154865646362305,
                    "median": 1.985788345336914, "percentile(99%)": 18.392877578735302},
    "D2H_latency": {"min": 0.045299530029296875, "max": 17.41957664489746, "mean": 0.7445654296875,
                    "median": 0.10347366333007812, "percentile(99%)": 5.664710998535149},
    "throughput": 3438.7935677393734}
TRTEXEC_7 = """\
[11/26/2023-13:46:01] [I] Host Latency
[11/26/2023-13:46:01] [I] min: 2.38086 ms (end to end 2.3877 ms)
[11/26/2023-13:46:01] [I] max: 7.18164 ms (end to end 7.19727 ms)
[11/26/2023-13:46:01] [I] mean: 2.56869 ms (end to end 2.57815 ms)
[11/26/2023-13:46:01] [I] median: 2.50391 ms (end to end 2.51367 ms)
[11/26/2023-13:46:01] [I] percentile: 3.17871 ms at 99% (end to end 3.19629 ms at 99%)
[11/26/2023-13:46:01] [I] throughput: 383.698 qps
[11/26/2023-13:46:01] [I] walltime: 26.0622 s
[12/09/2021-15:01:31] [I] Enqueue Time
[12/09/2021-15:01:31] [I] min: 0.231201 ms
[12/09/2021-15:01:31] [I] max: 0.637817 ms
[12/09/2021-15:01:31] [I] median: 0.251221 ms
[12/09/2021-15:01:31] [I] GPU Compute
[12/09/2021-15:01:31] [I] min: 1.48444 ms
[12/09/2021-15:01:31] [I] max: 1.69983 ms
[12/09/2021-15:01:31] [I] mean: 1.52162 ms
[12/09/2021-15:01:31] [I] median: 1.51758 ms
[12/09/2021-15:01:31] [I] percentile: 1.68805 ms at 99%
[12/09/2021-15:01:31] [I] total compute time: 2.99759 s
&&&& PASSED TensorRT.trtexec # trtexec --onnx=tusimple_Dynamic.onnx --fp16 --shapes=input:4x3x288x800 --threads
"""
RDN_7 = """\
[09/04/2021-07:06:46] [I] GPU Compute
[09/04/2021-07:06:46] [I] min: 38.6577 ms
[09/04/2021-07:06:46] [I] max: 44.8702 ms
[09/04/2021-07:06:46] [I] mean: 39.3814 ms
[09/04/2021-07:06:46] [I] median: 39.0232 ms
[09/04/2021-07:06:46] [I] percentile: 44.8702 ms at 99%
[09/04/2021-07:06:46] [I] total compute time: 3.07175 s
"""
TRTEXEC_8 = """\
[05/17/2022-15:33:49] [I] === Performance summary ===
[05/17/2022-15:33:49] [I] Throughput: 231.086 qps
[05/17/2022-15:33:49] [I] Latency: min = 3.29541 ms, max = 9.36523 ms, mean = 4.41086 ms, median = 4.42065 ms, \
percentile(99%) = 5.40323 ms
[05/17/2022-15:33:49] [I] End-to-End Host Latency: min = 3.48975 ms, max = 10.5285 ms, mean = 6.18173 ms, \
median = 4.84314 ms, percentile(99%) = 10.337 ms
[05/17/2022-15:33:49] [I] Enqueue Time: min = 3.24353 ms, max = 9.43591 ms, mean = 4.12215 ms, median = 4.23169 ms, \
percentile(99%) = 4.6792 ms
[05/17/2022-15:33:49] [I] GPU Compute Time: min = 3.18799 ms, max = 9.24084 ms, mean = 4.29297 ms, \
median = 4.3064 ms, percentile(99%) = 5.28589 ms
[05/17/2022-15:33:49] [I] D2H Latency: min = 0.00317383 ms, max = 0.0352936 ms, mean = 0.00878103 ms, \
median = 0.00585938 ms, percentile(99%) = 0.0248108 ms
"""
TRTEXEC_10 = """\
&&&& RUNNING TensorRT.trtexec [TensorRT v100900] [b34] # trtexec --onnx=resnet50/model.onnx
[04/07/2025-23:59:50] [I] === Performance summary ===
[04/07/2025-23:59:50] [I] Throughput: 691.435 qps
[04/07/2025-23:59:50] [I] Latency: min = 1.4209 ms, max = 3.047 ms, mean = 1.48372 ms, median = 1.43823 ms, \
percentile(90%) = 1.45624 ms, percentile(95%) = 1.71796 ms, percentile(99%) = 2.61597 ms
[04/07/2025-23:59:50] [I] GPU Compute Time: min = 1.38855 ms, max = 3.00439 ms, mean = 1.44357 ms, \
median = 1.39775 ms, percentile(90%) = 1.40308 ms, percentile(95%) = 1.67834 ms, percentile(99%) = 2.57642 ms
[04/07/2025-23:59:50] [I] Total GPU Compute Time: 2.9983 s
[04/07/2025-23:59:50] [W] * GPU compute time is unstable, with coefficient of variance = 13.1794%.
&&&& PASSED TensorRT.trtexec [TensorRT v100900] [b34] # trtexec --onnx=resnet50/model.onnx
"""
HAND_TYPED = ("GPU Compute Time: min = 13.2834 ms \uff0cmax = 14.6467 ms \uff0cmean = 13.8817 ms\uff0c"
              "median = 13.8707 ms\uff0cpercentile( 99%) = 14.6328 ms\n")


@pytest.fixture
def read(tmp_path):
    def call(content, name="log.txt", batch=None):
        (tmp_path / name).write_text(content, encoding="utf-8")
        return perf.read(tmp_path / name, batch)
    return call


@pytest.mark.parametrize("content, batch, rate, e2e, post", [
    (UNETPP_BS1, 1, 428.223, 96.455, 356.654), (UNETPP_BS16, 16, 443.958, 95.2159, 25.8257),
    (DEIT, 16, 32.4487, 29.886, 1.86921), (C3D_OLDER_TAGS, 1, 7.59556, 4.28779, 4.2992)])
def test_perf_vision_of_both_tag_generations(read, content, batch, rate, e2e, post):
    found = read(content, f"perf_vision_batchsize_{batch}_device_0.txt")
    assert (found.tool, found.backend, found.batch, found.samples_per_s) == ("benchmark", "npu", batch, rate)
    assert found.mean_ms == pytest.approx(1000 * batch / rate)
    assert found.details["e2e throughputRate"] == e2e and found.details["post throughputRate"] == post


def test_perf_vision_is_read_by_label_not_by_place(read):
    shuffled = "\n".join(reversed(UNETPP_BS16.splitlines())) + "\n"
    assert read(shuffled).samples_per_s == 443.958


def test_exponents_are_numbers(read):
    assert read(DEIT).details["e2e latency"] == 1673030


@pytest.mark.parametrize("content", [
    UNETPP_BS1.replace("\n", " "), "".join(UNETPP_BS1.splitlines(True)[:4]), UNETPP_BS1[:-4], UNETPP_BS1[:70]])
def test_a_perf_vision_file_without_newlines_or_cut_off_is_an_error(read, content):
    with pytest.raises(UserError, match="log.txt: (is cut off|expected one)"):
        read(content)


def test_pure_inference_from_its_file_and_from_what_it_prints(read):
    found = read("ave_throughputRate = 5.20623samples/s, ave_latency = 192.894ms", batch=4)
    assert (found.tool, found.samples_per_s) == ("benchmark-pure", 5.20623)
    assert found.mean_ms == pytest.approx(4 * 192.894)
    assert read("ave_throughputRate = 974.27samples/s, ave_latency = 1.02917ms").mean_ms is None
    printed = read(UFLD_PURE)
    assert printed.samples_per_s == 323.826 and printed.details["ave_latency"] == 3.08851
    assert printed.mean_ms == pytest.approx((49.436 + 49.493 + 49.343) / 3)
    assert read("[INFO] ave_thoroughputRate: 10.5samples/s, ave_latency: 95.2ms").samples_per_s == 10.5


def test_msame_logs_of_both_modes(read):
    loop, folder = read(MSAME_LOOP, batch=1), read(MSAME_FOLDER, batch=2)
    assert (loop.tool, loop.mean_ms) == ("msame", 32.115220) and loop.details["average"] == 32.115267
    assert loop.samples_per_s == pytest.approx(1000 / 32.115220)
    assert folder.mean_ms == 92.92 and folder.samples_per_s == pytest.approx(2000 / 92.92)
    cgan = read("Inference average time: 2.554200 ms\nInference average time without first time: 2.547842 ms\n")
    assert cgan.mean_ms == 2.547842 and cgan.samples_per_s is None
    assert read("Inference average time : 92.93 ms\n").mean_ms == 92.93


def test_msame_median_and_percentile_leave_out_the_first_run(read):
    log = "".join(f"Inference time: {time}ms\n" for time in (90, 10, 11, 12, 13, 14)) + MSAME_FOLDER
    found = read(log)
    assert (found.median_ms, found.min_ms, found.max_ms) == (12, 10, 14)
    assert found.p99_ms == pytest.approx(np.percentile([10, 11, 12, 13, 14], 99))


@pytest.mark.parametrize("content, message", [
    ("[INFO] load model m.om success\n" + MSAME_FOLDER.replace("[INFO] Execute sample success\n", ""), "cut off"),
    ("[INFO] model execute success\nInference time: 32.349ms\n", "average missing"),
    (MSAME_FOLDER + "[ERROR] Sample process failed\n", "msame failed"),
    ("[ERROR] loop must in 1 to 100\n", "the tool failed: .ERROR. loop must in 1 to 100")])  # its exit status is 0
def test_a_failed_or_cut_off_msame_log_is_an_error(read, content, message):
    with pytest.raises(UserError, match=message):
        read(content)


@pytest.mark.parametrize("content, batch, mean, rate, median", [
    (AIS_2022_07, 1, 5.828554630279541, 171.5691219234638, 5.828554630279541),
    (AIS_2022_08, 1, 19.04405264540241, 52.50983173696586, None),
    (AIS_2023, 1, 2.4560000896453857, 407.16610891670894, 2.4560000896453857)])
def test_ais_logs_of_three_wordings(read, content, batch, mean, rate, median):
    found = read(content)
    assert (found.tool, found.backend, found.batch) == ("ais_infer", "npu", batch)
    assert (found.mean_ms, found.samples_per_s, found.median_ms) == (mean, rate, median)


def test_a_cut_off_ais_log_is_an_error(read):
    with pytest.raises(UserError, match="throughput missing"):
        read(AIS_2023[:AIS_2023.index("[INFO] throughput")])


@pytest.mark.parametrize("name, more", [
    ("sumary.json", {}), ("d_summary.json", {"npu_compute_time_list": [4.6], "pid": 7})])
def test_ais_summaries_of_both_layouts(read, name, more):
    found = read(json.dumps({**GHOSTNET, **more}), name)
    assert (found.batch, found.samples_per_s) == (16, 3438.7935677393734)
    assert (found.mean_ms, found.median_ms) == (4.652794558563232, 3.9760000705718994)
    assert (found.p99_ms, found.min_ms, found.max_ms) == (9.564919853210439, 3.8949999809265137, 81.9729995727539)
    assert found.details["H2D_latency mean"] == 4.154865646362305


@pytest.mark.parametrize("content", [json.dumps(GHOSTNET)[:-30], '{"NPU_compute_time": {"mean": 1}}', '{"a": 1}'])
def test_a_cut_off_or_foreign_json_is_an_error(read, content):
    with pytest.raises(UserError, match="log.txt: is"):
        read(content)


@pytest.mark.parametrize("content, batch, mean, median, p99", [
    (TRTEXEC_7, 4, 1.52162, 1.51758, 1.68805), (RDN_7, None, 39.3814, 39.0232, 44.8702),
    (TRTEXEC_8, None, 4.29297, 4.3064, 5.28589), (TRTEXEC_10, None, 1.44357, 1.39775, 2.57642),
    (HAND_TYPED, None, 13.8817, 13.8707, 14.6328)])
def test_trtexec_logs_of_each_generation_give_the_gpu_compute_section(read, content, batch, mean, median, p99):
    found = read(content)
    assert (found.tool, found.backend, found.batch) == ("trtexec", "tensorrt", batch)
    assert (found.mean_ms, found.median_ms, found.p99_ms) == (mean, median, p99)
    assert found.samples_per_s == (None if batch is None else pytest.approx(1000 * batch / mean))


def test_figures_of_a_section_that_is_not_known_are_not_taken_for_gpu_compute(read):
    stamp = "[09/04/2021-07:06:46] [I]"
    assert read(RDN_7 + f"{stamp} New Section\n{stamp} mean: 99 ms\n").mean_ms == 39.3814


def test_the_rate_by_the_median_stands_beside_that_by_the_mean(read):
    found = read(TRTEXEC_7)
    assert found.details["samples/s by the median, as the reference's T4 figures are"] == pytest.approx(4000 / 1.51758)


def test_a_failed_trtexec_log_is_an_error_with_its_first_reason(read):
    log = ("&&&& RUNNING TensorRT.trtexec [TensorRT v8001] # trtexec --onnx=m.onnx --exportLayerInfo\n"
           "[11/30/2022-10:21:06] [E] Unknown option: --exportLayerInfo\n[11/30/2022-10:21:06] [E] Failed\n"
           "&&&& FAILED TensorRT.trtexec [TensorRT v8001] # trtexec --onnx=m.onnx --exportLayerInfo\n")
    with pytest.raises(UserError, match="trtexec failed: Unknown option: --exportLayerInfo$"):
        read(log)


def test_a_path_named_after_trtexec_makes_no_trtexec_log(read):
    assert read("[INFO] load model /home/trtexec/GPU Compute/m.om success\n" + MSAME_FOLDER.replace(
        "[INFO] Execute", "[INFO] pid: 7 Execute"), batch=1).tool == "msame"


def test_trtexec_qps_is_never_the_rate(read):
    assert read(TRTEXEC_8, batch=16).samples_per_s == pytest.approx(1000 / (4.29297 / 16))


@pytest.mark.parametrize("content, message", [
    (TRTEXEC_8[:TRTEXEC_8.index("GPU Compute Time") + 40], "mean, median missing"),
    (TRTEXEC_10[:TRTEXEC_10.index("&&&& PASSED")], "PASSED` is missing"),
    ("".join(TRTEXEC_7.splitlines(True)[:15]), "mean, median missing"),
    (TRTEXEC_8 + "&&&& FAILED TensorRT.trtexec # trtexec\n", "trtexec failed"),
    (RDN_7 + RDN_7.replace("39.3814", "40"), "more than one run")])
def test_a_cut_off_failed_or_doubled_trtexec_log_is_an_error(read, content, message):
    with pytest.raises(UserError, match=message):
        read(content)


@pytest.mark.parametrize("content", ["", "hello\n", "[INFO] acl init success\n"])
def test_a_foreign_text_is_an_error(read, content):
    with pytest.raises(UserError, match="holds none of the figures"):
        read(content)


def test_a_binary_or_missing_file_is_an_error(tmp_path):
    (tmp_path / "x.bin").write_bytes(np.arange(9, dtype=np.float32).tobytes())
    with pytest.raises(UserError, match="is binary"):
        perf.read(tmp_path / "x.bin")
    with pytest.raises(UserError, match="found nothing"):
        perf.read(tmp_path / "gone.txt")


def test_summarise_agrees_with_numpy():
    values = np.random.default_rng(0).exponential(size=137)
    found = timing.summarise(list(values))
    assert found["count"] == 137
    for name, expected in (("mean", values.mean()), ("median", np.median(values)), ("min", values.min()),
                           ("max", values.max()), ("p99", np.percentile(values, 99))):
        assert found[name] == pytest.approx(expected, rel=1e-12)
    assert timing.summarise([3.5])["p99"] == 3.5


@pytest.fixture
def left_by_onnxruntime(tmp_path, monkeypatch, capsys):
    """Run each stand-in; gives {kind: file}."""
    for name in ("DEVICE", "PRECISION", "LIMIT", "RESUME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("THREADS", "1")
    monkeypatch.chdir(tmp_path)
    onnx_models.affine("m.onnx")
    info = [f"{index} bins/{stem}.bin 4 3\n" for index, stem in enumerate(onnx_models.samples("bins", 5))]
    Path("list.info").write_text("".join(info))
    found = {"vision": Path("result/perf_vision_batchsize_2_device_0.txt"),
             "pure": Path("result/PureInfer_perf_of_m_in_device_0.txt"), "pure log": Path("pure.log"),
             "ais": Path("res/d_summary.json"), "ais log": Path("ais.log"),
             "msame log": Path("msame.log")}
    benchmark.main(["-om_path=m.onnx", "-batch_size=2", "-input_text_path=list.info"])
    capsys.readouterr()
    benchmark.main(["-om_path=m.onnx", "-batch_size=2", "-round=3"])
    found["pure log"].write_text(capsys.readouterr().out)
    common = ["--om", "m.onnx", "-i", "bins", "-o", "res", "--batchsize", "2"]
    ais_infer.main([*common, "--output_dirname", "d"])
    found["ais log"].write_text(capsys.readouterr().out)
    ais_infer.main([*common, "--layout", "old"])
    found["ais old"] = result_files.newest("res") / "sumary.json"
    capsys.readouterr()
    msame.main(["--model", "m.onnx", "--input", "bins", "--output", "out"])
    found["msame log"].write_text(capsys.readouterr().out)
    return found


def test_what_onnxruntime_left_is_never_taken_for_an_npu_figure(left_by_onnxruntime):
    for path in left_by_onnxruntime.values():
        assert perf.read(path, 2).backend == "onnxruntime", path
    path = left_by_onnxruntime["vision"]
    path.write_text(UNETPP_BS1)  # the real tool, run later in the same place
    assert perf.read(path).backend == "npu"


def test_the_records_agree_with_the_tools_files(left_by_onnxruntime):
    for kind, record in (("vision", "result/onnxruntime_batchsize_2_device_0.json"), ("ais", "res/d_onnxruntime.json"),
                         ("ais old", performance.sidecar(left_by_onnxruntime["ais old"])), ("ais log", "res/d_onnxruntime.json")):
        file, whole = perf.read(left_by_onnxruntime[kind]), perf.read(record)
        assert whole.backend == "onnxruntime" and whole.batch == file.batch == 2
        assert whole.tool == file.tool
        assert whole.mean_ms == pytest.approx(file.mean_ms, rel=1e-5)
        assert whole.samples_per_s == pytest.approx(file.samples_per_s, rel=1e-5)
    pure = perf.read("result/onnxruntime_pure_m_device_0.json")
    assert pure.mean_ms == pytest.approx(perf.read(left_by_onnxruntime["pure"], 2).mean_ms, rel=1e-5)
    assert pure.tool == "benchmark-pure" and pure.details["end_to_end_samples_per_s"] > 0


def test_newest_goes_by_time_because_names_do_not_sort(tmp_path):
    for age, name in enumerate(["20211217_11_36_6_921476", "202388_18_34_56_79658", "20210916_154109",
                                "2022_12_17-07_37_18"]):
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, (time.time() - age * 10,) * 2)
    for name in ("profiler", "dump"):
        (tmp_path / name).mkdir()
    (tmp_path / "20991231_1_1_1_1_onnxruntime.json").write_text("{}")
    assert result_files.newest(tmp_path).name == "20211217_11_36_6_921476"


def test_newest_of_an_empty_folder_is_an_error(tmp_path):
    with pytest.raises(UserError, match="holds no result folder"):
        result_files.newest(tmp_path)


def test_the_command_prints_a_block_a_field_or_the_newest_folder(tmp_path):
    log = tmp_path / "perf_vision_batchsize_16_device_0.txt"
    log.write_text(UNETPP_BS16)
    block = onnx_models.tool("perf", log, cwd=tmp_path)
    assert block.returncode == 0
    for text in ("benchmark, measured by npu", "batch 16", "443.958", "e2e latency: 1407.33"):
        assert text in block.stdout
    assert onnx_models.tool("perf", "--field", "samples_per_s", log, cwd=tmp_path).stdout == "443.958\n"
    (tmp_path / "out" / "202388_18_34_56_79658").mkdir(parents=True)
    newest = onnx_models.tool("perf", "newest", "out", cwd=tmp_path)
    assert newest.stdout == "out/202388_18_34_56_79658\n"


def test_the_command_fails_with_one_line(tmp_path):
    (tmp_path / "x.txt").write_text("hello")
    one_line_error(onnx_models.tool("perf", "x.txt", cwd=tmp_path), "x.txt", "none of the figures")
    (tmp_path / "m.log").write_text(MSAME_FOLDER)
    one_line_error(onnx_models.tool("perf", "--field", "samples_per_s", "m.log", cwd=tmp_path), "give --batch N")
    assert onnx_models.tool("perf", cwd=tmp_path).returncode == 2


def test_reading_loads_neither_numpy_nor_onnxruntime(tmp_path):
    (tmp_path / "x.txt").write_text(UNETPP_BS1)
    result = onnx_models.tool("perf", "x.txt", cwd=tmp_path, PYTHONPROFILEIMPORTTIME="1")
    assert result.returncode == 0 and "argparse" in result.stderr
    assert "numpy" not in result.stderr and "onnxruntime" not in result.stderr
