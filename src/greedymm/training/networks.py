"""A network with its training method, and a checkpoint -> the trained network."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError

from greedymm import checkpoint
from greedymm.errors import GreedymmError, lacks_memory
from greedymm.models.build import build
from greedymm.models.network import MultimodalNetwork
from greedymm.params.plugins import module_of
from greedymm.params.schema import error_lines
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
    method.check_network(network, name)
    for fusion in network.fusions:
        fusion.tracks_means = bool(method.passes() & {"hears", "present"})
    modules = method.setup(network, generator)
    if network.head.joint and settings.objective == "branch" and len(network.branches) > 1:
        raise GreedymmError(
            f"{name}: with a joint head, objective branch trains the branches' logits, and not those of the network;"
            " set `objective: joint` or `multi`"
        )
    if modules is not None:
        network.add_module("method", modules)
    network.decide = method.predict
    return method


def new_network(
    settings: RunSettings,
    channels: Sequence[int],
    classes: int,
    device: torch.device,
    generator: torch.Generator | None = None,
) -> tuple[MultimodalNetwork, Method]:
    """Build the network of a run, with weights from torch's default generator, and make its method.

    `generator` is that of the method. None: the network is not for training, and files of initial weights are not read.
    """
    branches = [branch.untrained() for branch in settings.branches] if generator is None else settings.branches
    network = build(branches, settings.fusion, settings.fuse_after, settings.head, channels, classes).to(device)
    network.modalities = settings.modalities
    return network, make_method(settings.method_settings, network, generator or torch.Generator())


def load_network(
    path: Path, device: torch.device, expected: RunSettings | None = None
) -> tuple[MultimodalNetwork, RunSettings, dict[str, Any]]:
    """Load the trained network of a run.

    Args:
        path: checkpoint.pt in the folder of the run.
        device: of the network.
        expected: settings that the checkpoint must have; None: any.

    Returns:
        The network in evaluation mode, the settings of the run, and the content of the checkpoint: `best` with the
        `epoch` of the weights; for each modality `channels` of the input and `shapes` of a stored sample.

    Raises:
        GreedymmError: if the file is missing or broken, or if its settings are not the expected ones.
    """
    state = checkpoint.load(path, device, expected.model_dump(mode="json") if expected else None)
    if missing := {"best", "classes", "channels", "shapes"} - state.keys():
        raise GreedymmError(f"{path} lacks {', '.join(sorted(missing))}: give the checkpoint.pt of a trained run")
    try:
        settings = RunSettings.model_validate(state["settings"])
    except ValidationError as error:
        lines = "\n".join(error_lines(error))
        raise GreedymmError(f"{path} has settings that this version does not support:\n{lines}") from error
    try:
        with torch.random.fork_rng():  # loading does not change torch's default generator
            network, _ = new_network(settings, state["channels"], len(state["classes"]), device)
        network.load_state_dict(state["best"]["model"])
        network.classes = tuple(state["classes"])
        state["shapes"] = [tuple(shape) for _, shape in zip(settings.stored, state["shapes"], strict=True)]
    except (AttributeError, KeyError, RuntimeError, TypeError, ValueError) as error:
        if lacks_memory(error):
            raise
        reason = " ".join(str(error).split())[:200]
        raise GreedymmError(
            f"{path} does not fit the network of its settings ({reason}).\n"
            "  It is of another version, or changed. Use the version that trained it, or train the run again."
        ) from error
    return network.eval(), settings, state
