"""One training step, the results of many, and the scores of a network on a split."""

# B samples; M modalities; N steps.

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields
from typing import NamedTuple, Self

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim import Optimizer

from greedymm.modalities import modality_gap
from greedymm.models.network import Batch, MultimodalNetwork, Output, Pass
from greedymm.models.network import Batches as Batches  # noqa: PLC0414  methods import it from here
from greedymm.training.speed import ConditionalLearningSpeed

Gradients = dict[nn.Parameter, Tensor]  # zeros where a loss does not depend on a parameter


@dataclass
class Step:
    """One training step. Its later fields are set while it runs. All tensors are on the network's device."""

    network: MultimodalNetwork
    optimizer: Optimizer
    speed: ConditionalLearningSpeed | None
    epoch: int  # counted from 0
    number: int  # of the step within the epoch, counted from 0
    count: int  # steps in the epoch
    inputs: list[Tensor]
    labels: Tensor  # (B,)
    present: Tensor | None = None  # bool (B, M), modalities that the method's order keeps; None: all
    output: Output = field(init=False)
    losses: dict[str, Tensor] = field(init=False)
    gradients: dict[str, Gradients] = field(init=False)  # of each loss, if the method separates them
    mode: Tensor | None = None  # of the pass; None: regular
    speeds: Tensor = field(init=False)  # (M,), of all steps so far; NaN if they are not measured

    @property
    def loss(self) -> Tensor:
        """Sum of the losses."""
        return torch.stack(list(self.losses.values())).sum()

    def backward(self, loss: Tensor | dict[str, Tensor], *, separate: bool = False) -> None:
        """Compute the gradients of a loss, or of a sum of losses, and update the learning speeds.

        With `separate`, `gradients` has those of each loss. Each takes a backward pass.
        """
        self.losses = loss if isinstance(loss, dict) else {"loss": loss}
        self.optimizer.zero_grad(set_to_none=True)
        if separate:
            parameters = [p for p in self.network.parameters() if p.requires_grad]
            self.gradients = {name: gradients_of(part, parameters) for name, part in self.losses.items()}
            for p in parameters:
                p.grad = torch.stack([gradients[p] for gradients in self.gradients.values()]).sum(dim=0)
        else:
            self.loss.backward()  # type: ignore[no-untyped-call]
        if self.speed is None:
            self.speeds = self.labels.new_full((len(self.inputs),), torch.nan, dtype=torch.float64)
        else:
            self.speed.add(regular=None if self.mode is None else self.mode == 0)
            self.speeds = self.speed.speeds()

    def extra_pass(self, how: Pass) -> Output:
        """Make one more forward pass, without any change to running statistics or random generators."""
        output: Output = self.network.eval()(self.inputs, how)
        self.network.train()
        return output

    @torch.no_grad()
    def evidence(self, source: str) -> list[Tensor]:
        """Logits (B, classes) to score each branch by, without gradient. See `evidence` of ScoringSettings."""
        output = self.output if source == "full" else self.extra_pass(self.network.cut)
        return [logits.detach() for logits in output.branches]


def gradients_of(loss: Tensor, parameters: Sequence[nn.Parameter]) -> Gradients:
    """Gradients of one loss. The graph is kept for other losses."""
    gradients = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True, materialize_grads=True)
    return dict(zip(parameters, gradients, strict=True))


@dataclass
class Steps:
    """Results of N steps, on the CPU."""

    loss: Tensor  # (N,)
    mode: Tensor  # (N,), 0: regular; k + 1: re-balancing for modality k
    speeds: Tensor  # (N, M)
    correct: Tensor  # (N, 1 + M): samples that the network, and each branch, classify correctly
    samples: Tensor  # (N,)
    log: dict[str, Tensor]  # (N,) of each coefficient of the method

    @property
    def d_speed(self) -> Tensor:
        """Difference of the speeds after each step: (N,)."""
        return modality_gap(self.speeds.T)

    @classmethod
    def joined(cls, epochs: Sequence[Self]) -> Self:
        """Join the steps of several epochs."""
        names = [f.name for f in fields(cls) if f.name != "log"]
        tensors = {name: torch.cat([getattr(steps, name) for steps in epochs]) for name in names}
        return cls(log={name: torch.cat([steps.log[name] for steps in epochs]) for name in epochs[0].log}, **tensors)


class Scores(NamedTuple):
    """Losses and accuracies on one split: of the network, then of each branch."""

    losses: list[float]  # (1 + M), mean cross-entropy over samples
    accuracies: list[float]  # (1 + M)

    def loss(self, objective: str) -> float:
        """Loss of an objective: `branch`, `joint` or `multi`."""
        joint, *branches = self.losses
        return {"branch": sum(branches), "joint": joint, "multi": joint + sum(branches)}[objective]


@torch.no_grad()
def evaluate(network: MultimodalNetwork, batches: Iterable[Batch], how: Pass = Pass()) -> Scores:  # noqa: B008
    """Compute the scores on a split; by default with full and regular passes, whatever the method does in training."""
    network.eval()
    losses, correct, count = [], [], 0
    for inputs, labels in batches:
        output = network(inputs, how)
        heads = [output.logits, *output.branches]
        losses.append(torch.stack([cross_entropy(logits, labels, reduction="sum") for logits in heads]))
        correct.append(count_correct(output, labels))
        count += len(labels)
    loss = torch.stack(losses).double().sum(dim=0) / count
    accuracy = torch.stack(correct).sum(dim=0).double() / count
    return Scores(loss.tolist(), accuracy.tolist())


@torch.no_grad()
def count_correct(output: Output, labels: Tensor) -> Tensor:
    """Number of samples that the network, and each branch, classify correctly: int64 (1 + M,)."""
    predictions = torch.stack([output.logits, *output.branches]).argmax(dim=2)  # (1 + M, B)
    return (predictions == labels).sum(dim=1)
