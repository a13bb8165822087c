"""Random streams, and courses over time that start and stop softly."""

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Curve = npt.NDArray[np.float64]  # mostly a course over the frames of a clip


def streams(rng: np.random.Generator, count: int) -> list[np.random.Generator]:
    """Generators that are independent: drawing from one does not change the others."""
    return [np.random.default_rng(seed) for seed in rng.integers(2**63, size=count)]


def ease(x: npt.ArrayLike) -> Curve:
    """From 0 to 1 with a soft start and a soft stop."""
    x = np.clip(x, 0, 1)
    return np.asarray(x * x * (3 - 2 * x), dtype=np.float64)


def wander(rng: np.random.Generator, frames: int, columns: int = 1) -> Curve:
    """Slow random courses, mostly within -1 and 1: (frames, columns)."""
    cycles = np.array([0.4, 0.9, 1.7, 2.9])[:, None]  # in a clip
    weights = rng.uniform(0.4, 1, (4, columns)) / np.sqrt(cycles)
    phases = rng.uniform(0, 2 * np.pi, (4, columns))
    t = np.linspace(0, 1, frames)[:, None, None]
    return np.asarray((weights * np.sin(2 * np.pi * cycles * t + phases)).sum(axis=1) / 1.6)
