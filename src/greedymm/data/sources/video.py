"""Video files -> frames, and back."""

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from greedymm.data.samples import UnreadableError

Bytes = npt.NDArray[np.uint8]

MAX_PIXELS = 2**26  # of a frame: eight times those of 4K video. The decoder allocates what the file declares
RATE = 30  # frames a second
RGB = (2, 0, 1)  # planes of `gbrp`; separate planes need no transposition
# Noise survives this quality. One key frame, as in NVGesture. No mbtree: with it, the bytes of small frames vary from
# run to run.
QUALITY = {"crf": "16", "preset": "ultrafast", "x264-params": "keyint=1000:scenecut=0:mbtree=0"}


def read_video(path: Path, chosen: Sequence[int], channels: int, size: tuple[int, int]) -> Bytes:
    """Some frames of a video, resized with antialiasing: uint8 (channels, len(chosen), *size).

    Decoding starts at the first frame, since often there is no other key frame, and ends with the last chosen one.
    chosen: indices, from 0, in non-decreasing order. channels: 3 (RGB), or 1 (the first of three equal ones).

    Raises:
        UnreadableError: if it is not a video, cannot be decoded, or ends too early.
    """
    import av
    from av.video.reformatter import VideoReformatter

    reformatter = VideoReformatter()  # shared by all frames: making one takes longer than using it
    frames, count = np.empty((channels, len(chosen), *size), dtype=np.uint8), 0
    try:
        with av.open(str(path)) as file:
            stream = file.streams.video[0]
            _check_size(stream)
            stream.thread_type = "NONE"  # many processes share the cores
            for frame in _decoded(file.demux(stream)):
                same = np.flatnonzero(np.equal(chosen, count))
                if len(same):
                    small: Any = reformatter.reformat(frame, size[1], size[0], "gbrp", interpolation="AREA")
                    for channel, plane in zip(range(channels), RGB, strict=False):
                        rows = np.frombuffer(small.planes[plane], np.uint8).reshape(-1, small.planes[plane].line_size)
                        frames[channel, same] = rows[: size[0], : size[1]]  # the rows in memory are padded
                count += 1
                if count > chosen[-1]:
                    break
    except (av.FFmpegError, IndexError, ValueError) as error:
        raise UnreadableError(f"{path.name}: cannot be decoded after {count} frames ({error})") from None
    if count <= chosen[-1]:
        raise UnreadableError(f"{path.name}: it has {count} frames, and the list asks for {chosen[-1] + 1}")
    return frames


def _check_size(stream: Any) -> None:
    if stream.width * stream.height > MAX_PIXELS:
        raise ValueError(f"its frames have {stream.width} x {stream.height} pixels, more than those of any camera")


def _decoded(packets: Iterable[Any]) -> Iterator[Any]:
    damaged = False
    for packet in packets:
        damaged = damaged or packet.is_corrupt  # such as the last one of a truncated file
        for frame in packet.decode():
            if damaged or frame.is_corrupt:  # the decoder invents missing parts
                raise ValueError("the file is truncated or damaged there")
            yield frame


def write_video(path: Path, frames: Bytes) -> None:
    """Write a video in H.264: (T, H, W, 3), or (T, H, W) as gray in three equal channels."""
    import av

    color = frames if frames.ndim > 3 else np.repeat(frames[..., None], 3, axis=3)  # noqa: PLR2004 axes
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=Fraction(RATE), options=QUALITY)
        stream.height, stream.width = color.shape[1:3]
        stream.pix_fmt, stream.thread_count = "yuv420p", 1
        for picture in color:
            file.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")))
        file.mux(stream.encode())
