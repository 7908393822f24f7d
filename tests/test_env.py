"""env.sh: where it finds CANN, what it sets, what it says; CANN's folders are made up as its documentation has them."""
from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Dict, Optional

import pytest

from conftest import MODELS, ROOT

SYSTEM = "/usr/bin:/bin"
NEWER = """\
echo sourced >> "{root}/log"
export ASCEND_TOOLKIT_HOME={home}
export LD_LIBRARY_PATH=${{ASCEND_TOOLKIT_HOME}}/lib64:$LD_LIBRARY_PATH
false
export PYTHONPATH=${{ASCEND_TOOLKIT_HOME}}/python/site-packages:$PYTHONPATH
export PATH=${{ASCEND_TOOLKIT_HOME}}/bin:$PATH
export ASCEND_OPP_PATH=${{ASCEND_TOOLKIT_HOME}}/opp
"""
"""As CANN's set_env.sh: it reads LD_LIBRARY_PATH, which may be unset, and lets a command fail."""
HOME_LINE = "export ASCEND_HOME_PATH=${ASCEND_TOOLKIT_HOME}\n"


def tool(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/bash\n")
    path.chmod(0o755)


def newer(root: Path, script: str = "ascend-toolkit/set_env.sh", home: str = "ascend-toolkit/latest",
          says_home: bool = True) -> Path:
    """CANN with a set_env.sh; without `says_home` as before 5.1. Gives the folder that ASCEND_HOME_PATH names."""
    (root / script).parent.mkdir(parents=True, exist_ok=True)
    (root / script).write_text(NEWER.format(root=root, home=f'"{root / home}"') + (HOME_LINE if says_home else ""))
    tool(root / home / "bin/atc")
    return root / home


def older(root: Path) -> Path:
    """The layout before that: a folder for each part, the variables left to the user."""
    home = root / "ascend-toolkit/latest"
    tool(home / "atc/bin/atc")
    for part in ("atc/ccec_compiler/bin", "atc/python/site-packages", "atc/lib64", "acllib/lib64", "opp"):
        (home / part).mkdir(parents=True)
    return home


LAYOUTS = {
    "set_env.sh": newer,
    "set_env.sh before 5.1": lambda root: newer(root, says_home=False),
    "since 8.5": lambda root: newer(root, "cann/set_env.sh", "cann"),
    "older": older}


@pytest.fixture
def root(tmp_path) -> Path:
    (tmp_path / "the root").mkdir()
    return tmp_path / "the root"


def bash(script: str, root: Path, **variables: Optional[str]) -> subprocess.CompletedProcess:
    """Run a script in EDSR's folder, in an environment of nothing but what is given."""
    given = {"PATH": SYSTEM, "HOME": str(root), "ASCEND_ROOT": str(root), **variables}
    return subprocess.run(["bash", "-c", script], cwd=ROOT / "EDSR", capture_output=True, text=True, timeout=60,
                          env={name: value for name, value in given.items() if value is not None})


def sourced(root: Path, **variables: Optional[str]) -> Dict[str, str]:
    """The environment after `. ./env.sh`, and under "" what it printed."""
    result = bash(". ./env.sh; echo ----; env -0 | tr '\\0' '\\n'", root, **variables)
    assert result.returncode == 0 and result.stderr == "", result.stderr
    said, _, rest = result.stdout.partition("----\n")
    return {"": said, **dict(line.split("=", 1) for line in rest.splitlines() if "=" in line)}


def test_the_five_env_sh_are_one_and_the_same():
    assert len({(ROOT / model / "env.sh").read_bytes() for model in MODELS}) == 1


@pytest.mark.parametrize("layout", LAYOUTS)
def test_each_layout_gives_the_tools_and_libraries_and_is_named_in_one_line(layout, root):
    home = LAYOUTS[layout](root)
    found = sourced(root)
    atc, = home.rglob("bin/atc")
    assert found[""].count("\n") == 1 and found[""].startswith(f"env: CANN {home}, {atc}, no NPU; ")
    assert found["ASCEND_OPP_PATH"] == str(home / "opp")
    parts = {variable: found[variable].split(":") for variable in ("PATH", "LD_LIBRARY_PATH", "PYTHONPATH")}
    for variable, folder in (("PATH", "bin"), ("LD_LIBRARY_PATH", "lib64"), ("PYTHONPATH", "python/site-packages")):
        assert str(home / ("atc" if layout == "older" else "") / folder) in parts[variable]
    if layout == "older":
        assert str(home / "atc/ccec_compiler/bin") in parts["PATH"]
        assert str(home / "acllib/lib64") in parts["LD_LIBRARY_PATH"]


@pytest.mark.parametrize("layout", [*LAYOUTS, "none"])
def test_sourcing_twice_changes_nothing_more_not_even_a_shell_option(layout, root):
    if layout != "none":
        LAYOUTS[layout](root)
    changing = "BASH_|_=|LINENO|RANDOM|SRANDOM|SECONDS|EPOCH|FUNCNAME|PIPESTATUS|first"
    state = f"{{ declare -p | grep -vE '^declare -[a-zA-Z-]+ ({changing})'; echo $-; }}"
    result = bash(f"set -eu; before=$-; . ./env.sh; [ $- = $before ] || exit 3; first=$({state}); . ./env.sh; "
                  f"[ \"$first\" = \"$({state})\" ] || exit 4; echo \"$first\" | grep -c ASCEND", root)
    assert result.returncode == 0, (result.returncode, result.stdout, result.stderr)
    one, two, count = result.stdout.splitlines()
    assert one == two and one.startswith("env: ") and int(count) >= 1


def test_under_set_u_an_unset_variable_stays_an_error_after_cann_was_sourced(root):
    newer(root)
    result = bash("set -u; . ./env.sh; echo $no_such_variable; echo reached", root)
    assert result.returncode != 0 and "no_such_variable" in result.stderr and "reached" not in result.stdout


def test_a_shell_that_has_cann_set_up_does_not_get_it_twice(root):
    home = newer(root)
    found = sourced(root, ASCEND_HOME_PATH=str(home), PATH=f"{home}/bin:{SYSTEM}")
    assert found["PATH"].count(str(home)) == 1 and not (root / "log").exists()
    assert found[""].startswith(f"env: CANN {home}, {home}/bin/atc, ")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_variable_alone_is_enough_and_goes_before_the_usual_places(layout, root, tmp_path):
    home = LAYOUTS[layout](tmp_path / "elsewhere")
    newer(root)
    found = sourced(root, ASCEND_HOME_PATH=str(home))
    assert found[""].startswith(f"env: CANN {home}, {next(home.rglob('bin/atc'))}, ") and not (root / "log").exists()
    assert (tmp_path / "elsewhere/log").exists() == (layout != "older"), "CANN's own script knows best"


def test_a_variable_that_names_no_folder_is_passed_over(root):
    home = newer(root)
    assert sourced(root, ASCEND_HOME_PATH=str(root / "gone"))[""].startswith(f"env: CANN {home}, {home}/bin/atc, ")


def test_without_cann_the_line_says_so_and_nothing_of_it_is_set(root):
    found = sourced(root)
    assert found[""] == "env: CANN none, no atc, no NPU; ONNX Runtime stands in for benchmark, msame and ais_infer\n"
    assert "ASCEND_HOME_PATH" not in found and "ASCEND_OPP_PATH" not in found and "LD_LIBRARY_PATH" not in found


def test_an_npu_is_there_when_its_tool_answers(root):
    path = f"{ROOT / 'tests/ascend'}:{ROOT / '.venv/bin'}:{SYSTEM}"
    assert ", no NPU; " in sourced(root, PATH=path)[""]
    assert ", NPU there; " in sourced(root, PATH=path, STANDIN_CHIP="310P3")[""]
