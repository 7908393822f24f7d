from __future__ import annotations

import numpy as np
import pytest

from common.base import metrics


def test_psnr_of_a_difference_of_one_is_48_13_db():
    truth = np.full((20, 20, 3), 7, np.uint8)
    assert metrics.psnr(truth + 1.0, truth, 2) == pytest.approx(48.1308036, abs=1e-6)


def test_psnr_rounds_and_clamps_the_output_first():
    truth = np.full((8, 8, 3), 255, np.uint8)
    assert metrics.psnr(np.full((8, 8, 3), 300.0), truth, 0) == float("inf")
    assert metrics.psnr(np.full((8, 8, 3), 254.6), truth, 0) == float("inf")


def test_psnr_does_not_wrap_around_at_zero():
    low, high = np.zeros((4, 4, 3), np.uint8), np.full((4, 4, 3), 255, np.uint8)
    assert metrics.psnr(low.astype(np.float32), high, 0) == pytest.approx(0)


def test_psnr_refuses_pictures_of_two_sizes():
    with pytest.raises(ValueError, match="shapes differ"):
        metrics.psnr(np.zeros((4, 4, 3)), np.zeros((4, 5, 3), np.uint8), 0)


def test_iou_by_hand():
    logits = np.array([[1.0, -1.0], [0.2, -3.0]])
    truth = np.array([[1.0, 1.0], [0.0, 0.0]])
    assert metrics.iou(logits, truth) == pytest.approx((1 + 1e-5) / (3 + 1e-5))


def test_iou_of_two_empty_masks_is_one():
    assert metrics.iou(np.full((3, 3), -9.0), np.zeros((3, 3))) == 1


def test_iou_counts_a_logit_between_0_and_half_as_set():  # sigmoid(0.3) = 0.574
    assert metrics.iou(np.array([0.3]), np.array([1.0])) == pytest.approx(1)


def test_confusion_counts_rows_as_truth_and_ignores_other_labels():
    histogram = metrics.confusion(np.array([0, 0, 1, 255, -1]), np.array([0, 1, 1, 0, 1]), 2)
    assert histogram.tolist() == [[1, 1], [0, 1]]


def test_iou_per_class_is_nan_for_a_class_nobody_has():
    values = metrics.iou_per_class(np.array([[2, 1, 0], [0, 1, 0], [0, 0, 0]]))
    assert values[:2] == pytest.approx([2 / 3, 1 / 2]) and np.isnan(values[2])


def test_difference_by_hand():
    found = metrics.difference(np.array([3.0, 4.0]), np.array([4.0, 3.0]))
    assert found == pytest.approx({"cosine": 24 / 25, "max_abs": 1, "relative_euclidean": 2 ** 0.5 / 5})


def test_difference_of_equal_zero_and_nan_arrays():
    assert metrics.difference(np.zeros(3), np.zeros(3)) == {"cosine": 1, "max_abs": 0, "relative_euclidean": 0}
    assert metrics.difference(np.ones(3), np.zeros(3))["cosine"] == 0
    assert np.isnan(metrics.difference(np.array([np.nan]), np.ones(1))["max_abs"])
