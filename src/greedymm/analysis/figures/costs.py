"""Time and memory of the training runs."""

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from greedymm.analysis.figures.style import ROW, TALLEST, WIDEST, label_rows, styles
from greedymm.analysis.study import Study

CAPTION = "Costs of training: time and peak memory. Dots: runs. Other processes may have shared the machine."
COSTS = {
    "seconds": "training time of a run (s)",
    "peak_memory_mb": "peak memory (MiB)",
    "peak_gpu_memory_mb": "peak memory of the GPU (MiB)",
}


def draw_all(study: Study) -> Figure:
    """Draw a column for each cost, a row of panels for each dataset, a dot for each run."""
    table = study.results.costs
    datasets = dict(list(table.groupby("dataset", sort=False)))
    names = [cost for cost in COSTS if table[cost].max() > 0]  # no GPU: no column for it
    most = max(part["method"].nunique() for part in datasets.values())
    height = min(0.6 + ROW * 0.8 * max(4, most), (TALLEST - 0.8) / len(datasets))
    size = (min(WIDEST, 3.2 * len(names)), 0.8 + height * len(datasets))
    shape = len(datasets), len(names)
    figure, axes = plt.subplots(*shape, figsize=size, squeeze=False, sharex="col", sharey="row", layout="constrained")
    for line, (dataset, part) in zip(axes, datasets.items(), strict=True):
        methods = styles(part["method"], table["method"])
        for ax, cost in zip(line, names, strict=True):
            for y, (method, style) in enumerate(methods.items()):
                values = part.loc[part["method"] == method, cost]
                ax.plot(values, np.full(len(values), y), "o", color=style.color, alpha=0.6, markersize=4)
            label_rows(ax, methods)
            ax.tick_params(labelsize="small")
            ax.set_xlim(0, 1.1 * table[cost].max())
        line[0].set_title(study.names[str(dataset)], loc="left", fontsize="medium")
    for ax, cost in zip(axes[-1], names, strict=True):
        ax.set_xlabel(COSTS[cost])
    return figure
