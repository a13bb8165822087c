"""IDX files, as MNIST has them -> arrays."""

import re
import struct
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import numpy.typing as npt

from greedymm.data.sources.archives import read_gzipped
from greedymm.data.sources.objects import find_files, note_others
from greedymm.errors import GreedymmError, printable

NAMES = tuple(f"{part}-{what}-ubyte" for part in ("train", "t10k") for what in ("images-idx3", "labels-idx1"))
# `train-images.idx3-ubyte`, `emnist-letters-test-labels-idx1-ubyte.gz`
FILE = re.compile(
    r"(?P<set>.*?)(?P<part>train|t10k|test)-(?P<what>images|labels)[-.]idx(?P<axes>[13])-ubyte(\.gz)?", re.IGNORECASE
)
BYTES = 8  # type of the values: unsigned bytes


def find_sets(folder: Path) -> dict[str, dict[str, list[Path]]]:
    """Files of each set below a folder: what precedes `train` in their names -> name in MNIST -> files of this name."""
    sets: dict[str, dict[str, list[Path]]] = defaultdict(lambda: defaultdict(list))
    for path in find_files(folder):
        if match := FILE.fullmatch(path.name):
            part, what = match["part"].lower().replace("test", "t10k"), match["what"].lower()
            sets[match["set"]][f"{part}-{what}-idx{match['axes']}-ubyte"].append(path)
    return sets


def note_unread(folder: Path) -> tuple[str, ...]:
    """Note on the files below a folder that are of no set."""
    others = (path for path in find_files(folder) if not FILE.fullmatch(path.name))
    return note_others(Counter(path.suffix or path.name for path in others))


def read_set(folder: Path) -> dict[str, bytes]:
    """Content of the four files of the only set below a folder, by their names in MNIST.

    Raises:
        GreedymmError: if a file is missing or broken, or if there are several sets or different files of one name.
    """
    sets = find_sets(folder)
    if len(sets) > 1:
        names = ", ".join(printable(f"{name}train-images-...") for name in sorted(sets))
        raise GreedymmError(f"{folder} has several sets: {names}.\n  Put one into a folder of its own.")
    files = next(iter(sets.values()), {})
    if missing := [name for name in NAMES if not files.get(name)]:
        raise GreedymmError(
            f"{folder} has no {', '.join(missing)}.\n  Put the four IDX files of a set there, gzipped or not; t10k or"
            " test may be in the names, and any name of the set before train and t10k."
        )
    return {name: _read_same(files[name]) for name in NAMES}


def _read_same(paths: list[Path]) -> bytes:
    content, *others = map(read_gzipped, paths)
    for path, other in zip(paths[1:], others, strict=True):
        if other != content:
            raise GreedymmError(f"{paths[0]} and {path} have the same name and differ.\n  Remove one of them.")
    return content


def parse(content: bytes, axes: int, name: str) -> npt.NDArray[np.uint8]:
    """Array of an IDX file of bytes.

    Raises:
        GreedymmError: if the content is no IDX file of bytes with so many axes, or if it has another length.
    """
    header = 4 + 4 * axes
    if len(content) < header or content[:2] != b"\0\0" or not content[3]:
        raise GreedymmError(f"{name} is no IDX file.\n  Replace it.")
    if (content[2], content[3]) != (BYTES, axes):
        what = f"values of type 0x{content[2]:02X} in {content[3]} axes"
        raise GreedymmError(f"{name} has {what}; it must have bytes, 0x08, in {axes}.\n  Convert it.")
    shape = struct.unpack(f">{axes}I", content[4:header])
    if len(content) != header + np.prod(shape, dtype=object):
        raise GreedymmError(f"{name} has {len(content)} bytes, and its header announces {shape}.\n  Replace it.")
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)
