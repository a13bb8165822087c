"""One idempotent synchronization: finished runs and reports are sent, unless the same content was sent before.

A run in the store has a tag of what was sent, and by which clone. Where it is the same, or where another clone has sent
the same run, there is nothing to do.
The results on disk are complete without the store. If it is down, nothing is lost: run `greedymm track` later.
"""

import json
import logging
import os
import re
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from filelock import FileLock
from mlflow.entities import Run as StoredRun

from greedymm import record
from greedymm.address import mask
from greedymm.analysis.results import Result, read_result
from greedymm.analysis.spreadsheet import without_formulas
from greedymm.errors import GreedymmError
from greedymm.files import read, read_json, sha256
from greedymm.info import read_info
from greedymm.params.schema import ENVIRONMENT_URI, Tracking
from greedymm.plan import Plan
from greedymm.run import Run, key_of
from greedymm.settings import flat
from greedymm.tracking.store import NAME, Store

log = logging.getLogger(__name__)

LOCK = Path("results/.tracking.lock")  # one process of a clone at a time
FIRST = re.compile("accuracy|loss|^d_speed$")
NAMES = 2  # raise it where names of metrics change: runs in older stores are then sent again
# SQLite's words for a file with wrong bytes, and those for a database that was cut off while MLflow made it.
BROKEN = re.compile("malformed|not a database|duplicate column|already exists|no such (table|column)")
LATER = "Send it later with"
UNKNOWN_USER = re.compile("error code 401|Invalid leading whitespace")
LOGIN = "Set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
POLL = 5.0  # seconds between two looks for new epochs
ROUNDS = 3  # tries of all that is left, without a success between
PATIENCE = float(os.environ.get("GREEDYMM_TRACKING_PATIENCE", "20"))  # seconds without a success


def sync_results(plan: Plan, settings: Tracking, *, live: bool = False) -> int:
    """Send finished runs, the report and the sweeps to the store, unless they are there; with `live`, also epochs.

    The metrics of all runs are sent before any file: they arrive in a store that refuses files, too.

    Returns:
        The number of finished runs sent.

    Raises:
        GreedymmError: if the store cannot be reached or used.
    """
    if not live and os.environ.get(ENVIRONMENT_URI, settings.uri) not in {"", settings.uri}:
        log.warning("%s is not used: tracking.uri in the params is %s", ENVIRONMENT_URI, mask(settings.uri))
    LOCK.parent.mkdir(parents=True, exist_ok=True)
    tuned = plan.tuned_runs  # read once: a search may finish meanwhile
    tags = _tags(plan, tuned)
    runs = {name: Sending(run, tags[name], settings.models) for name, run in (plan.runs | tuned).items()}
    folders = {"report": plan.folder, "sweeps": plan.sweeps_folder, "zoo": plan.zoo_folder}
    with reachable(settings.uri), FileLock(LOCK):
        store = Store(settings.uri)
        sent = _do_all({name: partial(_send_metrics, store, each, live=live) for name, each in runs.items()})
        files = {name: partial(_send_files, store, runs[name]) for name in sent}
        pages = {kind: partial(_send_page, store, kind, folder) for kind, folder in folders.items()}
        with _explained("all metrics have arrived, but not all files"):
            count = len([name for name in _do_all(files | pages) if name in files])
    log.log(logging.INFO if count else logging.DEBUG, "%d runs sent to %s", count, mask(settings.uri))
    return count


def _do_all(tasks: Mapping[str, Callable[[], bool]]) -> list[str]:
    """Do all tasks. One that fails is tried again after the others, until there is no success any more.

    Returns:
        The names of the tasks that returned True.
    """
    waiting, done = deque(tasks), list[str]()
    failures, since = 0, time.monotonic()
    while waiting:
        try:
            if tasks[waiting[0]]():
                done.append(waiting[0])
        except GreedymmError as error:  # of the run's files
            log.warning("not sent: %s", error)
        except Exception:
            failures += 1
            if failures >= ROUNDS * len(waiting) or time.monotonic() - since > PATIENCE:
                raise
            waiting.rotate(-1)
            continue
        waiting.popleft()
        failures, since = 0, time.monotonic()
    return done


def watch(plan: Plan, settings: Tracking) -> None:
    """Send the epochs of runs while they train, and all else when it is finished, until interrupted."""
    warning = ""
    while True:
        try:
            sync_results(plan, settings, live=True)
            warning = ""
        except GreedymmError as error:
            if str(error) != warning:
                log.warning("%s", error)
            warning = str(error)
        time.sleep(POLL)


def _tags(plan: Plan, tuned: Mapping[str, Run]) -> dict[str, dict[str, str]]:
    """Name and tags of each run. The name of a run that only sweeps need begins with the swept values."""
    swept: dict[str, dict[str, str]] = {name: {} for name in plan.runs}
    for sweep, points in plan.sweeps.items():
        for value, name in points:
            # A run that does not depend on the swept setting is a point at every value.
            swept[name][sweep] = ", ".join(filter(None, [swept[name].get(sweep), value]))
    tags = {}
    for name, run in plan.runs.items():
        part = "default" if name in plan.default else "sweep"
        values = [] if part == "default" else [f"{sweep} {value}" for sweep, value in swept[name].items()]
        tags[name] = {
            NAME: ", ".join([*values, f"{run.method}-seed{run.seed}"]),
            "part": part,
            **{f"sweep.{sweep}": value for sweep, value in swept[name].items()},
        }
    for name, run in tuned.items():
        tags[name] = {NAME: f"tuned, {run.method}-seed{run.seed}", "part": "tuned"}
    return tags


class Sending(NamedTuple):
    """A run, and what is sent with it."""

    run: Run
    tags: dict[str, str]
    models: bool

    @property
    def path(self) -> Path:
        """The file that a finished run has."""
        return self.run.evaluation_folder / "result.json"

    def is_sent(self, store: Store) -> bool:
        """Whether a finished run is in the store completely."""
        identity = self.run.dataset, self.run.id
        return store.is_sent(*identity, *self.content)

    @property
    def content(self) -> tuple[str, str]:
        """Hashes of what identifies the sent content, and of the result."""
        return key_of([NAMES, self.run.evaluation_folder.name, self.tags, self.models]), sha256(self.path)[:8]


def _send_metrics(store: Store, sending: Sending, *, live: bool) -> bool:
    """Send the metrics of a run, unless it is in the store. Returns whether its files are missing there."""
    run = sending.run
    if not sending.path.exists():
        if live:
            _send_live(store, run, sending.tags)
        return False
    if sending.is_sent(store):
        return False
    result = read_result(run)
    seconds = sum(result.summary["timing"]["seconds"])
    best, accuracy = result.summary["best_epoch"], {s: 100 * result.summary[s]["accuracy"] for s in ("val", "test")}
    note = (
        f"Method `{run.method}`, seed {run.seed}, on {read_info(run.data_path).display_name}.\n\n"
        f"Best epoch on validation: {best} of {len(result.summary['history']['epoch'])}."
        f" Test accuracy {accuracy['test']:.1f} %, validation accuracy {accuracy['val']:.1f} %."
    )
    commit = result.summary["record"]["commit"]
    with store.alone(run.dataset):
        stored = _find_or_create(store, run, sending.tags, seconds)
        _log_metrics(store, stored, result)
        store.set_tags(stored, sending.tags | {"mlflow.note.content": note, "mlflow.source.git.commit": commit})
        store.finish(stored, seconds)
    return True


def _send_files(store: Store, sending: Sending) -> bool:
    """Send the files of a run whose metrics are in the store. Returns False if another clone has sent them."""
    run = sending.run
    with store.alone(run.dataset):
        stored = store.find(run.dataset, run.id)
        if stored is None:
            raise GreedymmError(f"{run.id} was deleted in the store meanwhile")
        if sending.is_sent(store):
            return False
        _log_artifacts(store, stored, run)
        if sending.models and not (stored.outputs and stored.outputs.model_outputs):
            from greedymm.tracking.model import log_model  # imports torch

            log_model(store.client, stored.info.run_id, run, read_json(sending.path)["best_epoch"])
        store.mark_sent(stored, *sending.content)
    return True


def _send_live(store: Store, run: Run, tags: dict[str, str]) -> None:
    """Send the new epochs of a run that trains."""
    try:
        text = (run.folder / "live.jsonl").read_text(encoding="utf-8")
    except FileNotFoundError:
        return
    complete = text[: text.rfind("\n") + 1]  # without a line that is being written
    with store.alone(run.dataset):
        stored = _find_or_create(store, run, tags, 0.0)
        _log_history(store, stored, map(json.loads, complete.splitlines()))


def _find_or_create(store: Store, run: Run, tags: dict[str, str], seconds: float) -> StoredRun:
    """The run in the store, with its params and its dataset. What it lacks since an interruption is added."""
    info = read_info(run.data_path)
    fixed = {"method": run.method, "seed": str(run.seed), "dataset": run.dataset, "dataset.sha256": info.sha256}
    fixed |= {"data": "generated" if info.generated else "real"}
    settings = flat(run.settings.model_dump(mode="json"))
    stored = store.find(run.dataset, run.id) or store.create(run.dataset, run.id, fixed | tags, seconds)
    store.describe(stored, settings, info.display_name, run.data_path, info.sha256)
    return stored


def _log_metrics(store: Store, stored: StoredRun, result: Result) -> None:
    """Log each metric of each epoch once: epochs that were sent while the run trained are left as they are."""
    history = result.table("history").merge(result.table("timing"), on="epoch")
    _log_history(store, stored, history.to_dict("records"))
    snapshots = result.table("during_training").set_index("epoch").filter(regex="util").add_prefix("during_val_")
    store.log_epochs(stored, snapshots.reset_index().to_dict("records"), "during_val_d_util")
    final = {f"{split}_{k}": v for split in result.summary["splits"] for k, v in result.summary[split].items()}
    # A metric of every epoch keeps its name for the epochs.
    final = {f"best_{k}" if k in history else k: v for k, v in final.items()}
    store.log_final(stored, final | {"best_epoch": result.summary["best_epoch"]})


def _log_history(store: Store, stored: StoredRun, rows: Iterable[Mapping[Any, Any]]) -> None:
    """Log metrics of epochs; accuracy, loss and d_speed with a prefix: the UI draws metrics with this prefix first."""
    named = [{f"epochs/{k}" if FIRST.search(k) else k: v for k, v in row.items()} for row in rows]
    store.log_epochs(stored, named, "epochs/train_loss")


def _log_artifacts(store: Store, stored: StoredRun, run: Run) -> None:
    with tempfile.TemporaryDirectory() as folder:
        # MLflow shows CSV files, and no Parquet files.
        predictions = Path(folder, "predictions.csv")
        table = read(run.evaluation_folder / "predictions.parquet", pd.read_parquet)
        without_formulas(table, "id").to_csv(predictions, index=False)
        for path in (predictions, run.folder / "history.csv", run.evaluation_folder / "result.json"):
            store.client.log_artifact(stored.info.run_id, str(path))


def _send_page(store: Store, kind: str, folder: Path) -> bool:
    """Send a page with its tables and figures as a run of the experiment `report`, if it is made and not in the store.

    Returns whether it was sent.
    """
    if not any(folder.glob("*.html")):
        return False
    name = f"{kind}-{folder.name}"
    files = sorted(path for path in folder.rglob("[!.]*") if path.is_file() and path.suffix != ".svg")
    content = key_of(kind), key_of([sha256(path) for path in files])
    if store.is_sent("report", name, *content):
        return False
    means = folder / "tables" / "metrics.json"
    metrics = flat(read_json(means)) if means.exists() else {}
    tags = {NAME: kind, "kind": kind, "mlflow.source.git.commit": record.commit()}
    note = {"mlflow.note.content": f"Tables, figures and page of analysis {folder.name}."}
    with store.alone("report"):
        stored = store.find("report", name) or store.create("report", name, tags | note, 0)
        store.log_final(stored, {re.sub(r"[^/\w.\- ]", "_", name): value for name, value in metrics.items()})
        store.finish(stored, 0)
        for path in files:
            place = path.parent.relative_to(folder).as_posix().strip(".")
            store.client.log_artifact(stored.info.run_id, str(path), place)
        store.mark_sent(stored, *content)
    return True


@contextmanager
def _explained(text: str) -> Iterator[None]:
    """Put a text before the message of an error."""
    try:
        yield
    except Exception as error:
        raise RuntimeError(f"{text}: {error or type(error).__name__}") from error


@contextmanager
def reachable(uri: str) -> Iterator[None]:
    """Turn every error of the store into a GreedymmError, without passwords."""
    try:
        yield
    except Exception as error:
        reason = mask((str(error).strip() or type(error).__name__).splitlines()[0], uri)
        shown = mask(uri.partition("?")[0])
        broken = uri.startswith("sqlite:") and BROKEN.search(reason)
        cure = "The database is broken. Move it to another folder. A new one gets all runs with" if broken else LATER
        cure = f"{LOGIN}. {cure}" if UNKNOWN_USER.search(reason) else cure
        message = f"tracking at {shown} failed: {reason}\n  {cure}: greedymm track"
        raise GreedymmError(message) from error
