"""Tables and samples -> figures, the same bytes for the same content."""

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import cycle
from pathlib import Path

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from greedymm.files import whole

mpl.use("Agg")
mpl.rcParams.update(
    {
        "figure.dpi": 150,
        "savefig.bbox": "tight",
        "font.size": 9,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.alpha": 0.3,
        "legend.frameon": False,
    }
)

# Okabe and Ito 2008: told apart by colour-blind readers. The same colour for the same method in every figure.
METHOD_COLOURS = {"greedy": "#D55E00", "balanced": "#0072B2", "random": "#009E73"}
IMAGES = 4  # axes of a stack of pictures
COLUMNS, WIDTH = 10, 1.2  # most classes side by side in a figure of samples, and inches of each
CLIP_COLUMNS, CLIP_WIDTH = 3, 3.0  # the same for clips,
CLIP_FRAMES = 5  # of which so many frames are shown, one after the other
OTHER_COLOURS = ("#CC79A7", "#E69F00", "#56B4E9", "#000000")


def colours(methods: Sequence[str]) -> dict[str, str]:
    """A colour for each method."""
    others = cycle(OTHER_COLOURS)
    return {m: METHOD_COLOURS.get(m) or next(others) for m in methods}


def label(method: str) -> str:
    """Name of a method, as a reader would write it."""
    return f"{method.removeprefix('unimodal_')} alone" if method.startswith("unimodal_") else method


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG and close it."""
    with whole(path) as beside:
        figure.savefig(beside, format="png", metadata={"Software": None})
    plt.close(figure)


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


def _interval(ax: Axes, x: float, summary: pd.DataFrame, of: dict[str, str], *, colour: str, factor: float = 1) -> None:
    """Draw one estimate of the summary: that whose columns have the values in `of`."""
    chosen = summary[(summary[list(of)] == pd.Series(of)).all(axis=1)]
    for mean, low, high in factor * chosen[["mean", "low", "high"]].to_numpy():
        error = None if np.isnan(low) else [[mean - low], [high - mean]]
        ax.errorbar(x, mean, yerr=error, fmt="s", color=colour, capsize=4, markersize=6)


def with_measure(summary: pd.DataFrame, dataset: str, measure: str) -> list[str]:
    """Methods for which a dataset has a measure: not the unimodal references, where it takes several modalities."""
    return list(summary.loc[(summary["dataset"] == dataset) & (summary["measure"] == measure), "method"].unique())


def utilization(summary: pd.DataFrame, dataset: str, modalities: Sequence[str], title: str) -> Figure:
    """Conditional utilization rate of each modality's branch, per split and method, with 95 % intervals."""
    splits = {"val": "validation", "test": "test"}
    methods = with_measure(summary, dataset, "val_d_util")
    width = 0.7 / max(1, len(methods))
    figure, axes = plt.subplots(1, 2, figsize=(3 + 2.4 * len(modalities), 3), sharey=True)
    for ax, (split, name) in zip(axes, splits.items(), strict=True):
        for i, (method, colour) in enumerate(colours(methods).items()):
            for k, modality in enumerate(modalities):
                of = {"dataset": dataset, "method": method, "measure": f"{split}_utilization_{modality}"}
                _interval(ax, k + (i - (len(methods) - 1) / 2) * width, summary, of, colour=colour)
            ax.plot([], [], "s", color=colour, label=label(method))
        ax.axhline(0, color="black", linewidth=0.8)
        ax.set_xticks(range(len(modalities)), [f"u(others | {m})" for m in modalities])
        ax.set(title=f"{title},\n{name}", xlim=(-0.5, len(modalities) - 0.5))
    axes[0].set_ylabel("conditional utilization rate")
    axes[1].legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def d_speed(curves: pd.DataFrame, dataset: str, title: str) -> Figure:
    """d_speed at the end of each epoch, mean over seeds, per method."""
    figure, ax = plt.subplots(figsize=(4.8, 3))
    part = curves[curves["dataset"] == dataset].dropna(subset=["d_speed"])
    for method, colour in colours(list(part["method"].unique())).items():
        line = part[part["method"] == method]
        ax.plot(line["epoch"], line["d_speed"], color=colour, marker="o", markersize=3, label=label(method))
    ax.axhline(0, color="black", linewidth=0.8)
    ax.set(title=title, xlabel="epoch", ylabel="d_speed (units of log10)")
    ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def run_curves(history: pd.DataFrame, title: str) -> Figure:
    """One run over its epochs: accuracies of the mean and the branches, and d_speed."""
    has_speed = "d_speed" in history
    figure, axes = plt.subplots(1, 1 + has_speed, figsize=(4.8 * (1 + has_speed), 3), squeeze=False)
    for column in (c for c in map(str, history) if c.startswith(("train_accuracy", "val_accuracy"))):
        style = "--" if column.startswith("train") else "-"
        axes[0, 0].plot(history["epoch"], 100 * history[column], style, label=column.replace("_", " "))
    axes[0, 0].set(title=title, xlabel="epoch", ylabel="accuracy (%)")
    axes[0, 0].legend()
    if has_speed:
        axes[0, 1].plot(history["epoch"], history["d_speed"], color="black")
        axes[0, 1].axhline(0, color="black", linewidth=0.8)
        axes[0, 1].set(xlabel="epoch", ylabel="d_speed (units of log10)")
    figure.tight_layout()
    return figure


def samples(examples: Mapping[str, Sequence[npt.NDArray[np.uint8]]], classes: Sequence[str], title: str) -> Figure:
    """A few samples of every class, or one clip; a row per split and modality, in bands of some classes.

    Args:
        examples: name of a row -> for each class uint8 (n, C, H, W) or (n, C, T, H, W), C 1 or 3.
        classes: their names.
        title: of the figure.
    """
    clips = any(pictures.ndim > IMAGES for of_classes in examples.values() for pictures in of_classes)
    most, width = (CLIP_COLUMNS, CLIP_WIDTH) if clips else (COLUMNS, WIDTH)
    columns = math.ceil(len(classes) / math.ceil(len(classes) / most))
    bands = list(batched(range(len(classes)), columns))
    shape = (len(bands) * len(examples), columns)
    size = (width * columns, 0.55 * shape[0] + 0.4 * len(bands))
    figure, axes = plt.subplots(*shape, figsize=size, squeeze=False)
    for ax in axes.flat:
        ax.set_axis_off()
    for start, band in zip(range(0, shape[0], len(examples)), bands, strict=True):
        for line, (name, of_classes) in zip(axes[start:], examples.items(), strict=False):
            for ax, k in zip(line, band, strict=False):
                if len(of_classes[k]):  # a split may have no sample of a class
                    ax.imshow(_strip(of_classes[k]), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
                ax.set(xticks=[], yticks=[])
                ax.set_axis_on()
            line[0].set_ylabel(name)
        for ax, k in zip(axes[start], band, strict=False):
            ax.set_title(classes[k].replace("_", " "), fontsize="medium")
    figure.suptitle(title)
    figure.tight_layout(w_pad=0.2, h_pad=0.2 if len(bands) == 1 else 0.8)
    return figure


def batched(items: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    """The items, so many at a time."""
    return (items[start : start + size] for start in range(0, len(items), size))


def _strip(pictures: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Pictures (n, C, H, W), or of clips (n, C, T, H, W) frames of the first, side by side: (H, W', 3) or (H, W')."""
    if pictures.ndim > IMAGES:
        chosen = np.linspace(0, pictures.shape[2] - 1, CLIP_FRAMES).round().astype(int)
        pictures = pictures[0, :, chosen]
    if pictures.shape[1] not in {1, 3}:  # no colours: what the channels have in common
        pictures = pictures.mean(axis=1, keepdims=True).astype(np.uint8)
    strip = np.concatenate(list(pictures.transpose(0, 2, 3, 1)), axis=1)
    return strip[..., 0] if strip.shape[2] == 1 else strip
