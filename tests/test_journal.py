from __future__ import annotations

import json

import pytest

from common.base.errors import UserError
from common.base.journal import Journal, stamp


def test_a_cut_off_run_keeps_what_was_finished(tmp_path):
    first = Journal(tmp_path / "m.json", {"size": 3})
    first.add("a", {"value": 1})
    first.add("b", {"value": 2})  # no complete(): the run was killed here
    second = Journal(tmp_path / "m.json", {"size": 3})
    assert not (tmp_path / "m.json").exists()
    assert second.finished == {"a": {"id": "a", "value": 1}, "b": {"id": "b", "value": 2}}


def test_half_a_line_at_the_end_is_passed_over(tmp_path):
    journal = Journal(tmp_path / "m.json", {})
    journal.add("a", {})
    journal.close()
    partial = tmp_path / ".m.partial.jsonl"
    partial.write_text(partial.read_text() + '{"id": "b", "va')
    assert list(Journal(tmp_path / "m.json", {}).finished) == ["a"]


def test_a_name_that_holds_a_line_separator_of_unicode_is_no_line_end(tmp_path):
    journal = Journal(tmp_path / "m.json", {})
    for name in ("a", "b\u2028c", "d\x85e", "f"):
        journal.add(name, {})
    journal.close()
    assert list(Journal(tmp_path / "m.json", {}).finished) == ["a", "b\u2028c", "d\x85e", "f"]


def test_another_recipe_forgets_everything(tmp_path):
    journal = Journal(tmp_path / "m.json", {"size": 3})
    journal.add("a", {})
    assert Journal(tmp_path / "m.json", {"size": 4}).finished == {}
    journal.complete(["a"])
    assert Journal(tmp_path / "m.json", {"size": 4}).finished == {}
    assert list(Journal(tmp_path / "m.json", {"size": 3}).finished) == ["a"]


def test_the_finished_file_has_recipe_and_samples_in_the_given_order(tmp_path):
    journal = Journal(tmp_path / "m.json", {"size": 3})
    for sample in "cab":
        journal.add(sample, {"value": sample.upper()})
    journal.complete(["a", "b"], more=7)
    assert json.loads((tmp_path / "m.json").read_text()) == {
        "recipe": {"size": 3}, "more": 7, "samples": [{"id": "a", "value": "A"}, {"id": "b", "value": "B"}]}
    assert [path.name for path in tmp_path.iterdir()] == ["m.json"]


def test_a_value_that_is_no_number_is_refused_and_the_list_of_parts_stays(tmp_path):
    journal = Journal(tmp_path / "m.json", {})
    journal.add("a", {"value": float("nan")})
    with pytest.raises(UserError, match="m.json: a value is NaN"):
        journal.complete(["a"])
    assert [path.name for path in tmp_path.iterdir()] == [".m.partial.jsonl"]


def test_a_finished_stage_without_samples_is_json_too(tmp_path):
    Journal(tmp_path / "m.json", {"é": 1}).complete([])
    assert json.loads((tmp_path / "m.json").read_text(encoding="utf-8")) == {"recipe": {"é": 1}, "samples": []}


def test_the_finished_file_is_gone_while_a_later_run_is_under_way(tmp_path):
    journal = Journal(tmp_path / "m.json", {})
    journal.add("a", {"value": 1})
    journal.complete(["a"])
    again = Journal(tmp_path / "m.json", {})
    assert (tmp_path / "m.json").exists()
    again.add("a", {"value": 2})
    assert not (tmp_path / "m.json").exists()
    assert Journal(tmp_path / "m.json", {}).finished["a"]["value"] == 2


def test_a_stamp_changes_with_the_file(tmp_path):
    (tmp_path / "a").write_text("1")
    before = stamp(tmp_path / "a")
    (tmp_path / "a").write_text("22")
    assert stamp(tmp_path / "a") != before and before["size"] == 1
