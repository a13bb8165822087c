"""How training went, epoch by epoch and step by step."""

from collections.abc import Sequence
from itertools import cycle

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from greedymm.analysis.figures.style import SHADES, WIDEST, label, looks, looks_of


def d_speed(curves: pd.DataFrame, during: pd.DataFrame, dataset: str, title: str) -> Figure:
    """Left, d_speed at the end of each epoch, mean over seeds; right, d_util on validation at chosen epochs.

    Args:
        curves: means over seeds per dataset, method and epoch.
        during: a row per run and chosen epoch, with its `d_util`, the column missing where there is none.
        dataset: of which.
        title: of the figure.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(8.4, 3), sharex=True, layout="constrained")
    part = curves.reindex(columns=[*curves, *({"d_speed"} - set(curves))])
    part = part[part["dataset"] == dataset].dropna(subset=["d_speed"])
    measured = during.reindex(columns=["dataset", "method", "epoch", "d_util"])
    measured = measured[measured["dataset"] == dataset].dropna(subset=["d_util"])
    thinned = _epochs_a_marker(part)
    for method, (colour, marker) in looks(part["method"], curves["method"]).items():
        line = part[part["method"] == method]
        style = {"color": colour, "marker": marker, "markersize": 4, "label": label(method)}
        left.plot(line["epoch"], line["d_speed"], markevery=thinned, **style)
        of = measured[measured["method"] == method]
        mean = of.groupby("epoch")["d_util"].mean()
        right.plot(of["epoch"], of["d_util"], ".", color=colour, alpha=0.5)
        right.plot(mean.index, mean, **style)
    for ax, name in ((left, "d_speed (units of log10)"), (right, "d_util, validation")):
        ax.axhline(0, color="black", linewidth=0.8)
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.set(xlabel="epoch", ylabel=name)
    if measured.empty:
        right.text(0.5, 0.5, "not measured: no snapshots", transform=right.transAxes, ha="center", va="bottom")
    if len(part):
        right.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    figure.suptitle(title)
    return figure


MOST_MARKERS = 12  # on one line: more run into each other


def _epochs_a_marker(curves: pd.DataFrame) -> int:
    return -(-curves["epoch"].nunique() // MOST_MARKERS)


MOST_POINTS = 2000  # of one line: more cannot be seen
ZOOM = 60  # steps in which single windows can be seen


def steps(table: pd.DataFrame, dataset: str, methods: Sequence[str], modalities: Sequence[str], title: str) -> Figure:
    """d_speed step by step, re-balancing steps shaded, a row per method; right, from the first re-balancing on.

    Args:
        table: columns dataset, method, seed, step, mode and d_speed, of one run of each method.
        dataset: of which.
        methods: that train its modalities together; one without steps here gets a row that says so.
        modalities: M names, m0 first.
        title: of the figure.
    """
    part = table[table["dataset"] == dataset]
    every = looks(methods, table["method"])
    rows = len(every)
    size = (WIDEST, 0.9 + 1.5 * rows)
    figure, axes = plt.subplots(rows, 2, figsize=size, squeeze=False, sharey="row", layout="constrained")
    for (whole, zoom), (method, (colour, _)) in zip(axes, every.items(), strict=True):
        of = part[part["method"] == method]
        if of.empty:
            whole.set_title(f"{label(method)}: steps.parquet of no run can be read", fontsize="medium", loc="left")
            continue
        first = int(of["mode"].ne(0).to_numpy().argmax()) if of["mode"].any() else len(of) // 2
        start = max(0, first - 5)
        _windows(whole, of, modalities, colour)
        _windows(zoom, of.iloc[start : start + ZOOM], modalities, colour)
        share = f"{of['mode'].ne(0).mean():.0%} of its steps re-balance"
        whole.set_title(f"{label(method)}, seed {of['seed'].iloc[0]}: {share}", fontsize="medium", loc="left")
        whole.set_ylabel("d_speed (log10)")
    for ax in axes[-1]:
        ax.set_xlabel("step")
    handles = [Patch(color=c, alpha=SHADE, label=f"re-balancing for {m}") for m, c in _shades(modalities).items()]
    axes[0, 1].set_title(f"{ZOOM} of these steps", fontsize="medium", loc="left")
    figure.legend(handles=handles, loc="outside lower right", ncols=len(handles))
    figure.suptitle(title)
    return figure


SHADE = 0.55


def _shades(modalities: Sequence[str]) -> dict[str, str]:
    """A colour for the re-balancing steps of each modality, none of them a method's."""
    return dict(zip(modalities, cycle(SHADES), strict=False))


def _windows(ax: Axes, of: pd.DataFrame, modalities: Sequence[str], colour: str) -> None:
    step, mode = of["step"].to_numpy(), of["mode"].to_numpy()
    for k, shade in enumerate(_shades(modalities).values()):
        edges = np.diff(mode == k + 1, prepend=False, append=False).nonzero()[0]  # first of a window, first after it
        windows = [(step[a] - 0.5, b - a) for a, b in edges.reshape(-1, 2)]
        box = ax.get_xaxis_transform()
        ax.broken_barh(windows, (0, 1), transform=box, facecolor=shade, alpha=SHADE, linewidth=0, rasterized=True)
    thinned = of.iloc[:: -(-len(of) // MOST_POINTS)]
    ax.plot(thinned["step"], thinned["d_speed"], color=colour, linewidth=1.2)
    ax.axhline(0, color="black", linewidth=0.8)


def run_curves(history: pd.DataFrame, title: str) -> Figure:
    """One run over its epochs: accuracies of the mean and the branches, and d_speed."""
    has_speed = "d_speed" in history
    size = (4.8 * (1 + has_speed), 3)
    figure, axes = plt.subplots(1, 1 + has_speed, figsize=size, squeeze=False, layout="constrained")
    for column in (c for c in map(str, history) if c.startswith(("train_accuracy", "val_accuracy"))):
        style = "--" if column.startswith("train") else "-"
        axes[0, 0].plot(history["epoch"], 100 * history[column], style, label=column.replace("_", " "))
    axes[0, 0].set(title=title, xlabel="epoch", ylabel="accuracy (%)")
    axes[0, 0].legend()
    if has_speed:
        axes[0, 1].plot(history["epoch"], history["d_speed"], color="black")
        axes[0, 1].axhline(0, color="black", linewidth=0.8)
        axes[0, 1].set(xlabel="epoch", ylabel="d_speed (units of log10)")
    return figure


def branches(curves: pd.DataFrame, dataset: str, modalities: Sequence[str], title: str) -> Figure:
    """Validation accuracy of the mean and of each branch over the epochs, mean over seeds; dashed: modalities alone."""
    part = curves[curves["dataset"] == dataset]
    columns = {"mean": "val_accuracy"} | {m: f"val_accuracy_{m}" for m in modalities}
    figure, axes = plt.subplots(1, len(columns), figsize=(min(WIDEST, 3.2 * len(columns)), 3), sharey=True)
    every, thinned = looks_of(curves, dataset), _epochs_a_marker(part)
    for ax, (head, column) in zip(axes, columns.items(), strict=True):
        for method, (colour, marker) in every.items():
            line = part[part["method"] == method]
            alone = method == f"unimodal_{head}"
            if alone or not method.startswith("unimodal_"):
                values = 100 * line["val_accuracy" if alone else column]
                style = {"color": colour, "marker": marker, "markersize": 4, "markevery": thinned}
                ax.plot(line["epoch"], values, "--" if alone else "-", label=label(method), **style)
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.set(title=f"branch of {head}" if head != "mean" else "mean of the branches", xlabel="epoch")
    axes[0].set_ylabel("validation accuracy (%)")
    handles = {text: line for ax in axes for line, text in zip(*ax.get_legend_handles_labels(), strict=True)}
    axes[-1].legend(handles.values(), handles.keys(), loc="center left", bbox_to_anchor=(1, 0.5))
    figure.suptitle(title)
    figure.tight_layout()
    return figure
