import numpy as np
import pandas as pd
import pytest

from greedymm.analysis.claims import COLUMNS
from greedymm.analysis.tables_text import in_short, latex, markdown, p_text


def table(**changes: object) -> pd.DataFrame:
    row = dict.fromkeys(COLUMNS, "") | {
        "claim": "d", "hypothesis": "balanced_2 improves |x| & y", "dataset": "solids", "method": "balanced_2",
        "measure": "test accuracy, less that of greedy", "n": 12, "planned": 12, "estimate": 0.1234, "low": 0.1,
        "high": 0.15, "exchanged": np.nan, "p": 0.00049, "p_holm": 0.0044, "smallest_p": 2 / 2**12,
        "verdict": "supported", "seeds_needed": None,
    }  # fmt: skip
    return pd.DataFrame([row | changes]).astype({"seeds_needed": object})


def cells(text: str) -> list[str]:
    """The cells of the one row."""
    return [cell.strip() for cell in text.splitlines()[2].replace(r"\|", "/").strip("|").split("|")]


def test_accuracies_are_points_and_p_is_short() -> None:
    found = cells(markdown(table()))

    assert found == [
        "d", "balanced_2 improves /x/ & y", "solids", "supported", "+12.3 points [10.0, 15.0]", "0.004", "12", "",
        "", "test accuracy, less that of greedy", "balanced_2", "<0.001", "0.00049",
    ]  # fmt: skip


def test_all_else_is_as_it_is() -> None:
    found = cells(markdown(table(measure="d_util", seeds_needed="> 1000"), {"solids": "solids (generated data)"}))

    assert (found[2], found[4], found[7]) == ("solids (generated data)", "0.12 [0.10, 0.15]", "> 1000")


def test_what_p_is_not_of_stands_beside_the_estimate() -> None:
    found = table(measure="rank correlation over training", exchanged=0.2, verdict="contradicted")

    assert cells(markdown(found))[4] == "0.12 [0.10, 0.15] (exchanged: 0.20)"
    assert "0.12 [0.10, 0.15] (exchanged: 0.20)" in in_short(found)["solids"][3]


def test_seeds_that_are_missing_are_marked() -> None:
    assert cells(markdown(table(n=11)))[6] == "11 of 12"
    assert "11 of 12 seeds" in in_short(table(n=11))["solids"][3]
    assert "seeds" not in in_short(table())["solids"][3]


def test_one_seed_has_empty_places_and_the_text_says_why() -> None:
    nothing = dict.fromkeys(("low", "high", "p", "p_holm"), np.nan)

    text = markdown(table(n=1, planned=1, **nothing))

    assert cells(text)[4:8] == ["+12.3 points", "", "1", ""]
    assert "Where there is one seed, there is neither interval nor test." in text
    assert "one seed" not in markdown(table())


def test_no_estimate_is_an_empty_place() -> None:
    nothing = dict.fromkeys(("estimate", "low", "high", "p", "p_holm", "smallest_p"), np.nan)

    assert cells(markdown(table(n=0, **nothing)))[4:8] == ["", "", "0 of 12", ""]


@pytest.mark.parametrize(("p", "text"), [(0.25, "0.250"), (0.001, "0.001"), (0.00099, "<0.001"), (np.nan, "")])
def test_p_has_three_decimals(p: float, text: str) -> None:
    assert p_text(p) == text


def test_latex_is_a_booktabs_table_with_nothing_left_that_latex_would_read() -> None:
    lines = latex(table()).splitlines()

    assert [line for line in lines if line.endswith("rule")] == [r"\toprule", r"\midrule", r"\bottomrule"]
    body = lines[lines.index(r"\midrule") + 1]
    assert r"balanced\_2 improves \textbar{}x\textbar{} \& y" in body
    assert r"\textless{}0.001" in body
    columns = lines[1].removeprefix(r"\begin{tabular}{").removesuffix("}")
    assert len(columns) == body.replace(r"\&", "").count("&") + 1 == 13
    assert body.endswith(r" \\")


# -- At a glance --------------------------------------------------------------------------------------------


def test_in_short_each_claim_has_a_row_and_each_dataset_a_column() -> None:
    every = pd.concat([
        table(claim="d", dataset="one"),
        table(claim="a", dataset="one", measure="d_util", p_holm=0.25, verdict="undecided", seeds_needed=9),
        table(claim="d", dataset="two", verdict="contradicted"),
    ])  # fmt: skip

    short = in_short(every, {"two": "two (generated data)"}).set_index("Claim")
    rows: dict[str, list[str]] = {str(claim): cells.tolist() for claim, cells in short.iterrows()}

    assert short.columns.tolist() == ["one", "two (generated data)"]
    assert len(short) == 6
    assert rows["(a) Greedy training uses its modalities unequally"] == [
        "undecided, 0.12 [0.10, 0.15], p 0.250, 9 seeds would decide", "no run bears on it",
    ]  # fmt: skip
    assert rows["(d) Balancing improves test accuracy"] == [
        "supported, +12.3 points [10.0, 15.0], p 0.004", "contradicted, +12.3 points [10.0, 15.0], p 0.004",
    ]  # fmt: skip
    assert set(rows["(f) The multi-modal network beats its best single modality"]) == {"no run bears on it"}


def test_several_verdicts_on_one_claim_stand_below_each_other_by_method_or_measure() -> None:
    methods = in_short(pd.concat([table(), table(method="mine", verdict="undecided", seeds_needed="> 1000")]))
    measures = in_short(pd.concat([table(measure="one"), table(measure="two", p_holm=np.nan, low=np.nan)]))

    (of_methods,) = (cell for cell in methods["solids"] if "mine" in cell)
    assert of_methods.split("\n") == [
        "balanced_2: supported, +12.3 points [10.0, 15.0], p 0.004",
        "mine: undecided, +12.3 points [10.0, 15.0], p 0.004, > 1000 seeds would decide",
    ]
    (of_measures,) = (cell for cell in measures["solids"] if "one" in cell)
    assert of_measures.split("\n") == ["one: supported, 0.12 [0.10, 0.15], p 0.004", "two: supported, 0.12"]
