"""What a method can ask for between epochs: scores, copies, probes. Never the test split."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Protocol

import torch
from torch import Tensor
from torch.optim import SGD, Optimizer

from greedymm.models.network import MultimodalNetwork, Output, Pass
from greedymm.settings import Training
from greedymm.training.step import Batch, Scores, evaluate


class Batches(Protocol):
    """Batches of a split: as many in each pass, in an order of its own.

    Attributes:
        count: samples in the split.
    """

    @property
    def count(self) -> int: ...
    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[Batch]: ...

    def of(self, rows: Tensor) -> Iterator[Batch]:
        """Batches of these rows, in their order."""
        ...

    def view(self, order: torch.Generator | None = None, augmentation: torch.Generator | None = None) -> Batches:
        """The same split in another order: as stored and not augmented, where no generator is given."""
        ...


class Services:
    """Of one training run, for its method.

    Args:
        network: what is trained.
        train, val: batches of both splits.
        optimizer: of the run.
        settings: budget and optimizer.
    """

    def __init__(
        self, network: MultimodalNetwork, train: Batches, val: Batches, optimizer: Optimizer, settings: Training
    ) -> None:
        self.network, self.train, self.val = network, train, val
        self.optimizer, self.settings = optimizer, settings

    def scores(self, network: MultimodalNetwork, how: Pass = Pass()) -> tuple[Scores, Scores]:  # noqa: B008
        """Scores of a network on training and validation, both as stored and in evaluation mode; it stays as it was."""
        network = copied(network)
        if how.heard() is not None:
            network.record_means(self.train.view())
        return evaluate(network, self.train.view(), how), evaluate(network, self.val, how)

    def probe(
        self,
        loss: Callable[[Output, Tensor], Tensor],
        epochs: int,
        generator: torch.Generator,
        how: Pass = Pass(),  # noqa: B008
    ) -> MultimodalNetwork:
        """A copy of the network, trained on for some epochs with a loss of (output, labels).

        It has an optimizer of its own, at the run's learning rate, and an order of its own, drawn from the generator.
        The network and torch's random streams stay as they were.
        """
        network = copied(self.network)
        optimizer = make_optimizer(network, self.settings)
        optimizer.param_groups[0]["lr"] = self.optimizer.param_groups[0]["lr"]
        order, augmentation = (
            torch.Generator().manual_seed(int(torch.randint(2**31, (), generator=generator))) for _ in range(2)
        )
        with torch.random.fork_rng():
            network.train()
            for _ in range(epochs):
                for inputs, labels in self.train.view(order, augmentation):
                    optimizer.zero_grad(set_to_none=True)
                    loss(network(inputs, how), labels).backward()  # type: ignore[no-untyped-call]
                    optimizer.step()
        return network


def copied(network: MultimodalNetwork) -> MultimodalNetwork:
    """A copy of a network as it is now."""
    rule, network.decide = network.decide, None  # which may hold the method, and all that it holds
    try:
        return copy.deepcopy(network)
    finally:
        network.decide = rule


def make_optimizer(network: MultimodalNetwork, settings: Training) -> Optimizer:
    """SGD over all parameters of a network."""
    return SGD(
        network.parameters(),
        lr=settings.learning_rate,
        momentum=settings.momentum,
        weight_decay=settings.weight_decay,
    )
