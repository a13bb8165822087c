import math

import numpy as np
import pytest
from scipy import stats

from greedymm.analysis.permutation import Paired, path_correlation, rank_correlation, sign_flip, smallest_of_signs
from greedymm.analysis.power import POWER, seeds_for_exchange, seeds_for_mean, seeds_for_rank


@pytest.mark.parametrize(("effect", "level"), [(1.0, 0.05), (1.5, 0.01), (2.0, 0.005), (3.0, 0.0025)])
def test_with_so_many_seeds_the_sign_flip_test_has_about_the_power_and_with_fewer_not(
    effect: float, level: float
) -> None:
    seeds = seeds_for_mean(effect, level)
    assert seeds is not None

    def power(n: int) -> float:
        tries = np.random.default_rng(n).normal(effect, 1, size=(400, n))
        return float(np.mean([sign_flip(values) <= level for values in tries]))

    assert power(seeds) > POWER - 0.07
    assert power(seeds - 1) < POWER + 0.07


@pytest.mark.parametrize(("effect", "level"), [(0.3, 0.05), (0.5, 0.01)])
def test_seeds_are_those_of_the_t_test_where_they_are_many(effect: float, level: float) -> None:
    seeds = seeds_for_mean(effect, level)
    assert seeds is not None

    def power(n: int) -> float:
        return float(stats.nct.sf(stats.t.isf(level / 2, n - 1), n - 1, effect * math.sqrt(n)))

    assert power(seeds) >= POWER > power(seeds - 1)


@pytest.mark.parametrize(("level", "least"), [(0.05, 6), (0.01, 8), (0.0025, 10), (0.0005, 12)])
def test_an_effect_without_noise_needs_what_the_smallest_p_needs(level: float, least: int) -> None:
    assert seeds_for_mean(math.inf, level) == least
    assert smallest_of_signs(least) <= level < smallest_of_signs(least - 1)


def test_effects_near_none_need_more_than_can_be_asked_for() -> None:
    assert seeds_for_mean(1e-9, 0.05) is None
    assert seeds_for_rank(1e-9, 0.05) is None
    assert seeds_for_mean(2.0, 1e-7) is None  # below what draws can reach


def test_a_rank_correlation_needs_the_seeds_that_show_it() -> None:
    rho, level = 0.8, 0.05
    seeds = seeds_for_rank(rho, level)
    assert seeds is not None
    r = 2 * math.sin(math.pi * rho / 6)  # Pearson's of normal values whose Spearman's is rho
    tries = np.random.default_rng(0).multivariate_normal([0, 0], [[1, r], [r, 1]], size=(100, seeds))

    power = np.mean([rank_correlation(t[:, :1], t[:, 1:]).p <= level for t in tries])

    assert 0.65 < power < 0.95


@pytest.mark.parametrize(("level", "least"), [(0.05, 5), (0.01, 6), (0.001, 7)])
def test_perfect_rank_correlation_needs_what_the_smallest_p_needs(level: float, least: int) -> None:
    assert seeds_for_rank(1.0, level) == least


@pytest.mark.parametrize(("r", "methods", "epochs"), [(0.4, 3, 5), (0.5, 3, 5), (0.4, 1, 12)])
def test_paths_need_the_seeds_that_show_that_they_go_together(r: float, methods: int, epochs: int) -> None:
    rng, level = np.random.default_rng(0), 0.05 / 9

    def drawn(n: int) -> Paired:
        x = rng.normal(size=(n, methods, epochs))
        return path_correlation(x, r * x + np.sqrt(1 - r**2) * rng.normal(size=x.shape))

    effect = float(np.median([drawn(12).effect for _ in range(100)]))
    seeds = seeds_for_exchange(effect, level)

    assert seeds is not None
    power = np.mean([drawn(seeds).p <= level for _ in range(100)])
    assert 0.65 < power < 0.97
