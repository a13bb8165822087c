"""An MLflow tracking store: experiments, runs, metrics, artifacts. Several clones may send to it at once."""

import json
import logging
import os
import platform
import random
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import accumulate
from pathlib import Path
from typing import Any

from filelock import FileLock
from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param
from mlflow.entities import Run as StoredRun
from mlflow.exceptions import MlflowException
from mlflow.store.db import utils as db

from greedymm.files import atomic_write
from greedymm.run import key_of

MAX_METRICS = 500  # in one request; MLflow takes 1,000
MAX_PARAMS = 100  # in one request
MAX_PARAM = 6000  # characters of a parameter's value that MLflow takes
NAME = "mlflow.runName"  # tag: name of a run in the UI
GIVEN_NAME = "greedymm.name"  # tag: the name that the run got here; a user may have renamed it since
ID = "greedymm.run"  # tag: id of a run of the plan
CONTENT = "greedymm.content"  # tag: hashes of what identifies a run and of its result, and the clone that sent it
SENDER = "greedymm.sender."  # prefix of an experiment's tags, one for each clone: when it began to send, or FREE
FREE = "free"
LEASE = float(os.environ.get("GREEDYMM_TRACKING_LEASE", "60"))  # seconds
# Value of an experiment's tag: the view that the UI opens with `?viewStateShareKey=method`.
BY_METHOD = '{"groupBy": {"aggregateFunction": "average", "groupByKeys": [{"mode": "tag", "groupByData": "method"}]}}'
GROUPED = "[Runs grouped by method](#/experiments/{id}/runs?viewStateShareKey=method)"  # description of an experiment
Row = Mapping[Any, float | None]
log = logging.getLogger(__name__)


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
        os.environ.setdefault("MLFLOW_HTTP_RESPECT_RETRY_AFTER_HEADER", "false")  # a proxy may say: in an hour
        for name in ("no_proxy", "NO_PROXY"):  # a proxy of the user's network does not reach this machine's servers
            os.environ[name] = ",".join(filter(None, [os.environ.get(name), "localhost,127.0.0.1,::1"]))
        os.environ.setdefault("PGCONNECT_TIMEOUT", "10")
        os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"  # with the password in it
        db.MAX_RETRY_COUNT = 5  # a database that does not answer is waited for 100 s otherwise
        logging.getLogger(db.__name__).setLevel(logging.ERROR)  # each retry
        logging.getLogger("alembic").setLevel(logging.WARNING)
        logging.getLogger("urllib3").setLevel(logging.ERROR)  # each retry; the last error is raised
        self.client = _open(uri)
        self.clone = key_of([platform.node(), str(Path.cwd())])
        self._experiments: dict[str, str] = {}

    # -- Experiments, and who sends to them -----------------------------------------------------------------

    def experiment(self, name: str) -> str:
        """MLflow's id of an experiment: an existing one, also a deleted one, or a new one."""
        if name not in self._experiments:
            known = self.client.get_experiment_by_name(name) or self._create_experiment(name)
            if known.lifecycle_stage == "deleted":
                self.client.restore_experiment(known.experiment_id)
            # The UI shows it among training runs, not among chats.
            tags = {"mlflow.experimentKind": "custom_model_development", "mlflow.sharedViewState.method": BY_METHOD}
            tags |= {"mlflow.note.content": GROUPED.format(id=known.experiment_id)}
            for key, value in tags.items():
                if key not in known.tags:
                    self._describe_experiment(known.experiment_id, key, value)
            self._experiments[name] = str(known.experiment_id)
        return self._experiments[name]

    def _create_experiment(self, name: str) -> Any:
        try:
            self.client.create_experiment(name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":  # another clone has created it meanwhile
                raise
        return self.client.get_experiment_by_name(name)

    def _describe_experiment(self, identity: str, key: str, value: str) -> None:
        try:
            self.client.set_experiment_tag(identity, key, value)
        except MlflowException:
            # Another clone added it at the same moment. Now that it is there, it can be set.
            self.client.set_experiment_tag(identity, key, value)

    @contextmanager
    def alone(self, experiment: str) -> Iterator[None]:
        """Be the only clone that changes runs of an experiment. Other clones wait.

        A clone sets its tag, then reads the tags of all. With another one there, it takes its own back and tries again.
        So of two clones at most one goes on. Others wait for a clone that was killed, but not longer than `LEASE`.
        """
        identity, own = self.experiment(experiment), SENDER + self.clone
        try:
            self._claim(identity, own)
            yield
        except BaseException:
            with suppress(Exception):  # the error says more
                self.client.set_experiment_tag(identity, own, FREE)
            raise
        self.client.set_experiment_tag(identity, own, FREE)

    def _claim(self, identity: str, own: str) -> None:
        others, since = self._senders(identity), time.monotonic()
        while True:
            if not others:
                self.client.set_experiment_tag(identity, own, f"{time.time():.6f}")
                if not self._senders(identity):
                    return
                self.client.set_experiment_tag(identity, own, FREE)
            time.sleep(random.uniform(0.05, 0.3))  # noqa: S311 two clones that wait must not do so in step
            before, others = others, self._senders(identity)
            if others != before:
                since = time.monotonic()
            elif time.monotonic() - since > LEASE:
                for key in others:
                    self.client.set_experiment_tag(identity, key, FREE)

    def _senders(self, identity: str) -> dict[str, str]:
        """Tags of the other clones that send to an experiment now."""
        tags = self.client.get_experiment(identity).tags.items()
        return {k: v for k, v in tags if k.startswith(SENDER) and k != SENDER + self.clone and v != FREE}

    # -- Runs -----------------------------------------------------------------------------------------------

    def is_sent(self, experiment: str, name: str, identity: str, result: str) -> bool:
        """Whether a run is in the store, once and complete: with this result, or sent by another clone."""
        runs = self._runs(experiment, name)
        known = runs[0].data.tags.get(CONTENT, "").split() if len(runs) == 1 else []
        return known[:1] == [identity] and (known[1] == result or known[2] != self.clone)

    def find(self, experiment: str, name: str) -> StoredRun | None:
        """The run with an id, unless it is missing or deleted.

        A server may have created it twice, where it did not answer in time. The less complete one is deleted.
        """
        runs = self._runs(experiment, name)
        runs.sort(key=lambda run: (CONTENT in run.data.tags, len(run.data.metrics), run.info.run_id))
        for run in runs[:-1]:
            self.client.delete_run(run.info.run_id)
        return runs[-1] if runs else None

    def _runs(self, experiment: str, name: str) -> list[StoredRun]:
        return list(self.client.search_runs([self.experiment(experiment)], f"tags.`{ID}` = '{name}'"))

    def create(self, experiment: str, name: str, tags: Mapping[str, str], seconds: float) -> StoredRun:
        """Create a run that began some seconds ago."""
        tags = {**tags, ID: name, GIVEN_NAME: tags[NAME]}  # the UI's menu of groups has this order
        start = int(1000 * (time.time() - seconds))
        return self.client.create_run(self.experiment(experiment), start, tags, tags[NAME])

    def describe(self, run: StoredRun, params: Mapping[str, Any], data: str, path: Path, sha256: str) -> None:
        """Log the settings of a run, and the dataset's file that it was trained on, unless they are there."""
        missing = [Param(k, str(v)[:MAX_PARAM]) for k, v in params.items() if k not in run.data.params]
        for start in range(0, len(missing), MAX_PARAMS):
            self.client.log_batch(run.info.run_id, params=missing[start : start + MAX_PARAMS])
        if not (run.inputs and run.inputs.dataset_inputs):
            source = json.dumps({"uri": path.as_posix()})
            dataset = Dataset(name=data, digest=sha256[:16], source_type="local", source=source)
            tags = [InputTag("mlflow.data.context", "training")]
            self.client.log_inputs(run.info.run_id, [DatasetInput(dataset, tags)])

    def log_epochs(self, run: StoredRun, rows: Iterable[Row], metric: str) -> None:
        """Log metrics of epochs, but for the epochs that have the `metric` already. Each row has its `epoch`."""
        rows = list(rows)
        ends = accumulate(row.get("seconds") or 0.0 for row in rows)
        present = {point.step for point in self.client.get_metric_history(run.info.run_id, metric)}
        self._log(
            run, [_points(run, row, end) for row, end in zip(rows, ends, strict=True) if row["epoch"] not in present]
        )

    def log_final(self, run: StoredRun, metrics: Row) -> None:
        """Log metrics of the whole run, unless they are logged already. At step 0 the UI draws bars."""
        present = self.client.get_run(run.info.run_id).data.metrics
        new = {key: v for key, v in metrics.items() if key not in present}
        changed = {key: v for key, v in metrics.items() if present.get(key, v) != v}
        age = time.time() - run.info.start_time / 1000  # of several values at one step, the UI shows the latest
        self._log(run, [_points(run, new | {"epoch": 0}, 0.0), _points(run, changed | {"epoch": 0}, age)])

    def _log(self, run: StoredRun, rows: Iterable[list[Metric]]) -> None:
        """Log rows of metrics. One request has whole rows, so that an epoch is there with all its metrics, or not."""
        batch: list[Metric] = []
        for row in rows:
            if len(batch) + len(row) > MAX_METRICS:
                self._log_batches(run, batch)
                batch = []
            batch += row
        self._log_batches(run, batch)

    def _log_batches(self, run: StoredRun, metrics: list[Metric]) -> None:
        for start in range(0, len(metrics), MAX_METRICS):
            self.client.log_batch(run.info.run_id, metrics=metrics[start : start + MAX_METRICS])

    def set_tags(self, run: StoredRun, tags: Mapping[str, str]) -> None:
        """Set tags. A name that a user gave to the run stays."""
        present = self.client.get_run(run.info.run_id).data.tags
        renamed = present.get(NAME) != present.get(GIVEN_NAME)
        for key, value in ({**tags, GIVEN_NAME: tags[NAME]} if NAME in tags else tags).items():
            if present.get(key) != value and not (renamed and key in {NAME, GIVEN_NAME}):
                self.client.set_tag(run.info.run_id, key, value)

    def finish(self, run: StoredRun, seconds: float) -> None:
        """Mark a run as finished."""
        self.client.set_terminated(run.info.run_id, end_time=run.info.start_time + int(1000 * seconds))

    def mark_sent(self, run: StoredRun, identity: str, result: str) -> None:
        """Mark a run as sent completely, by this clone."""
        self.client.set_tag(run.info.run_id, CONTENT, f"{identity} {result} {self.clone}")


def _open(uri: str) -> MlflowClient:
    """A client whose store answers. A missing SQLite database is created whole, by one process."""
    if not uri.startswith("sqlite:///"):
        return _answering(uri)
    path = Path(uri.removeprefix("sqlite:///").partition("?")[0])
    with FileLock(path.with_name(f"{path.name}.lock"), timeout=120):
        if not path.exists():
            with atomic_write(path) as new:
                _answering(f"sqlite:///{new}")
        path.open("rb+").close()  # SQLite does not say why it cannot open a file
        return _answering(uri)


def _answering(uri: str) -> MlflowClient:
    client = MlflowClient(uri)
    client.search_experiments(max_results=1)
    return client


def _points(run: StoredRun, row: Row, end: float) -> list[Metric]:
    """Metrics of a row; what has no value is no metric.

    Their time follows from the run. A store keeps one of two equal points, so a request that arrives twice counts once.
    """
    when = run.info.start_time + int(1000 * end)
    return [
        Metric(key, float(value), when, int(row["epoch"] or 0))
        for key, value in row.items()
        if key != "epoch" and value is not None and value == value  # noqa: PLR0124 not NaN
    ]
