"""A checkpoint + a dataset's file -> predictions of a split."""

from itertools import zip_longest
from pathlib import Path

from greedymm.analysis.spreadsheet import without_formulas
from greedymm.data.batches import Loader
from greedymm.data.inputs import network_shape
from greedymm.errors import GreedymmError
from greedymm.evaluation.evaluate import predict_probabilities
from greedymm.files import atomic_write
from greedymm.models.network import MultimodalNetwork
from greedymm.seeding import prepare_device
from greedymm.settings import Execution
from greedymm.training.networks import load_network


def predict(checkpoint: Path, data: Path, split: str, output: Path) -> None:
    """Write the predictions of a trained network and of its branches on a split, with probabilities, as CSV.

    Raises:
        GreedymmError: if the data are not of this project's form, or if checkpoint and data have other classes,
            modalities or shapes.
    """
    if output.is_dir():  # before the work
        raise GreedymmError(f"{output} is a folder; name a file in it")
    if output.resolve() in {checkpoint.resolve(), data.resolve()}:
        raise GreedymmError(f"{output} is an input; name another file")
    execution = Execution()
    device = prepare_device(execution)
    network, settings, state = load_network(checkpoint, device)
    loader = Loader(data, settings.stored, None, device, execution, settings.inputs)
    _check_classes(checkpoint, network, data, loader)
    for modality, expected in zip(settings.stored, state["shapes"], strict=True):
        found = loader.file.images(split, modality).shape[1:]
        if network_shape(found, settings.inputs) != network_shape(expected, settings.inputs):
            raise GreedymmError(
                f"{data}: samples of '/{split}/{modality}' have shape {found}; {checkpoint} was trained with"
                f" {tuple(expected)}.\n  Resize them, or train a network with such data."
            )
    frame = predict_probabilities(network, loader.batches(split), loader.file.sample_table(split))
    with atomic_write(output) as beside:
        without_formulas(frame, "id", "label", "predicted").to_csv(beside, index=False, float_format="%.6g")


def _check_classes(checkpoint: Path, network: MultimodalNetwork, data: Path, loader: Loader) -> None:
    if loader.classes != network.classes:
        pairs = zip_longest(network.classes, loader.classes, fillvalue="none")
        named = "; ".join(f"{a} there, {b} here" for a, b in pairs if a != b)
        raise GreedymmError(f"{checkpoint} was trained on other classes than those of {data}:\n  {named}")
