"""One value per seed -> evidence: estimate, interval, test, and how many seeds would decide.

With one seed there is an estimate, and neither interval nor test.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
from scipy import stats

from greedymm.analysis.permutation import (
    Paired,
    path_correlation,
    rank_correlation,
    sign_agreement,
    sign_flip,
    smallest_of_signs,
)
from greedymm.analysis.power import seeds_for_exchange, seeds_for_mean, seeds_for_rank
from greedymm.analysis.statistics import DIGITS, Floats, estimate

LEAST_PAIRS = 2  # seeds, of which the one exchange says nothing: any two differ in the same or in opposite ways
NONE = "no seed has what it takes"
ONE = "one seed: no interval, no test"
UNSIGNED = "more than two modalities: d_util has no sign, no test"
SAME = "exchanging the seeds changes nothing: no test"
CONSTANT = "no rank correlation: one of the two is the same in all runs of each method"
FLAT = "no rank correlation: one of the two is the same at all epochs of each run"


class Evidence(NamedTuple):
    """What n seeds say on a claim; not a number where they say nothing."""

    n: int
    estimate: float = np.nan
    low: float = np.nan
    high: float = np.nan
    p: float = np.nan
    smallest_p: float = np.nan
    favour: float = 0.0  # above 0: speaks for the claim; below 0: against it
    seeds: Callable[[float], int | None] | None = None  # level -> seeds that would decide, for or against
    note: str = ""
    exchanged: float = np.nan  # the estimate with the seeds exchanged, where p is of what differs from it
    testable: bool = True  # with more seeds, if not with these


def of_mean(values: Floats, direction: int, most: float = np.inf) -> Evidence:
    """Evidence on the mean of one value per seed: Student's t interval, sign-flip test against 0.

    Args:
        values: shape (seeds,); what is not finite is left out.
        direction: 1 or -1, the sign that is claimed; 0: whichever the mean has.
        most: the interval ends at -most and most, which no mean can pass.
    """
    x = values[np.isfinite(values)].round(DIGITS)
    n = len(x)
    if n == 0:
        return Evidence(0, note=NONE)
    mean = estimate(x.tolist(), -most, most)
    favour = round(direction * mean.mean if direction else abs(mean.mean), DIGITS)
    found = Evidence(n, mean.mean, mean.low, mean.high, np.nan, smallest_of_signs(n), favour)
    if n == 1:
        return found._replace(note=ONE)
    effect = abs(mean.mean) / mean.sd if mean.sd > 0 else np.inf
    return found._replace(p=sign_flip(x), seeds=partial(seeds_for_mean, effect) if favour else None)


def of_ranks(x: Floats, y: Floats) -> Evidence:
    """Evidence on the rank correlation of two measures over runs, within methods; seeds are permuted whole.

    Args:
        x: shape (seeds, methods), not a number where there is no run.
        y: the same shape.
    """
    found = rank_correlation(x, y)
    if found.n > 1 and np.isnan(found.value):
        return Evidence(found.n, note=CONSTANT)
    needed = seeds_for_rank if x.shape[1] == 1 else seeds_for_exchange
    evidence = _of_pairs(found, _together(x, y) if found.n > 1 else "", needed)
    return evidence._replace(exchanged=np.nan)  # of ranks within methods it is 0


def of_paths(x: Floats, y: Floats) -> Evidence:
    """Evidence on the rank correlation of two measures over the epochs of a run; seeds are permuted whole.

    Args:
        x: shape (seeds, methods, epochs), not a number where there is none.
        y: the same shape.
    """
    found = path_correlation(x, y)
    if found.n > 1 and np.isnan(found.value):
        return Evidence(found.n, note=FLAT)
    return _of_pairs(found, _beside(found), seeds_for_exchange)


def of_signs(x: Floats, y: Floats) -> Evidence:
    """Evidence on the share in which two signs are the same; seeds are permuted whole. Arguments: as of `of_paths`.

    How many seeds would decide is not said: it hangs on how rare the rarer sign is, which few seeds do not tell.
    """
    found = sign_agreement(x, y)
    return _of_pairs(found, _beside(found), None)


def _of_pairs(found: Paired, note: str, needed: Callable[[float, float], int | None] | None) -> Evidence:
    """For the claim speaks what the right pairs of seeds have more of than exchanged ones."""
    if found.n == 0:
        return Evidence(0, note=NONE)
    if found.n == 1:
        return Evidence(1, found.value, smallest_p=1.0, note=ONE)
    shown = Evidence(found.n, found.value, found.low, found.high, note=note)
    if found.smallest_p == 1 and found.n > LEAST_PAIRS:
        return shown._replace(note=SAME)
    tested = shown._replace(p=found.p, smallest_p=found.smallest_p, favour=found.effect, exchanged=found.exchanged)
    if needed and found.effect and found.n > LEAST_PAIRS:
        return tested._replace(seeds=partial(needed, abs(found.effect)))
    return tested


def _beside(found: Paired) -> str:
    return f"{found.exchanged:.2f} with the seeds exchanged: p is of what differs from it"


def _together(x: Floats, y: Floats) -> str:
    """Says what is not tested, as the methods alone may make it: rho over all runs, whatever their method."""
    there = np.isfinite(x) & np.isfinite(y)
    runs = f"{there.sum()} runs"
    if x.shape[1] == 1:
        return runs
    return f"within methods, {runs}; {stats.spearmanr(x[there], y[there]).statistic:.2f} with the methods mixed"


def without_test(found: Evidence, why: str) -> Evidence:
    """The same estimate where there is nothing to test, and why."""
    note = f"{why}; {found.note}" if found.n <= 1 else why
    return found._replace(p=np.nan, smallest_p=np.nan, favour=0.0, seeds=None, note=note, exchanged=np.nan)


def unsigned(found: Evidence) -> Evidence:
    """The same estimate where several modalities leave d_util without a sign, however many seeds there are."""
    return without_test(found, UNSIGNED)._replace(testable=False)
