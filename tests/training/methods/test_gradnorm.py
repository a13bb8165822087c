"""GradNorm against a plain loop, whose weights follow the derivative of its loss."""

from pathlib import Path
from typing import Any

import flat
import pytest
import tiny
import torch
from torch import Tensor

from greedymm.errors import GreedymmError
from greedymm.models.branches.cnn import Settings as Cnn
from greedymm.models.build import build
from greedymm.models.heads.own import Settings as Own
from greedymm.training.methods.gradnorm import Settings, updated
from greedymm.training.networks import make_method


def descend(weights: Tensor, norms: Tensor, rates: Tensor, alpha: float, eta: float) -> Tensor:
    """One step on the relative loss, by autograd; `norms` are those without weights."""
    w = weights.clone().requires_grad_()
    weighted = w * norms
    mean = weighted.mean().detach()
    (weighted - mean * (rates / rates.mean()) ** alpha).abs().sum().div(mean).backward()  # type: ignore[no-untyped-call]
    assert w.grad is not None
    moved = (w - eta * w.grad).detach().clamp(min=0.01)
    return len(moved) * moved / moved.sum()


@pytest.mark.parametrize("clarity", [(2.0, 0.1), (1.0, 0.3, 2.0)], ids=["two modalities", "three modalities"])
def test_training_is_that_of_a_plain_loop(tmp_path: Path, clarity: tuple[float, ...]) -> None:
    settings = Settings(alpha=0.8, eta=0.05)
    run, bare = (
        tiny.run(tmp_path / f"{i}.pt", settings=settings, clarity=clarity, training=tiny.STEADY) for i in range(2)
    )
    fusion = [p for module in bare.fit.model.fusions for p in module.parameters()]
    weights, initial = torch.ones(len(clarity) + 1, dtype=torch.float64), torch.empty(0)

    def differentiate(step: tiny.BareStep) -> tiny.Row:
        nonlocal weights, initial
        losses = flat.losses_of(step)
        norms = torch.stack([g.norm() for g in flat.vectors(losses, fusion)])
        torch.stack([w.float() * loss for w, loss in zip(weights, losses, strict=True)]).sum().backward()  # type: ignore[no-untyped-call]
        values = torch.stack(losses).detach().double()
        initial = initial if len(initial) else values
        row = {f"weight_{k}": float(w) for k, w in enumerate(weights[:-1])} | {"weight_joint": float(weights[-1])}
        weights = descend(weights, norms, values / initial, 0.8, 0.05)
        return row

    rows = tiny.bare_loop(bare, differentiate)
    run.go()

    tiny.assert_agree(run, bare, rows)


def test_the_quicker_branch_loses_weight(tmp_path: Path) -> None:
    last = tiny.run(tmp_path / "r.pt", settings=Settings(alpha=3.0), clarity=(5.0, 0.1)).go().steps[-1].log

    assert last["weight_0"].mean() < 1 < last["weight_1"].mean()


def of(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def test_equal_norms_and_rates_change_nothing() -> None:
    assert updated(of(1, 1, 1), of(2, 2, 2), of(0.5, 0.5, 0.5), alpha=1.5, eta=0.1).tolist() == [1, 1, 1]


def test_weights_stay_positive_with_sum_t_and_gradients_of_zero_are_no_nan() -> None:
    weights = of(1, 1)
    for _ in range(200):
        weights = updated(weights, weights * of(100, 1), of(0.1, 1.0), alpha=1.5, eta=0.5)
        assert weights.min() > 0
        assert float(weights.sum()) == pytest.approx(2)

    assert weights[0] < 0.1
    assert updated(of(1, 1), of(0, 0), of(1, 1), alpha=1.5, eta=0.1).tolist() == [1, 1]


def test_the_size_of_all_gradients_does_not_matter() -> None:
    found = [updated(of(1, 1), size * of(1, 3), of(0.5, 1), alpha=1.5, eta=0.1) for size in (1e-6, 1e6)]

    torch.testing.assert_close(found[0], found[1])


def test_the_shared_parameters_are_those_of_the_fusion_else_of_a_joint_head(tmp_path: Path) -> None:
    fused, joint = (tiny.run(tmp_path / f"{j}.pt", settings=Settings(), joint=j).fit for j in (False, True))
    shared: list[Any] = [fit.method.shared for fit in (fused, joint)]  # type: ignore[attr-defined]

    assert {id(p) for p in shared[0]} == {id(p) for f in fused.model.fusions for p in f.parameters()}
    assert {id(p) for p in shared[1]} == {id(p) for p in joint.model.head.parameters()}


def test_a_network_without_shared_parameters_is_refused() -> None:
    model = build([Cnn(name="cnn", widths=(4, 6))] * 2, None, [(), ()], Own(name="own"), (3, 1), 3)

    with pytest.raises(GreedymmError, match="the network has none: add a fusion"):
        make_method(Settings(), model, torch.Generator())
