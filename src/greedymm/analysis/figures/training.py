"""How training went, epoch by epoch."""

from collections.abc import Sequence

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from greedymm.analysis.figures.style import colours, label


def d_speed(curves: pd.DataFrame, dataset: str, title: str) -> Figure:
    """d_speed at the end of each epoch, mean over seeds, per method."""
    figure, ax = plt.subplots(figsize=(4.8, 3))
    part = curves[curves["dataset"] == dataset].dropna(subset=["d_speed"])
    for method, colour in colours(list(part["method"].unique())).items():
        line = part[part["method"] == method]
        ax.plot(line["epoch"], line["d_speed"], color=colour, marker="o", markersize=3, label=label(method))
    ax.axhline(0, color="black", linewidth=0.8)
    ax.set(title=title, xlabel="epoch", ylabel="d_speed (units of log10)")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
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


def branches(curves: pd.DataFrame, dataset: str, modalities: Sequence[str], title: str) -> Figure:
    """Validation accuracy of the mean and of each branch over the epochs, mean over seeds; dashed: modalities alone."""
    part = curves[curves["dataset"] == dataset]
    columns = {"mean": "val_accuracy"} | {m: f"val_accuracy_{m}" for m in modalities}
    figure, axes = plt.subplots(1, len(columns), figsize=(3.2 * len(columns), 3), sharey=True)
    every = colours(list(part["method"].unique()))
    for ax, (head, column) in zip(axes, columns.items(), strict=True):
        for method, colour in every.items():
            line = part[part["method"] == method]
            alone = method == f"unimodal_{head}"
            if alone or not method.startswith("unimodal_"):
                values = 100 * line["val_accuracy" if alone else column]
                ax.plot(line["epoch"], values, "--" if alone else "-", color=colour, label=label(method))
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.set(title=f"branch of {head}" if head != "mean" else "mean of the branches", xlabel="epoch")
    axes[0].set_ylabel("validation accuracy (%)")
    handles = {text: line for ax in axes for line, text in zip(*ax.get_legend_handles_labels(), strict=True)}
    axes[-1].legend(handles.values(), handles.keys(), loc="center left", bbox_to_anchor=(1, 0.5))
    figure.suptitle(title)
    figure.tight_layout()
    return figure
