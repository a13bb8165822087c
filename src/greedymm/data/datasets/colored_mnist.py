"""Colored-and-gray MNIST, or a set in its form: m0 is colored, which tells the class in training only; m1 is gray."""

import colorsys
import hashlib
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydantic import Field

from greedymm.data.samples import ClassNames, DatasetInfo, Samples, hold_out, name_classes, own_folder
from greedymm.data.sources import idx
from greedymm.data.sources.archives import fetch
from greedymm.errors import GreedymmError
from greedymm.settings import DatasetSettings

MODALITIES = ("color", "gray")
CLASSES = tuple("0123456789")
SOURCE = "MNIST (LeCun, Cortes and Burges), colored as in Kim et al., CVPR 2019: Learning not to learn"
LICENSE = "CC BY-SA 3.0 (MNIST)"
OWN, OWN_LICENSE = "images in the form of MNIST, colored as in Kim et al., CVPR 2019, in {}", "set by their authors"

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

# Further colors, for more than ten classes: hues far from each other.
GOLDEN = 0.618034  # of the circle of hues, between one class and the next
SATURATION, VALUES = 0.8, (0.9, 0.55)

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


class Coloring(DatasetSettings):
    """Settings of the colors, and of the digits held out."""

    variance: float = Field(0.03, ge=0, le=1, description="of a class's colors; smaller: a stronger shortcut")
    validation: float = Field(0.2, gt=0, lt=1, description="share of the training digits held out, per class")
    seed: int = Field(0, ge=0, description="of the colors and of the digits held out")


class Settings(Coloring):
    """Settings of Colored-and-gray MNIST, and of a user's own IDX files in its form."""

    folder: str | None = Field(None, min_length=1, description="with the IDX files of another set; null: MNIST")
    classes: ClassNames | None = Field(None, description="names, in the order of the labels; null: the labels")
    edition: int = Field(1, ge=1, description="raise it to read changed files again")


def make(settings: Settings, raw: Path, _workers: int = 1) -> tuple[dict[str, Samples], DatasetInfo]:
    """Splits of the full MNIST, 60,000 training digits and 10,000 test digits, or of the user's own files.

    Some of the training images are held out for validation.
    """
    notes: tuple[str, ...] = ()
    if settings.folder is None:
        contents, source, terms = fetch_mnist(raw), SOURCE, LICENSE
        hashes = {name: content_md5 for name, (_, content_md5) in FILES.items()}
    else:
        folder = own_folder(settings.folder, raw.name)
        contents, source, terms = idx.read_set(folder), OWN.format(settings.folder), OWN_LICENSE
        notes = idx.note_unread(folder)
        hashes = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    train, test = (_split(split, part, contents) for split, part in (("train", "train"), ("test", "t10k")))
    if train.shapes != test.shapes:
        raise GreedymmError(f"training images have {train.shapes}, test images {test.shapes}.\n  Resize one of them.")
    labels = np.unique(np.concatenate([train.labels, test.labels]))
    classes = name_classes(labels.tolist(), settings.classes, [str(label) for label in labels])
    train, test = (digits._replace(labels=np.searchsorted(labels, digits.labels)) for digits in (train, test))
    facts = DatasetInfo(classes, source, terms, generated=False, hashes=hashes, notes=notes)
    return colorize(train, test, settings, len(classes)), facts


def fetch_mnist(raw: Path) -> dict[str, bytes]:
    """Content of MNIST's four files, downloaded if they are missing."""
    found = idx.find_sets(raw)
    if others := sorted(found.keys() - {""}):
        raise GreedymmError(
            f"{raw} has files of another set than MNIST: {others[0]}train-images-...\n"
            "  Put them into a folder of their own, and set data.folder to it."
        )
    files = found.get("", {})
    return {
        name: fetch(files[name][0] if files.get(name) else raw / f"{name}.gz", *hashes, MIRRORS)
        for name, hashes in FILES.items()
    }


def _split(split: str, part: str, contents: dict[str, bytes]) -> Samples:
    """Gray images and labels, as they are in the files."""
    names = f"{part}-images-idx3-ubyte", f"{part}-labels-idx1-ubyte"
    images, labels = (idx.parse(contents[name], axes, name) for name, axes in zip(names, (3, 1), strict=True))
    if len(images) != len(labels) or not images.size:
        raise GreedymmError(
            f"{names[0]} has {len(images)} images, {names[1]} {len(labels)} labels.\n  Replace one of them."
        )
    return Samples({"gray": images[:, None]}, labels.astype(np.int64), [f"{split}-{i:05d}" for i in range(len(labels))])


def colorize(train: Samples, test: Samples, settings: Coloring, classes: int = len(CLASSES)) -> dict[str, Samples]:
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
        labels = rng.integers(classes, size=len(digits.labels)) if shifted else digits.labels
        colors = mean_colors(classes)[labels] + rng.normal(0, np.sqrt(settings.variance), size=(len(labels), 3))
        color = _color(digits.modalities["gray"], colors.clip(0, 1).astype(np.float32))
        splits[split] = digits._replace(modalities={"color": color} | digits.modalities)
    return splits


def mean_colors(classes: int) -> npt.NDArray[np.float64]:
    """Mean color of each class, in [0, 1]: (classes, 3)."""
    hues = (((k * GOLDEN) % 1, SATURATION, VALUES[k % 2]) for k in range(classes - len(COLORS)))
    named = np.array(list(COLORS.values()), dtype=np.float64) / 255
    return np.array([*named[:classes], *(colorsys.hsv_to_rgb(*color) for color in hues)])


def _color(gray: npt.NDArray[np.uint8], colors: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    color = np.empty((len(gray), 3, *gray.shape[2:]), dtype=np.uint8)
    for start in range(0, len(gray), BLOCK):  # all at once, as floats, would take a gigabyte
        block = slice(start, start + BLOCK)
        color[block] = (gray[block] * colors[block, :, None, None]).round()
    return color
