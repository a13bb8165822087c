import copy
from collections.abc import Iterator
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


class KilledError(Exception):
    """Stands for whatever ends a process."""


class Dying(tiny.Split):
    """A split whose process dies after so many batches."""

    def __init__(self, whole: tiny.Split, batches: int) -> None:
        super().__init__(whole.inputs, whole.labels, whole.size, whole.order)
        self.left = batches

    def __iter__(self) -> Iterator[tiny.Batch]:
        for batch in super().__iter__():
            if self.left == 0:
                raise KilledError
            self.left -= 1
            yield batch


def checkpoint_bytes(run: tiny.Run, folder: Path) -> bytes:
    """The file that a finished run leaves."""
    path = folder / "checkpoint.pt"
    checkpoint.save(path, checkpoint.stamped(run.fit.identity) | {"best": run.fit.progress.best})
    return path.read_bytes()


def assert_same(found: tiny.Run, wanted: tiny.Run) -> None:
    """All that a run leaves, and all that it would build on, is the same to the bit."""
    exact: dict[str, Any] = {"rtol": 0, "atol": 0, "equal_nan": True}
    assert found.fit.progress.history == wanted.fit.progress.history
    steps, wanted_steps = (Steps.joined(r.fit.progress.steps) for r in (found, wanted))
    torch.testing.assert_close(vars(steps), vars(wanted_steps), **exact)
    best, wanted_best = found.fit.progress.best, wanted.fit.progress.best
    assert best is not None
    assert wanted_best is not None
    assert (best["epoch"], best["val_accuracy"]) == (wanted_best["epoch"], wanted_best["val_accuracy"])
    torch.testing.assert_close(best["model"], wanted_best["model"], **exact)
    torch.testing.assert_close(found.fit.progress.snapshots, wanted.fit.progress.snapshots, **exact)
    torch.testing.assert_close(dict(found.fit.model.state_dict()), dict(wanted.fit.model.state_dict()), **exact)
    torch.testing.assert_close(found.fit.method.state_dict(), wanted.fit.method.state_dict(), **exact)
    torch.testing.assert_close(found.streams.state_dict(), wanted.streams.state_dict(), **exact)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tiny.Run]:
    """One run of each method, never interrupted."""
    runs = {m: tiny.run(tmp_path_factory.mktemp(m) / "resume.pt", m, seed=3) for m in METHODS}
    for run in runs.values():
        run.go()
    return runs


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("epoch", range(4), ids="in epoch {}".format)
def test_a_run_killed_within_an_epoch_and_started_again_ends_as_if_never_interrupted(
    whole: dict[str, tiny.Run], tmp_path: Path, method: str, epoch: int
) -> None:
    state = tmp_path / "resume.pt"
    first = tiny.run(state, method, seed=3)
    with pytest.raises(KilledError):
        first.fit.run(Dying(first.train, 5 * epoch + 3), first.val, lambda _row, _timing: None)

    again = tiny.run(state, method, seed=3)
    again.go()

    assert_same(again, whole[method])


@pytest.mark.parametrize("method", METHODS)
def test_a_run_killed_after_every_epoch_ends_as_if_never_interrupted(
    whole: dict[str, tiny.Run], tmp_path: Path, method: str
) -> None:
    def die(_row: Row, _timing: Row) -> None:
        raise KilledError

    for _ in range(4):
        run = tiny.run(tmp_path / "resume.pt", method, seed=3)
        with pytest.raises(KilledError):
            run.fit.run(run.train, run.val, die)
    run = tiny.run(tmp_path / "resume.pt", method, seed=3)
    run.go()

    assert_same(run, whole[method])


def test_a_run_whose_learning_rate_falls_along_a_cosine_resumes_as_well(tmp_path: Path) -> None:
    training = tiny.TRAINING.model_copy(update={"schedule": "cosine"})
    wanted = tiny.run(tmp_path / "whole.pt", seed=3, training=training)
    wanted.go()
    first = tiny.run(tmp_path / "resume.pt", seed=3, training=training)
    with pytest.raises(KilledError):
        first.fit.run(Dying(first.train, 5 * 2 + 3), first.val, lambda _row, _timing: None)

    again = tiny.run(tmp_path / "resume.pt", seed=3, training=training)
    again.go()

    assert_same(again, wanted)


def test_a_run_whose_layers_draw_from_torchs_own_generator_resumes_as_well(tmp_path: Path) -> None:
    def start(state: Path) -> tiny.Run:
        run = tiny.run(state, seed=3)
        for branch in run.fit.model.branches:
            branch.pool = torch.nn.Sequential(branch.pool, torch.nn.Dropout(0.5))  # type: ignore[arg-type]
        return run

    wanted = start(tmp_path / "whole.pt")
    wanted.go()
    first = start(tmp_path / "resume.pt")
    with pytest.raises(KilledError):
        first.fit.run(Dying(first.train, 5 * 2 + 3), first.val, lambda _row, _timing: None)
    torch.manual_seed(99)  # another process has drawn other numbers by then
    again = start(tmp_path / "resume.pt")
    again.go()

    assert again.fit.progress.history == wanted.fit.progress.history


@pytest.mark.parametrize("method", METHODS)
def test_the_checkpoint_of_a_resumed_run_has_the_bytes_of_one_never_interrupted(
    whole: dict[str, tiny.Run], tmp_path: Path, method: str
) -> None:
    state = tmp_path / "resume.pt"
    first = tiny.run(state, method, seed=3)
    with pytest.raises(KilledError):
        first.fit.run(Dying(first.train, 5 * 3 + 3), first.val, lambda _row, _timing: None)  # long after the best epoch

    again = tiny.run(state, method, seed=3)
    again.go()

    assert checkpoint_bytes(again, tmp_path) == checkpoint_bytes(whole[method], tmp_path)


def test_what_is_interrupted_here_has_an_open_window_a_lowered_rate_and_an_early_best(
    whole: dict[str, tiny.Run],
) -> None:
    run = whole["balanced"]
    progress = run.fit.progress

    assert any(a.mode[-1] == b.mode[0] > 0 for a, b in pairwise(progress.steps))
    assert progress.history[-1]["learning_rate"] < progress.history[0]["learning_rate"]
    assert progress.best is not None
    assert progress.best["epoch"] < len(progress.history)
    assert any(p.get("momentum_buffer") is not None for p in run.fit.optimizer.state.values())


def test_the_state_of_an_epoch_is_safe_before_anyone_hears_of_it(tmp_path: Path) -> None:
    state = tmp_path / "resume.pt"
    run = tiny.run(state)
    saved = []

    def look(row: Row, _timing: Row) -> None:
        kept = checkpoint.load(state, run.fit.identity, torch.device("cpu"))
        saved.append((row["epoch"], len(kept["history"])))

    run.fit.run(run.train, run.val, look)

    assert saved == [(1, 1), (2, 2), (3, 3), (4, 4)]
    assert [p.name for p in tmp_path.iterdir()] == ["resume.pt"]


def test_a_finished_run_started_again_trains_no_further(tmp_path: Path) -> None:
    first, again = (tiny.run(tmp_path / "resume.pt") for _ in range(2))
    first.go()
    heard: list[Row] = []

    progress = again.fit.run(Dying(again.train, 0), again.val, lambda row, _timing: heard.append(row))

    assert heard == []
    assert progress.history == first.fit.progress.history


# -- States that must not be taken --------------------------------------------------------------------------


@pytest.fixture
def state(tmp_path: Path) -> Path:
    run = tiny.run(tmp_path / "resume.pt", training=tiny.TRAINING.model_copy(update={"epochs": 1}))
    run.go()
    return run.fit.state


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"seed": 1}, "seed: 0 there, 1 asked for"),
        ({"method": "random"}, "method: 'greedy' there, 'random' asked for"),
    ],
    ids=["seed", "method"],
)
def test_a_state_of_other_settings_is_refused_and_the_message_names_them(
    state: Path, changed: dict[str, Any], named: str
) -> None:
    run = tiny.run(state, training=tiny.TRAINING.model_copy(update={"epochs": 1}))
    run.fit.identity = copy.deepcopy(run.fit.identity) | changed

    with pytest.raises(GreedymmError) as caught:
        run.go()

    assert f"{state} is a checkpoint of other settings:\n  {named}" in str(caught.value)


def test_a_state_that_lacks_a_setting_is_refused(state: Path) -> None:
    run = tiny.run(state, training=tiny.TRAINING.model_copy(update={"epochs": 1}))
    run.fit.identity = run.fit.identity | {"newer": True}

    with pytest.raises(GreedymmError, match="newer: None there, True asked for"):
        run.go()


@pytest.mark.parametrize(
    "damage",
    [lambda whole: whole[: len(whole) // 2], lambda whole: whole[:-10], lambda _: b"", lambda _: b"no checkpoint" * 9],
    ids=["cut in half", "end cut off", "empty", "something else"],
)
def test_a_broken_state_is_refused_and_the_message_names_the_file(state: Path, damage: Any) -> None:
    state.write_bytes(damage(state.read_bytes()))

    with pytest.raises(GreedymmError) as caught:
        tiny.run(state, training=tiny.TRAINING.model_copy(update={"epochs": 1})).go()

    assert f"{state} is no checkpoint of this project, or broken" in str(caught.value)


def test_a_state_that_holds_other_code_runs_none_of_it(state: Path) -> None:
    torch.save({"settings": "{}", "payload": Progress()}, state)  # an object of a class: not plain data

    with pytest.raises(GreedymmError, match="is no checkpoint of this project"):
        tiny.run(state).go()


def test_a_missing_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(GreedymmError, match=r"none\.pt is missing; train the run first"):
        checkpoint.load(tmp_path / "none.pt", {}, torch.device("cpu"))
