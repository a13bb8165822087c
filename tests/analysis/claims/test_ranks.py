import itertools
import time

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from greedymm.analysis.claims.ranks import RESAMPLES, ranks_table

ACCURACIES = {
    ("one", "greedy"): [0.5, 0.6, 0.7],
    ("one", "balanced"): [0.7, 0.6, 0.9],
    ("one", "random"): [0.4, 0.7, 0.7],  # the same mean as greedy
    ("one", "unimodal_gray"): [0.99, 0.99, 0.99],
    ("two", "greedy"): [0.8, 0.81, 0.7, 0.6],
    ("two", "balanced"): [0.7, 0.75],
    ("two", "random"): [0.1, 0.2, 0.3],
}


def runs(accuracies: dict[tuple[str, str], list[float]]) -> pd.DataFrame:
    rows = [(d, m, s, x) for (d, m), values in accuracies.items() for s, x in enumerate(values)]
    return pd.DataFrame(rows, columns=["dataset", "method", "seed", "test_accuracy"])


def test_ranks_and_improvement_are_scipys() -> None:
    table = ranks_table(runs(ACCURACIES)).set_index("method")

    means = [[-np.mean(ACCURACIES[d, m]).round(12) for m in ("greedy", "balanced", "random")] for d in ("one", "two")]
    ranks = np.mean([stats.rankdata(row) for row in means], axis=0)
    for method, rank in zip(("greedy", "balanced", "random"), ranks, strict=True):
        pairs = [(ACCURACIES[d, method], ACCURACIES[d, "greedy"]) for d in ("one", "two")]
        above = np.mean([stats.mannwhitneyu(x, y).statistic / (len(x) * len(y)) for x, y in pairs])
        assert list(table.loc[method, ["mean_rank", "improvement"]]) == pytest.approx([rank, above])
    assert table.index.tolist() == ["balanced", "greedy", "random"]
    assert table["runs"].tolist() == [5, 7, 6]
    assert ranks[0] == (2.5 + 1) / 2


def test_intervals_are_those_of_a_bootstrap_of_the_runs_of_each_method_and_dataset() -> None:
    rng = np.random.default_rng(1)
    row = ranks_table(runs(ACCURACIES)).set_index("method").loc["balanced"]

    def draw() -> tuple[float, float]:
        sample = {key: rng.choice(x, len(x)) for key, x in ACCURACIES.items()}
        ranks, above = [], []
        for d in ("one", "two"):
            means = [-sample[d, m].mean().round(12) for m in ("balanced", "greedy", "random")]
            ranks.append(stats.rankdata(means)[0])
            pairs = itertools.product(sample[d, "balanced"], sample[d, "greedy"])
            above.append(np.mean([(x > y) + 0.5 * (x == y) for x, y in pairs]))
        return float(np.mean(ranks)), float(np.mean(above))

    low, high = np.quantile([draw() for _ in range(RESAMPLES)], [0.025, 0.975], axis=0)
    names = ["rank_low", "improvement_low", "rank_high", "improvement_high"]
    assert list(row[names]) == pytest.approx([*low, *high], abs=0.06)


def test_one_dataset_one_run_and_missing_methods() -> None:
    alone = ranks_table(runs({key: x for key, x in ACCURACIES.items() if key[0] == "one"})).set_index("method")
    single = ranks_table(runs({key: x[:1] for key, x in ACCURACIES.items()}))
    without = ranks_table(runs({key: x for key, x in ACCURACIES.items() if key[1] != "greedy"}))
    some = ACCURACIES | {("two", "mine"): [0.5, np.nan, 0.5], ("two", "broken"): [np.nan]}
    more = ranks_table(runs(some)).set_index("method")

    assert alone["mean_rank"].to_dict() == {"balanced": 1, "greedy": 2.5, "random": 2.5}
    assert alone.loc["greedy", "improvement"] == 0.5
    intervals = ["rank_low", "rank_high", "improvement_low", "improvement_high"]
    assert single[intervals].isna().all(axis=None)
    assert single[["mean_rank", "improvement"]].notna().all(axis=None)
    assert without["improvement"].isna().all()
    assert without["rank_low"].notna().all()
    assert list(more.loc["mine", ["datasets", "runs"]]) == [1, 2]
    assert "broken" not in more.index
    assert ranks_table(runs({("one", "unimodal_gray"): [0.9]})).empty


def test_many_methods_take_less_than_a_second_and_give_the_same_numbers_again() -> None:
    rng = np.random.default_rng(0)
    methods = ("greedy", *(f"mine{i}" for i in range(23)))
    data = runs({(d, m): rng.uniform(size=5).tolist() for d in ("one", "two", "three") for m in methods})
    start = time.process_time()

    first = ranks_table(data)

    assert time.process_time() - start < 1
    pd.testing.assert_frame_equal(first, ranks_table(data))
