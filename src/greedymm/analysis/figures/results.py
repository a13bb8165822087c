"""What came of the runs."""

from collections.abc import Mapping, Sequence
from itertools import cycle

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from greedymm.analysis.aggregate import SPLITS
from greedymm.analysis.figures.style import colours, label, with_measure

MARKERS = "osD^vP"


def accuracy(runs: pd.DataFrame, summary: pd.DataFrame, names: Mapping[str, str]) -> Figure:
    """Test accuracy: a dot per run, the mean over seeds and its 95 % interval; a panel per dataset, under its name."""
    datasets = list(runs["dataset"].unique())
    figure, axes = plt.subplots(1, len(datasets), figsize=(4.8 * len(datasets), 3), squeeze=False)
    for ax, dataset in zip(axes[0], datasets, strict=True):
        part = runs[runs["dataset"] == dataset]
        methods = list(part["method"].unique())
        for x, (method, colour) in enumerate(colours(methods).items()):
            values = 100 * part.loc[part["method"] == method, "test_accuracy"]
            ax.plot(np.full(len(values), x - 0.18), values, "o", color=colour, alpha=0.5, markersize=4)
            of = {"dataset": dataset, "method": method, "measure": "test_accuracy"}
            _interval(ax, x, summary, of, colour=colour, factor=100)
        ax.set_xticks(range(len(methods)), [label(m) for m in methods], rotation=20, ha="right")
        ax.set(title=names[dataset], ylabel="test accuracy (%)", xlim=(-0.6, len(methods) - 0.4))
    return figure


def _interval(
    ax: Axes, x: float, summary: pd.DataFrame, of: dict[str, str], *, colour: str, factor: float = 1, fill: str = ""
) -> None:
    """Draw one estimate of the summary: that whose columns have the values in `of`."""
    chosen = summary[(summary[list(of)] == pd.Series(of)).all(axis=1)]
    for mean, low, high in factor * chosen[["mean", "low", "high"]].to_numpy():
        error = None if np.isnan(low) else [[mean - low], [high - mean]]
        ax.errorbar(x, mean, yerr=error, fmt="s", color=colour, mfc=fill or colour, capsize=4, markersize=6)


def utilization(summary: pd.DataFrame, dataset: str, modalities: Sequence[str], title: str) -> Figure:
    """Above, utilization rate of each modality's branch; below, its accuracy un-cut (filled) and cut (open).

    A column for each split, a colour for each method, 95 % intervals over seeds.
    """
    methods = with_measure(summary, dataset, "val_d_util")
    width = 0.7 / max(1, len(methods))
    size = (3 + 2.4 * len(modalities), 5.4)
    figure, axes = plt.subplots(2, 2, figsize=size, sharex=True, sharey="row", layout="constrained")
    for (rates, accuracies), (split, name) in zip(axes.T, SPLITS.items(), strict=True):
        for i, (method, colour) in enumerate(colours(methods).items()):
            for k, modality in enumerate(modalities):
                x = k + (i - (len(methods) - 1) / 2) * width
                of = {"dataset": dataset, "method": method, "measure": f"{split}_utilization_{modality}"}
                _interval(rates, x, summary, of, colour=colour)
                for cut, fill, aside in (("", colour, -0.05), ("_cut", "white", 0.05)):
                    of["measure"] = f"{split}_accuracy_{modality}{cut}"
                    _interval(accuracies, x + aside, summary, of, colour=colour, factor=100, fill=fill)
            rates.plot([], [], "s", color=colour, label=label(method))
        rates.axhline(0, color="black", linewidth=0.8)
        rates.set(title=f"{title},\n{name}")
        accuracies.set_xticks(range(len(modalities)), [f"branch of {m}\nu(others | {m})" for m in modalities])
        accuracies.set(xlim=(-0.5, len(modalities) - 0.5))
    axes[0, 0].set_ylabel("conditional utilization rate")
    axes[1, 0].set_ylabel("accuracy of the branch (%)")
    for fill, way in (("black", "un-cut"), ("white", "cut")):
        axes[1, 1].plot([], [], "s", color="black", markerfacecolor=fill, label=way)
    for ax in axes[:, 1]:
        ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def proxy(runs: pd.DataFrame, dataset: str, title: str) -> Figure:
    """d_util, on validation and on test, against d_speed: a dot per run."""
    columns = ["d_speed", *(f"{split}_d_util" for split in SPLITS)]  # missing where no run has several modalities
    part = runs.reindex(columns=[*runs, *(c for c in columns if c not in runs)])
    part = part[part["dataset"] == dataset].dropna(subset=["d_speed"])
    figure, axes = plt.subplots(1, 2, figsize=(7.5, 3), sharex=True, sharey=True)
    for ax, (split, name) in zip(axes, SPLITS.items(), strict=True):
        for (method, colour), marker in zip(colours(list(part["method"].unique())).items(), cycle(MARKERS)):
            of = part[part["method"] == method]
            ax.plot(of["d_speed"], of[f"{split}_d_util"], marker, color=colour, alpha=0.8, label=label(method))
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
    side = 1.2 + max(1.4, 0.16 * len(classes))
    figure, axes = plt.subplots(1, len(methods), figsize=(side * len(methods), side), squeeze=False, sharey=True)
    for ax, method in zip(axes[0], methods, strict=True):
        matrix = np.zeros((len(classes), len(classes)))
        of = part[part["method"] == method]
        matrix[of["label"], of["predicted"]] = of["count"]
        shown = ax.imshow(
            100 * matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1), cmap="cividis", vmin=0, vmax=100
        )
        names = [name.replace("_", " ") for name in classes]
        ax.set_xticks(range(len(classes)), names, rotation=90, fontsize=5)
        ax.set_yticks(range(len(classes)), names, fontsize=5)
        ax.grid(visible=False)
        ax.set(title=label(method), xlabel="predicted")
    axes[0, 0].set_ylabel("true class")
    figure.colorbar(shown, ax=axes[0].tolist(), label="% of the class", shrink=0.8)
    figure.suptitle(title)
    return figure


COSTS = {"seconds": "training time of a run (s)", "peak_memory_mb": "peak memory (MiB)"}


def costs(table: pd.DataFrame, names: Mapping[str, str]) -> Figure:
    """What a training run takes: time above, memory below; a dot per run, a column per dataset.

    Args:
        table: columns dataset, method and those of COSTS, a row per run.
        names: how each dataset is shown.
    """
    datasets = list(table["dataset"].unique())
    shape = (len(COSTS), len(datasets))
    size = (4.2 * shape[1], 2.2 * shape[0])
    figure, axes = plt.subplots(*shape, figsize=size, squeeze=False, sharex="col", layout="constrained")
    for column, dataset in zip(axes.T, datasets, strict=True):
        part = table[table["dataset"] == dataset]
        every = colours(list(part["method"].unique()))
        for ax, (cost, text) in zip(column, COSTS.items(), strict=True):
            for x, (method, colour) in enumerate(every.items()):
                values = part.loc[part["method"] == method, cost]
                ax.plot(np.full(len(values), x), values, "o", color=colour, alpha=0.6, markersize=5)
            ax.set(ylim=(0, 1.1 * part[cost].max()), xlim=(-0.6, len(every) - 0.4))
            if dataset == datasets[0]:
                ax.set_ylabel(text)
        column[0].set_title(names[dataset])
        column[-1].set_xticks(range(len(every)), [label(m) for m in every], rotation=20, ha="right")
    return figure
