"""Videos, as they were written here, whole and broken."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from greedymm.data.samples import UnreadableError
from greedymm.data.sources.video import read, write

Bytes = npt.NDArray[np.uint8]

FRAMES, HEIGHT, WIDTH = 12, 24, 32
SIZE = (HEIGHT, WIDTH)
ALL = range(FRAMES)
CLOSE = 6  # what coding may change, in values of 0 to 255


def film() -> Bytes:
    """Coloured halves that get brighter, and a square that moves: (T, H, W, 3)."""
    frames = np.empty((FRAMES, HEIGHT, WIDTH, 3), dtype=np.uint8)
    for t, frame in enumerate(frames):
        frame[:, : WIDTH // 2], frame[:, WIDTH // 2 :] = (20 + 15 * t, 60, 120), (60, 20 + 15 * t, 30)
        frame[8:16, 2 * t : 2 * t + 8] = 230
    return frames


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("videos") / "sk_color.avi"
    write(path, film())
    return path


def difference(found: Bytes, expected: Bytes) -> float:
    assert found.shape == expected.shape
    return float(np.abs(found.astype(int) - expected).mean())


# -- Whole --------------------------------------------------------------------------------------------------


def test_what_is_read_is_what_was_written_frame_by_frame(path: Path) -> None:
    found = read(path, ALL, 3, SIZE)

    assert found.dtype == np.uint8
    for t, frame in enumerate(film()):
        assert difference(found[:, t], frame.transpose(2, 0, 1)) < CLOSE


@pytest.mark.parametrize("chosen", [[0], [11], [3, 4, 5], [0, 5, 11], [2, 2, 2], [0, 0, 1, 1, 11, 11]], ids=str)
def test_frames_are_chosen_by_their_numbers_of_which_one_may_come_twice(chosen: list[int], path: Path) -> None:
    np.testing.assert_array_equal(read(path, chosen, 3, SIZE), read(path, ALL, 3, SIZE)[:, chosen], strict=True)


def test_gray_is_written_as_three_equal_channels_and_read_as_one(tmp_path: Path) -> None:
    gray = film()[..., 0]
    write(tmp_path / "sk_depth.avi", gray)

    one, three = (read(tmp_path / "sk_depth.avi", ALL, channels, SIZE) for channels in (1, 3))

    assert one.shape == (1, FRAMES, *SIZE)
    assert difference(one[0], gray) < CLOSE
    assert difference(three, one.repeat(3, axis=0)) < 2


def test_the_same_frames_give_the_same_bytes(path: Path, tmp_path: Path) -> None:
    for _ in range(30):  # where the encoder looks at what happens to be in memory, some of them differ
        write(tmp_path / "again.avi", film())

        assert (tmp_path / "again.avi").read_bytes() == path.read_bytes()


def test_frames_become_smaller_with_antialiasing(tmp_path: Path) -> None:
    lines = np.zeros((3, HEIGHT, WIDTH), dtype=np.uint8)
    lines[:, :, ::2] = 255  # every second column: taken one in four, all would be black or all white
    write(tmp_path / "lines.avi", lines)

    found = read(tmp_path / "lines.avi", range(3), 1, (HEIGHT // 4, WIDTH // 4)).astype(int)

    assert found.shape == (1, 3, HEIGHT // 4, WIDTH // 4)
    assert np.abs(found - 127).max() < 30


@pytest.mark.parametrize("size", [(12, 16), (8, 8), (6, 32), (24, 8)], ids=str)
def test_a_smaller_frame_is_the_mean_of_the_pixels_below_each_of_its_own(size: tuple[int, int], path: Path) -> None:
    whole, (height, width) = read(path, ALL, 3, SIZE), size
    blocks = whole.reshape(3, FRAMES, height, HEIGHT // height, width, WIDTH // width)

    assert difference(read(path, ALL, 3, size), blocks.mean(axis=(3, 5)).round().astype(np.uint8)) < CLOSE


def test_frames_may_become_larger_and_of_an_odd_size(path: Path) -> None:
    found = read(path, [0, 11], 3, (37, 49))

    assert found.shape == (3, 2, 37, 49)
    assert (
        difference(found[:, 1, 2:6, 2:20], np.array([185, 60, 120], np.uint8)[:, None, None].repeat(4, 1).repeat(18, 2))
        < 12
    )


# -- Broken -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("chosen", [[12], [0, 12], [40]], ids=str)
def test_a_window_past_the_end_is_named_with_both_lengths(chosen: list[int], path: Path) -> None:
    with pytest.raises(UnreadableError, match=rf"sk_color\.avi: it has 12 frames, .* up to {chosen[-1] + 1}$"):
        read(path, chosen, 3, SIZE)


NONE = {"empty": b"", "an error page": b"<html><body>Moved</body></html>", "zeros": bytes(5000)}


@pytest.mark.parametrize("content", NONE.values(), ids=NONE)
def test_what_is_no_video_is_named(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "sk_depth.avi").write_bytes(content)

    with pytest.raises(UnreadableError, match=r"sk_depth\.avi: cannot be decoded after 0 frames"):
        read(tmp_path / "sk_depth.avi", [0], 1, SIZE)


def test_a_file_that_is_not_there_or_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "folder.avi").mkdir()

    for name in ("folder.avi", "nothing.avi"):
        with pytest.raises(UnreadableError, match=rf"{name}: cannot be decoded"):
            read(tmp_path / name, [0], 1, SIZE)


def test_no_beginning_of_a_video_passes_for_the_whole(path: Path, tmp_path: Path) -> None:
    content, whole, cut = path.read_bytes(), read(path, ALL, 3, SIZE), tmp_path / "cut.avi"
    index = content.index(b"idx1")  # behind the last frame: without it the video is whole

    for length in [*range(0, index, 29), *range(index - 50, index - 1)]:
        cut.write_bytes(content[:length])
        with pytest.raises(UnreadableError, match=r"^cut\.avi: (it has|cannot be decoded)"):
            read(cut, ALL, 3, SIZE)

    cut.write_bytes(content[:index])
    np.testing.assert_array_equal(read(cut, ALL, 3, SIZE), whole)


def test_of_a_truncated_video_what_stands_before_the_cut_can_be_read(path: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.avi"
    cut.write_bytes(path.read_bytes()[: path.read_bytes().index(b"idx1") - 20])

    np.testing.assert_array_equal(read(cut, ALL[:9], 3, SIZE), read(path, ALL[:9], 3, SIZE))
    with pytest.raises(UnreadableError, match=r"cut\.avi"):
        read(cut, ALL, 3, SIZE)
