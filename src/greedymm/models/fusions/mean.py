"""Mean of the branches' logits. The branches exchange nothing; an absent modality has no part in the mean."""

# B samples; M branches.

from collections.abc import Sequence

import torch
from torch import Tensor

from greedymm.models.network import LateFusion, by_sample
from greedymm.settings import FusionSettings


class Settings(FusionSettings):
    """Fusion `mean`: the network's logits are the mean of the branches' logits."""

    late = True


class Mean(LateFusion):
    """Averages logits."""

    averages = True

    def forward(self, logits: list[Tensor], present: Tensor | None = None) -> Tensor:
        """Mean over the branches that are present: (B, classes)."""
        return average(logits, present)


def average(logits: list[Tensor], present: Tensor | None = None) -> Tensor:
    """Mean of logits (B, classes) over the branches that are present, zeros if none is."""
    stacked = torch.stack(logits)  # (M, B, classes)
    if present is None:
        return stacked.mean(dim=0)
    votes = by_sample(present).T.unsqueeze(2).to(stacked.dtype)  # (M, 1 or B, 1)
    return (stacked * votes).sum(dim=0) / votes.sum(dim=0).clamp(min=1)


def build(settings: Settings, widths: Sequence[int]) -> Mean:  # noqa: ARG001
    """Build the fusion."""
    return Mean()
