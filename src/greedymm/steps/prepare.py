"""Step `prepare`: sources -> HDF5."""

from dataclasses import replace
from pathlib import Path

from greedymm.data import hdf5
from greedymm.params.plugins import module_of
from greedymm.run import DataSettings


def prepare(settings: DataSettings, raw: Path, workers: int, output: Path) -> None:
    """Step `prepare`: sources -> HDF5."""
    splits, facts = module_of(settings.data).make(settings.data, raw / settings.dataset, workers)
    hdf5.write(output, splits, replace(facts, settings=settings.model_dump(mode="json")))
