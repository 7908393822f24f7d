#!/usr/bin/env python3
"""Train demo.pth, a narrow generator, against a discriminator on MNIST's test set (t10k)."""
from __future__ import annotations

import time
from typing import Optional, Sequence

import train_classifier
from common.base import errors
from common.dev import train

HIDDEN, WIDE, NARROW = 256, 32, 32
CHANNELS = 3
BATCH, RATE, DISCRIMINATOR_RATE = 100, 2e-3, 4e-4


def main(argv: Optional[Sequence[str]] = None) -> None:
    started = time.time()
    parser = train.parser(__doc__, steps=6000)
    parser.add_argument("--mnist", required=True, metavar="DIR", help="folder with MNIST's t10k images and labels")
    args = parser.parse_args(argv)
    import torch
    from torch import nn
    from torch.nn import functional

    import CGAN
    pixels, digits = train_classifier.read_mnist(args.mnist)
    torch.manual_seed(args.seed)
    real, labels = torch.from_numpy(pixels)[:, None] * 2 - 1, torch.from_numpy(digits)
    network = CGAN.Generator(channels=CHANNELS, hidden=HIDDEN, wide=WIDE, narrow=NARROW)

    class Discriminator(nn.Module):
        """Picture and label → how real, and for that label: features · embedding of the label (arXiv 1802.05637)."""

        def __init__(self) -> None:
            super().__init__()
            self.see = nn.Sequential(nn.Conv2d(1, 32, 4, 2, 1), nn.LeakyReLU(0.2), nn.Conv2d(32, 64, 4, 2, 1),
                                     nn.LeakyReLU(0.2), nn.Flatten(), nn.Linear(64 * 49, 128), nn.LeakyReLU(0.2))
            self.judge, self.label = nn.Linear(128, 1), nn.Embedding(10, 128)

        def forward(self, picture: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
            seen = self.see(picture)
            return self.judge(seen)[:, 0] + (seen * self.label(label)).sum(1)

    discriminator = Discriminator()
    for module in discriminator.modules():  # bounds how steep it gets, which keeps the two in balance
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            nn.utils.parametrizations.spectral_norm(module)
    optimizer = torch.optim.Adam(discriminator.parameters(), DISCRIMINATOR_RATE, betas=(0.5, 0.999))

    def loss(network: torch.nn.Module, step: int) -> torch.Tensor:
        """One step of the discriminator (hinge loss), then the generator's loss."""
        chosen, wanted = torch.randint(len(real), (BATCH,)), torch.randint(10, (BATCH,))
        drawn = network(torch.cat([torch.rand(BATCH, network.latent), functional.one_hot(wanted, 10)], 1))
        drawn = drawn.float().mean(1, keepdim=True)  # its channels, alike, are seen as one grey
        good = discriminator(real[chosen], labels[chosen]).float()
        bad = discriminator(drawn.detach(), wanted).float()
        optimizer.zero_grad()
        (functional.relu(1 - good).mean() + functional.relu(1 + bad).mean()).backward()
        optimizer.step()
        return -discriminator(drawn, wanted).float().mean()

    network = train.run(network, loss, args.steps, RATE, betas=(0.5, 0.999))
    train.store(network, args.output, f"{len(real)} digits of MNIST's test set (t10k)", args, started)


if __name__ == "__main__":
    errors.run(main)
