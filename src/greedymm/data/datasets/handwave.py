"""Handwave: procedural hand gestures, filmed in color and depth (generated data).

The clips are written to data/raw/handwave in the form of NVGesture, videos and lists, and read by the same code. Some
classes are hard to tell in color alone (toward the camera or away from it), some in depth alone (by the fingers).
"""

import shutil
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from pydantic import Field

from greedymm.data.datasets import nvgesture
from greedymm.data.datasets.nvgesture import MODALITIES
from greedymm.data.parallel import parallel_map
from greedymm.data.samples import DatasetInfo, Splits
from greedymm.data.sources import video
from greedymm.data.synthetic.hands import GESTURES, Subject, filmed
from greedymm.files import write_text
from greedymm.settings import DatasetSettings

__all__ = ["MODALITIES", "Settings", "make"]

SOURCE = "generated here: procedural hand gestures of drawn subjects"
LICENSE = "BSD-3-Clause, as the project"

FRAMES, HEIGHT, WIDTH = 32, 96, 128  # of a video
WINDOW = 16  # frames that a line of a list names
LATE = 0.02  # share of the clips whose color window starts a frame later, as in some of NVGesture's


class Settings(DatasetSettings):
    """Settings of Handwave."""

    size: int = Field(
        default=48, ge=16, strict=True, description="height of the stored frames; the width is a third more"
    )
    frames: int = Field(default=8, ge=1, strict=True, description="stored of each clip, evenly over its window")
    train: int = Field(default=8, ge=2, strict=True, description="subjects for training and validation")
    test: int = Field(default=4, ge=1, strict=True, description="other subjects, for testing")
    classes: int = Field(default=12, ge=2, le=16, strict=True, description="gestures, the first ones")
    takes: int = Field(default=2, ge=1, strict=True, description="clips of each gesture and subject")
    validation: float = Field(default=0.25, gt=0, lt=1, description="share of the training clips, by whole subjects")
    seed: int = Field(default=0, ge=0, strict=True, description="of the subjects and clips")


class Item(NamedTuple):
    """One clip, by the seeds of its random streams."""

    subject: int
    gesture: int
    take: int

    @property
    def path(self) -> str:
        return f"class_{self.gesture + 1:02d}/subject{self.subject}_r{self.take}"


def make(settings: Settings, raw: Path, workers: int = 1) -> tuple[Splits, DatasetInfo]:
    """Splits of new clips, by subject; needs no network and no GPU."""
    film(settings, raw, workers)
    train, test = nvgesture.read_lists(raw, "sk_color").values()
    reading = nvgesture.Settings(**settings.model_dump(include={"size", "frames", "validation", "seed"}))
    splits, notes = nvgesture.split_by_subject(train, test, reading, workers)
    return splits, DatasetInfo(GESTURES[: settings.classes], SOURCE, LICENSE, generated=True, notes=notes)


def film(settings: Settings, folder: Path, workers: int) -> None:
    """Make all videos and both lists anew: those in the folder may come from other settings or code."""
    shutil.rmtree(folder / "Video_data", ignore_errors=True)
    film_clip = partial(_film, folder=folder, seed=settings.seed)
    splits = {"train": range(settings.train), "test": range(settings.train, settings.train + settings.test)}
    for split, subjects in splits.items():
        items = [Item(s, g, t) for g in range(settings.classes) for s in subjects for t in range(settings.takes)]
        lines = list(parallel_map(film_clip, items, workers, f"{split}, filming {len(items)} clips"))
        write_text(folder / nvgesture.LISTS[split], "".join(lines))


def _film(item: Item, folder: Path, seed: int) -> str:
    """Film one clip; returns its line of the list."""
    # The first number keeps the streams apart: numpy takes [1, 2] and [1, 2, 0] for the same seed.
    person = Subject.drawn(np.random.default_rng([0, seed, item.subject]))
    rng = np.random.default_rng([1, seed, *item])
    clip = filmed(GESTURES[item.gesture], person, rng, FRAMES, HEIGHT, WIDTH)
    home = folder / "Video_data" / item.path
    home.mkdir(parents=True, exist_ok=True)
    video.write(home / "sk_color.avi", clip.color)
    video.write(home / "sk_depth.avi", clip.depth)
    start, end = window(clip.motion.during)
    late = int(rng.random() < LATE and end < FRAMES)
    depth, color = f"sk_depth:{start}:{end}", f"sk_color:{start + late}:{end + late}"
    return f"path:./Video_data/{item.path} depth:{depth} color:{color} label:{item.gesture + 1} \n"


def window(during: tuple[int, int]) -> tuple[int, int]:
    """Start and end of the frames that a list names: the gesture is in their middle, as far as the video allows."""
    start = (sum(during) - WINDOW) // 2
    start = min(max(start, 0), FRAMES - WINDOW)
    return start, start + WINDOW
