"""Greedy multi-modal learning: measure it, predict it, train against it (Wu et al., ICML 2022)."""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"
__all__ = ["create_method", "list_branches", "list_datasets", "list_fusions", "list_heads"]
__all__ += ["list_measures", "list_methods", "load"]


def __getattr__(name: str) -> Any:
    """Import the public functions on first use: some need torch, whose import takes seconds."""
    if name not in __all__:
        raise AttributeError(f"module 'greedymm' has no attribute '{name}'")
    return getattr(import_module("greedymm.api"), name)


def __dir__() -> list[str]:
    return __all__
