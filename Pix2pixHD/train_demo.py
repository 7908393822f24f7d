#!/usr/bin/env python3
"""Train demo.pth, a narrow generator, against a small discriminator on drawn streets, other ones than the demo's.

A street takes about two seconds to draw; they are kept in --streets for the next time.
"""
from __future__ import annotations

import time
from typing import List, Optional, Sequence

import pix2pixhd_preprocess as preparation
from common.base import errors, pictures
from common.data import cityscapes
from common.data.demo import streets
from common.dev import train

NGF, DOWNSAMPLINGS, GLOBAL_BLOCKS, LOCAL_BLOCKS = 8, 3, 4, 2
RATE, DISCRIMINATOR_RATE = 2e-3, 4e-4
WIDTH = 384
"""Columns of what is cut from a street. All rows are kept: instance normalization then sees as much sky and road."""
ALIKE, MATCH = 20.0, 4.0
"""Weights of the mean absolute difference and of the discriminator's features, beside its verdict."""


def main(argv: Optional[Sequence[str]] = None) -> None:
    started = time.time()
    parser = train.parser(errors.first_line(__doc__), steps=1200)
    train.add_streets(parser)
    args = parser.parse_args(argv)
    import numpy as np
    import torch
    from torch import nn
    from torch.nn import functional

    import local_enhancer
    torch.manual_seed(args.seed)
    generator = np.random.default_rng(args.seed)
    samples = streets.training(args.streets, args.count)
    channels = cityscapes.LABELS + 1

    class Discriminator(nn.Module):
        """Input and photo → how real each patch is, after the features of every layer on the way."""

        def __init__(self) -> None:
            super().__init__()
            widths = (channels + 3, 16, 32, 64)
            self.layers = nn.ModuleList(nn.Conv2d(*pair, 4, 2, 1) for pair in zip(widths, widths[1:]))
            self.judge = nn.Conv2d(widths[-1], 1, 3, padding=1)

        def forward(self, x: torch.Tensor, photo: torch.Tensor) -> List[torch.Tensor]:
            found = [torch.cat([x, photo], 1)]
            for layer in self.layers:
                found.append(functional.leaky_relu(layer(found[-1]), 0.2))
            return [*found[1:], self.judge(found[-1])]

    discriminator = Discriminator().to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(discriminator.parameters(), DISCRIMINATOR_RATE, betas=(0.5, 0.999))

    def loss(network: torch.nn.Module, step: int) -> torch.Tensor:
        """One step of the discriminator (least squares), then the generator's loss, as in the paper but for VGG."""
        photo, labels, instances = samples[generator.integers(len(samples))]
        left = generator.integers(cityscapes.WIDTH - WIDTH + 1)
        part = (slice(None), slice(left, left + WIDTH))
        edge = preparation.edges(pictures.read_ids(instances, 16))[part]
        x = torch.from_numpy(preparation.one_hot(cityscapes.read_labels(labels)[part], edge))
        truth = torch.from_numpy(pictures.read_rgb(photo)[part].transpose(2, 0, 1)[None] / np.float32(127.5) - 1)
        x, truth = (one.contiguous(memory_format=torch.channels_last) for one in (x, truth))
        drawn = network(x)
        good, bad = discriminator(x, truth), discriminator(x, drawn.detach())
        optimizer.zero_grad()
        ((good[-1].float() - 1).square().mean() + bad[-1].float().square().mean()).backward()
        optimizer.step()
        seen, wanted = discriminator(x, drawn), [one.detach() for one in discriminator(x, truth)]
        match = sum(functional.l1_loss(*pair) for pair in zip(seen[:-1], wanted[:-1]))
        return ((seen[-1].float() - 1).square().mean() + MATCH * match.float()
                + ALIKE * functional.l1_loss(drawn.float(), truth))

    network = local_enhancer.LocalEnhancer(ngf=NGF, downsamplings=DOWNSAMPLINGS, global_blocks=GLOBAL_BLOCKS,
                                           local_blocks=LOCAL_BLOCKS)
    network = train.run(network, loss, args.steps, RATE, betas=(0.5, 0.999))
    train.store(network, args.output, f"{args.count} drawn streets", args, started)


if __name__ == "__main__":
    errors.run(main)
