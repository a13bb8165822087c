"""Weights that others trained -> a branch, whatever classes they were trained for."""

from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from greedymm.errors import GreedymmError
from greedymm.models.network import Branch

COUNTER = "num_batches_tracked"  # of norm layers: files of early releases of torch lack it, and nothing depends on it


def load(branch: Branch, file: Path, name_there: Callable[[str], str], network: str) -> None:
    """Start from the weights in a file. The file's head is not read.

    Of the first layer, a branch for one channel takes the sum
    over the channels: it sees of a gray picture what they would.

    Args:
        branch: its first parameter is the weight of its first layer.
        file: a state_dict.
        name_there: name of a weight of the branch -> its name in the file.
        network: what the file should be of, for the error.

    Raises:
        GreedymmError: if the file is missing or broken, or if it lacks a weight or has it in another shape.
    """
    weights, own = read(file), branch.state_dict()
    first = next(iter(own))
    loaded = {}
    for name, place in own.items():
        theirs = name_there(name)
        if theirs not in weights and name.endswith(COUNTER):
            loaded[name] = place
            continue
        if theirs not in weights:
            raise GreedymmError(f"{file} has no weight '{theirs}': it is not of {network}")
        weight = weights[theirs]
        if name == first and place.shape[1] == 1 and weight.dim() == place.dim():
            weight = weight.sum(dim=1, keepdim=True)
        loaded[name] = _fitting(theirs, weight, place, file)
    branch.load_state_dict(loaded)


def _fitting(theirs: str, weight: Tensor, place: Tensor, file: Path) -> Tensor:
    if weight.numel() == place.numel() and weight.squeeze().shape == place.squeeze().shape:
        return weight.view(place.shape)
    raise GreedymmError(
        f"shape mismatch for '{theirs}': {tuple(weight.shape)} in {file}, {tuple(place.shape)} in a network of these"
        " params; set width to that of the file, and take 1 or 3 channels"
    )


def read(file: Path) -> Mapping[str, Tensor]:
    """Weights of a file, by their names.

    Raises:
        GreedymmError: if it is missing or broken.
    """
    if not file.is_file():
        raise GreedymmError(f"{file.absolute()} is missing: correct `weights` of the branch, or put the file there")
    try:
        weights: dict[str, Tensor] = dict(torch.load(file, map_location="cpu", weights_only=True))
    except Exception as error:  # torch raises anything from EOFError to UnpicklingError
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise GreedymmError(f"{file} is no file of weights, or broken ({reason})") from error
    return weights
