"""Gestures: where the hand is, how far from the camera, and how its fingers are bent, frame by frame.

Each aspect is drawn from a random stream of its own. So gestures that differ in one aspect are alike in all others when
they are drawn from the same generator.
"""

# T frames.

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from greedymm.data.synthetic.hands.draws import Curve, ease, streams, wander
from greedymm.data.synthetic.hands.subject import Subject

SWIPES = {"swipe_left": (-1, 0), "swipe_right": (1, 0), "swipe_up": (0, -1), "swipe_down": (0, 1)}
TURNS = {"circle_clockwise": 1, "circle_counterclockwise": -1}  # as seen in the picture, whose y runs downwards
BEATS = {"shake": (1, 0), "bounce": (0, 1)}
BY_PATH = (*SWIPES, *TURNS, *BEATS)
BY_DISTANCE = ("push", "pull", "knock", "hold")
BY_FINGERS = ("open", "close", "point", "two_fingers")
# Few gestures have some of each kind as well: pairs that differ in path, in distance alone, and in fingers alone.
GESTURES = ("swipe_left", "swipe_right", "push", "pull", "open", "close", "circle_clockwise", "circle_counterclockwise",
            "swipe_up", "swipe_down", "shake", "point", "bounce", "knock", "hold", "two_fingers")  # fmt: skip

# How far thumb, index, middle, ring and little finger are bent: 0 straight, 1 folded.
STRAIGHT = (0.0, 0.0, 0.0, 0.0, 0.0)
FIST = (1.0, 1.0, 1.0, 1.0, 1.0)
INDEX = (1.0, 0.0, 1.0, 1.0, 1.0)
TWO = (1.0, 0.0, 0.0, 1.0, 1.0)
CHANGES = {"open": (FIST, STRAIGHT), "close": (STRAIGHT, FIST), "point": (FIST, INDEX), "two_fingers": (FIST, TWO)}


@dataclass(frozen=True)
class Motion:
    """The hand over time. Positions are in heights of the picture from its middle, x rightwards and y downwards."""

    position: Curve  # (T, 2), middle of the palm
    distance: Curve  # (T,), meters from the camera
    tilt: Curve  # (T,), radians, clockwise
    zoom: Curve  # (T,), apparent size, which has nothing to do with the distance
    bend: Curve  # (T, 5), of the fingers from thumb to little finger
    spread: Curve  # (T,), of the fingers: 0 side by side, 1 fanned out
    during: tuple[int, int]  # first frame of the gesture, and the first after it


class Phases(NamedTuple):
    """How far a clip has come."""

    progress: Curve  # (T,), of the gesture, from 0 to 1
    presence: Curve  # (T,), 1 while the hand is where the gesture takes place, 0 while it rests
    during: tuple[int, int]


def motion(gesture: str, subject: Subject, rng: np.random.Generator, frames: int) -> Motion:
    """The hand of one clip: it comes, pauses, makes the gesture, pauses and goes."""
    if gesture not in GESTURES:
        raise ValueError(f"there is no gesture {gesture!r}: choose one of {', '.join(GESTURES)}")
    timing, path, stroke, shape, tremor, size, rest = streams(rng, 7)
    phases = _phases(timing, subject, frames)
    offset, swing = _path(gesture, subject, path, phases.progress)
    bend, spread = _fingers(gesture, shape, phases.progress)
    position = subject.home + rest.uniform(-0.05, 0.05, 2) + offset
    distance = rest.uniform(0.5, 0.64) + _stroke(gesture, subject, stroke, phases.progress)
    return Motion(
        position=_away(position, _rests(rest, subject, frames), phases.presence)
        + subject.tremor * wander(tremor, frames, 2),
        distance=distance + rest.uniform(-0.02, 0.05) * (1 - phases.presence) + 0.006 * wander(tremor, frames)[:, 0],
        tilt=subject.tilt + rest.normal(0, 0.1) + swing + 0.05 * wander(tremor, frames)[:, 0],
        zoom=_zoom(size, frames),
        bend=bend,
        spread=spread,
        during=phases.during,
    )


def _phases(rng: np.random.Generator, subject: Subject, frames: int) -> Phases:
    t = (np.arange(frames) + 0.5) / frames
    length = min(rng.uniform(0.38, 0.5) / subject.speed, 0.52)
    start = 0.5 - length / 2 + rng.uniform(-0.07, 0.07)
    stop = start + length
    pauses = rng.uniform(0.02, 0.07, 2)
    lasts = rng.uniform(0.09, 0.14, 2)  # of coming and going
    came = ease((t - start + pauses[0] + lasts[0]) / lasts[0])
    gone = ease((t - stop - pauses[1]) / lasts[1])
    during = (int(np.searchsorted(t, start)), int(np.searchsorted(t, stop)))
    return Phases(np.clip((t - start) / length, 0, 1), came - gone, during)


def _rests(rng: np.random.Generator, subject: Subject, frames: int) -> Curve:
    """Where the hand comes from and where it goes: below the picture, or at its lower edge."""
    x = subject.home[0] - subject.side * rng.uniform(-0.05, 0.25, 2)
    y = rng.choice([0.55, 0.95], 2) + rng.uniform(-0.05, 0.05, 2)
    late = (np.arange(frames) >= frames / 2).astype(int)
    return np.asarray(np.stack([x, y], axis=1)[late])


def _away(position: Curve, rests: Curve, presence: Curve) -> Curve:
    return np.asarray(rests + (position - rests) * presence[:, None])


def _zoom(rng: np.random.Generator, frames: int) -> Curve:
    """Slow changes of size, as large as those of a push, so that size does not reveal a push."""
    trend = rng.uniform(-0.14, 0.14) * np.linspace(-1, 1, frames)
    return np.asarray(np.exp(rng.normal(0, 0.04) + trend + 0.03 * wander(rng, frames)[:, 0]))


def _path(gesture: str, subject: Subject, rng: np.random.Generator, progress: Curve) -> tuple[Curve, Curve]:
    """Where the hand is, from its home: (T, 2), and how it tilts with that: (T,)."""
    still = np.zeros_like(progress)
    if gesture in SWIPES:
        return _swipe(np.array(SWIPES[gesture], dtype=float), subject, rng, progress)
    if gesture in TURNS:
        return _circle(TURNS[gesture], subject, rng, progress), still
    if gesture in BEATS:
        return _beat(np.array(BEATS[gesture], dtype=float), subject, rng, progress)
    return np.stack([still, still], axis=1), still


def _swipe(along: Curve, subject: Subject, rng: np.random.Generator, progress: Curve) -> tuple[Curve, Curve]:
    length = subject.reach * np.dot(abs(along), [rng.uniform(0.42, 0.58), rng.uniform(0.3, 0.38)])
    course = length * (ease((progress - 0.1) / 0.8) - 0.5)
    bow = (subject.bow + rng.normal(0, 0.015)) * np.sin(np.pi * progress)
    slant = rng.normal(0, 0.1)
    across = np.array([-along[1], along[0]])
    return np.outer(course, along) + np.outer(bow + slant * course, across), 0.8 * course * along[0]


def _circle(turn: int, subject: Subject, rng: np.random.Generator, progress: Curve) -> Curve:
    wide, high = subject.reach * rng.uniform(0.15, 0.2, 2)
    turns = rng.uniform(1, 1.3) * (0.5 * progress + 0.5 * ease(progress))
    angle = np.pi / 2 + rng.uniform(-0.5, 0.5) + 2 * np.pi * turn * turns  # it begins about where the hand comes from
    return np.stack([wide * np.cos(angle), high * np.sin(angle)], axis=1)


def _beat(along: Curve, subject: Subject, rng: np.random.Generator, progress: Curve) -> tuple[Curve, Curve]:
    """There and back, some times over."""
    angle = 2 * np.pi * rng.uniform(1.75, 2.5) * progress
    softly = ease(progress / 0.12) * ease((1 - progress) / 0.12)
    course = subject.reach * rng.uniform(0.09, 0.14) * rng.choice([-1, 1]) * np.sin(angle) * softly
    return np.outer(course, along), 2.0 * course * along[0]


def _stroke(gesture: str, subject: Subject, rng: np.random.Generator, progress: Curve) -> Curve:
    """Meters that the hand is farther from the camera than it is on the whole: (T,)."""
    length = subject.reach * rng.uniform(0.17, 0.23)
    course = {
        "push": 0.5 - ease(progress),
        "pull": ease(progress) - 0.5,
        "knock": 0.5 * np.cos(2 * np.pi * 2 * progress),
    }
    return np.asarray(length * course.get(gesture, np.zeros_like(progress)))


def _fingers(gesture: str, rng: np.random.Generator, progress: Curve) -> tuple[Curve, Curve]:
    """How fingers are bent: (T, 5), and spread: (T,)."""
    slack = rng.uniform(0, 0.12, 5)  # nobody's fingers are quite straight, or quite folded
    spread = rng.uniform(0.75, 1.15)
    first, last = CHANGES.get(gesture, _kept(gesture, rng))
    delays = 0.25 + rng.uniform(0, 0.12, 5)
    share = ease((progress[:, None] - delays) / rng.uniform(0.25, 0.4))
    bend = np.array(first) * (1 - share) + np.array(last) * share
    return slack + (1 - 1.5 * slack) * bend, np.full_like(progress, spread)


def _kept(gesture: str, rng: np.random.Generator) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Fingers of a gesture that does not move them."""
    pointing = gesture in TURNS and rng.integers(2)  # a circle is drawn with one finger or with all
    return (INDEX, INDEX) if pointing else (STRAIGHT, STRAIGHT)
