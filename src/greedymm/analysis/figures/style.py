"""What all figures share: their look, a colour for each method, and how they are written."""

from collections.abc import Sequence
from itertools import cycle
from pathlib import Path

import matplotlib as mpl
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from greedymm.files import whole

mpl.use("Agg")
mpl.rcParams.update(
    {
        "figure.dpi": 150,
        "savefig.bbox": "tight",
        "font.size": 9,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.alpha": 0.3,
        "legend.frameon": False,
        "svg.hashsalt": "greedymm",  # or the names within a file would change from time to time
    }
)

# Okabe and Ito 2008: told apart by colour-blind readers. The same colour for the same method in every figure.
METHOD_COLOURS = {"greedy": "#D55E00", "balanced": "#0072B2", "random": "#009E73"}
OTHER_COLOURS = ("#CC79A7", "#E69F00", "#56B4E9", "#000000")


def colours(methods: Sequence[str]) -> dict[str, str]:
    """A colour for each method."""
    others = cycle(OTHER_COLOURS)
    return {m: METHOD_COLOURS.get(m) or next(others) for m in methods}


def label(method: str) -> str:
    """Name of a method, as a reader would write it."""
    return f"{method.removeprefix('unimodal_')} alone" if method.startswith("unimodal_") else method


def nothing(title: str) -> Figure:
    """Stands for a figure of which there is nothing to show."""
    figure, ax = plt.subplots(figsize=(4, 1))
    ax.set_axis_off()
    ax.text(0.5, 0.5, "no run can be used", ha="center", va="center")
    ax.set_title(title)
    return figure


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, and as SVG beside it, and close it."""
    with whole(path) as beside:
        figure.savefig(beside, format="png", metadata={"Software": None})
    with whole(path.with_suffix(".svg")) as beside:
        figure.savefig(beside, format="svg", metadata={"Date": None})
    plt.close(figure)


def with_measure(summary: pd.DataFrame, dataset: str, measure: str) -> list[str]:
    """Methods for which a dataset has a measure: not the unimodal references, where it takes several modalities."""
    return list(summary.loc[(summary["dataset"] == dataset) & (summary["measure"] == measure), "method"].unique())
