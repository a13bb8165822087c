"""Shapley values against all orders of joining, and against captum."""

from itertools import combinations, permutations

import numpy as np
import pandas as pd
import pytest
import torch
from captum.attr import ShapleyValues

from greedymm.evaluation.measures.shapley import Settings, compute, passes
from greedymm.modalities import shapley_values

SETTINGS = Settings(name="shapley")
NAMES = ("m0", "m1", "m2", "m3")


def table(modalities: int, seed: int = 0, samples: int = 60) -> pd.DataFrame:
    """Predictions of all passes, of which other shares are right."""
    draws = np.random.default_rng(seed)
    label = np.arange(samples) % 3
    columns = {"split": "test", "id": range(samples), "label": label}
    for name in ["mean", *(f"mean_{p}" for p in passes(SETTINGS, NAMES[:modalities]))]:
        columns[name] = np.where(draws.random(samples) < draws.random(), label, (label + 1) % 3)
    return pd.DataFrame(columns)


def accuracy(of: pd.DataFrame, subset: tuple[int, ...], modalities: int) -> float:
    if not subset:
        return 1 / 3  # chance
    name = "mean" if len(subset) == modalities else "mean_only_" + "+".join(NAMES[k] for k in subset)
    return float((of[name] == of["label"]).mean())


@pytest.mark.parametrize("modalities", [2, 3, 4])
def test_values_are_the_mean_gain_over_all_orders_of_joining(modalities: int) -> None:
    of = table(modalities)

    found = compute(SETTINGS, of, NAMES[:modalities])

    orders = list(permutations(range(modalities)))
    for k in range(modalities):
        gains = []
        for order in orders:
            before = tuple(sorted(order[: order.index(k)]))
            gains.append(accuracy(of, tuple(sorted((*before, k))), modalities) - accuracy(of, before, modalities))
        assert found[f"shapley_{NAMES[k]}"] == pytest.approx(np.mean(gains))


@pytest.mark.parametrize("modalities", [2, 3, 4])
def test_values_are_those_of_captum(modalities: int) -> None:
    of = table(modalities, seed=1)

    def game(present: torch.Tensor) -> torch.Tensor:
        subsets = [tuple(int(k) for k in row.nonzero().flatten()) for row in present]
        return torch.tensor([accuracy(of, s, modalities) for s in subsets], dtype=torch.float64)

    expected = ShapleyValues(game).attribute(torch.ones(1, modalities, dtype=torch.float64))[0]

    found = compute(SETTINGS, of, NAMES[:modalities])
    assert [found[f"shapley_{m}"] for m in NAMES[:modalities]] == pytest.approx(expected.tolist())


def test_values_add_up_to_the_accuracy_above_chance() -> None:
    of = table(3)
    values = compute(SETTINGS, of, NAMES[:3])

    total = sum(values[f"shapley_{m}"] or 0 for m in NAMES[:3])

    assert total == pytest.approx(accuracy(of, (0, 1, 2), 3) - 1 / 3)


def test_the_gap_is_the_mean_over_pairs() -> None:
    values = compute(SETTINGS, table(3), NAMES[:3])

    pairs = [abs((values[f"shapley_{a}"] or 0) - (values[f"shapley_{b}"] or 0)) for a, b in combinations(NAMES[:3], 2)]
    assert values["shapley_gap"] == pytest.approx(np.mean(pairs))
    total = sum(abs(values[f"shapley_{m}"] or 0) for m in NAMES[:3])
    assert values["shapley_imbalance"] == pytest.approx(np.mean(pairs) / total)
    assert "interaction" not in values


# v(both), v(m0), v(m1): what each of the four gates says of two modalities, of two classes
GATES = {
    "one is ignored": (1.0, 1.0, 0.5, (0.5, 0.0), 0.0),
    "both say the same": (1.0, 1.0, 1.0, (0.25, 0.25), -0.5),
    "both are needed": (1.0, 0.5, 0.5, (0.25, 0.25), 0.5),
    "one misleads": (0.5, 1.0, 0.0, (0.5, -0.5), 0.0),
}


@pytest.mark.parametrize(("both", "m0", "m1", "values", "interaction"), GATES.values(), ids=GATES)
def test_two_modalities_by_hand(
    both: float, m0: float, m1: float, values: tuple[float, float], interaction: float
) -> None:
    label = np.array([0, 1] * 10)
    shares = {"mean": both, "mean_only_m0": m0, "mean_only_m1": m1}
    right = {name: np.arange(20) < round(20 * share) for name, share in shares.items()}
    of = pd.DataFrame({"label": label} | {name: np.where(r, label, 1 - label) for name, r in right.items()})

    found = compute(SETTINGS, of, NAMES[:2])

    assert [found["shapley_m0"], found["shapley_m1"]] == pytest.approx(values)
    assert found["interaction"] == pytest.approx(interaction)


# Of one sample: whether both, m0 alone and m1 alone are correct.
PATTERNS = [(both, m0, m1) for both in (0, 1) for m0 in (0, 1) for m1 in (0, 1)]


@pytest.mark.parametrize(("both", "m0", "m1"), PATTERNS)
def test_values_of_single_samples_that_are_negative(both: int, m0: int, m1: int) -> None:
    alone = {"mean": both, "mean_only_m0": m0, "mean_only_m1": m1}
    of = pd.DataFrame({"label": [1, 1]} | {name: [right, 1] for name, right in alone.items()})

    found = compute(SETTINGS, of, NAMES[:2])

    negative = [m0 + both - m1 < 0, m1 + both - m0 < 0]
    assert [found["shapley_negative_m0"], found["shapley_negative_m1"]] == [0.5 * each for each in negative]


def test_passes_are_all_sets_of_modalities_but_none_and_all() -> None:
    found = passes(SETTINGS, NAMES[:3])

    assert {name: how.present.tolist() for name, how in found.items() if how.present is not None} == {
        "only_m0": [True, False, False],
        "only_m1": [False, True, False],
        "only_m2": [False, False, True],
        "only_m0+m1": [True, True, False],
        "only_m0+m2": [True, False, True],
        "only_m1+m2": [False, True, True],
    }


def test_a_player_that_adds_nothing_has_no_value() -> None:
    assert shapley_values(lambda s: float(0 in s), 3) == pytest.approx([1, 0, 0])
