"""A mesh -> shaded pictures from a ring of cameras; on any CPU, without a display.

The views are those of the authors of MVCNN (Su et al., ICCV 2015) for ModelNet40: twelve, one every 30 degrees, from
30 degrees above, in gray on black. Each view is centered and scaled to fill its frame.
"""

# F faces; V vertices; P = (size * SUPERSAMPLING)^2 rays of one view.

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]
Bytes = npt.NDArray[np.uint8]

VIEWS = 12
NAMES = tuple(f"view{k}" for k in range(VIEWS))
FRONT_AND_REAR = (NAMES[0], NAMES[6])  # the modalities of Wu et al. 2022
FOUR_SIDES = (0, 3, 6, 9)
ELEVATION = 30  # degrees, of every camera above the object
FRONT = -90  # degrees: view 0 sees the object from -y; later views follow counter-clockwise, seen from above
DISTANCE = 3.5  # from the camera to the object's center, in radii of the object
MARGIN = 0.02  # of the frame left around the object
SUPERSAMPLING = 2  # rays along each side of a pixel
LIGHT = (-0.45, 0.5, 0.75)  # direction from the camera to the light: left, above and behind
AMBIENT = 0.2  # brightness of an unlit surface; the brightest has 1, the background 0


def render(vertices: Floats, faces: npt.NDArray[np.integer], size: int, views: Sequence[int] = range(VIEWS)) -> Bytes:
    """Views of one mesh, uint8 (len(views), 1, size, size), 0 is the background; the same mesh gives the same bytes.

    vertices: (V, 3), finite, z up, in any unit. faces: (F, 3), triangles, wound either way, one or more with an area.
    """
    from embreex.mesh_construction import TriangleMesh
    from embreex.rtcore_scene import EmbreeScene

    used = vertices[np.unique(faces)]
    center = (used.min(axis=0) + used.max(axis=0)) / 2
    radius = np.linalg.norm(used - center, axis=1).max()
    corners = (used - center) / radius
    triangles = ((vertices - center) / radius)[faces]  # (F, 3, 3)
    scene = EmbreeScene()
    TriangleMesh(scene, triangles.astype(np.float32))
    normals = _normals(triangles)
    return np.stack([_view(camera(view), scene, corners, normals, size) for view in views])


def camera(view: int) -> Floats:
    """Axes of the camera of a view, shape (3, 3): to its right, up, and from the object toward it."""
    around, above = np.radians(FRONT + 360 * view / VIEWS), np.radians(ELEVATION)
    toward = np.array([np.cos(around) * np.cos(above), np.sin(around) * np.cos(above), np.sin(above)])
    right = np.array([-np.sin(around), np.cos(around), 0])
    return np.stack([right, np.cross(toward, right), toward])


def _normals(triangles: Floats) -> Floats:
    """Unit normal of each triangle, (F, 3); zero for one without an area."""
    normals: Floats = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    np.divide(normals, length, out=normals, where=length > 0)
    return normals


def _view(axes: Floats, scene: object, corners: Floats, normals: Floats, size: int) -> Bytes:
    """One picture, (1, size, size)."""
    directions = _rays(axes, corners, size * SUPERSAMPLING)
    origins = np.broadcast_to((DISTANCE * axes[2]).astype(np.float32), directions.shape)
    hits = scene.run(origins.copy(), directions)  # type: ignore[attr-defined]  # (P,): a face, or -1
    light = np.array(LIGHT) @ axes / np.linalg.norm(LIGHT)
    shades = np.zeros(len(hits), dtype=np.float32)
    seen = hits >= 0
    normal = normals[hits[seen]].astype(np.float32)
    # Meshes from the web are wound either way: the visible side counts as the outer one.
    outward = -np.sign(np.einsum("ij,ij->i", normal, directions[seen]))
    shades[seen] = AMBIENT + (1 - AMBIENT) * (outward * (normal @ light.astype(np.float32))).clip(0, 1)
    blocks = shades.reshape(size, SUPERSAMPLING, size, SUPERSAMPLING)
    picture: Bytes = (255 * blocks.mean(axis=(1, 3))).round().astype(np.uint8)
    return picture[None]


def _rays(axes: Floats, corners: Floats, count: int) -> npt.NDArray[np.float32]:
    """Directions of the rays, row by row from the upper left: (count^2, 3), such that the object fills the frame."""
    right, up, toward = axes
    seen = corners @ axes.T
    projected = seen[:, :2] / (DISTANCE - seen[:, 2:])  # onto the plane at distance 1
    low, high = projected.min(axis=0), projected.max(axis=0)
    half = (1 + MARGIN) * (high - low).max() / 2
    steps = half * ((np.arange(count) + 0.5) * 2 / count - 1)
    x, y = (low + high)[:, None] / 2 + np.stack([steps, -steps])
    directions: npt.NDArray[np.float32] = (x[None, :, None] * right + y[:, None, None] * up - toward).astype(np.float32)
    return directions.reshape(-1, 3)
