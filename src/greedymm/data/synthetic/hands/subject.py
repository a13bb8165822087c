"""People: what stays the same in all clips of one person."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from greedymm.data.synthetic.hands.draws import Curve, Floats

Color = tuple[float, float, float]  # red, green and blue, of 255

# From light to dark: a person's skin lies between two of them.
SKINS = np.array([(243, 205, 180), (225, 175, 140), (190, 138, 103), (140, 94, 66), (92, 60, 45)], dtype=float)
PATTERNS = ("plain", "stripes", "rings", "checks")


@dataclass(frozen=True)
class Subject:
    """One person. Lengths are in heights of the picture."""

    skin: Color
    cloth: Color
    accent: Color  # the second color of the cloth
    hair: Color
    pattern: str  # of the cloth
    sleeve: float  # share of the forearm that is bare
    size: float  # of the hand, beside the measures in `hand`
    side: int  # 1: the thumb is at the right as seen in the picture, and the arm comes from the left; -1: reversed
    elbow: float  # how far the elbow is from the middle
    home: tuple[float, float]  # where the hand likes to be
    speed: float  # of gestures; 1 is the mean
    reach: float  # amplitude of gestures; 1 is the mean
    bow: float  # how much a straight stroke is bent
    tilt: float  # of the hand, in radians
    tremor: float  # how much the hand wanders
    build: float  # of head and shoulders; 1 is the mean

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> Self:
        """A new person."""
        return cls(
            skin=_skin(rng),
            cloth=_color(rng.uniform(25, 225, 3)),
            accent=_color(rng.uniform(25, 225, 3)),
            hair=_color(rng.uniform(20, 110) * np.array([1, 0.85, 0.7])),
            pattern=str(rng.choice(PATTERNS)),
            sleeve=rng.uniform(0.05, 0.6),
            size=rng.uniform(1.08, 1.34),
            side=int(rng.choice([-1, 1])),
            elbow=rng.uniform(0.05, 0.3),
            home=(rng.uniform(-0.06, 0.06), rng.uniform(0.06, 0.13)),
            speed=rng.uniform(0.85, 1.2),
            reach=rng.uniform(0.88, 1.12),
            bow=rng.uniform(-0.06, 0.06),
            tilt=rng.uniform(-0.15, 0.15),
            tremor=rng.uniform(0.004, 0.012),
            build=rng.uniform(0.9, 1.15),
        )

    def clothed(self, u: Floats, v: Floats) -> Floats:
        """Color of the cloth at positions across (u) and along (v) it, in heights of the picture: (h, w, 3)."""
        wave = {
            "plain": np.ones_like(u),
            "stripes": np.sin(90 * u),
            "rings": np.sin(90 * v),
            "checks": np.sin(70 * u) * np.sin(70 * v),
        }[self.pattern]
        cloth, accent = (np.array(c, dtype=np.float32) for c in (self.cloth, self.accent))
        return np.where(wave[..., None] > 0, cloth, accent)


def _skin(rng: np.random.Generator) -> Color:
    """Between two neighbors of the scale, and a little redder or yellower."""
    position = rng.uniform(0, len(SKINS) - 1)
    at = int(position)
    return _color(SKINS[at] + (position - at) * (SKINS[at + 1] - SKINS[at]) + rng.normal(0, 5, 3))


def _color(values: Curve) -> Color:
    red, green, blue = np.clip(values, 0, 255).tolist()
    return red, green, blue
