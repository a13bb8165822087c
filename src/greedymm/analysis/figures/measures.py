"""Measures other than utilization: a panel for each value, or a table of many values."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from greedymm.analysis.figures.style import ROW, TALLEST, WIDEST, draw_intervals, grid, label, label_rows, styles
from greedymm.analysis.study import SPLITS, Study

CAPTION = (
    "Other measures, on validation (open) and test (filled): means over seeds with 95 % intervals. More than 8 values"
    ", or more than the page has room for, are a table of means on test; dark: the lowest of a row, light: the highest."
)
UTILIZATION = r"accuracy|utilization_|d_util"  # values that another figure shows
MOST_PANELS, PANELS_IN_ROW = 8, 4


def draw(study: Study, dataset: str) -> Figure | None:
    """Draw panels, or a table if there are too many values or methods."""
    estimates = study.estimates[study.estimates["dataset"] == dataset]
    others = tuple(f"{split}_" for split in study.info[dataset].counts if split not in SPLITS)  # as val_shift_
    estimates = estimates[~estimates["measure"].str.startswith(others)]
    values = estimates["measure"].str.extract("^(?:val|test)_(.*)", expand=False).dropna()
    values = values[~values.str.match(UTILIZATION)]
    if values.empty:
        return None
    rows, names = estimates.loc[values.index], list(values.unique())
    tall = -(-len(names) // PANELS_IN_ROW) * panel_height(rows["method"].nunique()) > TALLEST
    return draw_table(rows, names) if tall or len(names) > MOST_PANELS else draw_panels(study, rows, names)


def panel_height(methods: int) -> float:
    """Height of a panel with a row for each method, in inches."""
    return 1.1 + max(1.4, ROW * methods)


def draw_panels(study: Study, estimates: pd.DataFrame, names: list[str]) -> Figure:
    """Draw mean and 95 % interval on both splits: a panel for each value, a row for each method."""
    methods = styles(estimates["method"], study.estimates["method"])
    width = WIDEST / min(len(names), PANELS_IN_ROW)
    figure, axes = grid(len(names), width, panel_height(len(methods)), sharey=True)
    label_rows(axes[0], methods)
    for ax, name in zip(axes, names, strict=True):
        for split, offset in zip(SPLITS, (-0.15, 0.15), strict=True):
            shapes = {method: style._replace(filled=split == "test") for method, style in methods.items()}
            draw_intervals(ax, estimates, f"{split}_{name}", shapes, offset)
        ax.axvline(0, color="black", linewidth=0.8)
        ax.set_xlabel(name)
        ax.xaxis.set_major_locator(MaxNLocator(4))
    for name, color in zip(SPLITS.values(), ("white", "black"), strict=True):
        axes[0].plot([], [], "o", color="black", markerfacecolor=color, label=name)
    figure.legend(loc="outside lower center", ncols=2)
    return figure


def draw_table(estimates: pd.DataFrame, names: list[str]) -> Figure:
    """Draw means on the test split as numbers: a row for each value, a column for each method."""
    methods = list(estimates["method"].unique())
    table = estimates.pivot_table(index="measure", columns="method", values="mean")
    means = table.reindex(index=[f"test_{name}" for name in names], columns=methods).to_numpy()
    low, high = np.nanmin(means, axis=1, keepdims=True), np.nanmax(means, axis=1, keepdims=True)
    shades = (means - low) / np.where(high > low, high - low, 1)
    figure, (ax,) = grid(1, min(WIDEST, 3 + 0.5 * len(methods)), 1.5 + 0.16 * len(names))
    ax.imshow(shades, cmap="cividis", vmin=0, vmax=1, aspect="auto")
    for (row, column), mean in np.ndenumerate(means):
        color = "black" if shades[row, column] > 0.5 else "white"  # noqa: PLR2004
        text = "" if np.isnan(mean) else f"{round(mean, 2) + 0.0:.2f}"  # not -0.00
        ax.text(column, row, text, color=color, fontsize=5.5, ha="center", va="center")
    ax.set_yticks(range(len(names)), names, fontsize=6.5)
    ax.set_xticks(range(len(methods)), [label(method) for method in methods], rotation=90, fontsize=7)
    ax.grid(visible=False)
    return figure
