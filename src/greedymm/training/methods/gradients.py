"""What methods share that combine the gradients of several losses: losses by head, inner products, weighted sums."""

# T losses.

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from greedymm.errors import GreedymmError
from greedymm.models.network import MultimodalNetwork
from greedymm.settings import MethodSettings, Window
from greedymm.training.methods.base import Method, branch_losses
from greedymm.training.step import Gradients, Step

TINY = 1e-30  # smallest squared norm to divide by


class Weighted(Method):
    """Base class of methods whose gradient is a weighted sum of the gradients of each loss.

    The settings need `objective`, not `joint`, and `active`. The parameters are those that several losses share: with
    the loss of the network all, else all but the heads of the branches. The others keep the gradient of their loss.
    """

    def setup(self, network: MultimodalNetwork, generator: torch.Generator) -> None:
        """Find the shared parameters."""
        super().setup(network, generator)
        groups, multi = network.groups(), self.settings.objective == "multi"
        if not multi and not any(groups[name] for name in groups if name.startswith("fusion.")):
            name = type(self.settings).__module__.rpartition(".")[2]
            raise GreedymmError(
                f"method '{name}' combines gradients of shared parameters: without a fusion between stages the branches"
                " share none; set `objective: multi`, or add a fusion such as mmtm"
            )
        shared = [name for name in groups if multi or not name.endswith(".head")]
        self.parameters = [p for name in shared for p in groups[name]]
        self.weights = torch.ones(self.modalities + multi, device=self.device, dtype=torch.float64)

    def separates(self, step: Step) -> bool:
        """In the window."""
        window: Window = self.settings.active  # type: ignore[attr-defined]
        return window.contains(step.epoch, step.number)

    def loss(self, step: Step) -> dict[str, Tensor]:
        """The losses of all heads."""
        return losses_by_head(step, self.settings)

    def after_backward(self, step: Step) -> None:
        """Replace the sum of the gradients by a weighted sum."""
        self.weights = torch.ones_like(self.weights)
        if self.separates(step):
            gradients = list(step.gradients.values())
            self.weights = self.combination(inner_products(gradients, self.parameters))
            write_sum(gradients, self.weights, self.parameters)

    def combination(self, products: Tensor) -> Tensor:
        """Weight of each loss (T,), from the inner products of the gradients (T, T)."""
        raise NotImplementedError

    def log(self) -> Mapping[str, Tensor]:
        """Weight of each loss's gradient."""
        return name_weights(self.weights, self.modalities)


def losses_by_head(step: Step, settings: MethodSettings) -> dict[str, Tensor]:
    """Losses of an objective: `branch_<k>`, and `joint` of the network unless the objective is `branch`."""
    losses = {f"branch_{k}": loss for k, loss in enumerate(branch_losses(step.output, step.labels))}
    return losses if settings.objective == "branch" else losses | {"joint": joint_loss(step)}


def joint_loss(step: Step) -> Tensor:
    """Cross-entropy of the network."""
    return cross_entropy(step.output.logits, step.labels)


def name_weights(weights: Tensor, modalities: int) -> dict[str, Tensor]:
    """Names for the weights of `losses_by_head`."""
    return {f"weight_{k}" if k < modalities else "weight_joint": w for k, w in enumerate(weights)}


def inner_products(gradients: Sequence[Gradients], parameters: Sequence[nn.Parameter]) -> Tensor:
    """Inner products of the gradients of T losses, over some parameters: float64 (T, T). Frozen ones are skipped."""
    any_one = next(iter(gradients[0].values()))
    total = any_one.new_zeros(len(gradients), len(gradients), dtype=torch.float64)
    for p in parameters:
        if p in gradients[0]:
            g = stack(gradients, p).double()
            total += g @ g.T
    return total


def write_sum(gradients: Sequence[Gradients], weights: Tensor, parameters: Sequence[nn.Parameter]) -> None:
    """Set `.grad` to the sum of the gradients of T losses, times weights (T,)."""
    for p in parameters:
        if p in gradients[0]:
            p.grad = (weights.to(p.dtype) @ stack(gradients, p)).view_as(p)


def stack(gradients: Sequence[Gradients], parameter: nn.Parameter) -> Tensor:
    """Gradients of T losses with respect to one parameter: (T, elements)."""
    return torch.stack([g[parameter].flatten() for g in gradients])
