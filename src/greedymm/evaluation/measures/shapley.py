"""Shapley values: the share of the network's accuracy that each modality contributes.

    phi_m = sum over S without m of |S|! (M - |S| - 1)! / M! * (v(S + m) - v(S))

v(S): accuracy of the network with the modalities S present. Absent modalities are cut from the fusions of the others,
and have no vote. v(none): chance, 1 / classes. The values sum to v(all) - chance. Cost: 2^M - 2 passes.

Pitfalls: another replacement of absent modalities, such as inputs of zeros, gives other values. A small value can mean
that a modality is redundant, and not that it is ignored: see `interaction`.

Source: Shapley 1953; for modalities SHAPE (Hu et al., IJCAI 2022), which sets the inputs of absent modalities to zero.
Values of single samples: Wei et al., CVPR 2024.
"""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import numpy.typing as npt
import pandas as pd

from greedymm.evaluation.evaluate import NETWORK, is_correct
from greedymm.evaluation.measures.common import subset_name, subset_pass
from greedymm.modalities import TWO_MODALITIES, Subset, shapley_values, subsets
from greedymm.models.network import Pass
from greedymm.settings import MeasureSettings

ROUNDING = 1e-9  # of values that are 0


class Settings(MeasureSettings):
    """Measure `shapley`: Shapley values of the modalities for the network's accuracy."""


def passes(_settings: Settings, modalities: Sequence[str]) -> dict[str, Pass]:
    """One pass for each set of modalities, except for no modality and all modalities."""
    chosen = [subset for subset in subsets(len(modalities)) if 0 < len(subset) < len(modalities)]
    return {name: how for subset in chosen for name, how in subset_pass(subset, modalities).items()}


def compute(_settings: Settings, table: pd.DataFrame, modalities: Sequence[str]) -> dict[str, float | None]:
    """Values of one split.

    Returns:
        `shapley_<m>` of each modality, in [-1, 1]; `shapley_gap`, the mean of |phi_i - phi_j| over all pairs, and
        `shapley_imbalance`, the gap / sum of |phi_i|, in [0, 1], both our own choice; for two modalities `interaction`,
        v(both) - v(m0) - v(m1) + chance: positive if they complement each other, negative if they are redundant.
        `shapley_negative_<m>`: share of samples whose own phi_m is negative, where v(S) is 1 if S is correct, else 0.
        For two modalities: without m the prediction is correct, and with m, or m alone, it is not.
    """
    count = len(modalities)
    correct: dict[Subset, npt.NDArray[np.bool_]] = {
        subset: is_correct(table, NETWORK, subset_name(subset, modalities)) for subset in subsets(count) if subset
    }
    accuracy = {subset: float(each.mean()) for subset, each in correct.items()}
    accuracy[()] = 1 / table["label"].nunique()
    values = shapley_values(accuracy.__getitem__, count)
    result: dict[str, float | None] = {f"shapley_{m}": v for m, v in zip(modalities, values, strict=True)}
    gaps, total = [abs(a - b) for a, b in combinations(values, 2)], sum(map(abs, values))
    result["shapley_gap"] = gap = sum(gaps) / len(gaps)
    result["shapley_imbalance"] = gap / total if total else None
    if count == TWO_MODALITIES:
        result["interaction"] = accuracy[0, 1] - accuracy[0,] - accuracy[1,] + accuracy[()]
    by_sample = {subset: each.astype(float) for subset, each in correct.items()} | {(): np.zeros(len(table))}
    own = shapley_values(by_sample.__getitem__, count)  # (N,) of each modality
    return result | {
        f"shapley_negative_{m}": float((v < -ROUNDING).mean()) for m, v in zip(modalities, own, strict=True)
    }
