"""A car; and three vans on one body, which only the rear tells apart."""

from collections.abc import Callable
from typing import NamedTuple, Self

import numpy as np

from greedymm.data.synthetic.cad import parts
from greedymm.data.synthetic.cad.parts import (
    Mesh,
    block,
    box,
    disc,
    frame,
    joined,
    loft,
    mirrored,
    on_front,
    on_rear,
    panel,
    rod,
)

OVERHANG = 0.28  # of the rear bumper: nothing on the rear may stand out as far, or it would show from the front


def wheel(x: float, y: float, radius: float, width: float) -> Mesh:
    """Wheel on the right-hand side, with its outer side at `x`."""
    profile = [(0, 0), (radius, 0), (radius, 0.85 * width), (0.8 * radius, width), (0.6 * radius, 0.8 * width)]
    tire = parts.lathe([*profile, (0, 0.8 * width)])
    return parts.along_x(tire, (x - width, y, radius))


# -- Vans ---------------------------------------------------------------------------------------------------


class Van(NamedTuple):
    """Boxy van with a short hood and a bumper at the rear."""

    width: float
    length: float
    height: float
    floor: float
    hood: float
    headlight: float
    has_rack: bool
    yaw: float

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> Self:
        return cls(
            width=rng.uniform(1.75, 2.05),
            length=rng.uniform(2.5, 3.1),
            height=rng.uniform(1.95, 2.3),
            floor=rng.uniform(0.32, 0.42),
            hood=rng.uniform(0.25, 0.5),
            headlight=rng.uniform(0.12, 0.17),
            has_rack=bool(rng.integers(2)),
            yaw=parts.yaw(rng),
        )

    @property
    def rear(self) -> float:
        """Where along y the rear wall is."""
        return self.length / 2

    @property
    def waist(self) -> float:
        """Height at which the windows begin."""
        return 0.52 * self.height

    def build(self) -> list[Mesh]:
        x, y = self.width / 2, self.length / 2
        cab, sides = -y + self.hood, (-x, x)
        inner = (-x + 0.06, x - 0.06)
        return [
            block(sides, (-y, y), (self.floor, 0.82 * self.waist)),
            loft((sides, (-y, y)), (sides, (cab, y)), (0.82 * self.waist, self.waist)),
            loft((sides, (cab, y)), (inner, (cab + 0.35, y)), (self.waist, self.height)),
            block(sides, (y - 0.2, y), (self.waist, self.height)),
            block((-x - 0.02, x + 0.02), (y - 0.02, y + OVERHANG), (self.floor - 0.05, self.floor + 0.17)),
            block((-x - 0.02, x + 0.02), (-y - 0.12, -y + 0.02), (self.floor - 0.05, self.floor + 0.17)),
            *self._wheels_and_mirrors(x, y, cab),
            *on_front(self._face(x), -y),
            *self._windscreen(x, cab),
            *self._roof(x, y, cab),
        ]

    def _wheels_and_mirrors(self, x: float, y: float, cab: float) -> list[Mesh]:
        radius = self.floor + 0.03
        wheels = [wheel(x + 0.05, v, radius, 0.25) for v in (-y + 1.5 * radius, y - 1.5 * radius)]
        return mirrored([*wheels, box((x + 0.08, cab + 0.1, self.waist + 0.16), (0.22, 0.08, 0.24))])

    def _face(self, x: float) -> list[Mesh]:
        """Headlights and grille."""
        up, grille = (self.floor + 0.17 + 0.82 * self.waist) / 2, x - 2 * self.headlight - 0.12
        lights = mirrored([disc((x - self.headlight - 0.05, up, 0), self.headlight, 0.08, 0.04)])
        bars = [panel((-grille, grille), (up + v - 0.05, up + v + 0.05), 0.08, 0.04) for v in (-0.1, 0.1)]
        return [*lights, *bars]

    def _windscreen(self, x: float, cab: float) -> list[Mesh]:
        lean = 0.35 / (self.height - self.waist)
        glass = frame((-x + 0.07, x - 0.07), (self.waist + 0.02, self.height - 0.03), 0.1, 0.08, 0.06)
        return on_front([glass], cab - lean * self.waist, lean)

    def _roof(self, x: float, y: float, cab: float) -> list[Mesh]:
        if not self.has_rack:
            return [box((0, 0.3 * y, self.height + 0.05), (1.1 * x, 0.7 * y, 0.14))]
        positions = np.linspace(cab + 0.55, y - 0.2, 4)
        return [box((0, v, self.height + 0.04), (2 * x - 0.3, 0.14, 0.12)) for v in positions]


def delivery_van(rng: np.random.Generator) -> Mesh:
    """Double doors with windows at the rear."""
    return _van(rng, rear_doors)


def camper_van(rng: np.random.Generator) -> Mesh:
    """Spare wheel on the rear."""
    return _van(rng, spare_wheel)


def ladder_van(rng: np.random.Generator) -> Mesh:
    """Ladder on the rear."""
    return _van(rng, ladder)


def _van(rng: np.random.Generator, rear: Callable[[np.random.Generator, Van], list[Mesh]]) -> Mesh:
    of_body, of_rear = parts.streams(rng, 2)
    van = Van.drawn(of_body)
    return joined([*van.build(), *on_rear(rear(of_rear, van), van.rear)], van.yaw)


def rear_doors(rng: np.random.Generator, van: Van) -> list[Mesh]:
    """Two doors with upright handles, most of them with windows."""
    x, low, high = van.width / 2 - rng.uniform(0.08, 0.24), van.floor + 0.24, van.height - rng.uniform(0.08, 0.2)
    sill, length = van.waist + rng.uniform(-0.1, 0.2), rng.uniform(0.3, 0.5)
    door = panel((0.03, x), (low, high), 0.08, 0.05)
    handle = panel((0.07, 0.17), (sill - 0.1 - length, sill - 0.1), 0.12, 0.03, base=0.05)
    if parts.chance(rng, 0.25):
        return mirrored([door, handle])
    window = frame((0.14, x - 0.1), (sill, high - 0.1), 0.07, 0.04, 0.06, base=0.07)
    return mirrored([door, handle, window])


def spare_wheel(rng: np.random.Generator, van: Van) -> list[Mesh]:
    """Wheel on the rear, anywhere between the floor and the roof."""
    radius, out = rng.uniform(0.34, 0.44), rng.uniform(0.2, 0.25)
    x = rng.uniform(-1, 1) * (van.width / 2 - radius - 0.12)
    up = rng.uniform(van.floor + 0.25 + radius, van.height - 0.25 - radius)
    tire = [(0, 0), (0.92 * radius, 0), (radius, 0.3 * out), (radius, 0.7 * out), (0.85 * radius, out)]
    rim = [
        (0.6 * radius, 0.85 * out),
        (0.5 * radius, 0.45 * out),
        (0.2 * radius, 0.45 * out),
        (0.16 * radius, 0.7 * out),
    ]
    return [parts.lathe([*tire, *rim, (0, 0.7 * out)], (x, up, 0), sections=20)]


def ladder(rng: np.random.Generator, van: Van) -> list[Mesh]:
    """Ladder up to the roof."""
    half, thick = rng.uniform(0.22, 0.32), rng.uniform(0.045, 0.055)
    x = rng.uniform(-1, 1) * (van.width / 2 - half - 0.15)
    low, high = van.floor + rng.uniform(0.25, 0.4), van.height - 0.12
    rungs = np.linspace(low, high, rng.integers(5, 8) + 1)[:-1] + 0.1
    rails = [rod((u, low, 0.15), (u, high, 0.15), thick) for u in (x - half, x + half)]
    return [*rails, *(rod((x - half, v, 0.15), (x + half, v, 0.15), thick) for v in rungs)]


# -- Car ----------------------------------------------------------------------------------------------------


def car(rng: np.random.Generator) -> Mesh:
    """Sedan: hood, cabin with inclined windows, trunk."""
    x, y, floor = rng.uniform(0.82, 0.95), rng.uniform(1.5, 1.85), rng.uniform(0.2, 0.3)
    waist, roof, turn = floor + rng.uniform(0.5, 0.6), rng.uniform(0.5, 0.65), parts.yaw(rng)
    sides, inner = (-x, x), (-x + 0.2, x - 0.2)
    hood, boot = -y + rng.uniform(0.9, 1.1), y - rng.uniform(0.55, 0.8)
    slope = rng.uniform(0.25, 0.4)
    body = [
        loft(((-x + 0.05, x - 0.05), (-y, y)), (sides, (-y, y)), (floor, waist - 0.2)),
        loft((sides, (-y, y)), ((-x + 0.08, x - 0.08), (-y + 0.15, y - 0.1)), (waist - 0.2, waist)),
        loft(((-x + 0.1, x - 0.1), (hood, boot)), (inner, (hood + slope, boot - slope)), (waist, waist + roof)),
        *_car_windows(x - 0.2, (hood, boot), (waist, waist + roof), slope / roof),
        *mirrored([box((x + 0.05, hood + 0.25, waist + 0.1), (0.2, 0.08, 0.14))]),
        *(block((-x, x), (v - 0.12, v + 0.12), (floor - 0.02, floor + 0.14)) for v in (-y, y)),
    ]
    return joined([*body, *_car_wheels(rng, x, y), *_car_lights(rng, x, y, waist - 0.3)], turn)


def _car_windows(x: float, y: parts.Span, z: parts.Span, lean: float) -> list[Mesh]:
    glass = [frame((-x, x), (z[0] + 0.02, z[1] - 0.02), 0.09, 0.06, 0.05)]
    return [*on_front(glass, y[0] - lean * z[0], lean), *on_rear(glass, y[1] + lean * z[0], -lean)]


def _car_wheels(rng: np.random.Generator, x: float, y: float) -> list[Mesh]:
    radius = rng.uniform(0.3, 0.36)
    return mirrored([wheel(x + 0.06, v, radius, 0.22) for v in (-0.62 * y, 0.62 * y)])


def _car_lights(rng: np.random.Generator, x: float, y: float, up: float) -> list[Mesh]:
    """Round or oblong headlights, a grille between them, oblong lights at the rear."""
    half = rng.uniform(0.1, 0.15)
    oblong = panel((x - 0.1 - 2 * half, x - 0.1), (up - 0.08, up + 0.08), 0.06, 0.04)
    head = disc((x - half - 0.08, up, 0), 0.12, 0.06, 0.03) if rng.integers(2) else oblong
    grille = panel((-0.35 * x, 0.35 * x), (up - 0.1, up + 0.06), 0.06, 0.04)
    return [*on_front([*mirrored([head]), grille], -y), *on_rear(mirrored([oblong]), y)]
