"""Values per seed -> evidence: estimate, interval and test. One seed has an estimate, but no interval and no test."""

from typing import NamedTuple

import numpy as np
from scipy import stats

from greedymm.analysis.claims import statistics
from greedymm.analysis.claims.statistics import (
    DIGITS,
    LEVEL,
    MIN_SEEDS_FOR_EXCHANGE,
    MIN_SEEDS_FOR_FLIPS,
    MIN_SEEDS_FOR_T,
    Floats,
    estimate,
)

TWO_SEEDS = 2  # have one exchange, and |effect| is always 1
NO_SEED = "no seed has all values"
ONE_SEED = "one seed: no interval, no test"
TOO_FEW_FOR_T = "two seeds: no test"
TOO_FEW_FOR_EXCHANGE = f"fewer than {MIN_SEEDS_FOR_EXCHANGE} seeds: no test"
EQUAL_VALUES = "the same value at all seeds: no test"
NO_DIFFERENCE = "no difference at any seed"
SAME = "permuting the seeds changes nothing: no test"
CONSTANT = "no rank correlation: one measure is the same in all runs of each method"
FLAT = "no rank correlation: one measure is the same at all epochs of each run"


class Evidence(NamedTuple):
    """What n seeds say about a claim; NaN where they say nothing."""

    n: int
    estimate: float = np.nan
    low: float = np.nan
    high: float = np.nan
    null_mean: float = np.nan  # of the estimate under permutation of the seeds; p is of the difference from it
    p: float = np.nan
    p_sign_flip: float = np.nan  # of the same mean, without an assumption about its distribution
    p_lower: float = np.nan  # of a mean above -margin
    p_upper: float = np.nan  # of a mean below margin
    margin: float = np.nan  # within which a mean is practically 0
    sd: float = np.nan
    effect: float = 0.0  # standardized; above 0: supports the claim, below 0: contradicts it
    kind: str = ""  # of effect, an argument of `seeds_needed`; empty: no sample-size estimate
    comparisons: int = 1  # by which p has been multiplied
    testable: bool = True  # with enough seeds
    note: str = ""

    @property
    def p_equal(self) -> float:
        """P-value of a mean within the margin."""
        return float(np.maximum(self.p_lower, self.p_upper))  # NaN if one is


def mean_evidence(values: Floats, direction: int, limit: float = np.inf, margin: float = np.nan) -> Evidence:
    """Evidence on the mean of one value per seed: Student's t interval, and its test against 0 from three seeds on.

    Args:
        values: shape (seeds,). NaN is dropped.
        direction: 1 or -1, the claimed sign; 0: either sign.
        limit: largest possible absolute value of the mean, to which the interval is clipped.
        margin: within which the mean is practically 0; NaN: equality is not tested.
    """
    x = values[np.isfinite(values)].round(DIGITS)
    if len(x) == 0:
        return Evidence(0, note=NO_SEED)
    n, mean, sd, low, high = estimate(x, -limit, limit)
    evidence = Evidence(n, mean, low, high, margin=margin)
    if n == 1:
        return evidence._replace(note=ONE_SEED)
    if np.ptp(x) == 0:  # t divides by their standard deviation
        if n < MIN_SEEDS_FOR_T or mean or np.isnan(margin):
            return evidence._replace(note=EQUAL_VALUES)
        return evidence._replace(p=1.0, p_lower=0.0, p_upper=0.0, sd=0.0, note=NO_DIFFERENCE)
    signed = round(direction * mean if direction else abs(mean), DIGITS)
    evidence = evidence._replace(sd=sd, effect=signed / sd, kind="mean")
    if n < MIN_SEEDS_FOR_T:
        return evidence._replace(note=TOO_FEW_FOR_T)
    p_lower, p_upper = statistics.equality_p(x, margin)
    p_sign_flip = statistics.sign_flip_p(x) if n >= MIN_SEEDS_FOR_FLIPS else np.nan
    return evidence._replace(p=statistics.t_p(x), p_sign_flip=p_sign_flip, p_lower=p_lower, p_upper=p_upper)


def rank_evidence(x: Floats, y: Floats) -> Evidence:
    """Evidence on Spearman's rho of two measures over runs, with all methods pooled.

    Ranks are taken within each method, so that differences between methods have no influence. The interval counts
    each seed once, because the runs of a seed share data and initial weights. Seeds are permuted as a whole.
    x, y: (seeds, methods).
    """
    x, y = complete_seeds(x, y)
    n, methods = x.shape
    if n <= 1:
        return _untested(n)
    rx, ry = (stats.rankdata(v, axis=0) - (n + 1) / 2 for v in (x, y))
    scale = np.sqrt((rx**2).sum() * (ry**2).sum())
    if scale == 0:
        return Evidence(n, note=CONSTANT)
    evidence = _exchange_evidence(rx @ ry.T / scale)
    low, high = statistics.rank_interval(evidence.estimate, n)
    evidence = evidence._replace(low=low, high=high, null_mean=np.nan)  # 0 by construction
    if methods == 1:
        return evidence._replace(kind=evidence.kind and "rank")
    pooled = stats.spearmanr(x.ravel(), y.ravel()).statistic
    return evidence._replace(note=join_notes(f"within methods; {pooled:.2f} over all {x.size} runs", evidence.note))


def path_evidence(x: Floats, y: Floats) -> Evidence:
    """Evidence on Spearman's rho of two measures over epochs: mean over the runs of a seed, then over seeds.

    Seeds are permuted as a whole, so that a drift which all seeds share is no evidence. The interval is Student's t
    of the seeds' means. A run in which a measure never varies counts as missing. x, y: (seeds, methods, epochs).
    """
    x, y = complete_seeds(x, y)
    rx, ry = complete_seeds(_unit_ranks(x), _unit_ranks(y))
    n, methods, _ = rx.shape
    if n == 0:
        return Evidence(len(x), note=FLAT) if len(x) > 1 else _untested(len(x))
    products = rx.reshape(n, -1) @ ry.reshape(n, -1).T / methods
    interval = estimate(np.diag(products), -1, 1)
    return _exchange_evidence(products / n)._replace(low=interval.low, high=interval.high)


def sign_evidence(x: Floats, y: Floats) -> Evidence:
    """Evidence on the share of epochs in which two measures have the same sign; a 0 is half an agreement.

    Seeds are permuted as a whole, so that signs which all seeds share are no evidence. The interval of Clopper and
    Pearson counts each seed once, so it is wider than necessary. There is no sample-size estimate: it would depend on
    how rare the rarer sign is, which few seeds cannot tell. x, y: (seeds, methods, epochs).
    """
    from statsmodels.stats.proportion import proportion_confint

    x, y = complete_seeds(x, y)
    n = len(x)
    if n == 0:
        return _untested(0)
    sx, sy = (np.sign(v).reshape(n, -1) for v in (x, y))
    evidence = _exchange_evidence(sx @ sy.T / sx.size)
    share, null_mean = (1 + evidence.estimate) / 2, (1 + evidence.null_mean) / 2
    low, high = proportion_confint(share * n, n, 1 - LEVEL, method="beta") if n > 1 else (np.nan, np.nan)
    return evidence._replace(estimate=share, low=float(low), high=float(high), null_mean=null_mean, kind="")


def complete_seeds(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Drop the methods that no seed has completely, then the seeds in which a remaining method is incomplete (NaN).

    x, y: (seeds, methods) or (seeds, methods, epochs).
    """
    complete = np.asarray(np.isfinite(x + y).all(axis=tuple(range(2, x.ndim))))
    methods = np.asarray(complete.any(axis=0))
    seeds = np.asarray(complete[:, methods].all(axis=1) & methods.any())
    return x[seeds][:, methods], y[seeds][:, methods]


def _unit_ranks(values: Floats) -> Floats:
    """Ranks along the last axis, centered and of length 1; NaN where the values do not vary."""
    ranks = stats.rankdata(values, axis=-1) - (values.shape[-1] + 1) / 2
    length = np.linalg.norm(ranks, axis=-1, keepdims=True)
    return np.asarray(ranks / np.where(length > 0, length, np.nan))


def _untested(n: int) -> Evidence:
    return Evidence(1, note=ONE_SEED) if n else Evidence(0, note=NO_SEED)


def _exchange_evidence(products: Floats) -> Evidence:
    """Evidence on the trace of a matrix of seeds, without interval. Argument: that of `exchange_p`."""
    n, trace = len(products), round(float(np.trace(products)), DIGITS)
    if n == 1:
        return _untested(1)._replace(estimate=trace)
    centered = (products - products.mean(axis=0) - products.mean(axis=1, keepdims=True) + products.mean()).round(DIGITS)
    spread = float(np.linalg.norm(centered))  # standard deviation under permutation, times the root of n - 1
    if spread == 0:
        return Evidence(n, trace, note=SAME)
    effect, null_mean = (round(float(value), DIGITS) for value in (np.trace(centered) / spread, products.sum() / n))
    evidence = Evidence(n, trace, null_mean=null_mean, effect=effect, kind="exchange" if n > TWO_SEEDS else "")
    if n < MIN_SEEDS_FOR_EXCHANGE:
        return evidence._replace(note=TOO_FEW_FOR_EXCHANGE)
    return evidence._replace(p=statistics.exchange_p(products))


def join_notes(*notes: str) -> str:
    """All notes that are not empty, in one line."""
    return "; ".join(filter(None, notes))
