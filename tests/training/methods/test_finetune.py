"""Finetune against a plain loop of two phases."""

from pathlib import Path

import pytest
import tiny
import torch
from torch.nn.functional import cross_entropy

from greedymm.errors import GreedymmError
from greedymm.models.network import Output, Pass
from greedymm.training.methods.finetune import Settings

SETTINGS = Settings(objective="multi", pretrain=0.5)


def objective(output: Output, labels: torch.Tensor, *, joint: bool) -> torch.Tensor:
    """Sum of the losses of the branches, and of the network if `joint`."""
    losses = [cross_entropy(y, labels) for y in output.branches]
    return torch.stack([*losses, cross_entropy(output.logits, labels)] if joint else losses).sum()


@pytest.mark.parametrize("joint", [False, True], ids=["own heads", "joint head"])
def test_both_phases_agree_with_a_plain_loop(tmp_path: Path, *, joint: bool) -> None:
    run, bare = (tiny.run(tmp_path / f"{i}.pt", settings=SETTINGS, training=tiny.STEADY, joint=joint) for i in range(2))

    def differentiate(step: tiny.BareStep) -> tiny.Row:
        if step.epoch >= 2:
            loss = objective(step.model(step.inputs), step.labels, joint=True)
        elif joint:
            features = step.model(step.inputs).features
            heads = step.model.method.linears  # type: ignore[union-attr]
            loss = sum(cross_entropy(heads[k](h), step.labels) for k, h in enumerate(features))  # type: ignore[index, operator, misc, assignment]
        else:
            loss = objective(step.model(step.inputs, Pass(alone=True)), step.labels, joint=False)
        loss.backward()  # type: ignore[no-untyped-call]
        return {"phase": 1 + (step.epoch >= 2)}

    run.go()

    tiny.assert_agree(run, bare, tiny.bare_loop(bare, differentiate))


@pytest.mark.parametrize("joint", [False, True], ids=["own heads", "joint head"])
def test_what_the_branches_share_does_not_move_in_the_first_phase(tmp_path: Path, *, joint: bool) -> None:
    training = tiny.STEADY.model_copy(update={"weight_decay": 0.1})
    run = tiny.run(tmp_path / "r.pt", settings=SETTINGS, training=training, joint=joint)
    names = ("fusion.side_0", "fusion.side_1", "fusion.shared", "head.shared")
    shared = [p for name in names for p in run.fit.model.groups()[name]]
    before, heads = [p.clone() for p in shared], list(getattr(run.fit.model, "method", torch.nn.Module()).parameters())

    for epoch in range(3):
        frozen = [p.clone() for p in heads]
        run.fit.run_epoch(run.train, run.val)
        assert all(torch.equal(p, q) for p, q in zip(shared, before, strict=True)) == (epoch < 2)
        assert all(torch.equal(p, q) for p, q in zip(heads, frozen, strict=True)) == (epoch == 2 or not joint)


def test_stops_plateaus_and_the_checkpoint_ignore_the_first_phase(tmp_path: Path) -> None:
    changes = {"epochs": 12, "learning_rate": 0.05, "perfect_epochs": 1, "threshold": 0.99}
    training = tiny.TRAINING.model_copy(update=changes)
    run = tiny.run(tmp_path / "r.pt", settings=SETTINGS, clarity=(5.0, 5.0), training=training, samples=40)

    progress = run.go()

    first, second = progress.history[:6], progress.history[6:]
    assert max(row["train_accuracy"] for row in first) == 1  # not the end of training
    assert len(second) == 1
    assert max(row["val_accuracy"] for row in first) == 1  # not the checkpoint
    assert progress.best["epoch"] == 7
    assert second[0]["learning_rate"] == training.learning_rate


def test_a_training_of_one_epoch_has_no_two_phases(tmp_path: Path) -> None:
    run = tiny.run(tmp_path / "r.pt", settings=SETTINGS, training=tiny.TRAINING.model_copy(update={"epochs": 1}))

    with pytest.raises(GreedymmError, match="leaves no epoch for one of its phases; two epochs"):
        run.go()
