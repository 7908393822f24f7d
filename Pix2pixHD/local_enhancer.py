"""Pix2pixHD's generator for 2048×1024 (Wang et al., arXiv 1711.11585): a global generator and a local enhancer.

Parameter names are those of `LocalEnhancer` in models/networks.py of NVIDIA/pix2pixHD at 5a2c8720, with one local
enhancer (`n_local_enhancers=1`), instance normalization without parameters and reflection padding.
"""
from __future__ import annotations

import re
from typing import Any, List

import torch
from torch import nn
from torch.nn import functional

from common.convert import checkpoint


class _Reflect(torch.autograd.Function):
    """Reflection padding that TorchScript exports as one Pad with constant sizes, mode reflect.

    For opset 11 PyTorch's own way out works the constant sizes out in the graph: eight more nodes for each Pad, with
    integer Reshape, Transpose and Cast among them. For the export alone: there is no backward.
    """

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, size: int) -> torch.Tensor:
        return functional.pad(x, (size,) * 4, mode="reflect")

    @staticmethod
    def symbolic(g: Any, x: Any, size: int) -> Any:
        sizes = g.op("Constant", value_t=torch.tensor([0, 0, size, size] * 2))  # NCHW: all begins, then all ends
        padded = g.op("Pad", x, sizes, mode_s="reflect")
        known = x.type().sizes()
        return padded.setType(x.type().with_sizes([*known[:2], *[side + 2 * size for side in known[2:]]]))


class NativePad(nn.Module):
    """Reflection padding by `size` on all four sides; Pad with mode reflect in ONNX."""

    def __init__(self, size: int):
        super().__init__()
        self.size = size

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if torch.onnx.is_in_onnx_export():
            return _Reflect.apply(x, self.size)
        return functional.pad(x, (self.size,) * 4, mode="reflect")


class SlicePad(NativePad):
    """The same out of slices and concatenation alone, for tools that lack reflection padding (TensorRT 7).

    The border is mirrored without repeating the edge, from the far column to the near one: padding by 3 puts columns
    3, 2, 1 before column 0. Values are only copied, so the two are equal bit by bit.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        near = range(1, self.size + 1)
        left = [x[:, :, :, i:i + 1] for i in reversed(near)]
        right = [x[:, :, :, -i - 1:-i] for i in near]
        x = torch.cat([*left, x, *right], 3)
        top = [x[:, :, i:i + 1] for i in reversed(near)]
        bottom = [x[:, :, -i - 1:-i] for i in near]
        return torch.cat([*top, x, *bottom], 2)


def pad(size: int, kind: str) -> nn.Module:
    """Reflection padding on all four sides; kind: `native` or `slice`."""
    return {"native": NativePad, "slice": SlicePad}[kind](size)


def normalized(convolution: nn.Module) -> List[nn.Module]:
    """A convolution with the two layers that follow it everywhere but at the end."""
    return [convolution, nn.InstanceNorm2d(convolution.out_channels), nn.ReLU()]


def entry(channels: int, width: int, kind: str) -> List[nn.Module]:
    return [pad(3, kind), *normalized(nn.Conv2d(channels, width, 7))]


def halve(width: int) -> List[nn.Module]:
    return normalized(nn.Conv2d(width, 2 * width, 3, stride=2, padding=1))


def double(width: int) -> List[nn.Module]:
    return normalized(nn.ConvTranspose2d(2 * width, width, 3, stride=2, padding=1, output_padding=1))


class Residual(nn.Module):
    """The input plus two padded 3×3 convolutions of it; size and channels stay."""

    def __init__(self, width: int, kind: str):
        super().__init__()
        self.conv_block = nn.Sequential(pad(1, kind), *normalized(nn.Conv2d(width, width, 3)),
                                        pad(1, kind), nn.Conv2d(width, width, 3), nn.InstanceNorm2d(width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.conv_block(x)


class LocalEnhancer(nn.Module):
    """Label map and edges → photo.

    Input: float32 [N, channels, H, W], one-hot labels (35) and the instances' edges (1), all 0 or 1; H and W multiples
    of 2**(downsamplings + 1). Output: float32 [N,3,H,W], RGB in -1..1 (tanh).

    ngf: width of the enhancer's first layer; the global generator, which sees half the size, starts with twice that.
    downsamplings, global_blocks: the global generator's. local_blocks: the enhancer's residual blocks.
    reflect_pad: `native` or `slice` (see SlicePad); parameter names and results are the same.
    """

    def __init__(self, channels: int = 36, outputs: int = 3, ngf: int = 32, downsamplings: int = 4,
                 global_blocks: int = 9, local_blocks: int = 3, reflect_pad: str = "native"):
        super().__init__()
        widths = [2 * ngf * 2 ** step for step in range(downsamplings + 1)]
        layers = entry(channels, widths[0], reflect_pad)
        for width in widths[:-1]:
            layers += halve(width)
        layers += [Residual(widths[-1], reflect_pad) for _ in range(global_blocks)]
        for width in reversed(widths[:-1]):
            layers += double(width)
        self.model = nn.Sequential(*layers)
        self.model1_1 = nn.Sequential(*entry(channels, ngf, reflect_pad), *halve(ngf))
        self.model1_2 = nn.Sequential(*[Residual(2 * ngf, reflect_pad) for _ in range(local_blocks)], *double(ngf),
                                      pad(3, reflect_pad), nn.Conv2d(ngf, outputs, 7), nn.Tanh())
        self.downsample = nn.AvgPool2d(3, stride=2, padding=1, count_include_pad=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.model1_2(self.model1_1(x) + self.model(self.downsample(x)))


class FromLabels(nn.Module):
    """The generator, fed label ids instead of their one-hot planes: a seventieth of the bytes, the same picture.

    Input: uint8 [N,2,H,W], plane 0 the label ids, 0 up to the number of labels - 1, plane 1 the instances' edges,
    0 or 1. Output: the generator's. An id outside that range gives no plane a 1.
    """

    def __init__(self, network: LocalEnhancer, labels: int = 35):
        super().__init__()
        self.network = network
        self.register_buffer("ids", torch.arange(labels, dtype=torch.int32).view(1, labels, 1, 1), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        # Cast, Slice, Equal and Concat alone, all of which atc knows. Not OneHot: ONNX Runtime has no kernel for it on
        # uint8 or int32 ids. Equal on int32, because before opset 11 ONNX's Equal took bool, int32 and int64 only.
        x = x.to(torch.int32)
        one_hot = (x[:, :1] == self.ids).to(torch.float32)
        return self.network(torch.cat([one_hot, x[:, 1:].to(torch.float32)], 1))


def for_input(network: LocalEnhancer, dtype: str) -> nn.Module:
    """The network for samples of this dtype: `float32` as it is (one-hot planes), `uint8` label ids and edges."""
    return FromLabels(network) if dtype == "uint8" else network


def from_state(state: checkpoint.State, reflect_pad: str = "native") -> nn.Module:
    """The generator that a checkpoint's tensors describe, filled with them: channels, widths, numbers of layers.

    InstanceNorm's statistics, which PyTorch before 0.4 wrote (the published file is of 2017), are left out: neither
    this network nor the upstream's uses them. Raises `UserError` that names the first tensor that is off.
    """
    state = checkpoint.without_statistics(state)
    ngf = checkpoint.width(state, "model1_1.1.bias", "model1_1.1.weight")
    # Layers that hold no tensors are numbered too. The global generator's convolutions outside residual blocks: one at
    # the entry, then as many down as up, each three layers apart. The enhancer ends with five layers after its last
    # residual block that lead up to the convolution with the highest number.
    plain = sum(re.fullmatch(r"model\.\d+\.weight", name) is not None for name in state)
    downsamplings = min(max(1, plain // 2), 10)  # widths double with each: no endless network here either
    local_blocks = max(0, checkpoint.blocks(state, "model1_2.") - 5)
    with torch.device("meta"):
        network = LocalEnhancer(channels=checkpoint.width(state, "model1_1.1.weight", "model.1.weight", axis=1),
                                outputs=checkpoint.width(state, f"model1_2.{local_blocks + 4}.bias"), ngf=ngf,
                                downsamplings=downsamplings, local_blocks=local_blocks,
                                global_blocks=max(0, checkpoint.blocks(state, "model.") - 6 * downsamplings - 2),
                                reflect_pad=reflect_pad)
    return checkpoint.fit(network, state)


def seeded(seed: int = 0, channels: int = 36, outputs: int = 3, ngf: int = 32, downsamplings: int = 4,
           global_blocks: int = 9, local_blocks: int = 3, reflect_pad: str = "native") -> nn.Module:
    """The generator with seeded weights, for runs without a checkpoint."""
    network = LocalEnhancer(channels, outputs, ngf, downsamplings, global_blocks, local_blocks, reflect_pad)
    return checkpoint.randomize(network, seed)  # instance normalization keeps no statistics: no example is needed


def from_upstream(ours: nn.Module) -> nn.Module:
    """The upstream's `define_G` with the weights of `ours`; needs the upstream's folder to be importable.

    Of `FromLabels` it is the generator inside that is the upstream's.
    """
    from models.networks import define_G  # type: ignore[import-not-found]

    from common.base.errors import UserError
    from common.convert import upstream
    if isinstance(ours, FromLabels):
        return FromLabels(from_upstream(ours.network)).eval()
    if any(isinstance(module, SlicePad) for module in ours.modules()):
        raise UserError("the upstream's network has reflection padding as such; --reflect_pad slice is of the built-in one")
    counts = [sum(isinstance(module, Residual) for module in part) for part in (ours.model, ours.model1_2)]
    first, last = ours.model1_1[1], [module for module in ours.model1_2 if isinstance(module, nn.Conv2d)][-1]
    downsamplings = sum(isinstance(module, nn.Conv2d) and module.stride == (2, 2) for module in ours.model)
    theirs = define_G(first.in_channels, last.out_channels, first.out_channels, "local", downsamplings, counts[0], 1,
                      counts[1], "instance")
    return upstream.fill(theirs, ours)
