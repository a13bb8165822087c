"""MSLR against a plain loop; its rates against the accuracies in the history."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
from torch.nn.functional import cross_entropy

from greedymm.errors import GreedymmError
from greedymm.training.methods.mslr import Settings, trend

RATES = (0.9, 1.1, 1.2)
MEMORY = 2


def scaled_step(step: tiny.BareStep, rates: list[float]) -> tiny.Row:
    """Gradients of the network's loss, those of each branch times its rate."""
    cross_entropy(step.model(step.inputs).logits, step.labels).backward()  # type: ignore[no-untyped-call]
    for k, rate in enumerate(rates):
        for name, p in step.model.named_parameters():
            if name.startswith((f"branches.{k}.", f"head.linears.{k}.")) and p.grad is not None:
                p.grad *= rate
    return {f"rate_{k}": rate for k, rate in enumerate(rates)}


@pytest.mark.parametrize("clarity", [(2.0, 0.1), (1.0, 0.3, 2.0)], ids=["two modalities", "three modalities"])
def test_training_is_that_of_a_plain_loop(tmp_path: Path, clarity: tuple[float, ...]) -> None:
    settings = Settings(rates=RATES[: len(clarity)], memory=MEMORY)
    run, bare = (
        tiny.run(tmp_path / f"{i}.pt", "mslr", settings, clarity=clarity, training=tiny.STEADY) for i in range(2)
    )
    accuracies: list[list[float]] = []  # of each epoch, and branch
    rates = list(settings.rates)

    def differentiate(step: tiny.BareStep) -> tiny.Row:
        if step.number == 0 and step.epoch > 0:
            step.model.eval()
            logits = step.model(bare.val.inputs).branches
            accuracies.append([max(float((y.argmax(dim=1) == bare.val.labels).float().mean()), 1 / 3) for y in logits])
            step.model.train()
            if len(accuracies) > 1:
                *before, last = accuracies[-MEMORY - 1 :]
                for k, r in enumerate(settings.rates):
                    rates[k] = r * last[k] * len(before) / sum(of_epoch[k] for of_epoch in before)
        return scaled_step(step, rates)

    rows = tiny.bare_loop(bare, differentiate)
    run.go()

    tiny.assert_agree(run, bare, rows)


def test_the_branch_whose_validation_accuracy_rises_is_accelerated(tmp_path: Path) -> None:
    training = tiny.TRAINING.model_copy(update={"learning_rate": 0.02})
    progress = tiny.run(tmp_path / "r.pt", "mslr", Settings(memory=1), clarity=(5.0, 0.1), training=training).go()

    for k in range(2):
        rates = [float(steps.log[f"rate_{k}"][0]) for steps in progress.steps]
        accuracies = [max(row[f"val_accuracy_m{k}"], 1 / 3) for row in progress.history]
        ratios = [after / before for before, after in pairwise(accuracies[:3])]
        assert rates == pytest.approx([1, 1, *ratios])
    assert max(float(steps.log["rate_0"][0]) for steps in progress.steps) > 1


def test_rates_are_not_cumulative(tmp_path: Path) -> None:
    run = tiny.run(tmp_path / "r.pt", "mslr", Settings(rates=(0.5, 2.0)))
    method: Any = run.fit.method

    for epoch in range(4):  # without training in between, the accuracy is constant
        method.start_epoch(epoch, run.train, run.val, run.fit.optimizer)
        assert method.rates.tolist() == [0.5, 2.0]


def test_the_trend_is_relative_to_the_mean_before() -> None:
    accuracies = torch.tensor([[0.4, 0.8], [0.6, 0.8], [1.0, 0.4]])

    torch.testing.assert_close(trend(accuracies), torch.tensor([2.0, 0.5]))
    assert trend(accuracies[:1]).tolist() == [1, 1]


def test_another_number_of_rates_than_branches_is_refused(tmp_path: Path) -> None:
    with pytest.raises(GreedymmError, match="3 rates for 2 branches"):
        tiny.run(tmp_path / "r.pt", "mslr", Settings(rates=RATES))
