"""ResNet-18, split at its stages. Source: He et al., CVPR 2016; blocks, names and initial weights as in torchvision."""

from collections import OrderedDict
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock

from greedymm.errors import GreedymmError
from greedymm.models.multistream import Branch
from greedymm.params import Resnet18 as Settings

BLOCKS = 2  # of each stage
GRAY = 1


def build(settings: Settings, channels: int, classes: int) -> Branch:
    """A branch for images (B, channels, H, W): stages (B, width, H/4, W/4) to (B, 8 width, H/32, W/32), then logits.

    Raises:
        GreedymmError: if `weights` is no file of weights of such a network.
    """
    widths = [settings.width * 2**k for k in range(settings.stages)]
    stages = [stage(i, o, stride=2) for i, o in pairwise(widths)]
    first = nn.Sequential(OrderedDict(stem(channels, widths[0]) | {"layer1": stage(widths[0], widths[0], stride=1)}))
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(widths[-1], classes))
    branch = Branch([first, *stages], widths, head)
    branch.apply(initialise)
    if settings.weights is not None:
        load(branch, Path(settings.weights))
    return branch


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


def initialise(module: nn.Module) -> None:
    """Initial weights of convolutions; norm layers and the head begin as torch has them."""
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


def load(branch: Branch, file: Path) -> None:
    """Start from weights in torchvision's names, as `torchvision.models.resnet18().state_dict()` has them.

    A head for another number of classes stays as it is. Of colours, a branch for gray pictures takes the sum: it sees
    of a gray picture what the three channels would.

    Raises:
        GreedymmError: if the file is missing or broken, or if it lacks a weight or has it in another shape.
    """
    weights = _read(file)
    own = branch.state_dict()
    loaded = {}
    for name in own:
        theirs = torchvision_name(name)
        if theirs not in weights:
            raise GreedymmError(f"{file} has no weight '{theirs}': it is not of a ResNet-18 in torchvision's names")
        weight = weights[theirs]
        if theirs == "conv1.weight" and own[name].shape[1] == GRAY:
            weight = weight.sum(dim=1, keepdim=True)
        if weight.shape != own[name].shape and theirs.startswith("fc."):
            weight = own[name]
        if weight.shape != own[name].shape:
            raise GreedymmError(
                f"'{theirs}' is {tuple(weight.shape)} in {file}, and {tuple(own[name].shape)} in a network of these"
                " params: the same width and three channels, or one, are needed"
            )
        loaded[name] = weight
    branch.load_state_dict(loaded)


def _read(file: Path) -> dict[str, Tensor]:
    if not file.is_file():
        raise GreedymmError(f"{file.absolute()} is missing: correct `weights` of the branch, or put the file there")
    try:
        weights: dict[str, Tensor] = torch.load(file, map_location="cpu", weights_only=True)
        weights = dict(weights)
    except Exception as error:  # torch raises anything from EOFError to UnpicklingError
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise GreedymmError(f"{file} is no file of weights, or broken ({reason})") from error
    return weights


def torchvision_name(name: str) -> str:
    """Name of a weight of a branch in torchvision's network: `stages.0.conv1.weight` there is `conv1.weight`."""
    part, place, rest = name.split(".", 2)
    if part == "head":
        return f"fc.{rest}"
    return rest if place == "0" else f"layer{int(place) + 1}.{rest}"
