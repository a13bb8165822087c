"""Tables and samples -> figures, the same bytes for the same content."""

from greedymm.analysis.figures.examples import samples, uniquely_correct
from greedymm.analysis.figures.results import accuracy, confusion, costs, measures, proxy, utilization
from greedymm.analysis.figures.style import label, nothing, save, styles
from greedymm.analysis.figures.training import branches, d_speed, run_curves, steps

__all__ = [
    "accuracy",
    "branches",
    "confusion",
    "costs",
    "d_speed",
    "label",
    "measures",
    "nothing",
    "proxy",
    "run_curves",
    "samples",
    "save",
    "steps",
    "styles",
    "uniquely_correct",
    "utilization",
]
