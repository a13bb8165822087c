"""Four appliances on one body, two fronts by two rears: neither view alone tells them apart.

                hoses at the rear   vent at the rear
porthole        washing machine     dryer
plain door      dishwasher          oven
"""

from collections.abc import Callable
from typing import NamedTuple, Self

import numpy as np

from greedymm.data.synthetic.cad import parts
from greedymm.data.synthetic.cad.parts import (
    Mesh,
    bezier,
    block,
    disc,
    joined,
    lathe,
    on_front,
    on_rear,
    panel,
    rod,
    tube,
)

OVERHANG = 0.09  # of worktop and plinth: nothing on a wall may stand out as far, or it would show from the other side


class Body(NamedTuple):
    """Case under a worktop, on a plinth."""

    width: float
    depth: float
    height: float
    plinth: float
    worktop: float
    yaw: float

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> Self:
        return cls(
            width=rng.uniform(0.54, 0.68),
            depth=rng.uniform(0.36, 0.5),
            height=rng.uniform(0.78, 0.95),
            plinth=rng.uniform(0.05, 0.1),
            worktop=rng.uniform(0.03, 0.06),
            yaw=parts.yaw(rng),
        )

    @property
    def ceiling(self) -> float:
        """Height of the wall's upper end."""
        return self.height - self.worktop

    def build(self) -> list[Mesh]:
        x, deep = self.width / 2, self.depth / 2 + OVERHANG
        return [
            block((-x, x), (-self.depth / 2, self.depth / 2), (self.plinth / 2, self.height - self.worktop / 2)),
            block((-x - 0.015, x + 0.015), (-deep, deep), (self.ceiling, self.height)),
            block((-x - 0.01, x + 0.01), (-deep, deep), (0, self.plinth)),
        ]


Feature = Callable[[np.random.Generator, Body], list[Mesh]]

# -- Fronts and rears, drawn flat ---------------------------------------------------------------------------


def porthole_front(rng: np.random.Generator, body: Body) -> list[Mesh]:
    """Round door below a row of controls."""
    room = body.ceiling - body.plinth
    radius = rng.uniform(0.27, 0.33) * min(room, body.width)
    middle = (rng.uniform(-0.03, 0.03), body.plinth + rng.uniform(0.38, 0.42) * room, 0)
    return [*_porthole(rng, middle, radius), *_controls(rng, body)]


def _porthole(rng: np.random.Generator, middle: parts.Point, radius: float) -> list[Mesh]:
    """Raised rim around a glass, which is a dome or a bowl."""
    glass = radius * rng.uniform(0.6, 0.72)
    bulge = rng.choice([0.012, 0.055])
    rim = [(0, 0), (radius, 0), (radius * 0.96, 0.045), ((radius + glass) / 2, 0.07), (glass, 0.05)]
    dome = [(0.8 * glass, 0.05 + 0.3 * (bulge - 0.05)), (0.45 * glass, bulge), (0, bulge)]
    return [lathe([*rim, *dome], middle, sections=24)]


def _controls(rng: np.random.Generator, body: Body) -> list[Mesh]:
    """Drawer for the powder on one side, a large knob on the other."""
    side, up = rng.choice([-1, 1]), body.ceiling - 0.085
    x, half = body.width / 2, rng.uniform(0.07, 0.1)
    drawer = side * (x - half - 0.03)
    return [
        panel((drawer - half, drawer + half), (up - 0.045, up + 0.045), 0.04, 0.02),
        disc((-side * rng.uniform(0.3, 0.7) * x, up, 0), rng.uniform(0.04, 0.052), 0.05, 0.015),
    ]


def door_front(rng: np.random.Generator, body: Body) -> list[Mesh]:
    """Plain door with a long handle, below a panel with a few buttons."""
    x = body.width / 2 - 0.02
    top = body.ceiling - rng.uniform(0.13, 0.17)
    half = x * rng.uniform(0.6, 0.85)
    handle = top - rng.uniform(0.07, 0.12)
    door = panel((-x, x), (body.plinth + 0.02, top), 0.035, 0.025)
    grips = [block((u - 0.015, u + 0.015), (handle - 0.012, handle + 0.012), (0.03, 0.06)) for u in (-half, half)]
    bar = rod((-half - 0.02, handle, 0.065), (half + 0.02, handle, 0.065), rng.uniform(0.018, 0.022))
    return [door, *grips, bar, *_buttons(rng, x, (top + body.ceiling) / 2)]


def _buttons(rng: np.random.Generator, x: float, up: float) -> list[Mesh]:
    count = rng.integers(2, 5)
    first = rng.choice([-0.85, 0.1]) * x
    positions = first + 0.75 * x * np.arange(count) / (count - 1)
    return [panel((u - 0.028, u + 0.028), (up - 0.03, up + 0.03), 0.035, 0.015) for u in positions]


def hoses(rng: np.random.Generator, body: Body) -> list[Mesh]:
    """Two or three water hoses, from their taps down to the floor."""
    count = rng.integers(2, 4)
    positions = np.linspace(-0.62, 0.62, count) * body.width / 2 + rng.uniform(-0.03, 0.03, size=count)
    return [part for position in positions for part in _hose(rng, body, position)]


def _hose(rng: np.random.Generator, body: Body, position: float) -> list[Mesh]:
    radius = rng.uniform(0.02, 0.025)
    out = 0.04
    top, low = body.ceiling - rng.uniform(0.1, 0.22), body.plinth - 0.02
    swing = rng.uniform(0.06, 0.14) * rng.choice([-1, 1])
    middle = (top + low) / 2
    limit = body.width / 2 - 0.06
    xs = np.clip([position, position + swing, position - swing, position + rng.uniform(-0.04, 0.04)], -limit, limit)
    path = bezier([(x, y, out) for x, y in zip(xs, (top, middle, middle, low), strict=True)], 12)
    return [tube(path, radius), disc((position, top, 0), 1.8 * radius, 0.065, 0.01, sections=12)]


def vent(rng: np.random.Generator, body: Body) -> list[Mesh]:
    """Louvers in a frame, high or low."""
    count = rng.integers(3, 6)
    half, pitch = body.width * rng.uniform(0.18, 0.28), rng.uniform(0.05, 0.06)
    lowest, highest = body.plinth + 0.07, body.ceiling - 0.07 - count * pitch
    low = rng.uniform(lowest, highest)
    x = rng.uniform(-1, 1) * (body.width / 2 - half - 0.04)
    slats = [_louvre(x, half, low + k * pitch, pitch) for k in range(count)]
    frame = panel((x - half - 0.03, x + half + 0.03), (low - 0.03, low + count * pitch + 0.02), 0.02, 0.01)
    return [frame, *slats]


def _louvre(x: float, half: float, low: float, pitch: float) -> Mesh:
    """Slat that leans out at its lower end: bright from above, dark below."""
    sides = (x - half, x + half)
    return parts.loft((sides, (low, low + 0.9 * pitch)), (sides, (low, low + 0.2 * pitch)), (0.015, 0.06))


# -- Classes ------------------------------------------------------------------------------------------------


def washing_machine(rng: np.random.Generator) -> Mesh:
    """Porthole, and hoses at the rear."""
    return _appliance(rng, porthole_front, hoses)


def dryer(rng: np.random.Generator) -> Mesh:
    """Porthole, and a vent at the rear."""
    return _appliance(rng, porthole_front, vent)


def dishwasher(rng: np.random.Generator) -> Mesh:
    """Plain door, and hoses at the rear."""
    return _appliance(rng, door_front, hoses)


def oven(rng: np.random.Generator) -> Mesh:
    """Plain door, and a vent at the rear."""
    return _appliance(rng, door_front, vent)


def _appliance(rng: np.random.Generator, front: Feature, rear: Feature) -> Mesh:
    of_body, of_front, of_rear = parts.streams(rng, 3)
    body = Body.drawn(of_body)
    wall = body.depth / 2
    front_parts = on_front(front(of_front, body), -wall)
    return joined([*body.build(), *front_parts, *on_rear(rear(of_rear, body), wall)], body.yaw)
