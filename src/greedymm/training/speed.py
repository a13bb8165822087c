"""Conditional learning speed: how fast the fusion learns, compared with the branch that it serves.

    mu(theta; i) = ||dL/dtheta||^2 / ||theta||^2                             at step i, before the update
    s(others | m_k; t) = log10( sum_i mu(theta_k'; i) / sum_i mu(theta_k; i) )

theta_k: parameters of branch k. theta_k': parameters of the fusions on the side of k, and those that all sides
share. The sums run from the first step, are never reset, and take regular steps only. Source: Wu et al., ICML 2022.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn.utils import get_total_norm

from greedymm.models.multistream import MultiStream

PAIR = 2


class ConditionalLearningSpeed:
    """Running sums of mu for M branches, on the model's device."""

    def __init__(self, model: MultiStream) -> None:
        count = len(model.branches)
        self.groups = [model.branch_parameters(k) for k in range(count)]
        self.groups += [model.fusion_parameters(k) for k in range(count)]
        self.sums = torch.zeros(2, count, dtype=torch.float64, device=self.groups[0][0].device)

    @torch.no_grad()
    def add(self, regular: Tensor) -> None:
        """Add this step's mu where `regular`, a bool scalar, is true; call it between backward and update."""
        mu = torch.stack([(_norm([p.grad for p in g if p.grad is not None]) / _norm(g)) ** 2 for g in self.groups])
        self.sums += torch.where(regular, mu.double().view_as(self.sums), 0)

    def speeds(self) -> Tensor:
        """Speeds s of each modality: (M,); not a number before the first regular step."""
        branch, fusion = self.sums
        return torch.log10(fusion / branch)

    def state_dict(self) -> dict[str, Tensor]:
        return {"sums": self.sums}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        self.sums.copy_(state["sums"])


def _norm(tensors: Sequence[Tensor]) -> Tensor:
    return get_total_norm(tensors)


def spread(values: Tensor) -> Tensor:
    """Difference between modalities: values[0] - values[1] for two, the largest - the smallest for more.

    This is d_speed. Its sign says which modality leans more on the other: positive, m0. For more than two modalities
    it has no sign.
    """
    return values[0] - values[1] if len(values) == PAIR else values.max() - values.min()
