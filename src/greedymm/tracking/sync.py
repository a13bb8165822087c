"""One idempotent synchronization: finished runs and reports are sent, unless the same content was sent before.

Each run in the store has a tag with the hash of all that was sent. Where the hash is the same, there is nothing to do.
The results on disk are complete without the store. If it is down, nothing is lost: run `greedymm track` later.
"""

import json
import logging
import os
import re
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
from filelock import FileLock

from greedymm import record
from greedymm.analysis.results import Result, read_result
from greedymm.analysis.spreadsheet import without_formulas
from greedymm.errors import GreedymmError
from greedymm.files import read_json, sha256
from greedymm.info import read_info
from greedymm.params.schema import ENVIRONMENT_URI, Tracking
from greedymm.plan import Plan
from greedymm.run import Run, key_of
from greedymm.settings import flat
from greedymm.tracking.store import CONTENT, NAME, Store

log = logging.getLogger(__name__)

LOCK = Path("results/.tracking.lock")  # one process at a time: two would send the same run twice
FIRST = re.compile("accuracy|loss|^d_speed$")
NAMES = 2  # raise it where names of metrics change: runs in older stores are then sent again
# SQLite's words for a file with wrong bytes, and those for a database that was cut off while MLflow made it.
BROKEN = re.compile("malformed|not a database|duplicate column|already exists|no such (table|column)")
LATER = "Send it later with"
POLL = 5.0  # seconds between two looks for new epochs


def sync_results(plan: Plan, settings: Tracking, *, live: bool = False) -> int:
    """Send finished runs, the report and the sweeps to the store, unless they are there; with `live`, also epochs.

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
    with _reachable(settings.uri), FileLock(LOCK):
        store = Store(settings.uri)
        sent = 0
        for name, run in (plan.runs | tuned).items():
            try:
                sent += _sync_run(store, run, tags[name], models=settings.models)
                if live:
                    _sync_live(store, run, tags[name])
            except GreedymmError as error:  # of its files
                log.warning("not sent: %s", error)
        _sync_page(store, "report", plan.folder)
        _sync_page(store, "sweeps", plan.sweeps_folder)
        _sync_page(store, "zoo", plan.zoo_folder)
    log.log(logging.INFO if sent else logging.DEBUG, "%d runs sent to %s", sent, mask(settings.uri))
    return sent


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


def _sync_run(store: Store, run: Run, tags: dict[str, str], *, models: bool) -> bool:
    """Send one run, if it is finished and not in the store. Returns whether it was sent."""
    path = run.evaluation_folder / "result.json"
    if not path.exists():
        return False
    content = key_of([NAMES, sha256(path), tags, models])
    stored = store.find(run.dataset, run.id)
    if stored and stored.data.tags.get(CONTENT) == content:
        return False
    result = read_result(run)
    seconds = sum(result.summary["timing"]["seconds"])
    run_id = stored.info.run_id if stored else _create(store, run, tags, seconds)
    _log_metrics(store, run_id, result)
    _log_artifacts(store, run_id, result)
    if models and not (stored and stored.outputs and stored.outputs.model_outputs):
        from greedymm.tracking.model import log_model  # imports torch

        log_model(store.client, run_id, run, result.summary["best_epoch"])
    best, accuracy = result.summary["best_epoch"], {s: 100 * result.summary[s]["accuracy"] for s in ("val", "test")}
    note = (
        f"Method `{run.method}`, seed {run.seed}, on {read_info(run.data_path).display_name}.\n\n"
        f"Best epoch on validation: {best} of {len(result.summary['history']['epoch'])}."
        f" Test accuracy {accuracy['test']:.1f} %, validation accuracy {accuracy['val']:.1f} %."
    )
    commit = result.summary["record"]["commit"]
    store.set_tags(run_id, tags | {"mlflow.note.content": note, "mlflow.source.git.commit": commit})
    store.finish(run_id, seconds, content)
    return True


def _sync_live(store: Store, run: Run, tags: dict[str, str]) -> None:
    """Send the new epochs of a run that trains."""
    try:
        text = (run.folder / "live.jsonl").read_text(encoding="utf-8")
    except FileNotFoundError:
        return
    complete = text[: text.rfind("\n") + 1]  # without a line that is being written
    stored = store.find(run.dataset, run.id)
    run_id = stored.info.run_id if stored else _create(store, run, tags, 0.0)
    _log_history(store, run_id, map(json.loads, complete.splitlines()))


def _create(store: Store, run: Run, tags: dict[str, str], seconds: float) -> str:
    info = read_info(run.data_path)
    fixed = {"method": run.method, "seed": str(run.seed), "dataset": run.dataset, "dataset.sha256": info.sha256}
    fixed |= {"data": "generated" if info.generated else "real"}
    settings = flat(run.settings.model_dump(mode="json"))
    run_id = store.create(run.dataset, run.id, fixed | tags, seconds)
    store.describe(run_id, settings, info.display_name, run.data_path, info.sha256)
    return run_id


def _log_metrics(store: Store, run_id: str, result: Result) -> None:
    """Log each metric of each epoch once: epochs that were sent while the run trained are left as they are."""
    history = result.table("history").merge(result.table("timing"), on="epoch")
    _log_history(store, run_id, history.to_dict("records"))
    snapshots = result.table("during_training").set_index("epoch").filter(regex="util").add_prefix("during_val_")
    store.log_epochs(run_id, snapshots.reset_index().to_dict("records"), "during_val_d_util")
    final = {f"{split}_{k}": v for split in result.summary["splits"] for k, v in result.summary[split].items()}
    # A metric of every epoch keeps its name for the epochs.
    final = {f"best_{k}" if k in history else k: v for k, v in final.items()}
    store.log_final(run_id, final | {"best_epoch": result.summary["best_epoch"]})


def _log_history(store: Store, run_id: str, rows: Iterable[Mapping[Any, Any]]) -> None:
    """Log metrics of epochs; accuracy, loss and d_speed with a prefix: the UI draws metrics with this prefix first."""
    named = [{f"epochs/{k}" if FIRST.search(k) else k: v for k, v in row.items()} for row in rows]
    store.log_epochs(run_id, named, "epochs/train_loss")


def _log_artifacts(store: Store, run_id: str, result: Result) -> None:
    run = result.run
    with tempfile.TemporaryDirectory() as folder:
        # MLflow shows CSV files, and no Parquet files.
        predictions = Path(folder, "predictions.csv")
        table = pd.read_parquet(run.evaluation_folder / "predictions.parquet")
        without_formulas(table, "id").to_csv(predictions, index=False)
        for path in (predictions, run.folder / "history.csv", run.evaluation_folder / "result.json"):
            store.client.log_artifact(run_id, str(path))


def _sync_page(store: Store, kind: str, folder: Path) -> None:
    """Send the report, or the sweeps' page, as a run of the experiment `report`, if it is made and not in the store."""
    pages = sorted(folder.glob("*.html"))
    if not pages:
        return
    files = sorted(path for path in folder.rglob("[!.]*") if path.is_file() and path.suffix != ".svg")
    content = key_of([sha256(path) for path in files])
    stored = store.find("report", f"{kind}-{folder.name}")
    if stored and stored.data.tags.get(CONTENT) == content:
        return
    means = folder / "tables" / "metrics.json"
    metrics = flat(read_json(means)) if means.exists() else {}
    tags = {NAME: kind, "kind": kind, "mlflow.source.git.commit": record.commit()}
    note = {"mlflow.note.content": f"Tables, figures and page of analysis {folder.name}."}
    run_id = stored.info.run_id if stored else store.create("report", f"{kind}-{folder.name}", tags | note, 0)
    store.log_final(run_id, {re.sub(r"[^/\w.\- ]", "_", name): value for name, value in metrics.items()})
    for path in files:
        store.client.log_artifact(run_id, str(path), path.parent.relative_to(folder).as_posix().strip("."))
    store.finish(run_id, 0, content)


def mask(text: str) -> str:
    """Replace user and password in URIs."""
    return re.sub(r"//[^@/\s]+@", "//***@", text)


@contextmanager
def _reachable(uri: str) -> Iterator[None]:
    """Turn every error of the store into a GreedymmError, with user and password masked."""
    try:
        yield
    except Exception as error:
        reason = mask((str(error).strip() or type(error).__name__).splitlines()[0])
        broken = uri.startswith("sqlite:") and BROKEN.search(reason)
        cure = "The database is broken. Move it to another folder. A new one gets all runs with" if broken else LATER
        message = f"tracking at {mask(uri)} failed: {reason}\n  {cure}: greedymm track"
        raise GreedymmError(message) from error
