"""Greedy multi-modal learning: measure it, see it coming, train against it (Wu et al., ICML 2022)."""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

# Where each public name stands. It is imported when it is first used: some need torch, which takes seconds.
_PUBLIC = {
    "create_method": "greedymm.api",
    "list_branches": "greedymm.api",
    "list_datasets": "greedymm.api",
    "list_fusions": "greedymm.api",
    "list_heads": "greedymm.api",
    "list_measures": "greedymm.api",
    "list_methods": "greedymm.api",
    "load": "greedymm.training.load",
}
__all__ = ["__version__", *_PUBLIC]  # noqa: PLE0604


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'greedymm' has no attribute '{name}'")
    return getattr(import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return __all__
