"""Permutation importance: the share of the accuracy that is lost if a modality comes from another sample.

    P_m = (A - mean over r of A_r(m)) / A

A_r(m): accuracy of the network with modality m permuted over the whole split. No sample keeps its own modality. The
features of m reach the other branches through the fusion, too. Cost: for each repeat two passes up to the first fusion,
and M passes from there on.

Pitfalls: each modality stays in its distribution, but pairs of modalities do not. Where both are redundant, both values
are small. The standard deviation is that over permutations, not over samples or seeds.

Source: perceptual score, Gat et al., NeurIPS 2021, normalized by the model's accuracy. In its released examples both
scores are computed with the permutation, so their difference is about 0 for any model.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from pydantic import Field
from torch import Tensor

from greedymm.evaluation.evaluate import NETWORK, column, is_correct
from greedymm.evaluation.measures.common import Predicted, accuracy, generator, paired, predict_replaced
from greedymm.models.network import Batches, MultimodalNetwork, Pass
from greedymm.settings import MeasureSettings


class Settings(MeasureSettings):
    """Measure `permutation`: share of the accuracy lost if a modality is from another sample (Gat et al. 2021)."""

    during_training = False
    repeats: int = Field(default=5, ge=5, description="permutations of each modality")
    seed: int = Field(default=0, ge=0, description="of the permutations")


def passes(_settings: Settings, _modalities: Sequence[str]) -> dict[str, Pass]:
    """None."""
    return {}


@torch.no_grad()
def columns(settings: Settings, network: MultimodalNetwork, _train: Batches, split: Batches) -> dict[str, Predicted]:
    """`mean_permuted_<m>_<r>`: predicted classes with modality m from another sample, for each repeat r."""
    draws, result = generator(settings.seed), {}
    for repeat in range(settings.repeats):
        batches = paired(iter(split), split.of(cycle(split.count, draws)))
        predicted = [predict_replaced(network, network.stem(own), network.stem(other)) for own, other in batches]
        for m, parts in zip(network.modalities, zip(*predicted, strict=True), strict=True):
            result[column(NETWORK, f"permuted_{m}_{repeat}")] = np.concatenate(parts)
    return result


def compute(settings: Settings, table: pd.DataFrame, modalities: Sequence[str]) -> dict[str, float | None]:
    """Values of one split.

    Returns:
        `permutation_<m>` of each modality, at most 1; 0: not used; negative: it misleads. `permutation_sd_<m>`: the
        standard deviation over the repeats. None if the network is correct on no sample.
    """
    full = float(is_correct(table, NETWORK).mean())
    result: dict[str, float | None] = {}
    for m in modalities:
        names = [column(NETWORK, f"permuted_{m}_{repeat}") for repeat in range(settings.repeats)]
        lost = [(full - accuracy(table[name], table["label"])) / full if full else np.nan for name in names]
        result[f"permutation_{m}"] = float(np.mean(lost)) if full else None
        result[f"permutation_sd_{m}"] = float(np.std(lost, ddof=1)) if full else None
    return result


def cycle(count: int, draws: torch.Generator) -> Tensor:
    """A permutation without fixed points, (count,): a cycle of all rows, each cycle as probable as any other."""
    order = torch.randperm(count, generator=draws)
    permutation = torch.empty_like(order)
    permutation[order] = order.roll(-1)
    return permutation
