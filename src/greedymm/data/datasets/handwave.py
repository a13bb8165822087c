"""Handwave: procedural hand gestures, filmed in color and depth (generated data).

The clips are written to data/raw/handwave in the form of NVGesture, videos and lists, and read by the same code. Some
classes are hard to tell in color alone (toward the camera or away from it), some in depth alone (by the fingers).
"""

import shutil
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
from pydantic import Field

from greedymm.data.datasets import nvgesture
from greedymm.data.parallel import parallel_map
from greedymm.data.samples import DatasetInfo, Splits
from greedymm.data.sources.video import write_video
from greedymm.data.synthetic.hands import GESTURES, Subject, filmed
from greedymm.files import write_text
from greedymm.settings import DatasetSettings

MODALITIES = nvgesture.MODALITIES
SOURCE = "generated here: procedural hand gestures of drawn subjects"
LICENSE = "BSD-3-Clause, as the project"

FRAMES, HEIGHT, WIDTH = 32, 72, 96  # of a video
WINDOW = 16  # frames that a line of a list names
LATE = 0.02  # share of the clips whose color window starts a frame later, as in some of NVGesture's


class Settings(DatasetSettings):
    """Settings of Handwave."""

    size: int = Field(default=48, ge=16, description="height of stored frames; the width is a third more")
    frames: int = Field(default=8, ge=1, description="stored of each clip, evenly over its window")
    train: int = Field(default=8, ge=2, description="subjects for training and validation")
    test: int = Field(default=4, ge=1, description="other subjects, for testing")
    classes: int = Field(default=12, ge=2, le=16, description="gestures, the first ones")
    takes: int = Field(default=2, ge=1, description="clips of each gesture and subject")
    validation: float = Field(default=0.25, gt=0, lt=1, description="share of the training clips, by whole subjects")
    seed: int = Field(default=0, ge=0, description="of the subjects and clips")


def make(settings: Settings, raw: Path, workers: int = 1) -> tuple[Splits, DatasetInfo]:
    """Splits of new clips, by subject; needs no network and no GPU."""
    film(settings, raw, workers)
    reading = nvgesture.Settings(**settings.model_dump(include={"size", "frames", "validation", "seed"}))
    splits, facts = nvgesture.make(reading, raw, workers)
    return splits, replace(facts, classes=GESTURES[: settings.classes], source=SOURCE, license=LICENSE, generated=True)


def film(settings: Settings, folder: Path, workers: int) -> None:
    """Make all videos and both lists anew: those in the folder may come from other settings or code."""
    shutil.rmtree(folder / "Video_data", ignore_errors=True)
    subjects = range(settings.train + settings.test)
    items = list(product(subjects, range(settings.classes), range(settings.takes)))
    film_clip = partial(_film, folder=folder, seed=settings.seed)
    lines = list(parallel_map(film_clip, items, workers, f"filming {len(items)} clips"))
    first = settings.train * settings.classes * settings.takes  # clip of the first subject for testing
    write_text(folder / nvgesture.LISTS["train"], "".join(lines[:first]))
    write_text(folder / nvgesture.LISTS["test"], "".join(lines[first:]))


def _film(item: tuple[int, int, int], folder: Path, seed: int) -> str:
    """Film one clip, of a subject, gesture and take; returns its line of the list."""
    subject, gesture, take = item
    # The first number keeps the streams apart: numpy takes [1, 2] and [1, 2, 0] for the same seed.
    person = Subject.drawn(np.random.default_rng([0, seed, subject]))
    rng = np.random.default_rng([1, seed, subject, gesture, take])
    clip = filmed(GESTURES[gesture], person, rng, FRAMES, HEIGHT, WIDTH)
    path = f"Video_data/class_{gesture + 1:02d}/subject{subject}_r{take}"
    home = folder / path
    home.mkdir(parents=True, exist_ok=True)
    write_video(home / "sk_color.avi", clip.color)
    write_video(home / "sk_depth.avi", clip.depth)
    start, end = window(clip.motion.during)
    late = int(rng.random() < LATE and end < FRAMES)
    depth, color = f"sk_depth:{start}:{end}", f"sk_color:{start + late}:{end + late}"
    return f"path:./{path} depth:{depth} color:{color} label:{gesture + 1} \n"


def window(during: tuple[int, int]) -> tuple[int, int]:
    """Start and end of the frames in a list: the gesture is in their middle, as far as the video allows."""
    start = min(max((sum(during) - WINDOW) // 2, 0), FRAMES - WINDOW)
    return start, start + WINDOW
