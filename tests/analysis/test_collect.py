import json
import logging
import math
import re
import shutil
from pathlib import Path
from typing import Any

import made_up
import pandas as pd
import pytest

from greedymm.analysis import aggregate
from greedymm.analysis.claims import claims_table
from greedymm.analysis.collect import Collected, collect, costs_table, read_result, steps_table, used
from greedymm.errors import GreedymmError
from greedymm.params.load import validate
from greedymm.plan import planned
from greedymm.run import Run

DATASET = "colored_mnist_5k"
RATES = {
    s: {"accuracy": 0.75, "utilization_color": 0.5, "utilization_gray": 0.25, "d_util": 0.25} for s in ("val", "test")
}


def runs_of(seeds: list[int], **training: Any) -> list[Run]:
    dataset = {
        "model": {"branch": {"name": "cnn"}, "fusion": {"name": "mmtm"}, "fuse_after": [2]},
        "training": {"epochs": 3, "batch_size": 8, "learning_rate": 0.1, "snapshots": [1, 2]} | training,
        "methods": {"greedy": {}, "balanced": {}},
        "unimodal": False,
    }
    return planned(validate({"seeds": seeds, "datasets": {DATASET: dataset}}))


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Run]:
    """Two methods, two seeds, all of them finished."""
    monkeypatch.chdir(tmp_path)
    runs = runs_of([0, 1])
    for run in runs:
        made_up.leave(run, RATES, [0.5, 0.25, 0.125], [0.3, 0.2])
    return runs


def left_out(collected: Collected) -> dict[tuple[str, int], str]:
    """Reasons, by method and seed."""
    rows = collected.runs[collected.runs["left_out"] != ""]
    return {(row["method"], row["seed"]): row["left_out"] for row in rows.to_dict("records")}


def test_what_all_runs_left_is_in_the_tables(runs: list[Run]) -> None:
    found = collect(runs)

    assert left_out(found) == {}
    assert found.used["run"].tolist() == [run.name for run in runs]
    assert len(found.histories) == 4 * 3
    assert found.confusion["count"].sum() == 4 * made_up.SAMPLES
    assert found.training is not None
    assert found.training[["epoch", "d_speed", "d_util"]].to_numpy().tolist() == [[1, 0.5, 0.3], [2, 0.25, 0.2]] * 4


@pytest.mark.usefixtures("runs")
def test_runs_without_snapshots_say_nothing_over_training() -> None:
    runs = runs_of([0, 1], snapshots=[])
    for run in runs:
        made_up.leave(run, RATES, [0.5, 0.25, 0.125])

    found = collect(runs)

    assert found.training is None
    assert not claims_table(found.used, found.training)["measure"].str.contains("over training").any()


def test_test_samples_are_counted_by_class_and_by_what_the_mean_takes_them_for(runs: list[Run]) -> None:
    found = collect(runs).confusion
    greedy = found[found["method"] == "greedy"].set_index(["label", "predicted"])["count"]

    # 20 samples of 10 classes, the first 15 right, the others taken for the next class; two seeds.
    assert greedy.to_dict() == {(k, k): 4 for k in range(5)} | {
        (k, j): 2 for k in range(5, 10) for j in (k, (k + 1) % 10)
    }


def test_of_each_test_sample_the_share_of_a_methods_runs_that_are_right(runs: list[Run]) -> None:
    for run in runs:
        made_up.predict(run, 0.75, shift=5 * run.seed)

    shares = collect(runs).shares[DATASET]

    assert shares["greedy"].tolist() == [0.5] * 5 + [1] * 10 + [0.5] * 5
    assert shares["id"].tolist() == [f"test-{i}" for i in range(made_up.SAMPLES)]


# -- Results that are not there, not whole, or not the run's own ---------------------------------------------


def place(run: Run, name: str) -> Path:
    in_run = (run.folder / name).exists()
    return (run.folder if in_run else run.evaluation_folder) / name


TEXTS = ["record.json", "rates.json", "history.csv", "timing.csv", "during_training.csv"]
FILES = [*TEXTS, "predictions.parquet", "steps.parquet"]


@pytest.mark.parametrize("name", FILES)
def test_a_run_that_lacks_a_file_is_named_and_left_out(
    name: str, runs: list[Run], caplog: pytest.LogCaptureFixture
) -> None:
    missing = place(runs[1], name)
    missing.unlink()

    with caplog.at_level(logging.WARNING):
        found = collect(runs)

    assert list(left_out(found)) == [("greedy", 1)]
    assert f"{missing} is missing" in left_out(found)["greedy", 1]
    assert f"{missing} is missing" in caplog.text
    assert len(found.used) == 3
    assert len(found.histories) == 3 * 3


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("share", [0.5, 0.0], ids=["cut in half", "empty"])
def test_a_run_with_a_half_written_file_is_named_and_left_out(name: str, share: float, runs: list[Run]) -> None:
    broken = place(runs[1], name)
    content = broken.read_bytes()
    broken.write_bytes(content[: int(share * len(content))])

    found = collect(runs)

    assert list(left_out(found)) == [("greedy", 1)]
    assert any(word in left_out(found)["greedy", 1] for word in ("is broken", "is not whole"))


@pytest.mark.parametrize("name", TEXTS)
def test_wherever_a_file_was_cut_off_the_run_is_left_out(name: str, runs: list[Run]) -> None:
    broken = place(runs[1], name)
    content = broken.read_bytes()
    for end in range(len(content.rstrip())):  # without the newline at its end, too
        broken.write_bytes(content[:end])
        with pytest.raises(GreedymmError, match=name.replace(".", r"\.")):
            read_result(runs[1])


@pytest.mark.parametrize("name", ["record.json", "rates.json"])
@pytest.mark.parametrize("content", ["null", "[]", "{}", '{"settings": [], "best_epoch": 1, "val": 0.5, "test": []}'])
def test_content_of_another_form_is_named(name: str, content: str, runs: list[Run]) -> None:
    place(runs[1], name).write_text(content)

    assert name in left_out(collect(runs))["greedy", 1]


def test_lines_that_were_never_written_are_noticed(runs: list[Run]) -> None:
    history = runs[0].folder / "history.csv"
    history.write_text("\n".join(history.read_text().splitlines()[:2]) + "\n")

    assert "its epochs are not those of timing.csv" in left_out(collect(runs))["greedy", 0]


def test_predictions_damaged_inside_are_named_and_left_out(runs: list[Run]) -> None:
    damaged = place(runs[1], "predictions.parquet")
    content = damaged.read_bytes()
    noticed = []
    for start in range(4, len(content) - 4, 64):
        damaged.write_bytes(content[:start] + bytes(64) + content[start + 64 :])
        try:
            read_result(runs[1])  # some bytes are of what is not read
        except GreedymmError as error:
            noticed.append(str(error))
    assert len(noticed) > 10
    assert all(f"{damaged} is " in text for text in noticed)


@pytest.mark.parametrize("column", ["split", "id", "label", "mean"])
def test_predictions_without_a_column_are_named(column: str, runs: list[Run]) -> None:
    predictions = place(runs[1], "predictions.parquet")
    pd.read_parquet(predictions).drop(columns=column).to_parquet(predictions)

    assert "it has not the columns" in left_out(collect(runs))["greedy", 1]


@pytest.mark.parametrize("name", ["history.csv", "during_training.csv"])
@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        (r"\n1,[^,\n]+", "\n1,many", "could not convert string to float: 'many'"),
        (r"\n1,", "\n1.5,", "an epoch is no whole number"),
        ("^epoch,", "epoch,epoch,", "a column is there twice"),
        (r"\n1,", "\n1,1,", "a line has more or fewer values than there are columns"),
    ],
)
def test_a_table_of_epochs_that_cannot_be_true_is_named(
    name: str, old: str, new: str, fault: str, runs: list[Run]
) -> None:
    table = place(runs[1], name)
    text = table.read_text()
    table.write_text(re.sub(old, new, text, count=1))
    assert table.read_text() != text

    assert f"{name} is broken ({fault})" in left_out(collect(runs))["greedy", 1]


def test_a_measure_that_is_undefined_at_every_snapshot_is_not_a_number_there(runs: list[Run]) -> None:
    for run in runs:
        during = place(run, "during_training.csv")
        pd.read_csv(during).assign(d_util=math.nan).to_csv(during, index=False)

    found = collect(runs)

    assert not any(left_out(found).values())
    assert found.during["d_util"].dtype == "float64"
    assert found.during["d_util"].isna().all()


def test_timing_that_does_not_say_what_a_run_took_is_named_and_in_no_table_of_costs(runs: list[Run]) -> None:
    timing = runs[1].folder / "timing.csv"
    timing.write_text(timing.read_text().replace("seconds", "minutes"))

    assert "timing.csv is broken (it has no column seconds)" in left_out(collect(runs))["greedy", 1]
    assert runs[1].name not in set(costs_table(runs)["run"])


def test_steps_are_those_of_the_first_run_of_a_method_that_can_be_read(
    runs: list[Run], caplog: pytest.LogCaptureFixture
) -> None:
    first, other = (run for run in runs if run.method == "greedy")
    pd.DataFrame({"step": [1], "mode": [0]}).to_parquet(first.folder / "steps.parquet")
    for run in runs:
        if run.method == "balanced":
            (run.folder / "steps.parquet").write_bytes(b"PAR1")

    steps = steps_table(runs)

    assert list(steps) == ["dataset", "method", "seed", "step", "mode", "d_speed"]
    assert set(zip(steps["method"], steps["seed"], strict=True)) == {("greedy", other.seed)}
    named = [record.getMessage() for record in caplog.records]
    assert len(named) == 3
    assert f"{first.folder / 'steps.parquet'} is broken (it has not the columns step, mode, d_speed)" in named[0]
    assert all("left out of the figure of steps" in line for line in named)


def test_predictions_that_contradict_the_rates_are_noticed(runs: list[Run]) -> None:
    made_up.predict(runs[2], 0.5)

    assert "accuracy is not that of rates.json" in left_out(collect(runs))["balanced", 0]


def test_a_run_of_other_settings_is_named_with_what_differs_and_left_out(runs: list[Run]) -> None:
    (other, *_) = runs_of([0], learning_rate=0.3)
    made_up.leave(other, RATES, [0.5, 0.25, 0.125], [0.3, 0.2])
    shutil.copy(other.folder / "record.json", runs[0].folder)

    reasons = left_out(collect(runs))

    assert list(reasons) == [("greedy", 0)]
    assert "is of other settings: training.learning_rate: 0.3 there, 0.1 asked for" in reasons["greedy", 0]


def test_a_run_of_other_test_samples_is_left_out(runs: list[Run]) -> None:
    made_up.predict(runs[3], 0.75, samples=40)

    assert "other test samples" in left_out(collect(runs))["balanced", 1]


def test_a_run_left_out_changes_no_estimate_and_is_counted_in_the_main_table(runs: list[Run]) -> None:
    made_up.leave(runs[1], {s: r | {"accuracy": 0.25} for s, r in RATES.items()}, [9.0, 9.0, 9.0], [0.3, 0.2])
    runs[1].folder.joinpath("record.json").unlink()
    collected = collect(runs)
    summary = aggregate.summary_table(collected.used)

    greedy, balanced = aggregate.headline(summary, collected.runs, {DATASET: DATASET}).to_dict("records")

    assert (greedy["seeds"], greedy["test accuracy"]) == ("1 of 2", "75.0 %")
    assert balanced["seeds"] == "2"


def test_a_method_all_of_whose_runs_are_left_out_has_a_row_without_numbers(runs: list[Run]) -> None:
    for run in runs[:2]:
        shutil.rmtree(run.folder)
    collected = collect(runs)

    table = aggregate.headline(aggregate.summary_table(collected.used), collected.runs, {DATASET: DATASET})

    greedy = table[table["method"] == "greedy"].iloc[0].tolist()
    assert greedy[2:] == ["0 of 2", *[""] * (table.shape[1] - 3)]


def test_the_mark_survives_the_way_through_a_file(runs: list[Run]) -> None:
    shutil.rmtree(runs[0].folder)
    aggregate.write_csv(collect(runs).runs, Path("runs.csv"))

    again = pd.read_csv("runs.csv")

    assert used(again)["run"].tolist() == [run.name for run in runs[1:]]


def test_where_no_run_can_be_used_each_is_named(runs: list[Run]) -> None:
    for run in runs:
        (run.folder / "record.json").write_text(json.dumps({"settings": {}}))

    with pytest.raises(GreedymmError, match="no run has results that can be used") as caught:
        collect(runs)

    assert all(run.name in str(caught.value) for run in runs)
