"""Concatenation of the branches' last features, for one head: the branches meet nowhere else."""

# B samples; D_k features of branch k; M branches.

from collections.abc import Sequence

import torch
from torch import Tensor

from greedymm.models.network import LateFusion, by_sample
from greedymm.settings import FusionSettings


class Settings(FusionSettings):
    """Fusion `concat`: the branches' last features side by side, for the head `joint`."""

    late = True


class Concat(LateFusion):
    """Features side by side; those of an absent modality are zeros. No branch hears another, whatever the pass."""

    makes = frozenset({"present", "hears", "detach"})

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        self.width = sum(widths)

    def forward(self, features: list[Tensor], present: Tensor | None = None) -> Tensor:
        """Features (B, D_k) of each branch -> (B, sum of D_k)."""
        if present is not None:
            kept = by_sample(present).unsqueeze(2)  # (1 or B, M, 1)
            features = [torch.where(kept[:, k], h, 0) for k, h in enumerate(features)]
        return torch.cat(features, dim=1)


def build(settings: Settings, widths: Sequence[int]) -> Concat:  # noqa: ARG001
    """The fusion for branches with these features."""
    return Concat(widths)
