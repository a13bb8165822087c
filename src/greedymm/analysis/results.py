"""Results of runs, each file read once -> tables of runs, epochs, steps and test samples; or one run as text."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow.parquet import read_metadata

from greedymm.errors import GreedymmError
from greedymm.files import read, read_json
from greedymm.run import Run
from greedymm.settings import differences, flat

GROUP = ["dataset", "method"]
IDENTITY = [*GROUP, "seed", "run"]
STEPS = [*GROUP, "seed", "step", "mode", "d_speed"]


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
    snapshots: pd.DataFrame  # a row per run and snapshot: measures of the validation split, and d_speed
    costs: pd.DataFrame  # a row per run: epochs, seconds, samples_per_second, peak_memory_mb, peak_gpu_memory_mb
    steps: pd.DataFrame  # STEPS: every step of the first run of each multi-modal method
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
        GreedymmError: if a run, or with `exclude` every run, cannot be used; the message names all such runs.
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
            " settings. Then run the same command again, such as: snakemake --cores 8 all\nSee the other runs with:"
            " greedymm preview"
        )
    return _collect(usable, excluded)


def read_result(run: Run) -> Result:
    """Read what one run left.

    Raises:
        GreedymmError: if a file is missing or broken, or if it belongs to other settings.
    """
    path = run.evaluation_folder / "result.json"
    content = read(path, _read_object)
    reader = partial(pd.read_parquet, columns=["id", "label", "mean"], filters=[("split", "==", "test")])
    test = read(path.with_name("predictions.parquet"), reader, _digest(content, "predictions.parquet"))
    if len(run.settings.modalities) > 1:
        read(run.folder / "steps.parquet", read_metadata)
    expected = run.settings.model_dump(mode="json")
    if content["settings"] != expected:
        lines = "; ".join(differences(content["settings"], expected))
        raise GreedymmError(f"{path} belongs to other settings: {lines}")
    return Result(run, content, test)


def _digest(content: dict[str, Any], name: str) -> str | None:
    digests: dict[str, str] = content.get("sha256", {})
    return digests.get(name)


def _read_object(path: Path) -> dict[str, Any]:
    content = read_json(path)
    if not isinstance(content, dict) or not isinstance(content.get("settings"), dict):
        raise ValueError("it has no settings")  # noqa: TRY004 `read` takes a ValueError for a broken file
    return content


def _collect(results: list[Result], excluded: list[str]) -> Results:
    identities = pd.DataFrame([_identity(result.run) for result in results])
    contents = [result.summary for result in results]
    histories = _stack(identities, [content["history"] for content in contents])
    snapshots = _stack(identities, [content["during_training"] for content in contents])
    if "d_speed" in histories and not snapshots.empty:
        keys = [*IDENTITY, "epoch"]
        snapshots = snapshots.merge(histories[[*keys, "d_speed"]], how="left", on=keys)
    confusion, correct = _count_predictions(results)
    return Results(
        runs=identities.join(pd.DataFrame(map(_measures, contents))),
        histories=histories,
        snapshots=snapshots,
        costs=identities.join(pd.DataFrame([_costs(content["timing"]) for content in contents])),
        steps=_read_steps(results),
        confusion=confusion,
        correct=correct,
        records=[content["record"] for content in contents],
        excluded=excluded,
    )


def _identity(run: Run) -> dict[str, Any]:
    return {"dataset": run.dataset, "method": run.method, "seed": run.seed, "run": run.name}


def _stack(identities: pd.DataFrame, tables: list[dict[str, Any]]) -> pd.DataFrame:
    """All runs' tables as one. Arrow concatenates thousands of small tables faster than pandas does."""
    arrow = [pa.table(table) for table in tables]
    rows = np.repeat(np.arange(len(arrow)), [len(table) for table in arrow])
    stacked: pd.DataFrame = pa.concat_tables(arrow, promote_options="permissive").to_pandas()
    return identities.iloc[rows].reset_index(drop=True).join(stacked)


def _measures(content: Mapping[str, Any]) -> dict[str, Any]:
    history = content["history"]
    row: dict[str, Any] = {"epochs": len(history["epoch"]), "best_epoch": content["best_epoch"]}
    if "d_speed" in history:
        row["d_speed"] = history["d_speed"][-1]
    return row | {f"{split}_{name}": v for split in content["splits"] for name, v in content[split].items()}


def _costs(timing: Mapping[str, Sequence[float]]) -> dict[str, float]:
    seconds, rate = timing["seconds"], float(np.mean(timing["samples_per_second"]))
    peaks = {name: max(timing[name]) for name in ("peak_memory_mb", "peak_gpu_memory_mb")}
    return {"epochs": len(seconds), "seconds": sum(seconds), "samples_per_second": rate} | peaks


def _read_steps(results: Iterable[Result]) -> pd.DataFrame:
    first: dict[tuple[str, str], Result] = {}
    for result in results:
        if len(result.run.settings.modalities) > 1:
            first.setdefault((result.run.dataset, result.run.method), result)
    reader = partial(pd.read_parquet, columns=STEPS[-3:])
    tables = [
        read(run.folder / "steps.parquet", reader, _digest(content, "steps.parquet")).assign(**_identity(run))
        for run, content, _ in first.values()
    ]
    return pd.concat(tables, ignore_index=True)[STEPS] if tables else pd.DataFrame(columns=STEPS)


def _count_predictions(results: Iterable[Result]) -> tuple[pd.DataFrame, dict[str, pd.DataFrame]]:
    """Confusion over all runs of a method, and the share of runs that are correct on each test sample."""
    groups: dict[tuple[str, str], list[pd.DataFrame]] = {}
    for run, _, test in results:
        groups.setdefault((run.dataset, run.method), []).append(test)
    confusion: list[pd.DataFrame] = []
    correct: dict[str, pd.DataFrame] = {}
    for (dataset, method), (first, *others) in groups.items():
        labels = first["label"].to_numpy()
        predicted = np.stack([first["mean"], *(test["mean"] for test in others)])  # (runs, samples)
        shares = correct.setdefault(dataset, first[["id", "label"]].copy())
        shares[method] = (predicted == labels).mean(axis=0)
        pairs = pd.DataFrame({"label": np.tile(labels, len(predicted)), "predicted": predicted.ravel()})
        counts = pairs.groupby(["label", "predicted"]).size().rename("count").reset_index()
        confusion.append(counts.assign(dataset=dataset, method=method))
    return pd.concat(confusion, ignore_index=True)[[*GROUP, "label", "predicted", "count"]], correct


def describe_run(folder: Path) -> str:
    """Settings, where the run was computed, best and last epoch, and measures.

    Raises:
        GreedymmError: if the folder has no result, or if a result is broken.
    """
    paths = sorted(folder.glob("evaluation-*/result.json"))
    if not paths:
        raise GreedymmError(
            f"{folder} has no evaluation-*/result.json. Take the folder of a finished run in results/runs"
        )
    return "\n".join(read(path, _describe) for path in paths)


def _describe(path: Path) -> str:
    result = read_json(path)
    try:
        history = pd.DataFrame(result["history"]).set_index("epoch")
        sections = {
            "settings": flat(result["settings"]),
            "computed with": flat(result["record"]),
            f"best epoch, {result['best_epoch']}": history.loc[result["best_epoch"]],
            f"last epoch, {history.index[-1]}": history.iloc[-1],
            **{f"measures, {split} split": result[split] for split in result["splits"]},
        }
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(repr(error)) from None
    return "\n".join([f"{path.parent.name}\n", *(_format(title, dict(lines)) for title, lines in sections.items())])


def _format(title: str, lines: dict[str, Any]) -> str:
    width = max(map(len, lines), default=0)
    texts = {n: "-" if v is None else f"{v:.6g}" if isinstance(v, float) else str(v) for n, v in lines.items()}
    return f"{title}\n" + "".join(f"  {name:<{width}}  {text}\n" for name, text in texts.items())
