#!/usr/bin/env python3
"""Write digits: DIR/<digits>_seed_<seed>_digits.png, a row per noise, a column per digit asked for."""
from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, Optional, Sequence

import numpy as np

import digit_classifier
import util
from CGAN_postprocess import read_digits
from CGAN_preprocess import preprocess
from common.base import errors, facts, settings
from common.engines import interface
from common.publish import gallery, tries

TIMES = 3


def infer(session: Any, seed: int, model: facts.Facts) -> np.ndarray:
    """All digits of a seed's noises: float32 [noises, classes, C, 28, 28] in -1..1."""
    noises, classes = model.extra["noises"], model.extra["classes"]
    latent = session.get_inputs()[0].shape[1] - classes
    (output,) = session.infer([preprocess(seed, noises, latent, classes)])
    return output.reshape(noises, classes, *output.shape[1:])


def digits(text: str) -> str:
    """An argparse type: digits, `2026`."""
    if not (text.isascii() and text.isdigit() and len(text) <= 40):
        raise argparse.ArgumentTypeError(f"expected 1 to 40 digits, found {text[:60]!r}")
    return text


def main(argv: Optional[Sequence[str]] = None) -> None:
    model = facts.load(__file__)
    parser = tries.parser(__doc__, "build/CGAN.onnx", None)
    parser.add_argument("digits", type=digits, metavar="DIGITS", help="what to write, e.g. 7 or 2026")
    parser.add_argument("--seed", type=settings.whole(0), default=model.extra["seed"], help="of the noise: another seed, "
                        "another hand (default: %(default)s)")
    args = parser.parse_args(argv)
    session, made = interface.load(args.device_id, args.model), tries.Tries(args.output, model, args.model)
    found = infer(session, args.seed, model)[:, [int(digit) for digit in args.digits]]
    flat = found.reshape(-1, *found.shape[2:])
    read = read_digits(flat, digit_classifier.load().weights).reshape(found.shape[:2])
    right = int((read == [int(digit) for digit in args.digits]).sum())
    grid = util.grid(util.to_bytes(flat), len(args.digits) if len(args.digits) > 1 else len(found))  # hands in a row
    made.add(Path(f"{args.digits}_seed_{args.seed}"),
             {"digits": gallery.magnify(grid, (0, 0, grid.shape[1], grid.shape[0]), TIMES)},
             f"{args.digits} in {len(found)} hands (seed {args.seed}); a classifier reads {right} of {read.size} digits "
             f"as asked for; {session.summary().exec_time_list[-1]:.0f} ms in the network")
    made.page()


if __name__ == "__main__":
    errors.run(main)
