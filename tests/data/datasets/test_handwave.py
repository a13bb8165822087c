"""Handwave: what is filmed, in which order of files, and what is read of it. How the hands look is tested elsewhere."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from greedymm.data import hdf5
from greedymm.data.datasets import handwave, nvgesture
from greedymm.data.datasets.handwave import FRAMES, HEIGHT, WIDTH, WINDOW, Settings, make, window
from greedymm.data.datasets.nvgesture import LISTS
from greedymm.data.hdf5 import DataFile
from greedymm.data.samples import LazySamples, Samples
from greedymm.data.sources.lists import read_list
from greedymm.data.sources.video import read_video
from greedymm.data.synthetic import hands

SETTINGS = Settings(size=16, frames=4, train=3, test=1, classes=2, takes=2)
SPACE = (4, 16, 21)
DURING = (12, 20)


class Filming:
    """Stands in for the cameras: small noise whose brightness is drawn; notes what was filmed."""

    def __init__(self) -> None:
        self.gestures: list[str] = []
        self.subjects: list[Any] = []

    def __call__(self, gesture: str, subject: Any, rng: np.random.Generator, *_: int) -> SimpleNamespace:
        self.gestures.append(gesture)
        self.subjects.append(subject)
        low = rng.integers(20, 200)
        depth = (low + rng.integers(40, size=(FRAMES, 24, 32))).astype(np.uint8)
        color = np.stack([depth, depth, 255 - depth], axis=3)
        return SimpleNamespace(color=color, depth=depth, motion=SimpleNamespace(during=DURING))


@pytest.fixture
def filming(monkeypatch: pytest.MonkeyPatch) -> Filming:
    filming = Filming()
    monkeypatch.setattr(handwave, "filmed", filming)
    return filming


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def subjects(split: Samples | LazySamples) -> set[str]:
    return {name.split("/")[1].split("_")[0] for name in split.ids}


# -- Clips --------------------------------------------------------------------------------------------------


def test_a_clip_is_filmed_and_read_in_color_and_depth(tmp_path: Path) -> None:
    settings = Settings(train=2, test=1, classes=2, takes=1, validation=0.5)

    hdf5.write(tmp_path / "data.h5", *make(settings, tmp_path / "raw"))

    with DataFile(tmp_path / "data.h5") as file:
        assert file.facts.classes == hands.GESTURES[:2]
        for split in ("train", "val", "test"):
            color, depth = (file.images(split, name)[:] for name in handwave.MODALITIES)
            assert color.shape == (2, 3, 8, 48, 64)
            assert depth.shape == (2, 1, 8, 48, 64)
            for clip in (*color, *depth):
                assert clip.std() > 5
                assert np.abs(np.diff(clip.astype(int), axis=1)).max() > 20  # something moves
    shape = read_video(tmp_path / "raw/Video_data/class_01/subject0_r0/sk_color.avi", [31], 3, (HEIGHT, WIDTH)).shape
    assert shape == (3, 1, HEIGHT, WIDTH)


@pytest.mark.usefixtures("filming")
def test_each_subject_shows_each_gesture_as_often_and_is_in_one_split_alone(tmp_path: Path) -> None:
    splits, facts = make(SETTINGS, tmp_path)

    assert facts.classes == hands.GESTURES[:2]
    assert facts.generated
    assert "generated" in facts.source
    assert facts.notes == ()
    counts = {name: np.bincount(split.labels).tolist() for name, split in splits.items()}
    assert counts == {"train": [4, 4], "val": [2, 2], "test": [2, 2]}
    those = [subjects(split) for split in splits.values()]
    assert sorted(name for part in those for name in part) == [f"subject{k}" for k in range(4)]
    assert those[2] == {"subject3"}
    for split in splits.values():
        assert isinstance(split, LazySamples)
        assert split.shapes == {"color": (3, *SPACE), "depth": (1, *SPACE)}
        assert [f"class_{label + 1:02d}" for label in split.labels] == [name[:8] for name in split.ids]


def test_the_label_is_that_of_the_gesture_that_was_filmed_by_one_person_a_subject(
    filming: Filming, tmp_path: Path
) -> None:
    make(SETTINGS, tmp_path)

    listed = [clip for name in LISTS.values() for clip in read_list(tmp_path / name, "sk_color")]
    assert [hands.GESTURES[int(clip.label) - 1] for clip in listed] == filming.gestures
    persons: dict[int, list[str]] = {}
    for clip, person in zip(listed, filming.subjects, strict=True):
        persons.setdefault(clip.subject, []).append(repr(person))
    assert all(len(set(same)) == 1 for same in persons.values())
    assert len({same[0] for same in persons.values()}) == 4


@pytest.mark.usefixtures("filming")
def test_the_files_depend_on_the_settings_alone_and_not_on_what_stood_there(tmp_path: Path) -> None:
    one, two, other = (tmp_path / name for name in ("one", "two", "other"))
    make(SETTINGS.model_copy(update={"takes": 3, "seed": 1}), two)
    for folder in (one, two):
        make(SETTINGS, folder)
    make(SETTINGS.model_copy(update={"seed": 1}), other)

    assert contents(one) == contents(two)
    assert contents(one).keys() == contents(other).keys()
    assert contents(one) != contents(other)


@pytest.mark.usefixtures("filming")
def test_a_further_take_or_subject_changes_none_of_the_others(tmp_path: Path) -> None:
    fewer, more = tmp_path / "fewer", tmp_path / "more"
    make(SETTINGS, fewer)
    make(SETTINGS.model_copy(update={"takes": 3, "test": 2}), more)

    before, after = contents(fewer / "Video_data"), contents(more / "Video_data")
    assert before.items() <= after.items()
    assert len(after) == len(set(after.values())) == 2 * 5 * 3 * 2


@pytest.mark.usefixtures("filming")
def test_what_is_filmed_is_of_nvgestures_form_and_read_by_its_code(tmp_path: Path) -> None:
    expected, _ = make(SETTINGS, tmp_path)
    settings = nvgesture.Settings(folder=str(tmp_path), **SETTINGS.model_dump(include={"size", "frames", "validation"}))

    splits, _ = nvgesture.make(settings, tmp_path / "nowhere")

    for name, split in splits.items():
        assert isinstance(split, LazySamples)
        assert split.ids == expected[name].ids
        np.testing.assert_array_equal(split.labels, expected[name].labels)


# -- Windows ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("during", "expected"), [((8, 24), (8, 24)), ((12, 22), (9, 25)), ((0, 10), (0, 16)), ((26, 32), (16, 32))]
)
def test_a_window_has_the_gesture_in_its_middle_as_far_as_the_video_goes(
    during: tuple[int, int], expected: tuple[int, int]
) -> None:
    assert window(during) == expected


@pytest.mark.usefixtures("filming")
def test_the_lists_name_the_window_around_the_gesture_and_some_color_windows_are_a_frame_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: dict[float, list[npt.NDArray[np.int64]]] = {}
    for late in (0.0, 1.0):
        monkeypatch.setattr(handwave, "LATE", late)
        make(SETTINGS, tmp_path)
        lines = (tmp_path / LISTS["train"]).read_text(encoding="ascii").splitlines()
        assert all(line.endswith(" ") for line in lines)  # as those of the official lists
        clips = read_list(tmp_path / LISTS["train"], "sk_color")
        found[late] = [np.array(clip.window) for clip in clips]

    start, end = window(DURING)
    assert end - start == WINDOW
    assert all((w == (start, end)).all() for w in found[0.0])
    assert all((w == (start + 1, end)).all() for w in found[1.0])
