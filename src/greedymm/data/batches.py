"""HDF5 -> seeded batches on the device: the same ones for the same seed, resident or streamed."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from greedymm.data.hdf5 import DataFile
from greedymm.data.inputs import Scaling, Shown
from greedymm.errors import GreedymmError
from greedymm.settings import Execution, Inputs

# Where nothing is learned, the size of a batch changes no result, but the memory that it takes.
MOST_SAMPLES, MOST_BYTES = 200, 2**23

Rows = tuple[list[Tensor], Tensor]  # uint8 (B, C_k, *s_k) of each modality; int64 labels (B,)


def evaluation_size(path: Path, modalities: Sequence[str]) -> int:
    """Samples in one batch where nothing is learned: fewer of large ones."""
    with DataFile(path) as file:
        values = sum(int(np.prod(file.images("train", m).shape[1:])) for m in modalities)
    return max(1, min(MOST_SAMPLES, MOST_BYTES // (4 * values)))  # four bytes each, as floats


class Store(Protocol):
    """Where the samples of a split are."""

    def batches(self, rows: Tensor, size: int) -> Iterable[Rows]:
        """The rows in their order, `size` at a time."""


class Resident:
    """A split held as tensors on the device."""

    def __init__(self, path: Path, split: str, modalities: Sequence[str], device: torch.device) -> None:
        with DataFile(path) as file:
            self.images = [torch.from_numpy(file.images(split, m)[:]).to(device) for m in modalities]
            self.labels = torch.from_numpy(file.labels(split)).to(device)

    def batches(self, rows: Tensor, size: int) -> Iterator[Rows]:
        # The order of a whole pass at once, so that no step waits for its rows to reach the device.
        for chosen in torch.split(rows.to(self.labels.device), size):
            yield [images[chosen] for images in self.images], self.labels[chosen]


class Streamed(Dataset[Rows]):
    """A split read from its file, batch by batch, by worker processes."""

    def __init__(self, path: Path, split: str, modalities: Sequence[str], device: torch.device, workers: int) -> None:
        self.path, self.split, self.modalities = path, split, list(modalities)
        self.device, self.workers = device, workers
        self._index: Sequence[Tensor] = ()
        self._labels: Tensor | None = None
        self._file: DataFile | None = None  # opened in each worker: a handle cannot be handed over

    def __len__(self) -> int:
        return len(self._index)

    def __getitem__(self, i: int) -> Rows:
        if self._file is None:
            self._file = DataFile(self.path)
            self._labels = torch.from_numpy(self._file.labels(self.split))
        assert self._labels is not None
        rows = self._index[i].numpy()
        order = np.argsort(rows)  # HDF5 reads rows in rising order only
        back = np.argsort(order)
        images = [torch.from_numpy(self._file.images(self.split, m)[rows[order]][back]) for m in self.modalities]
        return images, self._labels[self._index[i]]

    def batches(self, rows: Tensor, size: int) -> Iterator[Rows]:
        self._index = torch.split(rows, size)
        loader = DataLoader(
            self,
            batch_size=None,
            num_workers=self.workers,
            pin_memory=self.device.type == "cuda",
            generator=torch.Generator(),  # or it would draw from the one that initialises weights
        )
        for images, labels in loader:
            yield [x.to(self.device, non_blocking=True) for x in images], labels.to(self.device, non_blocking=True)
        self._file = None


class Batches:
    """One split, batch by batch: float inputs (B, C_k, *s_k) of each modality and labels (B,).

    Args:
        store: where the samples are.
        count: number of samples.
        size: samples in one batch; the last one may be smaller.
        shown: what of the samples.
        scaling: makes floats of bytes.
        order: draws the order of each pass; None: as stored.
    """

    def __init__(
        self,
        store: Store,
        count: int,
        size: int,
        shown: Shown,
        scaling: Scaling,
        order: torch.Generator | None = None,
    ) -> None:
        self.store, self.count, self.size, self.order = store, count, size, order
        self.shown, self.scaling = shown, scaling

    def __len__(self) -> int:
        return math.ceil(self.count / self.size)

    def __iter__(self) -> Iterator[Rows]:
        return self.of(
            torch.arange(self.count) if self.order is None else torch.randperm(self.count, generator=self.order)
        )

    def of(self, rows: Tensor) -> Iterator[Rows]:
        """Batches of these rows, in their order."""
        shown = self.shown.drawn(len(rows), self.size)
        for (images, labels), show in zip(self.store.batches(rows, self.size), shown, strict=True):
            yield [self.scaling(x) for x in show(images)], labels

    def view(self, order: torch.Generator | None = None, augmentation: torch.Generator | None = None) -> "Batches":
        """The same split in another order: as stored and not augmented, where no generator is given."""
        shown = Shown(self.shown.settings, self.shown.modalities, self.shown.device, augmentation)
        return Batches(self.store, self.count, self.size, shown, self.scaling, order)


def loader(
    path: Path,
    modalities: Sequence[str],
    size: int,
    device: torch.device,
    execution: Execution,
    inputs: Inputs = Inputs(),  # noqa: B008  frozen
) -> Callable[..., Batches]:
    """Make `load(split, order=None, augmentation=None)`, which gives the batches of a split.

    `order` draws the order of each pass, `augmentation` what is done to its samples: as stored where they are None.

    Args:
        path: a dataset's file.
        modalities: which, in this order.
        size: samples in one batch.
        device: where batches are wanted.
        execution: a split larger than its `resident_gb` is streamed by its `workers`, others are held on the device.
        inputs: what a network sees of the bytes.
    """
    scaling = Scaling(inputs, device)

    def load(split: str, order: torch.Generator | None = None, augmentation: torch.Generator | None = None) -> Batches:
        with DataFile(path) as file:
            count = len(file.labels(split))
            total = sum(file.images(split, m).nbytes for m in modalities)
        if order is not None and size > count:
            raise GreedymmError(
                f"a batch of {size} is larger than the split '{split}' of {path}, which has {count} samples.\n"
                f"  Set training.batch_size to at most {count}."
            )
        store: Store = (
            Resident(path, split, modalities, device)
            if total <= execution.resident_gb * 1e9
            else Streamed(path, split, modalities, device, execution.workers)
        )
        shown = Shown(inputs, len(modalities), device, augmentation)
        return Batches(store, count, size, shown, scaling, order)

    return load
