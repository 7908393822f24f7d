"""UNet++ (Zhou et al., arXiv 1807.10165), with nearest upsampling.

Parameter names are those of `NestedUNet` in 4uiiurz1/pytorch-nested-unet at 557ea02f. That one upsamples bilinearly;
nested_unet.diff changes it to nearest, which is fast on the NPU and what the weights must be trained with.
"""
from __future__ import annotations

from typing import Dict, Sequence, Tuple

import torch
from torch import nn
from torch.nn import functional

from common.convert import checkpoint

FILTERS = (32, 64, 128, 256, 512)


class Block(nn.Module):
    """Twice 3×3 convolution, BatchNorm and ReLU; height and width stay."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.bn2 = nn.BatchNorm2d(outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = functional.relu(self.bn1(self.conv1(x)))
        return functional.relu(self.bn2(self.conv2(x)))


class NestedUNet(nn.Module):
    """Image → logits of the classes.

    Input: float32 [N, channels, H, W], H and W multiples of 2**(levels - 1); for DSB2018 [N,3,96,96], BGR, normalized
    as the preprocessing does. Output: float32 [N, classes, H, W], unbounded; the mask is sigmoid(output) > 0.5.

    filters: channels of each level, the finest first. Block `conv<level>_<column>` takes all earlier blocks of its
    level and the upsampled one from the level below.
    deep_supervision: the network has one head (`final1`, `final2`, …) for each column instead of the one `final`.
    The upstream then returns a list of all of them and evaluates the last; here only the last is computed, so that
    an export has one output whatever the checkpoint.
    """

    def __init__(self, classes: int = 1, channels: int = 3, filters: Sequence[int] = FILTERS,
                 deep_supervision: bool = False):
        super().__init__()
        self.levels = len(filters)
        for column in range(self.levels):
            for level in range(self.levels - column):
                if column:
                    inputs = column * filters[level] + filters[level + 1]
                else:
                    inputs = filters[level - 1] if level else channels
                self.add_module(f"conv{level}_{column}", Block(inputs, filters[level]))
        heads = [f"final{column}" for column in range(1, self.levels)] if deep_supervision else ["final"]
        for name in heads:
            self.add_module(name, nn.Conv2d(filters[0], classes, 1))
        self.head = heads[-1]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        done: Dict[Tuple[int, int], torch.Tensor] = {}
        for depth in range(self.levels):
            finer = functional.max_pool2d(done[depth - 1, 0], 2) if depth else x
            done[depth, 0] = getattr(self, f"conv{depth}_0")(finer)
            for column in range(1, depth + 1):  # what the new, deeper level makes possible, upwards
                level = depth - column
                below = functional.interpolate(done[level + 1, column - 1], scale_factor=2.0, mode="nearest")
                parts = [done[level, earlier] for earlier in range(column)] + [below]
                done[level, column] = getattr(self, f"conv{level}_{column}")(torch.cat(parts, 1))
        return getattr(self, self.head)(done[0, self.levels - 1])


def from_state(state: checkpoint.State) -> nn.Module:
    """The network that a checkpoint's tensors describe, filled with them: filters, depth, channels, classes, heads.

    Raises `UserError` that names the first tensor that is off.
    """
    columns = checkpoint.blocks(state, "final")
    heads = [f"final{column}" for column in range(1, columns)] or ["final"]
    parts = ("conv1.bias", "bn1.weight", "conv2.bias")
    filters = [checkpoint.width(state, *[f"conv{level}_0.{part}" for part in parts])
               for level in range(max(1, checkpoint.blocks(state, "conv", "_0.")))]
    with torch.device("meta"):
        network = NestedUNet(classes=checkpoint.width(state, *[f"{head}.{part}" for part in ("bias", "weight")
                                                               for head in heads]),
                             channels=checkpoint.width(state, "conv0_0.conv1.weight", axis=1),
                             filters=filters, deep_supervision=columns > 0)
    return checkpoint.fit(network, state)


def seeded(seed: int = 0, classes: int = 1, channels: int = 3, filters: Sequence[int] = FILTERS,
           deep_supervision: bool = False) -> nn.Module:
    """The network with seeded weights, for runs without a checkpoint."""
    network = NestedUNet(classes, channels, filters, deep_supervision)
    # Blots of the range that the preprocessing gives: normalized, then divided by 255 once more.
    blots = torch.randn(2, channels, 8, 8, generator=torch.Generator().manual_seed(seed))
    example = functional.interpolate(blots, size=(64, 64), mode="bilinear") / 255
    return checkpoint.randomize(network, seed, example)


def from_upstream(ours: NestedUNet) -> nn.Module:
    """The upstream's NestedUNet with the weights of `ours`; needs the upstream's folder to be importable.

    With deep supervision it gives a list, whose last is our output. Its widths are fixed.
    """
    from archs import NestedUNet as Theirs  # type: ignore[import-not-found]

    from common.convert import upstream
    classes, channels = getattr(ours, ours.head).out_channels, ours.conv0_0.conv1.in_channels
    return upstream.fill(Theirs(classes, channels, ours.head != "final"), ours)
