"""Results of all runs -> tables: one row per run, and estimates over seeds per dataset and method."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from greedymm.analysis.statistics import Estimate, estimate
from greedymm.files import read, read_json, whole
from greedymm.runs import Run

GROUP = ["dataset", "method"]
SPLITS = {"val": "validation", "test": "test"}  # as they are shown
IDENTITY = [*GROUP, "seed", "run"]
DECIMALS = 6  # beyond what any accuracy resolves: keeps tables the same across platforms
HEADLINE = {
    "test_accuracy": "test accuracy",
    "val_accuracy": "validation accuracy",
    "d_speed": "d_speed",
    "val_d_util": "d_util (validation)",
    "test_d_util": "d_util (test)",
}


def runs_table(runs: Iterable[Run]) -> pd.DataFrame:
    """One row per run: what it is, epochs, d_speed at the end, and per split accuracies and utilization.

    Raises:
        GreedymmError: if a result is missing or broken; the message names it.
    """
    return pd.DataFrame([_row(run) for run in runs])


def _row(run: Run) -> dict[str, Any]:
    rates = read(run.evaluation_folder / "rates.json", read_json)
    history = read(run.folder / "history.csv", pd.read_csv)
    row = {"dataset": run.dataset, "method": run.method, "seed": run.seed, "run": run.name}
    row |= {"epochs": len(history), "best_epoch": rates["best_epoch"]}
    if "d_speed" in history:
        row["d_speed"] = history["d_speed"].iloc[-1]
    return row | {f"{split}_{k}": v for split in ("val", "test") for k, v in rates[split].items()}


def summary_table(runs: pd.DataFrame) -> pd.DataFrame:
    """Estimates over seeds: one row per dataset, method and measure, in the order of the runs."""
    measures = [c for c in runs.columns if c not in IDENTITY]
    rows = [
        [dataset, method, measure, *_estimate(group[measure])]
        for (dataset, method), group in runs.groupby(GROUP, sort=False)
        for measure in measures
        if group[measure].notna().any()
    ]
    return pd.DataFrame(rows, columns=[*GROUP, "measure", *Estimate._fields])


def _estimate(values: "pd.Series[Any]") -> Estimate:
    return estimate([float(v) for v in values.dropna()])


def headline(summary: pd.DataFrame, names: Mapping[str, str]) -> pd.DataFrame:
    """The main table: a row per dataset and method, `mean [low, high]` of what matters most.

    Args:
        summary: as `summary_table` gives it.
        names: how each dataset is shown.
    """
    chosen = summary[summary["measure"].isin(HEADLINE)]
    text = chosen.assign(text=[_text(r) for r in chosen.itertuples()])
    table = text.pivot_table(index=GROUP, columns="measure", values="text", aggfunc="first", sort=False)
    table = table.reindex(columns=[m for m in HEADLINE if m in table]).rename(columns=HEADLINE)
    seeds = summary.groupby(GROUP, sort=False)["n"].max().rename("seeds")
    joined = seeds.to_frame().join(table).fillna("").reset_index()
    return joined.assign(dataset=joined["dataset"].map(dict(names)))


def _text(row: Any) -> str:
    percent = row.measure.endswith("accuracy")
    factor, digits = (100, 1) if percent else (1, 2)
    unit = " %" if percent else ""
    mean = f"{factor * row.mean:.{digits}f}{unit}"
    if row.n == 1:
        return mean
    return f"{mean} [{factor * row.low:.{digits}f}, {factor * row.high:.{digits}f}]"


def metrics(summary: pd.DataFrame) -> dict[str, Any]:
    """Means of what matters most, dataset -> method -> measure, for `dvc metrics`."""
    nested: dict[str, Any] = {}
    for row in summary[summary["measure"].isin(HEADLINE)].to_dict("records"):
        methods = nested.setdefault(row["dataset"], {})
        methods.setdefault(row["method"], {})[row["measure"]] = round(row["mean"], DECIMALS)
    return nested


def curves_table(runs: Sequence[Run]) -> pd.DataFrame:
    """Mean over seeds of every epoch's history: a row per dataset, method and epoch."""
    histories = pd.concat(
        [pd.read_csv(r.folder / "history.csv").assign(dataset=r.dataset, method=r.method) for r in runs]
    )
    return histories.groupby([*GROUP, "epoch"], sort=False).mean().reset_index()


def confusion_table(runs: Iterable[Run]) -> pd.DataFrame:
    """Test samples of each class that were taken for each class, by the mean: a row per pair that occurs, all seeds.

    Columns dataset, method, label, predicted and count.

    Raises:
        GreedymmError: if predictions are missing or broken; the message names the file.
    """
    parts = [
        _predicted(run.evaluation_folder / "predictions.parquet").assign(dataset=run.dataset, method=run.method)
        for run in runs
    ]
    pairs = [*GROUP, "label", "predicted"]
    return pd.concat(parts).groupby(pairs, sort=False)["count"].sum().reset_index()


def _predicted(path: Path) -> pd.DataFrame:
    frame = read(path, partial(pd.read_parquet, columns=["split", "label", "mean"]))
    test = frame[frame["split"] == "test"].rename(columns={"mean": "predicted"})
    return test.groupby(["label", "predicted"]).size().rename("count").reset_index()


def write_csv(table: pd.DataFrame, path: Path) -> None:
    """Write a table, the same bytes for the same content."""
    with whole(path) as beside:
        table.round(DECIMALS).to_csv(beside, index=False)
