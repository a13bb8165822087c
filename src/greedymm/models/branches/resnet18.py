"""ResNet-18, split at its stages. Source: He et al., CVPR 2016; blocks, names and initial weights as in torchvision."""

from collections import OrderedDict
from functools import partial
from itertools import pairwise
from pathlib import Path

from pydantic import Field
from torch import nn
from torchvision.models.resnet import BasicBlock

from greedymm.models import weights
from greedymm.models.network import Branch
from greedymm.settings import BranchSettings

BLOCKS = 2  # of each stage


class Settings(BranchSettings):
    """Branch `resnet18` (He et al., CVPR 2016): stages layer1 (with what stands before it) to layer4."""

    width: int = Field(
        default=64, ge=1, strict=True, description="channels of the first stage; doubled by each one after it"
    )
    weights: str | None = Field(
        default=None, description="file of weights in torchvision's names, to start from; null: random ones"
    )

    @property
    def stages(self) -> int:
        """How many stages the branch has."""
        return 4


def build(settings: Settings, channels: int) -> Branch:
    """A branch for images (B, channels, H, W): stages (B, width, H/4, W/4) to (B, 8 width, H/32, W/32)."""
    widths = [settings.width * 2**k for k in range(settings.stages)]
    stages = [stage(i, o, stride=2) for i, o in pairwise(widths)]
    first = nn.Sequential(OrderedDict(stem(channels, widths[0]) | {"layer1": stage(widths[0], widths[0], stride=1)}))
    pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return Branch([first, *stages], widths, pool, initialize=partial(initialize, settings=settings))


def initialize(branch: Branch, settings: Settings) -> None:
    """Initial weights as torchvision draws them, or those of a file.

    Raises:
        GreedymmError: if `weights` is no file of weights of such a network.
    """
    branch.apply(draw_kernel)
    if settings.weights is not None:
        weights.load(branch, Path(settings.weights), torchvision_name, "a ResNet-18 in torchvision's names")


def stem(channels: int, width: int) -> dict[str, nn.Module]:
    """What stands before layer1: a quarter of the height and width comes out."""
    return {
        "conv1": nn.Conv2d(channels, width, 7, stride=2, padding=3, bias=False),
        "bn1": nn.BatchNorm2d(width),
        "relu": nn.ReLU(inplace=True),
        "maxpool": nn.MaxPool2d(3, stride=2, padding=1),
    }


def stage(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    """Two residual blocks, the first of which divides height and width by the stride."""
    shortcut = None
    if stride > 1 or inputs != outputs:
        shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
    first = BasicBlock(inputs, outputs, stride, shortcut)
    return nn.Sequential(first, *(BasicBlock(outputs, outputs) for _ in range(BLOCKS - 1)))


def draw_kernel(module: nn.Module) -> None:
    """Draw the weights of a convolution; norm layers begin as torch has them."""
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


def torchvision_name(name: str) -> str:
    """Name of a weight of a branch in torchvision's network: `stages.0.conv1.weight` there is `conv1.weight`."""
    _, place, rest = name.split(".", 2)
    return rest if place == "0" else f"layer{int(place) + 1}.{rest}"
