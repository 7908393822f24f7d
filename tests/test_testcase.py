"""What ModelZoo's self-test accepts; the scripts themselves are run in test_dist.py."""
from __future__ import annotations

import copy
import re

import pytest

from common.base.errors import UserError
from common.npu import testcase
from conftest import MODELS, ROOT

REPORT = {"model": "EDSR", "agreement": {"verdict": "pass", "samples": 2, "cosine": 1.0}, "performance": [
    {"model": "x.onnx", "batch": 1, "samples_per_s": 2.5, "compute_ms": {"mean": 400.0}, "backend": "onnxruntime",
     "provider": "CPUExecutionProvider", "device": "a CPU"}]}


def test_agreement_and_a_measured_speed_pass_and_are_told():
    assert testcase.check(REPORT) == [
        "EDSR: 2 samples agree with PyTorch, cosine 1.000000000",
        "x.onnx, batch 1: 2.5 samples/s, 400 ms mean device compute, by onnxruntime, CPUExecutionProvider, a CPU"]


@pytest.mark.parametrize("break_it, part", [
    (lambda report: report["agreement"].update(verdict="fail"), "do not agree"),
    (lambda report: report.update(agreement=None), "do not agree"),
    (lambda report: report.update(performance=[]), "no run was timed"),
    (lambda report: report["performance"][0].update(samples_per_s=0.0), "was not timed"),
    (lambda report: report["performance"][0].update(samples_per_s=float("nan")), "was not timed")])
def test_without_agreement_or_speed_it_fails(break_it, part):
    report = copy.deepcopy(REPORT)
    break_it(report)
    with pytest.raises(UserError, match=part):
        testcase.check(report)


@pytest.mark.parametrize("folder", [*MODELS, "common/dev/template"])
def test_a_folder_without_makefile_is_tested_on_what_make_tests_it_on(folder):
    script, make = (ROOT / folder / name for name in ("test/offline_inference_testcase.sh", "Makefile"))
    widths, drawn = (re.findall(rf"^{name} *:?= (.*)$", make.read_text(), re.MULTILINE) for name in ("SELFTEST", "DEMO"))
    seeded = re.findall(r"^seeded=\((.*)\)$", script.read_text(), re.MULTILINE)
    assert [text.replace('"', "") for text in seeded] == widths
    assert re.findall(r"-m common\.data\.demo\.(\w+) ", script.read_text()) == [text.split()[0] for text in drawn]
