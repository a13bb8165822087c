"""ResNet-18, split at its stages. Source: He et al., CVPR 2016; blocks, names and initial weights as in torchvision."""

from collections import OrderedDict
from itertools import pairwise

from pydantic import Field
from torch import Tensor, nn

from greedymm.models import weights
from greedymm.models.network import Branch
from greedymm.settings import BranchSettings


class Settings(BranchSettings):
    """Branch `resnet18` (He et al., CVPR 2016): stages layer1 (with the layers before it) to layer4."""

    width: int = Field(
        default=64, ge=1, strict=True, description="channels of the first stage; each stage doubles them"
    )
    weights: str | None = Field(
        default=None, description="file of initial weights in torchvision's names; null: random initial weights"
    )

    @property
    def stages(self) -> int:
        """Number of stages."""
        return 4


class BasicBlock(nn.Module):
    """Residual block: two 3 x 3 convolutions beside a shortcut. The first one may halve height and width.

    Not torchvision's, whose import takes two seconds in each process.
    """

    def __init__(self, inputs: int, outputs: int, stride: int = 1, downsample: nn.Module | None = None) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, H, W) to (B, outputs, H / stride, W / stride)."""
        shortcut = x if self.downsample is None else self.downsample(x)
        h = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        result: Tensor = self.relu(h + shortcut)
        return result


class ResNet18(Branch):
    """A branch for images (B, channels, H, W): stages (B, width, H/4, W/4) to (B, 8 width, H/32, W/32)."""

    def __init__(self, settings: Settings, channels: int) -> None:
        width = settings.width
        widths = [width * 2**k for k in range(settings.stages)]
        first = OrderedDict(
            conv1=nn.Conv2d(channels, width, 7, stride=2, padding=3, bias=False),
            bn1=nn.BatchNorm2d(width),
            relu=nn.ReLU(inplace=True),
            maxpool=nn.MaxPool2d(3, stride=2, padding=1),
            layer1=nn.Sequential(BasicBlock(width, width), BasicBlock(width, width)),
        )
        stages = [nn.Sequential(first), *(halving_stage(i, o) for i, o in pairwise(widths))]
        super().__init__(stages, widths, nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()))
        self.file = settings.weights

    def initialize(self) -> None:
        """Draw the initial weights as torchvision does, or load them from a file."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        if self.file is not None:
            weights.load(self, self.file, torchvision_name, "a ResNet-18 in torchvision's names")


def build(settings: Settings, channels: int) -> Branch:
    """Build the branch. Its initial weights are set by `initialize`."""
    return ResNet18(settings, channels)


def halving_stage(inputs: int, outputs: int) -> nn.Sequential:
    """Build two residual blocks; the first one halves height and width."""
    shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, 2, bias=False), nn.BatchNorm2d(outputs))
    return nn.Sequential(BasicBlock(inputs, outputs, 2, shortcut), BasicBlock(outputs, outputs))


def torchvision_name(name: str) -> str:
    """Map the name of a weight to its name in torchvision: `stages.0.conv1.weight` to `conv1.weight`."""
    _, stage_index, rest = name.split(".", 2)
    return rest if stage_index == "0" else f"layer{int(stage_index) + 1}.{rest}"
