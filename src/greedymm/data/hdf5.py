"""The HDF5 layout: written and read here only.

- `/<split>/<modality>`: uint8 (N, C, *axes); the splits are train, val and test. Of a stream of samples each sample is
  a chunk, compressed where that pays, so that some modalities of some samples are read at their share of the cost
- `/<split>/labels`: int64 (N,)
- `/<split>/ids`: strings (N,)
- attributes of `/`: layout, classes, modalities, source, licence, generated, hashes, settings, notes
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Self

import h5py
import numpy as np
import numpy.typing as npt
import pandas as pd

from greedymm.data.samples import SPLITS, Broken, DatasetInfo, Samples, Stream, left_out
from greedymm.errors import GreedymmError
from greedymm.files import atomic_write

AGAIN = "If this project made it, delete it and run again."
LAYOUT = 2  # raise it whenever a reader of the old layout would misread the new one
COMPRESSION = 4  # of gzip, from 1, fast, to 9, small
IMAGES = 4  # axes of a stack of pictures; clips have one more


def write(path: Path, splits: Mapping[str, Samples | Stream], facts: DatasetInfo) -> None:
    """Write a dataset, the same bytes for the same content.

    Raises:
        GreedymmError: if a split is missing, if its parts differ in length, if a class has no sample in it, or if a
            sample of a stream is not of the shape that the stream says.
    """
    for split in SPLITS:
        _check(split, splits, facts)
    ids = [name for split in SPLITS for name in splits[split].ids]
    if len(set(ids)) < len(ids):
        raise GreedymmError(f"two samples have the same id: {Counter(ids).most_common(1)[0][0]}")
    broken: list[Broken] = []
    with atomic_write(path) as beside, h5py.File(beside, "w", libver="latest", track_order=True) as file:
        for split in SPLITS:
            group = file.create_group(split, track_order=True)
            samples, kept = splits[split], np.arange(len(splits[split].labels))
            if isinstance(samples, Stream):
                found = _write_stream(group, samples)
                broken += found.values()
                kept = np.delete(kept, list(found))
            else:
                for name, images in samples.modalities.items():
                    group.create_dataset(name, data=images, track_times=False)
            ids = [samples.ids[i] for i in kept]
            group.create_dataset("labels", data=samples.labels[kept], track_times=False)
            group.create_dataset("ids", data=ids, dtype=h5py.string_dtype(), track_times=False)
        skip = all(split.skip_broken for split in splits.values() if isinstance(split, Stream))
        notes = left_out(broken, facts.source, skip=skip)
        for split in SPLITS if broken else ():
            _check_classes(split, file[split]["labels"][:], facts)
        file.attrs["layout"] = LAYOUT
        file.attrs["modalities"] = json.dumps(_modalities(splits["train"]))
        for name, value in asdict(replace(facts, notes=facts.notes + notes)).items():
            file.attrs[name] = json.dumps(value)


def _write_stream(group: h5py.Group, samples: Stream) -> dict[int, Broken]:
    """Write sample by sample: no more than one of them is held here; returns those that are broken."""
    count = len(samples.labels)
    packed = {"compression": "gzip", "compression_opts": COMPRESSION} if samples.compressed else {}
    places = [
        group.create_dataset(
            name,
            shape=(count, *shape),
            maxshape=(None, *shape),
            dtype=np.uint8,
            chunks=(1, *shape),
            track_times=False,
            **packed,
        )
        for name, shape in samples.shapes.items()
    ]
    broken: dict[int, Broken] = {}
    read = 0
    for read, row in enumerate(samples.rows, start=1):
        if read > count:
            break
        if isinstance(row, Broken):
            broken[read - 1] = row
            continue
        for place, image in zip(places, row, strict=True):
            if image.shape != place.shape[1:] or image.dtype != np.uint8:  # h5py would repeat or round it
                raise GreedymmError(
                    f"sample {samples.ids[read - 1]} is {image.dtype} {image.shape} in {place.name};"
                    f" it must be uint8 {place.shape[1:]}"
                )
            _put(place, read - 1 - len(broken), image)
    if read != count:
        raise GreedymmError(f"{group.name} has {count} labels, but {'more' if read > count else read} samples")
    for place in places if broken else ():
        place.resize(count - len(broken), axis=0)
    return broken


def _put(place: h5py.Dataset, k: int, image: npt.NDArray[np.uint8]) -> None:
    if place.compression:
        place[k] = image
    else:  # HDF5 would first copy it to memory that is new each time: for a clip, ten times the cost of writing it
        place.id.write_direct_chunk((k, *(0,) * image.ndim), np.ascontiguousarray(image))


def _modalities(samples: Samples | Stream) -> list[str]:
    return list(samples.shapes if isinstance(samples, Stream) else samples.modalities)


def _check(split: str, splits: Mapping[str, Samples | Stream], facts: DatasetInfo) -> None:
    if split not in splits:
        raise GreedymmError(f"the dataset has no split '{split}'")
    samples = splits[split]
    labels, ids = samples.labels, samples.ids
    if _modalities(samples) != _modalities(splits["train"]):
        raise GreedymmError(f"split '{split}' has the modalities {_modalities(samples)}, 'train' others")
    lengths = {"labels": len(labels), "ids": len(ids)}
    for name, images in samples.modalities.items() if isinstance(samples, Samples) else ():
        if images.dtype != np.uint8:
            raise GreedymmError(f"modality '{name}' of split '{split}' is {images.dtype}; it must be uint8, 0 to 255")
        lengths[name] = len(images)
    if len(set(lengths.values())) > 1:
        raise GreedymmError(f"the parts of split '{split}' differ in length: {lengths}")
    if len(labels) and not 0 <= labels.min() <= labels.max() < len(facts.classes):
        raise GreedymmError(
            f"split '{split}' has labels {labels.min()} to {labels.max()}, for {len(facts.classes)} classes"
        )
    _check_classes(split, labels, facts)


def _check_classes(split: str, labels: npt.NDArray[np.int64], facts: DatasetInfo) -> None:
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
        facts = {name: json.loads(self._file.attrs[name]) for name in DatasetInfo.__dataclass_fields__}
        self.facts = DatasetInfo(**facts | {name: tuple(facts[name]) for name in ("classes", "notes")})

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
        """Show the first `count` samples of each class: (count, C, *axes); of clips one, for their size."""
        labels, images = self.labels(split), self.images(split, modality)
        count = count if images.ndim <= IMAGES else 1
        return [images[np.flatnonzero(labels == c)[:count]] for c in range(len(self.facts.classes))]

    def known(self, split: str) -> pd.DataFrame:
        """One row per sample of a split: split, id, label."""
        ids = self._file[split]["ids"].asstr()[:]
        return pd.DataFrame({"split": split, "id": ids, "label": self.labels(split).astype(np.int16)})


def shown_name(dataset: str, path: Path) -> str:
    """Name of a dataset wherever results are shown: generated data are called so; without its file there are none."""
    if not path.exists():
        return dataset
    with DataFile(path) as file:
        return f"{dataset} (generated data)" if file.facts.generated else dataset


def _open(path: Path) -> h5py.File:
    if not path.exists():
        raise GreedymmError(f"{path} is missing.\n  Make it with: snakemake --cores 2 all")
    try:
        file = h5py.File(path, "r")
    except PermissionError:
        raise
    except OSError as error:
        raise GreedymmError(f"{path} is no whole HDF5 file ({error}).\n  {AGAIN}") from None
    layout = file.attrs.get("layout")
    if layout != LAYOUT:
        file.close()
        found = "no layout version" if layout is None else f"layout {layout}"
        raise GreedymmError(f"{path} has {found}; this code reads layout {LAYOUT}.\n  {AGAIN}")
    return file
