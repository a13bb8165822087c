"""The hooks of a training method. All at their defaults are greedy training.

The loop asks a method at fixed points of each epoch and step. What a method keeps between steps are tensors on the
device, so that no step waits for the host.
"""

# B samples; M modalities.

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from greedymm.models.network import MultimodalNetwork, Output, Pass, votes
from greedymm.settings import MethodSettings

if TYPE_CHECKING:
    from greedymm.training.services import Services
    from greedymm.training.step import Step


class Order(NamedTuple):
    """Which samples an epoch trains on."""

    rows: Tensor  # int64 (N,), of the training split, in the order of the epoch
    present: Tensor | None = None  # bool (N, M), modalities that are kept of each; None: all


class Method:
    """Base class of training methods.

    Args:
        settings: of the method's own class.

    Attributes:
        measures_speed: whether conditional learning speeds are measured, where the fusion has parameters.
        network: what is trained; there after `setup`.
        generator: the method's own random stream, on the CPU so that a GPU gets the same numbers.
    """

    settings: MethodSettings
    network: MultimodalNetwork
    generator: torch.Generator
    measures_speed = True

    def __init__(self, settings: MethodSettings) -> None:
        self.settings = settings

    def passes(self) -> frozenset[str]:
        """Every field of `Pass` that it uses; a fusion that cannot follow them is refused before training."""
        return frozenset({"hears"}) if getattr(self.settings, "evidence", "full") == "cut" else frozenset()

    def groups(self, modalities: int) -> Sequence[str]:  # noqa: ARG002
        """Groups of parameters that it needs; a network without them is refused before training."""
        return ()

    def setup(self, network: MultimodalNetwork, generator: torch.Generator) -> nn.Module | None:
        """Take hold of a network with fresh weights.

        Returns:
            Modules of the method's own. The loop gives them to the optimizer and to the checkpoint.
        """
        self.network, self.generator = network, generator
        return None

    # -- Of an epoch ----------------------------------------------------------------------------------------

    def start_epoch(self, epoch: int, services: Services) -> None:
        """Called before each epoch, counted from 0; `services` has what validation gave, copies and probes."""

    def active(self, epoch: int) -> Collection[int] | None:  # noqa: ARG002
        """Branches that learn in an epoch; None: all."""
        return None

    def order(self, epoch: int, samples: int) -> Order | None:  # noqa: ARG002
        """Samples that an epoch trains on, of so many in the split; None: all, shuffled."""
        return None

    # -- Of a step ------------------------------------------------------------------------------------------

    def plan(self, step: Step) -> Pass:
        """How the step's forward pass is made."""
        return Pass(present=step.present)

    def loss(self, step: Step) -> Tensor | dict[str, Tensor]:
        """The loss that is minimized, or several by their names, whose sum is."""
        return self.objective(step.output, step.labels)

    def after_backward(self, step: Step) -> None:
        """Called between backward and update: gradients can be edited, by group."""

    def training_step(self, step: Step) -> None:
        """A whole step: forward, loss, backward, update. Methods that alternate override it."""
        how = self.plan(step)
        step.output, step.mode = self.network(step.inputs, how), how.mode
        step.backward(self.loss(step))
        self.after_backward(step)
        step.optimizer.step()

    # -- Of the results -------------------------------------------------------------------------------------

    # Decision rule for evaluation, Output -> logits (B, classes). None: the network's own logits.
    predict: Callable[[Output], Tensor] | None = None

    def log(self) -> Mapping[str, Tensor]:
        """Coefficients of the last step, scalars by their names: columns of steps.parquet."""
        return {}

    def state_dict(self) -> dict[str, Tensor]:
        """All that the method has to remember between epochs, beside the modules that `setup` gave."""
        return {}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take back what `state_dict` gave."""

    # -- For methods ----------------------------------------------------------------------------------------

    @property
    def modalities(self) -> int:
        """M."""
        return len(self.network.branches)

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return next(self.network.parameters()).device

    def objective(self, output: Output, labels: Tensor) -> Tensor:
        """Cross-entropy by the setting `objective`."""
        return objective(output, labels, self.settings.objective)


def objective(output: Output, labels: Tensor, name: str) -> Tensor:
    """Cross-entropy of an output: `branch`, summed over the branches; `joint`, of its own logits; `multi`, both."""
    losses = branch_losses(output, labels) if name != "joint" else []
    if name != "branch":
        losses = [*losses, cross_entropy(output.logits, labels)]
    return torch.stack(losses).sum()


def branch_losses(output: Output, labels: Tensor) -> list[Tensor]:
    """Cross-entropy of each branch, the mean over the samples in which its modality is present."""
    losses = []
    for k, logits in enumerate(output.branches):
        present = votes(output.present, k)
        if present is None:
            losses.append(cross_entropy(logits, labels))
        else:
            weights = present.expand(len(labels)).to(logits.dtype)
            each = cross_entropy(logits, labels, reduction="none")
            losses.append((each * weights).sum() / weights.sum().clamp(min=1))
    return losses
