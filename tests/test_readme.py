"""The READMEs' results: they agree with the facts they quote, and writing them again changes nothing."""
from __future__ import annotations

import json
import re
import shutil

import pytest

from common.base import facts, files
from common.base.errors import UserError
from common.dev import readme
from conftest import MODELS, ROOT, one_line_error
from test_report import full, run_record


def between_marks(path):
    text = path.read_text(encoding="utf-8")
    assert text.count(readme.BEGIN) == text.count(readme.END) == 1, path
    return text[text.index(readme.BEGIN) + len(readme.BEGIN):text.index(readme.END)]


def cells(text):
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]


@pytest.mark.parametrize("name", MODELS)
def test_the_tables_quote_every_reference_figure_of_the_facts_and_no_other(name):
    rows = cells(between_marks(ROOT / name / "README.md"))
    quoted = {(*row[:3], row[4]) if "/s" in row[2] else tuple(row) for row in rows
              if row[0].startswith(("reference: ", "published: "))}
    raw = json.loads((ROOT / name / "facts.json").read_text(encoding="utf-8"))["references"]
    expected = set()
    for entry in raw:
        figure = f"{entry['value']:.6g} {entry['unit']}".strip()
        if entry["quantity"] == "throughput":
            expected.add((f"reference: {entry['device']}", str(entry.get("batch") or ""), figure, entry["definition"]))
            assert entry["device"] == "GPU" or any(row[:3] == [f"reference: {entry['device']}", str(entry.get("batch") or ""), figure]
                                                   and row[3].endswith(" TFLOPS)") for row in rows)
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
    for file in ("README.md", "README.zh.md", "facts.json", "results.json"):
        if (ROOT / name / file).is_file():
            shutil.copy(ROOT / name / file, tmp_path / file)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    result = run("-m", "common.dev.readme", cwd=tmp_path)
    assert result.returncode == 0 and result.stdout.count("nothing to change") == 2, result.stderr
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_the_collections_table_is_as_written(tmp_path):
    text = readme.overview([facts.load(ROOT / name) for name in MODELS], [readme.kept(ROOT / name) for name in MODELS])
    assert between_marks(ROOT / "README.md") == f"\n{text}\n"
    assert [row[0] for row in cells(text)[2:]] and {row[0] for row in cells(text)[2:]} == set(MODELS)
    demo = [row for row in cells(text)[2:] if row[1].startswith("demo data")]
    assert demo and {row[3] for row in demo} == {"-"}  # the reference is of other data


@pytest.fixture
def folder(tmp_path):
    shutil.copy(ROOT / "EDSR/facts.json", tmp_path / "facts.json")
    (tmp_path / "README.md").write_text(f"# Title\n\nabove\n\n{readme.BEGIN}\nold\n{readme.END}\n\nbelow\n")
    return tmp_path


def test_a_report_is_taken_up_and_again_changes_nothing(folder, run):
    files.write_json(folder / "report.json", full(inputs={"data": "/home/me/Set5", "checkpoint": "/home/me/edsr.pt"},
                                                  value=33.25, sweep=[run_record(batch=4, mean=50.0)]))
    first = run("-m", "common.dev.readme", "--report", "report.json", cwd=folder)
    assert first.returncode == 0, first.stderr
    text = (folder / "README.md").read_text()
    assert text.startswith("# Title\n\nabove\n") and text.endswith("\nbelow\n") and "old" not in text
    assert "/home/me" not in text + (folder / "results.json").read_text()
    rows = cells(text)
    assert ["here: ONNX Runtime 1.24.4, 2 CPU cores: PSNR", "Set5, edsr.pt", "100", "33.25 dB",
            "bicubic 12.5; 34.6 PyTorch on the same samples with the same checkpoint: fail"] in rows
    (timed,) = [row for row in rows if row[1] == "4" and row[0].startswith("here")]
    assert timed[2] == "80 samples/s" and "mean 50," in timed[4] and "no NPU figure" in timed[4] and not timed[3]
    second = run("-m", "common.dev.readme", "--report", "report.json", cwd=folder)
    assert "nothing to change" in second.stdout and (folder / "README.md").read_text() == text


def test_a_newer_run_on_the_same_data_replaces_the_older_and_another_is_added(folder):
    first, newer = readme.entry(full(value=33.0), "Set5"), readme.entry(full(value=34.0), "Set5")
    other = readme.entry(full(value=30.0), "Set14")
    assert readme.add(readme.add([first], other), newer) == [newer, other]


def test_seeded_weights_quote_no_accuracy(folder):
    one = full(inputs={"data": "demo", "checkpoint": "seeded"})
    text = readme.section(facts.load(folder), [readme.entry(one)])[readme.BEGIN]
    assert "| here: ONNX Runtime 1.24.4, 2 CPU cores: PSNR" not in text
    assert "demo data, seeded weights, never trained" in text and "ONNX against PyTorch" in text


def test_a_readme_without_marks_is_one_line_and_left_alone(folder, run):
    (folder / "README.md").write_text(f"{readme.END} {readme.BEGIN}")
    one_line_error(run("-m", "common.dev.readme", cwd=folder), "README.md: expected the marks")
    assert re.fullmatch(r"<!-- results:end --> <!-- results:begin -->", (folder / "README.md").read_text())
    with pytest.raises(UserError, match="holds no measurement"):
        readme.entry(full(runs=[]))


@pytest.fixture
def chinese(folder):
    """The folder with a Chinese README, whose tables are empty."""
    marks = "\n".join(f"{mark}\n{readme.END}\n" for mark in readme.BEGIN_ZH.values())
    (folder / "README.zh.md").write_text(f"# 标题\n\n{marks}", encoding="utf-8")
    return folder


def test_the_chinese_readme_gets_the_same_figures_in_chinese(chinese, run):
    files.write_json(chinese / "report.json", full(inputs={"data": "/home/me/Set5", "checkpoint": "/home/me/edsr.pt"},
                                                   value=33.25, sweep=[run_record(batch=4, mean=50.0)]))
    result = run("-m", "common.dev.readme", "--report", "report.json", cwd=chinese)
    assert result.returncode == 0 and result.stdout.count(": written") == 2, result.stderr
    rows = cells((chinese / "README.zh.md").read_text(encoding="utf-8"))
    assert rows[0] == ["精度", "数据与权重", "样本数", "结果", "说明"]
    assert ["实测，ONNX Runtime 1.24.4，2 个 CPU 核：PSNR", "Set5，edsr.pt", "100", "33.25 dB",
            "双三次插值 12.5；34.6 为 PyTorch 在相同样本、相同权重上的结果：不通过"] in rows
    assert ["实测，ONNX Runtime 1.24.4，2 个 CPU 核：ONNX 与 PyTorch 的一致性", "Set5，edsr.pt", "3",
            "余弦相似度 0.9990000", "最大差值 0.5：通过"] in rows
    assert ["参考值，310：PSNR", "DIV2K 0801–0900，x2，补边至 1020", "", "34.6069 dB", ""] in rows
    assert ["公开精度：PSNR", "DIV2K 0801–0900，x2", "", "34.61 dB", ""] in rows
    assert ["吞吐率", "批大小", "结果", "占标称峰值", "定义"] in rows
    (timed,) = [row for row in rows if row[1] == "4" and row[0].startswith("实测")]
    assert timed == ["实测，ONNX Runtime 1.24.4，2 个 CPU 核，`a.onnx`", "4", "80 samples/s", "",
                     "单批设备计算时间 7 次：均值 50 ms，中位数 47.5 ms，99 分位 72.5 ms；端到端 3.5 samples/s；不是 NPU 数据"]
    english = cells((chinese / "README.md").read_text(encoding="utf-8"))
    assert len(english) == len(rows) and "实测" not in (chinese / "README.md").read_text(encoding="utf-8")


def test_the_published_figure_and_a_gpu_are_named_in_both_languages(folder):
    one = full(value=34.6)
    one["accuracy"].update(reference=34.61, source="published, DIV2K 0801-0900, x2", verdict="pass")
    one["performance"][-1].update(provider="CUDAExecutionProvider", device="Tesla T4")
    model, results = facts.load(folder), [readme.entry(one, "DIV2K")]
    assert "here: ONNX Runtime 1.24.4, Tesla T4: PSNR" in readme.section(model, results)[readme.BEGIN]
    assert "34.61 published, DIV2K 0801-0900, x2: pass" in readme.section(model, results)[readme.BEGIN]
    chinese = readme.section_zh(model, results)[readme.BEGIN_ZH["accuracy"]]
    assert "实测，ONNX Runtime 1.24.4，Tesla T4：PSNR" in chinese
    assert "34.61 公开精度，DIV2K 0801–0900，x2：通过" in chinese


def test_a_narrower_networks_speed_carries_a_warning_in_both_languages(folder):
    one = full()
    one["network"] = {"parameters": 12345, "reference_parameters": 1369883, "reference_size": False}
    model, results = facts.load(folder), [readme.entry(one)]
    assert "12 thousand parameters, the reference's 1.37 million: speeds cannot be compared |" in readme.section(
        model, results)[readme.BEGIN]
    assert "所测网络有 12,345 个参数，参考网络有 1,369,883 个：速度不可比较 |" in readme.section_zh(
        model, results)[readme.BEGIN_ZH["throughput"]]
    one["network"]["reference_size"] = True
    assert readme.entry(one)["speeds"] is None


@pytest.mark.parametrize("spoil", [
    lambda marks: marks[:1], lambda marks: marks[::-1], lambda marks: [*marks, marks[0]],
    lambda marks: [*marks, readme.BEGIN], lambda marks: [*marks, readme.END]])
def test_a_chinese_readme_with_other_marks_is_one_line_and_left_alone(chinese, run, spoil):
    text = "\n".join(f"{mark}\nkept\n{readme.END}" for mark in spoil(list(readme.BEGIN_ZH.values())))
    (chinese / "README.zh.md").write_text(text, encoding="utf-8")
    one_line_error(run("-m", "common.dev.readme", cwd=chinese), "README.zh.md: expected the marks", "zh accuracy")
    assert (chinese / "README.zh.md").read_text(encoding="utf-8") == text
