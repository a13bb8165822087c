"""Step `train`: HDF5 -> batches -> network -> training -> checkpoint."""

import json
from functools import partial
from pathlib import Path

import torch

from greedymm import checkpoint, record, seeding
from greedymm.data.batches import Loader
from greedymm.data.inputs import network_shape
from greedymm.errors import GreedymmError, lacks_memory
from greedymm.files import sha256, write_json
from greedymm.info import read_info
from greedymm.models.network import MultimodalNetwork
from greedymm.run import Run
from greedymm.settings import Execution
from greedymm.training.fit import Fit, Row
from greedymm.training.networks import new_network


def train(run: Run, execution: Execution) -> None:
    """Train one run; write checkpoint, snapshots, history, timing, steps and record into its folder.

    While it trains, `live.jsonl` has a line per epoch for whoever watches, and `resume.pt` the state to resume from.
    """
    settings, folder = run.settings, run.folder
    device = seeding.prepare_device(execution)
    batch_size = settings.training.batch_size
    loader = Loader(run.data_path, settings.stored, batch_size, device, execution, settings.inputs)
    generators = seeding.seed_everything(settings.seed)
    network, method = new_network(settings, loader.channels, len(loader.classes), device, generators["method"])
    _check_sizes(network, loader)
    folder.mkdir(parents=True, exist_ok=True)
    identity, state, live = settings.model_dump(mode="json"), folder / "resume.pt", folder / "live.jsonl"
    if not state.exists():
        live.unlink(missing_ok=True)
    fit = Fit(network, method, settings.training, generators, state, identity)
    train_batches = loader.batches("train", generators["order"], generators["augmentation"])
    progress = fit.run(train_batches, loader.batches("val"), partial(log_live, live))
    progress.write(folder, settings.modalities)
    info, surroundings = read_info(run.data_path), record.surroundings(seeding.describe_device(device))
    digests = {name: sha256(folder / name) for name in ("history.csv", "timing.csv", "steps.parquet")}
    facts = {"settings": identity, "data": info.display_name, "sha256": digests}
    write_json(facts | surroundings, folder / "record.json")
    checkpoint.save(folder / "snapshots.pt", identity, {"weights": progress.snapshots})
    shapes = [list(info.shapes[m]) for m in settings.stored]
    trained = {"best": progress.best, "classes": list(info.classes), "channels": loader.channels, "shapes": shapes}
    checkpoint.save(folder / "checkpoint.pt", identity, trained)
    for path in (state, live):
        path.unlink(missing_ok=True)


def _check_sizes(network: MultimodalNetwork, loader: Loader) -> None:
    """Check that the samples are large enough for the stages of each branch.

    Raises:
        GreedymmError: if a branch fails on them; it is named.
    """
    network.eval()
    for modality, branch, channels in zip(loader.modalities, network.branches, loader.channels, strict=True):
        _, *axes = network_shape(loader.file.images("train", modality).shape[1:], loader.inputs)
        try:
            branch(torch.zeros(1, channels, *axes, device=loader.device))
        except RuntimeError as error:
            if lacks_memory(error):
                raise
            size = " x ".join(map(str, axes))
            raise GreedymmError(
                f"{loader.path}: samples of {modality} have {size} pixels, and the branch fails on them: {error}.\n"
                "  If they are too small, use larger samples."
            ) from error
    network.train()


def log_live(path: Path, row: Row) -> None:
    """Append an epoch to the file that the tracking reads while the run trains."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")
