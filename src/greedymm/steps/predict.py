"""A checkpoint + a dataset's file -> predictions of a split."""

from itertools import zip_longest
from pathlib import Path

from greedymm.data import batches, inputs
from greedymm.data.hdf5 import DataFile
from greedymm.device import prepare
from greedymm.errors import GreedymmError
from greedymm.evaluation.evaluate import predict_probabilities
from greedymm.files import atomic_write
from greedymm.settings import Execution
from greedymm.training.networks import load_network


def predict(checkpoint: Path, data: Path, split: str, output: Path) -> None:
    """Write what a trained network predicts of a split: its mean and each branch, with probabilities, as CSV."""
    if output.is_dir():  # before the work
        raise GreedymmError(f"{output} is a folder; name a file in it")
    execution = Execution()
    device = prepare(execution.device, execution.threads)
    network, trained = load_network(checkpoint, device)
    settings = trained.settings
    with DataFile(data) as file:
        channels = inputs.channels(file.channels(settings.stored), settings.inputs)
        classes, samples = file.facts.classes, file.sample_table(split)
    if list(classes) != trained.classes:
        pairs = zip_longest(trained.classes, classes, fillvalue="none")
        named = "; ".join(f"{a} there, {b} here" for a, b in pairs if a != b)
        raise GreedymmError(f"{checkpoint} was trained on other classes than those of {data}:\n  {named}")
    if channels != trained.channels:
        raise GreedymmError(
            f"{checkpoint} was trained on data of another form than {data}: {trained.channels} channels of"
            f" {', '.join(settings.modalities)}, not {channels}"
        )
    size = batches.evaluation_size(data, settings.stored)
    load = batches.loader(data, settings.stored, size, device, execution, settings.inputs)
    frame = predict_probabilities(network, load(split), samples, settings.modalities, classes)
    with atomic_write(output) as beside:
        frame.to_csv(beside, index=False, float_format="%.6g")
