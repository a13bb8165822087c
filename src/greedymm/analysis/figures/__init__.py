"""Study -> figures. Each module here with a `CAPTION` is a figure; a new figure is one new file.

A figure's module has:
    CAPTION: what to see in it
    draw(study, dataset), which returns None where the dataset has nothing to show, and sets no title; or
    draw_all(study), where it is one figure for all datasets
"""

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from types import ModuleType
from typing import NamedTuple

from greedymm.analysis.figures.style import save
from greedymm.analysis.study import Study

# Order in the report. Figures that are not listed come last.
ORDER = ["accuracy", "utilization", "measures", "proxy", "d_speed", "steps", "branches", "confusion", "samples",
         "uniquely_correct", "costs"]  # fmt: skip


class Picture(NamedTuple):
    """A figure's PNG file, and what to see in it."""

    kind: str  # name of its module
    dataset: str | None  # None: all of them
    path: Path
    caption: str


def draw_figures(study: Study, folder: Path) -> list[Picture]:
    """Draw all figures, in the order of the report: `<kind>.png` or `<kind>-<dataset>.png`, and the same as SVG."""
    pictures = []
    for kind, module in figure_modules():
        if hasattr(module, "draw_all"):
            pictures.append(Picture(kind, None, folder / f"{kind}.png", module.CAPTION))
            save(module.draw_all(study), pictures[-1].path)
            continue
        for dataset, name in study.names.items():
            figure = module.draw(study, dataset)
            if figure is not None:
                figure.suptitle(name)
                pictures.append(Picture(kind, dataset, folder / f"{kind}-{dataset}.png", module.CAPTION))
                save(figure, pictures[-1].path)
    return pictures


def figure_modules() -> Iterator[tuple[str, ModuleType]]:
    """Name and module of each kind of figure, in the order of the report."""
    names = [module.name for module in iter_modules(__path__)]
    for name in sorted(names, key=lambda name: ORDER.index(name) if name in ORDER else len(ORDER)):
        module = import_module(f"{__name__}.{name}")
        if hasattr(module, "CAPTION"):
            yield name, module
