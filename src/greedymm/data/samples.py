"""What datasets share: samples of the splits, facts about their origin, and settings of folders."""

import logging
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import Annotated, Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
from pydantic import AfterValidator, Field
from pydantic.dataclasses import dataclass

from greedymm.data.parallel import parallel_map
from greedymm.errors import GreedymmError, printable
from greedymm.files import in_project
from greedymm.settings import DatasetSettings

log = logging.getLogger(__name__)

SPLITS = ("train", "val", "test")  # of every dataset; it may have others, which evaluation also measures
GENERATED_MARKER = "GENERATED.txt"  # in a folder of generated data: its readers must call them generated
# Images, meshes and videos become up to 12 times larger when they are unpacked, a bomb 1,000 times.
MAX_RATIO, ALWAYS_ALLOWED = 200, 10**8  # unpacked bytes for each packed byte; bytes
MAX_LISTED = 20  # lines of a list in an error message; the log has all
# Characters that no line of text or table can hold: control characters, and bytes of file names that are not UTF-8.
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


class UnreadableError(Exception):
    """What is wrong with a file or a sample, in a few words; the caller adds its name."""


class Samples(NamedTuple):
    """Samples of one split.

    modalities: name -> uint8, shape (N, C, *axes of space and time), the same N for all.
    labels: int64, shape (N,), from 0. ids: N strings, unique in the dataset.
    """

    modalities: dict[str, npt.NDArray[np.uint8]]
    labels: npt.NDArray[np.int64]
    ids: list[str]

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {name: images.shape[1:] for name, images in self.modalities.items()}

    def select(self, rows: npt.NDArray[np.bool_]) -> "Samples":
        modalities = {name: images[rows] for name, images in self.modalities.items()}
        return Samples(modalities, self.labels[rows], [self.ids[i] for i in np.flatnonzero(rows)])


class LazySamples(NamedTuple):
    """Samples of one split that are made one by one while they are written, for data larger than the memory.

    shapes: name of a modality -> (C, *axes of space and time).
    rows: for each of N samples uint8 of each modality, in the order of `shapes`, or why it cannot be used.
    labels, ids: as in `Samples`.
    compressed: compress the samples; this takes more time than decoding a video.
    skip_broken: exclude unusable samples; else they are an error.
    """

    shapes: Mapping[str, tuple[int, ...]]
    rows: Iterable[Iterable[npt.NDArray[np.uint8]] | UnreadableError]
    labels: npt.NDArray[np.int64]
    ids: list[str]
    compressed: bool = True
    skip_broken: bool = False


class Item(NamedTuple):
    """One object; it has a mesh, pictures in the order of the views, or no files if it is generated."""

    split: str
    label: str
    name: str
    files: tuple[Path, ...] = ()

    @property
    def id(self) -> str:
        return f"{self.label}/{self.split}/{self.name}"

    @property
    def is_mesh(self) -> bool:
        return self.files[0].suffix.lower() == ".off"


def is_plain(name: str) -> bool:
    """Whether a name can be written in text: no control character, and UTF-8."""
    return CONTROL.search(name) is None


def _class_names(names: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(names)) < len(names) or not all(name.strip() and is_plain(name) for name in names):
        raise ValueError("names of classes must differ, not be empty, and have no control character")
    return names


ClassNames = Annotated[tuple[str, ...], AfterValidator(_class_names)]


def name_classes(labels: Sequence[Any], names: Sequence[str] | None, default: Sequence[str]) -> tuple[str, ...]:
    """Name of each label: those in the settings, or else the default ones.

    Raises:
        GreedymmError: if there are not as many names as labels.
    """
    if names is not None and len(names) != len(labels):
        listed = ", ".join(map(str, labels))
        raise GreedymmError(
            f"data.classes has {len(names)} names, but there are {len(labels)} labels: {listed}.\n"
            "  List one name for each label, in this order."
        )
    return tuple(default if names is None else names)


Splits: TypeAlias = dict[str, Samples | LazySamples]


@dataclass(frozen=True)
class DatasetInfo:
    """Facts that a dataset's file stores beside its samples."""

    classes: tuple[str, ...]
    source: str
    license: str
    generated: bool
    hashes: dict[str, str] = field(default_factory=dict)  # of the source files
    settings: dict[str, Any] = field(default_factory=dict)  # all that is needed to prepare it again
    notes: tuple[str, ...] = ()  # what a reader of the results must know


class FolderSettings(DatasetSettings):
    """Settings of datasets that read a folder: their own, or a user's with files of the same form."""

    folder: str | None = Field(
        None, min_length=1, description="with files of your own; null: data/raw/<name of the dataset>"
    )
    validation: float = Field(0.2, ge=0, lt=1, description="share held out; 0: validate on the training data")
    skip_broken: bool = Field(default=False, description="exclude files that cannot be read; else they are an error")
    seed: int = Field(0, ge=0, description="of the choice of what is held out")
    edition: int = Field(1, ge=1, description="raise it to read changed files again")

    def path(self, raw: Path) -> Path:
        """The user's folder, or the default one."""
        return raw if self.folder is None else own_folder(self.folder, raw.name)


def own_folder(folder: str, dataset: str) -> Path:
    """Path of a user's folder.

    Raises:
        GreedymmError: if it is missing, or a file.
    """
    path = in_project(Path(folder))
    if not path.is_dir():
        raise GreedymmError(f"{path.absolute()} is not a folder.\n  Correct data.folder of {dataset}.")
    return path


def lazy_splits(
    parts: Mapping[str, Sequence[Any]],
    read: Callable[[Any], Iterable[npt.NDArray[np.uint8]] | UnreadableError],
    classes: Sequence[Any],
    workers: int,
    shapes: Mapping[str, tuple[int, ...]],
    **options: bool,
) -> Splits:
    """Splits of items that worker processes read; an item has an `id`, and a `label` that is one of the classes."""
    return {
        split: LazySamples(
            shapes,
            rows=parallel_map(read, items, workers, f"{split}, {len(items)} samples"),
            labels=np.array([classes.index(item.label) for item in items], dtype=np.int64),
            ids=[item.id for item in items],
            **options,
        )
        for split, items in parts.items()
    }


def most_bytes(packed: int) -> int:
    """Bytes that no real data set reaches when so many packed bytes are unpacked."""
    return max(ALWAYS_ALLOWED, MAX_RATIO * packed)


def first_lines(lines: Sequence[str]) -> list[str]:
    """The first lines of a long list, and how many follow; all of them go to the log."""
    lines = [printable(line) for line in lines]
    for line in lines:
        log.warning("%s", line)
    more = [f"and {len(lines) - MAX_LISTED} more; the log lists all"] if len(lines) > MAX_LISTED else []
    return [*lines[:MAX_LISTED], *more]


def exclude_broken(broken: Mapping[str, object], folder: Path | str, *, skip: bool) -> tuple[str, ...]:
    """Note that samples or files, name -> reason, are excluded; no note if there are none.

    Raises:
        GreedymmError: without `skip`, if there are any.
    """
    if not broken:
        return ()
    lines = first_lines([f"{name}: {reason}" for name, reason in broken.items()])
    if skip:
        return (f"excluded {len(broken)} samples or files: " + "; ".join(lines),)
    cure = "Repair or remove them, or set data.skip_broken to true to exclude them."
    raise GreedymmError("\n  ".join([f"{len(broken)} samples or files in {folder} cannot be used:", *lines, cure]))


def hold_out(labels: npt.NDArray[Any], share: float, rng: np.random.Generator) -> npt.NDArray[np.bool_]:
    """Draw a share, in (0, 1), of every class, and leave one or more: (N,), True for held-out samples."""
    held = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        count = min(max(1, round(share * len(members))), len(members) - 1)
        held[rng.permutation(members)[:count]] = True
    return held
