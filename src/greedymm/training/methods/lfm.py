"""LFM: the predictions of the branches are aligned first, and the task is learned more and more.

    loss = 2 ((1 - a) L + a JS(p_0, ..., p_M-1)),  a = 1 - exp(-rate / t) in epoch t = 1, 2, ...
    JS = H(mean_k p_k) - mean_k H(p_k),  p_k = softmax(y_k),  L: loss of the objective

Source: Yang et al., NeurIPS 2024, and its code. This is the paper's heuristic schedule, with rate 1, known to us
from a secondary source: a is 0.63 in the first epoch, and decreases. The code has two other schedules, which are not
followed: a polynomial that was fitted to one run, and a weight that is learned from the gradient of one tensor.

As in the code, the loss has the factor 2. JS is the Jensen-Shannon divergence; the code swaps the arguments of a
divergence. For more than two modalities, JS is its generalized form, symmetric and at most log M [our choice]. Only
present modalities are aligned. With fusions, y_k depends on all modalities. No extra pass. Outside of the window the
loss is L.
"""

import math
from collections.abc import Mapping
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.optim import Optimizer

from greedymm.models.network import MultimodalNetwork
from greedymm.settings import MethodSettings, Window, log_uniform
from greedymm.training.methods.base import Method
from greedymm.training.methods.branchwise import votes
from greedymm.training.step import Batches, Step


class Settings(MethodSettings):
    """Method `lfm` (Yang et al. 2024)."""

    objective: Literal["branch", "joint", "multi"] = Field(
        default="joint", description="L: loss of branches, network, or both"
    )
    rate: float = Field(
        default=1.0,
        ge=0,
        description="larger: branches are aligned in more epochs; published: 1",
        json_schema_extra=log_uniform(0.1, 10.0),
    )
    active: Window = Window()


class Lfm(Method):
    """Adds the divergence of the branches to the loss, with a weight that decreases."""

    settings: Settings

    def setup(self, network: MultimodalNetwork, generator: torch.Generator) -> None:
        """Initialize the weight."""
        super().setup(network, generator)
        self.applied = self.weight = torch.zeros((), device=self.device)

    def start_epoch(self, epoch: int, train: Batches, val: Batches, optimizer: Optimizer) -> None:  # noqa: ARG002
        """Set the weight of the divergence."""
        self.weight = torch.full_like(self.weight, 1 - math.exp(-self.settings.rate / (epoch + 1)))

    def loss(self, step: Step) -> Tensor:
        """Weighted loss of the objective, and divergence."""
        loss = super().loss(step)
        assert isinstance(loss, Tensor)
        if not self.settings.active.contains(step.epoch, step.number):
            self.applied = torch.zeros_like(self.weight)
            return loss
        self.applied = self.weight
        divergence = jensen_shannon(torch.stack(step.output.branches), votes(step.output))
        return 2 * ((1 - self.weight) * loss + self.weight * divergence)

    def log(self) -> Mapping[str, Tensor]:
        """Weight of the divergence."""
        return {"alignment": self.applied}


def jensen_shannon(logits: Tensor, present: Tensor) -> Tensor:
    """Mean divergence over samples, from logits (M, B, classes) of modalities that are `present`, (M, 1 or B, 1).

    It is computed as the mean of KL(p_k, mean p), from logarithms: it is finite, and so are its gradients.
    """
    weights = present / present.sum(dim=0)
    log_p = logits.log_softmax(dim=2)
    log_mean = (log_p + weights.log()).logsumexp(dim=0)
    return (weights * log_p.exp() * (log_p - log_mean)).sum(dim=(0, 2)).mean()


def build(settings: Settings) -> Lfm:
    """Build the method from its settings."""
    return Lfm(settings)
