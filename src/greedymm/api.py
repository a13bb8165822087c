"""What a user of the library calls: names of plug-ins, and methods for a network. No torch until needed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from greedymm.params.plugins import names_of, settings_class
from greedymm.settings import MethodSettings

if TYPE_CHECKING:
    import torch

    from greedymm.models.network import MultimodalNetwork
    from greedymm.training.methods.base import Method


def list_datasets() -> list[str]:
    """Names of the datasets: the project's own, and those of installed packages."""
    return names_of("dataset")


def list_branches() -> list[str]:
    """Names of the branches."""
    return names_of("branch")


def list_fusions() -> list[str]:
    """Names of the fusions."""
    return names_of("fusion")


def list_heads() -> list[str]:
    """Names of the heads."""
    return names_of("head")


def list_methods() -> list[str]:
    """Names of the training methods.

    Example:
        >>> import greedymm
        >>> [name for name in greedymm.list_methods() if name in ("balanced", "greedy", "random")]
        ['balanced', 'greedy', 'random']
    """
    return names_of("method")


def list_measures() -> list[str]:
    """Names of the measures of how modalities are used."""
    return names_of("measure")


def create_method(
    name: str, network: MultimodalNetwork, generator: torch.Generator | None = None, **settings: Any
) -> Method:
    """A training method for a network.

    Args:
        name: one of `list_methods()`.
        network: with fresh weights. Modules of the method's own become a part of it, so make the optimizer afterwards.
        generator: the method's random stream, on the CPU; None: one with seed 0.
        settings: of the method, as in params.yaml.

    Raises:
        ValueError: if there is no such method, or if a setting is not valid.
        GreedymmError: if the method does not fit the network.
    """
    import torch

    from greedymm.training.fit import make_method

    own = settings_class("method", name)(**settings)
    assert isinstance(own, MethodSettings)
    return make_method(own, network, generator or torch.Generator().manual_seed(0))
