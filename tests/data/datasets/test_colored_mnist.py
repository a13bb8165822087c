"""The full MNIST, from tiny files in its true format."""

import gzip
import hashlib
import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pytest

from greedymm.data.datasets import colored_mnist
from greedymm.data.datasets.colored_mnist import Settings, make, mean_colors
from greedymm.errors import GreedymmError

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


# -- Other names of the files, and other sets ---------------------------------------------------------------

PLAIN = "train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"
NAMES: dict[str, Callable[[str], str]] = {
    "as published": lambda name: name,
    "a dot": lambda name: name.replace("-idx", ".idx"),
    "Kaggle's": lambda name: f"{name}/{name}".replace("-idx", ".idx", 1),
    "below": lambda name: f"MNIST/raw/{name}",
    "EMNIST's": lambda name: f"gzip/emnist-letters-{name}".replace("t10k", "test"),
}


@pytest.mark.parametrize("naming", ["as published", "a dot", "Kaggle's", "below"])
def test_mnist_is_found_under_other_names_and_in_folders_below(naming: str, mnist: Mnist, tmp_path: Path) -> None:
    for name, content in mnist.files.items():
        put_file(tmp_path / NAMES[naming](name), content)

    splits, facts = make(Settings(), tmp_path)

    assert len(splits["test"].ids) == 20
    assert facts.classes == tuple("0123456789")


def test_files_of_another_set_in_the_folder_of_mnist_are_refused_with_the_setting(mnist: Mnist, tmp_path: Path) -> None:
    for name, content in mnist.files.items():
        put_file(tmp_path / name, content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(GreedymmError, match=r"another file: (?s:.*)set data\.folder"):
        make(Settings(), tmp_path)

    put_file(tmp_path / "emnist-digits-train-images-idx3-ubyte", b"")
    with pytest.raises(GreedymmError, match=r"another set than MNIST: emnist-digits-(?s:.*)set data\.folder"):
        make(Settings(), tmp_path)


def put_file(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def another(labels: list[int], size: tuple[int, int] = (6, 5), per_class: int = 4) -> dict[str, bytes]:
    """Files of a set with these labels."""
    files, rng = {}, np.random.default_rng(0)
    for images, names in ((per_class, PLAIN[:2]), (2, PLAIN[2:])):
        those = np.repeat(np.array(labels, dtype=np.uint8), images)
        files[names[0]] = idx(rng.integers(256, size=(len(those), *size), dtype=np.uint8))
        files[names[1]] = idx(those)
    return files


def own(folder: Path, files: dict[str, bytes], **settings: object) -> Settings:
    for name, content in files.items():
        put_file(folder / name, content)
    return Settings.model_validate({"folder": str(folder)} | settings)


@pytest.mark.parametrize("naming", NAMES)
@pytest.mark.parametrize("gzipped", [True, False])
def test_any_set_is_read_from_a_folder_of_the_user_with_the_names_in_the_settings(
    naming: str, tmp_path: Path, *, gzipped: bool
) -> None:
    files = {
        NAMES[naming](name) + ".gz" * gzipped: gzip.compress(content) if gzipped else content
        for name, content in another([1, 2, 7]).items()
    }
    settings = own(tmp_path, files, classes=["$x_1$", "T-shirt/top", "<b>"])

    splits, facts = make(settings, tmp_path / "nowhere")

    assert facts.classes == ("$x_1$", "T-shirt/top", "<b>")
    assert facts.license == "set by their authors"
    assert str(tmp_path) in facts.source
    assert splits["test"].labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert splits["test"].shapes == {"color": (3, 6, 5), "gray": (1, 6, 5)}
    assert len(splits["train"].ids) == 9
    assert make(settings.model_copy(update={"classes": None}), tmp_path)[1].classes == ("1", "2", "7")


def test_the_same_file_twice_is_no_fault_and_two_that_differ_are_named(tmp_path: Path) -> None:
    files = another([0, 1])
    settings = own(tmp_path, files | {f"{name}.gz": gzip.compress(content) for name, content in files.items()})
    assert len(make(settings, tmp_path)[0]["test"].ids) == 4

    put_file(tmp_path / "old" / PLAIN[3], b"other")
    with pytest.raises(GreedymmError, match=rf"/old/{PLAIN[3]} and .* have the same name and differ"):
        make(settings, tmp_path)


def test_files_that_are_of_no_set_are_counted_in_a_note(tmp_path: Path) -> None:
    others = {"val-images-idx3-ubyte": b"", "emnist-mapping.txt": b"0 48", ".DS_Store": b"", f"{PLAIN[0]}.bz2": b""}

    _, facts = make(own(tmp_path, another([0, 1]) | others), tmp_path)

    assert facts.notes == ("files of other kinds are not read: 1 .bz2, 1 .txt, 1 val-images-idx3-ubyte",)


def test_more_than_ten_classes_have_distinct_colors() -> None:
    colors = mean_colors(62)

    assert len({tuple(color) for color in colors.round(2)}) == 62
    assert ((colors >= 0) & (colors <= 1)).all()
    np.testing.assert_array_equal(colors[:3], mean_colors(3))


FEW = another([0, 1])
FAULTS: dict[str, tuple[dict[str, bytes], str]] = {
    "no files": ({"README": b""}, "has no train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte,"),
    "a file missing": ({n: c for n, c in FEW.items() if n != PLAIN[3]}, rf"has no {PLAIN[3]}\.\n  Put the four"),
    "two sets": (FEW | {f"kmnist-{n}": c for n, c in FEW.items()}, "several sets: train-images-.*, kmnist-train"),
    "truncated": (FEW | {PLAIN[0]: FEW[PLAIN[0]][:-1]}, f"{PLAIN[0]} has 255 bytes, and its header announces"),
    "too long": (FEW | {PLAIN[1]: FEW[PLAIN[1]] + b"0"}, f"{PLAIN[1]} has 17 bytes, and its header announces"),
    "broken gzip": (FEW | {PLAIN[0]: gzip.compress(FEW[PLAIN[0]])[:-5]}, f"{PLAIN[0]} is truncated or broken"),
    "a page": (FEW | {PLAIN[2]: b"<html>Moved</html>"}, f"{PLAIN[2]} is no IDX file"),
    "empty": (FEW | {PLAIN[2]: b""}, f"{PLAIN[2]} is no IDX file"),
    "floats": (FEW | {PLAIN[2]: b"\0\0\x0d\3" + bytes(12)}, f"{PLAIN[2]} has values of type 0x0D in 3 axes"),
    "colors": (FEW | {PLAIN[2]: b"\0\0\x08\4" + bytes(16)}, f"{PLAIN[2]} has values of type 0x08 in 4 axes"),
    "swapped": ({PLAIN[0]: FEW[PLAIN[1]]} | {n: FEW[n] for n in PLAIN[1:]}, f"{PLAIN[0]} (is no IDX|has values)"),
    "fewer labels": (FEW | {PLAIN[3]: idx(np.zeros(3, np.uint8))}, f"{PLAIN[2]} has 4 images, {PLAIN[3]} 3 labels"),
    "no images": (
        FEW | {PLAIN[2]: idx(np.zeros((0, 6, 5), np.uint8)), PLAIN[3]: idx(np.zeros(0, np.uint8))},
        f"{PLAIN[2]} has 0 images",
    ),
    "two sizes": (FEW | {PLAIN[2]: idx(np.zeros((4, 6, 6), np.uint8))}, "training images have .*, test images"),
    "absurd": (FEW | {PLAIN[2]: b"\0\0\x08\3" + b"\xff" * 12}, f"{PLAIN[2]} has 16 bytes, and its header announces"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_set_is_refused_with_its_file_and_the_cure(fault: str, tmp_path: Path) -> None:
    files, reason = FAULTS[fault]

    with pytest.raises(GreedymmError) as raised:
        make(own(tmp_path, files), tmp_path / "nowhere")

    assert re.search(reason, str(raised.value))
    assert "\n  " in str(raised.value)


def test_another_number_of_names_than_labels_and_names_that_do_not_differ_are_refused(tmp_path: Path) -> None:
    settings = own(tmp_path, FEW, classes=["a", "b", "c"])
    with pytest.raises(GreedymmError, match=r"data\.classes has 3 names, but there are 2 labels: 0, 1\.\n"):
        make(settings, tmp_path)

    for names in (["a", "a"], ["a", ""], ["a", "b\n"]):
        with pytest.raises(ValueError, match="must differ, not be empty"):
            Settings.model_validate({"classes": names})


def test_a_missing_folder_is_named_with_the_setting(tmp_path: Path) -> None:
    with pytest.raises(GreedymmError, match=r"gone is not a folder\.\n  Correct data\.folder"):
        make(Settings(folder=str(tmp_path / "gone")), tmp_path)
