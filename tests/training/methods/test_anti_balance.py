"""Anti-balance against a plain loop, written from the formulas."""

import math
from pathlib import Path

import pytest
import tiny
import torch
from torch.nn.functional import cross_entropy

from greedymm.errors import GreedymmError
from greedymm.training.methods.anti_balance import Settings
from greedymm.training.networks import make_method

ALPHA = 0.5


def differentiate(step: tiny.BareStep) -> tiny.Row:
    """Scale the kernels of each branch."""
    output = step.model(step.inputs)
    cross_entropy(output.logits, step.labels).backward()  # type: ignore[no-untyped-call]
    rows = range(len(step.labels))
    scores = [float(y.detach().softmax(dim=1)[rows, step.labels].mean()) for y in output.branches]
    scales = {}
    for k, own in enumerate(scores):
        ratios = [own / other for j, other in enumerate(scores) if j != k]
        rho = sum(ratios) / len(ratios)
        scales[f"scale_{k}"] = 1 + math.tanh(ALPHA * rho) if rho > 1 else 1.0
        for p in step.model.branches[k].parameters():
            if p.dim() == 4 and p.grad is not None:
                p.grad *= scales[f"scale_{k}"]
    return scales


@pytest.mark.parametrize("clarity", [(2.0, 0.1), (1.0, 0.3, 2.0)], ids=["two modalities", "three modalities"])
def test_training_is_that_of_a_plain_loop(tmp_path: Path, clarity: tuple[float, ...]) -> None:
    run, bare = (
        tiny.run(tmp_path / f"{i}.pt", "anti_balance", Settings(alpha=ALPHA), clarity=clarity, training=tiny.STEADY)
        for i in range(2)
    )

    rows = tiny.bare_loop(bare, differentiate)
    run.go()

    tiny.assert_agree(run, bare, rows)
    assert any(scale > 1 for row in rows for scale in row.values())


def test_the_quicker_branch_is_accelerated_more_often(tmp_path: Path) -> None:
    steps = tiny.run(tmp_path / "r.pt", "anti_balance", clarity=(5.0, 0.1)).go().steps

    faster = [sum(int((s.log[f"scale_{k}"] > 1).sum()) for s in steps) for k in range(2)]
    assert faster[0] > 3 * faster[1]
    assert all((s.log[f"scale_{k}"] >= 1).all() for s in steps for k in range(2))


def test_a_branch_without_convolutions_is_refused() -> None:
    model = tiny.network()
    model.branches[1].stages = torch.nn.ModuleList([torch.nn.Linear(3, 3)])

    with pytest.raises(GreedymmError, match=r"'anti_balance' .* a branch has none"):
        make_method(Settings(), model, torch.Generator())
