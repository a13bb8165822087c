"""d_speed at every step of one run of each method, and the re-balancing steps."""

from itertools import cycle

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from greedymm.analysis.figures.style import MOST_LINES, WIDEST, grid, label, styles
from greedymm.analysis.study import Study

CAPTION = (
    "d_speed at every step of the first run of each method. Shaded: re-balancing steps, with their share of all steps."
)
MOST_POINTS = 2000  # of one line; more cannot be seen
ZOOM = 60  # steps in an enlarged panel
SHADES = ("#F0E442", "#B0B0B0", "#C0D8A0")  # no method has these colors
ALPHA = 0.55


def draw(study: Study, dataset: str) -> Figure | None:
    """Draw a panel for each method. Of few methods a second one, from the first re-balancing step on."""
    table = study.results.steps.query("dataset == @dataset")
    if table["d_speed"].isna().all():
        return None
    methods = styles(table["method"], study.results.steps["method"])
    few = len(methods) <= MOST_LINES
    panels = []
    for method in methods:
        steps = table[table["method"] == method]
        panels.append((method, f"{label(method)}: {steps['mode'].ne(0).mean():.0%} re-balancing", steps))
        if few:
            part = _zoom(steps)
            panels.append((method, f"steps {part['step'].iloc[0]} to {part['step'].iloc[-1]}", part))
    width, height = (WIDEST / 2, 1.9) if few else (WIDEST / 4, 1.5)
    figure, axes = grid(len(panels), width, height, "step", sharey="row")
    shades = dict(zip(study.modalities[dataset], cycle(SHADES), strict=False))
    for ax, (method, title, steps) in zip(axes, panels, strict=True):
        ax.set_title(title, fontsize="medium" if few else "small", loc="left")
        _draw_steps(ax, steps, list(shades.values()), methods[method].color)
    handles = [Patch(color=shade, alpha=ALPHA, label=f"re-balancing for {m}") for m, shade in shades.items()]
    figure.legend(handles=handles, loc="outside lower right", ncols=len(handles))
    figure.supylabel("d_speed (units of log10)", fontsize="medium")
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
