"""The report: its schema, its verdicts, the terminal's summary, what stands behind the figures."""
from __future__ import annotations

import copy
import hashlib
import json

import jsonschema
import pytest

from common.base import facts, files, json_files
from common.base.errors import UserError
from common.judge import verdicts
from common.publish import provenance, report
from conftest import MODELS, ROOT

DATE = "2024-05-06T07:08:09+00:00"


def accuracy(value, samples=100):
    return {"metric": "PSNR", "unit": "dB", "definition": "a definition", "value": value, "samples": samples,
            "baseline": {"name": "bicubic", "value": 12.5},
            "rows": [{"sample": f"s{number}", "value": value + (number - (samples - 1) / 2) / samples}
                     for number in range(samples)]}


def agreement(verdict="pass"):
    worst = {"cosine": 0.999 if verdict == "pass" else 0.5, "max_abs": 0.5, "relative_euclidean": 0.01}
    return {"samples": 3, "outputs": 3, **worst, "mean_max_abs": 0.2, "verdict": verdict,
            "worst": [{"file": f"{name}_1.bin", **worst} for name in "abc"]}


def run_record(model="a.onnx", batch=1, mean=20.0, checksum="c" * 64, sha256="a" * 64):
    """An inference's record as common.infer.offline leaves it."""
    return {"recipe": {}, "tool": "benchmark", "provenance": {
                "backend": "onnxruntime", "version": "1.24.4", "provider": "CPUExecutionProvider", "device": "Some CPU",
                "threads": 2, "model": model, "model_sha256": sha256, "metadata": {"checkpoint_sha256": checksum}},
            "date": DATE, "command": ["python3", "-m", "common.tools.benchmark"], "batch": batch, "files_per_batch": 1,
            "warm_up_runs": 1, "sample_count": 7, "compute_ms": {"mean": mean, "median": mean * 0.95, "p99": mean * 1.45,
                                                                 "min": mean * 0.9, "max": mean * 1.5, "count": 7},
            "samples_per_s": 1000 * batch / mean, "end_to_end_s": 2.0, "end_to_end_samples_per_s": 3.5,
            "peak_memory_bytes": 12345678, "definitions": {key: f"what {key} is" for key in (
                "compute_ms", "samples_per_s", "end_to_end_samples_per_s", "peak_memory_bytes")},
            "performance_file": None}


def behind(checksum="c" * 64):
    return {"checkpoint": {"file": "x.pth", "sha256": checksum, "bytes": 5},
            "models": [{"file": "a.onnx", "sha256": "a" * 64, "bytes": None}],
            "commands": [{"stage": "export", "command": "python3 ../x.py"}],
            "versions": {"python": "3.11.2", "numpy": "2.2.6"},
            "machine": {"cpu": "Some CPU", "cores": 2, "threads": 2, "memory_bytes": 10 ** 9, "system": "Linux x86_64",
                        "chips": []}, "collection": None}


def full(name="EDSR", value=34.6, verdict="pass", **more):
    model = facts.load(ROOT / name)
    arguments = {"inputs": {"data": "/data/x", "checkpoint": "/y.pth"}, "accuracy": accuracy(value),
                 "pytorch": accuracy(34.6), "agreement": agreement(verdict), "runs": [run_record()], "behind": behind(),
                 "disk": [{"path": "prep/", "stages": ["preprocess"], "files": 3, "bytes": 999}], **more}
    return report.make(model, **arguments)


# the schema

@pytest.mark.parametrize("path", sorted(json_files.SCHEMAS.glob("*.json")), ids=lambda path: path.name)
def test_every_schema_is_itself_valid(path):
    jsonschema.Draft4Validator.check_schema(json.loads(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("name", MODELS)
def test_a_full_report_fits_the_schema(name):
    made = full(name, sweep=[run_record(batch=4)], om=agreement())
    json_files.check(json.loads(json.dumps(made)), "report", "report.json")
    assert [entry["batch"] for entry in made["performance"]] == [1, 4]


def test_a_bare_report_fits_the_schema():
    made = full(inputs={"data": "none", "checkpoint": "seeded"}, accuracy=None, pytorch=None)
    json_files.check(json.loads(json.dumps(made)), "report", "report.json")
    assert made["accuracy"] is None
    assert made["verdicts"] == {"accuracy": "none", "agreement": "pass", "om_agreement": "none", "peak": "none"}


@pytest.mark.parametrize("break_it", [
    lambda one: one.pop("provenance"), lambda one: one["accuracy"].pop("definition"),
    lambda one: one["accuracy"].update(verdict="good"), lambda one: one["performance"][0].pop("peak_memory_bytes"),
    lambda one: one["performance"][0]["compute_ms"].pop("p99"), lambda one: one["performance"][0].update(threads=0),
    lambda one: one["provenance"]["checkpoint"].update(sha256="abc"), lambda one: one["provenance"].pop("versions"),
    lambda one: one.update(more=1), lambda one: one.update(schema=1), lambda one: one["agreement"].update(cosine=1.5),
    lambda one: one.update(date="yesterday"), lambda one: one["disk"][0].update(bytes="many")])
def test_a_report_that_lacks_or_twists_something_does_not_fit(break_it):
    made = json.loads(json.dumps(full()))
    break_it(made)
    assert not json_files.fits(made, "report")


# verdicts

def test_the_published_figure_counts_for_the_published_checkpoint_on_the_whole_set_only():
    model = facts.load(ROOT / "EDSR")
    own = model.weights["sha256"]
    assert verdicts.judge(model, accuracy(34.60), None, own)["reference"] == 34.61
    assert verdicts.judge(model, accuracy(34.60, 99), accuracy(30.0), own)["reference"] == 30.0
    assert verdicts.judge(model, accuracy(34.60), accuracy(30.0), "0" * 64)["reference"] == 30.0
    assert verdicts.judge(model, accuracy(34.60), None, "0" * 64)["verdict"] == "none"


@pytest.mark.parametrize("value, verdict", [(34.61, "pass"), (34.27, "pass"), (34.26, "fail"), (40, "pass")])
def test_more_than_one_per_cent_below_the_reference_fails(value, verdict):
    model = facts.load(ROOT / "EDSR")
    assert verdicts.judge(model, accuracy(value), None, model.weights["sha256"])["verdict"] == verdict


def test_seeded_weights_yield_agreement_and_no_accuracy():
    made = full(inputs={"data": "demo", "checkpoint": "seeded"}, value=99)
    assert made["accuracy"] is None and made["verdict"] == "pass"
    text = "\n".join(report.lines(made))
    assert "never trained" in text and "drawn by code" in text and "PSNR" not in text


@pytest.mark.parametrize("value, onnx, om, verdict", [
    (34.6, "pass", None, "pass"), (20, "pass", None, "fail"), (34.6, "fail", None, "fail"),
    (34.6, "pass", "fail", "fail")])
def test_one_failed_part_fails_the_report(value, onnx, om, verdict):
    made = full(value=value, verdict=onnx, om=om and agreement(om))
    assert made["verdict"] == verdict


@pytest.mark.parametrize("verb", ["show", "table"])
def test_a_failed_verdict_is_the_exit_status(tmp_path, run, verb):
    files.write_json(tmp_path / "good.json", full())
    files.write_json(tmp_path / "bad.json", full(value=20))
    result = run("-m", "common.publish.report", verb, tmp_path / "good.json")
    assert result.returncode == 0 and "fail" not in result.stdout
    result = run("-m", "common.publish.report", verb, tmp_path / "good.json", tmp_path / "bad.json")
    assert result.returncode == 1 and "fail" in result.stdout and "20" in result.stdout


def test_gap_worst_samples_and_baseline_stand_in_the_report():
    made = full(value=34.0)["accuracy"]
    assert made["reference"] == 34.6 and made["gap_percent"] == pytest.approx(-100 * 0.6 / 34.6)
    assert [row["sample"] for row in made["worst"]] == ["s0", "s1", "s2", "s3", "s4"] and "rows" not in made
    assert made["baseline"] == {"name": "bicubic", "value": 12.5}


def test_a_model_exported_from_another_checkpoint_is_an_error():
    with pytest.raises(UserError, match="a.onnx: was exported from another checkpoint .* than x.pth"):
        full(runs=[run_record(checksum="d" * 64)])
    full(runs=[run_record(checksum="c" * 64)])


def test_a_sweep_of_another_model_file_is_left_out():
    made = full(sweep=[run_record(batch=4), run_record(batch=8, sha256="b" * 64)])
    assert [(entry["batch"], entry["sweep"]) for entry in made["performance"]] == [(1, False), (4, True)]


# the terminal

def test_five_models_fit_one_screen():
    reports = [full(name) for name in MODELS]
    text = report.table(reports)
    assert len(text) <= 24 and max(map(len, text)) <= 120
    for name in MODELS:
        assert any(line.startswith(name) and "pass" in line for line in text)
    assert any("no NPU figure" in line for line in text)


def test_the_table_says_whose_data_and_weights_these_are():
    reports = [full("EDSR", inputs={"data": "demo", "checkpoint": "seeded"}), full("CGAN")]
    text = "\n".join(report.table(reports))
    assert "demo data, drawn by code: EDSR" in text and "never trained, so no accuracy: EDSR" in text
    assert "PSNR" in text  # CGAN's made-up section above, not EDSR's
    assert "PSNR" not in "\n".join(report.table(reports[:1]))


@pytest.mark.parametrize("name", MODELS)
def test_the_summary_of_one_model_holds_every_reference_figure(name):
    text = report.lines(full(name))
    assert len(text) <= 24
    for entry in facts.load(ROOT / name).references:
        if entry.quantity == "throughput":
            assert any(line.startswith(f"  reference {entry.device},") and f"{entry.value:.6g}" in line
                       and entry.definition in line for line in text)


# provenance

def test_disk_counts_every_file_once_and_follows_no_link(tmp_path):
    build, elsewhere = tmp_path / "build", tmp_path / "elsewhere"
    for folder in (build / "prep/bin", build / ".args", elsewhere):
        folder.mkdir(parents=True)
    (build / "prep/bin/a.bin").write_bytes(bytes(100))
    (build / "prep/manifest.json").write_bytes(bytes(11))
    (build / "a.onnx").write_bytes(bytes(7))
    (build / "empty.list").write_bytes(b"")
    (build / ".args/export").write_bytes(bytes(50))
    (elsewhere / "huge.bin").write_bytes(bytes(10000))
    (build / "data").symlink_to(elsewhere)
    (build / "prep/link.bin").symlink_to(elsewhere / "huge.bin")
    stages = [("export", "a.onnx"), ("preprocess", "prep/manifest.json"), ("info", "prep/x.info")]
    found = provenance.disk(stages, build)
    assert found == [{"path": "a.onnx", "stages": ["export"], "files": 1, "bytes": 7},
                     {"path": "prep/", "stages": ["preprocess", "info"], "files": 2, "bytes": 111}]


def test_provenance_holds_commands_checksums_versions_and_machine(tmp_path):
    (tmp_path / ".args").mkdir()
    (tmp_path / ".args/export").write_text('"$INTERPRETER" ../x.py --pth "a b.pth" LIMIT= DEVICE=cpu THREADS=2\n')
    (tmp_path / "weights.pth").write_bytes(b"weights")
    (tmp_path / "checkpoint.pth").symlink_to("weights.pth")
    (tmp_path / "a.onnx").write_bytes(b"model")
    found = provenance.gather([run_record()], [("export", "a.onnx"), ("perf", "p.json")], tmp_path)
    assert found["checkpoint"] == {"file": "weights.pth", "bytes": 7,
                                   "sha256": hashlib.sha256(b"weights").hexdigest()}
    assert found["models"] == [{"file": "a.onnx", "sha256": "a" * 64, "bytes": 5}]
    assert found["commands"] == [{"stage": "export", "command":
                                  'python3 ../x.py --pth "a b.pth" LIMIT= DEVICE=cpu THREADS=2'}]
    import numpy
    assert found["versions"]["numpy"] == numpy.__version__
    assert found["machine"]["threads"] == 2 and found["machine"]["cores"] >= 1
    json_files.check(found, {"$ref": "report.schema.json#/definitions/provenance"}, "provenance")


def test_npu_chips_are_read_off_npu_smi(tmp_path, monkeypatch):
    tool = tmp_path / "npu-smi"
    tool.write_text("#!/bin/sh\ncat <<'END'\n"
                    "| NPU     Name      | Health          | Power(W) Temp(C)  |\n"
                    "| 0       310P3     | OK              | 17.5     58       |\n"
                    "| 0       0         | 0000:AF:00.0    | 0        621      |\nEND\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert provenance.chips() == ["Ascend310P3"]


def test_make_writes_a_report_that_fits_the_schema(tmp_path, run):
    (tmp_path / ".args").mkdir()
    (tmp_path / "checkpoint.pth").write_bytes(b"weights")
    checksum = hashlib.sha256(b"weights").hexdigest()
    (tmp_path / "a.onnx").write_bytes(b"model")
    for name, content in (("inputs", {"data": "demo", "checkpoint": "/w.pth"}), ("accuracy", accuracy(30.0)),
                          ("agreement", agreement()), ("run", run_record(checksum=checksum))):
        files.write_json(tmp_path / f"{name}.json", content)
    result = run("-m", "common.publish.report", "make", "--model", ROOT / "EDSR", "--accuracy", "accuracy.json", "--pytorch",
                 "accuracy.json", "--agreement", "agreement.json", "--om", "none.json", "--run", "run.json", "--sweep",
                 "none.json", "--stage", "export=a.onnx", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    made = json.loads((tmp_path / "report.json").read_text())
    json_files.check(made, "report", "report.json")
    assert made["om_agreement"] is None and made["verdict"] == "pass"
    assert {"path": "a.onnx", "stages": ["export"], "files": 1, "bytes": 5} in made["disk"]
    again = copy.deepcopy(run_record(checksum="e" * 64))
    files.write_json(tmp_path / "run.json", again)
    result = run("-m", "common.publish.report", "make", "--model", ROOT / "EDSR", "--run", "run.json", cwd=tmp_path)
    assert result.returncode == 1 and "exported from another checkpoint" in result.stderr


# the network's size

@pytest.mark.parametrize("told, same", [("1369883", True), ("1370000", True), ("2739766", False), ("17500", False), (None, None),
                                        ("many", None), ("9" * 40, None)])
def test_speeds_of_a_network_of_another_size_are_marked(told, same):
    record = run_record()
    if told:
        record["provenance"]["metadata"]["parameters"] = told
    made = full(runs=[record])
    json_files.check(json.loads(json.dumps(made)), "report", "report.json")
    assert (made["network"] and made["network"]["reference_size"]) is same
    marked = "speeds cannot be compared" in "\n".join(report.lines(made) + report.table([made]))
    assert marked == (same is False)


def test_the_facts_count_the_parameters_of_the_reference_network():
    import edsr
    import nested_unet
    for name, module in (("EDSR", edsr), ("UNetPlusPlus", nested_unet)):
        count = sum(value.numel() for value in module.seeded().parameters())
        assert count == facts.load(ROOT / name).weights["parameters"]
