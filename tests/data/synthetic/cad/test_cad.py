"""What each view may tell of the generated objects, and what it must not."""

from functools import cache
from itertools import combinations, product

import numpy as np
import numpy.typing as npt
import pytest
import trimesh
from _pytest.mark import ParameterSet
from embreex.mesh_construction import TriangleMesh
from embreex.rtcore_scene import EmbreeScene

from greedymm.data.sources import renderer
from greedymm.data.sources.renderer import render
from greedymm.data.synthetic.cad import CLASSES

Images = npt.NDArray[np.uint8]

SEEDS = range(10)
SIZE = 48
VIEWS = {"front": 0, "rear": 6}
CLEARLY = 20  # gray levels between two pixels that a person tells apart
LEAST = 0.05  # share of an object's pixels that must differ clearly where it tells the class

CUPBOARDS = ("wardrobe", "bookcase", "dresser")
VANS = ("delivery_van", "camper_van", "ladder_van")
HOSES, VENT = ("washing_machine", "dishwasher"), ("dryer", "oven")
PORTHOLE, DOOR = ("washing_machine", "dryer"), ("dishwasher", "oven")

ALIKE = {
    "front": [*combinations(VANS, 2), PORTHOLE, DOOR],
    "rear": [*combinations(CUPBOARDS, 2), HOSES, VENT],
}
TOLD_APART = {
    "front": [*combinations(CUPBOARDS, 2), HOSES, VENT],
    "rear": [*combinations(VANS, 2), PORTHOLE, DOOR],
}


def pairs(by_side: dict[str, list[tuple[str, str]]]) -> list[tuple[str, str, str] | ParameterSet]:
    """All pairs of each side; all but the first one are slow."""
    first, *others = [(side, *pair) for side, those in by_side.items() for pair in those]
    return [first, *(pytest.param(*other, marks=pytest.mark.slow) for other in others)]


@cache
def mesh(name: str, seed: int) -> trimesh.Trimesh:
    return CLASSES[name](np.random.default_rng(seed))


@cache
def pictures(name: str, side: str) -> Images:
    """The same side of the objects of all seeds, (seeds, SIZE, SIZE)."""
    return np.stack([shown(name, seed)[VIEWS[side], 0] for seed in SEEDS])


@cache
def shown(name: str, seed: int) -> Images:
    return render(np.asarray(mesh(name, seed).vertices), np.asarray(mesh(name, seed).faces), SIZE)


def difference(side: str, name: str, other: str) -> npt.NDArray[np.float64]:
    """Share of the pixels that one object or the other shows, where they differ clearly: (seeds,)."""
    first, second = (pictures(each, side).astype(int) for each in (name, other))
    differing = (np.abs(first - second) > CLEARLY).sum(axis=(1, 2))
    shares: npt.NDArray[np.float64] = differing / ((first > 0) | (second > 0)).sum(axis=(1, 2))
    return shares


def rays(name: str, side: str, seed: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float32]]:
    """Triangles of an object as they are rendered, (faces, 3, 3), and the directions of the rays that see it."""
    vertices = np.asarray(mesh(name, seed).vertices)
    center = (vertices.min(axis=0) + vertices.max(axis=0)) / 2
    corners = (vertices - center) / np.linalg.norm(vertices - center, axis=1).max()
    return corners[mesh(name, seed).faces], renderer._rays(renderer.camera(VIEWS[side]), corners, 2 * SIZE)


@cache
def triangles_met(name: str, side: str, seed: int) -> set[bytes]:
    """Triangles that some ray meets first, by their corners."""
    triangles, directions = rays(name, side, seed)
    scene = EmbreeScene()
    TriangleMesh(scene, triangles.astype(np.float32))
    origin = renderer.DISTANCE * renderer.camera(VIEWS[side])[2]
    hits = scene.run(np.tile(origin.astype(np.float32), (len(directions), 1)), directions)
    return {triangle.tobytes() for triangle in triangles[np.unique(hits[hits >= 0])]}


def all_triangles(name: str, side: str, seed: int) -> set[bytes]:
    return {triangle.tobytes() for triangle in rays(name, side, seed)[0]}


# -- Sides --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("side", "name", "other"), pairs(ALIKE))
def test_a_side_that_does_not_tell_two_classes_apart_is_the_same_in_every_pixel(
    side: str, name: str, other: str
) -> None:
    differing = (pictures(name, side) != pictures(other, side)).sum()

    # A ray that meets two faces at the same distance may take either: about once in 2,000 pictures.
    assert differing <= 1


@pytest.mark.parametrize(("side", "name", "other"), pairs(ALIKE))
def test_all_that_shows_from_a_side_that_does_not_tell_two_classes_apart_is_common_to_both(
    side: str, name: str, other: str
) -> None:
    for seed in range(30):
        assert triangles_met(name, side, seed) <= all_triangles(other, side, seed)
        assert triangles_met(other, side, seed) <= all_triangles(name, side, seed)


@pytest.mark.parametrize(("side", "name", "other"), pairs(ALIKE))
def test_what_tells_two_classes_apart_does_not_change_the_framing_of_the_side_that_does_not(
    side: str, name: str, other: str
) -> None:
    for seed in range(30):
        np.testing.assert_array_equal(rays(name, side, seed)[1], rays(other, side, seed)[1])


@pytest.mark.parametrize(
    ("side", "name", "other"),
    pairs(TOLD_APART),
)
def test_a_side_that_tells_two_classes_apart_differs_clearly_in_every_object(side: str, name: str, other: str) -> None:
    assert difference(side, name, other).min() > LEAST


@pytest.mark.slow
@pytest.mark.parametrize("side", VIEWS)
def test_classes_that_either_side_tells_are_unlike_all_others(side: str) -> None:
    for name in ("chair", "table", "car", "bottle", "teapot", "hammer"):
        for other in CLASSES.keys() - {name}:
            assert difference(side, name, other).min() > LEAST


@pytest.mark.slow
@pytest.mark.parametrize(
    ("side", "names"), [("front", HOSES), ("front", CUPBOARDS), ("rear", PORTHOLE), ("rear", VANS)]
)
def test_what_tells_a_class_varies_from_object_to_object(side: str, names: tuple[str, ...]) -> None:
    for name in names:
        for first, second in combinations(pictures(name, side), 2):
            assert (first != second).any()


# -- Meshes -------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_mesh_stands_on_the_ground_with_finite_vertices_and_not_too_many_faces_each_of_some_area() -> None:
    for name, seed in product(CLASSES, SEEDS):
        built = mesh(name, seed)
        low, high = built.bounds[:, 2]
        assert abs(low) < 0.1 * high
        assert np.isfinite(built.vertices).all()
        assert (built.area_faces > 1e-3**2).all()
        assert 12 < len(built.faces) <= 2500


def test_an_object_depends_on_the_generator_alone_and_the_next_one_is_another() -> None:
    global_state = np.random.get_state(legacy=False)  # noqa: NPY002
    for name in CLASSES:
        rng = np.random.default_rng(0)
        again, following = CLASSES[name](rng), CLASSES[name](rng)

        np.testing.assert_array_equal(again.vertices, mesh(name, 0).vertices, strict=True)
        np.testing.assert_array_equal(again.faces, mesh(name, 0).faces, strict=True)
        assert not np.array_equal(following.vertices, again.vertices)
    np.testing.assert_equal(np.random.get_state(legacy=False), global_state)  # noqa: NPY002
