"""Pretrained weights in a file -> a branch."""

from collections.abc import Callable
from pathlib import Path

import torch

from greedymm.checkpoint import read_file
from greedymm.errors import GreedymmError
from greedymm.files import in_project
from greedymm.models.network import Branch


def load(branch: Branch, file: Path | str, name_in_file: Callable[[str], str], network: str) -> None:
    """Replace the weights of a branch by those in a file, a state_dict. The file's other weights are ignored.

    If the branch has one input channel, the weights of its first layer, which is its first parameter, are summed over
    the channels. A gray image then gives the same features as its copy in all channels.

    Raises:
        GreedymmError: if the file is missing or broken, or if a weight is missing or has another shape. The message
            names the expected `network`.
    """
    cure = "put it there, or correct `weights` of the branch"
    weights = read_file(in_project(Path(file)), torch.device("cpu"), "file of weights", cure)
    loaded = branch.state_dict()
    first = next(iter(loaded))
    for name, own in branch.state_dict().items():
        key = name_in_file(name)
        if key in weights:
            weight = weights[key]
        elif name.endswith("num_batches_tracked"):  # missing in files of early releases of torch, and without effect
            continue
        else:
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
