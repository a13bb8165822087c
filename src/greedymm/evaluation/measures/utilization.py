"""Conditional utilization rate: share of a branch's accuracy that depends on the other modalities.

Source: Wu et al., ICML 2022.
"""

import logging
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from greedymm.evaluation.evaluate import is_correct
from greedymm.evaluation.measures.common import CUT, cut_pass
from greedymm.modalities import modality_gap
from greedymm.models.network import Pass
from greedymm.settings import MeasureSettings

log = logging.getLogger(__name__)


class Settings(MeasureSettings):
    """Measure `utilization`: conditional utilization rates (Wu et al. 2022)."""


def passes(_settings: Settings, modalities: Sequence[str]) -> dict[str, Pass]:
    """One pass, in which each branch hears only itself."""
    return cut_pass(modalities)


def compute(_settings: Settings, table: pd.DataFrame, modalities: Sequence[str]) -> dict[str, float | None]:
    """Rates of one split.

    Returns:
        `accuracy_<m>_cut` of each branch; `utilization_<m>` of each branch, u(others | m); and `d_util`, their
        `modality_gap`: u(m1|m0) - u(m0|m1) for two modalities. A rate is None if it is undefined.
    """
    result: dict[str, float | None] = {f"accuracy_{m}_cut": float(is_correct(table, m, CUT).mean()) for m in modalities}
    rates = [_rate(is_correct(table, m), is_correct(table, m, CUT), m) for m in modalities]
    result |= {f"utilization_{m}": u for m, u in zip(modalities, rates, strict=True)}
    defined = [u for u in rates if u is not None]
    gap = float(modality_gap(torch.tensor(defined, dtype=torch.float64))) if len(defined) == len(rates) else None
    return result | {"d_util": gap}


def _rate(full: npt.NDArray[np.bool_], cut: npt.NDArray[np.bool_], modality: str) -> float | None:
    try:
        return conditional_utilization_rate(full, cut)
    except ValueError as error:
        log.warning("utilization of the branch of %s is undefined: %s", modality, error)
        return None


def conditional_utilization_rate(correct: npt.NDArray[np.bool_], correct_cut: npt.NDArray[np.bool_]) -> float:
    """Share of one branch's accuracy that depends on the other modalities.

        u(m1 | m0) = (A(f0) - A(f0')) / A(f0)        Wu et al. 2022

    Args:
        correct: shape (N,), bool: whether branch 0 is correct on each of N samples.
        correct_cut: shape (N,), bool: the same samples, with the cross-modal flow cut.

    Returns:
        A number in (-inf, 1]. 0: the branch does not use the others; 1: without them it is never correct;
        negative: they mislead it.

    Raises:
        ValueError: if the branch is never correct. The rate is then undefined.

    Example:
        >>> conditional_utilization_rate(np.array([True, True]), np.array([True, False]))
        0.5
    """
    accuracy, accuracy_cut = correct.mean(), correct_cut.mean()
    if accuracy == 0:
        raise ValueError("the rate divides by the accuracy, and the branch is correct on no sample")
    return float((accuracy - accuracy_cut) / accuracy)
