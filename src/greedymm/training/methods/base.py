"""The hooks of a training method. With all hooks at their defaults, training is greedy.

Whatever a method keeps between steps should be a tensor on the device, so that no step waits for the host.
"""

# B samples; M modalities.

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim import Optimizer

from greedymm.errors import GreedymmError
from greedymm.models.network import MultimodalNetwork, Output, Pass, by_sample
from greedymm.settings import MethodSettings
from greedymm.training.step import Batches, Step


class Order(NamedTuple):
    """Samples of one epoch."""

    rows: Tensor  # int64 (N,), row numbers in the training split, in the order of the epoch
    present: Tensor | None = None  # bool (N, M), modalities to keep; None: all


class Method:
    """Base class of training methods, with settings of the method's own class.

    `setup` sets the network in training, and the method's random generator, on the CPU so that a GPU gets the same
    numbers.
    """

    network: MultimodalNetwork
    generator: torch.Generator
    epochs: int  # of the training run, at most; set before the first epoch
    measures_speed = True  # measure conditional learning speeds if the fusion has parameters
    predict: Callable[[Output], Tensor] | None = None  # for evaluation: logits (B, classes). None: the network's own

    def __init__(self, settings: MethodSettings) -> None:
        self.settings = settings

    @property
    def pretraining(self) -> int:
        """Number of first epochs with another loss. Plateaus, early stopping and the best epoch ignore them."""
        return 0

    def passes(self) -> frozenset[str]:
        """Fields of `Pass` that the method uses. A fusion that does not support them is refused before training."""
        return frozenset({"hears"}) if getattr(self.settings, "evidence", "full") == "cut" else frozenset()

    def groups(self, modalities: int) -> Sequence[str]:  # noqa: ARG002
        """Groups of parameters that the method needs. A network without them is refused before training."""
        return ()

    def check_network(self, network: MultimodalNetwork, name: str) -> None:
        """Raise a GreedymmError that names the method, if the network lacks a group of parameters or a pass."""
        try:
            network.group(*self.groups(len(network.branches)))
        except GreedymmError as error:
            cure = "Delete it from the params, or set the fusion mmtm between stages"
            raise GreedymmError(f"{name}: {error}. {cure}") from None
        network.require(self.passes(), name)

    def check_schedule(self) -> None:
        """Called before training. Raise a GreedymmError if a part of the schedule is not within the epochs."""

    def check(self, train: Batches, val: Batches) -> None:
        """Called before the first epoch. Raise a GreedymmError if the method cannot use these splits."""

    def setup(self, network: MultimodalNetwork, generator: torch.Generator) -> nn.Module | None:
        """Called once, with fresh weights. Returned modules are added to the optimizer and to the checkpoint."""
        self.network, self.generator = network, generator
        return None

    def start_epoch(self, epoch: int, train: Batches, val: Batches, optimizer: Optimizer) -> None:
        """Called before each epoch, counted from 0."""

    def active(self, epoch: int) -> Collection[int] | None:  # noqa: ARG002
        """Branches that learn in an epoch; None: all."""
        return None

    def order(self, epoch: int, samples: int) -> Order | None:  # noqa: ARG002
        """Samples of an epoch, from a split of `samples` samples; None: all, shuffled."""
        return None

    def plan(self, step: Step) -> Pass:
        """Options of the step's forward pass."""
        return Pass(present=step.present)

    def separates(self, step: Step) -> bool:  # noqa: ARG002
        """Whether `step.gradients` is needed: the gradients of each loss. Each takes a backward pass."""
        return False

    def loss(self, step: Step) -> Tensor | dict[str, Tensor]:
        """The loss to minimize, or several losses by name, to minimize their sum."""
        return objective_loss(step.output, step.labels, self.settings.objective)

    def after_backward(self, step: Step) -> None:
        """Called between backward and update, for example to edit gradients."""

    def training_step(self, step: Step) -> None:
        """Run a whole step: forward, loss, backward, update."""
        how = self.plan(step)
        step.output, step.mode = self.network(step.inputs, how), how.mode
        step.backward(self.loss(step), separate=self.separates(step))
        self.after_backward(step)
        step.optimizer.step()

    def log(self) -> Mapping[str, Tensor]:
        """Coefficients of the last step, scalars by name: columns of steps.parquet."""
        return {}

    def state_dict(self) -> dict[str, Tensor]:
        """State to keep between epochs, without the modules from `setup`."""
        return {}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore the state."""

    @property
    def modalities(self) -> int:
        """M."""
        return len(self.network.branches)

    @property
    def device(self) -> torch.device:
        """Device of the network."""
        return next(self.network.parameters()).device


def objective_loss(output: Output, labels: Tensor, objective: str) -> Tensor:
    """Loss of an objective: `branch`, `joint` or `multi`."""
    losses = branch_losses(output, labels) if objective != "joint" else []
    if objective != "branch":
        losses.append(cross_entropy(output.logits, labels))
    return torch.stack(losses).sum()


def branch_losses(output: Output, labels: Tensor) -> list[Tensor]:
    """Cross-entropy of each branch, the mean over the samples whose modality is present."""
    if output.present is None:
        return [cross_entropy(logits, labels) for logits in output.branches]
    losses = []
    for logits, present in zip(output.branches, by_sample(output.present).T, strict=True):
        weights = present.expand(len(labels)).to(logits.dtype)
        each = cross_entropy(logits, labels, reduction="none")
        losses.append((each * weights).sum() / weights.sum().clamp(min=1))
    return losses
