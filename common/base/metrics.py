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
    total = 0.0
    for channel in range(output.shape[2]):  # one at a time: the float64 planes of a large picture fill memory
        x, y = output[..., channel].astype(np.float64), truth[..., channel].astype(np.float64)
        mean_x, mean_y = mean(x), mean(y)
        variances = mean(x * x) - mean_x ** 2 + mean(y * y) - mean_y ** 2
        covariance = mean(x * y) - mean_x * mean_y
        values = ((2 * mean_x * mean_y + low) * (2 * covariance + small)
                  / ((mean_x ** 2 + mean_y ** 2 + low) * (variances + small)))
        total += float(values.mean())
    return total / output.shape[2]


def iou(logits: np.ndarray, truth: np.ndarray, smooth: float = 1e-5) -> float:
    """Intersection over union of two masks, `(inter + smooth) / (union + smooth)`.

    logits: float array; predicted where sigmoid(logit) > 0.5, which is logit > 0. truth: same shape, in 0..1,
    set where > 0.5. Source: pytorch-nested-unet's metric.
    """
    predicted, target = logits > 0, truth > 0.5
    return float(((predicted & target).sum() + smooth) / ((predicted | target).sum() + smooth))


def confusion(truth: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Histogram int64 [classes, classes]: rows are true classes, columns predicted ones.

    truth: integers, values outside 0..classes-1 are ignored. predicted: same shape, in 0..classes-1.
    """
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
