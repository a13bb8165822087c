"""Remix: each sample trains with one modality alone, the one whose branch is least certain of it.

    m_i = argmin over k of KL(softmax(y_ik) || uniform) = log classes - entropy: the sample keeps modality m_i alone
    loss: CE(network) + weight * sum_k CE(y_k), the latter over samples that have k; batches of one modality each

Source: data remixing, ICML 2025, and its code. In the first epochs (published: 10 of 60) all modalities are present,
and the weight is 0.5. As in the code, the choice is repeated before each epoch. Its published case is objective
`multi`; with `joint` there is no second term, with `branch` no first one, and no weight.

An absent modality is cut from the fusions of the others, has no vote, and its branch has no loss; the code sets its
features to zero. Unlike in the code, the choice is made from the samples as stored, not augmented. Samples that fill no
whole batch of their modality come last, in batches of several modalities [our choice]: each sample occurs once in an
epoch. Absent branches still see the samples, and their batch norms keep statistics of all. Cost: 1.3, of a pass over
the training split before each epoch.
"""

import math
from collections.abc import Mapping
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import cross_entropy, one_hot
from torch.optim import Optimizer

from greedymm.models.network import MultimodalNetwork, Pass
from greedymm.settings import LaterEpochs, MethodSettings, log_uniform
from greedymm.training.methods.base import Method, Order, branch_losses
from greedymm.training.methods.mla import entropy
from greedymm.training.step import Batches, Step


class Settings(MethodSettings):
    """Method `remix` (data remixing, ICML 2025)."""

    objective: Literal["branch", "joint", "multi"] = Field("multi", description="loss; published: multi")
    weight: float = Field(
        default=1.0, ge=0, description="of the branches' losses, multi", json_schema_extra=log_uniform(0.3, 3.0)
    )
    weight_before: float = Field(default=0.5, ge=0, description="the same in epochs in which the method does not act")
    evidence: Literal["cut", "full"] = Field(
        "cut", description="certainty of the pass without fusion (cut), or with it"
    )
    active: LaterEpochs = LaterEpochs(start=11)


class Remix(Method):
    """Assigns each sample to one modality."""

    settings: Settings

    def passes(self) -> frozenset[str]:
        """Absent modalities, and cut branches if these are compared."""
        return super().passes() | {"present"}

    def setup(self, network: MultimodalNetwork, generator: torch.Generator) -> None:
        """All modalities are present."""
        super().setup(network, generator)
        self.shares = torch.ones(self.modalities, device=self.device)
        self.weight = self.settings.weight_before

    def start_epoch(self, epoch: int, train: Batches, val: Batches, optimizer: Optimizer) -> None:  # noqa: ARG002
        """Choose the modality of each sample: int64 (N,)."""
        self.size, self.choice = train.size, None
        self.shares, self.weight = torch.ones_like(self.shares), self.settings.weight_before
        if self.settings.active.include(epoch):
            self.weight = self.settings.weight
            self.choice = self.least_certain(train)
            self.shares = one_hot(self.choice, self.modalities).float().mean(dim=0).to(self.device)

    @torch.no_grad()
    def least_certain(self, train: Batches) -> Tensor:
        """Branch with the least certain prediction of each sample: int64 (N,), on the CPU."""
        how, found = self.network.cut if self.settings.evidence == "cut" else Pass(), []
        self.network.eval()
        for inputs, _ in train.view():
            branches = self.network(inputs, how).branches
            found.append(torch.stack([certainty(y) for y in branches]).argmin(dim=0))
        return torch.cat(found).cpu()

    def order(self, epoch: int, samples: int) -> Order | None:  # noqa: ARG002
        """All samples in batches of one modality."""
        if self.choice is None:
            return None
        rows = pure_batches(self.choice, self.modalities, self.size, self.generator)
        return Order(rows, one_hot(self.choice[rows], self.modalities).bool())

    def plan(self, step: Step) -> Pass:
        """With the modality that the order keeps. Other masks would undo it: no other method may plan passes."""
        return super().plan(step)

    def loss(self, step: Step) -> Tensor | dict[str, Tensor]:
        """Loss of the network and the weighted losses of the branches."""
        if self.settings.objective != "multi":
            return super().loss(step)
        losses = [self.weight * loss for loss in branch_losses(step.output, step.labels)]
        return torch.stack([*losses, cross_entropy(step.output.logits, step.labels)]).sum()

    def log(self) -> Mapping[str, Tensor]:
        """Share of the samples that each modality is present in, and weight of the branches' losses in `multi`."""
        return {"weight": torch.tensor(self.weight)} | {f"share_{k}": share for k, share in enumerate(self.shares)}


def certainty(logits: Tensor) -> Tensor:
    """Divergence of each prediction from the uniform distribution, in nats: (B,), from 0 to log classes."""
    return math.log(logits.shape[1]) - entropy(logits)


def pure_batches(choice: Tensor, modalities: int, size: int, generator: torch.Generator) -> Tensor:
    """Shuffle row numbers so that batches of `size` have one choice each; what fills no batch comes last."""
    whole, rest = [], []
    for k in range(modalities):
        rows = (choice == k).nonzero()[:, 0]
        rows = rows[torch.randperm(len(rows), generator=generator)]
        full = len(rows) // size * size
        whole.append(rows[:full].view(-1, size))
        rest.append(rows[full:])
    batches = torch.cat(whole)
    batches = batches[torch.randperm(len(batches), generator=generator)]
    return torch.cat([batches.flatten(), *rest])


def build(settings: Settings) -> Remix:
    """Build the method from its settings."""
    return Remix(settings)
