"""Tables of a board -> figures. Color and marker are the verdict against the first reference that was run."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from greedymm.analysis.claims.statistics import Floats
from greedymm.analysis.claims.verdicts import EQUAL, UNDECIDED
from greedymm.analysis.figures.style import GRAY, ROW, WIDEST, Style, is_unimodal, label, label_rows
from greedymm.analysis.zoo.blocks import cliques
from greedymm.analysis.zoo.leaderboard import BEST, BETTER, ENSEMBLE, PLAIN, REFERENCES, WORSE, Tables

STYLES = {
    BETTER: Style("#0072B2", "^"),
    WORSE: Style("#D55E00", "v"),
    EQUAL: Style("#009E73", "s"),
    UNDECIDED: Style("#777777", "o", filled=False),
}
REFERENCE = Style("#000000", "D")  # of a reference, and of a method that is not compared
MEASURES = {"val_d_util": "d_util, validation (0: balanced)", "test_shapley_gap": "Shapley gap, test (0: balanced)"}
CAPTIONS = {
    "forest": "Difference of test accuracy from each reference, paired by seed, with 95 % intervals, which may exceed the"
    " axis. Green band: practically equal. Filled markers are verdicts, gray ones are undecided.",
    "balance": "Test accuracy against balance: means over seeds. Bars: 95 % intervals, which may exceed the axes. Color:"
    " verdict on test accuracy.",
    "cost": "Test accuracy against the median time of training. Bars: 95 % intervals, which may exceed the axis. Color:"
    " verdict on test accuracy.",
    "ranks": "Left: rank of the mean test accuracy, a mean over datasets, with bootstrap intervals, which are too narrow"
    " for few seeds. Right: average rank over blocks, which are a dataset and a seed. A black line joins methods without"
    " a critical difference (Nemenyi). 1 is the best rank.",
    "improvement": "Probability that a run of a method is more accurate than a run of the reference, a mean over"
    " datasets, with bootstrap intervals, which are too narrow for few seeds. 0.5: as good as the reference.",
}
FONT, WIDTH, HEIGHT = 6.5, 4.0, 8.5  # of a label, in points: size, and space for a letter and a line
Points = Mapping[str, tuple[float, float]]


def draw_forest(tables: Tables, dataset: str) -> Figure | None:
    """Draw the differences from each reference in a panel; a row for each method, the most accurate one first."""
    comparisons = tables.of(dataset).comparisons
    references = [name for name in REFERENCES if name in set(comparisons["reference"])]
    if not references:
        return None
    accuracy = _estimates(tables, dataset, "test_accuracy")
    methods = [m for m in accuracy.sort_values("mean", ascending=False, kind="stable").index if not is_unimodal(m)]
    figure, axes = _rows(methods, len(references))
    for ax, name in zip(axes, references, strict=True):
        rows = comparisons[comparisons["reference"] == name].set_index("method")
        reference, margin = rows["reference_method"].iloc[0], 100 * rows["margin"].max()
        ax.axvspan(-margin, margin, color=STYLES[EQUAL].color, alpha=0.15, linewidth=0)
        ax.axvline(0, color="black", linewidth=0.8)
        values = 100 * rows[["estimate", "low", "high"]].astype(float)
        _draw_rows(ax, values, methods, {m: STYLES[v] for m, v in rows["verdict"].items()})
        ends = [*values["estimate"].dropna(), -2 * margin, 2 * margin]
        _widen(ax.set_xlim, ends)
        title = f"{name}, {label(reference)}" if name == BEST else name
        ax.set(title=f"less {title}", xlabel="points")
    _legend(figure, set(comparisons["verdict"]), compared=True)
    return figure


def draw_balance(tables: Tables, dataset: str) -> Figure | None:
    """Draw test accuracy over each measure of balance in a panel, with the name of each method."""
    drawn = {measure: _estimates(tables, dataset, measure) for measure in MEASURES}
    drawn = {measure: table for measure, table in drawn.items() if len(table)}
    if not drawn:
        return None
    figure, axes = plt.subplots(len(drawn), 1, figsize=(WIDEST, 5.4 * len(drawn)), squeeze=False, layout="constrained")
    for ax, (measure, table) in zip(axes[:, 0], drawn.items(), strict=True):
        if measure == "val_d_util":
            ax.axvline(0, color="black", linewidth=0.8)
        ax.set_xlabel(MEASURES[measure])
        _draw_points(ax, tables, dataset, table[["mean", "low", "high"]])
    return _finish(figure, tables, dataset)


def draw_cost(tables: Tables, dataset: str) -> Figure:
    """Draw test accuracy over time of training, with the name of each method."""
    costs = tables.of(dataset).costs.set_index("method")
    relative = costs["relative_to"].iloc[0]
    values = costs["relative" if relative else "seconds"].rename("mean").to_frame().assign(low=np.nan, high=np.nan)
    figure, ax = plt.subplots(figsize=(WIDEST, 5.4), layout="constrained")
    ax.set_xscale("log")
    ax.xaxis.set_major_formatter("{x:g}")
    ax.xaxis.set_minor_formatter("{x:g}" if np.ptp(np.log10(values["mean"])) < 1 else "")
    ax.set_xlabel(f"time of training, relative to {relative}" if relative else "time of training (s)")
    _draw_points(ax, tables, dataset, values)
    return _finish(figure, tables, dataset)


def draw_ranks(tables: Tables) -> Figure | None:
    """Draw mean ranks with intervals, and beside them average ranks with lines of the critical difference."""
    ranks, critical = tables.blocks.ranks, tables.blocks.critical
    if ranks.empty:
        return None
    methods = list(ranks.index)
    figure, axes = _rows(methods, 2)
    table = tables.ranks[PLAIN].set_index("method")[["mean_rank", "rank_low", "rank_high"]]
    styles = dict.fromkeys(methods, Style("#0072B2", "o")) | {m: REFERENCE for m in (PLAIN, ENSEMBLE) if m in ranks}
    _draw_rows(axes[0], table, methods, styles)
    _draw_rows(axes[1], ranks.to_frame().assign(low=np.nan, high=np.nan), methods, styles)
    axes[0].set(title="mean over datasets", xlabel="rank of the mean test accuracy")
    axes[1].set(title="average over blocks", xlabel="rank within a dataset and seed")
    if tables.blocks.differ:
        axes[1].set_title(f"average over blocks, critical difference {critical:.2f}")
        lines = cliques(ranks, critical)
        right = len(methods) + 0.5
        for k, (first, last) in enumerate(lines):
            x = right + (k + 0.5) * len(methods) / 2 / max(len(lines), 8)
            axes[1].plot([x, x], [first - 0.2, last + 0.2], color="black", linewidth=2, solid_capstyle="butt")
        axes[1].set_xticks([tick for tick in axes[1].get_xticks() if 0 <= tick <= len(methods)])
    return figure


def draw_improvement(tables: Tables) -> Figure | None:
    """Draw the probability of improvement over each reference in a panel, a row for each method."""
    names = ["improvement", "improvement_low", "improvement_high"]
    drawn = {reference: table.set_index("method")[names].dropna(how="all") for reference, table in tables.ranks.items()}
    drawn = {reference: table for reference, table in drawn.items() if len(table)}
    if not drawn:
        return None
    first = next(iter(drawn.values()))
    methods = list(first.sort_values("improvement", ascending=False, kind="stable").index)
    figure, axes = _rows(methods, len(drawn))
    for ax, (reference, table) in zip(axes, drawn.items(), strict=True):
        ax.axvline(0.5, color="black", linewidth=0.8)
        _draw_rows(ax, table.drop(index=reference), methods, dict.fromkeys(methods, Style("#0072B2", "o")))
        ax.set(title=f"over {reference}", xlabel="probability of improvement", xlim=(-0.03, 1.03))
    return figure


def _estimates(tables: Tables, dataset: str, measure: str) -> pd.DataFrame:
    own = tables.of(dataset).estimates
    return own[own["measure"] == measure].set_index("method")


def _rows(methods: Sequence[str], columns: int) -> tuple[Figure, Any]:
    size = (WIDEST, 1.3 + ROW * 0.75 * max(4, len(methods)))
    figure, axes = plt.subplots(1, columns, figsize=size, squeeze=False, sharey=True, layout="constrained")
    label_rows(axes[0, 0], methods)
    axes[0, 0].tick_params(axis="y", labelsize="small")
    return figure, axes[0]


def _draw_rows(ax: Axes, values: pd.DataFrame, methods: Sequence[str], styles: Mapping[str, Style]) -> None:
    """Draw a marker and a line for each method that has a row: columns are estimate, low and high."""
    for y, method in enumerate(methods):
        if method in values.index:
            mean, low, high = values.loc[method].to_numpy(float)
            style = styles.get(method, REFERENCE)
            ax.plot([low, high], [y, y], color=style.color, linewidth=1)
            ax.plot(mean, y, linestyle="", markersize=4.5, **style.line)


def _draw_points(ax: Axes, tables: Tables, dataset: str, values: pd.DataFrame) -> None:
    """Draw test accuracy over the values (mean, low, high) of the multi-modal methods."""
    accuracy = 100 * _estimates(tables, dataset, "test_accuracy")[["mean", "low", "high"]]
    verdicts = _verdicts(tables, dataset)
    methods = [method for method in values.index if not is_unimodal(method)]
    for method in methods:
        style = STYLES.get(verdicts.get(method, ""), REFERENCE)
        (x, left, right), (y, low, high) = values.loc[method], accuracy.loc[method]
        ax.plot([left, right], [y, y], color=style.color, linewidth=0.6, alpha=0.35)
        ax.plot([x, x], [low, high], color=style.color, linewidth=0.6, alpha=0.35)
        ax.plot(x, y, linestyle="", markersize=5, label=method, **style.line)
    _widen(ax.set_ylim, accuracy.loc[methods, "mean"])
    if ax.get_xscale() == "linear":
        _widen(ax.set_xlim, values.loc[methods, "mean"])
    ax.set_ylabel("test accuracy (%)")


def _verdicts(tables: Tables, dataset: str) -> dict[str, str]:
    """Verdict of each method against the first reference that was run."""
    comparisons = tables.of(dataset).comparisons
    if comparisons.empty:
        return {}
    first = comparisons[comparisons["reference"] == comparisons["reference"].iloc[0]]
    return dict(zip(first["method"], first["verdict"], strict=True))


def _finish(figure: Figure, tables: Tables, dataset: str) -> Figure:
    """Add the legend, then the names of the points, whose places depend on the final layout."""
    verdicts = _verdicts(tables, dataset)
    compared = tables.of(dataset).comparisons["reference"].iloc[0] if verdicts else ""
    _legend(figure, set(verdicts.values()), compared=bool(verdicts), title=compared)
    figure.draw_without_rendering()
    for ax in figure.axes:
        name_points(ax)
    return figure


def _legend(figure: Figure, verdicts: Iterable[str], *, compared: bool, title: str = "") -> None:
    handles = [
        Line2D([], [], linestyle="", label=verdict + (f" than {title}" if title and verdict in (BETTER, WORSE) else ""),
               **STYLES[verdict].line)
        for verdict in STYLES
        if verdict in verdicts
    ]  # fmt: skip
    if title and compared:
        handles.append(Line2D([], [], linestyle="", label=title, **REFERENCE.line))
    figure.legend(handles=handles, loc="outside lower center", ncols=max(1, len(handles)))


def _widen(set_limits: Any, values: Iterable[float]) -> None:
    """Set the limits of an axis to those of the values, with space for markers."""
    low, high = np.min(list(values)), np.max(list(values))
    space = 0.06 * (high - low) or 1
    set_limits(low - space, high + space)


def name_points(ax: Axes) -> None:
    """Write the label of each marker beside it, where no other label or marker is, with a line to it if it is far."""
    scale = ax.figure.dpi / 72
    lines = [line for line in ax.get_lines() if not str(line.get_label()).startswith("_")]
    centers = np.array([ax.transData.transform(line.get_xydata()[0]) / scale for line in lines])
    window = ax.get_window_extent()
    inside = np.array([window.x0, window.y0, window.x1, window.y1]) / scale
    taken = [np.array([x - 4, y - 4, x + 4, y + 4]) for x, y in centers]
    for k in np.argsort(-centers[:, 1], kind="stable"):
        text = str(lines[k].get_label())
        size = np.array([WIDTH * len(text), HEIGHT])
        offset = place(centers[k], size, np.array(taken), inside)
        box = centers[k] + offset
        taken.append(np.concatenate([box - size / 2, box + size / 2]))
        far = bool(np.linalg.norm(offset / (size / 2 + 7)) > 1.5)
        ax.annotate(
            text, lines[k].get_xydata()[0], offset, textcoords="offset points", ha="center", va="center",
            fontsize=FONT, arrowprops={"arrowstyle": "-", "color": GRAY, "linewidth": 0.6, "shrinkA": 0} if far else None,
        ).set_in_layout(False)  # fmt: skip


def place(center: Floats, size: Floats, taken: Floats, inside: Floats) -> Floats:
    """Offset of a box from its point, so that it is inside and overlaps nothing: the nearest of a spiral of offsets.

    All in points; `taken` and `inside` are x0, y0, x1, y1. Where there is no space, the box is to the right.
    """
    for radius in np.arange(0, 300, 6):
        angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
        rings = np.column_stack([np.cos(angles), np.sin(angles)]) * (size / 2 + 5 + radius)
        low, high = center + rings - size / 2, center + rings + size / 2
        free = (low >= inside[:2]).all(axis=1) & (high <= inside[2:]).all(axis=1)
        apart = (high[:, None] <= taken[:, :2]) | (low[:, None] >= taken[:, 2:])
        free &= apart.any(axis=2).all(axis=1)
        if free.any():
            return np.asarray(rings[free.argmax()])
    return np.array([size[0] / 2 + 5, 0])
