"""What came of the runs."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from greedymm.analysis.aggregate import SPLITS
from greedymm.analysis.figures.style import WIDEST, Look, label, looks, looks_of, with_measure


def accuracy(runs: pd.DataFrame, summary: pd.DataFrame, names: Mapping[str, str]) -> Figure:
    """Test accuracy: a dot per run, the mean over seeds and its 95 % interval; a panel per dataset, under its name."""
    datasets = list(runs["dataset"].unique())
    figure, axes = _panels(len(datasets), 4.2, 3)
    for ax, dataset in zip(axes, datasets, strict=True):
        part = runs[runs["dataset"] == dataset]
        every = looks_of(runs, dataset)
        for x, (method, look) in enumerate(every.items()):
            values = 100 * part.loc[part["method"] == method, "test_accuracy"]
            ax.plot(np.full(len(values), x - 0.18), values, "o", color=look.colour, alpha=0.5, markersize=4)
            of = {"dataset": dataset, "method": method, "measure": "test_accuracy"}
            _interval(ax, x, summary, of, look=look._replace(marker="s"), factor=100)
        ax.set_xticks(range(len(every)), [label(m) for m in every], rotation=20, ha="right")
        ax.set(title=names[dataset], ylabel="test accuracy (%)", xlim=(-0.6, len(every) - 0.4))
    return figure


def _panels(count: int, width: float, height: float, **options: Any) -> tuple[Figure, list[Axes]]:
    """So many panels of this size in inches, in rows of as many as fit a page."""
    columns = max(1, min(count, int(WIDEST / width)))
    rows = -(-count // columns)
    size = (columns * width, rows * height)
    figure, axes = plt.subplots(rows, columns, figsize=size, squeeze=False, layout="constrained", **options)
    for ax in axes.flat[count:]:
        ax.set_axis_off()
    panels = list(axes.flat[:count])
    for ax in panels[-columns:]:  # nothing below that could say what the axis is
        ax.tick_params(labelbottom=True)
    return figure, panels


def _interval(
    ax: Axes,
    x: float,
    summary: pd.DataFrame,
    of: dict[str, str],
    *,
    look: Look,
    factor: float = 1,
    fill: str = "",
) -> None:
    """Draw one estimate of the summary: that whose columns have the values in `of`."""
    chosen = summary[(summary[list(of)] == pd.Series(of)).all(axis=1)]
    for mean, low, high in factor * chosen[["mean", "low", "high"]].to_numpy():
        error = None if np.isnan(low) else [[mean - low], [high - mean]]
        style: dict[str, Any] = {"fmt": look.marker, "color": look.colour, "mfc": fill or look.colour}
        ax.errorbar(x, mean, yerr=error, capsize=4, markersize=6, **style)


def utilization(summary: pd.DataFrame, dataset: str, modalities: Sequence[str], title: str) -> Figure:
    """Above, utilization rate of each modality's branch; below, its accuracy un-cut (filled) and cut (open).

    A column for each split, a colour for each method, 95 % intervals over seeds.
    """
    methods = with_measure(summary, dataset, "val_d_util")
    width = 0.7 / max(1, len(methods))
    size = (min(WIDEST, 3 + 2.4 * len(modalities)), 5.4)
    figure, axes = plt.subplots(2, 2, figsize=size, sharex=True, sharey="row", layout="constrained")
    for (rates, accuracies), (split, name) in zip(axes.T, SPLITS.items(), strict=True):
        for i, (method, look) in enumerate(looks(methods, summary["method"]).items()):
            for k, modality in enumerate(modalities):
                x = k + (i - (len(methods) - 1) / 2) * width
                of = {"dataset": dataset, "method": method, "measure": f"{split}_utilization_{modality}"}
                _interval(rates, x, summary, of, look=look)
                for cut, fill, aside in (("", look.colour, -0.05), ("_cut", "white", 0.05)):
                    of["measure"] = f"{split}_accuracy_{modality}{cut}"
                    _interval(accuracies, x + aside, summary, of, look=look, factor=100, fill=fill)
            rates.plot([], [], look.marker, color=look.colour, label=label(method))
        rates.axhline(0, color="black", linewidth=0.8)
        rates.set(title=f"{title},\n{name}")
        accuracies.set_xticks(range(len(modalities)), [f"branch of {m}\nu(others | {m})" for m in modalities])
        accuracies.set(xlim=(-0.5, len(modalities) - 0.5))
    axes[0, 0].set_ylabel("conditional utilization rate")
    axes[1, 0].set_ylabel("accuracy of the branch (%)")
    for fill, way in (("black", "un-cut"), ("white", "cut")):
        axes[1, 1].plot([], [], "s", color="black", markerfacecolor=fill, label=way)
    for ax in axes[0 if methods else 1 :, 1]:
        ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def proxy(runs: pd.DataFrame, dataset: str, title: str) -> Figure:
    """d_util, on validation and on test, against d_speed: a dot per run."""
    columns = ["d_speed", *(f"{split}_d_util" for split in SPLITS)]  # missing where no run has several modalities
    part = runs.reindex(columns=[*runs, *(c for c in columns if c not in runs)])
    part = part[part["dataset"] == dataset].dropna(subset=["d_speed"])
    figure, axes = plt.subplots(1, 2, figsize=(7.5, 3), sharex=True, sharey=True)
    for ax, (split, name) in zip(axes, SPLITS.items(), strict=True):
        for method, look in looks(part["method"], runs["method"]).items():
            of = part[part["method"] == method]
            style = {"color": look.colour, "marker": look.marker, "linestyle": "", "alpha": 0.8}
            ax.plot(of["d_speed"], of[f"{split}_d_util"], label=label(method), **style)
        ax.axhline(0, color="black", linewidth=0.8)
        ax.axvline(0, color="black", linewidth=0.8)
        ax.xaxis.set_major_locator(MaxNLocator(4))  # more would run into each other
        ax.set(title=f"{name},\n{title}", xlabel="d_speed (units of log10)")
    axes[0].set_ylabel("d_util")
    if len(part):
        axes[1].legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


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
    print_size = min(7.0, 72 * 3.5 / len(classes) * 0.85)  # points, of names that do not run into each other
    figure, axes = _panels(len(methods), side, side, sharex=True, sharey=True)
    for ax, method in zip(axes, methods, strict=True):
        matrix = np.zeros((len(classes), len(classes)))
        of = part[part["method"] == method]
        matrix[of["label"], of["predicted"]] = of["count"]
        shown = ax.imshow(
            100 * matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1), cmap="cividis", vmin=0, vmax=100
        )
        names = [name.replace("_", " ") for name in classes]
        ax.set_xticks(range(len(classes)), names, rotation=90, fontsize=print_size)
        ax.set_yticks(range(len(classes)), names, fontsize=print_size)
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
    size = (min(WIDEST, 3.2 * len(taken)), 0.8 + 1.7 * len(datasets))
    shape = (len(datasets), len(taken))
    figure, axes = plt.subplots(*shape, figsize=size, squeeze=False, sharex="col", layout="constrained")
    for row, dataset in zip(axes, datasets, strict=True):
        part = table[table["dataset"] == dataset]
        every = looks_of(table, dataset)
        for ax, cost in zip(row, taken, strict=True):
            for y, (method, look) in enumerate(every.items()):
                values = part.loc[part["method"] == method, cost]
                ax.plot(values, np.full(len(values), y), "o", color=look.colour, alpha=0.6, markersize=5)
            ax.set_yticks(range(len(every)), [label(m) for m in every] if cost == taken[0] else [""] * len(every))
            ax.set(ylim=(len(every) - 0.4, -0.6))
        row[0].set_title(names[dataset], loc="left", fontsize="medium")
    for ax, cost in zip(axes[-1], taken, strict=True):
        ax.set(xlabel=COSTS[cost], xlim=(0, 1.1 * table[cost].max()))
    return figure
