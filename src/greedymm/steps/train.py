"""Step `train`: HDF5 -> batches -> network -> training -> checkpoint."""

import json
from functools import partial
from pathlib import Path

from greedymm import checkpoint, record, seeding
from greedymm.data import batches, inputs
from greedymm.device import describe, prepare
from greedymm.files import write_json
from greedymm.info import read_info
from greedymm.models.build import build
from greedymm.run import Run
from greedymm.settings import Execution
from greedymm.training import fit, history, networks


def train(run: Run, execution: Execution) -> None:
    """Train one run; write checkpoint, snapshots, history, timing, steps and record into its folder.

    While it trains, `live.jsonl` has a line per epoch for whoever watches, and `resume.pt` the state to resume from.
    """
    settings, folder = run.settings, run.folder
    device = prepare(execution.device, execution.threads)
    generators = seeding.seed_everything(settings.seed)
    info = read_info(run.data_path)
    channels = inputs.channels([info.channels[m] for m in settings.stored], settings.inputs)
    parts = settings.branches, settings.fusion, settings.fuse_after, settings.head
    network = build(*parts, channels, len(info.classes)).to(device)
    method = networks.make_method(settings.method_settings, network, generators["method"])
    size = settings.training.batch_size
    load = batches.loader(run.data_path, settings.stored, size, device, execution, settings.inputs)
    identity = settings.model_dump(mode="json")
    state, live = folder / "resume.pt", folder / "live.jsonl"
    folder.mkdir(parents=True, exist_ok=True)
    if not state.exists():
        live.unlink(missing_ok=True)
    fitting = fit.Fit(network, method, settings.training, settings.modalities, generators, state, identity)
    train_batches = load("train", generators["order"], generators["augmentation"])
    progress = fitting.run(train_batches, load("val"), partial(log_live, live))
    history.write_rows(folder / "history.csv", progress.history)
    history.write_rows(folder / "timing.csv", progress.timing)
    history.write_steps(folder / "steps.parquet", progress.steps, settings.modalities)
    surroundings = record.surroundings(describe(device))
    write_json({"settings": identity, "data": info.display_name} | surroundings, folder / "record.json")
    checkpoint.save(folder / "snapshots.pt", identity, {"weights": progress.snapshots})
    shapes = [list(info.shapes[m]) for m in settings.stored]
    trained = {"best": progress.best, "classes": list(info.classes), "channels": channels, "shapes": shapes}
    checkpoint.save(folder / "checkpoint.pt", identity, trained)
    for path in (state, live):
        path.unlink(missing_ok=True)


def log_live(path: Path, history_row: history.Row, timing_row: history.Row) -> None:
    """Append an epoch to the file that the tracking reads while the run trains."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(history_row | timing_row) + "\n")
