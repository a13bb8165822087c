import numpy as np
import pandas as pd

from greedymm.analysis.claims.table import COLUMNS
from greedymm.analysis.claims.text import explain_claims, format_claims, summarize_claims, to_latex, to_markdown

NAMES = {"solids": "solids (generated data)", "one": "one", "two": "two"}


def claim(**changes: object) -> pd.DataFrame:
    row = dict.fromkeys(COLUMNS, "") | {
        "claim": "d", "hypothesis": "balanced_2 improves |x| & y", "dataset": "solids", "method": "balanced_2",
        "measure": "test accuracy, less that of greedy", "n": 12, "estimate": 0.1234, "low": 0.1, "high": 0.15,
        "null_mean": np.nan, "p": 0.00049, "p_holm": 0.0044, "smallest_p": 2 / 2**12, "verdict": "supported",
        "seeds_needed": None,
    }  # fmt: skip
    return pd.DataFrame([row | changes]).astype({"seeds_needed": object})


FEW = {"n": 3, "p": 0.25, "p_holm": 1.0, "smallest_p": 0.25, "verdict": "undecided", "seeds_needed": 9}


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
        "0.004", "12", "", "", "test accuracy, less that of greedy", "balanced_2", "<0.001", "0.00049",
    ]  # fmt: skip
    assert cells(claim(p_holm=0.001, p=0.00099))[5::6] == ["0.001", "<0.001"]
    other = claim(measure="d_util", seeds_needed="> 1000", null_mean=0.2)
    assert cells(other)[4:8:3] == ["0.12 [0.10, 0.15] (permuted: 0.20)", "> 1000"]


def test_missing_numbers_are_empty() -> None:
    untested = dict.fromkeys(("low", "high", "p", "p_holm", "smallest_p"), np.nan)

    assert cells(claim(n=4, **untested))[4:8] == ["+12.3 points", "", "4", ""]
    assert cells(claim(n=0, estimate=np.nan, **untested))[4:8] == ["", "", "0", ""]
    assert summary(claim(n=4, verdict="undecided", **untested))["d"] == ["undecided, +12.3 points"]


def test_too_few_seeds_have_an_estimate_without_p_and_are_explained_once() -> None:
    table = pd.concat([claim(**FEW), claim(method="mine", **FEW), claim(dataset="two")])

    text = format_claims(table, NAMES)
    assert text["p"].tolist() == ["", "", "<0.001"]
    assert text["p (Holm)"].tolist() == ["", "", "0.004"]
    estimate = "undecided, +12.3 points [10.0, 15.0], 9 seeds would decide"
    assert summary(table)["d"] == [
        f"balanced_2: {estimate}\nmine: {estimate}",
        "supported, +12.3 points [10.0, 15.0], p 0.004",
    ]
    few, *others = explain_claims(table)  # two undecided tests: 2 / 2^7 and 2 / 5! are below 0.05 / 2
    assert few == "Some claims cannot be decided with 3 seeds. At least 7 are needed, for claim (b) at least 5."
    assert any("for the 3 tests of this table" in text for text in others)
    one = explain_claims(claim(n=1, p=np.nan, p_holm=np.nan, smallest_p=1.0, verdict="undecided"))[0]
    assert one == "No claim can be decided with 1 seed. At least 6 are needed, for claim (b) at least 5."
    mixed = pd.concat([claim(**FEW), claim(**FEW | {"n": 2, "smallest_p": 0.5})] * 300)
    assert explain_claims(mixed)[0] == "No claim can be decided with 2 or 3 seeds."  # no p is below 0.05 / 600


def test_enough_seeds_need_no_explanation() -> None:
    assert explain_claims(claim())[0].startswith("Intervals")


def test_a_p_that_reaches_the_level_is_enough() -> None:
    table = claim(p_holm=0.06, p=0.06, smallest_p=0.05, verdict="undecided", seeds_needed=20)

    assert summary(table)["d"] == ["undecided, +12.3 points [10.0, 15.0], p 0.060, 20 seeds would decide"]
    assert explain_claims(table)[0].startswith("Intervals")


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
