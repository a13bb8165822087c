"""Results of runs, each file read once -> tables of runs, epochs, steps and test samples."""

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow.parquet import read_metadata

from greedymm.errors import GreedymmError
from greedymm.files import read, read_json
from greedymm.run import Run
from greedymm.settings import differences

log = logging.getLogger(__name__)

GROUP = ["dataset", "method"]
IDENTITY = [*GROUP, "seed", "run"]
COSTS = ["epochs", "seconds", "samples_per_second", "peak_memory_mb", "peak_gpu_memory_mb"]


class Result(NamedTuple):
    """What one run left."""

    run: Run
    summary: dict[str, Any]  # content of result.json
    test: pd.DataFrame  # a row per test sample: id, label, and the predicted class `mean`

    def table(self, name: str) -> pd.DataFrame:
        """A table of the summary: `history`, `timing` (a row per epoch) or `during_training` (a row per snapshot)."""
        return pd.DataFrame(self.summary[name])


class Results(NamedTuple):
    """What all runs left. The first columns of each table say of which run a row is."""

    runs: pd.DataFrame  # a row per run: measures of each split, best epoch, d_speed at the end
    histories: pd.DataFrame  # a row per run and epoch
    during: pd.DataFrame  # a row per run and snapshot: measures of the validation split, and d_speed
    costs: pd.DataFrame  # a row per run: COSTS
    steps: pd.DataFrame  # every step of the first run of each multi-modal method
    confusion: pd.DataFrame  # dataset, method, label, predicted, count; over all seeds
    correct: dict[str, pd.DataFrame]  # dataset -> id, label, and for each method the share of runs that are correct
    records: list[dict[str, Any]]  # of each run: versions, hardware, device, commit
    excluded: list[str]  # runs that cannot be used, and why


def read_results(runs: Iterable[Run], *, exclude: bool = False) -> Results:
    """Read the results of runs.

    Args:
        runs: planned runs.
        exclude: list the runs that cannot be used in `excluded`, instead of raising an error.

    Raises:
        GreedymmError: if a run cannot be used; the message names all such runs, with reasons. With `exclude`: if
            no run can be used.
    """
    usable, excluded = [], []
    for run in runs:
        try:
            usable.append(read_result(run))
        except GreedymmError as error:
            excluded.append(f"{run.id}: {' '.join(str(error).split())}")
    if not usable or (excluded and not exclude):
        reasons = "\n  ".join(excluded)
        raise GreedymmError(
            f"{len(excluded)} runs cannot be used:\n  {reasons}\nDelete the files that are broken or belong to other"
            " settings. Then run: snakemake --cores 8 all\nSee the other runs with: greedymm preview"
        )
    return _stack(usable, excluded)


def read_result(run: Run) -> Result:
    """Read what one run left.

    Raises:
        GreedymmError: if a file is missing or broken, or if it belongs to other settings.
    """
    path = run.evaluation_folder / "result.json"
    summary, test = read(path, _read_object), read(path.with_name("predictions.parquet"), _read_test)
    if len(run.settings.modalities) > 1:
        read(run.folder / "steps.parquet", read_metadata)
    expected = run.settings.model_dump(mode="json")
    if summary["settings"] != expected:
        lines = "; ".join(differences(summary["settings"], expected))
        raise GreedymmError(f"{path} belongs to other settings: {lines}")
    return Result(run, summary, test)


def _read_object(path: Path) -> dict[str, Any]:
    content = read_json(path)
    if not isinstance(content, dict) or not isinstance(content.get("settings"), dict):
        raise ValueError("it has no settings")  # noqa: TRY004 `read` takes a ValueError for a broken file
    return content


def _read_test(path: Path) -> pd.DataFrame:
    table = pd.read_parquet(path, columns=["split", "id", "label", "mean"])
    return table[table["split"] == "test"].drop(columns="split").reset_index(drop=True)


def _stack(results: list[Result], excluded: list[str]) -> Results:
    identities = pd.DataFrame([_identity(result.run) for result in results])
    confusion, correct = _count_predictions(results)
    measures = [_measures(result.summary) for result in results]
    costs = [_costs(result.table("timing")) for result in results]
    return Results(
        runs=identities.join(pd.DataFrame(measures)),
        histories=_stack_tables(identities, [result.table("history") for result in results]),
        during=_stack_tables(identities, [_with_speed(result) for result in results]),
        costs=identities.join(pd.DataFrame(costs)),
        steps=_read_steps(result.run for result in results),
        confusion=confusion,
        correct=correct,
        records=[result.summary["record"] for result in results],
        excluded=excluded,
    )


def _identity(run: Run) -> dict[str, Any]:
    return {"dataset": run.dataset, "method": run.method, "seed": run.seed, "run": run.name}


def _stack_tables(identities: pd.DataFrame, tables: list[pd.DataFrame]) -> pd.DataFrame:
    """All runs' tables as one. Arrow concatenates thousands of small tables faster than pandas does."""
    rows = np.repeat(np.arange(len(tables)), [len(table) for table in tables])
    arrow = [pa.Table.from_pandas(table, preserve_index=False) for table in tables]
    stacked: pd.DataFrame = pa.concat_tables(arrow, promote_options="permissive").to_pandas()
    return identities.iloc[rows].reset_index(drop=True).join(stacked)


def _measures(summary: Mapping[str, Any]) -> dict[str, Any]:
    history = summary["history"]
    row: dict[str, Any] = {"epochs": len(history["epoch"]), "best_epoch": summary["best_epoch"]}
    if "d_speed" in history:
        row["d_speed"] = history["d_speed"][-1]
    return row | {f"{split}_{name}": v for split in ("val", "test") for name, v in summary[split].items()}


def _costs(timing: pd.DataFrame) -> dict[str, float]:
    peaks = {name: timing[name].max() for name in COSTS if name.startswith("peak")}
    rate = timing["samples_per_second"].mean()
    return {"epochs": len(timing), "seconds": timing["seconds"].sum(), "samples_per_second": rate} | peaks


def _with_speed(result: Result) -> pd.DataFrame:
    """Measures at the snapshots, and d_speed at the end of the same epochs."""
    during, history = result.table("during_training"), result.table("history")
    if during.empty or "d_speed" not in history:
        return during
    return during.merge(history[["epoch", "d_speed"]], on="epoch", how="left")


def _read_steps(runs: Iterable[Run]) -> pd.DataFrame:
    """Columns dataset, method, seed, step, mode and d_speed."""
    columns = ["step", "mode", "d_speed"]
    first: dict[tuple[str, str], Run] = {}
    for run in runs:
        if len(run.settings.modalities) > 1:
            first.setdefault((run.dataset, run.method), run)
    tables = [
        read(run.folder / "steps.parquet", lambda path: pd.read_parquet(path, columns=columns)).assign(**_identity(run))
        for run in first.values()
    ]
    columns = [*GROUP, "seed", *columns]
    return pd.concat(tables, ignore_index=True)[columns] if tables else pd.DataFrame(columns=columns)


def _count_predictions(results: Iterable[Result]) -> tuple[pd.DataFrame, dict[str, pd.DataFrame]]:
    """Confusion over all runs of a method, and the share of runs that are correct on each test sample."""
    correct: dict[str, pd.DataFrame] = {}
    counts: dict[tuple[str, str], pd.Series[int]] = {}
    runs: dict[tuple[str, str], int] = {}
    for run, _, test in results:
        group = run.dataset, run.method
        shares = correct.setdefault(run.dataset, test[["id", "label"]].copy())
        hits = (test["label"] == test["mean"]).astype(float)
        shares[run.method] = shares.get(run.method, 0.0) + hits
        pairs = test.groupby(["label", "mean"]).size()
        counts[group] = pairs.add(counts[group], fill_value=0) if group in counts else pairs
        runs[group] = runs.get(group, 0) + 1
    for (dataset, method), number in runs.items():
        correct[dataset][method] /= number
    tables = [
        table.rename("count").rename_axis(["label", "predicted"]).reset_index().assign(dataset=dataset, method=method)
        for (dataset, method), table in counts.items()
    ]
    confusion = pd.concat(tables, ignore_index=True).astype({"count": int})
    return confusion[[*GROUP, "label", "predicted", "count"]], correct
