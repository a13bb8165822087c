"""Results of all runs, as collected -> estimates over seeds per dataset and method, and other tables."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from greedymm.analysis.collect import GROUP, IDENTITY, LEFT_OUT
from greedymm.analysis.statistics import Estimate, estimate
from greedymm.files import atomic_write

SPLITS = {"val": "validation", "test": "test"}  # as they are shown
DECIMALS = 6  # beyond what any accuracy resolves: keeps tables the same across platforms
HEADLINE = {
    "test_accuracy": "test accuracy",
    "val_accuracy": "validation accuracy",
    "d_speed": "d_speed",
    "val_d_util": "d_util (validation)",
    "test_d_util": "d_util (test)",
}


def summary_table(runs: pd.DataFrame) -> pd.DataFrame:
    """Estimates over seeds: one row per dataset, method and measure, in the order of the runs that are used."""
    measures = [c for c in runs.columns if c not in IDENTITY]
    rows = [
        [dataset, method, measure, *_estimate(group[measure], measure)]
        for (dataset, method), group in runs.groupby(GROUP, sort=False)
        for measure in measures
        if group[measure].notna().any()
    ]
    return pd.DataFrame(rows, columns=[*GROUP, "measure", *Estimate._fields])


def _estimate(values: "pd.Series[Any]", measure: str) -> Estimate:
    bounds = (0.0, 1.0) if "accuracy" in measure else ()
    return estimate([float(v) for v in values.dropna()], *bounds)


def headline(summary: pd.DataFrame, runs: pd.DataFrame, names: Mapping[str, str]) -> pd.DataFrame:
    """The main table: a row per dataset and method, `mean [low, high]` of what matters most.

    Args:
        summary: as `summary_table` gives it.
        runs: as `collect` gives it; where runs are left out, the column `seeds` says how many of how many are there.
        names: how each dataset is shown.
    """
    chosen = summary[summary["measure"].isin(HEADLINE)]
    table = as_text(chosen, GROUP)
    table = table.reindex(columns=[m for m in HEADLINE if m in table]).rename(columns=HEADLINE)
    there = (runs[LEFT_OUT] == "").groupby([runs[c] for c in GROUP], sort=False)
    seeds = there.agg(lambda kept: out_of(int(kept.sum()), len(kept))).rename("seeds")
    joined = seeds.to_frame().join(table).fillna("").reset_index()
    return joined.assign(dataset=joined["dataset"].map(dict(names)))


def out_of(there: int, wanted: int) -> str:
    """How many there are, and of how many where some are missing: `3`, or `2 of 3`."""
    return f"{there}" if there == wanted else f"{there} of {wanted}"


def as_text(estimates: pd.DataFrame, index: list[str]) -> pd.DataFrame:
    """Estimates as `mean [low, high]`: a column per measure, rows by the columns of `index`, in their order.

    An estimate over fewer seeds than others of its row, as a rate can be undefined, says of how many.
    """
    most = estimates.groupby(index)["n"].transform("max")
    text = estimates.assign(text=[_text(row, int(n)) for row, n in zip(estimates.itertuples(), most, strict=True)])
    return text.pivot_table(index=index, columns="measure", values="text", aggfunc="first", sort=False)


def _text(row: Any, most: int) -> str:
    percent = row.measure.endswith("accuracy")
    factor, digits = (100, 1) if percent else (1, 2)
    unit = " %" if percent else ""
    mean = f"{factor * row.mean:.{digits}f}{unit}"
    if row.n > 1:
        mean += f" [{factor * row.low:.{digits}f}, {factor * row.high:.{digits}f}]"
    return mean if row.n == most else f"{mean} ({out_of(row.n, most)} seeds)"


def metrics(summary: pd.DataFrame) -> dict[str, Any]:
    """Means of what matters most, dataset -> method -> measure, for `dvc metrics`."""
    nested: dict[str, Any] = {}
    for row in summary[summary["measure"].isin(HEADLINE)].to_dict("records"):
        methods = nested.setdefault(row["dataset"], {})
        methods.setdefault(row["method"], {})[row["measure"]] = round(row["mean"], DECIMALS)
    return nested


def curves_table(histories: pd.DataFrame, names: Mapping[str, str]) -> pd.DataFrame:
    """Mean of every epoch over the seeds that reached it, and their number: a row per dataset, method and epoch.

    Column `data` has each dataset as it is shown, by `names`.
    """
    epochs = histories.drop(columns="run").groupby([*GROUP, "epoch"], sort=False)
    means = epochs.mean().drop(columns="seed").assign(seeds=epochs["seed"].count()).reset_index()
    return means.assign(data=means["dataset"].map(dict(names)))


def uniquely_correct(shares: Mapping[str, pd.DataFrame], count: int = 4) -> pd.DataFrame:
    """Test samples that one method gets right more often than every other one does.

    Args:
        shares: as `collect` gives it.
        count: at most so many of each method, those with the largest lead first, then in the order of the file.

    Returns:
        Columns dataset, method, row (of the split in the dataset's file), id, label, right (share of the method's
        runs) and others (the largest share of another method).
    """
    tables = [
        _lead(table, method, count).assign(dataset=dataset, method=method)
        for dataset, table in shares.items()
        for method in table.columns.drop(["id", "label"])
        if table.shape[1] > len(["id", "label", "one method"])
    ]
    columns = [*GROUP, "row", "id", "label", "right", "others"]
    return pd.concat(tables, ignore_index=True)[columns] if tables else pd.DataFrame(columns=columns)


def _lead(table: pd.DataFrame, method: str, count: int) -> pd.DataFrame:
    others = table.drop(columns=["id", "label", method]).max(axis=1)
    lead = (table[method] - others).round(DECIMALS)
    best = lead[lead > 0].sort_values(ascending=False, kind="stable").index[:count]
    kept = table.loc[best, ["id", "label"]].assign(right=table.loc[best, method], others=others.loc[best])
    return kept.rename_axis("row").reset_index()


def write_csv(table: pd.DataFrame, path: Path) -> None:
    """Write a table, the same bytes for the same content."""
    with atomic_write(path) as beside:
        table.round(DECIMALS).to_csv(beside, index=False)
