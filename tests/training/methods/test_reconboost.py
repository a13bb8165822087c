"""ReconBoost against a plain loop, its turns, and the gradient of its alignment."""

from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
from torch import Tensor

from greedymm.errors import GreedymmError
from greedymm.training.methods.reconboost import Settings
from greedymm.training.networks import make_method
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
    others = [j for j in range(len(logits)) if j != k]
    own, before = logits[k], logits[k - 1 if k else len(logits) - 1].detach()
    for i, label in enumerate(labels):
        rest = beta.detach() * sum(logits[j][i].detach() for j in others)
        weight = (5 - float(rest.softmax(dim=0)[label])) / 3
        loss = loss - weight * own[i].log_softmax(dim=0)[label] / len(labels)
        row["weight"] += weight / len(labels)
    if step.epoch > 0:
        squares = (own.softmax(dim=1) - before.softmax(dim=1)) ** 2
        loss = loss + 0.5 * squares.sum() / squares.numel()
        row["alignment"] = float(squares.sum().detach()) / squares.numel()
    loss.backward()  # type: ignore[no-untyped-call]
    for p in model.group(*(f"{group}_{j}{part}" for group, part in GROUPS for j in others)):
        p.grad = None
    return row | {"turn": k + 1.0}


GROUPS = [("branch", ".body"), ("branch", ".head"), ("fusion.side", "")]


@pytest.mark.parametrize("clarity", [(1.0, 0.3), (1.0, 0.3, 2.0)], ids=["two modalities", "three modalities"])
def test_training_is_that_of_a_plain_loop(tmp_path: Path, clarity: tuple[float, ...]) -> None:
    run, bare = (
        tiny.run(tmp_path / f"{i}.pt", settings=Settings(), clarity=clarity, training=tiny.STEADY) for i in range(2)
    )

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


def test_a_training_that_ends_before_the_second_turn_is_refused(tmp_path: Path) -> None:
    run = tiny.run(tmp_path / "r.pt", settings=Settings(alone=2, together=2))

    with pytest.raises(GreedymmError, match=r"4 epochs end before the second turn, .* train at least 5 epochs"):
        run.go()


@pytest.mark.parametrize("fusion", ["film", "centralnet"])
def test_logits_that_are_no_sum_over_branches_are_refused(fusion: str) -> None:
    with pytest.raises(GreedymmError, match="'reconboost' needs logits that are a sum over branches; use the head"):
        make_method(Settings(), tiny.fused(fusion), torch.Generator())


def test_negative_weights_of_samples_are_refused() -> None:
    with pytest.raises(ValueError, match="w1 must be at least w2"):
        Settings(w1=1, w2=2)
