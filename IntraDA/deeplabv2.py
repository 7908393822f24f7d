"""DeepLabV2 on ResNet-101 (Chen et al., arXiv 1606.00915), with ADVENT's second, auxiliary output.

Parameter names are those of `get_deeplab_v2` in ADVENT/advent/model/deeplabv2.py of feipan664/IntraDA at 070b0b70.
"""
from __future__ import annotations

from typing import Any, Sequence, Tuple, Union

import torch
from torch import nn
from torch.nn import functional

from common.base.errors import UserError
from common.convert import checkpoint

EXPANSION = 4  # a residual block puts out this many times its inner width
BLOCKS = (3, 4, 23, 3)  # ResNet-101
WIDTHS = (64, 64, 128, 256, 512)  # the stem's, then each stage's inner width
RATES = (6, 12, 18, 24)  # dilations of a classifier's branches


class _CeilPool(torch.autograd.Function):
    """MaxPool2d(3, stride=2, padding=1, ceil_mode=True) that is exported with its padding in numbers, without ceil_mode.

    It computes the same, and ONNX Runtime before 1.16 refuses the other. For the export alone: there is no backward.
    """

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, below: int, right: int) -> torch.Tensor:
        return functional.max_pool2d(x, 3, stride=2, padding=1, ceil_mode=True)

    @staticmethod
    def symbolic(g: Any, x: Any, below: int, right: int) -> Any:
        return g.op("MaxPool", x, kernel_shape_i=[3, 3], strides_i=[2, 2], pads_i=[1, 1, below, right])


class CeilPool(nn.Module):
    """MaxPool2d(3, stride=2, padding=1, ceil_mode=True): 256 becomes 129, not 128."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if torch.onnx.is_in_onnx_export():
            below, right = [2 - int(side) % 2 for side in x.shape[2:]]  # an even side needs one more at its end
            return _CeilPool.apply(x, below, right)
        return functional.max_pool2d(x, 3, stride=2, padding=1, ceil_mode=True)


class Bottleneck(nn.Module):
    """Residual block of 1×1, 3×3 and 1×1 convolutions. The stride is on the first one, as in Caffe's ResNet."""

    def __init__(self, inputs: int, width: int, stride: int = 1, dilation: int = 1, downsample: bool = False):
        super().__init__()
        outputs = width * EXPANSION
        self.conv1 = nn.Conv2d(inputs, width, 1, stride=stride, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=dilation, dilation=dilation, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        if downsample:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False),
                                            nn.BatchNorm2d(outputs))
        else:
            self.downsample = nn.Identity()  # holds no tensors, so the names are the upstream's

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = functional.relu(self.bn1(self.conv1(x)))
        y = functional.relu(self.bn2(self.conv2(y)))
        return functional.relu(self.bn3(self.conv3(y)) + self.downsample(x))


class Classifier(nn.Module):
    """The sum of 3×3 convolutions of several dilations: the paper's ASPP-L without its further layers."""

    def __init__(self, inputs: int, classes: int):
        super().__init__()
        self.conv2d_list = nn.ModuleList(nn.Conv2d(inputs, classes, 3, padding=rate, dilation=rate) for rate in RATES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.conv2d_list[0](x)
        for branch in list(self.conv2d_list)[1:]:
            y = y + branch(x)
        return y


def stage(inputs: int, width: int, count: int, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    """`count` residual blocks; the first one has the stride and a projection beside it."""
    first = Bottleneck(inputs, width, stride, dilation, downsample=True)
    return nn.Sequential(first, *[Bottleneck(width * EXPANSION, width, dilation=dilation) for _ in range(1, count)])


class DeepLabV2(nn.Module):
    """Image → class scores at an eighth of its size.

    Input: float32 [N,3,H,W], BGR, 0..255 minus the mean. Output: float32 [N, classes, h, w] with h ≈ H/8 + 1, unbounded
    scores: [N,3,512,1024] gives [N,19,65,129].

    both_outputs: give the pair (auxiliary, main), as the upstream does. By default only the main one, the upstream's
    second, is computed: it is the one that is evaluated.
    multi_level: the auxiliary classifier `layer5` is there.
    """

    def __init__(self, classes: int = 19, blocks: Sequence[int] = BLOCKS, widths: Sequence[int] = WIDTHS,
                 multi_level: bool = True, both_outputs: bool = False):
        super().__init__()
        self.both_outputs = both_outputs
        stem, *inner = widths
        outer = [width * EXPANSION for width in inner]
        self.conv1 = nn.Conv2d(3, stem, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(stem)
        self.maxpool = CeilPool()
        self.layer1 = stage(stem, inner[0], blocks[0])
        self.layer2 = stage(outer[0], inner[1], blocks[1], stride=2)
        self.layer3 = stage(outer[1], inner[2], blocks[2], dilation=2)
        self.layer4 = stage(outer[2], inner[3], blocks[3], dilation=4)
        if multi_level:
            self.layer5 = Classifier(outer[2], classes)
        self.layer6 = Classifier(outer[3], classes)

    def forward(self, x: torch.Tensor) -> Union[torch.Tensor, Tuple[torch.Tensor, torch.Tensor]]:
        x = self.maxpool(functional.relu(self.bn1(self.conv1(x))))
        shared = self.layer3(self.layer2(self.layer1(x)))
        main = self.layer6(self.layer4(shared))
        return (self.layer5(shared), main) if self.both_outputs else main


def from_state(state: checkpoint.State, both_outputs: bool = False) -> nn.Module:
    """The network that a checkpoint's tensors describe, filled with them: classes, blocks, widths, auxiliary output.

    Raises `UserError` that names the first tensor that is off, or when both outputs are wanted and the checkpoint has
    no auxiliary classifier.
    """
    multi_level = any(name.startswith("layer5.") for name in state)
    if both_outputs and not multi_level:
        raise UserError("layer5.conv2d_list.0.weight: expected such a tensor for the auxiliary output, found none")
    stem = checkpoint.width(state, "bn1.weight", "bn1.bias", "conv1.weight")
    inner = [checkpoint.width(state, *[f"layer{number}.0.{part}.weight" for part in ("bn1", "bn2", "conv1", "conv2")])
             for number in range(1, 5)]
    heads = [f"layer6.conv2d_list.{branch}.bias" for branch in range(len(RATES))]
    with torch.device("meta"):
        network = DeepLabV2(classes=checkpoint.width(state, *heads), widths=[stem, *inner],
                            blocks=[checkpoint.blocks(state, f"layer{number}.") for number in range(1, 5)],
                            multi_level=multi_level, both_outputs=both_outputs)
    return checkpoint.fit(network, state)


def seeded(seed: int = 0, classes: int = 19, blocks: Sequence[int] = BLOCKS, widths: Sequence[int] = WIDTHS,
           multi_level: bool = True, both_outputs: bool = False) -> nn.Module:
    """The network with seeded weights, for runs without a checkpoint."""
    network = DeepLabV2(classes, blocks, widths, multi_level, both_outputs)
    blots = torch.randn(1, 3, 12, 24, generator=torch.Generator().manual_seed(seed))
    example = functional.interpolate(blots, size=(97, 193), mode="bilinear") * 80
    return checkpoint.randomize(network, seed, example)


def from_upstream(ours: DeepLabV2) -> nn.Module:
    """ADVENT's `get_deeplab_v2` with the weights of `ours`; needs the upstream's `ADVENT` to be importable.

    It gives (auxiliary, main); after intrada.diff, the main output alone while it is exported. Its widths are fixed.
    """
    from advent.model.deeplabv2 import get_deeplab_v2  # type: ignore[import-not-found]

    from common.convert import upstream
    classes = ours.layer6.conv2d_list[0].out_channels
    return upstream.fill(get_deeplab_v2(classes, hasattr(ours, "layer5")), ours)
