"""The facts of a dataset's HDF5 file, in a small JSON file beside it: steps read them without opening the HDF5 file."""

from functools import cache
from pathlib import Path

from greedymm.errors import GreedymmError
from greedymm.files import read, read_json, sha256
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
    return read(h5_path.with_suffix(".json"), lambda path: DataInfo.model_validate(read_json(path)))


@cache  # the runs of a job have the same file
def check_content(h5_path: Path) -> None:
    """Compare a dataset's HDF5 file with the checksum in the file beside it, if that is there.

    Raises:
        GreedymmError: if the content has changed.
    """
    try:
        expected = read_info(h5_path).sha256
    except GreedymmError:  # a file of somebody else
        return
    if h5_path.exists() and sha256(h5_path) != expected:
        raise GreedymmError(
            f"{h5_path} is broken: its content has changed since it was made.\n  Delete it and run again."
        )
