"""What all figures share: a style for each method, panels with curves or rows, and how a figure is written."""

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

from greedymm.errors import printable
from greedymm.files import atomic_write

# Inches. Text in a wider figure is too small on a page.
WIDEST, TALLEST, ROW = 9.0, 14.0, 0.24
MOST_LINES = 6  # methods in one panel
SMALLEST_RANGE = 1e-12  # of an axis; a smaller one shows rounding errors of equal values
COLUMNS = 6  # panels of curves in a row
MOST_MARKERS = 12  # on one line; more overlap
LONGEST_NAME = 40  # characters of a class
GRAY = "#D0D0D0"  # of other methods, for comparison

mpl.rcdefaults()  # a user's matplotlibrc changes no figure
mpl.use("Agg")
mpl.rc("figure", dpi=150)
mpl.rc("font", size=9)
mpl.rc("axes", grid=True, axisbelow=True)
mpl.rc("axes.spines", top=False, right=False)
mpl.rc("axes.formatter", useoffset=False)
mpl.rc("grid", alpha=0.3)
mpl.rc("legend", frameon=False)
mpl.rc("text", parse_math=False)  # `$` in the name of a class or of a sweep's value is a dollar sign
mpl.rc("svg", hashsalt="greedymm")  # the same names inside the same SVG file


class Style(NamedTuple):
    """How a method is drawn."""

    color: str
    marker: str
    filled: bool = True

    @property
    def line(self) -> dict[str, Any]:
        """Options of a line with markers."""
        return {"color": self.color, "marker": self.marker, "markerfacecolor": self.color if self.filled else "white"}


Styles = Mapping[str, Style]  # of methods
Curves = Mapping[str, pd.DataFrame]  # name -> a column for each method
Panels = dict[str, Axes]  # method -> its panel in the curves of one name

# Colors of Okabe and Ito (2008), which color-blind readers can distinguish.
METHODS = {"greedy": Style("#D55E00", "o"), "balanced": Style("#0072B2", "s"), "random": Style("#009E73", "D")}
UNIMODAL = (Style("#CC79A7", "^"), Style("#E69F00", "v"), Style("#999999", "<"), Style("#332288", ">"))  # m0 first
OTHER_COLORS = ("#000000", "#56B4E9", "#882255", "#E69F00", "#117733", "#CC79A7", "#0072B2", "#D55E00")
OTHER_MARKERS = ("P", "X", "*", "p", "h", "d", "8")
OPEN_MARKERS = ("o", "s", "D", "^", "v", *OTHER_MARKERS, "<", ">")
OTHER_SHAPES = (*((m, True) for m in OTHER_MARKERS), *((m, False) for m in OPEN_MARKERS))


def styles(methods: Iterable[str], every: Iterable[str] = ()) -> dict[str, Style]:
    """A style for each method of a dataset, which is the same on every dataset if `every` has the methods of all.

    Up to 24 methods and 4 references differ in marker or fill. More differ in color, marker or fill.
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


def class_label(name: str) -> str:
    """Name of a class in a figure: a long one is cut, because the panels would have no room."""
    text = printable(name.replace("_", " "))
    return text if len(text) <= LONGEST_NAME else f"{text[: LONGEST_NAME - 1]}…"


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG and as SVG beside it, the same bytes for the same content, and close it."""
    for ax in figure.axes:
        for limits, widen in ((ax.get_xlim(), ax.set_xlim), (ax.get_ylim(), ax.set_ylim)):
            if abs(np.ptp(limits)) < SMALLEST_RANGE:
                widen(limits[0] - 0.05, limits[1] + 0.05)
    # The layout is computed once for both files. It takes longer than the drawing.
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    box = figure.get_tightbbox().padded(plt.rcParams["savefig.pad_inches"])
    for suffix, metadata in ((".png", {"Software": None}), (".svg", {"Date": None})):
        with atomic_write(path.with_suffix(suffix)) as tmp:
            figure.savefig(tmp, format=suffix[1:], metadata=metadata, bbox_inches=box)
    plt.close(figure)


def grid(count: int, width: float, height: float, xlabel: str = "", **options: Any) -> tuple[Figure, list[Axes]]:
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
        ax.set_xlabel(xlabel)
    return figure, panels


def method_rows(methods: Sequence[str], columns: int) -> tuple[Figure, list[Axes]]:
    """Panels beside each other with a row for each method."""
    figure, axes = grid(columns, WIDEST / columns, 1.1 + max(1.4, ROW * len(methods)), sharey=True)
    label_rows(axes[0], methods)
    return figure, axes


def label_rows(ax: Axes, methods: Iterable[str]) -> None:
    """Name the rows of a panel, from the top."""
    names = [label(method) for method in methods]
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(len(names) - 0.4, -0.6)


def draw_intervals(ax: Axes, estimates: pd.DataFrame, measure: str, styles: Styles, offset: float) -> None:
    """Draw mean and interval of a measure beside the row of each method that has one; accuracies in percent."""
    table = estimates[estimates["measure"] == measure].set_index("method")[["mean", "low", "high"]]
    table *= 100 if "accuracy" in measure else 1
    for y, (method, style) in enumerate(styles.items()):
        if method in table.index:
            mean, low, high = table.loc[method].to_numpy(float)
            error = None if np.isnan(low) else [[mean - low], [high - mean]]
            ax.errorbar(mean, y + offset, xerr=error, capsize=2, markersize=5, elinewidth=1, ls="", **style.line)


def curve_table(table: pd.DataFrame, column: str) -> pd.DataFrame:
    """Means over the rows of each method and epoch: a column for each method, a row for each epoch."""
    return table.pivot_table(index="epoch", columns="method", values=column, sort=False).sort_index()


def draw_curves(curves: Curves, styles: Styles, xlabel: str, offset: float = 0) -> tuple[Figure, list[Panels]]:
    """Draw curves of methods. Unimodal references are dashed. Of more than `MOST_LINES` each has a panel of its own.

    `offset` is the distance along x between methods in one panel.
    """
    many = len(styles) > MOST_LINES
    figure, panels = _draw_apart(curves, styles) if many else _draw_together(curves, styles, offset)
    for ax in (ax for axes in panels for ax in axes.values()):
        ax.xaxis.set_major_locator(MaxNLocator(3 if many else 6, integer=True))
    figure.supxlabel(xlabel, fontsize="medium")
    return figure, panels


def _draw_together(curves: Curves, styles: Styles, offset: float) -> tuple[Figure, list[Panels]]:
    size = (min(WIDEST, 4.2 * len(curves)), 3.2)
    figure, axes = plt.subplots(1, len(curves), figsize=size, squeeze=False, sharex=True, layout="constrained")
    for ax, (name, table) in zip(axes[0], curves.items(), strict=True):
        ax.set_title(name)
        options: dict[str, Any] = {"markersize": 4, "markevery": max(1, -(-len(table) // MOST_MARKERS))}
        for k, (method, style) in enumerate(styles.items()):
            if method in table:
                x = table.index + offset * (k - (len(styles) - 1) / 2)
                ax.plot(
                    x, table[method], "--" if is_unimodal(method) else "-", label=label(method), **style.line, **options
                )
    lines = {line.get_label(): line for ax in axes[0] for line in ax.get_lines()}
    axes[0, -1].legend(lines.values(), lines.keys(), loc="center left", bbox_to_anchor=(1, 0.5))
    return figure, [dict.fromkeys(styles, ax) for ax in axes[0]]


def _draw_apart(curves: Curves, styles: Styles) -> tuple[Figure, list[Panels]]:
    rows = -(-sum(not is_unimodal(method) for method in styles) // COLUMNS)
    figure = plt.figure(figsize=(WIDEST, len(curves) * (0.35 + 0.85 * rows) + 0.6), layout="constrained")
    blocks = figure.subfigures(len(curves), 1, squeeze=False)[:, 0]
    panels = []
    for block, (name, table) in zip(blocks, curves.items(), strict=True):
        block.suptitle(name, fontsize="medium", fontweight="bold")
        methods = [method for method in styles if method in table and not is_unimodal(method)]
        references = [method for method in styles if method in table and is_unimodal(method)]
        grid = block.subplots(max(1, -(-len(methods) // COLUMNS)), COLUMNS, sharex=True, sharey=True, squeeze=False)
        for ax in grid.flat[len(methods) :]:
            ax.set_axis_off()
        for method, ax in zip(methods, grid.flat, strict=False):
            ax.plot(table.index, table[methods], color=GRAY, linewidth=0.6)
            for m in references:
                ax.plot(table.index, table[m], "--", color=styles[m].color, label=label(m), linewidth=1.2)
            ax.plot(table.index, table[method], color=styles[method].color, linewidth=1.8)
            ax.set_title(label(method), fontsize="small")
        if references:
            block.legend(*grid[0, 0].get_legend_handles_labels(), loc="upper right", borderpad=0)
        panels.append(dict(zip(methods, grid.flat, strict=False)))
    return figure, panels
