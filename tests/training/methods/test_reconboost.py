"""ReconBoost against a plain loop, its turns, and the gradient of its alignment."""

from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
from torch import Tensor

from greedymm.training.methods.reconboost import Settings
from greedymm.training.step import Steps


def plain(step: tiny.BareStep) -> tiny.Row:
    """Epochs 0 and 2 are the turns of branches 0 and 1; epochs 1 and 3 those of all."""
    model, labels = step.model, step.labels.tolist()
    logits = model(step.inputs).branches
    beta = model.get_parameter("method.beta")
    row, k = {"turn": 0.0, "weight": 0.0, "alignment": 0.0, "beta": float(beta.detach())}, step.epoch // 2
    loss = torch.zeros(())
    if step.epoch % 2:
        for i, label in enumerate(labels):
            loss = loss - (beta * sum(y[i] for y in logits)).log_softmax(dim=0)[label] / len(labels)
        loss.backward()  # type: ignore[no-untyped-call]
        return row
    own, other = logits[k], logits[1 - k].detach()
    for i, label in enumerate(labels):
        weight = (5 - float((beta.detach() * other[i]).softmax(dim=0)[label])) / 3
        loss = loss - weight * own[i].log_softmax(dim=0)[label] / len(labels)
        row["weight"] += weight / len(labels)
    if step.epoch > 0:
        squares = (own.softmax(dim=1) - other.softmax(dim=1)) ** 2
        loss = loss + 0.5 * squares.sum() / squares.numel()
        row["alignment"] = float(squares.sum().detach()) / squares.numel()
    loss.backward()  # type: ignore[no-untyped-call]
    for p in model.group(*(f"{group}_{1 - k}{part}" for group, part in GROUPS)):
        p.grad = None
    return row | {"turn": k + 1.0}


GROUPS = [("branch", ".body"), ("branch", ".head"), ("fusion.side", "")]


def test_training_is_that_of_a_plain_loop(tmp_path: Path) -> None:
    run, bare = (tiny.run(tmp_path / f"{i}.pt", settings=Settings(), training=tiny.STEADY) for i in range(2))

    rows = tiny.bare_loop(bare, plain)
    run.go()

    tiny.assert_agree(run, bare, rows)
    assert rows[-1]["beta"] != 1


def test_turns_follow_each_other_within_the_epochs_of_the_run(tmp_path: Path) -> None:
    training = tiny.TRAINING.model_copy(update={"epochs": 7, "snapshots": ()})
    run = tiny.run(tmp_path / "r.pt", settings=Settings(alone=2), training=training, clarity=(1.0, 0.3, 0.5))

    progress = run.go()

    assert [int(steps.log["turn"][0]) for steps in progress.steps] == [1, 1, 0, 2, 2, 0, 3]


def of_step(run: tiny.Run, epoch: int) -> Any:
    """A step after the forward pass."""
    step: Any = type("S", (), {})()
    inputs, step.labels = next(iter(run.train.view()))
    step.output, step.epoch = run.fit.model(inputs), epoch
    return step


@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_the_alignment_has_a_gradient_unless_it_is_switched_off(tmp_path: Path, alpha: float) -> None:
    run = tiny.run(tmp_path / "r.pt", settings=Settings(alpha=alpha))
    method: Any = run.fit.method
    first, later = of_step(run, 0), of_step(run, 4)  # both turns of branch 0: without and with the alignment
    later.output = first.output

    gradients = [torch.autograd.grad(method.loss(step), first.output.branches[0])[0] for step in (first, later)]

    assert torch.equal(*gradients) == (alpha == 0)


def test_the_loss_of_a_turn_has_no_gradient_to_the_other_branch(tmp_path: Path) -> None:
    run = tiny.run(tmp_path / "r.pt", settings=Settings())
    method: Any = run.fit.method
    step = of_step(run, 4)

    gradient: Tensor | None = torch.autograd.grad(method.loss(step), step.output.branches[1], allow_unused=True)[0]

    assert gradient is None


def test_samples_that_the_quicker_branch_knows_count_less_for_the_slower_one(tmp_path: Path) -> None:
    run = tiny.run(tmp_path / "r.pt", settings=Settings(), clarity=(5.0, 0.1), training=tiny.STEADY)

    log = Steps.joined(run.go().steps).log

    turns = [log["weight"][log["turn"] == k + 1].mean() for k in range(2)]
    assert turns[1] < turns[0]


def test_the_network_predicts_from_the_sum_that_it_is_trained_with(tmp_path: Path) -> None:
    run = tiny.run(tmp_path / "r.pt", settings=Settings())
    run.go()
    model = run.fit.model.eval()

    output = model(tiny.split(5, (1.0, 0.3), 5).inputs)

    torch.testing.assert_close(output.logits, model.get_parameter("method.beta") * sum(output.branches))
