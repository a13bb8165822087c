"""Linear probes against a solver of our own, and on features that are known."""

import measured
import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from greedymm.evaluation.measures.linear_probe import Settings, cut_features, predict
from greedymm.models.network import Pass

SETTINGS = Settings(name="linear_probe")


def plain_probe(x: np.ndarray, y: np.ndarray, new: np.ndarray, c: float) -> list[int]:
    """Penalized softmax regression on standardized features, by L-BFGS of torch."""
    mean, sd = x.mean(axis=0), x.std(axis=0)
    train, test = (torch.from_numpy((z - mean) / np.where(sd > 0, sd, 1)) for z in (x, new))
    weight = torch.zeros(x.shape[1], int(y.max()) + 1, dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(weight.shape[1], dtype=torch.float64, requires_grad=True)
    solver = torch.optim.LBFGS([weight, bias], max_iter=500, line_search_fn="strong_wolfe", tolerance_change=1e-12)

    def closure() -> torch.Tensor:
        solver.zero_grad()
        fit = cross_entropy(train @ weight + bias, torch.from_numpy(y), reduction="sum")
        loss = c * fit + weight.square().sum() / 2
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    solver.step(closure)  # type: ignore[no-untyped-call]
    predicted: list[int] = (test @ weight + bias).argmax(dim=1).tolist()
    return predicted


def test_probes_predict_as_a_solver_of_our_own_on_features_of_the_cut_pass() -> None:
    model, train, split = measured.network(), measured.train_split(), measured.split()
    with torch.no_grad():
        cut = Pass(hears=torch.eye(2, dtype=torch.bool))
        known, new = (model(s.inputs, cut).features for s in (train, split))

    table, found = measured.apply(SETTINGS, model, split)

    for k, m in enumerate(model.modalities):
        arrays = (known[k].double().numpy(), train.labels.numpy(), new[k].double().numpy())
        assert table[f"{m}_probe"].tolist() == plain_probe(*arrays, c=1.0)
        assert found[f"probe_accuracy_{m}"] == pytest.approx((table[f"{m}_probe"] == table["label"]).mean())


def test_features_of_one_branch_do_not_depend_on_the_other_modality() -> None:
    model, split = measured.network(), measured.split()
    other = measured.split()
    other.inputs[1] = torch.randn(other.inputs[1].shape)

    (own, _), (mixed, _) = (cut_features(model, s) for s in (split, other))

    np.testing.assert_array_equal(own[0], mixed[0])
    assert not np.array_equal(own[1], mixed[1])


def test_a_feature_on_a_large_scale_and_a_constant_one_change_nothing() -> None:
    draws = np.random.default_rng(0)
    labels = draws.integers(3, size=60)
    x = np.eye(3)[labels] + 0.3 * draws.normal(size=(60, 3))
    odd = np.concatenate([1e4 * x, np.ones((60, 1))], axis=1)

    assert predict(SETTINGS, odd, labels, odd).tolist() == predict(SETTINGS, x, labels, x).tolist()


def test_a_probe_that_does_not_converge_is_used_as_it_is_without_a_warning() -> None:
    draws = np.random.default_rng(0)

    predicted = predict(
        Settings(name="linear_probe", iterations=1), draws.normal(size=(40, 5)), np.arange(40) % 2, np.zeros((3, 5))
    )

    assert predicted.shape == (3,)
