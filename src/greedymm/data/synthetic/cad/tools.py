"""A tool that either view tells apart: a hammer."""

import numpy as np

from greedymm.data.synthetic.cad import parts
from greedymm.data.synthetic.cad.parts import Mesh, along_x, ball, block, disc, flipped, joined, rod, solid

LEAN = 35.0  # degrees that it leans to one side at most


def hammer(rng: np.random.Generator) -> Mesh:
    """Head at the top of an upright handle: for nails, round at one end, or alike at both ends."""
    length, turn, lean = rng.uniform(0.24, 0.34), parts.yaw(rng), rng.uniform(-LEAN, LEAN)
    thick, face, reach = rng.uniform(0.012, 0.016), rng.uniform(0.02, 0.028), rng.uniform(0.055, 0.075)
    behind = (_claw, _ball_end, _face)[rng.integers(3)]
    middle = block((-1.1 * thick, 1.1 * thick), (-0.9 * face, 0.9 * face), (-0.9 * face, 0.9 * face))
    head = [*_face(face, reach), *(flipped(part) for part in behind(face, reach)), middle]
    if rng.integers(2):
        head = [flipped(part) for part in head]
    placed = [parts.moved(part, (0, 0, length)) for part in head]
    return joined([_leaning(part, lean) for part in (*_grip(rng, length, thick), *placed)], turn)


def _grip(rng: np.random.Generator, length: float, thick: float) -> list[Mesh]:
    """Handle, with a thicker grip at its lower end; it comes out above the head."""
    grip, share = thick * rng.uniform(1.2, 1.6), rng.uniform(0.35, 0.5)
    return [
        rod((0, 0, 0.2 * length), (0, 0, length + 0.03), 1.1 * thick, 0.9 * thick, sections=10),
        rod((0, 0, 0), (0, 0, share * length), grip, 0.9 * grip, sections=10),
    ]


def _face(face: float, reach: float) -> list[Mesh]:
    """Neck and striking face, toward +x."""
    neck = along_x(disc((0, 0, 0), 0.75 * face, 0.8 * reach, sections=12))
    return [neck, along_x(disc((0, 0, 0.55 * reach), face, 0.45 * reach, 0.004, sections=12))]


def _claw(face: float, reach: float) -> list[Mesh]:
    """Two prongs that bend down."""
    path = parts.bezier(
        [(0, 0, 0.3 * face), (0.6 * reach, 0, 0.4 * face), (reach, 0, 0), (1.3 * reach, 0, -1.4 * face)], 7
    )
    prong = parts.tube(path, list(np.linspace(0.55 * face, 0.22 * face, 7)), sections=6)
    return [parts.moved(prong, (0, y, 0)) for y in (-0.5 * face, 0.5 * face)]


def _ball_end(face: float, reach: float) -> list[Mesh]:
    neck = along_x(disc((0, 0, 0), 0.6 * face, 0.75 * reach, sections=12))
    return [neck, ball((0.75 * reach, 0, 0), 0.95 * face)]


def _leaning(part: Mesh, degrees: float) -> Mesh:
    x, y, z = part.vertices.T
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return solid(np.column_stack([x * cos + z * sin, y, z * cos - x * sin]), part.faces)
