"""The generator of a conditional GAN (Mirza and Osindero, arXiv 1411.1784), which draws digits.

Parameter names are those of `generator` in CGAN.py of znxlwm/pytorch-generative-model-collections at 0d183bb5.
"""
from __future__ import annotations

import math

import torch
from torch import nn

from common.convert import checkpoint

UNTOLD = {"classes": int}
"""What stands in no tensor; the export notes it in the model's metadata."""


class Generator(nn.Module):
    """Noise and label → picture.

    Input: float32 [N, latent + classes], a row being z in 0..1 followed by the one-hot label. The upstream takes the
    two apart and joins them first thing; the migrated model has them as one input.
    Output: float32 [N, channels, side, side] in -1..1 (tanh).
    """

    def __init__(self, latent: int = 62, classes: int = 10, channels: int = 3, side: int = 28,
                 hidden: int = 1024, wide: int = 128, narrow: int = 64):
        super().__init__()
        self.latent, self.classes = latent, classes
        self.seed_shape = (wide, side // 4, side // 4)
        seed_size = wide * (side // 4) ** 2
        self.fc = nn.Sequential(
            nn.Linear(latent + classes, hidden), nn.BatchNorm1d(hidden), nn.ReLU(),
            nn.Linear(hidden, seed_size), nn.BatchNorm1d(seed_size), nn.ReLU())
        self.deconv = nn.Sequential(
            nn.ConvTranspose2d(wide, narrow, 4, stride=2, padding=1), nn.BatchNorm2d(narrow), nn.ReLU(),
            nn.ConvTranspose2d(narrow, channels, 4, stride=2, padding=1), nn.Tanh())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.deconv(self.fc(x).view(-1, *self.seed_shape))


def from_state(state: checkpoint.State, classes: int = 10) -> nn.Module:
    """The generator that a checkpoint's tensors describe, filled with them: sizes of noise, picture and layers.

    classes: how many of the inputs are the label; the tensors give only its sum with the size of the noise.
    Raises `UserError` that names the first tensor that is off.
    """
    inputs = checkpoint.width(state, "fc.0.weight", axis=1)
    if inputs <= classes:
        raise checkpoint.misfit(state, "fc.0.weight", f"more than {classes} inputs (noise and {classes} classes)", inputs,
                                "Generator")
    wide = checkpoint.width(state, "deconv.0.weight")
    area = checkpoint.width(state, "fc.3.bias", "fc.3.weight", "fc.4.weight") // max(wide, 1)
    with torch.device("meta"):
        network = Generator(latent=inputs - classes, classes=classes,
                            channels=checkpoint.width(state, "deconv.3.bias"), side=4 * int(math.sqrt(area)),
                            hidden=checkpoint.width(state, "fc.0.bias", "fc.0.weight", "fc.1.weight"), wide=wide,
                            narrow=checkpoint.width(state, "deconv.0.bias", "deconv.1.weight", "deconv.3.weight"))
    return checkpoint.fit(network, state)


def seeded(seed: int = 0, latent: int = 62, classes: int = 10, channels: int = 3, side: int = 28,
           hidden: int = 1024, wide: int = 128, narrow: int = 64) -> nn.Module:
    """The generator with seeded weights, for runs without a checkpoint."""
    network = Generator(latent, classes, channels, side, hidden, wide, narrow)
    noise = torch.rand(64, latent, generator=torch.Generator().manual_seed(seed))
    labels = torch.eye(classes).repeat(64 // classes + 1, 1)[:64]
    return checkpoint.randomize(network, seed, torch.cat([noise, labels], 1))


def from_upstream(ours: Generator) -> nn.Module:
    """The upstream's generator with the weights of `ours`; needs the upstream's folder to be importable.

    After CGAN.diff it takes noise and label as one input, or as two.
    """
    from common.convert import upstream
    theirs = upstream.load_file("CGAN.py")  # by its file: it has this module's name
    channels, side = ours.deconv[3].out_channels, 4 * ours.seed_shape[1]
    return upstream.fill(theirs.generator(ours.latent, channels, side, ours.classes), ours)
