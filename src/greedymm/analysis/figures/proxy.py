"""d_util against d_speed: a panel for each method, a dot for each run."""

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from greedymm.analysis.figures.style import GRAY, WIDEST, grid, label, styles
from greedymm.analysis.study import SPLITS, Study

CAPTION = (
    "d_util at the best epoch against d_speed at the end of training, a dot for each run: validation (filled) and test"
    " (open). Gray: runs of the other methods. If d_speed is a proxy of d_util, large values go together."
)


def draw(study: Study, dataset: str) -> Figure | None:
    """Draw the runs of each method, and in gray all runs."""
    utils = [f"{split}_d_util" for split in SPLITS]
    table = study.results.runs
    runs = table[table["dataset"] == dataset].reindex(columns=["method", "d_speed", *utils])
    runs = runs.dropna(subset="d_speed").dropna(subset=utils, how="all")
    if runs.empty:
        return None
    methods = styles(runs["method"], table["method"])
    width = max(1.4, min(3.2, WIDEST / len(methods)))
    figure, axes = grid(len(methods), width, min(2.6, width), sharex=True, sharey=True)
    for ax, (method, style) in zip(axes, methods.items(), strict=True):
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
    return figure
