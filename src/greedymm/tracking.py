"""Runs -> MLflow: the only module that imports it.

A store that is down, locked or of another version costs no run: what happens is on disk first, and sent later by
`greedymm track`. While a run trains, a process of its own sends each epoch.
"""

from __future__ import annotations

import json
import logging
import os
import re
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from greedymm.errors import GreedymmError
from greedymm.files import sha256, write_text
from greedymm.params import Tracking, flat
from greedymm.runs import Run

if TYPE_CHECKING:
    from mlflow import MlflowClient

log = logging.getLogger(__name__)

POLL = 0.5  # seconds between two looks for a new epoch
PATIENCE = 20  # seconds that a finished run waits for its last metrics to be sent
BATCH = 500  # metrics in one request; MLflow takes 1,000
Row = dict[str, float]


class Store:
    """Runs of this project in an MLflow store: one experiment per dataset, one run per method and seed.

    Raises:
        Exception: anything that MLflow and its database raise, from every method.
    """

    def __init__(self, uri: str) -> None:
        self.client = _client(uri)

    def open(self, run: Run) -> str:
        """MLflow's id of a run: of the one that is there, or of a new one."""
        experiment = self._experiment(run.dataset)
        found = self.client.search_runs([experiment], f"tags.`greedymm.run` = '{run.name}'", max_results=1)
        if found:
            return str(found[0].info.run_id)
        return self._create(run, experiment)

    def _experiment(self, name: str) -> str:
        known = self.client.get_experiment_by_name(name)
        return str(known.experiment_id if known else self.client.create_experiment(name))

    def _create(self, run: Run, experiment: str) -> str:
        from mlflow.entities import Param

        from greedymm import record

        tags = {
            "greedymm.run": run.name,
            "method": run.method,
            "seed": str(run.seed),
            "dataset": run.dataset,
            "data": "generated" if _generated(run.data_path) else "real",
            "dataset.sha256": sha256(run.data_path),
            "mlflow.source.git.commit": record.commit(),
        }
        name = f"{run.method}-seed{run.seed}"
        run_id = str(self.client.create_run(experiment, run_name=name, tags=tags).info.run_id)
        settings = flat(run.settings.model_dump(mode="json"))
        self.client.log_batch(run_id, params=[Param(k, str(v)[:6000]) for k, v in settings.items()])
        return run_id

    def send(self, run_id: str, rows: Sequence[Row]) -> None:
        """Send metrics of epochs, in as few requests as can be; each row has its `epoch`."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        metrics = [
            Metric(key, float(value), now, int(row["epoch"]))
            for row in rows
            for key, value in row.items()
            if key != "epoch" and value == value  # noqa: PLR0124 (not a number is no metric)
        ]
        for start in range(0, len(metrics), BATCH):
            self.client.log_batch(run_id, metrics=metrics[start : start + BATCH])

    def epochs(self, run_id: str) -> set[int]:
        """Epochs whose metrics are there."""
        return {metric.step for metric in self.client.get_metric_history(run_id, "train_loss")}

    def is_complete(self, run_id: str) -> bool:
        """Whether the run was closed with all that belongs to it."""
        return str(self.client.get_run(run_id).info.status) == "FINISHED"

    def close(self, run_id: str, final: Row, artifacts: Sequence[Path]) -> None:
        """Send what the finished run came to, and mark it as finished."""
        self.send(run_id, [final])
        for path in artifacts:
            self.client.log_artifact(run_id, str(path))
        self.client.set_terminated(run_id)


def _client(uri: str) -> MlflowClient:
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
    logging.getLogger("alembic").setLevel(logging.WARNING)
    from mlflow import MlflowClient

    with _alone(uri):
        client = MlflowClient(uri)
        client.search_experiments(max_results=1)  # the first request makes a missing database
    return client


@contextmanager
def _alone(uri: str) -> Iterator[None]:
    """Keep other processes out while a SQLite database may be made: several at once destroy it."""
    from filelock import FileLock

    if not uri.startswith("sqlite:///"):
        yield
        return
    database = Path(uri.removeprefix("sqlite:///"))
    with FileLock(database.with_name(f"{database.name.partition('?')[0]}.lock"), timeout=120):
        yield


class Tracker:
    """Hands a run's epochs, while it trains, to a process of its own that sends them.

    So no step waits for the store, whatever it does, and the run's process needs no memory for MLflow.
    """

    def __init__(self, run: Run, settings: Tracking) -> None:
        self.run, self.settings = run, settings
        self.epochs = run.folder / "epochs.jsonl"
        self._sender: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        if self.settings.enabled:
            write_text(self.epochs, "")
            command = [sys.executable, "-m", "greedymm", "follow", "--uri", self.settings.uri]
            command += ["--run", self.run.model_dump_json(), "--epochs", str(self.epochs)]
            self._sender = subprocess.Popen(command, stdin=subprocess.PIPE)
        return self

    def __exit__(self, *_: object) -> None:
        if self._sender is None:
            return
        try:
            self._sender.communicate(timeout=PATIENCE)  # closes its input: no more is coming
        except subprocess.TimeoutExpired:
            self._sender.kill()
            self._sender.wait()
            _give_up(self.settings.uri, "it did not answer in time")
        self.epochs.unlink(missing_ok=True)

    def epoch(self, history: Row, timing: Row) -> None:
        """Take one epoch's metrics."""
        if self._sender is not None:
            with self.epochs.open("a", encoding="utf-8") as file:
                file.write(json.dumps(history | timing) + "\n")


def follow(run: Run, uri: str, epochs: Path) -> None:
    """Send the lines of a growing file of epochs, until standard input ends; a store that fails costs no more."""
    try:
        store = Store(uri)
        run_id = store.open(run)
        with epochs.open(encoding="utf-8") as file:
            ended = False
            while not ended:
                ended = bool(select.select([sys.stdin], [], [], POLL)[0])  # readable: at its end, with the run
                store.send(run_id, [json.loads(line) for line in file])
    except Exception as error:  # noqa: BLE001 whatever is wrong with the store must not cost the run
        _give_up(uri, _first_line(error))


def _give_up(uri: str, reason: str) -> None:
    log.warning("tracking at %s failed: %s\n  The run goes on; send it later with: greedymm track", masked(uri), reason)


def masked(uri: str) -> str:
    """Hide the user and password of an address."""
    return re.sub(r"//[^@/]+@", "//***@", uri)


class UnreachableError(GreedymmError):
    """The tracking store cannot be reached or used."""


def send_missing(runs: Iterable[Run], uri: str) -> int:
    """Send whatever of the finished runs is not in the store yet; returns how many runs were concerned.

    Raises:
        UnreachableError: if the store cannot be reached or used.
    """
    finished = [run for run in runs if (run.evaluation_folder / "rates.json").exists()]
    try:
        store = Store(uri)
        return sum(_send_missing(store, run) for run in finished)
    except Exception as error:
        raise UnreachableError(f"tracking at {masked(uri)} failed: {_first_line(error)}") from error


def _send_missing(store: Store, run: Run) -> bool:
    import pandas as pd

    from greedymm.analysis import figures

    run_id = store.open(run)
    if store.is_complete(run_id):
        return False
    history = pd.read_csv(run.folder / "history.csv")
    rows: list[Any] = history.merge(pd.read_csv(run.folder / "timing.csv"), on="epoch").to_dict("records")
    there = store.epochs(run_id)
    store.send(run_id, [row for row in rows if row["epoch"] not in there])
    rates = json.loads((run.evaluation_folder / "rates.json").read_text(encoding="utf-8"))
    final = {f"{split}_{k}": v for split in ("val", "test") for k, v in rates[split].items() if v is not None}
    with tempfile.TemporaryDirectory() as folder:
        curves = Path(folder, "curves.png")
        figures.save(figures.run_curves(history, f"{run.dataset}: {run.method}, seed {run.seed}"), curves)
        record, measured = run.folder / "record.json", run.evaluation_folder / "rates.json"
        store.close(run_id, {"epoch": rates["best_epoch"]} | final, [curves, record, measured])
    return True


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _generated(path: Path) -> bool:
    from greedymm.data.hdf5 import DataFile

    with DataFile(path) as file:
        return file.facts.generated
