"""Tables, that of the claims among them -> sentences, text, Markdown, or LaTeX with booktabs."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from greedymm.analysis.claims.ranks import REFERENCE
from greedymm.analysis.claims.statistics import MIN_SEEDS_FOR_EXCHANGE, MIN_SEEDS_FOR_FLIPS, MIN_SEEDS_FOR_T
from greedymm.analysis.claims.table import ACCURACY, CLAIMS
from greedymm.analysis.claims.verdicts import CONTRADICTED, EQUAL, SUPPORTED, UNDECIDED

ESTIMATE = "Estimate [95 % interval]"


def to_markdown(table: pd.DataFrame, below: Sequence[str] = ()) -> str:
    """A table in Markdown, and a list below it. Cells are escaped here, because tabulate does not do it."""
    escaped = table.map(_escape_markdown).rename(columns=_escape_markdown)
    lines = ["", *(f"- {text}" for text in below)] if below else []
    return "\n".join([escaped.to_markdown(index=False, disable_numparse=True), *lines, ""])


def _escape_markdown(cell: object) -> str:
    """A cell without what Markdown takes for columns, links and HTML."""
    text = " ".join(str(cell).split()).replace("|", r"\|").replace("](", r"]\(")
    return re.sub("<(?=[A-Za-z/!?])", "&lt;", text)


def to_latex(table: pd.DataFrame, above: Sequence[str] = ()) -> str:
    """A tabular in LaTeX, after lines of comment. It needs `booktabs`, and `fontenc` with T1 for < and |."""
    return "".join(f"% {line}\n" for text in above for line in text.splitlines()) + table.to_latex(
        index=False, escape=True
    )


def format_claims(claims: pd.DataFrame, names: Mapping[str, str]) -> pd.DataFrame:
    """The claims as text, a row each: accuracies in percentage points.

    `names` has the display name of each dataset.
    """
    return pd.DataFrame({
        "Claim": claims["claim"],
        "Hypothesis": claims["hypothesis"],
        "Data": claims["dataset"].map(dict(names)),
        "Verdict": claims["verdict"],
        ESTIMATE: [_format_estimate(row) for row in claims.itertuples()],
        "p (Holm)": claims["p_holm"].map(format_p),
        "p (equal)": claims["p_equal"].map(format_p),
        "Seeds": claims["n"].astype(str),
        "Seeds needed": ["" if pd.isna(seeds) else str(seeds) for seeds in claims["seeds_needed"]],
        "Note": claims["note"],
        "Measure": claims["measure"],
        "Method": claims["method"],
        "p": claims["p"].map(format_p),
        "p (sign flips)": claims["p_sign_flip"].map(format_p),
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
        p, seeds = row["p (equal)" if row["Verdict"] == EQUAL else "p (Holm)"], row["Seeds needed"]
        parts = [row["Verdict"], row[ESTIMATE], p and f"p {p}", seeds and f"{seeds} seeds would decide"]
        prefix = f"{row[subject]}: " if len(rows) > 1 else ""
        lines.append(prefix + ", ".join(filter(None, parts)))
    return "\n".join(lines)


def format_ranks(ranks: pd.DataFrame, reference: str = REFERENCE) -> pd.DataFrame:
    """The table of `ranks_table` as text: a row per method, estimates with intervals."""

    def with_interval(rows: pd.DataFrame) -> list[str]:
        return [f"{x:.2f}" + ("" if pd.isna(low) else f" [{low:.2f}, {high:.2f}]") for x, low, high in rows.to_numpy()]

    improvement = ranks[["improvement", "improvement_low", "improvement_high"]]
    return pd.DataFrame({
        "Method": ranks["method"],
        "Datasets": ranks["datasets"].astype(str),
        "Runs": ranks["runs"].astype(str),
        "Mean rank": with_interval(ranks[["mean_rank", "rank_low", "rank_high"]]),
        f"Probability of improvement over {reference}": with_interval(improvement),
    })  # fmt: skip


def explain_claims(claims: pd.DataFrame) -> list[str]:
    """How to read the claims: verdicts, tests, intervals."""
    margin = "".join(f" of {format_points(value)}" for value in claims["margin"].dropna().unique())
    return [
        "Supported, contradicted: the difference is significant at the level 0.05, for or against the claim.",
        f"Practically equal: the difference of two accuracies is within the margin{margin}, by two one-sided t tests.",
        "A significant difference within the margin is practically equal, and so is no difference at any of the seeds.",
        "Undecided: neither is shown. This is no evidence of equality.",
        "Seeds needed: to decide with power 0.8, if the true effect is as large as the estimate. None for shares.",
        f"p: two-sided Student's t test of the differences within seeds, from {MIN_SEEDS_FOR_T} seeds on.",
        "It assumes that differences vary between seeds roughly as a normal distribution.",
        f"p (sign flips): without this assumption, from {MIN_SEEDS_FOR_FLIPS} seeds on. Notes name disagreements.",
        f"p of claim (b): by permutations of seeds, from {MIN_SEEDS_FOR_EXCHANGE} seeds on; permuted: their mean.",
        "p (Holm), p (equal): corrected within one question, which is one claim on one dataset.",
        "Intervals: 95 % over seeds, not corrected. One seed has no interval and no test.",
        "Intervals of rank correlations over runs count each seed once and need four seeds.",
        "Intervals of shares are Clopper-Pearson intervals.",
    ]


def describe_datasets(claims: pd.DataFrame, names: Mapping[str, str]) -> dict[str, str]:
    """Claim (d) in a sentence for each dataset: `balanced`, or the first method, against greedy training.

    Args:
        claims: as `claims_table` returns them.
        names: display name of each dataset.
    """
    return {dataset: _describe_dataset(_rows(claims, "d", dataset), name) for dataset, name in names.items()}


def describe_proxy(claims: pd.DataFrame, names: Mapping[str, str]) -> dict[str, str]:
    """Claim (b) in a sentence for each dataset. Arguments: those of `describe_datasets`."""
    return {dataset: _describe_proxy(_rows(claims, "b", dataset), name) for dataset, name in names.items()}


def _rows(claims: pd.DataFrame, claim: str, dataset: str) -> list[Any]:
    return list(claims[(claims["claim"] == claim) & (claims["dataset"] == dataset)].itertuples())


def _describe_dataset(rows: list[Any], name: str) -> str:
    if not rows:
        return f"On {name}, no balancing method is compared with greedy training."
    main = next((row for row in rows if row.method == "balanced"), rows[0])
    verdicts = [row.verdict for row in rows if row is not main]
    counts = [f"{verdicts.count(v)} {v}" for v in (SUPPORTED, CONTRADICTED, EQUAL, UNDECIDED) if v in verdicts]
    others = f" Other balancing methods: {', '.join(counts)}." if counts else ""
    return _describe_method(main, name) + others


def _describe_method(row: Any, name: str) -> str:
    subject = "Balanced training" if row.method == "balanced" else f"Training with {row.method}"
    if row.n == 0:
        return f"{subject} and greedy training on {name} have no seed in common: {row.verdict}."
    if row.verdict == EQUAL:
        text = f"is as accurate as greedy training on {name}, within {format_points(row.margin)}"
        return f"{subject} {text}{format_interval(row, 100, 1)}, p {format_p(row.p_equal)}: {row.verdict}."
    sign = -1 if row.estimate < 0 else 1
    points = f"{100 * abs(row.estimate):.1f}"
    difference = f"{points} points {'more' if sign > 0 else 'less'} accurate than"
    if float(points) == 0:
        difference = "on average as accurate as"
    text = f"{subject} is {difference} greedy training on {name}{format_interval(row, 100 * sign, 1)}"
    return text + _conclusion(row)


def _describe_proxy(rows: list[Any], name: str) -> str:
    ranks = [row for row in rows if row.measure.startswith("rank correlation")]
    if not ranks:
        return f"On {name}, d_speed and d_util are not measured."
    row = ranks[-1]  # over training, if that is measured
    scope = "over the epochs of training" if "training" in row.measure else "from seed to seed"
    if pd.isna(row.estimate):
        return f"On {name}, d_speed and d_util cannot be compared {scope}: {row.note}."
    numbers = f"rank correlation {row.estimate:.2f}{format_interval(row, 1, 2)}"
    numbers += "" if pd.isna(row.null_mean) else f", {row.null_mean:.2f} between different seeds"
    verb = {SUPPORTED: "go together", CONTRADICTED: "do not go together"}.get(row.verdict, "may go together")
    return f"d_speed and d_util {verb} {scope} on {name} ({numbers})" + _conclusion(row)


def _conclusion(row: Any) -> str:
    """End of a sentence, such as `, p 0.005: supported.`."""
    p = "" if pd.isna(row.p_holm) else f", p {format_p(row.p_holm)}"
    if row.n == 1:
        return f": {row.verdict} with one seed."
    seeds = "" if pd.isna(row.seeds_needed) else f"; {row.seeds_needed} seeds would decide"
    reason = "" if p or seeds else f" ({row.note})"
    return f"{p}: {row.verdict}{seeds}{reason}."


def format_interval(row: Any, factor: float, digits: int) -> str:
    """The interval of a row in brackets, after a space; nothing where there is none."""
    if pd.isna(row.low):
        return ""
    low, high = sorted((factor * row.low, factor * row.high))
    return f" [{low:.{digits}f}, {high:.{digits}f}]"


def format_points(accuracy: float) -> str:
    """A margin in words: `1 point`."""
    points = f"{100 * accuracy:.3g}"
    return f"{points} point" if points == "1" else f"{points} points"


def _format_estimate(row: Any) -> str:
    """Estimate and interval of one row: `+3.2 points [1.0, 5.4]` of accuracies, else `0.32 [0.10, 0.54]`."""
    if pd.isna(row.estimate):
        return ""
    points = row.measure.startswith(ACCURACY)
    text = f"{100 * row.estimate:+.1f} points" if points else f"{row.estimate:.2f}"
    text += format_interval(row, 100, 1) if points else format_interval(row, 1, 2)
    return text if pd.isna(row.null_mean) else f"{text} (permuted: {row.null_mean:.2f})"


def format_p(p: float) -> str:
    """A p-value with three decimals; nothing for NaN."""
    return "" if pd.isna(p) else f"{p:.3f}" if p >= 0.001 else "<0.001"  # noqa: PLR2004 - three decimals
