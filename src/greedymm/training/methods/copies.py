"""Copies of the network that a method trains apart from the run. It continues as if they had never been trained."""

import copy
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from greedymm.models.network import MultimodalNetwork
from greedymm.training.step import Batches


def copy_network(network: MultimodalNetwork) -> MultimodalNetwork:
    """Copy a network, without its decision rule, which can hold the method and all its references."""
    rule, network.decide = network.decide, None
    copied = copy.deepcopy(network)
    network.decide = rule
    return copied


def train_copy(
    network: MultimodalNetwork,
    loss: Callable[[list[Tensor], Tensor], Tensor],
    train: Batches,
    epochs: int,
    optimizer: Optimizer,
    generator: torch.Generator,
    *,
    decay: bool = False,
) -> None:
    """Train a copy of the network.

    Args:
        network: the copy.
        loss: of the copy, from inputs and labels of a batch.
        train: training split.
        epochs: number of epochs.
        optimizer: of the run. The copy has one of the same class, settings and current learning rate.
        generator: draws the order and the augmentation. Torch's default generator is kept.
        decay: the learning rate of each epoch decreases along half a cosine to 0; else it is constant.
    """
    seeds = [int(torch.randint(2**31, (), generator=generator)) for _ in range(2)]
    order, augmentation = (torch.Generator().manual_seed(seed) for seed in seeds)
    make: Any = type(optimizer)
    rate = optimizer.param_groups[0]["lr"]
    own: Optimizer = make(network.parameters(), **optimizer.defaults | {"lr": rate})
    network.train()
    with torch.random.fork_rng():
        for epoch in range(epochs):
            if decay:
                own.param_groups[0]["lr"] = rate * (1 + math.cos(math.pi * epoch / epochs)) / 2
            for inputs, labels in train.view(order, augmentation):
                own.zero_grad(set_to_none=True)
                loss(inputs, labels).backward()  # type: ignore[no-untyped-call]
                own.step()
    own.zero_grad(set_to_none=True)
