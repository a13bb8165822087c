"""Shapley values: the share of the network's accuracy that each modality contributes.

    phi_m = sum over S without m of |S|! (M - |S| - 1)! / M! * (v(S + m) - v(S))

v(S): accuracy of the network with the modalities S present. Absent modalities are cut from the fusions of the others,
and have no vote. v(none): chance, 1 / classes. The values sum to v(all) - chance. Source: Shapley 1953; for modalities
SHAPE (Hu et al., IJCAI 2022), which sets the inputs of absent modalities to zero.
"""

from collections.abc import Sequence
from itertools import combinations

import pandas as pd
import torch

from greedymm.evaluation.evaluate import FULL, NETWORK, is_correct
from greedymm.modalities import TWO_MODALITIES, Subset, shapley_values, subsets
from greedymm.models.network import Pass
from greedymm.settings import MeasureSettings


class Settings(MeasureSettings):
    """Measure `shapley`: Shapley values of the modalities for the network's accuracy."""


def passes(_settings: Settings, modalities: Sequence[str]) -> dict[str, Pass]:
    """One pass for each set of modalities, except for no modality and all modalities."""
    everyone = range(len(modalities))
    return {
        _name(subset, modalities): Pass(present=torch.tensor([k in subset for k in everyone]))
        for subset in subsets(len(modalities))
        if 0 < len(subset) < len(modalities)
    }


def compute(_settings: Settings, table: pd.DataFrame, modalities: Sequence[str]) -> dict[str, float | None]:
    """Values of one split.

    Returns:
        `shapley_<m>` of each modality, in [-1, 1]; `shapley_gap`, the mean of |phi_i - phi_j| over all pairs, our own
        choice; for two modalities `interaction`, v(both) - v(m0) - v(m1) + chance: positive if they complement each
        other, negative if they are redundant.
    """
    count = len(modalities)
    accuracy = {
        subset: float(is_correct(table, NETWORK, _name(subset, modalities)).mean())
        for subset in subsets(count)
        if subset
    }
    accuracy[()] = 1 / table["label"].nunique()
    values = shapley_values(accuracy.__getitem__, count)
    result: dict[str, float | None] = {f"shapley_{m}": v for m, v in zip(modalities, values, strict=True)}
    gaps = [abs(a - b) for a, b in combinations(values, 2)]
    result["shapley_gap"] = sum(gaps) / len(gaps)
    if count == TWO_MODALITIES:
        result["interaction"] = accuracy[0, 1] - accuracy[0,] - accuracy[1,] + accuracy[()]
    return result


def _name(subset: Subset, modalities: Sequence[str]) -> str:
    """Name of the pass with some modalities."""
    return FULL if len(subset) == len(modalities) else "only_" + "+".join(modalities[k] for k in subset)
