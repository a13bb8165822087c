"""Runs -> MLflow: the only module that imports it.

A store that is down, locked or of another version costs no run: what happens is on disk first, and sent later by
`greedymm track`. While a long run trains, a process of its own sends each epoch.
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
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from greedymm.errors import GreedymmError
from greedymm.files import read_json, sha256, write_text
from greedymm.params.schema import Tracking
from greedymm.run import Run, key_of
from greedymm.settings import flat

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import DatasetInput
    from torch import Tensor, nn

    from greedymm.analysis.collect import Result

    # A run's trained network, and inputs of the form that it takes, two samples of each modality.
    Network = Callable[[Run], tuple[nn.Module, list[Tensor]]]

log = logging.getLogger(__name__)

POLL = 0.5  # seconds between two looks for a new epoch
PATIENCE = 20  # seconds that a finished run waits for its last metrics to be sent
BATCH = 500  # metrics in one request; MLflow takes 1,000
NAME = "mlflow.runName"  # tag: the name of a run, as the UI shows it
PART = "part"  # tag: `default` or `sweep`, whatever the run was made for first
MEASURED = "greedymm.measured"  # tag: with which code utilization was
CONTENT = "greedymm.content"  # tag: hash of a page's files
LOCK = Path("results/tracking/.lock")
Row = dict[str, float]


class Page(NamedTuple):
    """What came of many runs, to be sent as a run of the experiment `report`."""

    kind: str
    key: str
    description: str
    artifacts: Mapping[str, Sequence[Path]]  # folder among the artifacts, "" for none: files
    metrics: Row


class Store:
    """Runs of this project in an MLflow store: one experiment per dataset, one run per method and seed.

    Runs in an experiment of its own, `report`, have the tables, figures and pages.

    Raises:
        Exception: anything that MLflow and its database raise, from every method.
    """

    def __init__(self, uri: str) -> None:
        self.client = _client(uri)
        self._experiments: dict[str, str] = {}

    def open(self, run: Run) -> str:
        """MLflow's id of a run: of the one that is there, or of a new one."""
        return self.find(run) or self._create(run)

    def find(self, run: Run) -> str | None:
        """MLflow's id of a run, if it is there."""
        return self._find(run.dataset, run.name)

    def open_page(self, page: Page) -> str:
        """MLflow's id of the run of a page."""
        from greedymm import record

        tags = {"greedymm.run": f"{page.kind}-{page.key}", "kind": page.kind}
        tags |= {"mlflow.source.git.commit": record.commit(), "mlflow.note.content": page.description}
        there = self._find("report", tags["greedymm.run"])
        experiment = self._experiment("report")
        return there or str(self.client.create_run(experiment, run_name=page.kind, tags=tags).info.run_id)

    def _find(self, experiment: str, name: str) -> str | None:
        found = self.client.search_runs(
            [self._experiment(experiment)], f"tags.`greedymm.run` = '{name}'", max_results=1
        )
        return str(found[0].info.run_id) if found else None

    def _experiment(self, name: str) -> str:
        if name not in self._experiments:
            known = self.client.get_experiment_by_name(name)
            kind = {"mlflow.experimentKind": "custom_model_development"}  # shown with training runs, not with chats
            if known and known.lifecycle_stage == "deleted":  # runs are to be seen again, and it takes none
                self.client.restore_experiment(known.experiment_id)
            new = None if known else self.client.create_experiment(name, tags=kind)
            self._experiments[name] = str(known.experiment_id if known else new)
        return self._experiments[name]

    def _create(self, run: Run) -> str:
        from mlflow.entities import Param

        from greedymm import record

        shown, checksum = _data(run.dataset, run.data_path)
        tags = {
            "greedymm.run": run.name,
            "method": run.method,
            "seed": str(run.seed),
            "dataset": run.dataset,
            "data": "real" if shown == run.dataset else "generated",
            "dataset.sha256": checksum,
            "mlflow.source.git.commit": record.commit(),
            "mlflow.note.content": f"Method `{run.method}`, seed {run.seed}, on {shown}.",
        }
        name, experiment = shown_name(run), self._experiment(run.dataset)
        started = int(1000 * (time.time() - _trained(run)))  # MLflow shows what it took, and not what sending took
        run_id = str(self.client.create_run(experiment, started, tags, name).info.run_id)
        settings = flat(run.settings.model_dump(mode="json"))
        self.client.log_batch(run_id, params=[Param(k, str(v)[:6000]) for k, v in settings.items()])
        self.client.log_inputs(run_id, [_dataset(run.dataset, run.data_path)])
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

    def epochs(self, run_id: str, metric: str = "train_loss") -> set[int]:
        """Epochs of which a metric is there."""
        return {point.step for point in self.client.get_metric_history(run_id, metric)}

    def tags(self, run_id: str) -> dict[str, str]:
        """Tags of a run."""
        tags: dict[str, str] = self.client.get_run(run_id).data.tags
        return tags

    def tag(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Set the tags that are not there yet, or differ."""
        there = self.tags(run_id) if tags else {}
        for key, value in tags.items():
            if there.get(key) != value:
                self.client.set_tag(run_id, key, value)

    def is_complete(self, run_id: str) -> bool:
        """Whether the run was closed with all that belongs to it."""
        return str(self.client.get_run(run_id).info.status) == "FINISHED"

    def close(
        self, run_id: str, final: Row, artifacts: Mapping[str, Sequence[Path]], note: str = "", seconds: float = 0
    ) -> None:
        """Send what the finished run came to, and mark it as finished.

        Args:
            final: metrics.
            artifacts: folder among the artifacts, "" for none: files.
            note: a line to add to the description.
            seconds: that it took.
        """
        self.send(run_id, [final | {"epoch": 0}])  # at step 0 the UI draws bars, and no dots over epochs
        for folder, paths in artifacts.items():
            for path in paths:
                self.client.log_artifact(run_id, str(path), folder or None)
        run = self.client.get_run(run_id)
        if note:
            above = run.data.tags.get("mlflow.note.content", "").partition("\n")[0]
            self.client.set_tag(run_id, "mlflow.note.content", f"{above}\n\n{note}".strip())
        self.client.set_terminated(run_id, end_time=run.info.start_time + int(1000 * seconds))

    def has_model(self, run_id: str) -> bool:
        """Whether the run's network is there as a model."""
        outputs = self.client.get_run(run_id).outputs
        return bool(outputs and outputs.model_outputs)

    def add_model(self, run_id: str, network: nn.Module, inputs: list[Tensor], epoch: int) -> None:
        """Log a network as the run's model, from which `mlflow.pytorch.load_model` makes one that is called alike.

        Its graph is stored, no pickled object: whoever loads it needs torch, but not this project.
        """
        from mlflow.entities import LoggedModelOutput
        from mlflow.models import Model

        with tempfile.TemporaryDirectory() as folder:
            place, library = Path(folder, "data"), _save_graph(network, inputs, Path(folder, "data", "model.pt2"))
            write_text(Path(folder, "requirements.txt"), f"torch=={library.partition('+')[0]}\n")
            experiment = self.client.get_run(run_id).info.experiment_id
            logged = self.client.create_logged_model(experiment, "model", source_run_id=run_id)
            card = Model(logged.artifact_location, run_id, model_uuid=logged.model_id, model_id=logged.model_id)
            card.add_flavor("pytorch", model_data=place.name, pytorch_version=library, code=None)
            card.save(str(Path(folder, "MLmodel")))
            self.client.log_model_artifacts(logged.model_id, folder)
            self.client.finalize_logged_model(logged.model_id, "READY")
        self.client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, epoch)])


def _save_graph(network: nn.Module, inputs: list[Tensor], path: Path) -> str:
    """Write the graph of a network, for batches of any size; returns the version of torch that can read it."""
    import torch

    for weight in network.parameters():
        weight.data = weight.data.contiguous()  # those laid out channels last cannot be stored
    # strict: `len` of a tensor, too, follows the size of the batch.
    sizes = [{0: torch.export.Dim.DYNAMIC} for _ in inputs]
    graph = torch.export.export(network.eval(), (inputs,), dynamic_shapes=(sizes,), strict=True)
    path.parent.mkdir()
    torch.export.save(graph, path)
    return str(torch.__version__)


def shown_name(run: Run) -> str:
    """Name of a run in the store: its method and seed."""
    return f"{run.method}-seed{run.seed}"


def _trained(run: Run) -> float:
    """Seconds that a run's epochs took; 0 while it trains."""
    import pandas as pd

    timing = run.folder / "timing.csv"
    return float(pd.read_csv(timing)["seconds"].sum()) if timing.exists() else 0.0


@cache
def _data(name: str, path: Path) -> tuple[str, str]:
    """A dataset's name as it is shown, and the checksum of its file."""
    from greedymm.data.hdf5 import shown_name

    return shown_name(name, path), sha256(path)


@cache
def _dataset(name: str, path: Path) -> DatasetInput:
    """A dataset's file as the input of a run; its schema in the form of MLflow's TensorDatasetSchema."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    from greedymm.data.hdf5 import DataFile
    from greedymm.data.samples import SPLITS

    with DataFile(path) as file:
        shapes = {m: list(file.images("train", m).shape[1:]) for m in file.modalities}
        counts = {f"num_{split}": len(file.labels(split)) for split in SPLITS}
        profile = counts | {"num_classes": len(file.facts.classes)}
    features = [_tensor(m, "uint8", shape) for m, shape in shapes.items()]
    described = {"features": json.dumps(features), "targets": json.dumps([_tensor("label", "int64", [])])}
    dataset = Dataset(
        name=_data(name, path)[0],
        digest=_data(name, path)[1][:16],
        source_type="local",
        source=json.dumps({"uri": path.as_posix()}),
        schema=json.dumps({"mlflow_tensorspec": described}),
        profile=json.dumps(profile),
    )
    return DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])


def _tensor(name: str, dtype: str, shape: Sequence[int]) -> dict[str, Any]:
    return {"name": name, "type": "tensor", "tensor-spec": {"dtype": dtype, "shape": [-1, *shape]}}


def _client(uri: str) -> MlflowClient:
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # it would report to MLflow's makers
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
    """Hands a run's epochs, once it has trained for a while, to a process of its own that sends them.

    So no step waits for the store, whatever it does, and the run's process needs no memory for MLflow. The process
    takes seconds to start: of a short run nobody would see more than its end, and `greedymm track` sends that.
    """

    def __init__(self, run: Run, settings: Tracking) -> None:
        self.run, self.settings = run, settings
        self.epochs = run.folder / "epochs.jsonl"
        self._started = time.monotonic()
        self._sender: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        if self.settings.enabled:
            write_text(self.epochs, "")
        self._started = time.monotonic()
        return self

    def __exit__(self, *_: object) -> None:
        if self._sender is not None:
            try:
                self._sender.communicate(timeout=PATIENCE)  # closes its input: no more is coming
            except subprocess.TimeoutExpired:
                self._sender.kill()
                self._sender.wait()
                _give_up(self.settings.uri, "it did not answer in time")
        self.epochs.unlink(missing_ok=True)

    def epoch(self, history: Row, timing: Row) -> None:
        """Take one epoch's metrics; a run that has trained for long enough is followed from here on."""
        if not self.settings.enabled:
            return
        with self.epochs.open("a", encoding="utf-8") as file:
            file.write(json.dumps(history | timing) + "\n")
        if self._sender is None and time.monotonic() - self._started >= self.settings.follow_after:
            command = [sys.executable, "-m", "greedymm", "follow", "--uri", self.settings.uri]
            command += ["--run", self.run.model_dump_json(), "--epochs", str(self.epochs)]
            self._sender = subprocess.Popen(command, stdin=subprocess.PIPE)


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
    """Hide the user and password of an address, or of those in a text."""
    return re.sub(r"//[^@/\s]+@", "//***@", uri)


class UnreachableError(GreedymmError):
    """The tracking store cannot be reached or used."""


def send_missing(
    runs: Iterable[Run],
    uri: str,
    network: Network | None = None,
    pages: Iterable[Page] = (),
    tags: Mapping[str, Mapping[str, str]] | None = None,
) -> int:
    """Send whatever of the finished runs is not in the store yet; returns how many runs were concerned.

    One process at a time: two would send the same run twice.

    Args:
        runs: those that are planned; only finished ones are sent, and none that the report leaves out.
        uri: of the store.
        network: gives a run's network, to be sent as a model; None: no models.
        pages: sent as well.
        tags: name of a run -> further tags of it.

    Raises:
        UnreachableError: if the store cannot be reached or used.
    """
    finished = [run for run in runs if (run.evaluation_folder / "rates.json").exists()]
    try:
        with _sending():
            store = Store(uri)
            sent = sum([_send_usable(store, run, network, (tags or {}).get(run.name, {})) for run in finished])
            for page in pages:
                _send_page(store, page)
    except Exception as error:
        raise UnreachableError(f"tracking at {masked(uri)} failed: {_first_line(error)}") from error
    return sent


@contextmanager
def _sending() -> Iterator[None]:
    from filelock import FileLock

    LOCK.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(LOCK):
        yield


def _send_usable(store: Store, run: Run, network: Network | None, tags: Mapping[str, str]) -> bool:
    """Send a run, unless its files cannot be used: then they are named, and cost the others nothing."""
    from greedymm.analysis.collect import read_result

    try:
        result = read_result(run)
        known = store.find(run)
        trained = None if network is None or (known and store.has_model(known)) else network(run)
    except GreedymmError as error:
        log.warning("not sent: %s", error)
        return False
    return _send_missing(store, run, result, trained, tags)


def _send_missing(
    store: Store,
    run: Run,
    result: Result,
    trained: tuple[nn.Module, list[Tensor]] | None,
    tags: Mapping[str, str],
) -> bool:
    run_id = store.open(run)
    there = store.tags(run_id)
    measured = there.get(MEASURED)
    # A name that a user gave stays.
    store.tag(run_id, {k: v for k, v in tags.items() if k != NAME or there.get(NAME) == shown_name(run)})
    if trained is not None:
        store.add_model(run_id, *trained, epoch=result.rates["best_epoch"])
    if store.is_complete(run_id) and measured == run.evaluation_folder.name:
        return trained is not None
    _send_results(store, run_id, run, result)
    made_at = read_json(run.folder / "record.json")["commit"]
    store.tag(run_id, {MEASURED: run.evaluation_folder.name, "mlflow.source.git.commit": made_at})
    return True


def _send_results(store: Store, run_id: str, run: Run, result: Result) -> None:
    import matplotlib.pyplot as plt
    import pandas as pd

    from greedymm.analysis import figures

    rates, history = result.rates, result.history.to_pandas()
    rows: list[Any] = history.merge(pd.read_csv(run.folder / "timing.csv"), on="epoch").to_dict("records")
    there = store.epochs(run_id)
    store.send(run_id, [row for row in rows if row["epoch"] not in there])
    during: Any = result.during.to_pandas().set_index("epoch").filter(regex="util").add_prefix("during_val_")
    there = store.epochs(run_id, "during_val_d_util")
    store.send(run_id, [row for row in during.reset_index().to_dict("records") if row["epoch"] not in there])
    final = {f"{split}_{k}": v for split in ("val", "test") for k, v in rates[split].items() if v is not None}
    # A measure of every epoch keeps its name for those: of the chosen one it would be the same point twice.
    final = {f"best_{k}" if k in history else k: v for k, v in final.items()} | {"best_epoch": rates["best_epoch"]}
    note = f"After epoch {rates['best_epoch']} of {len(history)}, the best on validation: test accuracy"
    note += f" {100 * rates['test']['accuracy']:.1f} %, validation accuracy {100 * rates['val']['accuracy']:.1f} %."
    with tempfile.TemporaryDirectory() as folder:
        curves, predictions = Path(folder, "curves.png"), Path(folder, "predictions.csv")
        shown = _data(run.dataset, run.data_path)[0]
        figure = figures.run_curves(history, f"{shown}: {run.method}, seed {run.seed}")
        figure.savefig(curves, bbox_inches="tight")  # names of datasets can be long
        plt.close(figure)
        # As CSV, which MLflow shows.
        pd.read_parquet(run.evaluation_folder / "predictions.parquet").to_csv(predictions, index=False)
        files = [curves, predictions, run.folder / "history.csv", run.folder / "record.json"]
        files += [run.evaluation_folder / name for name in ("rates.json", "during_training.csv")]
        store.close(run_id, final, {"": files}, note, _trained(run))


def _send_page(store: Store, page: Page) -> None:
    run_id, content = store.open_page(page), key_of([sha256(p) for paths in page.artifacts.values() for p in paths])
    if not (store.is_complete(run_id) and store.tags(run_id).get(CONTENT) == content):
        metrics = {re.sub(r"[^/\w.\- ]", "_", k): v for k, v in page.metrics.items()}  # as MLflow allows
        store.close(run_id, metrics, page.artifacts)
        store.tag(run_id, {CONTENT: content})


def _first_line(error: Exception) -> str:
    return masked((str(error).strip() or type(error).__name__).splitlines()[0])  # it may have the address in it
