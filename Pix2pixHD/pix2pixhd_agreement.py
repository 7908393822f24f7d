#!/usr/bin/env python3
"""How well the pictures of two backends agree: PSNR and SSIM of each, beside common.judge.agreement's figures.

There is no true picture for a label map, so this stands in place of accuracy. FOUND and EXPECTED are folders of result
.bin files; EXPECTED is PyTorch's.
"""
from __future__ import annotations

import argparse
import math
from typing import Any, Dict, List, Optional, Sequence, Tuple

import numpy as np

from common.base import errors, files, metrics, settings
from common.data import cityscapes, result_files
from common.judge import agreement
from pix2pixhd_postprocess import read_picture


def score(found: np.ndarray, expected: np.ndarray) -> Dict[str, Any]:
    """PSNR in dB (None for equal pictures, where it is infinite) and SSIM of two pictures, uint8 [H, W, 3] RGB."""
    value = metrics.psnr(found, expected, 0)
    return {"psnr": value if math.isfinite(value) else None, "ssim": metrics.ssim(found, expected),
            "pixels_that_differ": int((found != expected).any(2).sum()),
            "largest_step": int(np.abs(found.astype(int) - expected).max())}


def compare_pictures(found: files.PathLike, expected: files.PathLike, size: Tuple[int, int]) -> List[Dict[str, Any]]:
    """The scores of every sample, the lowest PSNR first. size: width and height in pixels."""
    ours, theirs = result_files.find(found), result_files.find(expected)
    result_files.check_pairs(theirs, ours, found)
    rows = [{"sample": stem, **score(read_picture(min(ours[stem].items())[1], size),
                                     read_picture(min(theirs[stem].items())[1], size))} for stem in sorted(theirs)]
    return sorted(rows, key=lambda row: (row["psnr"] is None, row["psnr"]))


def in_db(psnr: Optional[float]) -> str:
    return "equal" if psnr is None else f"{psnr:.2f} dB"


def main(argv: Optional[Sequence[str]] = None) -> int:
    def options(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--size", type=settings.width_height, help=argparse.SUPPRESS,
                            default=(cityscapes.WIDTH, cityscapes.HEIGHT))

    def measure(args: argparse.Namespace) -> Tuple[Dict[str, Any], List[str]]:
        rows = compare_pictures(args.found, args.expected, args.size)
        result, worst = agreement.compare_folders(args.found, args.expected), rows[0]
        result["pictures"] = {"definition": "uint8 RGB pictures; PSNR in dB, null where they are equal; SSIM after Wang et "
                              "al. 2004, mean of the channels", "worst": worst["sample"], "psnr": worst["psnr"],
                              "ssim": min(row["ssim"] for row in rows), "rows": rows}
        return result, [*(f"{row['sample']}: PSNR {in_db(row['psnr'])}, SSIM {row['ssim']:.6f}, {row['pixels_that_differ']} "
                          f"pixels differ, by {row['largest_step']} of 255 at most" for row in rows),
                        f"worst picture of {len(rows)}: {worst['sample']}, PSNR {in_db(worst['psnr'])}, SSIM "
                        f"{worst['ssim']:.6f}"]
    return agreement.run(argv, errors.first_line(__doc__), measure, options)


if __name__ == "__main__":
    errors.run(main)
