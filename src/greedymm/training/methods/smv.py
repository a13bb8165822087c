"""SMV: samples are repeated, with one modality alone, where that modality contributes little to the prediction.

    v_i(S) = |S| if the network with the modalities S classifies sample i correctly, else 0
    phi_ik = sum over S without k of |S|! (M - |S| - 1)! / M! * (v_i(S + k) - v_i(S))        sum over k: v_i(all)
    level sample:   copies of sample i with k alone: 0 if phi_ik >= 0.9, 1 above 0.4, 2 above -0.1, else 3
    level modality: g_k = 1 - mean of phi_ik over 20 % of the samples
                    a share alpha * 2/3 * (g_k - min over j of g_j) of the samples has one copy with k alone

Source: sample-level modality valuation, Wei et al., CVPR 2024, and its code, whose two scripts stop with errors. It was
published for one head over joined features: objective `joint`, epochs from 6 on. For two modalities phi is one of -0.5,
0, 0.5, 1 and 1.5; the same thresholds for more modalities, and the minimum over j, are our choice. The code compares
with 1, not 0.9; for up to three modalities no phi is between them, and no rounding error counts.

The valuation is made before each epoch, on the training split as stored, not augmented, in evaluation mode. An absent
modality is cut from the fusions of the others, has no vote, and its branch has no loss; the code sets features to zero.
Batch norms of absent branches still see the sample. Unlike in the code, the samples of level modality are drawn without
replacement. Cost: before an epoch, 2^M - 1 passes over the valued samples. An epoch has up to 1 + 3 M (`sample`) or 1 +
M (`modality`) times the steps.
"""

from collections.abc import Mapping
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.optim import Optimizer

from greedymm.modalities import Subset, shapley_values, subsets
from greedymm.models.network import MultimodalNetwork, Pass
from greedymm.settings import LaterEpochs, MethodSettings, log_uniform
from greedymm.training.methods.base import Method, Order
from greedymm.training.step import Batches, Step

THRESHOLDS = (0.9, 0.4, -0.1)  # of phi: one copy more below each


class Settings(MethodSettings):
    """Method `smv` (Wei et al. 2024)."""

    objective: Literal["branch", "joint", "multi"] = Field("joint", description="loss; published: joint")
    level: Literal["sample", "modality"] = Field("sample", description="what is valued: each sample, or the modality")
    alpha: float = Field(
        default=1.0, ge=0, description="level modality: share of copies", json_schema_extra=log_uniform(0.3, 3.0)
    )
    part: float = Field(default=0.2, gt=0, le=1, description="level modality: share of the samples that are valued")
    active: LaterEpochs = LaterEpochs(start=6)


class Smv(Method):
    """Adds copies of samples to an epoch, each with one of its modalities."""

    settings: Settings

    def passes(self) -> frozenset[str]:
        """Absent modalities."""
        return frozenset({"present"})

    def setup(self, network: MultimodalNetwork, generator: torch.Generator) -> None:
        """There are no copies yet."""
        super().setup(network, generator)
        some = [subset for subset in subsets(self.modalities) if subset]
        everyone = range(self.modalities)
        self.present = {s: torch.tensor([k in s for k in everyone], device=self.device) for s in some}

    def start_epoch(self, epoch: int, train: Batches, val: Batches, optimizer: Optimizer) -> None:  # noqa: ARG002
        """Value the samples, and choose the copies: int64 (N, M)."""
        self.copies = torch.zeros(train.count, self.modalities, dtype=torch.int64)
        if self.settings.active.include(epoch):
            choose = self.by_sample if self.settings.level == "sample" else self.by_modality
            self.copies = choose(train)
        self.shares = self.copies.double().mean(dim=0).to(self.device)

    def by_sample(self, train: Batches) -> Tensor:
        """Copies of each sample, by its own contributions."""
        return copies(self.contributions(train, torch.arange(train.count)))

    def by_modality(self, train: Batches) -> Tensor:
        """Copies of random samples, by the mean contributions over some of the samples."""
        order = torch.randperm(train.count, generator=self.generator)
        part = order[: max(1, round(self.settings.part * train.count))]
        counts = (train.count * shares(self.contributions(train, part).mean(dim=0), self.settings.alpha)).int()
        chosen = torch.zeros(train.count, self.modalities, dtype=torch.int64)
        for k, count in enumerate(counts.tolist()):
            chosen[torch.randperm(train.count, generator=self.generator)[:count], k] = 1
        return chosen

    @torch.no_grad()
    def contributions(self, train: Batches, rows: Tensor) -> Tensor:
        """Compute phi of some samples: (len(rows), M), on the CPU."""
        self.network.eval()
        parts = []
        for inputs, labels in train.view().of(rows):
            features = self.network.stem(inputs)
            value: dict[Subset, Tensor] = {(): torch.zeros(len(labels), dtype=torch.float64, device=self.device)}
            for subset, present in self.present.items():
                logits = self.network.fuse(features, Pass(present=present)).logits
                value[subset] = len(subset) * (logits.argmax(dim=1) == labels).double()
            parts.append(torch.stack(shapley_values(value.__getitem__, self.modalities), dim=1))
        return torch.cat(parts).cpu()

    def order(self, epoch: int, samples: int) -> Order | None:  # noqa: ARG002
        """All samples, and the copies, shuffled."""
        if not self.copies.any():
            return None
        rows, present = with_copies(self.copies)
        shuffled = torch.randperm(len(rows), generator=self.generator)
        return Order(rows[shuffled], present[shuffled])

    def plan(self, step: Step) -> Pass:
        """With the modalities that the order keeps. Other masks would undo it: no other method may plan passes."""
        return super().plan(step)

    def log(self) -> Mapping[str, Tensor]:
        """Mean number of copies of a sample with each modality alone."""
        return {f"copies_{k}": share for k, share in enumerate(self.shares)}


def copies(contributions: Tensor) -> Tensor:
    """Copies of each sample with each modality alone, from phi (N, M): int64 (N, M)."""
    return torch.stack([contributions < threshold for threshold in THRESHOLDS]).sum(dim=0)


def shares(contributions: Tensor, alpha: float) -> Tensor:
    """Share of the samples that have a copy with each modality alone, from the mean of phi (M,): (M,), in [0, 1]."""
    gaps = 1 - contributions
    return (alpha * 2 / 3 * (gaps - gaps.min())).clamp(max=1)


def with_copies(counts: Tensor) -> tuple[Tensor, Tensor]:
    """Row numbers, and modalities that are present: each sample with all, then its copies, from counts (N, M)."""
    samples, modalities = counts.shape
    everyone = torch.arange(samples)
    rows, present = [everyone], [torch.ones(samples, modalities, dtype=torch.bool)]
    for k in range(modalities):
        rows.append(everyone.repeat_interleave(counts[:, k]))
        present.append(torch.eye(modalities, dtype=torch.bool)[k].expand(len(rows[-1]), -1))
    return torch.cat(rows), torch.cat(present)


def build(settings: Settings) -> Smv:
    """Build the method from its settings."""
    return Smv(settings)
