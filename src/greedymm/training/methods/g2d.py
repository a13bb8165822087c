"""G2D: distillation from unimodal teachers, while the branches whose teachers are better do not learn.

    loss + sum_k [ logits * T^2 KL(softmax(t_k / T) || softmax(y / T)) + features * mean (h_k - f_k)^2 ]
    s_k = mean over the batch of softmax(t_k)[label]
    grad(body of branch k) <- 0 where at least r branches have a smaller s
    r = 1 + floor((M - 1) * epoch / end),  end = share * epochs;  from then on all branches learn

y: logits of the network; t_k, f_k: logits and features of the teacher of branch k. Source: Rakib and Bagavathi, ICCV
2025, and code. As in the code, s is the score of a batch, and all weights and T are 1. As in the code, momentum and
weight decay still move a branch whose gradient is zero. As in the code, the better one of two modalities does not learn
in the first half of the epochs. With more modalities, they are released from weak to strong [recalled], in parts of
equal length [our choice].

Unlike in the code, a tie of the two stops no branch; there, it is an error. All parameters of a body are stopped;
there, only kernels of convolutions. Nothing is chosen on the test set. Our choices for the teachers: as in `umt`. Cost:
the run first trains the teachers, by default as many epochs as the run has. The time of the run includes this. A step
has one more forward pass, of the teachers. The checkpoint contains them.
"""

from collections.abc import Mapping

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import kl_div
from torch.optim import Optimizer

from greedymm.models.network import MultimodalNetwork
from greedymm.settings import DistillationSettings, log_uniform, uniform
from greedymm.training.methods.base import objective_loss
from greedymm.training.methods.branchwise import scale_gradients
from greedymm.training.methods.ogm_ge import mean_probabilities
from greedymm.training.methods.teachers import Distillation, feature_distances
from greedymm.training.step import Batches, Step


class Settings(DistillationSettings):
    """Method `g2d` (Rakib and Bagavathi 2025)."""

    logits: float = Field(
        default=1.0, ge=0, description="weight of the divergences", json_schema_extra=log_uniform(0.1, 10.0)
    )
    features: float = Field(
        default=1.0, ge=0, description="weight of the distances", json_schema_extra=log_uniform(0.1, 10.0)
    )
    temperature: float = Field(default=1.0, gt=0, description="T")
    share: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="of the epochs, in which not all branches learn; 0: never; published: 0.5",
        json_schema_extra=uniform(0.1, 0.9),
    )


class G2d(Distillation):
    """Distills logits and features, and stops the stronger branches at first."""

    settings: Settings

    def groups(self, modalities: int) -> list[str]:
        """Bodies of the branches."""
        return [f"branch_{k}.body" for k in range(modalities)]

    def setup(self, network: MultimodalNetwork, generator: torch.Generator) -> nn.Module:
        """Find the bodies."""
        self.bodies = [network.group(name) for name in self.groups(len(network.branches))]
        return super().setup(network, generator)

    def start_epoch(self, epoch: int, train: Batches, val: Batches, optimizer: Optimizer) -> None:
        """Train the teachers, and count the branches that learn in this epoch."""
        super().start_epoch(epoch, train, val, optimizer)
        self.released = released(epoch, self.settings.share * self.epochs, self.modalities)

    def loss(self, step: Step) -> dict[str, Tensor]:
        """Loss of the objective, and weighted terms of distillation."""
        taught, output = self.teachers(step.inputs), step.output
        self.scales = scales(mean_probabilities(taught.branches, step.labels), self.released)
        self.divergences = divergences(output.logits, taught.branches, self.settings.temperature)
        self.distances = feature_distances(output, taught)
        return {
            "task": objective_loss(output, step.labels, self.settings.objective),
            "logits": self.settings.logits * self.divergences.sum(),
            "features": self.settings.features * self.distances.sum(),
        }

    def after_backward(self, step: Step) -> None:  # noqa: ARG002
        """Stop the branches that are not released."""
        scale_gradients(self.bodies, self.scales)

    def log(self) -> Mapping[str, Tensor]:
        """Scale of the gradient, divergence and distance of each branch."""
        columns = {"scale": self.scales, "divergence": self.divergences, "distance": self.distances}
        return {f"{name}_{k}": value for name, values in columns.items() for k, value in enumerate(values)}


def released(epoch: int, end: float, modalities: int) -> int:
    """Number of branches that learn in an epoch, counted from 0: r, or all from `end` on."""
    return modalities if epoch >= end else 1 + int((modalities - 1) * epoch / end)


def scales(scores: Tensor, count: int) -> Tensor:
    """Compute 0 for a branch if at least `count` branches have a smaller score, else 1: (M,)."""
    weaker = (scores[None, :] < scores[:, None]).sum(dim=1)
    return (weaker < count).to(scores.dtype)


def divergences(logits: Tensor, teachers: list[Tensor], temperature: float) -> Tensor:
    """Mean over the batch of T^2 KL(teacher || network), for each teacher: (M,)."""
    student = (logits / temperature).log_softmax(dim=1)
    targets = [(t / temperature).log_softmax(dim=1) for t in teachers]
    losses = [kl_div(student, target, reduction="batchmean", log_target=True) for target in targets]
    return temperature**2 * torch.stack(losses)


def build(settings: Settings) -> G2d:
    """Build the method from its settings."""
    return G2d(settings)
