"""Lists of clips in NVGesture's form -> clips, each of them there, and their frames.

A line of a list, in which the order of the parts does not matter:
`path:./Video_data/class_01/subject3_r0 depth:sk_depth:146:226 color:sk_color:146:226 label:1`
"""

import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from greedymm.data.samples import Broken, UnreadableError
from greedymm.data.sources import video
from greedymm.errors import GreedymmError

log = logging.getLogger(__name__)

SUBJECT = re.compile(r"subject(\d+)")
SHOWN = 20  # missing files that an error lists; the log has all


class Clip(NamedTuple):
    """One clip: two videos, and the window of frames in which the gesture is."""

    place: str  # `class_01/subject3_r0`: unique
    label: int  # from 1; it counts, not the folder's name
    subject: int
    depth: Path
    color: Path
    window: tuple[int, int]  # frames that both videos have in their windows; the end is not among them


def read_list(path: Path, color: str) -> list[Clip]:
    """Clips of a list.

    Args:
        path: the list; its folder is the one to which the paths in it belong.
        color: name of the colour video, in the place of the list's own: `sk_color`, or `sk_wrapped`.

    Raises:
        GreedymmError: if a line is not of the form, or if there is none; the message names it.
    """
    clips = []
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
        if line.strip():
            try:
                clips.append(_clip(line, path.parent, color))
            except (KeyError, ValueError, IndexError) as error:
                raise GreedymmError(
                    f"line {number} of {path} is not of NVGesture's form ({type(error).__name__}: {error}):\n  {line}"
                ) from None
    if not clips:
        raise GreedymmError(f"{path} is empty.\n  Put the official list there, or one of your own in its form.")
    return clips


def _clip(line: str, folder: Path, color: str) -> Clip:
    parts = {name: rest.split(":") for name, _, rest in (part.partition(":") for part in line.split())}
    (place,), (label,) = parts["path"], parts["label"]
    name, *depth_window = parts["depth"]
    _, *color_window = parts["color"]
    (start, end), (other_start, other_end) = ([int(n) for n in w] for w in (depth_window, color_window))
    # In a few lines the windows differ by one frame: what both have is at the same times in both.
    window = max(start, other_start), min(end, other_end)
    if not 0 <= window[0] < window[1]:
        raise ValueError(f"the windows {start}:{end} and {other_start}:{other_end} have no frame in common")
    found = SUBJECT.search(place)
    if found is None:
        raise ValueError("the path names no subject")
    home = folder / place
    videos = home / f"{name}.avi", home / f"{color}.avi"
    return Clip(place.split("Video_data/")[-1], int(label), int(found[1]), *videos, window)


def present(clips: Sequence[Clip]) -> tuple[list[Clip], list[Path]]:
    """Clips of which both videos are there, and the files that are missing."""
    missing = [path for clip in clips for path in (clip.depth, clip.color) if not path.is_file()]
    absent = set(missing)
    return [clip for clip in clips if not absent & {clip.depth, clip.color}], missing


def all_missing(missing: Sequence[Path], what_to_do: str) -> GreedymmError:
    """Everything that is missing, at once."""
    for path in missing:
        log.warning("missing: %s", path)
    more = f"\n  and {len(missing) - SHOWN} more, all of them in the log" if len(missing) > SHOWN else ""
    shown = "\n".join(f"  {path}" for path in missing[:SHOWN])
    return GreedymmError(f"{len(missing)} files are missing:\n{shown}{more}\n{what_to_do}")


def frames(clip: Clip, count: int, size: tuple[int, int]) -> tuple[npt.NDArray[np.uint8], ...] | Broken:
    """Frames of both videos at the same times, evenly over the window: colour (3, T, H, W) and depth (1, T, H, W)."""
    chosen = np.linspace(clip.window[0], clip.window[1] - 1, count).round().astype(int).tolist()
    try:
        return video.read(clip.color, chosen, 3, size), video.read(clip.depth, chosen, 1, size)
    except UnreadableError as error:
        return Broken(clip.place, str(error))


def hold_out_subjects(clips: Sequence[Clip], share: float, rng: np.random.Generator) -> set[int]:
    """Subjects, drawn one after the other, until they have at least a share of the clips.

    Raises:
        GreedymmError: if none would be left, or if a class would be lost to either part.
    """
    subjects = rng.permutation(sorted({clip.subject for clip in clips})).tolist()
    held: set[int] = set()
    while subjects and sum(clip.subject in held for clip in clips) < share * len(clips):
        held.add(subjects.pop())
    labels = {clip.label for clip in clips}
    for part in (True, False):
        lost = labels - {clip.label for clip in clips if (clip.subject in held) == part}
        if lost:
            raise GreedymmError(
                f"with the subjects {sorted(held)} held out, {'validation' if part else 'training'} has no clip of"
                f" label {min(lost)}.\n  Set another data.seed or data.validation; 0 holds none out."
            )
    return held
