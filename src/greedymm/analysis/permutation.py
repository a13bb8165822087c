"""Values over few seeds -> p-values that assume no distribution: all re-arrangements, or seeded draws of them.

All p-values are two-sided: twice the smaller tail, at most 1, as `scipy.stats.permutation_test` has it. The same
values give the same p-value, always.
"""

import functools
import itertools
import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import stats
from scipy.optimize import linear_sum_assignment

from greedymm.analysis.statistics import DIGITS, Floats, estimate, rank_interval, share_interval

EXACT_SIGNS = 14  # seeds up to which all 2^n sign flips are counted
EXACT_ORDERS = 7  # seeds up to which all n! orders are counted
DRAWS = 19_999  # of re-arrangements beyond that
LEAST = 2 / (DRAWS + 1)  # no p of draws is below
CHUNK = 2_000_000  # values drawn at once: bounds the memory
SLACK = 1e-9  # sums that differ by rounding only count as equal

Ints = npt.NDArray[np.int64]


def sign_flip(values: npt.ArrayLike) -> float:
    """P-value of paired differences (or of values) that are symmetric about 0: the sign-flip test of their mean.

    Args:
        values: shape (seeds,), finite. Where two methods do not differ, each difference is as likely as its negative.

    Returns:
        A number in [`smallest_of_signs(n)`, 1]; exact for n <= 14, else from 19,999 seeded draws.

    Raises:
        ValueError: if there is no value.

    Example:
        >>> sign_flip([0.1, 0.2, 0.3])
        0.25
    """
    x = np.asarray(values, dtype=float)
    if x.size == 0:
        raise ValueError("a test needs at least one value")
    null = np.concatenate([2 * (flips @ x) - x.sum() for flips in _flips(x.size)])
    return _two_sided(null, float(x.sum()), exact=x.size <= EXACT_SIGNS)


def smallest_of_signs(n: int) -> float:
    """Smallest p-value that `sign_flip` can give for n seeds: 2 / 2^n, or 2 / 20,000 beyond 14 seeds."""
    return min(1.0, 2 / (2**n if n <= EXACT_SIGNS else DRAWS + 1))


def smallest_of_orders(n: int) -> float:
    """Smallest p-value that `rank_correlation` can give for n whole seeds: 2 / n!, or 2 / 20,000 beyond 7 seeds."""
    return min(1.0, 2 / (math.factorial(n) if n <= EXACT_ORDERS else DRAWS + 1))


class Paired(NamedTuple):
    """How two measures go together over n seeds, its 95 % interval, and the test that exchanges the seeds."""

    n: int
    value: float
    low: float
    high: float
    p: float
    smallest_p: float
    exchanged: float = np.nan  # the value where seeds are exchanged, mean over all exchanges
    effect: float = 0.0  # how far the right pairs exceed exchanged ones: deviations of those, by the root of n - 1


NOTHING = Paired(0, np.nan, np.nan, np.nan, np.nan, np.nan)


def rank_correlation(x: npt.ArrayLike, y: npt.ArrayLike) -> Paired:
    """Spearman's rho of x and y among runs of the same method, all methods pooled.

    Ranks are taken within each method, so that what the methods alone do to both counts for nothing; with one
    method it is Spearman's rho. Runs of one seed share their data and initial weights: for the p-value the seeds'
    rows of y are permuted whole, among seeds that have the same methods. The interval counts a seed once, whatever the
    number of its runs: its coverage is at least 95 %, and with several methods it can hold 0 where p is small.

    Args:
        x: shape (seeds, methods), not a number where there is no run.
        y: the same shape.

    Returns:
        rho in [-1, 1]; not a number, as is p, where x or y does not vary within any method.
    """
    x, y = (np.asarray(v, dtype=float) for v in (x, y))
    there = np.isfinite(x) & np.isfinite(y)
    rx, ry = (_ranks(np.where(there, v, np.nan)[there.any(axis=1)]) for v in (x, y))
    there = there[there.any(axis=1)]
    n, scale = len(rx), float(np.sqrt((rx**2).sum() * (ry**2).sum()))
    if scale == 0:
        return NOTHING._replace(n=n)
    found = _exchanged(rx @ ry.T / scale, there)
    low, high = rank_interval(found.value, n)
    return found._replace(low=low, high=high)


def path_correlation(x: npt.ArrayLike, y: npt.ArrayLike) -> Paired:
    """Mean over seeds, and within a seed over its runs, of Spearman's rho of two measures over a run's epochs.

    Both may drift in the same way in every run, whatever they have to do with each other. So for the p-value the
    seeds' paths of y are permuted whole, among seeds that have the same epochs of the same methods: what any seed's
    path would show counts for nothing. The interval is Student's t of the seeds' means. Runs in which one of the
    measures never varies have no rho, and count for nothing.

    Args:
        x: shape (seeds, methods, epochs), not a number where there is none.
        y: the same shape.

    Returns:
        rho in [-1, 1]; n: seeds with a rho. Where there is none, n is the number of seeds with a value.
    """
    x, y = (np.asarray(v, dtype=float) for v in (x, y))
    there = np.isfinite(x) & np.isfinite(y)
    paths = [_unit_paths(np.where(there, v, np.nan)) for v in (x, y)]
    used = np.asarray(paths[0].any(axis=2) & paths[1].any(axis=2))[..., None]
    seeds = used.any(axis=(1, 2))
    n = int(seeds.sum())
    if n == 0:
        return NOTHING._replace(n=int(there.any(axis=(1, 2)).sum()))
    rx, ry = (np.where(used, v, 0)[seeds].reshape(n, -1) for v in paths)
    together = rx @ ry.T / used.sum(axis=(1, 2))[seeds, None]  # a seed counts once, whatever the number of its runs
    of_seeds = estimate(np.diag(together).tolist(), -1, 1)
    found = _exchanged(together / n, (there & used)[seeds].reshape(n, -1))
    return found._replace(low=of_seeds.low, high=of_seeds.high)


def sign_agreement(x: npt.ArrayLike, y: npt.ArrayLike) -> Paired:
    """Share of a run's epochs in which two measures have the same sign, mean over a seed's runs, then over seeds.

    A 0 is half an agreement.

    The data may fix both signs, whatever the measures have to do with each other. So for the p-value the seeds' signs
    of y are permuted whole, among seeds that have the same epochs of the same methods, as in `path_correlation`.

    Args:
        x: shape (seeds, methods, epochs), not a number where there is none. Of one value per run: one epoch.
        y: the same shape.

    Returns:
        A share in [0, 1], with the interval of Clopper and Pearson, a seed counted once.
    """
    x, y = (np.asarray(v, dtype=float) for v in (x, y))
    there = np.isfinite(x) & np.isfinite(y)
    seeds = there.any(axis=(1, 2))
    n, of_seed = int(seeds.sum()), there.any(axis=2).sum(axis=1)  # runs: a seed counts once, whatever their number
    if n == 0:
        return NOTHING
    weight = 1 / np.sqrt(np.maximum(there.sum(axis=2, keepdims=True), 1))  # of both: a run counts once
    sx, sy = ((np.sign(np.where(there, v, 0)) * weight)[seeds].reshape(n, -1) for v in (x, y))
    found = _exchanged(sx @ sy.T / (n * of_seed[seeds, None]), there[seeds].reshape(n, -1))
    share, exchanged = (1 + found.value) / 2, (1 + found.exchanged) / 2
    low, high = share_interval(share, n)
    return found._replace(value=share, low=low, high=high, exchanged=exchanged)


def _unit_paths(values: Floats) -> Floats:
    """Ranks along the last axis, less their mean, of length 1; 0 where there is no value or none that varies."""
    flat = _ranks(values.reshape(-1, values.shape[-1]).T).T.reshape(values.shape)
    length = np.sqrt((flat**2).sum(axis=-1, keepdims=True))
    return np.asarray(np.divide(flat, length, out=np.zeros_like(flat), where=length > 0))


def _ranks(values: Floats) -> Floats:
    """Ranks within each column, less their mean; 0 where there is no value."""
    if not len(values):
        return values
    ranks = stats.rankdata(values, axis=0, nan_policy="omit")
    counts = np.isfinite(values).sum(axis=0)
    return np.asarray(np.nan_to_num(ranks - (counts + 1) / 2))


def _exchanged(together: Floats, there: npt.NDArray[np.bool_]) -> Paired:
    """The trace, without interval, and its test under orders of the columns.

    Args:
        together: shape (seeds, seeds), what x of one seed and y of another add to the value.
        there: shape (seeds, values), which of its values a seed has: those that have the same change places.
    """
    n = len(together)
    pattern = np.unique(there, axis=0, return_inverse=True)[1].ravel()
    value = round(float(np.trace(together)), DIGITS)
    null = np.concatenate([together[np.arange(n), orders].sum(axis=1) for orders in _orders(pattern)])
    exact = n <= EXACT_ORDERS
    p = _two_sided(null, float(np.trace(together)), exact=exact)
    blocks = [together[np.ix_(rows, rows)] for rows in (np.flatnonzero(pattern == g) for g in np.unique(pattern))]
    ends = null.max(), null.min()
    if not exact:
        slack = SLACK * np.abs(null).max()
        ends = _furthest(blocks, ends[0] + slack), -_furthest([-block for block in blocks], slack - ends[1])
    smallest = min(_two_sided(null, end, exact=exact) for end in ends)  # tied values: not that of one order alone
    exchanged = sum(float(block.sum()) / len(block) for block in blocks)
    centred = [b - b.mean(axis=0) - b.mean(axis=1, keepdims=True) + b.mean() for b in blocks]
    spread = math.sqrt(sum(float((block**2).sum()) for block in centred))  # of the trace, times the root of n - 1
    excess = sum(float(np.trace(block)) for block in centred)
    effect = excess / spread if spread > SLACK * np.abs(together).max() else 0.0
    return Paired(n, value, np.nan, np.nan, p, smallest, round(exchanged, DIGITS), effect)


def _furthest(blocks: list[Floats], drawn: float) -> float:
    """The largest value that any order can give; where some order is soon seen to exceed all those drawn, its value.

    Beyond all those drawn every value has the same p, and of thousands of seeds the best order takes seconds to find.
    """
    soon = sum(_one_by_one(block) for block in blocks)
    if soon > drawn:
        return soon
    return sum(float(block[linear_sum_assignment(block, maximize=True)].sum()) for block in blocks)


def _one_by_one(block: Floats) -> float:
    """The value of an order in which each seed in turn takes what is best for it among what is left."""
    left, value = block.copy(), 0.0
    for row, of_seed in zip(left, block, strict=True):
        taken = int(row.argmax())
        value += float(of_seed[taken])
        left[:, taken] = -np.inf
    return value


def _two_sided(null: Floats, observed: float, *, exact: bool) -> float:
    slack = SLACK * np.abs(null).max()
    seen = 0 if exact else 1  # what was observed is one of the draws (Phipson and Smyth 2010)
    tails = [(null >= observed - slack).sum() + seen, (null <= observed + slack).sum() + seen]
    return float(min(1.0, 2 * min(tails) / (len(null) + seen)))


def _flips(n: int) -> Iterator[Floats]:
    """Which of n values keep their sign, (flips, n), 0 or 1: all 2^n, or draws."""
    if n <= EXACT_SIGNS:
        yield _all_flips(n)
        return
    rng = np.random.default_rng(0)
    for size in _chunks(n):
        yield rng.integers(0, 2, size=(size, n), dtype=np.int8).astype(float)


@functools.cache
def _all_flips(n: int) -> Floats:
    return np.asarray((np.arange(2**n)[:, None] >> np.arange(n)) & 1, dtype=float)


def _orders(pattern: Ints) -> Iterator[Ints]:
    """Orders of n seeds, (orders, n), in which seeds of the same pattern change places: all, or draws."""
    n = len(pattern)
    if n <= EXACT_ORDERS:
        every = _all_orders(n)
        yield every[(pattern[every] == pattern).all(axis=1)]
        return
    rng = np.random.default_rng(0)
    for size in _chunks(n):
        orders = np.tile(np.arange(n), (size, 1))
        for members in (np.flatnonzero(pattern == which) for which in np.unique(pattern)):
            orders[:, members] = rng.permuted(orders[:, members], axis=1)
        yield orders


@functools.cache
def _all_orders(n: int) -> Ints:
    return np.array(list(itertools.permutations(range(n))))


def _chunks(n: int) -> Iterator[int]:
    """Sizes of the chunks in which DRAWS rows of n values are drawn."""
    size = max(1, CHUNK // n)
    for start in range(0, DRAWS, size):
        yield min(size, DRAWS - start)
