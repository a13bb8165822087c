"""The HDF5 layout: written and read here only.

- `/<split>/<modality>`: uint8 (N, C, *axes); the splits are train, val and test. Of `LazySamples` each sample is a
  chunk, so that reading some samples of some modalities costs no more than their share
- `/<split>/labels`: int64 (N,)
- `/<split>/ids`: strings (N,)
- attributes of `/`: layout, classes, modalities, source, license, generated, hashes, settings, notes
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Self

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
    """Write a dataset and, before its file is in place, the JSON file beside it; the same content gives the same bytes.

    Raises:
        GreedymmError: if a split is missing, or its parts do not fit each other or the classes.
    """
    for split in SPLITS:
        _check(split, splits, facts)
    ids = Counter(name for split in SPLITS for name in splits[split].ids)
    if repeated := [name for name, count in ids.items() if count > 1]:
        raise GreedymmError(f"two samples have the same id: {repeated[0]}")
    with atomic_write(path) as tmp:
        with h5py.File(tmp, "w", libver="latest", track_order=True) as file:
            broken = [b for split in SPLITS for b in _write_split(file.create_group(split, track_order=True), splits)]
            skip = all(split.skip_broken for split in splits.values() if isinstance(split, LazySamples))
            notes = facts.notes + exclude_broken(broken, facts.source, skip=skip)
            for split in SPLITS:
                _check_labels(split, file[split]["labels"][:], facts.classes)
            file.attrs["layout"] = LAYOUT
            file.attrs["modalities"] = json.dumps(_modalities(splits["train"]))
            for name, value in asdict(replace(facts, notes=notes)).items():
                file.attrs[name] = json.dumps(value)
        write_text(path.with_suffix(".json"), _describe(tmp).model_dump_json(indent=2) + "\n")


def _modalities(samples: Samples | LazySamples) -> list[str]:
    return list(samples.shapes if isinstance(samples, LazySamples) else samples.modalities)


def _check(split: str, splits: Mapping[str, Samples | LazySamples], facts: DatasetInfo) -> None:
    if split not in splits:
        raise GreedymmError(f"the dataset has no split '{split}'")
    samples = splits[split]
    if _modalities(samples) != _modalities(splits["train"]):
        raise GreedymmError(f"split '{split}' has the modalities {_modalities(samples)}, 'train' has others")
    lengths = {"labels": len(samples.labels), "ids": len(samples.ids)}
    for name, images in samples.modalities.items() if isinstance(samples, Samples) else ():
        if images.dtype != np.uint8:
            raise GreedymmError(f"modality '{name}' of split '{split}' is {images.dtype}; it must be uint8, 0 to 255")
        lengths[name] = len(images)
    if len(set(lengths.values())) > 1:
        raise GreedymmError(f"the parts of split '{split}' differ in length: {lengths}")
    _check_labels(split, samples.labels, facts.classes)


def _check_labels(split: str, labels: npt.NDArray[np.int64], classes: Sequence[str]) -> None:
    if unknown := set(labels.tolist()) - set(range(len(classes))):
        raise GreedymmError(f"split '{split}' has label {min(unknown)}; the labels are 0 to {len(classes) - 1}")
    if empty := [name for label, name in enumerate(classes) if label not in labels]:
        raise GreedymmError(f"split '{split}' has no sample of: {', '.join(empty)}")


def _write_split(group: h5py.Group, splits: Mapping[str, Samples | LazySamples]) -> Iterable[Broken]:
    samples, broken = splits[group.name[1:]], dict[int, Broken]()
    if isinstance(samples, LazySamples):
        broken = _write_lazy(group, samples)
    else:
        for name, images in samples.modalities.items():
            group.create_dataset(name, data=images, track_times=False)
    kept = np.delete(np.arange(len(samples.labels)), list(broken))
    ids = [samples.ids[i] for i in kept]
    group.create_dataset("labels", data=samples.labels[kept], track_times=False)
    group.create_dataset("ids", data=ids, dtype=h5py.string_dtype(), track_times=False)
    return broken.values()


def _write_lazy(group: h5py.Group, samples: LazySamples) -> dict[int, Broken]:
    """Write sample by sample, holding one at a time; return the broken ones by index."""
    count, broken = len(samples.labels), dict[int, Broken]()
    options: dict[str, Any] = {"dtype": np.uint8, "track_times": False}
    if samples.compressed:
        options |= {"compression": "gzip", "compression_opts": COMPRESSION}
    datasets = [
        group.create_dataset(name, (count, *shape), maxshape=(None, *shape), chunks=(1, *shape), **options)
        for name, shape in samples.shapes.items()
    ]
    for index, (name, row) in enumerate(zip(samples.ids, samples.rows, strict=True)):
        if isinstance(row, Broken):
            broken[index] = row
            continue
        for dataset, image in zip(datasets, row, strict=True):
            if image.shape != dataset.shape[1:] or image.dtype != np.uint8:  # h5py would repeat or round it
                form = f"uint8 {dataset.shape[1:]}"
                raise GreedymmError(
                    f"sample {name} is {image.dtype} {image.shape} in {dataset.name}; it must be {form}"
                )
            _write_sample(dataset, index - len(broken), image)
    for dataset in datasets if broken else ():
        dataset.resize(count - len(broken), axis=0)
    return broken


def _write_sample(dataset: h5py.Dataset, index: int, image: npt.NDArray[np.uint8]) -> None:
    if dataset.compression:
        dataset[index] = image
    else:  # `dataset[index] = image` first copies it to new memory: for a clip, ten times the cost of writing it
        dataset.id.write_direct_chunk((index, *(0,) * image.ndim), np.ascontiguousarray(image))


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
            GreedymmError: if the dataset has no such modality.
        """
        if modality not in self.modalities:
            raise GreedymmError(f"{self.path} has no modality '{modality}'; it has: {', '.join(self.modalities)}")
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


def _describe(path: Path) -> DataInfo:
    """Facts of a dataset's file, for the JSON file beside it."""
    with DataFile(path) as file:
        facts, settings = file.facts, file.facts.settings
        shapes = {m: file.images("train", m).shape[1:] for m in file.modalities}
        return DataInfo(
            display_name=settings.get("dataset", path.parent.name) + " (generated data)" * facts.generated,
            own=settings.get("data", {}).get("folder") is not None,
            modalities=tuple(file.modalities),
            shapes=shapes,
            channels={m: shape[0] for m, shape in shapes.items()},
            counts={split: len(file.labels(split)) for split in SPLITS},
            sha256=sha256(path),
            **{name: getattr(facts, name) for name in ("generated", "source", "license", "notes", "classes")},
        )


def _open(path: Path) -> h5py.File:
    if not path.exists():
        raise GreedymmError(f"{path} is missing.\n  Make it with: snakemake --cores 2 all")
    cure = "If this project made it, delete it and run again."
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise GreedymmError(f"{path} is no complete HDF5 file ({error}).\n  {cure}") from None
    layout = file.attrs.get("layout")
    if layout != LAYOUT:
        file.close()
        raise GreedymmError(f"{path} has layout {layout}; this code reads layout {LAYOUT}.\n  {cure}")
    return file
