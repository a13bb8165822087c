"""Furniture that either view tells apart: a chair and a table."""

from typing import NamedTuple

import numpy as np

from greedymm.data.synthetic.cad import parts
from greedymm.data.synthetic.cad.parts import Mesh, block, disc, joined, lathe, mirrored, rod

# -- Chair --------------------------------------------------------------------------------------------------


class Seat(NamedTuple):
    """Half the width and depth of a chair's seat, and its height."""

    x: float
    y: float
    z: float


def chair(rng: np.random.Generator) -> Mesh:
    """Seat on four legs, with a back, some with arms."""
    seat = Seat(rng.uniform(0.2, 0.27), rng.uniform(0.2, 0.25), rng.uniform(0.4, 0.5))
    turn, thick = parts.yaw(rng), rng.uniform(0.03, 0.08)
    plate = block((-seat.x, seat.x), (-seat.y, seat.y), (seat.z - thick, seat.z))
    arms = _arms(rng, seat) if parts.chance(rng, 0.4) else []
    return joined([plate, *_chair_legs(rng, seat), *_back(rng, seat), *arms], turn)


def _chair_legs(rng: np.random.Generator, seat: Seat) -> list[Mesh]:
    """Four legs, upright or splayed, round or square; they may have bars between them."""
    thick, splay = rng.uniform(0.018, 0.03), rng.choice([0, rng.uniform(0.03, 0.07)])
    sections, has_bars = rng.choice([4, 10]), parts.chance(rng, 0.4)
    x, y, top = seat.x - thick, seat.y - thick, seat.z - 0.02
    ends = [(v, v + splay * np.sign(v)) for v in (-y, y)]
    legs = [rod((x, v, top), (x + splay, foot, 0), thick, sections=sections) for v, foot in ends]
    bar = rod((x + splay / 2, -y, top / 2), (x + splay / 2, y, top / 2), 0.7 * thick)
    return mirrored([*legs, bar] if has_bars else legs)


def _back(rng: np.random.Generator, seat: Seat) -> list[Mesh]:
    """Back that leans a little, of one board, of bars, or of boards across."""
    height, lean = rng.uniform(0.38, 0.55), rng.uniform(0.02, 0.1)
    style, thick = rng.integers(3), rng.uniform(0.016, 0.024)

    def position(u: float, v: float) -> parts.Point:
        """Where a point of the back is: `u` in half widths, `v` in heights above the seat."""
        return (u * (seat.x - thick), seat.y - thick + v * lean, seat.z - 0.02 + v * (height + 0.02))

    def board(low: float, high: float) -> Mesh:
        (x, y, z), (_, y_high, z_high) = position(1, low), position(1, high)
        return parts.loft(((-x, x), (y - thick, y + thick)), ((-x, x), (y_high - thick, y_high + thick)), (z, z_high))

    if style == 0:
        return [board(rng.choice([0, 0.25]), 1), *mirrored([rod(position(0.85, 0), position(0.85, 0.6), thick)])]
    posts = mirrored([rod(position(1, 0), position(1, 1), 1.2 * thick)])
    if style == 1:
        bars = np.linspace(-1, 1, rng.integers(3, 6) + 2)[1:-1]
        return [*posts, board(0.82, 1), *(rod(position(u, 0), position(u, 0.9), thick) for u in bars)]
    lows = np.linspace(0.3, 0.84, rng.integers(2, 4))
    return [*posts, *(board(low, low + 0.16) for low in lows)]


def _arms(rng: np.random.Generator, seat: Seat) -> list[Mesh]:
    up, thick = seat.z + rng.uniform(0.17, 0.24), rng.uniform(0.02, 0.03)
    post = rod((seat.x, -0.7 * seat.y, seat.z - 0.02), (seat.x, -0.7 * seat.y, up), 0.02)
    arm = block((seat.x - thick, seat.x + thick), (-0.9 * seat.y, seat.y), (up - 0.02, up + 0.02))
    return mirrored([post, arm])


# -- Table --------------------------------------------------------------------------------------------------


def table(rng: np.random.Generator) -> Mesh:
    """Rectangular or oval top, on four legs or on one."""
    x, y, height = rng.uniform(0.5, 0.8), rng.uniform(0.35, 0.45), rng.uniform(0.65, 0.8)
    turn, thick = parts.yaw(rng), rng.uniform(0.03, 0.06)
    if rng.integers(2):
        top = disc((0, 0, height - thick), 1, thick, sections=24)
        top = parts.solid(top.vertices * (x, y + 0.1, 1), top.faces)
        legs = (
            _pedestal(rng, height - thick) if rng.integers(2) else _table_legs(rng, 0.62 * x, 0.62 * y, height - thick)
        )
    else:
        top = block((-x, x), (-y, y), (height - thick, height))
        legs = _table_legs(rng, x - 0.08, y - 0.08, height - thick)
    return joined([top, *legs], turn)


def _pedestal(rng: np.random.Generator, top: float) -> list[Mesh]:
    """One turned column on a round foot."""
    column, foot = rng.uniform(0.04, 0.07), rng.uniform(0.22, 0.32)
    profile = [(0, 0), (foot, 0), (foot, 0.03), (1.3 * column, 0.09), (column, 0.4 * top), (1.6 * column, top)]
    return [lathe(profile)]


def _table_legs(rng: np.random.Generator, x: float, y: float, top: float) -> list[Mesh]:
    """Four legs, straight or tapering; often with an apron or a shelf between them."""
    thick, taper, splay = rng.uniform(0.03, 0.045), rng.choice([1, 0.6]), rng.choice([0, 0.06])
    sections = rng.choice([4, 10])
    legs = [rod((x, v, top), (x + splay, v * (1 + splay), 0), thick, taper * thick, sections) for v in (-y, y)]
    extra = rng.integers(3)
    if extra == 0:
        return mirrored(legs)
    z = (top - 0.1, top - 0.001) if extra == 1 else (0.15, 0.18)
    return [*mirrored(legs), block((-x, x), (-y, y), z)]
