"""I3D: Inception-v1, its filters inflated in time. Source: Carreira and Zisserman, CVPR 2017.

Names of weights as in the public port to PyTorch, `pytorch-i3d`, so that its files can be loaded.
"""

# B samples; T, H, W frames, height and width.

from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import max_pool2d, pad

from greedymm.models import weights
from greedymm.models.network import Branch
from greedymm.settings import BranchSettings

Size = tuple[int, int, int]  # T, H, W

FULL = 64  # channels of the first layer as published; of the others in proportion
STEM = 192  # channels of what comes out of the layers before the first Inception module
# Channels of each Inception module: 1x1 | 1x1, 3x3 | 1x1, 3x3 | 1x1 after the maximum.
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
POOLED_BEFORE: dict[str, tuple[Size, Size]] = {"Mixed_4b": ((3, 3, 3), (2, 2, 2)), "Mixed_5b": ((2, 2, 2), (2, 2, 2))}
NORM_EPSILON = 1e-3


class Settings(BranchSettings):
    """Branch `i3d` (Carreira and Zisserman, CVPR 2017): a stage for each of the nine Inception modules."""

    width: int = Field(default=64, ge=4, strict=True, description="channels of the first layer; of all in proportion")
    dropout: float = Field(default=0.5, ge=0, lt=1, description="before the logits")
    norm_momentum: float = Field(default=0.01, gt=0, le=1, description="of the running means of the norm layers")
    weights: str | None = Field(
        default=None, description="file of weights in the names of pytorch-i3d, to start from; null: random ones"
    )

    @property
    def stages(self) -> int:
        """How many stages the branch has."""
        return 9


def build(settings: Settings, channels: int) -> Branch:
    """A branch for clips (B, channels, T, H, W): a stage for each of the nine Inception modules, then features.

    The first stage begins with what stands before the modules. At full width a clip of 64 frames, 224 x 224, is
    (B, 480, 32, 28, 28) after stage 2, (B, 832, 16, 14, 14) after stage 7 and (B, 1024, 8, 7, 7) at the end.

    Raises:
        GreedymmError: if `weights` is no file of weights of such a network.
    """
    of = Layers(settings.width, settings.norm_momentum)
    stages: list[nn.Module] = []
    widths, inputs = [], of.scaled(STEM)
    for name, filters in INCEPTION.items():
        before = stem(channels, of) if not stages else OrderedDict()
        if name in POOLED_BEFORE:
            before["pool"] = MaxPool(*POOLED_BEFORE[name])
        module = Inception(inputs, [of.scaled(c) for c in filters], of)
        stages.append(nn.Sequential(OrderedDict([*before.items(), (name, module)])))
        inputs = module.channels
        widths.append(inputs)
    branch = Branch(stages, widths, Pool(settings.dropout))
    if settings.weights is not None:
        weights.load(branch, Path(settings.weights), name_in_port, "an I3D in the names of pytorch-i3d")
    return branch


class Layers:
    """What all layers of one network have in common: its width, and how fast its norms follow."""

    def __init__(self, width: int, norm_momentum: float) -> None:
        self.width, self.norm_momentum = width, norm_momentum

    def scaled(self, channels: int) -> int:
        """Channels of a layer at this width."""
        return max(1, channels * self.width // FULL)

    def unit(self, inputs: int, outputs: int, kernel: int, stride: int = 1) -> "Unit":
        return Unit(inputs, outputs, kernel, stride, self.norm_momentum)


def stem(channels: int, of: Layers) -> "OrderedDict[str, nn.Module]":
    """What stands before the first Inception module: half the frames, an eighth of the height and width come out."""
    first, last = of.scaled(FULL), of.scaled(STEM)
    return OrderedDict(
        Conv3d_1a_7x7=of.unit(channels, first, 7, 2),
        pool_2a=MaxPool((1, 3, 3), (1, 2, 2)),
        Conv3d_2b_1x1=of.unit(first, first, 1),
        Conv3d_2c_3x3=of.unit(first, last, 3),
        pool_3a=MaxPool((1, 3, 3), (1, 2, 2)),
    )


class Unit(nn.Module):
    """A convolution, a norm and ReLU, padded such that ceil(s / stride) comes out of s."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, norm_momentum: float) -> None:
        super().__init__()
        # Where as much is missing on both sides, the convolution pads by itself, which saves a copy.
        self.kernel, self.stride, inside = (kernel,) * 3, (stride,) * 3, kernel // 2 if stride == 1 else 0
        self.conv3d = nn.Conv3d(inputs, outputs, kernel, stride, inside, bias=False)
        self.bn = nn.BatchNorm3d(outputs, eps=NORM_EPSILON, momentum=norm_momentum)

    def forward(self, h: Tensor) -> Tensor:
        padded = h if self.stride == (1, 1, 1) else same(h, self.kernel, self.stride)
        unit: Tensor = self.bn(self.conv3d(padded)).relu()
        return unit


class MaxPool(nn.Module):
    """Maximum over windows of time and space, padded as `Unit`.

    Over space first, then over time: the same as over both at once, and deterministic on a GPU, where
    `max_pool3d` is not. Channels last on a CPU, where that is three times as fast.
    """

    def __init__(self, kernel: Size, stride: Size) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride

    def forward(self, h: Tensor) -> Tensor:
        h = same(h, self.kernel, self.stride)
        layout = torch.channels_last if h.device.type == "cpu" else torch.contiguous_format
        frames = h.transpose(1, 2).flatten(0, 1).contiguous(memory_format=layout)  # (B T, C, H, W)
        pooled: Tensor = max_pool2d(frames, self.kernel[1:], self.stride[1:])
        space = pooled.view(len(h), -1, *pooled.shape[1:]).transpose(1, 2)  # (B, C, T, H, W)
        if self.kernel[0] == self.stride[0] == 1:
            return space
        time: Tensor = max_pool2d(space.flatten(3), (self.kernel[0], 1), (self.stride[0], 1))  # (B, C, T, H W)
        return time.view(*time.shape[:3], *space.shape[3:])


class Inception(nn.Module):
    """Four paths side by side: 1x1 | 1x1, 3x3 | 1x1, 3x3 | maximum, 1x1."""

    def __init__(self, inputs: int, filters: Sequence[int], of: Layers) -> None:
        super().__init__()
        b0, b1a, b1b, b2a, b2b, b3b = filters
        self.b0 = of.unit(inputs, b0, 1)
        self.b1a, self.b1b = of.unit(inputs, b1a, 1), of.unit(b1a, b1b, 3)
        self.b2a, self.b2b = of.unit(inputs, b2a, 1), of.unit(b2a, b2b, 3)
        self.b3a, self.b3b = MaxPool((3, 3, 3), (1, 1, 1)), of.unit(inputs, b3b, 1)
        self.channels = b0 + b1b + b2b + b3b

    def forward(self, h: Tensor) -> Tensor:
        paths = [self.b0(h), self.b1b(self.b1a(h)), self.b2b(self.b2a(h)), self.b3b(self.b3a(h))]
        return torch.cat(paths, dim=1)


class Pool(nn.Module):
    """Means over space and over pairs of frames, and dropout: (B, C, T, H, W) -> (B, T, C)."""

    def __init__(self, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)

    def forward(self, h: Tensor) -> Tensor:
        seen = h.mean(dim=(3, 4))  # (B, C, T)
        if seen.shape[2] > 1:
            seen = (seen[:, :, 1:] + seen[:, :, :-1]) / 2
        features: Tensor = self.dropout(seen).transpose(1, 2)
        return features


def same(h: Tensor, kernel: Size, stride: Size) -> Tensor:
    """Pad (B, C, T, H, W) with zeros such that windows give ceil(s / stride) of s, as TensorFlow's SAME does."""
    margins = []
    for s, k, step in zip(h.shape[:1:-1], kernel[::-1], stride[::-1], strict=True):  # W, H, T
        missing = max(k - (step if s % step == 0 else s % step), 0)
        margins += [missing // 2, missing - missing // 2]
    return pad(h, margins) if any(margins) else h


def name_in_port(name: str) -> str:
    """Name of a weight of a branch in the port: `stages.0.Mixed_3b.b0.conv3d.weight` is without `stages.0.` there."""
    _, place, rest = name.split(".", 2)
    return rest if place.isdigit() else name
