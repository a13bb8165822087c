"""Lists of clips in NVGesture's form -> clips and their frames.

A line of a list; the order of its parts does not matter:
`path:./Video_data/class_01/subject3_r0 depth:sk_depth:146:226 color:sk_color:146:226 label:1`
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from greedymm.data.samples import Broken, UnreadableError, first_lines
from greedymm.data.sources import video
from greedymm.errors import GreedymmError

SUBJECT = re.compile(r"subject(\d+)")


class Clip(NamedTuple):
    """One clip: two videos, and the window of frames that has the gesture."""

    name: str  # `class_01/subject3_r0`: unique
    label: int  # from 1; the folder's name does not count
    subject: int
    depth: Path
    color: Path
    window: tuple[int, int]  # frames in the windows of both videos, without the end


def read_list(path: Path, color: str) -> list[Clip]:
    """Clips of a list.

    Args:
        path: the list; paths in it are relative to its folder.
        color: name of the color video, instead of that in the list: `sk_color` or `sk_wrapped`.

    Raises:
        GreedymmError: if a line does not have the form, or if there is none; the message names it.
    """
    clips = []
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
        if line.strip():
            try:
                clips.append(_clip(line, path.parent, color))
            except (KeyError, ValueError, IndexError) as error:
                raise GreedymmError(
                    f"line {number} of {path} is not in NVGesture's form ({type(error).__name__}: {error}):\n  {line}"
                ) from None
    if not clips:
        raise GreedymmError(f"{path} is empty.\n  Replace it by the official list, or by one of your own in its form.")
    return clips


def _clip(line: str, folder: Path, color: str) -> Clip:
    parts = {name: rest.split(":") for name, _, rest in (part.partition(":") for part in line.split())}
    (path,), (label,) = parts["path"], parts["label"]
    depth, *depth_window = parts["depth"]
    _, *color_window = parts["color"]
    (start, end), (other_start, other_end) = ([int(n) for n in w] for w in (depth_window, color_window))
    # In a few lines the windows differ by one frame: the frames in both are simultaneous.
    window = max(start, other_start), min(end, other_end)
    if not 0 <= window[0] < window[1]:
        raise ValueError(f"the windows {start}:{end} and {other_start}:{other_end} have no common frame")
    subject = SUBJECT.search(path)
    if subject is None:
        raise ValueError("the path names no subject")
    videos = folder / path / f"{depth}.avi", folder / path / f"{color}.avi"
    return Clip(path.split("Video_data/")[-1], int(label), int(subject[1]), *videos, window)


def present(clips: Sequence[Clip]) -> tuple[list[Clip], list[Path]]:
    """Clips whose videos both exist, and the files that are missing."""
    missing = [path for clip in clips for path in (clip.depth, clip.color) if not path.is_file()]
    absent = set(missing)
    return [clip for clip in clips if not absent & {clip.depth, clip.color}], missing


def missing_error(missing: Sequence[Path], cure: str) -> GreedymmError:
    """The error that lists all missing files at once."""
    lines = "\n".join(f"  {line}" for line in first_lines([str(path) for path in missing]))
    return GreedymmError(f"{len(missing)} files are missing:\n{lines}\n{cure}")


def frames(clip: Clip, count: int, size: tuple[int, int]) -> tuple[npt.NDArray[np.uint8], ...] | Broken:
    """Frames of both videos at the same times, evenly over the window: color (3, T, H, W) and depth (1, T, H, W)."""
    chosen = np.linspace(clip.window[0], clip.window[1] - 1, count).round().astype(int).tolist()
    try:
        return video.read(clip.color, chosen, 3, size), video.read(clip.depth, chosen, 1, size)
    except UnreadableError as error:
        return Broken(clip.name, str(error))


def hold_out_subjects(clips: Sequence[Clip], share: float, rng: np.random.Generator) -> set[int]:
    """Draw subjects until they have at least a share of the clips.

    Raises:
        GreedymmError: if training or validation has no clip of a class.
    """
    subjects = rng.permutation(sorted({clip.subject for clip in clips})).tolist()
    held: set[int] = set()
    while subjects and sum(clip.subject in held for clip in clips) < share * len(clips):
        held.add(subjects.pop())
    labels = {clip.label for clip in clips}
    for part in (True, False):
        if lost := labels - {clip.label for clip in clips if (clip.subject in held) == part}:
            raise GreedymmError(
                f"with the subjects {sorted(held)} held out, {'validation' if part else 'training'} has no clip of"
                f" label {min(lost)}.\n  Set another data.seed, or data.validation to 0 to hold none out."
            )
    return held
