"""Tables of a board -> figures. Color and marker are the verdict against the first reference that was run."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.markers import CARETDOWN, CARETLEFT, CARETRIGHT, CARETUP

from greedymm.analysis.claims.verdicts import EQUAL, UNDECIDED
from greedymm.analysis.figures.style import ROW, WIDEST, Style, is_unimodal, label, label_rows
from greedymm.analysis.zoo.blocks import cliques
from greedymm.analysis.zoo.labels import FONT, name_points
from greedymm.analysis.zoo.leaderboard import BEST, BETTER, D_UTIL, ENSEMBLE, PLAIN, REFERENCES, WORSE, Tables

STYLES = {
    BETTER: Style("#0072B2", "^"),
    WORSE: Style("#D55E00", "v"),
    EQUAL: Style("#009E73", "s"),
    UNDECIDED: Style("#777777", "o", filled=False),
}
REFERENCE = Style("#000000", "D")  # of a reference, and of a method that is not compared
RANKED = Style("#0072B2", "o")  # without a verdict
MEASURES = {
    D_UTIL: "|d_util|, validation, mean over seeds (0: balanced)",
    "test_shapley_gap": "Shapley gap, test (0: balanced)",
}
CAPTIONS = {
    "forest": "Difference of test accuracy from each reference, paired by seed, with 95 % intervals. Verdicts are"
    " corrected for the number of methods, intervals are not. Green band: practically equal. Arrowheads: intervals"
    " and outliers that exceed the axis. Outliers are at the edge, with their value.",
    "balance": "Test accuracy against balance: means over seeds with 95 % intervals. Color: verdict on test accuracy."
    " |d_util| is the mean of absolute values. Arrowheads: intervals and outliers that exceed the axes. Outliers are at"
    " the edge, with their accuracy.",
    "cost": "Test accuracy, with 95 % intervals, against the time of training of the fastest seed. Color: verdict on"
    " test accuracy. Arrowheads: intervals and outliers that exceed the axes. Outliers are at the edge, with their"
    " accuracy.",
    "ranks": "1 is the best rank. Left: rank of the mean test accuracy, averaged over datasets. Bootstrap intervals are"
    " too narrow for few seeds. Right: average rank over blocks; a block is a dataset and a seed. A black line joins"
    " methods without a critical difference (Nemenyi). Black diamonds: the references.",
    "improvement": "Probability that a run of a method is more accurate than a run of the reference, averaged over"
    " datasets. 0.5: as good as the reference. Bootstrap intervals are too narrow for few seeds.",
}
NEAR = 5.0  # points of accuracy
ARROWHEADS = ((CARETLEFT, CARETRIGHT), (CARETDOWN, CARETUP))  # below and above the limits of x, and of y
INTERVAL = "_interval"  # label of a line; the legend does not have it


def draw_forest(tables: Tables, dataset: str) -> Figure | None:
    """Draw the differences from each reference in a panel; a row for each method, the most accurate one first."""
    comparisons = tables.of(dataset).comparisons
    references = [name for name in REFERENCES if name in set(comparisons["reference"])]
    if not references:
        return None
    accuracy = _estimates(tables, dataset, "test_accuracy").sort_values("mean", ascending=False, kind="stable")
    methods = [str(method) for method in accuracy.index if not is_unimodal(str(method))]
    figure, axes = _rows(methods, len(references))
    for ax, name in zip(axes, references, strict=True):
        rows = comparisons[comparisons["reference"] == name].set_index("method")
        _draw_differences(ax, rows, methods)
        reference = f" ({label(rows['reference_method'].iloc[0])})" if name == BEST else ""
        ax.set_title(f"minus {name}{reference}", fontsize="medium")
    _legend(figure, comparisons["verdict"])
    return figure


def _draw_differences(ax: Axes, rows: pd.DataFrame, methods: list[str]) -> None:
    """Draw the differences from one reference; those far off at the edge, with their value."""
    values, margin = 100 * rows[["estimate", "low", "high"]].astype(float), 100 * rows["margin"].max()
    ax.axvspan(-margin, margin, color=STYLES[EQUAL].color, alpha=0.15, linewidth=0)
    ax.axvline(0, color="black", linewidth=0.8)
    ax.set_xlabel(f"difference (points; band: ±{margin:g})")
    low, high = _set_limits(ax.set_xlim, [*values.to_numpy().flat, -2 * margin, 2 * margin])
    inside = values["estimate"].clip(low, high)
    ends = {"low": values[["low", "estimate"]].min(axis=1), "high": values[["high", "estimate"]].max(axis=1)}
    styles = {str(method): STYLES[verdict] for method, verdict in rows["verdict"].items()}
    _draw_rows(ax, values.assign(estimate=inside, **ends), methods, styles)
    _mark_cuts(ax)
    for y, method in enumerate(methods):
        x = values["estimate"].get(method, np.nan)
        if x < low or x > high:
            side, align = (1, "left") if x < low else (-1, "right")
            text, point, offset = f"{x:+.1f}", (inside[method], y), (6 * side, 0)
            ax.annotate(text, point, offset, textcoords="offset points", va="center", ha=align, fontsize=FONT)


def draw_balance(tables: Tables, dataset: str) -> Figure | None:
    """Draw test accuracy over each measure of balance in a panel, with the name of each method."""
    return _draw_points(tables, dataset, {title: _estimates(tables, dataset, m) for m, title in MEASURES.items()})


def draw_cost(tables: Tables, dataset: str) -> Figure | None:
    """Draw test accuracy over time of training, with the name of each method."""
    costs = tables.of(dataset).costs.set_index("method")
    relative = costs["relative_to"].iloc[0]
    title = f"time relative to {relative}" if relative else "time of training (s)"
    values = costs["relative" if relative else "seconds"].rename("mean").to_frame().assign(low=np.nan, high=np.nan)
    return _draw_points(tables, dataset, {f"{title}, fastest of the seeds": values}, scale="log")


def draw_ranks(tables: Tables) -> Figure | None:
    """Draw mean ranks with intervals, and beside them average ranks with lines of the critical difference."""
    ranks, critical = tables.blocks.ranks, tables.blocks.critical
    if ranks.empty:
        return None
    methods = list(ranks.index)
    figure, axes = _rows(methods, 2)
    table = tables.ranks[PLAIN].set_index("method")[["mean_rank", "rank_low", "rank_high"]]
    references = [m for m in (PLAIN, ENSEMBLE) if m in ranks]
    styles = dict.fromkeys(methods, RANKED) | dict.fromkeys(references, REFERENCE)
    handles = [Line2D([], [], linestyle="", label=" and ".join(references), **REFERENCE.line)] if references else []
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
        handles.append(Line2D([], [], color="black", linewidth=2, label="no critical difference"))
    figure.legend(handles=handles, loc="outside lower center", ncols=2)
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
        _draw_rows(ax, table.drop(index=reference), methods, dict.fromkeys(methods, RANKED))
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
            ax.plot([low, high], [y, y], color=style.color, linewidth=1, label=INTERVAL)
            ax.plot(mean, y, linestyle="", markersize=4.5, **style.line)


def _mark_cuts(ax: Axes) -> None:
    """Draw an arrowhead where an interval exceeds the axes."""
    limits = np.sort([ax.get_xlim(), ax.get_ylim()]).T  # (low and high, x and y)
    for line in [line for line in ax.get_lines() if line.get_label() == INTERVAL]:
        ends = np.asarray(line.get_xydata(), dtype=float)
        for end, axis in np.argwhere((ends < limits[0]) | (ends > limits[1])):
            marker = ARROWHEADS[axis][int(ends[end, axis] > limits[1, axis])]
            point = np.clip(ends[end], *limits)
            ax.plot(*point, linestyle="", marker=marker, markersize=4, color=line.get_color(), clip_on=False)


def _draw_points(
    tables: Tables, dataset: str, panels: Mapping[str, pd.DataFrame], scale: str = "linear"
) -> Figure | None:
    """Draw test accuracy over the values (mean, low, high) of the multi-modal methods, in a panel for each title.

    Color and marker are the verdict against the first reference that was run.
    """
    tables = tables.of(dataset)
    kept = {title: values.drop(filter(is_unimodal, values.index)) for title, values in panels.items()}
    kept = {title: values for title, values in kept.items() if len(values)}
    if not kept:
        return None
    accuracy = 100 * _estimates(tables, dataset, "test_accuracy")[["mean", "low", "high"]]
    reference = next(iter(tables.comparisons["reference"]), "")
    verdicts = tables.comparisons.query("reference == @reference").set_index("method")["verdict"].map(STYLES)
    figure, axes = plt.subplots(len(kept), 1, figsize=(WIDEST, 5.4 * len(kept)), squeeze=False, layout="constrained")
    for ax, (title, values) in zip(axes[:, 0], kept.items(), strict=True):
        ax.set(xlabel=title, ylabel="test accuracy (%)", xscale=scale)
        bottom, top = _set_limits(ax.set_ylim, accuracy.loc[values.index, "mean"])
        if scale == "log":
            ax.xaxis.set_major_formatter("{x:g}")
            ax.xaxis.set_minor_formatter("{x:g}" if np.ptp(np.log10(values["mean"])) < 1 else "")
        else:
            _set_limits(ax.set_xlim, values["mean"], least=np.inf)
        for method, x, left, right in values[["mean", "low", "high"]].itertuples():
            (y, low, high), style = accuracy.loc[method], verdicts.get(method, REFERENCE)
            inside, thin = np.clip(y, bottom, top), {"color": style.color, "linewidth": 0.6, "alpha": 0.35}
            ax.plot([left, right], [inside, inside], label=INTERVAL, **thin)
            ax.plot([x, x], [np.fmin(low, y), np.fmax(high, y)], label=INTERVAL, **thin)
            text = method if inside == y else f"{method} {y:.1f} %"
            order = 3 if style is REFERENCE else 2  # a reference is above equal methods
            ax.plot(x, inside, linestyle="", markersize=5, label=text, zorder=order, **style.line)
        _mark_cuts(ax)
    _legend(figure, tables.comparisons.query("reference == @reference")["verdict"], reference)
    figure.draw_without_rendering()  # positions of the names depend on the final layout
    for ax in figure.axes:
        name_points(ax)
    return figure


def _legend(figure: Figure, verdicts: Iterable[str], reference: str = "") -> None:
    """Explain the markers of verdicts, and of the reference that is drawn."""
    names = {verdict: f"{verdict} than {reference}" for verdict in (BETTER, WORSE) if reference}
    styles = {names.get(verdict, verdict): style for verdict, style in STYLES.items() if verdict in set(verdicts)}
    styles |= {reference: REFERENCE} if reference else {}
    handles = [Line2D([], [], linestyle="", label=name, **style.line) for name, style in styles.items()]
    figure.legend(handles=handles, loc="outside lower center", ncols=max(1, len(handles)))


def _set_limits(setter: Any, values: Iterable[float], least: float = NEAR) -> tuple[float, float]:
    """Set the limits of an axis, with space for markers, to the range of the values that are not far off; return it.

    Values within `least`, or within 3 interquartile ranges, of the quartiles are never far off.
    """
    numbers = np.array(list(values))
    numbers = numbers[np.isfinite(numbers)]
    low, high = np.quantile(numbers, [0.25, 0.75])
    reach = max(3 * (high - low), least)
    near = numbers[(numbers >= low - reach) & (numbers <= high + reach)]
    space = 0.06 * np.ptp(near) or 1
    low, high = near.min() - space, near.max() + space
    setter(low - space / 2, high + space / 2)
    return low, high
