"""Curves of methods: in one panel, or in a panel for each method where they are many."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from greedymm.analysis.figures.style import GRAY, MOST_LINES, WIDEST, Style, is_unimodal, label

COLUMNS = 6  # panels in a row
MOST_MARKERS = 12  # on one line; more overlap

Panels = dict[str, Axes]  # method -> its panel


def curve_table(table: pd.DataFrame, column: str) -> pd.DataFrame:
    """Means over the rows of each method and epoch: a column for each method, a row for each epoch."""
    return table.pivot_table(index="epoch", columns="method", values=column, sort=False).sort_index()


def draw_curves(
    curves: Mapping[str, pd.DataFrame], styles: Mapping[str, Style], title: str, xlabel: str, offset: float = 0
) -> tuple[Figure, list[Panels]]:
    """Draw curves of methods. Unimodal references are dashed.

    Of more than `MOST_LINES` methods each has a panel of its own, in which the other methods are gray.

    Args:
        curves: name -> table with a column for each method, over its index.
        styles: style of each method.
        title: of the figure.
        xlabel: name of the index.
        offset: distance along x between methods in one panel.

    Returns:
        The figure, and the panel of each method for each of `curves`.
    """
    many = len(styles) > MOST_LINES
    figure, panels = _draw_apart(curves, styles) if many else _draw_together(curves, styles, offset)
    for ax in (ax for axes in panels for ax in axes.values()):
        ax.xaxis.set_major_locator(MaxNLocator(3 if many else 6, integer=True))
    figure.suptitle(title)
    figure.supxlabel(xlabel, fontsize="medium")
    return figure, panels


def _draw_together(
    curves: Mapping[str, pd.DataFrame], styles: Mapping[str, Style], offset: float
) -> tuple[Figure, list[Panels]]:
    size = (min(WIDEST, 4.2 * len(curves)), 3.2)
    figure, axes = plt.subplots(1, len(curves), figsize=size, squeeze=False, sharex=True, layout="constrained")
    lines: dict[str, Any] = {}
    for ax, (name, table) in zip(axes[0], curves.items(), strict=True):
        ax.set_title(name)
        options: dict[str, Any] = {"markersize": 4, "markevery": max(1, -(-len(table) // MOST_MARKERS))}
        for k, (method, style) in enumerate(styles.items()):
            if method in table:
                x = table.index + offset * (k - (len(styles) - 1) / 2)
                dash = "--" if is_unimodal(method) else "-"
                (line,) = ax.plot(x, table[method], dash, label=label(method), **style.line, **options)
                lines.setdefault(label(method), line)
    if lines:
        axes[0, -1].legend(lines.values(), lines.keys(), loc="center left", bbox_to_anchor=(1, 0.5))
    return figure, [dict.fromkeys(styles, ax) for ax in axes[0]]


def _draw_apart(curves: Mapping[str, pd.DataFrame], styles: Mapping[str, Style]) -> tuple[Figure, list[Panels]]:
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
        lines: list[Any] = []
        for method, ax in zip(methods, grid.flat, strict=False):
            ax.plot(table.index, table[methods], color=GRAY, linewidth=0.6)
            lines = [
                ax.plot(table.index, table[m], "--", color=styles[m].color, label=label(m), linewidth=1.2)[0]
                for m in references
            ]
            ax.plot(table.index, table[method], color=styles[method].color, linewidth=1.8)
            ax.set_title(label(method), fontsize="small")
        if lines:
            block.legend(handles=lines, loc="upper right", borderpad=0)
        panels.append(dict(zip(methods, grid.flat, strict=False)))
    return figure, panels
