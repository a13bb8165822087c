"""CentralNet: a central tower beside the branches adds up what it and they have computed at each level.

    h_0 = sum_k a_k,0 f_k,0        h_l = b_l T_l(h_(l-1)) + sum_k a_k,l f_k,l

f_k,l: features of branch k after stage l of its `fuse_after`; T_l: the tower's stages between two levels; a_k,l, b_l:
learned scalars. After the last level the tower goes on as a branch does, and its logits are the network's. The branches
hear nothing, and keep their heads. The loss of the paper, CE(center) + sum_k c_k CE(y_k), is objective `multi` with all
c_k = 1. With objective `joint`, the heads of the branches are not trained.

Source: Vielzeuf et al., ECCV workshops 2018. The scalars start at 1 / (number of terms) [our choice; the start of the
paper is not known here]. The tower has the stages of the branch of m0 behind the first level. So features that are
added must have equal shapes. An absent modality's terms are zero [our choice].
"""

# B samples; C_l channels at level l; M branches; L levels; *s any axes of space and time.

from collections.abc import Iterable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from greedymm.errors import GreedymmError
from greedymm.models.fusions.absent import zero_absent
from greedymm.models.network import Branch, LateFusion
from greedymm.settings import FusionSettings


class Settings(FusionSettings):
    """Fusion `centralnet`: a central tower (Vielzeuf et al. 2018), for the head `central`."""

    head = "central"


class CentralNet(LateFusion):
    """A tower that sums the features of the branches, and its own, with learned weights.

    Args:
        widths: C_l of each branch, at each level.
        tower: a branch; its stages up to the first level are removed.
        stages: of the tower, counted from 1, that the levels follow.

    Raises:
        GreedymmError: if the branches have different widths at a level.
    """

    def __init__(self, widths: Sequence[Sequence[int]], tower: Branch, stages: Sequence[int]) -> None:
        super().__init__()
        if any(len(set(level)) > 1 for level in widths):
            raise GreedymmError(f"centralnet adds features: branches need equal widths at each level, not {widths}")
        self.tower, self.width = tower, tower.width
        del tower.stages[: stages[0]]
        self.stops = [stage - stages[0] for stage in stages]
        count, levels = len(widths[0]), len(widths)
        first = torch.tensor([1 / count, *[1 / (count + 1)] * (levels - 1)])
        self.weights = nn.ParameterList(first.clone() for _ in range(count))  # a_k: (L,)
        self.own = nn.Parameter(first[1:].clone())  # b: (L - 1,)

    def forward(self, levels: Sequence[list[Tensor]], present: Tensor | None = None) -> Tensor:  # type: ignore[override]
        """Join features (B, C_l, *s) of each branch at each level: features (B, D) or (B, T, D) of the tower."""
        h = self.add(0, zero_absent(levels[0], present))
        for level, (start, stop) in enumerate(pairwise(self.stops), start=1):
            own = self.own[level - 1] * self.tower(h, start, stop)
            h = own + self.add(level, zero_absent(levels[level], present))
        features: Tensor = self.tower.pool(self.tower(h, self.stops[-1]))
        return features

    def add(self, level: int, features: list[Tensor]) -> Tensor:
        """Weighted sum of the branches' features at one level."""
        terms = [weight[level] * h for weight, h in zip(self.weights, features, strict=True)]
        return torch.stack(terms).sum(dim=0)

    def branch_parameters(self, branch: int) -> Iterable[nn.Parameter]:
        """The weights of a branch's features."""
        return (self.weights[branch],)

    def shared_parameters(self) -> Iterable[nn.Parameter]:
        """The tower, and the weights of its own features."""
        return (*self.tower.parameters(), self.own)


def build(settings: Settings, widths: Sequence[Sequence[int]], tower: Branch, stages: Sequence[int]) -> CentralNet:  # noqa: ARG001
    """Build the fusion for branches with these channels at each level."""
    return CentralNet(widths, tower, stages)
