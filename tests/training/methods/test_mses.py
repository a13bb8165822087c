"""MSES against a plain loop; what a stopped branch keeps and what the others do."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from greedymm.training.methods import mses
from greedymm.training.methods.mses import Settings
from greedymm.training.step import Scores

SMOOTHING, PATIENCE = 0.6, 1
Given = Callable[[list[list[float]]], None]


@pytest.fixture
def losses(monkeypatch: pytest.MonkeyPatch) -> Given:
    """Let validation return given losses of the branches, epoch by epoch."""

    def give(by_epoch: list[list[float]]) -> None:
        left = iter(by_epoch)

        def validate(*_: Any) -> Scores:
            of_branches = next(left)
            return Scores([0.0, *of_branches], [0.0] * (1 + len(of_branches)))

        monkeypatch.setattr(mses, "validate", validate)

    return give


def parameters(run: tiny.Run, k: int) -> list[Tensor]:
    """Body, head and side of one branch."""
    parts = (f"branches.{k}.", f"head.linears.{k}.")
    return [p for n, p in run.fit.model.named_parameters() if n.startswith(parts) or f"excite.{k}." in n]


def copies(run: tiny.Run, k: int) -> list[Tensor]:
    return [p.detach().clone() for p in parameters(run, k)]


def unchanged(run: tiny.Run, k: int, weights: list[Tensor]) -> bool:
    return all(torch.equal(p, q) for p, q in zip(parameters(run, k), weights, strict=True))


class Plain:
    """The plain loop, with lists of all losses."""

    def __init__(self, run: tiny.Run, modalities: int) -> None:
        self.run = run
        self.losses: list[list[float]] = [[] for _ in range(modalities)]  # smoothed
        self.best: list[list[Tensor]] = [[] for _ in range(modalities)]
        self.stopped = [False] * modalities

    def validate(self) -> None:
        model, val = self.run.fit.model.eval(), self.run.val
        for k, y in enumerate(model(val.inputs).branches):
            loss, smoothed = float(cross_entropy(y, val.labels).detach()), self.losses[k]
            smoothed.append(SMOOTHING * smoothed[-1] + (1 - SMOOTHING) * loss if smoothed else loss)
            own = parameters(self.run, k)
            if self.stopped[k]:
                continue
            if smoothed.index(min(smoothed)) == len(smoothed) - 1:
                self.best[k] = [p.detach().clone() for p in own]
            elif len(smoothed) - 1 - smoothed.index(min(smoothed)) >= PATIENCE:
                self.stopped[k] = True
                for p, best in zip(own, self.best[k], strict=True):
                    p.data.copy_(best)
        model.train()

    def __call__(self, step: tiny.BareStep) -> tiny.Row:
        if step.number == 0 and step.epoch > 0:
            self.validate()
        output = step.model(step.inputs)
        losses = [cross_entropy(y, step.labels) for y in (*output.branches, output.logits)]
        torch.stack(losses).sum().backward()  # type: ignore[no-untyped-call]
        for k, stopped in enumerate(self.stopped):
            for p in parameters(self.run, k) if stopped else ():
                p.grad = None
        if all(self.stopped):
            step.model.zero_grad()
        return {f"stopped_{k}": float(stopped) for k, stopped in enumerate(self.stopped)}


@pytest.mark.parametrize("clarity", [(2.0, 0.0), (1.0, 0.0, 2.0)], ids=["two modalities", "three modalities"])
def test_training_is_that_of_a_plain_loop(tmp_path: Path, clarity: tuple[float, ...]) -> None:
    settings = Settings(smoothing=SMOOTHING, patience=PATIENCE)
    run, bare = (
        tiny.run(tmp_path / f"{i}.pt", "mses", settings, clarity=clarity, training=tiny.STEADY) for i in range(2)
    )

    rows = tiny.bare_loop(bare, Plain(bare, len(clarity)))
    run.go()

    tiny.assert_agree(run, bare, rows)
    assert any(any(row.values()) for row in rows)


def test_the_branch_that_only_overfits_is_stopped(tmp_path: Path) -> None:
    settings, slow = Settings(patience=1, smoothing=0), tiny.TRAINING.model_copy(update={"learning_rate": 0.03})
    last = tiny.run(tmp_path / "r.pt", "mses", settings, clarity=(5.0, 0.0), training=slow, samples=12).go().steps[-1]

    assert (last.log["stopped_1"] == 1).all()
    assert (last.log["stopped_0"] == 0).all()


def test_only_the_stopped_branch_is_restored_and_then_stays(tmp_path: Path, losses: Given) -> None:
    training = tiny.TRAINING.model_copy(update={"weight_decay": 0.1})
    run = tiny.run(tmp_path / "r.pt", "mses", Settings(patience=1, smoothing=0), training=training)
    losses([[0.5, 0.5], [0.6, 0.4]])
    start, train = run.fit.method.start_epoch, run.fit.train_epoch
    start(0, run.train, run.val, run.fit.optimizer)
    train(0, run.train)
    start(1, run.train, run.val, run.fit.optimizer)
    best = copies(run, 0)
    train(1, run.train)
    trained = copies(run, 1)

    start(2, run.train, run.val, run.fit.optimizer)

    assert unchanged(run, 0, best)
    assert unchanged(run, 1, trained)
    train(2, run.train)  # with momentum and weight decay
    assert unchanged(run, 0, best)
    assert not unchanged(run, 1, trained)


@pytest.mark.parametrize("fused", [True, False])
def test_once_all_branches_are_stopped_nothing_learns(tmp_path: Path, losses: Given, *, fused: bool) -> None:
    run = tiny.run(tmp_path / "r.pt", "mses", Settings(patience=1, smoothing=0))
    if not fused:
        run.fit.model.remove_fusions()
    losses([[0.5, 0.5], [0.6, 0.6], [0.1, 0.1]])
    for epoch in range(2):
        run.fit.method.start_epoch(epoch, run.train, run.val, run.fit.optimizer)
        run.fit.train_epoch(epoch, run.train)
    run.fit.method.start_epoch(2, run.train, run.val, run.fit.optimizer)
    before = [p.clone() for p in run.fit.model.parameters()]

    run.fit.train_epoch(2, run.train)
    run.fit.method.start_epoch(3, run.train, run.val, run.fit.optimizer)  # a lower loss starts no branch again
    run.fit.train_epoch(3, run.train)

    assert all(torch.equal(p, q) for p, q in zip(run.fit.model.parameters(), before, strict=True))
