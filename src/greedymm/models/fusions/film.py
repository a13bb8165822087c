"""FiLM: one modality conditions the features of the others.

    (g_k, s_k) = A_k z_c + a_k        joined: g_k * z_k + s_k for each k != c, concatenated

c is the conditioning modality. Source: Perez et al., AAAI 2018; as a fusion of two modalities: the code of Peng et al.,
CVPR 2022 (recalled). With more modalities one conditions all others [our choice]. Zeros replace the features of an
absent modality [our choice]. So without c, g_k and s_k are the biases a_k; without k, only s_k is left. The roles
differ: exchanged modalities are another network.
"""

# B samples; D_k features of branch k; M branches.

from collections.abc import Sequence

import torch
from pydantic import Field
from torch import Tensor, nn

from greedymm.models.fusions.absent import zero_absent
from greedymm.models.fusions.conditioning import others_of
from greedymm.models.network import LateFusion
from greedymm.settings import FusionSettings


class Settings(FusionSettings):
    """Fusion `film`: feature-wise linear modulation (Perez et al. 2018), for the head `joint`."""

    late, head = True, "joint"
    conditioning: int = Field(default=0, ge=0, description="modality that conditions the others; 0: m0")


class FiLM(LateFusion):
    """Scales and shifts the features of all modalities but one, by linear functions of that one's features."""

    def __init__(self, widths: Sequence[int], conditioning: int = 0) -> None:
        super().__init__()
        self.conditioning, self.others = conditioning, others_of("film", len(widths), conditioning)
        self.films = nn.ModuleList(nn.Linear(widths[conditioning], 2 * widths[k]) for k in self.others)
        self.width = sum(widths[k] for k in self.others)

    def forward(self, features: list[Tensor], present: Tensor | None = None) -> Tensor:
        """Modulate features (B, D_k): (B, sum of D_k over the conditioned branches)."""
        features = zero_absent(features, present)
        joined = []
        for k, film in zip(self.others, self.films, strict=True):
            scale, shift = film(features[self.conditioning]).chunk(2, dim=1)
            joined.append(scale * features[k] + shift)
        return torch.cat(joined, dim=1)


def build(settings: Settings, widths: Sequence[int]) -> FiLM:
    """Build the fusion from its settings."""
    return FiLM(widths, settings.conditioning)
