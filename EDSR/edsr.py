"""EDSR (arXiv 1707.02921), parameter names as in sanghyun-son/EDSR-PyTorch at 9d3bb0e.

Input float32 [N, 3, H, W], RGB, 0..255. Output float32 [N, 3, scale*H, scale*W], RGB, about 0..255, not clamped.
"""
from __future__ import annotations

import math
import re
from typing import Mapping, Optional

import torch
from torch import nn

from common.base.errors import UserError
from common.convert import checkpoint

RGB_MEAN = (0.4488, 0.4371, 0.4040)
"""Mean colour of DIV2K, red, green, blue, in 0..1."""


def conv(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=1)


class MeanShift(nn.Conv2d):
    """Adds `sign` times the mean colour, as a 1x1 convolution (so it is part of the checkpoint)."""

    def __init__(self, sign: int, rgb_range: float = 255.0):
        super().__init__(3, 3, 1)
        self.weight.data = torch.eye(3).view(3, 3, 1, 1)
        self.bias.data = sign * rgb_range * torch.tensor(RGB_MEAN)


class ResidualBlock(nn.Module):
    """Convolution, ReLU, convolution, scaled and added to the input; no batch normalisation."""

    def __init__(self, features: int, res_scale: float):
        super().__init__()
        self.body = nn.Sequential(conv(features, features), nn.ReLU(inplace=True), conv(features, features))
        self.res_scale = res_scale

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.body(x) * self.res_scale


def upsampler(features: int, scale: int) -> nn.Sequential:
    """Sub-pixel upsampling: scale 2 or 3 in one step, 4 in two steps of 2."""
    factors = [2] * int(math.log2(scale)) if scale in (2, 4) else [scale]
    layers = []
    for factor in factors:
        layers += [conv(features, factor ** 2 * features), nn.PixelShuffle(factor)]
    return nn.Sequential(*layers)


class EDSR(nn.Module):
    """blocks: residual blocks; features: channels; scale: 2, 3 or 4; res_scale: weight of each residual branch."""

    def __init__(self, blocks: int = 16, features: int = 64, scale: int = 2, res_scale: float = 1.0):
        super().__init__()
        self.scale = scale
        self.sub_mean = MeanShift(-1)
        self.add_mean = MeanShift(1)
        self.head = nn.Sequential(conv(3, features))
        residual = [ResidualBlock(features, res_scale) for _ in range(blocks)]
        self.body = nn.Sequential(*residual, conv(features, features))
        self.tail = nn.Sequential(upsampler(features, scale), conv(features, 3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.head(self.sub_mean(x))
        return self.add_mean(self.tail(x + self.body(x)))


def from_state(state: Mapping[str, torch.Tensor], res_scale: Optional[float] = None) -> EDSR:
    """The network that a checkpoint was saved from, its weights loaded, in eval mode.

    Blocks, features and scale follow from names and shapes. res_scale stands in no tensor: None takes the published
    variants' value, 0.1 for more than 64 features and 1 otherwise. Raises `UserError` for a checkpoint that fits none.
    """
    blocks = len({name.split(".")[1] for name in state if re.fullmatch(r"body\.\d+\.body\.0\.weight", name)})
    features = len(state["head.0.weight"]) if "head.0.weight" in state else 64
    if "tail.0.2.weight" in state:
        scale = 4
    elif "tail.0.0.weight" in state:
        scale = math.isqrt(len(state["tail.0.0.weight"]) // max(features, 1))
    else:
        scale = 2
    if scale not in (2, 3, 4) or not blocks:
        raise UserError(f"checkpoint: not an EDSR ({blocks} residual blocks, tail.0.0.weight for scale {scale}); "
                        "expected body.0.body.0.weight ... and a tail for scale 2, 3 or 4")
    if res_scale is None:
        res_scale = 0.1 if features > 64 else 1.0
    return checkpoint.fit(EDSR(blocks, features, scale, res_scale), state)


def seeded(seed: int = 0, blocks: int = 16, features: int = 64, scale: int = 2) -> EDSR:
    """The baseline with seeded weights, never trained."""
    torch.manual_seed(seed)
    return EDSR(blocks, features, scale).eval()


def from_upstream(ours: EDSR, **options: object) -> nn.Module:
    """The upstream's own `Model` with the weights of `ours`; needs the upstream's `src` to be importable.

    options: other values for the upstream's options, e.g. `self_ensemble=True`.
    """
    import io
    from types import SimpleNamespace

    from model import Model  # type: ignore[import-not-found]

    from common.convert import upstream
    blocks = [block for block in ours.body if isinstance(block, ResidualBlock)]
    chosen = dict(model="EDSR", n_resblocks=len(blocks), n_feats=len(ours.head[0].weight), scale=[ours.scale],
                  n_colors=3, rgb_range=255, res_scale=blocks[0].res_scale, cpu=True, self_ensemble=False, chop=False,
                  precision="single", n_GPUs=1, save_models=False, resume=0, pre_train="")
    checkpoints = SimpleNamespace(get_path=lambda *parts: ".", log_file=io.StringIO())
    whole = Model(SimpleNamespace(**{**chosen, **options}), checkpoints)
    upstream.fill(whole.model, ours)
    return whole.eval()
