"""The facts of a dataset's HDF5 file, in a small JSON file beside it: steps read them without opening the HDF5 file."""

from pathlib import Path

from greedymm.files import read
from greedymm.settings import Strict


class DataInfo(Strict):
    """Content of `<key>.json` beside `<key>.h5`."""

    display_name: str  # the dataset's name; generated data are marked as such
    generated: bool
    own: bool  # read from a folder of the user's
    source: str
    license: str
    notes: tuple[str, ...]  # what a reader of the results must know
    classes: tuple[str, ...]
    modalities: tuple[str, ...]  # all that the file has
    shapes: dict[str, tuple[int, ...]]  # of one stored sample of each modality: (C, *axes)
    counts: dict[str, int]  # samples of each split
    sha256: str  # of the HDF5 file


def read_info(h5_path: Path) -> DataInfo:
    """Facts of a dataset's HDF5 file, which need not exist."""
    return read(h5_path.with_suffix(".json"), lambda path: DataInfo.model_validate_json(path.read_bytes()))
