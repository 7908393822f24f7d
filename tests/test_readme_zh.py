"""The Chinese READMEs: ModelZoo's chapters, and the same commands, names and figures as the English ones."""
from __future__ import annotations

import json
import re
from collections import Counter

import pytest

from common.dev import dist
from conftest import MODELS, ROOT

CHAPTERS = ["模型概述", "环境", "模型转换", "数据集", "离线推理", "精度", "性能"]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
TABLES = re.compile(r"<!-- results:begin.*?<!-- results:end -->", re.DOTALL)


def read(name, file):
    return (ROOT / name / file).read_text(encoding="utf-8")


def commands(text):
    """The shell commands of a README's fenced blocks, in order, a line that ends in a backslash with the next one."""
    blocks = "".join(block for language, block in FENCE.findall(text) if language in ("", "bash", "sh", "shell"))
    lines = [line.strip() for line in re.sub(r"\\\n\s*", "", blocks).splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def headings(text):
    """(level, title) of each heading, the title's own aside."""
    return [(len(marks), title) for marks, title in re.findall(r"^(##+) (.+)$", FENCE.sub("", text), re.MULTILINE)]


def chapters(text):
    """The text of each chapter, by its number."""
    parts = re.split(r"^## (\d+) .+$", text, flags=re.MULTILINE)
    return dict(zip(map(int, parts[1::2]), parts[2::2]))


def in_order(few, many):
    """Whether `few` are among `many` in the same order."""
    rest = iter(many)
    return all(each in rest for each in few)


def numbers(text):
    """Figures of three digits and more, and fractions; 5,490,680 and 5490680 are one."""
    plain = re.sub(r"(?<=\d),(?=\d{3}(?!\d))", "", text)
    return {each for each in re.findall(r"(?<![\w.])\d+(?:\.\d+)?(?:e-?\d+)?", plain) if len(each) >= 3}


def cells(text):
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]


@pytest.mark.parametrize("name", MODELS)
def test_the_chapters_are_numbered_and_come_in_modelzoos_order(name):
    text = read(name, "README.zh.md")
    titles = [title for level, title in headings(text) if level == 2 and title != "目录"]
    assert [title.split()[0] for title in titles] == [str(number) for number in range(1, len(titles) + 1)]
    assert len(titles) >= len(CHAPTERS)
    for word, title in zip(CHAPTERS, titles):
        assert word in title
    chapter = counted = 0
    for level, title in headings(text):
        if level == 2:
            chapter, counted = chapter + (title != "目录"), 0
        if level == 3:
            counted += 1
            assert title.split()[0] == f"{chapter}.{counted}", title


@pytest.mark.parametrize("name", MODELS)
def test_the_table_of_contents_links_every_heading_in_order(name):
    text = read(name, "README.zh.md")
    contents = text[text.index("## 目录\n"):text.index("## 1 ")]
    links = re.findall(r"^( *)- \[(.+?)\]\(#(.+?)\)$", contents, re.MULTILINE)
    expected = [(level, title) for level, title in headings(text) if title != "目录"]
    assert [(2 + len(indent) // 2, title) for indent, title, _ in links] == expected
    for _, title, anchor in links:  # as GitHub and Gitee make an anchor of a heading
        assert anchor == re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


@pytest.mark.parametrize("name", MODELS)
def test_both_readmes_hold_the_same_commands(name):
    english, chinese = commands(read(name, "README.md")), commands(read(name, "README.zh.md"))
    assert len(english) >= 10 and Counter(chinese) == Counter(english)


@pytest.mark.parametrize("name", MODELS)
def test_each_chapter_has_its_commands_in_the_order_of_the_english_readme(name):
    english, found = commands(read(name, "README.md")), {}
    for number, text in chapters(read(name, "README.zh.md")).items():
        found[number] = commands(text)
        assert in_order(found[number], english), number
    assert all(found[number] for number in range(2, 8))  # every step from the environment to performance has some
    # and what they do belongs there
    words = {2: "env.sh", 3: "pth2onnx.py", 4: "reprocess", 5: "common.", 6: "postprocess", 7: "perf_t4.sh"}
    for number, word in words.items():
        assert any(word in each for each in found[number]), number
    assert not commands(read(name, "README.zh.md").split("\n## 1 ")[0])


@pytest.mark.parametrize("name", MODELS)
def test_every_name_and_option_in_the_text_stands_in_the_english_readme_or_in_the_folder(name):
    english, chinese = read(name, "README.md"), FENCE.sub("", TABLES.sub("", read(name, "README.zh.md")))
    plain = " ".join(english.split())
    for span in set(re.findall(r"`([^`\n]+)`", chinese)):
        assert span in plain or (ROOT / name / span).exists(), span


@pytest.mark.parametrize("name", MODELS)
def test_every_figure_in_the_text_stands_in_the_english_readme(name):
    chinese = FENCE.sub("", TABLES.sub("", read(name, "README.zh.md")))
    chinese = re.sub(r"^#.*$|^ *- \[.*$|\d+\.\d+ 节", "", chinese, flags=re.MULTILINE)  # without the chapters' numbers
    assert not numbers(chinese) - numbers(read(name, "README.md"))


@pytest.mark.parametrize("name", MODELS)
def test_a_section_that_the_text_points_to_is_there(name):
    text = read(name, "README.zh.md")
    assert set(re.findall(r"(\d+\.\d+) 节", text)) <= {title.split()[0] for _, title in headings(text) if title != "目录"}


@pytest.mark.parametrize("name", MODELS)
def test_the_tables_quote_the_facts_and_the_kept_results(name):
    rows = cells("".join(TABLES.findall(read(name, "README.zh.md"))))
    raw = json.loads(read(name, "facts.json"))
    given = {("" if each["quantity"] != "throughput" else str(each.get("batch") or ""),
              f"{each['value']:.6g} {each['unit']}".strip()) for each in raw["references"]}
    quoted = [row for row in rows if row[0].startswith(("公开精度", "参考值"))]
    assert {(row[1], row[2]) if "/s" in row[2] else ("", row[3]) for row in quoted} == given
    assert len(quoted) == len(raw["references"])
    path = ROOT / name / "results.json"
    taken = [row for row in rows if row[0].startswith("实测，")]
    wanted = []
    for result in json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []:
        if result["accuracy"]:
            wanted.append(f"{result['accuracy']['value']:.6g} {result['accuracy']['unit']}".strip())
        if result["agreement"]:
            wanted.append(f"余弦相似度 {result['agreement']['cosine']:.7f}")
        wanted += [f"{run['samples_per_s']:.4g} samples/s" for run in result["performance"]]
    assert Counter(row[2] if "/s" in row[2] else row[3] for row in taken) == Counter(wanted)


@pytest.mark.parametrize("name", MODELS)
def test_the_tables_are_in_chinese(name):
    """Two English words in a row are a text that nobody has put into Chinese."""
    (accuracy, throughput) = TABLES.findall(read(name, "README.zh.md"))
    for text in (accuracy, throughput):
        lines = "\n".join(text.splitlines()[1:-1]).replace("ONNX Runtime", "")
        assert not re.findall(r"\b[A-Za-z]+ [a-z]{2,}\b", re.sub(r"`.*?`", "", lines))
    assert "| 精度 |" in accuracy or "尚未实测。" in accuracy
    assert "| 吞吐率 |" in throughput
    text = read(name, "README.zh.md")
    part = chapters(text)
    assert accuracy in part[6] and throughput in part[7]


@pytest.mark.parametrize("name", MODELS)
def test_the_readmes_link_to_each_other_in_their_first_lines(name):
    assert any("](README.zh.md)" in line for line in read(name, "README.md").splitlines()[:4])
    assert any("](README.md)" in line for line in read(name, "README.zh.md").splitlines()[:4])


@pytest.mark.parametrize("name", MODELS)
def test_in_a_folder_that_leaves_the_chinese_readme_is_in_front_and_every_link_leads_somewhere(name, tmp_path):
    copied = tmp_path / name
    dist.write(ROOT / name, copied, full=True)
    front, other = ((copied / file).read_text(encoding="utf-8") for file in ("README.md", "README.en.md"))
    assert not (copied / "README.zh.md").exists()
    assert front.splitlines()[0] == read(name, "README.zh.md").splitlines()[0]
    assert other.splitlines()[0] == read(name, "README.md").splitlines()[0]
    assert any("](README.en.md)" in line for line in front.splitlines()[:4])
    assert any("](README.md)" in line for line in other.splitlines()[:4])
    for text in (front, other):
        for link in re.findall(r"\]\(([^)#]+?)\)", FENCE.sub("", text)):
            assert link.startswith("https://") or (copied / link).exists(), link


@pytest.mark.parametrize("name", MODELS)
def test_in_a_folder_that_left_the_tables_are_written_in_each_readmes_language(name, tmp_path, run):
    dist.write(ROOT / name, tmp_path / name, full=True)
    result = run("-m", "common.dev.readme", cwd=tmp_path / name)
    assert result.returncode == 0 and result.stdout.splitlines() == [
        "README.en.md: nothing to change", "README.md: nothing to change"], result.stderr
