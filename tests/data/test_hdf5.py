import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from greedymm.data import hdf5
from greedymm.data.hdf5 import DataFile
from greedymm.data.samples import Facts, Samples
from greedymm.errors import GreedymmError

FACTS = Facts(
    ("cat", "dög"),
    "drawn here",
    "CC0",
    generated=True,
    hashes={"a.gz": "00"},
    settings={"seed": 0, "nested": {"variance": 0.5}},
)
SPACES = {"image": (3, 4, 5), "clip": (1, 2, 4, 5)}


def samples(count: int, seed: int = 0) -> Samples:
    rng = np.random.default_rng(seed)
    images = {name: rng.integers(256, size=(count, *space), dtype=np.uint8) for name, space in SPACES.items()}
    return Samples(images, np.arange(count) % 2, [f"{seed}/é{i}" for i in range(count)])


def splits() -> dict[str, Samples]:
    return {"train": samples(7), "val": samples(3, seed=1), "test": samples(4, seed=2)}


@pytest.fixture
def written(tmp_path: Path) -> Path:
    path = tmp_path / "data.h5"
    hdf5.write(path, splits(), FACTS)
    return path


# -- Round trip ---------------------------------------------------------------------------------------------


def test_what_is_read_is_what_was_written(written: Path) -> None:
    with DataFile(written) as file:
        assert file.modalities == ["image", "clip"]
        assert file.channels(["clip", "image"]) == [1, 3]
        for name, split in splits().items():
            for modality, images in split.modalities.items():
                np.testing.assert_array_equal(file.images(name, modality)[:], images, strict=True)
            np.testing.assert_array_equal(file.labels(name), split.labels, strict=True)


def test_facts_are_read_as_they_were_written(written: Path) -> None:
    with DataFile(written) as file:
        assert file.facts == FACTS


def test_what_is_known_of_the_samples_is_their_split_id_and_label(written: Path) -> None:
    with DataFile(written) as file:
        known = file.known("test")

    assert list(known.columns) == ["split", "id", "label"]
    assert known.to_numpy().tolist() == [["test", f"2/é{i}", i % 2] for i in range(4)]


def test_examples_are_the_first_samples_of_each_class(written: Path) -> None:
    images = splits()["train"].modalities["image"]

    with DataFile(written) as file:
        cats, dogs = file.examples("train", "image", count=2)

    np.testing.assert_array_equal(cats, images[[0, 2]])
    np.testing.assert_array_equal(dogs, images[[1, 3]])


def test_the_same_content_gives_the_same_bytes_wherever_it_is_written(written: Path, tmp_path: Path) -> None:
    other = tmp_path / "elsewhere" / "another-name.h5"

    hdf5.write(other, splits(), FACTS)

    assert other.read_bytes() == written.read_bytes()


def test_no_object_of_the_file_carries_a_date(written: Path) -> None:
    dates = {}

    def look(name: str, found: h5py.Group | h5py.Dataset) -> None:
        of = h5py.h5o.get_info(found.id)
        dates[name] = (of.atime, of.btime, of.ctime, of.mtime)

    with h5py.File(written) as file:
        look("/", file)
        file.visititems(look)

    assert len(dates) == 1 + 3 * 5  # each split, and its modalities, labels and ids
    assert set(dates.values()) == {(0, 0, 0, 0)}


# -- Refused when written -----------------------------------------------------------------------------------


def no_dog(split: Samples) -> Samples:
    return split._replace(labels=np.zeros_like(split.labels))


def short_labels(split: Samples) -> Samples:
    return split._replace(labels=split.labels[:-1])


def short_ids(split: Samples) -> Samples:
    return split._replace(ids=split.ids[:-1])


def short_clip(split: Samples) -> Samples:
    return split._replace(modalities=split.modalities | {"clip": split.modalities["clip"][:-1]})


def a_third_class(split: Samples) -> Samples:
    return split._replace(labels=split.labels + 1)


def a_negative_label(split: Samples) -> Samples:
    return split._replace(labels=split.labels - 1)


FAULTS: dict[str, tuple[Callable[[Samples], Samples], str]] = {
    "a class without a sample": (no_dog, "has no sample of: dög"),
    "fewer labels": (short_labels, "differ in length: .*'labels'"),
    "fewer ids": (short_ids, "differ in length: .*'ids'"),
    "fewer images of one modality": (short_clip, "differ in length: .*'clip'"),
    "a label above the classes": (a_third_class, "label"),
    "a label below 0": (a_negative_label, "label"),
}


@pytest.mark.parametrize("split", ["train", "val", "test"])
@pytest.mark.parametrize(("spoil", "what"), FAULTS.values(), ids=FAULTS)
def test_a_faulty_split_is_refused_by_name_and_nothing_is_written(
    spoil: Callable[[Samples], Samples], what: str, split: str, tmp_path: Path
) -> None:
    content = splits()
    content[split] = spoil(content[split])

    with pytest.raises(GreedymmError, match=f"'{split}' {what}|'{split}'.* {what}"):
        hdf5.write(tmp_path / "data.h5", content, FACTS)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_a_missing_split_is_named(split: str, tmp_path: Path) -> None:
    content = splits()
    del content[split]

    with pytest.raises(GreedymmError, match=f"no split '{split}'"):
        hdf5.write(tmp_path / "data.h5", content, FACTS)


def test_a_write_that_fails_half_way_leaves_nothing(tmp_path: Path) -> None:
    content = splits()
    content["test"].ids[0] = "a null\0byte"  # which HDF5 cannot hold: train and val are written by then

    with pytest.raises(ValueError, match="NULL"):
        hdf5.write(tmp_path / "data.h5", content, FACTS)

    assert list(tmp_path.iterdir()) == []


def test_a_write_that_fails_half_way_leaves_the_file_that_was_there(written: Path) -> None:
    before = written.read_bytes()

    with pytest.raises(TypeError):
        hdf5.write(written, splits(), replace(FACTS, settings={"no JSON": object()}))

    assert written.read_bytes() == before
    assert list(written.parent.iterdir()) == [written]


# -- Refused when read --------------------------------------------------------------------------------------


def test_a_missing_file_is_named_with_the_command_that_makes_it(tmp_path: Path) -> None:
    path = tmp_path / "data.h5"

    with pytest.raises(GreedymmError, match="is missing") as raised:
        DataFile(path)

    assert "snakemake --cores 2 all" in str(raised.value)


@pytest.mark.parametrize("share", [0, 0.01, 0.5, 0.999], ids=["empty", "1 %", "half", "nearly whole"])
def test_a_truncated_file_is_refused_with_the_remedy(share: float, written: Path) -> None:
    content = written.read_bytes()
    written.write_bytes(content[: int(share * len(content))])

    with pytest.raises(GreedymmError, match=r"data\.h5 is no whole HDF5 file (?s:.*)Delete it and run again"):
        DataFile(written)


def test_a_file_of_another_format_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "data.h5"
    path.write_text(json.dumps({"layout": hdf5.LAYOUT}), encoding="utf-8")

    with pytest.raises(GreedymmError, match="is no whole HDF5 file"):
        DataFile(path)


@pytest.mark.parametrize("layout", [hdf5.LAYOUT + 1, 0], ids=["newer", "older"])
def test_a_file_of_another_layout_is_refused(layout: int, written: Path) -> None:
    with h5py.File(written, "r+") as file:
        file.attrs["layout"] = layout

    with pytest.raises(GreedymmError, match=f"has layout {layout}; this code reads layout {hdf5.LAYOUT}"):
        DataFile(written)


def test_a_file_without_a_layout_version_is_refused(written: Path) -> None:
    with h5py.File(written, "r+") as file:
        del file.attrs["layout"]

    with pytest.raises(GreedymmError, match="has no layout version"):
        DataFile(written)


def test_a_missing_modality_is_refused_with_those_that_there_are(written: Path) -> None:
    with DataFile(written) as file:
        with pytest.raises(GreedymmError, match="has no modality 'sound' in split 'train'; it has: image, clip"):
            file.images("train", "sound")
        with pytest.raises(GreedymmError, match="has no modality 'sound' in split 'train'; it has: image, clip"):
            file.channels(["image", "sound"])
