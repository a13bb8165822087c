"""Low-rank multi-modal fusion: the product of all modalities' features, as a tensor of low rank.

    joined: sum over r of w_r * prod_k F_k^r [1; z_k]

Source: Liu et al., ACL 2018. The joined features are the paper's h. The layer of the head follows, and has the bias
[our choice]. F_k^r starts as linear layers do, w_r as 1 / sqrt(rank) [our choice]; the authors' code draws both with
Xavier's rule (recalled). All factors are parameters: some re-implementations keep them in a list, and never train them.
Zeros replace the features of an absent modality [our choice]. The constant 1 is left, so its factor is the bias of
F_k^r, and the products of the other modalities remain.
"""

# B samples; D_k features of branch k; M branches; R rank.

from collections.abc import Iterable, Sequence
from functools import reduce

import torch
from pydantic import Field
from torch import Tensor, nn

from greedymm.models.fusions.absent import zero_absent
from greedymm.models.network import LateFusion
from greedymm.settings import Count, FusionSettings


class Settings(FusionSettings):
    """Fusion `lmf`: low-rank multi-modal fusion (Liu et al. 2018), for the head `joint`."""

    late, head = True, "joint"
    rank: Count = Field(default=4, description="R: terms of the sum")
    width: Count | None = Field(None, description="joined features; null: as many as the widest branch")


class LMF(LateFusion):
    """Multiplies linear functions of the features of all branches."""

    def __init__(self, widths: Sequence[int], rank: int = 4, width: int | None = None) -> None:
        super().__init__()
        self.width = width or max(widths)
        self.factors = nn.ModuleList(nn.Linear(inputs, rank * self.width) for inputs in widths)
        self.weights = nn.Parameter(torch.full((rank, 1), rank**-0.5))

    def forward(self, features: list[Tensor], present: Tensor | None = None) -> Tensor:
        """Join features (B, D_k): (B, width)."""
        features = zero_absent(features, present)
        shape = (-1, len(self.weights), self.width)  # (B, R, width)
        factors = [factor(h).view(shape) for factor, h in zip(self.factors, features, strict=True)]
        joined: Tensor = (self.weights * reduce(torch.mul, factors)).sum(dim=1)
        return joined

    def branch_parameters(self, branch: int) -> Iterable[nn.Parameter]:
        """The factors of a branch."""
        return self.factors[branch].parameters()

    def shared_parameters(self) -> Iterable[nn.Parameter]:
        """The weights of the terms."""
        return (self.weights,)


def build(settings: Settings, widths: Sequence[int]) -> LMF:
    """Build the fusion from its settings."""
    return LMF(widths, settings.rank, settings.width)
