"""No JSON file is believed unseen: every program that reads one against every kind of wrong one."""
from __future__ import annotations

import ast
import copy
import json
import os
import random
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Set, Tuple

import pytest

from common.base import facts, files, json_files, names, uses
from common.base.errors import UserError
from common.data import dataset, fingerprint, result_files
from common.infer import records
from common.judge import compare, reports, sweep, verdicts
from common.npu import testcase
from common.publish import page, precision, tries
from common.publish import report as publishing
from common.tools import perf
from conftest import ROOT, environment, one_line_error
from test_report import accuracy, agreement, full, run_record

EDSR = ROOT / "EDSR"
SUMMARY = {"filesinfo": {"0": {"infiles": ["p/a.bin"], "outfiles": ["a_0.bin"]}}, "args": [], "throughput": 500.0,
           "NPU_compute_time": {"min": 1.5, "max": 3.0, "mean": 2.0, "median": 1.9, "percentile(99%)": 2.9, "count": 4},
           "H2D_latency": {"mean": 0.1}, "D2H_latency": {"mean": 0.1}, "npu_compute_time_list": [1.5, 3.0, 1.9, 1.6]}
MANIFEST = {"recipe": {"settings": {}, "code": "x"}, "samples": [
    {"id": name, "bin": f"bin/{name}.bin", "source": [f"/d/{name}.png"], "stamp": [{"size": 1, "mtime_ns": 2}],
     "shape": [1, 3], "dtype": "float32", "name": f"{name}.png", "width": 4, "height": 4} for name in ("a", "b")]}
GALLERY = {"note": "x", "legend": [{"colour": "#ff0000", "text": "missed"}], "thumbnails": {
    "labels": ["photo", "found"], "left_out": 0, "images": [{"sample": "b", "image": "thumbnails/0.jpg"}]}, "rows": [
    {"sample": "a", "value": 1.5, "panels": [{"label": "found", "value": None, "image": "gallery/0_0.png", "cover": True, "width": 8,
                                                "height": 8}]}]}


def devices() -> Dict[str, Any]:
    """The record over two devices."""
    one = run_record()
    each = [{"device": number, "name": "a CPU", "threads": 1, **{key: one[key] for key in (
        "sample_count", "compute_ms", "samples_per_s", "end_to_end_s", "end_to_end_samples_per_s",
        "peak_memory_bytes")}}
        for number in (0, 1)]
    return {**one, "devices": each, "sample_count": 14, "samples_per_s": 100.0, "end_to_end_samples_per_s": 7.0}


def judged(path: Path) -> None:
    verdicts.main(["judge", "--accuracy", str(path), "--pth", str(EDSR / "demo.pth"), "--model", str(EDSR)])


def compared(path: Path, name: str) -> None:
    build = path.parent
    for other, value in (("inputs.json", {"data": "x", "checkpoint": "y.pth"}), ("accuracy.json", accuracy(34.6, 3)),
                         ("run.json", run_record()), ("agreement.json", agreement())):
        if other != name:
            files.write_json(build / other, value)
    if path.name != name:
        (build / name).parent.mkdir(parents=True, exist_ok=True)
        os.replace(path, build / name)
    "\n".join(compare.lines(compare.compare(facts.load(EDSR), build, "run.json")))


def paged(path: Path) -> None:
    gallery_of = path.with_name("gallery.json")
    if path.name != "gallery.json":
        files.write_json(gallery_of, GALLERY)
    else:
        files.write_json(path.with_name("report.json"), json.loads(json.dumps(full())))
    import numpy as np

    from common.base import pictures
    pictures.write_rgb(path.with_name("gallery") / "0_0.png", np.zeros((8, 8, 3), np.uint8))
    report = path if path.name != "gallery.json" else path.with_name("report.json")
    page.main([str(report), str(report), "--output", str(path.with_name("x.html"))])


def shown(path: Path) -> None:
    publishing.main(["show", str(path)])
    publishing.main(["table", str(path)])
    testcase.check(reports.report(path))


def readme_of(path: Path) -> None:
    from common.dev import readme
    folder = path.with_name("model")
    folder.mkdir(exist_ok=True)
    shutil.copy(EDSR / "facts.json", folder)
    shutil.copy(EDSR / "README.md", folder)
    os.replace(path, folder / "results.json")
    readme.main(["--model", str(folder)])


def benched(path: Path) -> None:
    from common.dev import bench
    bench.main(["show", str(path)])


def folded(path: Path) -> None:
    place = path.with_name("facts.json")
    os.replace(path, place)
    facts.load(place)


def finger(path: Path) -> None:
    from unittest import mock
    place = path.with_name("fingerprint.json")
    os.replace(path, place)
    with mock.patch.object(fingerprint, "make", lambda declared, folder: json.loads((EDSR / "fingerprint.json").read_text())):
        fingerprint.check(path.parent)


def summarised(path: Path) -> None:
    (path.parent / "a_0.bin").write_bytes(b"1234")
    place = path.with_name("sumary.json")
    os.replace(path, place)
    result_files.from_summary(place)
    perf.read(place)


def manifest_of(path: Path) -> None:
    os.replace(path, path.with_name("manifest.json"))
    for record in dataset.read_manifest(path.parent):
        assert Path(record["bin"]).resolve().parent.parent == path.parent.resolve(), record


def swept(path: Path) -> None:
    place = path.with_name("bs1_onnxruntime.json")
    os.replace(path, place)
    sweep.main([str(place), "--model", str(ROOT / "UNetPlusPlus")])


WORDS = ("x", "a" * 64, "a" * 40, "#ff0000", "2024-05-06T07:08:09+00:00", "2024-05-06", "x.png", "gallery/0_0.png", "1.0", "Ascend310")
"""One of these fits any pattern of a schema."""


def example(schema: Any, home: str) -> Any:
    """A value with all that a schema (of the file `home`) names, one entry in each list."""
    if "$ref" in schema:
        name, _, place = schema["$ref"].partition("#/")
        found = json.loads((json_files.SCHEMAS / (name or home)).read_text(encoding="utf-8"))
        for part in place.split("/") if place else ():
            found = found[part]
        return example(found, name or home)
    if "enum" in schema:
        return schema["enum"][0]
    for key in ("anyOf", "oneOf"):
        if key in schema and "properties" not in schema:
            return example(schema[key][0], home)
    if "allOf" in schema:
        parts = [example(part, home) for part in schema["allOf"]]
        return {key: value for part in parts for key, value in part.items()} if isinstance(parts[0], dict) else parts[-1]
    kinds = schema.get("type", "object")
    kind = kinds if isinstance(kinds, str) else next(each for each in kinds if each != "null")
    if kind == "object":
        more = schema.get("additionalProperties")
        return {**{name: example(inner, home) for name, inner in schema.get("properties", {}).items()},
                **({"x": example(more, home)} if isinstance(more, dict) else {})}
    if kind == "array":
        items = schema.get("items", {"type": "string"})
        return [example(each, home) for each in items] if isinstance(items, list) else [
            example(items, home)] * max(1, schema.get("minItems", 1))
    if kind == "string":
        return next(word for word in WORDS if re.search(schema.get("pattern", ""), word))
    return {"boolean": True, "integer": 1, "number": 0.5 if schema.get("maximum", 9) < 1 else 1.0}[kind]


def of_schema(kind: str) -> Callable[[], Any]:
    return lambda: example({"$ref": f"{kind}.schema.json"}, "")


class Every(Set[str]):
    def __contains__(self, name: object) -> bool:
        return True


def section_of(kind: str) -> Callable[[Path], None]:
    """The page's section on a file beside the report, shown as of any model."""
    def read(path: Path) -> None:
        os.replace(path, path.with_name(f"{kind}.json"))
        assert precision.sections(path.parent, Every())
    return read


def tried(path: Path) -> None:
    os.replace(path, path.with_name("tries.json"))
    tries.Tries(path.parent, facts.load(ROOT / "EDSR")).page()


BENCH_SPREAD = {"median": 1.5, "low": 1.0, "high": 2.0}
READERS: Dict[str, Tuple[Callable[[], Any], Callable[[Path], None]]] = {
    "manifest": (lambda: MANIFEST, manifest_of),
    "accuracy by verdicts": (lambda: accuracy(34.6, 6), judged),
    "accuracy by compare": (lambda: accuracy(34.6, 3), lambda path: compared(path, "accuracy.json")),
    "agreement by compare": (agreement, lambda path: compared(path, "agreement.json")),
    "inputs by compare": (lambda: {"data": "x", "checkpoint": "seeded"}, lambda path: compared(path, "inputs.json")),
    "record by compare": (run_record, lambda path: compared(path, "run.json")),
    "record by perf": (run_record, lambda path: perf.main([str(path)])),
    "record by sweep": (run_record, swept),
    "record of devices": (devices, lambda path: records.read(path)),
    "summary": (lambda: SUMMARY, summarised),
    "report by show, table, self-test": (lambda: json.loads(json.dumps(full())), shown),
    "report by page": (lambda: json.loads(json.dumps(full())), paged),
    "gallery": (lambda: GALLERY, lambda path: (os.replace(path, path.with_name("gallery.json")),
                                               paged(path.with_name("gallery.json")))[1]),
    "results": (lambda: json.loads((EDSR / "results.json").read_text()), readme_of),
    "facts": (lambda: json.loads((EDSR / "facts.json").read_text()), folded),
    "fingerprint": (lambda: json.loads((EDSR / "fingerprint.json").read_text()), finger),
    "bench": (lambda: {"models": [{"model": "EDSR", "steps": [{
        "step": "preprocess", "samples": 100, "jobs": 2, "rounds": 3, "over_floor": BENCH_SPREAD, "speed_up": None,
        "floor_speed_up": None, "seconds": {}}], "start_ups": [{"script": "x.py", "rounds": 7, "help": {
            "seconds": BENCH_SPREAD, "over_bare": BENCH_SPREAD}, "run": None}]}], "definitions": {}, "machine": {
                "cores": 2, "load_before": [0.1, 0.2, 0.3], "load_after": [0.1, 0.2, 0.3]},
        "date": "2024-05-06T07:08:09+00:00"}, benched),
    **{kind: (of_schema(kind), section_of(kind)) for kind in ("layers", "keep", "rehearse", "cann", "aipp")},
    "tries": (of_schema("tries"), tried),
    **{kind: (of_schema(kind), lambda path, kind=kind: files.read_json(path, kind)) for kind in ("int8", "cost", "compare")},
}
PASSED_OVER = {"fastest": "one that does not fit is measured again: test_auto_engine.py", "history": "a line that does not fit is no earlier run", "journal": "one that does not fit is of no earlier run",
               "upstream": "the mark of a clone that is there", "limits": "a table of the collection's own", "parts": "of the others",
               "ais_summary": "summary", "devices": "record of devices"}
"""Schemas without a reader of their own above, and why, or which one has it."""
WRONG: List[Any] = [None, True, -1, 0, 1.5, 1e308, "", "x", "../../x", "a/b", "a\0b", "a\nb", [], {}, [1],
                    {"x": 1}, [[]], ["x"]]


def places(value: Any, at: Tuple[Any, ...] = ()) -> Iterator[Tuple[Any, ...]]:
    """Every place in a JSON value, the whole first; of lists the first two entries stand for all."""
    yield at
    entries: List[Any] = list(value.items()) if isinstance(value, dict) else []
    entries += list(enumerate(value))[:2] if isinstance(value, list) else []
    for key, inner in entries:
        yield from places(inner, (*at, key))


def put(value: Any, at: Tuple[Any, ...], new: Any) -> Any:
    """A copy with another value there; the place is left out where `new` is Ellipsis."""
    made = copy.deepcopy(value)
    if not at:
        return None if new is Ellipsis else new
    inner = made
    for key in at[:-1]:
        inner = inner[key]
    if new is Ellipsis:
        del inner[at[-1]]
    else:
        inner[at[-1]] = new
    return made


@pytest.fixture(autouse=True)
def forget(monkeypatch):
    """Facts of a folder that is gone are no source of what later tests run in this process."""
    monkeypatch.setattr(uses, "_noted", set(uses._noted))


def told(read: Callable[[Path], None], path: Path) -> bool:
    """Whether reading the file ended in a `UserError` of one line; anything else raised is a failure of the test."""
    try:
        read(path)
    except UserError as error:
        assert len(str(error)) < 1500, str(error)
        return True
    return False


@pytest.mark.parametrize("kind", READERS)
def test_the_right_file_is_read(kind, tmp_path):
    make, read = READERS[kind]
    path = tmp_path / "report.json"
    path.write_text(json.dumps(make()))
    read(path)


@pytest.mark.parametrize("kind", READERS)
def test_no_twisted_file_ends_in_a_traceback(kind, tmp_path, capsys):
    """Each place left out or filled with each of `WRONG`, drawn where there are too many; seeded."""
    make, read = READERS[kind]
    right = make()
    cases = [(at, new) for at in places(right) for new in (Ellipsis, *WRONG)]
    random.Random(0).shuffle(cases)
    refused = 0
    for number, (at, new) in enumerate(cases[:120]):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "report.json").write_text(json.dumps(put(right, at, new)))
        refused += told(read, folder / "report.json")
        shutil.rmtree(folder)
    assert refused > 40, f"{refused} of {min(len(cases), 120)} were refused"


@pytest.mark.parametrize("kind", READERS)
@pytest.mark.parametrize("text", ["", "{", "[1,", "nul", "\ufeff{}", "[" * 100000, '{"a":' * 100000, "9" * 5000, "NaN",
                                  '{"value": Infinity}', '{"value": 1e999}', '{"a": 1, "a": 2}',
                                  '"' + "x" * 100000 + '"'],
                         ids=lambda text: text[:12])
def test_what_is_no_json_is_one_line(kind, text, tmp_path):
    (tmp_path / "report.json").write_text(text, encoding="utf-8")
    assert told(READERS[kind][1], tmp_path / "report.json")


@pytest.mark.parametrize("kind", READERS)
def test_nan_and_infinity_anywhere_are_refused(kind, tmp_path):
    make, read = READERS[kind]
    right = make()
    numbers = [at for at in places(right) if isinstance(_get(right, at), float)][:12]
    for number, at in enumerate(numbers):
        for value in (float("nan"), float("inf"), float("-inf")):
            folder = tmp_path / f"{number}{value}"
            folder.mkdir()
            (folder / "report.json").write_text(json.dumps(put(right, at, value)))
            assert told(read, folder / "report.json"), (at, value)


def _get(value: Any, at: Tuple[Any, ...]) -> Any:
    for key in at:
        value = value[key]
    return value


LIES = [
    ("accuracy by verdicts", lambda one: one.update(samples=7), "there are 6 rows"),
    ("accuracy by verdicts", lambda one: one["rows"].pop(), "there are 5 rows"),
    ("accuracy by verdicts", lambda one: one.update(metric="IoU", unit=""), "of another model than EDSR"),
    ("accuracy by verdicts", lambda one: one.update(value=36.0), "the mean of its rows is 34.6"),
    ("accuracy by verdicts", lambda one: one["rows"].reverse(), "not in order"),
    ("accuracy by verdicts", lambda one: one["rows"][1].update(sample="s0"), "twice"),
    ("accuracy by verdicts", lambda one: (one.update(value=-5), [row.update(value=-5) for row in one["rows"]]),
     "is in 0 to"),
    ("agreement by compare", lambda one: one.update(cosine=0.5), "the worst sample has"),
    ("agreement by compare", lambda one: one.update(verdict="fail"), "says fail, its figures say pass"),
    ("agreement by compare", lambda one: (one.update(cosine=0.5), [row.update(cosine=0.5) for row in one["worst"]]),
     "says pass, its figures say fail"),
    ("agreement by compare", lambda one: one.update(samples=9), "do not belong together"),
    ("record by compare", lambda one: one.update(samples_per_s=5000.0), "compute_ms.mean gives 50"),
    ("record by perf", lambda one: one.update(end_to_end_samples_per_s=7.0), "sample_count / end_to_end_s gives 3.5"),
    ("record by sweep", lambda one: one["compute_ms"].update(median=500.0), "outside of"),
    ("record of devices", lambda one: one.update(samples_per_s=50.0), "the devices' sum gives 100"),
    ("record of devices", lambda one: one["devices"][1].update(device=0), "names one twice"),
    ("report by show, table, self-test", lambda one: one.update(verdict="none"), "verdict is none"),
    ("report by show, table, self-test", lambda one: one["accuracy"].update(value=1.0),
     "accuracy says pass, its figures say"),
    ("report by show, table, self-test", lambda one: one["accuracy"].update(verdict="fail"), "accuracy says fail"),
    ("report by page", lambda one: one["agreement"].update(verdict="fail"), "says fail, its figures say pass"),
    ("report by page", lambda one: one["inputs"].update(checkpoint="seeded"), "accuracy of seeded weights"),
    ("report by page", lambda one: one["performance"][0].update(samples_per_s=1e6), "performance of a.onnx"),
    ("manifest", lambda one: one["samples"][1].update(id="a", bin="bin/a.bin"), "names a twice"),
    ("manifest", lambda one: one["samples"][0].update(bin="../../etc/a.bin"), "leads out|is no file's name"),
    ("manifest", lambda one: one["samples"][0].update(bin="bin/b.bin"), "expected a.bin"),
    ("facts", lambda one: one.update(colour="red"), "facts.json: must not contain {'colour'} properties"),
    ("facts", lambda one: one["metric"].update(tolerence=1), "metric must not contain {'tolerence'}"),
    ("facts", lambda one: one["inputs"][0].update(dtype="float23"), r"inputs\[0\].dtype must be one of"),
    ("facts", lambda one: one["references"][0].update(value="34"), r'references\[0\].value must be number, found "34"'),
]


@pytest.mark.parametrize("kind, lie, part", LIES)
def test_what_contradicts_itself_is_refused_and_says_why(kind, lie, part, tmp_path):
    make, read = READERS[kind]
    value = copy.deepcopy(make())
    lie(value)
    (tmp_path / "report.json").write_text(json.dumps(value))
    with pytest.raises(UserError, match=part):
        read(tmp_path / "report.json")


def test_pytorchs_figure_over_fewer_samples_is_no_reference(tmp_path, run):
    files.write_json(tmp_path / "a.json", accuracy(34.6, 6))
    files.write_json(tmp_path / "p.json", accuracy(34.6, 5))
    one_line_error(run("-m", "common.judge.verdicts", "judge", "--accuracy", "a.json", "--pytorch", "p.json", "--pth",
                       EDSR / "demo.pth", "--model", EDSR, cwd=tmp_path), "over 5 samples, the other over 6")


def test_what_is_no_regular_file_is_said_at_once(tmp_path):
    os.mkfifo(tmp_path / "report.json")
    for kind in ("a FIFO", "a folder", "a device"):
        if kind != "a FIFO":
            (tmp_path / "report.json").unlink()
            (tmp_path / "report.json").symlink_to("/" if kind == "a folder" else "/dev/zero")
        with pytest.raises(UserError, match=f"found {kind}"):
            files.read_json(tmp_path / "report.json", "record")


def test_a_file_beyond_all_measure_is_not_read(tmp_path):
    with open(tmp_path / "a.json", "wb") as file:
        file.truncate(json_files.LARGEST + 1)
    with pytest.raises(UserError, match="at most 268.4 MB are read"):
        files.read_json(tmp_path / "a.json", "record")


def test_no_json_is_read_past_the_schemas():
    """Only these call a parser themselves: the reader, what copies a value it made, and what came through Ray."""
    allowed = {"common/base/json_files.py", "common/base/journal.py", "common/devices/processes.py",
               "common/infer/ray_data.py", "CGAN/digit_classifier.py",
               "common/base/stages.py", "common/npu/doctor.py"}  # the last two hold it to its shape themselves
    found = set()
    own = [path for model in facts_of() for path in model.parent.glob("*.py")]
    for path in [*(ROOT / "common").rglob("*.py"), *own]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and node.attr in ("loads", "load") and getattr(
                    node.value, "id", "") == "json":
                found.add(str(path.relative_to(ROOT)))
            if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "read_json":
                assert len(node.args) == 2, f"{path}:{node.lineno}: read_json without a schema"
                assert not (isinstance(node.args[1], ast.Constant) and not (
                    json_files.SCHEMAS / f"{node.args[1].value}.schema.json").is_file()), f"{path}:{node.lineno}"
    assert found <= allowed, found - allowed


def facts_of() -> List[Path]:
    return sorted(ROOT.glob("*/facts.json"))


@pytest.mark.parametrize("path", facts_of(), ids=lambda path: path.parent.name)
def test_the_facts_name_their_schema_for_editors(path):
    named = json.loads(path.read_text(encoding="utf-8"))["$schema"]
    assert (path.parent / named).resolve() == json_files.SCHEMAS / "facts.schema.json"


@pytest.mark.parametrize("name", ["", ".", "..", "../a", "a/b", "/a", "a\0b", "a\nb", "a\rb", "\x7f", "x" * 242, "a\ud800"])
def test_a_name_that_is_none_is_refused(name):
    with pytest.raises(UserError, match="list.txt: sample"):
        names.check(name, "list.txt")


@pytest.mark.parametrize("name", ["a", "0801x2", "a b", "日本", "...", "a..b", "x" * 241, "-rf", "$(x)"])
def test_a_name_of_a_file_is_taken(name):
    assert names.check(name, "list.txt") == name


@pytest.mark.full
def test_fuzz_the_readers(tmp_path):
    """Any JSON value in any place of any file: read, or refused in one line."""
    from hypothesis import HealthCheck, given, settings
    from hypothesis import strategies as st
    any_json = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), lambda inner: st.lists(
        inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3), max_leaves=8)

    @settings(max_examples=1500, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
    @given(st.sampled_from(sorted(READERS)), any_json, st.randoms(use_true_random=False))
    def reads(kind, new, chance):
        make, read = READERS[kind]
        right = make()
        folder = tmp_path / "case"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        text = json.dumps(put(right, chance.choice(list(places(right))), new))
        (folder / "report.json").write_text(text, encoding="utf-8", errors="surrogatepass")
        told(read, folder / "report.json")
    reads()


def test_every_kind_of_file_has_a_reader_here():
    kinds = {path.name.split(".")[0] for path in json_files.SCHEMAS.glob("*.json")}
    assert {name.split()[0] for name in READERS} | set(PASSED_OVER) >= kinds


def test_no_schema_says_one_thing_twice():
    """Of two in one object the first would be forgotten without a word."""
    for path in json_files.SCHEMAS.glob("*.json"):
        files.read_json(path, {})


KEPT = """
import sys
from common.base import errors, files, json_files
import fastjsonschema
make, made = fastjsonschema.compile_to_code, []
fastjsonschema.compile_to_code = lambda *given, **more: made.append(1) or make(*given, **more)
def main(argv=None):
    try:
        files.read_json(sys.argv[1], "facts")
    finally:
        print("made" if made else "kept")
errors.run(main)
"""


def test_the_check_of_a_kind_is_made_once_and_anew_when_what_it_is_made_of_changes_or_it_is_damaged(tmp_path):
    """As Python keeps a module's code; a check that is kept refuses what one that was just made does."""
    shutil.copytree(ROOT / "common", tmp_path / "common", ignore=shutil.ignore_patterns("__pycache__"))
    facts = json.loads((ROOT / "EDSR/facts.json").read_text())
    (tmp_path / "good.json").write_text(json.dumps(facts))
    (tmp_path / "bad.json").write_text(json.dumps({**facts, "metric": 7}))

    def read(name: str, **more: str) -> tuple:
        own = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPATH": str(tmp_path), **more}
        result = subprocess.run([sys.executable, "-c", KEPT, name], cwd=tmp_path, capture_output=True, text=True,
                                env={**environment(), **own})
        return result.stdout.strip(), result.returncode, result.stderr

    schemas = tmp_path / "common/base/schemas"
    assert read("good.json", PYTHONDONTWRITEBYTECODE="1") == ("made", 0, "") and not (schemas / "__pycache__").exists()
    first = read("bad.json")
    assert first[:2] == ("made", 1) and "metric must be object, found 7" in first[2]
    assert read("bad.json") == ("kept", *first[1:]) and read("good.json") == ("kept", 0, "")
    kept, = (schemas / "__pycache__").iterdir()
    for damaged in (b"", kept.read_bytes()[:1000], b"no code"):
        kept.write_bytes(damaged)
        assert read("bad.json") == first and read("bad.json") == ("kept", *first[1:])
    schema = json.loads((schemas / "facts.schema.json").read_text())
    schema["properties"]["metric"] = {"type": "string"}
    (schemas / "facts.schema.json").write_text(json.dumps(schema))
    made, status, told = read("bad.json")
    assert (made, status) == ("made", 1) and "metric must be string, found 7" in told
