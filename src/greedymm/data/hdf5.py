"""The HDF5 layout: written and read here only.

- `/<split>/<modality>`: uint8 (N, C, *axes); the splits are train, val, test, and others that a dataset has.
  `LazySamples`: one chunk per sample, so that a part of the file can be read alone
- `/<split>/labels`: int64 (N,)
- `/<split>/ids`: strings (N,)
- attributes of `/`: layout, classes, modalities, source, license, generated, hashes, settings, notes
"""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Self
from unicodedata import normalize

import h5py
import numpy as np
import numpy.typing as npt
import pandas as pd

from greedymm.data import foreign
from greedymm.data.samples import SPLITS, DatasetInfo, LazySamples, Samples, UnreadableError, exclude_broken
from greedymm.errors import GreedymmError
from greedymm.files import atomic_write, sha256, write_json
from greedymm.info import DataInfo

LAYOUT = 3  # raise it whenever a reader of the old layout would misread the new one
COMPRESSION = 4  # of gzip, from 1 (fast) to 9 (small)
IMAGE_AXES = 4  # of a stack of images; clips have one more


def write(path: Path, splits: Mapping[str, Samples | LazySamples], facts: DatasetInfo) -> None:
    """Write a dataset's file and the JSON file beside it. The same content gives the same bytes.

    Raises:
        GreedymmError: if splits, labels or ids do not fit each other, or if a sample cannot be read and is not skipped.
    """
    _check(splits, facts)
    broken: dict[str, object] = {}
    with atomic_write(path) as tmp:
        with h5py.File(tmp, "w", libver="latest", track_order=True) as file:
            for split, samples in splits.items():
                broken |= _write_split(file.create_group(split, track_order=True), samples)
            skip = any(isinstance(samples, LazySamples) and samples.skip_broken for samples in splits.values())
            notes = facts.notes + exclude_broken(broken, facts.source, skip=skip)
            for split in splits:
                notes += _check_labels(split, file[split]["labels"][:], facts)
            file.attrs["layout"] = LAYOUT
            file.attrs["modalities"] = json.dumps(list(splits["train"].shapes))
            for name, value in asdict(replace(facts, notes=notes)).items():
                file.attrs[name] = json.dumps(value)
        write_json(_describe(tmp).model_dump(mode="json"), path.with_suffix(".json"))


def _check(splits: Mapping[str, Samples | LazySamples], facts: DatasetInfo) -> None:
    # Two forms of an accent are one name to a reader.
    label, number = Counter(normalize("NFC", name) for name in facts.classes or ("",)).most_common(1)[0]
    if number > 1:
        raise GreedymmError(f"{facts.source}: {number} classes have the name {label}.\n  Rename one of them.")
    if missing := [split for split in SPLITS if split not in splits]:
        raise GreedymmError(f"the dataset has no split '{missing[0]}'")
    for split, samples in splits.items():
        if list(samples.shapes) != list(splits["train"].shapes):
            raise GreedymmError(f"split '{split}' has the modalities {list(samples.shapes)}, 'train' has others")
        lengths = {"labels": len(samples.labels), "ids": len(samples.ids)}
        for name, images in samples.modalities.items() if isinstance(samples, Samples) else ():
            if images.dtype != np.uint8:
                raise GreedymmError(f"modality '{name}' of split '{split}' is {images.dtype}; it must be uint8")
            lengths[name] = len(images)
        if len(set(lengths.values())) > 1:
            raise GreedymmError(f"the parts of split '{split}' differ in length: {lengths}")
        _check_labels(split, samples.labels, facts)
    name, count = Counter(name for samples in splits.values() for name in samples.ids).most_common(1)[0]
    if count > 1:
        raise GreedymmError(f"two samples have the same id: {name}")


def _check_labels(split: str, labels: npt.NDArray[np.int64], facts: DatasetInfo) -> tuple[str, ...]:
    """Check that each class has samples; return a note about classes that are only not validated."""
    if unknown := set(labels.tolist()) - set(range(len(facts.classes))):
        raise GreedymmError(f"split '{split}' has label {min(unknown)}; the labels are 0 to {len(facts.classes) - 1}")
    empty = [name for label, name in enumerate(facts.classes) if label not in labels]
    lacking = f"split '{split}' has no sample of: {', '.join(empty) or 'any class'}"
    if split.startswith("val") and len(labels) and empty:
        return (lacking,)
    if empty or not facts.classes:
        raise GreedymmError(
            f"{lacking}.\n"
            f"  Add samples to the source: {facts.source}.\n"
            "  A class needs two training samples, one to hold out and one to keep.\n"
            "  For objects and clips, data.validation: 0 holds none out."
        )
    return ()


def _write_split(group: h5py.Group, samples: Samples | LazySamples) -> dict[str, object]:
    """Write a split; return why samples cannot be used, by id."""
    broken: dict[int, object] = {}
    if isinstance(samples, LazySamples):
        broken = _write_lazy(group, samples)
    else:
        for name, images in samples.modalities.items():
            group.create_dataset(name, data=images, track_times=False)
    kept = np.delete(np.arange(len(samples.labels)), list(broken))
    ids = [samples.ids[i] for i in kept]
    group.create_dataset("labels", data=samples.labels[kept], track_times=False)
    group.create_dataset("ids", data=ids, dtype=h5py.string_dtype(), track_times=False)
    return {samples.ids[i]: reason for i, reason in broken.items()}


def _write_lazy(group: h5py.Group, samples: LazySamples) -> dict[int, object]:
    """Write sample by sample, holding one at a time; return why samples cannot be used, by index."""
    count, broken = len(samples.labels), dict[int, object]()
    options = {"dtype": np.uint8, "compression": COMPRESSION if samples.compressed else None, "track_times": False}
    datasets = [
        group.create_dataset(name, (count, *shape), maxshape=(None, *shape), chunks=(1, *shape), **options)
        for name, shape in samples.shapes.items()
    ]
    for index, (name, row) in enumerate(zip(samples.ids, samples.rows, strict=True)):
        if isinstance(row, UnreadableError):
            broken[index] = row
            continue
        for dataset, image in zip(datasets, row, strict=True):
            found, needed = f"{image.dtype} {image.shape}", f"uint8 {dataset.shape[1:]}"
            if found != needed:  # h5py would repeat or round it
                raise GreedymmError(f"sample {name} is {found} in {dataset.name}; it must be {needed}")
            if samples.compressed:
                dataset[index - len(broken)] = image
            else:  # `dataset[index] = image` would first copy it: for a clip, ten times the cost of writing it
                start = (index - len(broken), *(0,) * image.ndim)
                dataset.id.write_direct_chunk(start, np.ascontiguousarray(image))
    for dataset in datasets:
        dataset.resize(count - len(broken), axis=0)
    return broken


class DataFile:
    """A dataset's file, open for reading.

    Raises:
        GreedymmError: if it is missing, locked, broken or of another layout, or if a part is not as this project
            writes it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = foreign.open_file(path)
        try:
            with foreign.named(path):
                self._check()
        except BaseException:
            self._file.close()
            raise

    def _check(self) -> None:
        foreign.check_layout(self._file, self.path, LAYOUT)
        self.modalities, self.facts = foreign.read_facts(self._file, self.path)
        for split in self.splits:
            foreign.check_split(self._file, self.path, split, self.modalities)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    @property
    def splits(self) -> list[str]:
        """Names of the splits."""
        return list(self._file)

    def images(self, split: str, modality: str) -> h5py.Dataset:
        """Images of one modality, uint8 (N, C, *axes), still in the file.

        Raises:
            GreedymmError: if the dataset has no such split or modality.
        """
        if modality not in self.modalities:
            raise GreedymmError(f"{self.path} has no modality '{modality}'; it has: {', '.join(self.modalities)}")
        return self._split(split)[modality]

    def read(self, split: str, modality: str, rows: Any = ...) -> npt.NDArray[np.uint8]:
        """Images of some samples, uint8 (n, C, *axes); of all by default. Raises as `images`, or if damaged."""
        with foreign.named(self.path, f"'/{split}/{modality}'"):
            images: npt.NDArray[np.uint8] = self.images(split, modality)[rows]
            return images

    def labels(self, split: str) -> npt.NDArray[np.int64]:
        """Labels of a split: int64 (N,).

        Raises:
            GreedymmError: if the dataset has no such split, or if a label is not that of a class.
        """
        with foreign.named(self.path, f"'/{split}/labels'"):
            labels: npt.NDArray[np.int64] = self._split(split)["labels"][:].astype(np.int64)
        last = len(self.facts.classes) - 1
        if unknown := [label for label in (labels.min(), labels.max()) if not 0 <= label <= last]:
            raise foreign.mismatch(self.path, f"a label in '/{split}/labels'", unknown[0], f"0 to {last}")
        return labels

    def examples(self, split: str, modality: str, count: int) -> list[npt.NDArray[np.uint8]]:
        """First samples of each class, (count, C, *axes); only one if they are clips, which are large."""
        labels, axes = self.labels(split), self.images(split, modality).ndim
        count = count if axes <= IMAGE_AXES else 1
        classes = range(len(self.facts.classes))
        return [self.read(split, modality, np.flatnonzero(labels == c)[:count]) for c in classes]

    def sample_table(self, split: str) -> pd.DataFrame:
        """One row per sample of a split: split, id, label."""
        labels = self.labels(split)
        with foreign.named(self.path, f"'/{split}/ids'"):
            ids = self._split(split)["ids"].asstr("utf-8")[:]
        return pd.DataFrame({"split": split, "id": ids, "label": labels.astype(np.int16)})

    def _split(self, name: str) -> h5py.Group:
        if name not in self.splits:
            raise GreedymmError(f"{self.path} has no split '{name}'; it has: {', '.join(self.splits)}")
        return self._file[name]


def _describe(path: Path) -> DataInfo:
    """Facts of a dataset's file, for the JSON file beside it."""
    with DataFile(path) as file:
        facts, settings = file.facts, file.facts.settings
        shapes = {m: file.images("train", m).shape[1:] for m in file.modalities}
        return DataInfo(
            display_name=settings.get("dataset", path.parent.name) + " (generated data)" * facts.generated,
            own=settings.get("data", {}).get("folder") is not None,
            modalities=tuple(shapes),
            shapes=shapes,
            counts={split: len(file.labels(split)) for split in file.splits},
            sha256=sha256(path),
            **{name: getattr(facts, name) for name in ("generated", "source", "license", "notes", "classes")},
        )
