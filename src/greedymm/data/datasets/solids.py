"""Solids: procedural CAD objects, seen from four sides by the renderer of ModelNet40 (generated data).

The front view tells some classes, the rear view others; a third group takes both views.
"""

from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydantic import Field
from trimesh import Trimesh

from greedymm.data.samples import SPLITS, DatasetInfo, Item, Splits, lazy_splits
from greedymm.data.sources.renderer import FOUR_SIDES, FRONT_AND_REAR, NAMES, render
from greedymm.data.synthetic.cad import CLASSES
from greedymm.settings import DatasetSettings

STORED, MODALITIES = tuple(NAMES[k] for k in FOUR_SIDES), FRONT_AND_REAR
SOURCE = "generated here: procedural CAD objects of everyday things"
LICENSE = "BSD-3-Clause, as the project"


class Settings(DatasetSettings):
    """Settings of Solids."""

    size: int = Field(default=64, ge=16, le=1024, description="height and width of a view, in pixels")
    train: int = Field(default=80, ge=1, description="training objects of each class")
    val: int = Field(default=20, ge=1, description="validation objects of each class")
    test: int = Field(default=40, ge=1, description="test objects of each class")
    seed: int = Field(default=0, ge=0, description="of the objects")


def make(settings: Settings, _raw: Path, workers: int = 1) -> tuple[Splits, DatasetInfo]:
    """Splits of new objects; needs no network and no GPU."""
    classes, shapes = tuple(CLASSES), dict.fromkeys(STORED, (1, settings.size, settings.size))
    parts = {split: items_of(split, classes, settings) for split in SPLITS}
    views = partial(_views, size=settings.size, seed=settings.seed)
    return lazy_splits(parts, views, classes, workers, shapes), DatasetInfo(classes, SOURCE, LICENSE, generated=True)


def items_of(split: str, classes: tuple[str, ...], settings: Settings) -> list[Item]:
    """Objects of one split, class by class."""
    return [Item(split, label, f"{i:04d}") for label in classes for i in range(getattr(settings, split))]


def _views(item: Item, size: int, seed: int) -> npt.NDArray[np.uint8]:
    mesh = mesh_of(item, seed)
    return render(mesh.vertices, mesh.faces, size, FOUR_SIDES)


def mesh_of(item: Item, seed: int) -> Trimesh:
    """One object, from a random stream of its own: the same in any process and order."""
    stream = [seed, list(CLASSES).index(item.label), SPLITS.index(item.split), int(item.name)]
    return CLASSES[item.label](np.random.default_rng(stream))
