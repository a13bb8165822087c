"""The public functions of the library. Torch is imported on first use.

`list_datasets()`, `list_branches()`, `list_fusions()`, `list_heads()`, `list_methods()` and `list_measures()` return
the names of the plug-ins of one kind: those of the project and those of installed packages.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from greedymm.params.plugins import KINDS, names_of, settings_class

if TYPE_CHECKING:
    import torch

    from greedymm.models.network import MultimodalNetwork
    from greedymm.training.methods.base import Method

list_datasets, list_branches, list_fusions, list_heads, list_methods, list_measures = (
    partial(names_of, kind) for kind in KINDS
)


def create_method(
    name: str, network: MultimodalNetwork, generator: torch.Generator | None = None, **settings: Any
) -> Method:
    """Create a training method for a network.

    Args:
        name: one of `list_methods()`.
        network: with fresh weights. The method can add modules to it, so make the optimizer afterwards.
        generator: the method's random generator, on the CPU; None: a generator with seed 0.
        settings: of the method, as in params.yaml.

    Raises:
        ValueError: if there is no such method, or if a setting is not valid.
        GreedymmError: if the method does not fit the network.
    """
    import torch

    from greedymm.training.networks import make_method

    generator = generator or torch.Generator().manual_seed(0)
    return make_method(settings_class("method", name)(**settings), network, generator)


def load(path: Path | str, device: torch.device | str = "cpu") -> MultimodalNetwork:
    """Load the trained network of a run.

    Args:
        path: checkpoint.pt in the folder of a run.
        device: of the network.

    Returns:
        The network in evaluation mode, with the names of its `modalities` and `classes`. It maps a list of float
        tensors (B, C, *s), one for each modality, scaled as the run's setting `inputs` says, to an `Output`.

    Raises:
        GreedymmError: if the file is missing or broken, or if this version does not support its settings.
    """
    import torch

    from greedymm.training.networks import load_network

    return load_network(Path(path), torch.device(device))[0]
