"""What all figures share: a style for each method, rows and panels of methods, and how they are written."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from greedymm.files import atomic_write

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


class Style(NamedTuple):
    """How a method is drawn: no two methods of a report have the same marker and fill, or color, marker and fill."""

    color: str
    marker: str
    filled: bool = True

    @property
    def line(self) -> dict[str, Any]:
        """Options of a line with markers."""
        face = self.color if self.filled else "white"
        return {"color": self.color, "marker": self.marker, "markerfacecolor": face}


# Okabe and Ito 2008: told apart by color-blind readers. The same style for the same method in every figure of a report.
METHODS = {"greedy": Style("#D55E00", "o"), "balanced": Style("#0072B2", "s"), "random": Style("#009E73", "D")}
# Unimodal references, in the order of their runs: m0 first.
ALONE = (Style("#CC79A7", "^"), Style("#E69F00", "v"), Style("#999999", "<"), Style("#332288", ">"))
# Behind the lines of methods.
SHADES = ("#F0E442", "#B0B0B0", "#C0D8A0")
OTHERS_COLORS = ("#000000", "#56B4E9", "#882255", "#E69F00", "#117733", "#CC79A7", "#0072B2", "#D55E00")
OTHERS_MARKERS = ("P", "X", "*", "p", "h", "d", "8")
# Filled ones first; then open ones, also of the markers above.
OPEN_MARKERS = ("o", "s", "D", "^", "v", *OTHERS_MARKERS, "<", ">")
OTHERS = (*((m, True) for m in OTHERS_MARKERS), *((m, False) for m in OPEN_MARKERS))


def styles(methods: Iterable[str], every: Iterable[str] = ()) -> dict[str, Style]:
    """A style for each method.

    Args:
        methods: of one dataset.
        every: those of all datasets, so that a method that not all of them have looks the same on each.
    """
    own = list(dict.fromkeys(methods))
    others = [m for m in dict.fromkeys([*every, *own]) if m not in METHODS and not _alone(m)]
    looks = zip(cycle(OTHERS_COLORS), cycle(OTHERS), strict=False)  # of 8 and 21, which have no common divisor
    drawn = {m: Style(color, *marker) for m, (color, marker) in zip(others, looks, strict=False)}
    alone = cycle(ALONE)
    return {m: next(alone) if _alone(m) else (METHODS | drawn)[m] for m in own}


def styles_of(table: pd.DataFrame, dataset: str) -> dict[str, Style]:
    """A style for each method that a dataset has in a table: columns dataset and method."""
    return styles(table.loc[table["dataset"] == dataset, "method"], table["method"])


def _alone(method: str) -> bool:
    return method.startswith("unimodal_")


def label(method: str) -> str:
    """Name of a method, as a reader would write it."""
    return f"{method.removeprefix('unimodal_')} alone" if _alone(method) else method


def nothing(title: str, text: str = "no run can be used") -> Figure:
    """Figure of a title and one line, in place of one without data."""
    figure, ax = plt.subplots(figsize=(4, 1))
    ax.set_axis_off()
    ax.text(0.5, 0.5, text, ha="center", va="center")
    ax.set_title(title)
    return figure


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, and as SVG beside it, and close it."""
    # Laid out and measured once for both files: by itself each would do it twice, which takes longer than the drawing.
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    box = figure.get_tightbbox().padded(plt.rcParams["savefig.pad_inches"])
    for suffix, metadata in ((".png", {"Software": None}), (".svg", {"Date": None})):
        with atomic_write(path.with_suffix(suffix)) as beside:
            figure.savefig(beside, format=suffix[1:], metadata=metadata, bbox_inches=box)
    plt.close(figure)


# -- Rows: one for each method ------------------------------------------------------------------------------

ROW = 0.24  # inches
TALLEST = 14.0  # inches of a figure


def rows(methods: Sequence[str], columns: int, title: str) -> tuple[Figure, list[Axes]]:
    """Axes beside each other with a row for each method, its name on the left."""
    size = (WIDEST, 1.1 + max(1.4, ROW * len(methods)))
    figure, axes = plt.subplots(1, columns, figsize=size, squeeze=False, sharey=True, layout="constrained")
    label_rows(axes[0, 0], methods)
    figure.suptitle(title)
    return figure, list(axes[0])


def label_rows(ax: Axes, methods: Sequence[str]) -> None:
    """Name the rows of axes, from the top."""
    ax.set_yticks(range(len(methods)), [label(m) for m in methods])
    ax.set_ylim(len(methods) - 0.4, -0.6)


def draw_interval(ax: Axes, y: float, estimate: pd.DataFrame, style: Style, factor: float = 1) -> None:
    """Draw a mean with its interval in a row; `estimate` has at most one line, with mean, low and high."""
    for mean, low, high in factor * estimate[["mean", "low", "high"]].to_numpy(float):
        error = None if np.isnan(low) else [[mean - low], [high - mean]]
        ax.errorbar(mean, y, xerr=error, capsize=2, markersize=5, elinewidth=1, linestyle="", **style.line)


def estimates(summary: pd.DataFrame, dataset: str, method: str, measure: str) -> pd.DataFrame:
    """The lines of a summary for one dataset, method and measure."""
    wanted = {"dataset": dataset, "method": method, "measure": measure}
    return summary[(summary[list(wanted)] == pd.Series(wanted)).all(axis=1)]


# -- Panels: one for each method, where they are too many for one -------------------------------------------

MOST_LINES = 6  # in one panel
PANELS = 6  # beside each other


def line_panels(
    curves: Mapping[str, pd.DataFrame], drawn: Mapping[str, Style], title: str, xlabel: str, **options: Any
) -> tuple[Figure, list[dict[str, Axes]]]:
    """Curves of methods: in one panel for each of `curves`, or, of many methods, in a panel for each method.

    In the panel of a method, the curves of the others are gray. Unimodal references are dashed, in every panel.

    Args:
        curves: what is drawn: a column for each method, over the index.
        drawn: style of each method.
        title: of the figure.
        xlabel: of the index.
        options: of each line, where they are in one panel.

    Returns:
        The figure, and for each of `curves` the panel of each method.
    """
    if len(drawn) <= MOST_LINES:
        figure, axes = _together(curves, drawn, options)
    else:
        figure, axes = _apart(curves, drawn)
    for of in axes:
        for ax in of.values():
            ax.xaxis.set_major_locator(MaxNLocator(3 if len(drawn) > MOST_LINES else 6, integer=True))
    figure.suptitle(title)
    figure.supxlabel(xlabel, fontsize="medium")
    return figure, axes


def _together(
    curves: Mapping[str, pd.DataFrame], drawn: Mapping[str, Style], options: Mapping[str, Any]
) -> tuple[Figure, list[dict[str, Axes]]]:
    size = (min(WIDEST, 4.2 * len(curves)), 3.2)
    figure, axes = plt.subplots(1, len(curves), figsize=size, squeeze=False, sharex=True, layout="constrained")
    for ax, (name, table) in zip(axes[0], curves.items(), strict=True):
        ax.set_title(name)
        for method, style in drawn.items():
            if method in table:
                dash = "--" if _alone(method) else "-"
                ax.plot(table.index, table[method], dash, label=label(method), **style.line, **options)
    handles = {text: line for ax in axes[0] for line, text in zip(*ax.get_legend_handles_labels(), strict=True)}
    if handles:
        axes[0, -1].legend(handles.values(), handles.keys(), loc="center left", bbox_to_anchor=(1, 0.5))
    return figure, [dict.fromkeys(drawn, ax) for ax in axes[0]]


def _apart(curves: Mapping[str, pd.DataFrame], drawn: Mapping[str, Style]) -> tuple[Figure, list[dict[str, Axes]]]:
    alone = [method for method in drawn if _alone(method)]
    lines = -(-(len(drawn) - len(alone)) // PANELS)
    figure = plt.figure(figsize=(WIDEST, len(curves) * (0.35 + 0.85 * lines) + 0.6), layout="constrained")
    axes, blocks = [], figure.subfigures(len(curves), 1, squeeze=False)[:, 0]
    for block, (name, table) in zip(blocks, curves.items(), strict=True):
        block.suptitle(name, fontsize="medium", fontweight="bold")
        own = [method for method in drawn if method in table and method not in alone]
        grid = block.subplots(max(1, -(-len(own) // PANELS)), PANELS, sharex=True, sharey=True, squeeze=False)
        panels = dict(zip(own, grid.flat, strict=False))
        for ax in grid.flat[len(own) :]:
            ax.set_axis_off()
        for method, ax in panels.items():
            ax.plot(table.index, table[own], color="#D0D0D0", linewidth=0.6)
            for reference in filter(table.__contains__, alone):
                line = {"color": drawn[reference].color, "label": label(reference), "linewidth": 1.2}
                ax.plot(table.index, table[reference], "--", **line)
            ax.plot(table.index, table[method], color=drawn[method].color, linewidth=1.8)
            ax.set_title(label(method), fontsize="small")
        references = [line for line in grid.flat[0].get_lines() if line.get_linestyle() == "--"]
        if references:
            block.legend(handles=references, loc="upper right", borderpad=0)
        axes.append(panels)
    return figure, axes


def with_measure(summary: pd.DataFrame, dataset: str, measure: str) -> list[str]:
    """Methods for which a dataset has a measure: not the unimodal references, where it takes several modalities."""
    return list(summary.loc[(summary["dataset"] == dataset) & (summary["measure"] == measure), "method"].unique())
