"""Greedy training: every step is regular. The baseline of Wu et al., ICML 2022."""

from greedymm.settings import MethodSettings
from greedymm.training.methods.base import Method


class Settings(MethodSettings):
    """Method `greedy`: every step is regular."""


def build(settings: Settings) -> Method:
    """Build the method: all hooks at their defaults."""
    return Method(settings)
