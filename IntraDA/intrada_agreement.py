#!/usr/bin/env python3
"""How well two backends agree: the share of pixels that get the same class, beside common.judge.agreement's figures.

FOUND and EXPECTED are folders of result .bin files; EXPECTED is PyTorch's.
"""
from __future__ import annotations

import argparse
from typing import Any, Dict, List, Optional, Sequence, Tuple

from common.base import errors, facts, files
from common.data import cityscapes, dataset, result_files
from common.judge import agreement
from intrada_postprocess import main_outputs, segment


def equal_classes(found: files.PathLike, expected: files.PathLike, shape: Sequence[int]) -> Dict[str, float]:
    """The per cent of 2048x1024 pixels with the same class, by sample. shape: of one sample's output."""
    ours, theirs = main_outputs(found), main_outputs(expected)
    result_files.check_pairs(theirs, ours, found)
    size = cityscapes.HEIGHT, cityscapes.WIDTH
    return {stem: float(100 * (segment(dataset.read_result(ours[stem], shape)[0], *size)
                               == segment(dataset.read_bin(theirs[stem], shape)[0], *size)).mean())
            for stem in sorted(theirs)}


def main(argv: Optional[Sequence[str]] = None) -> int:
    model = facts.load(__file__)

    def measure(args: argparse.Namespace) -> Tuple[Dict[str, Any], List[str]]:
        rows = equal_classes(args.found, args.expected, model.outputs[0].sized(N=1))
        result = agreement.compare_folders(args.found, args.expected)
        worst = min(rows, key=lambda stem: rows[stem])
        mean = sum(rows.values()) / len(rows)
        result["classes"] = {"definition": "pixels of 2048x1024 that get the same class, per cent", "equal_percent": mean,
                             "worst": worst, "worst_equal_percent": rows[worst], "rows": rows}
        return result, [*(f"{stem}: same class in {share:.4f} % of the pixels" for stem, share in rows.items()),
                        f"same class in {mean:.4f} % of the pixels of {len(rows)} images, {rows[worst]:.4f} % in the worst, "
                        f"{worst}"]
    return agreement.run(argv, errors.first_line(__doc__), measure)


if __name__ == "__main__":
    errors.run(main)
