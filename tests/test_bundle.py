"""`common` as one module: names, scopes, what is imported when, what is left out."""
from __future__ import annotations

import ast
import importlib.util
import re
import subprocess
import sys

import pytest

from common.base.errors import UserError
from common.dev import bundle, reach
from conftest import MODELS, ROOT


@pytest.mark.parametrize("before, after", [
    ("from common.base import files\nfiles.write_text(p, t)", "import common\ncommon.write_text(p, t)"),
    ("from common.base import errors, files\nfrom common.base.errors import UserError\n\nraise UserError(files.size(1))",
     "import common\n\nraise common.UserError(common.files_size(1))"),
    ("from common.base import files\ndef f(files):\n    return files.size", "import common\ndef f(files):\n    return files.size"),
    ("from common.base import files\ndef f():\n    for files in x:\n        files.size(1)",
     "import common\ndef f():\n    for files in x:\n        files.size(1)"),
    ("from common.base import files\nx = [files.size for files in y]\nfiles.size(2)",
     "import common\nx = [files.size for files in y]\ncommon.files_size(2)"),
    ("from common.base import files\nprint(f'{files.size(n)} {{files.size}} of files.size {x:{files.size(1)}}')",
     "import common\nprint(f'{common.files_size(n)} {{files.size}} of files.size {x:{common.files_size(1)}}')"),
    ("from common.base import files\nx = ('é' f'{files.size(n):>9}'\n     f'{files.size(m)}'), files.size(3)",
     "import common\nx = ('é' f'{common.files_size(n):>9}'\n     f'{common.files_size(m)}'), common.files_size(3)"),
    ("from common.base import files\nf(size=files.size, key=lambda files: files.size)",
     "import common\nf(size=common.files_size, key=lambda files: files.size)"),
    ("def f():\n    from common.base import files\n    return files.size(1)", "def f():\n    return common.files_size(1)"),
    ("def f():\n    try:\n        from common.base import files\n    except ImportError:\n        x()",
     "def f():\n    try:\n        pass\n    except ImportError:\n        x()"),
    ("from common.convert import upstream\nupstream.fetch()", "from common.convert import upstream\nupstream.fetch()"),
    ("# as `python3 -m common.tools.perf FILE` and common.base.files.size do\n",
     "# as `python3 -m common perf FILE` and common.files_size do\n"),
    ("from common.convert import export\nexport.OPSET", "import common\ncommon.OPSET")])
def test_a_script_names_a_copys_definitions(before, after):
    assert bundle.script(before) == after


def test_a_module_that_is_handed_on_cannot_be_copied():
    with pytest.raises(UserError, match="a script:2: files is used as an object"):
        bundle.script("from common.base import files\nf(files)\n")


def test_no_two_definitions_have_one_name_in_a_copy_and_none_hides_a_builtin():
    names = list(bundle.new_names().values())
    assert len(names) == len(set(names)) and len(names) > 400
    assert not set(names) & set(dir(__builtins__ if isinstance(__builtins__, dict) else __builtins__))
    assert {"write_text", "UserError", "read_json"} <= set(names), "those that are the only ones keep theirs"


def test_what_a_program_does_not_reach_stays_behind():
    text = bundle.bundle([], ["common.npu.chip"])["common/__init__.py"]
    defined = {node.name for node in ast.parse(text).body if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    assert "chip_main" in defined and "UserError" in defined
    assert not re.search(r"import (onnx|numpy|torch)|class Journal|def sha256", text)


def test_what_is_asked_for_and_is_not_there_is_an_error():
    with pytest.raises(UserError, match="common.base.files has no nothing"):
        bundle.bundle(["from common.base import files\nfiles.nothing()\n"], [])
    with pytest.raises(UserError, match="common.base.tables has no main"):
        bundle.bundle([], ["common.base.tables"])
    with pytest.raises(UserError, match="common.convert.cost needs half of common.engines, which no copy has"):
        bundle.bundle([], ["common.convert.cost"])


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """A copy's `common` with all that any of the models' programs needs, in a folder."""
    folder = tmp_path_factory.mktemp("copy")
    shell = [path.read_text() for model in MODELS for path in (ROOT / model / "test").glob("*.sh")]
    _, programs = reach.reached(ROOT / "EDSR", [], [], *shell, *(reach.environment(ROOT / model) for model in MODELS))
    for name, text in bundle.bundle(["from common.data import dataset\ndataset.preprocess\n"], programs).items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    return folder, programs


def test_every_program_of_a_copy_runs_and_no_name_in_it_is_unknown(copy):
    folder, programs = copy
    lint = subprocess.run([sys.executable, "-m", "ruff", "check", "--isolated", "--select", "F,E9", "."], cwd=folder,
                          capture_output=True, text=True)
    assert lint.returncode == 0, lint.stdout
    assert len(programs) > 15
    for program in programs:
        short = program.rpartition(".")[2]
        done = subprocess.run([sys.executable, "-m", "common", short, "--help"], cwd=folder, capture_output=True, text=True)
        assert done.returncode == 0 and f"python3 -m common {short}" in done.stdout, (program, done.stderr)
    wrong = subprocess.run([sys.executable, "-m", "common", "nothing"], cwd=folder, capture_output=True, text=True)
    assert wrong.returncode == 2 and wrong.stderr.startswith("usage: python3 -m common PROGRAM")


def test_a_copy_imports_what_is_large_where_it_is_used(copy):
    folder, _ = copy
    code = "import sys, common; print([name for name in ('torch', 'onnx', 'onnxruntime', 'cv2') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr


def test_a_copys_functions_do_what_those_of_the_collection_do(copy):
    """Its readers refuse and take the same texts, with the schemas that are text in it."""
    folder, _ = copy
    spec = importlib.util.spec_from_file_location("copied_common", folder / "common/__init__.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["copied_common"] = module
    try:
        spec.loader.exec_module(module)
        assert module.facts_load(ROOT / "EDSR").name == "EDSR"
        for text, part in (('{"samples": 1}', "manifest.schema.json"), ("{", "is not JSON"), ('[1e999]', "1e999")):
            (folder / "manifest.json").write_text(text)
            with pytest.raises(module.UserError, match=re.escape(part)):
                module.read_json(folder / "manifest.json", "manifest")
        assert module.files_size(2048) == "2.0 kB"
    finally:
        del sys.modules["copied_common"]
