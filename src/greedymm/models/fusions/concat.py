"""Concatenation of the branches' last features, for one head. There is no other fusion."""

# B samples; D_k features of branch k; M branches.

from collections.abc import Sequence

import torch
from torch import Tensor

from greedymm.models.network import LateFusion, by_sample
from greedymm.settings import FusionSettings


class Settings(FusionSettings):
    """Fusion `concat`: the branches' last features are concatenated for the head `joint`."""

    late = True


class Concat(LateFusion):
    """Concatenates features. Zeros replace those of an absent modality. No branch hears another in any pass."""

    supports = frozenset({"present", "hears", "detach"})

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        self.width = sum(widths)

    def forward(self, features: list[Tensor], present: Tensor | None = None) -> Tensor:
        """Concatenate features (B, D_k) of each branch: (B, sum of D_k)."""
        if present is not None:
            kept = by_sample(present).unsqueeze(2)  # (1 or B, M, 1)
            features = [torch.where(kept[:, k], h, 0) for k, h in enumerate(features)]
        return torch.cat(features, dim=1)


def build(settings: Settings, widths: Sequence[int]) -> Concat:  # noqa: ARG001
    """Build the fusion for branches with these features."""
    return Concat(widths)
