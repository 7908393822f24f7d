"""The history of runs: what is kept, what counts as a change, and where it is told."""
from __future__ import annotations

import copy
import json

import pytest

from common.base import json_files
from common.publish import history, page, report
from test_report import behind, full, run_record


@pytest.fixture
def first(tmp_path):
    """A run that is in the history already."""
    one = full()
    one["date"] = "2026-01-01T10:00:00+00:00"
    assert history.since(one, tmp_path) is None
    return one


def later(first, **speed):
    second = copy.deepcopy(first)
    second["date"] = "2026-01-02T10:00:00+00:00"
    for run in second["performance"]:
        run["compute_ms"].update(speed)
    return second


def kept(folder):
    return [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]


def test_a_run_is_a_line_and_the_same_run_told_again_is_none(first, tmp_path):
    assert history.since(later(first), tmp_path) is None and len(kept(tmp_path)) == 1
    slow = later(first, median=10 * first["performance"][0]["compute_ms"]["p99"])
    assert history.since(slow, tmp_path)["date"] == first["date"] and len(kept(tmp_path)) == 2
    assert history.since(slow, tmp_path)["changes"][0].startswith("slower beyond noise: ") and len(kept(tmp_path)) == 2


def test_a_fall_beyond_noise_comes_first_and_is_named(first, tmp_path):
    now = later(first, median=10 * first["performance"][0]["compute_ms"]["p99"])
    now["accuracy"]["value"] -= 0.1
    now["provenance"]["versions"]["numpy"] = "9.9"
    found = history.since(now, tmp_path)["changes"]
    assert found[0] == "falls beyond rounding: PSNR 34.6 to 34.5 dB"
    assert found[1].startswith("slower beyond noise: ") and found[-1].startswith("numpy ") and "to 9.9" in found[-1]


def test_a_run_of_samples_at_their_own_sizes_is_not_held_against_one_of_a_fixed_size(first, tmp_path):
    own = later(first, median=10 * first["performance"][0]["compute_ms"]["p99"])
    for run in own["performance"]:
        run["input_shape"] = [1, 3, "H", "W"]
    json_files.check(own, "report", "report.json")
    assert history.since(own, tmp_path) == {"date": first["date"], "changes": []}


def test_what_noise_makes_is_no_change(first, tmp_path):
    old = first["performance"][0]["compute_ms"]
    now = later(first, median=(old["median"] + old["p99"]) / 2)
    now["accuracy"]["value"] *= 1 - 1e-5
    assert history.since(now, tmp_path) == {"date": first["date"], "changes": []}
    now["since"] = {"date": first["date"], "changes": []}
    assert history.told(now)[1:] == ["nothing changed beyond noise"]


def test_a_faster_run_and_another_checkpoint_are_told_as_such(first, tmp_path):
    now = later(first, median=first["performance"][0]["compute_ms"]["min"] / 2, min=0.1)
    now["provenance"]["checkpoint"]["sha256"] = "9" * 64
    found = history.since(now, tmp_path)["changes"]
    assert found[0].startswith("faster: ") and found[-1].startswith("another checkpoint: SHA-256 ")
    assert found[-1].endswith("to 999999999999")


def test_only_a_run_on_the_same_data_counts(first, tmp_path):
    elsewhere = later(first)
    elsewhere["inputs"]["data"] = "/other"
    assert history.since(elsewhere, tmp_path) is None
    third = later(first)
    third["accuracy"]["value"] += 1
    assert history.since(third, tmp_path)["date"] == first["date"]


def test_data_that_changed_in_their_folder_or_are_made_into_other_input_are_other_data(first, tmp_path):
    now = later(first)
    now["accuracy"]["value"] -= 1
    (tmp_path / "checkpoint.list").write_text("weights are no data")
    assert history.since(now, tmp_path)["changes"][0].startswith("falls beyond rounding")
    (tmp_path / "LR.list").write_text("/data/LR\na.png 10 1 1\n")
    assert history.since(later(now), tmp_path) is None
    again = later(now)
    again["accuracy"]["value"] += 1
    assert history.since(again, tmp_path)["changes"][0].startswith("rises")
    again["provenance"]["commands"] = [{"stage": "preprocess", "command": "CGAN_preprocess.py --seed 7"}]
    assert history.since(again, tmp_path) is None


def test_how_the_input_is_made_counts_and_not_what_computes_or_whether_it_is_streamed(tmp_path):
    made = 'edsr_preprocess.py -s data/LR -d prep --size 32 --HR data/HR'
    steps = {"stage": "preprocess", "command": f"python3 ../{made} LIMIT=3"}
    streams = [{"stage": "stream", "command": f'python3 -m common.infer.stream --onnx m.onnx --preprocess "{made}" --postprocess '
                f'"edsr_postprocess.py --res x" --output stream.json LIMIT= DEVICE={device} STREAM=1'} for device in ("cpu", "cann")]
    other = {"stage": "preprocess", "command": f"python3 ../{made.replace('32', 'free')} LIMIT="}
    found = [history.data_digest({"commands": [{"stage": "export", "command": str(number)}, one]}, tmp_path)
             for number, one in enumerate([steps, *streams, other])]
    assert found[0] == found[1] == found[2] != found[3]


def test_a_line_that_was_cut_off_is_passed_over(first, tmp_path):
    with open(tmp_path / "history.jsonl", "a") as file:
        file.write('{"date": "2026-')
    now = later(first)
    now["accuracy"]["value"] += 1
    assert history.since(now, tmp_path)["changes"] == ["rises: PSNR 34.6 to 35.6 dB"] and len(kept(tmp_path)) == 2


def test_terminal_and_page_tell_it_and_it_fits_the_schema(first, tmp_path):
    now = later(first)
    now["accuracy"]["value"] -= 1
    now["since"] = history.since(now, tmp_path)
    json_files.check(now, "report", "report.json")
    told = "falls beyond rounding: PSNR 34.6 to 33.6 dB"
    text = "\n".join(report.lines(now))
    assert "since the run of 2026-01-01 10:00 UTC on the same data:" in text and told in text
    assert f"<strong>{told}</strong>" in page.build([(now, tmp_path)], 100)
    assert "Changes since" not in page.build([(first, tmp_path)], 100)


def test_seeded_weights_have_a_history_of_speed(tmp_path):
    one = full(inputs={"data": "demo", "checkpoint": "seeded"}, accuracy=None, pytorch=None, behind=behind(), runs=[run_record()])
    assert history.since(one, tmp_path) is None and kept(tmp_path)[0]["accuracy"] is None
