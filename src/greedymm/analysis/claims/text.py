"""Tables, that of the claims among them -> text, Markdown, or LaTeX with booktabs."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from greedymm.analysis.claims.statistics import smallest_exchange_p, smallest_sign_flip_p
from greedymm.analysis.claims.table import ACCURACY, ALPHA, CLAIMS

ESTIMATE = "Estimate [95 % interval]"
MOST_SEEDS = 15  # more seeds have no smaller p


def to_markdown(table: pd.DataFrame, below: Sequence[str] = ()) -> str:
    """A table in Markdown, and a list below it. The bar is escaped here, because tabulate does not do it."""
    escaped = table.map(lambda cell: str(cell).replace("|", r"\|"))
    lines = ["", *(f"- {text}" for text in below)] if below else []
    return "\n".join([escaped.to_markdown(index=False, disable_numparse=True), *lines, ""])


def to_latex(table: pd.DataFrame, above: Sequence[str] = ()) -> str:
    """A tabular in LaTeX, after lines of comment. It needs `booktabs`, and `fontenc` with T1 for < and |."""
    return "".join(f"% {text}\n" for text in above) + table.to_latex(index=False, escape=True)


def format_claims(claims: pd.DataFrame, names: Mapping[str, str]) -> pd.DataFrame:
    """The claims as text, a row each: accuracies in percentage points, p where the seeds are enough to decide.

    `names` has the display name of each dataset.
    """
    p, p_holm = (claims[column].mask(_too_few_seeds(claims)).map(_format_p) for column in ("p", "p_holm"))
    return pd.DataFrame({
        "Claim": claims["claim"],
        "Hypothesis": claims["hypothesis"],
        "Data": claims["dataset"].map(dict(names)),
        "Verdict": claims["verdict"],
        ESTIMATE: [_format_estimate(row) for row in claims.itertuples()],
        "p (Holm)": p_holm,
        "Seeds": claims["n"].astype(str),
        "Seeds needed": ["" if pd.isna(seeds) else str(seeds) for seeds in claims["seeds_needed"]],
        "Note": claims["note"],
        "Measure": claims["measure"],
        "Method": claims["method"],
        "p": p,
        "Smallest p": ["" if pd.isna(p) else f"{p:.2g}" for p in claims["smallest_p"]],
    })  # fmt: skip


def summarize_claims(texts: pd.DataFrame) -> pd.DataFrame:
    """The claims, as `format_claims` returns them, at a glance: a row per claim, a column per dataset.

    A cell has a line for each method, or measure: verdict, estimate, p (Holm), and how many seeds would decide.
    """
    cells = {key: _summarize(rows) for key, rows in texts.groupby(["Claim", "Data"])}
    columns = {"Claim": [f"({claim}) {text}" for claim, text in CLAIMS.items()]}
    for data in texts["Data"].unique():
        columns[data] = [cells.get((claim, data), "not measured") for claim in CLAIMS]
    return pd.DataFrame(columns)


def _summarize(rows: pd.DataFrame) -> str:
    subject = "Method" if len(set(rows["Method"])) > 1 else "Measure"
    lines = []
    for row in rows.to_dict("records"):
        p, seeds = row["p (Holm)"], row["Seeds needed"]
        parts = [row["Verdict"], row[ESTIMATE], p and f"p {p}", seeds and f"{seeds} seeds would decide"]
        prefix = f"{row[subject]}: " if len(rows) > 1 else ""
        lines.append(prefix + ", ".join(filter(None, parts)))
    return "\n".join(lines)


def explain_claims(claims: pd.DataFrame) -> list[str]:
    """How to read the claims. The first sentence says where the seeds are too few to decide."""
    return [
        *_explain_too_few_seeds(claims),
        "Intervals: 95 % over seeds, not corrected for the number of claims. One seed has no interval and no test.",
        "Intervals of rank correlations over runs count each seed once and need four seeds.",
        "Intervals of shares are Clopper-Pearson intervals.",
        "p: two-sided, by sign flips of seeds. For claim (b) by permutations of seeds; permuted: their mean.",
        f"p (Holm): p, corrected for the {claims['p'].notna().sum()} tests of this table.",
        "Smallest p: the smallest that this number of seeds can reach. Seeds: those in which the measure is defined.",
        "Seeds needed: to decide with power 0.8, if the true effect is as large as the estimate. None for shares.",
    ]


def _explain_too_few_seeds(claims: pd.DataFrame) -> list[str]:
    too_few, level = _too_few_seeds(claims), _holm_level(claims)
    if not too_few.any():
        return []
    testable = claims["smallest_p"].notna()
    subject = "No claim can" if too_few[testable].all() else "Some claims cannot"
    seeds = sorted(claims.loc[too_few, "n"].unique())
    text = f"{subject} be decided with {' or '.join(map(str, seeds))} seed{'s' if seeds[-1] > 1 else ''}."
    smallest = (smallest_sign_flip_p, smallest_exchange_p)
    fewest = [next((n for n in range(2, MOST_SEEDS + 1) if function(n) <= level), None) for function in smallest]
    return [text if None in fewest else f"{text} At least {fewest[0]} are needed, for claim (b) at least {fewest[1]}."]


def _holm_level(claims: pd.DataFrame) -> float:
    """Holm rejects a p at or below it, whatever the other undecided rows say."""
    return float(ALPHA / max(claims["p"].notna().sum() - (claims["p_holm"] <= ALPHA).sum(), 1))


def _too_few_seeds(claims: pd.DataFrame) -> "pd.Series[bool]":
    return claims["smallest_p"] > _holm_level(claims)


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
