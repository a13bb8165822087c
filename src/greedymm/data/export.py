"""Generated objects -> OFF files in the form of ModelNet40: to try its reader, and the paper's scale, without it."""

from pathlib import Path

from greedymm.data.objects import MARK
from greedymm.data.samples import SPLITS
from greedymm.data.solids import SOURCE, Settings, items_of, mesh_of
from greedymm.errors import GreedymmError
from greedymm.files import write_text


def write_meshes(folder: Path, settings: Settings, classes: int) -> int:
    """Write objects of the first classes; returns how many.

    Those of validation are among the training objects: whoever reads them holds out some of his own.

    Raises:
        GreedymmError: if there is something in the folder already.
    """
    from trimesh.exchange.off import export_off

    from greedymm.data.cad import CLASSES

    if folder.exists() and any(folder.iterdir()):
        raise GreedymmError(f"{folder} is not empty: name another folder, or empty it")
    items = [item for split in SPLITS for item in items_of(split, tuple(CLASSES)[:classes], settings)]
    for item in items:
        place = folder / item.label / ("test" if item.split == "test" else "train")
        write_text(place / f"{item.label}_{item.split}_{item.number:04d}.off", export_off(mesh_of(item, settings.seed)))
    write_text(folder / MARK, f"{SOURCE}\n")
    return len(items)
