"""What methods need to treat branches apart: parameters, learning rates, votes, and scores on the validation split."""

# B samples; M modalities.

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from greedymm.errors import GreedymmError
from greedymm.models.network import MultimodalNetwork, Output, by_sample
from greedymm.settings import ScoringSettings
from greedymm.training.methods.base import Method
from greedymm.training.step import Batches, Scores, Step, evaluate

PER_CLASS = 2  # validation samples, at least


class BranchRates(Method):
    """Base class of methods that set a learning rate for each branch between epochs.

    `rates`, (M,), are relative to the rate of the scheduler, and never cumulative. They multiply the gradients of the
    branch's body and own head, which changes the learning rate of SGD, up to momentum and weight decay.
    """

    settings: ScoringSettings

    def groups(self, modalities: int) -> list[str]:
        """Bodies of the branches."""
        return [f"branch_{k}.body" for k in range(modalities)]

    def check(self, train: Batches, val: Batches) -> None:  # noqa: ARG002
        """Require enough validation samples."""
        check_validation(self, val)

    def setup(self, network: MultimodalNetwork, generator: torch.Generator) -> None:
        """Initialize all rates with 1."""
        super().setup(network, generator)
        self.parameters = branch_parameters(network)
        self.rates = torch.ones(self.modalities, device=self.device)
        self.scales = self.rates

    def after_backward(self, step: Step) -> None:
        """Scale the gradients of the branches."""
        inside = self.settings.active.contains(step.epoch, step.number)
        self.scales = self.rates if inside else torch.ones_like(self.rates)
        scale_gradients(self.parameters, self.scales)

    def log(self) -> Mapping[str, Tensor]:
        """Relative learning rate of each branch."""
        return {f"rate_{k}": scale for k, scale in enumerate(self.scales)}


def branch_parameters(network: MultimodalNetwork) -> list[list[nn.Parameter]]:
    """Body and own head of each branch."""
    groups = network.groups()
    return [groups[f"branch_{k}.body"] + groups[f"branch_{k}.head"] for k in range(len(network.branches))]


def scale_gradients(parameters: Sequence[Sequence[nn.Parameter]], scales: Tensor) -> None:
    """Multiply the gradients of each branch's parameters by its scale, (M,)."""
    for own, scale in zip(parameters, scales, strict=True):
        for parameter in own:
            if parameter.grad is not None:  # it is None in a frozen branch
                parameter.grad.mul_(scale)


def votes(output: Output) -> Tensor:
    """1 where a modality is present, 0 where it is absent: (M, 1 or B, 1)."""
    if output.present is None:
        return output.logits.new_ones(len(output.branches), 1, 1)
    return by_sample(output.present).T.unsqueeze(2).to(output.logits.dtype)


def check_validation(method: Method, val: Batches) -> None:
    """Raise a GreedymmError if the validation split is too small to score branches."""
    needed = PER_CLASS * method.network.head.classes
    if val.count < needed:
        name = type(method.settings).__module__.rpartition(".")[2]
        raise GreedymmError(
            f"method '{name}' scores branches on the validation split, which has {val.count} samples for"
            f" {method.network.head.classes} classes; it needs {needed}. Hold out more samples, or delete the method"
        )


def validate(network: MultimodalNetwork, val: Batches, evidence: str) -> Scores:
    """Compute the scores on the validation split, at the start of an epoch.

    With the evidence `cut`, the scores of the branches are those of a pass without fusion. Its running means exist
    after the first epoch.
    """
    full = evaluate(network, val)
    if evidence == "full":
        return full
    cut = evaluate(network, val, network.cut)
    return Scores(full.losses[:1] + cut.losses[1:], full.accuracies[:1] + cut.accuracies[1:])
