"""Test accuracy: a panel for each dataset, a row for each method."""

import numpy as np
from matplotlib.figure import Figure

from greedymm.analysis.figures.style import ROW, WIDEST, draw_intervals, grid, label_rows, styles
from greedymm.analysis.study import Study

CAPTION = (
    "Test accuracy of the checkpoint with the best validation accuracy. Small dots: runs. Large markers: means over"
    " seeds with 95 % intervals. A network that uses its modalities well is more accurate than each modality alone."
)


def draw_all(study: Study) -> Figure:
    """Draw a dot for each run, the mean over seeds and its 95 % interval."""
    runs = study.results.runs
    datasets = dict(list(runs.groupby("dataset", sort=False)))
    most = max(part["method"].nunique() for part in datasets.values())
    figure, axes = grid(len(datasets), WIDEST / (3 if len(datasets) > 1 else 2), 0.9 + ROW * max(3, most))
    for ax, (dataset, part) in zip(axes, datasets.items(), strict=True):
        methods = styles(part["method"], runs["method"])
        for y, (method, style) in enumerate(methods.items()):
            values = 100 * part.loc[part["method"] == method, "test_accuracy"]
            ax.plot(values, np.full(len(values), y + 0.2), "o", color=style.color, alpha=0.5, markersize=3)
        own = study.estimates[study.estimates["dataset"] == dataset]
        draw_intervals(ax, own, "test_accuracy", methods, -0.1)
        label_rows(ax, methods)
        ax.set(title=study.names[str(dataset)], xlabel="test accuracy (%)")
    return figure
