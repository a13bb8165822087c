"""PMR: a branch that is behind is drawn to the prototypes of the classes, and the best one stays uncertain.

    P_k = softmax over classes y of -|h_k - c_ky|;  T_k = mean of P_k[label];  LP_k = mean of -log P_k[label]
    w_k = clip(max_j T_j / T_k - 1, 0, 1);  e_k = max_j w_j for the branch with the largest T, else 0
    loss + alpha sum_k w_k LP_k - mu sum_k e_k H(P_k)

h_k are the features of a branch; the prototype c_ky is their mean over the samples of class y. Before each epoch it is
computed on a share of the training split, drawn at random, in evaluation mode: c <- m c + (1 - m) c_new. Source: Fan et
al., CVPR 2023, with the loss of the network: objective `joint`; the code is fanyunfeng-bit/Modal-Imbalance-PMR. This is
the soft form of the paper, with the entropy H; the code has weights of 0 and 1, and no entropy. In the paper the
entropy acts in the first epochs, whose number is unknown here; by default it acts in all of them. For M > 2, the
formulas of w_k and e_k are our choice; with two branches they are those of the paper, and a tie changes nothing. Unlike
in the code, no prototype comes from a validation or test split. A class without samples in the share keeps its
prototype; before its first sample, its prototype is the mean of all features [our choice]. Cost: one more forward pass
over the share of the training split in each epoch.
"""

import math
from collections.abc import Mapping
from typing import Literal, Self, cast

import torch
from pydantic import Field, model_validator
from torch import Tensor
from torch.nn.functional import one_hot
from torch.optim import Optimizer

from greedymm.models.network import MultimodalNetwork, Output, by_sample
from greedymm.settings import MethodSettings, Window, log_uniform
from greedymm.training.methods.base import Method
from greedymm.training.methods.ogm_ge import EPSILON
from greedymm.training.step import Batches, Step


class Settings(MethodSettings):
    """Method `pmr` (Fan et al. 2023)."""

    objective: Literal["branch", "joint", "multi"] = Field(default="joint", description="loss; published: joint")
    alpha: float = Field(
        default=1.0,
        ge=0,
        description="factor of the prototypes' loss; published: 1 and 2",
        json_schema_extra=log_uniform(0.1, 5.0),
    )
    mu: float = Field(
        default=0.01,
        ge=0,
        description="factor of the entropy; published: 0.01 and 0.001",
        json_schema_extra=log_uniform(0.001, 0.1),
    )
    momentum: float = Field(
        default=0.2, ge=0, lt=1, description="m, of the prototypes; in the code 0.2, in its scripts 0"
    )
    share: float = Field(default=0.1, gt=0, le=1, description="of the training split, for the prototypes")
    active: Window = Window()
    entropy: Window = Field(
        default=Window(), description="within `active`, when the entropy acts; published: the first epochs"
    )

    @model_validator(mode="after")
    def _meet(self) -> Self:
        if (self.entropy.stop or self.active.start) < self.active.start:
            raise ValueError(f"entropy.stop {self.entropy.stop} is before active.start {self.active.start}")
        return self


class Pmr(Method):
    """Adds losses of the distances between features and prototypes."""

    settings: Settings

    def setup(self, network: MultimodalNetwork, generator: torch.Generator) -> None:
        """Initialize the prototypes."""
        super().setup(network, generator)
        classes, zeros = network.head.classes, torch.zeros(self.modalities, device=self.device)
        self.prototypes = [torch.zeros(classes, branch.width, device=self.device) for branch in network.branches]
        self.seen = torch.zeros(classes, dtype=torch.bool, device=self.device)
        self.pulls, self.entropies = zeros, zeros

    def start_epoch(self, epoch: int, train: Batches, val: Batches, optimizer: Optimizer) -> None:  # noqa: ARG002
        """Update the prototypes."""
        if not self.settings.active.contains(epoch, 0):
            return
        rows = torch.randperm(train.count, generator=self.generator)[: math.ceil(self.settings.share * train.count)]
        sums, counts = self.features(train.view(), rows)
        present = counts > 0
        for k, (total, old) in enumerate(zip(sums, self.prototypes, strict=True)):
            mean = (total.sum(dim=0) / counts.sum()).to(old.dtype)
            new = (total / counts.clamp(min=1)[:, None]).to(old.dtype)
            moved = torch.where(self.seen[:, None], old.lerp(new, 1 - self.settings.momentum), new)
            kept = torch.where(self.seen[:, None], old, mean)
            self.prototypes[k] = torch.where(present[:, None], moved, kept)
        self.seen = self.seen | present

    @torch.no_grad()
    def features(self, train: Batches, rows: Tensor) -> tuple[list[Tensor], Tensor]:
        """Sums of the features (C, D_k) of each branch by class, and numbers of samples (C,)."""
        self.network.eval()
        sums = [torch.zeros_like(c, dtype=torch.float64) for c in self.prototypes]
        counts = torch.zeros(len(self.seen), dtype=torch.float64, device=self.device)
        for inputs, labels in train.of(rows):
            members = one_hot(labels, len(counts)).double()  # (B, C)
            for total, h in zip(sums, self.network(inputs).features, strict=True):
                total.add_(members.T @ h.double())
            counts += members.sum(dim=0)
        return sums, counts

    def loss(self, step: Step) -> Tensor:
        """The loss of the objective, and those of the prototypes."""
        loss = cast("Tensor", super().loss(step))
        self.pulls, self.entropies = torch.zeros_like(self.pulls), torch.zeros_like(self.pulls)
        if not self.settings.active.contains(step.epoch, step.number):
            return loss
        distances, entropies, totals = self.compare(step.output, step.labels)
        self.pulls, self.entropies = pulls(totals.detach())
        if not self.settings.entropy.contains(step.epoch, step.number):
            self.entropies = torch.zeros_like(self.entropies)
        extra = self.settings.alpha * self.pulls @ distances - self.settings.mu * self.entropies @ entropies
        return loss + extra

    def compare(self, output: Output, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Means of LP_k, of H(P_k) and of P_k[label] over the samples whose modality is present: (M,) each."""
        weights = torch.ones(len(labels), self.modalities, device=self.device)
        weights = weights if output.present is None else weights * by_sample(output.present)
        weights = weights / weights.sum(dim=0).clamp(min=1)  # (B, M)
        exact = "donot_use_mm_for_euclid_dist"
        pairs = zip(output.features, self.prototypes, strict=True)
        logs = torch.stack([(-torch.cdist(h, c, compute_mode=exact)).log_softmax(dim=1) for h, c in pairs])  # (M, B, C)
        labeled = logs[:, torch.arange(len(labels), device=self.device), labels].T  # (B, M)
        entropies = -(logs.exp() * logs).sum(dim=2).T
        return tuple((weights * x).sum(dim=0) for x in (-labeled, entropies, labeled.exp()))  # type: ignore[return-value]

    def log(self) -> Mapping[str, Tensor]:
        """w_k and e_k of each branch."""
        entropies = {f"entropy_{k}": e for k, e in enumerate(self.entropies)}
        return {f"pull_{k}": w for k, w in enumerate(self.pulls)} | entropies

    def state_dict(self) -> dict[str, Tensor]:
        """The prototypes, and which classes have one."""
        return {f"prototypes_{k}": c for k, c in enumerate(self.prototypes)} | {"seen": self.seen}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore the prototypes."""
        self.prototypes = [state[f"prototypes_{k}"].to(self.device) for k in range(self.modalities)]
        self.seen = state["seen"].to(self.device)


def pulls(totals: Tensor) -> tuple[Tensor, Tensor]:
    """w_k and e_k of each branch from its T_k: (M,) each, in [0, 1]."""
    w = (totals.max() / totals.clamp(min=EPSILON) - 1).clamp(0, 1)
    return w, w.max() * (totals == totals.max())


def build(settings: Settings) -> Pmr:
    """Build the method from its settings."""
    return Pmr(settings)
