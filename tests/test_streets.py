"""The streets drawn for the demo: the official layout, ids that belong together, the same picture for the same seed."""
from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from common.data import cityscapes
from common.data.demo import streets

THINGS = {24, 25, 26, 27, 28, 31, 32, 33}


@pytest.fixture(scope="module")
def drawn():
    return [streets.street(np.random.default_rng([0, number])) for number in range(2)]


def test_the_files_are_laid_out_named_and_stored_as_the_dataset_s(tmp_path, monkeypatch):
    photo, labels, instances = (np.zeros((4, 6, 3), np.uint8), np.full((4, 6), 7, np.uint8), np.full((4, 6), 26001, np.uint16))
    monkeypatch.setattr(streets, "street", lambda generator: (photo, labels, instances))
    streets.write(tmp_path, 2, 0)
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.png")) == sorted(
        name for number in (0, 1) for name in (
            f"leftImg8bit/val/demo/demo_00000{number}_000019_leftImg8bit.png",
            f"gtFine/val/demo/demo_00000{number}_000019_gtFine_labelIds.png",
            f"gtFine/val/demo/demo_00000{number}_000019_gtFine_instanceIds.png"))
    with Image.open(tmp_path / "gtFine/val/demo/demo_000000_000019_gtFine_instanceIds.png") as image:
        assert image.mode == "I;16" and (np.asarray(image) == 26001).all()
    with Image.open(tmp_path / "gtFine/val/demo/demo_000000_000019_gtFine_labelIds.png") as image:
        assert image.mode == "L"


def test_a_file_depends_on_the_seed_and_its_number_alone(tmp_path, monkeypatch):
    def street(generator):
        value = generator.integers(0, 256, (1, 1, 3), np.uint8)
        return value, value[..., 0], value[..., 0].astype(np.uint16)
    monkeypatch.setattr(streets, "street", street)
    for folder, count, seed in (("a", 1, 5), ("b", 2, 5), ("c", 2, 6)):
        streets.write(tmp_path / folder, count, seed)
    pixels = {str(path.relative_to(tmp_path))[:1] + path.name[5:11]: np.asarray(Image.open(path)).ravel().tolist()
              for path in tmp_path.rglob("*_leftImg8bit.png")}
    assert pixels["a000000"] == pixels["b000000"]
    assert len({tuple(pixels[name]) for name in ("b000000", "b000001", "c000000", "c000001")}) == 4


def test_sizes_and_types_are_the_dataset_s(drawn):
    for photo, labels, instances in drawn:
        assert (photo.shape, photo.dtype) == ((1024, 2048, 3), np.uint8)
        assert (labels.shape, labels.dtype) == ((1024, 2048), np.uint8)
        assert (instances.shape, instances.dtype) == ((1024, 2048), np.uint16)


def test_instances_are_the_label_for_stuff_and_a_thousandfold_and_a_number_for_things(drawn):
    for _, labels, instances in drawn:
        things = np.isin(labels, list(THINGS))
        assert (instances[~things] == labels[~things]).all()
        assert (instances[things] // 1000 == labels[things]).all()
        assert labels.max() < 35


def test_a_street_shows_what_streets_show(drawn):
    seen = set()
    for _, labels, instances in drawn:
        counts = np.bincount(labels.ravel(), minlength=35) / labels.size
        seen |= set(np.flatnonzero(counts > 1e-4))
        assert counts[7] > 0.1 and counts[11] > 0.1 and counts[23] > 0.01 and counts[26] > 0.005
        assert len(np.unique(instances[instances >= 1000])) >= 8
    names = ("road", "sidewalk", "building", "pole", "traffic sign", "vegetation", "sky", "person", "rider", "car",
             "bicycle", "ego vehicle", "out of roi")
    assert {cityscapes.LABEL[name] for name in names} <= seen


def test_the_photo_is_no_map_of_the_labels(drawn):
    for photo, labels, _ in drawn:
        for label in (7, 11, 21):
            assert photo[labels == label].std(0).min() > 5


def test_streets_differ_and_a_seed_gives_the_same_one_again(drawn):
    assert (drawn[0][1] != drawn[1][1]).mean() > 0.1
    again = streets.street(np.random.default_rng([0, 1]))
    assert all((first == second).all() for first, second in zip(drawn[1], again))
