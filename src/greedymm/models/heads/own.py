"""A linear head for each branch; the network's logits are their mean. As in Wu et al., ICML 2022."""

# B samples; D_k features of branch k; M branches.

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from greedymm.models.network import Head, by_sample
from greedymm.settings import HeadSettings


class Settings(HeadSettings):
    """Head `own`: one linear layer for each branch; the network's logits are their mean."""


class Own(Head):
    """M linear heads."""

    averages = True

    def __init__(self, classes: int) -> None:
        super().__init__(classes)
        self.linears = nn.ModuleList()

    def add_branch(self, width: int) -> None:
        """Add the head of the next branch."""
        self.linears.append(nn.Linear(width, self.classes))

    def forward(self, features: list[Tensor], present: Tensor | None = None) -> tuple[Tensor, list[Tensor]]:
        """The mean over the branches that are present, and the logits of each: (B, classes)."""
        logits = [head(h) for head, h in zip(self.linears, features, strict=True)]
        logits = [y if y.dim() == 2 else y.mean(dim=1) for y in logits]  # noqa: PLR2004  mean over time steps
        stacked = torch.stack(logits)  # (M, B, classes)
        if present is None:
            return stacked.mean(dim=0), logits
        votes = by_sample(present).T.unsqueeze(2).to(stacked.dtype)  # (M, 1 or B, 1)
        return (stacked * votes).sum(dim=0) / votes.sum(dim=0).clamp(min=1), logits

    def branch_parameters(self, branch: int) -> Iterable[nn.Parameter]:
        """Parameters of one branch's head."""
        return self.linears[branch].parameters()

    def shared_parameters(self) -> Iterable[nn.Parameter]:
        """None."""
        return ()


def build(settings: Settings, classes: int) -> Own:  # noqa: ARG001
    """Build the head from its settings."""
    return Own(classes)
