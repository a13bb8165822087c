"""Results of all runs -> estimates over seeds per dataset and method, and the other tables of the report."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from greedymm.analysis.claims.statistics import Estimate, estimate
from greedymm.analysis.results import GROUP, IDENTITY

SPLITS = {"val": "validation", "test": "test"}  # name in results: name in the report
DECIMALS = 6  # beyond what any accuracy resolves: keeps tables the same across platforms
HEADLINE = {
    "test_accuracy": "test accuracy",
    "val_accuracy": "validation accuracy",
    "d_speed": "d_speed",
    "val_d_util": "d_util (validation)",
    "test_d_util": "d_util (test)",
}


def summary_table(runs: pd.DataFrame) -> pd.DataFrame:
    """Estimates over seeds: one row per dataset, method and measure, in the order of the runs."""
    measures = [column for column in runs.columns if column not in IDENTITY]
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


def headline_table(summary: pd.DataFrame, runs: pd.DataFrame, names: Mapping[str, str]) -> pd.DataFrame:
    """The main table: a row per dataset and method, number of seeds, `mean [low, high]` of the main measures.

    Args:
        summary: as `summary_table` returns it.
        runs: a row per run.
        names: dataset -> its name in the report.
    """
    table = format_estimates(summary[summary["measure"].isin(HEADLINE)], GROUP)
    table = table.reindex(columns=[m for m in HEADLINE if m in table]).rename(columns=HEADLINE)
    seeds = runs.groupby(GROUP, sort=False).size().rename("seeds").astype(str)
    joined = seeds.to_frame().join(table).fillna("").reset_index()
    return joined.assign(dataset=joined["dataset"].map(dict(names)))


def format_estimates(estimates: pd.DataFrame, index: list[str]) -> pd.DataFrame:
    """Estimates as `mean [low, high]`: a column per measure, rows by the columns of `index`, in their order.

    An estimate over fewer seeds than others of its row, as a rate can be undefined, says over how many.
    """
    most = estimates.groupby(index)["n"].transform("max")
    texts = [_format(row, int(n)) for row, n in zip(estimates.itertuples(), most, strict=True)]
    pivoted = estimates.assign(text=texts)
    return pivoted.pivot_table(index=index, columns="measure", values="text", aggfunc="first", sort=False)


def _format(row: Any, most: int) -> str:
    percent = row.measure.endswith("accuracy")
    factor, digits = (100, 1) if percent else (1, 2)
    text = f"{factor * row.mean:.{digits}f}{' %' if percent else ''}"
    if row.n > 1:
        text += f" [{factor * row.low:.{digits}f}, {factor * row.high:.{digits}f}]"
    return text if row.n == most else f"{text} ({row.n} of {most} seeds)"


def metrics(summary: pd.DataFrame) -> dict[str, Any]:
    """Means of the main measures, dataset -> method -> measure, for `dvc metrics`."""
    nested: dict[str, Any] = {}
    for row in summary[summary["measure"].isin(HEADLINE)].to_dict("records"):
        methods = nested.setdefault(row["dataset"], {})
        methods.setdefault(row["method"], {})[row["measure"]] = round(row["mean"], DECIMALS)
    return nested


def curves_table(histories: pd.DataFrame, names: Mapping[str, str]) -> pd.DataFrame:
    """Mean of every epoch over the seeds that reached it, and their number: a row per dataset, method and epoch.

    Column `data` holds the dataset's name in the report, from `names`.
    """
    epochs = histories.drop(columns="run").groupby([*GROUP, "epoch"], sort=False)
    means = epochs.mean().drop(columns="seed").assign(seeds=epochs["seed"].count()).reset_index()
    return means.assign(data=means["dataset"].map(dict(names)))


def uniquely_correct_table(correct: Mapping[str, pd.DataFrame], count: int = 4) -> pd.DataFrame:
    """Test samples that one method classifies correctly more often than any other.

    Args:
        correct: as in `Results`.
        count: at most so many of each method, those with the largest lead first, then in the order of the file.

    Returns:
        Columns dataset, method, row (in the split of the dataset's file), id, label, rate (share of the method's
        runs that are correct) and best_other (the largest share of another method).
    """
    tables = [
        _lead(table, method, count).assign(dataset=dataset, method=method)
        for dataset, table in correct.items()
        for method in table.columns.drop(["id", "label"])
        if table.shape[1] > len(["id", "label", "one method"])
    ]
    columns = [*GROUP, "row", "id", "label", "rate", "best_other"]
    return pd.concat(tables, ignore_index=True)[columns] if tables else pd.DataFrame(columns=columns)


def _lead(table: pd.DataFrame, method: str, count: int) -> pd.DataFrame:
    others = table.drop(columns=["id", "label", method]).max(axis=1)
    lead = (table[method] - others).round(DECIMALS)
    best = lead[lead > 0].sort_values(ascending=False, kind="stable").index[:count]
    rows = table.loc[best, ["id", "label"]].assign(rate=table.loc[best, method], best_other=others.loc[best])
    return rows.rename_axis("row").reset_index()


def costs_table(costs: pd.DataFrame, names: Mapping[str, str]) -> pd.DataFrame:
    """Cost of the runs of each dataset and method: number, total and median time, peak memory.

    Args:
        costs: as in `Results`.
        names: dataset -> its name in the report.
    """
    groups = costs.groupby(GROUP, sort=False)
    seconds = groups["seconds"]
    table = pd.DataFrame({
        "runs": seconds.size(),
        "total (min)": (seconds.sum() / 60).map("{:.1f}".format),
        "median run (s)": seconds.median().map("{:.1f}".format),
        "longest run (s)": seconds.max().map("{:.1f}".format),
        "median samples/s": groups["samples_per_second"].median().map("{:.0f}".format),
        "peak memory (MiB)": groups["peak_memory_mb"].max().map("{:.0f}".format),
        "peak GPU memory (MiB)": groups["peak_gpu_memory_mb"].max().map("{:.0f}".format),
    }).reset_index()  # fmt: skip
    if not costs["peak_gpu_memory_mb"].any():
        table = table.iloc[:, :-1]
    return table.assign(dataset=table["dataset"].map(dict(names)))


def to_csv(table: pd.DataFrame) -> str:
    """A table as CSV, the same text for the same content."""
    return table.round(DECIMALS).to_csv(index=False)
