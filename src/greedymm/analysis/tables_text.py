"""Tables, that of claims among them -> Markdown, or LaTeX with booktabs."""

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from greedymm.analysis.aggregate import out_of
from greedymm.analysis.claims import CLAIMS
from greedymm.analysis.per_seed import ACCURACY

HEAD = ["Claim", "Hypothesis", "Data", "Verdict", "Estimate [95 % interval]", "p (Holm)", "Seeds", "Seeds needed",
        "Note", "Measure", "Method", "p", "Smallest p"]  # fmt: skip
LEAST_P = 0.001
_BAR = r"\|"
LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}",
}  # fmt: skip


def as_markdown(frame: pd.DataFrame, below: str = "") -> str:
    """A table of Markdown, and a line of text below it."""

    def line(cells: Iterable[Any]) -> str:
        return f"| {' | '.join(str(cell).replace('|', _BAR) for cell in cells)} |"

    rows = [line(frame.columns), line(["---"] * frame.shape[1]), *map(line, frame.itertuples(index=False))]
    return "\n".join([*rows, *(["", below] if below else []), ""])


def as_latex(frame: pd.DataFrame, above: str = "", alignment: str = "") -> str:
    """A tabular of LaTeX, after a line of comment; it needs the package booktabs. Left-aligned without `alignment`."""

    def line(cells: Iterable[Any]) -> str:
        return " & ".join(_escaped(str(cell)) for cell in cells) + r" \\"

    top = rf"\begin{{tabular}}{{{alignment or 'l' * frame.shape[1]}}}"
    body = map(line, frame.itertuples(index=False))
    lines = [top, r"\toprule", line(frame.columns), r"\midrule", *body, r"\bottomrule", r"\end{tabular}", ""]
    return "\n".join([*([f"% {above}"] if above else []), *lines])


def markdown(table: pd.DataFrame, names: Mapping[str, str] | None = None) -> str:
    """The claims as a table of Markdown, with what p and the interval are below it.

    Args:
        table: as `claims.claims_table` gives it. Accuracies are shown in percentage points, all else as it is.
        names: how each dataset is shown; without it, by its name.
    """
    return as_markdown(readable(table, names), explanation(table))


def latex(table: pd.DataFrame, names: Mapping[str, str] | None = None) -> str:
    """The claims as a tabular of LaTeX. Arguments as those of `markdown`."""
    return as_latex(readable(table, names), explanation(table), "llllrrrrlllrr")


def readable(table: pd.DataFrame, names: Mapping[str, str] | None = None) -> pd.DataFrame:
    """The claims as they are shown: columns HEAD, all of them text. Arguments as those of `markdown`."""
    return pd.DataFrame(_cells(table, names), columns=HEAD)


def in_short(table: pd.DataFrame, names: Mapping[str, str] | None = None) -> pd.DataFrame:
    """What holds, at a glance: a row per claim, a column per dataset. Arguments as those of `markdown`.

    A cell has a line for each method, or measure, that the claim is about: verdict, estimate and interval, p (Holm),
    of how many seeds, where some of those planned are missing, and how many would decide.
    """
    datasets = list(table["dataset"].unique())
    cells = {place: _in_short(rows) for place, rows in table.groupby(["claim", "dataset"])}
    rows = [
        [f"({claim}) {text}", *(cells.get((claim, dataset), "no run bears on it") for dataset in datasets)]
        for claim, text in CLAIMS.items()
    ]
    return pd.DataFrame(rows, columns=["Claim", *((names or {}).get(dataset, dataset) for dataset in datasets)])


def _in_short(rows: pd.DataFrame) -> str:
    label = "method" if len(set(rows["method"])) > 1 else "measure"
    every: Iterable[Any] = rows.itertuples()
    return "\n".join((f"{getattr(row, label)}: " if len(rows) > 1 else "") + _line(row) for row in every)


def _line(row: Any) -> str:
    parts = [row.verdict, estimate_text(row), "" if pd.isna(row.p_holm) else f"p {p_text(row.p_holm)}"]
    parts += [] if row.n == row.planned else [f"{out_of(row.n, row.planned)} seeds"]
    needed = "" if pd.isna(row.seeds_needed) else f"{row.seeds_needed} seeds would decide"
    return ", ".join(part for part in (*parts, needed) if part)


def explanation(table: pd.DataFrame) -> str:
    """What stands in the table, in words, for a caption."""
    tests = int(table["p"].notna().sum())
    single = " Where there is one seed, there is neither interval nor test." if (table["n"] == 1).any() else ""
    return (
        "Intervals: 95 % over seeds, not corrected; of rank correlations over runs from four seeds on, and as wide as"
        " if each seed had but one run; of shares after Clopper and Pearson."
        " p: two-sided, by sign flips of seeds; of claim b by permutations of seeds, of what differs from the estimate"
        " with the seeds exchanged, which stands in brackets."
        f" p (Holm): corrected for the number of tests in this table, {tests}."
        " Smallest p: what so few seeds can reach at best."
        " Seeds: those that have what is compared, of those planned."
        " Seeds needed: to decide, for or against, with power 0.8 if the effect is as large as seen;"
        f" not told of shares of signs.{single}"
    )


def _cells(table: pd.DataFrame, names: Mapping[str, str] | None) -> list[list[str]]:
    shown = names or {}
    rows: Iterable[Any] = table.itertuples()
    return [
        [
            *(row.claim, row.hypothesis, shown.get(row.dataset, row.dataset), row.verdict, estimate_text(row)),
            *(
                p_text(row.p_holm),
                out_of(row.n, row.planned),
                "" if pd.isna(row.seeds_needed) else str(row.seeds_needed),
            ),
            *(row.note, row.measure, row.method, p_text(row.p), _smallest_text(row.smallest_p)),
        ]
        for row in rows
    ]


def estimate_text(row: Any) -> str:
    """Estimate and interval of one row: `+3.2 points [1.0, 5.4]` of accuracies, else `0.32 [0.10, 0.54]`."""
    if pd.isna(row.estimate):
        return ""
    points = row.measure.startswith(ACCURACY)
    text = f"{100 * row.estimate:+.1f} points" if points else f"{row.estimate:.2f}"
    if not pd.isna(row.low):
        low, high = (f"{100 * x:.1f}" if points else f"{x:.2f}" for x in (row.low, row.high))
        text += f" [{low}, {high}]"
    return text if pd.isna(row.exchanged) else f"{text} (exchanged: {row.exchanged:.2f})"


def p_text(p: float) -> str:
    """A p-value in three decimals, `<0.001` below that, nothing where there is none."""
    if pd.isna(p):
        return ""
    return f"<{LEAST_P}" if p < LEAST_P else f"{p:.3f}"


def _smallest_text(p: float) -> str:
    return "" if pd.isna(p) else f"{p:.2g}"


def _escaped(text: str) -> str:
    return "".join(LATEX.get(character, character) for character in text)
