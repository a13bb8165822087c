"""Permutation importance against all pairs of samples, and against scikit-learn."""

from typing import Any

import measured
import numpy as np
import pandas as pd
import pytest
import torch
from pydantic import ValidationError
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.inspection import permutation_importance

from greedymm.evaluation.measures.permutation import Settings, compute, cycle

MANY = Settings(name="permutation", repeats=60)


def test_a_cycle_is_a_permutation_without_fixed_points_and_all_images_are_equally_probable() -> None:
    draws = torch.Generator().manual_seed(0)

    found = torch.stack([cycle(5, draws) for _ in range(2000)])

    assert (found.sort(dim=1)[0] == torch.arange(5)).all()
    assert not (found == torch.arange(5)).any()
    shares = torch.stack([(found == j).double().mean(dim=0) for j in range(5)])
    assert shares[~torch.eye(5, dtype=torch.bool)].numpy() == pytest.approx(0.25, abs=0.04)


def test_importance_is_the_mean_over_all_pairs_of_different_samples() -> None:
    model, split = measured.network(), measured.split(samples=20)
    full = measured.correct(model, split.inputs, split.labels)
    others = torch.tensor([(i, j) for i in range(20) for j in range(20) if i != j])

    _, found = measured.apply(MANY, model, split)

    for k, m in enumerate(model.modalities):
        mixed = [x[others[:, int(k == n)]] for n, x in enumerate(split.inputs)]
        lost = 1 - measured.correct(model, mixed, split.labels[others[:, 0]]) / full
        spread = found[f"permutation_sd_{m}"]
        assert lost > 0.01  # or there is nothing to see
        assert found[f"permutation_{m}"] == pytest.approx(lost, abs=4 * (spread or 0) / 60**0.5)


class Wrapper(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """The network as a classifier of row numbers, a column for each modality."""

    classes_ = np.arange(3)

    def fit(self, *_: Any) -> "Wrapper":
        return self

    def predict(self, rows: np.ndarray) -> np.ndarray:
        model, split = measured.network(), measured.split()
        inputs = [x[column] for x, column in zip(split.inputs, rows.T, strict=True)]
        with torch.no_grad():
            predicted: np.ndarray = model(inputs).logits.argmax(dim=1).numpy()
        return predicted


def test_importance_is_that_of_scikit_learn_without_its_fixed_points() -> None:
    model, split = measured.network(), measured.split()
    rows = np.stack([np.arange(split.count)] * 2, axis=1)
    oracle = permutation_importance(Wrapper(), rows, split.labels.numpy(), n_repeats=60, random_state=0)

    _, found = measured.apply(MANY, model, split)

    # A sample keeps its modality in one of N permutations of scikit-learn, and then loses nothing.
    expected = oracle.importances_mean / (found["accuracy"] or 0) / (1 - 1 / split.count)
    assert [found["permutation_m0"], found["permutation_m1"]] == pytest.approx(expected.tolist(), abs=0.03)


def test_another_seed_permutes_differently_and_the_same_seed_does_not() -> None:
    model, split = measured.network(), measured.split()

    tables = [measured.apply(Settings(name="permutation", seed=s), model, split)[0] for s in (0, 0, 1)]

    pd.testing.assert_frame_equal(tables[0], tables[1])
    assert not tables[0].equals(tables[2])


def test_values_by_hand_and_none_where_the_network_is_never_correct() -> None:
    settings = Settings(name="permutation")
    label, wrong = [0, 1, 0, 1], [1, 0, 1, 0]
    kept = {f"mean_permuted_m0_{r}": label for r in range(5)}
    lost = {f"mean_permuted_m1_{r}": [0, 1, 0, 0] if r else label for r in range(5)}

    found = compute(settings, pd.DataFrame({"label": label, "mean": label} | kept | lost), ("m0", "m1"))
    never = compute(settings, pd.DataFrame({"label": label, "mean": wrong} | kept | lost), ("m0", "m1"))

    assert [found["permutation_m0"], found["permutation_m1"]] == pytest.approx([0, 0.2])
    assert found["permutation_sd_m1"] == pytest.approx(np.std([0, 0.25, 0.25, 0.25, 0.25], ddof=1))
    assert set(never.values()) == {None}


def test_fewer_than_five_repeats_are_refused() -> None:
    with pytest.raises(ValidationError, match="greater than or equal to 5"):
        Settings(name="permutation", repeats=4)
