"""A clip: what the color camera and the depth camera see of one gesture, from the same place."""

# (T, H, W) frames and pixels.

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from greedymm.data.synthetic.hands.depth import measured
from greedymm.data.synthetic.hands.draws import Bytes, Floats, streams, wander
from greedymm.data.synthetic.hands.gestures import Motion, motion
from greedymm.data.synthetic.hands.limb import Limb, limb, paint_limb
from greedymm.data.synthetic.hands.scene import Body, Grid, Scenery, body, paint
from greedymm.data.synthetic.hands.subject import Subject


class Clip(NamedTuple):
    """A clip, and facts that no camera sees."""

    color: Bytes  # (T, H, W, 3)
    depth: Bytes  # (T, H, W)
    hand: npt.NDArray[np.bool_]  # (T, H, W), pixels of palm, wrist and fingers
    motion: Motion


def clip(
    gesture: str, subject: Subject, rng: np.random.Generator, frames: int = 48, height: int = 96, width: int = 128
) -> tuple[Bytes, Bytes]:
    """One clip of one gesture.

    Args:
        gesture: one of `GESTURES`.
        subject: who makes it.
        rng: all else is drawn from it.
        frames: T, the length of the clip; the gesture takes about the middle half of it.
        height: H, of a frame in pixels.
        width: W, of a frame in pixels.

    Returns:
        Color, shape (T, H, W, 3), and depth, shape (T, H, W): near is bright, and 0 is invalid.
    """
    return filmed(gesture, subject, rng, frames, height, width)[:2]


def filmed(
    gesture: str, subject: Subject, rng: np.random.Generator, frames: int = 48, height: int = 96, width: int = 128
) -> Clip:
    """One clip as from `clip`, with the mask and motion of the hand."""
    moving, behind, light, grain, sensor = streams(rng, 5)
    grid = Grid(height, width)
    course = motion(gesture, subject, moving, frames)
    scenery, person = Scenery(behind, grid, frames), body(behind, subject, grid, frames)
    limbs = [limb(subject, course, grid, t) for t in range(frames)]
    color = np.stack([_picture(scenery, person, subject, limbs[t], t) for t in range(frames)])
    _light(light, grid, color)
    return Clip(_grained(grain, color), measured(sensor, limbs, person, grid), _masks(limbs, grid), course)


def _picture(scenery: Scenery, person: Body, subject: Subject, nearer: Limb, frame: int) -> Floats:
    """One frame under even light: (H, W, 3)."""
    picture = scenery.seen(frame)
    color, cover, _ = person.seen(frame, *picture.shape[:2])
    paint(picture, cover, color)
    paint_limb(picture, subject, nearer)
    return picture


def _light(rng: np.random.Generator, grid: Grid, color: Floats) -> None:
    """Light that changes, and comes from one side and then another; in place."""
    frames = len(color)
    level = rng.uniform(1, 1.25) * (1 + 0.13 * wander(rng, frames))
    slope = 0.3 * wander(rng, frames, 2)
    tint = rng.uniform(0.88, 1.08, 3).astype(np.float32)
    x, y = grid.xy
    for t, (right, down) in enumerate(slope.astype(np.float32)):
        light = np.float32(level[t, 0]) * (1 + right * x + down * y)
        color[t] *= light[..., None] * tint


def _grained(rng: np.random.Generator, color: Floats) -> Bytes:
    """As bytes, with the noise of the sensor: one sheet of it, laid elsewhere over each frame."""
    frames, height, width, _ = color.shape
    sheet = rng.uniform(2, 6) * rng.standard_normal((height + 16, width + 16, 3), dtype=np.float32)
    for t, (down, right) in enumerate(rng.integers(0, 17, (frames, 2))):
        color[t] += sheet[down : down + height, right : right + width]
    return np.clip(color, 0, 255).astype(np.uint8)


def _masks(limbs: list[Limb], grid: Grid) -> npt.NDArray[np.bool_]:
    masks = np.zeros((len(limbs), grid.height, grid.width), dtype=bool)
    for mask, seen in zip(masks, limbs, strict=True):
        mask[seen.hand.part] = np.rint(seen.hand.whole)
    return masks
