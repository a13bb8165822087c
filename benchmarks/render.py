"""What a view costs, by the faces of the mesh: python benchmarks/render.py [size]."""

import os
import sys
import time

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")  # before numpy is imported

import numpy as np
import trimesh

from greedymm.data.sources.renderer import VIEWS, render

ROUNDS = 5
FACES = {"2k": (31, 33), "50k": (157, 160), "500k": (500, 501)}  # as a torus of so many segments, twice each


def main(size: int) -> None:
    """Print milliseconds a view, and views a second on one core: the median of some rounds, and the range."""
    for name, (major, minor) in FACES.items():
        mesh = trimesh.creation.torus(2.0, 0.8, major_sections=major, minor_sections=minor)
        seconds = []
        for _ in range(ROUNDS):
            started = time.perf_counter()
            render(mesh.vertices, mesh.faces, size)
            seconds.append((time.perf_counter() - started) / VIEWS)
        middle = float(np.median(seconds))
        print(  # noqa: T201
            f"{name:>5} ({len(mesh.faces):7,} faces) at {size} x {size}: {1000 * middle:6.1f} ms a view"
            f" ({1000 * min(seconds):.1f} to {1000 * max(seconds):.1f}), {1 / middle:5.1f} views a second"
        )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 224)
