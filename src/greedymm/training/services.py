"""What a method can use between epochs: scores, and copies of the network to train on. Never the test split."""

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
    """Batches of a split: the same number in each pass, in an order of its own."""

    @property
    def count(self) -> int:
        """Number of samples."""

    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[Batch]: ...
    def of(self, rows: Tensor) -> Iterator[Batch]:
        """Batches of the samples with these row numbers, in this order."""

    def view(self, order: torch.Generator | None = None, augmentation: torch.Generator | None = None) -> "Batches":
        """The split in another order; without generators in the stored order and not augmented."""


class Services:
    """Services of one training run for its method."""

    def __init__(
        self, network: MultimodalNetwork, train: Batches, val: Batches, optimizer: Optimizer, settings: Training
    ) -> None:
        self.network, self.train, self.val = network, train, val
        self.optimizer, self.settings = optimizer, settings

    def scores(self, network: MultimodalNetwork, how: Pass = Pass()) -> tuple[Scores, Scores]:  # noqa: B008
        """Scores on training and validation, not augmented, of a copy of the network in evaluation mode."""
        network = copy_network(network)
        if how.present is not None or how.hears is not None:
            network.record_means(self.train.view())
        return evaluate(network, self.train.view(), how), evaluate(network, self.val, how)

    def probe(
        self,
        loss: Callable[[Output, Tensor], Tensor],
        epochs: int,
        generator: torch.Generator,
        how: Pass = Pass(),  # noqa: B008
    ) -> MultimodalNetwork:
        """Train a copy of the network for some epochs with a loss of (output, labels).

        The copy has its own optimizer, at the run's learning rate, and its own order, drawn from the generator. The
        network and torch's default generator do not change.
        """
        network = copy_network(self.network)
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


def copy_network(network: MultimodalNetwork) -> MultimodalNetwork:
    """Copy a network, without its decision rule."""
    rule, network.decide = network.decide, None  # the rule can hold the method and all its references
    try:
        return copy.deepcopy(network)
    finally:
        network.decide = rule


def make_optimizer(network: MultimodalNetwork, settings: Training) -> Optimizer:
    """Make the optimizer of all parameters of a network: SGD."""
    return SGD(
        network.parameters(), settings.learning_rate, momentum=settings.momentum, weight_decay=settings.weight_decay
    )
