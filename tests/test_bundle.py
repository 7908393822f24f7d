"""`common` as one module: names, scopes, what is imported when, what is left out."""
from __future__ import annotations

import ast
import importlib.util
import json
import random
import re
import shutil
import subprocess
import sys

import pytest

import onnx_models
from common.base import json_files
from common.base.errors import UserError
from common.dev import bundle, dist, reach
from conftest import MODELS, ROOT, environment, one_line_error
from test_json_files import READERS, WRONG, places, put

SCRIPT = "from common.convert import export\nfrom common.data import dataset\ndataset.preprocess\nexport.export\n"


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
    ("from common.convert import opset\nopset.OPSET", "import common\ncommon.OPSET")])
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
    for name, text in bundle.bundle([SCRIPT], programs).items():
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


@pytest.fixture(scope="module")
def module(copy):
    """The copy's `common`, imported."""
    folder, _ = copy
    spec = importlib.util.spec_from_file_location("copied_common", folder / "common/__init__.py")
    found = sys.modules["copied_common"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    yield found
    del sys.modules["copied_common"]


def test_a_copys_functions_do_what_those_of_the_collection_do(module, tmp_path):
    """Its readers refuse and take the same texts, with the schemas that are text in it."""
    assert module.facts_load(ROOT / "EDSR").name == "EDSR"
    for text, part in (('{"samples": 1}', "manifest.schema.json"), ("{", "is not JSON"), ('[1e999]', "1e999")):
        (tmp_path / "manifest.json").write_text(text)
        with pytest.raises(module.UserError, match=re.escape(part)):
            module.read_json(tmp_path / "manifest.json", "manifest")
    assert module.files_size(2048) == "2.0 kB"


def test_facts_that_were_edited_in_a_copy_are_one_line(module, tmp_path):
    facts = json.loads((ROOT / "EDSR/facts.json").read_text())
    for wrong in ({**facts, "inputs": "x"}, {**facts, "metric": []}, {"name": "EDSR"}, {**facts, "references": [{"what": 1}]}):
        (tmp_path / "facts.json").write_text(json.dumps(wrong))
        with pytest.raises(module.UserError, match="facts.json: does not tell a model's facts"):
            module.facts_load(tmp_path)


def said(check, error, value, kind):
    try:
        check(json.loads(json.dumps(value)), kind, "x.json")
    except error as refused:
        return str(refused)
    return None


@pytest.mark.parametrize("name, kind", [
    ("manifest", "manifest"), ("accuracy by verdicts", "accuracy"), ("record by perf", "record"),
    ("record of devices", "record"), ("fingerprint", "fingerprint"), ("summary", "ais_summary")])
def test_a_copys_schema_takes_and_refuses_what_the_whole_one_does_in_the_same_words(name, kind, module):
    right = json.loads(json.dumps(READERS[name][0]()))
    cases = [put(right, at, new) for at in places(right) for new in (..., *WRONG)]
    random.Random(0).shuffle(cases)
    whole = [said(json_files.check, UserError, value, kind) for value in [right, *cases[:400]]]
    assert whole == [said(module.json_files_check, module.UserError, value, kind) for value in [right, *cases[:400]]]
    assert whole[0] is None and len(set(whole)) > 20


def test_a_copy_has_the_schemas_of_what_it_reads_alone_and_no_prose_in_them(module):
    assert {"facts.schema.json", "manifest.schema.json", "record.schema.json"} <= set(module.SCHEMAS)
    assert not {"report.schema.json", "gallery.schema.json", "devices.schema.json"} & set(module.SCHEMAS)
    for name, text in module.SCHEMAS.items():
        schema = json.loads(text)
        assert not {"$schema", "title", "description"} & set(schema), name
        assert max(map(len, text.splitlines())) <= 125
        for part in schema.get("definitions", {}):
            assert any(f"#/definitions/{part}" in other for other in [*module.SCHEMAS.values(), *(
                str(value) for value in vars(module).values() if isinstance(value, dict))]), f"{name}: {part} is for nothing"
    a_title = {"type": "object", "properties": {"title": {"type": "string"}}}
    assert bundle.without_prose({"title": "t", **a_title, "description": "d"}) == a_title, "a property of that name stays"


def test_the_facts_are_held_to_their_schema_when_the_copy_is_made_and_no_more(module, tmp_path):
    assert json.loads(module.SCHEMAS["facts.schema.json"]) == {"type": "object"}
    folder = tmp_path / "EDSR"
    shutil.copytree(ROOT / "EDSR", folder, ignore=shutil.ignore_patterns("build", "*.pth"), symlinks=True)
    facts = json.loads((folder / "facts.json").read_text())
    (folder / "facts.json").write_text(json.dumps({**facts, "atc": "a line"}))
    with pytest.raises(UserError, match="facts.json: atc must be array, found"):
        dist.write(folder, tmp_path / "dist")
    assert not (tmp_path / "dist").exists()


@pytest.mark.parametrize("text, first", [
    ("One line.", "One line."), ("No full stop", "No full stop"), ("One. Two.", "One."), ("Of e.g. Two. Three.", "Of e.g. Two."),
    ("As `a.b` has it, 1.5\nof them. Not more.", "As `a.b` has it, 1.5\nof them."), ("One\n\nTwo.", "One"),
    ("By Li et al. Two.", "By Li et al. Two.")])
def test_of_what_documents_a_definition_the_first_sentence_goes_along(text, first):
    assert bundle.sentence(text) == first


def test_every_definition_of_a_copy_keeps_one_sentence_and_the_whole_says_where_the_rest_is(copy, module):
    tree = ast.parse((copy[0] / "common/__init__.py").read_text())
    assert "ascend-model-collection" in ast.get_docstring(tree)
    whole = {new: source.own[name].nodes[0] for (module_name, name), new in bundle.new_names().items()
             for source in [bundle.everything()[module_name]]}
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and node.name in whole:
            had, has = ast.get_docstring(whole[node.name]), ast.get_docstring(node)
            assert (had is None) == (has is None), node.name
            assert not has or "\n\n" not in has and len(has) <= len(had)


def test_a_script_loses_the_functions_that_nothing_names_and_what_they_alone_import():
    text = ("import io\nfrom typing import List, Tuple\n\n\ndef used(a: Tuple):\n    return a\n\n\n"
            "# of the collection\ndef lost(b: List):\n    return lost(io.StringIO(b))\n\n\ndef told():\n    return used(1)\n")
    left = bundle.without_unused({"a.py": text}, ["a.told"])["a.py"]
    assert left == ("from typing import Tuple\n\n\ndef used(a: Tuple):\n    return a\n\n\ndef told():\n    return used(1)\n")
    assert bundle.without_unused({"a.py": text}, ["told, lost"])["a.py"] == text


LOGS = {"common.tools.msame_log": ("Inference average time: 2.5 ms\n", "a log of msame"),
        "common.tools.ais_log": ("[INFO] NPU_compute_time (ms): mean = 2.5\n[INFO] throughput 1000*batchsize(1)/"
                                 "NPU_compute_time.mean(2.5): 400\n", "a log of ais_infer"),
        "common.tools.pure_log": ("ave_throughputRate = 400samples/s, ave_latency = 2.5ms\n", "benchmark's PureInfer"),
        "common.tools.vision_log": ("[e2e] throughputRate: 1, latency: 1000\n", "benchmark's perf_vision"),
        "common.tools.trtexec_log": ("&&&& RUNNING TensorRT.trtexec\n", "a log of trtexec")}


@pytest.mark.parametrize("part", bundle.PARTS)
def test_a_log_of_a_tool_that_a_copys_scripts_do_not_use_is_one_line(part, tmp_path):
    for there in (True, False):
        for name, text in bundle.bundle([], ["common.tools.perf"], {part} if there else set(bundle.PARTS) - {part}).items():
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text(text)
        (tmp_path / "log").write_text(LOGS[part][0])
        done = subprocess.run([sys.executable, "-m", "common", "perf", "log"], cwd=tmp_path, capture_output=True, text=True)
        lacks = f"{LOGS[part][1]}: this folder has no common/tools/{part.rpartition('.')[2]}.py"
        assert (lacks in done.stderr) != there, done.stderr
        assert "Traceback" not in done.stderr and done.stderr.count("\n") <= 1


@pytest.mark.parametrize("told, call, part", [
    ("DEVICE=openvino", "common.open_session('m.onnx')", "engines/openvino_session.py"),
    ("DEVICE=auto", "common.open_session('m.onnx')", "engines/fastest.py"),
    ("PRECISION=f16", "common.open_session('m.onnx')", "engines/half.py"),
    ("SOURCE=upstream", "common.trace_upstream(None, (), 'x.onnx', {})", "convert/upstream.py"),
    ("", "common.records_parse({'provenance': {'backend': 'npu'}}, 'x.json')", "devices")])
def test_a_feature_that_a_copy_lacks_is_one_line_that_says_so(told, call, part, copy, tmp_path):
    onnx_models.affine(tmp_path / "m.onnx")
    variable, _, value = told.partition("=")
    code = f"import common; common.errors_run(lambda argv: {call})"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True,
                          env=environment(PYTHONPATH=str(copy[0]), **({variable: value} if told else {})))
    one_line_error(done, f"this folder has no common/{part}, the collection that it comes from does", told.partition("=")[0])
