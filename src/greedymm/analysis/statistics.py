"""Values over seeds -> how sure they are."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

LEVEL = 0.95


class Estimate(NamedTuple):
    """Mean over n seeds, standard deviation, and 95 % interval of the mean; not a number where n is 1."""

    n: int
    mean: float
    sd: float
    low: float
    high: float


def estimate(values: Sequence[float]) -> Estimate:
    """Mean and Student's t interval of independent values.

    Args:
        values: one per seed.

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
    return Estimate(n, mean, sd, mean - half, mean + half)
