"""What a dataset hands to the file: samples of three splits, and the facts that say where they come from."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from greedymm.errors import GreedymmError

log = logging.getLogger(__name__)

MARK = "GENERATED.txt"  # in a folder that the project wrote itself: whoever reads it is to call it generated
SHOWN = 20  # broken samples that an error lists; the log has all
AT_LEAST = 2  # samples of a class: one for each part
SPLITS = ("train", "val", "test")


class Samples(NamedTuple):
    """Samples of one split.

    modalities: name -> uint8, shape (N, C, *axes of space and time), the same N for all.
    labels: int64, shape (N,), from 0. ids: N strings, unique in the dataset.
    """

    modalities: dict[str, npt.NDArray[np.uint8]]
    labels: npt.NDArray[np.int64]
    ids: list[str]


class UnreadableError(Exception):
    """What is wrong with a file or an object, in a few words; the caller says which it is."""


class Broken(NamedTuple):
    """What cannot be used, and why."""

    name: str
    reason: str


class Stream(NamedTuple):
    """Samples of one split that are made while they are written, one after the other: too many for the memory.

    shapes: name of a modality -> (C, *axes of space and time).
    rows: for each of N samples, in order, uint8 of each modality, in the order of `shapes`, or what is wrong with it.
    labels, ids: as of `Samples`.
    compressed: whether it pays: it costs more time than it takes to decode a video.
    skip_broken: leave out samples with which something is wrong; else they are an error.
    """

    shapes: dict[str, tuple[int, ...]]
    rows: Iterable[Iterable[npt.NDArray[np.uint8]] | Broken]
    labels: npt.NDArray[np.int64]
    ids: list[str]
    compressed: bool = True
    skip_broken: bool = False


@dataclass(frozen=True)
class DatasetInfo:
    """What a file says of itself, beside its samples."""

    classes: tuple[str, ...]
    source: str
    licence: str
    generated: bool
    hashes: dict[str, str] = field(default_factory=dict)  # of the files that it was made from
    settings: dict[str, Any] = field(default_factory=dict)  # all that is needed to make it again
    notes: tuple[str, ...] = ()  # what a reader of the results has to know


def left_out(broken: Sequence[Broken], where: Path | str, *, skip: bool) -> tuple[str, ...]:
    """Say what is broken: in a note where it may be left out, else in an error.

    Raises:
        GreedymmError: if something is broken and may not be left out.
    """
    if not broken:
        return ()
    for name, reason in broken:
        log.warning("%s: %s", name, reason)
    lines = [f"{name}: {reason}" for name, reason in broken[:SHOWN]]
    if len(broken) > SHOWN:
        lines.append(f"and {len(broken) - SHOWN} more, all of them in the log")
    if skip:
        return (f"left out {len(broken)} samples or files: " + "; ".join(lines),)
    raise GreedymmError(
        f"{len(broken)} samples or files in {where} cannot be used:\n"
        + "\n".join(f"  {line}" for line in lines)
        + "\n  Mend or remove them, or set data.skip_broken to true, which leaves them out."
    )


def hold_out(labels: npt.NDArray[np.int64], share: float, rng: np.random.Generator) -> npt.NDArray[np.bool_]:
    """Choose the same share of every class, at random.

    Args:
        labels: shape (N,).
        share: in (0, 1).
        rng: draws which.

    Returns:
        Shape (N,): True for those held out, at least one of each class, and never all of it.

    Raises:
        GreedymmError: if a class has fewer than two samples, and cannot be in both parts.
    """
    held = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        if len(members) < AT_LEAST:
            raise GreedymmError(f"class {label} has {len(members)} sample; it takes two to hold one out")
        count = min(max(1, round(share * len(members))), len(members) - 1)
        held[rng.permutation(members)[:count]] = True
    return held
