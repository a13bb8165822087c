"""Finetune: each branch is trained alone, then all are trained together, in the same number of epochs.

    first pretrain * epochs:  sum_k CE(y_k), without fusions between stages;  then the loss of the objective

Source: a baseline of many papers, such as Du et al., ICML 2023. They train together for as long as without
pre-training; here the budget is divided [our choice]. A joint head does not learn in the first phase: each branch has a
linear head for this phase, which is not used afterwards. Optimizer and learning rate schedule go on through both
phases, except that the schedule `plateau` begins with the second one. The checkpoint and early stopping are of the
second phase. Learning speeds are not measured, as the fusion does not learn from the start.
"""

from collections.abc import Mapping
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from greedymm.errors import GreedymmError
from greedymm.models.network import MultimodalNetwork, Pass
from greedymm.settings import MethodSettings, uniform
from greedymm.training.methods.base import Method, objective_loss
from greedymm.training.methods.unimodal import own_heads
from greedymm.training.step import Step


class Settings(MethodSettings):
    """Method `finetune` (baseline of Du et al. 2023)."""

    objective: Literal["branch", "joint", "multi"] = Field(default="joint", description="loss of the second phase")
    pretrain: float = Field(
        default=0.5,
        gt=0,
        lt=1,
        description="share of the epochs in the first phase",
        json_schema_extra=uniform(0.2, 0.8),
    )


class Finetune(Method):
    """Two phases of training."""

    settings: Settings
    measures_speed = False  # in the first phase fusions have no gradient

    @property
    def pretraining(self) -> int:
        """Number of epochs in the first phase."""
        return round(self.settings.pretrain * self.epochs)

    def check_schedule(self) -> None:
        """Require an epoch in each phase."""
        if not 0 < self.pretraining < self.epochs:
            raise GreedymmError(
                f"method 'finetune': pretrain {self.settings.pretrain:g} of {self.epochs} epochs leaves no epoch for"
                " one of its phases; two epochs and `pretrain: 0.5` would do"
            )

    def setup(self, network: MultimodalNetwork, generator: torch.Generator) -> nn.Module | None:
        """Make heads for the first phase if the network has a joint head."""
        super().setup(network, generator)
        self.heads = own_heads(network, generator)
        return self.heads

    def plan(self, step: Step) -> Pass:
        """A pass without fusions in the first phase."""
        return Pass(present=step.present, alone=step.epoch < self.pretraining)

    def loss(self, step: Step) -> Tensor:
        """Loss of each branch, or of the objective."""
        self.phase = torch.tensor(1 + (step.epoch >= self.pretraining))
        if step.epoch >= self.pretraining:
            return objective_loss(step.output, step.labels, self.settings.objective)
        if self.heads is not None:
            logits, branches = self.heads(step.output.features, step.output.present)
            step.output = step.output._replace(logits=logits, branches=branches)
        return objective_loss(step.output, step.labels, "branch")

    def log(self) -> Mapping[str, Tensor]:
        """The phase, 1 or 2."""
        return {"phase": self.phase}


def build(settings: Settings) -> Finetune:
    """Build the method from its settings."""
    return Finetune(settings)
