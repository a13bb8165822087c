"""Conditional learning speed: how fast the fusion learns, compared with the branch that it serves.

    mu(theta; i) = ||dL/dtheta||^2 / ||theta||^2                             at step i, before the update
    s(others | m_k; t) = log10( sum_i mu(theta_k'; i) / sum_i mu(theta_k; i) )

theta_k: parameters of branch k. theta_k': parameters of the fusions on the side of branch k, and shared parameters.
The sums include all regular steps since the first one, and are never reset. Source: Wu et al., ICML 2022.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.utils import get_total_norm

from greedymm.models.network import MultimodalNetwork


class ConditionalLearningSpeed:
    """Running sums of mu for M branches, on the network's device."""

    def __init__(self, network: MultimodalNetwork) -> None:
        branches, groups = range(len(network.branches)), network.groups()
        self.groups = [groups[f"branch_{k}.body"] + groups[f"branch_{k}.head"] for k in branches]
        self.groups += [side_parameters(groups, k) for k in branches]
        self.sums = torch.zeros(2, len(branches), dtype=torch.float64, device=self.groups[0][0].device)

    @torch.no_grad()
    def add(self, regular: Tensor | None = None) -> None:
        """Add mu of this step if `regular`, a bool scalar, is true or None. Call it between backward and update."""
        mu = torch.stack([(self._gradient_norm(group) / get_total_norm(group)) ** 2 for group in self.groups])
        mu = mu.double().view_as(self.sums)
        self.sums += mu if regular is None else torch.where(regular, mu, 0)

    def _gradient_norm(self, group: list[nn.Parameter]) -> Tensor:
        gradients = [p.grad for p in group if p.grad is not None]  # frozen branches have none
        return get_total_norm(gradients) if gradients else self.sums.new_zeros((), dtype=torch.float32)

    def speeds(self) -> Tensor:
        """Speeds s of all modalities: (M,); NaN before the first regular step."""
        branch, fusion = self.sums
        return torch.log10(fusion / branch)

    def state_dict(self) -> dict[str, Tensor]:
        return {"sums": self.sums}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        self.sums.copy_(state["sums"])


def side_parameters(groups: Mapping[str, list[nn.Parameter]], branch: int) -> list[nn.Parameter]:
    """theta_k': parameters of all fusions on the side of a branch, and shared parameters."""
    return groups[f"fusion.side_{branch}"] + groups["fusion.shared"]
