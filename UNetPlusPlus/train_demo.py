#!/usr/bin/env python3
"""Train demo.pth, a narrow UNet++, on drawn nuclei and, with --dsb2018, on DSB2018's training images as well.

The validation images (val_ids.txt) are never trained on, nor are the demo's pictures: those have another seed.
"""
from __future__ import annotations

import time
from pathlib import Path
from typing import List, Optional, Sequence, Tuple

import numpy as np

import preprocess_nested_unet as preparation
from common.base import errors, facts, pictures
from common.base.errors import UserError
from common.data.demo import nuclei
from common.dev import train

FILTERS = (16, 32, 64, 128, 192)
DRAWN, DRAWN_SEED = 700, 1000
BATCH, RATE = 16, 3e-3
Sample = Tuple[np.ndarray, np.ndarray]
"""Picture uint8 [96, 96, 3] BGR and mask uint8 [96, 96]."""


def drawn(count: int, seed: int) -> List[Sample]:
    """Pictures of the demo's kind, other ones than the demo's."""
    made = (nuclei.picture(np.random.default_rng([DRAWN_SEED, seed, number]), nuclei.KINDS[number % len(nuclei.KINDS)])
            for number in range(count))
    return [(np.ascontiguousarray(image[..., ::-1]), mask) for image, mask in made]


def real(folder: Path, side: int) -> List[Sample]:
    """DSB2018's training images: those of `images` that val_ids.txt of this folder does not list."""
    import cv2
    held_out = set(preparation.read_ids(Path(__file__).with_name("val_ids.txt")))
    ids = [path.stem for path in pictures.find(folder / "images", "microscope pictures") if path.stem not in held_out]
    if not ids:
        raise UserError(f"{folder}/images: expected DSB2018's training images, found only validation ones")
    found = []
    for image, mask in zip(preparation.find(folder / "images", ids),
                           preparation.find(folder / "masks" / "0", ids, "mask")):
        both = pictures.read_rgb(image)[..., ::-1], preparation.read_mask(mask)
        found.append(tuple(cv2.resize(np.ascontiguousarray(one), (side, side)) for one in both))
    return found


def main(argv: Optional[Sequence[str]] = None) -> None:
    started, model = time.time(), facts.load(__file__)
    parser = train.parser(errors.first_line(__doc__), steps=2000)
    parser.add_argument("--dsb2018", default="", metavar="DIR", help="folder with images and masks/0")
    args = parser.parse_args(argv)
    import torch
    from torch.nn import functional

    import nested_unet
    torch.manual_seed(args.seed)
    generator = np.random.default_rng(args.seed)
    side = int(model.inputs[0].shape[2])
    found = real(Path(args.dsb2018), side) if args.dsb2018 else []  # first, for what is wrong there to be told at once
    samples = drawn(DRAWN, args.seed) + found

    def one(image: np.ndarray, mask: np.ndarray) -> Tuple[torch.Tensor, torch.Tensor]:
        turns, mirrored = generator.integers(4), generator.random() < 0.5
        image, mask = (np.rot90(part, turns)[:, ::-1 if mirrored else 1] for part in (image, mask))
        bright = np.clip(image * generator.uniform(0.8, 1.2) + generator.uniform(-15, 15), 0, 255).astype(np.uint8)
        x = preparation.preprocess(bright, side, model.extra["mean"], model.extra["std"])[0]
        return torch.from_numpy(x), torch.from_numpy((mask > 127).astype(np.float32))[None]

    def loss(network: torch.nn.Module, step: int) -> torch.Tensor:
        """Binary cross entropy and Dice, as the upstream's BCEDiceLoss weighs them."""
        x, truth = map(train.batch, zip(*[one(*samples[i]) for i in generator.integers(0, len(samples), BATCH)]))
        logits = network(x).float()
        chance = torch.sigmoid(logits)
        both, either = (chance * truth).sum((1, 2, 3)), chance.sum((1, 2, 3)) + truth.sum((1, 2, 3))
        dice = 1 - ((2 * both + 1e-5) / (either + 1e-5)).mean()
        return 0.5 * functional.binary_cross_entropy_with_logits(logits, truth) + dice

    network = train.run(nested_unet.NestedUNet(filters=FILTERS), loss, args.steps, RATE)
    told = f"{DRAWN} drawn pictures" + (f" and DSB2018's {len(found)} training images" if found else "")
    train.store(network, args.output, told, args, started)


if __name__ == "__main__":
    errors.run(main)
