"""ReconBoost: branches take turns of some epochs to learn what the others do not, each followed by epochs of all.

    turn of k:  mean over i of w_i CE(y_ik) + alpha * MSE(p_k, p_(k-1)),  w_i = (w1 - w2 r_i[label]) / classes
                r = softmax(beta * sum over j != k of y_j), constant;  p_k = softmax(y_k);  p_(k-1) constant
    all:        CE(beta * sum over k of y_k), beta a parameter that starts at 1

Source: Hua et al., ICML 2024, and its code: for each stage 4 epochs of a turn and 4 of all, up to 1001 stages. Here the
turns and the epochs of all share the epochs of the run, so the budget is that of other methods. By default, both last
one epoch. A training that ends before the second turn is refused. The objective is `joint`; the network predicts from
beta * sum of y_k. So a network whose logits are not a sum over branches is refused.

Unlike in the code, the alignment has a gradient: there, both sides of the MSE are constants. As in the code, there is
no alignment before all branches have learned once. k - 1 is the branch of the turn before k; the code has two
modalities. There is no training of single branches before [our choice: the budget], and one optimizer for all. In a
turn of k, the other branches are frozen, except the statistics of their norms. Shared parameters learn in all epochs.
With fusions, y_k depends on the features of the other branches, which get no gradient. w1 is at least w2, so no w_i is
negative.
"""

from collections.abc import Collection, Mapping
from typing import Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss

from greedymm.errors import GreedymmError
from greedymm.models.network import MultimodalNetwork, Output
from greedymm.settings import Count, MethodSettings, choice, log_uniform
from greedymm.training.methods.additive import require_additive
from greedymm.training.methods.base import Method
from greedymm.training.step import Step


class Settings(MethodSettings):
    """Method `reconboost` (Hua et al. 2024)."""

    objective: Literal["joint"] = Field("joint", description="of the network; in a turn, of one branch")
    alone: Count = Field(default=1, description="epochs of a turn; published: 4", json_schema_extra=choice(1, 2))
    together: Count = Field(default=1, description="epochs of all branches after a turn; published: 4")
    w1: float = Field(
        default=5.0, gt=0, description="w1; published: 4 on AVE, ModelNet40", json_schema_extra=log_uniform(1.0, 10.0)
    )
    w2: float = Field(default=1.0, ge=0, description="w2, how much what the others know counts less")
    alpha: float = Field(
        default=0.5, ge=0, description="of the alignment; 0: none", json_schema_extra=log_uniform(0.1, 2.0)
    )

    @model_validator(mode="after")
    def _weight_samples_positively(self) -> Self:
        if self.w1 < self.w2:
            raise ValueError(f"w1 must be at least w2, or the weights of samples are negative: {self.w1} < {self.w2}")
        return self


class Rate(nn.Module):
    """Beta, the factor of the sum of all logits."""

    def __init__(self) -> None:
        super().__init__()
        self.beta = nn.Parameter(torch.ones(()))


class ReconBoost(Method):
    """Trains one branch, then all, and so on."""

    settings: Settings

    def check_schedule(self) -> None:
        """Require an epoch of all branches, and a second turn."""
        alone, together = self.settings.alone, self.settings.together
        if self.epochs <= alone + together:
            raise GreedymmError(
                f"method 'reconboost': {self.epochs} epochs end before the second turn, with `alone: {alone}` and"
                f" `together: {together}`; set these lower, or train at least {alone + together + 1} epochs"
            )

    def setup(self, network: MultimodalNetwork, generator: torch.Generator) -> nn.Module:
        """Make beta."""
        super().setup(network, generator)
        require_additive(network, "reconboost")
        self.rate = Rate().to(self.device)
        self.factor = self.modalities if network.head.averages else 1  # from the network's logits to the sum
        self.predict = self.total
        self.coefficients: dict[str, Tensor] = {}
        return self.rate

    def turn(self, epoch: int) -> int | None:
        """Branch whose turn an epoch is; None: all learn."""
        stage, within = divmod(epoch, self.settings.alone + self.settings.together)
        return stage % self.modalities if within < self.settings.alone else None

    def active(self, epoch: int) -> Collection[int] | None:
        """The branch of the turn, or all."""
        k = self.turn(epoch)
        return None if k is None else (k,)

    def total(self, output: Output) -> Tensor:
        """Beta times the sum of the logits: (B, classes)."""
        return self.rate.beta * self.factor * output.logits

    def loss(self, step: Step) -> Tensor:
        """Loss of the turn, or of the network."""
        k, zero = self.turn(step.epoch), torch.zeros((), device=self.device)
        if k is None:
            self.note(0, zero, zero)
            return cross_entropy(self.total(step.output), step.labels)
        weights = self.weights(k, step)
        alignment = self.alignment(k, step) if step.epoch >= self.settings.alone else zero
        self.note(k + 1, weights.mean(), alignment)
        each = cross_entropy(step.output.branches[k], step.labels, reduction="none")
        return (weights * each).mean() + self.settings.alpha * alignment

    @torch.no_grad()
    def weights(self, k: int, step: Step) -> Tensor:
        """w_i of each sample: (B,)."""
        rest = torch.stack([y for j, y in enumerate(step.output.branches) if j != k]).sum(dim=0)
        known = (self.rate.beta * rest).softmax(dim=1).gather(1, step.labels[:, None])[:, 0]
        return (self.settings.w1 - self.settings.w2 * known) / rest.shape[1]

    def alignment(self, k: int, step: Step) -> Tensor:
        """Mean squared difference of the probabilities of a branch and of the one before it."""
        own, before = step.output.branches[k], step.output.branches[k - 1]
        return mse_loss(own.softmax(dim=1), before.detach().softmax(dim=1))

    def note(self, turn: int, weight: Tensor, alignment: Tensor) -> None:
        """Keep the coefficients of a step."""
        values = {"turn": torch.tensor(turn), "weight": weight, "alignment": alignment}
        self.coefficients = values | {"beta": self.rate.beta.detach().clone()}

    def log(self) -> Mapping[str, Tensor]:
        """Branch of the turn, counted from 1, 0: all; mean of w_i and the alignment, 0: none; beta before the step."""
        return self.coefficients


def build(settings: Settings) -> ReconBoost:
    """Build the method from its settings."""
    return ReconBoost(settings)
