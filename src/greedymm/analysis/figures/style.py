"""What all figures share: a style for each method, axes with a row for each method, and how a figure is written."""

from collections.abc import Iterable, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from greedymm.files import atomic_write

# Inches. Text in a wider figure is too small on a page.
WIDEST, TALLEST, ROW = 9.0, 14.0, 0.24
MOST_LINES = 6  # methods in one panel
GRAY = "#D0D0D0"  # of other methods, for comparison

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
        "svg.hashsalt": "greedymm",  # the same names inside the same SVG file
    }
)


class Style(NamedTuple):
    """How a method is drawn."""

    color: str
    marker: str
    filled: bool = True

    @property
    def line(self) -> dict[str, Any]:
        """Options of a line with markers."""
        return {"color": self.color, "marker": self.marker, "markerfacecolor": self.color if self.filled else "white"}


# Colors of Okabe and Ito (2008), which color-blind readers can distinguish.
METHODS = {"greedy": Style("#D55E00", "o"), "balanced": Style("#0072B2", "s"), "random": Style("#009E73", "D")}
UNIMODAL = (Style("#CC79A7", "^"), Style("#E69F00", "v"), Style("#999999", "<"), Style("#332288", ">"))  # m0 first
OTHER_COLORS = ("#000000", "#56B4E9", "#882255", "#E69F00", "#117733", "#CC79A7", "#0072B2", "#D55E00")
OTHER_MARKERS = ("P", "X", "*", "p", "h", "d", "8")
OPEN_MARKERS = ("o", "s", "D", "^", "v", *OTHER_MARKERS, "<", ">")
OTHER_SHAPES = (*((m, True) for m in OTHER_MARKERS), *((m, False) for m in OPEN_MARKERS))


def styles(methods: Iterable[str], every: Iterable[str] = ()) -> dict[str, Style]:
    """A style for each method.

    Up to 24 methods and 4 references differ in marker or fill. More differ in color, marker or fill.

    Args:
        methods: of one dataset.
        every: methods of all datasets, so that a method has the same style on each of them.
    """
    names = list(dict.fromkeys(methods))
    others = [m for m in dict.fromkeys([*every, *names]) if m not in METHODS and not is_unimodal(m)]
    # 8 colors and 21 shapes have no common divisor, so a pair comes again only after 168 methods.
    pairs = zip(others, cycle(OTHER_COLORS), cycle(OTHER_SHAPES), strict=False)
    known = METHODS | {method: Style(color, *shape) for method, color, shape in pairs}
    references = cycle(UNIMODAL)
    return {m: next(references) if is_unimodal(m) else known[m] for m in names}


def is_unimodal(method: str) -> bool:
    """Whether a method is a unimodal reference."""
    return method.startswith("unimodal_")


def label(method: str) -> str:
    """Name of a method in text."""
    return f"{method.removeprefix('unimodal_')} alone" if is_unimodal(method) else method


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG and as SVG beside it, the same bytes for the same content, and close it."""
    # The layout is computed once for both files. It takes longer than the drawing.
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    box = figure.get_tightbbox().padded(plt.rcParams["savefig.pad_inches"])
    for suffix, metadata in ((".png", {"Software": None}), (".svg", {"Date": None})):
        with atomic_write(path.with_suffix(suffix)) as tmp:
            figure.savefig(tmp, format=suffix[1:], metadata=metadata, bbox_inches=box)
    plt.close(figure)


def grid(count: int, width: float, height: float, **options: Any) -> tuple[Figure, list[Axes]]:
    """Panels of one size in inches, as many in a row as fit the page."""
    rows = -(-count // round(WIDEST / width - 0.3))
    columns = -(-count // rows)  # so that all rows have about as many
    size = (columns * width, rows * height)
    figure, axes = plt.subplots(rows, columns, figsize=size, squeeze=False, layout="constrained", **options)
    for ax in axes.flat[count:]:
        ax.set_axis_off()
    panels = list(axes.flat[:count])
    for ax in panels[-columns:]:  # with a shared axis, only panels of the last row have its numbers
        ax.tick_params(labelbottom=True)
    return figure, panels


def method_rows(methods: Sequence[str], columns: int, title: str) -> tuple[Figure, list[Axes]]:
    """Panels beside each other with a row for each method."""
    size = (WIDEST, 1.1 + max(1.4, ROW * len(methods)))
    figure, axes = plt.subplots(1, columns, figsize=size, squeeze=False, sharey=True, layout="constrained")
    label_rows(axes[0, 0], methods)
    figure.suptitle(title)
    return figure, list(axes[0])


def label_rows(ax: Axes, methods: Iterable[str]) -> None:
    """Name the rows of a panel, from the top."""
    names = [label(method) for method in methods]
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(len(names) - 0.4, -0.6)


def draw_interval(ax: Axes, y: float, summary: pd.DataFrame, key: tuple[str, str, str], style: Style) -> None:
    """Draw a mean and its interval in a row. Accuracies are in percent.

    Args:
        ax: panel.
        y: position of the row.
        summary: as `summary_table` returns it.
        key: dataset, method and measure. Nothing is drawn where the summary lacks them.
        style: of the marker.
    """
    rows = summary[(summary[["dataset", "method", "measure"]] == list(key)).all(axis=1)]
    values = rows[["mean", "low", "high"]].to_numpy(float) * (100 if "accuracy" in key[2] else 1)
    for mean, low, high in values:
        error = None if np.isnan(low) else [[mean - low], [high - mean]]
        ax.errorbar(mean, y, xerr=error, capsize=2, markersize=5, elinewidth=1, linestyle="", **style.line)
