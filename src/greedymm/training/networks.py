"""A network with its training method, and a checkpoint -> the trained network."""

from pathlib import Path
from typing import NamedTuple

import torch

from greedymm import checkpoint
from greedymm.errors import GreedymmError
from greedymm.models.build import build
from greedymm.models.network import MultimodalNetwork
from greedymm.params.plugins import module_of
from greedymm.run import RunSettings
from greedymm.settings import MethodSettings
from greedymm.training.methods.base import Method


def make_method(settings: MethodSettings, network: MultimodalNetwork, generator: torch.Generator) -> Method:
    """Make a training method, and set it up for a network with fresh weights.

    Modules of the method become a part of the network, and so of the optimizer and the checkpoint.

    Raises:
        GreedymmError: if the network lacks a group of parameters, or if a fusion does not support a pass.
    """
    plugin, name = module_of(settings), f"method '{type(settings).__module__.rpartition('.')[2]}'"
    method = plugin.build(settings)
    if not isinstance(method, Method):
        raise GreedymmError(f"{plugin.__file__}: build must return a Method, not {method!r}")
    try:
        network.group(*method.groups(len(network.branches)))
    except GreedymmError as error:
        raise GreedymmError(f"{name}: {error}") from None
    network.require(method.passes(), name)
    for fusion in network.fusions:
        fusion.tracks_means = bool(method.passes() & {"hears", "present"})
    modules = method.setup(network, generator)
    if not network.head.averages and settings.objective == "branch" and len(network.branches) > 1:
        raise GreedymmError(
            f"{name}: with a joint head, objective branch trains shares of its logits, and not the logits themselves;"
            " set `objective: joint` or `multi`"
        )
    if modules is not None:
        network.add_module("method", modules)
    network.decide = method.predict
    return method


class Trained(NamedTuple):
    """Content of a checkpoint beside its weights."""

    settings: RunSettings
    epoch: int  # of the weights, counted from 1
    classes: list[str]
    channels: list[int]  # of the inputs of each modality
    shapes: list[list[int]]  # of one stored sample of each modality


def load_network(
    path: Path, device: torch.device, expected: RunSettings | None = None
) -> tuple[MultimodalNetwork, Trained]:
    """Load the trained network of a run, in evaluation mode.

    Args:
        path: checkpoint.pt in the folder of a run.
        device: device of the network.
        expected: settings that the checkpoint must have; None: any.

    Raises:
        GreedymmError: if the file is missing or broken, or if its settings are not the expected ones.
    """
    state = checkpoint.load(path, device, expected.model_dump(mode="json") if expected else None)
    if missing := {"best", "classes", "channels", "shapes"} - state.keys():
        raise GreedymmError(f"{path} lacks {', '.join(sorted(missing))}: give the checkpoint.pt of a trained run")
    try:
        settings = RunSettings.model_validate(state["settings"])
    except ValueError as error:
        raise GreedymmError(f"{path} has settings that this version does not support:\n  {error}") from error
    branches = [branch.untrained() for branch in settings.branches]
    trained = Trained(settings, state["best"]["epoch"], state["classes"], state["channels"], state["shapes"])
    parts = settings.fusion, settings.fuse_after, settings.head, trained.channels, len(trained.classes)
    with torch.random.fork_rng():  # loading does not change torch's default generator
        network = build(branches, *parts).to(device)
        make_method(settings.method_settings, network, torch.Generator())  # its modules and its decision rule
    network.load_state_dict(state["best"]["model"])
    network.modalities, network.classes = settings.modalities, tuple(trained.classes)
    return network.eval(), trained
