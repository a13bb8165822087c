"""Test accuracy: a panel for each dataset, a row for each method, a line for each modality alone."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from greedymm.analysis.figures.style import (
    ROW,
    WIDEST,
    Styles,
    draw_intervals,
    grid,
    is_unimodal,
    label,
    label_rows,
    styles,
)
from greedymm.analysis.study import Study

CAPTION = (
    "Test accuracy. Small dots: runs. Large markers: means over seeds with 95 % intervals. Dashed lines: each modality"
    " alone, with its interval. A network that uses both modalities well is to the right of both lines."
)


def draw_all(study: Study) -> Figure:
    """Draw a dot for each run, the mean over seeds and its 95 % interval."""
    runs = study.results.runs
    datasets = dict(list(runs.groupby("dataset", sort=False)))
    most = max(part["method"].nunique() for part in datasets.values())
    figure, axes = grid(len(datasets), WIDEST / (3 if len(datasets) > 1 else 2), 0.9 + ROW * max(3, most))
    for ax, (dataset, part) in zip(axes, datasets.items(), strict=True):
        drawn = styles(part["method"], runs["method"])
        methods = {method: style for method, style in drawn.items() if not is_unimodal(method)}
        for y, (method, style) in enumerate(methods.items()):
            values = 100 * part.loc[part["method"] == method, "test_accuracy"]
            ax.plot(values, np.full(len(values), y + 0.2), "o", color=style.color, alpha=0.5, markersize=3)
        own = study.estimates[study.estimates["dataset"] == dataset]
        draw_intervals(ax, own, "test_accuracy", methods, -0.1)
        label_rows(ax, methods)
        _draw_references(ax, own, {method: drawn[method] for method in drawn if method not in methods})
        ax.set(title=study.names[str(dataset)], xlabel="test accuracy (%)")
    return figure


def _draw_references(ax: Axes, estimates: pd.DataFrame, references: Styles) -> None:
    """Draw a line and an interval for each modality alone, named in a row of its own above the methods."""
    rows = estimates[estimates["measure"] == "test_accuracy"].to_dict("records")
    bounds = {row["method"]: [100 * row[name] for name in ("mean", "low", "high")] for row in rows}
    bottom, top = ax.get_ylim()
    heights = {method: top - 0.4 - 0.8 * k for k, method in enumerate(references)}
    for method, y in heights.items():
        mean, low, high = bounds[method]
        color = references[method].color
        ax.plot([mean, mean], [bottom, y], "--", color=color, linewidth=1.2)
        ax.fill_betweenx([bottom, y], low, high, color=color, alpha=0.15, linewidth=0)
    ax.set_ylim(bottom, min([top, *(y - 0.4 for y in heights.values())]))
    for method, y in heights.items():
        mean = bounds[method][0]
        left = mean > sum(ax.get_xlim()) / 2  # the name is on the side that has more space
        ax.annotate(
            f"{label(method)} {mean:.1f} %", (mean, y), (-3 if left else 3, 0), textcoords="offset points",
            ha="right" if left else "left", va="center", fontsize="small",
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5},
        )  # fmt: skip
