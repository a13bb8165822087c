"""HDF5 -> seeded batches on the device: the same ones for the same seed, resident or streamed."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from greedymm.data.hdf5 import DataFile
from greedymm.data.inputs import Augmentation, Normalize
from greedymm.errors import GreedymmError
from greedymm.info import read_info
from greedymm.settings import Execution, Inputs

Batch: TypeAlias = tuple[list[Tensor], Tensor]  # (B, C_k, *s_k) of each modality; int64 labels (B,)

# In evaluation the batch size changes no result, only the memory that is used.
MAX_EVALUATION_SAMPLES, MAX_EVALUATION_BYTES = 200, 2**23


def evaluation_size(path: Path, modalities: Sequence[str]) -> int:
    """Samples in one batch of evaluation: fewer if they are large."""
    shapes = read_info(path).shapes
    floats = sum(math.prod(shapes[m]) for m in modalities)
    return max(1, min(MAX_EVALUATION_SAMPLES, MAX_EVALUATION_BYTES // (4 * floats)))  # 4 bytes each


class ResidentBatches:
    """A split held as tensors on the device."""

    def __init__(self, file: DataFile, split: str, modalities: Sequence[str], device: torch.device) -> None:
        self.images = [torch.from_numpy(file.images(split, m)[:]).to(device) for m in modalities]
        self.labels = torch.from_numpy(file.labels(split)).to(device)

    def batches(self, rows: Tensor, size: int) -> Iterator[Batch]:
        # The rows of a whole pass are moved at once, so that no step waits for them.
        for batch in torch.split(rows.to(self.labels.device), size):
            yield [images[batch] for images in self.images], self.labels[batch]


class StreamedBatches(Dataset[Batch]):
    """A split read from its file batch by batch, by worker processes."""

    def __init__(self, path: Path, split: str, modalities: Sequence[str], device: torch.device, workers: int) -> None:
        self.path, self.split, self.modalities, self.device, self.workers = path, split, modalities, device, workers
        self.rows: Sequence[Tensor] = ()  # of each batch
        self.file: DataFile | None = None  # opened by each worker: processes cannot share a handle

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Batch:
        self.file = self.file or DataFile(self.path)
        rows, inverse = np.unique(self.rows[index], return_inverse=True)  # HDF5 reads rows in rising order only
        arrays = [self.file.images(self.split, m)[rows] for m in self.modalities] + [self.file.labels(self.split)[rows]]
        *images, labels = [torch.from_numpy(array[inverse]) for array in arrays]
        return images, labels

    def batches(self, rows: Tensor, size: int) -> Iterator[Batch]:
        self.rows = torch.split(rows, size)
        pin, generator = self.device.type == "cuda", torch.Generator()  # the default generator must not be advanced
        for images, labels in DataLoader(self, None, num_workers=self.workers, pin_memory=pin, generator=generator):
            yield [x.to(self.device, non_blocking=True) for x in images], labels.to(self.device, non_blocking=True)


@dataclass(frozen=True)
class Batches:
    """One split, batch by batch: float inputs (B, C_k, *s_k) of each modality, and labels (B,)."""

    store: ResidentBatches | StreamedBatches
    count: int  # samples
    size: int  # samples in one batch; the last batch may be smaller
    augmentation: Augmentation
    normalize: Normalize
    order: torch.Generator | None = None  # draws the order of each pass; None: as stored

    def __len__(self) -> int:
        return math.ceil(self.count / self.size)

    def __iter__(self) -> Iterator[Batch]:
        rows = torch.arange(self.count) if self.order is None else torch.randperm(self.count, generator=self.order)
        return self.of(rows)

    def of(self, rows: Tensor) -> Iterator[Batch]:
        """Yield batches of these rows, in their order."""
        augmentations = self.augmentation.sample(len(rows), self.size)
        for (images, labels), augment in zip(self.store.batches(rows, self.size), augmentations, strict=True):
            yield [self.normalize(x) for x in augment(images)], labels

    def view(self, order: torch.Generator | None = None, augmentation: torch.Generator | None = None) -> "Batches":
        """The same split in another order: as stored and not augmented if no generator is given."""
        return replace(self, augmentation=replace(self.augmentation, generator=augmentation), order=order)


def loader(
    path: Path,
    modalities: Sequence[str],
    size: int,
    device: torch.device,
    execution: Execution,
    inputs: Inputs = Inputs(),  # noqa: B008  frozen
) -> Callable[..., Batches]:
    """Make `load(split, order=None, augmentation=None)`, which returns the batches of a split.

    `order` is the generator of the order of each pass, `augmentation` that of crops and flips. None: nothing is random.
    The file is opened once for all splits; only the workers of streamed splits open it again. A split larger than
    `execution.resident_gb` is streamed by `execution.workers`; others are held on the device.
    """
    file, normalize = DataFile(path), Normalize(inputs, device)

    def load(split: str, order: torch.Generator | None = None, augmentation: torch.Generator | None = None) -> Batches:
        count = len(file.labels(split))
        if order is not None and size > count:
            raise GreedymmError(
                f"a batch of {size} is larger than the split '{split}' of {path}, which has {count} samples.\n"
                f"  Set training.batch_size to at most {count}."
            )
        store: ResidentBatches | StreamedBatches
        if sum(file.images(split, m).nbytes for m in modalities) <= execution.resident_gb * 1e9:
            store = ResidentBatches(file, split, modalities, device)
        else:
            store = StreamedBatches(path, split, modalities, device, execution.workers)
        augment = Augmentation(inputs, len(modalities), device, augmentation)
        return Batches(store, count, size, augment, normalize, order)

    return load
