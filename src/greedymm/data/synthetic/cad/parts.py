"""Simple solids, the parts of the objects; in meters, z up, fronts face -y.

What hangs on a wall is drawn lying flat, (across, up, out of the wall), and put upright by `on_front` or `on_rear`.
"""

# V vertices; P points of a path; S sections of round solids.

from collections.abc import Iterable, Sequence
from functools import cache

import numpy as np
import numpy.typing as npt
import trimesh

Floats = npt.NDArray[np.float64]
Mesh = trimesh.Trimesh
Span = tuple[float, float]  # low and high end along one axis
Point = tuple[float, float, float]

YAW = 6.0  # degrees that an object is turned at most
SECTIONS = 16  # of round solids


def streams(rng: np.random.Generator, count: int) -> list[np.random.Generator]:
    """Generators that are independent: drawing from one does not change the others."""
    return [np.random.default_rng(seed) for seed in rng.integers(2**63, size=count)]


def yaw(rng: np.random.Generator) -> float:
    """Degrees by which to turn an object about the vertical."""
    return rng.uniform(-YAW, YAW)


def chance(rng: np.random.Generator, share: float) -> bool:
    """True for this share of the objects."""
    return rng.random() < share


# -- Solids -------------------------------------------------------------------------------------------------


def solid(vertices: npt.ArrayLike, faces: npt.ArrayLike) -> Mesh:
    """A mesh that keeps its vertices as they are, in their order."""
    return Mesh(vertices, faces, process=False)


def block(x: Span, y: Span, z: Span) -> Mesh:
    """Box between two ends along each axis."""
    return loft((x, y), (x, y), z)


def box(center: Point, extents: Point) -> Mesh:
    """Box around its center."""
    x, y, z = ((c - e / 2, c + e / 2) for c, e in zip(center, extents, strict=True))
    return block(x, y, z)


def loft(bottom: tuple[Span, Span], top: tuple[Span, Span], z: Span) -> Mesh:
    """Block with another rectangle at the top, given by its spans along x and y, than at the bottom."""
    corners, faces = _unit_cube()
    rectangles = np.array([bottom, top])  # (bottom or top, x or y, low or high)
    x, y = (rectangles[corners[:, 2], axis, corners[:, axis]] for axis in (0, 1))
    return solid(np.column_stack([x, y, np.array(z)[corners[:, 2]]]), faces)


@cache
def _unit_cube() -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Its corners, (8, 3), each 0 or 1, and its triangles, (12, 3)."""
    cube = trimesh.creation.box(bounds=[[0, 0, 0], [1, 1, 1]])
    return np.array(cube.vertices.round(), dtype=np.int64), np.array(cube.faces)


def panel(x: Span, y: Span, height: float, bevel: float, base: float = 0) -> Mesh:
    """Flat block with inclined sides, which the light shows on every wall."""
    top = ((x[0] + bevel, x[1] - bevel), (y[0] + bevel, y[1] - bevel))
    return loft((x, y), top, (base, base + height))


def frame(x: Span, y: Span, height: float, width: float, bevel: float, base: float = 0) -> Mesh:
    """Rectangular frame with inclined inner sides, which look deep."""
    rings = [_rectangle(x, y, *ring) for ring in ((0, 0), (0, height), (width, height), (width + bevel, 0))]
    return moved(solid(np.concatenate(rings), _sides(len(rings), 4)), (0, 0, base))


def _rectangle(x: Span, y: Span, inset: float, z: float) -> Floats:
    """Corners of a rectangle that lies flat at `z`, within another: (4, 3)."""
    (left, right), (low, high) = ((span[0] + inset, span[1] - inset) for span in (x, y))
    return np.array([(left, low, z), (right, low, z), (right, high, z), (left, high, z)])


def lathe(profile: Sequence[Span], at: Point = (0, 0, 0), sections: int = SECTIONS) -> Mesh:
    """Solid of revolution about a vertical axis through `at`, from (radius, height) pairs that run upwards."""
    return moved(trimesh.creation.revolve(profile, sections=sections), at)


def disc(at: Point, radius: float, height: float, bevel: float = 0, sections: int = SECTIONS) -> Mesh:
    """Round plate that stands on `at`, its upper edge cut off by the bevel."""
    profile = [(0, 0), (radius, 0), (radius, height - bevel), (radius - bevel, height), (0, height)]
    return lathe(profile if bevel else profile[:3] + profile[4:], at, sections)


def ball(center: Point, radius: float, flat: float = 1) -> Mesh:
    """Sphere, or with another `flat` than 1, an ellipsoid of that height in radii."""
    angles = np.linspace(-np.pi / 2, np.pi / 2, 9)
    profile = [(radius * c, radius * flat * s) for c, s in zip(np.cos(angles), np.sin(angles), strict=True)]
    profile[0], profile[-1] = (0, profile[0][1]), (0, profile[-1][1])
    return lathe(profile, center)


def ring(at: Point, radius: float, thickness: float) -> Mesh:
    """Torus that lies flat."""
    return moved(trimesh.creation.torus(radius, thickness, major_sections=20, minor_sections=8), at)


def rod(start: Point, end: Point, radius: float, end_radius: float | None = None, sections: int = 8) -> Mesh:
    """Round bar, which may taper."""
    return tube([start, end], [radius, radius if end_radius is None else end_radius], sections)


def tube(path: Sequence[Point] | Floats, radii: float | Sequence[float], sections: int = 8) -> Mesh:
    """Closed tube along a path in one plane, with one radius or one for each point."""
    points = np.asarray(path, dtype=float)  # (P, 3)
    along = np.gradient(points, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    aside = _across(points)
    beside = np.cross(along, aside)
    angles = 2 * np.pi * np.arange(sections) / sections
    circle = np.cos(angles)[:, None] * aside + np.sin(angles)[:, None] * beside[:, None]  # (P, S, 3)
    rings = points[:, None] + np.broadcast_to(radii, len(points))[:, None, None] * circle
    vertices = np.concatenate([rings.reshape(-1, 3), points[[0, -1]]])
    return solid(vertices, _tube_faces(len(points), sections))


def _across(points: Floats) -> Floats:
    """Unit vector across all of a path: the normal of its plane, or any one across a straight path."""
    chord = points[-1] - points[0]
    middle = points[len(points) // 2] - points[0]
    normal = np.cross(chord, middle)
    if np.linalg.norm(normal) < 1e-6 * chord @ chord:
        normal = np.cross(chord, np.eye(3)[np.abs(chord).argmin()])
    unit: Floats = normal / np.linalg.norm(normal)
    return unit


def _tube_faces(count: int, sections: int) -> npt.NDArray[np.int64]:
    """Triangles between `count` rings, and from the outer rings to the two points that follow them."""
    here, beyond = _around(sections)
    last = (count - 1) * sections
    first_cap = np.column_stack([beyond, here, np.full(sections, last + sections)])
    last_cap = np.column_stack([last + here, last + beyond, np.full(sections, last + sections + 1)])
    return np.concatenate([_sides(count, sections), first_cap, last_cap])


def _sides(count: int, sections: int) -> npt.NDArray[np.int64]:
    """Triangles between `count` rings, each of `sections` vertices."""
    here, beyond = _around(sections)
    lower = np.column_stack([here, beyond, here + sections])
    upper = np.column_stack([beyond, beyond + sections, here + sections])
    return np.concatenate([half + k * sections for k in range(count - 1) for half in (lower, upper)])


def _around(sections: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Vertices of a ring, and the one after each."""
    here = np.arange(sections)
    return here, (here + 1) % sections


def bezier(controls: Sequence[Point], count: int) -> Floats:
    """Points of a cubic curve with four control points: (count, 3)."""
    t = np.linspace(0, 1, count)[:, None]
    weights = np.hstack([(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3])
    curve: Floats = weights @ np.array(controls)
    return curve


# -- Positions -------------------------------------------------------------------------------------------------


def moved(mesh: Mesh, by: Point) -> Mesh:
    """The same mesh elsewhere."""
    return solid(mesh.vertices + np.array(by), mesh.faces)


def on_front(parts: Iterable[Mesh], y: float, lean: float = 0) -> list[Mesh]:
    """Parts drawn flat, upright on a wall that faces -y: at `y` where z is 0, and `lean` toward +y per height."""
    return [_upright(part, 1, y, lean) for part in parts]


def on_rear(parts: Iterable[Mesh], y: float, lean: float = 0) -> list[Mesh]:
    """Parts drawn flat, upright on a wall that faces +y: at `y` where z is 0, and `lean` toward +y per height."""
    return [_upright(part, -1, y, lean) for part in parts]


def _upright(part: Mesh, side: int, y: float, lean: float) -> Mesh:
    across, up, out = part.vertices.T
    return solid(np.column_stack([side * across, y - side * out + lean * up, up]), part.faces)


def along_x(part: Mesh, at: Point = (0, 0, 0)) -> Mesh:
    """A part that points up, turned to point to +x from `at`."""
    x, y, z = part.vertices.T
    return moved(solid(np.column_stack([z, x, y]), part.faces), at)


def mirrored(parts: Iterable[Mesh]) -> list[Mesh]:
    """Parts, and the same on the other side of x = 0."""
    return [half for part in parts for half in (part, flipped(part))]


def flipped(part: Mesh) -> Mesh:
    """The same on the other side of x = 0; what was outside stays outside."""
    return solid(part.vertices * (-1, 1, 1), part.faces[:, ::-1])


def joined(parts: Sequence[Mesh], yaw: float) -> Mesh:
    """One object of all its parts, turned about the vertical by `yaw` degrees.

    The vertices keep the order of the parts, and each is turned by itself: those of a body that several classes share
    come out with the same bytes, whatever follows them.
    """
    vertices = np.concatenate([part.vertices for part in parts])
    starts = np.cumsum([0, *(len(part.vertices) for part in parts[:-1])])
    faces = np.concatenate([part.faces + start for part, start in zip(parts, starts, strict=True)])
    return solid(_turned(vertices, yaw), faces)


def _turned(vertices: Floats, degrees: float) -> Floats:
    x, y, z = vertices.T
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.column_stack([x * cos - y * sin, x * sin + y * cos, z])
