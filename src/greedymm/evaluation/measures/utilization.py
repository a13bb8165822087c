"""Conditional utilization rate: what a branch owes to the other modalities. Source: Wu et al., ICML 2022."""

import logging
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from greedymm.evaluation.predictions import correct
from greedymm.models.network import Pass
from greedymm.settings import MeasureSettings

log = logging.getLogger(__name__)

TWO_MODALITIES = 2
CUT = "cut"


class Settings(MeasureSettings):
    """Measure `utilization`: conditional utilization rates (Wu et al. 2022)."""


def passes(_settings: Settings, modalities: Sequence[str]) -> dict[str, Pass]:
    """One, in which each branch hears itself alone."""
    return {CUT: Pass(hears=torch.eye(len(modalities), dtype=torch.bool))}


def compute(_settings: Settings, table: pd.DataFrame, modalities: Sequence[str]) -> dict[str, float | None]:
    """Rates of one split.

    Returns:
        `accuracy_<m>_cut` of each branch; `utilization_<m>`, of the branch of modality m: u(others | m); and their
        difference `d_util`, u(m1|m0) - u(m0|m1) for two modalities, the largest - the smallest for more. A rate is
        None where it is undefined: the branch is right on no sample.
    """
    result: dict[str, float | None] = {f"accuracy_{m}_cut": float(correct(table, m, CUT).mean()) for m in modalities}
    rates = [_rate(correct(table, m), correct(table, m, CUT), m) for m in modalities]
    result |= {f"utilization_{m}": u for m, u in zip(modalities, rates, strict=True)}
    return result | {"d_util": _difference(rates)}


def _rate(full: npt.NDArray[np.bool_], cut: npt.NDArray[np.bool_], modality: str) -> float | None:
    try:
        return conditional_utilization_rate(full, cut)
    except ValueError as error:
        log.warning("utilization of the branch of %s is undefined: %s", modality, error)
        return None


def _difference(rates: Sequence[float | None]) -> float | None:
    defined = [u for u in rates if u is not None]
    if len(defined) < len(rates):
        return None
    return defined[0] - defined[1] if len(defined) == TWO_MODALITIES else max(defined) - min(defined)


def conditional_utilization_rate(correct: npt.NDArray[np.bool_], correct_cut: npt.NDArray[np.bool_]) -> float:
    """Share of one branch's accuracy that it owes to the other modalities.

        u(m1 | m0) = (A(f0) - A(f0')) / A(f0)        Wu et al. 2022

    Args:
        correct: shape (N,), bool: whether branch 0 is right on each of N samples.
        correct_cut: shape (N,), bool: the same samples, with the cross-modal flow cut.

    Returns:
        A number in (-inf, 1]. 0: the branch makes no use of the others; 1: without them it gets nothing
        right; negative: they mislead it.

    Raises:
        ValueError: if the branch is right on no sample, where the rate is undefined.

    Example:
        >>> conditional_utilization_rate(np.array([True, True]), np.array([True, False]))
        0.5
    """
    accuracy, accuracy_cut = correct.mean(), correct_cut.mean()
    if accuracy == 0:
        raise ValueError("the rate divides by the accuracy, and the branch is right on no sample")
    return float((accuracy - accuracy_cut) / accuracy)
