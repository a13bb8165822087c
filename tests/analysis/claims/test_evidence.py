import itertools
import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from greedymm.analysis.claims.evidence import (
    CONSTANT,
    EQUAL_VALUES,
    FLAT,
    NO_DIFFERENCE,
    NO_SEED,
    ONE_SEED,
    SAME,
    TOO_FEW_FOR_EXCHANGE,
    TOO_FEW_FOR_T,
    complete_seeds,
    mean_evidence,
    path_evidence,
    rank_evidence,
    sign_evidence,
)
from greedymm.analysis.claims.statistics import seeds_needed


def test_effect_of_a_mean_has_the_direction_of_the_claim() -> None:
    x = np.array([1.0, 2.0, 3.0, np.nan])

    evidence = [mean_evidence(sign * x, direction) for sign, direction in [(1, 1), (-1, 1), (-1, -1), (-1, 0)]]

    assert [e.effect for e in evidence] == [2, -2, 2, 2]
    p = stats.ttest_1samp([1, 2, 3], 0).pvalue
    assert (evidence[0].n, evidence[0].estimate, evidence[0].p) == pytest.approx((3, 2, p))
    assert mean_evidence(np.array([0.1, -0.1]), 1).effect == 0
    assert mean_evidence(np.array([0.9, 0.1]), 1, 1).high == 1


def test_two_seeds_have_no_t_test_and_five_no_sign_flips() -> None:
    x = np.array([0.1, 0.2, 0.4, -0.1, 0.3, 0.2])

    evidence = [mean_evidence(x[:n], 1, margin=0.5) for n in range(7)]

    assert [e.note for e in evidence] == [NO_SEED, ONE_SEED, TOO_FEW_FOR_T, "", "", "", ""]
    assert [np.isnan(e.low) for e in evidence] == [True] * 2 + [False] * 5
    assert [np.isnan([e.p, e.p_equal]).all() for e in evidence] == [True] * 3 + [False] * 4
    assert [np.isnan(e.p_sign_flip) for e in evidence] == [True] * 6 + [False]
    assert evidence[6].p_sign_flip == stats.permutation_test((x,), np.mean, permutation_type="samples").pvalue


@pytest.mark.parametrize(("value", "n", "margin"), [(0.1, 7, 0.5), (0.0, 7, np.nan), (0.0, 2, 0.5)])
def test_differences_that_do_not_vary_are_not_tested(value: float, n: int, margin: float) -> None:
    evidence = mean_evidence(np.full(n, value), 1, margin=margin)

    assert evidence[1:4] == pytest.approx([value] * 3)
    assert evidence.note == EQUAL_VALUES
    assert np.isnan([evidence.p, evidence.p_sign_flip, evidence.p_equal]).all()
    assert (evidence.effect, evidence.kind) == (0, "")


def test_three_seeds_without_any_difference_are_equal() -> None:
    evidence = mean_evidence(np.zeros(3), 1, margin=0.01)

    assert (evidence.p, evidence.p_equal, evidence.effect, evidence.note) == (1, 0, 0, NO_DIFFERENCE)


def test_methods_without_values_and_then_incomplete_seeds_are_dropped() -> None:
    x = np.arange(24.0).reshape(4, 3, 2)
    x[:, 1, 0] = np.nan  # no seed has method 1 completely
    y = np.ones((4, 3, 2))
    y[2, 2, 1] = np.nan

    kept_x, kept_y = complete_seeds(x, y)

    assert kept_x.tolist() == x[[0, 1, 3]][:, [0, 2]].tolist()
    assert kept_y.shape == (3, 2, 2)
    assert complete_seeds(x[:, :, 0], y[:, :, 0])[0].shape == (4, 2)
    assert complete_seeds(x[:, 1:2], y[:, 1:2])[0].shape == (0, 0, 2)


# -- Rank correlation over runs -----------------------------------------------------------------------------


def test_rank_correlation_of_one_method_is_spearmans() -> None:
    for x, y in [*np.random.default_rng(0).normal(size=(3, 2, 6)), np.array([[1.0, 1, 2, 3, 3], [2, 1, 2, 2, 5]])]:
        evidence = rank_evidence(x[:, None], y[:, None])

        rho = stats.spearmanr(x, y).statistic
        assert (evidence.n, evidence.estimate, evidence.effect) == pytest.approx((len(x), rho, rho))
        assert (evidence.kind, evidence.note) == ("rank", "")


def test_seeds_are_permuted_as_a_whole_and_ranked_within_methods() -> None:
    x, y = np.random.default_rng(3).normal(size=(2, 5, 2))
    rx, ry = (stats.rankdata(v, axis=0) - 3 for v in (x, y))
    null = [(rx * ry[list(order)]).sum() for order in itertools.permutations(range(5))]
    above, below = (sum(sign * (value - null[0]) >= -1e-9 for value in null) for sign in (1, -1))

    evidence = rank_evidence(x, y)

    assert evidence.p == min(1, 2 * min(above, below) / 120)
    assert evidence.estimate == pytest.approx(null[0] / 20)  # 10 for each of two methods
    assert evidence.kind == "exchange"
    assert evidence.effect == pytest.approx(null[0] / np.std(null) / 2)  # root of n - 1
    shift = np.array([0.0, 100.0])
    pooled = stats.spearmanr((x + shift).ravel(), (y + shift).ravel()).statistic
    assert rank_evidence(x + shift, y + shift) == evidence._replace(
        note=f"within methods; {pooled:.2f} over all 10 runs"
    )


def test_without_variance_or_seeds_there_is_no_rank_correlation() -> None:
    constant = rank_evidence(np.ones((5, 2)), np.random.default_rng(0).normal(size=(5, 2)))
    one, none = (rank_evidence(x, x) for x in (np.ones((1, 2)), np.full((3, 2), np.nan)))

    assert (constant.n, constant.note) == (5, CONSTANT)
    assert np.isnan([constant.estimate, constant.low, constant.p]).all()
    assert (one.n, one.note) == (1, ONE_SEED)
    assert (none.n, none.note) == (0, NO_SEED)


def test_two_seeds_have_no_sample_size_estimate() -> None:
    x = np.array([[1.0], [2.0]])

    assert (rank_evidence(x, x).note, rank_evidence(x, x).kind) == (TOO_FEW_FOR_EXCHANGE, "")
    assert rank_evidence(x, -x).effect == -1


def test_four_seeds_cannot_be_decided_by_permutations_and_five_can() -> None:
    x = np.random.default_rng(0).normal(size=(5, 1, 9))

    four, five = path_evidence(x[:4], x[:4]), path_evidence(x, x)

    assert (four.note, math.isnan(four.p), four.kind) == (TOO_FEW_FOR_EXCHANGE, True, "exchange")
    assert (five.note, five.p) == ("", 2 / 120)
    assert four.effect > 0


# -- Over training ------------------------------------------------------------------------------------------


def test_path_correlation_is_the_mean_over_runs_then_seeds_and_seeds_are_permuted() -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(5, 2, 6))
    y = x + rng.normal(size=x.shape)

    def mean_rho(seeds: tuple[int, ...]) -> float:
        rho = [stats.spearmanr(x[i, m], y[j, m]).statistic for i, j in enumerate(seeds) for m in range(2)]
        return float(np.mean(rho))

    observed = mean_rho(tuple(range(5)))
    null = np.array([mean_rho(order) for order in itertools.permutations(range(5))])
    evidence = path_evidence(x, y)

    per_seed = [np.mean([stats.spearmanr(x[i, m], y[i, m]).statistic for m in range(2)]) for i in range(5)]
    interval = stats.ttest_1samp(per_seed, 0).confidence_interval(0.95)
    expected = 5, observed, interval.low, interval.high, null.mean()
    assert evidence[:5] == pytest.approx(expected)
    assert evidence.p == pytest.approx(2 * min((null >= observed - 1e-9).mean(), (null <= observed + 1e-9).mean()))
    assert evidence.effect == pytest.approx((observed - null.mean()) / null.std() / 2)  # root of n - 1


def test_runs_in_which_nothing_varies_are_missing_values() -> None:
    x, y = np.random.default_rng(0).normal(size=(2, 5, 2, 4))
    flat = x.copy()
    flat[1, 0] = 3

    assert path_evidence(flat, y) == path_evidence(np.delete(x, 1, axis=0), np.delete(y, 1, axis=0))
    assert (path_evidence(0 * x, y).n, path_evidence(0 * x, y).note) == (5, FLAT)
    assert path_evidence(0 * x[:1], y[:1]).note == ONE_SEED
    one = path_evidence(x[:1], x[:1])
    assert (one.n, one.estimate, one.note) == (1, 1, ONE_SEED)


def test_a_drift_in_all_seeds_is_no_evidence() -> None:
    drift = np.arange(6.0)
    x, y = drift + 0.01 * np.random.default_rng(0).normal(size=(2, 8, 1, 6))

    assert path_evidence(x, y).note == SAME
    assert path_evidence(x, y).estimate == 1


@pytest.mark.slow
def test_the_interval_over_training_covers_as_often_as_it_says() -> None:
    rng, tries = np.random.default_rng(0), 400
    shared = rng.normal(size=(tries, 6, 3, 5))
    x, y = shared + rng.normal(size=shared.shape), shared + rng.normal(size=shared.shape)
    evidence = [path_evidence(a, b) for a, b in zip(x, y, strict=True)]
    true = np.mean([e.estimate for e in evidence])

    assert stats.binomtest(sum(e.low <= true <= e.high for e in evidence), tries, 0.95).pvalue > 0.001


# -- Agreement in sign --------------------------------------------------------------------------------------


def test_agreement_is_the_share_of_equal_signs_with_the_interval_of_clopper_and_pearson() -> None:
    for n in (3, 4, 12):
        x, y = np.random.default_rng(n).normal(0.3, 1, size=(2, n))
        signs = np.sign(x), np.sign(y)
        share = np.mean(signs[0] == signs[1])

        evidence = sign_evidence(x[:, None, None], y[:, None, None])

        interval = stats.binomtest(round(n * share), n).proportion_ci(0.95, method="exact")
        null_mean = np.mean(signs[0][:, None] == signs[1])
        assert evidence[:5] == pytest.approx((n, share, interval.low, interval.high, null_mean))
        assert evidence.effect == pytest.approx(np.corrcoef(*signs)[0, 1])
        assert evidence.kind == ""


def test_a_zero_is_half_an_agreement_and_fixed_signs_are_no_evidence() -> None:
    x = np.array([[[1.0, 1, -1, 1]], [[1.0, 1, 1, 1]]])
    y = np.array([[[1.0, 2, 1, 0]], [[3.0, 3, 3, 3]]])

    assert sign_evidence(x, y).estimate == pytest.approx(((1 + 1 + 0 + 0.5) / 4 + 1) / 2)
    fixed = sign_evidence(x**2, -(x**2))
    assert (fixed.estimate, fixed.note, fixed.effect) == (0, SAME, 0)
    assert fixed.high == pytest.approx(0.842, abs=1e-3)
    assert np.isnan([fixed.p, fixed.null_mean]).all()
    one, none = sign_evidence(x[:1], y[:1]), sign_evidence(x * np.nan, y)
    assert (one.estimate, one.note, none.note) == (5 / 8, ONE_SEED, NO_SEED)
    assert np.isnan([one.low, one.high]).all()


# -- False alarms and power ---------------------------------------------------------------------------------


@pytest.mark.slow
def test_seeds_and_methods_with_effects_of_their_own_give_no_more_false_alarms() -> None:
    tries, rng = 1000, np.random.default_rng(0)
    for seeds in (5, 6):
        x, y = rng.normal(size=(2, tries, seeds, 3)) + rng.normal(size=(2, tries, seeds, 1))  # runs of a seed are alike
        x, y = (v + 3 * rng.normal(size=3) for v in (x, y))  # methods shift both
        ranks = sum(rank_evidence(a, b).p <= 0.05 for a, b in zip(x, y, strict=True))
        signs = sum(sign_evidence(a[..., None], b[..., None]).p <= 0.05 for a, b in zip(x, y, strict=True))

        assert max(ranks, signs) <= stats.binom.ppf(0.999, tries, 0.05)


@pytest.mark.slow
def test_correlations_have_the_power_with_the_seeds_needed() -> None:
    rng, level = np.random.default_rng(0), 0.05 / 9

    def paths(n: int, r: float, methods: int, epochs: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        x = rng.normal(size=(n, methods, epochs))
        return x, r * x + np.sqrt(1 - r**2) * rng.normal(size=x.shape)

    for shape in [(0.4, 3, 5), (0.5, 3, 5), (0.4, 1, 12)]:
        effect = float(np.median([path_evidence(*paths(12, *shape)).effect for _ in range(100)]))
        seeds = seeds_needed("exchange", effect, level)
        assert seeds is not None
        assert 0.65 < np.mean([path_evidence(*paths(seeds, *shape)).p <= level for _ in range(100)]) < 0.97
    seeds = seeds_needed("rank", 0.8, 0.05)
    assert seeds is not None
    r = 2 * math.sin(math.pi * 0.8 / 6)  # Pearson's of normal values whose Spearman's is 0.8
    pairs = rng.multivariate_normal([0, 0], [[1, r], [r, 1]], size=(100, seeds))
    assert 0.65 < np.mean([rank_evidence(t[:, :1], t[:, 1:]).p <= 0.05 for t in pairs]) < 0.95
