"""A linear head for each branch, and one for a central tower, whose logits are the network's. For `centralnet`."""

# B samples; D_k features of branch k; C_k channels of branch k at a level; M branches.

from collections.abc import Iterable, Sequence

from torch import Tensor, nn

from greedymm.models.heads.own import Own, over_time
from greedymm.models.network import LateFusion
from greedymm.settings import HeadSettings


class Settings(HeadSettings):
    """Head `central`: one linear layer for each branch, and one for the central tower of `centralnet`."""

    kind = "central"


class Central(Own):
    """M linear heads of the branches, and that of the tower."""

    joint = True
    reads_levels = True
    linear: nn.Linear

    def finish(self, fusion: LateFusion | None) -> None:
        """Build the layer for the width of the tower."""
        assert fusion is not None
        self.fusion, self.averages = fusion, False
        self.linear = nn.Linear(fusion.width, self.classes)

    def forward(
        self, features: list[Tensor], present: Tensor | None = None, levels: Sequence[list[Tensor]] = ()
    ) -> tuple[Tensor, list[Tensor]]:
        """The logits of the tower, without the modalities that are absent, and those of each branch: (B, classes)."""
        assert self.fusion is not None
        return over_time(self.linear(self.fusion(levels, present))), self.branch_logits(features)

    def shared_parameters(self) -> Iterable[nn.Parameter]:
        """Parameters of the tower's head."""
        return self.linear.parameters()


def build(settings: Settings, classes: int) -> Central:  # noqa: ARG001
    """Build the head from its settings."""
    return Central(classes)
