"""Conditional learning speed: how fast the fusion learns, compared with the branch that it serves.

    mu(theta; i) = ||dL/dtheta||^2 / ||theta||^2                             at step i, before the update
    s(others | m_k; t) = log10( sum_i mu(theta_k'; i) / sum_i mu(theta_k; i) )

theta_k: parameters of branch k. theta_k': parameters of the fusions on the side of k, and those that all sides
share. The sums run from the first step, are never reset, and take regular steps only. Source: Wu et al., ICML 2022.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.utils import get_total_norm

from greedymm.models.network import MultimodalNetwork

TWO_MODALITIES = 2


class ConditionalLearningSpeed:
    """Running sums of mu for M branches, on the model's device."""

    def __init__(self, model: MultimodalNetwork) -> None:
        count = len(model.branches)
        groups = model.groups()
        self.groups = [groups[f"branch_{k}.body"] + groups[f"branch_{k}.head"] for k in range(count)]
        self.groups += [side_parameters(groups, k) for k in range(count)]
        self.sums = torch.zeros(2, count, dtype=torch.float64, device=self.groups[0][0].device)

    @torch.no_grad()
    def add(self, regular: Tensor | None = None) -> None:
        """Add this step's mu where `regular`, a bool scalar, is true or None; call it between backward and update."""
        mu = torch.stack([(self._gradient_norm(g) / get_total_norm(g)) ** 2 for g in self.groups])
        mu = mu.double().view_as(self.sums)
        self.sums += mu if regular is None else torch.where(regular, mu, 0)

    def _gradient_norm(self, group: list[nn.Parameter]) -> Tensor:
        gradients = [p.grad for p in group if p.grad is not None]  # a branch that does not learn in a step has none
        return get_total_norm(gradients) if gradients else self.sums.new_zeros((), dtype=torch.float32)

    def speeds(self) -> Tensor:
        """Speeds s of each modality: (M,); not a number before the first regular step."""
        branch, fusion = self.sums
        return torch.log10(fusion / branch)

    def state_dict(self) -> dict[str, Tensor]:
        return {"sums": self.sums}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        self.sums.copy_(state["sums"])


def side_parameters(groups: Mapping[str, list[nn.Parameter]], branch: int) -> list[nn.Parameter]:
    """theta_k': parameters of the fusions on the side of a branch, and those that all sides share; of each fusion."""
    return groups[f"fusion.side_{branch}"] + groups["fusion.shared"]


def modality_gap(values: Tensor) -> Tensor:
    """Difference between modalities: values[0] - values[1] for two, the largest - the smallest for more.

    This is d_speed. Its sign says which modality leans more on the other: positive, m0. For more than two modalities
    it has no sign.
    """
    return values[0] - values[1] if len(values) == TWO_MODALITIES else values.max() - values.min()
