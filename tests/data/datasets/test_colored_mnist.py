"""The full MNIST, from tiny files in its true format."""

import gzip
import hashlib
import math
import struct
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pytest

from greedymm.data.datasets import colored_mnist
from greedymm.data.datasets.colored_mnist import Settings, make, read_idx
from greedymm.data.sources.archives import RemoteFile
from greedymm.errors import GreedymmError

Bytes = npt.NDArray[np.uint8]

PER_CLASS = {"train": 5, "test": 2}


def header(*shape: int, kind: int = 8) -> bytes:
    return struct.pack(f">HBB{len(shape)}I", 0, kind, len(shape), *shape)


def idx(array: Bytes) -> bytes:
    return header(*array.shape) + array.tobytes()


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
    rng, tiny, files = np.random.default_rng(0), Mnist({}, {}, {}), {}
    for part, per_class in PER_CLASS.items():
        labels = rng.permutation(np.repeat(np.arange(10, dtype=np.uint8), per_class))
        images = rng.integers(256, size=(len(labels), 28, 28), dtype=np.uint8)
        tiny.images[part], tiny.labels[part] = images, labels
        names = [file.name for file in colored_mnist.FILES[part]]
        tiny.files.update(zip(names, (idx(images), idx(labels)), strict=True))
        files[part] = tuple(
            RemoteFile(n, md5(gzip.compress(tiny.files[n], mtime=0)), md5(tiny.files[n])) for n in names
        )
    monkeypatch.setattr(colored_mnist, "FILES", files)
    monkeypatch.setattr(colored_mnist, "MIRRORS", ())
    return tiny


def put(mnist: Mnist, folder: Path, *, gzipped: bool) -> None:
    for name, content in mnist.files.items():
        path = folder / (f"{name}.gz" if gzipped else name)
        path.write_bytes(gzip.compress(content, mtime=0) if gzipped else content)


# -- The dataset --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("gzipped", [True, False], ids=["gzipped", "unpacked"])
def test_every_digit_of_the_files_is_in_one_split_with_its_label(
    mnist: Mnist, tmp_path: Path, *, gzipped: bool
) -> None:
    put(mnist, tmp_path, gzipped=gzipped)

    splits, facts = make(Settings(validation=0.4), tmp_path)

    counts = {name: np.bincount(split.labels).tolist() for name, split in splits.items()}
    assert counts == {"train": [3] * 10, "val": [2] * 10, "test": [2] * 10}
    assert splits["test"].ids == [f"test-{i:05d}" for i in range(20)]
    assert sorted(splits["train"].ids + splits["val"].ids) == [f"train-{i:05d}" for i in range(50)]
    for split in splits.values():
        assert {m: x.shape[1:] for m, x in split.modalities.items()} == {"color": (3, 28, 28), "gray": (1, 28, 28)}
        assert [x.dtype for x in split.modalities.values()] == [np.uint8, np.uint8]
        assert split.labels.dtype == np.int64
        for name, gray, label in zip(split.ids, split.modalities["gray"], split.labels, strict=True):
            part, number = name.split("-")
            assert (gray[0] == mnist.images[part][int(number)]).all()
            assert label == mnist.labels[part][int(number)]
    assert facts.hashes == {name: md5(content) for name, content in mnist.files.items()}
    assert facts.classes == tuple("0123456789")
    assert not facts.generated


# -- The format ---------------------------------------------------------------------------------------------


def test_arrays_of_any_number_of_axes_are_read() -> None:
    for shape in ((7,), (2, 3), (2, 3, 4)):
        array = np.arange(math.prod(shape), dtype=np.uint8).reshape(shape)
        np.testing.assert_array_equal(read_idx(idx(array), "digits"), array, strict=True)


REFUSED = {
    "empty file": b"",
    "another magic": b"\x89PNG" + struct.pack(">I", 4) + b"abcd",
    "signed bytes": header(4, kind=9) + b"abcd",
    "floats": header(1, kind=13) + b"abcd",
    "little-endian lengths": header() + b"\x01" + struct.pack("<I", 4) + b"abcd",
    "no axes": header() + b"abcd",
    "cut in the magic": header(4)[:3],
    "cut in the lengths": header(4)[:6],
    "header alone": header(4),
    "last byte lost": header(2, 2) + b"abc",
    "a byte too many": header(2, 2) + b"abcde",
    "header of a smaller array": header(2, 1) + b"abcd",
    "header of a larger array": header(2, 2, 2) + b"abcd",
    "lengths whose product overflows": header(*[2**16] * 4),
}


def test_files_that_are_not_complete_idx_files_of_unsigned_bytes_are_refused_by_name() -> None:
    for content in REFUSED.values():
        with pytest.raises(GreedymmError, match=r"^the-digits "):
            read_idx(content, "the-digits")
    with pytest.raises(GreedymmError, match=r"has 15 bytes; for its shape \(2, 2\) it needs 16"):
        read_idx(header(2, 2) + b"abc", "digits")
