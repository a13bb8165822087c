"""How training went, epoch by epoch and step by step."""

from collections.abc import Sequence
from itertools import cycle

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from greedymm.analysis.figures.style import MOST_LINES, SHADES, WIDEST, label, line_panels, styles, styles_of


def d_speed(curves: pd.DataFrame, during: pd.DataFrame, dataset: str, title: str) -> Figure:
    """d_speed at the end of each epoch, and d_util on validation at chosen epochs: means over seeds.

    Args:
        curves: means over seeds per dataset, method and epoch.
        during: a row per run and chosen epoch, with its `d_util`, the column missing where there is none.
        dataset: of which.
        title: of the figure.
    """
    part = curves.reindex(columns=[*curves, *({"d_speed"} - set(curves))])
    part = part[part["dataset"] == dataset].dropna(subset=["d_speed"])
    measured = during.reindex(columns=["dataset", "method", "epoch", "d_util"])
    measured = measured[measured["dataset"] == dataset].dropna(subset=["d_util"])
    drawn = styles(part["method"], curves["method"])
    tables = {
        "d_speed (units of log10)": _wide(part, "d_speed"),
        "d_util, validation": _wide(measured, "d_util"),
    }
    figure, (speeds, utils) = line_panels(tables, drawn, title, "epoch", markersize=4, markevery=_epochs_a_marker(part))
    for method, ax in utils.items():
        of = measured[measured["method"] == method]
        ax.plot(of["epoch"], of["d_util"], ".", color=drawn[method].color, alpha=0.5)
    for ax in {*speeds.values(), *utils.values()}:
        ax.axhline(0, color="black", linewidth=0.8)
    if measured.empty:
        figure.text(0.75, 0.5, "d_util: not measured, no snapshots", ha="center")
    return figure


def _wide(table: pd.DataFrame, column: str) -> pd.DataFrame:
    """Means over the rows of each method and epoch: a column for each method over the epochs."""
    return table.pivot_table(index="epoch", columns="method", values=column, sort=False).sort_index()


MOST_MARKERS = 12  # on one line: more run into each other


def _epochs_a_marker(curves: pd.DataFrame) -> int:
    return max(1, -(-curves["epoch"].nunique() // MOST_MARKERS))


MOST_POINTS = 2000  # of one line: more cannot be seen
ZOOM = 60  # steps in which single windows can be seen


def steps(table: pd.DataFrame, dataset: str, methods: Sequence[str], modalities: Sequence[str], title: str) -> Figure:
    """d_speed step by step, re-balancing steps shaded: of few methods a row for each, its right from the first one on.

    Args:
        table: columns dataset, method, seed, step, mode and d_speed, of one run of each method.
        dataset: of which.
        methods: that train its modalities together; one without steps here gets a panel that says so.
        modalities: M names, m0 first.
        title: of the figure.
    """
    part = table[table["dataset"] == dataset]
    every = styles(methods, table["method"])
    many = len(every) > MOST_LINES
    shape = (-(-len(every) // 4), 4) if many else (len(every), 2)
    size = (WIDEST, 0.9 + (1.3 if many else 1.5) * shape[0])
    figure, axes = plt.subplots(*shape, figsize=size, squeeze=False, sharey="row", layout="constrained")
    panels = [[ax] for ax in axes.flat] if many else list(axes)
    for of_method, (method, style) in zip(panels, every.items(), strict=False):
        of = part[part["method"] == method]
        heading = _heading(label(method), of, short=many)
        of_method[0].set_title(heading, fontsize="small" if many else "medium", loc="left")
        _draw_steps(of_method, of, modalities, style.color)
    for ax in axes.flat[len(every) * (1 if many else 2) :]:
        ax.set_axis_off()
    for ax in axes[-1]:
        ax.set_xlabel("step")
    for line in axes:
        line[0].set_ylabel("d_speed (log10)")
    if not many:
        axes[0, 1].set_title(f"{ZOOM} of these steps", fontsize="medium", loc="left")
    handles = [Patch(color=c, alpha=SHADE, label=f"re-balancing for {m}") for m, c in _shades(modalities).items()]
    figure.legend(handles=handles, loc="outside lower right", ncols=len(handles))
    figure.suptitle(title)
    return figure


def _heading(name: str, of: pd.DataFrame, *, short: bool) -> str:
    if of.empty:
        return f"{name}: steps.parquet of no run can be read"
    share = f"{of['mode'].ne(0).mean():.0%}"
    return f"{name}: {share}" if short else f"{name}, seed {of['seed'].iloc[0]}: {share} of its steps re-balance"


def _draw_steps(axes: Sequence[Axes], of: pd.DataFrame, modalities: Sequence[str], color: str) -> None:
    """All steps of a run, and in the second of two axes some of them, from the first re-balancing on."""
    if of.empty:
        return
    _windows(axes[0], of, modalities, color)
    if len(axes) > 1:
        first = int(of["mode"].ne(0).to_numpy().argmax()) if of["mode"].any() else len(of) // 2
        start = max(0, first - 5)
        _windows(axes[1], of.iloc[start : start + ZOOM], modalities, color)


SHADE = 0.55


def _shades(modalities: Sequence[str]) -> dict[str, str]:
    """A color for the re-balancing steps of each modality, none of them a method's."""
    return dict(zip(modalities, cycle(SHADES), strict=False))


def _windows(ax: Axes, of: pd.DataFrame, modalities: Sequence[str], color: str) -> None:
    step, mode = of["step"].to_numpy(), of["mode"].to_numpy()
    for k, shade in enumerate(_shades(modalities).values()):
        edges = np.diff(mode == k + 1, prepend=False, append=False).nonzero()[0]  # first of a window, first after it
        windows = [(step[a] - 0.5, b - a) for a, b in edges.reshape(-1, 2)]
        box = ax.get_xaxis_transform()
        ax.broken_barh(windows, (0, 1), transform=box, facecolor=shade, alpha=SHADE, linewidth=0, rasterized=True)
    thinned = of.iloc[:: -(-len(of) // MOST_POINTS)]
    ax.plot(thinned["step"], thinned["d_speed"], color=color, linewidth=1.2)
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
    """Validation accuracy of the network and of each branch over epochs, mean over seeds; dashed: modalities alone."""
    part = curves[curves["dataset"] == dataset]
    every = styles_of(curves, dataset)
    tables = {}
    for head in ("mean", *modalities):
        own = part[[m == f"unimodal_{head}" or not m.startswith("unimodal_") for m in part["method"]]]
        alone = own["method"] == f"unimodal_{head}"
        column = "val_accuracy" if head == "mean" else f"val_accuracy_{head}"
        values = 100 * own["val_accuracy"].where(alone, own[column])
        name = f"branch of {head}" if head != "mean" else "network"
        tables[name] = _wide(own.assign(value=values), "value")
    figure, axes = line_panels(tables, every, title, "epoch", markersize=4, markevery=_epochs_a_marker(part))
    panels = {ax for of_head in axes for ax in of_head.values()}
    bounds = [y for ax in panels for y in ax.get_ylim()]
    for ax in panels:  # the same axis, so that branches can be compared
        ax.set_ylim(min(bounds), max(bounds))
    figure.supylabel("validation accuracy (%)", fontsize="medium")
    return figure
