"""The depth camera: coarse cells, blind to thin objects, with noise and dropouts.

Depth is gray: near is bright, from 255 at `NEAR` meters to 1 at `FAR`. 0 is invalid: edges, thin objects, dropouts and
everything out of range.
"""

# (T, H, W) frames and pixels; (T, R, C) frames, rows and columns of cells.

import numpy as np

from greedymm.data.synthetic.hands.draws import Bytes, Floats, wander
from greedymm.data.synthetic.hands.limb import Limb
from greedymm.data.synthetic.hands.scene import Body, Grid

NEAR, FAR = 0.3, 1.0  # meters between which it measures
CELLS = 24  # rows of its cells, whatever the size of the picture
ELBOW = 0.85  # meters from the camera
NOTHING = 9.0  # meters where there is nothing to measure: out of range
SOLID, EMPTY = 0.6, 0.15  # shares of a cell: above the one it is measured, below the other it shows what is behind


def measured(rng: np.random.Generator, limbs: list[Limb], person: Body, grid: Grid) -> Bytes:
    """Depth of all frames: (T, H, W)."""
    cell = max(1, round(grid.height / CELLS))
    thin = rng.uniform(0.2, 0.5)  # what a finger counts, of what the palm counts
    covers, distances = _nearer(limbs, grid, thin)
    behind = [person.seen(t, grid.height, grid.width)[1:] for t in range(len(limbs))]
    cover, distance = _cells(covers, cell), _cells(distances, cell)
    cover += rng.normal(0, 0.06, cover.shape)
    back = _cells(np.stack([cover for cover, _ in behind]), cell)
    farther = np.where(back > SOLID, _cells(np.stack([far for _, far in behind]), cell), NOTHING)
    meters = np.where(cover > SOLID, distance, np.where(cover < EMPTY, farther, NOTHING))
    return _gray(rng, _noisy(rng, meters), cell, grid)


def _nearer(limbs: list[Limb], grid: Grid, thin: float) -> tuple[Floats, Floats]:
    """Measurable share of the limb in each pixel, and meters to it: (T, H, W) each."""
    covers = np.zeros((len(limbs), grid.height, grid.width), dtype=np.float32)
    distances = np.zeros_like(covers)
    for t, seen in enumerate(limbs):
        hand, arm = seen.hand, seen.arm
        distances[t] = seen.distance
        distances[t][arm.part] += arm.share * np.float32(ELBOW - seen.distance)
        covers[t][hand.part] = hand.palm + np.float32(thin) * (hand.whole - hand.palm)
        covers[t][arm.part] = np.maximum(covers[t][arm.part], np.maximum(arm.bare, arm.sleeve))
    return covers, distances


def _cells(values: Floats, cell: int) -> Floats:
    """Means over cells; those at the right and at the bottom may hang over the edge: (T, R, C)."""
    frames, height, width = values.shape
    padded = np.pad(values, ((0, 0), (0, -height % cell), (0, -width % cell)), mode="edge")
    split = padded.reshape(frames, -(-height // cell), cell, -(-width // cell), cell)
    return np.asarray(split.mean(axis=(2, 4)))


def _noisy(rng: np.random.Generator, meters: Floats) -> Floats:
    """Noise that grows with the distance, a slow drift, and cells that drop out."""
    noise = rng.normal(0, rng.uniform(0.003, 0.007), meters.shape)
    drift = 0.006 * wander(rng, len(meters))[:, :, None]
    dropped = rng.random(meters.shape) < rng.uniform(0.01, 0.05)
    return np.where(dropped, NOTHING, meters + noise * (0.5 + meters**2) + drift)


def _gray(rng: np.random.Generator, meters: Floats, cell: int, grid: Grid) -> Bytes:
    """Bytes of each pixel, with noise of its own where it is valid."""
    valid = (meters >= NEAR) & (meters <= FAR)
    gray = np.where(valid, 1 + 254 * (FAR - np.where(valid, meters, FAR)) / (FAR - NEAR), 0).astype(np.float32)
    fine = gray.repeat(cell, axis=1).repeat(cell, axis=2)[:, : grid.height, : grid.width]
    fuzz = rng.integers(-2, 3, fine.shape, dtype=np.int8)
    return np.where(fine > 0, np.clip(fine + fuzz, 1, 255), 0).astype(np.uint8)
