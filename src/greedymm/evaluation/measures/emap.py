"""EMAP gap: accuracy that the network owes to interactions of modalities, which an additive model cannot have.

    f^(x) = sum_m E f(x_m, .) - (M - 1) E f        gap = A(f) - A(f^)

f: logits of the network; the means are over all combinations of modalities of different samples. f^ is the best
additive approximation. It is computed over N samples drawn from the split: N^2 combinations for two modalities.
For M modalities, N^(2 / M) samples are drawn, so that the combinations are as many.

Cost: N^2 passes of one sample from the first fusion on; the branches up to there once.

Pitfalls: the gap is exactly 0 for additive networks, such as branches without fusion or `concat` with a linear head.
A decision rule that weights branches by sample is an interaction. A gap of 0 does not mean that a modality is ignored.
Few samples resolve small gaps badly: one sample of 200 is 0.5 points. Logits are averaged, and never probabilities.

Source: Hessel & Lee, EMNLP 2020.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from pydantic import Field
from torch import Tensor

from greedymm.evaluation.evaluate import NETWORK, column
from greedymm.evaluation.measures.common import Predicted, accuracy, classes, generator
from greedymm.models.network import Batches, MultimodalNetwork, Pass
from greedymm.settings import MeasureSettings

MAX_BYTES = 2**23  # features in one forward pass
NOT_DRAWN = -1
COLUMN = column(NETWORK, "emap")


class Settings(MeasureSettings):
    """Measure `emap`: accuracy that depends on interactions of modalities (Hessel & Lee 2020)."""

    during_training = False
    samples: int = Field(default=200, ge=2, description="N, drawn from the split; all N^2 pairs are used")
    seed: int = Field(default=0, ge=0, description="of the draw of samples")


def passes(_settings: Settings, _modalities: Sequence[str]) -> dict[str, Pass]:
    """None."""
    return {}


@torch.no_grad()
def columns(settings: Settings, network: MultimodalNetwork, _train: Batches, split: Batches) -> dict[str, Predicted]:
    """`mean_emap`: classes that the additive approximation predicts; -1 for samples that are not drawn."""
    count = min(split.count, round(settings.samples ** (2 / len(network.branches))))
    rows, _ = torch.randperm(split.count, generator=generator(settings.seed))[:count].sort()
    stems = [network.stem(inputs) for inputs, _ in split.of(rows)]
    features = [torch.cat(parts) for parts in zip(*stems, strict=True)]
    predicted = np.full(split.count, NOT_DRAWN, dtype=np.int16)
    predicted[rows.numpy()] = classes(project(combine(network, features)))
    return {COLUMN: predicted}


def compute(_settings: Settings, table: pd.DataFrame, _modalities: Sequence[str]) -> dict[str, float | None]:
    """Values of one split.

    Returns:
        `emap_gap` in [-1, 1], over the samples drawn; negative: the interactions mislead. `emap_changed` in [0, 1]:
        share of the predictions that the approximation changes.
    """
    drawn = table[table[COLUMN] != NOT_DRAWN]
    gap = accuracy(drawn[NETWORK], drawn["label"]) - accuracy(drawn[COLUMN], drawn["label"])
    return {"emap_gap": gap, "emap_changed": float((drawn[NETWORK] != drawn[COLUMN]).mean())}


def combine(network: MultimodalNetwork, features: list[Tensor]) -> Tensor:
    """Logits for all combinations of N samples' features: (N, ..., N, classes), an axis for each modality."""
    count, device = len(features[0]), features[0].device
    size = max(1, MAX_BYTES // sum(4 * h[0].numel() for h in features))
    combinations = torch.cartesian_prod(*[torch.arange(count, device=device)] * len(features))  # (N^M, M)
    logits = [
        network.fuse([h[rows] for h, rows in zip(features, part.T, strict=True)], Pass()).logits.double()
        for part in torch.split(combinations, size)
    ]
    return torch.cat(logits).view(*(count,) * len(features), -1)


def project(logits: Tensor) -> Tensor:
    """The additive approximation on the samples themselves: (N, ..., N, classes) -> (N, classes)."""
    axes = range(logits.dim() - 1)
    means = [logits.mean(dim=[a for a in axes if a != axis]) for axis in axes]
    return torch.stack(means).sum(dim=0) - (len(axes) - 1) * logits.mean(dim=list(axes))
