import json
from pathlib import Path
from typing import Any

import made_up
import numpy as np
import pandas as pd
import pytest

from greedymm.analysis import aggregate
from greedymm.analysis.collect import collect
from greedymm.params.load import validate
from greedymm.plan import planned
from greedymm.run import Run

DATASET = "colored_mnist_5k"
NAMES = {DATASET: f"{DATASET} (as shown)"}
M0, M1 = "color", "gray"


def runs_of(seeds: list[int], *, unimodal: bool = False) -> list[Run]:
    dataset = {
        "model": {"branch": {"name": "cnn"}, "fusion": {"name": "mmtm"}, "fuse_after": [2]},
        "training": {"epochs": 3, "batch_size": 8, "learning_rate": 0.1},
        "methods": {"greedy": {}, "balanced": {}},
        "unimodal": unimodal,
        "data": {},
    }
    return planned(validate({"seeds": seeds, "datasets": {DATASET: dataset}}))


def split(accuracy: float, utilization: tuple[float | None, float | None]) -> dict[str, Any]:
    """Rates of one split."""
    u0, u1 = utilization
    d_util = None if u0 is None or u1 is None else u0 - u1
    return {"accuracy": accuracy, f"utilization_{M0}": u0, f"utilization_{M1}": u1, "d_util": d_util}


def leave_all(runs: list[Run]) -> None:
    """Results that differ by method and seed: greedy 0.8, 0.9, ...; balanced 0.1 better."""
    for run in runs:
        gain = 0.1 * (run.method == "balanced") + 0.1 * run.seed
        rates = {"val": split(0.7 + gain, (0.5, 0.25)), "test": split(0.6 + gain, (0.25 + gain, 0.12))}
        alone = run.method.startswith("unimodal")
        if alone:
            rates = {s: {"accuracy": r["accuracy"]} for s, r in rates.items()}
        made_up.leave(run, rates, None if alone else [0.5, 0.25, 0.2 - run.seed])


def estimates(runs: list[Run]) -> dict[tuple[str, str], dict[str, Any]]:
    """The summary, by method and measure."""
    rows = aggregate.summary_table(collect(runs).used).to_dict("records")
    return {(row["method"], row["measure"]): {str(name): value for name, value in row.items()} for row in rows}


def headlines(runs: list[Run]) -> dict[str, dict[str, Any]]:
    """The main table, by method."""
    collected = collect(runs)
    rows = aggregate.headline(aggregate.summary_table(collected.used), collected.runs, NAMES).to_dict("records")
    return {row["method"]: {str(name): value for name, value in row.items()} for row in rows}


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_run_is_a_row_of_what_it_is_and_what_came_of_it() -> None:
    runs = runs_of([0, 1])
    leave_all(runs)

    table = collect(runs).used

    assert table["run"].tolist() == [run.name for run in runs]
    row = table[(table["method"] == "balanced") & (table["seed"] == 1)].to_dict("records")[0]
    wanted = {
        "dataset": DATASET, "epochs": 3, "best_epoch": 3, "d_speed": -0.8,
        "val_accuracy": 0.9, "val_utilization_color": 0.5, "val_utilization_gray": 0.25, "val_d_util": 0.25,
        "test_accuracy": 0.8, "test_utilization_color": 0.45, "test_utilization_gray": 0.12, "test_d_util": 0.33,
    }  # fmt: skip
    assert {name: row[name] for name in wanted} == pytest.approx(wanted)


def test_summary_estimates_every_measure_over_the_seeds_of_a_method() -> None:
    runs = runs_of([0, 1, 2])
    leave_all(runs)

    summary = estimates(runs)

    row, half = summary["greedy", "test_accuracy"], 4.302653 * 0.1 / 3**0.5  # t(0.975; 2 degrees of freedom), sd 0.1
    wanted = {"n": 3, "mean": 0.7, "sd": 0.1, "low": 0.7 - half, "high": 0.7 + half}
    assert {name: row[name] for name in wanted} == pytest.approx(wanted, rel=1e-6)
    assert summary["balanced", "d_speed"]["mean"] == pytest.approx(0.2 - 1)
    assert not {"seed", "run"} & {measure for _, measure in summary}


def test_headline_says_mean_and_interval_in_percent_and_in_units() -> None:
    runs = runs_of([0, 1])
    leave_all(runs)

    table = headlines(runs)

    # Two values 0.1 apart: the interval is 12.7062 * 0.05 to either side; two that are 1 apart: 12.7062 * 0.5.
    # No accuracy is above 100 %.
    for method, test, val, d_util in [
        ("greedy", "65.0 % [1.5, 100.0]", "75.0 % [11.5, 100.0]", "0.18 [-0.46, 0.82]"),
        ("balanced", "75.0 % [11.5, 100.0]", "85.0 % [21.5, 100.0]", "0.28 [-0.36, 0.92]"),
    ]:
        row = table[method]
        assert (row["dataset"], row["seeds"]) == (NAMES[DATASET], "2")
        assert (row["test accuracy"], row["validation accuracy"]) == (test, val)
        assert (row["d_util (test)"], row["d_speed"]) == (d_util, "-0.30 [-6.65, 6.05]")


def test_headline_of_one_seed_has_no_interval() -> None:
    runs = runs_of([0])
    leave_all(runs)

    table = headlines(runs)

    assert [table["greedy"][c] for c in ("seeds", "test accuracy", "d_speed")] == ["1", "60.0 %", "0.20"]


def test_a_single_modality_has_accuracies_and_empty_places_for_the_rest() -> None:
    runs = runs_of([0, 1], unimodal=True)
    leave_all(runs)

    table = headlines(runs)

    assert list(table) == ["greedy", "balanced", f"unimodal_{M0}", f"unimodal_{M1}"]
    row = table[f"unimodal_{M0}"]
    assert (row["seeds"], row["d_util (test)"], row["d_speed"]) == ("2", "", "")
    assert row["test accuracy"] == "65.0 % [1.5, 100.0]"


def test_a_rate_that_is_undefined_for_one_seed_is_estimated_from_the_others() -> None:
    runs = [run for run in runs_of([0, 1, 2]) if run.method == "greedy"]
    for run in runs:
        rates = split(0.5, (None if run.seed == 0 else 0.25 * run.seed, 0.125))
        made_up.leave(run, {"val": rates, "test": rates}, [0.0])

    summary = estimates(runs)

    row = summary["greedy", "test_utilization_color"]
    assert (row["n"], row["mean"]) == (2, 0.375)
    assert summary["greedy", "test_utilization_gray"]["n"] == 3
    collected = collect(runs)
    shown = aggregate.headline(aggregate.summary_table(collected.used), collected.runs, NAMES).iloc[0]
    assert shown["seeds"] == "3"
    assert shown["d_util (test)"].endswith(" (2 of 3 seeds)")
    assert "of 3" not in shown["test accuracy"]


def test_a_rate_that_is_undefined_for_every_seed_is_left_out() -> None:
    runs = [run for run in runs_of([0, 1]) if run.method == "greedy"]
    for run in runs:
        rates = split(0.0, (None, None))
        made_up.leave(run, {"val": rates, "test": rates}, [0.0])
    table = collect(runs).used

    summary = aggregate.summary_table(table)
    aggregate.write_csv(table, Path("runs.csv"))

    assert "test_d_util" not in set(summary["measure"])
    assert "d_util (test)" not in aggregate.headline(summary, collect(runs).runs, NAMES)
    assert pd.read_csv("runs.csv")["test_d_util"].isna().all()


def test_metrics_are_the_means_by_dataset_and_method() -> None:
    runs = runs_of([0, 1])
    leave_all(runs)

    metrics = aggregate.metrics(aggregate.summary_table(collect(runs).used))

    assert metrics[DATASET]["balanced"]["test_accuracy"] == 0.75
    assert metrics[DATASET]["greedy"]["val_d_util"] == 0.25
    assert json.loads(json.dumps(metrics)) == metrics


def test_curves_are_means_over_the_seeds_that_reached_an_epoch() -> None:
    runs = [run for run in runs_of([0, 1]) if run.method == "greedy"]
    rates = split(0.5, (0.25, 0.25))
    for run, speeds in zip(runs, ([0.5, 0.25, 0.125], [1.5, 0.75]), strict=True):
        made_up.leave(run, {"val": rates, "test": rates}, speeds)

    curves = aggregate.curves_table(collect(runs).histories, NAMES)
    assert set(curves["data"]) == set(NAMES.values())

    assert curves["epoch"].tolist() == [1, 2, 3]
    assert curves["d_speed"].tolist() == [1.0, 0.5, 0.125]
    assert curves["seeds"].tolist() == [2, 2, 1]


def test_the_same_results_give_the_same_bytes() -> None:
    runs = runs_of([0, 1])
    leave_all(runs)
    for name in ("first.csv", "second.csv"):
        aggregate.write_csv(aggregate.summary_table(collect(runs).used), Path(name))

    assert Path("first.csv").read_bytes() == Path("second.csv").read_bytes()


def test_tables_of_the_same_runs_in_another_order_of_seeds_say_the_same() -> None:
    runs = runs_of([0, 1, 2])
    leave_all(runs)

    forth, back = (aggregate.summary_table(collect(r).used) for r in (runs, runs_of([2, 1, 0])))

    for column in ("n", "mean", "sd", "low", "high"):
        np.testing.assert_allclose(forth[column], back[column])


# -- Samples that one method gets right ---------------------------------------------------------------------


def test_a_sample_is_uniquely_correct_where_its_method_leads_the_best_other_one_most_first() -> None:
    shares = pd.DataFrame(
        {
            "id": list("abcd"), "label": [0, 1, 2, 3],
            "greedy": [0.5, 1.0, 1.0, 0.0], "balanced": [0.0, 0.5, 1.0, 1.0], "random": [0.25, 0.75, 0.0, 0.0],
        }
    )  # fmt: skip

    found = aggregate.uniquely_correct({DATASET: shares})

    assert found[["method", "row", "id", "right", "others"]].to_numpy().tolist() == [
        ["greedy", 0, "a", 0.5, 0.25], ["greedy", 1, "b", 1.0, 0.75], ["balanced", 3, "d", 1.0, 0.0],
    ]  # fmt: skip
    assert aggregate.uniquely_correct({DATASET: shares}, count=1)["id"].tolist() == ["a", "d"]


def test_a_method_without_others_tells_nothing_alone() -> None:
    shares = pd.DataFrame({"id": ["a"], "label": [0], "greedy": [1.0]})

    assert aggregate.uniquely_correct({DATASET: shares}).empty
