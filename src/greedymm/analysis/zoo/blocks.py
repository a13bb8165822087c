"""Ranks of methods within blocks -> Friedman test, and the critical difference of Nemenyi.

A block is a dataset and a seed: all methods share its data and its random numbers. Two methods differ at the level
0.05 if their average ranks differ by more than

    CD = q * sqrt(k (k + 1) / (6 N))        k methods, N blocks, q: studentized range / sqrt(2)

Source: Demsar, JMLR 7, 2006. There a block is a dataset. Seeds of one dataset are not independent datasets, so a
difference is one on these datasets, and no statement about others.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from greedymm.analysis.claims.statistics import DIGITS
from greedymm.analysis.claims.table import UNIMODAL
from greedymm.analysis.claims.verdicts import ALPHA

MIN_METHODS, MIN_BLOCKS = 3, 2  # of the Friedman test


class Blocks(NamedTuple):
    """Average ranks of the methods that were run on every dataset, and tests of their differences."""

    ranks: pd.Series  # method -> average rank over the blocks, best first
    blocks: int  # in which all these methods have a result
    datasets: int
    incomplete: list[str]  # methods that have no result on some dataset, and no rank
    p: float  # Friedman test; NaN: too few methods or blocks, or equal ranks
    critical: float  # difference of average ranks at the level 0.05
    critical_of_datasets: float  # the same, if a dataset were one block

    @property
    def differ(self) -> bool:
        """Whether the Friedman test finds a difference. Only then are pairs compared."""
        return self.p <= ALPHA


def rank_blocks(runs: pd.DataFrame) -> Blocks:
    """Rank the multi-modal methods by test accuracy within each block; equal ones share a rank, 1 is the best.

    Arguments: a row per run, with dataset, method, seed and test_accuracy, which is NaN where unknown.
    """
    known = runs[~runs["method"].str.startswith(UNIMODAL)].dropna(subset=["test_accuracy"])
    table = known.pivot(index=["dataset", "seed"], columns="method", values="test_accuracy").round(DIGITS)  # noqa: PD010
    table = table[known["method"].unique()]
    everywhere = table.notna().groupby(level="dataset").any().all()
    complete = table.loc[:, everywhere].dropna()
    (count, methods), datasets = complete.shape, complete.index.unique("dataset").size
    ranks = complete.rank(axis=1, ascending=False)
    testable = methods >= MIN_METHODS and count >= MIN_BLOCKS and bool((ranks != ranks.iloc[0, 0]).any(axis=None))
    return Blocks(
        ranks=ranks.mean().sort_values(kind="stable"),
        blocks=count,
        datasets=datasets,
        incomplete=list(everywhere.index[~everywhere]),
        p=float(stats.friedmanchisquare(*complete.to_numpy().T).pvalue) if testable else np.nan,
        critical=critical_difference(methods, count),
        critical_of_datasets=critical_difference(methods, datasets),
    )


def critical_difference(methods: int, blocks: int) -> float:
    """Smallest difference of two average ranks at the level 0.05 (Nemenyi); NaN for fewer than 2 methods or blocks.

    Example:
        >>> round(critical_difference(4, 14), 2)
        1.25
    """
    if methods < MIN_BLOCKS or blocks < MIN_BLOCKS:
        return np.nan
    q = stats.studentized_range.ppf(1 - ALPHA, methods, np.inf) / 2**0.5
    return float(q * (methods * (methods + 1) / (6 * blocks)) ** 0.5)


def cliques(ranks: pd.Series, critical: float) -> list[tuple[int, int]]:
    """First and last position of the largest groups of methods without a critical difference; ranks ascending."""
    values = ranks.to_numpy()
    ends = np.searchsorted(values, values + critical + 1e-9, side="right") - 1
    return [(k, int(end)) for k, end in enumerate(ends) if end > k and (k == 0 or end > ends[k - 1])]
