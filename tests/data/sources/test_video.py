"""Videos, as they were written here, whole and broken."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest

from greedymm.data.samples import UnreadableError
from greedymm.data.sources import video
from greedymm.data.sources.video import read_video, write_video

Bytes = npt.NDArray[np.uint8]

FRAMES, HEIGHT, WIDTH = 12, 24, 32
SIZE = (HEIGHT, WIDTH)
ALL = range(FRAMES)
CLOSE = 6  # what coding may change, in values of 0 to 255


def film() -> Bytes:
    """Colored halves that get brighter, and a square that moves: (T, H, W, 3)."""
    frames = np.empty((FRAMES, HEIGHT, WIDTH, 3), dtype=np.uint8)
    for t, frame in enumerate(frames):
        frame[:, : WIDTH // 2], frame[:, WIDTH // 2 :] = (20 + 15 * t, 60, 120), (60, 20 + 15 * t, 30)
        frame[8:16, 2 * t : 2 * t + 8] = 230
    return frames


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("videos") / "sk_color.avi"
    write_video(path, film())
    return path


def difference(found: Bytes, expected: Bytes) -> float:
    assert found.shape == expected.shape
    return float(np.abs(found.astype(int) - expected).mean())


# -- Whole --------------------------------------------------------------------------------------------------


def test_what_is_read_is_what_was_written_frame_by_frame(path: Path) -> None:
    found = read_video(path, ALL, 3, SIZE)

    assert found.dtype == np.uint8
    for t, frame in enumerate(film()):
        assert difference(found[:, t], frame.transpose(2, 0, 1)) < CLOSE


def test_frames_are_chosen_by_index_and_may_repeat(path: Path) -> None:
    whole = read_video(path, ALL, 3, SIZE)
    for chosen in ([0], [11], [3, 4, 5], [2, 2, 2], [0, 0, 1, 1, 11, 11]):
        np.testing.assert_array_equal(read_video(path, chosen, 3, SIZE), whole[:, chosen], strict=True)


SLOTS = [0, 1, 2, 6, 7, 8, 9, 11]  # of twelve, in which a camera stored a frame
SHOWN = [0, 1, 2, 2, 2, 2, 6, 7, 8, 9, 9, 11]
CODING = {
    "as here": {"preset": "ultrafast"},
    "frames that wait for later ones": {"bf": "2", "x264-params": "scenecut=0"},
}


@pytest.mark.parametrize("coding", CODING)
@pytest.mark.parametrize("container", ["avi", "mp4", "matroska"])
def test_a_slot_of_a_dropped_frame_has_the_frame_before_so_that_later_ones_keep_their_times(
    coding: str, container: str, tmp_path: Path
) -> None:
    path = tmp_path / "sk_color.avi"
    with av.open(str(path), "w", format=container) as file:
        stream = file.add_stream("libx264", rate=30, options=CODING[coding] | {"crf": "10"})
        stream.height, stream.width, stream.pix_fmt = HEIGHT, WIDTH, "yuv420p"
        for slot in SLOTS:
            frame = av.VideoFrame.from_ndarray(np.full((HEIGHT, WIDTH, 3), 20 * slot, np.uint8), format="rgb24")
            frame.pts, frame.time_base = slot, Fraction(1, 30)
            file.mux(stream.encode(frame))
        file.mux(stream.encode())
    chosen = range(10) if coding != "as here" else ALL  # in AVI, the last frames that waited have no times

    found = read_video(path, chosen, 1, SIZE).mean(axis=(0, 2, 3))

    assert (found / 20).round().astype(int).tolist() == [SHOWN[slot] for slot in chosen]


def test_gray_is_written_as_three_equal_channels_and_read_as_one(tmp_path: Path) -> None:
    gray = film()[..., 0]
    write_video(tmp_path / "sk_depth.avi", gray)

    one, three = (read_video(tmp_path / "sk_depth.avi", ALL, channels, SIZE) for channels in (1, 3))

    assert one.shape == (1, FRAMES, *SIZE)
    assert difference(one[0], gray) < CLOSE
    assert difference(three, one.repeat(3, axis=0)) < 2


def test_the_same_frames_give_the_same_bytes(path: Path, tmp_path: Path) -> None:
    for _ in range(10):  # with mbtree, some of them differ
        write_video(tmp_path / "again.avi", film())

        assert (tmp_path / "again.avi").read_bytes() == path.read_bytes()


@pytest.mark.parametrize("size", [(12, 16), (6, 32), (24, 8)], ids=str)
def test_a_smaller_frame_is_the_mean_of_the_pixels_below_each_of_its_own(size: tuple[int, int], path: Path) -> None:
    whole, (height, width) = read_video(path, ALL, 3, SIZE), size
    blocks = whole.reshape(3, FRAMES, height, HEIGHT // height, width, WIDTH // width)

    assert difference(read_video(path, ALL, 3, size), blocks.mean(axis=(3, 5)).round().astype(np.uint8)) < CLOSE


def test_frames_may_become_larger_and_of_an_odd_size(path: Path) -> None:
    patch = read_video(path, [0, 11], 3, (37, 49))[:, 1, 2:6, 2:20]

    assert difference(patch, np.full((18, 4, 3), (185, 60, 120), dtype=np.uint8).T) < 12


# -- Broken -------------------------------------------------------------------------------------------------


def test_a_window_past_the_end_is_named_with_both_lengths(path: Path) -> None:
    for chosen in ([12], [0, 12]):
        with pytest.raises(UnreadableError, match=r"sk_color\.avi: it has 12 frames, .* asks for 13$"):
            read_video(path, chosen, 3, SIZE)


def test_files_that_are_not_videos_are_named(tmp_path: Path) -> None:
    (tmp_path / "folder.avi").mkdir()
    for name, content in {"empty.avi": b"", "page.avi": b"<html>Moved</html>", "zeros.avi": bytes(5000)}.items():
        (tmp_path / name).write_bytes(content)

    for name in ("empty.avi", "page.avi", "zeros.avi", "folder.avi", "missing.avi"):
        with pytest.raises(UnreadableError, match=rf"{name}: cannot be decoded after 0 frames"):
            read_video(tmp_path / name, [0], 1, SIZE)


def test_no_beginning_of_a_video_passes_for_the_whole(path: Path, tmp_path: Path) -> None:
    content, whole, cut = path.read_bytes(), read_video(path, ALL, 3, SIZE), tmp_path / "cut.avi"
    index = content.index(b"idx1")  # behind the last frame: without it the video is whole

    for length in [*range(0, index, 97), *range(index - 50, index - 1)]:
        cut.write_bytes(content[:length])
        with pytest.raises(UnreadableError, match=r"^cut\.avi: (it has|cannot be decoded)"):
            read_video(cut, ALL, 3, SIZE)

    cut.write_bytes(content[:index])
    np.testing.assert_array_equal(read_video(cut, ALL, 3, SIZE), whole)


def test_of_a_truncated_video_what_stands_before_the_cut_can_be_read(path: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.avi"
    cut.write_bytes(path.read_bytes()[: path.read_bytes().index(b"idx1") - 20])

    np.testing.assert_array_equal(read_video(cut, ALL[:9], 3, SIZE), read_video(path, ALL[:9], 3, SIZE))
    with pytest.raises(UnreadableError, match=r"cut\.avi"):
        read_video(cut, ALL, 3, SIZE)


def test_absurdly_large_frames_are_refused_before_one_is_decoded(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(video, "MAX_PIXELS", 100)

    with pytest.raises(UnreadableError, match=r"after 0 frames \(its frames have \d+ x \d+ pixels, more than"):
        read_video(path, [0], 3, SIZE)
