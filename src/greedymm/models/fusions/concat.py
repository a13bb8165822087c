"""Concatenation of the branches' last features, for one head. Zeros replace the features of an absent modality."""

# B samples; D_k features of branch k; M branches.

from collections.abc import Sequence

import torch
from torch import Tensor

from greedymm.models.fusions.absent import zero_absent
from greedymm.models.network import LateFusion
from greedymm.settings import FusionSettings


class Settings(FusionSettings):
    """Fusion `concat`: the branches' last features are concatenated for the head `joint`."""

    late, head = True, "joint"


class Concat(LateFusion):
    """Concatenates features."""

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        self.width = sum(widths)

    def forward(self, features: list[Tensor], present: Tensor | None = None) -> Tensor:
        """Concatenate features (B, D_k) of each branch: (B, sum of D_k)."""
        return torch.cat(zero_absent(features, present), dim=1)


def build(settings: Settings, widths: Sequence[int]) -> Concat:  # noqa: ARG001
    """Build the fusion for branches with these features."""
    return Concat(widths)
