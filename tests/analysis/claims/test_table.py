import math
import time
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.weightstats import DescrStatsW

from greedymm.analysis.claims.statistics import estimate, holm, seeds_for_equality, seeds_needed
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
        p = stats.ttest_1samp(x, 0).pvalue
        flips = stats.permutation_test((x,), np.mean, permutation_type="samples", n_resamples=np.inf).pvalue
        numbers = [result[name] for name in ("n", "estimate", "low", "high", "p", "p_sign_flip")]
        assert numbers == pytest.approx([6, expected.mean, expected.low, expected.high, p, flips])


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
    data = runs(7, noise=1e-3)
    wild = np.array([1, -1, 1, -1, 1, -1, 0]) * 0.6  # of the weaker one: the mean of the other stays the best
    data.loc[data["method"] == ALONE[0], "test_accuracy"] += wild
    weaker, better = (values(data, "balanced", "test_accuracy") - values(data, m, "test_accuracy") for m in ALONE)

    table = claims_table(data)
    result = row(table, "f", "balanced")

    assert result["estimate"] == pytest.approx(better.mean())
    assert result["p"] == pytest.approx(stats.ttest_1samp(weaker, 0).pvalue)
    assert result["p_sign_flip"] == stats.permutation_test((weaker,), np.mean, permutation_type="samples").pvalue
    against_weaker = seeds_needed("mean", weaker.mean() / weaker.std(ddof=1), 0.05)  # greedy is decided
    assert (result["verdict"], result["seeds_needed"]) == ("undecided", against_weaker)
    assert row(table, "f", "greedy")["verdict"] == "contradicted"
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


def test_three_seeds_decide_a_clear_difference_and_no_claim_about_the_proxy() -> None:
    data = runs(3, noise=1e-4)

    table = claims_table(data, training_of(data, np.random.default_rng(0)))

    assert set(table.loc[table["claim"].isin(["d", "e", "f"]), "verdict"]) == {"supported", "contradicted"}
    proxy = table[table["claim"] == "b"]
    assert (set(proxy["verdict"]), len(proxy)) == ({"undecided"}, 4)
    assert proxy["p"].isna().all()
    assert row(table, "b", measure="correlation over training")["seeds_needed"] >= 5


def test_a_family_is_one_claim_on_one_dataset() -> None:
    methods = (*ALL, "mine", "yours")
    data = runs(4, methods=methods, noise=0.3, datasets=2)

    both, alone = claims_table(data), claims_table(data[data["dataset"] == "data0"])

    pd.testing.assert_frame_equal(both[both["dataset"] == "data0"], alone, check_dtype=False)
    for _, family in both.groupby(["dataset", "claim"]):
        np.testing.assert_allclose(family["p_holm"], holm(family["p"]))
    one, first = row(alone, "d", "mine"), data[data["dataset"] == "data0"]
    change = values(first, "mine", "test_accuracy") - values(first, "greedy", "test_accuracy")
    assert one["seeds_needed"] == seeds_needed("mean", abs(change.mean()) / change.std(ddof=1), 0.05 / 3)


def with_changes(changes: dict[str, list[float]]) -> pd.DataFrame:
    """Runs of methods whose test accuracies differ so from those of greedy training."""
    seeds = len(next(iter(changes.values())))
    data = runs(seeds, methods=("greedy", *changes))
    for method, change in changes.items():
        data.loc[data["method"] == method, "test_accuracy"] = values(data, "greedy", "test_accuracy") + change
    return data


def test_accuracies_within_the_margin_are_practically_equal_and_corrected_like_differences() -> None:
    near, tiny, far = [0.001, -0.002, 0.0015, 0.0], [0.004, 0.0042, 0.0038, 0.0041], [0.05, 0.051, 0.049, 0.052]
    data = with_changes({"near": near, "tiny": tiny, "far": far})

    table = claims_table(data)

    rows = [row(table, "d", method) for method in ("near", "tiny", "far")]
    assert [r["verdict"] for r in rows] == ["practically equal", "practically equal", "supported"]
    assert rows[1]["p_holm"] < 0.001  # a significant difference, too small to matter
    assert rows[1]["note"].startswith("a difference within the margin, p (Holm) ")
    p = [DescrStatsW(np.array(x)).ttost_mean(-0.01, 0.01)[0] for x in (near, tiny, far)]
    assert [r["p_equal"] for r in rows] == pytest.approx(holm(p).tolist())
    assert {r["margin"] for r in rows} == {0.01}
    assert table.loc[~table["claim"].isin(["d", "e", "f"]), ["margin", "p_equal"]].isna().all(axis=None)
    assert row(claims_table(data, margin=0.001), "d", "near")["verdict"] == "undecided"


def test_a_difference_inside_the_margin_needs_the_seeds_that_show_equality() -> None:
    change = np.array([0.012, -0.01, 0.004, -0.006])

    result = row(claims_table(with_changes({"balanced": change.tolist()})), "d")

    sd = change.std(ddof=1)
    assert result["verdict"] == "undecided"
    assert result["seeds_needed"] == seeds_for_equality(0, 0.01 / sd, 0.05)
    assert result["seeds_needed"] < 20


def test_to_be_practically_equal_to_the_best_modality_allows_for_its_choice() -> None:
    data = runs(5)
    data.loc[data["method"].isin(("balanced", *ALONE)), "test_accuracy"] = 0.7
    changes = [0.001, -0.001, 0.002, 0.0, 0.001], [0.003, 0.0, 0.002, 0.004, 0.001]
    for method, change in zip(ALONE, changes, strict=True):
        data.loc[data["method"] == method, "test_accuracy"] += change

    result = row(claims_table(data[data["method"] != "greedy"]), "f")

    behind = [stats.ttest_1samp(-np.array(x), -0.01, alternative="greater").pvalue for x in changes]
    above = stats.ttest_1samp(-np.array(changes[1]), 0.01, alternative="less").pvalue
    assert result["p_equal"] == pytest.approx(max(*behind, 2 * above))
    assert result["verdict"] == "practically equal"


def test_the_note_says_where_the_two_tests_disagree() -> None:
    t_only = [0.05, 0.09, 0.07, 0.08, 0.06, -0.001]  # the sign flips' p is 4 / 64
    agreed = [0.05, 0.09, 0.07, 0.08, 0.06, 0.04]

    apart, same = (row(claims_table(with_changes({"balanced": x})), "d") for x in (t_only, agreed))

    assert (apart["verdict"], apart["p_sign_flip"]) == ("supported", 4 / 64)
    p = stats.ttest_1samp(t_only, 0).pvalue
    assert apart["note"] == f"Student's t: supported, p (Holm) {p:.2g}; sign flips: undecided, p (Holm) 0.062"
    assert (same["verdict"], same["p_sign_flip"], same["note"]) == ("supported", 2 / 64, "")


def test_the_same_change_at_all_seeds_is_not_tested_unless_it_is_none() -> None:
    table = claims_table(with_changes({"balanced": [0.1] * 7, "mine": [0.0] * 7}))

    same = row(table, "d", "mine")
    assert (same["verdict"], same["seeds_needed"], same["p"]) == ("practically equal", None, 1)
    assert same["note"] == "no difference at any seed"
    result = row(table, "d", "balanced")
    assert (result["verdict"], result["seeds_needed"]) == ("undecided", None)
    assert result["note"] == "the same value at all seeds: no test"
    assert np.isnan([result["p"], result["p_sign_flip"], result["p_equal"]]).all()
    data = runs(4)
    data.loc[data["method"] == ALONE[0], "test_accuracy"] = values(data, "balanced", "test_accuracy") - 0.5
    beats = row(claims_table(data), "f", "balanced")
    assert math.isnan(beats["p"])
    assert (beats["verdict"], beats["seeds_needed"]) == ("undecided", None)
    assert beats["note"].endswith("the same value at all seeds: no test")


def test_undecided_claims_need_more_seeds_than_there_are() -> None:
    small = [0.1, -0.1, 0.1, -0.0999]

    assert row(claims_table(with_changes({"balanced": small}), margin=1e-9), "d")["seeds_needed"] == "> 1000"
    two = row(claims_table(with_changes({"balanced": [0.1, 0.11]})), "d")
    assert (two["verdict"], two["seeds_needed"], two["note"]) == ("undecided", 3, "two seeds: no test")
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
    change = np.array([-0.3, -0.2, -0.1, 0.1])

    against = row(claims_table(with_changes({"balanced": change.tolist()})), "d")

    assert (against["verdict"], against["note"]) == ("undecided", "the estimate contradicts the claim")
    assert against["seeds_needed"] == seeds_needed("mean", abs(change.mean()) / change.std(ddof=1), 0.05)
    more = claims_table(runs(against["seeds_needed"], effect=-1.0))
    assert row(more, "d", "balanced")["verdict"] == "contradicted"


def test_being_beaten_by_the_best_of_two_is_tested_at_half_the_level() -> None:
    data = runs(4, noise=0.2)
    data.loc[data["method"].isin(ALONE), "test_accuracy"] += 0.5
    best = max(ALONE, key=lambda m: values(data, m, "test_accuracy").mean())
    behind = values(data, "balanced", "test_accuracy") - values(data, best, "test_accuracy")

    table = claims_table(data)
    result = row(table, "f", "balanced")

    assert (result["verdict"], result["estimate"]) == ("undecided", pytest.approx(behind.mean()))
    assert result["p"] == pytest.approx(2 * stats.ttest_1samp(behind, 0).pvalue)
    level = 0.05 / (table.loc[table["claim"] == "f", "verdict"] == "undecided").sum() / 2
    assert result["seeds_needed"] == seeds_needed("mean", abs(behind.mean()) / behind.std(ddof=1), level)


def test_differences_of_equal_means_are_no_difference() -> None:
    data = runs(3)
    data.loc[data["method"] == "greedy", "test_accuracy"] = [0.1, 0.2, 0.3]
    data.loc[data["method"] == "balanced", "test_accuracy"] = [0.3, 0.2, 0.1]

    result = row(claims_table(data), "d", "balanced")

    assert (result["estimate"], result["p"]) == (pytest.approx(0), 1)
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
    assert row(table, "c")["p"] > 0


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
@pytest.mark.parametrize("seeds", [3, 9])
def test_without_any_difference_a_question_has_a_false_verdict_as_seldom_as_it_says(seeds: int) -> None:
    tries, data = 400, runs(seeds, methods=("greedy", "balanced", "mine", "random", *ALONE))
    rng, alarms = np.random.default_rng(0), dict.fromkeys("abcdef", 0)
    training = training_of(data, rng, epochs=3)
    for _ in range(tries):
        for column in ("test_accuracy", "val_accuracy", "val_d_util", "d_speed"):
            data[column] = pd.Series(rng.normal(size=len(data))).where(data[column].notna())
        for column in ("d_speed", "d_util"):
            training[column] = rng.normal(size=len(training))
        table = claims_table(data, training)
        for claim in set(table.loc[table["verdict"] != "undecided", "claim"]):
            alarms[claim] += 1

    most = stats.binom.ppf(0.9995, tries, 0.05)
    assert max(alarms.values()) <= most
    assert min(alarms[claim] for claim in "acd") > 0


@pytest.mark.slow
def test_accuracies_that_differ_by_the_margin_are_seldom_called_equal() -> None:
    rng, tries, alarms = np.random.default_rng(1), 400, 0
    for _ in range(tries):
        changes = {method: rng.normal(0.01, 0.003, size=4).tolist() for method in ("one", "two", "three")}
        alarms += int((claims_table(with_changes(changes))["verdict"] == "practically equal").any())

    assert 0 < alarms <= stats.binom.ppf(0.999, tries, 0.05)


@pytest.mark.slow
def test_ten_thousand_runs_take_seconds() -> None:
    data = runs(100, methods=(*ALL, *(f"mine{i}" for i in range(5))), datasets=10)
    start = time.perf_counter()

    table = claims_table(data)

    assert len(data) == 10_000
    assert len(table) == 10 * (1 + 2 + 3 * 6 + 7)
    assert time.perf_counter() - start < 90  # 17 on an idle core
