"""Vessels, which either view tells apart: a bottle and a teapot."""

from collections.abc import Callable

import numpy as np

from greedymm.data.synthetic.cad import parts
from greedymm.data.synthetic.cad.parts import Floats, Mesh, Span, ball, bezier, joined, lathe, tube

# -- Bottle -------------------------------------------------------------------------------------------------


def bottle(rng: np.random.Generator) -> Mesh:
    """Body, shoulder, neck and stopper; round, or with six flat sides; often with a label that stands out."""
    radius, height = rng.uniform(0.035, 0.055), rng.uniform(0.1, 0.17)
    neck, length = radius * rng.uniform(0.28, 0.42), rng.uniform(0.04, 0.09)
    turn, sections = parts.yaw(rng), int(rng.choice([6, 20, 20]))
    shoulder = _shoulder(
        (radius, neck), (height, height + radius * rng.uniform(0.6, 1.5)), (_straight, _round)[rng.integers(2)]
    )
    top = shoulder[-1][1] + length
    profile = [(0, 0), (0.9 * radius, 0), (radius, 0.006), *shoulder, (neck, top), *_stopper(rng, neck, top)]
    body = [lathe(profile, sections=sections)]
    label = (rng.uniform(0.1, 0.3) * height, rng.uniform(0.6, 0.9) * height)
    return joined([*body, _label(radius, label, sections)] if rng.integers(2) else body, turn)


def _shoulder(radii: Span, heights: Span, bend: Callable[[Floats], tuple[Floats, Floats]]) -> list[Span]:
    """From the body to the neck."""
    inwards, upwards = bend(np.linspace(0, 1, 6))
    radius = radii[0] + (radii[1] - radii[0]) * inwards
    height = heights[0] + (heights[1] - heights[0]) * upwards
    return list(zip(radius, height, strict=True))


def _straight(t: Floats) -> tuple[Floats, Floats]:
    return t, t


def _round(t: Floats) -> tuple[Floats, Floats]:
    return 1 - np.cos(t * np.pi / 2), np.sin(t * np.pi / 2)


def _stopper(rng: np.random.Generator, neck: float, top: float) -> list[Span]:
    wide, high = neck * rng.uniform(1.15, 1.5), rng.uniform(0.015, 0.035)
    return [(wide, top), (wide, top + high), (0, top + high)]


def _label(radius: float, z: Span, sections: int) -> Mesh:
    out = 1.06 * radius
    return lathe([(radius, z[0]), (out, z[0] + 0.002), (out, z[1] - 0.002), (radius, z[1])], sections=sections)


# -- Teapot -------------------------------------------------------------------------------------------------


def teapot(rng: np.random.Generator) -> Mesh:
    """Pot with a lid, the spout on one side, the handle on the other or above."""
    radius, height = rng.uniform(0.065, 0.09), rng.uniform(0.08, 0.15)
    turn, side = parts.yaw(rng), int(rng.choice([-1, 1]))
    handle = _hoop(rng, radius, height) if parts.chance(rng, 0.35) else _handle(rng, -side, radius, height)
    return joined([*_pot(rng, radius, height), _spout(rng, side, radius, height), handle], turn)


def _pot(rng: np.random.Generator, radius: float, height: float) -> list[Mesh]:
    """Belly, and a lid with a knob."""
    foot, rim, fullest = rng.uniform(0.5, 0.95), rng.uniform(0.5, 0.75), rng.uniform(0.2, 0.65)
    knob, curve = rng.uniform(0.011, 0.018), rng.uniform(1.3, 3)
    belly = [
        (radius * (1 - (1 - (foot if a < 0 else rim)) * abs(a) ** curve), height * _level(a, fullest))
        for a in np.linspace(-1, 1, 9)
    ]
    dome = height + rng.uniform(0.014, 0.034)
    lid = [(1.02 * rim * radius, height + 0.006), (0.55 * rim * radius, dome - 0.004), (0, dome)]
    return [lathe([(0, 0), *belly, *lid], sections=20), ball((0, 0, dome + 0.8 * knob), knob)]


def _level(a: float, fullest: float) -> float:
    """Height on the belly, in its own: 0 at `a` = -1, `fullest` at 0, 1 at 1."""
    return fullest * (1 + a) if a < 0 else fullest + (1 - fullest) * a


def _spout(rng: np.random.Generator, side: int, radius: float, height: float) -> Mesh:
    reach, tip = radius * rng.uniform(1.7, 2.1), height * rng.uniform(0.85, 1.05)
    low, bend = height * rng.uniform(0.25, 0.45), rng.uniform(0, 1)
    knees = ((0.75 + 0.75 * bend) * radius, low), (1.35 * radius, tip - 0.03)
    path = bezier([(side * u, 0, v) for u, v in ((0.7 * radius, low), *knees, (reach, tip))], 9)
    return tube(path, list(np.linspace(0.024, rng.uniform(0.009, 0.013), 9)), sections=12)


def _handle(rng: np.random.Generator, side: int, radius: float, height: float) -> Mesh:
    """Ear at the side."""
    reach, thick = radius * rng.uniform(1.9, 2.5), rng.uniform(0.008, 0.012)
    top, low = height * rng.uniform(0.78, 0.9), height * rng.uniform(0.2, 0.35)
    controls = [(0.7 * radius, top), (reach, top + 0.02), (reach, low - 0.01), (0.75 * radius, low)]
    return tube(bezier([(side * u, 0, v) for u, v in controls], 11), thick)


def _hoop(rng: np.random.Generator, radius: float, height: float) -> Mesh:
    """Bow above the lid, from side to side."""
    wide, low, high = 1.1 * radius, 0.75 * height, height * 0.75 + rng.uniform(0.16, 0.22)
    path = bezier([(-0.8 * radius, 0, low), (-wide, 0, high), (wide, 0, high), (0.8 * radius, 0, low)], 13)
    return tube(path, rng.uniform(0.006, 0.009))
