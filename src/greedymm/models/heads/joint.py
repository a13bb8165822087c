"""One linear head for all branches, as in most work on modality imbalance since Peng et al., CVPR 2022."""

# B samples; D_k features of branch k; M branches.

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from greedymm.models.network import Head, LateFusion
from greedymm.settings import HeadSettings


class Settings(HeadSettings):
    """Head `joint`: one linear layer over the joined features of a fusion such as `concat`."""

    kind = "joint"


class Joint(Head):
    """A linear head for all branches together.

    A branch's logits are its share: the head's logits when all other modalities are absent, with 1 / M of the bias.
    With `concat` the shares add up to the network's logits; with other fusions they do not.
    """

    joint = True
    linear: nn.Linear

    def finish(self, fusion: LateFusion | None) -> None:
        """Build the layer for the width of the fusion."""
        super().finish(fusion)
        assert fusion is not None
        self.linear = nn.Linear(fusion.width, self.classes)

    def forward(self, features: list[Tensor], present: Tensor | None = None) -> tuple[Tensor, list[Tensor]]:
        """Logits of the network, and the share of each branch: (B, classes)."""
        assert self.fusion is not None
        features = [h if h.dim() == 2 else h.mean(dim=1) for h in features]  # noqa: PLR2004  mean over time steps
        alone = torch.eye(len(features), dtype=torch.bool, device=features[0].device)
        others = (1 - 1 / len(features)) * self.linear.bias
        shares = [self.linear(self.fusion(features, only)) - others for only in alone]
        return self.linear(self.fusion(features, present)), shares

    def shared_parameters(self) -> Iterable[nn.Parameter]:
        """Parameters of the layer."""
        return self.linear.parameters()


def build(settings: Settings, classes: int) -> Joint:  # noqa: ARG001
    """Build the head from its settings."""
    return Joint(classes)
