"""What make does for the report: the page, the verdict as exit status, the fingerprint, selftest, readme."""
from __future__ import annotations

import json
from pathlib import Path

import pytest

from conftest import ROOT
from test_make import copy_project, make, ran

NARROW = ("SEEDED=blocks=1 features=8", "ROUND=1", "LIMIT=1")


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """A copy of the project with a finished run of EDSR on narrow seeded weights."""
    if not (ROOT / ".venv/installed").exists():
        pytest.fail("run the tests by `make test`: these need the project's own .venv")
    folder = copy_project(tmp_path_factory.mktemp("a folder"))
    result = make(folder, "all", "MODELS=EDSR", *NARROW)
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr
    (folder / "summary.txt").write_text(result.stdout)
    return folder


def test_make_all_ends_with_one_page_and_a_line_per_model(project):
    text = (project / "summary.txt").read_text()
    assert "build/report.html: " in text and "seeded weights, never trained, so no accuracy: EDSR" in text
    (line,) = [line for line in text.splitlines() if line.startswith("EDSR ")]
    assert line.split()[:2] == ["EDSR", "pass"] and "cosine 1.0" in line
    for page in (project / "build/report.html", project / "EDSR/build/report.html"):
        assert page.read_text(encoding="utf-8").count("data:image/") == 5
    one = json.loads((project / "EDSR/build/report.json").read_text())
    assert [entry["stage"] for entry in one["provenance"]["commands"]][:2] == ["size", "export"]
    assert one["provenance"]["commands"][1]["command"].startswith("python3 ../edsr_pth2onnx.py --pth checkpoint.pth")


def test_a_second_run_makes_no_report_anew(project):
    before = (project / "EDSR/build/report.json").stat().st_mtime_ns
    assert ran(make(project, "-C", "EDSR", "all", *NARROW)) == []
    assert (project / "EDSR/build/report.json").stat().st_mtime_ns == before


def test_a_missed_threshold_is_in_the_report_and_is_makes_exit_status(project, tmp_path):
    found = json.loads((project / "EDSR/build/agreement.json").read_text())
    missing = {"cosine": 0.5, "verdict": "fail", "worst": [{**row, "cosine": 0.5} for row in found["worst"]]}
    (tmp_path / "agreement.json").write_text(json.dumps({**found, **missing}))
    missed = f'agreement_CMD=cp "{tmp_path}/agreement.json" agreement.json; false'
    result = make(project, "-C", "EDSR", "all", missed, *NARROW)
    assert result.returncode == 2 and ": fail" in result.stdout
    assert json.loads((project / "EDSR/build/report.json").read_text())["verdict"] == "fail"
    assert "badge fail" in (project / "EDSR/build/report.html").read_text(encoding="utf-8")
    assert make(project, "report", "MODELS=EDSR").returncode == 2
    broken = make(project, "-C", "EDSR", "all", "agreement_CMD=false", *NARROW)
    assert broken.returncode == 2 and not (project / "EDSR/build/agreement.json").exists()
    assert make(project, "-C", "EDSR", "all", *NARROW).returncode == 0


def test_changed_preprocessing_stops_make_before_inference(project):
    script = project / "EDSR/edsr_preprocess.py"
    whole = script.read_text()
    script.write_text(whole.replace("= image.transpose(2, 0, 1)", "= image.transpose(2, 0, 1) / 255"))
    result = make(project, "-C", "EDSR", "infer", *NARROW)
    script.write_text(whole)
    assert result.returncode == 2 and "common.tools.benchmark" not in result.stdout
    errors = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 and "a division by 255 was added" in errors[0]
    assert make(project, "-C", "EDSR", "infer", *NARROW).returncode == 0


def test_selftest_goes_the_whole_way_and_leaves_nothing(project):
    before = {path for path in (project / "EDSR").rglob("*") if "__pycache__" not in path.parts}
    result = make(project, "-C", "EDSR", "selftest")
    assert result.returncode == 0 and "EDSR: selftest passed" in result.stdout, result.stderr
    assert {path for path in (project / "EDSR").rglob("*") if "__pycache__" not in path.parts} == before


def test_a_failed_selftest_shows_the_end_of_its_log(project):
    result = make(project, "-C", "EDSR", "selftest", "SELFTEST=blocks=0")
    assert result.returncode == 2 and "expected a whole number of at least 1" in result.stderr


def test_readme_quotes_the_run_and_again_changes_nothing(project):
    (project / "EDSR/results.json").write_text("[]")  # without the runs that the repository keeps
    first = make(project, "readme", "MODELS=EDSR")
    assert first.returncode == 0, first.stderr
    text = (project / "EDSR/README.md").read_text(encoding="utf-8")
    assert "demo data, seeded weights, never trained" in text and "`edsr_x2_256.onnx`" in text
    (kept,) = json.loads((project / "EDSR/results.json").read_text())
    assert kept["accuracy"] is None and kept["agreement"]["verdict"] == "pass"
    second = make(project, "readme", "MODELS=EDSR")
    assert second.stdout.count("nothing to change") == 3 and (project / "EDSR/README.md").read_text() == text


def test_a_report_before_any_run_says_what_to_do(project):
    result = make(project, "report", "MODELS=CGAN")
    assert result.returncode == 2 and "no model has been run yet" in result.stderr
