"""G-Blend: weights of the losses from how much each head generalizes and overfits.

    G_k = L_val(N) - L_val(N + n),  O_k = (L_val - L_train)(N + n) - (L_val - L_train)(N),  w_k ~ G_k / O_k^2, sum 1
    loss: sum_k w_k CE(y_k) + w_joint CE(network)

Source: Wang, Tran and Feiszli, CVPR 2020, recalled in part; the authors' code for the estimate was never released. For
each head, a copy of the network is trained for n epochs: with the loss of branch k, cut from the others, or with the
loss of the network. Our choices: a negative G_k is set to 0, |O_k| is at least 1e-4, and the weights are equal if no
head generalizes. The losses of both splits are means in evaluation mode, after training. A copy has an optimizer
without momentum so far, and the current learning rate. How long the off-line estimate of the paper trains is unknown
here: n is a super-epoch. With the sum 1, equal weights are the objective `multi` with 1 / (M + 1) of the learning rate.
Cost: for each estimate, (M + 1) * n epochs, and passes over both splits.
"""

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.optim import Optimizer

from greedymm.errors import GreedymmError
from greedymm.models.network import MultimodalNetwork, Output, Pass
from greedymm.settings import MethodSettings, choice
from greedymm.training.methods.base import Method, branch_losses
from greedymm.training.methods.branchwise import check_validation
from greedymm.training.methods.copies import copy_network, train_copy
from greedymm.training.step import Batches, Step, evaluate

LEAST_OVERFITTING = 1e-4


class Settings(MethodSettings):
    """Method `g_blend` (Wang et al. 2020)."""

    objective: Literal["multi"] = Field(default="multi", description="losses of all heads, weighted")
    online: bool = Field(default=True, description="estimate in each super-epoch; false: once, at the start")
    super_epoch: int = Field(
        default=10, ge=1, strict=True, description="epochs between two estimates", json_schema_extra=choice(1, 2, 3)
    )
    probe: int | None = Field(
        default=None, ge=1, strict=True, description="n, epochs that each copy is trained; null: a super-epoch"
    )


class Losses(NamedTuple):
    """Mean cross-entropy of one head."""

    train: float
    val: float


class GBlend(Method):
    """Weighted sum of the losses of all heads."""

    settings: Settings

    def passes(self) -> frozenset[str]:
        """Cut branches."""
        return frozenset({"hears"})

    def check_schedule(self) -> None:
        """Require a second estimate, if estimates are repeated."""
        if self.settings.online and self.settings.super_epoch >= self.epochs:
            raise GreedymmError(
                f"method 'g_blend': a super-epoch of {self.settings.super_epoch} is too long for {self.epochs} epochs;"
                f" set `super_epoch` to at most {self.epochs - 1}, or `online: false`"
            )

    def check(self, train: Batches, val: Batches) -> None:  # noqa: ARG002
        """Losses in validation need samples."""
        check_validation(self, val)

    def setup(self, network: MultimodalNetwork, generator: torch.Generator) -> None:
        """Initialize equal weights."""
        super().setup(network, generator)
        self.weights = torch.full((self.modalities + 1,), 1 / (self.modalities + 1), device=self.device)

    def start_epoch(self, epoch: int, train: Batches, val: Batches, optimizer: Optimizer) -> None:
        """Estimate the weights at the start of a super-epoch."""
        if epoch == 0 or (self.settings.online and epoch % self.settings.super_epoch == 0):
            before, after = [], []
            for head in range(self.modalities + 1):
                trained = copy_network(self.network)
                self.probe(trained, head, train, optimizer)
                before.append(self.losses(copy_network(self.network), head, train, val))
                after.append(self.losses(trained, head, train, val))
            self.weights = torch.tensor(blend(before, after), device=self.device)

    def how(self, head: int) -> Pass:
        """Pass to train and score a head: a branch is cut from the others; the last head is that of the network."""
        return self.network.cut if head < self.modalities else Pass()

    def probe(self, network: MultimodalNetwork, head: int, train: Batches, optimizer: Optimizer) -> None:
        """Train a network with the loss of one head."""

        def loss(inputs: list[Tensor], labels: Tensor) -> Tensor:
            output: Output = network(inputs, self.how(head))
            return cross_entropy([*output.branches, output.logits][head], labels)

        epochs = self.settings.probe or self.settings.super_epoch
        train_copy(network, loss, train, epochs, optimizer, self.generator)

    def losses(self, network: MultimodalNetwork, head: int, train: Batches, val: Batches) -> Losses:
        """Losses of a head of a network on both splits, not augmented."""
        how, index = self.how(head), (head + 1) % (self.modalities + 1)  # the network's loss is the first one
        if how.hears is not None:
            network.record_means(train.view())
        return Losses(*(evaluate(network, batches, how).losses[index] for batches in (train.view(), val)))

    def loss(self, step: Step) -> dict[str, Tensor]:
        """The weighted losses by head."""
        losses = [*branch_losses(step.output, step.labels), cross_entropy(step.output.logits, step.labels)]
        return {f"head_{k}": w * loss for k, (w, loss) in enumerate(zip(self.weights, losses, strict=True))}

    def log(self) -> Mapping[str, Tensor]:
        """Weights of the losses of each branch and of the network."""
        *branches, joint = self.weights
        return {f"weight_{k}": w for k, w in enumerate(branches)} | {"weight_joint": joint}

    def state_dict(self) -> dict[str, Tensor]:
        """The weights."""
        return {"weights": self.weights}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore the weights."""
        self.weights = state["weights"].to(self.device)


def blend(before: Sequence[Losses], after: Sequence[Losses]) -> list[float]:
    """Compute the weight of each head, in [0, 1] with sum 1, from its losses before and after its probe."""
    ratios = []
    for old, new in zip(before, after, strict=True):
        generalized = max(old.val - new.val, 0)
        overfitted = max(abs((new.val - new.train) - (old.val - old.train)), LEAST_OVERFITTING)
        ratios.append(generalized / overfitted**2)
    total = sum(ratios)
    return [r / total for r in ratios] if total > 0 else [1 / len(ratios)] * len(ratios)


def build(settings: Settings) -> GBlend:
    """Build the method from its settings."""
    return GBlend(settings)
