import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import repeat
from pathlib import Path

import h5py
import numpy as np
import numpy.typing as npt
import pytest

from greedymm.data import hdf5
from greedymm.data.hdf5 import DataFile
from greedymm.data.samples import DatasetInfo, LazySamples, Samples, UnreadableError
from greedymm.errors import GreedymmError
from greedymm.info import read_info

FACTS = DatasetInfo(
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


@pytest.mark.parametrize("lazy", [False, True], ids=["arrays", "lazy"])
def test_what_is_read_is_what_was_written(tmp_path: Path, *, lazy: bool) -> None:
    for name in ("one.h5", "two.h5"):
        hdf5.write(tmp_path / name, streams() if lazy else splits(), FACTS)

    assert (tmp_path / "one.h5").read_bytes() == (tmp_path / "two.h5").read_bytes()
    with DataFile(tmp_path / "one.h5") as file:
        assert file.facts == FACTS
        assert file.modalities == ["image", "clip"]
        for name, split in splits().items():
            table = file.sample_table(name)
            assert list(table.columns) == ["split", "id", "label"]
            assert table.to_numpy().tolist() == [[name, i, k] for i, k in zip(split.ids, split.labels, strict=True)]
            np.testing.assert_array_equal(file.labels(name), split.labels, strict=True)
            for modality, images in split.modalities.items():
                np.testing.assert_array_equal(file.images(name, modality)[:], images, strict=True)
                assert file.images(name, modality).chunks == ((1, *SPACES[modality]) if lazy else None)


def test_examples_are_the_first_samples_of_each_class(written: Path) -> None:
    images = splits()["train"].modalities["image"]

    with DataFile(written) as file:
        cats, dogs = file.examples("train", "image", count=2)

    np.testing.assert_array_equal(cats, images[[0, 2]])
    np.testing.assert_array_equal(dogs, images[[1, 3]])


def test_bytes_do_not_depend_on_the_path_or_the_time(written: Path, tmp_path: Path) -> None:
    other = tmp_path / "elsewhere" / "another-name.h5"
    time.sleep(1)  # HDF5 would store dates in seconds

    hdf5.write(other, splits(), FACTS)

    assert other.read_bytes() == written.read_bytes()


def test_a_dataset_may_have_more_splits_and_they_are_checked_like_the_others(tmp_path: Path) -> None:
    path, more = tmp_path / "data.h5", {"val_shift": samples(5, seed=3), "another": samples(6, seed=4)}
    hdf5.write(path, splits() | more, FACTS)

    with DataFile(path) as file:
        assert file.splits == ["train", "val", "test", "val_shift", "another"]
        assert file.sample_table("val_shift")["id"].tolist() == more["val_shift"].ids
        with pytest.raises(GreedymmError, match="no split 'night'; it has: train, val, test, val_shift, another"):
            file.labels("night")
    assert read_info(path).counts == {"train": 7, "val": 3, "test": 4, "val_shift": 5, "another": 6}
    with pytest.raises(GreedymmError, match="split 'another' has no sample of: dög"):
        hdf5.write(path, splits() | more | {"another": no_dog(more["another"])}, FACTS)
    with pytest.raises(GreedymmError, match="two samples have the same id: 3/é0"):
        hdf5.write(path, splits() | more | {"another": more["val_shift"]}, FACTS)


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
    "a label above the classes": (a_third_class, "has label 2; the labels are 0 to 1"),
    "a label below 0": (a_negative_label, "has label -1; the labels are 0 to 1"),
}


@pytest.mark.parametrize(("spoil", "what"), FAULTS.values(), ids=FAULTS)
def test_a_faulty_split_is_refused_by_name_and_nothing_is_written(
    spoil: Callable[[Samples], Samples], what: str, tmp_path: Path
) -> None:
    for split in ("train", "test") if spoil is no_dog else ("train", "val", "test"):
        content = splits()
        content[split] = spoil(content[split])
        with pytest.raises(GreedymmError, match=f"'{split}' {what}|'{split}'.* {what}"):
            hdf5.write(tmp_path / "data.h5", content, FACTS)
        content.pop(split)
        with pytest.raises(GreedymmError, match=f"no split '{split}'"):
            hdf5.write(tmp_path / "data.h5", content, FACTS)

    assert list(tmp_path.iterdir()) == []


def test_a_class_that_is_only_not_validated_is_named_in_a_note(tmp_path: Path) -> None:
    hdf5.write(tmp_path / "data.h5", splits() | {"val": no_dog(splits()["val"])}, FACTS)

    with DataFile(tmp_path / "data.h5") as file:
        assert file.facts.notes[-1] == "split 'val' has no sample of: dög"


def test_samples_that_are_not_bytes_and_ids_that_repeat_are_refused(tmp_path: Path) -> None:
    floats, repeated = splits(), splits()
    floats["val"].modalities["clip"] = floats["val"].modalities["clip"].astype(np.float32)
    repeated["test"].ids[2] = repeated["train"].ids[1]

    with pytest.raises(GreedymmError, match="'clip' of split 'val' is float32; it must be uint8"):
        hdf5.write(tmp_path / "data.h5", floats, FACTS)
    with pytest.raises(GreedymmError, match="two samples have the same id: 0/é1"):
        hdf5.write(tmp_path / "data.h5", repeated, FACTS)


def test_a_write_that_fails_half_way_leaves_the_file_that_was_there(written: Path) -> None:
    before = written.read_bytes()

    with pytest.raises(TypeError):
        hdf5.write(written, splits(), replace(FACTS, settings={"no JSON": object()}))

    assert written.read_bytes() == before
    assert sorted(written.parent.iterdir()) == [written, written.with_suffix(".json")]


# -- Refused when read --------------------------------------------------------------------------------------


def test_a_missing_file_is_named_with_the_command_that_makes_it(tmp_path: Path) -> None:
    path = tmp_path / "data.h5"

    with pytest.raises(GreedymmError, match="is missing") as raised:
        DataFile(path)

    assert "snakemake --cores 8 all" in str(raised.value)


def test_a_truncated_file_is_refused_with_the_cure(written: Path) -> None:
    content = written.read_bytes()
    for share in (0, 0.01, 0.5, 0.999):
        written.write_bytes(content[: int(share * len(content))])
        with pytest.raises(GreedymmError, match=r"data\.h5 is no complete HDF5 file (?s:.*)delete it and run again"):
            DataFile(written)


def test_a_file_of_another_layout_is_refused(written: Path) -> None:
    for layout in (hdf5.LAYOUT + 1, 0, None):
        with h5py.File(written, "r+") as file:
            file.attrs.pop("layout") if layout is None else file.attrs.modify("layout", layout)
        with pytest.raises(
            GreedymmError,
            match=f"attribute 'layout' is {'missing' if layout is None else layout}; expected {hdf5.LAYOUT}",
        ):
            DataFile(written)


def test_a_missing_modality_is_refused_with_those_that_there_are(written: Path) -> None:
    with DataFile(written) as file, pytest.raises(GreedymmError, match="no modality 'sound'; it has: image, clip"):
        file.images("train", "sound")


# -- Streams ------------------------------------------------------------------------------------------------

Row = list[npt.NDArray[np.uint8]]


def rows(split: Samples) -> Iterator[Row]:
    for k in range(len(split.labels)):
        yield [images[k] for images in split.modalities.values()]


def streamed(split: Samples) -> LazySamples:
    return LazySamples(SPACES, rows(split), split.labels, split.ids)


def streams() -> dict[str, Samples | LazySamples]:
    return {name: streamed(split) for name, split in splits().items()}


def image(*shape: int, kind: type = np.uint8) -> npt.NDArray[np.generic]:
    return np.ones(shape, dtype=kind)


CLIP = image(*SPACES["clip"])
MISSHAPEN = {
    "too small": [image(3, 4, 4), CLIP],
    "one that would be repeated": [image(1, 4, 5), CLIP],
    "without channels": [image(4, 5), CLIP],
    "floats": [image(3, 4, 5, kind=np.float32), CLIP],
    "truths": [image(3, 4, 5, kind=np.bool_), CLIP],
}


@pytest.mark.parametrize("row", MISSHAPEN.values(), ids=MISSHAPEN)
def test_a_sample_of_another_shape_or_type_is_refused_by_name_and_nothing_is_left(row: Row, tmp_path: Path) -> None:
    for index in (0, 3):
        content, rows_ = streams(), list(rows(splits()["test"]))
        rows_[index] = row
        content["test"] = streamed(splits()["test"])._replace(rows=rows_)
        with pytest.raises(
            GreedymmError, match=rf"sample 2/é{index} is .* in /test/image; it must be uint8 \(3, 4, 5\)"
        ):
            hdf5.write(tmp_path / "data.h5", content, FACTS)

    assert list(tmp_path.iterdir()) == []


def test_another_number_of_samples_or_modalities_is_refused_and_nothing_is_left(tmp_path: Path) -> None:
    row: Row = [np.ones((3, 4, 5), dtype=np.uint8), np.ones(SPACES["clip"], dtype=np.uint8)]
    broken = UnreadableError("b")
    cases: list[Iterable[Row | UnreadableError]] = [
        [],
        [row] * 3,
        repeat(row),
        [broken] * 5,
        [row[:1]] * 4,
        [[*row, row[1]]] * 4,
    ]
    for rows_ in cases:
        content = streams() | {"test": streamed(splits()["test"])._replace(rows=rows_)}
        with pytest.raises(ValueError, match="zip"):
            hdf5.write(tmp_path / "data.h5", content, FACTS)

    assert list(tmp_path.iterdir()) == []


def test_a_stream_that_breaks_off_leaves_nothing_and_the_file_that_was_there(written: Path) -> None:
    def breaking() -> Iterator[Row]:
        yield from list(rows(splits()["test"]))[:2]
        raise GreedymmError("cup 3 changed while it was read")

    before = written.read_bytes()
    content = streams() | {"test": streamed(splits()["test"])._replace(rows=breaking())}

    with pytest.raises(GreedymmError, match="cup 3 changed"):
        hdf5.write(written, content, FACTS)

    assert written.read_bytes() == before
    assert sorted(written.parent.iterdir()) == [written, written.with_suffix(".json")]


def test_splits_of_other_modalities_are_refused_before_the_first_sample_is_made(tmp_path: Path) -> None:
    def fail() -> Iterator[Row]:
        pytest.fail("too early")
        yield []

    content = streams() | {"train": streamed(splits()["train"])._replace(rows=fail())}
    content["test"] = streamed(splits()["test"])._replace(shapes={"image": SPACES["image"], "sound": SPACES["clip"]})

    with pytest.raises(GreedymmError, match=r"'test' has the modalities .*sound"):
        hdf5.write(tmp_path / "data.h5", content, FACTS)

    assert list(tmp_path.iterdir()) == []


# -- Samples with which something is wrong ------------------------------------------------------------------


def with_broken(broken: dict[str, list[int]], *, skip: bool) -> dict[str, Samples | LazySamples]:
    """Streams in which some samples, by split and place, are broken."""
    content: dict[str, Samples | LazySamples] = {}
    for name, split in splits().items():
        taken: list[Row | UnreadableError] = list(rows(split))
        for k in broken.get(name, []):
            taken[k] = UnreadableError("truncated")
        content[name] = streamed(split)._replace(rows=taken, skip_broken=skip)
    return content


BROKEN = {"train": [0, 3], "test": [2]}


def test_all_broken_samples_of_all_splits_are_said_at_once_and_nothing_is_left(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(GreedymmError) as raised:
        hdf5.write(tmp_path / "data.h5", with_broken(BROKEN, skip=False), FACTS)

    first, *lines, remedy = str(raised.value).splitlines()
    assert first.startswith("3 samples or files in ")
    assert [line.strip() for line in lines] == ["0/é0: truncated", "0/é3: truncated", "2/é2: truncated"]
    assert "data.skip_broken" in remedy
    assert list(tmp_path.iterdir()) == []
    assert caplog.messages == [line.strip() for line in lines]


@pytest.mark.parametrize(
    "broken",
    [BROKEN, {"train": [6]}, {"train": [0, 1, 2, 3, 4]}, {"val": [0], "test": [0, 3]}],
    ids=["some", "the last", "the first", "the first and last"],
)
def test_where_they_may_be_left_out_the_others_keep_their_labels_and_ids(
    broken: dict[str, list[int]], tmp_path: Path
) -> None:
    hdf5.write(tmp_path / "data.h5", with_broken(broken, skip=True), FACTS)

    with DataFile(tmp_path / "data.h5") as file:
        for name, split in splits().items():
            kept = np.delete(np.arange(len(split.labels)), broken.get(name, []))
            for modality, images in split.modalities.items():
                np.testing.assert_array_equal(file.images(name, modality)[:], images[kept], strict=True)
                assert file.images(name, modality).id.get_num_chunks() == len(kept)
            np.testing.assert_array_equal(file.labels(name), split.labels[kept], strict=True)
            assert file.sample_table(name)["id"].tolist() == [split.ids[k] for k in kept]


def test_what_was_left_out_stands_in_a_note_behind_those_that_there_were(tmp_path: Path) -> None:
    facts = replace(FACTS, notes=("filmed at night",))

    hdf5.write(tmp_path / "data.h5", with_broken(BROKEN, skip=True), facts)

    with DataFile(tmp_path / "data.h5") as file:
        first, second = file.facts.notes
        assert file.facts == replace(facts, notes=(first, second))
    assert first == "filmed at night"
    assert second.startswith("excluded 3 samples or files: ")
    assert all(f"{splits()[name].ids[k]}: truncated" in second for name, those in BROKEN.items() for k in those)


@pytest.mark.parametrize(
    ("split", "broken", "lost"),
    [("test", [1, 3], "dög"), ("val", [0, 1, 2], "cat, dög")],
    ids=["all of a class", "all of a split"],
)
def test_a_class_that_is_lost_with_them_is_named_and_nothing_is_left(
    split: str, broken: list[int], lost: str, tmp_path: Path
) -> None:
    with pytest.raises(GreedymmError, match=f"split '{split}' has no sample of: {lost}"):
        hdf5.write(tmp_path / "data.h5", with_broken({split: broken}, skip=True), FACTS)

    assert list(tmp_path.iterdir()) == []


def test_a_dataset_without_classes_is_refused(tmp_path: Path) -> None:
    empty = dict.fromkeys(splits(), Samples({"image": np.zeros((0, 3, 4, 5), np.uint8)}, np.zeros(0, np.int64), []))

    with pytest.raises(GreedymmError, match="'train' has no sample of: any class"):
        hdf5.write(tmp_path / "data.h5", empty, replace(FACTS, classes=()))


@pytest.mark.parametrize("compressed", [True, False])
def test_samples_are_compressed_where_it_pays(tmp_path: Path, *, compressed: bool) -> None:
    empty = [np.zeros((1, 64, 64), dtype=np.uint8)]
    content = {
        s: LazySamples({"view": (1, 64, 64)}, [empty] * 2, np.arange(2), [f"{s}0", f"{s}1"], compressed)
        for s in splits()
    }

    hdf5.write(tmp_path / "data.h5", content, FACTS)

    with DataFile(tmp_path / "data.h5") as file:
        images = file.images("train", "view")
        assert images.chunks == (1, 1, 64, 64)
        assert (images.compression == "gzip") == compressed
        assert (images.id.get_storage_size() < images.nbytes) == compressed
