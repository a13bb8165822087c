"""Test accuracies on several datasets -> mean rank of each multi-modal method, and probability of improvement.

Both as in rliable (Agarwal et al., NeurIPS 2021), with percentile intervals of a stratified bootstrap: the runs of each
method on each dataset are resampled.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from greedymm.analysis.claims.statistics import DIGITS, LEVEL, Floats
from greedymm.analysis.claims.table import UNIMODAL

RESAMPLES = 2000
REFERENCE = "greedy"  # of the probability of improvement
QUANTILES = ((1 - LEVEL) / 2, (1 + LEVEL) / 2)


class Rank(NamedTuple):
    """A method over the datasets that it was run on; NaN: a dataset has one run, or no reference."""

    method: str
    datasets: int
    runs: int
    mean_rank: float  # among the methods of a dataset by mean test accuracy; 1: the best; equal ones share a rank
    rank_low: float
    rank_high: float
    improvement: float  # P(X > Y) + P(X = Y) / 2 of a run X of the method and a run Y of the reference
    improvement_low: float
    improvement_high: float


class Draws(NamedTuple):
    """A method on one dataset: the estimate, then each resample, (1 + RESAMPLES,)."""

    ranks: Floats
    improvement: Floats  # NaN: no run of the reference
    runs: int
    resampled: bool  # more than one run, also of the reference


def ranks_table(runs: pd.DataFrame, reference: str = REFERENCE) -> pd.DataFrame:
    """Rank the multi-modal methods: a row per method, best first, columns of `Rank`.

    Ranks compare methods that were run on the same datasets.

    Args:
        runs: a row per run, with dataset, method and test_accuracy, which is NaN or missing where unknown.
        reference: the method that the others may improve on.
    """
    known = runs[np.isfinite(runs["test_accuracy"].astype(float)) & ~runs["method"].str.startswith(UNIMODAL)]
    rng = np.random.default_rng(0)
    draws = [_draw(group, reference, rng) for _, group in known.groupby("dataset", sort=False)]
    rows = [_rank(method, [d[method] for d in draws if method in d]) for method in known["method"].unique()]
    return pd.DataFrame(rows, columns=Rank._fields).sort_values("mean_rank", kind="stable", ignore_index=True)


def _draw(runs: pd.DataFrame, reference: str, rng: np.random.Generator) -> dict[str, Draws]:
    """Ranks and improvements of the methods on one dataset."""
    accuracies = {str(m): g["test_accuracy"].to_numpy(float).round(DIGITS) for m, g in runs.groupby("method")}
    weights = {method: _resample(len(x), rng) for method, x in accuracies.items()}
    means = np.column_stack([weights[method] @ x for method, x in accuracies.items()])
    ranks = stats.rankdata(-means.round(DIGITS), axis=1)  # (1 + RESAMPLES, methods)
    against = accuracies.get(reference, np.empty(0))
    draws = {}
    for column, (method, x) in enumerate(accuracies.items()):
        pairs = (np.sign(x[:, None] - against) + 1) / 2  # (runs, runs of the reference)
        improvement = np.full(len(ranks), np.nan)
        if len(against):
            improvement = ((weights[method] @ pairs) * weights[reference]).sum(axis=1)
        draws[method] = Draws(ranks[:, column], improvement, len(x), min(len(x), len(against) or len(x)) > 1)
    return draws


def _resample(n: int, rng: np.random.Generator) -> Floats:
    """Weight of each run in the sample itself and in each resample: (1 + RESAMPLES, n)."""
    return np.vstack([np.ones(n), rng.multinomial(n, np.full(n, 1 / n), size=RESAMPLES)]) / n


def _rank(method: str, draws: list[Draws]) -> Rank:
    known = all(draw.resampled for draw in draws)
    rank, improvement = (np.mean([getattr(draw, name) for draw in draws], axis=0) for name in ("ranks", "improvement"))
    (low, high), (least, most) = (
        np.quantile(values[1:], QUANTILES) if known else (np.nan, np.nan) for values in (rank, improvement)
    )
    runs = sum(draw.runs for draw in draws)
    return Rank(method, len(draws), runs, rank[0], low, high, improvement[0], least, most)
