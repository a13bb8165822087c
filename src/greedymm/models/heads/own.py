"""A linear head for each branch; the network's logits are their mean, or as the fusion says. Wu et al., ICML 2022."""

# B samples; D_k features of branch k; M branches.

from collections.abc import Iterable

from torch import Tensor, nn

from greedymm.models.fusions.mean import average
from greedymm.models.network import Head, LateFusion
from greedymm.settings import HeadSettings


class Settings(HeadSettings):
    """Head `own`: one linear layer for each branch; the network's logits are the mean of theirs, or the sum."""


class Own(Head):
    """M linear heads."""

    averages = True

    def __init__(self, classes: int) -> None:
        super().__init__(classes)
        self.linears = nn.ModuleList()

    def add_branch(self, width: int) -> None:
        """Add the head of the next branch."""
        self.linears.append(nn.Linear(width, self.classes))

    def finish(self, fusion: LateFusion | None) -> None:
        """Keep the fusion of logits; None: their mean."""
        super().finish(fusion)
        self.averages = fusion is None or fusion.averages

    def forward(self, features: list[Tensor], present: Tensor | None = None) -> tuple[Tensor, list[Tensor]]:
        """The mean or sum over the branches that are present, and the logits of each: (B, classes)."""
        logits = self.branch_logits(features)
        return (self.fusion or average)(logits, present), logits

    def branch_logits(self, features: list[Tensor]) -> list[Tensor]:
        """Logits of each branch, the mean over time steps: (B, classes)."""
        return [over_time(head(h)) for head, h in zip(self.linears, features, strict=True)]

    def branch_parameters(self, branch: int) -> Iterable[nn.Parameter]:
        """Parameters of one branch's head."""
        return self.linears[branch].parameters()

    def shared_parameters(self) -> Iterable[nn.Parameter]:
        """None."""
        return ()


def over_time(logits: Tensor) -> Tensor:
    """Mean of logits (B, T, classes) over time steps; (B, classes) as they are."""
    return logits if logits.dim() == 2 else logits.mean(dim=1)  # noqa: PLR2004


def build(settings: Settings, classes: int) -> Own:  # noqa: ARG001
    """Build the head from its settings."""
    return Own(classes)
