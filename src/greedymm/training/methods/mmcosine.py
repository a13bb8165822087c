"""MMCosine: logits are scaled cosines, so that the norms of features and weights of no modality dominate.

    y_k[c] = scale * cos(W_k[c], h_k);  network: sum_k y_k, or their mean with objective `branch`

Source: Xu et al., ICASSP 2023, and code: scale 10, one loss of the sum (objective `joint`). These heads replace those
of the network, and have no bias. Unlike in the code, which validates with linear logits, evaluation uses the same
cosines. With objective `branch`, the sum has no loss, so the network's logits are the mean, as with the head `own`. A
network whose logits are not a sum over branches is refused: its head has no weights of each modality.
Features over time steps are averaged first [our choice]. The norms are at least 1e-8, so features of zeros give logits
of zero.
"""

from collections.abc import Iterable
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import linear, normalize

from greedymm.models.network import Head, MultimodalNetwork, by_sample
from greedymm.seeding import drawn_from
from greedymm.settings import MethodSettings, log_uniform
from greedymm.training.methods.additive import require_additive
from greedymm.training.methods.base import Method

LEAST_NORM = 1e-8


class Settings(MethodSettings):
    """Method `mmcosine` (Xu et al. 2023)."""

    objective: Literal["branch", "joint", "multi"] = Field(
        default="joint", description="loss: of branches, of their sum, or both"
    )
    scale: float = Field(
        default=10.0,
        gt=0,
        description="of the cosines; published: 10, in BalanceBenchmark 15",
        json_schema_extra=log_uniform(2.0, 50.0),
    )


class CosineHead(Head):
    """Scaled cosines of the features of each branch and the weights of each class."""

    def __init__(self, widths: Iterable[int], classes: int, scale: float, *, averages: bool) -> None:
        super().__init__(classes)
        self.linears = nn.ModuleList(nn.Linear(width, classes, bias=False) for width in widths)
        self.scale, self.averages = scale, averages

    def forward(self, features: list[Tensor], present: Tensor | None = None) -> tuple[Tensor, list[Tensor]]:
        """The sum, or mean, over the branches that are present, and the logits of each: (B, classes)."""
        logits = [self.cosines(k, h) for k, h in enumerate(features)]
        stacked = torch.stack(logits)  # (M, B, classes)
        votes = torch.ones_like(stacked[:, :, :1])
        if present is not None:
            votes = votes * by_sample(present).T.unsqueeze(2)
        total = (stacked * votes).sum(dim=0)
        return total / votes.sum(dim=0).clamp(min=1) if self.averages else total, logits

    def cosines(self, branch: int, features: Tensor) -> Tensor:
        """Logits of one branch."""
        h = features if features.dim() == 2 else features.mean(dim=1)  # noqa: PLR2004  time steps
        h, w = (normalize(x, dim=1, eps=LEAST_NORM) for x in (h, self.weight(branch)))
        return self.scale * linear(h, w)

    def weight(self, branch: int) -> Tensor:
        """Weights of one branch: (classes, D)."""
        weight = self.linears[branch].weight
        assert isinstance(weight, Tensor)
        return weight

    def branch_parameters(self, branch: int) -> Iterable[nn.Parameter]:
        """Weights of one branch."""
        return self.linears[branch].parameters()

    def shared_parameters(self) -> Iterable[nn.Parameter]:
        """None."""
        return ()


class MMCosine(Method):
    """Replaces the head of the network."""

    settings: Settings

    def setup(self, network: MultimodalNetwork, generator: torch.Generator) -> None:
        """Replace the head."""
        super().setup(network, generator)
        require_additive(network, "mmcosine")
        widths = [branch.width for branch in network.branches]
        averages = self.settings.objective == "branch"
        with drawn_from(generator):
            head = CosineHead(widths, network.head.classes, self.settings.scale, averages=averages)
        network.head = head.to(self.device)


def build(settings: Settings) -> MMCosine:
    """Build the method from its settings."""
    return MMCosine(settings)
