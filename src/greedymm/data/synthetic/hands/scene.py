"""What is behind the hand: scenery that drifts past, lights, and the person's head and shoulders."""

# (H, W) pixels of the picture, (h, w) of a part of it; T frames.

from dataclasses import dataclass

import numpy as np
from PIL import Image

from greedymm.data.synthetic.hands.draws import Curve, Floats, streams, wander
from greedymm.data.synthetic.hands.subject import Subject

Part = tuple[slice, slice]
FLOATERS = 6
# How bright scenery and person are beside the hand, which is nearer to the lamp at the camera.
SCENERY, PERSON = np.float32(0.25), np.float32(0.35)


@dataclass(frozen=True)
class Grid:
    """Pixels of a picture, in heights of the picture from its middle."""

    height: int
    width: int

    @property
    def xy(self) -> tuple[Floats, Floats]:
        """Positions of its pixels, rightwards (1, W) and downwards (H, 1)."""
        x = (np.arange(self.width, dtype=np.float32) + 0.5 - self.width / 2) / self.height
        y = (np.arange(self.height, dtype=np.float32) + 0.5 - self.height / 2) / self.height
        return x[None, :].astype(np.float32), y[:, None].astype(np.float32)

    def part(self, low: Curve, high: Curve) -> Part:
        """Rows and columns between two corners, each (x, y); empty if they are outside the picture."""
        middle, sides = np.array([self.width, self.height]) / 2, (self.width, self.height)
        first, last = (
            np.clip(np.rint(c * self.height + middle).astype(int), 0, sides) for c in (low - 0.02, high + 0.02)
        )
        return slice(first[1], last[1]), slice(first[0], last[0])

    def cover(self, distance: Floats) -> Floats:
        """Share of each pixel that lies within a shape, from signed distances in heights of the picture."""
        return np.asarray(np.clip(0.5 - distance * np.float32(self.height), 0, 1))


def paint(picture: Floats, cover: Floats, color: Floats) -> None:
    """Lay a color over (a part of) a picture, in place."""
    picture += cover[..., None] * (color - picture)


class Scenery:
    """A cluttered strip that scrolls, and floating blobs, boxes and lights before it."""

    def __init__(self, rng: np.random.Generator, grid: Grid, frames: int) -> None:
        texture, scroll, floaters = streams(rng, 3)
        self.grid = grid
        self.strip = _strip(texture, grid)
        self.scroll = _scroll(scroll, frames, np.array(self.strip.shape[:2]) - (grid.height, grid.width))
        self.floaters = [_Floater(floaters, frames) for _ in range(FLOATERS)]

    def seen(self, frame: int) -> Floats:
        """Picture of one frame: (H, W, 3)."""
        down, right = self.scroll[frame]
        picture = self.strip[down : down + self.grid.height, right : right + self.grid.width].copy()
        for floater in self.floaters:
            floater.onto(picture, self.grid, frame)
        return np.asarray(SCENERY * picture)


def _strip(rng: np.random.Generator, grid: Grid) -> Floats:
    """Blurred clouds of color, with boxes and stripes on them, larger than the picture."""
    rows, columns = round(1.3 * grid.height), round(1.8 * grid.width)
    strip = _clouds(rng, rows, columns, 5) * 0.7 + _clouds(rng, rows, columns, 24) * 0.3
    for _ in range(26):
        top, left = rng.integers(0, [rows, columns])
        tall, wide = (rng.uniform(0.05, 0.35, 2) * grid.height).astype(int) + 1
        box = strip[top : top + tall, left : left + wide]
        box += rng.uniform(0.5, 1) * (rng.uniform(0, 255, 3).astype(np.float32) - box)
        box[:: rng.integers(2, 9)] *= rng.uniform(0.7, 1)
    gray = strip.mean(axis=2, keepdims=True)
    strip -= np.float32(rng.uniform(0.3, 0.8)) * (strip - gray)
    return strip


def _clouds(rng: np.random.Generator, rows: int, columns: int, cells: int) -> Floats:
    coarse = rng.integers(0, 256, (cells, 2 * cells, 3), dtype=np.uint8)
    fine = Image.fromarray(coarse).resize((columns, rows), Image.Resampling.BICUBIC)
    return np.asarray(fine, dtype=np.float32)


def _scroll(rng: np.random.Generator, frames: int, room: Curve) -> Curve:
    """Upper left corner of what is seen of the strip: (T, 2), rows and columns."""
    ends = rng.uniform(0, 1, (2, 2))
    t = np.linspace(0, 1, frames)[:, None]
    course = ends[0] * (1 - t) + ends[1] * t + 0.04 * wander(rng, frames, 2)
    return np.asarray(np.rint(np.clip(course, 0, 1) * room).astype(int))


class _Floater:
    """A blob, a box or a light on its way."""

    def __init__(self, rng: np.random.Generator, frames: int) -> None:
        low, high = np.sort(rng.uniform(0.02, 0.11, 2))
        self.half = np.array([[low, high], [high, low], [low, low]][rng.integers(3)])
        self.round = bool(rng.integers(2))
        self.opacity = np.float32(rng.uniform(0.5, 1))
        self.color = rng.uniform(0, 255, 3).astype(np.float32)
        start, way = rng.uniform([-0.7, -0.5], [0.7, 0.5]), rng.normal(0, 0.35, 2)
        self.position = start + np.outer(np.linspace(0, 1, frames), way) + 0.05 * wander(rng, frames, 2)

    def onto(self, picture: Floats, grid: Grid, frame: int) -> None:
        position = self.position[frame]
        rows, columns = grid.part(position - self.half, position + self.half)
        x, y = grid.xy
        across, along = (x[:, columns] - position[0]) / self.half[0], (y[rows] - position[1]) / self.half[1]
        far = np.hypot(across, along) if self.round else np.maximum(abs(across), abs(along))
        cover = grid.cover(((far - 1) * self.half.min()).astype(np.float32))
        paint(picture[rows, columns], self.opacity * cover, self.color)


@dataclass(frozen=True)
class Body:
    """Head and shoulders, on a canvas with a margin that lets them sway."""

    color: Floats  # (H + 2 margin, W + 2 margin, 3)
    cover: Floats  # (H + 2 margin, W + 2 margin)
    distance: Floats  # the same shape, meters
    sway: Curve  # (T, 2), upper left corner of what is seen

    def seen(self, frame: int, height: int, width: int) -> tuple[Floats, Floats, Floats]:
        """Color, cover and distance in one frame."""
        down, right = self.sway[frame]
        part = (slice(down, down + height), slice(right, right + width))
        return self.color[part], self.cover[part], self.distance[part]


def body(rng: np.random.Generator, subject: Subject, grid: Grid, frames: int) -> Body:
    """The person behind the hand, in the seat of one clip."""
    margin = max(1, grid.height // 16)
    canvas = Grid(grid.height + 2 * margin, grid.width + 2 * margin)
    scale = np.float32(canvas.height / grid.height)  # of the canvas's unit of length to that of the picture
    x, y = (w * scale - shift for w, shift in zip(canvas.xy, _seat(rng), strict=True))
    build = subject.build
    hair = (np.hypot(x / (0.125 * build), (y + 0.25) / (0.17 * build)) - 1) * 0.12
    face = (np.hypot(x / (0.1 * build), (y + 0.2) / (0.14 * build)) - 1) * 0.1
    trunk = (np.hypot(x / (0.36 * build), (y - 0.52) / 0.5) - 1) * 0.36
    color = np.zeros((canvas.height, canvas.width, 3), dtype=np.float32)
    paint(color, grid.cover(hair), np.array(subject.hair, dtype=np.float32))
    paint(color, grid.cover(face), 0.9 * np.array(subject.skin, dtype=np.float32))
    paint(color, grid.cover(trunk), subject.clothed(x + 0 * y, y + 0 * x) * 0.85)
    cover = grid.cover(np.minimum(np.minimum(hair, face), trunk))
    distance = rng.uniform(0.86, 1.02) + 0.25 * np.hypot(x, y - 0.1)
    sway = np.rint(margin * (1 + 0.8 * np.clip(wander(rng, frames, 2), -1, 1))).astype(int)
    return Body(PERSON * color, cover, distance.astype(np.float32), sway)


def _seat(rng: np.random.Generator) -> tuple[np.float32, np.float32]:
    return np.float32(rng.uniform(-0.22, 0.22)), np.float32(rng.uniform(-0.06, 0.06))
