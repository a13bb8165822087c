"""Tables and samples -> figures, the same bytes for the same content."""

from greedymm.analysis.figures.examples import samples
from greedymm.analysis.figures.results import accuracy, confusion, proxy, utilization
from greedymm.analysis.figures.style import colours, label, save
from greedymm.analysis.figures.training import branches, d_speed, run_curves

__all__ = [
    "accuracy",
    "branches",
    "colours",
    "confusion",
    "d_speed",
    "label",
    "proxy",
    "run_curves",
    "samples",
    "save",
    "utilization",
]
