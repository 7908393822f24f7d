#!/usr/bin/env python3
"""Train demo.pth, EDSR's baseline for x2, on drawn pictures and, with --pictures, on those of a folder as well.

The demo's own pictures are never trained on: those that are drawn here have another seed.
"""
from __future__ import annotations

import time
from typing import List, Optional, Sequence, Tuple

import numpy as np

import make_lr
from common.base import errors, pictures
from common.data.demo import pictures as drawing
from common.dev import train

SCALE = 2
DRAWN, DRAWN_SEED = 150, 1000
PATCH, BATCH, RATE = 48, 8, 8e-4


def pairs(images: Sequence[np.ndarray]) -> List[Tuple[np.ndarray, np.ndarray]]:
    """Low- and high-resolution picture, uint8 [H, W, 3] RGB, of every one that is large enough for a patch."""
    return [(make_lr.shrink(image, SCALE), image) for image in images if min(image.shape[:2]) >= SCALE * PATCH]


def main(argv: Optional[Sequence[str]] = None) -> None:
    started = time.time()
    parser = train.parser(errors.first_line(__doc__), steps=2600)
    parser.add_argument("--pictures", default="", metavar="DIR", help="folder with high-resolution pictures")
    args = parser.parse_args(argv)
    import torch
    from torch.nn import functional

    import edsr
    torch.manual_seed(args.seed)
    generator = np.random.default_rng(args.seed)
    real = pairs([pictures.read_rgb(path) for path in pictures.find(args.pictures)]) if args.pictures else []
    drawn = pairs([drawing.picture(np.random.default_rng([DRAWN_SEED, args.seed, number])) for number in range(DRAWN)])

    def patch(number: int) -> Tuple[torch.Tensor, torch.Tensor]:
        """Float32 [3, 48, 48] and [3, 96, 96], RGB, 0..255, turned and mirrored; from either source in turn."""
        chosen = real if real and number % 2 else drawn
        low, high = chosen[generator.integers(len(chosen))]
        top, left = (generator.integers(side - PATCH + 1) for side in low.shape[:2])
        turns, mirrored = generator.integers(4), generator.random() < 0.5
        cut = []
        for image, scale in ((low, 1), (high, SCALE)):
            part = image[top * scale:(top + PATCH) * scale, left * scale:(left + PATCH) * scale]
            part = np.rot90(part, turns)[:, ::-1 if mirrored else 1].transpose(2, 0, 1)
            cut.append(torch.from_numpy(part.astype(np.float32)))
        return cut[0], cut[1]

    def loss(network: torch.nn.Module, step: int) -> torch.Tensor:
        """Mean absolute difference in 0..255, as the upstream's L1."""
        low, high = map(train.batch, zip(*map(patch, range(BATCH))))
        return functional.l1_loss(network(low).float(), high)

    network = edsr.EDSR(scale=SCALE)
    for shift in (network.sub_mean, network.add_mean):
        shift.requires_grad_(False)
    told = f"{len(drawn)} drawn pictures" + (f" and {len(real)} of a folder" if real else "")
    train.store(train.run(network, loss, args.steps, RATE, decay=0), args.output, told, args, started)


if __name__ == "__main__":
    errors.run(main)
