"""Step `prepare`: sources -> HDF5."""

from dataclasses import replace
from pathlib import Path

from greedymm.data import hdf5
from greedymm.errors import GreedymmError
from greedymm.files import in_project
from greedymm.params.plugins import module_of
from greedymm.run import DataSettings


def prepare(settings: DataSettings, raw: Path, workers: int) -> None:
    """Write a dataset's HDF5 file and the JSON file beside it; `raw` has what is downloaded or put there by hand.

    Raises:
        GreedymmError: if the sources are missing or broken, or if they have one class only.
    """
    splits, facts = module_of(settings.data).make(settings.data, in_project(raw) / settings.dataset, workers)
    if not facts.classes[1:]:
        raise GreedymmError(f"{facts.source}: one class only, {list(facts.classes)}.\n  Add samples of another class.")
    hdf5.write(settings.path, splits, replace(facts, settings=settings.model_dump(mode="json")))
