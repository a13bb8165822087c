"""A small convolutional branch for small images: 3 x 3 convolutions, each with batch norm and ReLU."""

from torch import nn

from greedymm.models.multistream import Branch
from greedymm.params import Cnn as Settings


def build(settings: Settings, channels: int, classes: int) -> Branch:
    """A branch for images (B, channels, H, W): stages (B, width, ...), then logits (B, classes)."""
    widths = settings.widths
    inputs = (channels, *widths[:-1])
    stages = [stage(i, o, halve=k < len(widths) - 1) for k, (i, o) in enumerate(zip(inputs, widths, strict=True))]
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(widths[-1], classes))
    return Branch(stages, widths, head)


def stage(inputs: int, outputs: int, *, halve: bool) -> nn.Sequential:
    """One convolution; with `halve`, an image of half the height and width comes out."""
    # The maximum before the norm, not after: the same up to the sign of a channel, for a quarter of the norm's work.
    pool = nn.MaxPool2d(2) if halve else nn.Identity()
    convolution = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
    return nn.Sequential(convolution, pool, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))
