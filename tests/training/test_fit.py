import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import tiny
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from greedymm.errors import GreedymmError
from greedymm.models.network import Pass
from greedymm.training.fit import Row
from greedymm.training.methods.balanced import Settings as Balanced
from greedymm.training.step import Steps

EAGER = Balanced(tolerance=1e-6, window=3)  # a window is open nearly always


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "resume.pt"


# -- What a run gives ---------------------------------------------------------------------------------------


def test_history_has_a_line_per_epoch_that_sums_up_its_steps(state: Path) -> None:
    progress = tiny.run(state, "balanced").go()

    assert [row["epoch"] for row in progress.history] == [1, 2, 3, 4]
    for row, steps in zip(progress.history, progress.steps, strict=True):
        modes, sizes = steps.mode.tolist(), steps.samples.tolist()
        assert sizes == [6, 6, 6, 6, 2]
        assert [row["regular_steps"], row["rebalancing_m0"], row["rebalancing_m1"]] == [
            modes.count(k) for k in range(3)
        ]
        losses = sum(loss * n for loss, n in zip(steps.loss.tolist(), sizes, strict=True))
        assert row["train_loss"] == pytest.approx(losses / 26)
        for i, name in enumerate(["train_accuracy", "train_accuracy_m0", "train_accuracy_m1"]):
            assert row[name] == pytest.approx(sum(steps.correct[:, i].tolist()) / 26)
        assert row["d_speed"] == pytest.approx(row["speed_m0"] - row["speed_m1"])
        assert [row["speed_m0"], row["speed_m1"]] == steps.speeds[-1].tolist()


def test_validation_is_regular_even_where_the_epoch_ends_within_a_window(state: Path) -> None:
    run = tiny.run(state, "balanced", EAGER)
    progress = run.go()
    mode = progress.steps[-1].mode[-1]
    assert mode > 0

    model, (inputs, labels) = run.fit.model.eval(), (run.val.inputs, run.val.labels)
    with torch.no_grad():
        regular, re_balanced = (_loss(model(inputs, Pass(mode=m)).branches, labels) for m in (None, mode))

    assert progress.history[-1]["val_loss"] == pytest.approx(regular, rel=1e-5)
    assert progress.history[-1]["val_loss"] != pytest.approx(re_balanced, rel=1e-5)


def _loss(logits: list[Tensor], labels: Tensor) -> float:
    return sum(float(cross_entropy(y, labels)) for y in logits)


def test_three_modalities_train_and_the_one_with_the_largest_speed_is_accelerated(state: Path) -> None:
    run = tiny.run(state, "balanced", clarity=(1.0, 1.0, 1.0))
    progress = run.go()
    steps = Steps.joined(progress.steps)
    modes, speeds = steps.mode.tolist(), steps.speeds.tolist()

    for s, difference in zip(speeds, steps.d_speed.tolist(), strict=True):
        assert difference == pytest.approx(max(s) - min(s))
    opened = [i for i in range(1, len(modes)) if modes[i - 1] == 0 < modes[i]]
    assert len({modes[i] for i in opened}) > 1
    for i in opened:
        assert modes[i] == 1 + speeds[i - 1].index(max(speeds[i - 1]))
    assert {"val_accuracy_m2", "speed_m2", "rebalancing_m2"} <= progress.history[-1].keys()
    assert progress.history[-1]["train_loss"] < progress.history[0]["train_loss"]


def test_a_single_modality_trains_and_has_no_speeds(state: Path) -> None:
    progress = tiny.run(state, clarity=(1.0,)).go()

    assert progress.history[-1].keys() == {
        "epoch", "learning_rate", "train_loss", "train_accuracy", "regular_steps", "val_loss", "val_accuracy",
    }  # fmt: skip
    assert progress.history[-1]["train_loss"] < progress.history[0]["train_loss"]


@pytest.mark.parametrize("method", ["balanced", "random"])
def test_all_methods_start_with_the_same_weights_and_the_same_warm_up_epoch(tmp_path: Path, method: str) -> None:
    greedy, other = (tiny.run(tmp_path / f"{m}.pt", m).go() for m in ("greedy", method))

    assert greedy.history[0] == other.history[0]
    assert greedy.history[-1] != other.history[-1]
    for a, b in zip(greedy.steps, other.steps, strict=True):
        assert torch.equal(a.samples, b.samples)


# -- When it stops ------------------------------------------------------------------------------------------


def stops(state: Path, accuracies: Sequence[float], perfect_epochs: int, epochs: int = 10) -> bool:
    """Whether a run stops after epochs of these training accuracies."""
    settings = tiny.TRAINING.model_copy(update={"epochs": epochs, "perfect_epochs": perfect_epochs})
    fit = tiny.run(state, training=settings).fit
    fit.progress.history = [{"train_accuracy": a} for a in accuracies]
    return fit.finished()


@pytest.mark.parametrize(
    ("accuracies", "expected"),
    [
        ([], False),
        ([1.0, 1.0], False),
        ([1.0, 1.0, 1.0], True),
        ([0.5, 1.0, 1.0, 1.0], True),
        ([0.5, 1.0, 0.99, 1.0], False),
        ([1.0, 0.99, 1.0, 1.0], True),
        ([0.5] * 9, False),
        ([0.5] * 10, True),
    ],
    ids=["nothing yet", "too few", "from the start", "enough", "too few, not in a row", "not in a row", "9", "budget"],
)
def test_it_stops_once_enough_epochs_had_a_perfect_training_accuracy(
    state: Path, accuracies: list[float], *, expected: bool
) -> None:
    assert stops(state, accuracies, perfect_epochs=3) == expected


def test_a_run_on_clear_data_stops_after_its_perfect_epochs(state: Path) -> None:
    settings = tiny.TRAINING.model_copy(update={"epochs": 40, "perfect_epochs": 3, "patience": 40, "momentum": 0.0})

    history = tiny.run(state, training=settings, clarity=(5.0, 5.0), samples=24).go().history

    perfect = [row["train_accuracy"] == 1 for row in history]
    assert sum(perfect) == 3
    assert perfect[-1]
    assert len(history) < 40


# -- What it keeps ------------------------------------------------------------------------------------------


def test_the_weights_of_the_first_of_the_best_validation_accuracies_are_kept(state: Path) -> None:
    run = tiny.run(state, clarity=(3.0, 0.0), seed=4, training=tiny.TRAINING.model_copy(update={"epochs": 6}))
    of_epochs: list[dict[str, Tensor]] = []

    def copy(_row: Row) -> None:
        of_epochs.append({name: value.clone() for name, value in run.fit.model.state_dict().items()})

    progress = run.fit.run(run.train, run.val, copy)
    run.fit.model.load_state_dict(progress.best["model"])
    mean = run.fit.model.eval()(run.val.inputs).logits

    accuracies = [row["val_accuracy"] for row in progress.history]
    first = accuracies.index(max(accuracies))
    assert 0 < first < len(accuracies) - 1  # neither the first epoch nor the last, or the choice shows nothing
    assert accuracies.count(max(accuracies)) > 1
    assert (mean.argmax(dim=1) == run.val.labels).double().mean().item() == pytest.approx(max(accuracies))
    assert (progress.best["epoch"], progress.best["val_accuracy"]) == (first + 1, max(accuracies))
    for name, value in progress.best["model"].items():
        torch.testing.assert_close(value, of_epochs[first][name], rtol=0, atol=0, equal_nan=True)


# -- The learning rate --------------------------------------------------------------------------------------


def plateau(
    losses: Sequence[float], rate: float, factor: float, patience: int, threshold: float, low: float
) -> list[float]:
    """Learning rate of every epoch, by a plain loop."""
    rates, best, waited = [], float("inf"), 0
    for loss in losses:
        rates.append(rate)
        better = loss < best * (1 - threshold)
        best, waited = (loss, 0) if better else (best, waited + 1)
        if waited > patience:
            rate, waited = max(low, rate * factor), 0
    return rates


def test_the_learning_rate_falls_where_the_training_loss_stands_still(state: Path) -> None:
    settings = tiny.TRAINING.model_copy(
        update={"epochs": 12, "patience": 1, "threshold": 0.2, "factor": 0.3, "min_learning_rate": 0.005}
    )

    history = tiny.run(state, training=settings).go().history

    found = [row["learning_rate"] for row in history]
    of_train, of_val = (
        plateau([row[name] for row in history], 0.1, 0.3, 1, 0.2, 0.005) for name in ("train_loss", "val_loss")
    )
    assert found == pytest.approx(of_train)
    assert found != pytest.approx(of_val)
    assert found[-1] == 0.005


def test_the_learning_rate_falls_along_half_a_cosine_over_all_epochs(state: Path) -> None:
    settings = tiny.TRAINING.model_copy(update={"epochs": 5, "schedule": "cosine", "min_learning_rate": 0.02})

    history = tiny.run(state, training=settings).go().history

    falling = [0.02 + (0.1 - 0.02) * (1 + math.cos(math.pi * epoch / 5)) / 2 for epoch in range(5)]
    assert [row["learning_rate"] for row in history] == pytest.approx(falling)


# -- Losses that are not finite -----------------------------------------------------------------------------


class Broken(tiny.Split):
    """A split with one batch of NaN or infinity, in one of the passes."""

    def __init__(self, whole: tiny.Split, value: float, epoch: int, batch: int) -> None:
        super().__init__(whole.inputs, whole.labels, whole.size, whole.order)
        self.value, self.place, self.passes = value, (epoch, batch), 0

    def __iter__(self) -> Iterator[tiny.Batch]:
        epoch, self.passes = self.passes, self.passes + 1
        for i, (inputs, labels) in enumerate(super().__iter__()):
            broken = (epoch, i) == self.place
            yield [torch.full_like(x, self.value) for x in inputs] if broken else inputs, labels


@pytest.mark.parametrize(
    ("epoch", "batch", "value"),
    [(0, 2, math.nan), (1, 3, math.inf), (1, 0, math.nan), (0, 0, math.nan)],
    ids=["first epoch", "second epoch", "first step of an epoch", "first step"],
)
def test_a_loss_that_is_not_finite_stops_the_run_and_says_where_and_what_to_try(
    tmp_path: Path, epoch: int, batch: int, value: float
) -> None:
    run = tiny.run(tmp_path / "broken.pt")

    with pytest.raises(GreedymmError) as caught:
        run.fit.run(Broken(run.train, value, epoch, batch), run.val, lambda _row: None)

    message = str(caught.value)
    assert f"the loss is nan in epoch {epoch + 1}, step {batch + 1}" in message
    assert "lower training.learning_rate (now 0.1)" in message
    assert "batch_size" in message


def test_the_state_before_a_loss_that_is_not_finite_is_kept(state: Path) -> None:
    run = tiny.run(state)
    with pytest.raises(GreedymmError):
        run.fit.run(Broken(run.train, float("nan"), 2, 1), run.val, lambda _row: None)

    again = tiny.run(state)

    assert [row["epoch"] for row in again.go().history] == [1, 2, 3, 4]


def test_weights_that_the_last_step_of_an_epoch_broke_are_never_kept_as_the_best(state: Path) -> None:
    settings = tiny.TRAINING.model_copy(update={"epochs": 1, "learning_rate": 1e38})
    run = tiny.run(state, training=settings, samples=6)  # one step: its own loss is finite

    with pytest.raises(GreedymmError, match="in epoch 1, validation"):
        run.go()


# -- Snapshots ----------------------------------------------------------------------------------------------


def test_a_snapshot_is_what_training_up_to_its_epoch_gives_and_taking_it_changes_nothing(tmp_path: Path) -> None:
    without = tiny.TRAINING.model_copy(update={"snapshots": ()})
    plain = tiny.run(tmp_path / "plain.pt", "balanced", training=without)
    short = tiny.run(tmp_path / "short.pt", "balanced", training=without.model_copy(update={"epochs": 3}))
    kept = tiny.run(tmp_path / "kept.pt", "balanced")
    for run in (plain, short, kept):
        run.go()

    assert kept.fit.progress.history == plain.fit.progress.history
    snapshots = kept.fit.progress.snapshots
    assert list(snapshots) == [1, 3]
    two_epochs = tiny.run(tmp_path / "two.pt", training=tiny.TRAINING.model_copy(update={"epochs": 2})).go()
    assert list(two_epochs.snapshots) == [1]
    torch.testing.assert_close(snapshots[3], dict(short.fit.model.state_dict()), rtol=0, atol=0, equal_nan=True)
    assert not torch.equal(next(iter(snapshots[1].values())), next(iter(snapshots[3].values())))
