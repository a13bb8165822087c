"""Three cupboards on one body with a plain back, which only the front tells apart."""

from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple, Self

import numpy as np

from greedymm.data.synthetic.cad import parts
from greedymm.data.synthetic.cad.parts import Mesh, Span, block, box, disc, joined, mirrored, on_front, panel

OVERHANG = 0.08  # of a cupboard's top and base: nothing on its front may stand out as far, or it would show from behind
BOARD = 0.04  # thickness of a cupboard's walls and shelves


class Cupboard(NamedTuple):
    """Open case with a plain back, under a top, on a base."""

    width: float
    depth: float
    height: float
    base: float
    has_feet: bool
    yaw: float

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> Self:
        return cls(
            width=rng.uniform(0.85, 1.2),
            depth=rng.uniform(0.35, 0.5),
            height=rng.uniform(1.25, 1.75),
            base=rng.uniform(0.06, 0.14),
            has_feet=bool(rng.integers(2)),
            yaw=parts.yaw(rng),
        )

    @property
    def inside(self) -> tuple[Span, Span]:
        """Opening of the case: from side to side, from bottom to top."""
        x = self.width / 2 - BOARD
        return (-x, x), (self.base + BOARD, self.height - 2 * BOARD)

    def build(self) -> list[Mesh]:
        x, y, top = self.width / 2, self.depth / 2, self.height - BOARD
        deep = y + OVERHANG
        (left, right), (low, high) = self.inside
        return [
            block((-x, x), (y - BOARD, y), (self.base - 0.01, top + 0.01)),
            block((-x, left), (-y, y - BOARD / 2), (self.base - 0.01, top + 0.01)),
            block((right, x), (-y, y - BOARD / 2), (self.base - 0.01, top + 0.01)),
            block((left - 0.01, right + 0.01), (-y + 0.002, y - BOARD / 2), (high, top + 0.01)),
            block((-x - 0.03, x + 0.03), (-deep, deep), (top, self.height)),
            block((-x - 0.02, x + 0.02), (-deep, deep), (self.base, low)),
            *self._base(x, deep),
        ]

    def _base(self, x: float, deep: float) -> list[Mesh]:
        if not self.has_feet:
            return [block((-x, x), (-deep, deep), (0, self.base + 0.01))]
        feet = [(x - 0.08, y) for y in (-deep + 0.06, deep - 0.06)]
        return mirrored([box((u, v, self.base / 2), (0.12, 0.12, self.base + 0.01)) for u, v in feet])


def wardrobe(rng: np.random.Generator) -> Mesh:
    """Two tall doors with handles."""
    return _cupboard(rng, doors)


def bookcase(rng: np.random.Generator) -> Mesh:
    """Open shelves with books."""
    return _cupboard(rng, shelves)


def dresser(rng: np.random.Generator) -> Mesh:
    """Drawers with knobs."""
    return _cupboard(rng, drawers)


def _cupboard(rng: np.random.Generator, front: Callable[[np.random.Generator, Cupboard], list[Mesh]]) -> Mesh:
    of_body, of_front = parts.streams(rng, 2)
    body = Cupboard.drawn(of_body)
    return joined([*body.build(), *on_front(front(of_front, body), -body.depth / 2)], body.yaw)


def doors(rng: np.random.Generator, body: Cupboard) -> list[Mesh]:
    """Two tall doors with one or two fields each, and upright handles where they meet."""
    (_, right), (low, high) = body.inside
    edge, field = right + 0.02, rng.uniform(0.09, 0.12)
    top, bottom = high + 0.02, low + 0.01
    split = rng.choice([0, rng.uniform(0.3, 0.65)])
    ends = [bottom, bottom + split * (top - bottom), top] if split else [bottom, top]
    length, middle = rng.uniform(0.25, 0.5), bottom + rng.uniform(0.4, 0.6) * (top - bottom)
    door = panel((0.012, edge), (bottom, top), 0.03, 0.012, base=-0.02)
    fields = [panel((field, edge - 0.06), (a + 0.06, b - 0.06), 0.03, 0.028, base=0.01) for a, b in pairwise(ends)]
    handle = panel((0.03, 0.075), (middle - length / 2, middle + length / 2), 0.06, 0.01, base=0.01)
    return mirrored([door, *fields, handle])


def drawers(rng: np.random.Generator, body: Cupboard) -> list[Mesh]:
    """Rows of drawers with knobs."""
    (left, right), (low, high) = body.inside
    rows, columns = rng.integers(3, 6), rng.integers(1, 3)
    across = np.linspace(left - 0.02, right + 0.02, columns + 1)
    up = np.linspace(low + 0.01, high + 0.02, rows + 1)
    knobs = int(rng.integers(1, 3)) if columns == 1 else 1
    radius = rng.uniform(0.04, 0.05)
    return [part for x in pairwise(across) for y in pairwise(up) for part in _drawer(x, y, knobs, radius)]


def _drawer(x: Span, y: Span, knobs: int, radius: float) -> list[Mesh]:
    front = panel((x[0] + 0.012, x[1] - 0.012), (y[0] + 0.012, y[1] - 0.012), 0.05, 0.035, base=-0.02)
    positions = x[0] + (x[1] - x[0]) * (np.arange(knobs) + 0.5) / knobs
    return [front, *(disc((u, sum(y) / 2, 0.02), radius, 0.05, 0.02, sections=12) for u in positions)]


def shelves(rng: np.random.Generator, body: Cupboard) -> list[Mesh]:
    """Open shelves, with books on them."""
    (left, right), (low, high) = body.inside
    rows = rng.integers(3, 6)
    up = np.linspace(low, high, rows + 1)
    boards = [block((left - 0.01, right + 0.01), (v - BOARD, v), (BOARD / 2 - body.depth, -0.004)) for v in up[1:-1]]
    rooms = zip(up, up[1:] - BOARD, strict=False)
    return [*boards, *(book for room in rooms for book in _books(rng, (left, right), room, body.depth))]


def _books(rng: np.random.Generator, x: Span, room: Span, depth: float) -> list[Mesh]:
    """Some books side by side, from the left or the right end of one shelf."""
    count = rng.integers(2, 7)
    widths = rng.uniform(0.05, 0.1, size=count)
    heights = (room[1] - room[0]) * rng.uniform(0.6, 0.92, size=count)
    ends = x[0] + 0.01 + np.cumsum(widths)
    side = rng.choice([-1, 1])
    kept = ends < x[1]
    return [
        block(
            _ordered(side * (end - width), side * (end - 0.008)),
            (room[0] - 0.004, room[0] + height),
            (0.1 - depth, out),
        )
        for end, width, height, out in zip(
            ends[kept], widths[kept], heights[kept], rng.uniform(-0.1, -0.03, size=kept.sum()), strict=True
        )
    ]


def _ordered(a: float, b: float) -> Span:
    return (a, b) if a < b else (b, a)
