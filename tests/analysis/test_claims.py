import itertools
import math
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from greedymm.analysis.claims import COLUMNS, claims_table
from greedymm.analysis.power import seeds_for_mean
from greedymm.analysis.statistics import estimate, holm

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
    found = table[(table["claim"] == claim) & table["measure"].str.contains(measure)]
    found = found if method is None else found[found["method"] == method]
    (only,) = found.to_dict("records")
    return {str(name): value for name, value in only.items()}


def values(table: pd.DataFrame, method: str, column: str) -> "np.ndarray[Any, np.dtype[np.float64]]":
    return table.loc[table["method"] == method].sort_values("seed")[column].to_numpy(float)


# -- What stands in the table -------------------------------------------------------------------------------


def test_every_claim_is_there_for_every_method_that_it_is_about() -> None:
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
    smaller = abs(values(data, "balanced", "test_d_util")) - abs(values(data, "greedy", "test_d_util"))
    for claim, method, x in [
        ("a", "greedy", values(data, "greedy", "test_d_util")),
        ("c", "balanced", smaller),
        ("d", "balanced", change),
        ("e", "balanced", values(data, "balanced", "test_accuracy") - values(data, "random", "test_accuracy")),
    ]:
        found, wanted = row(table, claim, method), estimate(x.tolist())
        p = stats.permutation_test((x,), np.mean, permutation_type="samples", n_resamples=np.inf).pvalue
        numbers = [found[name] for name in ("n", "estimate", "low", "high", "p", "smallest_p")]
        assert numbers == pytest.approx([6, wanted.mean, wanted.low, wanted.high, p, 2 / 64])


def test_d_speed_is_compared_with_d_util_within_methods_and_by_sign() -> None:
    data = runs(6, methods=("greedy",), noise=0.1)
    x, y = (values(data, "greedy", c) for c in ("d_speed", "test_d_util"))

    table = claims_table(data)

    assert row(table, "b", measure="rank")["estimate"] == pytest.approx(stats.spearmanr(x, y).statistic)
    share = row(table, "b", measure="share")
    assert share["estimate"] == np.mean(np.sign(x) == np.sign(y))


def test_signs_that_the_data_fix_support_nothing() -> None:
    data = runs(12).assign(d_speed=-0.2)
    data["test_d_util"] = -data["test_d_util"].abs()

    share = row(claims_table(data), "b", measure="share")

    assert (share["estimate"], share["verdict"], share["seeds_needed"]) == (1, "undecided", None)
    assert np.isnan(share["p"])
    assert share["note"] == "exchanging the seeds changes nothing: no test"


@pytest.mark.parametrize(("turned", "verdict"), [(1, "supported"), (-1, "contradicted")])
def test_signs_that_go_together_from_seed_to_seed_support_it(turned: int, verdict: str) -> None:
    data = runs(12)
    sign = np.where(data["seed"] % 2, 1.0, -1.0)
    data["d_speed"], data["test_d_util"] = data["d_speed"].abs() * sign, turned * data["test_d_util"].abs() * sign

    share = row(claims_table(data), "b", measure="share")

    assert (share["estimate"], share["verdict"]) == ((1 + turned) / 2, verdict)
    assert share["note"].startswith("0.50 with the seeds exchanged")


def test_rank_correlation_over_training_is_the_mean_over_runs_then_over_seeds() -> None:
    data = runs(5)
    training = training_of(data, np.random.default_rng(0))
    training = training[(training["seed"] != 2) | (training["method"] == "greedy")].reset_index(drop=True)
    training.loc[3, "d_util"] = np.nan
    by_run = {
        key: stats.spearmanr(run["d_speed"], run["d_util"], nan_policy="omit").statistic
        for key, run in training.groupby(["seed", "method"])
    }
    per_seed = pd.Series(by_run).groupby(level=0).mean()

    found = row(claims_table(data, training), "b", measure="rank correlation over training")

    interval = stats.ttest_1samp(per_seed, 0).confidence_interval(0.95)
    numbers = [found[name] for name in ("n", "estimate", "low", "high")]
    assert numbers == pytest.approx([5, per_seed.mean(), interval.low, interval.high])
    assert found["smallest_p"] == 2 / 6  # seeds that lack an epoch, or methods, change places with no other


def test_training_in_which_nothing_varies_keeps_its_rows_and_says_so() -> None:
    data = runs(6)
    training = training_of(data, np.random.default_rng(0), epochs=1)

    table = claims_table(data, training)
    rank, share = (row(table, "b", measure=m) for m in ("correlation over training", "sign, over training"))

    assert (rank["n"], rank["verdict"]) == (6, "undecided")
    assert rank["note"] == "no rank correlation: one of the two is the same at all epochs of each run"
    signs = (training["d_speed"] > 0) == (training["d_util"] > 0)
    assert (share["n"], share["estimate"]) == (6, pytest.approx(signs.mean()))


def test_rank_correlation_over_training_is_tested_by_giving_seeds_the_paths_of_others() -> None:
    data = runs(4, methods=("greedy", "balanced"))
    training = training_of(data, np.random.default_rng(1))
    training["d_util"] = training["d_util"].where(training["seed"] > 1, np.random.default_rng(2).normal(size=96))
    paths = {key: (run["d_speed"], run["d_util"]) for key, run in training.groupby(["seed", "method"])}

    def mean_rho(order: Sequence[int]) -> float:
        return float(np.mean([
            stats.spearmanr(paths[seed, m][0], paths[other, m][1]).statistic
            for seed, other in enumerate(order) for m in ("greedy", "balanced")
        ]))  # fmt: skip

    null = np.array([mean_rho(order) for order in itertools.permutations(range(4))])
    found = row(claims_table(data, training), "b", measure="rank correlation over training")

    observed = mean_rho(range(4))
    assert found["estimate"] == pytest.approx(observed)
    assert found["p"] == pytest.approx(2 * min((null >= observed - 1e-9).mean(), (null <= observed + 1e-9).mean()))


def test_a_drift_that_both_measures_share_in_every_seed_is_no_evidence() -> None:
    tries, alarms, data = 60, 0, runs(8)
    rng = np.random.default_rng(0)
    for _ in range(tries):
        training = training_of(data, rng)
        for column in ("d_speed", "d_util"):
            training[column] = 0.5 * training["epoch"] + rng.normal(size=len(training))
        found = row(claims_table(data, training), "b", measure="rank correlation over training")
        assert found["estimate"] > 0.5
        alarms += int(found["p"] <= 0.05)

    assert alarms <= stats.binom.ppf(0.999, tries, 0.05)


def test_a_shared_drift_with_the_wrong_pairs_speaks_against_a_proxy() -> None:
    data = runs(12, methods=("greedy",))
    training = training_of(data, np.random.default_rng(0))
    own = training["d_speed"]
    training["d_speed"] = training["epoch"] + own
    training["d_util"] = training["epoch"] - own

    found = row(claims_table(data, training), "b", measure="rank correlation over training")

    assert (found["verdict"], found["seeds_needed"]) == ("contradicted", None)
    assert found["exchanged"] > found["estimate"] > 0.5


def test_agreement_over_training_is_counted_as_by_hand() -> None:
    data = runs(2, methods=("greedy",))
    training = pd.DataFrame({
        "dataset": "data0", "method": "greedy", "seed": [0, 0, 0, 0, 1, 1], "epoch": [1, 2, 3, 4, 1, 2],
        "d_speed": [1.0, 1, -1, 1, 1, 1], "d_util": [1.0, 2, 1, 0, 3, 3],
    })  # fmt: skip

    found = row(claims_table(data, training), "b", measure="same sign, over training")

    assert found["estimate"] == pytest.approx(((1 + 1 + 0 + 0.5) / 4 + 1) / 2)  # 0 is half an agreement


def test_the_split_is_that_of_d_util() -> None:
    data = runs(4)
    data["val_d_util"] = data["test_d_util"] + 1

    of_test, of_val = (row(claims_table(data, split=split), "a") for split in ("test", "val"))

    assert of_val["estimate"] == pytest.approx(1 + of_test["estimate"])
    assert (of_test["measure"], of_val["measure"]) == ("test d_util", "validation d_util")


def test_the_modality_to_beat_is_the_one_that_is_best_on_test() -> None:
    data = runs(12)
    data.loc[data["method"] == ALONE[0], ["val_accuracy", "test_accuracy"]] = (0.5, 0.99)  # worst on validation

    found = row(claims_table(data), "f", "greedy")

    assert found["measure"].endswith(ALONE[0])
    assert f"best on test: {M0}" in found["note"]
    assert found["verdict"] == "contradicted"


def test_to_beat_the_best_modality_is_to_beat_each() -> None:
    data = runs(7, noise=0)
    means = {m: values(data, m, "test_accuracy").mean() for m in ALONE}
    wild = np.array([1, -1, 1, -1, 1, -1, 0]) * 0.6  # of the weaker one: the mean of the other stays the best
    data.loc[data["method"] == ALONE[0], "test_accuracy"] += wild
    weaker = values(data, "balanced", "test_accuracy") - values(data, ALONE[0], "test_accuracy")

    table = claims_table(data)
    found = row(table, "f", "balanced")

    assert found["estimate"] == pytest.approx(LEVELS["balanced"] - means[ALONE[1]])
    assert found["p"] == stats.permutation_test((weaker,), np.mean, permutation_type="samples").pvalue > 2 / 2**7
    undecided = (table["verdict"] == "undecided").sum()  # tested or not: with more seeds each may be
    assert table["p"].isna().any()
    against_weaker = seeds_for_mean(weaker.mean() / weaker.std(ddof=1), 0.05 / undecided)
    assert (found["verdict"], found["seeds_needed"]) == ("undecided", against_weaker)
    assert "p allows for its choice among 2" in found["note"]


def test_to_be_beaten_by_the_best_modality_is_to_be_beaten_by_any() -> None:
    data = runs(7)
    beaten = values(data, "greedy", "test_accuracy") - values(data, ALONE[1], "test_accuracy")

    found = row(claims_table(data), "f", "greedy")

    assert (found["estimate"], found["p"]) == (pytest.approx(beaten.mean()), 2 * 2 / 2**7)
    assert found["smallest_p"] == found["p"]


def test_choosing_the_best_of_equal_modalities_gives_no_more_false_alarms() -> None:
    modalities = tuple(f"unimodal_{i}" for i in range(8))
    data, rng, alarms, tries = runs(8, methods=("greedy", *modalities)), np.random.default_rng(0), 0, 200
    for _ in range(tries):
        data["test_accuracy"] = rng.normal(0.7, 0.05, size=len(data))
        alarms += int(row(claims_table(data), "f")["p"] <= 0.05)

    assert alarms <= stats.binom.ppf(0.999, tries, 0.05)


def test_p_values_are_corrected_over_all_rows() -> None:
    data = runs(7, datasets=2, noise=0.2)

    table = claims_table(data, training_of(data, np.random.default_rng(0)))

    assert len(table) == 2 * 10
    np.testing.assert_allclose(table["p_holm"], holm(table["p"]))


# -- Verdicts -----------------------------------------------------------------------------------------------


def test_what_the_paper_claims_is_supported_where_it_holds() -> None:
    table = claims_table(runs(12))

    signs = table["measure"].str.contains("share")  # the same in nearly all seeds, whichever are paired
    judged = ~signs & (~table["method"].eq("greedy") | table["claim"].eq("a"))
    assert set(table.loc[judged, "verdict"]) == {"supported"}
    assert table["seeds_needed"][table["verdict"] == "supported"].isna().all()


def test_the_opposite_contradicts() -> None:
    table = claims_table(runs(12, effect=-1.0))

    assert row(table, "d", "balanced")["verdict"] == "contradicted"
    assert row(table, "e", "balanced")["verdict"] == "contradicted"
    assert row(table, "c", "balanced")["verdict"] == "contradicted"


def test_unequal_use_is_supported_in_either_direction() -> None:
    data = runs(12)
    data["test_d_util"] *= -1

    table = claims_table(data)

    assert (row(table, "a")["verdict"], row(table, "a")["estimate"] < 0) == ("supported", True)
    assert row(table, "a")["note"] == "0 of 12 seeds above 0"
    assert row(table, "b", measure="rank")["verdict"] == "contradicted"


def test_three_seeds_decide_nothing_and_say_so() -> None:
    table = claims_table(runs(3, noise=1e-4))

    assert set(table["verdict"]) == {"undecided"}
    beaten = (table["claim"] == "f") & (table["method"] == "greedy")  # by the best of two
    assert set(table.loc[(table["claim"] != "b") & ~beaten, "smallest_p"]) == {0.25}
    assert table.loc[beaten, "smallest_p"].tolist() == [0.5]
    assert table.loc[table["p"].notna(), "note"].str.contains("too few seeds").all()
    assert row(table, "d", "balanced")["seeds_needed"] == 9  # 7 tests: 2 / 2^9 is the first below 0.05 / 7


def test_with_the_seeds_that_it_asked_for_it_decides() -> None:
    needed = row(claims_table(runs(3)), "d", "balanced")["seeds_needed"]

    assert row(claims_table(runs(needed)), "d", "balanced")["verdict"] == "supported"


@pytest.mark.parametrize("seeds", [2, 6, 12])
def test_undecided_claims_ask_for_more_seeds_than_there_are(seeds: int) -> None:
    table = claims_table(runs(seeds, noise=0.3))

    asked = [n for n in table.loc[table["verdict"] == "undecided", "seeds_needed"] if isinstance(n, int)]
    assert asked
    assert min(asked) > seeds


def test_an_effect_against_the_claim_asks_for_the_seeds_that_contradict_it_and_none_for_none() -> None:
    data = runs(4, effect=-1.0)
    data.loc[data["method"] == "random", "test_accuracy"] = values(data, "balanced", "test_accuracy")

    table = claims_table(data)

    against, none = (row(table, claim, "balanced") for claim in "de")
    assert against["verdict"] == none["verdict"] == "undecided"
    assert "what was seen is against the claim" in against["note"]
    more = claims_table(runs(against["seeds_needed"], effect=-1.0))
    assert row(more, "d", "balanced")["verdict"] == "contradicted"
    assert (none["estimate"], none["p"], none["seeds_needed"]) == (0, 1, None)
    assert "no difference seen" in none["note"]


def test_being_beaten_by_the_best_of_two_takes_the_seeds_of_half_the_level() -> None:
    data = runs(4)
    data.loc[data["method"].isin(ALONE), "test_accuracy"] += 0.7
    best = max(ALONE, key=lambda m: values(data, m, "test_accuracy").mean())
    behind = values(data, "balanced", "test_accuracy") - values(data, best, "test_accuracy")

    table = claims_table(data)
    found = row(table, "f", "balanced")

    level = 0.05 / (table["verdict"] == "undecided").sum() / 2
    assert (found["verdict"], found["estimate"] < 0) == ("undecided", True)
    assert found["seeds_needed"] == seeds_for_mean(abs(behind.mean()) / behind.std(ddof=1), level)


def test_a_small_effect_needs_more_than_can_be_asked_for() -> None:
    data = runs(4)
    nearly_none = np.array([0.1, -0.1, 0.1, -0.0999])
    data.loc[data["method"] == "balanced", "test_accuracy"] = values(data, "greedy", "test_accuracy") + nearly_none

    assert row(claims_table(data), "d", "balanced")["seeds_needed"] == "> 1000"


def test_differences_of_equal_ones_are_no_difference() -> None:
    data = runs(2)
    data.loc[data["method"] == "greedy", "test_accuracy"] = [0.8, 0.5]
    data.loc[data["method"] == "balanced", "test_accuracy"] = [0.7, 0.6]
    assert values(data, "balanced", "test_accuracy").mean() - values(data, "greedy", "test_accuracy").mean() != 0

    found = row(claims_table(data), "d", "balanced")

    assert (found["estimate"], found["seeds_needed"]) == (pytest.approx(0), None)
    assert "no difference seen" in found["note"]


# -- What is missing ----------------------------------------------------------------------------------------


def test_one_seed_has_estimates_and_neither_interval_nor_test() -> None:
    data = runs(1)

    table = claims_table(data, training_of(data, np.random.default_rng(0)))

    assert table[["low", "high", "p", "p_holm"]].isna().all(axis=None)
    assert set(table["verdict"]) == {"undecided"}
    assert table["note"].str.contains("one seed: no interval, no test").all()
    assert table["seeds_needed"].isna().all()
    assert row(table, "d")["estimate"] > 0


def test_pairs_are_formed_over_seeds_that_both_have() -> None:
    data = runs(6)
    data.loc[(data["method"] == "balanced") & (data["seed"] == 1), "test_accuracy"] = np.inf
    data = data[~((data["method"] == "greedy") & (data["seed"] == 4))]
    data = data[~((data["method"] == "random") & (data["seed"] != 1))]

    table = claims_table(data)

    assert (row(table, "d")["n"], row(table, "a")["n"], row(table, "e")["n"]) == (4, 5, 0)
    wanted = [0, 2, 3, 5]
    change = values(runs(6), "balanced", "test_accuracy") - values(runs(6), "greedy", "test_accuracy")
    assert row(table, "d")["estimate"] == pytest.approx(change[wanted].mean())
    assert math.isnan(row(table, "e")["estimate"])
    assert row(table, "e")["note"] == "no seed has what it takes"


def test_what_was_planned_keeps_its_rows_and_says_of_how_many_seeds_it_is() -> None:
    data = runs(12)
    left_out = (data["method"] == "balanced") & (data["seed"] == 3)
    none_left = data["method"] == "random"
    data.loc[left_out | none_left, data.columns[data.columns.str.contains("_")]] = np.nan  # the numbers

    table = claims_table(data)

    assert "".join(table["claim"]) == "abbcdeff"
    assert set(table["planned"]) == {12}
    assert (row(table, "d")["n"], row(table, "e")["n"], row(table, "a")["n"]) == (11, 0, 12)
    assert row(table, "e")["note"] == "no seed has what it takes"


@pytest.mark.parametrize("gone", [(ALONE[1],), ALONE])
def test_without_a_single_modality_that_was_planned_nothing_is_said_of_the_best(gone: tuple[str, ...]) -> None:
    data = runs(12)
    data["test_accuracy"] = data["test_accuracy"].mask(data["method"].isin(gone))  # left out, or not finished

    found = row(claims_table(data), "f", "greedy")

    assert row(claims_table(runs(12)), "f", "greedy")["verdict"] == "contradicted"
    assert found["verdict"] == "undecided"  # and not supported, against the weaker one
    assert np.isnan(found["p"])
    assert found["note"].startswith(f"no seed of {', '.join(gone)} to compare with: not tested")
    assert (found["n"], found["estimate"] > 0) == ((0, False) if gone == ALONE else (12, True))


@pytest.mark.parametrize(
    ("methods", "claims"),
    [
        (("greedy",), "abb"),
        (("greedy", "random"), "abb"),
        (("balanced", "random"), "bbe"),
        (("greedy", ALONE[0]), "abbf"),
        (ALONE, ""),
    ],
)
def test_claims_about_what_was_not_run_are_left_out(methods: tuple[str, ...], claims: str) -> None:
    table = claims_table(runs(3, methods=methods))

    assert "".join(table["claim"]) == claims
    assert table.columns.tolist() == COLUMNS


def test_utilization_that_is_undefined_everywhere_leaves_nothing_to_say() -> None:
    data = runs(4).assign(test_d_util=None)

    found = row(claims_table(data), "a")

    assert (found["n"], found["verdict"]) == (0, "undecided")


def test_d_util_of_three_modalities_has_no_sign_and_is_not_tested_for_one() -> None:
    data = runs(8)
    data["test_utilization_depth"] = data[f"test_utilization_{M0}"]

    table = claims_table(data)

    for found in (row(table, "a"), row(table, "b", measure="share")):
        assert math.isnan(found["p"])
        assert "more than two modalities" in found["note"]
    assert not math.isnan(row(table, "c")["p"])


def test_seeds_of_which_no_two_have_the_same_epochs_are_not_tested() -> None:
    data = runs(4, methods=("greedy",))
    training = training_of(data, np.random.default_rng(0))
    training = training[training["epoch"] <= 4 + training["seed"]]

    for measure in ("rank correlation over training", "same sign, over training"):
        found = row(claims_table(data, training), "b", measure=measure)
        assert np.isnan(found["p"])
        assert found["note"] == "exchanging the seeds changes nothing: no test"


def test_two_runs_of_one_seed_are_an_error() -> None:
    data = runs(2)

    with pytest.raises(ValueError, match=r"two runs of the same dataset, method and seed \(data0, greedy, 0\)"):
        claims_table(pd.concat([data, data.head(1)]))


# -- How it behaves over many tables ------------------------------------------------------------------------


def test_the_order_of_the_runs_within_a_method_changes_nothing() -> None:
    data = runs(16, noise=0.3)

    forth, back = claims_table(data), claims_table(data.sort_values("seed", ascending=False, kind="stable"))

    pd.testing.assert_frame_equal(forth, back)


def test_without_any_difference_a_table_has_a_false_alarm_as_seldom_as_it_says() -> None:
    tries, alarms, data = 400, 0, runs(9)
    rng = np.random.default_rng(0)
    training = training_of(data, rng, epochs=3)
    for _ in range(tries):
        for column in ("test_accuracy", "val_accuracy", "test_d_util", "d_speed"):
            data[column] = pd.Series(rng.laplace(size=len(data))).where(data[column].notna())
        for column in ("d_speed", "d_util"):
            training[column] = rng.laplace(size=len(training))
        alarms += int((claims_table(data, training)["p_holm"] <= 0.05).any())

    assert 0 < alarms <= stats.binom.ppf(0.999, tries, 0.05)


def test_ten_thousand_runs_take_seconds() -> None:
    data = runs(100, methods=(*ALL, *(f"mine{i}" for i in range(5))), datasets=10)
    start = time.perf_counter()

    table = claims_table(data)

    assert len(data) == 10_000
    assert len(table) == 10 * (1 + 2 + 3 * 6 + 7)
    assert time.perf_counter() - start < 20  # 2 on an idle core
