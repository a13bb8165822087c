import math
import time
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from greedymm.analysis.claims.statistics import estimate, holm, seeds_needed
from greedymm.analysis.claims.table import COLUMNS, claims_table

M0, M1 = "color", "gray"
ALONE = (f"unimodal_{M0}", f"unimodal_{M1}")
ALL = ("greedy", "balanced", "random", *ALONE)
LEVELS = {"greedy": 0.6, "balanced": 0.9, "random": 0.8, ALONE[0]: 0.5, ALONE[1]: 0.7}  # test accuracies


def runs(
    seeds: int, *, methods: tuple[str, ...] = ALL, noise: float = 0.01, datasets: int = 1, effect: float = 1.0
) -> pd.DataFrame:
    """Runs as the paper claims them, or with methods that do the opposite (effect -1)."""
    rng = np.random.default_rng(seeds)
    rows: list[dict[str, Any]] = [
        {"dataset": f"data{d}", "method": m, "seed": s, "run": f"seed{s}-0", "epochs": 3, "best_epoch": 2}
        for d in range(datasets) for m in methods for s in range(seeds)
    ]  # fmt: skip
    table = pd.DataFrame(rows)
    level = table["method"].map(LEVELS).fillna(0.85)
    for split in ("val", "test"):
        table[f"{split}_accuracy"] = 0.5 + effect * (level - 0.5) + rng.normal(0, noise, len(table))
    several = ~table["method"].isin(ALONE)
    lean = 0.3 + 0.2 * effect * (table["method"] == "greedy")
    table["d_speed"] = (lean + rng.normal(0, 0.1, len(table))).where(several)
    util = table["d_speed"] + rng.normal(0, noise, len(table))
    for split in ("val", "test"):
        table[f"{split}_utilization_{M0}"], table[f"{split}_utilization_{M1}"] = util + 0.1, 0.1
        table[f"{split}_d_util"] = util
        names = [f"{split}_utilization_{M0}", f"{split}_utilization_{M1}", f"{split}_d_util"]
        table.loc[~several, names] = np.nan
    return table


def training_of(table: pd.DataFrame, rng: np.random.Generator, epochs: int = 12) -> pd.DataFrame:
    """d_util that follows d_speed from epoch to epoch."""
    several = table.loc[table["d_speed"].notna(), ["dataset", "method", "seed"]]
    long = several.merge(pd.DataFrame({"epoch": range(1, epochs + 1)}), how="cross")
    long["d_speed"] = rng.normal(0.2, 1, len(long))
    long["d_util"] = long["d_speed"] + rng.normal(0, 0.3, len(long))
    return long


def row(table: pd.DataFrame, claim: str, method: str | None = None, measure: str = "") -> dict[str, Any]:
    """The one row of a claim."""
    result = table[(table["claim"] == claim) & table["measure"].str.contains(measure)]
    result = result if method is None else result[result["method"] == method]
    (only,) = result.to_dict("records")
    return {str(name): value for name, value in only.items()}


def values(table: pd.DataFrame, method: str, column: str) -> "np.ndarray[Any, np.dtype[np.float64]]":
    return table.loc[table["method"] == method].sort_values("seed")[column].to_numpy(float)


# -- Rows and numbers -------------------------------------------------------------------------------


def test_each_claim_has_a_row_for_each_of_its_methods() -> None:
    table = claims_table(runs(4, methods=(*ALL, "mine")))

    assert table.columns.tolist() == COLUMNS
    assert [(c, m) for c, m in zip(table["claim"], table["method"], strict=True)] == [
        ("a", "greedy"), ("b", "all"), ("b", "all"),
        ("c", "balanced"), ("c", "mine"), ("d", "balanced"), ("d", "mine"), ("e", "balanced"), ("e", "mine"),
        ("f", "greedy"), ("f", "balanced"), ("f", "mine"),
    ]  # fmt: skip


def test_differences_over_seeds_are_scipys() -> None:
    data = runs(6, noise=0.1)

    table = claims_table(data)

    change = values(data, "balanced", "test_accuracy") - values(data, "greedy", "test_accuracy")
    smaller = abs(values(data, "balanced", "val_d_util")) - abs(values(data, "greedy", "val_d_util"))
    for claim, method, x in [
        ("a", "greedy", values(data, "greedy", "val_d_util")),
        ("c", "balanced", smaller),
        ("d", "balanced", change),
        ("e", "balanced", values(data, "balanced", "test_accuracy") - values(data, "random", "test_accuracy")),
    ]:
        result, expected = row(table, claim, method), estimate(x.tolist())
        p = stats.permutation_test((x,), np.mean, permutation_type="samples", n_resamples=np.inf).pvalue
        numbers = [result[name] for name in ("n", "estimate", "low", "high", "p", "smallest_p")]
        assert numbers == pytest.approx([6, expected.mean, expected.low, expected.high, p, 2 / 64])


def test_a_shared_drift_with_the_wrong_pairs_speaks_against_a_proxy() -> None:
    data = runs(12, methods=("greedy",))
    training = training_of(data, np.random.default_rng(0))
    own = training["d_speed"]
    training["d_speed"] = training["epoch"] + own
    training["d_util"] = training["epoch"] - own

    result = row(claims_table(data, training), "b", measure="rank correlation over training")

    assert (result["verdict"], result["seeds_needed"]) == ("contradicted", None)
    assert result["null_mean"] > result["estimate"] > 0.5


def test_d_util_is_that_of_the_validation_split() -> None:
    data = runs(4).assign(test_d_util=1.0)

    result = row(claims_table(data), "a")

    assert result["estimate"] == pytest.approx(values(data, "greedy", "val_d_util").mean())
    assert result["measure"] == "validation d_util"


def test_the_modality_to_beat_is_the_one_that_is_best_on_test() -> None:
    data = runs(12)
    data.loc[data["method"] == ALONE[0], ["val_accuracy", "test_accuracy"]] = (0.5, 0.99)  # worst on validation

    result = row(claims_table(data), "f", "greedy")

    assert result["measure"].endswith(ALONE[0])
    assert f"best on test: {M0}" in result["note"]
    assert result["verdict"] == "contradicted"


def test_to_beat_the_best_modality_is_to_beat_each() -> None:
    data = runs(7, noise=0)
    means = {m: values(data, m, "test_accuracy").mean() for m in ALONE}
    wild = np.array([1, -1, 1, -1, 1, -1, 0]) * 0.6  # of the weaker one: the mean of the other stays the best
    data.loc[data["method"] == ALONE[0], "test_accuracy"] += wild
    weaker = values(data, "balanced", "test_accuracy") - values(data, ALONE[0], "test_accuracy")

    table = claims_table(data)
    result = row(table, "f", "balanced")

    assert result["estimate"] == pytest.approx(LEVELS["balanced"] - means[ALONE[1]])
    assert result["p"] == stats.permutation_test((weaker,), np.mean, permutation_type="samples").pvalue > 2 / 2**7
    undecided = (table["verdict"] == "undecided").sum()  # tested or not: with more seeds each may be
    assert table["p"].isna().any()
    against_weaker = seeds_needed("mean", weaker.mean() / weaker.std(ddof=1), 0.05 / undecided)
    assert (result["verdict"], result["seeds_needed"]) == ("undecided", against_weaker)
    assert "p allows for its choice among 2" in result["note"]


@pytest.mark.slow
def test_choosing_the_best_of_equal_modalities_gives_no_more_false_alarms() -> None:
    modalities = tuple(f"unimodal_{i}" for i in range(8))
    data, rng, alarms, tries = runs(8, methods=("greedy", *modalities)), np.random.default_rng(0), 0, 200
    for _ in range(tries):
        data["test_accuracy"] = rng.normal(0.7, 0.05, size=len(data))
        alarms += int(row(claims_table(data), "f")["p"] <= 0.05)

    assert alarms <= stats.binom.ppf(0.999, tries, 0.05)


# -- Verdicts -----------------------------------------------------------------------------------------------


def test_what_the_paper_claims_is_supported_where_it_holds_and_the_opposite_contradicted() -> None:
    table, opposite = claims_table(runs(12)), claims_table(runs(12, effect=-1.0))

    signs = table["measure"].str.contains("share")  # the same in nearly all seeds, whichever are paired
    judged = ~signs & (~table["method"].eq("greedy") | table["claim"].eq("a"))
    assert set(table.loc[judged, "verdict"]) == {"supported"}
    assert table["seeds_needed"][table["verdict"] == "supported"].isna().all()
    assert [row(opposite, claim, "balanced")["verdict"] for claim in "cde"] == ["contradicted"] * 3


def test_unequal_use_is_supported_in_either_direction() -> None:
    data = runs(12)
    data["val_d_util"] *= -1

    table = claims_table(data)

    unequal = row(table, "a")
    assert (unequal["verdict"], unequal["estimate"] < 0) == ("supported", True)
    assert unequal["note"] == "0 of 12 seeds above 0"
    assert row(table, "b", measure="rank")["verdict"] == "contradicted"


def test_three_seeds_decide_nothing_and_the_seeds_needed_do() -> None:
    table = claims_table(runs(3, noise=1e-4))

    assert set(table["verdict"]) == {"undecided"}
    np.testing.assert_allclose(table["p_holm"], holm(table["p"]))
    beaten = (table["claim"] == "f") & (table["method"] == "greedy")  # by the best of two
    assert set(table.loc[(table["claim"] != "b") & ~beaten, "smallest_p"]) == {0.25}
    assert table.loc[beaten, "smallest_p"].tolist() == [0.5]
    needed = row(table, "d", "balanced")["seeds_needed"]
    assert needed == 9  # 7 tests: 2 / 2^9 is the first below 0.05 / 7
    assert row(claims_table(runs(needed)), "d", "balanced")["verdict"] == "supported"


def test_undecided_claims_need_more_seeds_than_there_are() -> None:
    data = runs(4)
    small = np.array([0.1, -0.1, 0.1, -0.0999])
    data.loc[data["method"] == "balanced", "test_accuracy"] = values(data, "greedy", "test_accuracy") + small

    assert row(claims_table(data), "d", "balanced")["seeds_needed"] == "> 1000"
    data = runs(8)
    large = np.array([-0.001, -0.002, *[0.1] * 6])  # would need 8 seeds, and these 8 have not decided
    data.loc[data["method"] == "balanced", "test_accuracy"] = values(data, "greedy", "test_accuracy") + large
    result = row(claims_table(data), "d", "balanced")
    assert (result["verdict"], result["seeds_needed"]) == ("undecided", 9)
    for seeds in (2, 6, 12):
        table = claims_table(runs(seeds, noise=0.3))
        needed = table.loc[table["verdict"] == "undecided", "seeds_needed"]
        assert min(n for n in needed if isinstance(n, int)) > seeds


def test_signs_that_go_together_from_seed_to_seed_are_evidence_and_fixed_signs_are_not() -> None:
    data = runs(12)
    sign = np.where(data["seed"] % 2, 1.0, -1.0)
    data["d_speed"] = data["d_speed"].abs() * sign
    for turned, verdict in [(1, "supported"), (-1, "contradicted")]:
        data["val_d_util"] = turned * data["val_d_util"].abs() * sign
        share = row(claims_table(data), "b", measure="share")
        assert (share["estimate"], share["null_mean"], share["verdict"]) == ((1 + turned) / 2, 0.5, verdict)

    share = row(claims_table(data.assign(d_speed=-0.2, val_d_util=-0.1)), "b", measure="share")

    assert (share["estimate"], share["verdict"], share["seeds_needed"]) == (1, "undecided", None)
    assert share["note"] == "permuting the seeds changes nothing: no test"


def test_an_effect_against_the_claim_needs_the_seeds_that_contradict_it() -> None:
    data = runs(4, effect=-1.0)
    data.loc[data["method"] == "random", "test_accuracy"] = values(data, "balanced", "test_accuracy")

    table = claims_table(data)

    against, none = (row(table, claim, "balanced") for claim in "de")
    assert against["verdict"] == none["verdict"] == "undecided"
    assert "the estimate contradicts the claim" in against["note"]
    more = claims_table(runs(against["seeds_needed"], effect=-1.0))
    assert row(more, "d", "balanced")["verdict"] == "contradicted"
    assert (none["estimate"], none["p"], none["seeds_needed"]) == (0, 1, None)
    assert "no difference seen" in none["note"]


def test_being_beaten_by_the_best_of_two_is_tested_at_half_the_level() -> None:
    data = runs(4)
    data.loc[data["method"].isin(ALONE), "test_accuracy"] += 0.7
    best = max(ALONE, key=lambda m: values(data, m, "test_accuracy").mean())
    behind = values(data, "balanced", "test_accuracy") - values(data, best, "test_accuracy")

    table = claims_table(data)
    result = row(table, "f", "balanced")

    level = 0.05 / (table["verdict"] == "undecided").sum() / 2
    assert (result["verdict"], result["estimate"]) == ("undecided", pytest.approx(behind.mean()))
    assert result["p"] == result["smallest_p"] == 2 * 2 / 2**4
    assert result["seeds_needed"] == seeds_needed("mean", abs(behind.mean()) / behind.std(ddof=1), level)


def test_differences_of_equal_ones_are_no_difference() -> None:
    data = runs(2)
    data.loc[data["method"] == "greedy", "test_accuracy"] = [0.8, 0.5]
    data.loc[data["method"] == "balanced", "test_accuracy"] = [0.7, 0.6]
    assert values(data, "balanced", "test_accuracy").mean() - values(data, "greedy", "test_accuracy").mean() != 0

    result = row(claims_table(data), "d", "balanced")

    assert (result["estimate"], result["seeds_needed"]) == (pytest.approx(0), None)
    assert "no difference seen" in result["note"]


# -- Missing values -----------------------------------------------------------------------------------------


def test_seeds_without_a_value_are_dropped_from_the_rows_that_need_it() -> None:
    data = runs(6)
    data.loc[(data["method"] == "balanced") & (data["seed"] == 1), "test_accuracy"] = np.inf
    data = data[~((data["method"] == "greedy") & (data["seed"] == 4))]
    data = data[~((data["method"] == "random") & (data["seed"] != 1))]
    data.loc[(data["method"] == ALONE[1]) & (data["seed"] == 0), "test_accuracy"] = np.nan

    table = claims_table(data, training_of(data[data["seed"] != 1], np.random.default_rng(0)))

    assert [(r["n"], r["note"]) for r in (row(table, "e"), row(table, "f", "balanced"))] == [
        (0, "no seed has all values"),
        (4, f"best on test: {M1}, p allows for its choice among 2"),
    ]
    ranks = row(table, "b", measure="correlation over runs")["n"]  # random has seed 1 alone
    assert (row(table, "d")["n"], row(table, "a")["n"], ranks) == (4, 5, 1)
    assert row(table, "b", measure="correlation over training")["n"] == 4  # greedy and balanced, neither seed 1 nor 4
    change = values(runs(6), "balanced", "test_accuracy") - values(runs(6), "greedy", "test_accuracy")
    assert row(table, "d")["estimate"] == pytest.approx(change[[0, 2, 3, 5]].mean())
    assert math.isnan(row(table, "e")["estimate"])
    other = training_of(data, np.random.default_rng(0)).assign(dataset="other")
    assert not claims_table(data, other)["measure"].str.contains("training").any()
    undefined = row(claims_table(runs(4).assign(val_d_util=None)), "a")
    assert (undefined["n"], undefined["verdict"]) == (0, "undecided")


def test_a_modality_without_any_accuracy_leaves_nothing_to_compare_with() -> None:
    data = runs(12)
    data["test_accuracy"] = data["test_accuracy"].mask(data["method"] == ALONE[1])  # the better one

    beats = row(claims_table(data), "f", "greedy")

    assert (beats["n"], beats["verdict"]) == (0, "undecided")
    assert np.isnan([beats["estimate"], beats["p"]]).all()


def test_d_util_of_three_modalities_has_no_sign_and_is_not_tested_for_one() -> None:
    data = runs(3, noise=1e-4)
    data["val_utilization_depth"] = data[f"val_utilization_{M0}"]

    table = claims_table(data)

    unequal, share = row(table, "a"), row(table, "b", measure="share")
    for untested in (unequal, share):
        assert math.isnan(untested["p"])
        assert "more than two modalities" in untested["note"]
    assert (unequal["estimate"] > 0, math.isnan(share["estimate"])) == (True, True)
    assert row(table, "c")["p"] == 0.25
    assert row(table, "d")["seeds_needed"] == 8  # 6 tests: 2 / 2^8 is the first below 0.05 / 6


def test_one_seed_has_estimates_and_neither_interval_nor_test() -> None:
    data = runs(1)

    table = claims_table(data, training_of(data, np.random.default_rng(0)))

    assert table[["low", "high", "p", "p_holm"]].isna().all(axis=None)
    assert set(table["verdict"]) == {"undecided"}
    assert table["note"].str.contains("one seed: no interval, no test").all()
    assert table["seeds_needed"].isna().all()
    assert row(table, "d")["estimate"] > 0


def test_claims_without_their_methods_have_no_row() -> None:
    for methods, claims in [
        (("greedy",), "abb"),
        (("greedy", "random"), "abb"),
        (("balanced", "random"), "bbe"),
        (("greedy", ALONE[0]), "abbf"),
        (ALONE, ""),
    ]:
        table = claims_table(runs(3, methods=methods))

        assert "".join(table["claim"]) == claims
        assert table.columns.tolist() == COLUMNS


def test_two_runs_of_one_seed_are_an_error() -> None:
    data = runs(2)

    with pytest.raises(ValueError, match="duplicate"):
        claims_table(pd.concat([data, data.head(1)]))


# -- Many tables ------------------------------------------------------------------------


def test_the_order_of_the_runs_within_a_method_changes_nothing() -> None:
    data = runs(16, noise=0.3)

    forth, back = claims_table(data), claims_table(data.sort_values("seed", ascending=False, kind="stable"))

    pd.testing.assert_frame_equal(forth, back)


@pytest.mark.slow
def test_without_any_difference_a_table_has_a_false_alarm_as_seldom_as_it_says() -> None:
    tries, alarms, data = 400, 0, runs(9)
    rng = np.random.default_rng(0)
    training = training_of(data, rng, epochs=3)
    for _ in range(tries):
        for column in ("test_accuracy", "val_accuracy", "val_d_util", "d_speed"):
            data[column] = pd.Series(rng.laplace(size=len(data))).where(data[column].notna())
        for column in ("d_speed", "d_util"):
            training[column] = rng.laplace(size=len(training))
        alarms += int((claims_table(data, training)["p_holm"] <= 0.05).any())

    assert 0 < alarms <= stats.binom.ppf(0.999, tries, 0.05)


@pytest.mark.slow
def test_ten_thousand_runs_take_seconds() -> None:
    data = runs(100, methods=(*ALL, *(f"mine{i}" for i in range(5))), datasets=10)
    start = time.perf_counter()

    table = claims_table(data)

    assert len(data) == 10_000
    assert len(table) == 10 * (1 + 2 + 3 * 6 + 7)
    assert time.perf_counter() - start < 90  # 17 on an idle core
