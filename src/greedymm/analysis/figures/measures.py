"""Measures other than utilization: a panel for each value, a row for each method."""

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from greedymm.analysis.figures.style import draw_interval, method_rows, styles
from greedymm.analysis.study import Study
from greedymm.analysis.tables import SPLITS
from greedymm.params.schema import Params

CAPTION = (
    "Other measures of how modalities are used, on validation (open) and test (filled): means over seeds with 95 %"
    " intervals."
)
UTILIZATION = r"accuracy|utilization_|d_util"  # values that another figure shows


def datasets(params: Params) -> list[str]:
    """Datasets with a measure other than utilization."""
    measures = {name: {m.name for m in params.datasets[name].measures} for name in params.multimodal}
    return [name for name, names in measures.items() if names - {"utilization"}]


def draw(study: Study, dataset: str) -> Figure:
    """Draw mean and 95 % interval on both splits."""
    summary = study.summary.query("dataset == @dataset and measure.str.match('(val|test)_')")
    values = summary["measure"].str.replace("^(val|test)_", "", regex=True)
    summary = summary.assign(value=values)[~values.str.match(UTILIZATION)]
    methods = styles(summary["method"], study.summary["method"])
    names = list(summary["value"].unique())
    figure, axes = method_rows(list(methods), max(1, len(names)), study.names[dataset])
    for ax, name in zip(axes, names, strict=False):
        for y, (method, style) in enumerate(methods.items()):
            for split, offset in zip(SPLITS, (-0.15, 0.15), strict=True):
                shape = style._replace(filled=split == "test")
                draw_interval(ax, y + offset, summary, (dataset, method, f"{split}_{name}"), shape)
        ax.axvline(0, color="black", linewidth=0.8)
        ax.set_xlabel(name)
        ax.xaxis.set_major_locator(MaxNLocator(4))
    for name, color in zip(SPLITS.values(), ("white", "black"), strict=True):
        axes[0].plot([], [], "o", color="black", markerfacecolor=color, label=name)
    figure.legend(loc="outside lower center", ncols=2)
    return figure
