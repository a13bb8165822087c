"""Video files -> frames, and back."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from greedymm.data.samples import UnreadableError

Bytes = npt.NDArray[np.uint8]

RATE = 30  # frames a second
RGB = (2, 0, 1)  # planes of `gbrp` in which they are: each lies as it is stored, and none is to be transposed
# Of what is written: good enough that noise survives, and one key frame, as in NVGesture. Without mbtree, which makes
# other bytes of the same small frames from one time to the next.
QUALITY = {"crf": "16", "preset": "veryfast", "x264-params": "keyint=1000:scenecut=0:mbtree=0"}


def read(path: Path, chosen: Sequence[int], channels: int, size: tuple[int, int]) -> Bytes:
    """Some frames of a video, resized with antialiasing.

    Decoding begins at the first frame, since often there is no other key frame, and ends with the last one chosen.

    Args:
        path: a video of any codec that PyAV knows.
        chosen: numbers of frames, from 0, none smaller than the one before.
        channels: 3, or 1: the first of them, for gray in three equal channels.
        size: height and width to come out.

    Returns:
        uint8, shape (channels, len(chosen), height, width).

    Raises:
        UnreadableError: if it is no video, cannot be decoded, or ends too early.
    """
    import av
    from av.video.reformatter import VideoReformatter

    reformatter = VideoReformatter()  # one for all frames: to make one takes longer than to use it
    frames, count = np.empty((channels, len(chosen), *size), dtype=np.uint8), 0
    try:
        with av.open(str(path)) as file:
            stream = file.streams.video[0]
            stream.thread_type = "NONE"  # one thread a process: many processes share the cores
            for frame in _decoded(file.demux(stream)):
                same = slice(bisect_left(chosen, count), bisect_right(chosen, count))
                if same.start < same.stop:
                    small: Any = reformatter.reformat(frame, size[1], size[0], "gbrp", interpolation="AREA")
                    for channel in range(channels):
                        frames[channel, same] = _plane(small, RGB[channel])
                count += 1
                if count > chosen[-1]:
                    break
    except (av.FFmpegError, IndexError, ValueError) as error:
        raise UnreadableError(f"{path.name}: cannot be decoded after {count} frames ({error})") from None
    if count <= chosen[-1]:
        raise UnreadableError(f"{path.name}: it has {count} frames, and the list wants those up to {chosen[-1] + 1}")
    return frames


def _plane(frame: Any, k: int) -> Bytes:
    """One channel of a frame, (height, width), still in the frame: its rows are padded."""
    plane = frame.planes[k]
    return np.frombuffer(plane, dtype=np.uint8).reshape(-1, plane.line_size)[: frame.height, : frame.width]


def _decoded(packets: Iterable[Any]) -> Iterator[Any]:
    damaged = False
    for packet in packets:
        damaged = damaged or packet.is_corrupt  # as the last one of a file that was cut off
        for frame in packet.decode():
            if damaged or frame.is_corrupt:  # the decoder makes up what it lacks
                raise ValueError("the file is cut off or damaged there")
            yield frame


def write(path: Path, frames: Bytes) -> None:
    """Write a video in H.264: (T, H, W, 3), or (T, H, W) as gray in three equal channels."""
    import av

    colour = frames if frames.ndim > 3 else np.repeat(frames[..., None], 3, axis=3)  # noqa: PLR2004 axes
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=Fraction(RATE), options=QUALITY)
        stream.height, stream.width = colour.shape[1:3]
        stream.pix_fmt, stream.thread_count = "yuv420p", 1
        for picture in colour:
            file.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")))
        file.mux(stream.encode())
