"""GradNorm: weights of the losses, learned so that losses that lag behind have larger gradients.

    loss sum_i w_i L_i;  G_i = |gradient of w_i L_i, shared parameters|;  r_i = L_i / L_i(0) / mean_j (L_j / L_j(0))
    w_i <- w_i - eta sign(G_i - t_i) G_i / w_i / mean G,  t_i = mean G r_i^alpha;  then sum_i w_i = T

Losses: of the network and of each branch, T of them. L_i(0) is that of the first step in the window. Source: Chen et
al., ICML 2018, a method for any tasks: the update is a gradient step on sum_i |G_i - t_i|, t_i constant. The source
updates w by Adam [recalled]. Here it is a plain step, relative to mean G, and so independent of the size of the
gradients; w_i is at least 0.01 [our choices]. The source takes the last shared layer. Shared parameters here are all
those of the fusions, also on the side of one branch; without them, those of a joint head [our choice]. Outside of the
window, the weights are 1. Cost: a backward pass for each loss.
"""

from collections.abc import Mapping
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from greedymm.errors import GreedymmError
from greedymm.models.network import MultimodalNetwork
from greedymm.settings import MethodSettings, Window, log_uniform, uniform
from greedymm.training.methods.base import Method
from greedymm.training.methods.gradients import TINY, inner_products, losses_by_head, name_weights
from greedymm.training.step import Step

LEAST = 0.01  # of a weight, before they are normalized


class Settings(MethodSettings):
    """Method `gradnorm` (Chen et al. 2018)."""

    objective: Literal["multi", "branch"] = Field(
        default="multi", description="losses, weighted. multi: of network and branches; branch: of branches"
    )
    alpha: float = Field(
        default=1.5,
        ge=0,
        description="strength; 0: gradients of equal norm; published: 1.5 on NYUv2, 0.12 on a toy problem [recalled]",
        json_schema_extra=uniform(0.1, 3.0),
    )
    eta: float = Field(
        default=0.025,
        ge=0,
        lt=1,
        description="learning rate of the weights; published: 0.025, with Adam [recalled]",
        json_schema_extra=log_uniform(0.003, 0.1),
    )
    active: Window = Window()


class GradNorm(Method):
    """Learns the weights of the losses."""

    settings: Settings

    def setup(self, network: MultimodalNetwork, generator: torch.Generator) -> None:
        """Find the shared parameters, and initialize equal weights."""
        super().setup(network, generator)
        groups = network.groups()
        fusion = [p for name in groups if name.startswith("fusion.") for p in groups[name]]
        self.shared = fusion or groups["head.shared"]
        if not self.shared:
            raise GreedymmError(
                "method 'gradnorm' compares gradients of shared parameters, and the network has none: add a fusion"
                " between stages such as mmtm, or use the head `joint`"
            )
        count = self.modalities + (self.settings.objective == "multi")
        self.weights = torch.ones(count, dtype=torch.float64, device=self.device)
        self.initial = torch.full_like(self.weights, torch.nan)
        self.used = self.weights

    def separates(self, step: Step) -> bool:
        """In the window."""
        return self.settings.active.contains(step.epoch, step.number)

    def loss(self, step: Step) -> dict[str, Tensor]:
        """The weighted losses."""
        losses = losses_by_head(step, self.settings)
        self.used = self.weights if self.separates(step) else torch.ones_like(self.weights)
        return {name: w.to(loss.dtype) * loss for w, (name, loss) in zip(self.used, losses.items(), strict=True)}

    def after_backward(self, step: Step) -> None:
        """Update the weights for the next step."""
        if self.separates(step):
            losses = torch.stack([loss.detach() for loss in step.losses.values()]) / self.weights
            norms = inner_products(list(step.gradients.values()), self.shared).diagonal().sqrt()
            self.initial = torch.where(self.initial.isnan(), losses, self.initial)
            self.weights = updated(self.weights, norms, losses / self.initial, self.settings.alpha, self.settings.eta)

    def log(self) -> Mapping[str, Tensor]:
        """Weight of each loss in the step."""
        return name_weights(self.used, self.modalities)

    def state_dict(self) -> dict[str, Tensor]:
        """The weights, and the first losses."""
        return {"weights": self.weights, "initial": self.initial}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore weights and first losses."""
        self.weights, self.initial = (state[name].to(self.device) for name in ("weights", "initial"))


def updated(weights: Tensor, norms: Tensor, progress: Tensor, alpha: float, eta: float) -> Tensor:
    """Make one gradient step of the weights.

    Args:
        weights: of the losses, (T,).
        norms: G_i of the weighted losses, (T,).
        progress: L_i / L_i(0), (T,).
        alpha, eta: settings of the method.

    Returns:
        Positive weights of sum T, (T,).
    """
    mean = norms.mean().clamp(min=TINY)
    targets = mean * (progress / progress.mean().clamp(min=TINY)) ** alpha
    moved = (weights - eta * (norms - targets).sign() * norms / weights / mean).clamp(min=LEAST)
    return moved * len(moved) / moved.sum()


def build(settings: Settings) -> GradNorm:
    """Build the method from its settings."""
    return GradNorm(settings)
