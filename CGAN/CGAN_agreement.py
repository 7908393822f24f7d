#!/usr/bin/env python3
"""How well two backends' pictures agree, picture by picture: PSNR, SSIM and largest difference, beside the cosine.

FOUND and EXPECTED are the result folders of one inference each; EXPECTED is PyTorch's.
"""
from __future__ import annotations

import argparse
import math
from typing import Any, Dict, List, Optional, Sequence, Tuple

import numpy as np

import util
from CGAN_postprocess import read_output, sizes
from common.base import errors, facts, metrics
from common.base.errors import UserError
from common.judge import agreement


def compare_pictures(found: np.ndarray, expected: np.ndarray, columns: int) -> Dict[str, Any]:
    """The figures of `common.judge.agreement` over every picture of two outputs, float32 [N, C, H, W] in -1..1.

    `pictures` holds those of the 8-bit pictures: the worst one's name, its PSNR in dB (None: all are equal) and SSIM,
    and over all the bytes that differ, and by how much at most.
    """
    if found.shape != expected.shape:
        raise UserError(f"outputs of {list(found.shape)} and {list(expected.shape)} are not of one model")
    names = [f"row {index // columns + 1}, digit {index % columns}" for index in range(len(found))]
    rows = [{"file": name, **metrics.difference(ours, theirs)} for name, ours, theirs in zip(names, found, expected)]
    ours, theirs = util.to_bytes(found), util.to_bytes(expected)
    psnr = [metrics.psnr(one, other, 0) for one, other in zip(ours, theirs)]
    worst = int(np.argmin(psnr))
    return {**agreement.summarise(rows, samples=len(rows)), "pictures": {
        "definition": "uint8 pictures; PSNR in dB, null where they are equal; SSIM after Wang et al. 2004, mean of the "
                      "channels", "worst": names[worst], "psnr": psnr[worst] if math.isfinite(psnr[worst]) else None,
        "ssim": min(metrics.ssim(one, other) for one, other in zip(ours, theirs)),
        "bytes_that_differ": int((ours != theirs).sum()), "largest_step": int(np.abs(ours.astype(int) - theirs).max())}}


def main(argv: Optional[Sequence[str]] = None) -> int:
    model = facts.load(__file__)

    def options(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--onnx", metavar="ONNX", help="the model that the results are of (default: the reference's)")
        parser.add_argument("--prep", metavar="DIR", help="what CGAN_preprocess.py wrote, which knows the model if it was told")

    def measure(args: argparse.Namespace) -> Tuple[Dict[str, Any], List[str]]:
        extra = sizes(model, args.onnx, args.prep)
        result = compare_pictures(read_output(args.found, extra), read_output(args.expected, extra), extra["classes"])
        seen = result["pictures"]
        psnr = "infinite (equal)" if seen["psnr"] is None else f"{seen['psnr']:.2f} dB"
        return result, [f"as 8-bit pictures: PSNR {psnr} in the worst, SSIM {seen['ssim']:.6f}, {seen['bytes_that_differ']} "
                        f"bytes differ, by {seen['largest_step']} of 255 at most"]
    return agreement.run(argv, errors.first_line(__doc__), measure, options)


if __name__ == "__main__":
    errors.run(main)
