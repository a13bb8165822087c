"""Tables, that of the claims among them -> text, Markdown, or LaTeX with booktabs."""

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from greedymm.analysis.claims.per_seed import ACCURACY
from greedymm.analysis.claims.statistics import MIN_P
from greedymm.analysis.claims.table import ALPHA, CLAIMS


def to_markdown(frame: pd.DataFrame, below: str = "") -> str:
    """A table in Markdown, and a line of text below it. The bar is escaped here, because tabulate does not do it."""
    escaped = frame.map(lambda cell: str(cell).replace("|", r"\|"))
    return escaped.to_markdown(index=False, disable_numparse=True) + (f"\n\n{below}\n" if below else "\n")


def to_latex(frame: pd.DataFrame, above: str = "") -> str:
    """A tabular in LaTeX, after a line of comment. It needs `booktabs`, and `fontenc` with T1 for < and |."""
    return (f"% {above}\n" if above else "") + frame.to_latex(index=False, escape=True)


def format_claims(table: pd.DataFrame, names: Mapping[str, str]) -> pd.DataFrame:
    """The claims as text, a row each.

    Args:
        table: as `claims_table` gives it. Accuracies are shown in percentage points. p is shown where the number of
            seeds is large enough to decide.
        names: display name of each dataset.
    """
    p, p_holm = (table[column].mask(_too_few_seeds(table)).map(_format_p) for column in ("p", "p_holm"))
    return pd.DataFrame({
        "Claim": table["claim"],
        "Hypothesis": table["hypothesis"],
        "Data": table["dataset"].map(dict(names)),
        "Verdict": table["verdict"],
        "Estimate [95 % interval]": [_format_estimate(row) for row in table.itertuples()],
        "p (Holm)": p_holm,
        "Seeds": table["n"].astype(str),
        "Seeds needed": ["" if pd.isna(seeds) else str(seeds) for seeds in table["seeds_needed"]],
        "Note": table["note"],
        "Measure": table["measure"],
        "Method": table["method"],
        "p": p,
        "Smallest p": ["" if pd.isna(p) else f"{p:.2g}" for p in table["smallest_p"]],
    })  # fmt: skip


def claims_summary(table: pd.DataFrame, names: Mapping[str, str]) -> pd.DataFrame:
    """The claims at a glance: a row per claim, a column per dataset. Arguments: those of `format_claims`.

    A cell has a line for each method, or measure, that the claim is about: verdict, estimate and interval, p (Holm),
    and how many seeds would decide. Where the seeds are too few to decide, it has estimate and interval alone.
    """
    rows = table.assign(too_few=_too_few_seeds(table))
    cells = {key: _summarize(group) for key, group in rows.groupby(["claim", "dataset"])}
    summary = {"Claim": [f"({claim}) {text}" for claim, text in CLAIMS.items()]}
    for dataset in table["dataset"].unique():
        summary[names[dataset]] = [cells.get((claim, dataset), "not measured") for claim in CLAIMS]
    return pd.DataFrame(summary)


def explain_claims(table: pd.DataFrame) -> str:
    """How to read the claims, for a caption. It starts with the number of seeds, if that is too small to decide."""
    return (
        f"{_explain_too_few(table)}Intervals: 95 % over seeds, not corrected for the number of claims."
        " Those of rank correlations over runs count each seed once and need four seeds."
        " Those of shares are Clopper-Pearson intervals. With one seed there is no interval and no test."
        " p: two-sided, by sign flips of seeds. Claim (b): seeds are permuted; the mean of permutations is in brackets."
        f" p (Holm): corrected for the number of tests in this table, {table['p'].notna().sum()}."
        " Smallest p: the smallest p that this number of seeds can reach. Seeds: those in which the measure is defined."
        " Seeds needed: to decide for or against the claim with power 0.8, if the true effect is as large as the"
        " estimate; not given for shares of signs."
    )


def _holm_level(table: pd.DataFrame) -> float:
    """Holm rejects a p at or below it, whatever the other undecided rows say."""
    return float(ALPHA / max(table["p"].notna().sum() - (table["p_holm"] <= ALPHA).sum(), 1))


def _too_few_seeds(table: pd.DataFrame) -> "pd.Series[bool]":
    return table["smallest_p"] > _holm_level(table)


def _explain_too_few(table: pd.DataFrame) -> str:
    level, seeds = _holm_level(table), sorted(table.loc[_too_few_seeds(table), "n"].unique())
    if not seeds:
        return ""
    count = " or ".join(map(str, seeds)) + (" seed" if seeds == [1] else " seeds")
    fewest = math.ceil(1 - math.log2(level))  # 2 / 2^n is at or below the level
    needed = f"; sign flips need at least {fewest} seeds" if level >= MIN_P else ""
    return f"{count} cannot decide: Holm requires a p of at most {level:.2g}{needed}. "


def _summarize(rows: pd.DataFrame) -> str:
    label = "method" if len(set(rows["method"])) > 1 else "measure"
    prefixes = [f"{name}: " for name in rows[label]] if len(rows) > 1 else [""]
    return "\n".join(prefix + _line(row) for prefix, row in zip(prefixes, rows.itertuples(), strict=True))


def _line(row: Any) -> str:
    if row.too_few:
        return _format_estimate(row)
    p = "" if pd.isna(row.p_holm) else f"p {_format_p(row.p_holm)}"
    needed = "" if pd.isna(row.seeds_needed) else f"{row.seeds_needed} seeds would decide"
    return ", ".join(part for part in (row.verdict, _format_estimate(row), p, needed) if part)


def _format_estimate(row: Any) -> str:
    """Estimate and interval of one row: `+3.2 points [1.0, 5.4]` of accuracies, else `0.32 [0.10, 0.54]`."""
    if pd.isna(row.estimate):
        return ""
    points = row.measure.startswith(ACCURACY)
    text = f"{100 * row.estimate:+.1f} points" if points else f"{row.estimate:.2f}"
    if not pd.isna(row.low):
        low, high = (f"{100 * x:.1f}" if points else f"{x:.2f}" for x in (row.low, row.high))
        text += f" [{low}, {high}]"
    return text if pd.isna(row.null_mean) else f"{text} (permuted: {row.null_mean:.2f})"


def _format_p(p: float) -> str:
    return "" if pd.isna(p) else f"{p:.3f}" if p >= 0.001 else "<0.001"  # noqa: PLR2004 - three decimals
