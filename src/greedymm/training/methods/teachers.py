"""Teachers: branches that are trained alone before the first epoch, and then frozen. Shared by `umt` and `g2d`."""

from typing import Self

import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss
from torch.optim import Optimizer

from greedymm.models.network import MultimodalNetwork, Output
from greedymm.settings import DistillationSettings
from greedymm.training.methods.base import Method, objective_loss
from greedymm.training.methods.copies import copy_network, train_copy
from greedymm.training.methods.unimodal import separate_branches
from greedymm.training.step import Batches


class Teachers(nn.Module):
    """A copy of the network whose branches share nothing. It is always frozen and in evaluation mode."""

    def __init__(self, network: MultimodalNetwork, generator: torch.Generator) -> None:
        super().__init__()
        self.network = copy_network(network)
        separate_branches(self.network, generator)
        self.requires_grad_(requires_grad=False)

    def train(self, mode: bool = True) -> Self:  # noqa: ARG002, FBT001, FBT002  the signature of torch
        """Stay in evaluation mode."""
        return super().train(mode=False)

    def fit(self, train: Batches, epochs: int, optimizer: Optimizer, generator: torch.Generator) -> None:
        """Train all teachers at once: no parameter is shared, so each learns as it would alone."""

        def loss(inputs: list[Tensor], labels: Tensor) -> Tensor:
            return objective_loss(self.network(inputs), labels, "branch")

        self.requires_grad_(requires_grad=True)
        train_copy(self.network, loss, train, epochs, optimizer, generator, decay=True)
        self.requires_grad_(requires_grad=False).eval()

    @torch.no_grad()
    def forward(self, inputs: list[Tensor]) -> Output:
        """Logits and features of the teacher of each branch."""
        output: Output = self.network(inputs)
        return output


class Distillation(Method):
    """Base class of methods with a teacher for each branch.

    The teachers are trained in the first call of `start_epoch`. An interrupted first epoch trains them again; later,
    they are in the checkpoint.
    """

    settings: DistillationSettings

    def setup(self, network: MultimodalNetwork, generator: torch.Generator) -> nn.Module:
        """Copy the network for the teachers."""
        super().setup(network, generator)
        self.teachers = Teachers(network, generator)
        return self.teachers

    def start_epoch(self, epoch: int, train: Batches, val: Batches, optimizer: Optimizer) -> None:  # noqa: ARG002
        """Train the teachers before the first epoch."""
        if epoch == 0:
            self.teachers.fit(train, self.settings.teacher_epochs or self.epochs, optimizer, self.generator)


def feature_distances(output: Output, taught: Output) -> Tensor:
    """Mean squared difference of the features of each branch and its teacher: (M,)."""
    return torch.stack([mse_loss(h, t) for h, t in zip(output.features, taught.features, strict=True)])
