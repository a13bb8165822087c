"""A checkpoint + a dataset's file -> predictions of a split; and the network that a run trained."""

from itertools import zip_longest
from pathlib import Path

import torch
from torch import Tensor, nn

from greedymm import checkpoint as states
from greedymm.data import batches, inputs
from greedymm.data.hdf5 import DataFile
from greedymm.device import prepare
from greedymm.errors import GreedymmError
from greedymm.evaluation.predictions import probabilities
from greedymm.files import atomic_write
from greedymm.models.network import MultimodalNetwork
from greedymm.run import Run
from greedymm.settings import Execution
from greedymm.training.load import read, rebuilt


def predict(checkpoint: Path, data: Path, split: str, output: Path) -> None:
    """Write what a trained network predicts of a split: its mean and each branch, with probabilities, as CSV."""
    if output.is_dir():  # before the work
        raise GreedymmError(f"{output} is a folder; name a file in it")
    execution = Execution()
    device = prepare(execution.device, execution.threads)
    settings, state = read(checkpoint, device)
    with DataFile(data) as file:
        channels = inputs.channels(file.channels(settings.stored), settings.inputs)
        classes, samples = file.facts.classes, file.known(split)
    if list(classes) != state["classes"]:
        pairs = zip_longest(state["classes"], classes, fillvalue="none")
        named = "; ".join(f"{a} there, {b} here" for a, b in pairs if a != b)
        raise GreedymmError(f"{checkpoint} was trained on other classes than those of {data}:\n  {named}")
    if channels != state["channels"]:
        raise GreedymmError(
            f"{checkpoint} was trained on data of another form than {data}: {state['channels']} channels of"
            f" {', '.join(settings.modalities)}, not {channels}"
        )
    network = rebuilt(settings, state, device)
    size = batches.evaluation_size(data, settings.stored)
    load = batches.loader(data, settings.stored, size, device, execution, settings.inputs)
    frame = probabilities(network, load(split), samples, settings.modalities, classes)
    with atomic_write(output) as beside:
        frame.to_csv(beside, index=False, float_format="%.6g")


class Logits(nn.Module):
    """A network that gives plain tensors, as a graph must that is loaded without this project.

    Args:
        network: of M branches.
    """

    def __init__(self, network: MultimodalNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, inputs: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Logits (B, classes) of the network, and of each branch."""
        output = self.network(inputs)
        return output.logits, output.branches


def trained(run: Run) -> tuple[Logits, list[Tensor]]:
    """A run's trained network on the CPU, and inputs of the form that it takes: two blank samples of each modality."""
    settings, device = run.settings, torch.device("cpu")
    state = states.load(run.folder / "checkpoint.pt", settings.model_dump(mode="json"), device)
    blank = [torch.zeros(2, *shape, dtype=torch.uint8) for shape in state["shapes"]]
    shown = inputs.Shown(settings.inputs, len(blank), device).show(blank, flip=None, places=[None, None])
    scaling = inputs.Scaling(settings.inputs, device)
    return Logits(rebuilt(settings, state, device)).eval(), [scaling(x) for x in shown]
