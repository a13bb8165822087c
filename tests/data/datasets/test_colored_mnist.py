"""The full MNIST, from tiny files in its true format."""

import gzip
import hashlib
import struct
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pytest

from greedymm.data.datasets import colored_mnist
from greedymm.data.datasets.colored_mnist import Settings, make

Bytes = npt.NDArray[np.uint8]

PER_CLASS = {"train": 5, "test": 2}


def idx(array: Bytes) -> bytes:
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


class Mnist(NamedTuple):
    """Digits of both parts, and the IDX files that hold them: name -> content."""

    images: dict[str, Bytes]
    labels: dict[str, Bytes]
    files: dict[str, bytes]


@pytest.fixture
def mnist(monkeypatch: pytest.MonkeyPatch) -> Mnist:
    """A small MNIST, whose checksums stand in the place of the real one's, and which no mirror has."""
    rng, tiny = np.random.default_rng(0), Mnist({}, {}, {})
    for (part, per_class), prefix in zip(PER_CLASS.items(), ("train", "t10k"), strict=True):
        labels = rng.permutation(np.repeat(np.arange(10, dtype=np.uint8), per_class))
        images = rng.integers(256, size=(len(labels), 28, 28), dtype=np.uint8)
        tiny.images[part], tiny.labels[part] = images, labels
        tiny.files.update({f"{prefix}-images-idx3-ubyte": idx(images), f"{prefix}-labels-idx1-ubyte": idx(labels)})
    files = {name: (md5(gzip.compress(content, mtime=0)), md5(content)) for name, content in tiny.files.items()}
    monkeypatch.setattr(colored_mnist, "FILES", files)
    monkeypatch.setattr(colored_mnist, "MIRRORS", ())
    return tiny


def put(mnist: Mnist, folder: Path, *, gzipped: bool) -> None:
    for name, content in mnist.files.items():
        path = folder / (f"{name}.gz" if gzipped else name)
        path.write_bytes(gzip.compress(content, mtime=0) if gzipped else content)


# -- The dataset --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("gzipped", [True, False], ids=["gzipped", "unpacked"])
def test_every_digit_of_the_files_is_in_its_split_with_its_label(
    mnist: Mnist, tmp_path: Path, *, gzipped: bool
) -> None:
    put(mnist, tmp_path, gzipped=gzipped)

    splits, facts = make(Settings(validation=0.4), tmp_path)

    counts = {name: np.bincount(split.labels).tolist() for name, split in splits.items()}
    assert counts == {"train": [3] * 10, "val": [2] * 10, "test": [2] * 10, "val_shift": [2] * 10}
    assert splits["test"].ids == [f"test-{i:05d}" for i in range(20)]
    assert splits["val_shift"].ids == [f"{name}-shift" for name in splits["val"].ids]
    assert sorted(splits["train"].ids + splits["val"].ids) == [f"train-{i:05d}" for i in range(50)]
    for split in splits.values():
        assert {m: x.shape[1:] for m, x in split.modalities.items()} == {"color": (3, 28, 28), "gray": (1, 28, 28)}
        assert [x.dtype for x in split.modalities.values()] == [np.uint8, np.uint8]
        assert split.labels.dtype == np.int64
        for name, gray, label in zip(split.ids, split.modalities["gray"], split.labels, strict=True):
            part, number = name.removesuffix("-shift").split("-")
            assert (gray[0] == mnist.images[part][int(number)]).all()
            assert label == mnist.labels[part][int(number)]
    assert facts.hashes == {name: md5(content) for name, content in mnist.files.items()}
    assert facts.classes == tuple("0123456789")
    assert not facts.generated
