"""What datasets share: samples of three splits, facts about their origin, and settings of folders."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
from pydantic import Field

from greedymm.errors import GreedymmError
from greedymm.settings import DatasetSettings

log = logging.getLogger(__name__)

SPLITS = ("train", "val", "test")
GENERATED_MARKER = "GENERATED.txt"  # in a folder of generated data: its readers must call them generated
MAX_LISTED = 20  # lines of a list in an error message; the log has all


class Samples(NamedTuple):
    """Samples of one split.

    modalities: name -> uint8, shape (N, C, *axes of space and time), the same N for all.
    labels: int64, shape (N,), from 0. ids: N strings, unique in the dataset.
    """

    modalities: dict[str, npt.NDArray[np.uint8]]
    labels: npt.NDArray[np.int64]
    ids: list[str]


class UnreadableError(Exception):
    """What is wrong with a file or an object, in a few words; the caller adds its name."""


class Broken(NamedTuple):
    """A sample or file that cannot be used, and the reason."""

    name: str
    reason: str


class LazySamples(NamedTuple):
    """Samples of one split that are made one by one while they are written, for data larger than the memory.

    shapes: name of a modality -> (C, *axes of space and time).
    rows: for each of N samples uint8 of each modality, in the order of `shapes`, or why it is broken.
    labels, ids: as in `Samples`.
    compressed: compress the samples; this takes more time than decoding a video.
    skip_broken: exclude broken samples; else they are an error.
    """

    shapes: dict[str, tuple[int, ...]]
    rows: Iterable[Iterable[npt.NDArray[np.uint8]] | Broken]
    labels: npt.NDArray[np.int64]
    ids: list[str]
    compressed: bool = True
    skip_broken: bool = False


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

    folder: str | None = Field(default=None, description="with files of your own; null: data/raw/<name of the dataset>")
    validation: float = Field(
        default=0.2,
        ge=0,
        lt=1,
        description="share of the training objects of each class, or clips of whole subjects, that is held out;"
        " 0: none, and the training data are used for validation as well",
    )
    skip_broken: bool = Field(default=False, description="exclude files that cannot be read; else they are an error")
    seed: int = Field(default=0, ge=0, strict=True, description="of the choice of what is held out")
    edition: int = Field(default=1, ge=1, strict=True, description="raise it to read changed files again")

    def path(self, raw: Path) -> Path:
        """The user's folder, or the default one."""
        return raw if self.folder is None else Path(self.folder).expanduser()


def first_lines(lines: Sequence[str]) -> list[str]:
    """The first lines of a long list, and how many follow; all of them go to the log."""
    for line in lines:
        log.warning("%s", line)
    more = [f"and {len(lines) - MAX_LISTED} more; the log lists all"] if len(lines) > MAX_LISTED else []
    return [*lines[:MAX_LISTED], *more]


def exclude_broken(broken: Sequence[Broken], folder: Path | str, *, skip: bool) -> tuple[str, ...]:
    """Note that broken samples are excluded; none if there are none.

    Raises:
        GreedymmError: if some are broken and `skip` is false.
    """
    if not broken:
        return ()
    lines = first_lines([f"{name}: {reason}" for name, reason in broken])
    if skip:
        return (f"excluded {len(broken)} samples or files: " + "; ".join(lines),)
    raise GreedymmError(
        f"{len(broken)} samples or files in {folder} cannot be used:\n"
        + "\n".join(f"  {line}" for line in lines)
        + "\n  Repair or remove them, or set data.skip_broken to true to exclude them."
    )


def hold_out(labels: npt.NDArray[Any], share: float, rng: np.random.Generator) -> npt.NDArray[np.bool_]:
    """Draw the same share, in (0, 1), of every class: shape (N,), True for held-out samples.

    Each class has at least one sample on either side. Labels are numbers or names, shape (N,).

    Raises:
        GreedymmError: if a class has only one sample.
    """
    held = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        if len(members) == 1:
            raise GreedymmError(
                f"class {label} has 1 training sample; at least 2 are needed to hold one out.\n"
                "  Add another, or set data.validation to 0 to hold none out."
            )
        count = min(max(1, round(share * len(members))), len(members) - 1)
        held[rng.permutation(members)[:count]] = True
    return held
