"""Greedy multi-modal learning: measure it, see it coming, train against it (Wu et al., ICML 2022)."""

__version__ = "0.1.0"
