import numpy as np
import pandas as pd

from greedymm.analysis.claims.table import COLUMNS
from greedymm.analysis.claims.text import (
    describe_datasets,
    describe_proxy,
    explain_claims,
    format_claims,
    summarize_claims,
    to_latex,
    to_markdown,
)

NAMES = {"solids": "solids (generated data)", "one": "one", "two": "two"}


def claim(**changes: object) -> pd.DataFrame:
    row = dict.fromkeys(COLUMNS, "") | {
        "claim": "d", "hypothesis": "balanced_2 improves |x| & y", "dataset": "solids", "method": "balanced_2",
        "measure": "test accuracy, less that of greedy", "n": 12, "estimate": 0.1234, "low": 0.1, "high": 0.15,
        "null_mean": np.nan, "p": 0.00049, "p_holm": 0.0044, "p_sign_flip": 0.001, "margin": 0.01, "p_equal": 0.9,
        "verdict": "supported", "seeds_needed": None,
    }  # fmt: skip
    return pd.DataFrame([row | changes]).astype({"seeds_needed": object})


UNTESTED = dict.fromkeys(("low", "high", "p", "p_holm", "p_sign_flip", "p_equal"), np.nan)
EQUAL = {"estimate": 0.001, "low": -0.003, "high": 0.005, "p_equal": 0.003, "verdict": "practically equal"}
WORSE = {"estimate": -0.021, "low": -0.08, "high": 0.038, "p_holm": 0.31, "verdict": "undecided", "seeds_needed": 14}
PROXY = {
    "claim": "b", "method": "all", "measure": "rank correlation over training", "estimate": 0.714, "low": 0.6,
    "high": 0.82, "null_mean": 0.25,
}  # fmt: skip


def cells(table: pd.DataFrame) -> list[str]:
    """The cells of the one row."""
    (row,) = format_claims(table, NAMES).to_numpy().tolist()
    return [str(cell) for cell in row]


def summary(*rows: pd.DataFrame) -> dict[str, list[str]]:
    """Claim -> its cells."""
    table = summarize_claims(format_claims(pd.concat(rows), NAMES)).set_index("Claim")
    return {str(name)[1]: row.tolist() for name, row in table.iterrows()}


def test_accuracies_are_points_and_p_has_three_decimals() -> None:
    assert cells(claim()) == [
        "d", "balanced_2 improves |x| & y", "solids (generated data)", "supported", "+12.3 points [10.0, 15.0]",
        "0.004", "0.900", "12", "", "", "test accuracy, less that of greedy", "balanced_2", "<0.001", "0.001",
    ]  # fmt: skip
    assert cells(claim(p_holm=0.001, p=0.00099))[5::7] == ["0.001", "<0.001"]
    other = claim(measure="d_util", seeds_needed="> 1000", null_mean=0.2)
    assert cells(other)[4:9:4] == ["0.12 [0.10, 0.15] (permuted: 0.20)", "> 1000"]


def test_missing_numbers_are_empty() -> None:
    assert cells(claim(n=4, **UNTESTED))[4:9] == ["+12.3 points", "", "", "4", ""]
    assert cells(claim(n=0, estimate=np.nan, **UNTESTED))[4:9] == ["", "", "", "0", ""]
    assert summary(claim(n=4, verdict="undecided", **UNTESTED))["d"] == ["undecided, +12.3 points"]


def test_explanations_name_the_assumption_the_correction_the_margin_and_each_verdict() -> None:
    text = " ".join(explain_claims(pd.concat([claim(), claim(claim="a", margin=np.nan)])))

    for words in ("normal distribution", "one claim on one dataset", "within the margin of 1 point,", "Student's t"):
        assert words in text
    for verdict in ("Supported", "contradicted", "Practically equal", "Undecided"):
        assert verdict in text
    assert "margin of 2.5 points" in explain_claims(claim(margin=0.025))[1]
    assert "margin, by" in explain_claims(claim(margin=np.nan))[1]


def sentences(*changes: dict[str, object]) -> str:
    """Of the methods of claim (d) on one dataset."""
    table = pd.concat([claim(**{"method": "balanced"} | change) for change in changes])
    return describe_datasets(table, NAMES)["solids"]


def test_a_dataset_has_one_sentence_about_balanced_training() -> None:
    better = "Balanced training is 12.3 points more accurate than greedy training on solids (generated data)"

    assert sentences({}) == f"{better} [10.0, 15.0], p 0.004: supported."
    assert sentences(WORSE) == (
        "Balanced training is 2.1 points less accurate than greedy training on solids (generated data) [-3.8, 8.0],"
        " p 0.310: undecided; 14 seeds would decide."
    )
    assert sentences(EQUAL) == (
        "Balanced training is as accurate as greedy training on solids (generated data), within 1 point [-0.3, 0.5],"
        " p 0.003: practically equal."
    )
    assert sentences({"n": 1, "verdict": "undecided", **UNTESTED}) == f"{better}: undecided with one seed."
    assert sentences({"n": 0, "estimate": np.nan, "verdict": "undecided", **UNTESTED}) == (
        "Balanced training and greedy training on solids (generated data) have no seed in common: undecided."
    )
    assert sentences({"n": 2, "verdict": "undecided", **UNTESTED | {"low": 0.0, "high": 0.2}, "seeds_needed": 3}) == (
        f"{better} [0.0, 20.0]: undecided; 3 seeds would decide."
    )
    assert describe_datasets(claim(), NAMES)["one"] == "On one, no balancing method is compared with greedy training."


def test_other_methods_are_counted_by_verdict() -> None:
    others: list[dict[str, object]] = [{"method": "mine"}, {"method": "yours", **WORSE}, {"method": "theirs", **WORSE}]

    text = sentences(others[0], {}, *others[1:])

    assert text.startswith("Balanced training is 12.3 points more")
    assert text.endswith(": supported. Other balancing methods: 1 supported, 2 undecided.")
    without = sentences(*others)
    assert without.startswith("Training with mine is 12.3 points more")
    assert without.endswith("Other balancing methods: 2 undecided.")


def test_a_dataset_has_one_sentence_about_the_proxy() -> None:
    runs = claim(**PROXY | {"measure": "rank correlation over runs", "null_mean": np.nan})
    share = claim(**PROXY | {"measure": "share with the same sign, over training"})

    def text(*rows: pd.DataFrame) -> str:
        return describe_proxy(pd.concat(rows), NAMES)["solids"]

    scope = "over the epochs of training on solids (generated data)"
    numbers = "(rank correlation 0.71 [0.60, 0.82], 0.25 between different seeds)"
    assert (
        text(runs, share, claim(**PROXY), share)
        == f"d_speed and d_util go together {scope} {numbers}, p 0.004: supported."
    )
    undecided = claim(**PROXY | {"p_holm": np.nan, "verdict": "undecided", "seeds_needed": 6})
    assert text(undecided) == f"d_speed and d_util may go together {scope} {numbers}: undecided; 6 seeds would decide."
    contradicted = claim(**PROXY | {"verdict": "contradicted"})
    assert text(contradicted) == f"d_speed and d_util do not go together {scope} {numbers}, p 0.004: contradicted."
    assert text(runs, share) == (
        "d_speed and d_util go together from seed to seed on solids (generated data)"
        " (rank correlation 0.71 [0.60, 0.82]), p 0.004: supported."
    )
    constant = claim(**PROXY | UNTESTED | {"estimate": np.nan, "verdict": "undecided", "note": "a measure is constant"})
    assert text(constant) == (
        "On solids (generated data), d_speed and d_util cannot be compared over the epochs of training:"
        " a measure is constant."
    )
    assert text(claim()) == "On solids (generated data), d_speed and d_util are not measured."


def test_the_summary_has_a_row_for_each_claim_and_a_column_for_each_dataset() -> None:
    rows = [
        claim(dataset="one"),
        claim(claim="a", dataset="one", measure="d_util", p_holm=0.25, verdict="undecided", seeds_needed=9),
        claim(dataset="two", verdict="contradicted"),
    ]

    assert summarize_claims(format_claims(pd.concat(rows), NAMES)).columns.tolist() == ["Claim", "one", "two"]
    assert summary(*rows) == {
        "a": ["undecided, 0.12 [0.10, 0.15], p 0.250, 9 seeds would decide", "not measured"],
        "d": ["supported, +12.3 points [10.0, 15.0], p 0.004", "contradicted, +12.3 points [10.0, 15.0], p 0.004"],
    } | {key: ["not measured", "not measured"] for key in "bcef"}
    by_measure = summary(claim(measure="one"), claim(measure="two", p_holm=np.nan, low=np.nan))["d"]
    equal = summary(claim(**EQUAL))["d"]
    assert equal == ["practically equal, +0.1 points [-0.3, 0.5], p 0.003"]
    assert by_measure == ["one: supported, 0.12 [0.10, 0.15], p 0.004\ntwo: supported, 0.12"]


def test_markdown_escapes_bars() -> None:
    frame = pd.DataFrame({"a": ["|x|", "0.10"], "b": ["y", 2]})

    lines = to_markdown(frame, ["below"]).splitlines()

    assert [line.replace(" ", "") for line in lines] == [
        "|a|b|",
        "|:------|:----|",
        r"|\|x\||y|",
        "|0.10|2|",
        "",
        "-below",
    ]
    assert to_markdown(frame).count("\n") == 4


def test_latex_is_an_escaped_booktabs_table() -> None:
    lines = to_latex(format_claims(claim(), NAMES), ["above 95 %"]).splitlines()

    assert lines[0] == "% above 95 %"
    assert [line for line in lines if line.endswith("rule")] == [r"\toprule", r"\midrule", r"\bottomrule"]
    body = lines[lines.index(r"\midrule") + 1]
    assert r"d & balanced\_2 improves |x| \& y & solids (generated data) & supported" in body
    assert r"Estimate [95 \% interval]" in lines[3]
    assert to_latex(claim()).startswith(r"\begin{tabular}")
