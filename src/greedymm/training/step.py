"""One step and one epoch of training, the same for every method; and one pass of evaluation."""

# B samples; M modalities; N steps of an epoch.

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.optim import Optimizer

from greedymm.models.network import MultimodalNetwork, Output, Pass
from greedymm.training.methods.base import Method
from greedymm.training.speed import ConditionalLearningSpeed, modality_gap

Batch = tuple[list[Tensor], Tensor]  # (B, C_k, *s_k) of each modality; labels (B,)


@dataclass
class Step:
    """One step of training, filled as it goes on. All tensors stay on the device."""

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
    mode: Tensor | None = None  # of the pass; None: regular
    speeds: Tensor = field(init=False)  # (M,), of all steps so far; not a number where they are not measured

    @property
    def loss(self) -> Tensor:
        """Sum of the losses."""
        return torch.stack(list(self.losses.values())).sum()

    def backward(self, loss: Tensor | dict[str, Tensor]) -> None:
        """Gradients of a loss alone, and the learning speeds with this step."""
        self.losses = loss if isinstance(loss, dict) else {"loss": loss}
        self.optimizer.zero_grad(set_to_none=True)
        total = self.loss if isinstance(loss, dict) else loss
        total.backward()  # type: ignore[no-untyped-call]
        if self.speed is not None:
            self.speed.add(regular=None if self.mode is None else self.mode == 0)
            self.speeds = self.speed.speeds()
        else:
            self.speeds = self.labels.new_full((len(self.inputs),), torch.nan, dtype=torch.float64)

    def extra_pass(self, how: Pass) -> Output:
        """One more forward pass, which leaves the statistics of all layers and the random streams as they were."""
        with evaluating(self.network):
            output: Output = self.network(self.inputs, how)
            return output

    def evidence(self, source: str) -> list[Tensor]:
        """Logits (B, classes) to score each branch by, without gradient; `full` or `cut`: see ScoringSettings."""
        with torch.no_grad():
            cut = torch.eye(len(self.inputs), dtype=torch.bool, device=self.labels.device)
            output = self.output if source == "full" else self.extra_pass(Pass(hears=cut))
            return [logits.detach() for logits in output.branches]


@contextmanager
def evaluating(network: MultimodalNetwork) -> Iterator[None]:
    """Layers as in evaluation: none is updated, none draws."""
    network.eval()
    try:
        yield
    finally:
        network.train()


@dataclass
class Steps:
    """What each of N steps did, fetched from the device once an epoch."""

    loss: Tensor  # (N,)
    mode: Tensor  # (N,), 0: regular; k + 1: re-balancing for modality k
    speeds: Tensor  # (N, M)
    correct: Tensor  # (N, 1 + M): samples that the network and each branch got right
    samples: Tensor  # (N,)
    log: dict[str, Tensor]  # (N,) of each coefficient of the method

    @property
    def d_speed(self) -> Tensor:
        """Shape (N,)."""
        return torch.stack([modality_gap(s) for s in self.speeds])

    @staticmethod
    def joined(parts: Iterable[Steps]) -> Steps:
        """The steps of several epochs, one after the other."""
        parts = list(parts)
        tensors = {f.name: torch.cat([getattr(p, f.name) for p in parts]) for f in fields(Steps) if f.name != "log"}
        log = {name: torch.cat([p.log[name] for p in parts]) for name in parts[0].log}
        return Steps(log=log, **tensors)


def train_epoch(
    network: MultimodalNetwork,
    batches: Iterable[Batch],
    count: int,
    method: Method,
    speed: ConditionalLearningSpeed | None,
    optimizer: Optimizer,
    epoch: int,
    present: Sequence[Tensor] | None = None,
) -> Steps:
    """Train on every batch once. No step waits for the device.

    Args:
        count: number of batches.
        speed: None where there is nothing to measure: the speeds are not a number.
        epoch: counted from 0.
        present: bool (B, M) of each batch, modalities that are kept; None: all.
    """
    network.train()
    seen: list[tuple[Tensor, ...]] = []
    logs: list[dict[str, Tensor]] = []
    regular = torch.zeros((), dtype=torch.int64, device=next(network.parameters()).device)
    for number, (inputs, labels) in enumerate(batches):
        kept = None if present is None else present[number]
        step = Step(network, optimizer, speed, epoch, number, count, inputs, labels, kept)
        method.training_step(step)
        mode = regular if step.mode is None else step.mode
        correct = count_correct(step.output, labels)
        seen.append((step.loss.detach(), mode, step.speeds, correct, torch.tensor(len(labels))))
        logs.append({name: value.detach() for name, value in method.log().items()})
    loss, mode, speeds, correct, samples = (torch.stack(column).cpu() for column in zip(*seen, strict=True))
    log = {name: torch.stack([log[name] for log in logs]).cpu() for name in logs[0]}
    return Steps(loss, mode, speeds, correct, samples, log)


@torch.no_grad()
def count_correct(output: Output, labels: Tensor) -> Tensor:
    """Samples that the network and each branch get right: int64 (1 + M,)."""
    predictions = torch.stack([output.logits, *output.branches]).argmax(dim=2)  # (1 + M, B)
    return (predictions == labels).sum(dim=1)


class Scores(NamedTuple):
    """Of the network and of each branch, on one split."""

    losses: list[float]  # (1 + M), mean cross-entropy over samples
    accuracies: list[float]  # (1 + M)

    def loss(self, objective: str) -> float:
        """Loss of an objective: `branch`, `joint` or `multi`."""
        joint, *branches = self.losses
        return {"branch": sum(branches), "joint": joint, "multi": joint + sum(branches)}[objective]


@torch.no_grad()
def evaluate(network: MultimodalNetwork, batches: Iterable[Batch], how: Pass = Pass()) -> Scores:  # noqa: B008
    """Scores of a split: by default with full and regular passes, whatever the method does in training."""
    network.eval()
    losses, corrects, count = [], [], 0
    for inputs, labels in batches:
        output = network(inputs, how)
        every = [output.logits, *output.branches]
        losses.append(torch.stack([cross_entropy(y, labels, reduction="sum") for y in every]))
        corrects.append(count_correct(output, labels))
        count += len(labels)
    loss = torch.stack(losses).double().sum(dim=0) / count
    accuracy = torch.stack(corrects).sum(dim=0).double() / count
    return Scores(loss.tolist(), accuracy.tolist())
