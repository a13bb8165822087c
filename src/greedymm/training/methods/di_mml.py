"""DI-MML: branches learn apart, by a shared head and features that only one of them has; then a head for all is added.

    first stage:   sum_k CE(y_k) + weight * sum_k CE(h(z_k)) + contrast * sum over j != k of InfoNCE(z_k, z_j on D_jk)
                   InfoNCE: CE of z_k[D] z_j[D]^T / temperature over the batch, z_j constant; the same sample is right
                   D_jk: dimensions in which j is effective and k is not. Effective: the share of training samples whose
                   nearest class mean in this dimension is their class's, above the mean share of all dimensions
    second stage:  CE(y_0), y_0 = linear head over all z_k; everything else is fixed
    prediction:    sum of w_i y_i over the branches and, once it is trained, y_0;  w = softmax(max softmax(y_i) / t)

Source: detached and interactive multimodal learning, Fan et al., ACM MM 2024, and its code: 150 epochs, contrast from
epoch 21 on, then 20 epochs of the second stage. Here both stages share the epochs of the run, in these shares. For more
than two modalities: all ordered pairs [our choice]. No gradient flows between branches: with fusions, `detach`.

As in the code, D is measured once, in evaluation mode; here on samples as stored, not augmented, with memory of N D. A
pair without such dimensions has no contrast. The published factors of the shared head and of the contrast are unknown
to us; both are 1 by default. In the second stage, the network is in evaluation mode, so that statistics
of norms are fixed as well. An early stop, at a training accuracy of 100 %, can come before it. The weights of the epoch
with the best validation accuracy can be of either stage. Learning speeds are not measured. Cost: about 1, and one pass
over the training split.
"""

from collections.abc import Collection, Mapping
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim import Optimizer

from greedymm.errors import GreedymmError
from greedymm.models.network import MultimodalNetwork, Output, Pass, by_sample
from greedymm.seeding import drawn_from
from greedymm.settings import MethodSettings, log_uniform
from greedymm.training.methods.base import Method
from greedymm.training.step import Batches, Step


class Settings(MethodSettings):
    """Method `di_mml` (Fan et al. 2024)."""

    objective: Literal["branch"] = Field("branch", description="losses of branches, which learn apart")
    weight: float = Field(
        default=1.0, ge=0, description="of the shared head's losses", json_schema_extra=log_uniform(0.1, 3.0)
    )
    contrast: float = Field(default=1.0, ge=0, description="of the contrast", json_schema_extra=log_uniform(0.1, 3.0))
    temperature: float = Field(
        default=50.0,
        gt=0,
        description="of the contrast; published: 10 on AVE, UCF",
        json_schema_extra=log_uniform(1, 100),
    )
    contrast_after: float = Field(0.12, ge=0, le=1, description="share of the epochs before it; published: 20 of 170")
    second_stage: float = Field(
        0.12, ge=0, lt=1, description="share of the epochs, the last ones; published: 20 of 170"
    )
    certainty: float = Field(default=1.0, gt=0, description="t in the prediction; published: 1 or 3")


class Parts(nn.Module):
    """The shared head h, the head over all features, and what is measured.

    Args:
        modalities: M.
        width: D of the features of each branch.
        classes: number of logits.
    """

    only: Tensor  # float (M, M, D): row j, column k: D_jk, 1 or 0
    joined: Tensor  # bool, whether the head over all features is trained

    def __init__(self, modalities: int, width: int, classes: int) -> None:
        super().__init__()
        self.shared = nn.Linear(width, classes)
        self.all = nn.Linear(modalities * width, classes)
        self.register_buffer("only", torch.zeros(modalities, modalities, width))
        self.register_buffer("joined", torch.zeros((), dtype=torch.bool))


class DiMml(Method):
    """Two stages of training, and a prediction by the most certain heads."""

    settings: Settings
    measures_speed = False  # no gradient of one branch's loss reaches the others, and none flows in the second stage

    def passes(self) -> frozenset[str]:
        """No gradient between branches."""
        return frozenset({"detach"})

    def check_schedule(self) -> None:
        """Require an epoch of everything that is not switched off."""
        first, second = self.stages
        if (self.settings.second_stage > 0 and second >= self.epochs) or (
            self.settings.contrast > 0 and first >= second
        ):
            raise GreedymmError(
                f"method 'di_mml': {self.epochs} epochs have none with contrast, or none of the second stage. Three"
                " epochs and the default shares would do; or set `contrast: 0`, or `second_stage: 0`"
            )

    def setup(self, network: MultimodalNetwork, generator: torch.Generator) -> nn.Module:
        """Draw the weights of both heads."""
        super().setup(network, generator)
        widths = {branch.width for branch in network.branches}
        if network.head.joint or len(widths) > 1:
            raise GreedymmError(
                "method 'di_mml' compares features of branches that have logits of their own: use head own, and"
                f" branches of equal width; their widths are {sorted(widths)}"
            )
        with drawn_from(generator):
            self.parts = Parts(self.modalities, widths.pop(), network.head.classes).to(self.device)
        self.predict = self.decide
        self.contrast = torch.zeros((), device=self.device)
        return self.parts

    @property
    def stages(self) -> tuple[int, int]:
        """First epoch with contrast, at least 1, and first epoch of the second stage, both counted from 0."""
        first = max(1, round(self.settings.contrast_after * self.epochs))
        length = round(self.settings.second_stage * self.epochs) or int(self.settings.second_stage > 0)
        return first, max(1, self.epochs - length)

    def active(self, epoch: int) -> Collection[int] | None:
        """No branch in the second stage."""
        return () if epoch >= self.stages[1] else None

    def start_epoch(self, epoch: int, train: Batches, val: Batches, optimizer: Optimizer) -> None:  # noqa: ARG002
        """Measure the features once; note the second stage."""
        first, second = self.stages
        if epoch == first and epoch < second and self.settings.contrast > 0:
            self.parts.only.copy_(self.exclusive(train))
        self.parts.joined.fill_(epoch >= second)

    @torch.no_grad()
    def exclusive(self, train: Batches) -> Tensor:
        """Dimensions in which one branch is effective and the other is not: float (M, M, D)."""
        self.network.eval()
        found, labels = [], []
        for inputs, of_batch in train.view():
            found.append(torch.stack(self.network(inputs).features))  # (M, B, D)
            labels.append(of_batch)
        classes, count = torch.cat(labels), self.network.head.classes
        right = torch.stack([count_right(features, classes, count) for features in torch.cat(found, dim=1)])  # (M, D)
        effective = right * right.shape[1] > right.sum(dim=1, keepdim=True)  # above the mean; integers: ties are exact
        return (effective[:, None] & ~effective[None]).float()

    def plan(self, step: Step) -> Pass:
        """No gradient between branches; in the second stage, all norms are fixed."""
        if step.epoch >= self.stages[1]:
            self.network.eval()
        return Pass(present=step.present, detach=True)

    def loss(self, step: Step) -> dict[str, Tensor]:
        """The losses of the stage."""
        features, labels = step.output.features, step.labels
        self.contrast = torch.zeros((), device=self.device)
        if step.epoch >= self.stages[1]:
            return {"joined": cross_entropy(self.parts.all(torch.cat(features, dim=1).detach()), labels)}
        own = torch.stack([cross_entropy(y, labels) for y in step.output.branches]).sum()
        shared = torch.stack([cross_entropy(self.parts.shared(z), labels) for z in features]).sum()
        losses = {"branches": own, "shared": self.settings.weight * shared}
        if step.epoch >= self.stages[0]:
            contrast = torch.stack(self.contrasts(features)).sum()
            self.contrast, losses["contrast"] = contrast.detach(), self.settings.contrast * contrast
        return losses

    def contrasts(self, features: list[Tensor]) -> list[Tensor]:
        """InfoNCE of each ordered pair (k, j); 0 for a pair without dimensions."""
        right, losses = torch.arange(len(features[0]), device=self.device), []
        for k, own in enumerate(features):
            for j, other in enumerate(features):
                if j != k:
                    only = self.parts.only[j, k]
                    similarity = (own * only) @ other.detach().T / self.settings.temperature  # (B, B)
                    losses.append(cross_entropy(similarity, right) * only.any())
        return losses

    def decide(self, output: Output) -> Tensor:
        """Mean logits, with weights that grow with the certainty of each head in each sample: (B, classes)."""
        present = torch.ones(len(output.logits), self.modalities, dtype=torch.bool, device=self.device)
        if output.present is not None:
            present = present & by_sample(output.present)
        features = [z * present[:, k, None] for k, z in enumerate(output.features)]
        heads = torch.stack(
            [*output.branches, self.parts.all(torch.cat(features, dim=1))], dim=1
        )  # (B, M + 1, classes)
        votes = torch.cat([present, self.parts.joined.expand(len(present), 1)], dim=1)
        certainty = heads.softmax(dim=2).amax(dim=2) / self.settings.certainty
        weights = certainty.masked_fill(~votes, -torch.inf).softmax(dim=1)
        return (weights[:, :, None] * heads).sum(dim=1)

    def log(self) -> Mapping[str, Tensor]:
        """Contrast of all pairs, and whether the second stage runs."""
        return {"contrast": self.contrast, "joined": self.parts.joined.long()}


def count_right(features: Tensor, labels: Tensor, classes: int) -> Tensor:
    """Count the samples (N, D) whose class has the nearest mean, for each dimension alone: int64 (D,)."""
    nearest = torch.full_like(features, torch.inf)
    predicted = torch.full(features.shape, -1, device=features.device)
    for c in range(classes):
        members = features[labels == c]
        if len(members) > 0:
            distance = (features - members.mean(dim=0)).abs()
            predicted = torch.where(distance < nearest, c, predicted)
            nearest = torch.minimum(nearest, distance)
    return (predicted == labels[:, None]).sum(dim=0)


def build(settings: Settings) -> DiMml:
    """Build the method from its settings."""
    return DiMml(settings)
