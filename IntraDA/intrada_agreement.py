#!/usr/bin/env python3
"""How well two backends agree: the share of pixels that get the same class, beside common.judge.agreement's figures.

FOUND and EXPECTED are folders of result .bin files; EXPECTED is PyTorch's.
"""
from __future__ import annotations

import argparse
from typing import Dict, Optional, Sequence

from common.base import errors, facts, files
from common.data import cityscapes, dataset, result_files
from common.judge import agreement
from intrada_postprocess import main_outputs, segment


def equal_classes(found: files.PathLike, expected: files.PathLike, shape: Sequence[int]) -> Dict[str, float]:
    """The per cent of 2048x1024 pixels with the same class, by sample. shape: of one sample's output."""
    ours, theirs = main_outputs(found), main_outputs(expected)
    result_files.check_pairs(theirs, ours, found)
    size = cityscapes.HEIGHT, cityscapes.WIDTH
    return {stem: float(100 * (segment(dataset.read_bin(ours[stem], shape)[0], *size)
                               == segment(dataset.read_bin(theirs[stem], shape)[0], *size)).mean())
            for stem in sorted(theirs)}


def main(argv: Optional[Sequence[str]] = None) -> int:
    model = facts.load(__file__)
    parser = argparse.ArgumentParser(description=errors.first_line(__doc__), epilog="Exit status 1 when a threshold of "
                                     "common.judge.agreement is missed; the share of equal classes has none.")
    parser.add_argument("found", metavar="FOUND", help="folder with the result files of the backend in question")
    parser.add_argument("expected", metavar="EXPECTED", help="folder with PyTorch's result files")
    parser.add_argument("--output", metavar="JSON", help="file for the figures")
    args = parser.parse_args(argv)
    rows = equal_classes(args.found, args.expected, model.outputs[0].sized(N=1))
    result = agreement.compare_folders(args.found, args.expected)
    worst = min(rows, key=lambda stem: rows[stem])
    result["classes"] = {"definition": "pixels of 2048x1024 that get the same class, per cent",
                         "equal_percent": sum(rows.values()) / len(rows), "worst": worst,
                         "worst_equal_percent": rows[worst], "rows": rows}
    result["expected_sha256"] = agreement.digest(args.expected)
    if args.output:
        files.write_json(args.output, result)
    for stem, share in rows.items():
        print(f"{stem}: same class in {share:.4f} % of the pixels")
    print(f"same class in {result['classes']['equal_percent']:.4f} % of the pixels of {len(rows)} images, "
          f"{rows[worst]:.4f} % in the worst, {worst}")
    print(f"outputs: {agreement.figures(result)}")
    return 0 if result["verdict"] == "pass" else 1


if __name__ == "__main__":
    errors.run(main)
