"""How far two backends' outputs of the same samples may be apart: msit's thresholds.

They leave room for half precision and not for another operator (docs/PRECISION.md).
"""
from __future__ import annotations

from typing import Any, Mapping

COSINE, RELATIVE_EUCLIDEAN = 0.99, 0.05
"""Of an agreement: cosine at least, relative Euclidean distance at most."""


def agree(figures: Mapping[str, Any]) -> str:
    """The verdict on an agreement, from its worst figures; NaN is no agreement."""
    return "pass" if figures["cosine"] >= COSINE and figures["relative_euclidean"] <= RELATIVE_EUCLIDEAN else "fail"
