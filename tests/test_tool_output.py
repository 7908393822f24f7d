"""What real tools wrote (shared/cases/tool_output), against what is right of it."""
from __future__ import annotations

import re

import numpy as np
import pytest

from common.base.errors import UserError
from common.npu import chip
from common.tools import msame, perf
from conftest import shared

REFUSED = {
    "pure_two_runs.log": "holds more than one run .*1.86946 and 2.72028",
    "msame_empty_dir.log": "msame failed",
    "msame_abort.log": "msame failed: it was aborted .*out_of_range",
    "perf_one_line.txt": "its line ends are gone",
    "perf_fullwidth.txt": "full-width commas",
    "perf_edited.txt": "was edited by hand: .*1063",
    "msame_no_blank.log": "was edited by hand: .*223.21ms",
    "trtexec7_two_runs.log": "holds more than one run",
    "trtexec_excerpt_running.log": "is cut off"}
READ = {
    "msame_dir.log": {"mean_ms": 0.9995, "batch": None},
    "perf_2020.txt": {"samples_per_s": 795.149},
    "pure_thorough.log": {"samples_per_s": 39.546},
    "ais_threads_summary.json": {"samples_per_s": 2400.0, "median_ms": None, "p99_ms": None, "batch": 4},
    "trtexec84_batch16.log": {"batch": 16, "mean_ms": 0.388221, "samples_per_s": 16000 / 0.388221},
    "trtexec7_indented.log": {"mean_ms": 70.0063, "median_ms": 65.8401},
    "trtexec84_streams.log": {"batch": 8192, "mean_ms": 1314.55, "samples_per_s": None},
    "trtexec80_padded.log": {"mean_ms": 636.196, "median_ms": 636.003}}


@pytest.mark.parametrize("name", REFUSED)
def test_a_real_log_that_tells_no_figure_is_refused_for_the_right_reason(name):
    with pytest.raises(UserError, match=REFUSED[name]) as caught:
        perf.read(shared("cases/tool_output", name))
    assert "\n" not in str(caught.value)
    assert ("cut off" in str(caught.value)) == (name == "trtexec_excerpt_running.log")


@pytest.mark.parametrize("name", READ)
def test_a_real_log_gives_its_figures(name):
    found = perf.read(shared("cases/tool_output", name))
    assert {key: getattr(found, key) for key in READ[name]} == pytest.approx(READ[name], rel=1e-12)


def test_a_run_of_several_streams_says_why_it_tells_no_rate(run):
    path = shared("cases/tool_output/trtexec84_streams.log")
    assert "not told by a run of 8 streams" in run("-m", "common.tools.perf", path).stdout
    refused = run("-m", "common.tools.perf", "--field", "samples_per_s", path)
    assert refused.returncode == 1 and "8 streams" in refused.stderr


@pytest.mark.parametrize("name", ["msame_dir.log", "perf_2020.txt", "pure_thorough.log", "trtexec84_batch16.log",
                                  "trtexec7_indented.log"])
def test_two_real_runs_in_one_log_are_refused_whatever_the_tool(name, tmp_path):
    text = shared("cases/tool_output", name).read_text(encoding="utf-8")
    other = re.sub(r"(\d)(?=(ms| ms|samples|,|$))", lambda match: str((int(match[1]) + 1) % 10), text,
                   flags=re.MULTILINE)
    (tmp_path / "log").write_text(text + other, encoding="utf-8")
    with pytest.raises(UserError, match="holds more than one run"):
        perf.read(tmp_path / "log")


def test_a_folders_average_of_two_decimals_is_used_where_the_runs_are_not_all_there(tmp_path):
    text = shared("cases/tool_output/msame_dir.log").read_text(encoding="utf-8")
    (tmp_path / "log").write_text(text.replace("Inference time: 1.283ms\n", ""), encoding="utf-8")
    assert perf.read(tmp_path / "log").mean_ms == 1.0


@pytest.mark.parametrize("shapes, batch", [("x:16x3x4,y:16x2", 16), ("timestep:1,x:10816x64", None), ("x:7", 7),
                                           ("x:10816x64,timestep:1", None), ("a:0:4x3", 4)])
def test_shapes_tell_the_batch_where_all_inputs_agree(shapes, batch, tmp_path):
    text = shared("cases/tool_output/trtexec84_batch16.log").read_text(encoding="utf-8")
    (tmp_path / "log").write_text(text.replace("--batch=16", f"--shapes={shapes}"), encoding="utf-8")
    assert perf.read(tmp_path / "log").batch == batch


@pytest.mark.parametrize("name, shape", [("msame_txt_1x3x2x2.txt", (1, 3, 2, 2)), ("msame_txt_2x3.txt", (2, 3))])
def test_msames_text_has_a_line_per_innermost_row(name, shape, tmp_path):
    right = shared("cases/tool_output", name).read_bytes()
    msame.save_text(str(tmp_path / "out.txt"), np.arange(1, 1 + np.prod(shape), dtype=np.float32).reshape(shape))
    assert (tmp_path / "out.txt").read_bytes() == right


@pytest.mark.parametrize("name, right", [
    ("npu-smi_310b4_alarm.txt", ["Ascend310B4"]), ("npu-smi_910ProB.txt", ["Ascend910ProB"]),
    ("npu-smi_910B4-1.txt", ["Ascend910B4-1"]), ("npu-smi_950_25.7.txt", ["Ascend950PR"]),
    ("npu-smi_a3_24.1.rc3.7.txt", ["Ascend910", "Ascend910"])])
def test_the_table_names_every_chip(name, right):
    assert [found.name for found in chip.chips(shared("cases/tool_output", name).read_text(encoding="utf-8"))] == right


@pytest.mark.parametrize("name, right", [("npu-smi_board_a3.txt", "Ascend910_9392"),
                                         ("npu-smi_board_a2.txt", "Ascend910B4")])
def test_the_board_tells_what_to_compile_for(name, right):
    assert chip.of_board(shared("cases/tool_output", name).read_text(encoding="utf-8")) == right
