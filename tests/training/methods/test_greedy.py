"""Greedy training against a bare loop: with all hooks at their defaults nothing else happens."""

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import tiny
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from greedymm.models.network import Output
from greedymm.seeding import seed_everything
from greedymm.settings import MethodSettings
from greedymm.training.methods.base import Method, branch_losses
from greedymm.training.methods.greedy import Settings as Greedy
from greedymm.training.methods.modality_dropout import Settings as Dropout
from greedymm.training.methods.ogm_ge import Settings as OgmGe


def bare(loss: str, modalities: int, *, joint: bool = False) -> dict[str, Tensor]:
    """Weights and buffers after plain training of the network of `tiny.run`."""
    streams, settings = seed_everything(0), tiny.TRAINING
    clarity = (1.0, 0.3, 0.7)[:modalities]
    model = tiny.network(modalities, joint=joint)
    optimizer = torch.optim.SGD(model.parameters(), lr=settings.learning_rate, momentum=settings.momentum)
    train = tiny.split(26, clarity, settings.batch_size, order=streams["order"])
    for epoch in range(settings.epochs):
        model.train()
        for inputs, labels in train:
            output = model(inputs)
            losses = [cross_entropy(y, labels) for y in output.branches] if loss != "joint" else []
            losses += [cross_entropy(output.logits, labels)] if loss != "branch" else []
            optimizer.zero_grad()
            torch.stack(losses).sum().backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        optimizer.param_groups[0]["lr"] = tiny.TRAINING.learning_rate * (1 + math.cos(math.pi * (epoch + 1) / 4)) / 2
    return model.state_dict()


NEUTRAL: dict[str, MethodSettings] = {
    "greedy": Greedy(),
    "joint": Greedy(objective="joint"),
    "multi": Greedy(objective="multi"),
    "ogm_ge": OgmGe(alpha=0, noise=False),
    "modality_dropout": Dropout(p=0),
}


@pytest.mark.parametrize("joint", [False, True], ids=["own heads", "joint head"])
@pytest.mark.parametrize("modalities", [2, pytest.param(3, marks=pytest.mark.slow)], ids="{} modalities".format)
@pytest.mark.parametrize("settings", NEUTRAL.values(), ids=NEUTRAL)
def test_neutral_methods_are_bit_identical_to_a_bare_loop(
    settings: MethodSettings, modalities: int, tmp_path: Path, *, joint: bool
) -> None:
    if joint and settings.objective == "branch":
        pytest.skip("a joint head is not trained by the branches' losses")
    cosine = tiny.TRAINING.model_copy(update={"schedule": "cosine", "min_learning_rate": 0.0})
    run = tiny.run(
        tmp_path / "r.pt", "greedy", settings, clarity=(1.0, 0.3, 0.7)[:modalities], training=cosine, joint=joint
    )
    run.go()

    expected = bare(settings.objective, modalities, joint=joint)

    for name, value in run.fit.model.state_dict().items():
        if "squeeze_mean" not in name:  # of methods that cut in training alone
            assert torch.equal(value, expected[name]), name


# -- Objectives ---------------------------------------------------------------------------------------------


def output(**changes: Any) -> Output:
    logits = [torch.tensor([[0.0, 1.0], [2.0, 0.0]]), torch.tensor([[3.0, 0.0], [0.0, 1.0]])]
    return Output(torch.stack(logits).mean(dim=0), logits, logits)._replace(**changes)


LABELS = torch.tensor([1, 1])


def by_hand(logits: Tensor, rows: list[int]) -> float:
    losses = [math.log(sum(math.exp(float(x)) for x in logits[i])) - float(logits[i, 1]) for i in rows]
    return sum(losses) / len(losses)


def test_objectives_are_sums_of_means_over_samples() -> None:
    of = output()
    branches = sum(by_hand(y, [0, 1]) for y in of.branches)

    step: Any = SimpleNamespace(output=of, labels=LABELS)
    joint = by_hand(of.logits, [0, 1])
    for objective, expected in (("branch", branches), ("joint", joint), ("multi", branches + joint)):
        loss: Any = Method(Greedy.model_validate({"objective": objective})).loss(step)
        assert float(loss) == pytest.approx(expected)


def test_a_branch_is_not_asked_for_samples_in_which_it_is_absent() -> None:
    of = output(present=torch.tensor([[True, False], [True, True]]))

    losses = branch_losses(of, LABELS)

    assert [float(x) for x in losses] == pytest.approx([by_hand(of.branches[0], [0, 1]), by_hand(of.branches[1], [1])])


def test_a_branch_that_is_present_nowhere_has_no_loss() -> None:
    of = output(present=torch.tensor([True, False]))

    assert float(branch_losses(of, LABELS)[1]) == 0
