"""The renderer against a ray tracer that is written out here, and against what pictures of known objects must show."""

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from greedymm.data.sources.meshes import read_off
from greedymm.data.sources.renderer import render

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]
Mesh = tuple[Floats, Ints]

# A cuboid from -1 to 1, and its triangles by side.
CORNERS = np.array([[x, y, z] for z in (-1, 1) for x, y in ((-1, -1), (1, -1), (1, 1), (-1, 1))], dtype=float)
SIDES = {
    "front": ((0, 1, 5), (0, 5, 4)),  # y = -1
    "right": ((1, 2, 6), (1, 6, 5)),  # x = 1
    "rear": ((2, 3, 7), (2, 7, 6)),
    "left": ((3, 0, 4), (3, 4, 7)),
    "bottom": ((0, 2, 1), (0, 3, 2)),
    "top": ((4, 5, 6), (4, 6, 7)),  # z = 1
}


def cuboid(*, size: tuple[float, float, float] = (2, 2, 2), at: tuple[float, float, float] = (0, 0, 0)) -> Mesh:
    return CORNERS * np.array(size) / 2 + at, np.array([face for side in SIDES.values() for face in side])


def joined(*meshes: Mesh) -> Mesh:
    starts = np.cumsum([0, *(len(vertices) for vertices, _ in meshes)])
    faces = [faces + start for (_, faces), start in zip(meshes, starts, strict=False)]
    return np.concatenate([vertices for vertices, _ in meshes]), np.concatenate(faces)


def turned(vertices: Floats, degrees: float) -> Floats:
    """Vertices turned about z, counter-clockwise as seen from above."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    about: Floats = vertices @ np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]])
    return about


def chair() -> Mesh:
    """From every side another one."""
    seat, back = cuboid(size=(2, 2, 0.3)), cuboid(size=(2, 0.2, 1.5), at=(0, 0.9, 0.9))
    leg, ball = cuboid(size=(0.3, 0.3, 1.5), at=(0.7, -0.6, -0.9)), sphere(6, radius=0.5, at=(-0.4, 0, 0.6))
    return joined(seat, back, leg, ball)


def sphere(steps: int, radius: float = 1, at: tuple[float, float, float] = (0, 0, 0)) -> Mesh:
    """A closed sphere of 4 `steps`^2 triangles, without those that have no area."""
    above, around = np.meshgrid(np.linspace(-90, 90, steps + 1), np.arange(2 * steps) * 180 / steps, indexing="ij")
    above, around = np.radians(above), np.radians(around)
    flat = np.stack([np.cos(above) * np.cos(around), np.cos(above) * np.sin(around), np.sin(above)], axis=-1)
    j, k = (x.ravel() for x in np.meshgrid(np.arange(steps), np.arange(2 * steps), indexing="ij"))
    a, b = j * 2 * steps + k, j * 2 * steps + (k + 1) % (2 * steps)
    c, d = b + 2 * steps, a + 2 * steps
    faces = np.concatenate([np.stack([a, b, c], axis=1)[j > 0], np.stack([a, c, d], axis=1)[j < steps - 1]])
    return radius * flat.reshape(-1, 3) + at, faces


def soup() -> Mesh:
    """Triangles that lie about and cut each other."""
    rng = np.random.default_rng(3)
    return rng.normal(size=(36, 3)), np.arange(36).reshape(-1, 3)


def gray_levels_apart(one: Bytes, other: Bytes) -> npt.NDArray[np.int64]:
    return np.abs(one.astype(np.int64) - other.astype(np.int64))


# -- Against a reference ------------------------------------------------------------------------------------


def reference(mesh: Mesh, size: int) -> Bytes:
    """The twelve views, ray by ray."""
    vertices, faces = mesh
    center = (vertices.min(axis=0) + vertices.max(axis=0)) / 2
    points = (vertices - center) / max(float(np.linalg.norm(v - center)) for v in vertices)
    return np.stack([reference_view(points, faces, -90 + 30 * k, size) for k in range(12)])[:, None]


def reference_view(points: Floats, faces: Ints, azimuth: float, size: int) -> Bytes:
    around, above = np.radians(azimuth), np.radians(30)
    eye = 3.5 * np.array([np.cos(around) * np.cos(above), np.sin(around) * np.cos(above), np.sin(above)])
    ahead = -eye / 3.5
    right = np.cross(ahead, [0, 0, 1]) / np.linalg.norm(np.cross(ahead, [0, 0, 1]))
    up = np.cross(right, ahead)
    light = -0.45 * right + 0.5 * up - 0.75 * ahead
    light /= np.linalg.norm(light)

    depth = (points - eye) @ ahead
    x, y = (points - eye) @ right / depth, (points - eye) @ up / depth
    half = 1.02 * max(float(np.ptp(x)), float(np.ptp(y))) / 2
    picture = np.zeros((2 * size, 2 * size))
    for row in range(2 * size):
        for column in range(2 * size):
            to_the_right = (x.min() + x.max()) / 2 + half * ((column + 0.5) / size - 1)
            upwards = (y.min() + y.max()) / 2 - half * ((row + 0.5) / size - 1)
            ray = ahead + to_the_right * right + upwards * up
            picture[row, column] = shade(points[faces], eye, ray, light)
    gray: Bytes = (255 * picture.reshape(size, 2, size, 2).mean(axis=(1, 3))).round().astype(np.uint8)
    return gray


def shade(triangles: Floats, eye: Floats, ray: Floats, light: Floats) -> float:
    """Brightness along a ray, after Moeller and Trumbore (1997)."""
    first, second = triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0]
    across = np.cross(ray, second)
    determinant = (first * across).sum(axis=1)
    offset = eye - triangles[:, 0]
    u = (offset * across).sum(axis=1) / determinant
    along = np.cross(offset, first)
    v = along @ ray / determinant
    distance = (second * along).sum(axis=1) / determinant
    distance[(u < 0) | (v < 0) | (u + v > 1) | (distance <= 0)] = np.inf
    nearest = int(distance.argmin())
    if np.isinf(distance[nearest]):
        return 0
    normal = np.cross(first[nearest], second[nearest])
    normal *= -np.sign(normal @ ray) / np.linalg.norm(normal)
    return 0.2 + 0.8 * max(0.0, float(normal @ light))


@pytest.mark.parametrize("mesh", [cuboid(size=(2, 1, 3)), chair(), soup()], ids=["cuboid", "chair", "soup"])
def test_all_views_are_those_of_an_independent_ray_tracer(mesh: Mesh) -> None:
    expected, got = reference(mesh, 12), render(*mesh, 12)

    assert got.shape == (12, 1, 12, 12)
    assert got.dtype == np.uint8
    apart = gray_levels_apart(got, expected)
    assert (apart > 1).mean() < 0.01  # where a ray meets an edge, single precision may decide otherwise
    assert (expected > 0).mean() > 0.2
    assert abs((got.astype(np.int64) - expected)[apart <= 1].mean()) < 0.05  # rounded, not cut off


# -- What a picture shows -----------------------------------------------------------------------------------


def side_seen(side: str, view: int) -> float:
    """Brightness of one side of a cube, known by the pixels that change with a dent in it; 0 where none does."""
    vertices, faces = cuboid()
    corners = sorted({corner for face in SIDES[side] for corner in face})
    dented = np.concatenate([vertices, vertices[corners].mean(axis=0, keepdims=True) / 2])
    others = [face for name, two in SIDES.items() if name != side for face in two]
    walls = [(a, b, 8) for a in corners for b in corners if a < b and (vertices[a] == vertices[b]).sum() == 2]
    whole, changed = render(vertices, faces, 64)[view, 0], render(dented, np.array([*others, *walls]), 64)[view, 0]
    seen = whole[whole != changed]
    return float(np.median(seen)) if len(seen) else 0


def test_the_camera_goes_from_the_front_round_by_the_right_and_is_above() -> None:
    opposites = ((0, "front", "rear"), (3, "right", "left"), (6, "rear", "front"), (9, "left", "right"))
    for view, side, opposite in opposites:
        assert side_seen(side, view) > 0
        assert side_seen(opposite, view) == 0
        assert side_seen("top", view) > 0
        assert side_seen("bottom", view) == 0


def test_light_falls_from_above_and_from_the_left() -> None:
    left, right = side_seen("left", 11), side_seen("right", 1)  # each 30 degrees from the edge of the picture's side
    front, top = side_seen("front", 0), side_seen("top", 0)

    assert top > left > front > right > 0.2 * 255 - 1


def test_the_brightest_surface_is_white_and_one_that_the_light_does_not_reach_is_dark_but_not_black() -> None:
    picture = render(*sphere(40), 64)[0, 0]

    assert picture.max() >= 254
    seen = picture[picture > 0]
    assert np.quantile(seen, 0.01) < 80  # at the edge, the rest of a pixel is background
    assert picture[0, 0] == 0


def test_left_is_left_and_up_is_up() -> None:
    flag = joined(cuboid(size=(0.2, 0.2, 4)), cuboid(size=(1.5, 0.1, 1), at=(0.75, 0, 1.5)))  # to the right, at the top

    front, rear = (render(*flag, 64)[view, 0] > 0 for view in (0, 6))

    for picture, pole in ((front, "left"), (rear, "right")):
        assert picture[:32].sum() > 2 * picture[32:].sum()
        columns = np.flatnonzero(picture[48:].any(axis=0))  # the pole's alone
        assert (columns < 32).all() if pole == "left" else (columns >= 32).all()


@pytest.mark.parametrize("mesh", [cuboid(size=(1, 1, 9)), cuboid(size=(9, 5, 1))], ids=["tower", "slab"])
def test_the_object_fills_the_frame_to_the_margin_and_is_centered(mesh: Mesh) -> None:
    for picture in render(*mesh, 100)[:, 0]:
        sides = [np.flatnonzero((picture > 0).any(axis=axis)) for axis in (0, 1)]
        before, after = ([int(s[0]) for s in sides], [int(99 - s[-1]) for s in sides])
        assert min(before + after) in {0, 1}  # 1 % of the frame
        assert min(b + a for b, a in zip(before, after, strict=True)) <= 3
        assert all(abs(b - a) <= 2 for b, a in zip(before, after, strict=True))


def test_a_closed_surface_of_many_faces_has_no_holes() -> None:
    pictures = render(*sphere(30), 64)[:, 0]

    y, x = np.mgrid[:64, :64] - 31.5
    inside = x**2 + y**2 < 29**2
    assert (pictures[:, inside] > 0.19 * 255).all()
    assert (pictures[:, x**2 + y**2 > 33**2] == 0).all()


# -- What makes no difference -------------------------------------------------------------------------------


def nearly_the_same(one: Bytes, other: Bytes) -> bool:
    return bool((gray_levels_apart(one, other) > 1).mean() < 0.005)


def test_position_and_unit_of_an_object_make_no_difference() -> None:
    vertices, faces = chair()
    expected = render(vertices, faces, 24)

    for scale, at in ((1e-6, (0, 0, 0)), (0.3, (5, -3, 100)), (1e6, (5, -3, 100))):
        assert nearly_the_same(render(scale * (vertices + at), faces, 24), expected)


def test_winding_and_order_of_faces_and_other_types_make_no_difference() -> None:
    vertices, faces = chair()
    mixed = faces.copy()
    mixed[::2] = mixed[::2, ::-1]
    expected = render(vertices, faces, 24)

    for other in (faces[:, ::-1], mixed, faces[:, [1, 2, 0]], faces[::-1], faces.astype(np.uint32)):
        assert nearly_the_same(render(vertices.astype(np.float32), other, 24), expected)


def test_unused_vertices_and_faces_without_an_area_make_no_difference() -> None:
    vertices, faces = chair()
    expected = render(vertices, faces, 24)

    for stray in (100, np.nan, np.inf, 1e308):
        more = np.concatenate([[[stray] * 3], vertices, [[-stray] * 3]])
        np.testing.assert_array_equal(render(more, faces + 1, 24), expected)
    flat = np.array([[0, 0, 1], [2, 2, 2], [5, 6, 5]])
    np.testing.assert_array_equal(render(vertices, np.concatenate([flat[:2], faces, flat[2:]]), 24), expected)


def test_faces_without_an_area_in_a_file_make_no_difference_however_far_away(tmp_path: Path) -> None:
    vertices, faces = chair()
    lines = [f"3 {a} {b} {c}" for a, b, c in [*faces.tolist(), (0, len(vertices), len(vertices))]]
    points = [f"{x!r} {y!r} {z!r}" for x, y, z in [*vertices.tolist(), (99.0, 99.0, 99.0)]]
    file = tmp_path / "chair.off"
    file.write_text("\n".join(["OFF", f"{len(points)} {len(lines)} 0", *points, *lines]), encoding="utf-8")

    np.testing.assert_array_equal(render(*read_off(file), 24), render(vertices, faces, 24))


def test_an_object_turned_by_30_degrees_shows_each_view_as_the_next_one() -> None:
    # A disc of twelve corners, so that the turned object has the same bounds, and a chair on it.
    corners = turned(np.array([[5.0, 0, -2]]), 0)
    disc = np.concatenate([corners, *(turned(corners, 30 * k) for k in range(1, 12))])
    plate = disc, np.array([[0, k, k + 1] for k in range(1, 11)])
    vertices, faces = joined(plate, chair())

    before, after = render(vertices, faces, 32), render(turned(vertices, 30), faces, 32)

    assert nearly_the_same(np.roll(before, 1, axis=0), after)
    assert not nearly_the_same(np.roll(before, -1, axis=0), after)


# -- The same bytes -----------------------------------------------------------------------------------------


def test_the_same_mesh_gives_the_same_bytes_in_another_process(tmp_path: Path) -> None:
    np.savez(tmp_path / "mesh.npz", vertices=chair()[0], faces=chair()[1])
    code = (
        "import sys, hashlib, numpy as np; from greedymm.data.sources.renderer import render;"
        "m = np.load(sys.argv[1]); print(hashlib.sha256(render(m['vertices'], m['faces'], 24).tobytes()).hexdigest())"
    )

    command = [sys.executable, "-c", code, str(tmp_path / "mesh.npz")]
    other = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    assert other == hashlib.sha256(render(*chair(), 24).tobytes()).hexdigest()
