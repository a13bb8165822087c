"""Relearn: diagnosing and re-learning. A branch whose features fit the training split alone returns towards its start.

    a_k = tanh(strength * |P_train - P_val|)        theta_k <- a_k * theta_k(initial) + (1 - a_k) * theta_k
    P: purity of a k-means clustering of the features of branch k, with as many clusters as classes, seed 0

Source: Wei et al., ECCV 2024, and its code: after every 20 of 90 epochs, at most 3 times; theta_k is the body of the
branch. It was published for one head over joined features, objective `joint`. With fusions, the features are those of a
pass in which branches are cut from each other (`evidence: cut`, our choice); fusions and heads keep their weights.

Unlike in the code, the minima and maxima of the training split scale the features of both splits to -1 to 1, and
training samples are not augmented. Our choices: the momentum of a branch that changes is set to 0, and its batch norms
keep their statistics. k-means is the best of 10 starts (k-means++). Cost: 1, and a pass over both splits each time.
"""

from collections.abc import Mapping
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import one_hot
from torch.optim import Optimizer

from greedymm.errors import GreedymmError
from greedymm.models.network import MultimodalNetwork, Pass
from greedymm.settings import Count, MethodSettings, choice, log_uniform
from greedymm.training.methods.base import Method
from greedymm.training.methods.branchwise import check_validation
from greedymm.training.step import Batches

STARTS, ITERATIONS = 10, 100  # of k-means; iterations at most


class Settings(MethodSettings):
    """Method `relearn` (Wei et al. 2024)."""

    objective: Literal["branch", "joint", "multi"] = Field("joint", description="loss; published: joint")
    strength: float = Field(default=3.0, ge=0, description="lambda", json_schema_extra=log_uniform(0.5, 8.0))
    every: Count = Field(default=20, description="epochs between two returns", json_schema_extra=choice(1, 2, 3))
    times: Count = Field(default=3, description="number of returns at most")
    evidence: Literal["cut", "full"] = Field("cut", description="features of the pass without fusion (cut), or with it")


class Relearn(Method):
    """Moves the weights of branches towards their initial values."""

    settings: Settings

    def groups(self, modalities: int) -> list[str]:
        """Bodies of the branches."""
        return [f"branch_{k}.body" for k in range(modalities)]

    def check(self, train: Batches, val: Batches) -> None:  # noqa: ARG002
        """Clusters of validation samples need more than one each."""
        check_validation(self, val)

    def check_schedule(self) -> None:
        """Require an epoch after the first return."""
        if self.settings.every >= self.epochs:
            raise GreedymmError(
                f"method 'relearn': no branch returns within {self.epochs} epochs, with `every: {self.settings.every}`;"
                f" train at least {self.settings.every + 1} epochs, or set a lower `every`"
            )

    def setup(self, network: MultimodalNetwork, generator: torch.Generator) -> None:
        """Store the initial weights."""
        super().setup(network, generator)
        self.bodies = [network.group(name) for name in self.groups(self.modalities)]
        self.initial = [[p.detach().clone() for p in body] for body in self.bodies]
        self.returns = torch.zeros(self.modalities, device=self.device)

    def start_epoch(self, epoch: int, train: Batches, val: Batches, optimizer: Optimizer) -> None:
        """Measure each branch, and change its weights."""
        self.returns = torch.zeros_like(self.returns)
        number, rest = divmod(epoch, self.settings.every)
        if rest == 0 and 1 <= number <= self.settings.times:
            gaps = self.purity_gaps(train, val)
            self.returns = torch.tanh(self.settings.strength * gaps).to(self.returns)
            for k, share in enumerate(self.returns.tolist()):
                self.move(k, share, optimizer)

    def purity_gaps(self, train: Batches, val: Batches) -> Tensor:
        """Absolute difference of the purities of both splits, of each branch: (M,)."""
        (train_features, train_labels), (val_features, val_labels) = self.features(train.view()), self.features(val)
        gaps = []
        for of_train, of_val in zip(train_features, val_features, strict=True):
            low, high = of_train.amin(dim=0), of_train.amax(dim=0)
            both = [scaled(of_train, low, high), scaled(of_val, low, high)]
            clusters = [k_means(h, self.network.head.classes) for h in both]
            purities = [purity(c, y) for c, y in zip(clusters, (train_labels, val_labels), strict=True)]
            gaps.append(abs(purities[0] - purities[1]))
        return torch.tensor(gaps)

    @torch.no_grad()
    def features(self, batches: Batches) -> tuple[list[Tensor], Tensor]:
        """Features (N, D_k) of each branch, float64, and labels (N,), on the CPU."""
        how, features, labels = self.network.cut if self.settings.evidence == "cut" else Pass(), [], []
        self.network.eval()
        for inputs, of_batch in batches:
            features.append([h.cpu().double() for h in self.network(inputs, how).features])
            labels.append(of_batch.cpu())
        return [torch.cat(of_branch) for of_branch in zip(*features, strict=True)], torch.cat(labels)

    @torch.no_grad()
    def move(self, branch: int, share: float, optimizer: Optimizer) -> None:
        """Move a branch a share of the way to its initial weights. Its momentum is that of other weights: reset it."""
        if share == 0:
            return
        for parameter, initial in zip(self.bodies[branch], self.initial[branch], strict=True):
            parameter.lerp_(initial, share)
            momentum = optimizer.state.get(parameter, {}).get("momentum_buffer")
            if momentum is not None:
                momentum.zero_()

    def log(self) -> Mapping[str, Tensor]:
        """Share a_k of each branch before the epoch; 0: the branch went on."""
        return {f"return_{k}": share for k, share in enumerate(self.returns)}

    def state_dict(self) -> dict[str, Tensor]:
        """The initial weights."""
        return {f"{k}.{i}": p for k, body in enumerate(self.initial) for i, p in enumerate(body)}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore the initial weights."""
        for k, body in enumerate(self.initial):
            self.initial[k] = [state[f"{k}.{i}"].to(self.device) for i in range(len(body))]


def scaled(features: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Scale features so that `low` is -1 and `high` is 1; features that are constant are -1."""
    return 2 * (features - low) / torch.where(high > low, high - low, 1) - 1


def k_means(points: Tensor, clusters: int) -> Tensor:
    """Cluster points (N, D): int64 (N,), the best of several starts. The same for the same points."""
    generator = torch.Generator().manual_seed(0)
    found = [lloyd(points, first_centers(points, clusters, generator)) for _ in range(STARTS)]
    return min(found, key=lambda result: result[1])[0]


def first_centers(points: Tensor, clusters: int, generator: torch.Generator) -> Tensor:
    """Draw centers (clusters, D) by k-means++: points that are far from the centers before them."""
    centers = points[torch.randint(len(points), (1,), generator=generator)]
    while len(centers) < clusters:
        distances = torch.cdist(points, centers).amin(dim=1).square() + 1e-12  # points may all be the same
        centers = torch.cat([centers, points[torch.multinomial(distances, 1, generator=generator)]])
    return centers


def lloyd(points: Tensor, centers: Tensor) -> tuple[Tensor, float]:
    """Cluster of each point, int64 (N,), and the sum of squared distances, by Lloyd's iterations."""
    assigned = torch.full((len(points),), -1)
    for _ in range(ITERATIONS):
        before, (distances, assigned) = assigned, torch.cdist(points, centers).min(dim=1)
        if torch.equal(before, assigned):
            break
        members = one_hot(assigned, len(centers)).to(points).T  # (clusters, N)
        counts = members.sum(dim=1, keepdim=True)
        centers = torch.where(counts > 0, members @ points / counts.clamp(min=1), centers)
    return assigned, float(distances.square().sum())


def purity(clusters: Tensor, labels: Tensor) -> float:
    """Share of the samples whose label is the most frequent one of their cluster, in (0, 1]."""
    counts = one_hot(clusters).T @ one_hot(labels)
    return float(counts.amax(dim=1).sum() / len(labels))


def build(settings: Settings) -> Relearn:
    """Build the method from its settings."""
    return Relearn(settings)
