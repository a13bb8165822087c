"""Step `prepare`: sources -> HDF5."""

from dataclasses import replace
from pathlib import Path

from greedymm.data import hdf5
from greedymm.params.plugins import module_of
from greedymm.run import DataSettings


def prepare(settings: DataSettings, raw: Path, workers: int) -> None:
    """Write a dataset's HDF5 file and the JSON file beside it; `raw` has what is downloaded or put there by hand."""
    splits, facts = module_of(settings.data).make(settings.data, raw / settings.dataset, workers)
    hdf5.write(settings.path, splits, replace(facts, settings=settings.model_dump(mode="json")))
