import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import numpy.typing as npt
import pytest

from greedymm.data import hdf5
from greedymm.data.hdf5 import DataFile
from greedymm.data.samples import Broken, DatasetInfo, Samples, Stream
from greedymm.errors import GreedymmError

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

    with pytest.raises(GreedymmError, match=r"data\.h5 is no whole HDF5 file (?s:.*)delete it and run again"):
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


# -- Streams ------------------------------------------------------------------------------------------------

Row = list[npt.NDArray[np.uint8]]


def rows(split: Samples) -> Iterator[Row]:
    for k in range(len(split.labels)):
        yield [images[k] for images in split.modalities.values()]


def streamed(split: Samples) -> Stream:
    return Stream(SPACES, rows(split), split.labels, split.ids)


def streams() -> dict[str, Samples | Stream]:
    return {name: streamed(split) for name, split in splits().items()}


def test_a_stream_is_read_as_the_arrays_would_be(tmp_path: Path) -> None:
    path = tmp_path / "data.h5"

    hdf5.write(path, streams(), FACTS)

    with DataFile(path) as file:
        assert file.facts == FACTS
        assert file.modalities == ["image", "clip"]
        assert file.channels(["clip", "image"]) == [1, 3]
        for name, split in splits().items():
            for modality, images in split.modalities.items():
                np.testing.assert_array_equal(file.images(name, modality)[:], images, strict=True)
            np.testing.assert_array_equal(file.labels(name), split.labels, strict=True)
            assert file.known(name)["id"].tolist() == split.ids


def test_the_same_stream_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one.h5", "two.h5"):
        hdf5.write(tmp_path / name, streams(), FACTS)

    assert (tmp_path / "one.h5").read_bytes() == (tmp_path / "two.h5").read_bytes()


def test_rows_are_taken_one_at_a_time_and_written_before_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []
    store = h5py.Dataset.__setitem__

    def noting(place: h5py.Dataset, where: int, image: npt.NDArray[np.uint8]) -> None:
        events.append(f"write {where} to {place.name}")
        store(place, where, image)

    def noted(split: Samples) -> Iterator[Row]:
        for k, row in enumerate(rows(split)):
            events.append(f"make {k}")
            yield row

    monkeypatch.setattr(h5py.Dataset, "__setitem__", noting)
    content = splits() | {"val": streamed(splits()["val"])._replace(rows=noted(splits()["val"]))}

    hdf5.write(tmp_path / "data.h5", content, FACTS)

    assert events == [
        event for k in range(3) for event in (f"make {k}", f"write {k} to /val/image", f"write {k} to /val/clip")
    ]


def test_each_sample_of_each_modality_is_a_chunk_of_its_own(tmp_path: Path) -> None:
    hdf5.write(tmp_path / "data.h5", streams(), FACTS)

    with DataFile(tmp_path / "data.h5") as file:
        for split in ("train", "val", "test"):
            for name, space in SPACES.items():
                images = file.images(split, name)
                assert images.chunks == (1, *space)
                assert images.id.get_num_chunks() == len(images)


def bytes_read(path: Path, views: list[str]) -> int:
    """Bytes that the system hands to this process while it reads some views of all samples."""

    def so_far() -> int:
        return int(Path("/proc/self/io").read_text(encoding="ascii").split()[1])

    with DataFile(path) as file:
        before = so_far()
        for view in views:
            images = file.images("train", view)
            for k in range(len(images)):
                assert images[k].any()
        return so_far() - before


def test_two_of_twelve_views_are_read_at_two_twelfths_of_the_cost(tmp_path: Path) -> None:
    shapes: dict[str, tuple[int, ...]] = {f"view{k}": (1, 64, 64) for k in range(12)}
    noise = np.random.default_rng(0).integers(256, size=(10, 12, 1, 64, 64), dtype=np.uint8)  # cannot be compressed
    labels = np.arange(10) % 2
    content = {s: Stream(shapes, iter(noise), labels, [f"{s}{k}" for k in range(10)]) for s in ("train", "val", "test")}
    hdf5.write(tmp_path / "data.h5", content, FACTS)

    two, all_of_them = (bytes_read(tmp_path / "data.h5", list(shapes)[:count]) for count in (2, 12))

    assert all_of_them >= noise.nbytes
    assert two == pytest.approx(all_of_them * 2 / 12, rel=0.1)


def test_what_is_empty_around_an_object_takes_no_space(tmp_path: Path) -> None:
    row = [np.zeros((1, 224, 224), dtype=np.uint8)]
    content = {s: Stream({"view": (1, 224, 224)}, [row, row], np.arange(2), [f"{s}0", f"{s}1"]) for s in splits()}

    hdf5.write(tmp_path / "data.h5", content, FACTS)

    assert (tmp_path / "data.h5").stat().st_size < 6 * 224 * 224 / 20


def image(*shape: int, kind: type = np.uint8) -> npt.NDArray[np.generic]:
    return np.ones(shape, dtype=kind)


CLIP = image(*SPACES["clip"])
MISSHAPEN = {
    "too small": [image(3, 4, 4), CLIP],
    "one that would be repeated": [image(1, 4, 5), CLIP],
    "without channels": [image(4, 5), CLIP],
    "with one axis more": [image(1, 3, 4, 5), CLIP],
    "floats": [image(3, 4, 5, kind=np.float32), CLIP],
    "signed": [image(3, 4, 5, kind=np.int8), CLIP],
    "truths": [image(3, 4, 5, kind=np.bool_), CLIP],
}


@pytest.mark.parametrize("spoilt", MISSHAPEN.values(), ids=MISSHAPEN)
@pytest.mark.parametrize("at", [0, 3], ids=["first", "last"])
def test_a_sample_of_another_shape_or_kind_is_refused_by_name_and_nothing_is_left(
    spoilt: Row, at: int, tmp_path: Path
) -> None:
    content = streams()
    taken = list(rows(splits()["test"]))
    taken[at] = spoilt
    content["test"] = streamed(splits()["test"])._replace(rows=taken)

    with pytest.raises(GreedymmError, match=rf"sample 2/é{at} is .* in /test/image; it must be uint8 \(3, 4, 5\)"):
        hdf5.write(tmp_path / "data.h5", content, FACTS)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("count", [1, 3], ids=["one too few", "one too many"])
def test_a_sample_of_another_number_of_modalities_is_refused_and_nothing_is_left(count: int, tmp_path: Path) -> None:
    content = streams()
    taken = [[image(3, 4, 5), CLIP, CLIP][:count]] * 4
    content["test"] = streamed(splits()["test"])._replace(rows=taken)  # type: ignore[arg-type]

    with pytest.raises(ValueError, match="zip"):
        hdf5.write(tmp_path / "data.h5", content, FACTS)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("count", "said"), [(0, "0"), (3, "3"), (5, "more"), (99, "more")])
def test_too_few_or_too_many_samples_are_refused_and_nothing_is_left(count: int, said: str, tmp_path: Path) -> None:
    content = streams()
    content["test"] = streamed(splits()["test"])._replace(rows=[[image(3, 4, 5), CLIP]] * count)  # type: ignore[list-item]

    with pytest.raises(GreedymmError, match=f"/test has 4 labels, but {said} samples"):
        hdf5.write(tmp_path / "data.h5", content, FACTS)

    assert list(tmp_path.iterdir()) == []


def test_a_stream_without_an_end_is_not_read_to_it(tmp_path: Path) -> None:
    content = streams()
    endless = iter(lambda: [image(3, 4, 5), CLIP], None)
    content["val"] = streamed(splits()["val"])._replace(rows=endless)  # type: ignore[arg-type]

    with pytest.raises(GreedymmError, match="/val has 3 labels, but more samples"):
        hdf5.write(tmp_path / "data.h5", content, FACTS)


def test_a_stream_that_breaks_off_leaves_nothing_and_the_file_that_was_there(written: Path) -> None:
    def breaking() -> Iterator[Row]:
        yield from list(rows(splits()["test"]))[:2]
        raise GreedymmError("cup 3 changed while it was read")

    before = written.read_bytes()
    content = streams() | {"test": streamed(splits()["test"])._replace(rows=breaking())}

    with pytest.raises(GreedymmError, match="cup 3 changed"):
        hdf5.write(written, content, FACTS)

    assert written.read_bytes() == before
    assert list(written.parent.iterdir()) == [written]


def spoilt_labels(split: Stream) -> Stream:
    return split._replace(labels=split.labels[:-1])


def spoilt_ids(split: Stream) -> Stream:
    return split._replace(ids=split.ids[:-1])


def one_class(split: Stream) -> Stream:
    return split._replace(labels=np.zeros_like(split.labels))


def other_modalities(split: Stream) -> Stream:
    return split._replace(shapes={"image": SPACES["image"], "sound": SPACES["clip"]})


EARLY: dict[str, tuple[Callable[[Stream], Stream], str]] = {
    "fewer labels": (spoilt_labels, "differ in length"),
    "fewer ids": (spoilt_ids, "differ in length"),
    "a class without a sample": (one_class, "has no sample of: dög"),
    "other modalities": (other_modalities, "has the modalities .*sound"),
}


@pytest.mark.parametrize(("spoil", "what"), EARLY.values(), ids=EARLY)
def test_what_is_known_beforehand_is_refused_before_the_first_sample_is_made(
    spoil: Callable[[Stream], Stream], what: str, tmp_path: Path
) -> None:
    made: list[int] = []

    def noted() -> Iterator[Row]:
        made.append(1)
        yield from rows(splits()["train"])

    content = streams() | {"train": streamed(splits()["train"])._replace(rows=noted())}
    content["test"] = spoil(streamed(splits()["test"]))

    with pytest.raises(GreedymmError, match=f"'test' {what}|'test'.* {what}"):
        hdf5.write(tmp_path / "data.h5", content, FACTS)

    assert made == []
    assert list(tmp_path.iterdir()) == []


# -- Samples with which something is wrong ------------------------------------------------------------------


def with_broken(broken: dict[str, list[int]], *, skip: bool) -> dict[str, Samples | Stream]:
    """Streams in which some samples, by split and place, are broken."""
    content: dict[str, Samples | Stream] = {}
    for name, split in splits().items():
        taken: list[Row | Broken] = list(rows(split))
        for k in broken.get(name, []):
            taken[k] = Broken(f"{name} {k}", "truncated")
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
    assert [line.strip() for line in lines] == ["train 0: truncated", "train 3: truncated", "test 2: truncated"]
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
            assert file.known(name)["id"].tolist() == [split.ids[k] for k in kept]


def test_what_was_left_out_stands_in_a_note_behind_those_that_there_were(tmp_path: Path) -> None:
    facts = replace(FACTS, notes=("filmed at night",))

    hdf5.write(tmp_path / "data.h5", with_broken(BROKEN, skip=True), facts)

    with DataFile(tmp_path / "data.h5") as file:
        first, second = file.facts.notes
        assert file.facts == replace(facts, notes=(first, second))
    assert first == "filmed at night"
    assert second.startswith("left out 3 samples or files: ")
    assert all(f"{name} {k}: truncated" in second for name, those in BROKEN.items() for k in those)


def test_where_none_is_broken_it_changes_no_byte_whether_they_might_be_left_out(tmp_path: Path) -> None:
    for skip in (False, True):
        hdf5.write(tmp_path / f"{skip}.h5", with_broken({}, skip=skip), FACTS)

    assert (tmp_path / "True.h5").read_bytes() == (tmp_path / "False.h5").read_bytes()


def test_the_same_left_out_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one.h5", "two.h5"):
        hdf5.write(tmp_path / name, with_broken(BROKEN, skip=True), FACTS)

    assert (tmp_path / "one.h5").read_bytes() == (tmp_path / "two.h5").read_bytes()


@pytest.mark.parametrize(
    ("broken", "lost"), [([1], "dög"), ([0, 1, 2], "cat, dög")], ids=["all of a class", "all of a split"]
)
def test_a_class_that_is_lost_with_them_is_named_and_nothing_is_left(
    broken: list[int], lost: str, tmp_path: Path
) -> None:
    with pytest.raises(GreedymmError, match=f"split 'val' has no sample of: {lost}"):
        hdf5.write(tmp_path / "data.h5", with_broken({"val": broken}, skip=True), FACTS)

    assert list(tmp_path.iterdir()) == []


def test_broken_samples_count_as_samples_where_there_are_too_many(tmp_path: Path) -> None:
    content = with_broken({}, skip=True)
    content["val"] = streamed(splits()["val"])._replace(rows=[Broken("a", "b")] * 4, skip_broken=True)

    with pytest.raises(GreedymmError, match="/val has 3 labels, but more samples"):
        hdf5.write(tmp_path / "data.h5", content, FACTS)


@pytest.mark.parametrize("compressed", [True, False])
def test_samples_are_compressed_where_it_pays(tmp_path: Path, *, compressed: bool) -> None:
    empty = [np.zeros((1, 64, 64), dtype=np.uint8)]
    content = {
        s: Stream({"view": (1, 64, 64)}, [empty] * 2, np.arange(2), [f"{s}0", f"{s}1"], compressed) for s in splits()
    }

    hdf5.write(tmp_path / "data.h5", content, FACTS)

    with DataFile(tmp_path / "data.h5") as file:
        images = file.images("train", "view")
        assert images.chunks == (1, 1, 64, 64)
        assert (images.compression == "gzip") == compressed
        assert (images.id.get_storage_size() < images.nbytes) == compressed
