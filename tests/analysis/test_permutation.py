import itertools
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from greedymm.analysis.permutation import (
    EXACT_SIGNS,
    path_correlation,
    rank_correlation,
    sign_agreement,
    sign_flip,
    smallest_of_orders,
    smallest_of_signs,
)

ALPHA = 0.05


def drawn(kind: str, size: tuple[int, ...]) -> NDArray[np.float64]:
    """Differences between two that do not differ."""
    rng = np.random.default_rng(1)
    if kind == "normal":
        return rng.normal(size=size)
    return rng.exponential(size=size) - rng.exponential(size=size)  # of two skewed values


def plausible(hits: int, n: int, rate: float) -> bool:
    """Whether so many hits are within what chance makes of the rate, 999 times in 1000."""
    low, high = stats.binom.interval(0.999, n, rate)
    return bool(low <= hits <= high)


# -- Sign flips -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "p"),
    [
        ([1.0, 2.0, 3.0], 2 / 8),  # none of the others is as large as 6
        ([-1.0, 2.0, 3.0], 4 / 8),  # 4: itself and 6
        ([1.0, -1.0], 1.0),
        ([0.0, 0.0, 0.0], 1.0),
        ([5.0], 1.0),
    ],
)
def test_sign_flips_are_counted_as_by_hand(values: list[float], p: float) -> None:
    assert sign_flip(values) == p
    assert sign_flip([-v for v in values]) == p


@pytest.mark.parametrize("n", [2, 5, 8])
def test_sign_flips_agree_with_scipys_permutation_test(n: int) -> None:
    for values in np.random.default_rng(n).normal(0.5, 1, size=(5, n)):
        wanted = stats.permutation_test((values,), np.mean, permutation_type="samples", n_resamples=np.inf)

        assert sign_flip(values) == pytest.approx(wanted.pvalue)


@pytest.mark.parametrize("n", [5, 9])
def test_sign_flips_of_ranks_are_wilcoxons_test(n: int) -> None:
    values = np.random.default_rng(n).normal(0.4, 1, size=n)

    signed_ranks = stats.rankdata(abs(values)) * np.sign(values)

    assert sign_flip(signed_ranks) == pytest.approx(stats.wilcoxon(values, method="exact").pvalue)


def test_sums_that_differ_by_rounding_only_count_as_equal() -> None:
    tenths = np.array([0.1, 0.2, -0.3, 0.7, 0.6])

    assert sign_flip(tenths) == sign_flip(10 * tenths) == sign_flip([1, 2, -3, 7, 6])


@pytest.mark.parametrize("effect", [0.0, 0.4, 0.6])
def test_draws_come_close_to_the_exact_p_and_are_the_same_each_time(
    effect: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = np.random.default_rng(0).normal(effect, 1, size=EXACT_SIGNS)
    exact = sign_flip(values)
    monkeypatch.setattr("greedymm.analysis.permutation.EXACT_SIGNS", 0)

    assert sign_flip(values) == sign_flip(values) == pytest.approx(exact, abs=0.015)


@pytest.mark.parametrize("n", [1, 2, 3, 5, 14, 15, 40])
def test_nothing_is_below_the_smallest_p(n: int) -> None:
    assert sign_flip(np.arange(1, n + 1)) == pytest.approx(smallest_of_signs(n))
    assert smallest_of_signs(n) == (2 / 2**n if n <= 14 else 2 / 20_000)


def test_no_value_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least one value"):
        sign_flip([])


@pytest.mark.parametrize("kind", ["normal", "skewed"])
@pytest.mark.parametrize(("n", "attainable"), [(6, 2 / 64), (8, 12 / 256)])
def test_no_difference_gives_false_alarms_at_the_attainable_rate(n: int, attainable: float, kind: str) -> None:
    alarms = [sign_flip(values) <= ALPHA for values in drawn(kind, (3000, n))]

    assert plausible(sum(alarms), 3000, attainable)


# -- Rank correlation ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [3, 5, 6])
def test_of_one_method_it_is_spearmans_rho_with_scipys_exact_p(n: int) -> None:
    x, y = np.random.default_rng(n).normal(size=(2, n))

    found = rank_correlation(x[:, None], y[:, None])

    def rho(z: NDArray[np.float64]) -> Any:
        return stats.spearmanr(x, z).statistic

    wanted = stats.permutation_test((y,), rho, permutation_type="pairings", n_resamples=np.inf, vectorized=False)
    assert (found.n, found.value, found.p) == pytest.approx((n, rho(y), wanted.pvalue))


def test_ties_share_their_rank() -> None:
    x, y = np.array([1.0, 1.0, 2.0, 3.0, 3.0]), np.array([2.0, 1.0, 2.0, 2.0, 5.0])

    assert rank_correlation(x[:, None], y[:, None]).value == pytest.approx(stats.spearmanr(x, y).statistic)


def test_what_the_methods_alone_do_counts_for_nothing() -> None:
    x, y = np.random.default_rng(0).normal(size=(2, 6, 3))
    shift = np.array([0.0, 100.0, 200.0])

    assert rank_correlation(x + shift, y + shift) == rank_correlation(x, y)


def test_seeds_are_permuted_whole_as_by_hand() -> None:
    x, y = np.random.default_rng(3).normal(size=(2, 4, 2))
    rx, ry = (stats.rankdata(v, axis=0) - 2.5 for v in (x, y))
    every = [(rx * ry[list(order)]).sum() for order in itertools.permutations(range(4))]
    above, below = (sum(sign * (e - every[0]) >= -1e-9 for e in every) for sign in (1, -1))

    found = rank_correlation(x, y)

    assert found.p == min(1, 2 * min(above, below) / 24)
    assert found.value == pytest.approx(every[0] / 10)  # 5 for each of two methods
    assert found.smallest_p == 2 / 24


def test_seeds_change_places_with_those_that_have_the_same_methods() -> None:
    x = np.array([[1.0, 1.0], [2.0, 2.0], [3.0, 3.0], [4.0, np.nan], [5.0, np.nan], [np.nan, np.nan]])

    found = rank_correlation(x, x)

    assert (found.n, found.value) == (5, 1.0)
    assert found.p == found.smallest_p == 2 / (6 * 2)  # 3! orders of the whole seeds, 2! of the others


@pytest.mark.parametrize(("n", "smallest"), [(1, 1.0), (2, 1.0), (3, 1 / 3), (7, 2 / 5040), (8, 1e-4), (30, 1e-4)])
def test_perfect_agreement_has_the_smallest_p(n: int, smallest: float) -> None:
    x = np.arange(n)[:, None]

    assert smallest_of_orders(n) == pytest.approx(smallest)
    if n > 1:
        found = rank_correlation(x, x)
        assert found.smallest_p == pytest.approx(smallest)
        assert smallest <= found.p <= max(smallest, 3e-4)  # of 8! orders a draw may be the same one


def test_what_does_not_vary_has_no_correlation() -> None:
    found = rank_correlation(np.ones((5, 2)), np.random.default_rng(0).normal(size=(5, 2)))

    assert found.n == 5
    assert np.isnan([found.value, found.low, found.high, found.p]).all()


def test_draws_of_orders_are_the_same_each_time_and_close_to_scipys_p() -> None:
    rng = np.random.default_rng(2)
    x = rng.normal(size=30)
    y = 0.3 * x + rng.normal(size=30)

    found = rank_correlation(x[:, None], y[:, None])

    assert found == rank_correlation(x[:, None], y[:, None])
    assert found.p == pytest.approx(stats.spearmanr(x, y).pvalue, abs=0.02)


@pytest.mark.parametrize("seeds", [5, 6])
def test_seeds_and_methods_with_effects_of_their_own_give_no_more_false_alarms(seeds: int) -> None:
    rng, tries = np.random.default_rng(0), 1000
    x, y = rng.normal(size=(2, tries, seeds, 3)) + rng.normal(size=(2, tries, seeds, 1))  # runs of a seed are alike
    x, y = (v + 3 * rng.normal(size=3) for v in (x, y))  # methods shift both

    alarms = sum(rank_correlation(a, b).p <= ALPHA for a, b in zip(x, y, strict=True))

    assert plausible(alarms, tries, ALPHA)


# -- Agreement in sign --------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [4, 6])
def test_agreement_is_the_share_of_equal_signs_with_scipys_exact_p(n: int) -> None:
    x, y = np.random.default_rng(n).normal(0.3, 1, size=(2, n))

    found = sign_agreement(x[:, None, None], y[:, None, None])

    def share(z: NDArray[np.float64]) -> Any:
        return np.mean(np.sign(x) == np.sign(z))

    wanted = stats.permutation_test((y,), share, permutation_type="pairings", n_resamples=np.inf, vectorized=False)
    assert (found.n, found.value, found.p) == pytest.approx((n, share(y), wanted.pvalue))
    assert found.exchanged == pytest.approx(np.mean(np.sign(x)[:, None] == np.sign(y)))
    interval = stats.binomtest(round(n * share(y)), n).proportion_ci(0.95, method="exact")
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))


def test_the_effect_of_one_sign_a_seed_is_the_correlation_of_signs() -> None:
    x, y = np.random.default_rng(1).normal(0.3, 1, size=(2, 12))
    signs = np.sign(x), np.sign(y)

    found = sign_agreement(x[:, None, None], y[:, None, None])

    assert found.effect == pytest.approx(np.corrcoef(*signs)[0, 1])


def test_agreement_counts_a_run_once_whatever_the_number_of_its_epochs() -> None:
    x = np.array([[[1.0, 1.0, 1.0, -1.0]], [[1.0, np.nan, np.nan, np.nan]]])

    found = sign_agreement(x, abs(x))

    assert (found.n, found.value, found.p) == (2, (3 / 4 + 1) / 2, 1)  # seeds with other epochs change no places


def test_signs_that_the_data_tend_to_give_no_more_false_alarms() -> None:
    rng, tries = np.random.default_rng(0), 1000
    x, y = rng.normal(0.8, 1, size=(2, tries, 6, 3, 1)) + rng.normal(size=(2, tries, 6, 1, 1))  # seeds are alike

    alarms = sum(sign_agreement(a, b).p <= ALPHA for a, b in zip(x, y, strict=True))

    assert alarms <= stats.binom.ppf(0.999, tries, ALPHA)


def test_tied_signs_can_reach_no_smaller_p_than_their_numbers_allow() -> None:
    x = np.array([1.0] * 6 + [-1.0])[:, None, None]

    found = sign_agreement(x, x)

    assert found.value == 1
    assert found.p == found.smallest_p == pytest.approx(2 / 7)  # the one seed is anywhere among seven


@pytest.mark.parametrize(("n", "wrong"), [(20, 0), (24, 1), (8, 1)])
def test_drawn_orders_of_tied_signs_give_no_p_below_the_smallest(n: int, wrong: int) -> None:
    x = np.where(np.arange(n) < n // 2, 1.0, -1.0)[:, None, None]
    y = x.copy()
    y[:wrong] *= -1

    found = sign_agreement(x, y)

    assert found.smallest_p == found.p  # in no order can more of them agree


def test_a_seed_counts_once_whatever_the_number_of_its_runs() -> None:
    up, down, none = [1.0, 2.0, 3.0], [3.0, 2.0, 1.0], [np.nan] * 3
    x, y = np.array([[up, up, up], [up, none, none]]), np.array([[up, up, up], [down, none, none]])

    assert path_correlation(x, y).value == 0
    assert sign_agreement(x, -y * np.array([[[-1.0]], [[1.0]]])).value == 0.5


def test_the_interval_over_training_holds_the_true_mean_as_often_as_it_says() -> None:
    rng, tries = np.random.default_rng(0), 400
    shared = rng.normal(size=(tries, 6, 3, 5))
    x, y = shared + rng.normal(size=shared.shape), shared + rng.normal(size=shared.shape)
    found = [path_correlation(a, b) for a, b in zip(x, y, strict=True)]
    true = np.mean([f.value for f in found])

    assert plausible(sum(bool(f.low <= true <= f.high) for f in found), tries, 0.95)
