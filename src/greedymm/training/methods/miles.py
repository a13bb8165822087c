"""MILES: slow the branch with the largest conditional utilization, if the utilization of branches is unbalanced.

    u_k = mean over j != k of (A(network) - A(y_j)) / A(network)       A: accuracy on the validation split
    rate_k = mu where u_k is the largest, if max_j u_j - min_j u_j > tau and not all u_j < 0; else 1
    loss: CE(network) + gamma * sum_k CE(y_k)

u_k is what modality k adds to the other modalities, relative to the accuracy of the network. Source: Guerra-Manzanares
and Shamout, IJCNN 2025 (arXiv 2510.17394). No code was found, and the paper was not read: formulas, tau and mu follow
descriptions of it.

Our choices: gamma is 1 by default. With more than two modalities, u_k is a mean over the others. A tie slows all
branches with the largest u_k. Each epoch has its own rates, relative to the scheduler's rate and not cumulative. All
rates are 1 in the first epoch, and if the network is right on no sample. With SGD, scaling gradients scales the
learning rate, up to momentum and weight decay. Parameters of fusions and of a joint head keep the scheduler's rate.
Cost: one more pass over the validation split in each epoch, and two with the evidence `cut`.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.optim import Optimizer

from greedymm.settings import ScoringSettings, log_uniform, uniform
from greedymm.training.methods.base import branch_losses
from greedymm.training.methods.branchwise import BranchRates, validate
from greedymm.training.step import Batches, Step


class Settings(ScoringSettings):
    """Method `miles` (Guerra-Manzanares and Shamout 2025)."""

    objective: Literal["branch", "joint", "multi"] = Field(
        default="multi", description="loss: of branches, network, or both"
    )
    tau: float = Field(
        default=0.2, ge=0, description="tolerated gap of utilization", json_schema_extra=log_uniform(0.02, 0.5)
    )
    mu: float = Field(
        default=0.5, gt=0, le=1, description="factor of the learning rate", json_schema_extra=uniform(0.1, 0.9)
    )
    gamma: float = Field(
        default=1.0, ge=0, description="weight of the branches' losses in multi", json_schema_extra=log_uniform(0.1, 3)
    )


class Miles(BranchRates):
    """Learning rates of branches from their conditional utilization."""

    settings: Settings

    def start_epoch(self, epoch: int, train: Batches, val: Batches, optimizer: Optimizer) -> None:  # noqa: ARG002
        """Score the network after the previous epoch, and set the rates."""
        if epoch > 0:
            joint, *branches = validate(self.network, val, self.settings.evidence).accuracies
            found = rates(utilization(joint, branches), self.settings.tau, self.settings.mu)
            self.rates = torch.tensor(found, device=self.device)

    def loss(self, step: Step) -> Tensor | dict[str, Tensor]:
        """Cross-entropies, with the weight gamma."""
        if self.settings.objective != "multi":
            return super().loss(step)
        losses = [self.settings.gamma * loss for loss in branch_losses(step.output, step.labels)]
        return torch.stack([*losses, cross_entropy(step.output.logits, step.labels)]).sum()


def utilization(joint: float, branches: Sequence[float]) -> list[float]:
    """u_k of each modality, from the accuracies of the network and of each branch. All 0 if the network's is 0.

    Example:
        >>> utilization(0.8, [0.8, 0.4])
        [0.5, 0.0]
    """
    if joint == 0:
        return [0.0] * len(branches)
    missed = [(joint - accuracy) / joint for accuracy in branches]
    return [(sum(missed) - own) / (len(missed) - 1) for own in missed]


def rates(utilizations: Sequence[float], tau: float, mu: float) -> list[float]:
    """Relative learning rate of each branch."""
    largest = max(utilizations)
    unbalanced = largest - min(utilizations) > tau and largest >= 0
    return [mu if unbalanced and u == largest else 1.0 for u in utilizations]


def build(settings: Settings) -> Miles:
    """Build the method from its settings."""
    return Miles(settings)
