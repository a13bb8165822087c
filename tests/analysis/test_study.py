import json
from pathlib import Path
from typing import Any

import made_up
import numpy as np
import pandas as pd
import pytest

from greedymm.analysis import study
from greedymm.analysis.results import read_results
from greedymm.plan import planned
from greedymm.run import Run

DATASET = made_up.DATASET
M0, M1 = "color", "gray"


def runs_of(seeds: list[int], *, unimodal: bool = False) -> list[Run]:
    return planned(made_up.make_params(seeds, unimodal=unimodal))


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
        made_up.leave_result(run, rates, None if alone else [0.5, 0.25, 0.2 - run.seed])


def estimates(runs: list[Run]) -> dict[tuple[str, str], dict[str, Any]]:
    """The summary, by method and measure."""
    rows = study.estimates_table(read_results(runs).runs).to_dict("records")
    return {(row["method"], row["measure"]): {str(name): value for name, value in row.items()} for row in rows}


def headlines(runs: list[Run]) -> dict[str, dict[str, Any]]:
    """The main table, by method."""
    estimates = study.estimates_table(read_results(runs).runs)
    rows = study.headline_table(estimates, ["dataset", "method"]).to_dict("records")
    return {row["method"]: {str(name): value for name, value in row.items()} for row in rows}


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_summary_estimates_every_measure_over_the_seeds_of_a_method() -> None:
    runs = runs_of([0, 1, 2])
    leave_all(runs)

    summary = estimates(runs)

    row, half = summary["greedy", "test_accuracy"], 4.302653 * 0.1 / 3**0.5  # t(0.975; 2 degrees of freedom), sd 0.1
    expected = {"n": 3, "mean": 0.7, "sd": 0.1, "low": 0.7 - half, "high": 0.7 + half}
    assert {name: row[name] for name in expected} == pytest.approx(expected, rel=1e-6)
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
        assert (row["dataset"], row["seeds"]) == (DATASET, "2")
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
        made_up.leave_result(run, {"val": rates, "test": rates}, [0.0])

    summary = estimates(runs)

    row = summary["greedy", "test_utilization_color"]
    assert (row["n"], row["mean"]) == (2, 0.375)
    assert summary["greedy", "test_utilization_gray"]["n"] == 3
    headline = headlines(runs)["greedy"]
    assert headline["seeds"] == "3"
    assert headline["d_util (test)"].endswith(" (2 of 3 seeds)")
    assert "of 3" not in headline["test accuracy"]


def test_a_rate_that_is_undefined_for_every_seed_is_left_out() -> None:
    runs = [run for run in runs_of([0, 1]) if run.method == "greedy"]
    for run in runs:
        rates = split(0.0, (None, None))
        made_up.leave_result(run, {"val": rates, "test": rates}, [0.0])
    table = read_results(runs).runs

    summary = study.estimates_table(table)
    assert "test_d_util" not in set(summary["measure"])
    assert "d_util (test)" not in headlines(runs)["greedy"]
    assert table["test_d_util"].isna().all()


def test_metrics_are_the_means_by_dataset_and_method() -> None:
    runs = runs_of([0, 1])
    leave_all(runs)

    metrics = study.metrics(study.estimates_table(read_results(runs).runs))

    assert metrics[DATASET]["balanced"]["test_accuracy"] == 0.75
    assert metrics[DATASET]["greedy"]["val_d_util"] == 0.25
    assert json.loads(json.dumps(metrics)) == metrics


def test_curves_are_means_over_the_seeds_that_reached_an_epoch() -> None:
    runs = [run for run in runs_of([0, 1]) if run.method == "greedy"]
    rates = split(0.5, (0.25, 0.25))
    for run, speeds in zip(runs, ([0.5, 0.25, 0.125], [1.5, 0.75]), strict=True):
        made_up.leave_result(run, {"val": rates, "test": rates}, speeds)

    curves = study.curves_table(read_results(runs).histories)

    assert curves["epoch"].tolist() == [1, 2, 3]
    assert curves["d_speed"].tolist() == [1.0, 0.5, 0.125]
    assert curves["seeds"].tolist() == [2, 2, 1]


def test_the_same_results_give_the_same_bytes() -> None:
    runs = runs_of([0, 1])
    leave_all(runs)
    first, second = (study.to_csv(study.estimates_table(read_results(runs).runs)) for _ in range(2))

    assert first == second


def test_tables_of_the_same_runs_in_another_order_of_seeds_say_the_same() -> None:
    runs = runs_of([0, 1, 2])
    leave_all(runs)

    forth, back = (study.estimates_table(read_results(r).runs) for r in (runs, runs_of([2, 1, 0])))

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

    table = study.uniquely_correct_table({DATASET: shares})

    assert table[["method", "row", "id", "rate", "best_other"]].to_numpy().tolist() == [
        ["greedy", 0, "a", 0.5, 0.25], ["greedy", 1, "b", 1.0, 0.75], ["balanced", 3, "d", 1.0, 0.0],
    ]  # fmt: skip
    assert study.uniquely_correct_table({DATASET: shares}, count=1)["id"].tolist() == ["a", "d"]


def test_a_method_without_others_tells_nothing_alone() -> None:
    shares = pd.DataFrame({"id": ["a"], "label": [0], "greedy": [1.0]})

    assert study.uniquely_correct_table({DATASET: shares}).empty


# -- Costs --------------------------------------------------------------------------------------------------


def test_costs_are_totals_medians_and_peaks_of_each_method() -> None:
    columns = {"seconds": [30.0, 60.0, 90.0], "samples_per_second": [10.0, 20.0, 40.0]}
    costs = pd.DataFrame({"dataset": DATASET, "method": "greedy"} | columns)
    costs = costs.assign(peak_memory_mb=[300.0, 200.0, 100.0], peak_gpu_memory_mb=0.0)

    (row,) = study.costs_table(costs).to_dict("records")
    (with_gpu,) = study.costs_table(costs.assign(peak_gpu_memory_mb=900.0)).to_dict("records")

    assert list(row.values()) == [DATASET, "greedy", 3, "3.0", "60.0", "90.0", "20", "300"]
    assert list(with_gpu.values())[-1] == "900"
