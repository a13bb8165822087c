"""MSLR: each branch has its own learning rate, which follows the trend of its validation accuracy.

    rate_k(e) = r_k * a_k(e) / mean of a_k over the last n epochs before e      a_k: validation accuracy of branch k
    learning rate of branch k: rate_k times that of the scheduler

Source: Yao and Mihalcea, Findings of ACL 2022, strategy `dynamic`; with `dynamic: false`, their strategy `keep`. Their
strategy `smooth` is not implemented. The paper's code was not found. Formula and n follow the code of a comparison (Li
et al., ICCV 2023). The paper starts from fine-tuned unimodal models, each with its best rate; here all branches start
from fresh weights.

Our choices: r_k = 1 by default, the mean excludes the current epoch, and an accuracy below chance counts as chance.
Before two epochs are scored the rate is r_k. With SGD, scaling gradients scales the learning rate, up to momentum and
weight decay. Parameters of fusions and of a joint head keep the rate of the scheduler. Cost: one more pass over the
validation split in each epoch, and two with the evidence `cut`.
"""

from collections.abc import Mapping
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.optim import Optimizer

from greedymm.errors import GreedymmError
from greedymm.models.network import MultimodalNetwork
from greedymm.settings import ScoringSettings, choice
from greedymm.training.methods.branchwise import BranchRates, validate
from greedymm.training.step import Batches


class Settings(ScoringSettings):
    """Method `mslr` (Yao and Mihalcea 2022)."""

    objective: Literal["branch", "joint", "multi"] = Field(
        default="joint", description="loss: of branches, network, or both"
    )
    rates: tuple[Annotated[float, Field(gt=0)], ...] = Field(
        default=(), description="r_k of each branch, in order; empty: all 1; in the comparison 0.9 and 1.1 on CREMA-D"
    )
    dynamic: bool = Field(default=True, description="follow the validation accuracy; false: keep r_k")
    memory: int = Field(default=5, ge=1, description="n, epochs", json_schema_extra=choice(1, 2, 3, 5))


class Mslr(BranchRates):
    """Learning rates of branches from their validation accuracies."""

    settings: Settings

    def setup(self, network: MultimodalNetwork, generator: torch.Generator) -> None:
        """Initialize the rates with r_k."""
        super().setup(network, generator)
        rates = self.settings.rates or (1.0,) * self.modalities
        if len(rates) != self.modalities:
            raise GreedymmError(f"method 'mslr' has {len(rates)} rates for {self.modalities} branches; give one each")
        self.initial = torch.tensor(rates, device=self.device)
        self.rates = self.scales = self.initial
        self.accuracies = torch.empty(0, self.modalities, dtype=torch.float64)  # of each epoch that is scored

    def start_epoch(self, epoch: int, train: Batches, val: Batches, optimizer: Optimizer) -> None:  # noqa: ARG002
        """Score the branches after the previous epoch, and set their rates."""
        if epoch == 0 or not self.settings.dynamic:
            return
        scores = validate(self.network, val, self.settings.evidence).accuracies[1:]
        accuracies = torch.tensor([scores], dtype=torch.float64).clamp(min=1 / self.network.head.classes)
        self.accuracies = torch.cat([self.accuracies, accuracies])[-self.settings.memory - 1 :]
        self.rates = self.initial * trend(self.accuracies).to(self.initial)

    def state_dict(self) -> dict[str, Tensor]:
        """Recent accuracies."""
        return {"accuracies": self.accuracies}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore the accuracies."""
        self.accuracies = state["accuracies"]


def trend(accuracies: Tensor) -> Tensor:
    """Last accuracy over the mean of those before, from (epochs, M): (M,); 1 if there is only one epoch."""
    *before, last = accuracies
    return last / torch.stack(before).mean(dim=0) if before else torch.ones_like(last)


def build(settings: Settings) -> Mslr:
    """Build the method from its settings."""
    return Mslr(settings)
