"""What holds for every method."""

import re
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
from cases import CASES
from pydantic import ValidationError

from greedymm.errors import GreedymmError
from greedymm.settings import MethodSettings
from greedymm.training.methods.greedy import Settings as Greedy
from greedymm.training.step import Steps

NEUTRAL = [name for name, case in CASES.items() if case.neutral]


@pytest.mark.parametrize("name", NEUTRAL)
def test_neutral_settings_train_as_greedy_does_to_the_bit(tmp_path: Path, name: str) -> None:
    neutral = CASES[name].neutral
    assert neutral is not None
    runs = [
        tiny.run(tmp_path / f"{i}.pt", settings=settings)
        for i, settings in enumerate((neutral, Greedy(objective=neutral.objective)))
    ]

    losses, expected = (Steps.joined(run.go().steps).loss for run in runs)

    assert torch.equal(losses, expected)
    weights = dict(runs[0].fit.model.named_parameters())
    for key, value in runs[1].fit.model.named_parameters():
        assert torch.equal(weights[key], value), key


@pytest.mark.parametrize("name", CASES)
def test_batches_of_two_samples_train(tmp_path: Path, name: str) -> None:
    training = tiny.TRAINING.model_copy(update={"batch_size": 2, "epochs": 3})

    history = tiny.run(tmp_path / "r.pt", settings=CASES[name].settings, training=training, samples=8).go().history

    assert all(torch.tensor([row["train_loss"] for row in history]).isfinite())


@pytest.mark.parametrize("name", CASES)
def test_three_modalities_train_or_are_refused(tmp_path: Path, name: str) -> None:
    clarity = (2.0, 2.0, 2.0)
    if CASES[name].two_only:
        with pytest.raises(GreedymmError, match="two modalities"):
            tiny.run(tmp_path / "r.pt", name, clarity=clarity)
        return

    history = tiny.run(tmp_path / "r.pt", name, clarity=clarity).go().history

    assert history[-1]["train_loss"] < history[0]["train_loss"] or history[-1]["train_accuracy"] > 0.5


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.joint])
@pytest.mark.parametrize("modalities", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_a_joint_head_trains_if_the_method_allows_it(tmp_path: Path, name: str, modalities: int) -> None:
    case = CASES[name]
    if case.two_only and modalities > 2:
        return
    settings, training = (
        with_objective(case.settings, "joint"),
        tiny.TRAINING.model_copy(update={"learning_rate": 0.03}),
    )
    clarity = (2.0, 0.5, 1.0)[:modalities]

    history = tiny.run(tmp_path / "r.pt", name, settings, clarity=clarity, training=training, joint=True).go().history

    assert history[-1]["train_loss"] < history[0]["train_loss"]
    assert "d_speed" not in history[0]  # no fusion has parameters to compare


def with_objective(settings: MethodSettings, objective: str) -> MethodSettings:
    """The same settings with another objective, where the method has it."""
    if parts := getattr(settings, "parts", ()):
        update = {"parts": [with_objective(part, objective).model_dump() for part in parts], "objective": objective}
    else:
        update = {"objective": objective}
    try:
        return type(settings).model_validate(settings.model_dump() | update)
    except ValidationError:
        return settings


@pytest.mark.parametrize(
    ("name", "fits", "too_long", "message"),
    [
        ("relearn", {"every": 2}, {"every": 3}, "train at least 4 epochs, or set a lower `every`"),
        ("g_blend", {"super_epoch": 2}, {"super_epoch": 3}, "set `super_epoch` to at most 2, or `online: false`"),
        ("mses", {"patience": 1}, {"patience": 2}, "set at most 1, or train longer"),
        ("reconboost", {"alone": 1}, {"alone": 2}, "set these lower, or train at least 4 epochs"),
        ("finetune", {"pretrain": 0.5}, {"pretrain": 0.01}, "two epochs and `pretrain: 0.5` would do"),
    ],
)
def test_a_schedule_that_never_takes_effect_is_refused(
    tmp_path: Path, name: str, fits: dict[str, Any], too_long: dict[str, Any], message: str
) -> None:
    training = tiny.TRAINING.model_copy(update={"epochs": 3})
    runs = [
        tiny.run(tmp_path / "r.pt", settings=type(CASES[name].settings).model_validate(settings), training=training)
        for settings in (fits, too_long)
    ]

    runs[0].fit.method.check_schedule()
    with pytest.raises(GreedymmError, match=f"method '{name}': .*{re.escape(message)}"):
        runs[1].go()
