"""The test split is read by the evaluation alone: training and the choice of epochs and settings do without it."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import pytest
from cases import CASES

from greedymm.data.batches import Loader
from greedymm.files import sha256, write_json
from greedymm.info import read_info
from greedymm.params.load import validate
from greedymm.plan import Plan
from greedymm.run import Run
from greedymm.settings import Execution
from greedymm.steps.evaluate import evaluate
from greedymm.steps.prepare import prepare
from greedymm.steps.search import choose, try_values
from greedymm.steps.train import train

SECTION = {
    "data": {"per_class": 10},  # 60 digits to train with
    "model": {"branch": {"name": "cnn", "widths": [4, 4]}, "fusion": {"name": "mmtm"}, "fuse_after": [1, 2]},
    "training": {"epochs": 4, "batch_size": 12, "learning_rate": 0.1, "snapshots": [1]},
    "methods": {name: case.settings.model_dump(mode="json") for name, case in CASES.items()},
    "unimodal": False,
}
CPU = Execution(device="cpu")
FILES = ("checkpoint.pt", "snapshots.pt", "history.csv", "steps.parquet")

Folders = tuple[Path, Path]


@pytest.fixture(scope="module")
def plan() -> Plan:
    """One run of each method."""
    return Plan.make(validate({"seeds": [0], "datasets": {"colored_mnist_5k": SECTION}}))


@pytest.fixture(scope="module")
def folders(plan: Plan, tmp_path_factory: pytest.TempPathFactory) -> Folders:
    """A folder with the dataset's file, and one whose file has no splits but train and val."""
    whole, reduced = tmp_path_factory.mktemp("whole"), tmp_path_factory.mktemp("reduced")
    (data,) = plan.data.values()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(whole)
        prepare(data, whole, 1)
    shutil.copytree(whole, reduced, dirs_exist_ok=True)
    with h5py.File(reduced / data.path, "r+") as file:
        for split in set(file) - {"train", "val"}:
            del file[split]
    info = read_info(reduced / data.path).model_copy(update={"sha256": sha256(reduced / data.path)})
    write_json(info.model_dump(mode="json"), (reduced / data.path).with_suffix(".json"))
    return whole, reduced


def run_of(plan: Plan, method: str) -> Run:
    (run,) = (run for run in plan.default_runs if run.method == method)
    return run


@pytest.mark.parametrize("method", CASES)
def test_every_method_trains_without_the_other_splits(
    method: str, plan: Plan, folders: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folders[1])

    train(run_of(plan, method), CPU)


@pytest.mark.parametrize("method", ["greedy", "g_blend"])
def test_training_without_the_other_splits_gives_the_same_bits(
    method: str, plan: Plan, folders: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, results = run_of(plan, method), []
    for folder in folders:
        monkeypatch.chdir(folder)
        train(run, CPU)
        results.append([(run.folder / name).read_bytes() for name in FILES])

    assert results[0] == results[1]


def test_trials_are_trained_and_compared_without_the_other_splits(
    folders: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folders[1])
    section = SECTION | {"methods": {"ogm_ge": {}}}
    tuned = Plan.make(validate({"seeds": [0], "datasets": {"colored_mnist_5k": section}, "tuning": {"trials": 2}}))
    (search,) = tuned.searches.values()

    trials = [try_values(search, index, CPU) for index in range(2)]

    assert all("val" in trial for trial in trials)
    assert choose(trials, "val") in (0, 1)


def test_the_evaluation_reads_each_split_once_and_changes_nothing_that_was_trained(
    plan: Plan, folders: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, asked = run_of(plan, "greedy"), list[str]()
    batches: Callable[..., Any] = Loader.batches

    def spy(loader: Loader, split: str, *draws: Any) -> Any:
        asked.append(split)
        return batches(loader, split, *draws)

    monkeypatch.chdir(folders[0])
    monkeypatch.setattr(Loader, "batches", spy)
    train(run, CPU)
    assert asked == ["train", "val"]
    trained = [(run.folder / name).read_bytes() for name in FILES]

    evaluate(run, CPU)

    assert asked[2:] == ["train", "val", "test", "val_shift"]
    assert [(run.folder / name).read_bytes() for name in FILES] == trained
