"""What all figures share: their look, a colour for each method, and how they are written."""

from collections.abc import Iterable
from itertools import cycle
from pathlib import Path
from typing import NamedTuple

import matplotlib as mpl
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from greedymm.files import whole

WIDEST = 9.0  # inches: wider, and its print is too small on a page

mpl.use("Agg")
mpl.rcParams.update(
    {
        "figure.dpi": 150,
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


class Look(NamedTuple):
    """How a method is drawn: told apart by colour, and by marker where there is none."""

    colour: str
    marker: str


# Okabe and Ito 2008: told apart by colour-blind readers. The same look for the same method in every figure of a report.
METHODS = {"greedy": Look("#D55E00", "o"), "balanced": Look("#0072B2", "s"), "random": Look("#009E73", "D")}
# Unimodal references, in the order of their runs: m0 first.
ALONE = (Look("#CC79A7", "^"), Look("#E69F00", "v"), Look("#999999", "<"), Look("#332288", ">"))
# Behind the lines of methods.
SHADES = ("#F0E442", "#B0B0B0", "#C0D8A0")
OTHERS = (Look("#000000", "P"), Look("#56B4E9", "X"), Look("#882255", "*"))


def looks(methods: Iterable[str], every: Iterable[str] = ()) -> dict[str, Look]:
    """A look for each method.

    Args:
        methods: of one dataset.
        every: those of all datasets, so that a method that not all of them have looks the same on each.
    """
    own = list(dict.fromkeys(methods))
    alone, others = cycle(ALONE), cycle(OTHERS)
    known = METHODS | {m: next(others) for m in dict.fromkeys([*every, *own]) if m not in METHODS and not _alone(m)}
    return {m: next(alone) if _alone(m) else known[m] for m in own}


def looks_of(table: pd.DataFrame, dataset: str) -> dict[str, Look]:
    """A look for each method that a dataset has in a table: columns dataset and method."""
    return looks(table.loc[table["dataset"] == dataset, "method"], table["method"])


def _alone(method: str) -> bool:
    return method.startswith("unimodal_")


def label(method: str) -> str:
    """Name of a method, as a reader would write it."""
    return f"{method.removeprefix('unimodal_')} alone" if _alone(method) else method


def nothing(title: str) -> Figure:
    """Stands for a figure of which there is nothing to show."""
    figure, ax = plt.subplots(figsize=(4, 1))
    ax.set_axis_off()
    ax.text(0.5, 0.5, "no run can be used", ha="center", va="center")
    ax.set_title(title)
    return figure


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, and as SVG beside it, and close it."""
    # Laid out and measured once for both files: by itself each would do it twice, which takes longer than the drawing.
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    box = figure.get_tightbbox().padded(plt.rcParams["savefig.pad_inches"])
    for suffix, metadata in ((".png", {"Software": None}), (".svg", {"Date": None})):
        with whole(path.with_suffix(suffix)) as beside:
            figure.savefig(beside, format=suffix[1:], metadata=metadata, bbox_inches=box)
    plt.close(figure)


def with_measure(summary: pd.DataFrame, dataset: str, measure: str) -> list[str]:
    """Methods for which a dataset has a measure: not the unimodal references, where it takes several modalities."""
    return list(summary.loc[(summary["dataset"] == dataset) & (summary["measure"] == measure), "method"].unique())
