"""Samples of a dataset."""

import math
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from greedymm.analysis.figures.style import MOST_LINES, PANELS, WIDEST, label

Item = TypeVar("Item")

IMAGES = 4  # axes of a stack of pictures
COLUMNS, WIDTH = 10, 1.2  # most classes side by side in a figure of samples, and inches of each
CLIP_COLUMNS, CLIP_WIDTH = 3, 3.0  # the same for clips,
CLIP_FRAMES = 5  # of which so many frames are shown, one after the other
STRIP = 0.75 / CLIP_FRAMES  # height of those by their width, of frames 4 wide and 3 high


def samples(examples: Mapping[str, Sequence[npt.NDArray[np.uint8]]], classes: Sequence[str], title: str) -> Figure:
    """A few samples of every class, or one clip; a row per split and modality, in bands of some classes.

    Args:
        examples: name of a row -> for each class uint8 (n, C, H, W) or (n, C, T, H, W), C 1 or 3.
        classes: their names.
        title: of the figure.
    """
    clips = any(pictures.ndim > IMAGES for of_classes in examples.values() for pictures in of_classes)
    most, width = (CLIP_COLUMNS, CLIP_WIDTH) if clips else (COLUMNS, WIDTH)
    columns = math.ceil(len(classes) / math.ceil(len(classes) / most))
    bands = list(batched(range(len(classes)), columns))
    shape = (len(bands) * len(examples), columns)
    width = min(width, WIDEST / columns)
    tall = STRIP * width if clips else width / 3
    size = (width * columns, (tall + 0.15) * shape[0] + 0.5 * len(bands))
    figure, axes = plt.subplots(*shape, figsize=size, squeeze=False, layout="constrained")
    for ax in axes.flat:
        ax.set_axis_off()
    for start, band in zip(range(0, shape[0], len(examples)), bands, strict=True):
        for line, (name, of_classes) in zip(axes[start:], examples.items(), strict=False):
            for ax, k in zip(line, band, strict=False):
                if len(of_classes[k]):  # a split may have no sample of a class
                    ax.imshow(_strip(of_classes[k]), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
                ax.set(xticks=[], yticks=[])
                ax.set_axis_on()
            line[0].set_ylabel(name)
        for ax, k in zip(axes[start], band, strict=False):
            ax.set_title(textwrap.fill(classes[k].replace("_", " "), int(12 * width)), fontsize="small")
    figure.suptitle(title)
    return figure


def uniquely_correct(
    rows: pd.DataFrame,
    pictures: Mapping[str, Sequence[npt.NDArray[np.uint8]]],
    classes: Sequence[str],
    title: str,
) -> Figure:
    """Test samples that one method gets right more often than every other one: a row per method, all modalities.

    Args:
        rows: as `aggregate.uniquely_correct` gives it, of one dataset.
        pictures: modality -> uint8 (C, H, W) or (C, T, H, W) of each of the rows.
        classes: their names.
        title: of the figure.
    """
    methods = list(rows["method"].unique())
    rows = rows.assign(place=range(len(rows)))
    lines = [of.to_dict("records") for _, of in rows.groupby("method", sort=False)]
    if many := len(methods) > MOST_LINES:  # one sample of each, beside each other
        lines = [list(some) for some in batched([of[0] for of in lines], PANELS)]
    columns = max(map(len, lines), default=1)
    clips = any(p.ndim >= IMAGES for of_modality in pictures.values() for p in of_modality)
    width = min(CLIP_WIDTH if clips else 1.9, WIDEST / columns)
    tall = STRIP * width if clips else 0.55
    size = (width * columns, 0.5 + max(1, len(lines)) * (0.6 + 0.15 * many + tall * len(pictures)))
    figure, axes = plt.subplots(max(1, len(lines)), columns, figsize=size, squeeze=False, layout="constrained")
    for ax in axes.flat:
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set_visible(False)
    for line, of in zip(axes, lines, strict=False):
        for ax, row in zip(line, of, strict=False):
            ax.imshow(_stacked([p[row["place"]] for p in pictures.values()]), interpolation="nearest")
            name = classes[row["label"]].replace("_", " ")
            above = f"{label(row['method'])}\n" if many else ""
            title_of = f"{above}{name}\n{row['right']:.0%}, others {row['others']:.0%}"
            ax.set_title(title_of, fontsize="x-small" if many else "small")
        if not many:
            line[0].set_ylabel(label(of[0]["method"]))
    if not methods:
        axes[0, 0].text(0.5, 0.5, "none", ha="center")
    figure.suptitle(title)
    return figure


def _stacked(pictures: Sequence[npt.NDArray[np.uint8]]) -> npt.NDArray[np.uint8]:
    """One sample in all modalities, one below the other, in color: (H', W', 3)."""
    strips = [_strip(p[None]) for p in pictures]
    colored = [s if s.ndim > 2 else np.repeat(s[..., None], 3, axis=2) for s in strips]  # noqa: PLR2004 (H, W)
    width = max(s.shape[1] for s in colored)
    return np.concatenate([np.pad(s, ((0, 2), (0, width - s.shape[1]), (0, 0)), constant_values=255) for s in colored])


def batched(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    """The items, so many at a time."""
    return (items[start : start + size] for start in range(0, len(items), size))


def _strip(pictures: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Pictures (n, C, H, W), or of clips (n, C, T, H, W) frames of the first, side by side: (H, W', 3) or (H, W')."""
    if pictures.ndim > IMAGES:
        chosen = np.linspace(0, pictures.shape[2] - 1, CLIP_FRAMES).round().astype(int)
        pictures = pictures[0, :, chosen]
    if pictures.shape[1] not in {1, 3}:  # no colors: what the channels have in common
        pictures = pictures.mean(axis=1, keepdims=True).astype(np.uint8)
    strip = np.concatenate(list(pictures.transpose(0, 2, 3, 1)), axis=1)
    return strip[..., 0] if strip.shape[2] == 1 else strip
