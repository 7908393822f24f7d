"""The READMEs' results: they agree with the facts they quote, and writing them again changes nothing."""
from __future__ import annotations

import json
import re
import shutil

import pytest

from common import facts, files, readme
from common.errors import UserError
from conftest import ROOT, one_line_error
from test_report import full, run_record

MODELS = sorted(path.parent.name for path in ROOT.glob("*/facts.json"))


def between_marks(path):
    text = path.read_text(encoding="utf-8")
    assert text.count(readme.BEGIN) == text.count(readme.END) == 1, path
    return text[text.index(readme.BEGIN) + len(readme.BEGIN):text.index(readme.END)]


def cells(text):
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]


@pytest.mark.parametrize("name", MODELS)
def test_the_tables_quote_every_reference_figure_of_the_facts_and_no_other(name):
    rows = cells(between_marks(ROOT / name / "README.md"))
    quoted = {tuple(row) for row in rows if row[0].startswith(("reference: ", "published: "))}
    raw = json.loads((ROOT / name / "facts.json").read_text(encoding="utf-8"))["references"]
    expected = set()
    for entry in raw:
        figure = f"{entry['value']:.6g} {entry['unit']}".strip()
        if entry["quantity"] == "throughput":
            expected.add((f"reference: {entry['device']}", str(entry.get("batch") or ""), figure, entry["definition"]))
        else:
            who = "published" if entry["device"] == "published" else f"reference: {entry['device']}"
            expected.add((f"{who}: {entry['quantity']}", entry["definition"], "", figure, ""))
    assert quoted == expected


@pytest.mark.parametrize("name", MODELS)
def test_the_tables_quote_the_kept_results(name):
    text = between_marks(ROOT / name / "README.md")
    path = ROOT / name / "results.json"
    kept = json.loads(path.read_text()) if path.is_file() else []
    assert text.count("| here: ") == sum(bool(each["accuracy"]) + bool(each["agreement"]) + len(each["performance"])
                                         for each in kept)
    for result in kept:
        assert not {"/", "~"} & set(result["data"] + result["weights"])
        if result["accuracy"]:
            assert f"{result['accuracy']['value']:.6g}" in text


@pytest.mark.parametrize("name", MODELS)
def test_writing_a_readme_again_changes_nothing(name, tmp_path, run):
    for file in ("README.md", "facts.json", "results.json"):
        if (ROOT / name / file).is_file():
            shutil.copy(ROOT / name / file, tmp_path / file)
    before = (tmp_path / "README.md").read_bytes()
    result = run("-m", "common.readme", cwd=tmp_path)
    assert result.returncode == 0 and "nothing to change" in result.stdout, result.stderr
    assert (tmp_path / "README.md").read_bytes() == before


def test_the_collections_table_is_as_written(tmp_path):
    models = [line for line in (ROOT / "Makefile").read_text().splitlines() if line.startswith("ALL_MODELS := ")]
    names = models[0].split()[2:]
    text = readme.overview([facts.load(ROOT / name) for name in names], [readme.kept(ROOT / name) for name in names])
    assert between_marks(ROOT / "README.md") == f"\n{text}\n"
    assert [row[0] for row in cells(text)[2:]] and {row[0] for row in cells(text)[2:]} == set(names)


@pytest.fixture
def folder(tmp_path):
    shutil.copy(ROOT / "EDSR/facts.json", tmp_path / "facts.json")
    (tmp_path / "README.md").write_text(f"# Title\n\nabove\n\n{readme.BEGIN}\nold\n{readme.END}\n\nbelow\n")
    return tmp_path


def test_a_report_is_taken_up_and_again_changes_nothing(folder, run):
    files.write_json(folder / "report.json", full(inputs={"data": "/home/me/Set5", "checkpoint": "/home/me/edsr.pt"},
                                                  value=33.25, sweep=[run_record(batch=4, mean=50.0)]))
    first = run("-m", "common.readme", "--report", "report.json", cwd=folder)
    assert first.returncode == 0, first.stderr
    text = (folder / "README.md").read_text()
    assert text.startswith("# Title\n\nabove\n") and text.endswith("\nbelow\n") and "old" not in text
    assert "/home/me" not in text + (folder / "results.json").read_text()
    rows = cells(text)
    assert ["here: ONNX Runtime 1.24.4, 2 CPU cores: PSNR", "Set5, edsr.pt", "100", "33.25 dB",
            "bicubic 12.5; 34.6 PyTorch on the same samples with the same checkpoint: fail"] in rows
    (timed,) = [row for row in rows if row[1] == "4" and row[0].startswith("here")]
    assert timed[2] == "80 samples/s" and "mean 50," in timed[3] and "no NPU figure" in timed[3]
    second = run("-m", "common.readme", "--report", "report.json", cwd=folder)
    assert "nothing to change" in second.stdout and (folder / "README.md").read_text() == text


def test_a_newer_run_on_the_same_data_replaces_the_older_and_another_is_added(folder):
    first, newer = readme.entry(full(value=33.0), "Set5"), readme.entry(full(value=34.0), "Set5")
    other = readme.entry(full(value=30.0), "Set14")
    assert readme.add(readme.add([first], other), newer) == [newer, other]


def test_seeded_weights_quote_no_accuracy(folder):
    one = full(inputs={"data": "demo", "checkpoint": "seeded"})
    text = readme.section(facts.load(folder), [readme.entry(one)])
    assert "| here: ONNX Runtime 1.24.4, 2 CPU cores: PSNR" not in text
    assert "demo data, seeded weights, never trained" in text and "ONNX against PyTorch" in text


def test_a_readme_without_marks_is_one_line_and_left_alone(folder, run):
    (folder / "README.md").write_text(f"{readme.END} {readme.BEGIN}")
    one_line_error(run("-m", "common.readme", cwd=folder), "README.md: expected the marks")
    assert re.fullmatch(r"<!-- results:end --> <!-- results:begin -->", (folder / "README.md").read_text())
    with pytest.raises(UserError, match="holds no measurement"):
        readme.entry(full(runs=[]))
