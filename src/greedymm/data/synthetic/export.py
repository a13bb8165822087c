"""Generated objects and clips -> files in the forms of ModelNet40 and NVGesture, to try their readers."""

from pathlib import Path

from greedymm.data.datasets import handwave
from greedymm.data.datasets.solids import SOURCE, Settings, items_of, mesh_of
from greedymm.data.samples import GENERATED_MARKER, SPLITS
from greedymm.data.synthetic.cad import CLASSES
from greedymm.errors import GreedymmError
from greedymm.files import write_text


def write_meshes(folder: Path, settings: Settings, classes: int) -> int:
    """Write objects of the first classes; return how many.

    Validation objects are written as training objects: the reader holds out some of these.

    Raises:
        GreedymmError: if the folder is not empty.
    """
    from trimesh.exchange.off import export_off

    _check_empty(folder)
    items = [item for split in SPLITS for item in items_of(split, tuple(CLASSES)[:classes], settings)]
    for item in items:
        target = folder / item.label / ("test" if item.split == "test" else "train")
        write_text(target / f"{item.label}_{item.split}_{item.name}.off", export_off(mesh_of(item, settings.seed)))
    write_text(folder / GENERATED_MARKER, f"{SOURCE}\n")
    return len(items)


def write_clips(folder: Path, settings: handwave.Settings, workers: int) -> None:
    """Film clips, and write their lists.

    Raises:
        GreedymmError: if the folder is not empty.
    """
    _check_empty(folder)
    handwave.film(settings, folder, workers)
    write_text(folder / GENERATED_MARKER, f"{handwave.SOURCE}\n")


def _check_empty(folder: Path) -> None:
    if folder.exists() and any(folder.iterdir()):
        raise GreedymmError(f"{folder} is not empty: name another folder, or empty it")
