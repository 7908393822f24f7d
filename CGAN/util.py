"""Generated pictures as brightness, as bytes, and in a grid."""
from __future__ import annotations

import numpy as np


def to_unit(pictures: np.ndarray) -> np.ndarray:
    """The network's output as brightness: float in -1..1 to float in 0..1, `(x + 1) / 2`, clipped; any shape."""
    return np.clip((pictures + 1) / 2, 0, 1)


def to_bytes(pictures: np.ndarray) -> np.ndarray:
    """float [N, C, H, W] in -1..1 to uint8 [N, H, W, C], channels in the same order.

    Rounded down, as the upstream's `astype(uint8)` does.
    """
    return np.floor(to_unit(pictures) * 255).astype(np.uint8).transpose(0, 2, 3, 1)


def grid(pictures: np.ndarray, columns: int) -> np.ndarray:
    """Lay pictures out row by row: uint8 [N, H, W, C] to uint8 [N / columns * H, columns * W, C].

    C is 1 or 3; one channel gives an array without C, as Pillow takes grey pictures.
    """
    count, height, width, channels = pictures.shape
    table = pictures.reshape(count // columns, columns, height, width, channels).transpose(0, 2, 1, 3, 4)
    table = table.reshape(count // columns * height, columns * width, channels)
    return table[..., 0] if channels == 1 else table
