"""MLB against a plain loop, written from the formulas."""

import math
from pathlib import Path

import pytest
import tiny
import torch
from torch.nn.functional import cross_entropy

from greedymm.training.methods.mlb import Settings, scales


def plain_scale(scores: list[float], k: int, alpha: float, beta: float) -> float:
    """c_k of one branch."""
    ratios = [score / scores[k] for j, score in enumerate(scores) if j != k]
    r = sum(ratios) / len(ratios)
    if r > 1:
        return 1 + (beta - 1) * math.tanh(alpha * (r - 1))
    return 1 + math.tanh(alpha * (r - 1))


@pytest.mark.parametrize("clarity", [(2.0, 0.1), (1.0, 0.3, 2.0)], ids=["two modalities", "three modalities"])
def test_training_is_that_of_a_plain_loop(tmp_path: Path, clarity: tuple[float, ...]) -> None:
    settings = Settings(alpha=0.7, beta=3.0)
    run, bare = (
        tiny.run(tmp_path / f"{i}.pt", settings=settings, clarity=clarity, training=tiny.STEADY) for i in range(2)
    )

    def differentiate(step: tiny.BareStep) -> tiny.Row:
        output = step.model(step.inputs)
        losses = [cross_entropy(y, step.labels) for y in (output.logits, *output.branches)]
        torch.stack(losses).sum().backward()  # type: ignore[no-untyped-call]
        batch = range(len(step.labels))
        scores = [float(y.detach().softmax(dim=1)[batch, step.labels].mean()) for y in output.branches]
        row = {}
        for k in range(len(scores)):
            c = row[f"scale_{k}"] = plain_scale(scores, k, 0.7, 3.0)
            for p in (*step.model.branches[k].parameters(), *step.model.head.linears[k].parameters()):  # type: ignore[union-attr, index]
                p.grad *= c
        return row

    rows = tiny.bare_loop(bare, differentiate)
    run.go()

    tiny.assert_agree(run, bare, rows)


def test_the_quicker_branch_is_slowed_and_the_other_one_sped_up(tmp_path: Path) -> None:
    steps = tiny.run(tmp_path / "r.pt", settings=Settings(beta=3.0), clarity=(5.0, 0.1)).go().steps

    quick, slow = (torch.cat([s.log[f"scale_{k}"] for s in steps[1:]]) for k in range(2))

    assert (quick < 1).float().mean() > 0.8
    assert (slow > 1).float().mean() > 0.8


@pytest.mark.parametrize("count", [2, 3])
def test_equal_scores_change_nothing(count: int) -> None:
    torch.testing.assert_close(scales(torch.full((count,), 0.37), alpha=5.0, beta=10.0), torch.ones(count))


def test_a_score_of_zero_gives_the_largest_factor() -> None:
    assert scales(torch.tensor([0.5, 0.0]), alpha=0.5, beta=10.0).tolist() == pytest.approx([1 - math.tanh(0.5), 10])
    assert scales(torch.zeros(2), alpha=0.5, beta=10.0).isfinite().all()
