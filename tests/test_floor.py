"""An accuracy that no working model has fails with its likely reasons; weights never trained carry a mark, and do not fail."""
from __future__ import annotations

import copy
import json
import re
import subprocess
import sys

import numpy as np
import pytest
import torch

from common.base import facts, files
from common.base.errors import UserError
from common.convert import checkpoint, export
from common.convert.network import network_module
from common.data import variant
from common.judge import reports, verdicts
from common.precision import int8
from common.publish import page, report
from conftest import MODELS, ROOT, environment
from test_make import copy_project, make
from test_report import full, run_record

NARROW = {"EDSR": {"blocks": 1, "features": 8}, "CGAN": {"hidden": 16, "wide": 8, "narrow": 4},
          "IntraDA": {"blocks": (1, 1, 1, 1), "widths": (4, 4, 4, 4, 4)}, "UNetPlusPlus": {"filters": (4, 8, 8, 8, 8)},
          "Pix2pixHD": {"ngf": 1, "global_blocks": 1, "local_blocks": 1}}
BESIDE = {"EDSR": ("bicubic", 28.0), "CGAN": ("on 1500 real MNIST digits", 99.1), "IntraDA": ("one class everywhere", 2.0),
          "UNetPlusPlus": ("every pixel a nucleus", 0.14), "Pix2pixHD": None}
FLOORS = {"EDSR": 22.0, "CGAN": 19, "IntraDA": 2.0, "UNetPlusPlus": 0.14, "Pix2pixHD": 0.1}
ALONE = {"EDSR": 10, "CGAN": 19, "IntraDA": 1, "UNetPlusPlus": 0.01, "Pix2pixHD": 0.1}
LIKELY = "weights that were never loaded or are of another network"


def accuracy(name, value, beside="", samples=2):
    """What a postprocess leaves. beside: the plain method's name and figure (default: as on usual data)."""
    model, beside = facts.load(ROOT / name), BESIDE[name] if beside == "" else beside
    return {"metric": model.metric.name, "unit": model.metric.unit, "definition": "d", "value": value, "samples": samples,
            "baseline": beside and {"name": beside[0], "value": beside[1]},
            "rows": [{"sample": f"s{number}", "value": value} for number in range(samples)]}


# the floor

@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("floors, beside", [(FLOORS, ""), (ALONE, None)], ids=["beside a plain method", "alone"])
def test_at_the_floor_is_a_failed_verdict_with_reasons_though_pytorch_agrees_and_above_it_none(name, floors, beside):
    model, least = facts.load(ROOT / name), floors[name]
    failed = verdicts.judge(model, accuracy(name, least, beside), accuracy(name, least, beside), "0" * 64)
    assert failed["verdict"] == "fail" and LIKELY in failed["doubt"] and f" {least:g} " in failed["doubt"] + " "
    assert verdicts.judge(model, accuracy(name, least, beside), None, "0" * 64)["verdict"] == "fail"
    above = verdicts.judge(model, accuracy(name, least * 1.01, beside), accuracy(name, least, beside), "0" * 64)
    assert above["verdict"] == "pass" and above["doubt"] is None


@pytest.mark.parametrize("name", MODELS)
def test_untrained_weights_pass_at_the_floor_with_the_note_and_fail_where_pytorch_is_better(name):
    model, least = facts.load(ROOT / name), FLOORS[name]
    found = verdicts.judge(model, accuracy(name, least), accuracy(name, least), "0" * 64, untrained=True)
    assert found["verdict"] == "pass" and found["doubt"].endswith("untrained weights, their accuracy says nothing")
    assert verdicts.judge(model, accuracy(name, least), accuracy(name, 2 * least), "0" * 64, True)["verdict"] == "fail"


@pytest.mark.parametrize("name", MODELS)
def test_every_figure_measured_here_is_above_the_floor(name):
    model = facts.load(ROOT / name)
    for result in files.read_json(ROOT / name / "results.json", "results"):
        found = result["accuracy"]
        if found:
            one = {**found, "baseline": BESIDE[name] and {"name": BESIDE[name][0], "value": BESIDE[name][1]},
                   "floor": vars(model.metric.floor), "untrained": False}
            assert reports.doubt(one) is None and reports.doubt({**one, "baseline": None}) is None


def test_a_plain_method_that_is_nearly_right_does_not_fail_a_working_model():
    """Nuclei that fill the images, photos of one class alone."""
    for name, value, plain in (("UNetPlusPlus", 0.9, 0.95), ("UNetPlusPlus", 1.0, 1.0), ("IntraDA", 60.0, 90.0)):
        beside = (BESIDE[name][0], plain)
        assert verdicts.judge(facts.load(ROOT / name), accuracy(name, value, beside), None, "0" * 64)["doubt"] is None


def test_a_plain_method_of_another_name_is_no_floor():
    model = facts.load(ROOT / "EDSR")
    assert verdicts.judge(model, accuracy("EDSR", 20.0, ("bilinear", 28.0)), None, "0" * 64)["doubt"] is None


def test_the_plain_methods_figures_are_those_of_what_they_are_named():
    import intrada_postprocess
    import postprocess_nested_unet
    truth = np.zeros((96, 96), np.uint8)
    truth[:24] = 255
    assert postprocess_nested_unet.score(np.ones((1, 1, 96, 96), np.float32), truth) == pytest.approx(0.25, abs=1e-6)
    true, found = np.array([0] * 60 + [1] * 30 + [2] * 10), np.zeros(100, int)
    histogram = np.zeros((19, 19), np.int64)
    np.add.at(histogram, (true, found), 1)
    assert intrada_postprocess.one_class(histogram) == pytest.approx(intrada_postprocess.mean_iou(histogram)) == 20.0


# what tells it

def failing(**more):
    poor = accuracy("EDSR", 9.0, samples=7)
    return full(accuracy=poor, pytorch=poor, **more)


def marked(untrained):
    record = run_record()
    record["provenance"]["metadata"].update({"untrained": "yes"} if untrained else {})
    return [record]


@pytest.mark.parametrize("untrained", [False, True])
def test_the_report_says_it_on_the_terminal_in_the_table_in_the_file_and_on_the_page(untrained, tmp_path):
    made = failing(runs=marked(untrained))
    files.write_json(tmp_path / "report.json", made)
    read = reports.report(tmp_path / "report.json")
    assert read["accuracy"]["untrained"] is untrained and read["verdict"] == ("pass" if untrained else "fail")
    part = "untrained weights, their accuracy says nothing" if untrained else f"likely {LIKELY}"
    for text in (read["accuracy"]["doubt"], "\n".join(report.lines(read)), "\n".join(report.table([read])),
                 page.build([(read, tmp_path)], 96)):
        assert part in text and "no working model has a PSNR of 22 dB (bicubic on the same samples less 6 dB) or less" in text
    assert report.main(["show", str(tmp_path / "report.json")]) == int(not untrained)


@pytest.mark.parametrize("lie, part", [
    (lambda own: own.update(verdict="pass"), "accuracy says pass, its figures say fail"),
    (lambda own: own.update(doubt=None), "accuracy's doubt is None"),
    (lambda own: own.update(doubt="it is fine"), "accuracy's doubt is 'it is fine'"),
    (lambda own: own.update(untrained=True), "accuracy says fail, its figures say pass")])
def test_a_report_that_was_made_to_pass_is_refused(lie, part, tmp_path):
    made = copy.deepcopy(failing())
    lie(made["accuracy"])
    made["verdicts"]["accuracy"] = made["verdict"] = made["accuracy"]["verdict"]
    files.write_json(tmp_path / "report.json", made)
    with pytest.raises(UserError, match=re.escape(part)):
        reports.report(tmp_path / "report.json")


@pytest.mark.parametrize("name", MODELS)
def test_the_scripts_verdict_reads_the_mark_off_the_checkpoint(name, tmp_path, capsys):
    network = network_module(ROOT / name).seeded(1, **NARROW[name])
    checkpoint.save(network, tmp_path / "marked.pth")
    checkpoint.save(network.state_dict(), tmp_path / "plain.pth")
    files.write_json(tmp_path / "a.json", accuracy(name, FLOORS[name]))
    asked = ["judge", "--model", str(ROOT / name), *(f"--{key}={tmp_path / 'a.json'}" for key in ("accuracy", "pytorch"))]
    assert verdicts.main([*asked, "--pth", str(tmp_path / "plain.pth")]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[-2].endswith(": fail") and f"likely {LIKELY}" in lines[-1]
    assert verdicts.main([*asked, "--pth", str(tmp_path / "marked.pth")]) == 0
    assert capsys.readouterr().out.splitlines()[-1].endswith("untrained weights, their accuracy says nothing")


def test_int8_of_a_model_at_the_floor_fails_and_says_why():
    row = {"accuracy": 0.0, "cosine": 1.0, "relative_euclidean": 0.0}
    verdict, why = int8.decide(facts.load(ROOT / "UNetPlusPlus"), row, row, False, "no working model has it")
    assert verdict == "fail" and "no working model" in why


# the mark

@pytest.mark.parametrize("name", MODELS)
def test_seeded_weights_carry_the_mark_into_the_network_and_stay_a_plain_state_dict(name, tmp_path):
    module, path = network_module(ROOT / name), tmp_path / "x.pth"
    network = module.seeded(1, **NARROW[name])
    checkpoint.save(network, path)
    state = checkpoint.load(path)
    assert state.untrained and checkpoint.untrained(module.from_state(state))
    raw = torch.load(path, weights_only=True)
    assert set(raw) == set(network.state_dict())
    assert network.load_state_dict(raw, strict=True).missing_keys == []
    torch.save({"epoch": 3, "state_dict": raw}, tmp_path / "wrapped.pth")
    assert checkpoint.load(tmp_path / "wrapped.pth").untrained
    torch.save(network.state_dict(), path)  # as one that trained it would
    assert not checkpoint.load(path).untrained and not checkpoint.untrained(module.from_state(checkpoint.load(path)))


@pytest.mark.parametrize("metadata", [{"": {"untrained": "no"}}, {"": 3}, [1], {"": {"version": 1}}])
def test_what_else_a_state_dicts_metadata_hold_is_no_mark(metadata, tmp_path):
    state = torch.nn.Linear(2, 2).state_dict()
    state._metadata = metadata
    torch.save(state, tmp_path / "x.pth")
    assert not checkpoint.load(tmp_path / "x.pth").untrained


def test_the_export_keeps_the_mark_in_the_onnx_file_and_samples_made_for_it_fit_trained_weights(tmp_path):
    def told(network):
        export.export(network, [export.Port("x", (1, 3))], ["y"], tmp_path / "a.onnx", tolerance=1e-4, metadata={"network": "EDSR"})
        return variant.of_model(tmp_path / "a.onnx")
    network = torch.nn.Sequential(torch.nn.Linear(3, 3))
    assert "untrained" not in told(network)
    checkpoint.mark_untrained(network[0])
    assert told(network)["untrained"] == "yes"
    (tmp_path / "a.om").touch()
    assert variant.of_model(tmp_path / "a.om")["untrained"] == "yes"


@pytest.mark.parametrize("name", MODELS)
def test_the_demos_weights_have_no_mark_and_made_all_zero_they_are_refused(name, tmp_path):
    state = checkpoint.load(ROOT / name / "demo.pth")
    assert not state.untrained
    checkpoint.save({key: torch.zeros_like(value) for key, value in state.items()}, tmp_path / "zero.pth")
    with pytest.raises(UserError, match="every value is 0.*never filled"):
        checkpoint.load(tmp_path / "zero.pth")


# the whole way

def spoilt(name, path):
    """Weights that pass for trained ones and give a figure that none has: seeded ones, for UNet++ such as find no nucleus."""
    state = network_module(ROOT / name).seeded(1, **NARROW[name]).state_dict()
    if name == "UNetPlusPlus":
        state["final.bias"] -= 100
    checkpoint.save(state, path)
    return path


def seed(name, path):
    """As a user has them, by the command."""
    widths = [f"{key}={','.join(map(str, value)) if isinstance(value, tuple) else value}" for key, value in NARROW[name].items()]
    subprocess.run([sys.executable, "-m", "common.convert.seed", "--model", ROOT / name, "--output", path, "--seed", "1",
                    *(word for width in widths for word in ("--set", width))], check=True, env=environment(), cwd=ROOT / name)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return copy_project(tmp_path_factory.mktemp("a folder"))


def judged(project, name, pth, *more):
    """make report, and what its report.json has of accuracy."""
    light = ("LIMIT=2", "ROUND=1", "LOOP=1", "PERF_SIZE=32", *(("INPUT=labels", "LIMIT=1") if name == "Pix2pixHD" else ()))
    result = make(project, "-C", name, "report", f"PTH={pth}", *light, *more)
    return result, json.loads((project / name / "build/report.json").read_text())


@pytest.mark.parametrize("name", ["CGAN", *(pytest.param(name, marks=pytest.mark.full) for name in MODELS if name != "CGAN")])
def test_broken_weights_fail_with_reasons_though_pytorch_agrees_seeded_and_working_ones_pass(name, project, tmp_path):
    result, found = judged(project, name, spoilt(name, tmp_path / "x.pth"))
    assert result.returncode == 2 and found["verdicts"]["agreement"] == "pass"
    assert found["accuracy"]["verdict"] == found["verdict"] == "fail" and LIKELY in found["accuracy"]["doubt"]
    assert f"likely {LIKELY}" in result.stdout and f"likely {LIKELY}" in (project / name / "build/report.html").read_text()
    seed(name, tmp_path / "y.pth")
    result, found = judged(project, name, tmp_path / "y.pth")
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr
    assert found["accuracy"]["untrained"] and found["verdict"] == "pass"
    assert found["accuracy"]["doubt"] is None or "untrained weights, their accuracy says nothing" in result.stdout
    result, found = judged(project, name, "demo.pth")
    assert result.returncode == 0 and not found["accuracy"]["untrained"] and found["accuracy"]["doubt"] is None


def test_a_streamed_run_without_pytorchs_results_fails_too(project, tmp_path):
    result, found = judged(project, "CGAN", spoilt("CGAN", tmp_path / "x.pth"), "STREAM=1")
    assert result.returncode == 2 and found["accuracy"]["reference"] is None and found["verdict"] == "fail"
    assert f"likely {LIKELY}" in result.stdout
