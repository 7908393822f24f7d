"""What make redoes, what it never evaluates, and what two makes do to each other."""
from __future__ import annotations

import json
import os
import re
import shutil
import subprocess

import pytest

from conftest import ROOT, environment
from test_make import copy_project, make, ran

SMALL = ("-C", "UNetPlusPlus", "PTH=seeded", "SEEDED=filters=4,8,8,8,8", "LIMIT=3", "LOOP=2", "THREADS=1")
PLACE = "a b (c)'d #é"


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A copy whose path holds blanks, parentheses, a quote, a number sign and a letter that is not ASCII."""
    copy = copy_project(tmp_path_factory.mktemp("house") / PLACE)
    assert make(copy, *SMALL, "all").returncode == 0
    return copy


def stages(result):
    return [name for name in ran(result) if name != "common.data.fingerprint"]


def test_an_up_to_date_tree_has_nothing_to_do_and_a_dry_run_says_so(project):
    assert stages(make(project, *SMALL, "all")) == []
    dry = make(project, "-n", *SMALL, "all")
    assert [line for line in dry.stdout.splitlines() if "build" in line and "report show" not in line] == []


@pytest.mark.parametrize("source, expected", [
    ("common/tools/ais_infer.py", {"common.tools.ais_infer", "postprocess_nested_unet.py", "common.judge.agreement"}),
    ("common/judge/agreement.py", {"common.judge.agreement"}),
    ("common/base/metrics.py", {"nested_unet_pth2onnx.py", "preprocess_nested_unet.py", "common.tools.ais_infer",
                                "postprocess_nested_unet.py", "common.infer.pytorch_infer", "common.judge.agreement"}),
    ("UNetPlusPlus/preprocess_nested_unet.py", {"preprocess_nested_unet.py", "common.tools.ais_infer",
                                                "postprocess_nested_unet.py", "common.infer.pytorch_infer",
                                                "common.judge.agreement"}),
    ("common/publish/page.css", set()),
    ("common/dev/bench.py", set())])
def test_a_touched_source_redoes_the_stages_that_used_it_and_what_follows(project, source, expected):
    (project / source).touch()
    assert set(stages(make(project, *SMALL, "all"))) == expected
    assert stages(make(project, *SMALL, "all")) == []


def test_an_edited_preprocess_makes_every_tensor_anew(project):
    path = project / "UNetPlusPlus/preprocess_nested_unet.py"
    text = path.read_text(encoding="utf-8")
    path.write_text(text + "\n# another\n", encoding="utf-8")
    again = make(project, *SMALL, "all")
    assert "(0 were there already)" in again.stdout, again.stdout
    path.write_text(text, encoding="utf-8")
    make(project, *SMALL, "all")


@pytest.mark.parametrize("name, redone", [
    ("nested_unet.onnx", "nested_unet_pth2onnx.py"), ("accuracy.json", "postprocess_nested_unet.py"),
    ("prep/*.bin", "preprocess_nested_unet.py"), ("result/bs1/*.bin", "common.tools.ais_infer"),
    ("pytorch/result/*.bin", "common.infer.pytorch_infer")])
def test_a_byte_that_changed_between_stages_is_noticed_and_the_file_made_again(project, name, redone):
    path = sorted((project / "UNetPlusPlus/build").glob(name))[0]
    before, status = path.read_bytes(), path.stat()
    path.write_bytes(before[:40] + bytes([before[40] ^ 1]) + before[41:])
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))  # hidden as well as it can be
    again = make(project, *SMALL, "all")
    assert redone in ran(again)
    if name != "accuracy.json":
        assert path.read_bytes() == before


def test_another_limit_does_not_time_the_model_again(project):
    again = stages(make(project, *SMALL, "all", "LIMIT=2"))
    assert again.count("common.tools.ais_infer") == 1  # the dataset's; perf's is the second
    make(project, *SMALL, "all")


def test_two_makes_in_one_folder_wait_for_each_other(project):
    clean = {name: value for name, value in environment().items() if name != "PYTHONPATH"}
    shutil.rmtree(project / "UNetPlusPlus/build")
    both = [subprocess.Popen(["make", *SMALL, "all", limit], cwd=project, env=clean, text=True, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE) for limit in ("LIMIT=3", "LIMIT=2")]
    ends = [process.communicate(timeout=300) for process in both]
    assert [process.returncode for process in both] == [0, 0], ends
    assert "waiting for it to end" in ends[0][1] + ends[1][1]
    report = json.loads((project / "UNetPlusPlus/build/report.json").read_text())
    assert report["performance"][0]["sample_count"] == len(list((project / "UNetPlusPlus/build/prep").glob("*.bin")))
    make(project, *SMALL, "all")


HOSTILE = ("$(shell touch {0}) `touch {0}` $$(touch {0}) ';touch {0};' \";touch {0};\" a$(eval X:=1)b", "x\ntouch {0}")
NAMES = sorted({"FOO", "DATASETS_PATH", *re.findall(r"\b[A-Z]\w*\b", " ".join(
    re.findall(r"^(?:TEXTS|NUMBERS|LISTS_|WORDS) +:= ((?:.*\\\n)*.*)", (ROOT / "common/make/variables.mk").read_text(), re.MULTILINE)))}
    - {"ALL_MODELS", "NAME"})
"""Every variable that make knows, and one that it does not."""


@pytest.mark.parametrize("name", NAMES)
def test_no_value_that_a_user_gives_is_evaluated(project, name, tmp_path):
    assert len(NAMES) > 50
    mark = tmp_path / "ran"
    for form in HOSTILE:
        text = form.format(mark)
        make(project, "-n", "-C", "UNetPlusPlus", "postprocess", "doctor", "dist", "compare", "cann", "int8", "try", "help",
             f"{name}={text}")
        assert not mark.exists(), (name, text)
        subprocess.run(["make", "-C", "UNetPlusPlus", "doctor"], cwd=project, capture_output=True,
                       env={**environment(), name: text})
        assert not mark.exists(), (name, text)


@pytest.mark.parametrize("goal, name", [
    ("dist", "DEST"), ("dist", "HOLDER"), ("try", "PICTURE"), ("try", "OTHER"), ("compare", "OM_RESULT"),
    ("compare", "GPU_RESULT"), ("upstream", "UPSTREAM_URL"), ("readme", "DATA_NAME"), ("cann", "ATC_FLAGS"), ("int8", "CALIBRATION"),
    ("doctor", "DATASETS_PATH"), ("doctor", "PTH"), ("export", "PTH"), ("preprocess", "DATASETS_PATH"), ("help", "PYTHON")])
def test_no_recipe_gives_a_value_to_a_shell_to_evaluate(project, goal, name, tmp_path):
    text = HOSTILE[0].format(tmp_path / "ran")
    make(project, *SMALL[:4], goal, f"{name}={text}")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name, text", [("LIMIT", "²"), ("LIMIT", "9" * 5000), ("THREADS", "99999999999"), ("JOBS", "0"),
                                        ("DEVICE", "cuda:0"), ("BATCH", "-1"), ("STREAM", "yes"), ("B", "/tmp")])
def test_a_number_or_word_that_cannot_be_is_one_line_before_anything_is_written(project, name, text):
    before = sorted((project / "UNetPlusPlus/build").rglob("*"))
    result = make(project, *SMALL[:4], "preprocess", f"{name}={text}")
    errors = [line for line in result.stderr.splitlines() if not line.startswith("make")]
    assert result.returncode == 2 and len(errors) == 1 and name in errors[0], result.stderr
    assert sorted((project / "UNetPlusPlus/build").rglob("*")) == before


def test_a_strangers_build_folder_on_cdpath_is_left_alone(project, tmp_path):
    for name in ("build/perf", "build/compare/OM", "build/result"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "mine.txt").write_text("mine")
    (project / "UNetPlusPlus/nested_unet.py").touch()
    result = subprocess.run(["make", *SMALL, "all", "compare"], cwd=project, capture_output=True, text=True,
                            env={**environment(), "CDPATH": str(tmp_path)})
    assert result.returncode == 0, result.stderr
    assert sorted(path.name for path in tmp_path.rglob("*.txt")) == ["mine.txt"] * 3
    result = subprocess.run(["bash", "UNetPlusPlus/test/pth2om.sh", "--pth=none.pth"], cwd=project, capture_output=True,
                            text=True, env={**environment(), "CDPATH": f".:{tmp_path}"})
    assert "none.pth" in result.stderr and len(result.stderr.splitlines()) == 1


def test_a_folder_that_holds_numpy_or_json_is_not_imported(project):
    build = project / "UNetPlusPlus/build"
    for name in ("numpy.py", "json.py", "runpy.py"):
        (build / name).write_text("raise SystemExit('a stranger was imported')\n")
    (project / "UNetPlusPlus/postprocess_nested_unet.py").touch()
    result = make(project, *SMALL, "all")
    for name in ("numpy.py", "json.py", "runpy.py"):
        (build / name).unlink()
    assert result.returncode == 0, result.stderr


def test_timed_stages_run_alone_and_the_report_says_where_they_could_not(project):
    import fcntl
    code = ("from common.make import stage\nimport sys\n"
            "with stage.turn(sys.argv[1] == 'timed', 0.2) as reason:\n    print(reason)")
    lock = os.path.join(environment()["TMPDIR"], "ascend-model-collection.lock")

    def turn(kind):
        return subprocess.run(["python3", "-c", code, kind], env=environment(), capture_output=True, text=True,
                              check=True).stdout.strip()
    with open(lock, "a") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        assert turn("other") == "None" and "other stages ran on this machine" in turn("timed")
    with open(lock, "a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert "other stages ran" in turn("other")
    assert turn("timed") == "None"


def test_the_lock_of_a_build_folder_ends_with_its_make(tmp_path):
    owner = subprocess.Popen(["sleep", "60"])
    ask = ["python3", "-m", "common.make.lock", "build"]
    first = subprocess.run([*ask, str(owner.pid)], cwd=tmp_path, env=environment(), timeout=10)
    assert first.returncode == 0
    second = subprocess.Popen([*ask, str(os.getpid())], cwd=tmp_path, env=environment(), stderr=subprocess.PIPE, text=True)
    assert "waiting" in second.stderr.readline() and second.poll() is None
    owner.kill()
    owner.wait()
    assert second.wait(10) == 0


def test_a_result_of_other_pytorch_results_does_not_enter_the_report(project):
    folder = project / "UNetPlusPlus/build/compare/OM"
    folder.mkdir(parents=True, exist_ok=True)
    own = json.loads((project / "UNetPlusPlus/build/agreement.json").read_text())
    for expected, taken in ((own["expected_sha256"], True), ("0" * 64, False)):
        (folder / "agreement.json").write_text(json.dumps({**own, "expected_sha256": expected}))
        (project / "UNetPlusPlus/build/report.json").unlink()
        assert make(project, *SMALL, "report").returncode == 0
        report = json.loads((project / "UNetPlusPlus/build/report.json").read_text())
        assert (report["om_agreement"] is not None) == taken
    shutil.rmtree(folder)


def test_without_v_a_stage_is_a_line_and_its_output_a_log(project):
    quiet = make(project, *SMALL, "LIMIT=1", "V=0", "all")
    assert quiet.returncode == 0, quiet.stderr
    lines = [line for line in quiet.stdout.splitlines() if line.startswith("UNetPlusPlus ")]
    assert [line.split()[1] for line in lines] == ["preprocess", "infer", "postprocess", "pytorch", "agreement"]
    assert "throughput" in lines[1] and "common.make" not in quiet.stdout and "cd build" not in quiet.stdout
    assert "[INFO]" in (project / "UNetPlusPlus/build/.args/infer.log").read_text()
    failed = make(project, *SMALL, "LIMIT=1", "V=0", "PTH=Makefile", "export")
    assert failed.returncode == 2 and len([line for line in failed.stderr.splitlines() if line.startswith("error: ")]) == 1


@pytest.mark.parametrize("arguments, part", [
    (["al"], "no target named al; did you mean all?"), (["xyzzy"], "no target named xyzzy; make lists them"),
    (["MODELS=edsr", "all"], "no model named edsr; did you mean EDSR?"),
    (["-C", "EDSR", "postproces"], "EDSR has no target postproces; did you mean postprocess?"),
    (["-C", "EDSR", "it's"], "EDSR has no target it's")])
def test_a_name_that_is_not_there_is_answered_with_the_nearest(project, arguments, part):
    result = make(project, *arguments)
    assert result.returncode == 2 and part in result.stderr and "Traceback" not in result.stderr


def test_help_names_the_targets_of_the_folder_and_of_the_rules(project):
    text = make(project, "-C", "CGAN").stdout
    for target in ("all", "classifier", "compare", "sweep", "om", "dist", "setup"):
        assert re.search(rf"^  {target} +\S", text, re.MULTILINE), text
    assert ROOT
