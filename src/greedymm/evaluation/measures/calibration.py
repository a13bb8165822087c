"""Calibration error: how far the confidence of predictions is from their accuracy.

    ECE = sum over bins b of n_b / N * |accuracy_b - confidence_b|

Confidence: the largest softmax probability. Bins: 15 of equal width, (l, u]. Cost: one pass.

Pitfalls: the estimate is biased upward if bins have few samples. It depends on the number of bins. The mean of several
branches' logits is often less confident than each branch. A constant prediction can be calibrated.

Source: Guo et al., ICML 2017. Its bins are ours; torchmetrics has bins [l, u), and one more for a confidence of 1.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from greedymm.evaluation.evaluate import FULL, NETWORK, column, is_correct, predict_logits
from greedymm.models.network import Batches, MultimodalNetwork, Pass
from greedymm.settings import MeasureSettings

BINS = 15
CONFIDENCE = "confidence"


class Settings(MeasureSettings):
    """Measure `calibration`: expected calibration error of the network and of each branch (Guo et al. 2017)."""


def passes(_settings: Settings, _modalities: Sequence[str]) -> dict[str, Pass]:
    """None."""
    return {}


def columns(
    _settings: Settings, network: MultimodalNetwork, _train: Batches, split: Batches
) -> dict[str, npt.NDArray[np.float64]]:
    """`<head>_confidence` of the network and of each branch, in (0, 1]."""
    logits = predict_logits(network, split, {FULL: Pass()})[FULL]  # (N, 1 + M, classes)
    confidence = logits.double().softmax(dim=2).amax(dim=2).cpu().numpy()
    return {column(head, CONFIDENCE): c for head, c in zip((NETWORK, *network.modalities), confidence.T, strict=True)}


def compute(_settings: Settings, table: pd.DataFrame, modalities: Sequence[str]) -> dict[str, float | None]:
    """Values of one split: `calibration_error` of the network, `calibration_error_<m>` of each branch; in [0, 1]."""
    names = {NETWORK: "calibration_error"} | {m: f"calibration_error_{m}" for m in modalities}
    return {
        name: calibration_error(table[column(head, CONFIDENCE)].to_numpy(float), is_correct(table, head))
        for head, name in names.items()
    }


def calibration_error(confidence: npt.NDArray[np.float64], correct: npt.NDArray[np.bool_], bins: int = BINS) -> float:
    """Expected calibration error of N predictions.

    Args:
        confidence: shape (N,), in (0, 1].
        correct: shape (N,), bool.
        bins: number of bins of equal width.

    Example:
        >>> calibration_error(np.array([0.9, 0.9, 0.6]), np.array([True, True, False]), bins=10)
        0.26666666666666666
    """
    index = np.digitize(confidence, np.linspace(0, 1, bins + 1)[1:-1], right=True)
    gaps = np.bincount(index, weights=correct - confidence, minlength=bins)  # n_b * (accuracy_b - confidence_b)
    return float(np.abs(gaps).sum() / len(confidence))
