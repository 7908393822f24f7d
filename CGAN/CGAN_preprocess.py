#!/usr/bin/env python3
"""Draw the noise that the generator turns into pictures: DIR/input.bin, and DIR/manifest.json.

No dataset is read: the noise is the input. The same seed gives the same file.
"""
from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, Dict, Optional, Sequence, Tuple

import numpy as np

from common.base import errors, facts, settings
from common.base.journal import Journal
from common.data import dataset, variant


def preprocess(seed: int, noises: int, latent: int, classes: int) -> np.ndarray:
    """The network's input: float32 [noises * classes, latent + classes], all values in 0..1.

    A row is z, `latent` values uniform in [0, 1), then the one-hot label. Each of the `noises` z stands in `classes`
    rows in succession, with the labels 0, 1, 2, ... in order.
    """
    z = np.random.default_rng(seed).random((noises, latent), np.float32)
    return np.hstack([z.repeat(classes, 0), np.tile(np.eye(classes, dtype=np.float32), (noises, 1))])


def fingerprint(picture: np.ndarray) -> np.ndarray:
    """What `common.data.fingerprint` keeps of: the noise of the reference's seed; the picture is not used."""
    extra = facts.load(__file__).extra
    return preprocess(extra["seed"], extra["noises"], extra["latent"], extra["classes"])


def plan(argv: Optional[Sequence[str]] = None) -> dataset.Preprocessing:
    """What the command line asks for: the noise is one sample."""
    model = facts.load(__file__)
    extra = model.extra
    parser = argparse.ArgumentParser(description=errors.first_line(__doc__))
    parser.add_argument("--save_path", required=True, metavar="DIR", help="folder to write to")
    parser.add_argument("--seed", type=settings.whole(0), default=extra["seed"], help="of the noise (default: %(default)s)")
    parser.add_argument("--pth_path", metavar="PTH", help="checkpoint to read the number of noise values off, "
                        f"where ONNX does not tell it (default: {extra['latent']}, the reference's)")
    parser.add_argument("--onnx", metavar="ONNX", help="the model, to read the numbers of noise values and classes off")
    args = parser.parse_args(argv)
    told = variant.find(model, args.onnx)
    latent, classes = [variant.number(told, key, extra[key]) for key in ("latent", "classes")]
    if args.pth_path and "latent" not in told:
        import CGAN
        from common.convert import checkpoint
        latent = CGAN.from_state(checkpoint.load(args.pth_path), classes).latent
    used = {"seed": args.seed, "latent": latent, "classes": classes}

    def make() -> Tuple[np.ndarray, Dict[str, Any]]:
        array = preprocess(args.seed, extra["noises"], latent, classes)
        return array, {"noises": extra["noises"], "classes": classes, "seed": args.seed}

    return dataset.Preprocessing([("input", [])], args.save_path, make, used,
                                 4 * extra["noises"] * classes * (latent + classes), bins=".", variant=told)


def main(argv: Optional[Sequence[str]] = None) -> None:
    work = plan(argv)
    array, about = work.make()
    folder = Path(work.folder)
    # not dataset.preprocess, which clears other .bin files away: the folder is the user's
    journal = Journal(folder / dataset.MANIFEST, work.settings)
    journal.add("input", {"bin": "input.bin", "source": [], "stamp": [], "shape": list(array.shape),
                          "dtype": str(array.dtype), **about})
    dataset.write_bin(folder / "input.bin", array)
    journal.complete(["input"], variant=dict(work.variant))
    print(f"{folder / 'input.bin'}: {array.shape[0]} rows of {work.settings['latent']} noise values and "
          f"{about['classes']} for the label, seed {about['seed']}")


if __name__ == "__main__":
    errors.run(main)
