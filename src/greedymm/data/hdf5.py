"""The HDF5 layout: written and read here only.

- `/<split>/<modality>`: uint8 (N, C, *axes); the splits are train, val and test. Of `LazySamples` each sample is a
  chunk, so that reading some samples of some modalities costs no more than their share
- `/<split>/labels`: int64 (N,)
- `/<split>/ids`: strings (N,)
- attributes of `/`: layout, classes, modalities, source, license, generated, hashes, settings, notes
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

from greedymm.data.samples import SPLITS, Broken, DatasetInfo, LazySamples, Samples, exclude_broken
from greedymm.errors import GreedymmError
from greedymm.files import atomic_write, sha256, write_text
from greedymm.info import DataInfo

LAYOUT = 3  # raise it whenever a reader of the old layout would misread the new one
COMPRESSION = 4  # of gzip, from 1 (fast) to 9 (small)
IMAGE_AXES = 4  # of a stack of images; clips have one more


# -- Writing ------------------------------------------------------------------------------------------------


def write(path: Path, splits: Mapping[str, Samples | LazySamples], facts: DatasetInfo) -> None:
    """Write a dataset and, before its file is in place, the JSON file beside it.

    The same content gives the same bytes.

    Raises:
        GreedymmError: if a split is missing, if its parts differ in length, if a class has no sample in it, or if a
            lazy sample does not have the shape that was announced.
    """
    for split in SPLITS:
        _check(split, splits, facts)
    ids = Counter(name for split in SPLITS for name in splits[split].ids)
    if repeated := [name for name, count in ids.items() if count > 1]:
        raise GreedymmError(f"two samples have the same id: {repeated[0]}")
    with atomic_write(path) as tmp:
        _write_file(tmp, splits, facts)
        write_text(path.with_suffix(".json"), describe(tmp).model_dump_json(indent=2) + "\n")


def _write_file(path: Path, splits: Mapping[str, Samples | LazySamples], facts: DatasetInfo) -> None:
    all_broken: list[Broken] = []
    with h5py.File(path, "w", libver="latest", track_order=True) as file:
        for split in SPLITS:
            group, samples, broken = file.create_group(split, track_order=True), splits[split], dict[int, Broken]()
            if isinstance(samples, LazySamples):
                broken = _write_lazy(group, samples)
            else:
                for name, images in samples.modalities.items():
                    group.create_dataset(name, data=images, track_times=False)
            kept = np.delete(np.arange(len(samples.labels)), list(broken))
            ids = [samples.ids[i] for i in kept]
            group.create_dataset("labels", data=samples.labels[kept], track_times=False)
            group.create_dataset("ids", data=ids, dtype=h5py.string_dtype(), track_times=False)
            all_broken += broken.values()
        skip = all(split.skip_broken for split in splits.values() if isinstance(split, LazySamples))
        notes = facts.notes + exclude_broken(all_broken, facts.source, skip=skip)
        for split in SPLITS if all_broken else ():
            _check_classes(split, file[split]["labels"][:], facts)
        file.attrs["layout"] = LAYOUT
        file.attrs["modalities"] = json.dumps(_modalities(splits["train"]))
        for name, value in asdict(replace(facts, notes=notes)).items():
            file.attrs[name] = json.dumps(value)


def _write_lazy(group: h5py.Group, samples: LazySamples) -> dict[int, Broken]:
    """Write sample by sample, holding one at a time; return the broken ones by index."""
    count, broken, index = len(samples.labels), dict[int, Broken](), -1
    compression = {"compression": "gzip", "compression_opts": COMPRESSION} if samples.compressed else {}
    datasets = [
        group.create_dataset(
            name,
            (count, *shape),
            np.uint8,
            maxshape=(None, *shape),
            chunks=(1, *shape),
            track_times=False,
            **compression,
        )
        for name, shape in samples.shapes.items()
    ]
    for index, row in enumerate(samples.rows):
        if index == count:
            raise GreedymmError(f"{group.name} has {count} labels, but more samples")
        if isinstance(row, Broken):
            broken[index] = row
            continue
        for dataset, image in zip(datasets, row, strict=True):
            if image.shape != dataset.shape[1:] or image.dtype != np.uint8:  # h5py would repeat or round it
                raise GreedymmError(
                    f"sample {samples.ids[index]} is {image.dtype} {image.shape} in {dataset.name};"
                    f" it must be uint8 {dataset.shape[1:]}"
                )
            _write_sample(dataset, index - len(broken), image)
    if index + 1 < count:
        raise GreedymmError(f"{group.name} has {count} labels, but {index + 1} samples")
    for dataset in datasets if broken else ():
        dataset.resize(count - len(broken), axis=0)
    return broken


def _write_sample(dataset: h5py.Dataset, index: int, image: npt.NDArray[np.uint8]) -> None:
    if dataset.compression:
        dataset[index] = image
    else:  # `dataset[index] = image` first copies it to new memory: for a clip, ten times the cost of writing it
        dataset.id.write_direct_chunk((index, *(0,) * image.ndim), np.ascontiguousarray(image))


def _modalities(samples: Samples | LazySamples) -> list[str]:
    return list(samples.shapes if isinstance(samples, LazySamples) else samples.modalities)


def _check(split: str, splits: Mapping[str, Samples | LazySamples], facts: DatasetInfo) -> None:
    if split not in splits:
        raise GreedymmError(f"the dataset has no split '{split}'")
    samples, classes = splits[split], len(facts.classes)
    labels = samples.labels
    if _modalities(samples) != _modalities(splits["train"]):
        raise GreedymmError(f"split '{split}' has the modalities {_modalities(samples)}, 'train' has others")
    lengths = {"labels": len(labels), "ids": len(samples.ids)}
    for name, images in samples.modalities.items() if isinstance(samples, Samples) else ():
        if images.dtype != np.uint8:
            raise GreedymmError(f"modality '{name}' of split '{split}' is {images.dtype}; it must be uint8, 0 to 255")
        lengths[name] = len(images)
    if len(set(lengths.values())) > 1:
        raise GreedymmError(f"the parts of split '{split}' differ in length: {lengths}")
    if len(labels) and not 0 <= labels.min() <= labels.max() < classes:
        raise GreedymmError(f"split '{split}' has labels {labels.min()} to {labels.max()}, for {classes} classes")
    _check_classes(split, labels, facts)


def _check_classes(split: str, labels: npt.NDArray[np.int64], facts: DatasetInfo) -> None:
    if empty := [name for label, name in enumerate(facts.classes) if label not in labels]:
        raise GreedymmError(f"split '{split}' has no sample of: {', '.join(empty)}")


# -- Reading ------------------------------------------------------------------------------------------------


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
            GreedymmError: if the dataset has no such modality; the message lists its modalities.
        """
        if modality not in self.modalities:
            available = ", ".join(self.modalities)
            raise GreedymmError(f"{self.path} has no modality '{modality}' in split '{split}'; it has: {available}")
        return self._file[split][modality]

    def channels(self, modalities: Sequence[str]) -> list[int]:
        """Channels C of each modality."""
        return [self.images("train", m).shape[1] for m in modalities]

    def labels(self, split: str) -> npt.NDArray[np.int64]:
        """Labels of a split: int64 (N,)."""
        return np.asarray(self._file[split]["labels"])

    def examples(self, split: str, modality: str, count: int) -> list[npt.NDArray[np.uint8]]:
        """First samples of each class, (count, C, *axes); only one if they are clips, which are large."""
        labels, images = self.labels(split), self.images(split, modality)
        count = count if images.ndim <= IMAGE_AXES else 1
        return [images[np.flatnonzero(labels == c)[:count]] for c in range(len(self.facts.classes))]

    def sample_table(self, split: str) -> pd.DataFrame:
        """One row per sample of a split: split, id, label."""
        ids = self._file[split]["ids"].asstr()[:]
        return pd.DataFrame({"split": split, "id": ids, "label": self.labels(split).astype(np.int16)})


def describe(path: Path) -> DataInfo:
    """Facts of a dataset's file, for the JSON file beside it."""
    with DataFile(path) as file:
        facts, settings = file.facts, file.facts.settings
        shapes = {m: file.images("train", m).shape[1:] for m in file.modalities}
        return DataInfo(
            display_name=_display_name(settings.get("dataset", path.parent.name), facts),
            own=settings.get("data", {}).get("folder") is not None,
            modalities=tuple(file.modalities),
            shapes=shapes,
            channels={m: shape[0] for m, shape in shapes.items()},
            counts={split: len(file.labels(split)) for split in SPLITS},
            sha256=sha256(path),
            **{name: getattr(facts, name) for name in ("generated", "source", "license", "notes", "classes")},
        )


def _display_name(dataset: str, facts: DatasetInfo) -> str:
    return f"{dataset} (generated data)" if facts.generated else dataset


def _open(path: Path) -> h5py.File:
    if not path.exists():
        raise GreedymmError(f"{path} is missing.\n  Make it with: snakemake --cores 2 all")
    cure = "If this project made it, delete it and run again."
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        if isinstance(error, PermissionError):
            raise
        raise GreedymmError(f"{path} is no complete HDF5 file ({error}).\n  {cure}") from None
    layout = file.attrs.get("layout")
    if layout != LAYOUT:
        file.close()
        version = "no layout version" if layout is None else f"layout {layout}"
        raise GreedymmError(f"{path} has {version}; this code reads layout {LAYOUT}.\n  {cure}")
    return file
