"""Study -> figures. Each module here with a `CAPTION` is a figure; a new figure is one new file.

A figure's module has:
    CAPTION: what to see in it
    datasets(params) -> names of the datasets that have it; without this function, it is one figure for all
    draw(study, dataset), or draw(study) where it is one figure for all
"""

from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from types import ModuleType
from typing import NamedTuple

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from greedymm.analysis.figures.style import save
from greedymm.analysis.study import Images, Study

# Order in the report. Figures that are not listed come last.
ORDER = ["accuracy", "utilization", "measures", "proxy", "d_speed", "steps", "branches", "confusion", "samples",
         "uniquely_correct", "costs"]  # fmt: skip


class Picture(NamedTuple):
    """A figure's PNG file, and what to see in it."""

    path: Path
    caption: str


def draw_figures(study: Study, images: Mapping[str, Images], folder: Path) -> list[Picture]:
    """Draw all figures, and write each as PNG and SVG.

    Args:
        study: results of the runs.
        images: dataset -> samples to show.
        folder: of the files `<kind>.png`, `<kind>-<dataset>.png`, and their SVG.

    Returns:
        The pictures in the order of the report.
    """
    study = study._replace(images=images)
    pictures = []
    for kind, module in figure_modules():
        if not hasattr(module, "datasets"):
            pictures.append(Picture(folder / f"{kind}.png", module.CAPTION))
            save(module.draw(study), pictures[-1].path)
            continue
        for dataset in filter(study.info.__contains__, module.datasets(study.params)):
            pictures.append(Picture(folder / f"{kind}-{dataset}.png", f"{study.names[dataset]}: {module.CAPTION}"))
            save(module.draw(study, dataset), pictures[-1].path)
    return pictures


def figure_modules() -> Iterator[tuple[str, ModuleType]]:
    """Name and module of each kind of figure, in the order of the report."""
    names = [module.name for module in iter_modules(__path__)]
    for name in sorted(names, key=lambda name: ORDER.index(name) if name in ORDER else len(ORDER)):
        module = import_module(f"{__name__}.{name}")
        if hasattr(module, "CAPTION"):
            yield name, module


def run_curves(history: pd.DataFrame, title: str) -> Figure:
    """Accuracies of the ensemble and of the branches over the epochs of one run, and d_speed if it has one."""
    has_speed = "d_speed" in history
    figure, axes = plt.subplots(
        1, 1 + has_speed, figsize=(4.8 * (1 + has_speed), 3), squeeze=False, layout="constrained"
    )
    for column in (c for c in map(str, history) if c.startswith(("train_accuracy", "val_accuracy"))):
        style = "--" if column.startswith("train") else "-"
        axes[0, 0].plot(history["epoch"], 100 * history[column], style, label=column.replace("_", " "))
    axes[0, 0].set(title=title, xlabel="epoch", ylabel="accuracy (%)")
    axes[0, 0].legend()
    if has_speed:
        axes[0, 1].plot(history["epoch"], history["d_speed"], color="black")
        axes[0, 1].axhline(0, color="black", linewidth=0.8)
        axes[0, 1].set(xlabel="epoch", ylabel="d_speed (units of log10)")
    return figure
