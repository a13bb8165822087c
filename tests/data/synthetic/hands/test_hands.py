from functools import cache
from itertools import combinations, product

import numpy as np
import numpy.typing as npt
import pytest

from greedymm.data.synthetic.hands import BY_DISTANCE, BY_FINGERS, FAR, GESTURES, NEAR, Clip, Subject, clip, filmed

SEEDS = range(5)
FRAMES, HEIGHT, WIDTH = 24, 48, 64


@cache
def person(seed: int) -> Subject:
    return Subject.drawn(np.random.default_rng(seed))


@cache
def film(gesture: str, seed: int) -> Clip:
    """A clip of a person of its own."""
    return filmed(gesture, person(seed), np.random.default_rng(seed), FRAMES, HEIGHT, WIDTH)


def gray(meters: float) -> float:
    return 1 + 254 * (FAR - meters) / (FAR - NEAR)


def ends(seen: Clip) -> tuple[slice, slice]:
    """Frames just before the gesture and just after it, while the hand is still there."""
    first, after = seen.motion.during
    return slice(first, first + 2), slice(after - 2, after)


def middles(seen: Clip) -> npt.NDArray[np.float64]:
    """Middle of the hand in each frame of the gesture, rightwards and downwards in pixels: (frames, 2)."""
    return np.array([np.argwhere(mask).mean(axis=0)[::-1] for mask in seen.hand[slice(*seen.motion.during)]])


def depth_of_hand(seen: Clip, frames: slice) -> float:
    """Median of what is valid where the hand is."""
    depth = seen.depth[frames][seen.hand[frames]]
    return float(np.median(depth[depth > 0]))


def area_of_hand(seen: Clip, frames: slice) -> float:
    return float(seen.hand[frames].sum(axis=(1, 2)).mean())


# -- Clips --------------------------------------------------------------------------------------------------


def test_a_clip_has_bytes_of_color_and_depth_in_the_requested_size() -> None:
    for size in ((48, 96, 128), (7, 50, 61), (3, 20, 20)):
        color, depth = clip("swipe_left", person(0), np.random.default_rng(0), *size)
        assert (color.shape, depth.shape) == ((*size, 3), size)
        assert color.dtype == depth.dtype == np.uint8


@pytest.mark.slow
@pytest.mark.parametrize("gesture", GESTURES)
def test_the_same_generator_gives_the_same_clip_and_another_another(gesture: str) -> None:
    same, other = (filmed(gesture, person(0), np.random.default_rng(seed), FRAMES, HEIGHT, WIDTH) for seed in (0, 1))

    np.testing.assert_array_equal(same.color, film(gesture, 0).color)
    np.testing.assert_array_equal(same.depth, film(gesture, 0).depth)
    assert (other.color != same.color).mean() > 0.5
    assert (other.depth != same.depth).mean() > 0.05


def test_one_generator_gives_one_clip_after_another() -> None:
    rng = np.random.default_rng(0)
    first, second = (clip("hold", person(0), rng, FRAMES, HEIGHT, WIDTH)[0] for _ in range(2))

    np.testing.assert_array_equal(first, film("hold", 0).color)
    assert not np.array_equal(first, second)


def test_an_unknown_gesture_is_an_error_that_names_the_known_ones() -> None:
    with pytest.raises(ValueError, match="no gesture 'wave': choose one of swipe_left, "):
        clip("wave", person(0), np.random.default_rng(0))


def test_subjects_differ_in_looks_and_in_how_they_move() -> None:
    for one, other in combinations(map(person, SEEDS), 2):
        assert one.skin != other.skin
        assert one.cloth != other.cloth
        assert one.size != other.size
        assert one.home != other.home
    assert {person(seed).side for seed in range(20)} == {-1, 1}


@pytest.mark.slow
@pytest.mark.parametrize("gesture", GESTURES)
def test_the_hand_is_in_the_picture_during_the_gesture_and_comes_and_goes(gesture: str) -> None:
    for seed in SEEDS:
        seen = film(gesture, seed)
        first, after = seen.motion.during

        assert FRAMES / 3 < after - first < 2 * FRAMES / 3
        assert (seen.hand[first:after].sum(axis=(1, 2)) > 0.02 * HEIGHT**2).all()
        assert seen.motion.position[[0, -1], 1].min() > 0.4  # at the lower edge or below it


# -- Where the hand goes ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gesture", "axis", "sign"),
    [("swipe_left", 0, -1), ("swipe_right", 0, 1), ("swipe_up", 1, -1), ("swipe_down", 1, 1)],
)
def test_a_swipe_goes_where_its_name_says_as_seen_in_the_picture(gesture: str, axis: int, sign: int) -> None:
    for seed in range(12):
        way = middles(film(gesture, seed))
        moved = way[-1] - way[0]

        assert sign * moved[axis] > 0.15 * HEIGHT
        assert abs(moved[axis]) > 2 * abs(moved[1 - axis])


@pytest.mark.slow
@pytest.mark.parametrize(("gesture", "sign"), [("circle_clockwise", 1), ("circle_counterclockwise", -1)])
def test_a_circle_turns_the_way_its_name_says_as_seen_in_the_picture(gesture: str, sign: int) -> None:
    for seed in range(12):
        x, y = (middles(film(gesture, seed)) - middles(film(gesture, seed)).mean(axis=0)).T
        area = (x * np.roll(y, -1) - y * np.roll(x, -1)).sum() / 2  # y runs downwards: clockwise is positive

        assert sign * area > 0.02 * HEIGHT**2


@pytest.mark.slow
@pytest.mark.parametrize(("gesture", "axis"), [("shake", 0), ("bounce", 1)])
def test_a_beat_goes_there_and_back_along_one_axis(gesture: str, axis: int) -> None:
    for seed in SEEDS:
        way = middles(film(gesture, seed))
        turns = np.diff(np.sign(np.diff(way[:, axis]))) != 0

        assert np.ptp(way[:, axis]) > 2 * np.ptp(way[:, 1 - axis])
        assert turns.sum() >= 3


@pytest.mark.slow
@pytest.mark.parametrize("gesture", BY_DISTANCE + BY_FINGERS)
def test_other_gestures_keep_the_hand_in_its_place(gesture: str) -> None:
    for seed in SEEDS:
        position = film(gesture, seed).motion.position[slice(*film(gesture, seed).motion.during)]

        assert (np.ptp(position, axis=0) < 0.06).all()


# -- What depth tells ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("gesture", "sign"), [("push", 1), ("pull", -1), ("hold", 0)])
def test_depth_shows_that_the_hand_comes_nearer_or_goes_farther(gesture: str, sign: int) -> None:
    for seed in range(12):
        before, after = (depth_of_hand(film(gesture, seed), frames) for frames in ends(film(gesture, seed)))

        if sign:
            assert sign * (after - before) > 30
        else:
            assert abs(after - before) < 15


@pytest.mark.slow
def test_depth_shows_two_knocks() -> None:
    for seed in SEEDS:
        seen = filmed("knock", person(seed), np.random.default_rng(seed), 48, HEIGHT, WIDTH)
        first, after = seen.motion.during
        start, near, between, near_again, stop = (
            depth_of_hand(seen, slice(t, t + 1)) for t in np.linspace(first, after - 1, 5).round().astype(int)
        )

        assert min(near, near_again) > max(start, between, stop) + 30


def test_color_is_blind_to_gestures_that_change_only_the_distance() -> None:
    for (one, other), seed in product(combinations(BY_DISTANCE, 2), SEEDS):
        np.testing.assert_array_equal(film(one, seed).color, film(other, seed).color)
        assert not np.array_equal(film(one, seed).depth, film(other, seed).depth)


@pytest.mark.slow
def test_growth_of_the_hand_in_the_picture_does_not_tell_push_from_pull() -> None:
    growths = {}
    for gesture, seeds in (("push", range(40)), ("pull", range(40, 80))):
        sizes = [film(gesture, seed).motion for seed in seeds]
        growths[gesture] = np.array([m.zoom[m.during[1] - 1] / m.zoom[m.during[0]] for m in sizes])

    push, pull = np.log(growths["push"]), np.log(growths["pull"])
    assert (push > 0).any()  # either may grow or shrink
    assert (push < 0).any()
    assert abs(push.mean() - pull.mean()) < 0.6 * np.concatenate([push, pull]).std()


@pytest.mark.slow
def test_depth_is_zero_where_it_is_not_measured_and_within_its_range_elsewhere() -> None:
    for seed in SEEDS:
        depth = film("pull", seed).depth
        meters = film("pull", seed).motion.distance

        assert (depth == 0).mean() > 0.3
        assert depth.max() < gray(meters.min()) + 20


@pytest.mark.slow
def test_depth_says_how_far_the_hand_is() -> None:
    for seed in SEEDS:
        seen = film("hold", seed)
        first, _ = seen.motion.during

        assert depth_of_hand(seen, slice(first, first + 1)) == pytest.approx(gray(seen.motion.distance[first]), abs=9)


@pytest.mark.slow
def test_depth_has_holes_where_the_hand_is() -> None:
    for seed in SEEDS:
        seen = film("hold", seed)

        assert 0.1 < (seen.depth[seen.hand] == 0).mean() < 0.8


# -- What color tells --------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(("gesture", "sign"), [("open", 1), ("close", -1)])
def test_the_hand_covers_more_of_the_picture_when_it_opens_and_less_when_it_closes(gesture: str, sign: int) -> None:
    for seed in range(12):
        before, after = (area_of_hand(film(gesture, seed), frames) for frames in ends(film(gesture, seed)))

        assert sign * np.log(after / before) > 0.2


@pytest.mark.slow
def test_each_finger_that_is_put_out_covers_more_of_the_picture() -> None:
    for seed in SEEDS:
        fist, one, two, all_five = (
            area_of_hand(film(gesture, seed), ends(film(gesture, seed))[end])
            for gesture, end in (("close", 1), ("point", 1), ("two_fingers", 1), ("open", 1))
        )

        assert fist < one < two < all_five


@pytest.mark.slow
def test_fingers_are_separate_shapes() -> None:
    for seed in SEEDS:
        seen = filmed("hold", person(seed), np.random.default_rng(seed), 8)
        first, _ = seen.motion.during
        crossed = max(int((np.diff(row.astype(int)) == 1).sum()) for row in seen.hand[first])

        assert crossed >= 3  # shapes in one row of pixels


@pytest.mark.slow
def test_depth_hardly_sees_fingers() -> None:
    """What an opening hand gains in area, few cells of depth gain."""
    for seed in SEEDS:
        seen = film("open", seed)
        gains = {}
        for name, where in (("color", seen.hand), ("depth", seen.hand & (seen.depth > 0))):
            before, after = (where[frames].sum(axis=(1, 2)).mean() for frames in ends(seen))
            gains[name] = after - before

        assert gains["depth"] < 0.35 * gains["color"]


@pytest.mark.slow
@pytest.mark.parametrize("gesture", BY_FINGERS)
def test_gestures_of_the_fingers_are_where_and_as_far_as_a_hand_that_is_held_still(gesture: str) -> None:
    for seed in SEEDS:
        fingers, still = film(gesture, seed).motion, film("hold", seed).motion

        np.testing.assert_array_equal(fingers.position, still.position)
        np.testing.assert_array_equal(fingers.distance, still.distance)
        np.testing.assert_array_equal(fingers.zoom, still.zoom)


@pytest.mark.slow
def test_the_background_moves_and_the_light_changes() -> None:
    for seed in SEEDS:
        color = film("hold", seed).color.astype(float)
        brightness = color.mean(axis=(1, 2, 3))

        # The upper rows, where no hand is, in blocks, which have no noise left, beside the brightness of the frame.
        blocks = color[:, :8].reshape(FRAMES, 2, 4, WIDTH // 4, 4, 3).mean(axis=(2, 4))
        blocks /= blocks.mean(axis=(1, 2, 3), keepdims=True)
        at_last, at_next = (np.abs(blocks[0] - blocks[k]).mean() for k in (-1, 1))
        assert at_last > 2 * at_next
        assert np.ptp(brightness) > 0.05 * brightness.mean()
