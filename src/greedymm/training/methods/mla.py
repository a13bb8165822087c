"""MLA: branches take turns to learn with one shared head, whose gradient is orthogonal to features of earlier turns.

Turn k of a step: loss CE(h(z_k)) with branch k cut from the others, backward, grad W <- grad W P, update. Then
    r = mean of z_k over the batch,  q = P r,  P <- P - q q^T / (a + r^T q),  a = 0.1^(1 + step / steps of the epoch)
Prediction: sum_k w_k y_k, w_k ~ exp(max_j e_j - e_k), e_k the entropy of branch k in that sample.

Source: Zhang et al., CVPR 2024. In its code the projection never runs, because it looks for another name, and it
divides by an outer product. The entropy there is that of the batch. Here the projection runs, with the formulas of
orthogonal weight modification (Zeng et al. 2019), and the entropy is that of a sample. A turn uses P of the previous
turns [our choice; the source does not say whether its own features count].

A step has M forward passes, each with the backward pass of one branch. So batch norm and the running means of gates see
each batch M times. Evaluation uses regular passes: branches use each other's features, also with `flow: cut`, where
they do not in training. Learning speeds are not measured.
"""

from collections.abc import Iterable, Mapping
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from greedymm.errors import GreedymmError
from greedymm.models.network import Head, MultimodalNetwork, Output, Pass, by_sample
from greedymm.seeding import drawn_from
from greedymm.settings import MethodSettings, choice
from greedymm.training.methods.base import Method
from greedymm.training.step import Step


class Settings(MethodSettings):
    """Method `mla` (Zhang et al. 2024)."""

    objective: Literal["branch"] = Field(default="branch", description="each branch's own loss, in its turn")
    projection: bool = Field(
        default=True, description="project the gradient of the shared head", json_schema_extra=choice(True, False)
    )
    entropy: bool = Field(default=True, description="weight the branches of each sample by entropy; false: their mean")
    flow: Literal["cut", "detach"] = Field(
        default="cut",
        description="cut: a branch does not hear the others; detach: it does, without gradient to them",
        json_schema_extra=choice("cut", "detach"),
    )


class SharedHead(Head):
    """One linear head for all branches; the network's logits are their mean."""

    averages = True

    projection: Tensor

    def __init__(self, width: int, classes: int) -> None:
        super().__init__(classes)
        self.linear = nn.Linear(width, classes)
        self.register_buffer("projection", torch.eye(width))

    def forward(self, features: list[Tensor], present: Tensor | None = None) -> tuple[Tensor, list[Tensor]]:
        """The mean over the branches that are present, and the logits of each: (B, classes)."""
        logits = [self.linear(h if h.dim() == 2 else h.mean(dim=1)) for h in features]  # noqa: PLR2004  time steps
        return weighted_mean(logits, [torch.ones_like(y[:, :1]) for y in logits], present), logits

    def shared_parameters(self) -> Iterable[nn.Parameter]:
        """All parameters."""
        return self.linear.parameters()


class Mla(Method):
    """One update of each branch in each step, through a shared head."""

    settings: Settings
    measures_speed = False  # of a turn's gradients alone it would be another quantity

    def passes(self) -> frozenset[str]:
        """A branch cut from the others, or without gradient to them."""
        return frozenset({"hears" if self.settings.flow == "cut" else "detach"})

    def setup(self, network: MultimodalNetwork, generator: torch.Generator) -> None:
        """Replace the head of the network by a shared one."""
        super().setup(network, generator)
        widths = {branch.width for branch in network.branches}
        if len(widths) > 1:
            raise GreedymmError(f"method 'mla' has one head for all branches: their widths {sorted(widths)} must agree")
        with drawn_from(generator):
            self.head = SharedHead(widths.pop(), network.head.classes).to(self.device)
        network.head = self.head
        if self.settings.entropy:
            self.predict = predict

    def training_step(self, step: Step) -> None:
        """A turn of each branch."""
        turns = [self.turn(k, step) for k in range(self.modalities)]
        logits = [output.branches[k].detach() for k, output in enumerate(turns)]
        features = [output.features[k].detach() for k, output in enumerate(turns)]
        step.output = Output(torch.stack(logits).mean(dim=0), logits, features)
        step.losses = {f"branch_{k}": loss for k, loss in enumerate(self.losses)}
        self.trace = self.head.projection.trace()

    def turn(self, k: int, step: Step) -> Output:
        """Forward, backward and update of one branch."""
        if k == 0:
            self.losses: list[Tensor] = []
        how = self.network.cut if self.settings.flow == "cut" else Pass(detach=True)
        output: Output = self.network(step.inputs, how)
        loss = cross_entropy(output.branches[k], step.labels)
        step.backward(loss)
        self.losses.append(loss.detach())
        if self.settings.projection:
            weight = self.head.linear.weight
            assert weight.grad is not None
            weight.grad = weight.grad @ self.head.projection
            alpha = 0.1 ** (1 + step.number / step.count)
            self.head.projection.copy_(projected(self.head.projection, output.features[k].detach().mean(dim=0), alpha))
        step.optimizer.step()
        return output

    def log(self) -> Mapping[str, Tensor]:
        """Trace of P: about the number of directions in which the shared head still learns."""
        return {"trace": self.trace}


def projected(projection: Tensor, r: Tensor, alpha: float) -> Tensor:
    """Update P with features of mean r, (D,), so that P maps r almost to zero."""
    q = projection @ r
    return projection - torch.outer(q, q) / (alpha + r @ q)


def predict(output: Output) -> Tensor:
    """Mean logits, with weights that decrease with the entropy of each branch in each sample: (B, classes)."""
    entropies = torch.stack([entropy(y) for y in output.branches])  # (M, B)
    weights = torch.exp(entropies.amax(dim=0) - entropies)
    return weighted_mean(output.branches, list(weights[:, :, None]), output.present)


def entropy(logits: Tensor) -> Tensor:
    """Entropy of the prediction of each sample, in nats: (B,)."""
    return -(logits.softmax(dim=1) * logits.log_softmax(dim=1)).sum(dim=1)


def weighted_mean(logits: list[Tensor], weights: list[Tensor], present: Tensor | None) -> Tensor:
    """Weighted mean of logits (B, classes), weights (B, 1), over the modalities that are present."""
    if present is not None:
        weights = [w * votes[:, None] for w, votes in zip(weights, by_sample(present).T, strict=True)]
    total = torch.stack(weights).sum(dim=0).clamp(min=torch.finfo(logits[0].dtype).tiny)
    return torch.stack([w * y for w, y in zip(weights, logits, strict=True)]).sum(dim=0) / total


def build(settings: Settings) -> Mla:
    """Build the method from its settings."""
    return Mla(settings)
