"""Measures other than utilization: a panel for each value, a row for each method."""

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from greedymm.analysis.figures.style import draw_intervals, method_rows, styles
from greedymm.analysis.study import SPLITS, Study

CAPTION = "Other measures, on validation (open) and test (filled): means over seeds with 95 % intervals."
UTILIZATION = r"accuracy|utilization_|d_util"  # values that another figure shows


def draw(study: Study, dataset: str) -> Figure | None:
    """Draw mean and 95 % interval on both splits."""
    estimates = study.estimates[study.estimates["dataset"] == dataset]
    values = estimates["measure"].str.extract("^(?:val|test)_(.*)", expand=False).dropna()
    values = values[~values.str.match(UTILIZATION)]
    if values.empty:
        return None
    methods, names = styles(estimates.loc[values.index, "method"], study.estimates["method"]), values.unique()
    figure, axes = method_rows(list(methods), len(names))
    for ax, name in zip(axes, names, strict=True):
        for split, offset in zip(SPLITS, (-0.15, 0.15), strict=True):
            shapes = {method: style._replace(filled=split == "test") for method, style in methods.items()}
            draw_intervals(ax, estimates, f"{split}_{name}", shapes, offset)
        ax.axvline(0, color="black", linewidth=0.8)
        ax.set_xlabel(name)
        ax.xaxis.set_major_locator(MaxNLocator(4))
    for name, color in zip(SPLITS.values(), ("white", "black"), strict=True):
        axes[0].plot([], [], "o", color="black", markerfacecolor=color, label=name)
    figure.legend(loc="outside lower center", ncols=2)
    return figure
