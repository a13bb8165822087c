"""Step `train`: HDF5 -> batches -> network -> training -> checkpoint."""

from typing import TYPE_CHECKING

from greedymm import checkpoint, record, seeding
from greedymm.data import batches, inputs
from greedymm.data.hdf5 import DataFile, shown_name
from greedymm.device import describe, prepare
from greedymm.files import write_json
from greedymm.models.build import build
from greedymm.run import Run
from greedymm.settings import Execution
from greedymm.tracking import Tracker
from greedymm.training import fit, history

if TYPE_CHECKING:
    from greedymm.params.schema import Tracking


def train(run: Run, execution: Execution, tracking: "Tracking") -> None:
    """Step `train`: HDF5 -> batches -> network -> training -> checkpoint, snapshots, history, timing, steps, record."""
    settings, folder = run.settings, run.folder
    device = prepare(execution.device, execution.threads)
    streams = seeding.seed_everything(settings.seed)
    with DataFile(run.data_path) as file:
        channels = inputs.channels(file.channels(settings.stored), settings.inputs)
        shapes = [list(file.images("train", m).shape[1:]) for m in settings.stored]
        classes = list(file.facts.classes)
    network = build(settings.branches, settings.fusion, settings.fuse_after, settings.head, channels, len(classes)).to(
        device
    )
    method = fit.make_method(settings.method_settings, network, streams["method"])
    size = settings.training.batch_size
    load = batches.loader(run.data_path, settings.stored, size, device, execution, settings.inputs)
    identity = settings.model_dump(mode="json")
    state = folder / "resume.pt"
    fitting = fit.Fit(network, method, settings.training, settings.modalities, streams, state, identity)
    with Tracker(run, tracking) as tracker:
        train_batches = load("train", streams["order"], streams["augmentation"])
        progress = fitting.run(train_batches, load("val"), tracker.epoch)
    history.write_rows(folder / "history.csv", progress.history)
    history.write_rows(folder / "timing.csv", progress.timing)
    history.write_steps(folder / "steps.parquet", progress.steps, settings.modalities)
    made = {"data": shown_name(settings.dataset, run.data_path)} | record.surroundings(describe(device))
    write_json({"settings": identity} | made, folder / "record.json")
    checkpoint.save(folder / "snapshots.pt", checkpoint.stamped(identity) | {"weights": progress.snapshots})
    trained = {"best": progress.best, "classes": classes, "channels": channels, "shapes": shapes}
    checkpoint.save(folder / "checkpoint.pt", checkpoint.stamped(identity) | trained)
    state.unlink(missing_ok=True)
