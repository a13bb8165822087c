"""Lists in NVGesture's form."""

import re
from pathlib import Path

import av
import numpy as np
import pytest

from greedymm.data import hdf5
from greedymm.data.datasets.nvgesture import Settings, missing_files, read_frames, split_by_subject
from greedymm.data.samples import DatasetInfo, UnreadableError
from greedymm.data.sources.lists import Clip, distinguish, read_list
from greedymm.data.sources.video import write_video
from greedymm.data.subjects import hold_out_subjects
from greedymm.errors import GreedymmError

LINE = "path:./Video_data/class_01/subject3_r0 depth:sk_depth:146:226 color:sk_color:146:226 label:1"
SIZE = (8, 10)


def listed(folder: Path, *lines: str) -> Path:
    path = folder / "train.lst"
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def one(folder: Path, line: str, color: str = "sk_color") -> Clip:
    (clip,) = read_list(listed(folder, line), color)
    return clip


# -- Lines --------------------------------------------------------------------------------------------------


def test_a_line_names_two_videos_below_the_folder_of_the_list_a_window_a_label_and_a_subject(tmp_path: Path) -> None:
    home = tmp_path / "Video_data" / "class_01" / "subject3_r0"
    expected = Clip("class_01/subject3_r0", 24, 3, home / "sk_depth.avi", home / "sk_color.avi", (146, 226))
    line = LINE.replace("label:1", "label:24")  # which counts, not the folder
    more = line.replace(" label", " duo_left:duo_left:146:226 duo_disparity:duo_disparity:1:2 label")

    for same in (line, f"{line} ", f"{line}\r", f"  {line}\t", " ".join(reversed(line.split())), more):
        assert one(tmp_path, same) == expected
    for encoding in ("utf-8-sig", "utf-16"):  # of Windows
        (tmp_path / "train.lst").write_text(line, encoding=encoding)
        assert read_list(tmp_path / "train.lst", "sk_color") == [expected]
    assert one(tmp_path, line, color="sk_wrapped") == expected._replace(color=home / "sk_wrapped.avi")


def test_if_the_windows_differ_their_common_frames_are_used(tmp_path: Path) -> None:
    for depth, color, window in (("10:90", "11:91", (11, 90)), ("11:91", "10:90", (11, 90)), ("0:1", "0:2", (0, 1))):
        line = LINE.replace("sk_depth:146:226", f"sk_depth:{depth}").replace("sk_color:146:226", f"sk_color:{color}")
        assert one(tmp_path, line).window == window


def test_clips_keep_the_order_of_the_lines_and_empty_lines_are_ignored(tmp_path: Path) -> None:
    lines = ["", *(LINE.replace("subject3", f"subject{k}") for k in (20, 1, 11)), "   ", ""]

    assert [clip.subject for clip in read_list(listed(tmp_path, *lines), "sk_color")] == [20, 1, 11]


FAULTY = {
    "no path": LINE.replace("path:", "paths:"),
    "no depth": LINE.replace("depth:sk_depth", "sk_depth"),
    "no color": LINE.replace("color:sk_color", "sk_color"),
    "no label": LINE.removesuffix("label:1"),
    "a label of two words": LINE.replace("label:1", "label:swipe:left"),
    "a negative label": LINE.replace("label:1", "label:-1"),
    "a label that is not whole": LINE.replace("label:1", "label:1.5"),
    "a label that begins with a digit": LINE.replace("label:1", "label:2nd"),
    "a label with a control character": LINE.replace("label:1", "label:swipe\x07"),
    "a label without a number": LINE.replace("label:1", "label:"),
    "a window in words": LINE.replace("146", "start"),
    "a window without an end": LINE.replace("146:226", "146"),
    "a window of three numbers": LINE.replace("146:226", "146:180:226"),
    "a window that ends before it begins": LINE.replace("146:226", "226:146"),
    "an empty window": LINE.replace("146:226", "146:146"),
    "a negative window": LINE.replace("146:226", "-1:226"),
    "windows apart": LINE.replace("sk_depth:146:226", "sk_depth:0:146"),
    "no subject": LINE.replace("subject3_r0", "take3"),
    "another list": "./Video_data/class_01/subject3_r0/sk_depth.avi 1",
}


def test_a_line_of_another_form_is_shown_with_its_number_and_list(tmp_path: Path) -> None:
    for line in FAULTY.values():
        path = listed(tmp_path, LINE, "", line, LINE)
        with pytest.raises(GreedymmError, match=rf"line 3 of {path} is not in NVGesture's form") as raised:
            read_list(path, "sk_color")
        assert str(raised.value).splitlines()[-1].strip() == line.strip()


def test_labels_are_any_numbers_or_words(tmp_path: Path) -> None:
    labels = {
        "0": 0,
        "007": 7,
        "26": 26,
        "swipe": "swipe",
        "links-$x_1$<b>": "links-$x_1$<b>",
        "Stühle": "Stühle",
        "swipe left": "swipe left",
    }
    for text, label in labels.items():
        assert one(tmp_path, LINE.replace("label:1", f"label:{text}")).label == label


def test_a_folder_may_have_spaces_and_the_last_subject_of_its_path_counts(tmp_path: Path) -> None:
    clip = one(tmp_path, LINE.replace("class_01/", "subject1 study/my gesture/"))

    assert (clip.id, clip.subject) == ("subject1 study/my gesture/subject3_r0", 3)


def test_several_clips_of_one_video_have_ids_of_their_own_and_one_clip_twice_is_refused(tmp_path: Path) -> None:
    lines = [LINE, LINE.replace(":146:226", ":300:380"), LINE.replace("subject3", "subject4")]
    clips = read_list(listed(tmp_path, *lines), "sk_color")

    found, other = distinguish([clips[:1], clips[1:]])

    name = "class_01/subject3_r0"
    assert [clip.id for clip in found + other] == [
        f"{name} frames 146-226",
        f"{name} frames 300-380",
        "class_01/subject4_r0",
    ]
    with pytest.raises(GreedymmError, match=f"the lists have {name} frames 146-226 twice"):
        distinguish([clips, clips[:1]])


def test_an_empty_list_and_one_that_is_not_text_are_named(tmp_path: Path) -> None:
    path = tmp_path / "train.lst"
    for content in (b"", b"\n  \n", b"\xff\xfe\0\0", b"PK\x03\x04\xe9\xe9"):
        path.write_bytes(content)
        with pytest.raises(GreedymmError, match=r"train\.lst is" if content.strip() else r"Replace it by the official"):
            read_list(path, "sk_color")


# -- Missing files ------------------------------------------------------------------------------------------


def test_both_videos_of_a_clip_must_exist(tmp_path: Path) -> None:
    clips = read_list(listed(tmp_path, *(LINE.replace("subject3", f"subject{k}") for k in range(4))), "sk_color")
    for path in (clips[0].depth, clips[0].color, clips[1].depth, clips[2].color):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()

    assert missing_files(clips) == [clips[1].color, clips[2].depth, clips[3].depth, clips[3].color]


# -- Frames -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Clip:
    """Videos of which the one gets brighter, 20 a frame, and the other darker."""
    folder = tmp_path_factory.mktemp("clip")
    brighter = (np.arange(12, dtype=np.uint8) * 20)[:, None, None] + np.zeros((1, 24, 32), dtype=np.uint8)
    clip = Clip("class_01/subject3_r0", 1, 3, folder / "sk_depth.avi", folder / "sk_color.avi", (0, 12))
    write_video(clip.color, brighter)
    write_video(clip.depth, 240 - brighter)
    return clip


def numbers(clip: Clip, count: int) -> list[int]:
    """Numbers of the frames that are read, the same of both videos."""
    found = read_frames(clip, count, SIZE)
    assert not isinstance(found, UnreadableError)
    color, depth = found
    assert (color.shape, depth.shape) == ((3, count, *SIZE), (1, count, *SIZE))
    assert color.dtype == depth.dtype == np.uint8
    in_color, in_depth = ((x.mean(axis=(0, 2, 3)) / 20).round().astype(int).tolist() for x in (color, depth))
    assert in_color == [12 - t for t in in_depth]
    return list(map(int, in_color))


def test_frames_are_evenly_over_the_window_at_the_same_times_in_both_videos(clip: Clip) -> None:
    for window, count, expected in (
        ((0, 12), 12, list(range(12))),
        ((0, 12), 2, [0, 11]),
        ((2, 9), 4, [2, 4, 6, 8]),
        ((2, 9), 1, [2]),
        ((4, 6), 4, [4, 4, 5, 5]),
    ):
        assert numbers(clip._replace(window=window), count) == expected


def test_videos_of_different_rates_are_refused(clip: Clip, tmp_path: Path) -> None:
    fast = tmp_path / "sk_color.avi"
    write_video(fast, np.zeros((12, 24, 32), dtype=np.uint8), rate=60)

    found = read_frames(clip._replace(color=fast), 3, SIZE)

    assert str(found) == "color has 60 frames per second, depth 30; convert one of them"


def test_depth_of_more_than_8_bits_is_refused(clip: Clip, tmp_path: Path) -> None:
    path = tmp_path / "sk_depth.avi"
    with av.open(str(path), "w") as file:
        stream = file.add_stream("ffv1", rate=30)
        stream.width, stream.height, stream.pix_fmt = 32, 24, "gray16le"
        for k in range(12):
            file.mux(stream.encode(av.VideoFrame.from_ndarray(np.full((24, 32), 300 * k, np.uint16), "gray16le")))
        file.mux(stream.encode())

    assert "its pixels are gray16le; scale them to 8 bits" in str(read_frames(clip._replace(depth=path), 3, SIZE))


def test_a_window_past_the_end_of_a_video_is_broken_with_the_reason(clip: Clip) -> None:
    found = read_frames(clip._replace(window=(0, 13)), 3, SIZE)

    assert isinstance(found, UnreadableError)
    assert str(found) == "sk_color.avi: it has 12 frames, and the list asks for 13"


@pytest.mark.parametrize("which", ["depth", "color"])
def test_a_video_that_cannot_be_decoded_is_broken_with_its_name(which: str, clip: Clip, tmp_path: Path) -> None:
    bad = tmp_path / f"sk_{which}.avi"
    bad.write_bytes(getattr(clip, which).read_bytes()[:3000][::-1])

    found = read_frames(clip._replace(depth=bad) if which == "depth" else clip._replace(color=bad), 3, SIZE)

    assert isinstance(found, UnreadableError)
    assert str(found).startswith(f"sk_{which}.avi: cannot be decoded after 0 frames")


# -- Subjects held out --------------------------------------------------------------------------------------


def clips_of(counts: dict[int, int], classes: int = 2) -> list[Clip]:
    """So many clips of each class and subject."""
    nowhere = Path("nowhere")
    return [
        Clip(f"{label}/subject{s}_r{k}", label, s, nowhere, nowhere, (0, 1))
        for s, count in counts.items()
        for label in range(1, classes + 1)
        for k in range(count)
    ]


def test_subjects_are_held_out_until_they_have_the_share_of_the_clips() -> None:
    clips = clips_of(dict.fromkeys(range(10, 20), 3))
    for share, count in ((0.01, 1), (0.1, 1), (0.11, 2), (0.2, 2), (0.5, 5), (0.9, 9)):
        held = hold_out_subjects(clips, share, np.random.default_rng(0))
        assert len(held) == count
        assert held < set(range(10, 20))

    uneven = clips_of({1: 1, 2: 1, 3: 8, 4: 10})
    for seed in range(10):
        held = hold_out_subjects(uneven, 0.3, np.random.default_rng(seed))
        assert 0.3 * len(uneven) <= sum(clip.subject in held for clip in uneven) < len(uneven)


def test_held_out_subjects_depend_on_the_seed_and_not_on_the_order_of_the_list() -> None:
    clips = clips_of(dict.fromkeys(range(20), 2))
    held = [hold_out_subjects(c, 0.2, np.random.default_rng(s)) for s in range(5) for c in (clips, clips[::-1])]

    assert held[::2] == held[1::2]
    assert len({frozenset(h) for h in held}) > 2


def held_out(clips: list[Clip], share: float, seed: int) -> tuple[list[Clip], list[Clip]]:
    held = hold_out_subjects(clips, share, np.random.default_rng(seed))
    train, val = ([clip for clip in clips if (clip.subject in held) == part] for part in (False, True))
    return train, val


def labels_of(clips: list[Clip]) -> set[int | str]:
    return {clip.label for clip in clips}


# Classes -> subjects who perform them.
FEW_SUBJECTS: dict[str, dict[int | str, tuple[int, ...]]] = {
    "two subjects": {1: (1, 2), 2: (1, 2)},
    "a class of one subject": {1: (1, 2, 3, 4), 2: (4,)},
    "each subject has one half of the classes": {1: (1, 2), 2: (3, 4), 3: (1, 2), 4: (3, 4)},
    "a class of few subjects": {1: (1, 2, 3, 4, 5, 6, 7, 8), 2: (7, 8)},
    "a chain": {1: (1, 2), 2: (2, 3), 3: (3, 4), 4: (4, 5), 5: (5, 6), 6: (6, 7)},
}


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("kind", FEW_SUBJECTS)
def test_every_class_keeps_training_and_where_it_has_several_subjects_validation_clips(kind: str, seed: int) -> None:
    subjects = FEW_SUBJECTS[kind]
    everybody = clips_of(dict.fromkeys(range(1, 9), 2), classes=6)
    clips = [clip for clip in everybody if clip.subject in subjects.get(clip.label, ())]

    train, val = held_out(clips, 0.2, seed)

    assert labels_of(train) == set(subjects)
    assert labels_of(val) == {label for label, those in subjects.items() if len(those) > 1}


@pytest.mark.parametrize(
    ("clips", "share", "notes"),
    [
        (clips_of({1: 2}), 0.2, ("no subject is held out .*a class without training clips.*: validation uses the",)),
        (clips_of({1: 2, 2: 2}), 0.9, ("50% of the clips are held out, not 90%: more would leave",)),
        (clips_of({1: 2, 2: 2}), 0.5, ()),
    ],
    ids=["one subject", "a large share", "enough"],
)
def test_what_cannot_be_held_out_is_said_in_a_note(clips: list[Clip], share: float, notes: tuple[str, ...]) -> None:
    splits, found = split_by_subject(clips, clips_of({3: 1}), Settings(validation=share), 1)

    assert len(found) == len(notes)
    assert all(re.search(note, text) for note, text in zip(notes, found, strict=True))
    assert set(splits["train"].labels) == set(splits["val"].labels) == {0, 1}


def test_a_class_of_the_test_list_alone_is_named(tmp_path: Path) -> None:
    facts = DatasetInfo(("wave", "fist", "point"), f"clips in {tmp_path}", "CC0", generated=False)

    splits, _ = split_by_subject(clips_of({1: 2, 2: 2}), clips_of({3: 1}, classes=3), Settings(), 1)
    with pytest.raises(GreedymmError, match="split 'train' has no sample of: point"):
        hdf5.write(tmp_path / "data.h5", splits, facts)
