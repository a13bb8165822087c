"""What came of the runs."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from greedymm.analysis.aggregate import SPLITS
from greedymm.analysis.figures.style import (
    ROW,
    TALLEST,
    WIDEST,
    Style,
    draw_interval,
    estimates,
    label,
    label_rows,
    nothing,
    rows,
    styles,
    styles_of,
    with_measure,
)


def accuracy(runs: pd.DataFrame, summary: pd.DataFrame, names: Mapping[str, str]) -> Figure:
    """Test accuracy: a dot per run, the mean over seeds and its 95 % interval.

    A panel for each dataset, under its name, and a row in it for each method.
    """
    datasets = list(runs["dataset"].unique())
    most = max(runs.groupby("dataset")["method"].nunique(), default=1)
    width = WIDEST / 3 if len(datasets) > 1 else WIDEST / 2
    figure, axes = _panels(len(datasets), width, 0.9 + ROW * max(3, most))
    for ax, dataset in zip(axes, datasets, strict=True):
        part = runs[runs["dataset"] == dataset]
        every = styles_of(runs, dataset)
        for y, (method, style) in enumerate(every.items()):
            values = 100 * part.loc[part["method"] == method, "test_accuracy"]
            ax.plot(values, np.full(len(values), y + 0.2), "o", color=style.color, alpha=0.5, markersize=3)
            draw_interval(ax, y - 0.1, estimates(summary, dataset, method, "test_accuracy"), style, 100)
        label_rows(ax, list(every))
        ax.set(title=names[dataset], xlabel="test accuracy (%)")
    return figure


def _panels(count: int, width: float, height: float, **options: Any) -> tuple[Figure, list[Axes]]:
    """So many panels of a size, as many beside each other as fit the page."""
    columns = max(1, min(count, round(WIDEST / width - 0.3)))
    rows = -(-count // columns)
    size = (columns * width, rows * height)
    figure, axes = plt.subplots(rows, columns, figsize=size, squeeze=False, layout="constrained", **options)
    for ax in axes.flat[count:]:
        ax.set_axis_off()
    panels = list(axes.flat[:count])
    for ax in panels[-columns:]:  # nothing below that could say what the axis is
        ax.tick_params(labelbottom=True)
    return figure, panels


MODALITIES = (Style("#CC79A7", "^"), Style("#E69F00", "v"), Style("#56B4E9", "s"), Style("#332288", "D"))


def utilization(summary: pd.DataFrame, dataset: str, modalities: Sequence[str], title: str) -> Figure:
    """Utilization rate of each modality's branch, and its accuracy full (filled) and cut (open).

    A row for each method, both for each split, 95 % intervals over seeds.
    """
    methods = with_measure(summary, dataset, "val_d_util")
    figure, axes = rows(methods, 4, title)
    for k, m in enumerate(modalities):
        style = MODALITIES[k % len(MODALITIES)]
        aside = 0.5 * ((k + 0.5) / len(modalities) - 0.5)
        for (rates, accuracies), split in zip((axes[:2], axes[2:]), SPLITS, strict=True):
            for y, method in enumerate(methods):
                draw_interval(rates, y + aside, estimates(summary, dataset, method, f"{split}_utilization_{m}"), style)
                for cut in ("", "_cut"):
                    of = estimates(summary, dataset, method, f"{split}_accuracy_{m}{cut}")
                    draw_interval(accuracies, y + aside, of, style._replace(filled=not cut), 100)
        axes[0].plot([], [], linestyle="", label=f"branch of {m}", **style.line)
    axes[0].plot([], [], "s", color="black", label="accuracy: full")
    axes[0].plot([], [], "s", color="black", markerfacecolor="white", label="accuracy: cut")
    for (rates, accuracies), name in zip((axes[:2], axes[2:]), SPLITS.values(), strict=True):
        rates.axvline(0, color="black", linewidth=0.8)
        rates.set(title=name, xlabel="utilization rate u(others | m)")
        accuracies.set(title=name, xlabel="accuracy of the branch (%)")
    figure.legend(loc="outside lower center", ncols=len(modalities) + 2)
    return figure


OF_UTILIZATION = r"accuracy|utilization_|d_util"  # values that the figure of utilization shows


def measures(summary: pd.DataFrame, dataset: str, title: str) -> Figure:
    """What measures other than utilization give: a panel for each value, a row in it for each method.

    Mean and 95 % interval on validation (open) and on test (filled).
    """
    part = summary[(summary["dataset"] == dataset) & summary["measure"].str.match("(val|test)_")]
    values = part["measure"].str.replace(r"^[^_]+_", "", regex=True)
    shown = ~values.str.match(OF_UTILIZATION)
    part, names = part[shown], list(values[shown].unique())
    if not names:
        return nothing(title, "no measure other than utilization")
    methods = list(part["method"].unique())
    figure, axes = rows(methods, len(names), title)
    for ax, name in zip(axes, names, strict=True):
        for y, (method, style) in enumerate(styles(methods, summary["method"]).items()):
            for split, aside in zip(SPLITS, (-0.15, 0.15), strict=True):
                of = estimates(part, dataset, method, f"{split}_{name}")
                draw_interval(ax, y + aside, of, style._replace(filled=split == "test"))
        ax.axvline(0, color="black", linewidth=0.8)
        ax.set_xlabel(name)
        ax.xaxis.set_major_locator(MaxNLocator(4))
    for name, face in (("validation", "white"), ("test", "black")):
        axes[0].plot([], [], "o", color="black", markerfacecolor=face, label=name)
    figure.legend(loc="outside lower center", ncols=2)
    return figure


def proxy(runs: pd.DataFrame, dataset: str, title: str) -> Figure:
    """d_util, on validation (filled) and on test (open), against d_speed: a panel per method, a dot per run."""
    columns = ["d_speed", *(f"{split}_d_util" for split in SPLITS)]  # missing where no run has several modalities
    part = runs.reindex(columns=[*runs, *(c for c in columns if c not in runs)])
    part = part[part["dataset"] == dataset].dropna(subset=["d_speed"])
    drawn = styles(part["method"], runs["method"])
    width = max(1.4, min(2.6, WIDEST / max(1, len(drawn))))
    figure, axes = _panels(max(1, len(drawn)), width, width, sharex=True, sharey=True)
    for ax, (method, style) in zip(axes, drawn.items(), strict=False):
        of = part[part["method"] == method]
        for split, filled in zip(SPLITS, (True, False), strict=True):
            ax.plot(part["d_speed"], part[f"{split}_d_util"], ".", color="#D0D0D0", markersize=3)
            line = style._replace(filled=filled).line
            ax.plot(of["d_speed"], of[f"{split}_d_util"], linestyle="", markersize=5, alpha=0.8, **line)
        ax.axhline(0, color="black", linewidth=0.8)
        ax.axvline(0, color="black", linewidth=0.8)
        ax.xaxis.set_major_locator(MaxNLocator(3))  # more would run into each other
        ax.set_title(label(method), fontsize="medium")
    for split, face in zip(SPLITS.values(), ("black", "white"), strict=True):
        axes[0].plot([], [], "o", color="black", markerfacecolor=face, label=split)
    figure.legend(loc="outside lower right", ncols=2)
    figure.supxlabel("d_speed (units of log10)", fontsize="medium")
    figure.supylabel("d_util", fontsize="medium")
    figure.suptitle(title)
    return figure


SMALLEST = 4.5  # points: smaller names cannot be read; then not all classes are named


def confusion(counts: pd.DataFrame, dataset: str, classes: Sequence[str], title: str) -> Figure:
    """Share of the test samples of each class that are taken for each class; a panel per method, all seeds together.

    Args:
        counts: columns dataset, method, label, predicted (numbers of classes) and count.
        dataset: of which.
        classes: their names.
        title: of the figure.
    """
    part = counts[counts["dataset"] == dataset]
    methods = list(part["method"].unique())
    side = 1.0 + min(max(1.6, 0.2 * len(classes)), 3.5)  # of many classes still two beside each other
    side = min(side, max(1.4, WIDEST / max(1, len(methods)) ** 0.5))  # of many methods as many rows as columns
    print_size = 72 * (side - 0.6) / len(classes) * 0.85  # points, of names that do not run into each other
    named = range(0, len(classes), math.ceil(SMALLEST / print_size))
    print_size = min(7.0, max(SMALLEST, print_size))
    figure, axes = _panels(len(methods), side, side, sharex=True, sharey=True)
    for ax, method in zip(axes, methods, strict=True):
        matrix = np.zeros((len(classes), len(classes)))
        of = part[part["method"] == method]
        matrix[of["label"], of["predicted"]] = of["count"]
        shown = ax.imshow(
            100 * matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1), cmap="cividis", vmin=0, vmax=100
        )
        names = [classes[k].replace("_", " ") for k in named]
        ax.set_xticks(named, names, rotation=90, fontsize=print_size)
        ax.set_yticks(named, names, fontsize=print_size)
        ax.grid(visible=False)
        ax.set_title(label(method))
    figure.supxlabel("predicted class")
    figure.supylabel("true class")
    figure.colorbar(shown, ax=axes, label="% of the class", shrink=0.6)
    figure.suptitle(title)
    return figure


COSTS = {
    "seconds": "training time of a run (s)",
    "peak_memory_mb": "peak memory (MiB)",
    "peak_gpu_memory_mb": "peak memory of the GPU (MiB)",
}


def costs(table: pd.DataFrame, names: Mapping[str, str]) -> Figure:
    """What a training run takes: a column for time and each memory that was used, a row per dataset, a dot per run.

    Args:
        table: columns dataset, method and those of COSTS, a row per run.
        names: how each dataset is shown.
    """
    datasets = list(table["dataset"].unique())
    taken = [cost for cost in COSTS if table[cost].max() > 0]
    most = max(table.groupby("dataset")["method"].nunique(), default=1)
    height = min(0.6 + ROW * 0.8 * max(4, most), (TALLEST - 0.8) / len(datasets))
    size = (min(WIDEST, 3.2 * len(taken)), 0.8 + height * len(datasets))
    shape = (len(datasets), len(taken))
    figure, axes = plt.subplots(*shape, figsize=size, squeeze=False, sharex="col", layout="constrained")
    for row, dataset in zip(axes, datasets, strict=True):
        part = table[table["dataset"] == dataset]
        every = styles_of(table, dataset)
        for ax, cost in zip(row, taken, strict=True):
            for y, (method, style) in enumerate(every.items()):
                values = part.loc[part["method"] == method, cost]
                ax.plot(values, np.full(len(values), y), "o", color=style.color, alpha=0.6, markersize=4)
            label_rows(ax, list(every))
            ax.tick_params(labelleft=cost == taken[0], labelsize="small")
        row[0].set_title(names[dataset], loc="left", fontsize="medium")
    for ax, cost in zip(axes[-1], taken, strict=True):
        ax.set(xlabel=COSTS[cost], xlim=(0, 1.1 * table[cost].max()))
    return figure
