"""Pictures of an object in files -> its views, in the form of the renderer."""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from greedymm.data.samples import UnreadableError
from greedymm.data.sources.renderer import VIEWS

# Name of a picture and number of the first view: in MVCNN's archive, and in other public sets.
PATTERNS = (
    (re.compile(r"(?P<object>.+)\.obj\.shaded_v(?P<view>\d{3})\.png", re.IGNORECASE), 1),
    (re.compile(r"(?P<object>.+)\.obj_\w*v(?P<view>\d{4})\.png", re.IGNORECASE), 0),
)
MODES = {"1", "L", "LA", "P", "PA", "RGB", "RGBA"}  # of PIL, with 8 bits a channel
BACKGROUND = (0, 0, 0, 255)  # of transparent pictures, as in the renderer


def group_by_object(files: Iterable[Path]) -> tuple[dict[str, list[tuple[int, Path]]], list[Path]]:
    """Pictures of each object with their views, from 0, and files whose names fit no pattern."""
    objects: dict[str, list[tuple[int, Path]]] = defaultdict(list)
    unknown = []
    for file in files:
        for pattern, first in PATTERNS:
            if match := pattern.fullmatch(file.name):
                objects[match["object"]].append((int(match["view"]) - first, file))
                break
        else:
            unknown.append(file)
    return dict(objects), unknown


def order_views(views: Sequence[tuple[int, Path]]) -> tuple[Path, ...]:
    """An object's pictures in the order of the views.

    Raises:
        UnreadableError: if some of the twelve are missing, or if there are more, for example in both patterns.
    """
    if missing := sorted(set(range(VIEWS)) - {view for view, _ in views}):
        raise UnreadableError(f"{len(missing)} of its {VIEWS} views are missing, the first is view {missing[0]}")
    if len(views) > VIEWS:
        raise UnreadableError(f"it has {len(views)} views, not {VIEWS}")
    return tuple(file for _, file in sorted(views))


def read(files: Sequence[Path], size: int | None = None, *, color: bool = False) -> npt.NDArray[np.uint8]:
    """Pictures as one array.

    Args:
        files: square PNGs, gray, RGB, palette, or with transparency, on any background.
        size: height and width to which they are resized, with antialiasing; None: as the first.
        color: keep three channels; else gray, by luminance.

    Returns:
        uint8, shape (len(files), 1 or 3, size, size).

    Raises:
        UnreadableError: if one is broken, truncated, not square or not of 8 bits per channel; it is named.
    """
    first = _read(files[0], size, color=color)
    return np.stack([first, *(_read(file, first.shape[-1], color=color) for file in files[1:])])


def _read(file: Path, size: int | None, *, color: bool) -> npt.NDArray[np.uint8]:
    from PIL import Image

    try:
        with Image.open(file, formats=["PNG"]) as opened:
            opened.verify()  # the checksums and the end, which `load` does not check
        with Image.open(file, formats=["PNG"]) as opened:
            picture: Image.Image = opened
            picture.load()
    except (OSError, SyntaxError, ValueError, IndexError, Image.DecompressionBombError) as error:
        raise UnreadableError(f"{file.name}: no complete PNG file ({str(error).splitlines()[0]})") from None
    if picture.mode not in MODES:
        raise UnreadableError(f"{file.name}: its pixels have mode '{picture.mode}', not 8 bits per channel")
    if picture.width != picture.height:
        raise UnreadableError(f"{file.name}: {picture.width} x {picture.height} pixels is not square")
    if picture.has_transparency_data:
        ground = Image.new("RGBA", picture.size, BACKGROUND)
        picture = Image.alpha_composite(ground, picture.convert("RGBA")).convert("RGB")
    picture = picture.convert("RGB" if color else "L")
    if size not in {None, picture.width}:
        picture = picture.resize((size, size), Image.Resampling.LANCZOS)
    return np.asarray(picture).reshape(*picture.size, -1).transpose(2, 0, 1)
