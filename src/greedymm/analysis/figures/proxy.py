"""d_util against d_speed: a panel for each method, a dot for each run."""

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from greedymm.analysis.figures import d_speed, utilization
from greedymm.analysis.figures.style import GRAY, WIDEST, grid, label, styles
from greedymm.analysis.study import Study
from greedymm.analysis.tables import SPLITS
from greedymm.params.schema import Params

CAPTION = (
    "d_util of each run at its best epoch against its d_speed at the end of training, on validation (filled) and test"
    " (open). Gray: runs of the other methods. If d_speed is a proxy of d_util, the dots rise from the lower left to"
    " the upper right through the center."
)


def datasets(params: Params) -> list[str]:
    """Datasets with both d_speed and d_util."""
    return [name for name in utilization.datasets(params) if name in d_speed.datasets(params)]


def draw(study: Study, dataset: str) -> Figure:
    """Draw the runs of each method, and in gray all runs."""
    columns = ["d_speed", *(f"{split}_d_util" for split in SPLITS)]
    runs = study.results.runs.query("dataset == @dataset").reindex(columns=["method", *columns])
    runs = runs.dropna(subset=["d_speed"])
    methods = styles(runs["method"], study.results.runs["method"])
    width = max(1.4, min(3.2, WIDEST / max(1, len(methods))))
    figure, axes = grid(max(1, len(methods)), width, min(2.6, width), sharex=True, sharey=True)
    for ax, (method, style) in zip(axes, methods.items(), strict=False):
        part = runs[runs["method"] == method]
        for split, filled in zip(SPLITS, (True, False), strict=True):
            ax.plot(runs["d_speed"], runs[f"{split}_d_util"], ".", color=GRAY, markersize=3)
            line = style._replace(filled=filled).line
            ax.plot(part["d_speed"], part[f"{split}_d_util"], linestyle="", markersize=5, alpha=0.8, **line)
        ax.axhline(0, color="black", linewidth=0.8)
        ax.axvline(0, color="black", linewidth=0.8)
        ax.xaxis.set_major_locator(MaxNLocator(3))  # more numbers would overlap
        ax.set_title(label(method), fontsize="medium")
    for name, color in zip(SPLITS.values(), ("black", "white"), strict=True):
        axes[0].plot([], [], "o", color="black", markerfacecolor=color, label=name)
    figure.legend(loc="outside right center")
    figure.supxlabel("d_speed (units of log10)", fontsize="medium")
    figure.supylabel("d_util", fontsize="medium")
    figure.suptitle(study.names[dataset])
    return figure
