import numpy as np
import pandas as pd
import pytest
from scipy import stats

from greedymm.analysis.zoo.blocks import cliques, critical_difference, rank_blocks
from greedymm.analysis.zoo.text import describe_blocks

METHODS = ("greedy_multi", "ume", "ogm_ge", "agm")


def draw_runs(gap: float = 1.0) -> pd.DataFrame:
    """Four methods with five seeds on two datasets, and a modality alone, which has no rank."""
    rng = np.random.default_rng(0)
    rows = [
        (d, m, s, 0.5 + gap * 0.05 * k + 0.01 * rng.normal())
        for d in ("one", "two")
        for k, m in enumerate((*METHODS, "unimodal_gray"))
        for s in range(5)
    ]
    return pd.DataFrame(rows, columns=["dataset", "method", "seed", "test_accuracy"])


@pytest.mark.parametrize(("methods", "q"), [(2, 1.960), (3, 2.343), (5, 2.728), (10, 3.164)])
def test_the_critical_difference_is_that_of_demsars_table(methods: int, q: float) -> None:
    expected = q * np.sqrt(methods * (methods + 1) / (6 * 15))

    assert critical_difference(methods, 15) == pytest.approx(expected, rel=5e-4)
    assert np.isnan(critical_difference(methods, 1))


def test_ranks_and_friedmans_p_are_those_of_his_formula() -> None:
    runs = draw_runs(gap=0.1)
    blocks = rank_blocks(runs)

    multimodal = runs[runs["method"] != "unimodal_gray"]
    table = multimodal.pivot_table(index=["dataset", "seed"], columns="method", values="test_accuracy")
    ranks = np.array([stats.rankdata(-row) for row in table.to_numpy()])
    n, k = ranks.shape
    chi2 = 12 * n / (k * (k + 1)) * ((ranks.mean(axis=0) ** 2).sum() - k * (k + 1) ** 2 / 4)
    assert blocks.p == pytest.approx(stats.chi2.sf(chi2, k - 1))
    assert blocks.ranks.to_dict() == pytest.approx(dict(zip(table.columns, ranks.mean(axis=0), strict=True)))
    assert (blocks.blocks, blocks.datasets, blocks.incomplete) == (10, 2, [])


def test_a_block_without_a_result_and_a_method_without_a_dataset_are_left_out() -> None:
    runs = draw_runs()
    missing = (runs["dataset"] == "one") & (runs["seed"] == 3) & (runs["method"] == "ume")
    absent = (runs["dataset"] == "two") & (runs["method"] == "agm")
    runs.loc[missing, "test_accuracy"] = np.nan

    blocks = rank_blocks(runs[~absent])

    assert (blocks.blocks, blocks.incomplete) == (9, ["agm"])
    assert set(blocks.ranks.index) == {"greedy_multi", "ume", "ogm_ge"}
    text = " ".join(describe_blocks(blocks))
    assert "3 methods are ranked in 9 blocks: seeds on 2 datasets." in text
    assert "lack a dataset: agm." in text


def test_pairs_are_compared_only_after_friedmans_test() -> None:
    clear, alike = rank_blocks(draw_runs()), rank_blocks(draw_runs(gap=0))

    # Ranks 4, 3, 2, 1 in all ten blocks; the critical difference of 4 methods is 2.569 * sqrt(20 / 60) = 1.48.
    assert clear.ranks.to_dict() == {"agm": 1, "ogm_ge": 2, "ume": 3, "greedy_multi": 4}
    text = " ".join(describe_blocks(clear))
    assert "more than 1.48 differ at the level 0.05 (Nemenyi): 3 of 6." in text
    assert (
        "Against greedy_multi, 2 a lower (better) rank (agm, ogm_ge) and 0 a higher (worse) rank; 1 undecided." in text
    )
    assert "Seeds of one dataset are not independent datasets" in text
    assert not alike.differ
    assert "no difference is shown" in (text := " ".join(describe_blocks(alike)))
    assert "Nemenyi" not in text


def test_equal_ranks_one_block_and_two_methods_have_no_test() -> None:
    runs = draw_runs()
    equal = runs.assign(test_accuracy=0.5)
    for few in (equal, runs[(runs["seed"] == 0) & (runs["dataset"] == "one")], runs[runs["method"].isin(METHODS[:2])]):
        blocks = rank_blocks(few)
        assert np.isnan(blocks.p)
        assert not blocks.differ
        assert any("No Friedman test" in text for text in describe_blocks(blocks))


def test_cliques_are_the_largest_groups_within_the_critical_difference() -> None:
    ranks = pd.Series([1.0, 2.0, 2.5, 4.0, 7.0], index=list("abcde"))

    assert cliques(ranks, 1.5) == [(0, 2), (2, 3)]
    assert cliques(ranks, 0.4) == []
    assert cliques(ranks, 9) == [(0, 4)]
