"""Results of runs, read from files."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import made_up
import pandas as pd
import pytest

from greedymm.analysis.results import read_results
from greedymm.errors import GreedymmError
from greedymm.plan import planned
from greedymm.run import Run

MEASURES = {"accuracy": 0.75, "utilization_color": 0.5, "utilization_gray": 0.25, "d_util": 0.25}


def leave(run: Run, d_util: list[float | None] | None = None) -> None:
    made_up.leave_result(run, {"val": MEASURES, "test": MEASURES | {"accuracy": 0.75}}, [0.5, 0.25, 0.125], d_util)  # type: ignore[dict-item]


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Run]:
    """Two methods, two seeds, all of them finished."""
    monkeypatch.chdir(tmp_path)
    runs = planned(made_up.make_params([0, 1]))
    for run in runs:
        leave(run, [0.3, 0.2])
    return runs


def test_what_all_runs_left_is_in_the_tables(runs: list[Run]) -> None:
    results = read_results(runs)

    assert results.excluded == []
    assert results.runs["run"].tolist() == [run.name for run in runs]
    expected = {"dataset": made_up.DATASET, "method": "balanced", "seed": 1, "epochs": 3, "best_epoch": 3}
    expected |= {"d_speed": 0.125} | {f"{s}_{name}": v for s in ("val", "test") for name, v in MEASURES.items()}
    row = results.runs.iloc[3].to_dict()
    assert {name: row[name] for name in expected} == expected
    assert len(results.histories) == 4 * 3
    assert results.confusion["count"].sum() == 4 * made_up.SAMPLES
    assert results.snapshots[["epoch", "d_speed", "d_util"]].to_numpy().tolist() == [[1, 0.5, 0.3], [2, 0.25, 0.2]] * 4
    costs = results.costs[["epochs", "seconds", "samples_per_second", "peak_memory_mb", "peak_gpu_memory_mb"]]
    assert costs.to_numpy().tolist() == [[3, 6, 100, 300, 0]] * 4
    assert len(results.records) == 4


def test_measures_of_a_further_split_are_columns_and_empty_for_runs_without_it(runs: list[Run]) -> None:
    made_up.leave_result(runs[0], {s: {"accuracy": 0.5} for s in ("val", "test", "val_shift")}, [0.5])

    table = read_results(runs).runs

    assert table["val_shift_accuracy"].notna().tolist() == [True, False, False, False]
    assert table["val_shift_accuracy"][0] == 0.5


def test_runs_without_snapshots_or_with_undefined_measures_have_a_table(runs: list[Run]) -> None:
    for run in runs:
        leave(run, [None, None])
    snapshots = read_results(runs).snapshots
    assert snapshots["d_util"].isna().all()
    assert len(snapshots) == 8

    for run in runs:
        leave(run)
    assert read_results(runs).snapshots.empty


def test_a_measure_that_is_undefined_for_one_run_is_not_a_number(runs: list[Run]) -> None:
    measures: dict[str, float | None] = MEASURES | {"d_util": None}
    made_up.leave_result(runs[0], {"val": measures, "test": measures}, [0.5])

    assert math.isnan(read_results(runs).runs["test_d_util"][0])
    assert read_results(runs).runs["test_d_util"][1] == 0.25


def test_test_samples_are_counted_by_true_and_predicted_class(runs: list[Run]) -> None:
    table = read_results(runs).confusion
    greedy = table[table["method"] == "greedy"].set_index(["label", "predicted"])["count"]

    # 20 samples of 10 classes. The first 15 are correct, the others predicted as the next class. Two seeds.
    correct = {(k, k): 4 for k in range(5)} | {(k, k): 2 for k in range(5, 10)}
    assert greedy.to_dict() == correct | {(k, (k + 1) % 10): 2 for k in range(5, 10)}


def test_each_test_sample_has_the_share_of_a_methods_runs_that_are_correct(runs: list[Run]) -> None:
    for run in runs:
        made_up.leave_predictions(run, 0.75, shift=5 * run.seed)

    shares = read_results(runs).correct[made_up.DATASET]

    assert shares["greedy"].tolist() == [0.5] * 5 + [1] * 10 + [0.5] * 5
    assert shares["id"].tolist() == [f"test-{i}" for i in range(made_up.SAMPLES)]


def test_steps_are_those_of_the_first_run_of_each_multimodal_method(runs: list[Run]) -> None:
    alone = planned(made_up.make_params([0], methods={}, unimodal=True))
    for run in alone:
        made_up.leave_result(run, {"val": {"accuracy": 0.5}, "test": {"accuracy": 0.5}})

    steps = read_results([*runs, *alone]).steps

    assert list(steps) == ["dataset", "method", "seed", "step", "mode", "d_speed"]
    assert set(zip(steps["method"], steps["seed"], strict=True)) == {("greedy", 0), ("balanced", 0)}
    assert list(read_results(alone).steps) == list(steps)
    assert read_results(alone).steps.empty


# -- Runs that cannot be used -------------------------------------------------------------------------------


def change_settings(path: Path) -> None:
    content: dict[str, Any] = json.loads(path.read_text())
    content["settings"]["training"]["learning_rate"] = 0.3
    path.write_text(json.dumps(content))


BROKEN: list[tuple[str, Callable[[Path], object], str]] = [
    ("result.json", Path.unlink, "result.json is missing"),
    ("result.json", lambda path: path.write_text(path.read_text()[:-9]), "result.json is broken"),
    ("result.json", lambda path: path.write_text("{}"), "result.json is broken"),
    ("result.json", lambda path: path.write_text("[]"), "result.json is broken"),
    ("result.json", change_settings, r"result.json belongs to other settings: training.learning_rate: 0.3.*0.1"),
    ("predictions.parquet", Path.unlink, "predictions.parquet is missing"),
    ("predictions.parquet", lambda path: path.write_bytes(path.read_bytes()[:-9]), "predictions.parquet is broken"),
    ("predictions.parquet", lambda path: path.write_bytes(b""), "predictions.parquet is broken"),
    (
        "predictions.parquet",
        lambda path: pd.read_parquet(path).drop(columns="mean").to_parquet(path),
        "predictions.parquet is broken",
    ),
]


@pytest.mark.parametrize(("name", "change", "message"), BROKEN)
def test_a_run_that_cannot_be_used_is_named_with_the_reason(
    name: str, change: Callable[[Path], object], message: str, runs: list[Run]
) -> None:
    change(runs[1].evaluation_folder / name)

    with pytest.raises(GreedymmError, match=f"1 runs cannot be used:\n  {runs[1].id}: .*{message}") as caught:
        read_results(runs)
    assert "greedymm preview" in str(caught.value)

    results = read_results(runs, exclude=True)
    assert results.runs["run"].tolist() == [run.name for run in runs if run != runs[1]]
    (reason,) = results.excluded
    assert runs[1].id in reason
    assert "\n" not in reason


def test_without_any_usable_run_all_are_named_even_if_runs_may_be_excluded(runs: list[Run]) -> None:
    for run in runs:
        made_up.result_path(run).unlink()

    with pytest.raises(GreedymmError, match="4 runs cannot be used") as caught:
        read_results(runs, exclude=True)

    assert all(run.id in str(caught.value) for run in runs)


def test_missing_or_broken_steps_are_named(runs: list[Run]) -> None:
    path = runs[0].folder / "steps.parquet"
    for change, message in ((lambda: path.write_bytes(b"PAR1"), "is broken"), (path.unlink, "is missing")):
        change()
        with pytest.raises(GreedymmError, match=rf"{path} {message}"):
            read_results(runs)
