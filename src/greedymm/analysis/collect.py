"""Results of runs, each file read once -> tables of runs, epochs and test samples; what cannot be used is left out.

A run that is missing, broken or of other settings keeps its row in the table of runs, with the reason and no numbers.
"""

import logging
import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow.parquet import ParquetFile, read_metadata

from greedymm.errors import GreedymmError
from greedymm.files import read, read_json
from greedymm.run import Run
from greedymm.settings import differences

log = logging.getLogger(__name__)

GROUP = ["dataset", "method"]
IDENTITY = [*GROUP, "seed", "run"]
LEFT_OUT = "left_out"
TIMED = {"epoch", "seconds", "samples_per_second", "peak_memory_mb", "peak_gpu_memory_mb"}  # columns of timing.csv


class Result(NamedTuple):
    """What one run left."""

    rates: dict[str, Any]  # best_epoch; of each split what `evaluate.rates` gives
    history: pa.Table  # a row per epoch
    during: pa.Table  # a row per snapshot: epoch, and rates of validation
    test: pa.Table  # a row per test sample: id, label, and the class that the mean takes it for, `mean`


class Collected(NamedTuple):
    """What all runs left."""

    runs: pd.DataFrame  # a row per planned run; `left_out`: why, or empty
    histories: pd.DataFrame  # a row per run and epoch
    during: pd.DataFrame  # a row per run and snapshot: rates of validation, and d_speed
    confusion: pd.DataFrame  # dataset, method, label, predicted, count; over all seeds
    shares: dict[str, pd.DataFrame]  # dataset -> id, label, and for each method the share of its runs that are right

    @property
    def used(self) -> pd.DataFrame:
        """The rows of the runs that are not left out, without the column that says so."""
        return used(self.runs)

    @property
    def training(self) -> pd.DataFrame | None:
        """Of `during` the rows that have both d_speed and d_util; None where there is none."""
        rows = self.during.reindex(columns=[*self.during, *({"d_speed", "d_util"} - set(self.during))])
        rows = rows.dropna(subset=["d_speed", "d_util"])
        return None if rows.empty else rows


def used(runs: pd.DataFrame) -> pd.DataFrame:
    """The rows of a table of runs, from a file or not, that are not left out, without the column that says so."""
    return runs[runs[LEFT_OUT].fillna("") == ""].drop(columns=LEFT_OUT).reset_index(drop=True)


def collect(runs: Iterable[Run]) -> Collected:
    """Read the results of all runs.

    Raises:
        GreedymmError: if there is no run whose results can be used; the message names each, and why.
    """
    rows: list[dict[str, Any]] = []
    results: list[tuple[dict[str, Any], pa.Table, pa.Table]] = []  # identity, history, during; of those used
    counts: dict[tuple[str, str], Confusion] = {}
    right: dict[str, Shares] = defaultdict(Shares)
    for run in runs:
        identity = _identity(run)
        try:
            result = read_result(run)
            right[run.dataset].add(run.method, result.test)
        except GreedymmError as error:
            log.warning("left out: %s", error)
            rows.append(identity | {LEFT_OUT: " ".join(str(error).split())})
            continue
        rows.append(identity | {LEFT_OUT: ""} | _measures(result))
        results.append((identity, result.history, _with_speed(result)))
        counts.setdefault((run.dataset, run.method), Confusion()).add(result.test)
    if not results:
        reasons = "\n  ".join(f"{row['run']}: {row[LEFT_OUT]}" for row in rows)
        raise GreedymmError(f"no run has results that can be used:\n  {reasons}")
    identities, histories, during = zip(*results, strict=True)
    confusion = pd.concat([c.table().assign(dataset=d, method=m) for (d, m), c in counts.items()], ignore_index=True)
    return Collected(
        runs=pd.DataFrame(rows),
        histories=_stacked(histories, identities),
        during=_stacked(during, identities),
        confusion=confusion[[*GROUP, "label", "predicted", "count"]],
        shares={dataset: shares.table() for dataset, shares in right.items()},
    )


def steps_table(runs: Iterable[Run]) -> pd.DataFrame:
    """Every step of one run of each multi-modal method, the first whose steps can be read.

    Columns dataset, method, seed, step, mode and d_speed; no row of a method of which no file can be read.
    """
    found: dict[tuple[str, str], pd.DataFrame] = {}
    for run in runs:
        if (run.dataset, run.method) in found or len(run.settings.modalities) == 1:
            continue
        try:
            steps = read(run.folder / "steps.parquet", _steps)
        except GreedymmError as error:
            log.warning("left out of the figure of steps: %s", error)
            continue
        found[run.dataset, run.method] = steps.assign(**_identity(run))
    columns = [*GROUP, "seed", "step", "mode", "d_speed"]
    return pd.concat(found.values(), ignore_index=True)[columns] if found else pd.DataFrame(columns=columns)


def costs_table(runs: Iterable[Run]) -> pd.DataFrame:
    """What each run took: IDENTITY, epochs, seconds (of all its epochs), samples_per_second and peaks in MiB.

    A run whose timing cannot be read is left out here; the table of runs says why.
    """
    rows = []
    for run in runs:
        try:
            timing = read(run.folder / "timing.csv", _timing)
        except GreedymmError:
            continue
        row = _identity(run) | {"epochs": len(timing["epoch"]), "seconds": math.fsum(timing["seconds"])}
        row |= {"samples_per_second": statistics.fmean(timing["samples_per_second"])}
        rows.append(row | {peak: max(timing[peak]) for peak in ("peak_memory_mb", "peak_gpu_memory_mb")})
    return pd.DataFrame(rows)


# -- One run ------------------------------------------------------------------------------------------------


def _stacked(tables: Sequence[pa.Table], identities: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """All runs' tables as one, each row with the identity of its run."""
    of_row = np.repeat(np.arange(len(tables)), [len(table) for table in tables])
    columns = pd.DataFrame(identities).iloc[of_row].reset_index(drop=True)
    stacked: pd.DataFrame = pa.concat_tables(tables, promote_options="default").to_pandas()
    return stacked.join(columns)


def _identity(run: Run) -> dict[str, Any]:
    return {"dataset": run.dataset, "method": run.method, "seed": run.seed, "run": run.name}


def read_result(run: Run) -> Result:
    """Read what a run left, and make sure that it is whole and the run's own.

    Raises:
        GreedymmError: if a file is missing, broken or of other settings, or if files contradict each other.
    """
    record = read(run.folder / "record.json", _mapping)
    wanted = run.settings.model_dump(mode="json")
    if record.get("settings") != wanted:
        recorded = record.get("settings")
        lines = differences(recorded if isinstance(recorded, dict) else {}, wanted)
        raise GreedymmError(f"{run.folder / 'record.json'} is of other settings: {'; '.join(lines)}")
    rates = read(run.evaluation_folder / "rates.json", _mapping)
    history, timing = read(run.folder / "history.csv", _epochs), read(run.folder / "timing.csv", _timing)
    during = read(run.evaluation_folder / "during_training.csv", _epochs)
    test = read(run.evaluation_folder / "predictions.parquet", _test_samples)
    read(run.folder / "steps.parquet", read_metadata)  # shown in a figure alone; but cut off, the run is not whole
    result = Result(rates, history, during, test)
    for path, fault in _faults(result, timing["epoch"], run.settings.training.snapshots):
        raise GreedymmError(f"{run.folder / path} is not whole ({fault}).\n  Delete it and run again.")
    return result


def _faults(result: Result, timed: list[float], snapshots: Iterable[int]) -> Iterator[tuple[str, str]]:
    """What cannot be true of a finished run: file, and fault."""
    rates, history, during, test = result
    epochs = list(range(1, len(history) + 1))
    if not epochs or history["epoch"].to_pylist() != epochs or timed != epochs:
        yield "history.csv", "its epochs are not those of timing.csv"
    if during["epoch"].to_pylist() != [epoch for epoch in snapshots if epoch in epochs]:
        yield "during_training.csv", "its epochs are not those of the snapshots"
    if rates.get("best_epoch") not in epochs or not all(_has_accuracy(rates.get(s)) for s in ("val", "test")):
        yield "rates.json", "it lacks the best epoch, or the accuracy of a split"
    elif not np.isclose(_right(test).mean(), rates["test"]["accuracy"]):
        yield "predictions.parquet", "their accuracy is not that of rates.json"


def _mapping(path: Path) -> dict[str, Any]:
    content = read_json(path)
    if not isinstance(content, dict):
        raise ValueError("it is no JSON object")  # noqa: TRY004 `read` takes a ValueError for a broken file
    return content


def _epochs(path: Path) -> pa.Table:
    """A table with a row per epoch."""
    columns = _numbers(path)
    if "epoch" not in columns:
        raise ValueError("it has no column epoch")
    if not all(epoch.is_integer() for epoch in columns["epoch"]):
        raise ValueError("an epoch is no whole number")
    epochs = pa.array(map(int, columns["epoch"]), pa.int64())
    return pa.table({name: epochs if name == "epoch" else pa.array(c, pa.float64()) for name, c in columns.items()})


def _timing(path: Path) -> dict[str, list[float]]:
    columns = _numbers(path)
    if missing := TIMED - columns.keys():
        raise ValueError(f"it has no column {', '.join(sorted(missing))}")
    return columns


def _numbers(path: Path) -> dict[str, list[float]]:
    """The columns of a small table of numbers; pandas and Arrow take several times as long for each of them."""
    names, *rows = (line.split(",") for line in _whole_lines(path).decode().splitlines())
    if len(set(names)) < len(names):
        raise ValueError("a column is there twice")
    if any(len(row) != len(names) for row in rows):
        raise ValueError("a line has more or fewer values than there are columns")
    return {name: [float(row[k] or "nan") for row in rows] for k, name in enumerate(names)}


def _whole_lines(path: Path) -> bytes:
    """A file's lines; one cut off within a line is refused, as the numbers there may be other ones."""
    content = path.read_bytes()
    if not content.endswith(b"\n"):
        raise ValueError("its last line is not whole")
    return content


def _has_accuracy(rates: Any) -> bool:
    return isinstance(rates, dict) and isinstance(rates.get("accuracy"), float)


def _test_samples(path: Path) -> pa.Table:
    table = _columns(path, ["split", "id", "label", "mean"])
    return table.filter(pc.equal(table["split"], "test")).drop_columns("split")


def _columns(path: Path, names: list[str]) -> pa.Table:
    table = ParquetFile(path).read(columns=names)
    if set(table.column_names) != set(names):
        raise ValueError(f"it has not the columns {', '.join(names)}")
    return table.select(names)


def _steps(path: Path) -> pd.DataFrame:
    steps: pd.DataFrame = _columns(path, ["step", "mode", "d_speed"]).to_pandas()
    return steps


def _right(test: pa.Table) -> npt.NDArray[np.bool_]:
    right: npt.NDArray[np.bool_] = test["label"].to_numpy() == test["mean"].to_numpy()
    return right


def _measures(result: Result) -> dict[str, Any]:
    row: dict[str, Any] = {"epochs": len(result.history), "best_epoch": result.rates["best_epoch"]}
    if "d_speed" in result.history.column_names:
        row["d_speed"] = result.history["d_speed"][-1].as_py()
    return row | {f"{split}_{name}": v for split in ("val", "test") for name, v in result.rates[split].items()}


def _with_speed(result: Result) -> pa.Table:
    """Utilization at the snapshots, and d_speed at the end of the same epochs."""
    if len(result.during) == 0 or "d_speed" not in result.history.column_names:
        return result.during
    rows = pc.subtract(result.during["epoch"], 1)  # epochs are there from the first on: `read_result` made sure
    return result.during.append_column("d_speed", result.history["d_speed"].take(rows))


# -- Test samples, over runs --------------------------------------------------------------------------------


class Confusion:
    """How often samples of each class were taken for each class."""

    def __init__(self) -> None:
        self.counts: npt.NDArray[np.int64] = np.zeros((0, 0), dtype=np.int64)

    def add(self, test: pa.Table) -> None:
        """Count one run's test samples."""
        label, predicted = test["label"].to_numpy(), test["mean"].to_numpy()
        classes = max(len(self.counts), int(max(label.max(), predicted.max())) + 1)
        pairs = np.bincount(label * classes + predicted, minlength=classes**2).reshape(classes, classes)
        pairs[: len(self.counts), : len(self.counts)] += self.counts
        self.counts = pairs

    def table(self) -> pd.DataFrame:
        """A row per pair that occurs: label, predicted, count."""
        label, predicted = self.counts.nonzero()
        return pd.DataFrame({"label": label, "predicted": predicted, "count": self.counts[label, predicted]})


class Shares:
    """Of each test sample of one dataset, the share of each method's runs that are right."""

    def __init__(self) -> None:
        self.samples: pa.Table | None = None
        self.right: dict[str, list[Any]] = {}  # method -> number of runs, and of those right on each sample

    def add(self, method: str, test: pa.Table) -> None:
        """Count one run.

        Raises:
            GreedymmError: if its test samples are not those of the runs before.
        """
        samples = test.select(["id", "label"])
        if self.samples is None:
            self.samples = samples
        elif not self.samples.equals(samples):
            raise GreedymmError("predictions.parquet is of other test samples than those of the runs before it")
        runs, hits = self.right.get(method, (0, 0))
        self.right[method] = [runs + 1, hits + _right(test).astype(np.int64)]

    def table(self) -> pd.DataFrame:
        """Columns id and label, and one per method, in [0, 1]."""
        samples = pd.DataFrame() if self.samples is None else self.samples.to_pandas()
        return samples.assign(**{method: hits / runs for method, (runs, hits) in self.right.items()})
