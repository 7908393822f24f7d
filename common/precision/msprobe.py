"""The result table of Ascend's msprobe (and of msit's and CANN's comparison before it): a chip's tensors against ONNX's.

Its columns are those of CANN's page on the complete comparison result (hiascend.com, atlasaccuracy_16_0064): a row per tensor,
GroundTruth with the ONNX nodes that one operator of the chip was made from, separated by commas, TensorIndex with
`<operator>:output:<n>`, figures that could not be computed as NaN. A file is read here; nothing in it was measured by this
collection.
"""
from __future__ import annotations

import csv
import math
from typing import Dict, List, Mapping, NamedTuple, Optional

from common.base import files
from common.base.errors import UserError

NAMED, TENSOR = "GroundTruth", "TensorIndex"
FIGURES = {"cosine": "CosineSimilarity", "relative": "RelativeEuclideanDistance", "largest_difference": "MaxAbsoluteError"}


class Measured(NamedTuple):
    """One tensor of the chip against ONNX's. A figure that the table lacks is None."""

    nodes: List[str]
    figures: Dict[str, Optional[float]]


def read(path: files.PathLike) -> List[Measured]:
    """The results of operators (the rows of their inputs left out), in the table's order.

    Raises `UserError` for a file that is no such table, or that holds no figure.
    """
    path = files.existing_file(path, "msprobe's result table (.csv)")
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            table = csv.DictReader(file)
            columns = table.fieldnames or []
            lacking = [name for name in (NAMED, TENSOR, FIGURES["relative"]) if name not in columns]
            if lacking:
                raise UserError(f"{path}: is no result table of msprobe's offline comparison, it has no column "
                                f"{', '.join(lacking)}; give its result_<time>.csv")
            rows = [_measured(row) for row in table if ":output:" in (row[TENSOR] or "")]
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: is no table in CSV ({error})") from error
    found = [row for row in rows if row.nodes and row.figures["relative"] is not None]
    if not found:
        raise UserError(f"{path}: holds no figure of an operator's output; look at its column CompareFailReason")
    return found


def _measured(row: Mapping[str, Optional[str]]) -> Measured:
    names = [name.strip() for name in (row[NAMED] or "").split(",")]
    return Measured([name for name in names if name and name != "*"],
                    {key: _figure(row.get(column)) for key, column in FIGURES.items()})


def _figure(text: Optional[str]) -> Optional[float]:
    try:
        value = float(text or "nan")
    except ValueError:
        return None
    return value if math.isfinite(value) else None
