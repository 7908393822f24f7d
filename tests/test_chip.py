"""Reading the chip's name off `npu-smi info`; the tables are real ones (TOOLS.md 4.3)."""
from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from common.npu import chip
from conftest import MODELS, ROOT, environment, one_line_error, shared

TABLES = {
    "Ascend310P3": """\
+--------------------------------------------------------------------------------------------+
| npu-smi 22.0.0                       Version: 22.0.2                                       |
+-------------------+-----------------+------------------------------------------------------+
| NPU     Name      | Health          | Power(W)     Temp(C)           Hugepages-Usage(page) |
| Chip    Device    | Bus-Id          | AICore(%)    Memory-Usage(MB)                        |
+===================+=================+======================================================+
| 0       310P3     | OK              | 16.5         55                0    / 0              |
| 0       0         | 0000:5E:00.0    | 0            931  / 21534                            |
+===================+=================+======================================================+
""",
    "Ascend310": """\
| npu-smi 21.0.3.1                     Version: 21.0.3.1                       |
| NPU     Name      | Health          | Power(W)          Temp(C)              |
| 0       310       | OK              | 12.8              58                   |
| 0       0         | NA              | 0                 5324 / 8192          |
""",
    "Ascend910B4": """\
| 0     910B4               | OK            | 89.9        39                0    / 0             |
| 0                         | 0000:41:00.0  | 0           0    / 0          2922 / 32768         |
"""}


def fake_npu_smi(folder: Path, text: str, status: int = 0) -> str:
    """Put an `npu-smi` that prints `text` on a PATH, which is given back."""
    folder.mkdir(exist_ok=True)
    (folder / "table").write_text(text)
    tool = folder / "npu-smi"
    tool.write_text(f'#!/bin/bash\n[[ $* == info ]] || exit 9\ncat "{folder}/table"\nexit {status}\n')
    tool.chmod(0o755)
    return f"{folder}{os.pathsep}{os.environ['PATH']}"


@pytest.mark.parametrize("expected", TABLES)
def test_the_chip_is_read_off_real_tables(expected, run, tmp_path):
    result = run("-m", "common.npu.chip", PATH=fake_npu_smi(tmp_path / "bin", TABLES[expected]))
    assert (result.returncode, result.stdout) == (0, expected + "\n"), result.stderr


def test_several_cards_are_listed_and_a_full_name_keeps_its_one_prefix():
    assert [found.name for found in chip.chips(TABLES["Ascend310"] + TABLES["Ascend310P3"])] == [
        "Ascend310", "Ascend310P3"]
    assert [found.name for found in chip.chips("| 0       Ascend910 | Warning         | -  40  |\n")] == ["Ascend910"]


STANDIN = Path(__file__).with_name("ascend") / "npu-smi"


@pytest.mark.parametrize("chip_name, expected", [
    ("Ascend910_9392", "Ascend910_9392"), ("Ascend950PR_9579", "Ascend950PR_9579"), ("Ascend910", "Ascend910"),
    ("910B4-1", "Ascend910B4-1"), ("310P3", "Ascend310P3")])
def test_the_board_decides_where_the_table_names_a_family(chip_name, expected, run, tmp_path):
    (tmp_path / "npu-smi").symlink_to(STANDIN)
    result = run("-m", "common.npu.chip", PATH=f"{tmp_path}{os.pathsep}{os.environ['PATH']}", STANDIN_CHIP=chip_name)
    assert (result.returncode, result.stdout) == (0, expected + "\n"), result.stderr


@pytest.mark.parametrize("name", ["Ascend910_9392", "Ascend950PR_9579"])
def test_a_family_is_never_compiled_for_in_silence(name, run, tmp_path):
    (tmp_path / "npu-smi").symlink_to(STANDIN)
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    one_line_error(run("-m", "common.npu.chip", PATH=path, STANDIN_CHIP=name, STANDIN_BOARD="fail"), "-t board",
                   name.partition("_")[0], "--soc_version=")
    one_line_error(run("-m", "common.npu.chip", PATH=path, STANDIN_CHIP=name, STANDIN_BOARD="unnamed"), "NPU Name")


def test_the_board_is_asked_for_the_tables_own_card_and_chip():
    text = shared("cases/tool_output/npu-smi_a3_24.1.rc3.7.txt").read_text()
    assert [(found.card, found.place, found.superpod) for found in chip.chips(text)] == [(0, 0, True), (0, 1, True)]
    text = shared("cases/tool_output/npu-smi_950_25.7.txt").read_text()
    assert [(found.card, found.place, found.superpod) for found in chip.chips(text)] == [(0, None, False)]


@pytest.mark.parametrize("text, status, part", [
    ("| NPU     Name      | Health          | Power(W)\n", 0, "names no chip"), ("", 0, "names no chip"),
    ("dcmi module initialize failed. ret is -8005\n", 241, "status 241 (dcmi module initialize failed. ret is -8005)")])
def test_a_table_without_a_chip_is_one_line(run, tmp_path, text, status, part):
    one_line_error(run("-m", "common.npu.chip", PATH=fake_npu_smi(tmp_path / "bin", text, status)), part, "--soc_version=")


def test_without_npu_smi_is_one_line(run, tmp_path):
    one_line_error(run("-m", "common.npu.chip", PATH=str(tmp_path)), "npu-smi is not on PATH")


@pytest.mark.parametrize("model", MODELS)
def test_no_script_has_a_chip_parser_of_its_own(model):
    script = (ROOT / model / "test/pth2om.sh").read_text()
    assert "python3 -m common.npu.chip" in script and "npu-smi info" not in script.replace("(default: what npu-smi", "")


def test_chip_and_doctor_answer_without_any_package(tmp_path):
    for module in ("common.npu.chip", "common.npu.doctor"):
        result = subprocess.run(["python3", "-I", "-S", "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r}); "
                                 f"from {module} import main; main(['--help'])"], capture_output=True, text=True,
                                env=environment())
        assert result.returncode == 0 and "usage:" in result.stdout, result.stderr
