"""MMPareto: in each branch, the min-norm point of the unimodal and the multimodal gradient where these conflict.

    g_u, g_m: gradients of branch k's body, of CE(y_k) and of all other losses
    <g_m, g_u> > 0: a = 1/2; else a = (|g_u|^2 - <g_m, g_u>) / |g_m - g_u|^2, clipped to [0, 1]
    h = 2a g_m + 2(1 - a) g_u;  gradient: gamma max(1, |g_m + g_u| / |h|) h

The loss is CE(network) + sum_k CE(y_k). Heads and fusions keep its gradient. Source: Wei and Hu, ICML 2024, and the
code GeWu-Lab/MMPareto_ICML2024. Without conflict, a branch learns as with the sum of the losses and gamma times the
learning rate: compare with that. The scale is that of a whole branch [our choice]; the code scales each tensor.
Unlike in the code, |h| = 0 gives a gradient of 0 and not NaN. It was published for late fusion, where g_m is the
gradient of CE(network). With a fusion between stages, the losses of the other branches reach branch k too, and belong
to g_m [our choice]. Cost: M + 1 backward passes.
"""

from collections.abc import Mapping
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from greedymm.models.network import MultimodalNetwork
from greedymm.settings import MethodSettings, Window, uniform
from greedymm.training.methods.base import Method
from greedymm.training.methods.gradients import TINY, inner_products, losses_by_head, write_sum
from greedymm.training.step import Step


class Settings(MethodSettings):
    """Method `mmpareto` (Wei and Hu 2024)."""

    objective: Literal["multi"] = Field(default="multi", description="losses of network and branches")
    gamma: float = Field(
        default=1.5,
        gt=0,
        description="factor of the gradients of the branches; published: 1.5",
        json_schema_extra=uniform(1.0, 2.5),
    )
    active: Window = Window()


class MMPareto(Method):
    """Combines two gradients in each branch."""

    settings: Settings

    def groups(self, modalities: int) -> list[str]:
        """Bodies of the branches."""
        return [f"branch_{k}.body" for k in range(modalities)]

    def setup(self, network: MultimodalNetwork, generator: torch.Generator) -> None:
        """Initialize the coefficients."""
        super().setup(network, generator)
        self.shares = torch.full((self.modalities,), 0.5, dtype=torch.float64, device=self.device)
        self.scales = torch.ones_like(self.shares)

    def separates(self, step: Step) -> bool:
        """In the window."""
        return self.settings.active.contains(step.epoch, step.number)

    def loss(self, step: Step) -> dict[str, Tensor]:
        """The losses of all heads."""
        return losses_by_head(step, self.settings)

    def after_backward(self, step: Step) -> None:
        """Replace the sum of the gradients of each body."""
        self.shares, self.scales = torch.full_like(self.shares, 0.5), torch.ones_like(self.scales)
        if not self.separates(step):
            return
        gradients = list(step.gradients.values())
        for k, group in enumerate(self.groups(self.modalities)):
            body = self.network.group(group)
            own = torch.arange(len(gradients), device=self.device) == k
            share, scale = pareto(inner_products(gradients, body), own)
            write_sum(gradients, 2 * self.settings.gamma * scale * torch.where(own, 1 - share, share), body)
            self.shares[k], self.scales[k] = share, self.settings.gamma * scale

    def log(self) -> Mapping[str, Tensor]:
        """Share of the multimodal gradient, and factor, of each branch."""
        shares, scales = enumerate(self.shares), enumerate(self.scales)
        return {f"share_{k}": a for k, a in shares} | {f"scale_{k}": s for k, s in scales}


def pareto(products: Tensor, own: Tensor) -> tuple[Tensor, Tensor]:
    """The share a of the multimodal gradient, in [0, 1], and the scale of h without gamma, 1 or more.

    Args:
        products: inner products of the gradients of all losses, (T, T).
        own: bool (T,), the loss of the branch. The sum of the other gradients is the multimodal one.
    """
    pair = torch.stack([own, ~own]).to(products.dtype)  # g_u and g_m as weights of the gradients: (2, T)
    uu, um, _, mm = (pair @ products @ pair.T).flatten()
    share = ((uu - um) / (uu + mm - 2 * um).clamp(min=TINY)).clamp(0, 1)
    share = torch.where(um > 0, 0.5, share)
    h = 4 * (share**2 * mm + (1 - share) ** 2 * uu + 2 * share * (1 - share) * um)  # |h|^2
    scale = torch.where(h > 0, ((uu + mm + 2 * um) / h.clamp(min=TINY)).clamp(min=1).sqrt(), 1)
    return share, scale


def build(settings: Settings) -> MMPareto:
    """Build the method from its settings."""
    return MMPareto(settings)
