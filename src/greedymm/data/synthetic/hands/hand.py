"""The hand: signed distances to palm, wrist and fingers, seen from the palm's side.

Its own frame has its origin in the middle of the palm, u toward the thumb and v toward the fingers; lengths are
heights of the picture, for a hand of size 1.
"""

# K capsules; (h, w) pixels of a part of the picture.

from typing import NamedTuple

import numpy as np

from greedymm.data.synthetic.hands.draws import Curve, Floats

# Index, middle, ring and little finger.
KNUCKLES = np.array([(0.066, 0.074), (0.023, 0.084), (-0.021, 0.080), (-0.063, 0.064)])
LENGTHS = np.array([0.165, 0.185, 0.17, 0.135])
FAN = np.array([0.24, 0.06, -0.11, -0.32])  # radians toward the thumb, of fingers that are spread
RADII = np.array([0.0235, 0.0245, 0.0235, 0.021])
THUMB_RADIUS = 0.027
THUMB_OUT = np.array([(0.062, -0.035), (0.125, 0.015), (0.165, 0.075)])  # its three joints
THUMB_IN = np.array([(0.062, -0.035), (0.085, 0.02), (0.005, 0.03)])  # across the palm
PALM, ROUNDING = (0.088, 0.09), 0.045  # half its width and height; radius of its corners
WRIST = np.array([(0.0, -0.05), (0.0, -0.15)])
WRIST_RADIUS = 0.058
REACH = 0.34  # no part is farther from the middle of the palm


class Capsules(NamedTuple):
    """Points within a radius of a line segment."""

    start: Curve  # (K, 2)
    stop: Curve  # (K, 2)
    radius: Curve  # (K,)


def fingers(bend: Curve, spread: float) -> Capsules:
    """Two capsules for each finger, the farther from the camera first.

    A finger bends toward the camera, which therefore sees it shorten, and then its tip lie on the palm.
    """
    lean = FAN * spread
    along = np.stack([np.sin(lean), np.cos(lean)], axis=1)
    first, second = (LENGTHS[:, None] / 2 * np.cos(np.outer(bend[1:], turn)) for turn in ([1.3], [2.9]))
    middle = KNUCKLES + first * along
    tip = middle + second * along
    thumb = THUMB_OUT + (THUMB_IN - THUMB_OUT) * bend[0]
    return Capsules(
        np.concatenate([KNUCKLES - 0.02 * along, middle, thumb[:2]]),
        np.concatenate([middle, tip, thumb[1:]]),
        np.concatenate([RADII, 0.95 * RADII, [1.1 * THUMB_RADIUS, THUMB_RADIUS]]),
    )


def to_capsules(u: Floats, v: Floats, capsules: Capsules) -> Floats:
    """Signed distance to each, below 0 within: (K, h, w)."""
    start, along = (a.astype(np.float32) for a in (capsules.start, capsules.stop - capsules.start))
    radius = capsules.radius.astype(np.float32)[:, None, None]
    from_u, from_v = (w - start[:, axis, None, None] for axis, w in enumerate((u, v)))
    du, dv = along[:, 0, None, None], along[:, 1, None, None]
    share = np.clip((from_u * du + from_v * dv) / (du * du + dv * dv + np.float32(1e-9)), 0, 1)
    from_u -= share * du
    from_v -= share * dv
    return np.asarray(np.sqrt(from_u * from_u + from_v * from_v) - radius)


def to_palm(u: Floats, v: Floats) -> Floats:
    """Signed distance to palm and wrist: (h, w)."""
    across, along = (np.abs(w) - np.float32(half - ROUNDING) for w, half in zip((u, v), PALM, strict=True))
    outside = np.sqrt(np.maximum(across, 0) ** 2 + np.maximum(along, 0) ** 2)
    palm = outside + np.minimum(np.maximum(across, along), 0) - np.float32(ROUNDING)
    wrist = to_capsules(u, v, Capsules(WRIST[:1], WRIST[1:], np.array([WRIST_RADIUS])))[0]
    return np.asarray(np.minimum(palm, wrist))
