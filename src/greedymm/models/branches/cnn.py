"""A small convolutional branch for small images: 3 x 3 convolutions, each with batch norm and ReLU."""

from typing import Annotated

from pydantic import Field
from torch import nn

from greedymm.models.network import Branch
from greedymm.settings import BranchSettings


class Settings(BranchSettings):
    """Branch `cnn`: one 3 x 3 convolution in each stage. All stages but the last halve the image."""

    widths: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        default=(32, 32, 64, 64), min_length=1, max_length=5, description="channels of each stage"
    )

    @property
    def stages(self) -> int:
        """Number of stages."""
        return len(self.widths)


def build(settings: Settings, channels: int) -> Branch:
    """Build a branch for images (B, channels, H, W): stages (B, width, ...), then features (B, width)."""
    widths = settings.widths
    inputs = (channels, *widths[:-1])
    stages = [stage(i, o, halve=k < len(widths) - 1) for k, (i, o) in enumerate(zip(inputs, widths, strict=True))]
    return Branch(stages, widths, nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()))


def stage(inputs: int, outputs: int, *, halve: bool) -> nn.Sequential:
    """Build one convolution; with `halve`, it halves height and width."""
    # Max pooling before the norm: the same function up to the sign of a channel, and a quarter of the norm's work.
    pool = nn.MaxPool2d(2) if halve else nn.Identity()
    convolution = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
    return nn.Sequential(convolution, pool, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))
