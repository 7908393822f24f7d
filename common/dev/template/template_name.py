"""The network of TemplateName, parameter names as the upstream's.

Input float32 [N, 3, H, W], RGB, normalized. Output float32 [N, classes], logits.
"""
from __future__ import annotations

import torch
from torch import nn

from common.convert import checkpoint


class TemplateName(nn.Module):
    """Two convolutions, the mean over all places, one linear layer."""

    def __init__(self, classes: int = 4, width: int = 16):
        super().__init__()
        self.first = nn.Conv2d(3, width, 3, 2, 1)
        self.second = nn.Conv2d(width, width, 3, 2, 1)
        self.last = nn.Linear(width, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.second(torch.relu(self.first(x))))
        return self.last(x.mean((2, 3)))


def from_state(state: checkpoint.State) -> nn.Module:
    """The network that a checkpoint fits: its sizes are read off the tensors."""
    with torch.device("meta"):
        network = TemplateName(checkpoint.width(state, "last.bias"), checkpoint.width(state, "first.bias"))
    return checkpoint.fit(network, state)


def seeded(seed: int = 0, classes: int = 4, width: int = 16) -> nn.Module:
    """Weights that were never trained, the same for the same seed."""
    example = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(seed))
    return checkpoint.randomize(TemplateName(classes, width), seed, example)
