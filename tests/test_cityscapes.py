"""Cityscapes' labels and folders, on files made here and on the shared real ones."""
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from common.base.errors import UserError
from common.data import cityscapes
from conftest import shared

# as the dataset's evaluation has them
TRAIN_IDS = {7: 0, 8: 1, 11: 2, 12: 3, 13: 4, 17: 5, 19: 6, 20: 7, 21: 8, 22: 9, 23: 10, 24: 11, 25: 12, 26: 13, 27: 14,
             28: 15, 31: 16, 32: 17, 33: 18}


def make(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")
    return root


def test_every_label_id_becomes_its_train_id_and_the_rest_is_ignored():
    found = cityscapes.to_train_ids(np.arange(256, dtype=np.uint8))
    assert found.dtype == np.uint8
    assert found.tolist() == [TRAIN_IDS.get(label, 255) for label in range(256)]


def test_palette_gives_each_class_its_colour_and_black_to_what_is_ignored():
    picture = cityscapes.colours(np.array([[0, 10, 13, 255]], np.uint8))
    assert picture.tolist() == [[[128, 64, 128], [70, 130, 180], [0, 0, 142], [0, 0, 0]]]
    assert len({entry.colour for entry in cityscapes.CLASSES}) == 19


def test_the_label_table_has_35_ids_and_the_eight_things_have_instances():
    assert sorted(cityscapes.LABEL.values()) == list(range(35))
    assert {entry.label for entry in cityscapes.CLASSES if entry.things} == {24, 25, 26, 27, 28, 31, 32, 33}


def test_real_instances_fit_the_table():
    things = {entry.label for entry in cityscapes.CLASSES if entry.things} | {29, 30}
    for path in sorted(shared("data", "cityscapes", "train_inst").glob("*.png")):
        ids = np.unique(np.asarray(Image.open(path)))
        assert all(int(value) // 1000 in things for value in ids if value >= 1000)


def test_frames_are_sorted_over_the_cities_and_limited(tmp_path):
    make(tmp_path, "gtFine/val/b/b_1_gtFine_labelIds.png", "gtFine/val/a/a_2_gtFine_labelIds.png",
         "gtFine/val/a/a_1_gtFine_labelIds.png", "gtFine/val/a/a_1_gtFine_color.png", "gtFine/val/a/a_1_gtFine_instanceIds.png",
         "gtFine/train/a/a_9_gtFine_labelIds.png", "gtFine/val/a/.a_3_gtFine_labelIds.png")
    found = cityscapes.frames(cityscapes.root(tmp_path), "gtFine", cityscapes.LABEL_IDS)
    assert list(found) == ["a_1", "a_2", "b_1"] and found["b_1"] == tmp_path / "gtFine/val/b/b_1_gtFine_labelIds.png"
    assert list(cityscapes.frames(tmp_path, "gtFine", cityscapes.LABEL_IDS, count=2)) == ["a_1", "a_2"]


def test_the_dataset_may_lie_in_a_folder_of_its_name(tmp_path):
    make(tmp_path, "cityscapes/gtFine/val/a/a_1_gtFine_labelIds.png")
    assert cityscapes.root(tmp_path) == tmp_path / "cityscapes"
    assert cityscapes.root(tmp_path / "cityscapes") == tmp_path / "cityscapes"


@pytest.mark.parametrize("names, part", [
    (["x/y"], "expected leftImg8bit/val/<city> and gtFine/val/<city> in it, found neither"),
    (["gtFine/train/a/a_1_gtFine_labelIds.png"], "expected a folder with <city>/*_gtFine_labelIds.png there"),
    (["gtFine/val/a/a_1_gtFine_color.png"], "expected <city>/*_gtFine_labelIds.png in it, found none"),
    (["gtFine/val/a/a_1_gtFine_labelIds.png", "gtFine/val/b/a_1_gtFine_labelIds.png"], "the same frame"),
], ids=["neither tree", "no val", "no labels", "twice"])
def test_another_layout_is_an_error_that_says_what_is_expected(tmp_path, names, part):
    make(tmp_path, *names)
    with pytest.raises(UserError, match=part.replace("*", r"\*")):
        cityscapes.frames(cityscapes.root(tmp_path), "gtFine", cityscapes.LABEL_IDS)


@pytest.mark.parametrize("picture, part", [
    (Image.new("L", (2048, 1023)), "2048x1023, expected 2048x1024"),
    (Image.new("L", (2048, 1024), 35), "holds label id 35, expected 0..34"),
    (Image.new("RGB", (2048, 1024)), "RGB"),
    (Image.new("I;16", (2048, 1024)), "16"),
], ids=["size", "id 35", "colour", "16 bit"])
def test_labels_of_another_kind_are_an_error_that_names_the_file(tmp_path, picture, part):
    picture.save(tmp_path / "a.png")
    with pytest.raises(UserError) as caught:
        cityscapes.read_labels(tmp_path / "a.png")
    assert "a.png" in str(caught.value) and part in str(caught.value)


def test_label_id_34_is_accepted(tmp_path):
    Image.new("L", (2048, 1024), 34).save(tmp_path / "a.png")
    assert (cityscapes.read_labels(tmp_path / "a.png") == 34).all()
