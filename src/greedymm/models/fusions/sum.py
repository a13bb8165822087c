"""Sum of the branches' logits. The branches exchange nothing; an absent modality has no part in the sum.

The logits are M times those of `mean`. A joint cross-entropy of them has larger gradients.
"""

# B samples; M branches.

from collections.abc import Sequence

import torch
from torch import Tensor

from greedymm.models.fusions.absent import zero_absent
from greedymm.models.network import LateFusion
from greedymm.settings import FusionSettings


class Settings(FusionSettings):
    """Fusion `sum`: the network's logits are the sum of the branches' logits."""

    late = True


class Sum(LateFusion):
    """Adds logits."""

    def forward(self, logits: list[Tensor], present: Tensor | None = None) -> Tensor:
        """Sum over the branches that are present: (B, classes)."""
        return torch.stack(zero_absent(logits, present)).sum(dim=0)


def build(settings: Settings, widths: Sequence[int]) -> Sum:  # noqa: ARG001
    """Build the fusion."""
    return Sum()
