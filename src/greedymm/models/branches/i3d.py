"""I3D: Inception-v1 with filters inflated in time. Source: Carreira and Zisserman, CVPR 2017.

Weights have the names of the public port to PyTorch, `pytorch-i3d`, so that its files can be loaded.
"""

# B samples; T, H, W frames, height and width.

from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import linear, pad

from greedymm.models import weights
from greedymm.models.network import Branch
from greedymm.settings import BranchSettings

Size = tuple[int, ...]  # T, H, W

FULL = 64  # channels of the first layer, as published
# Channels of each Inception module: 1x1 | 1x1, 3x3 | 1x1, 3x3 | 1x1 after the max pooling.
INCEPTION = {
    "Mixed_3b": (64, 96, 128, 16, 32, 32),
    "Mixed_3c": (128, 128, 192, 32, 96, 64),
    "Mixed_4b": (192, 96, 208, 16, 48, 64),
    "Mixed_4c": (160, 112, 224, 24, 64, 64),
    "Mixed_4d": (128, 128, 256, 24, 64, 64),
    "Mixed_4e": (112, 144, 288, 32, 64, 64),
    "Mixed_4f": (256, 160, 320, 32, 128, 128),
    "Mixed_5b": (256, 160, 320, 32, 128, 128),
    "Mixed_5c": (384, 192, 384, 48, 128, 128),
}
POOLED_BEFORE = {"Mixed_4b": 3, "Mixed_5b": 2}  # kernel of a max pooling with stride 2


class Settings(BranchSettings):
    """Branch `i3d` (Carreira and Zisserman, CVPR 2017): one stage for each of the nine Inception modules."""

    width: int = Field(
        default=64, ge=4, strict=True, description="channels of the first layer; the others scale with it"
    )
    dropout: float = Field(default=0.5, ge=0, lt=1, description="before the logits")
    norm_momentum: float = Field(default=0.01, gt=0, le=1, description="of the running means of the norm layers")
    weights: str | None = Field(
        default=None, description="file of initial weights in the names of pytorch-i3d; null: random initial weights"
    )

    @property
    def stages(self) -> int:
        """Number of stages."""
        return len(INCEPTION)


def build(settings: Settings, channels: int) -> Branch:
    """Build a branch for clips (B, channels, T, H, W). The first stage includes the layers before the modules.

    At full width, a clip of 64 frames of 224 x 224 becomes (B, 480, 32, 28, 28) after stage 2, (B, 832, 16, 14, 14)
    after stage 7 and (B, 1024, 8, 7, 7) after stage 9.
    """
    unit = partial(make_unit, norm_momentum=settings.norm_momentum)
    first, inputs = settings.width, 3 * settings.width
    layers: OrderedDict[str, nn.Module] = OrderedDict(
        pad_1a=Pad((7, 7, 7), (2, 2, 2)),
        Conv3d_1a_7x7=unit(channels, first, 7, 2),
        pool_2a=MaxPool((1, 3, 3), (1, 2, 2)),
        Conv3d_2b_1x1=unit(first, first, 1),
        Conv3d_2c_3x3=unit(first, inputs, 3),
        pool_3a=MaxPool((1, 3, 3), (1, 2, 2)),
    )
    stages, widths = [], []
    for name, filters in INCEPTION.items():
        if name in POOLED_BEFORE:
            layers["pool"] = MaxPool((POOLED_BEFORE[name],) * 3, (2, 2, 2))
        module = Inception(inputs, [c * settings.width // FULL for c in filters], unit)
        stages.append(nn.Sequential(layers | {name: module}))
        layers, inputs = OrderedDict(), module.channels
        widths.append(inputs)
    branch = Branch(stages, widths, Pool(settings.dropout))
    if settings.weights is not None:
        # `stages.0.Mixed_3b.b0.bn.bias` is `Mixed_3b.b0.bn.bias` in the port.
        weights.load(branch, settings.weights, lambda name: name.split(".", 2)[2], "an I3D in the names of pytorch-i3d")
    return branch


def make_unit(inputs: int, outputs: int, kernel: int, stride: int = 1, *, norm_momentum: float) -> nn.Sequential:
    """Build a convolution, a norm and ReLU. With stride 1, the convolution pads; this saves a copy."""
    kind = Pointwise if kernel == 1 else nn.Conv3d
    convolution = kind(inputs, outputs, kernel, stride, kernel // 2 if stride == 1 else 0, bias=False)
    norm = nn.BatchNorm3d(outputs, eps=1e-3, momentum=norm_momentum)
    return nn.Sequential(OrderedDict(conv3d=convolution, bn=norm, relu=nn.ReLU()))


class Pointwise(nn.Conv3d):
    """Convolution of 1 x 1 x 1. On a CPU it is a matrix product, which has less overhead for small clips."""

    def forward(self, h: Tensor) -> Tensor:
        if h.device.type != "cpu":
            return super().forward(h)
        return linear(h.movedim(1, -1), self.weight.flatten(1)).movedim(-1, 1)


class Pad(nn.Module):
    """Pads (B, C, T, H, W) with zeros so that size s becomes ceil(s / stride), as TensorFlow's SAME does."""

    def __init__(self, kernel: Size, stride: Size) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride

    def forward(self, h: Tensor) -> Tensor:
        margins = []
        for s, k, step in zip(h.shape[:1:-1], self.kernel[::-1], self.stride[::-1], strict=True):  # W, H, T
            missing = max(k - (s % step or step), 0)
            margins += [missing // 2, missing - missing // 2]
        return pad(h, margins) if any(margins) else h


class MaxPool(Pad):
    """Padded max pooling over space, then over time: the gradient of `max_pool3d` is not deterministic on a GPU."""

    def forward(self, h: Tensor) -> Tensor:
        h = super().forward(h)
        # channels_last is three times as fast on a CPU
        layout = torch.channels_last if h.device.type == "cpu" else torch.contiguous_format
        frames = h.transpose(1, 2).flatten(0, 1).contiguous(memory_format=layout)  # (B T, C, H, W)
        pooled = torch.max_pool2d(frames, self.kernel[1:], self.stride[1:])
        space = pooled.view(len(h), -1, *pooled.shape[1:]).transpose(1, 2)  # (B, C, T, H, W)
        if self.kernel[0] == self.stride[0] == 1:
            return space
        time = torch.max_pool2d(space.flatten(3), (self.kernel[0], 1), (self.stride[0], 1))  # (B, C, T, H W)
        return time.view(*time.shape[:3], *space.shape[3:])


class Inception(nn.Module):
    """Four parallel paths: 1x1 | 1x1, 3x3 | 1x1, 3x3 | max pooling, 1x1."""

    def __init__(self, inputs: int, filters: Sequence[int], unit: Callable[[int, int, int], nn.Module]) -> None:
        super().__init__()
        b0, b1a, b1b, b2a, b2b, b3b = filters
        self.b0 = unit(inputs, b0, 1)
        self.b1a, self.b1b = unit(inputs, b1a, 1), unit(b1a, b1b, 3)
        self.b2a, self.b2b = unit(inputs, b2a, 1), unit(b2a, b2b, 3)
        self.b3a, self.b3b = MaxPool((3, 3, 3), (1, 1, 1)), unit(inputs, b3b, 1)
        self.channels = b0 + b1b + b2b + b3b

    def forward(self, h: Tensor) -> Tensor:
        paths = [self.b0(h), self.b1b(self.b1a(h)), self.b2b(self.b2a(h)), self.b3b(self.b3a(h))]
        return torch.cat(paths, dim=1)


class Pool(nn.Module):
    """Means over space and over pairs of frames, then dropout: (B, C, T, H, W) -> (B, max(T - 1, 1), C)."""

    def __init__(self, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)

    def forward(self, h: Tensor) -> Tensor:
        means = h.mean(dim=(3, 4))  # (B, C, T)
        if means.shape[2] > 1:
            means = (means[:, :, 1:] + means[:, :, :-1]) / 2
        features: Tensor = self.dropout(means).transpose(1, 2)
        return features
