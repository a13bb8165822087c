"""HDF5 -> seeded batches on the device: the same ones for the same seed, resident or streamed."""

import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, get_worker_info

from greedymm.data.hdf5 import DataFile
from greedymm.data.inputs import Transform, network_channels
from greedymm.errors import GreedymmError
from greedymm.info import check_content
from greedymm.settings import Execution, Inputs

log = logging.getLogger(__name__)

Batch: TypeAlias = tuple[list[Tensor], Tensor]  # (B, C_k, *s_k) of each modality; int64 labels (B,)

# In evaluation the batch size changes no result, only the memory that is used.
MAX_EVALUATION_SAMPLES, MAX_EVALUATION_BYTES = 200, 2**23


@dataclass(frozen=True)
class ResidentBatches:
    """A split held as tensors on the device."""

    images: list[Tensor]
    labels: Tensor

    def batches(self, rows: Tensor, size: int) -> Iterator[Batch]:
        # The rows of a whole pass are moved at once, so that no step waits for them.
        for batch in torch.split(rows.to(self.labels.device), size):
            yield [images[batch] for images in self.images], self.labels[batch]


@dataclass(eq=False)
class StreamedBatches(Dataset[Batch]):
    """A split read from its file batch by batch, by worker processes."""

    path: Path
    split: str
    modalities: Sequence[str]
    device: torch.device
    workers: int
    rows: Sequence[Tensor] = ()  # of each batch
    file: DataFile | None = None  # opened by each worker: processes cannot share a handle

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Batch:
        self.file = self.file or DataFile(self.path)
        rows, inverse = np.unique(self.rows[index], return_inverse=True)  # HDF5 reads rows in rising order only
        arrays = [self.file.read(self.split, m, rows) for m in self.modalities] + [self.file.labels(self.split)[rows]]
        *images, labels = [_to_main_process(torch.from_numpy(array[inverse])) for array in arrays]
        return images, labels

    def batches(self, rows: Tensor, size: int) -> Iterator[Batch]:
        own = replace(self, rows=torch.split(rows, size))  # two passes can take turns
        pin, generator = self.device.type == "cuda", torch.Generator()  # the default generator must not be advanced
        options: dict[str, Any] = {"pin_memory": pin, "generator": generator, "collate_fn": _as_it_is}
        try:
            batches = iter(DataLoader(own, None, num_workers=self.workers, **options))
        except OSError as error:
            log.warning("%s: no processes read batches (%s), so reading takes longer", self.split, error)
            batches = iter(DataLoader(own, None, **options))
        for batch in batches:
            *images, labels = [torch.as_tensor(x).to(self.device, non_blocking=True) for x in (*batch[0], batch[1])]
            yield images, labels


def _to_main_process(tensor: Tensor) -> Any:
    """Move a tensor of a worker to shared memory. Where that is full, return an array, which goes through a pipe.

    The loader would move it later, in a thread; when that fails there, the main process waits for ever.
    """
    if get_worker_info() is None:
        return tensor
    try:
        tensor.share_memory_()  # type: ignore[no-untyped-call]
    except RuntimeError:
        return tensor.numpy()
    return tensor


def _as_it_is(batch: Batch) -> Batch:
    return batch


@dataclass(frozen=True)
class Batches:
    """One split, batch by batch: float inputs (B, C_k, *s_k) of each modality, and labels (B,)."""

    store: ResidentBatches | StreamedBatches
    count: int  # samples
    size: int  # samples in one batch, at least two; the last batch may be smaller
    transform: Transform
    order: torch.Generator | None = None  # draws the order of each pass; None: as stored

    def __len__(self) -> int:
        return self.count_of(self.count)

    @property
    def trains(self) -> bool:
        """Whether passes are for training. Then a last batch of one sample is left out: batch norm needs two."""
        return self.order is not None

    def __iter__(self) -> Iterator[Batch]:
        rows = torch.arange(self.count) if self.order is None else torch.randperm(self.count, generator=self.order)
        return self.of(rows)

    def count_of(self, rows: int) -> int:
        """Number of batches that so many rows give."""
        return math.ceil((rows - self.trains) / self.size)

    def of(self, rows: Tensor) -> Iterator[Batch]:
        """Yield batches of these rows, in their order."""
        if self.trains and len(rows) % self.size == 1:
            rows = rows[:-1]
        draws = self.transform.draw(len(rows), self.size)
        for (images, labels), drawn in zip(self.store.batches(rows, self.size), draws, strict=True):
            yield self.transform(images, drawn), labels

    def view(self, order: torch.Generator | None = None, augmentation: torch.Generator | None = None) -> "Batches":
        """The same split in another order: as stored and not augmented if no generator is given."""
        return replace(self, transform=replace(self.transform, generator=augmentation), order=order)


@dataclass
class Loader:
    """The splits of a dataset's file. It is opened once; only the workers of streamed splits open it again."""

    path: Path
    modalities: Sequence[str]  # their names in the file
    size: int | None  # samples in one batch; None: for evaluation, fewer if they are large
    device: torch.device  # of the batches
    execution: Execution  # a split larger than `resident_gb` is streamed by `workers`; others are held on the device
    inputs: Inputs = Inputs()  # noqa: RUF009  frozen

    def __post_init__(self) -> None:
        check_content(self.path)
        self.file = DataFile(self.path)
        self.classes = self.file.facts.classes

    @property
    def channels(self) -> list[int]:
        """Channels of each modality as the network receives them."""
        return network_channels([self.file.images("train", m).shape[1] for m in self.modalities], self.inputs)

    def batches(
        self, split: str, order: torch.Generator | None = None, augmentation: torch.Generator | None = None
    ) -> Batches:
        """Batches of a split, with generators of the order of each pass and of crops and flips. None: not random.

        Raises:
            GreedymmError: if the dataset has no such modality, or if a batch of training is larger than the split.
        """
        images, labels = [self.file.images(split, m) for m in self.modalities], self.file.labels(split)
        sample_bytes = 4 * sum(math.prod(x.shape[1:]) for x in images)  # as floats
        size = self.size or max(1, min(MAX_EVALUATION_SAMPLES, MAX_EVALUATION_BYTES // sample_bytes))
        if order is not None and size > len(labels):
            raise GreedymmError(
                f"a batch of {size} is larger than the split '{split}' of {self.path}, which has {len(labels)}"
                f" samples.\n  Set training.batch_size to at most {len(labels)}."
            )
        store: ResidentBatches | StreamedBatches
        if sum(x.nbytes for x in images) <= self.execution.resident_gb * 1e9:
            tensors = [torch.from_numpy(self.file.read(split, m)).to(self.device) for m in self.modalities]
            store = ResidentBatches(tensors, torch.from_numpy(labels).to(self.device))
        else:
            store = StreamedBatches(self.path, split, self.modalities, self.device, self.execution.workers)
        transform = Transform(self.inputs, len(images), self.device, augmentation)
        return Batches(store, len(labels), size, transform, order)
