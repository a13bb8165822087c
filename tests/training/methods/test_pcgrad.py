"""PCGrad against a plain loop over long vectors, and its projections by hand."""

from pathlib import Path

import flat
import pytest
import tiny
import torch
from torch import Tensor

from greedymm.errors import GreedymmError
from greedymm.models.branches.cnn import Settings as Cnn
from greedymm.models.build import build
from greedymm.models.heads.own import Settings as Own
from greedymm.training.methods.cagrad import Settings as CAGrad
from greedymm.training.methods.pcgrad import Settings, project
from greedymm.training.networks import make_method


def surgery(gradients: list[Tensor], orders: list[list[int]]) -> Tensor:
    """Sum of the projected gradients."""
    projected = []
    for i, order in enumerate(orders):
        g = gradients[i].clone()
        for j in order:
            if j != i and (product := g @ gradients[j]) < 0:
                g -= product / (gradients[j] @ gradients[j]) * gradients[j]
        projected.append(g)
    return torch.stack(projected).sum(dim=0)


@pytest.mark.parametrize("clarity", [(2.0, 0.1), (1.0, 0.3, 2.0)], ids=["two modalities", "three modalities"])
def test_training_is_that_of_a_plain_loop(tmp_path: Path, clarity: tuple[float, ...]) -> None:
    run, bare = (
        tiny.run(tmp_path / f"{i}.pt", settings=Settings(), clarity=clarity, training=tiny.STEADY) for i in range(2)
    )
    parameters = list(bare.fit.model.parameters())

    def differentiate(step: tiny.BareStep) -> tiny.Row:
        gradients = flat.vectors(flat.losses_of(step), parameters)
        count = len(gradients)
        orders = torch.rand(count, count, generator=bare.streams["method"]).argsort(dim=1).tolist()
        total = surgery(gradients, orders)
        flat.assign(total, parameters)
        weights = torch.linalg.lstsq(torch.stack(gradients).T, total[:, None]).solution.flatten().tolist()
        return {f"weight_{k}" if k < count - 1 else "weight_joint": w for k, w in enumerate(weights)}

    rows = tiny.bare_loop(bare, differentiate)
    history = run.go()

    tiny.assert_agree(run, bare, rows)
    assert any((s.log["weight_0"] > 1).any() for s in history.steps)  # there are conflicts


def test_only_conflicts_are_projected_and_with_the_original_gradients() -> None:
    gradients = [torch.tensor(g, dtype=torch.float64) for g in ([1.0, 0, 0], [-1.0, 1, 0], [0, -1.0, 1], [0, 0, 0])]
    stacked = torch.stack(gradients)
    orders = [[1, 2, 0, 3], [3, 2, 1, 0], [0, 1, 2, 3], [0, 1, 2, 3]]

    weights = project(stacked @ stacked.T, orders)

    torch.testing.assert_close(weights @ stacked, surgery(gradients, orders))  # the last gradient is zero
    assert project(torch.ones(3, 3, dtype=torch.float64), [[0, 1, 2]] * 3).tolist() == [1, 1, 1]


def test_the_projected_gradient_no_longer_conflicts() -> None:
    g = torch.tensor([[1.0, 0.0], [-1.0, 0.5]], dtype=torch.float64)

    total = project(g @ g.T, [[0, 1], [0, 1]]) @ g

    assert (g @ total >= 0).all()
    assert (g[1] @ g.sum(dim=0)) > 0 > g[0] @ g[1]


@pytest.mark.parametrize("settings", [Settings(objective="branch"), CAGrad(objective="branch")])
def test_branches_that_share_nothing_are_refused(settings: Settings | CAGrad) -> None:
    model = build([Cnn(name="cnn", widths=(4, 6))] * 2, None, [(), ()], Own(name="own"), (3, 1), 3)

    with pytest.raises(GreedymmError, match="the branches share none; set `objective: multi`"):
        make_method(settings, model, torch.Generator())
