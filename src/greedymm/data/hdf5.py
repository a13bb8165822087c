"""The HDF5 layout: written and read here only.

- `/<split>/<modality>`: uint8 (N, C, *axes); the splits are train, val and test
- `/<split>/labels`: int64 (N,)
- `/<split>/ids`: strings (N,)
- attributes of `/`: layout, classes, modalities, source, licence, generated, hashes, settings
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Self

import h5py
import numpy as np
import numpy.typing as npt
import pandas as pd

from greedymm.data.samples import SPLITS, Facts, Samples
from greedymm.errors import GreedymmError
from greedymm.files import whole

LAYOUT = 1  # raise it whenever a reader of the old layout would misread the new one


def write(path: Path, splits: Mapping[str, Samples], facts: Facts) -> None:
    """Write a dataset, the same bytes for the same content.

    Raises:
        GreedymmError: if a split is missing, if its parts differ in length, or if a class has no sample in it.
    """
    for split in SPLITS:
        _check(split, splits, facts)
    ids = [name for split in SPLITS for name in splits[split].ids]
    if len(set(ids)) < len(ids):
        raise GreedymmError(f"two samples have the same id: {Counter(ids).most_common(1)[0][0]}")
    with whole(path) as beside, h5py.File(beside, "w", libver="latest", track_order=True) as file:
        file.attrs["layout"] = LAYOUT
        file.attrs["modalities"] = json.dumps(list(splits["train"].modalities))
        for name, value in asdict(facts).items():
            file.attrs[name] = json.dumps(value)
        for split in SPLITS:
            modalities, labels, ids = splits[split]
            group = file.create_group(split, track_order=True)
            for name, images in modalities.items():
                group.create_dataset(name, data=images, track_times=False)
            group.create_dataset("labels", data=labels, track_times=False)
            group.create_dataset("ids", data=ids, dtype=h5py.string_dtype(), track_times=False)


def _check(split: str, splits: Mapping[str, Samples], facts: Facts) -> None:
    if split not in splits:
        raise GreedymmError(f"the dataset has no split '{split}'")
    modalities, labels, ids = splits[split]
    if list(modalities) != list(splits["train"].modalities):
        raise GreedymmError(f"split '{split}' has the modalities {list(modalities)}, 'train' others")
    for name, images in modalities.items():
        if images.dtype != np.uint8:
            raise GreedymmError(f"modality '{name}' of split '{split}' is {images.dtype}; it must be uint8, 0 to 255")
    lengths = {name: len(images) for name, images in modalities.items()} | {"labels": len(labels), "ids": len(ids)}
    if len(set(lengths.values())) > 1:
        raise GreedymmError(f"the parts of split '{split}' differ in length: {lengths}")
    if len(labels) and not 0 <= labels.min() <= labels.max() < len(facts.classes):
        raise GreedymmError(
            f"split '{split}' has labels {labels.min()} to {labels.max()}, for {len(facts.classes)} classes"
        )
    counts = np.bincount(labels, minlength=len(facts.classes))
    empty = [name for name, count in zip(facts.classes, counts, strict=True) if count == 0]
    if empty:
        raise GreedymmError(f"split '{split}' has no sample of: {', '.join(empty)}")


class DataFile:
    """A dataset's file, open for reading.

    Raises:
        GreedymmError: if it is missing, no HDF5 file, truncated, or of another layout.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = _open(path)
        self.modalities: list[str] = json.loads(self._file.attrs["modalities"])
        facts = {name: json.loads(self._file.attrs[name]) for name in Facts.__dataclass_fields__}
        self.facts = Facts(**facts | {"classes": tuple(facts["classes"])})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def images(self, split: str, modality: str) -> h5py.Dataset:
        """Images of one modality, uint8 (N, C, *axes), still in the file.

        Raises:
            GreedymmError: if the dataset has no such modality; the message lists those that it has.
        """
        if modality not in self.modalities or modality not in self._file[split]:
            there = ", ".join(m for m in self.modalities if m in self._file[split])
            raise GreedymmError(f"{self.path} has no modality '{modality}' in split '{split}'; it has: {there}")
        return self._file[split][modality]

    def channels(self, modalities: Sequence[str]) -> list[int]:
        """Channels C of each modality."""
        return [self.images("train", m).shape[1] for m in modalities]

    def labels(self, split: str) -> npt.NDArray[np.int64]:
        """Labels of a split: int64 (N,)."""
        return np.asarray(self._file[split]["labels"])

    def examples(self, split: str, modality: str, count: int) -> list[npt.NDArray[np.uint8]]:
        """Show the first `count` samples of each class: (count, C, *axes)."""
        labels, images = self.labels(split), self.images(split, modality)
        return [images[np.flatnonzero(labels == c)[:count]] for c in range(len(self.facts.classes))]

    def known(self, split: str) -> pd.DataFrame:
        """One row per sample of a split: split, id, label."""
        ids = self._file[split]["ids"].asstr()[:]
        return pd.DataFrame({"split": split, "id": ids, "label": self.labels(split).astype(np.int16)})


def _open(path: Path) -> h5py.File:
    if not path.exists():
        raise GreedymmError(f"{path} is missing.\n  Make it with: snakemake --cores 2 all")
    try:
        file = h5py.File(path, "r")
    except PermissionError:
        raise
    except OSError as error:
        raise GreedymmError(f"{path} is no whole HDF5 file ({error}).\n  Delete it and run again.") from None
    layout = file.attrs.get("layout")
    if layout != LAYOUT:
        file.close()
        found = "no layout version" if layout is None else f"layout {layout}"
        raise GreedymmError(f"{path} has {found}; this code reads layout {LAYOUT}.\n  Delete it and run again.")
    return file
