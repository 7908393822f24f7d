"""A small network that reads digits, in NumPy: what `CGAN_postprocess.py` measures generated pictures with.

Two layers of 5x5 convolution, ReLU and 2x2 maximum, then one linear layer. Its weights, `digit_classifier.npz`, were
trained by `train_classifier.py` on real MNIST digits; the file says on how many, and how well it reads others.
"""
from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any, Dict, Mapping, NamedTuple

import numpy as np

from common.base import files, uses
from common.base.errors import UserError

WEIGHTS = Path(__file__).with_name("digit_classifier.npz")
SIDE, DIGITS = 28, 10
SHAPES = {"conv1.weight": (16, 1, 5, 5), "conv1.bias": (16,), "conv2.weight": (32, 16, 5, 5), "conv2.bias": (32,),
          "linear.weight": (DIGITS, 512), "linear.bias": (DIGITS,)}
AT_ONCE = 250
"""Pictures per pass, which bounds the memory of the unfolded convolution (some 100 MB)."""


class Classifier(NamedTuple):
    """weights: float32 arrays as in `SHAPES`. about: how it was trained, and `held_out_accuracy` in 0..1."""

    weights: Mapping[str, np.ndarray]
    about: Dict[str, Any]


def load(path: files.PathLike = WEIGHTS) -> Classifier:
    """Read the weights. Raises `UserError` when the file is missing, damaged or of another network."""
    path = files.existing_file(path, "the digit classifier's weights")
    uses.note(path)
    try:
        with np.load(path, allow_pickle=False) as archive:
            weights = {name: archive[name].astype(np.float32) for name in SHAPES}
            about = json.loads(str(archive["about"]))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"{path}: does not hold the digit classifier's weights ({error}); "
                        "`make classifier DATASETS_PATH=...` makes them") from error
    for name, shape in SHAPES.items():
        if weights[name].shape != shape or not np.isfinite(weights[name]).all():
            raise UserError(f"{path}: {name}: expected finite values of shape {list(shape)}, "
                            f"found shape {list(weights[name].shape)}")
    return Classifier(weights, about)


def save(path: files.PathLike, weights: Mapping[str, np.ndarray], about: Mapping[str, Any]) -> None:
    """Write the weights as float16, atomically."""
    with files.atomic(path) as temporary, open(temporary, "wb") as file:
        arrays = {name: weights[name].astype(np.float16) for name in SHAPES}
        np.savez_compressed(file, about=np.array(json.dumps(dict(about))), **arrays)


def scores(weights: Mapping[str, np.ndarray], pictures: np.ndarray) -> np.ndarray:
    """How strongly each digit is read: float32 [N, 10], the largest of a row is the digit.

    pictures: float [N, 28, 28], brightness in 0..1, a light digit on a dark ground as in MNIST.
    """
    parts = []
    for start in range(0, len(pictures), AT_ONCE):
        x = pictures[start:start + AT_ONCE, None].astype(np.float32)
        for layer in ("conv1", "conv2"):
            x = _pool(np.maximum(_convolve(x, weights[f"{layer}.weight"], weights[f"{layer}.bias"]), 0))
        parts.append(x.reshape(len(x), -1) @ weights["linear.weight"].T + weights["linear.bias"])
    return np.concatenate(parts)


def read(weights: Mapping[str, np.ndarray], pictures: np.ndarray) -> np.ndarray:
    """The digit in each picture: int [N]; pictures as for `scores`."""
    return scores(weights, pictures).argmax(1)


def _convolve(x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """[N, I, H, W] with weight [O, I, k, k], no padding, to [N, O, H - k + 1, W - k + 1]."""
    windows = np.lib.stride_tricks.sliding_window_view(x, weight.shape[2:], axis=(2, 3))
    return (np.tensordot(windows, weight, ((1, 4, 5), (1, 2, 3))) + bias).transpose(0, 3, 1, 2)


def _pool(x: np.ndarray) -> np.ndarray:
    """The maximum of each 2x2 block."""
    rows = np.maximum(x[:, :, ::2], x[:, :, 1::2])
    return np.maximum(rows[..., ::2], rows[..., 1::2])
