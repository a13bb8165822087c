"""Remix against a plain loop, and its batches."""

import math
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
from torch import Tensor

from greedymm.models.network import Pass
from greedymm.training.methods.remix import Settings, certainty, pure_batches
from greedymm.training.step import Steps

SETTINGS = Settings.model_validate({"weight": 0.7, "active": {"start": 2}})


def plain_choice(run: tiny.Run, modalities: int) -> list[int]:
    """The modality of each sample whose branch, cut from the others, has the largest entropy."""
    chosen = []
    with torch.no_grad():
        for i in range(26):
            inputs = [x[i : i + 1] for x in run.train.inputs]
            entropies = []
            for y in run.fit.model.eval()(inputs, Pass(hears=torch.eye(modalities).bool())).branches:
                p = [math.exp(v) / sum(map(math.exp, y[0].tolist())) for v in y[0].tolist()]
                entropies.append(-sum(v * math.log(v) for v in p))
            chosen.append(entropies.index(max(entropies)))
    return chosen


def plain_loss(output: Any, labels: Tensor, kept: list[list[bool]], weight: float) -> Tensor:
    """Cross-entropy of the mean of the logits that are present, and those of the branches."""
    total = torch.zeros(())
    for i, label in enumerate(labels.tolist()):
        votes = torch.stack([y[i] * kept[i][k] for k, y in enumerate(output.branches)]).sum(dim=0) / sum(kept[i])
        total = total - votes.log_softmax(dim=0)[label] / len(labels)
    for k, y in enumerate(output.branches):
        rows = [i for i in range(len(labels)) if kept[i][k]]
        for i in range(len(labels)):  # a branch without samples has gradients of zero
            share = weight / max(len(rows), 1) * (i in rows)
            total = total - share * y[i].log_softmax(dim=0)[int(labels[i])]
    return total


def plain_run(run: tiny.Run, modalities: int) -> list[tiny.Row]:
    """Train by a plain loop; return the share of the samples of each modality, in each step."""
    model, rows = run.fit.model, []
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    everyone = [[True] * modalities] * 26
    for epoch in range(4):
        kept, masks, batches = everyone, everyone, run.train
        if epoch > 0:
            choice = plain_choice(run, modalities)
            kept = [[k == m for k in range(modalities)] for m in choice]
            order = pure_batches(torch.tensor(choice), modalities, 6, run.streams["method"])
            masks, batches = [kept[i] for i in order], run.train.of(order)  # type: ignore[assignment]
        model.train()
        for number, (inputs, labels) in enumerate(batches):
            optimizer.zero_grad()
            of_batch = masks[6 * number : 6 * number + len(labels)]
            output = model(inputs, Pass(present=torch.tensor(of_batch) if epoch else None))
            plain_loss(output, labels, of_batch, 0.7 if epoch else 0.5).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            row = {f"share_{k}": sum(m[k] for m in kept) / 26 for k in range(modalities)}
            rows.append(row | {"weight": 0.7 if epoch else 0.5})
    return rows


@pytest.mark.parametrize("clarity", [(2.0, 0.1), (1.0, 0.3, 2.0)], ids=["two modalities", "three modalities"])
def test_training_is_that_of_a_plain_loop(tmp_path: Path, clarity: tuple[float, ...]) -> None:
    run, bare = (
        tiny.run(tmp_path / f"{i}.pt", settings=SETTINGS, clarity=clarity, training=tiny.STEADY) for i in range(2)
    )

    rows = plain_run(bare, len(clarity))
    run.go()

    tiny.assert_agree(run, bare, rows)


def test_the_slower_modality_has_most_samples(tmp_path: Path) -> None:
    settings = Settings.model_validate({"active": {"start": 3, "stop": 3}})
    log = Steps.joined(tiny.run(tmp_path / "r.pt", settings=settings, clarity=(5.0, 0.1), samples=60).go().steps).log

    assert (log["share_0"][:20] == 1).all()  # outside of the window, all modalities of all samples
    assert (log["share_1"][30:] == 1).all()
    assert (log["share_1"][20:30] > 0.6).all()


def test_each_sample_occurs_once_and_batches_have_one_modality() -> None:
    choice = torch.tensor([0] * 13 + [1] * 4 + [2] * 9)

    rows = pure_batches(choice, 3, 4, torch.Generator().manual_seed(0))

    assert rows.sort().values.tolist() == list(range(26))
    batches = [set(choice[batch].tolist()) for batch in torch.split(rows, 4)]
    assert [len(modalities) for modalities in batches[:6]] == [1] * 6
    assert [next(iter(m)) for m in batches[:6]] != sorted(next(iter(m)) for m in batches[:6])
    assert batches[6] == {0, 2}  # what is left of two modalities


def test_a_modality_without_samples_is_no_error() -> None:
    rows = pure_batches(torch.zeros(5, dtype=torch.int64), 2, 2, torch.Generator())

    assert sorted(rows.tolist()) == [0, 1, 2, 3, 4]


def test_certainty_is_the_divergence_from_the_uniform_distribution() -> None:
    logits = torch.tensor([[0.0, 0.0, 0.0, 0.0], [100.0, 0.0, 0.0, 0.0]])

    torch.testing.assert_close(certainty(logits), torch.tensor([0.0, math.log(4)]))


def test_the_pass_before_an_epoch_leaves_the_network_and_orders_as_they_were(tmp_path: Path) -> None:
    tiny.assert_start_epoch_changes_nothing(tiny.run(tmp_path / "r.pt", settings=SETTINGS))


def test_there_is_nothing_to_measure_before_the_first_epoch() -> None:
    with pytest.raises(ValueError, match="greater than or equal to 2"):
        Settings.model_validate({"active": {"start": 1}})
