"""Hand and arm in one frame: the pixels that they cover and their unlit colors."""

# (h, w) pixels of a part of the picture; K capsules.

from dataclasses import dataclass

import numpy as np

from greedymm.data.synthetic.hands import hand
from greedymm.data.synthetic.hands.draws import Curve, Floats
from greedymm.data.synthetic.hands.gestures import Motion
from greedymm.data.synthetic.hands.scene import Grid, Part, paint
from greedymm.data.synthetic.hands.subject import Subject

FOREARM = (0.05, 0.075)  # its radius at the wrist and at the elbow
SLEEVE = 1.3  # radius of a sleeve over that of the forearm
DARKEST = 0.5  # brightness at the rim of a finger, which tells it from the palm behind it


@dataclass(frozen=True)
class Arm:
    """Forearm and sleeve."""

    part: Part
    bare: Floats  # (h, w), cover of the skin
    sleeve: Floats  # (h, w), cover of the cloth
    share: Floats  # (h, w), way from the wrist to the elbow
    shade: Floats  # (h, w)
    across: Floats  # (h, w), heights of the picture from the line through it


@dataclass(frozen=True)
class Hand:
    """Palm, wrist and fingers."""

    part: Part
    palm: Floats  # (h, w), cover of palm and wrist
    whole: Floats  # (h, w), cover with the fingers
    shade: Floats  # (h, w)


@dataclass(frozen=True)
class Limb:
    """Arm and hand, nearer than the scene."""

    arm: Arm
    hand: Hand
    distance: float  # of the hand, meters


def limb(subject: Subject, course: Motion, grid: Grid, frame: int) -> Limb:
    """Hand and arm of one frame."""
    position, scale = course.position[frame], subject.size * course.zoom[frame]
    elbow = np.array([0.5 * position[0] - subject.side * subject.elbow, max(position[1] + 0.5, 0.75)])
    tilt = course.tilt[frame] + 0.6 * np.arctan2(position[0] - elbow[0], elbow[1] - position[1])
    wrist = position + 0.13 * scale * np.array([-np.sin(tilt), np.cos(tilt)])
    return Limb(
        _arm(subject, grid, wrist, elbow, scale),
        _hand(subject, course, grid, frame, tilt),
        float(course.distance[frame]),
    )


def _arm(subject: Subject, grid: Grid, wrist: Curve, elbow: Curve, scale: float) -> Arm:
    thick = SLEEVE * scale * FOREARM[1]
    part = grid.part(np.minimum(wrist, elbow) - thick, np.maximum(wrist, elbow) + thick)
    x, y = _from(grid, part, wrist)
    length = float(np.hypot(*(elbow - wrist)))
    along, aside = ((elbow - wrist) / length).astype(np.float32)
    far, across = x * along + y * aside, y * along - x * aside
    share = np.clip(far / np.float32(length), 0, 1)
    radius = np.float32(scale) * (np.float32(FOREARM[0]) + np.float32(FOREARM[1] - FOREARM[0]) * share)
    off_line = np.hypot(across, far - share * np.float32(length))
    cuff = np.float32(subject.sleeve * length) - far
    return Arm(
        part,
        bare=grid.cover(off_line - radius),
        sleeve=grid.cover(np.maximum(off_line - np.float32(SLEEVE) * radius, cuff)),
        share=share,
        shade=_shade(off_line - np.float32(SLEEVE) * radius, radius),
        across=across,
    )


def _hand(subject: Subject, course: Motion, grid: Grid, frame: int, tilt: float) -> Hand:
    position, scale = course.position[frame], np.float32(subject.size * course.zoom[frame])
    part = grid.part(position - hand.REACH * scale, position + hand.REACH * scale)
    x, y = (w / scale for w in _from(grid, part, position))
    sine, cosine = np.float32(np.sin(tilt)), np.float32(np.cos(tilt))
    u, v = np.float32(subject.side) * (x * cosine + y * sine), x * sine - y * cosine
    capsules = hand.fingers(course.bend[frame], course.spread[frame])
    palm, fingers = hand.to_palm(u, v), hand.to_capsules(u, v, capsules)
    covers = grid.cover(fingers * scale)
    shades = _shade(fingers, capsules.radius.astype(np.float32)[:, None, None])
    shade = _shade(palm, np.float32(0.06))
    for cover, nearer in zip(covers, shades, strict=True):
        shade += cover * (nearer - shade)
    flat = grid.cover(palm * scale)
    return Hand(part, flat, np.maximum(flat, covers.max(axis=0)), shade)


def _from(grid: Grid, part: Part, origin: Curve) -> tuple[Floats, Floats]:
    """Places of pixels from an origin: (1, w) and (h, 1)."""
    (x, y), (rows, columns) = grid.xy, part
    return x[:, columns] - np.float32(origin[0]), y[rows] - np.float32(origin[1])


def _shade(distance: Floats, radius: Floats | np.float32) -> Floats:
    """Brightness of what is round: dark at its rim."""
    return np.float32(DARKEST) + np.float32(1 - DARKEST) * np.clip(distance / (np.float32(-0.7) * radius), 0, 1)


def paint_limb(picture: Floats, subject: Subject, seen: Limb) -> None:
    """Lay the arm and then the hand over a picture (H, W, 3), in place."""
    skin, arm = np.array(subject.skin, dtype=np.float32), seen.arm
    cloth = subject.clothed(arm.across, arm.share * np.float32(0.5))
    paint(picture[arm.part], arm.bare, arm.shade[..., None] * skin)
    paint(picture[seen.hand.part], seen.hand.whole, seen.hand.shade[..., None] * skin)
    paint(picture[arm.part], arm.sleeve, arm.shade[..., None] * cloth)
