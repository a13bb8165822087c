"""Colored-and-gray MNIST: m0 is a digit whose color tells the class in training only; m1, the digit in gray."""

import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import Field

from greedymm.data.samples import DatasetInfo, Samples, hold_out
from greedymm.data.sources.archives import RemoteFile, fetch
from greedymm.errors import GreedymmError
from greedymm.settings import DatasetSettings

MODALITIES = ("color", "gray")
CLASSES = tuple("0123456789")
SOURCE = "MNIST (LeCun, Cortes and Burges), colored as in Kim et al., CVPR 2019: Learning not to learn"
LICENSE = "CC BY-SA 3.0 (MNIST)"

# Mean color of each class, 0 to 255: the named colors of Kim et al. 2019.
COLORS = {
    "crimson": (220, 20, 60),
    "teal": (0, 128, 128),
    "lemon": (253, 233, 16),
    "bondi blue": (0, 149, 182),
    "carrot orange": (237, 145, 33),
    "strong violet": (145, 30, 188),
    "cyan": (70, 240, 240),
    "your pink": (250, 197, 187),
    "lime": (210, 245, 60),
    "maroon": (128, 0, 0),
}

IDX_BYTES = b"\0\0\x08"  # the beginning of an IDX file of unsigned bytes
BLOCK = 4096  # digits colored at once

# Images and labels of each part, with the MD5 of the download and of its content.
FILES = {
    "train": (
        RemoteFile("train-images-idx3-ubyte", "f68b3c2dcbeaaa9fbdd348bbdeb94873", "6bbc9ace898e44ae57da46a324031adb"),
        RemoteFile("train-labels-idx1-ubyte", "d53e105ee54ea40749a09fcbcd1e9432", "a25bea736e30d166cdddb491f175f624"),
    ),
    "test": (
        RemoteFile("t10k-images-idx3-ubyte", "9fb629c4189551a2d022fa330f9573f3", "2646ac647ad5339dbf082846283269ea"),
        RemoteFile("t10k-labels-idx1-ubyte", "ec29112dd5afa0611ce80d1b7f02629c", "27ae3e4e09519cfbb04c329615203637"),
    ),
}
MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "http://yann.lecun.com/exdb/mnist/",
)


class Settings(DatasetSettings):
    """Settings of Colored-and-gray MNIST."""

    variance: float = Field(
        default=0.03,
        ge=0,
        le=1,
        description="of the colors' channels, 0 to 1, in a class; smaller: a stronger shortcut",
    )
    validation: float = Field(default=0.2, gt=0, lt=1, description="share of the training digits held out, per class")
    seed: int = Field(default=0, ge=0, description="of the colors and of the digits held out")


class Digits(NamedTuple):
    """Gray digits, uint8 (N, 28, 28), with their labels, int64 (N,), and ids."""

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]
    ids: list[str]

    def select(self, rows: npt.NDArray[np.bool_]) -> "Digits":
        return Digits(self.images[rows], self.labels[rows], [self.ids[i] for i in np.flatnonzero(rows)])


def make(settings: Settings, raw: Path, _workers: int = 1) -> tuple[dict[str, Samples], DatasetInfo]:
    """Splits of the full MNIST: 60,000 training digits, some of them held out, and 10,000 test digits."""
    train, test = (_digits(part, raw) for part in FILES)
    hashes = {file.name: file.content_md5 for files in FILES.values() for file in files}
    return colorize(train, test, settings), DatasetInfo(CLASSES, SOURCE, LICENSE, generated=False, hashes=hashes)


def _digits(part: str, raw: Path) -> Digits:
    images, labels = (read_idx(fetch(file, raw, MIRRORS), file.name) for file in FILES[part])
    return Digits(images, labels.astype(np.int64), [f"{part}-{i:05d}" for i in range(len(labels))])


def read_idx(content: bytes, name: str) -> npt.NDArray[np.uint8]:
    """Array of an IDX file of unsigned bytes: two zero bytes, 8, the number of axes, their lengths, the values.

    Raises:
        GreedymmError: if the header is invalid, or if the file is longer or shorter than the header says.
    """
    axes = content[3] if content.startswith(IDX_BYTES) and len(content) > len(IDX_BYTES) else 0
    start = 4 + 4 * axes
    if not axes or len(content) < start:
        raise GreedymmError(f"{name} is not an IDX file of unsigned bytes: it begins with {content[:4]!r}")
    shape = tuple(int(n) for n in np.frombuffer(content[4:start], dtype=">u4"))
    expected = start + math.prod(shape)
    if len(content) != expected:
        raise GreedymmError(f"{name} has {len(content)} bytes; for its shape {shape} it needs {expected}")
    return np.frombuffer(content[start:], dtype=np.uint8).reshape(shape)


def colorize(train: Digits, test: Digits, settings: Settings) -> dict[str, Samples]:
    """Hold out validation digits, and give every digit its color.

    A training or validation digit takes the mean color of its class, a test digit that of a random class, drawn
    uniformly. Each part has its own random stream: a change of one leaves the others as they are.
    """
    held, *generators = (np.random.default_rng([settings.seed, i]) for i in range(4))
    validation = hold_out(train.labels, settings.validation, held)
    parts = {"train": train.select(~validation), "val": train.select(validation), "test": test}
    splits = {}
    for (split, digits), rng in zip(parts.items(), generators, strict=True):
        labels = rng.integers(len(CLASSES), size=len(digits.labels)) if split == "test" else digits.labels
        splits[split] = _samples(digits, labels, settings.variance, rng)
    return splits


def _samples(digits: Digits, color_class: npt.NDArray[np.int64], variance: float, rng: np.random.Generator) -> Samples:
    means = np.array(list(COLORS.values()), dtype=np.float64) / 255
    colors = means[color_class] + rng.normal(0, np.sqrt(variance), size=(len(color_class), 3))
    colors = colors.clip(0, 1).astype(np.float32)
    gray = digits.images[:, None]  # (N, 1, 28, 28)
    color = np.empty((len(gray), 3, *gray.shape[2:]), dtype=np.uint8)
    for start in range(0, len(gray), BLOCK):  # all at once, as floats, would take a gigabyte
        block = slice(start, start + BLOCK)
        color[block] = (gray[block] * colors[block, :, None, None]).round()
    return Samples({"color": color, "gray": gray}, digits.labels, digits.ids)
