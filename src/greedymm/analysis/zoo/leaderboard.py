"""Results of a board -> its tables: estimates, differences to the references, costs and ranks.

References: plain training with the loss of network and branches, the ensemble of networks of one modality, and the best
single modality. All differences are paired by seed. Tests and verdicts are those of the claims.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from greedymm.analysis.claims.evidence import join_notes, mean_evidence
from greedymm.analysis.claims.ranks import ranks_table
from greedymm.analysis.claims.statistics import DIGITS
from greedymm.analysis.claims.verdicts import CONTRADICTED, EQUAL, SUPPORTED, UNDECIDED, judge
from greedymm.analysis.figures.style import is_unimodal, label
from greedymm.analysis.results import GROUP, Results
from greedymm.analysis.study import estimates_table
from greedymm.analysis.zoo.blocks import Blocks, rank_blocks

PLAIN, ENSEMBLE, BEST = "greedy_multi", "ume", "best modality"
REFERENCES = (PLAIN, ENSEMBLE, BEST)
COST_REFERENCES = (PLAIN, "greedy")  # the first that was run
BETTER, WORSE = "better", "worse"
VERDICTS = {SUPPORTED: BETTER, CONTRADICTED: WORSE, EQUAL: EQUAL, UNDECIDED: UNDECIDED}
COLUMNS = [
    *("dataset", "reference", "reference_method", "method", "n", "estimate", "low", "high"),
    *("p", "p_holm", "p_sign_flip", "margin", "p_equal", "verdict", "note"),
]
WEAKEST = "test_weakest_branch_accuracy"  # of the branch that has the lowest accuracy when cut from the others
D_UTIL = "val_abs_d_util"  # absolute value of each run, because signed ones of different seeds cancel


class Board(NamedTuple):
    """Results of all methods under one choice of their settings."""

    name: str  # "published", "tuned"
    results: Results
    choice: str = "val"  # split that settings and the best modality are chosen by


class Tables(NamedTuple):
    """All tables of a board."""

    estimates: pd.DataFrame  # a row per dataset, method and measure, over seeds
    comparisons: pd.DataFrame  # COLUMNS: a row per dataset, reference and multi-modal method
    costs: pd.DataFrame  # a row per dataset and method
    ranks: Mapping[str, pd.DataFrame]  # reference -> a row per method, columns of `Rank`
    blocks: Blocks

    def of(self, dataset: str) -> "Tables":
        """The tables with the rows of one dataset."""
        parts = {name: getattr(self, name) for name in ("estimates", "comparisons", "costs")}
        return self._replace(**{name: table[table["dataset"] == dataset] for name, table in parts.items()})


def make_tables(board: Board, margin: float) -> Tables:
    """Compute all tables. Accuracies that differ by less than `margin`, in [0, 1], are practically equal."""
    results, runs = board.results, board.results.runs
    cut = runs.filter(regex=r"^test_accuracy_.+_cut$")
    d_util = runs.reindex(columns=["val_d_util"]).astype(float)["val_d_util"]
    measured = runs.assign(**{WEAKEST: cut.astype(float).min(axis=1), D_UTIL: d_util.abs()})
    return Tables(
        estimates=estimates_table(measured),
        comparisons=compare(runs, margin, board.choice),
        costs=relative_costs(results.costs),
        ranks={reference: ranks_table(runs, reference) for reference in (PLAIN, ENSEMBLE)},
        blocks=rank_blocks(runs),
    )


def compare(runs: pd.DataFrame, margin: float, choice: str) -> pd.DataFrame:
    """Compare the multi-modal methods with each reference that was run; COLUMNS.

    `p_holm` and `p_equal` are corrected over the methods that are compared with one reference on one dataset.
    """
    rows = []
    for dataset, group in runs.groupby("dataset", sort=False):
        table = group.pivot(index="seed", columns="method", values="test_accuracy").astype(float)  # noqa: PD010
        for name, reference in find_references(group, choice).items():
            methods = [m for m in group["method"].unique() if m != reference and not is_unimodal(m)]
            changes = [(table[m] - table[reference]).to_numpy() for m in methods]
            family = [mean_evidence(change, 1, 1, margin) for change in changes]
            for method, evidence, verdict in zip(methods, family, judge(family), strict=True):
                row = evidence._asdict() | verdict._asdict()
                row |= {"verdict": VERDICTS[verdict.verdict], "note": join_notes(evidence.note, verdict.note)}
                row |= {"dataset": dataset, "reference": name, "reference_method": reference, "method": method}
                rows.append(row)
    return pd.DataFrame(rows, columns=COLUMNS)


def find_references(runs: pd.DataFrame, choice: str) -> dict[str, str]:
    """The references among the runs of one dataset, and the method of each.

    The best modality has the best mean accuracy on the split `choice`: a choice by test accuracy would favor it.
    """
    means = runs.groupby("method", sort=False)[f"{choice}_accuracy"].mean().round(DIGITS)
    found = {name: name for name in (PLAIN, ENSEMBLE) if name in means}
    single = means[[is_unimodal(str(method)) for method in means.index]].dropna()
    return found | ({BEST: str(single.idxmax())} if len(single) else {})


def relative_costs(costs: pd.DataFrame) -> pd.DataFrame:
    """Cost of each dataset and method.

    Returns:
        `seconds`, of the fastest run, because other processes only add time; `relative`, divided by that of
        `relative_to`, the first of `COST_REFERENCES` that was run (NaN: none was); `peak_memory_mb` and
        `peak_gpu_memory_mb`, the smallest of all runs, because the peak of a process includes its earlier runs.
    """
    groups = costs.groupby(GROUP, sort=False)
    table = groups.agg({"seconds": "min", "peak_memory_mb": "min", "peak_gpu_memory_mb": "min"}).reset_index()
    parts = []
    for _, part in table.groupby("dataset", sort=False):
        seconds = part.set_index("method")["seconds"]
        name = next((method for method in COST_REFERENCES if method in seconds.index), "")
        parts.append(part.assign(relative=part["seconds"] / seconds.get(name, np.nan), relative_to=name))
    return pd.concat(parts, ignore_index=True)


def notes_on_references(runs: pd.DataFrame, choice: str = "val") -> list[str]:
    """Which references are missing on a dataset, and how the best modality was chosen."""
    found = find_references(runs, choice)
    missing = [name for name in REFERENCES if name not in found]
    notes = [f"Not run, so nothing is compared with it: {', '.join(missing)}."] if missing else []
    return notes + list(_describe_best(runs, found[BEST], choice) if BEST in found else [])


def _describe_best(runs: pd.DataFrame, best: str, choice: str) -> Iterator[str]:
    means = 100 * runs.groupby("method", sort=False)[[f"{choice}_accuracy", "test_accuracy"]].mean().round(DIGITS)
    val, test = means.loc[best]
    name = {"val": "validation"}.get(choice, choice)
    yield f"Best modality, chosen by {name} accuracy: {label(best)}, {name} {val:.1f} %, test {test:.1f} %."
    for method, other in means["test_accuracy"].items():
        if is_unimodal(str(method)) and other > test:
            yield f"On test, {label(str(method))} has a higher mean: {other:.1f} %."
