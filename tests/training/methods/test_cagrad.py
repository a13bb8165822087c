"""CAGrad against a plain loop, and its mixture of gradients against SciPy and a grid."""

from pathlib import Path
from typing import Any

import flat
import numpy as np
import pytest
import tiny
import torch
from scipy.optimize import minimize, minimize_scalar
from torch import Tensor

from greedymm.training.methods.cagrad import Settings, faces, worst_mixture


def value(w: Any, gradients: Any, c: float) -> float:
    """<g_w, g_0> + c |g_0| |g_w|."""
    mixed, mean = w @ gradients, gradients.mean(axis=0)
    return float(mixed @ mean + c * np.linalg.norm(mean) * np.linalg.norm(mixed))


def plain_weights(gradients: Tensor, c: float) -> list[float]:
    """Weights of the gradients of two losses, by SciPy."""
    g = gradients.numpy()
    best = minimize_scalar(
        lambda x: value(np.array([x, 1 - x]), g, c), bounds=(0, 1), method="bounded", options={"xatol": 1e-10}
    ).x
    x = min((0.0, float(best), 1.0), key=lambda x: value(np.array([x, 1 - x]), g, c))
    ratio = c * float(np.linalg.norm(g.mean(axis=0)) / np.linalg.norm(x * g[0] + (1 - x) * g[1]))
    return [2 * (0.5 + ratio * share) / (1 + c**2) for share in (x, 1 - x)]


def test_training_is_that_of_a_plain_loop(tmp_path: Path) -> None:
    settings = Settings(objective="branch", c=0.8)
    run, bare = (tiny.run(tmp_path / f"{i}.pt", settings=settings, training=tiny.STEADY) for i in range(2))
    model = bare.fit.model
    heads = list(model.head.parameters())
    shared = [p for p in model.parameters() if not any(p is q for q in heads)]

    def differentiate(step: tiny.BareStep) -> tiny.Row:
        losses = flat.losses_of(step, joint=False)
        gradients = torch.stack(flat.vectors(losses, shared))
        torch.stack(losses).sum().backward(inputs=heads)  # type: ignore[no-untyped-call]
        weights = plain_weights(gradients, 0.8)
        flat.assign(weights[0] * gradients[0] + weights[1] * gradients[1], shared)
        return {"weight_0": weights[0], "weight_1": weights[1]}

    rows = tiny.bare_loop(bare, differentiate)
    run.go()

    tiny.assert_agree(run, bare, rows)
    assert len({round(row["weight_0"], 4) for row in rows}) > 15  # not always a corner, where one weight is constant


@pytest.mark.parametrize("count", [2, 3, 4])
@pytest.mark.parametrize("c", [0.2, 0.9])
def test_the_mixture_is_that_of_scipy(count: int, c: float) -> None:
    rng = np.random.default_rng(count)
    inside = 0
    for _ in range(6):
        g = rng.normal(size=(count, 6))
        w = worst_mixture(torch.from_numpy(g @ g.T), c, faces(count)).numpy()
        start, limits = np.full(count, 1 / count), {"type": "eq", "fun": lambda w: w.sum() - 1}
        found = minimize(value, start, (g, c), bounds=[(0, 1)] * count, constraints=limits, tol=1e-12)

        assert w.min() >= 0
        assert w.sum() == pytest.approx(1)
        assert value(w, g, c) == pytest.approx(found.fun, abs=1e-7)
        inside += w.max() < 1
    assert inside  # not all are corners


def test_no_point_of_a_grid_is_better() -> None:
    g = np.array([[3.0, 0, 1], [-1.0, 1, 0], [0, -0.2, 0.1]])
    w = worst_mixture(torch.from_numpy(g @ g.T), 0.5, faces(3)).numpy()

    grid = [np.array([i, j, 50 - i - j]) / 50 for i in range(51) for j in range(51 - i)]

    assert value(w, g, 0.5) <= min(value(x, g, 0.5) for x in grid) + 1e-12


@pytest.mark.parametrize(
    "gradients",
    [[[0.0, 0], [0, 0]], [[1.0, 2], [1, 2]], [[1.0, 0], [-1, 0]], [[0.0, 0], [1, 1]]],
    ids=["zero", "equal", "opposite", "one is zero"],
)
def test_degenerate_gradients_give_finite_weights(tmp_path: Path, gradients: list[list[float]]) -> None:
    method: Any = tiny.run(tmp_path / "r.pt", settings=Settings(objective="branch")).fit.method
    g = torch.tensor(gradients, dtype=torch.float64)

    weights = method.combination(g @ g.T)

    assert weights.isfinite().all()
    torch.testing.assert_close(weights @ g, g.sum(dim=0) * (1.5 if gradients[0] == gradients[1] else 1) / 1.25)


def test_without_a_radius_the_gradient_is_the_sum(tmp_path: Path) -> None:
    method: Any = tiny.run(tmp_path / "r.pt", settings=Settings(c=0)).fit.method
    g = torch.randn(3, 5, dtype=torch.float64)

    torch.testing.assert_close(method.combination(g @ g.T), torch.ones(3, dtype=torch.float64))


def test_the_loss_that_the_mean_gradient_improves_least_gains_most(tmp_path: Path) -> None:
    method: Any = tiny.run(tmp_path / "r.pt", settings=Settings()).fit.method
    g = torch.tensor([[4.0, 0], [3.0, 1], [-1.0, 1]], dtype=torch.float64)

    weights = method.combination(g @ g.T)

    assert weights.argmax() == 2
    assert g[2] @ (weights @ g) > g[2] @ g.sum(dim=0)
