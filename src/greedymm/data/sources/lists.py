"""Lists of clips, as NVGesture has them.

A line; the order of its parts does not matter:
`path:./Video_data/class_01/subject3_r0 depth:sk_depth:146:226 color:sk_color:146:226 label:1`
A user's labels are other numbers, or words, which then are the names of the classes.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from greedymm.data.samples import is_plain
from greedymm.errors import GreedymmError

BEGIN = b"\xff\xfe", b"\xfe\xff"  # of texts in UTF-16, as Windows writes them
PART = re.compile(r"\s+(?=[\w-]+:)")  # between the parts of a line; the name of a folder may have spaces
SUBJECT = re.compile(r".*subject(\d+)")  # the last one: a folder above may have such a name, too
LABEL = re.compile(r"(?P<number>[0-9]{1,9})|[^\W\d_].*")


class Clip(NamedTuple):
    """One clip: two videos, and the window of frames that has the gesture."""

    id: str  # `class_01/subject3_r0`
    label: int | str  # of NVGesture 1 to 25; the folder's name does not count
    subject: int
    depth: Path
    color: Path
    window: tuple[int, int]  # frames in the windows of both videos, without the end


def read_list(path: Path, color: str) -> list[Clip]:
    """Clips of a list, with the color videos of this name, such as `sk_wrapped`, instead of the name in the list."""
    clips, content = [], path.read_bytes()
    encoding = "utf-16" if content.startswith(BEGIN) else "utf-8-sig"
    for number, line in enumerate(content.decode(encoding, errors="replace").splitlines(), start=1):
        if line.strip():
            try:
                clips.append(_clip(line, path.parent, color))
            except (KeyError, ValueError) as error:
                raise GreedymmError(
                    f"line {number} of {path} is not in NVGesture's form ({type(error).__name__}: {error}):\n  {line}"
                ) from None
    if not clips:
        raise GreedymmError(f"{path} is empty.\n  Replace it by the official list, or by one of your own in its form.")
    return clips


def _clip(line: str, folder: Path, color: str) -> Clip:
    parts = {name: rest.split(":") for name, _, rest in (part.partition(":") for part in PART.split(line.strip()))}
    (path,), (label,) = parts["path"], parts["label"]
    (depth, *depth_window), (_, *color_window) = parts["depth"], parts["color"]
    (start, end), (other_start, other_end) = ([int(n) for n in w] for w in (depth_window, color_window))
    # In a few lines the windows differ by one frame: the frames in both are simultaneous.
    window = max(start, other_start), min(end, other_end)
    subject = SUBJECT.match(path)
    if subject is None or not 0 <= window[0] < window[1]:
        raise ValueError("no subject in the path, as subject3" if subject is None else "no frame is in both windows")
    if (form := LABEL.fullmatch(label)) is None or not is_plain(label):
        raise ValueError("a label is a number, or a word that begins with a letter")
    videos = folder / path / f"{depth}.avi", folder / path / f"{color}.avi"
    number = int(label) if form["number"] else label
    return Clip(path.split("Video_data/")[-1], number, int(subject[1]), *videos, window)


def distinguish(lists: Sequence[Sequence[Clip]]) -> list[list[Clip]]:
    """The same lists, in which several clips of one folder have their frames in the id.

    Raises:
        GreedymmError: if a clip is there twice.
    """
    counts = Counter(clip.id for clips in lists for clip in clips)
    named = [
        [c if counts[c.id] == 1 else c._replace(id=f"{c.id} frames {c.window[0]}-{c.window[1]}") for c in clips]
        for clips in lists
    ]
    if double := [name for name, count in Counter(c.id for clips in named for c in clips).items() if count > 1]:
        raise GreedymmError(f"the lists have {double[0]} twice.\n  Delete one of its lines.")
    return named


def sorted_labels(clips: Iterable[Clip]) -> list[int | str]:
    """The labels of clips: numbers, then words."""
    return sorted({clip.label for clip in clips}, key=lambda label: (isinstance(label, str), label))
