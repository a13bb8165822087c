"""d_speed at every step of one run of each method, and the re-balancing steps."""

from itertools import cycle

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from greedymm.analysis.figures import d_speed
from greedymm.analysis.figures.style import MOST_LINES, WIDEST, label, styles
from greedymm.analysis.study import Study

CAPTION = (
    "d_speed at every step of one run of each method. Shaded: the re-balancing steps of each modality; in the titles,"
    " their share. Where methods are few, the right panels show single windows."
)
MOST_POINTS = 2000  # of one line; more cannot be seen
ZOOM = 60  # steps in a panel on the right
COLUMNS = 4  # where methods are many
SHADES = ("#F0E442", "#B0B0B0", "#C0D8A0")  # no method has these colors
ALPHA = 0.55

datasets = d_speed.datasets


def draw(study: Study, dataset: str) -> Figure:
    """Draw a row for each method, its right panel from the first re-balancing step on. Of many methods a panel each."""
    table = study.results.steps.query("dataset == @dataset")
    methods = styles(study.params.datasets[dataset].methods, study.results.steps["method"])
    shades = dict(zip(study.modalities[dataset], cycle(SHADES), strict=False))
    many = len(methods) > MOST_LINES
    rows, columns = (-(-len(methods) // COLUMNS), COLUMNS) if many else (len(methods), 2)
    size = (WIDEST, 0.9 + (1.3 if many else 1.5) * rows)
    figure, axes = plt.subplots(rows, columns, figsize=size, squeeze=False, sharey="row", layout="constrained")
    for ax in axes.flat[len(methods) if many else axes.size :]:
        ax.set_axis_off()
    for line, (method, style) in zip(axes.reshape(-1, 1) if many else axes, methods.items(), strict=False):
        steps = table[table["method"] == method]
        share = "no run" if steps.empty else f"{steps['mode'].ne(0).mean():.0%} re-balancing"
        line[0].set_title(f"{label(method)}: {share}", fontsize="small" if many else "medium", loc="left")
        for ax, part in zip(line, (steps, _zoom(steps)), strict=False):
            _draw_steps(ax, part, list(shades.values()), style.color)
    if not many:
        axes[0, 1].set_title(f"{ZOOM} of these steps", fontsize="medium", loc="left")
    handles = [Patch(color=shade, alpha=ALPHA, label=f"re-balancing for {m}") for m, shade in shades.items()]
    figure.legend(handles=handles, loc="outside lower right", ncols=len(handles))
    for ax in axes[-1]:
        ax.set_xlabel("step")
    figure.supylabel("d_speed (units of log10)", fontsize="medium")
    figure.suptitle(study.names[dataset])
    return figure


def _zoom(steps: pd.DataFrame) -> pd.DataFrame:
    """Some steps around the first re-balancing step, or from the middle on where there is none."""
    modes = steps["mode"].ne(0).to_numpy()
    start = max(0, int(modes.argmax()) - 5) if modes.any() else len(steps) // 2
    return steps.iloc[start : start + ZOOM]


def _draw_steps(ax: Axes, steps: pd.DataFrame, shades: list[str], color: str) -> None:
    numbers, modes = steps["step"].to_numpy(), steps["mode"].to_numpy()
    for k, shade in enumerate(shades):
        edges = np.diff(modes == k + 1, prepend=False, append=False).nonzero()[0]
        windows = [(numbers[start] - 0.5, stop - start) for start, stop in edges.reshape(-1, 2)]
        box = ax.get_xaxis_transform()
        ax.broken_barh(windows, (0, 1), transform=box, facecolor=shade, alpha=ALPHA, linewidth=0, rasterized=True)
    thinned = steps.iloc[:: max(1, -(-len(steps) // MOST_POINTS))]
    ax.plot(thinned["step"], thinned["d_speed"], color=color, linewidth=1.2)
    ax.axhline(0, color="black", linewidth=0.8)
