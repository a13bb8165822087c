"""Values over few seeds -> estimates with intervals, p-values, and seeds needed.

Student's t assumes normal values. Permutation tests assume no distribution: few rearrangements are enumerated, many are
drawn with a fixed seed. statsmodels takes long to import, so it is imported where it is used.
"""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import special, stats

LEVEL = 0.95  # of all intervals
POWER = 0.8
DIGITS = 12  # sums of equal numbers differ by rounding; it must not make a difference
RESAMPLES = 19_999  # enough to enumerate the sign flips of 14 seeds and the orders of 7
MIN_P = 2 / (RESAMPLES + 1)
MIN_SEEDS_FOR_T = 3
MIN_SEEDS_FOR_FLIPS = 6  # 2 / 2^6 is the first below 0.05
MIN_SEEDS_FOR_EXCHANGE = 5  # 2 / 5! is the first below 0.05
MIN_SEEDS_FOR_RANKS = 4  # the variance of Fisher's transform divides by n - 3
MAX_SEEDS = 1000  # of a sample-size estimate
MAX_EFFECT = 20.0  # larger effects need the same number of seeds, and the noncentral t overflows

Floats = npt.NDArray[np.float64]


class Estimate(NamedTuple):
    """Mean over n seeds, standard deviation, and 95 % interval of the mean; NaN where n is 1."""

    n: int
    mean: float
    sd: float
    low: float
    high: float


def estimate(values: Sequence[float] | Floats, minimum: float = -np.inf, maximum: float = np.inf) -> Estimate:
    """Mean of one or more independent values, and Student's t interval, clipped to the range of possible values."""
    n, mean = len(values), float(np.mean(values))
    if n == 1:
        return Estimate(1, mean, np.nan, np.nan, np.nan)
    sd = float(np.std(values, ddof=1))
    half = float(stats.t.ppf((1 + LEVEL) / 2, n - 1)) * sd / n**0.5
    return Estimate(n, mean, sd, max(mean - half, minimum), min(mean + half, maximum))


def rank_interval(rho: float, n: int) -> tuple[float, float]:
    """95 % interval of Spearman's rho: Fisher's transform with the variance of Bonett and Wright (2000).

    SciPy and statsmodels have intervals of Pearson's correlation only. NaN where n < 4 or rho is -1 or 1.
    """
    if n < MIN_SEEDS_FOR_RANKS or not abs(rho) < 1:
        return np.nan, np.nan
    half = stats.norm.ppf((1 + LEVEL) / 2) * np.sqrt((1 + rho**2 / 2) / (n - 3))
    return float(np.tanh(np.arctanh(rho) - half)), float(np.tanh(np.arctanh(rho) + half))


def holm(p: npt.ArrayLike) -> Floats:
    """Correct the p-values of a family of tests for their number (Holm 1979). NaN is no test, and stays NaN.

    statsmodels has the same, but collects garbage at each call, which takes 70 ms.

    Example:
        >>> holm([0.01, 0.04, 0.03]).tolist()
        [0.03, 0.06, 0.06]
    """
    corrected = np.array(p, dtype=float)
    order = np.argsort(corrected)[: np.isfinite(corrected).sum()]  # NaN is last
    products = corrected[order] * np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(1, np.maximum.accumulate(products))
    return corrected


def t_p(values: Floats) -> float:
    """Two-sided p-value of the mean of paired differences, (seeds,): Student's t test. The differences must vary.

    Example:
        >>> round(t_p(np.array([0.1, 0.2, 0.3])), 3)
        0.074
    """
    n, mean, sd, *_ = estimate(values)
    return float(2 * special.stdtr(n - 1, -abs(mean) / sd * n**0.5))


def equality_p(values: Floats, margin: float) -> tuple[float, float]:
    """P-values of two one-sided t tests (TOST, Schuirmann 1987): of a mean above -margin, and of one below margin.

    The mean is practically equal to 0 if both are small.
    """
    n, mean, sd, *_ = estimate(values)
    lower, upper = special.stdtr(n - 1, np.array([-mean - margin, mean - margin]) / sd * n**0.5)
    return float(lower), float(upper)


def sign_flip_p(values: Floats) -> float:
    """P-value of the mean of paired differences, (seeds,): the sign-flip test, exact for n <= 14.

    Example:
        >>> sign_flip_p(np.array([0.1, 0.2, 0.3]))
        0.25
    """
    return _permutation_p(values, lambda x, axis: x.sum(axis=axis).round(DIGITS), "samples")


def exchange_p(products: Floats) -> float:
    """P-value of the trace of a matrix of seeds, under permutations of its columns; exact for n <= 7.

    Two measures go together if their product is larger within a seed than between seeds. A seed's values are
    permuted as a whole, because runs and epochs of one seed are not independent.

    Args:
        products: shape (seeds, seeds): first measure of one seed times second measure of another seed.
    """
    seeds = np.arange(len(products))
    return _permutation_p(seeds, lambda order, axis: products[seeds, order].sum(axis=axis).round(DIGITS), "pairings")


def _permutation_p(values: npt.NDArray[Any], statistic: Callable[..., Floats], kind: str) -> float:
    options = {"vectorized": True, "n_resamples": RESAMPLES, "batch": 1000, "rng": 0}
    return float(stats.permutation_test((values,), statistic, permutation_type=kind, **options).pvalue)


def smallest_exchange_p(n: npt.ArrayLike) -> Floats:
    """Smallest p-value of `exchange_p` for n seeds: 2 / n!, at least MIN_P. Tied values may not reach it."""
    return np.asarray(np.clip(2 / special.factorial(n), MIN_P, 1))


def seeds_needed(kind: str, effect: float, level: float) -> int | None:
    """Fewest seeds with which a test reaches power 0.8, if the true effect is as large as the estimated one.

    The p-values of few permutations are discrete: each number of seeds tests at the largest p at or below the level.

    Args:
        kind: "mean": `t_p`. "rank": `exchange_p` of one run per seed, power by Fisher's transform (Bonett and Wright
            2000). "exchange": `exchange_p`, power of the z test.
        effect: above 0. "mean": mean / standard deviation. "rank": Spearman's rho. "exchange": z of the trace under
            permutation, divided by the root of n - 1.
        level: at which p counts, in (0, 0.05]. If more than 1000 seeds are needed, the result is None.

    Example:
        >>> seeds_needed("mean", 2.0, 0.05)
        5
    """
    from statsmodels.stats.power import NormalIndPower

    if kind == "mean":
        return _fewest(lambda n: _t_power(effect, n, level / 2))  # the other tail adds nothing
    n = np.arange(MIN_SEEDS_FOR_RANKS, MAX_SEEDS + 1)
    smallest = smallest_exchange_p(n)
    attained = np.floor(level / smallest + 1e-9) * smallest
    n, tail = n[attained > 0], attained[attained > 0] / 2
    fisher = np.arctanh(min(effect, 1 - 1e-12)) / np.sqrt(1 + effect**2 / 2)
    z, ddof = (fisher, 3) if kind == "rank" else (effect, 1)
    power = NormalIndPower(ddof).power(min(z, MAX_EFFECT), n, tail, ratio=0, alternative="larger")  # one sample
    enough = n[power >= POWER]
    return int(enough[0]) if len(enough) else None


def seeds_for_equality(effect: float, margin: float, level: float) -> int | None:
    """Fewest seeds with which both tests of `equality_p` reject with power 0.8. None: more than 1000, or none.

    Args:
        effect: absolute mean / standard deviation.
        margin: in standard deviations.
        level: at which both p count.
    """
    if effect >= margin:
        return None
    # Bonferroni's bound of the power of both.
    return _fewest(lambda n: _t_power(margin - effect, n, level) + _t_power(margin + effect, n, level) - 1)


def _t_power(effect: float, n: int, level: float) -> float:
    from statsmodels.stats.power import TTestPower

    return float(TTestPower().power(min(effect, MAX_EFFECT), n, level, alternative="larger"))


def _fewest(power: Callable[[int], float]) -> int | None:
    """Fewest seeds with power 0.8, which grows with their number. NaN, far beyond enough, counts as enough."""
    seeds = range(MIN_SEEDS_FOR_T, MAX_SEEDS + 1)
    index = bisect_left(seeds, POWER, key=power)
    return seeds[index] if index < len(seeds) else None
