"""One idempotent synchronization: finished runs and reports are sent, unless the same content was sent before.

Each run in the store has a tag with the hash of all that was sent. Where the hash is the same, there is nothing to do.
The results on disk are complete without the store, so a store that is down costs nothing but a second `greedymm track`.
"""

import json
import logging
import re
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
from filelock import FileLock
from matplotlib import pyplot as plt

from greedymm import record
from greedymm.analysis import figures
from greedymm.analysis.results import Result, read_result
from greedymm.errors import GreedymmError
from greedymm.files import read_json, sha256
from greedymm.info import read_info
from greedymm.params.schema import Tracking
from greedymm.plan import Plan
from greedymm.run import Run, key_of
from greedymm.settings import flat
from greedymm.tracking.store import CONTENT, NAME, Store

log = logging.getLogger(__name__)

LOCK = Path("results/.tracking.lock")  # one process at a time: two would send the same run twice
POLL = 5.0  # seconds between two looks for new epochs


class UnreachableError(GreedymmError):
    """The tracking store cannot be reached or used."""


def sync_results(plan: Plan, settings: Tracking) -> int:
    """Send finished runs, the report and the sweeps to the store, unless they are there.

    Returns:
        The number of runs sent.

    Raises:
        UnreachableError: if the store cannot be reached or used.
    """
    LOCK.parent.mkdir(parents=True, exist_ok=True)
    tags = _tags(plan)
    with _reachable(settings.uri), FileLock(LOCK):
        store = Store(settings.uri)
        sent = 0
        for name, run in plan.runs.items():
            try:
                sent += _sync_run(store, run, tags[name], models=settings.models)
            except GreedymmError as error:  # of its files
                log.warning("not sent: %s", error)
        _sync_page(store, "report", plan.folder)
        _sync_page(store, "sweeps", plan.sweeps_folder)
    log.log(logging.INFO if sent else logging.DEBUG, "%d runs sent to %s", sent, mask(settings.uri))
    return sent


def watch(plan: Plan, settings: Tracking) -> None:
    """Send the epochs of runs while they train, and all else when it is finished, until interrupted."""
    said = ""
    while True:
        message = ""
        try:
            sync_results(plan, settings)
            sync_live(plan, settings)
        except UnreachableError as error:
            message = str(error)
        if message and message != said:
            log.warning("%s", message)
        said = message
        time.sleep(POLL)


def sync_live(plan: Plan, settings: Tracking) -> None:
    """Send the epochs of runs that train.

    Raises:
        UnreachableError: if the store cannot be reached or used.
    """
    tags = _tags(plan)
    with _reachable(settings.uri), FileLock(LOCK):
        store = Store(settings.uri)
        for name, run in plan.runs.items():
            path = run.folder / "live.jsonl"
            try:
                lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
            except FileNotFoundError:
                continue
            rows = [json.loads(line) for line in lines if line.endswith("\n")]
            stored = store.find(run.dataset, run.id)
            run_id = stored.info.run_id if stored else _create(store, run, tags[name], 0.0)
            present = store.epochs(run_id, "train_loss")
            store.log(run_id, [row for row in rows if row["epoch"] not in present])


def _tags(plan: Plan) -> dict[str, dict[str, str]]:
    """Name and tags of each run. The name of a run of sweeps alone begins with the values of what varies."""
    swept: dict[str, dict[str, str]] = {name: {} for name in plan.runs}
    for sweep, points in plan.sweeps.items():
        for value, name in points:
            # A run that the setting does not concern belongs to every value.
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
    return tags


def _sync_run(store: Store, run: Run, tags: dict[str, str], *, models: bool) -> bool:
    """Send one run, if it is finished and not in the store. Returns whether it was sent."""
    path = run.evaluation_folder / "result.json"
    if not path.exists():
        return False
    content = key_of([sha256(path), tags, models])
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
    note = f"Method `{run.method}`, seed {run.seed}, on {read_info(run.data_path).display_name}.\n\n{_outcome(result)}"
    commit = result.summary["record"]["commit"]
    store.set_tags(run_id, tags | {"mlflow.note.content": note, "mlflow.source.git.commit": commit})
    store.finish(run_id, seconds, content)
    return True


def _create(store: Store, run: Run, tags: dict[str, str], seconds: float) -> str:
    info = read_info(run.data_path)
    fixed = {"method": run.method, "seed": str(run.seed), "dataset": run.dataset, "dataset.sha256": info.sha256}
    fixed |= {"data": "generated" if info.generated else "real"}
    run_id = store.create(run.dataset, run.id, fixed | tags, seconds)
    settings = flat(run.settings.model_dump(mode="json"))
    store.describe(run_id, settings, info.display_name, run.data_path, info.sha256)
    return run_id


def _outcome(result: Result) -> str:
    best, (val, test) = result.summary["best_epoch"], (result.summary[s]["accuracy"] for s in ("val", "test"))
    epochs = len(result.summary["history"]["epoch"])
    return (
        f"Best epoch on validation: {best} of {epochs}. Test accuracy {100 * test:.1f} %,"
        f" validation accuracy {100 * val:.1f} %."
    )


def _log_metrics(store: Store, run_id: str, result: Result) -> None:
    """Log each metric of each epoch once: epochs that were sent while the run trained are left as they are."""
    history = result.table("history").merge(result.table("timing"), on="epoch")
    during = result.table("during_training").set_index("epoch").filter(regex="util").add_prefix("during_val_")
    for table, metric in ((history, "train_loss"), (during.reset_index(), "during_val_d_util")):
        present = store.epochs(run_id, metric)
        rows: list[Any] = table[~table["epoch"].isin(present)].to_dict("records")
        store.log(run_id, rows)
    final = {f"{split}_{k}": v for split in ("val", "test") for k, v in result.summary[split].items()}
    # A metric of every epoch keeps its name for the epochs.
    final = {f"best_{k}" if k in history else k: v for k, v in final.items()}
    store.log_final(run_id, final | {"best_epoch": result.summary["best_epoch"]})


def _log_artifacts(store: Store, run_id: str, result: Result) -> None:
    run = result.run
    with tempfile.TemporaryDirectory() as folder:
        curves, predictions = Path(folder, "curves.png"), Path(folder, "predictions.csv")
        title = f"{read_info(run.data_path).display_name}: {run.method}, seed {run.seed}"
        figure = figures.run_curves(result.table("history"), title)
        figure.savefig(curves, bbox_inches="tight")
        plt.close(figure)
        # MLflow shows CSV files, and no Parquet files.
        pd.read_parquet(run.evaluation_folder / "predictions.parquet").to_csv(predictions, index=False)
        files = [curves, predictions, run.folder / "history.csv", run.evaluation_folder / "result.json"]
        store.log_files(run_id, files)


def _sync_page(store: Store, kind: str, folder: Path) -> None:
    """Send the report, or the sweeps' page, as a run of the experiment `report`, if it is made and not in the store."""
    pages = sorted(folder.glob("*.html"))
    if not pages:
        return
    files = sorted(path for path in folder.rglob("[!.]*") if path.is_file() and path.suffix != ".svg")
    content = key_of([sha256(path) for path in files])
    name = f"{kind}-{folder.name}"
    stored = store.find("report", name)
    if stored and stored.data.tags.get(CONTENT) == content:
        return
    tags = {NAME: kind, "kind": kind, "mlflow.source.git.commit": record.commit()}
    note = {"mlflow.note.content": f"Tables, figures and page of analysis {folder.name}."}
    run_id = stored.info.run_id if stored else store.create("report", name, tags | note, 0)
    means = folder / "tables" / "metrics.json"
    if means.exists():
        metrics = {re.sub(r"[^/\w.\- ]", "_", k): v for k, v in flat(read_json(means)).items()}
        store.log_final(run_id, metrics)
    for path in files:
        parent = path.parent.relative_to(folder)
        store.log_files(run_id, [path], None if parent == Path() else str(parent))
    store.finish(run_id, 0, content)


def mask(text: str) -> str:
    """Replace user and password in URIs."""
    return re.sub(r"//[^@/\s]+@", "//***@", text)


@contextmanager
def _reachable(uri: str) -> Iterator[None]:
    """Whatever goes wrong with the store is one error, without user and password."""
    try:
        yield
    except Exception as error:
        reason = mask((str(error).strip() or type(error).__name__).splitlines()[0])
        message = f"tracking at {mask(uri)} failed: {reason}\n  Send it later with: greedymm track"
        raise UnreachableError(message) from error
