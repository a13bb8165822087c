"""A run that is killed and started again ends with the same bits as one that was never interrupted."""

import copy
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch

from greedymm import checkpoint
from greedymm.errors import GreedymmError
from greedymm.training.fit import Progress, Row
from greedymm.training.step import Steps

METHODS = list(tiny.METHODS)
ONE_EPOCH = tiny.TRAINING.model_copy(update={"epochs": 1})


class KilledError(Exception):
    """Stands for the end of a process."""


class Dying(tiny.Split):
    """A split whose process dies after some batches."""

    def __init__(self, whole: tiny.Split, batches: int) -> None:
        super().__init__(whole.inputs, whole.labels, whole.size, whole.order)
        self.left = batches

    def of(self, rows: torch.Tensor) -> Iterator[tiny.Batch]:
        for batch in super().of(rows):
            if self.left == 0:
                raise KilledError
            self.left -= 1
            yield batch


def ignore(_row: Row) -> None:
    pass


def kill_and_restart(start: Callable[[Path], tiny.Run], state: Path, epoch: int) -> tiny.Run:
    """Kill a run within an epoch, start it again and finish it."""
    first = start(state)
    with pytest.raises(KilledError):
        first.fit.run(Dying(first.train, 5 * epoch + 3), first.val, ignore)
    torch.manual_seed(99)  # another process has drawn other numbers
    again = start(state)
    again.go()
    return again


def checkpoint_bytes(run: tiny.Run) -> bytes:
    path = run.fit.state.with_name("checkpoint.pt")
    checkpoint.save(path, run.fit.identity, {"best": run.fit.progress.best})
    return path.read_bytes()


def assert_same(run: tiny.Run, expected: tiny.Run) -> None:
    """All results of two runs, and all states, are the same to the bit."""
    assert run.fit.progress.history == expected.fit.progress.history

    def state(run: tiny.Run) -> list[Any]:
        fit, progress = run.fit, run.fit.progress
        states = [dict(part.state_dict()) for part in (fit.model, fit.method, run.streams)]
        return [*states, vars(Steps.joined(progress.steps)), progress.best, progress.snapshots]

    for actual, same in zip(state(run), state(expected), strict=True):
        torch.testing.assert_close(actual, same, rtol=0, atol=0, equal_nan=True)
    assert checkpoint_bytes(run) == checkpoint_bytes(expected)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tiny.Run]:
    """One run of each method, never interrupted."""
    runs = {m: tiny.run(tmp_path_factory.mktemp(m) / "resume.pt", m, seed=3) for m in METHODS}
    for run in runs.values():
        run.go()
    return runs


SLOW_EPOCHS = [pytest.param(epoch, marks=pytest.mark.slow) for epoch in range(3)]


@pytest.mark.parametrize("epoch", [*SLOW_EPOCHS, 3], ids="epoch {}".format)
@pytest.mark.parametrize("method", METHODS)
def test_a_killed_run_ends_as_if_never_interrupted(
    whole: dict[str, tiny.Run], tmp_path: Path, method: str, epoch: int
) -> None:
    again = kill_and_restart(lambda state: tiny.run(state, method, seed=3), tmp_path / "resume.pt", epoch)

    assert_same(again, whole[method])


@pytest.mark.parametrize("method", [m if m == "balanced" else pytest.param(m, marks=pytest.mark.slow) for m in METHODS])
def test_a_run_killed_after_every_epoch_ends_as_if_never_interrupted(
    whole: dict[str, tiny.Run], tmp_path: Path, method: str
) -> None:
    def die(_row: Row) -> None:
        raise KilledError

    for _ in range(4):
        run = tiny.run(tmp_path / "resume.pt", method, seed=3)
        with pytest.raises(KilledError):
            run.fit.run(run.train, run.val, die)
    run = tiny.run(tmp_path / "resume.pt", method, seed=3)
    run.go()

    assert_same(run, whole[method])


@pytest.mark.parametrize("kind", ["cosine schedule", "dropout"])
def test_a_schedule_and_layers_that_draw_random_numbers_resume_as_well(tmp_path: Path, kind: str) -> None:
    training = tiny.TRAINING.model_copy(update={"schedule": "cosine"} if kind == "cosine schedule" else {})

    def start(state: Path) -> tiny.Run:
        state.parent.mkdir(exist_ok=True)
        run = tiny.run(state, seed=3, training=training)
        for branch in run.fit.model.branches if kind == "dropout" else ():
            branch.pool = torch.nn.Sequential(branch.pool, torch.nn.Dropout(0.5))
        return run

    expected = start(tmp_path / "whole/resume.pt")
    expected.go()

    assert_same(kill_and_restart(start, tmp_path / "killed/resume.pt", 2), expected)


def test_the_runs_above_have_an_open_window_a_lower_rate_an_early_best_and_momentum(whole: dict[str, tiny.Run]) -> None:
    run = whole["balanced"]
    progress = run.fit.progress

    assert any(a.mode[-1] == b.mode[0] > 0 for a, b in pairwise(progress.steps))
    assert progress.history[-1]["learning_rate"] < progress.history[0]["learning_rate"]
    assert progress.best["epoch"] < len(progress.history)
    assert any(p.get("momentum_buffer") is not None for p in run.fit.optimizer.state.values())


def test_the_state_of_an_epoch_is_saved_before_the_epoch_is_reported(tmp_path: Path) -> None:
    run, saved = tiny.run(tmp_path / "resume.pt"), []

    def on_epoch(row: Row) -> None:
        state = checkpoint.load(run.fit.state, torch.device("cpu"), run.fit.identity)
        saved.append((row["epoch"], len(state["history"])))

    run.fit.run(run.train, run.val, on_epoch)

    assert saved == [(1, 1), (2, 2), (3, 3), (4, 4)]
    assert [p.name for p in tmp_path.iterdir()] == ["resume.pt"]


def test_a_finished_run_started_again_trains_no_further(tmp_path: Path) -> None:
    first, again = (tiny.run(tmp_path / "resume.pt", training=ONE_EPOCH) for _ in range(2))
    first.go()
    rows: list[Row] = []

    progress = again.fit.run(Dying(again.train, 0), again.val, rows.append)

    assert rows == []
    assert progress.history == first.fit.progress.history


# -- States that are refused --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The state of a run after its only epoch."""
    run = tiny.run(tmp_path_factory.mktemp("saved") / "resume.pt", training=ONE_EPOCH)
    run.go()
    return run.fit.state.read_bytes()


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        ({"seed": 1}, "seed: 0 there, 1 asked for"),
        ({"method": "random"}, "method: 'greedy' there, 'random' asked for"),
        ({"newer": True}, "newer: None there, True asked for"),
    ],
    ids=["seed", "method", "missing"],
)
def test_a_state_of_other_settings_is_refused_and_they_are_named(
    saved: bytes, tmp_path: Path, changed: dict[str, Any], line: str
) -> None:
    run = tiny.run(tmp_path / "resume.pt", training=ONE_EPOCH)
    run.fit.state.write_bytes(saved)
    run.fit.identity = copy.deepcopy(run.fit.identity) | changed

    with pytest.raises(GreedymmError) as caught:
        run.go()

    assert f"{run.fit.state} is a checkpoint of other settings:\n  {line}" in str(caught.value)


def test_a_broken_state_and_a_state_with_code_are_refused_by_name(saved: bytes, tmp_path: Path) -> None:
    run = tiny.run(tmp_path / "resume.pt", training=ONE_EPOCH)
    torch.save({"settings": "{}", "payload": Progress()}, tmp_path / "code.pt")  # an object of a class
    broken = [saved[: len(saved) // 2], saved[:-10], b"", b"no checkpoint" * 9, (tmp_path / "code.pt").read_bytes()]

    for content in broken:
        run.fit.state.write_bytes(content)
        with pytest.raises(GreedymmError, match=r"resume\.pt is no checkpoint of this project, or broken"):
            run.go()


def test_a_missing_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(GreedymmError, match=r"none\.pt is missing; train the run first"):
        checkpoint.load(tmp_path / "none.pt", torch.device("cpu"))


def test_the_bytes_of_a_checkpoint_do_not_depend_on_its_name(tmp_path: Path) -> None:
    for name in ("a.pt", "another.pt"):
        checkpoint.save(tmp_path / name, {}, {"weights": torch.arange(3.0), "epoch": 2})

    assert (tmp_path / "a.pt").read_bytes() == (tmp_path / "another.pt").read_bytes()
