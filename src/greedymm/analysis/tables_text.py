"""The table of claims -> Markdown, or LaTeX with booktabs."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pandas as pd

from greedymm.analysis.per_seed import ACCURACY

HEAD = ["Claim", "Hypothesis", "Data", "Verdict", "Estimate [95 % interval]", "p (Holm)", "Seeds", "Seeds needed",
        "Measure", "Method", "p", "Smallest p", "Note"]  # fmt: skip
LEAST_P = 0.001
LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}",
}  # fmt: skip


def markdown(table: pd.DataFrame, names: Mapping[str, str] | None = None) -> str:
    """The claims as a table of Markdown, with what p and the interval are below it.

    Args:
        table: as `claims.claims_table` gives it. Accuracies are shown in percentage points, all else as it is.
        names: how each dataset is shown; without it, by its name.
    """

    def line(cells: list[str]) -> str:
        return f"| {' | '.join(cells)} |"

    rows = [HEAD, ["---"] * len(HEAD), *_cells(table, names, lambda text: text.replace("|", "\\|"))]
    return "\n".join([*map(line, rows), "", explanation(table), ""])


def latex(table: pd.DataFrame, names: Mapping[str, str] | None = None) -> str:
    """The claims as a tabular of LaTeX; it needs the package booktabs. Arguments as those of `markdown`."""

    def line(cells: list[str]) -> str:
        return " & ".join(cells) + r" \\"

    body = [line(cells) for cells in _cells(table, names, _escaped)]
    head = line([_escaped(name) for name in HEAD])
    top, bottom = r"\begin{tabular}{llllrrrrllrrl}", r"\end{tabular}"
    return "\n".join(
        [f"% {explanation(table)}", top, r"\toprule", head, r"\midrule", *body, r"\bottomrule", bottom, ""]
    )


def readable(table: pd.DataFrame, names: Mapping[str, str] | None = None) -> pd.DataFrame:
    """The claims as they are shown: columns HEAD, all of them text. Arguments as those of `markdown`."""
    return pd.DataFrame(_cells(table, names, str), columns=HEAD)


def explanation(table: pd.DataFrame) -> str:
    """What stands in the table, in words, for a caption."""
    tests = int(table["p"].notna().sum())
    single = " Where there is one seed, there is neither interval nor test." if (table["n"] == 1).any() else ""
    return (
        "Intervals: 95 % over seeds, not corrected; of rank correlations from four seeds on."
        " p: two-sided, by sign flips (rank correlation over runs:"
        f" permutations) of seeds. p (Holm): corrected for the number of tests in this table, {tests}. Smallest p:"
        f" what so few seeds can reach at best. Seeds needed: for power 0.8 if the effect is as large as seen.{single}"
    )


def _cells(table: pd.DataFrame, names: Mapping[str, str] | None, escaped: Callable[[str], str]) -> list[list[str]]:
    shown = names or {}
    rows: Iterable[Any] = table.itertuples()
    return [
        [
            escaped(cell)
            for cell in (
                *(row.claim, row.hypothesis, shown.get(row.dataset, row.dataset), row.verdict, estimate_text(row)),
                *(p_text(row.p_holm), str(row.n), "" if pd.isna(row.seeds_needed) else str(row.seeds_needed)),
                *(row.measure, row.method, p_text(row.p), _smallest_text(row.smallest_p), row.note),
            )
        ]
        for row in rows
    ]


def estimate_text(row: Any) -> str:
    """Estimate and interval of one row: `+3.2 points [1.0, 5.4]` of accuracies, else `0.32 [0.10, 0.54]`."""
    if pd.isna(row.estimate):
        return ""
    points = row.measure.startswith(ACCURACY)
    text = f"{100 * row.estimate:+.1f} points" if points else f"{row.estimate:.2f}"
    if pd.isna(row.low):
        return text
    low, high = (f"{100 * x:.1f}" if points else f"{x:.2f}" for x in (row.low, row.high))
    return f"{text} [{low}, {high}]"


def p_text(p: float) -> str:
    """A p-value in three decimals, `<0.001` below that, nothing where there is none."""
    if pd.isna(p):
        return ""
    return f"<{LEAST_P}" if p < LEAST_P else f"{p:.3f}"


def _smallest_text(p: float) -> str:
    return "" if pd.isna(p) else f"{p:.2g}"


def _escaped(text: str) -> str:
    return "".join(LATEX.get(character, character) for character in text)
