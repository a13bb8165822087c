"""Values over seeds -> how sure they are: estimates with intervals, and p-values corrected for their number."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import stats

LEVEL = 0.95
DIGITS = 12  # rounding alone must not make a difference of equal ones, or 1 less than 1
LEAST_FOR_RANKS = 4  # Fisher's variance divides by n - 3

Floats = npt.NDArray[np.float64]


class Estimate(NamedTuple):
    """Mean over n seeds, standard deviation, and 95 % interval of the mean; not a number where n is 1."""

    n: int
    mean: float
    sd: float
    low: float
    high: float


def estimate(values: Sequence[float], least: float = -np.inf, most: float = np.inf) -> Estimate:
    """Mean and Student's t interval of independent values.

    Args:
        values: one per seed.
        least: smallest value that there can be; the interval ends there, which leaves out no mean that could be.
        most: largest value that there can be.

    Raises:
        ValueError: if there is none.
    """
    n = len(values)
    if n == 0:
        raise ValueError("an estimate needs at least one value")
    mean = float(np.mean(values))
    if n == 1:
        return Estimate(1, mean, np.nan, np.nan, np.nan)
    sd = float(np.std(values, ddof=1))
    half = float(stats.t.ppf((1 + LEVEL) / 2, n - 1)) * sd / n**0.5
    return Estimate(n, mean, sd, max(mean - half, least), min(mean + half, most))


def share_interval(share: float, n: int) -> tuple[float, float]:
    """95 % interval of a share, after Clopper and Pearson (1934): exact, and never without width.

    Args:
        share: in [0, 1]; the mean over n seeds. Where a seed has several values, `share * n` need not be whole, and
            the interval is wider than it had to be.
        n: number of seeds, each counted once, whatever the number of its runs; at least 1.

    Returns:
        Bounds in [0, 1].

    Example:
        >>> [round(bound, 3) for bound in share_interval(1.0, 3)]
        [0.292, 1.0]
    """
    tail, hits = (1 - LEVEL) / 2, share * n
    low = stats.beta.ppf(tail, hits, n - hits + 1) if hits > 0 else 0.0
    high = stats.beta.ppf(1 - tail, hits + 1, n - hits) if hits < n else 1.0
    return float(low), float(high)


def rank_interval(rho: float, n: int) -> tuple[float, float]:
    """95 % interval of Spearman's rho: Fisher's transform with the variance of Bonett and Wright (2000).

    Args:
        rho: in [-1, 1].
        n: number of independent pairs.

    Returns:
        Bounds in (-1, 1); not a number where n < 4 or rho is -1 or 1, where the transform has no variance.
    """
    if n < LEAST_FOR_RANKS or not abs(rho) < 1:
        return np.nan, np.nan
    half = stats.norm.ppf((1 + LEVEL) / 2) * np.sqrt((1 + rho**2 / 2) / (n - 3))
    return float(np.tanh(np.arctanh(rho) - half)), float(np.tanh(np.arctanh(rho) + half))


def holm(p: npt.ArrayLike) -> Floats:
    """Correct p-values of a family of tests: the chance of any false alarm stays at the level (Holm 1979).

    Args:
        p: shape (tests,), in [0, 1]; not a number where nothing was tested, which does not count as a test.

    Returns:
        Corrected p-values, shape (tests,), at most 1, in the order of the input.

    Example:
        >>> holm([0.01, 0.04, 0.03]).tolist()
        [0.03, 0.06, 0.06]
    """
    raw = np.asarray(p, dtype=float)
    corrected = np.full_like(raw, np.nan)
    order = np.argsort(raw)[: np.isfinite(raw).sum()]  # NaN sorts to the end
    steps = raw[order] * np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return corrected
