"""MMPareto against a plain loop over long vectors, and its two-gradient combination by hand."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import flat
import pytest
import tiny
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from greedymm.models.network import Output
from greedymm.settings import MethodSettings
from greedymm.training.methods.greedy import Settings as Greedy
from greedymm.training.methods.mmpareto import Settings, pareto
from greedymm.training.step import Steps


def plain_pareto(g_m: Tensor, g_u: Tensor) -> tuple[float, float, Tensor]:
    """a, the scale and the combined gradient, without gamma."""
    a = 0.5
    if g_m @ g_u <= 0:  # no solver: the best of many points, then of many between its neighbors, and again
        low, high = 0.0, 1.0
        for _ in range(9):
            points = torch.linspace(low, high, 21, dtype=torch.float64)
            best = int((points[:, None] * g_m + (1 - points[:, None]) * g_u).norm(dim=1).argmin())
            low, high = float(points[max(best - 1, 0)]), float(points[min(best + 1, 20)])
        a = (low + high) / 2
    h = 2 * a * g_m + 2 * (1 - a) * g_u
    scale = max(1.0, float((g_m + g_u).norm() / h.norm()))
    return a, scale, scale * h


def opposed_losses(output: Output, labels: Tensor, opposed: Sequence[int] = range(3)) -> list[Tensor]:
    """Losses of the branches, some with wrong labels, and of the network: real conflicts are rare on tiny samples."""
    wrong = (labels + 1) % tiny.CLASSES
    losses = [cross_entropy(y, wrong if k in opposed else labels) for k, y in enumerate(output.branches)]
    return [*losses, cross_entropy(output.logits, labels)]


@pytest.mark.parametrize("clarity", [(2.0, 0.1), (1.0, 0.3, 2.0)], ids=["two modalities", "three modalities"])
def test_training_with_conflicts_is_that_of_a_plain_loop(tmp_path: Path, clarity: tuple[float, ...]) -> None:
    run, bare = (
        tiny.run(tmp_path / f"{i}.pt", settings=Settings(gamma=1.2), clarity=clarity, training=tiny.STEADY)
        for i in range(2)
    )

    method: Any = run.fit.method
    method.loss = lambda step: dict(enumerate(opposed_losses(step.output, step.labels)))

    def differentiate(step: tiny.BareStep) -> tiny.Row:
        losses, row = opposed_losses(step.model(step.inputs), step.labels), tiny.Row()
        torch.stack(losses).sum().backward(retain_graph=True)  # type: ignore[no-untyped-call]
        for k, branch in enumerate(step.model.branches):
            body = list(branch.parameters())
            others = torch.stack([loss for j, loss in enumerate(losses) if j != k]).sum()
            a, scale, h = plain_pareto(*flat.vectors([others, losses[k]], body))
            flat.assign(1.2 * h, body)
            row |= {f"share_{k}": a, f"scale_{k}": 1.2 * scale}
        return row

    rows = tiny.bare_loop(bare, differentiate)
    run.go()

    tiny.assert_agree(run, bare, rows)
    assert any(0 < row[f"share_{k}"] < 1 and row[f"share_{k}"] != 0.5 for row in rows for k in range(len(clarity)))


def gradients_of_one_step(tmp_path: Path, settings: MethodSettings, *, joint: bool) -> dict[str, Tensor]:
    """Gradients of the bodies, as the method leaves them after the first step, and those of the other parameters."""
    training = tiny.TRAINING.model_copy(update={"epochs": 1, "snapshots": ()})
    name = f"{type(settings).__module__}{joint}"
    run = tiny.run(tmp_path / name, settings=settings, training=training, samples=6, joint=joint)
    run.go()
    return {name: p.grad for name, p in run.fit.model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("joint", [False, True], ids=["fusion between stages", "joint head"])
def test_without_conflict_a_branch_has_gamma_times_the_gradient_of_the_sum(tmp_path: Path, *, joint: bool) -> None:
    found = gradients_of_one_step(tmp_path, Settings(gamma=1.7), joint=joint)
    expected = gradients_of_one_step(tmp_path, Greedy(objective="multi"), joint=joint)

    for name, gradient in expected.items():
        factor = 1.7 if name.startswith("branches") else 1.0
        torch.testing.assert_close(found[name], factor * gradient, rtol=1e-4, atol=1e-6, msg=name)


def combined(g_m: list[float], g_u: list[float]) -> tuple[float, float, list[float]]:
    g = torch.tensor([g_u, g_m], dtype=torch.float64)
    a, scale = pareto(g @ g.T, torch.tensor([True, False]))
    weights = 2 * scale * torch.stack([1 - a, a])
    return float(a), float(scale), (weights @ g).tolist()


def test_a_conflict_gives_the_direction_of_least_norm_and_the_size_of_the_sum() -> None:
    a, _, h = combined([2.0, 0.0], [-1.0, 1.0])  # least norm at 0.4 g_m + 0.6 g_u = (0.2, 0.6)

    assert a == pytest.approx(0.4)
    assert h == pytest.approx([2**0.5 / 10**0.5, 3 * 2**0.5 / 10**0.5])


def test_an_end_of_the_segment_is_clipped() -> None:
    a, scale, h = combined([10.0, 0.0], [-0.1, 0.0])

    assert a == pytest.approx(0.1 / 10.1)
    assert abs(h[0]) < 1e-4  # opposite: the least norm is zero
    assert scale >= 1
    assert combined([5.0, 0.0], [0.0, 0.0])[0] == 0  # the gradient of zero has the least norm


@pytest.mark.parametrize("gradients", [([1.0, -2.0], [-1.0, 2.0]), ([0.0, 0.0], [0.0, 0.0])], ids=["opposite", "zero"])
def test_a_direction_of_zero_is_a_gradient_of_zero_and_no_nan(gradients: Any) -> None:
    assert combined(*gradients)[2] == [0, 0]


def test_the_branch_with_a_conflict_is_the_one_that_changes(tmp_path: Path) -> None:
    run = tiny.run(tmp_path / "r.pt", settings=Settings(), clarity=(2.0, 2.0))
    method: Any = run.fit.method
    method.loss = lambda step: dict(enumerate(opposed_losses(step.output, step.labels, opposed=[1])))

    log = Steps.joined(run.go().steps).log

    assert (log["share_0"] == 0.5).float().mean() > 0.8
    assert (log["share_1"] != 0.5).float().mean() > 0.5


def test_a_frozen_branch_is_left_alone(tmp_path: Path) -> None:
    run = tiny.run(tmp_path / "r.pt", settings=Settings())
    before = [p.clone() for p in run.fit.model.branches[1].parameters()]
    run.fit.method.active = lambda epoch: [0]  # type: ignore[method-assign]

    history = run.go().history

    assert history[-1]["train_loss"] < history[0]["train_loss"]
    for p, q in zip(run.fit.model.branches[1].parameters(), before, strict=True):
        assert torch.equal(p, q)
