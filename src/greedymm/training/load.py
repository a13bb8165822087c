"""A checkpoint -> the network in it, ready to use."""

from pathlib import Path
from typing import Any

import torch

from greedymm import checkpoint
from greedymm.errors import GreedymmError
from greedymm.models.build import build
from greedymm.models.network import MultimodalNetwork
from greedymm.run import RunSettings
from greedymm.training.fit import make_method

PARTS = {"best", "classes", "channels", "shapes"}


def load(path: Path | str, device: torch.device | str = "cpu") -> MultimodalNetwork:
    """The trained network of a run.

    Args:
        path: checkpoint.pt in the folder of a run.
        device: where the network is wanted.

    Returns:
        The network in evaluation mode, with the names of its `modalities` and `classes`. It takes a list of float
        tensors (B, C, *s), one for each modality, scaled as the run's setting `inputs` says, and gives an `Output`.

    Raises:
        GreedymmError: if the file is missing or broken, or of settings that this version does not know.
    """
    return rebuilt(*read(Path(path), torch.device(device)), torch.device(device))


def read(path: Path, device: torch.device) -> tuple[RunSettings, dict[str, Any]]:
    """Settings of a run, and the content of its checkpoint.

    Raises:
        GreedymmError: if the file is missing or broken, or of settings that this version does not know.
    """
    state, saved = checkpoint.read(path, device)
    if missing := PARTS - state.keys():
        raise GreedymmError(f"{path} lacks {', '.join(sorted(missing))}: give the checkpoint.pt of a trained run")
    try:
        return RunSettings.model_validate(saved), state
    except ValueError as error:
        raise GreedymmError(f"{path} is of settings that this version does not know:\n  {error}") from error


def rebuilt(settings: RunSettings, state: dict[str, Any], device: torch.device) -> MultimodalNetwork:
    """The network of a checkpoint, in evaluation mode."""
    branches = [branch.untrained() for branch in settings.branches]
    channels, classes = state["channels"], state["classes"]
    with torch.random.fork_rng():  # whoever loads a network keeps the random stream
        network = build(branches, settings.fusion, settings.fuse_after, settings.head, channels, len(classes))
        network = network.to(device)
        make_method(settings.method_settings, network, torch.Generator())  # its modules, and its decision rule
    network.load_state_dict(state["best"]["model"])
    network.modalities, network.classes = settings.modalities, tuple(classes)
    return network.eval()
