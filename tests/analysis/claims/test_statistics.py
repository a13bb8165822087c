import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import DescrStatsW

from greedymm.analysis.claims.statistics import (
    POWER,
    equality_p,
    estimate,
    exchange_p,
    holm,
    rank_interval,
    seeds_for_equality,
    seeds_needed,
    sign_flip_p,
    smallest_exchange_p,
    t_p,
)


def plausible(hits: int, n: int, rate: float) -> bool:
    """Whether the number of hits agrees with the rate, 999 times in 1000."""
    low, high = stats.binom.interval(0.999, n, rate)
    return bool(low <= hits <= high)


# -- Intervals ----------------------------------------------------------------------------------------------


def test_interval_is_students_t() -> None:
    for n in (2, 3, 5, 30):
        values = np.random.default_rng(n).normal(0.7, 0.1, size=n)

        low, high = stats.t.interval(0.95, n - 1, loc=values.mean(), scale=stats.sem(values))
        assert estimate(values.tolist()) == pytest.approx((n, values.mean(), values.std(ddof=1), low, high))
    half = 4.302653 / math.sqrt(3)  # t(0.975; 2 degrees of freedom), sd 1
    assert estimate([1.0, 2.0, 3.0]) == pytest.approx((3, 2.0, 1.0, 2 - half, 2 + half), rel=1e-6)
    assert estimate([0.5] * 4) == (4, 0.5, 0.0, 0.5, 0.5)


def test_one_value_has_no_interval() -> None:
    assert estimate([0.7]) == pytest.approx((1, 0.7, np.nan, np.nan, np.nan), nan_ok=True)


def test_interval_is_clipped_to_the_possible_values() -> None:
    free, clipped = (estimate([0.9, 1.0], *bounds) for bounds in ((), (0, 1)))

    assert free.high > 1
    assert clipped == free._replace(high=1.0)
    assert estimate([0.0, 0.1], 0, 1).low == 0


def test_interval_of_a_rank_correlation() -> None:
    half = 1.959964 * math.sqrt(1.125 / 9)  # 1 + 0.5^2 / 2, over 12 - 3
    expected = math.tanh(0.549306 - half), math.tanh(0.549306 + half)

    assert rank_interval(0.5, 12) == pytest.approx(expected, rel=1e-5)
    assert np.isfinite(rank_interval(0.5, 4)).all()
    for rho, n in [(0.5, 3), (1.0, 9), (-1.0, 9)]:
        assert np.isnan(rank_interval(rho, n)).all()


def test_intervals_of_rank_correlations_cover_as_often_as_they_say() -> None:
    rng, truth, n = np.random.default_rng(0), 6 / math.pi * math.asin(0.6 / 2), 30  # Spearman's rho of normal values
    pairs = rng.multivariate_normal([0, 0], [[1, 0.6], [0.6, 1]], size=(1000, n))
    ranks = stats.rankdata(pairs, axis=1)
    intervals = [rank_interval(float(np.corrcoef(r.T)[0, 1]), n) for r in ranks]

    assert 0.92 < np.mean([low <= truth <= high for low, high in intervals]) < 0.98


# -- P-values -----------------------------------------------------------------------------------------------


def test_holm_counts_only_tests() -> None:
    # Sorted: 0.005 * 4, 0.01 * 3, 0.03 * 2, 0.04 * 1, which may not fall below the one before.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([math.nan, 0.5, 0.02, math.nan, 0.9]) == pytest.approx([math.nan, 1, 0.06, math.nan, 1], nan_ok=True)
    assert holm([]).tolist() == []
    p = np.random.default_rng(0).uniform(size=20) ** 3
    assert holm(p) == pytest.approx(multipletests(p, method="holm")[1])


def test_students_t_is_scipys_and_equality_is_that_of_statsmodels() -> None:
    for n in (3, 5, 30):
        x = np.random.default_rng(n).normal(0.3, 1, size=n)

        assert t_p(x) == t_p(-x) == pytest.approx(stats.ttest_1samp(x, 0).pvalue)
        for margin in (0.01, 0.5, 2.0):
            p, (_, p_lower, _), (_, p_upper, _) = DescrStatsW(x).ttost_mean(-margin, margin)
            assert equality_p(x, margin) == pytest.approx((p_lower, p_upper))
            assert max(equality_p(x, margin)) == pytest.approx(p)


def test_sign_flips_are_counted_as_by_hand() -> None:
    for values, p in [
        ([1, 2, 3], 2 / 8),  # no other sum is as large as 6
        ([-1, 2, 3], 4 / 8),  # 4: itself and 6
        ([1, -1], 1),
        ([0, 0, 0], 1),
    ]:
        x = np.array(values, dtype=float)
        assert sign_flip_p(x) == sign_flip_p(-x) == p


def test_sign_flips_of_ranks_are_wilcoxons_test() -> None:
    for n in (5, 9, 14):
        x = np.random.default_rng(n).normal(0.4, 1, size=n)
        signed_ranks = stats.rankdata(abs(x)) * np.sign(x)

        assert sign_flip_p(signed_ranks) == pytest.approx(stats.wilcoxon(x, method="exact").pvalue)


def test_sums_that_differ_only_by_rounding_are_equal() -> None:
    tenths = np.array([0.1, 0.2, -0.3, 0.7, 0.6])

    assert sign_flip_p(tenths) == sign_flip_p(10 * tenths) == sign_flip_p(np.array([1.0, 2, -3, 7, 6]))
    ends = np.array([0.1, 0.2, 0.3])
    assert exchange_p(np.outer(ends, [1, 1, 1])) == 1  # 0.1 + 0.2 + 0.3 in any order


def test_exchanges_of_seeds_are_spearmans_exact_test() -> None:
    for n in (3, 5, 7):
        x, y = np.random.default_rng(n).normal(size=(2, n))
        rx = stats.rankdata(x)

        def rho(z: NDArray[np.float64], x: NDArray[np.float64] = x) -> Any:
            return stats.spearmanr(x, z).statistic

        reference = stats.permutation_test((y,), rho, permutation_type="pairings", vectorized=False)
        assert exchange_p(np.outer(rx, stats.rankdata(y))) == pytest.approx(reference.pvalue)


def test_drawn_p_values_are_deterministic_and_close_to_the_t_test() -> None:
    rng = np.random.default_rng(2)
    x, y = rng.normal(0.3, 1, size=(2, 30))
    ranks = np.outer(stats.rankdata(x), stats.rankdata(y))

    assert sign_flip_p(x) == sign_flip_p(x) == pytest.approx(stats.ttest_1samp(x, 0).pvalue, abs=0.02)
    assert exchange_p(ranks) == exchange_p(ranks) == pytest.approx(stats.spearmanr(x, y).pvalue, abs=0.02)


def test_no_p_is_below_the_smallest() -> None:
    for n in (2, 3, 5, 14, 15, 40):
        assert sign_flip_p(np.arange(1.0, n + 1)) == pytest.approx(2 / 2**n if n <= 14 else 2 / 20_000)
    for n, smallest in [(2, 1), (3, 1 / 3), (7, 2 / 5040), (8, 1e-4), (30, 1e-4)]:
        assert smallest_exchange_p(n) == pytest.approx(smallest)
        p = exchange_p(np.outer(np.arange(n), np.arange(n)).astype(float))
        assert smallest - 1e-12 <= p <= max(smallest, 3e-4) + 1e-12  # 8! orders: a draw may be the identity


@pytest.mark.slow
def test_no_difference_gives_false_alarms_at_the_attainable_rate() -> None:
    rng = np.random.default_rng(1)
    for n, attainable in [(6, 2 / 64), (8, 12 / 256)]:
        for x in (rng.normal(size=(3000, n)), rng.laplace(size=(3000, n))):
            assert plausible(sum(sign_flip_p(row) <= 0.05 for row in x), 3000, attainable)


# -- Seeds needed -------------------------------------------------------------------------------------------


def test_many_seeds_are_those_of_the_t_test() -> None:
    for effect, level in [(0.3, 0.05), (0.5, 0.01), (1.0, 0.0003)]:
        seeds = seeds_needed("mean", effect, level)
        assert seeds is not None

        def power(n: int, effect: float = effect, level: float = level) -> float:
            return float(stats.nct.sf(stats.t.isf(level / 2, n - 1), n - 1, effect * math.sqrt(n)))

        assert power(seeds) >= POWER > power(seeds - 1)


def test_seeds_needed_for_a_correlation_are_those_of_fishers_transform() -> None:
    z = math.atanh(0.5) / math.sqrt(1 + 0.5**2 / 2)
    expected = 3 + ((1.959964 + 0.841621) / z) ** 2

    assert seeds_needed("rank", 0.5, 0.05) == math.ceil(expected)
    assert seeds_needed("exchange", 0.5, 0.05) == math.ceil(1 + ((1.959964 + 0.841621) / 0.5) ** 2)


def test_a_perfect_correlation_needs_what_the_smallest_p_needs() -> None:
    for level, orders in [(0.05, 5), (0.01, 6), (0.0025, 7), (0.0005, 7)]:
        assert seeds_needed("rank", 1.0, level) == orders
        assert smallest_exchange_p(orders) <= level
    assert seeds_needed("mean", 1e9, 0.05) == 3


def test_tiny_effects_and_levels_below_the_smallest_p_have_no_answer() -> None:
    for kind, effect, level in [("mean", 1e-9, 0.05), ("rank", 1e-9, 0.05), ("rank", 1.0, 1e-7)]:
        assert seeds_needed(kind, effect, level) is None
    for effect, margin in [(1.0, 1.0), (0.5, 0.500001), (2.0, 1.0)]:
        assert seeds_for_equality(effect, margin, 0.05) is None


@pytest.mark.slow
def test_tests_of_a_mean_have_the_power_with_the_seeds_needed() -> None:
    def power(n: int, effect: float, test: Callable[[NDArray[np.float64]], float], level: float) -> float:
        samples = np.random.default_rng(n).normal(effect, 1, size=(2000, n))
        return float(np.mean([test(values) <= level for values in samples]))

    for effect, level in [(0.7, 0.05), (1.5, 0.01), (3.0, 0.0025), (8.0, 0.005)]:
        seeds = seeds_needed("mean", effect, level)
        assert seeds is not None
        assert power(seeds, effect, t_p, level) > POWER - 0.03
        assert seeds == 3 or power(seeds - 1, effect, t_p, level) < POWER + 0.03
    for effect, margin, level in [(0.0, 1.0, 0.05), (0.3, 1.0, 0.05), (0.5, 3.0, 0.01)]:
        seeds = seeds_for_equality(effect, margin, level)
        assert seeds is not None
        equal = partial(lambda x, margin: max(equality_p(x, margin)), margin=margin)
        assert power(seeds, effect, equal, level) > POWER - 0.03
        assert power(seeds - 1, effect, equal, level) < POWER + 0.03
