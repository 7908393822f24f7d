"""Metrics. Each takes arrays and gives a number; none reads a file."""
from __future__ import annotations

from typing import Dict

import numpy as np


def psnr(output: np.ndarray, truth: np.ndarray, shave: int) -> float:
    """Peak signal-to-noise ratio in dB over all channels, `-10 log10(mean(((output - truth) / 255)^2))`.

    output: float [H, W, C] in 0..255, is rounded and clamped first. truth: uint8 [H, W, C], same size and channel
    order. shave: pixels left out along each border. Equal pictures give infinity. Source: EDSR's evaluation.
    """
    if output.shape != truth.shape:
        raise ValueError(f"shapes differ: {output.shape} and {truth.shape}")
    inner = slice(shave, -shave or None)
    rounded = np.clip(np.round(output[inner, inner]), 0, 255).astype(np.float64)
    error = np.mean(((rounded - truth[inner, inner]) / 255.0) ** 2)
    return float("inf") if error == 0 else float(-10 * np.log10(error))


def ssim(output: np.ndarray, truth: np.ndarray) -> float:
    """Structural similarity of two pictures, 1 for equal ones: mean over positions and channels.

    output, truth: uint8 [H, W, C], at least 11 pixels a side. Each position is weighed by an 11x11 Gaussian of standard
    deviation 1.5 that lies wholly inside the picture; K1 = 0.01, K2 = 0.03, range 255. Source: Wang et al., Image
    Quality Assessment: From Error Visibility to Structural Similarity, IEEE Transactions on Image Processing 13 (2004).
    """
    import cv2
    if output.shape != truth.shape:
        raise ValueError(f"shapes differ: {output.shape} and {truth.shape}")
    if min(output.shape[:2]) < 11:
        raise ValueError(f"{output.shape[1]}x{output.shape[0]} is smaller than the window, 11x11")

    def mean(values: np.ndarray) -> np.ndarray:
        return cv2.GaussianBlur(values, (11, 11), 1.5)[5:-5, 5:-5]

    small, low = (0.03 * 255) ** 2, (0.01 * 255) ** 2
    total, rows = 0.0, 64  # of positions at a time: the float64 planes of a strip stay in the cache
    for top in range(0, output.shape[0] - 10, rows):
        x, y = (picture[top:top + rows + 10].astype(np.float64) for picture in (output, truth))
        mean_x, mean_y, squares, product = mean(x), mean(y), mean(x * x + y * y), mean(x * y)
        means = mean_x * mean_y
        mean_squares = mean_x * mean_x + mean_y * mean_y
        values = ((2 * means + low) * (2 * (product - means) + small)
                  / ((mean_squares + low) * (squares - mean_squares + small)))
        total += float(values.sum())
    return total / ((output.shape[0] - 10) * (output.shape[1] - 10) * output.shape[2])


def iou(logits: np.ndarray, truth: np.ndarray, smooth: float = 1e-5) -> float:
    """Intersection over union of two masks, `(inter + smooth) / (union + smooth)`.

    logits: float array; predicted where sigmoid(logit) > 0.5, which is logit > 0. truth: same shape, in 0..1,
    set where > 0.5; or either as bool. Source: pytorch-nested-unet's metric.
    """
    predicted, target = (values if values.dtype == bool else values > limit for values, limit in ((logits, 0), (truth, 0.5)))
    return float((np.count_nonzero(predicted & target) + smooth) / (np.count_nonzero(predicted | target) + smooth))


def confusion(truth: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Histogram int64 [classes, classes]: rows are true classes, columns predicted ones.

    truth: integers, values outside 0..classes-1 are ignored. predicted: same shape, in 0..classes-1.
    """
    if truth.dtype == predicted.dtype == np.uint8 and truth.size < 2 ** 24:  # which OpenCV's float32 counts exactly
        import cv2
        both = [np.ascontiguousarray(truth), np.ascontiguousarray(predicted)]
        return cv2.calcHist(both, [0, 1], None, [classes, classes], [0, classes, 0, classes]).astype(np.int64)
    counted = (truth >= 0) & (truth < classes)
    index = classes * truth[counted].astype(np.int64) + predicted[counted]
    return np.bincount(index, minlength=classes ** 2).reshape(classes, classes)


def iou_per_class(histogram: np.ndarray) -> np.ndarray:
    """IoU of each class from a confusion histogram, NaN for a class that neither truth nor prediction has."""
    inter = np.diag(histogram).astype(np.float64)
    union = histogram.sum(0) + histogram.sum(1) - inter
    return np.divide(inter, union, out=np.full(len(histogram), np.nan), where=union > 0)


def difference(found: np.ndarray, expected: np.ndarray) -> Dict[str, float]:
    """How far two outputs are apart: cosine similarity, maximum absolute and relative Euclidean difference.

    The relative Euclidean difference is |found - expected| / |expected|. Two zero arrays agree (cosine 1).
    """
    a, b = found.astype(np.float64).ravel(), expected.astype(np.float64).ravel()
    norms = float(np.linalg.norm(a) * np.linalg.norm(b))
    gap, scale = float(np.linalg.norm(a - b)), float(np.linalg.norm(b))
    return {"cosine": float(a @ b) / norms if norms else float(gap == 0),
            "max_abs": float(np.abs(a - b).max()),
            "relative_euclidean": gap / scale if scale else float(gap > 0)}
