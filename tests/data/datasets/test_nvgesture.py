"""NVGesture, from tiny videos and lists in their true form."""

import io
import re
import shutil
from pathlib import Path

import numpy as np
import numpy.typing as npt
import py7zr
import pytest

from greedymm.data import hdf5
from greedymm.data.datasets.nvgesture import ARCHIVE, LISTS, Settings, make
from greedymm.data.hdf5 import DataFile
from greedymm.data.samples import GENERATED_MARKER, LazySamples, Samples, UnreadableError
from greedymm.data.sources.video import write_video
from greedymm.errors import GreedymmError

Bytes = npt.NDArray[np.uint8]
Splits = dict[str, Samples | LazySamples]

SETTINGS = Settings(size=8, frames=3, validation=0.3)
SPACE = (3, 8, 11)
SUBJECTS = {"train": (1, 2, 4), "test": (3, 20)}
LABELS = (2, 25)
WINDOW = (2, 10)  # of 12 frames
PLACES = {
    split: [f"class_{label:02d}/subject{s}_r0" for label in LABELS for s in subjects]
    for split, subjects in SUBJECTS.items()
}


def line(place: str, window: tuple[int, int] = WINDOW) -> str:
    """As in the official lists, of which some name a color window that is a frame later."""
    (start, end), label = window, int(place[6:8])
    late = int("subject2_" in place)
    color = f"sk_color:{start + late}:{end + late}"
    return f"path:./Video_data/{place} depth:sk_depth:{start}:{end} color:{color} label:{label} \n"


def brightness(place: str) -> int:
    """Of the first frame of a clip, other than that of all others."""
    return 10 + 9 * sorted(PLACES["train"] + PLACES["test"]).index(place)


def film(folder: Path, place: str) -> None:
    """A color video that gets brighter by 10 a frame, and a depth video that gets darker."""
    home = folder / "Video_data" / place
    home.mkdir(parents=True)
    frames = (brightness(place) + 10 * np.arange(12))[:, None, None] + np.zeros((1, 24, 32))
    for name, content in {"sk_color": frames, "sk_depth": 255 - frames, "sk_wrapped": frames // 2}.items():
        write_video(home / f"{name}.avi", content.astype(np.uint8))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("nvgesture")
    for split, places in PLACES.items():
        (folder / LISTS[split]).write_text("".join(map(line, places)), encoding="ascii")
        for place in places:
            film(folder, place)
    return folder


@pytest.fixture
def own(whole: Path, tmp_path: Path) -> Path:
    """A copy that a test may spoil."""
    return Path(shutil.copytree(whole, tmp_path / "own"))


def clips(split: Samples | LazySamples) -> dict[str, tuple[Bytes, ...]]:
    """Id of each clip -> its color and depth."""
    assert isinstance(split, LazySamples)
    rows = dict(zip(split.ids, split.rows, strict=True))
    return {name: tuple(row) for name, row in rows.items() if not isinstance(row, UnreadableError)}


def relisted(folder: Path, split: str, *places: str) -> None:
    (folder / LISTS[split]).write_text("".join(map(line, places)), encoding="ascii")


# -- All clips ----------------------------------------------------------------------------------------------


def test_every_clip_is_in_one_split_and_no_subject_in_two(whole: Path) -> None:
    splits, facts = make(SETTINGS, whole)

    assert list(splits) == ["train", "val", "test"]
    assert facts.classes == ("class_02", "class_25")
    ids = {name: split.ids for name, split in splits.items()}
    assert sorted(ids["train"] + ids["val"]) == sorted(PLACES["train"])
    assert sorted(ids["test"]) == sorted(PLACES["test"])
    subjects = [{re.findall(r"subject(\d+)", place)[0] for place in those} for those in ids.values()]
    assert [len(those) for those in subjects] == [2, 1, 2]
    assert len(set().union(*subjects)) == 5
    for split in splits.values():
        assert split.labels.dtype == np.int64
        assert [facts.classes[label] for label in split.labels] == [name[:8] for name in split.ids]


def test_a_clip_is_shown_evenly_over_its_window_at_the_same_times_in_color_and_depth(whole: Path) -> None:
    splits, _ = make(SETTINGS, whole)

    for split in splits.values():
        assert isinstance(split, LazySamples)
        assert split.shapes == {"color": (3, *SPACE), "depth": (1, *SPACE)}
        for place, (color, depth) in clips(split).items():
            assert color.shape == (3, *SPACE)
            assert depth.shape == (1, *SPACE)
            times = [3, 6, 9] if "subject2_" in place else [2, 6, 9]  # of the late one, what both windows have
            expected = brightness(place) + 10 * np.array(times)
            np.testing.assert_allclose(color.mean(axis=(0, 2, 3)), expected, atol=4)
            np.testing.assert_allclose(depth.mean(axis=(0, 2, 3)), 255 - expected, atol=4)


def test_the_file_is_the_same_however_many_prepare_it_and_holds_a_clip_in_each_chunk(
    whole: Path, tmp_path: Path
) -> None:
    for workers in (1, 2):
        hdf5.write(tmp_path / f"{workers}.h5", *make(SETTINGS, whole, workers))

    assert (tmp_path / "1.h5").read_bytes() == (tmp_path / "2.h5").read_bytes()
    with DataFile(tmp_path / "1.h5") as file:
        assert file.modalities == ["color", "depth"]
        for split, count in {"train": 4, "val": 2, "test": 4}.items():
            for name, channels in {"color": 3, "depth": 1}.items():
                images = file.images(split, name)
                assert images.shape == (count, channels, *SPACE)
                assert images.chunks == (1, channels, *SPACE)
                assert images.compression is None


def test_without_validation_the_training_clips_stand_in_for_it_under_other_names_and_a_note_says_so(
    whole: Path, tmp_path: Path
) -> None:
    splits, facts = make(SETTINGS.model_copy(update={"validation": 0.0}), whole)

    assert splits["train"].ids == PLACES["train"]
    assert set(splits["train"].ids).isdisjoint(splits["val"].ids)
    assert facts.notes == ("no subject is held out: validation uses the training clips",)
    hdf5.write(tmp_path / "data.h5", splits, facts)
    with DataFile(tmp_path / "data.h5") as file:
        for name in ("color", "depth"):
            np.testing.assert_array_equal(file.images("train", name)[:], file.images("val", name)[:])


def test_a_folder_of_the_user_is_read_and_facts_name_the_form_the_folder_and_the_license(
    own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(own.parent))
    lists = own / LISTS["test"]
    lists.write_text(lists.read_text(encoding="ascii").replace("label:2 ", "label:25 ", 1), encoding="ascii")

    splits, facts = make(SETTINGS.model_copy(update={"folder": "~/own"}), tmp_path / "raw")

    assert splits["test"].ids == PLACES["test"]
    assert [facts.classes[k] for k in splits["test"].labels] == ["class_25", "class_02", "class_25", "class_25"]
    assert not (tmp_path / "raw").exists()
    assert facts.source == f"clips in the form of NVGesture, in {own}"
    assert facts.license.startswith("set by their authors; of NVGesture, ")
    assert (facts.generated, facts.notes) == (False, ())
    (own / GENERATED_MARKER).touch()
    _, facts = make(SETTINGS, own)
    assert (facts.generated, facts.source) == (True, f"generated by this project, in {own}")


@pytest.mark.parametrize(
    ("labels", "names", "expected"),
    [
        ({"2": "0", "25": "130"}, None, ("class_00", "class_130")),
        ({"2": "0", "25": "130"}, ["$x_1$", "wave & <b>"], ("$x_1$", "wave & <b>")),
        ({"2": "wave", "25": "fist"}, None, ("fist", "wave")),
        ({"2": "9", "25": "10"}, ["nine", "ten"], ("nine", "ten")),
    ],
)
def test_labels_of_the_user_have_names_in_the_list_or_in_the_settings(
    labels: dict[str, str], names: list[str] | None, expected: tuple[str, ...], own: Path
) -> None:
    for name in LISTS.values():
        text = (own / name).read_text(encoding="ascii")
        (own / name).write_text(re.sub(r"label:(\d+)", lambda m: f"label:{labels[m[1]]}", text), encoding="utf-8")

    splits, facts = make(Settings.model_validate(SETTINGS.model_dump() | {"classes": names}), own)

    assert facts.classes == expected
    first = 1 if expected[0] == "fist" else 0  # class_02 is the second of the words
    assert [int(place.startswith("class_25")) ^ first for place in splits["test"].ids] == splits["test"].labels.tolist()
    wrong = Settings.model_validate(SETTINGS.model_dump() | {"classes": ["one"]})
    with pytest.raises(GreedymmError, match=r"data\.classes has 1 names, but there are 2 labels"):
        make(wrong, own)


# -- Archives -----------------------------------------------------------------------------------------------


def packed(folder: Path, target: Path, below: str, volume: int = 1000) -> int:
    """Pack a folder into parts; returns how many they are."""
    buffer = io.BytesIO()
    with py7zr.SevenZipFile(buffer, "w") as file:
        for path in sorted(folder.rglob("*")):
            file.write(path, f"{below}{path.relative_to(folder)}")
    content = buffer.getvalue()
    target.mkdir(exist_ok=True)
    starts = range(0, len(content), volume)
    for k, start in enumerate(starts, start=1):
        (target / ARCHIVE).with_suffix(f".{k:03d}").write_bytes(content[start : start + volume])
    return len(starts)


@pytest.mark.parametrize("below", ["", "nvGesture_v1/"], ids=["as it is", "in a folder"])
def test_an_archive_in_parts_is_unpacked_once_and_read(below: str, whole: Path, tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    assert packed(whole, raw, below) > 2

    first, _ = make(SETTINGS, raw)
    (raw / ARCHIVE).with_suffix(".002").write_bytes(b"changed")
    second, _ = make(SETTINGS, raw)

    expected = clips(make(SETTINGS, whole)[0]["test"])
    for splits in (first, second):
        found = clips(splits["test"])
        assert found.keys() == expected.keys()
        for place, row in found.items():
            for x, y in zip(row, expected[place], strict=True):
                np.testing.assert_array_equal(x, y)


# -- Missing ------------------------------------------------------------------------------------------------


def test_where_nothing_is_there_both_lists_are_named_with_what_to_do(tmp_path: Path) -> None:
    raw = tmp_path / "raw" / "nvgesture"

    with pytest.raises(GreedymmError) as raised:
        make(SETTINGS, raw)

    first, *files, why, _, put, again = str(raised.value).splitlines()
    assert first == "2 files are missing:"
    assert [line.strip() for line in files] == [str(raw / name) for name in LISTS.values()]
    assert "license forbids" in why
    assert str(raw) in put
    assert "Run the same command again" in again


def test_a_missing_list_is_named_alone(own: Path) -> None:
    (own / LISTS["test"]).unlink()

    with pytest.raises(GreedymmError, match=f"1 files are missing:\n  {own / LISTS['test']}\n"):
        make(SETTINGS.model_copy(update={"only_present": True}), own)


def test_all_missing_videos_of_both_lists_are_named_at_once_with_what_to_do(own: Path) -> None:
    gone = [
        own / "Video_data" / PLACES["train"][0] / "sk_depth.avi",
        own / "Video_data" / PLACES["train"][3] / "sk_color.avi",
        own / "Video_data" / PLACES["test"][1] / "sk_color.avi",
    ]
    for path in gone:
        path.unlink()

    with pytest.raises(GreedymmError) as raised:
        make(SETTINGS, own)

    first, *files = str(raised.value).splitlines()
    assert first == "3 files are missing:"
    assert [line.strip() for line in files[:3]] == list(map(str, gone))
    assert "data.only_present: true" in files[-1]


def test_files_of_the_user_that_are_missing_have_another_cure_than_those_of_nvgesture(
    own: Path, tmp_path: Path
) -> None:
    settings = SETTINGS.model_copy(update={"folder": str(own)})
    (own / "Video_data" / PLACES["test"][0] / "sk_depth.avi").unlink()
    for name in ("sk_depth.avi", LISTS["test"]):
        (own / LISTS["test"]).unlink() if name == LISTS["test"] else None
        with pytest.raises(GreedymmError, match=rf"1 files are missing:\n.*{name}\n  Put them into {own}") as raised:
            make(settings, tmp_path)
        assert "license" not in str(raised.value)


def test_with_only_present_the_clips_that_exist_are_used_and_a_note_counts_the_others(own: Path) -> None:
    (own / "Video_data" / PLACES["test"][0] / "sk_depth.avi").unlink()
    shutil.rmtree(own / "Video_data" / PLACES["train"][1])
    only = SETTINGS.model_copy(update={"only_present": True})

    splits, facts = make(only, own)

    assert sorted(splits["train"].ids + splits["val"].ids) == sorted(set(PLACES["train"]) - {PLACES["train"][1]})
    assert splits["test"].ids == PLACES["test"][1:]
    assert facts.notes == ("only 8 of the 10 listed clips exist; 2 are excluded",)
    for home in (own / "Video_data").glob("class_02/*"):
        shutil.rmtree(home)
    splits, facts = make(only, own)
    assert facts.classes == ("class_25",)
    assert all(set(split.labels) == {0} for split in splits.values())
    _, facts = make(only.model_copy(update={"classes": ("wave", "fist")}), own)  # names of all that are listed
    assert facts.classes == ("fist",)


def test_with_only_present_and_no_test_clip_the_training_clips_are_tested_on_and_a_note_says_so(own: Path) -> None:
    for place in PLACES["test"]:
        shutil.rmtree(own / "Video_data" / place)

    splits, facts = make(SETTINGS.model_copy(update={"only_present": True}), own)

    assert len(splits["test"].ids) == len(PLACES["train"])
    assert set(splits["test"].ids).isdisjoint(splits["train"].ids + splits["val"].ids)
    assert "no clip of the test list exists: test uses the training clips" in facts.notes


def test_with_only_present_it_is_an_error_where_no_training_clip_is_there(own: Path) -> None:
    for place in PLACES["train"]:
        (own / "Video_data" / place / "sk_color.avi").unlink()

    with pytest.raises(GreedymmError, match=r"6 files are missing:"):
        make(SETTINGS.model_copy(update={"only_present": True}), own)


# -- Broken -------------------------------------------------------------------------------------------------


def spoil(folder: Path) -> dict[str, str]:
    """Place of each broken clip -> what must be said of it."""
    cut, text, short = PLACES["train"][0], PLACES["train"][4], PLACES["test"][1]
    path = folder / "Video_data" / cut / "sk_color.avi"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 4])
    (folder / "Video_data" / text / "sk_depth.avi").write_bytes(b"<html>")
    lines = [line(place, (2, 13) if place == short else WINDOW) for place in PLACES["test"]]
    (folder / LISTS["test"]).write_text("".join(lines), encoding="ascii")
    return {
        cut: "sk_color.avi: cannot be decoded",
        text: "sk_depth.avi: cannot be decoded",
        short: "sk_color.avi: it has 12 frames, and the list asks for 13",
    }


def test_all_broken_clips_are_said_at_once_with_their_reasons_and_no_file_is_written(own: Path, tmp_path: Path) -> None:
    broken = spoil(own)

    with pytest.raises(GreedymmError) as raised:
        hdf5.write(tmp_path / "out" / "data.h5", *make(SETTINGS, own))

    _, *lines, remedy = str(raised.value).splitlines()
    said = dict(line.strip().split(": ", 1) for line in lines)
    assert said.keys() == broken.keys()
    assert all(said[place].startswith(reason) for place, reason in broken.items())
    assert "data.skip_broken" in remedy
    assert list((tmp_path / "out").iterdir()) == []


def test_broken_clips_are_left_out_with_a_note_where_the_settings_allow_it(own: Path, tmp_path: Path) -> None:
    broken = spoil(own)
    settings = SETTINGS.model_copy(update={"skip_broken": True, "validation": 0.0})

    hdf5.write(tmp_path / "data.h5", *make(settings, own))

    with DataFile(tmp_path / "data.h5") as file:
        assert sorted(file.sample_table("train")["id"]) == sorted(set(PLACES["train"]) - broken.keys())
        assert sorted(file.sample_table("test")["id"]) == sorted(set(PLACES["test"]) - broken.keys())
        assert all(place in file.facts.notes[-1] for place in broken)


def test_a_clip_that_is_listed_twice_is_refused_by_name(own: Path, tmp_path: Path) -> None:
    relisted(own, "train", *PLACES["train"], PLACES["test"][0])

    with pytest.raises(GreedymmError, match=f"the lists have {PLACES['test'][0]} frames .* twice"):
        hdf5.write(tmp_path / "data.h5", *make(SETTINGS, own))
