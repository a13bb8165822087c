"""Gated multi-modal unit: gates that read all modalities weight projected features of each.

    h_k = tanh(W_k z_k)
    two modalities: g = sigmoid(U [z_0, z_1]),    joined: g * h_0 + (1 - g) * h_1
    more:           g_k = sigmoid(U_k [z_0, ...]), joined: sum_k g_k * h_k, with independent gates

Source: Arevalo et al., ICLR workshop 2017; as in its formulas, without biases. Zeros replace the features of an absent
modality [our choice]: its own term is exactly zero, and the gates of the others read zeros in its place.
"""

# B samples; D_k features of branch k; M branches.

from collections.abc import Iterable, Sequence

import torch
from pydantic import Field
from torch import Tensor, nn

from greedymm.models.fusions.absent import zero_absent
from greedymm.models.network import LateFusion
from greedymm.settings import Count, FusionSettings

TIED = 2  # modalities whose gates are g and 1 - g


class Settings(FusionSettings):
    """Fusion `gmu`: gated multi-modal unit (Arevalo et al. 2017), for the head `joint`."""

    late, head = True, "joint"
    width: Count | None = Field(None, description="joined features; null: as many as the widest branch")


class GMU(LateFusion):
    """Sums projected features, weighted by gates."""

    def __init__(self, widths: Sequence[int], width: int | None = None) -> None:
        super().__init__()
        self.width = width or max(widths)
        gates = 1 if len(widths) == TIED else len(widths)
        self.projections = nn.ModuleList(nn.Linear(inputs, self.width, bias=False) for inputs in widths)
        self.gates = nn.ModuleList(nn.Linear(sum(widths), self.width, bias=False) for _ in range(gates))

    def forward(self, features: list[Tensor], present: Tensor | None = None) -> Tensor:
        """Join features (B, D_k): (B, width)."""
        features = zero_absent(features, present)
        together = torch.cat(features, dim=1)
        weights = [gate(together).sigmoid() for gate in self.gates]
        if len(features) == TIED:
            weights.append(1 - weights[0])
        terms = [g * project(h).tanh() for g, project, h in zip(weights, self.projections, features, strict=True)]
        return torch.stack(terms).sum(dim=0)

    def branch_parameters(self, branch: int) -> Iterable[nn.Parameter]:
        """The projection of a branch."""
        return self.projections[branch].parameters()

    def shared_parameters(self) -> Iterable[nn.Parameter]:
        """The gates."""
        return self.gates.parameters()


def build(settings: Settings, widths: Sequence[int]) -> GMU:
    """Build the fusion from its settings."""
    return GMU(widths, settings.width)
