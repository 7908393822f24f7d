"""From .onnx to .om: the five test/pth2om.sh and `make om`, driven by stand-ins for CANN's tools (tests/ascend).

The export is not what is tested here: a `python3` in front of PATH copies tiny models of the same inputs in its place.
"""
from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import zipfile
from pathlib import Path
from typing import Dict, List, NamedTuple, Sequence

import pytest
from onnx import TensorProto

import onnx_models
from common.base import facts
from conftest import ROOT, environment, own_lines

ASCEND = ROOT / "tests/ascend"
BATCHES = (1, 4, 8, 16, 32)
SOURCES = {".sh", ".py", ".cfg", ".json", ".txt", ".npz"}

INPUTS = {"edsr_x2_1020.onnx": ("input.1", [1, 3, 1020, 1020]), "edsr_x2_256.onnx": ("input.1", [1, 3, 256, 256]),
          "edsr_x2.onnx": ("input.1", [1, 3, 64, 64]), "CGAN.onnx": ("image", [100, 72]),
          "CGAN_sim.onnx": ("image", [100, 72]), "intrada_deeplabv2.onnx": ("image", ["N", 3, 512, 1024]),
          "nested_unet.onnx": ("actual_input_1", ["N", 3, 96, 96]),
          "pix2pixhd.onnx": ("input_concat", [1, 36, 1024, 2048]),
          "pix2pixhd_labels.onnx": ("input_labels", [1, 2, 1024, 2048])}
"""The networks' inputs, as upstream and the reference have them."""


def line(model: str, output: str, shape: str, *more: str, form: str = "NCHW") -> Dict[str, str]:
    """The flags of one atc line, without the chip. fp16 is what atc compiles for inference, and the reference did."""
    return dict({"framework": "5", "model": model, "output": output, "input_format": form, "input_shape": shape,
                 "precision_mode": "force_fp16", "log": "error"}, **dict(flag.split("=", 1) for flag in more))


REFERENCE: Dict[str, List[Dict[str, str]]] = {
    "EDSR": [line(f"edsr_x2_{side}.onnx", f"edsr_x2_{side}", f"input.1:1,3,{side},{side}",
                  "fusion_switch_file=switch.cfg") for side in (1020, 256)],
    "CGAN": [line("CGAN_sim.onnx", "CGAN_bs1", "image:100,72", "output_type=FP32", "auto_tune_mode=RL,GA", form="ND")],
    "IntraDA": [line("intrada_deeplabv2.onnx", f"intrada_deeplabv2_bs{batch}", f"image:{batch},3,512,1024")
                for batch in BATCHES],
    "UNetPlusPlus": [line("nested_unet.onnx", f"nested_unet_bs{batch}", f"actual_input_1:{batch},3,96,96")
                     for batch in BATCHES],
    "Pix2pixHD": [line("pix2pixhd.onnx", "pix2pixhd_bs1", "input_concat:1,36,1024,2048")]}
"""What the reference gave atc for each model."""
LABELS = line("pix2pixhd_labels.onnx", "pix2pixhd_labels_bs1", "input_labels:1,2,1024,2048")
MODELS = tuple(sorted(REFERENCE))
FIRST = {"IntraDA": ["--batch_sizes=1"], "UNetPlusPlus": ["--batch_sizes=1"], "EDSR": ["--size=256"]}
"""Options for one .om only."""

PYTHON = """\
#!/bin/bash
# the export and the simplification copy a prepared model; anything else is Python's
for word in "$@"; do if [[ $word == *.onnx ]]; then onnx=$word; fi; done
case "$1 ${{2-}}" in
    *_pth2onnx.py[[:space:]]*|"-m onnxsim") cp "$STANDIN_MODELS/${{onnx##*/}}" "$onnx" ;;
    "-m common.convert.simplify") for word in "$@"; do if [[ $word == *.json ]]; then touch "$word"; fi; done ;;
    *) exec "{python}" "$@" ;;
esac
"""


@pytest.fixture(scope="module")
def tools(tmp_path_factory) -> Path:
    """A folder with the `python3` above in bin, and the models that it copies."""
    folder = tmp_path_factory.mktemp("tools")
    (folder / "bin").mkdir()
    (folder / "bin/python3").write_text(PYTHON.format(python=ROOT / ".venv/bin/python"))
    (folder / "bin/python3").chmod(0o755)
    for name, (node, shape) in INPUTS.items():
        kind = TensorProto.UINT8 if "labels" in name else TensorProto.FLOAT
        onnx_models.save(folder / name, [onnx_models.helper.make_node("Identity", [node], ["y"])],
                         [(node, shape, kind)], [("y", shape, kind)])
    return folder


class Machine(NamedTuple):
    """A model's folder, copied, and what is on the machine: CANN's tools, or not."""

    folder: Path
    tools: Path

    def environment(self, atc: bool = True, **variables: str) -> Dict[str, str]:
        path = [str(self.tools / "bin"), *([str(ASCEND)] if atc else []), str(ROOT / ".venv/bin"), "/usr/bin", "/bin"]
        kept = {name: value for name, value in environment().items()
                if not name.startswith(("ASCEND_", "STANDIN_")) and name != "SOC_VERSION"}
        return {**kept, "PATH": os.pathsep.join(path), "HOME": str(self.folder.parent / "home"), "ASCEND_ROOT": "/none",
                "STANDIN_MODELS": str(self.tools), "STANDIN_CALLS": str(self.calls_file), **variables}

    @property
    def calls_file(self) -> Path:
        return self.folder.parent / "calls"

    def run(self, *command: str, atc: bool = True, cwd: Path = Path("/"),
            **variables: str) -> subprocess.CompletedProcess:
        self.calls_file.unlink(missing_ok=True)
        return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120,
                              env=self.environment(atc, **variables))

    def pth2om(self, *options: str, **more) -> subprocess.CompletedProcess:
        return self.run("bash", str(self.folder / "test/pth2om.sh"), *options, **more)

    def make(self, *arguments: str, **more) -> subprocess.CompletedProcess:
        return self.run("make", "-C", str(self.folder), "PYTHON=python3", *arguments, **more)

    def calls(self, tool: str) -> List[List[str]]:
        """The arguments of each call of a tool, --help apart, in the run before."""
        text = self.calls_file.read_text() if self.calls_file.exists() else ""
        calls = map(json.loads, text.splitlines())
        return [words for name, *words in calls if name == tool and words != ["--help"]]

    def om(self) -> List[str]:
        return sorted(path.name for path in self.folder.rglob("*.om"))


def flags(words: Sequence[str]) -> Dict[str, str]:
    """`--flag=value` ... as a dict; anything else, or a flag given twice, is a mistake in the line."""
    pairs = [word.split("=", 1) for word in words]
    assert all(pair[0].startswith("--") and len(pair) == 2 for pair in pairs), words
    assert len({pair[0] for pair in pairs}) == len(pairs), words
    return {name[2:]: value for name, value in pairs}


def copied(model: str, folder: Path, tools: Path) -> Machine:
    """A model's folder as a user copies it, to a path that holds a space; `common` is the installed one."""
    target = folder / "a folder" / model
    shutil.copytree(ROOT / model / "test", target / "test")
    for path in (ROOT / model).iterdir():
        if path.is_file() and (path.suffix in SOURCES or path.name == "Makefile"):
            shutil.copy2(path, target)
    return Machine(target, tools)


@pytest.fixture
def machine(request, tmp_path, tools) -> Machine:
    return copied(request.param, tmp_path, tools)


def each(*models: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("machine", models or MODELS, indirect=True)


def succeeded(result: subprocess.CompletedProcess) -> subprocess.CompletedProcess:
    assert result.returncode == 0, result.stdout + result.stderr
    return result


def failed(result: subprocess.CompletedProcess, *parts: str) -> List[str]:
    """The lines on stderr of a run that failed with one error, its first line, which names every part."""
    assert result.returncode == 1, result.stdout + result.stderr
    lines = result.stderr.splitlines()
    assert [number for number, text in enumerate(lines) if text.startswith("error: ")] == [0], result.stderr
    for part in parts:
        assert part in lines[0], (part, lines[0])
    return lines


# the script

@each()
def test_atc_is_given_the_references_flags_once_for_each_file_and_leaves_the_om(machine):
    result = succeeded(machine.pth2om(STANDIN_CHIP="310"))
    expected = [{**entry, "soc_version": "Ascend310"} for entry in REFERENCE[machine.folder.name]]
    assert [flags(call) for call in machine.calls("atc")] == expected
    assert machine.om() == sorted(entry["output"] + ".om" for entry in expected)
    for entry in expected:
        with zipfile.ZipFile(machine.folder / (entry["output"] + ".om")) as archive:
            assert archive.read("model.onnx") == (machine.folder / entry["model"]).read_bytes()
        assert f"{entry['output']}.om: " in result.stdout


@each("Pix2pixHD")
def test_the_small_form_of_pix2pixhd_is_compiled_from_its_own_file(machine):
    succeeded(machine.pth2om("--input=labels", STANDIN_CHIP="310"))
    assert [flags(call) for call in machine.calls("atc")] == [{**LABELS, "soc_version": "Ascend310"}]


@each()
def test_the_facts_and_the_readme_quote_the_same_lines(machine):
    model = machine.folder.name
    reference = REFERENCE[model] + ([LABELS] if model == "Pix2pixHD" else [])
    lines = [shlex.split(text) for text in facts.load(ROOT / model).atc]
    assert [words[0] for words in lines] == ["atc"] * len(lines)
    assert [flags(words[1:]) for words in lines] == [{**entry, "soc_version": "${soc}"} for entry in reference]
    quoted = [shlex.split(text) for text in (ROOT / model / "README.md").read_text().splitlines()
              if text.startswith("atc --")]
    assert quoted, "README.md has no atc line"
    for words in quoted:
        found = flags(words[1:])
        assert found.pop("soc_version").startswith("Ascend310") and found in reference


@pytest.mark.parametrize("chip", ["310P3", "910B4"])
@each()
def test_the_chip_is_the_machines_own(machine, chip):
    succeeded(machine.pth2om(*FIRST.get(machine.folder.name, ()), STANDIN_CHIP=chip))
    assert [flags(call)["soc_version"] for call in machine.calls("atc")] == [f"Ascend{chip}"]


@each("UNetPlusPlus")
@pytest.mark.parametrize("chip", ["Ascend910_9392", "Ascend950PR_9579"])
def test_on_newer_machines_the_board_names_the_chip(machine, chip):
    succeeded(machine.pth2om("--batch_sizes=1", STANDIN_CHIP=chip))
    assert [flags(call)["soc_version"] for call in machine.calls("atc")] == [chip]


@each("CGAN")
@pytest.mark.parametrize("tool, more", [("atc", {}), ("aoe", {"STANDIN_CANN": "7.0"})])
def test_the_compiler_runs_with_the_python_of_before(machine, tool, more, tmp_path):
    """A stand-in of the stand-in notes which python3 it would import its packages from, and what is on its path."""
    (tmp_path / tool).write_text('#!/bin/bash\n[[ $* == --help ]] || echo "$(command -v python3)|${PYTHONPATH-}|'
                                 f'${{PYTHONSAFEPATH-}}" > "{tmp_path}/noted"\nexec "{ASCEND / tool}" "$@"\n')
    (tmp_path / tool).chmod(0o755)
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "python3").symlink_to(machine.tools / "bin/python3")
    path = os.pathsep.join([str(ROOT / ".venv/bin"), str(tmp_path), str(theirs), str(machine.tools / "bin"), str(ASCEND),
                            "/usr/bin", "/bin"])
    script = (f'. "{machine.folder}/env.sh" && [[ $(command -v python3) == "{ROOT}/.venv/bin/python3" ]] && '
              f'PATH="{machine.tools}/bin:$PATH" . "{ROOT}/common/npu/atc.sh" && choose_tuning yes && '
              f'cp "{machine.tools}/CGAN_sim.onnx" "{machine.folder}" && cd "{machine.folder}" && PYTHONSAFEPATH=1 compile '
              'CGAN_bs1 atc --framework=5 --model=CGAN_sim.onnx --output=CGAN_bs1 --soc_version=Ascend310')
    succeeded(machine.run("bash", "-c", script, PATH=path, STANDIN_CHIP="310", PYTHONPATH=f"{ROOT}:/theirs", **more))
    assert (tmp_path / "noted").read_text() == f"{theirs}/python3|/theirs|\n"


@each()
def test_another_chip_than_the_machines_can_be_given(machine):
    succeeded(machine.pth2om(*FIRST.get(machine.folder.name, ()), "--soc_version=Ascend310P3", STANDIN_CHIP="310"))
    assert [flags(call)["soc_version"] for call in machine.calls("atc")] == ["Ascend310P3"]


@each("UNetPlusPlus")
def test_without_an_npu_the_chip_must_be_given(machine):
    failed(machine.pth2om(), "npu-smi info ended with status 241", "--soc_version=")
    assert machine.calls("atc") == [] and machine.om() == []
    succeeded(machine.pth2om("--batch_sizes=1", "--soc_version=Ascend310P3"))
    assert [flags(call)["soc_version"] for call in machine.calls("atc")] == ["Ascend310P3"]


@each()
def test_an_atc_that_fails_is_one_error_then_the_end_of_what_it_printed_and_logged(machine):
    result = machine.pth2om(*FIRST.get(machine.folder.name, ()), STANDIN_CHIP="310", STANDIN_ATC="fail")
    lines = failed(result, "atc ended with status 255 and left no ", ".om")
    assert any(text.startswith("EZ3003: No supported Ops kernel") for text in lines)
    assert "engine_place.cc:144" in lines[-2] and not any("line 5 of the log" in text for text in lines)
    log = Path(lines[-1].replace("all of it: ", ""))
    assert "line 5 of the log" in next(log.rglob("plog-*")).read_text()
    shutil.rmtree(log)
    assert machine.om() == []


@each()
def test_an_atc_that_ends_well_without_a_file_has_failed(machine):
    model = machine.folder.name
    name = REFERENCE[model][1 if model == "EDSR" else 0]["output"] + ".om"
    (machine.folder / name).write_bytes(b"of an earlier run")
    result = machine.pth2om(*FIRST.get(model, ()), STANDIN_CHIP="310", STANDIN_ATC="no-file", TMPDIR=str(machine.tools))
    failed(result, f"atc ended with status 0 and left no {name}")
    assert machine.om() == []


@each("UNetPlusPlus")
def test_a_file_of_an_atc_that_failed_is_not_taken(machine):
    result = machine.pth2om(*FIRST.get(machine.folder.name, ()), STANDIN_CHIP="310", STANDIN_ATC="late-fail",
                            TMPDIR=str(machine.tools))
    lines = failed(result, "atc ended with status 255; the ", ".om it left is taken away")
    assert "E40000: Failed to save the whole model." in lines and machine.om() == []


@each()
def test_without_atc_one_line_says_so_and_what_works_all_the_same(machine):
    result = succeeded(machine.pth2om(*FIRST.get(machine.folder.name, ()), atc=False))
    *_, last = result.stdout.splitlines()
    assert last.startswith("no atc on this machine, so no .om") and "ONNX Runtime" in last and result.stderr == ""
    made = last.rpartition(": ")[2].split()
    assert made and all((machine.folder / name).is_file() for name in made) and machine.om() == []


@each()
def test_a_relative_checkpoint_is_the_callers(machine, tmp_path):
    """Where the script is called from is not where it works."""
    stub = tmp_path / "bin"
    stub.mkdir()
    (stub / "python3").write_text(f'#!/bin/bash\nprintf "%s\\n" "$@" >> "{tmp_path}/words"\n'
                                  f'exec "{machine.tools}/bin/python3" "$@"\n')
    (stub / "python3").chmod(0o755)
    option = "--load_pretrain" if machine.folder.name == "Pix2pixHD" else "--pth"
    path = machine.environment(atc=False)["PATH"]
    succeeded(machine.pth2om(f"{option}=my weights", *FIRST.get(machine.folder.name, ()), cwd=tmp_path,
                             PATH=f"{stub}:{path}"))
    assert f"{tmp_path}/my weights" in (tmp_path / "words").read_text().splitlines()


# tuning

@each()
def test_tune_is_atcs_own_where_atc_has_it(machine):
    succeeded(machine.pth2om("--tune", *FIRST.get(machine.folder.name, ()), STANDIN_CHIP="310"))
    assert [flags(call)["auto_tune_mode"] for call in machine.calls("atc")] == ["RL,GA"]
    assert machine.calls("aoe") == []


@each("EDSR", "CGAN")
def test_tune_is_aoes_where_atc_has_none_with_the_same_flags_but_the_chip(machine):
    model = machine.folder.name
    succeeded(machine.pth2om("--tune", *FIRST.get(model, ()), STANDIN_CHIP="310", STANDIN_CANN="6.0.1"))
    expected = dict(REFERENCE[model][1 if model == "EDSR" else 0], job_type="2")
    expected.pop("auto_tune_mode", None)
    assert [flags(call) for call in machine.calls("aoe")] == [expected] and machine.calls("atc") == []
    assert machine.om() == [expected["output"] + ".om"]


@each("CGAN")
def test_cgan_is_tuned_as_the_reference_unless_asked_otherwise_or_atc_cannot(machine):
    succeeded(machine.pth2om("--no_tune", STANDIN_CHIP="310"))
    assert "auto_tune_mode" not in flags(machine.calls("atc")[0])
    result = succeeded(machine.pth2om(STANDIN_CHIP="310", STANDIN_CANN="7.0"))
    assert "auto_tune_mode" not in flags(machine.calls("atc")[0]) and machine.calls("aoe") == []
    assert "note: this atc has no --auto_tune_mode" in result.stdout and machine.om() == ["CGAN_bs1.om"]


@each("CGAN")
def test_an_aoe_that_fails_or_is_not_there_is_one_error(machine, tmp_path):
    result = machine.pth2om("--tune", STANDIN_CHIP="310", STANDIN_CANN="7.0", STANDIN_AOE="fail", TMPDIR=str(tmp_path))
    lines = failed(result, "aoe ended with status 255 and left no CGAN_bs1.om")
    assert any("aoe_process.cc" in text for text in lines)
    for tool in ("atc", "npu-smi", "standin.py"):  # a machine without aoe
        (tmp_path / "some").mkdir(exist_ok=True)
        (tmp_path / "some" / tool).symlink_to(ASCEND / tool)
    path = machine.environment()["PATH"].replace(str(ASCEND), str(tmp_path / "some"))
    failed(machine.pth2om("--tune", STANDIN_CHIP="310", STANDIN_CANN="7.0", PATH=path), "--tune", "aoe")
    assert machine.om() == []


# precision and further flags that are chosen: ATC_PRECISION, ATC_FLAGS

CHOSEN = [({"ATC_PRECISION": "must_keep_origin_dtype"}, {"precision_mode": "must_keep_origin_dtype"}),
          ({"ATC_PRECISION": "mixed_float16"}, {"precision_mode_v2": "mixed_float16"}),
          ({"ATC_FLAGS": "--precision_mode_v2=origin --output_type=FP16"}, {"precision_mode_v2": "origin", "output_type": "FP16"}),
          ({"ATC_FLAGS": '--input_fp16_nodes="image;other"'}, {"precision_mode": "force_fp16", "input_fp16_nodes": "image;other"})]


def with_flags(entry: Dict[str, str], chosen: Dict[str, str]) -> Dict[str, str]:
    return {**{name: value for name, value in entry.items() if name != "precision_mode"}, **chosen}


@pytest.mark.parametrize("variables, chosen", CHOSEN)
@each("CGAN", "EDSR")
def test_the_script_and_make_give_atc_the_precision_and_the_flags_that_are_chosen(machine, variables, chosen):
    model = machine.folder.name
    succeeded(machine.pth2om(*FIRST.get(model, ()), STANDIN_CHIP="310", **variables))
    first = REFERENCE[model][-1]
    assert [flags(call) for call in machine.calls("atc")] == [{**with_flags(first, chosen), "soc_version": "Ascend310"}]
    assert machine.om() == [first["output"] + ".om"]
    by_make = printed(machine.make("-n", "om", "SOC_VERSION=Ascend310", *(f"{name}={value}" for name, value in variables.items())))
    assert by_make == [{**with_flags(entry, chosen), "soc_version": "Ascend310"} for entry in as_in_build(model)]


WRONG = [({"ATC_PRECISION": "fp17"}, "ATC_PRECISION=fp17: expected one of force_fp16"),
         ({"ATC_PRECISION": "fp16", "ATC_FLAGS": "--precision_mode=force_fp32"}, "ATC_FLAGS has --precision_mode too"),
         ({"ATC_FLAGS": "--precision_mode=force_fp32 --precision_mode_v2=fp16"}, "atc takes --precision_mode or --precision_mode_v2"),
         ({"ATC_FLAGS": "--input_fp16_nodes=a --insert_op_conf=b"}, "atc takes --input_fp16_nodes or --insert_op_conf"),
         ({"ATC_FLAGS": "keep=1"}, "expected --NAME=VALUE, found keep=1"), ({"ATC_FLAGS": "--log"}, "found --log"),
         ({"ATC_FLAGS": "--log=info --log=error"}, "has --log twice"), ({"ATC_FLAGS": '--log="info'}, "a quote is not closed")]


@pytest.mark.parametrize("variables, part", WRONG)
@each("EDSR")
def test_flags_that_atc_does_not_take_are_one_line_before_atc_runs(machine, variables, part):
    failed(machine.pth2om("--size=256", STANDIN_CHIP="310", **variables), part)
    assert machine.calls("atc") == [] and machine.om() == []
    result = machine.make("-n", "om", "SOC_VERSION=Ascend310", *(f"{name}={value}" for name, value in variables.items()))
    said = own_lines(result.stderr)
    assert result.returncode == 2 and len(said) == 1 and said[0].startswith("error: ") and part in said[0]


@each("EDSR")
def test_no_flag_that_is_given_is_evaluated(machine, tmp_path):
    mark = tmp_path / "ran"
    for text in (f"--log=$(touch {mark})", f"--log=`touch {mark}`", f"--log=$(shell touch {mark})", f"--log=';touch {mark};'"):
        machine.pth2om("--size=256", STANDIN_CHIP="310", ATC_FLAGS=text)
        machine.make("-n", "om", "SOC_VERSION=Ascend310", f"ATC_FLAGS={text}")
        assert not mark.exists(), text


@each("UNetPlusPlus")
def test_another_precision_makes_the_om_anew_and_stands_in_its_record(machine):
    def made(*more: str) -> List[str]:
        succeeded(machine.make("om", "BATCHES=1", "SOC_VERSION=Ascend310", "PTH=seeded", "SEEDED=filters=4,8,8,8,8", *more))
        return [flags(call).get("precision_mode_v2", "") for call in machine.calls("atc")]
    assert made() == [""] and made() == [] and made("ATC_PRECISION=origin") == ["origin"]
    assert "--precision_mode_v2=origin" in (machine.folder / "build/.args/om-nested_unet_bs1.json").read_text()


# make om

def printed(result: subprocess.CompletedProcess) -> List[Dict[str, str]]:
    """The flags of the atc lines that make printed, file names without their folder."""
    begin = "cd build && atc "
    lines = [shlex.split(text[len(begin):]) for text in succeeded(result).stdout.splitlines() if text.startswith(begin)]
    return [{name: os.path.basename(value) if name == "fusion_switch_file" else value
             for name, value in flags(words).items()} for words in lines]


def as_in_build(model: str) -> List[Dict[str, str]]:
    """The reference's lines with the names that files have in build/, where EDSR's size is not in the name."""
    text = json.dumps(REFERENCE[model]).replace("edsr_x2_1020", "edsr_x2")
    return json.loads(text)


@each()
def test_make_n_om_prints_the_same_lines_on_any_machine(machine):
    """The chip, where none is named, is what a shell asks for that runs the line."""
    found = printed(machine.make("-n", "om", atc=False))
    expected = as_in_build(machine.folder.name)
    assert found == [{**entry, "soc_version": "${SOC_VERSION:?e.g. Ascend310P3}"} for entry in expected]
    assert not (machine.folder / "build").exists() and machine.calls("atc") == []


@each("CGAN")
def test_make_n_om_names_the_chip_that_is_given_or_there(machine):
    for arguments, variables, chip in ((("SOC_VERSION=Ascend910B4",), {"atc": False}, "Ascend910B4"),
                                       (("SOC_VERSION=Ascend910B4",), {"STANDIN_CHIP": "310P3"}, "Ascend910B4"),
                                       ((), {"STANDIN_CHIP": "310P3"}, "Ascend310P3")):
        found = printed(machine.make("-n", "om", *arguments, **variables))
        assert found == [{**REFERENCE["CGAN"][0], "soc_version": chip}]


@each("Pix2pixHD")
def test_make_n_om_follows_the_input_that_is_chosen(machine):
    found, = printed(machine.make("-n", "om", "INPUT=labels", "SOC_VERSION=Ascend310"))
    assert {**found, "model": "", "output": ""} == {**LABELS, "soc_version": "Ascend310", "model": "", "output": ""}


@each("EDSR")
def test_make_n_om_follows_the_size_that_is_given(machine):
    found = printed(machine.make("-n", "om", "SIZE=64", "SOC_VERSION=Ascend310"))
    assert [entry["input_shape"] for entry in found] == ["input.1:1,3,64,64", "input.1:1,3,256,256"]


@each("EDSR")
def test_make_n_om_leaves_the_size_open_where_pictures_keep_their_own(machine):
    own, fixed = printed(machine.make("-n", "om", "SHAPE=exact", "SOC_VERSION=Ascend310P3"))
    assert own["input_shape_range"] == "input.1:[1,3,-1,-1]" and "input_shape" not in own
    assert fixed["input_shape"] == "input.1:1,3,256,256" and "input_shape_range" not in fixed
    for wrong, part in ((("SHAPE=square",), "SHAPE=square: expected padded or exact"),
                        (("SHAPE=exact", "SIZE=64"), "SIZE=64: expected none with SHAPE=exact")):
        assert part in machine.make("-n", "om", *wrong).stderr


@each("CGAN")
def test_make_n_om_leaves_out_the_tuning_that_a_newer_atc_has_not(machine):
    assert "auto_tune_mode" not in printed(machine.make("-n", "om", STANDIN_CANN="7.0", STANDIN_CHIP="310"))[0]


def test_make_n_om_works_without_the_environment_and_at_the_top(tmp_path):
    for name in ("Makefile", "requirements.txt", "pyproject.toml"):
        shutil.copy2(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "common", tmp_path / "common", ignore=shutil.ignore_patterns("__pycache__"))
    for model in MODELS:
        copied(model, tmp_path, tmp_path).folder.rename(tmp_path / model)
        (tmp_path / model / "common").symlink_to("../common")
    result = subprocess.run(["make", "-n", "om", "SOC_VERSION=Ascend310"], cwd=tmp_path, capture_output=True, text=True,
                            env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}, timeout=120)
    assert [entry["output"] for entry in printed(result)] == [
        entry["output"] for model in MODELS for entry in as_in_build(model)]
    assert not (tmp_path / ".venv").exists()


@each("UNetPlusPlus")
def test_make_om_makes_the_files_once_and_anew_for_another_chip(machine, tmp_path):
    (tmp_path / "w.pth").write_bytes(b"")
    arguments = ("om", f"PTH={tmp_path}/w.pth", "BATCHES=1 4")
    for chip, calls in (("310", 2), ("310", 0), ("310P3", 2)):
        succeeded(machine.make(*arguments, STANDIN_CHIP=chip))
        assert [flags(call)["soc_version"] for call in machine.calls("atc")] == [f"Ascend{chip}"] * calls
    for batch in (1, 4):
        with zipfile.ZipFile(machine.folder / f"build/nested_unet_bs{batch}.om") as archive:
            about = json.loads(archive.read("atc.json"))
        assert about["input_shape"] == {"actual_input_1": [batch, 3, 96, 96]} and about["soc_version"] == "Ascend310P3"

    for mode, chip in (("fail", "310"), ("no-file", "310P3"), ("late-fail", "910B4")):
        (machine.folder / "build/nested_unet_bs1.om").write_bytes(b"of an earlier run")
        result = machine.make(*arguments, "BATCHES=1", STANDIN_CHIP=chip, STANDIN_ATC=mode)
        assert result.returncode == 2 and machine.om() == ["nested_unet_bs4.om"], mode


@each("UNetPlusPlus")
def test_make_om_runs_atc_with_the_python_of_before_and_the_export_with_the_projects(machine, tmp_path):
    for name, text in (("atc", f'echo "$(command -v python3)|${{PYTHONPATH-}}" > "{tmp_path}/noted"\n'
                               f'exec "{ASCEND}/atc" "$@"\n'),
                       ("python3", f'exec "{machine.tools}/bin/python3" "$@"\n')):
        (tmp_path / name).write_text(f"#!/bin/bash\n{text}")
        (tmp_path / name).chmod(0o755)
    (tmp_path / "w.pth").write_bytes(b"")
    path = os.pathsep.join([str(ROOT / ".venv/bin"), str(tmp_path), str(ASCEND), "/usr/bin", "/bin"])
    succeeded(machine.run("make", "-C", str(machine.folder), f"PYTHON={machine.tools}/bin/python3", "om",
                          f"PTH={tmp_path}/w.pth", "BATCHES=1", PATH=path, STANDIN_CHIP="310", PYTHONPATH="/theirs"))
    assert (tmp_path / "noted").read_text() == f"{tmp_path}/python3|/theirs\n"


@each("EDSR")
def test_make_om_takes_the_size_from_the_data_and_finds_the_switch_file(machine, tmp_path):
    from PIL import Image
    for name, side in (("LR", 64), ("HR", 128)):
        (tmp_path / "data" / name).mkdir(parents=True)
        Image.new("RGB", (side, side)).save(tmp_path / f"data/{name}/0801{'x2' if name == 'LR' else ''}.png")
    (tmp_path / "w.pth").write_bytes(b"")
    arguments = ("om", f"PTH={tmp_path}/w.pth", f"DATASETS_PATH={tmp_path}/data")
    succeeded(machine.make(*arguments, STANDIN_CHIP="310"))
    assert [flags(call)["input_shape"] for call in machine.calls("atc")] == ["input.1:1,3,64,64", "input.1:1,3,256,256"]
    succeeded(machine.make(*arguments, STANDIN_CHIP="310"))
    assert machine.calls("atc") == [] and machine.om() == ["edsr_x2.om", "edsr_x2_256.om"]


@each()
def test_make_om_without_atc_or_chip_is_one_error_before_any_work(machine):
    for variables, part in (({"atc": False}, "no atc on PATH"), ({}, "npu-smi names no chip")):
        result = machine.make("om", **variables)
        errors = own_lines(result.stderr)
        assert result.returncode == 2 and len(errors) == 1 and errors[0].startswith("error: ") and part in errors[0]
        assert not (machine.folder / "build/inputs.json").exists()


# the stand-in

@pytest.mark.parametrize("change, code, part", [
    ({"framework": ""}, 255, "E10007: [--framework] is required."), ({"model": "no.onnx"}, 255, "[--model]"),
    ({"input_format": "NHWC"}, 255, "[--input_format]"), ({"output": "a b"}, 255, "[--output]"),
    ({"input_shape": "images:1,3,96,96"}, 255, "no input [images]"),
    ({"input_shape": "actual_input_1:1,3,96"}, 255, "[0, 3, 96, 96]"), ({"input_shape": ""}, 255, "must be given"),
    ({"input_shape": "actual_input_1:1,3,96,97"}, 255, "[0, 3, 96, 96]"), ({"output": "no/x"}, 255, "[--output]"),
    ({"soc_version": "310"}, 255, "EE1001: The argument is invalid.Reason: Soc version [310] is invalid"),
    ({"precision_mode": "fp16"}, 255, "[--precision_mode]"), ({"output_type": "FLOAT"}, 255, "[--output_type]"),
    ({"auto_tune_mode": "RL;GA"}, 255, "[--auto_tune_mode]"), ({"fusion_switch_file": "no.cfg"}, 255, "No such file"),
    ({"fusion_switch_file": "bad.cfg"}, 255, "[SomePass:of]"),
    ({"colour": "red"}, 255, "E19999: Inner Error! unknown command line flag 'colour'"),
    ({"soc_version": "Ascend910"}, 255, "EE1001"), ({"log": "loud"}, 255, "E10010: Value [loud]"),
    ({"buffer_optimize": "l1_and_l2_optimize"}, 255, "[--buffer_optimize]")])
def test_the_stand_in_refuses_what_the_tool_refuses(change, code, part, tools, tmp_path):
    (tmp_path / "bad.cfg").write_text("SomePass:of\n")
    shutil.copy2(tools / "nested_unet.onnx", tmp_path)
    given = {**REFERENCE["UNetPlusPlus"][0], "soc_version": "Ascend310", **change}
    result = Machine(tmp_path / "x", tools).run("atc", *(f"--{name}={value}" for name, value in given.items() if value),
                                                cwd=tmp_path)
    assert result.returncode == code and part in result.stdout + result.stderr, result.stdout + result.stderr
    assert not list(tmp_path.glob("*.om"))
