"""Conditional learning speed: how fast the fusion learns, compared with the branch that it serves.

    mu(theta; i) = ||dL/dtheta||^2 / ||theta||^2                             at step i, before the update
    s(others | m_k; t) = log10( sum_i mu(theta_k'; i) / sum_i mu(theta_k; i) )

theta_k: parameters of branch k. theta_k': parameters of the fusions on the side of branch k, and shared parameters.
The sums include all regular steps since the first one, and are never reset. Source: Wu et al., ICML 2022.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from greedymm.models.network import MultimodalNetwork


class ConditionalLearningSpeed(nn.Module):
    """Running sums of mu for M branches, on the network's device."""

    sums: Tensor

    def __init__(self, network: MultimodalNetwork) -> None:
        super().__init__()
        branches, groups = range(len(network.branches)), network.groups()
        members = [groups[f"branch_{k}.body"] + groups[f"branch_{k}.head"] for k in branches]
        members += [groups[f"fusion.side_{k}"] + groups["fusion.shared"] for k in branches]
        self.weights = list(dict.fromkeys(parameter for group in members for parameter in group))
        device = self.weights[0].device
        # (2 M, parameters): whether a parameter is in a group
        self.members = torch.tensor(
            [[any(p is q for q in group) for p in self.weights] for group in members],
            dtype=torch.float64,
            device=device,
        )
        self.register_buffer("sums", torch.zeros(2, len(branches), dtype=torch.float64, device=device))

    @torch.no_grad()
    def add(self, regular: Tensor | None = None) -> None:
        """Add mu of this step if `regular`, a bool scalar, is true or None. Call it between backward and update."""
        # Frozen branches have no gradients.
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in self.weights]
        mu = (self._squared_norms(gradients) / self._squared_norms(self.weights)).view_as(self.sums)
        self.sums += mu if regular is None else torch.where(regular, mu, 0)

    def _squared_norms(self, tensors: Sequence[Tensor]) -> Tensor:
        """Squared norm of each group: (2 M,). One call for all tensors is faster than one for each group."""
        norms = torch.stack(torch._foreach_norm(list(tensors)))  # noqa: SLF001  as in torch.nn.utils.get_total_norm
        return self.members @ norms.double().square()

    def speeds(self) -> Tensor:
        """Speeds s of all modalities: (M,); NaN before the first regular step."""
        branch, fusion = self.sums
        return torch.log10(fusion / branch)
