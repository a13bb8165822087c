"""Pretrained weights in a file -> a branch."""

from collections.abc import Callable
from pathlib import Path

import torch

from greedymm.checkpoint import read_file
from greedymm.errors import GreedymmError
from greedymm.models.network import Branch

COUNTER = "num_batches_tracked"  # of norm layers: missing in files of early releases of torch, and without effect


def load(branch: Branch, file: Path, name_in_file: Callable[[str], str], network: str) -> None:
    """Replace the weights of a branch by those in a file. The weights of the file's head are ignored.

    If the branch has one input channel, the first layer's weights are summed over the channels. A gray image then
    gives the same features as its copy in all channels.

    Args:
        branch: its first parameter is the weight of its first layer.
        file: a state_dict.
        name_in_file: maps the name of a weight of the branch to its name in the file.
        network: the expected network, for error messages.

    Raises:
        GreedymmError: if the file is missing or broken, or if a weight is missing or has another shape.
    """
    weights = read_file(
        file, torch.device("cpu"), "file of weights", "put it there, or correct `weights` of the branch"
    )
    parameters = branch.state_dict()
    first, loaded = next(iter(parameters)), {}
    for name, own in parameters.items():
        key = name_in_file(name)
        weight = weights.get(key, own if name.endswith(COUNTER) else None)
        if weight is None:
            raise GreedymmError(f"{file} has no weight '{key}': it is not of {network}")
        if name == first and own.shape[1] == 1 and weight.dim() == own.dim():
            weight = weight.sum(dim=1, keepdim=True)
        if weight.squeeze().shape != own.squeeze().shape:
            raise GreedymmError(
                f"shape mismatch for '{key}': {tuple(weight.shape)} in {file}, {tuple(own.shape)} in a network of"
                " these params; set width to that of the file, and use 1 or 3 channels"
            )
        loaded[name] = weight.reshape(own.shape)
    branch.load_state_dict(loaded)
