"""Colored-and-gray MNIST: m0 is a digit whose color tells the class in training only; m1, the digit in gray."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydantic import Field

from greedymm.data.samples import DatasetInfo, Samples, hold_out
from greedymm.data.sources.archives import fetch
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

BLOCK = 4096  # digits colored at once

# MD5 of the download, which is gzipped, and of its content.
FILES = {
    "train-images-idx3-ubyte": ("f68b3c2dcbeaaa9fbdd348bbdeb94873", "6bbc9ace898e44ae57da46a324031adb"),
    "train-labels-idx1-ubyte": ("d53e105ee54ea40749a09fcbcd1e9432", "a25bea736e30d166cdddb491f175f624"),
    "t10k-images-idx3-ubyte": ("9fb629c4189551a2d022fa330f9573f3", "2646ac647ad5339dbf082846283269ea"),
    "t10k-labels-idx1-ubyte": ("ec29112dd5afa0611ce80d1b7f02629c", "27ae3e4e09519cfbb04c329615203637"),
}
MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "http://yann.lecun.com/exdb/mnist/",
)


class Settings(DatasetSettings):
    """Settings of Colored-and-gray MNIST."""

    variance: float = Field(0.03, ge=0, le=1, description="of a class's colors; smaller: a stronger shortcut")
    validation: float = Field(0.2, gt=0, lt=1, description="share of the training digits held out, per class")
    seed: int = Field(0, ge=0, description="of the colors and of the digits held out")


def make(settings: Settings, raw: Path, _workers: int = 1) -> tuple[dict[str, Samples], DatasetInfo]:
    """Splits of the full MNIST: 60,000 training digits, some of them held out, and 10,000 test digits."""
    train, test = (_digits(split, part, raw) for split, part in (("train", "train"), ("test", "t10k")))
    hashes = {name: content_md5 for name, (_, content_md5) in FILES.items()}
    return colorize(train, test, settings), DatasetInfo(CLASSES, SOURCE, LICENSE, generated=False, hashes=hashes)


def _digits(split: str, part: str, raw: Path) -> Samples:
    names = f"{part}-images-idx3-ubyte", f"{part}-labels-idx1-ubyte"
    pixels, labels = (fetch(name, *FILES[name], raw, MIRRORS) for name in names)
    images = np.frombuffer(pixels, np.uint8, offset=16).reshape(-1, 1, 28, 28)  # after magic number, count and size
    classes = np.frombuffer(labels, np.uint8, offset=8).astype(np.int64)  # after magic number and count
    return Samples({"gray": images}, classes, [f"{split}-{i:05d}" for i in range(len(classes))])


def colorize(train: Samples, test: Samples, settings: Settings) -> dict[str, Samples]:
    """Hold out validation digits, and give every gray digit its color.

    A training or validation digit takes the mean color of its class, a test digit that of a random class, drawn
    uniformly. The split `val_shift` has the validation digits, with colors drawn as in test. Each split has its own
    random stream: a change of one leaves the others as they are.
    """
    held, *generators = (np.random.default_rng([settings.seed, i]) for i in range(5))
    validation = hold_out(train.labels, settings.validation, held)
    parts = {"train": train.select(~validation), "val": train.select(validation), "test": test}
    parts["val_shift"] = parts["val"]._replace(ids=[f"{name}-shift" for name in parts["val"].ids])
    splits = {}
    for (split, digits), rng in zip(parts.items(), generators, strict=True):
        shifted = split in ("test", "val_shift")
        labels = rng.integers(len(CLASSES), size=len(digits.labels)) if shifted else digits.labels
        color = _color(digits.modalities["gray"], labels, settings.variance, rng)
        splits[split] = digits._replace(modalities={"color": color} | digits.modalities)
    return splits


def _color(
    gray: npt.NDArray[np.uint8], labels: npt.NDArray[np.int64], variance: float, rng: np.random.Generator
) -> npt.NDArray[np.uint8]:
    means = np.array(list(COLORS.values()), dtype=np.float64) / 255
    colors = means[labels] + rng.normal(0, np.sqrt(variance), size=(len(labels), 3))
    colors = colors.clip(0, 1).astype(np.float32)
    color = np.empty((len(gray), 3, *gray.shape[2:]), dtype=np.uint8)
    for start in range(0, len(gray), BLOCK):  # all at once, as floats, would take a gigabyte
        block = slice(start, start + BLOCK)
        color[block] = (gray[block] * colors[block, :, None, None]).round()
    return color
