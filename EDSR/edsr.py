"""EDSR (arXiv 1707.02921), parameter names as in sanghyun-son/EDSR-PyTorch at 9d3bb0e.

Input float32 [N, 3, H, W], RGB, 0..255. Output float32 [N, 3, scale*H, scale*W], RGB, about 0..255, not clamped.
"""
from __future__ import annotations

import math
from typing import Optional

import numpy as np
import torch
from torch import nn

from common.convert import checkpoint

RGB_MEAN = (0.4488, 0.4371, 0.4040)
"""Mean colour of DIV2K, red, green, blue, in 0..1."""
UNTOLD = {"res_scale": float}
"""What stands in no tensor; the export notes it in the model's metadata."""


def conv(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=1)


class MeanShift(nn.Conv2d):
    """Adds `sign` times the mean colour, as a 1x1 convolution (so it is part of the checkpoint)."""

    def __init__(self, sign: int, rgb_range: float = 255.0):
        super().__init__(3, 3, 1)
        self.weight.data = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]).view(3, 3, 1, 1)
        # in float32 as upstream has it. On the device meta torch.eye, and a product of tensors, would import PyTorch's
        # compiler, half a second's work
        self.bias.data = torch.tensor([sign * float(np.float32(rgb_range) * np.float32(mean)) for mean in RGB_MEAN])


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
    """blocks: residual blocks; features: channels; scale: 2, 3 or 4; res_scale: weight of each residual branch.

    rgb_range: largest value of a colour in the training that the weights come from; the network itself takes 0..255.
    """

    def __init__(self, blocks: int = 16, features: int = 64, scale: int = 2, res_scale: float = 1.0):
        super().__init__()
        self.scale, self.res_scale = scale, res_scale
        self.rgb_range = 255.0
        self.sub_mean = MeanShift(-1)
        self.add_mean = MeanShift(1)
        self.head = nn.Sequential(conv(3, features))
        residual = [ResidualBlock(features, res_scale) for _ in range(blocks)]
        self.body = nn.Sequential(*residual, conv(features, features))
        self.tail = nn.Sequential(upsampler(features, scale), conv(features, 3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.head(self.sub_mean(x))
        return self.add_mean(self.tail(x + self.body(x)))


def from_state(state: checkpoint.State, res_scale: Optional[float] = None) -> EDSR:
    """The network that a checkpoint was saved from, its weights loaded, in eval mode.

    Blocks, features, scale and the range of values that it was trained on follow from names, shapes and the mean shift.
    res_scale stands in no tensor: None takes the published variants' value, 0.1 for more than 64 features and 1
    otherwise. Raises `UserError` that names the first tensor that is off.

    The network takes and gives 0..255 whatever it was trained on (`--rgb_range`): with every bias multiplied by 255 /
    range it computes the same, because convolution, ReLU and sum only scale with their input.
    """
    features = checkpoint.width(state, "head.0.weight", "head.0.bias")
    steps = checkpoint.blocks(state, "tail.0.", ".weight")
    factor = math.sqrt(checkpoint.width(state, "tail.0.0.weight", "tail.0.0.bias") / features)
    scale = 4 if steps > 1 else round(factor)
    if scale not in (2, 3, 4) or (scale != 4 and factor != scale):
        raise checkpoint.misfit(state, "tail.0.0.weight", f"4 or 9 times {features} rows (scale 2, 3 or 4)",
                                list(state["tail.0.0.weight"].shape) if "tail.0.0.weight" in state else "none", "EDSR")
    blocks = max(1, checkpoint.blocks(state, "body.", ".body.0.weight"))
    if res_scale is None:
        res_scale = 0.1 if features > 64 else 1.0
    with torch.device("meta"):
        network = EDSR(blocks, features, scale, res_scale)
    checkpoint.fit(network, state)
    network.rgb_range = _range(state)
    if network.rgb_range != 255:
        with torch.no_grad():
            for name, parameter in network.named_parameters():
                if name.endswith("bias"):
                    parameter.mul_(255 / network.rgb_range)
    return network


def _range(state: checkpoint.State) -> float:
    """The largest value of a colour in training, 255 or what --rgb_range said: the mean shift is so many times the mean
    colour of DIV2K."""
    shifts = [sign * state[f"{name}.bias"] / torch.tensor(RGB_MEAN) for sign, name in ((-1, "sub_mean"), (1, "add_mean"))]
    value = float(shifts[0].mean())
    if value <= 0 or any(bool((shift / value - 1).abs().max() > 0.01) for shift in shifts):
        raise checkpoint.misfit(
            state, "sub_mean.bias", f"minus the mean colour {list(RGB_MEAN)} times the range of values, 255 or 1, and "
            "add_mean.bias the same with plus", f"{state['sub_mean.bias'].tolist()} and {state['add_mean.bias'].tolist()}",
            "EDSR")
    return 255.0 if abs(value / 255 - 1) < 0.01 else float(round(value)) if abs(value - round(value)) < 0.01 else value


def seeded(seed: int = 0, blocks: int = 16, features: int = 64, scale: int = 2) -> EDSR:
    """The baseline with seeded weights, never trained."""
    torch.manual_seed(seed)
    return checkpoint.mark_untrained(EDSR(blocks, features, scale)).eval()


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
