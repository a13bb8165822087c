"""Video files -> frames, and back."""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from greedymm.data.samples import UnreadableError

Bytes = npt.NDArray[np.uint8]

BITS = 8  # of a color in a frame
MAX_PIXELS = 2**26  # of a frame: eight times those of 4K video. The decoder allocates what the file declares
RATE = 30  # frames a second
RGB = (2, 0, 1)  # planes of `gbrp`; separate planes need no transposition
# Noise survives this quality. One key frame, as in NVGesture. No mbtree: with it, the bytes of small frames vary from
# run to run.
QUALITY = {"crf": "16", "preset": "ultrafast", "x264-params": "keyint=1000:scenecut=0:mbtree=0"}


def check_rates(color: Path, depth: Path) -> None:
    """Check that two videos have the same frame rate.

    Raises:
        UnreadableError: if they have not, or if one is not a video.
    """
    rates = _frame_rate(color), _frame_rate(depth)
    if rates[0] != rates[1]:
        raise UnreadableError(f"color has {rates[0]} frames per second, depth {rates[1]}; convert one of them")


def _frame_rate(path: Path) -> Fraction:
    import av

    try:
        with av.open(str(path)) as file:
            return _rate(file.streams.video[0])
    except (av.FFmpegError, IndexError, ValueError) as error:
        raise UnreadableError(f"{path.name}: cannot be decoded after 0 frames ({error})") from None


def read_video(path: Path, chosen: Sequence[int], channels: int, size: tuple[int, int]) -> Bytes:
    """Some frames of a video, resized with antialiasing: uint8 (channels, len(chosen), *size).

    Frames are chosen by time: a camera drops frames, and an AVI file then has an empty slot. The frame before it fills
    the slot. Decoding starts at the first frame, since often there is no other key frame, and ends with the last
    chosen one.
    chosen: slots of 1 / frame rate, from 0, in non-decreasing order. channels: 3 (RGB), or 1 (the first of three equal
    ones).

    Raises:
        UnreadableError: if it is not a video, cannot be decoded, or ends too early.
    """
    import av
    from av.video.reformatter import VideoReformatter

    reformatter = VideoReformatter()  # shared by all frames: making one takes longer than using it
    frames, count, done, last = np.empty((channels, len(chosen), *size), dtype=np.uint8), 0, 0, -1
    before: Any = None
    try:
        with av.open(str(path)) as file:
            for slot, frame in _decoded(file):
                for source, stop in ((before or frame, bisect_left(chosen, slot)), (frame, bisect_right(chosen, slot))):
                    if stop > done:
                        small: Any = reformatter.reformat(source, size[1], size[0], "gbrp", interpolation="AREA")
                        for channel, plane in zip(range(channels), RGB, strict=False):
                            rows = np.frombuffer(small.planes[plane], np.uint8)
                            rows = rows.reshape(-1, small.planes[plane].line_size)
                            frames[channel, done:stop] = rows[: size[0], : size[1]]  # the rows in memory are padded
                        done = stop
                before, last, count = frame, slot, count + 1
                if done == len(chosen):
                    break
    except (av.FFmpegError, IndexError, ValueError) as error:
        raise UnreadableError(f"{path.name}: cannot be decoded after {count} frames ({error})") from None
    if done < len(chosen):
        raise UnreadableError(f"{path.name}: it has {last + 1} frames, and the list asks for {chosen[-1] + 1}")
    return frames


def _check_form(stream: Any) -> None:
    if stream.width * stream.height > MAX_PIXELS:
        raise ValueError(f"its frames have {stream.width} x {stream.height} pixels, more than those of any camera")
    wide = stream.format is not None and any(component.bits > BITS for component in stream.format.components)
    if wide and re.match("gray|ya", stream.pix_fmt):  # of depth in millimeters, 8 bits would be black
        raise ValueError(f"its pixels are {stream.pix_fmt}; scale them to 8 bits")


def _decoded(file: Any) -> Iterator[tuple[int, Any]]:
    """Frames in the order of their times, each with its slot."""
    stream = file.streams.video[0]
    _check_form(stream)
    stream.thread_type = "NONE"  # many processes share the cores
    is_avi, rate = file.format.name == "avi", _rate(stream)
    first, delay, time, damaged = None, None, -1, False
    for packet in file.demux(stream):
        damaged = damaged or packet.is_corrupt  # such as the last one of a truncated file
        first = packet.dts if first is None else first
        for frame in packet.decode():
            if damaged or frame.is_corrupt:  # the decoder invents missing parts
                raise ValueError("the file is truncated or damaged there")
            # AVI has times of decoding alone, which are later if frames wait for others; the last frames have none.
            known = frame.dts if is_avi else frame.pts
            time = time + 1 if known is None else known
            if delay is None:
                delay = time - (first or 0) if is_avi else 0
            yield round((time - delay) * stream.time_base * rate), frame


def _rate(stream: Any) -> Fraction:
    if not stream.guessed_rate:
        raise ValueError("its frame rate is unknown")
    return Fraction(stream.guessed_rate)


def write_video(path: Path, frames: Bytes, rate: int = RATE) -> None:
    """Write a video in H.264: (T, H, W, 3), or (T, H, W) as gray in three equal channels."""
    import av

    color = frames if frames.ndim > 3 else np.repeat(frames[..., None], 3, axis=3)  # noqa: PLR2004 axes
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=Fraction(rate), options=QUALITY)
        stream.height, stream.width = color.shape[1:3]
        stream.pix_fmt, stream.thread_count = "yuv420p", 1
        for picture in color:
            file.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")))
        file.mux(stream.encode())
