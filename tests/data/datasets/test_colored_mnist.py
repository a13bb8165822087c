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
from greedymm.data.sources.download import RemoteFile
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
        names = [file.unpacked for file in colored_mnist.FILES[part]]
        tiny.files.update(zip(names, (idx(images), idx(labels)), strict=True))
        files[part] = tuple(
            RemoteFile(f"{n}.gz", md5(gzip.compress(tiny.files[n], mtime=0)), md5(tiny.files[n])) for n in names
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

    splits, _ = make(Settings(), tmp_path)

    seen = []
    for split in splits.values():
        for name, gray, label in zip(split.ids, split.modalities["gray"], split.labels, strict=True):
            part, number = name.split("-")
            assert (gray[0] == mnist.images[part][int(number)]).all()
            assert label == mnist.labels[part][int(number)]
        seen += split.ids
    assert sorted(seen) == sorted(f"{part}-{i:05d}" for part in PER_CLASS for i in range(10 * PER_CLASS[part]))


def test_validation_is_cut_from_the_training_file_and_the_test_file_is_the_test_split(
    mnist: Mnist, tmp_path: Path
) -> None:
    put(mnist, tmp_path, gzipped=True)

    splits, _ = make(Settings(validation=0.4), tmp_path)

    assert {name: np.bincount(split.labels).tolist() for name, split in splits.items()} == {
        "train": [3] * 10,
        "val": [2] * 10,
        "test": [2] * 10,
    }
    assert splits["test"].ids == [f"test-{i:05d}" for i in range(20)]


def test_modalities_are_the_digit_in_colour_and_in_gray(mnist: Mnist, tmp_path: Path) -> None:
    put(mnist, tmp_path, gzipped=True)

    splits, facts = make(Settings(), tmp_path)

    assert list(splits) == ["train", "val", "test"]
    assert len(facts.classes) == 10
    for split in splits.values():
        assert {name: x.shape[1:] for name, x in split.modalities.items()} == {
            "color": (3, 28, 28),
            "gray": (1, 28, 28),
        }
        assert all(x.dtype == np.uint8 for x in split.modalities.values())
        assert split.labels.dtype == np.int64


def test_facts_name_the_files_by_the_hash_of_their_content(mnist: Mnist, tmp_path: Path) -> None:
    put(mnist, tmp_path, gzipped=True)

    _, facts = make(Settings(), tmp_path)

    assert facts.hashes == {name: md5(content) for name, content in mnist.files.items()}
    assert not facts.generated


def test_a_file_that_is_not_there_and_on_no_mirror_is_asked_for(mnist: Mnist, tmp_path: Path) -> None:
    put(mnist, tmp_path, gzipped=True)
    (tmp_path / "t10k-labels-idx1-ubyte.gz").unlink()

    with pytest.raises(GreedymmError, match=r"t10k-labels-idx1-ubyte\.gz is not in .*(?s:.*)Put it there by hand"):
        make(Settings(), tmp_path)


def test_the_real_files_have_distinct_hashes() -> None:
    files = [file for part in colored_mnist.FILES.values() for file in part]
    hashes = [h for file in files for h in (file.md5, file.content_md5)]

    assert len(set(hashes)) == 8
    assert all(len(h) == 32 and int(h, 16) for h in hashes)


# -- The format ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(7,), (2, 3), (2, 3, 4)], ids=str)
def test_arrays_of_any_number_of_axes_are_read(shape: tuple[int, ...]) -> None:
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


@pytest.mark.parametrize("content", REFUSED.values(), ids=REFUSED)
def test_whatever_is_no_whole_idx_file_of_unsigned_bytes_is_refused_by_name(content: bytes) -> None:
    with pytest.raises(GreedymmError, match=r"^the-digits "):
        read_idx(content, "the-digits")


def test_a_wrong_length_is_told_with_the_one_that_the_header_says() -> None:
    with pytest.raises(GreedymmError, match=r"has 15 bytes; its header says \(2, 2\), so 16"):
        read_idx(header(2, 2) + b"abc", "digits")
