"""An effect seen, and the level it is to be tested at -> how many seeds would show it.

The effect is taken for the true one. Seen over few seeds it is itself uncertain, and so is the number.
"""

import functools
from collections.abc import Callable

import numpy as np
from scipy import special

from greedymm.analysis.permutation import Ints, smallest_of_orders, smallest_of_signs
from greedymm.analysis.statistics import LEAST_FOR_RANKS, Floats

POWER = 0.8
MOST = 1000  # seeds
STRONGEST = 5.0  # effects beyond it need the fewest seeds there can be; scipy's tails end further out


def seeds_for_mean(effect: float, level: float) -> int | None:
    """Fewest seeds with which the sign-flip test of a mean reaches power 0.8.

    Args:
        effect: |mean| / standard deviation, above 0; may be infinite.
        level: at which p counts, in (0, 1).

    Returns:
        The power is that of the t test (noncentral t) at the largest p-value that the sign-flip test can give at or
        below the level; fewer seeds cannot give any. None: more than 1000 seeds.

    Example:
        >>> seeds_for_mean(2.0, 0.05)
        6
    """
    effect = min(effect, STRONGEST)
    about = ((special.ndtri(1 - level / 2) + special.ndtri(POWER)) / effect) ** 2  # by the normal approximation
    n = np.arange(2, min(2 * about + 30, MOST) + 1)  # generous: further out nothing is first, and all is slow
    attained = _attained(2, level, smallest_of_signs)[: len(n)]
    noncentral = effect * np.sqrt(n)
    critical = special.stdtrit(n - 1, 1 - attained / 2)
    return _first(n, attained, 1 - special.nctdtr(n - 1, noncentral, critical))


def seeds_for_rank(rho: float, level: float) -> int | None:
    """Fewest seeds with which the permutation test of Spearman's rho, of one value per seed, reaches power 0.8.

    Args:
        rho: its absolute value, in (0, 1].
        level: at which p counts, in (0, 1).

    Returns:
        By Fisher's transform (Bonett and Wright 2000). None: more than 1000 seeds.
    """
    effect = min(np.arctanh(min(rho, 1 - 1e-12)) / np.sqrt(1 + rho**2 / 2), STRONGEST)
    return _for_exchanges(effect * np.sqrt(_FROM_FOUR - 3), level)


def seeds_for_exchange(effect: float, level: float) -> int | None:
    """Fewest seeds with which a test that exchanges seeds of several values each reaches power 0.8.

    Args:
        effect: `permutation.Paired.effect`, above 0.
        level: at which p counts, in (0, 1).

    Returns:
        By the normal approximation of the sum that is tested. None: more than 1000 seeds.
    """
    return _for_exchanges(effect * np.sqrt(_FROM_FOUR - 1), level)


_FROM_FOUR = np.arange(LEAST_FOR_RANKS, MOST + 1)


def _for_exchanges(deviations: Floats, level: float) -> int | None:
    """Fewest of _FROM_FOUR with power, where each number of seeds has the test so many deviations from 0."""
    attained = _attained(LEAST_FOR_RANKS, level, smallest_of_orders)
    return _first(_FROM_FOUR, attained, special.ndtr(deviations - special.ndtri(1 - attained / 2)))


@functools.cache
def _attained(least: int, level: float, smallest: Callable[[int], float]) -> Floats:
    """The largest p-value, at or below the level, that the test can give for each n from `least`; 0: none."""
    steps = np.array([smallest(n) for n in range(least, MOST + 1)])
    return np.asarray(np.floor(level / steps + 1e-9) * steps)


def _first(n: Ints, attained: Floats, power: Floats) -> int | None:
    enough = (attained > 0) & (power >= POWER)
    return int(n[enough.argmax()]) if enough.any() else None
