"""An MLflow tracking store: experiments, runs, metrics, artifacts."""

import json
import logging
import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock
from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param
from mlflow.entities import Run as StoredRun

from greedymm.files import atomic_write

MAX_METRICS = 500  # in one request; MLflow takes 1,000
MAX_PARAM = 6000  # characters of a parameter's value that MLflow takes
NAME = "mlflow.runName"  # tag: name of a run in the UI
GIVEN_NAME = "greedymm.name"  # tag: the name that the run got here; a user may have renamed it since
ID = "greedymm.run"  # tag: id of a run of the plan
CONTENT = "greedymm.content"  # tag: hash of all that was sent
# Value of an experiment's tag: the view that the UI opens with `?viewStateShareKey=method`.
BY_METHOD = '{"groupBy": {"aggregateFunction": "average", "groupByKeys": [{"mode": "tag", "groupByData": "method"}]}}'
GROUPED = "[Runs grouped by method](#/experiments/{id}/runs?viewStateShareKey=method)"  # description of an experiment
Row = Mapping[Any, float | None]


def make_database(uri: str) -> None:
    """Make a missing SQLite database. It gets its name when it is complete: MLflow cannot use a half of one."""
    if not uri.startswith("sqlite:///"):
        return
    path = Path(uri.removeprefix("sqlite:///").partition("?")[0])
    # Several processes at once would destroy it.
    with FileLock(path.with_name(f"{path.name}.lock"), timeout=120):
        if not path.exists():
            with atomic_write(path) as tmp:
                MlflowClient(f"sqlite:///{tmp}").search_experiments(max_results=1)


class Store:
    """Runs in an MLflow store, found by their id.

    Args:
        uri: tracking URI.

    Raises:
        Exception: anything that MLflow and its database raise, from every method.
    """

    def __init__(self, uri: str) -> None:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
        for name in ("no_proxy", "NO_PROXY"):  # a proxy of the user's network does not reach this machine's servers
            os.environ[name] = ",".join(filter(None, [os.environ.get(name), "localhost,127.0.0.1,::1"]))
        logging.getLogger("alembic").setLevel(logging.WARNING)
        make_database(uri)
        self.client = MlflowClient(uri)
        self.client.search_experiments(max_results=1)
        self._experiments: dict[str, str] = {}

    def experiment(self, name: str) -> str:
        """MLflow's id of an experiment: an existing one, also a deleted one, or a new one."""
        if name not in self._experiments:
            known = self.client.get_experiment_by_name(name)
            if known and known.lifecycle_stage == "deleted":
                self.client.restore_experiment(known.experiment_id)
            identity = str(known.experiment_id if known else self.client.create_experiment(name))
            # The UI shows it among training runs, not among chats.
            tags = {"mlflow.experimentKind": "custom_model_development", "mlflow.sharedViewState.method": BY_METHOD}
            tags |= {"mlflow.note.content": GROUPED.format(id=identity)}
            for key, value in tags.items():
                if known is None or key not in known.tags:
                    self.client.set_experiment_tag(identity, key, value)
            self._experiments[name] = identity
        return self._experiments[name]

    def find(self, experiment: str, name: str) -> StoredRun | None:
        """The run with an id, unless it is missing or deleted."""
        runs = self.client.search_runs([self.experiment(experiment)], f"tags.`{ID}` = '{name}'", max_results=1)
        return runs[0] if runs else None

    def create(self, experiment: str, name: str, tags: Mapping[str, str], seconds: float) -> str:
        """Create a run that began some seconds ago. Returns MLflow's id of it."""
        tags = {**tags, ID: name, GIVEN_NAME: tags[NAME]}  # the UI's menu of groups has this order
        run = self.client.create_run(self.experiment(experiment), int(1000 * (time.time() - seconds)), tags, tags[NAME])
        return str(run.info.run_id)

    def describe(self, run_id: str, params: Mapping[str, Any], data: str, path: Path, sha256: str) -> None:
        """Log the settings of a run, and the dataset's file that it was trained on."""
        self.client.log_batch(run_id, params=[Param(k, str(v)[:MAX_PARAM]) for k, v in params.items()])
        source = json.dumps({"uri": path.as_posix()})
        dataset = Dataset(name=data, digest=sha256[:16], source_type="local", source=source)
        self.client.log_inputs(run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])])

    def log(self, run_id: str, rows: Iterable[Row]) -> None:
        """Log metrics; each row has its `epoch`. What has no value is no metric."""
        now = int(1000 * time.time())
        metrics = [
            Metric(key, float(value), now, int(row["epoch"] or 0))
            for row in rows
            for key, value in row.items()
            if key != "epoch" and value is not None and value == value  # noqa: PLR0124 not NaN
        ]
        for start in range(0, len(metrics), MAX_METRICS):
            self.client.log_batch(run_id, metrics=metrics[start : start + MAX_METRICS])

    def log_epochs(self, run_id: str, rows: Iterable[Row], metric: str) -> None:
        """Log metrics of epochs, but for the epochs that have the `metric` already."""
        present = {point.step for point in self.client.get_metric_history(run_id, metric)}
        self.log(run_id, [row for row in rows if row["epoch"] not in present])

    def log_final(self, run_id: str, metrics: Row) -> None:
        """Log metrics of the whole run, unless they are logged already. At step 0 the UI draws bars."""
        present = self.client.get_run(run_id).data.metrics
        self.log(run_id, [{key: v for key, v in metrics.items() if present.get(key) != v} | {"epoch": 0}])

    def set_tags(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Set tags. A name that a user gave to the run stays."""
        present = self.client.get_run(run_id).data.tags
        renamed = present.get(NAME) != present.get(GIVEN_NAME)
        for key, value in ({**tags, GIVEN_NAME: tags[NAME]} if NAME in tags else tags).items():
            if present.get(key) != value and not (renamed and key in {NAME, GIVEN_NAME}):
                self.client.set_tag(run_id, key, value)

    def finish(self, run_id: str, seconds: float, content: str) -> None:
        """Mark a run as finished, and as sent completely."""
        start = self.client.get_run(run_id).info.start_time
        self.client.set_terminated(run_id, end_time=start + int(1000 * seconds))
        self.client.set_tag(run_id, CONTENT, content)
