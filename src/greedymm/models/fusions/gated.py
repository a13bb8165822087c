"""Gated fusion: one modality gates the features of the others.

    joined: sigmoid(A_k z_c + a_k) * (B_k z_k + b_k) for each k != c, concatenated

c is the conditioning modality. Source: the code of Peng et al., CVPR 2022 (recalled), after Kiela et al. 2018. With
more modalities one gates all others [our choice]. Zeros replace the features of an absent modality [our choice]. So
without c, the gates are sigmoid(a_k); without k, b_k is gated. The roles differ, unlike in `gmu`.
"""

# B samples; D_k features of branch k; M branches.

from collections.abc import Iterable, Sequence

import torch
from pydantic import Field
from torch import Tensor, nn

from greedymm.models.fusions.absent import zero_absent
from greedymm.models.fusions.conditioning import others_of
from greedymm.models.network import LateFusion
from greedymm.settings import Count, FusionSettings


class Settings(FusionSettings):
    """Fusion `gated`: one modality gates the others (code of Peng et al. 2022), for the head `joint`."""

    late, head = True, "joint"
    conditioning: int = Field(default=0, ge=0, description="modality that gates the others; 0: m0")
    width: Count | None = Field(None, description="gated features of each modality; null: as many as the widest branch")


class Gated(LateFusion):
    """Multiplies projected features of all modalities but one by gates, functions of that one's features."""

    def __init__(self, widths: Sequence[int], conditioning: int = 0, width: int | None = None) -> None:
        super().__init__()
        size = width or max(widths)
        self.conditioning, self.others = conditioning, others_of("gated", len(widths), conditioning)
        self.gates = nn.ModuleList(nn.Linear(widths[conditioning], size) for _ in self.others)
        self.projections = nn.ModuleList(nn.Linear(widths[k], size) for k in self.others)
        self.width = size * len(self.others)

    def forward(self, features: list[Tensor], present: Tensor | None = None) -> Tensor:
        """Gate features (B, D_k): (B, width of each conditioned branch together)."""
        features = zero_absent(features, present)
        joined = [
            gate(features[self.conditioning]).sigmoid() * project(features[k])
            for k, gate, project in zip(self.others, self.gates, self.projections, strict=True)
        ]
        return torch.cat(joined, dim=1)

    def branch_parameters(self, branch: int) -> Iterable[nn.Parameter]:
        """The projection of a gated branch."""
        return self.projections[self.others.index(branch)].parameters() if branch in self.others else ()

    def shared_parameters(self) -> Iterable[nn.Parameter]:
        """The gates."""
        return self.gates.parameters()


def build(settings: Settings, widths: Sequence[int]) -> Gated:
    """Build the fusion from its settings."""
    return Gated(widths, settings.conditioning, settings.width)
