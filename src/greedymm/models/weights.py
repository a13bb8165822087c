"""Pretrained weights in a file -> a branch."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from greedymm.checkpoint import read_file
from greedymm.errors import GreedymmError
from greedymm.files import in_project
from greedymm.models.network import Branch

KIND = "file of weights such as torch.save(model.state_dict(), FILE) writes"
CONVERT = (
    "Write such a file with the program that made this one, or download it again."
    " One of safetensors: torch.save(safetensors.torch.load_file(FILE), NEW)"
)


def load(branch: Branch, file: Path | str, name_in_file: Callable[[str], str], network: str) -> None:
    """Replace the weights of a branch by those in a file, a state_dict. The file's other weights are ignored.

    The state_dict may be an entry of a checkpoint, and its names may have a prefix, as `module.` of DataParallel. If
    the branch has one input channel, the weights of its first layer, which is its first parameter, are summed over the
    channels. A gray image then gives the same features as its copy in all channels.

    Raises:
        GreedymmError: if the file is missing or broken, or if a weight is missing or has another shape. The message
            names the expected `network`.
    """
    cure = "put it there, or correct `weights` of the branch"
    loaded = branch.state_dict()
    # Missing in files of early releases of torch, and without effect.
    needed = {name: name_in_file(name) for name in loaded if not name.endswith("num_batches_tracked")}
    found = read_file(in_project(Path(file)), torch.device("cpu"), KIND, cure, CONVERT)
    weights = _find_weights(found, list(needed.values()), file, network)
    first = next(iter(loaded))
    for name, key in needed.items():
        own, weight = loaded[name], weights[key]
        if weight.layout != torch.strided or weight.is_meta or not weight.is_floating_point():
            raise GreedymmError(f"'{key}' in {file} is no dense tensor of floats ({weight.dtype}); convert it")
        if not weight.float().isfinite().all():
            raise GreedymmError(f"'{key}' in {file} has numbers that are not finite; use another file")
        if name == first and own.shape[1] == 1 and weight.dim() == own.dim():
            weight = weight.sum(dim=1, keepdim=True)
        if weight.squeeze().shape != own.squeeze().shape:
            raise GreedymmError(
                f"shape mismatch for '{key}': {tuple(weight.shape)} in {file}, {tuple(own.shape)} in a network of"
                " these params; set width to that of the file, and use 1 or 3 channels"
            )
        loaded[name] = weight.reshape(own.shape)
    branch.load_state_dict(loaded)


def _find_weights(content: dict[str, Any], keys: Sequence[str], file: Path | str, network: str) -> dict[str, Tensor]:
    """The weights of a file by the names in `keys`, wherever the file has them and whatever precedes the names."""
    choices, deeper = {}, None
    for place, state in _state_dicts(content).items():
        last = max(keys, key=len)
        for prefix in sorted(name.removesuffix(last) for name in state if name.endswith(last)):
            if all(prefix + key in state for key in keys):
                names = {name.removeprefix(prefix) for name in state if name.startswith(prefix)}
                if more := _deeper(names, keys):
                    deeper = more
                else:
                    choices[f"{place}{prefix}"] = {key: state[prefix + key] for key in keys}
    if len(choices) == 1:
        return choices.popitem()[1]
    if choices:
        raise GreedymmError(
            f"{file} has several networks, at: {', '.join(choices)}; store one of them in a file of its own"
        )
    if deeper:
        raise GreedymmError(f"{file} has more layers, as '{deeper}': it is not of {network}")
    best = max(_state_dicts(content).values(), key=lambda state: sum(key in state for key in keys))
    missing = next(key for key in keys if key not in best)
    raise GreedymmError(f"{file} has no weight '{missing}': it is not of {network}")


def _deeper(names: set[str], keys: Sequence[str]) -> str | None:
    """A weight of a further layer like those of the network, as of ResNet-34 beside ResNet-18; None: there is none."""
    forms = {re.sub("[0-9]+", "0", key) for key in keys}
    return min((name for name in names.difference(keys) if re.sub("[0-9]+", "0", name) in forms), default=None)


def _state_dicts(content: dict[str, Any]) -> dict[str, dict[str, Tensor]]:
    """All tensors of a nested dict: keys of the dicts around them -> name -> tensor."""
    found = {
        "": {name: value for name, value in content.items() if isinstance(name, str) and isinstance(value, Tensor)}
    }
    for name, value in content.items():
        if isinstance(value, dict):
            found |= {f"{name}: {place}": state for place, state in _state_dicts(value).items()}
    return found
