import math

import numpy as np
import pytest
from scipy import stats

from greedymm.analysis.statistics import estimate, holm, rank_interval, share_interval


@pytest.mark.parametrize("n", [2, 3, 5, 30])
def test_interval_is_students_t(n: int) -> None:
    values = np.random.default_rng(n).normal(0.7, 0.1, size=n)

    found = estimate(values.tolist())

    low, high = stats.t.interval(0.95, n - 1, loc=values.mean(), scale=stats.sem(values))
    assert found == pytest.approx((n, values.mean(), values.std(ddof=1), low, high))


def test_interval_of_three_values_is_as_by_hand() -> None:
    found = estimate([1.0, 2.0, 3.0])

    half = 4.302653 / math.sqrt(3)  # t(0.975; 2 degrees of freedom), sd 1
    assert found == pytest.approx((3, 2.0, 1.0, 2 - half, 2 + half), rel=1e-6)


def test_a_single_value_has_no_interval() -> None:
    found = estimate([0.7])

    assert (found.n, found.mean) == (1, 0.7)
    assert all(math.isnan(x) for x in (found.sd, found.low, found.high))


def test_equal_values_have_an_interval_of_no_width() -> None:
    assert estimate([0.5] * 4) == (4, 0.5, 0.0, 0.5, 0.5)


def test_an_interval_ends_where_no_value_can_be() -> None:
    free, bounded = (estimate([0.9, 1.0], *bounds) for bounds in ((), (0, 1)))

    assert free.high > 1
    assert bounded == free._replace(high=1.0)
    assert estimate([0.0, 0.1], 0, 1).low == 0


def test_no_value_at_all_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least one value"):
        estimate([])


@pytest.mark.parametrize(("hits", "n"), [(0, 3), (3, 3), (2, 5), (9, 10)])
def test_interval_of_a_share_is_scipys(hits: int, n: int) -> None:
    wanted = stats.binomtest(hits, n).proportion_ci(0.95, method="exact")

    assert share_interval(hits / n, n) == pytest.approx((wanted.low, wanted.high))


def test_interval_of_a_share_is_between_those_of_whole_counts() -> None:
    below, between, above = (share_interval(hits / 4, 4) for hits in (2, 2.5, 3))

    assert below[0] < between[0] < above[0]
    assert below[1] < between[1] < above[1]


def test_interval_of_a_rank_correlation_is_as_by_hand() -> None:
    low, high = rank_interval(0.5, 12)

    half = 1.959964 * math.sqrt(1.125 / 9)  # 1 + 0.5^2 / 2, over 12 - 3
    assert (low, high) == pytest.approx((math.tanh(0.549306 - half), math.tanh(0.549306 + half)), rel=1e-5)


@pytest.mark.parametrize(("rho", "n"), [(0.5, 3), (1.0, 9), (-1.0, 9)])
def test_a_rank_correlation_of_too_few_or_without_variance_has_no_interval(rho: float, n: int) -> None:
    assert all(math.isnan(bound) for bound in rank_interval(rho, n))


def test_intervals_of_rank_correlations_cover_as_often_as_they_say() -> None:
    rng, truth, n = np.random.default_rng(0), 6 / math.pi * math.asin(0.6 / 2), 30  # Spearman's rho of normal values
    pairs = rng.multivariate_normal([0, 0], [[1, 0.6], [0.6, 1]], size=(1000, n))
    ranks = stats.rankdata(pairs, axis=1)
    found = [rank_interval(float(np.corrcoef(r.T)[0, 1]), n) for r in ranks]

    assert 0.92 < np.mean([low <= truth <= high for low, high in found]) < 0.98


def test_holm_is_as_by_hand() -> None:
    # Sorted: 0.005 * 4, 0.01 * 3, 0.03 * 2, 0.04 * 1, which may not fall below the one before.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_holm_counts_only_what_was_tested() -> None:
    assert holm([math.nan, 0.5, 0.02, math.nan, 0.9]) == pytest.approx([math.nan, 1, 0.06, math.nan, 1], nan_ok=True)
    assert holm([]).tolist() == []


def test_holm_is_at_most_bonferroni_and_at_least_the_largest_p_alone() -> None:
    p = np.random.default_rng(0).uniform(size=40)

    corrected = holm(p)

    assert (corrected <= np.minimum(40 * p, 1)).all()
    assert (corrected >= p).all()
    assert (np.diff(corrected[np.argsort(p)]) >= 0).all()
