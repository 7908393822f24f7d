"""Metrics. Each takes arrays and gives a number; none reads a file."""
from __future__ import annotations

from typing import Dict, Mapping

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


BLOCK = 16
"""Positions a side that a matrix of the Gaussian gives at once: what it computes in vain, 15 in 26, still pays."""
COLUMNS = 512
"""At most, of a matrix product: one of less than 262,144 multiplications is done by OpenBLAS in one thread. More of them
would wait for one another where the processes are the parallel part."""


def ssim(output: np.ndarray, truth: np.ndarray) -> float:
    """Structural similarity of two pictures, 1 for equal ones: mean over positions and channels.

    output, truth: uint8 [H, W, C], at least 11 pixels a side. Each position is weighed by an 11x11 Gaussian of standard
    deviation 1.5 that lies wholly inside the picture; K1 = 0.01, K2 = 0.03, range 255. Source: Wang et al., Image
    Quality Assessment: From Error Visibility to Structural Similarity, IEEE Transactions on Image Processing 13 (2004).

    In float64: a variance is a small difference of large means. The means are taken of the pictures' sum s and difference
    d and of their squares, by matrix products, which are nearly twice as fast as OpenCV's filter in float64: with the
    squares' means A = mean(s)^2, B = mean(d)^2 and the variances S of s and D of d, the similarity is
    (A - B + 2 c1) (S - D + 2 c2) / ((A + B + 2 c1) (S + D + 2 c2)).
    """
    if output.shape != truth.shape:
        raise ValueError(f"shapes differ: {output.shape} and {truth.shape}")
    if min(output.shape[:2]) < 11:
        raise ValueError(f"{output.shape[1]}x{output.shape[0]} is smaller than the window, 11x11")
    low, small = 2 * (0.01 * 255) ** 2, 2 * (0.03 * 255) ** 2
    window = np.exp(-np.arange(-5, 6) ** 2 / (2 * 1.5 ** 2))
    gaussian = np.array([np.pad(window / window.sum(), (row, BLOCK - 1 - row)) for row in range(BLOCK)])
    height, width = output.shape[0] - 10, output.shape[1] - 10  # positions
    blocks = -(-width // BLOCK)
    count = -(-(BLOCK * blocks + 10) // COLUMNS)
    columns = -(-(BLOCK * blocks + 10) // count) * count
    values, tall = np.zeros((4, BLOCK + 10, columns)), np.empty((4, BLOCK, columns))  # s, d, and their squares
    parts, talls = (planes.reshape(4, -1, count, columns // count).transpose(0, 2, 1, 3) for planes in (values, tall))
    pieces = np.lib.stride_tricks.sliding_window_view(tall, BLOCK + 10, 2)[:, :, :BLOCK * blocks:BLOCK].transpose(0, 2, 1, 3)
    means = np.empty((4, blocks, BLOCK, BLOCK))
    square, total = np.empty((2, *means.shape[1:])), 0.0
    for top in range(0, height, BLOCK):
        x, y = (picture[top:top + BLOCK + 10].transpose(2, 0, 1).astype(np.int16) for picture in (output, truth))
        for plane, other in zip(x, y):
            place = slice(len(plane)), slice(plane.shape[1])
            values[0][place], values[1][place] = plane + other, plane - other
            np.square(values[:2], out=values[2:])
            np.matmul(gaussian, parts, out=talls)
            np.matmul(pieces, gaussian.T, out=means)
            np.square(means[:2], out=square)
            means[2:] -= square
            square[0] += low
            means[2] += small
            found = (square[0] - square[1]) * (means[2] - means[3]) / ((square[0] + square[1]) * (means[2] + means[3]))
            inside = found[:, :height - top]
            total += float(inside[:-1].sum() + inside[-1, :, :width - BLOCK * (blocks - 1)].sum())
    return total / (height * width * output.shape[2])


def iou(logits: np.ndarray, truth: np.ndarray, smooth: float = 1e-5) -> float:
    """Intersection over union of two masks, `(inter + smooth) / (union + smooth)`.

    logits: float array; predicted where sigmoid(logit) > 0.5, which is logit > 0. truth: same shape, in 0..1,
    set where > 0.5; or either as bool. Source: pytorch-nested-unet's metric.
    """
    predicted, target = (values if values.dtype == bool else values > limit for values, limit in ((logits, 0), (truth, 0.5)))
    return overlap(np.count_nonzero(predicted & target), np.count_nonzero(predicted | target), smooth)


def overlap(inter: int, union: int, smooth: float = 1e-5) -> float:
    """`iou` of two masks that have so many pixels in common and together."""
    return (inter + smooth) / (union + smooth)


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


def merge_worst(worst: Dict[str, float], other: Mapping[str, float]) -> None:
    """Keep in `worst` the worse of each figure: the smaller cosine, the larger differences. NaN is worst of all."""
    for key, value in other.items():
        kept = worst.get(key, value)
        if np.isnan(kept) or np.isnan(value):
            worst[key] = float("nan")
        else:
            worst[key] = min(kept, value) if key == "cosine" else max(kept, value)
