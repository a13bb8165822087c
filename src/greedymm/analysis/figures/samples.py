"""Samples of each class."""

import textwrap
from collections.abc import Iterable

import numpy as np
from matplotlib.figure import Figure

from greedymm.analysis.figures.style import class_label, grid
from greedymm.analysis.study import Image, Study

CAPTION = "Samples of each class, from every split but val. Of clips: frames from the first to the last."
SIZE, CLIP_SIZE = (0.9, 0.33), (3.0, 0.48)  # inches: width of a class, height of a row
CLIP_AXES = 5  # (n, C, T, H, W); images have (n, C, H, W)
FRAMES = 5  # of a clip, from its first to its last
GAP = 2  # white pixels below a row


def draw(study: Study, dataset: str) -> Figure:
    """Draw a panel for each class, in it a row for each split and modality."""
    examples, classes = study.images[dataset].examples, study.info[dataset].classes
    first = [np.asarray(row[0]) for row in examples.values()]
    width, height = CLIP_SIZE if any(row.ndim == CLIP_AXES for row in first) else SIZE
    heights = np.array([row.shape[-2] + GAP for row in first])
    figure, axes = grid(len(classes), width, height * len(examples) + 0.3, sharey=True)
    for k, (ax, name) in enumerate(zip(axes, classes, strict=True)):
        ax.imshow(stack(np.asarray(row[k]) for row in examples.values()), interpolation="nearest")
        ax.set_title(textwrap.fill(class_label(name), int(12 * width)), fontsize="small")
        ax.set_xticks([])
        ax.set_yticks(heights.cumsum() - heights / 2, examples, fontsize="x-small")
        ax.tick_params(length=0)
        ax.grid(visible=False)
        ax.spines[:].set_visible(False)
    return figure


def stack(rows: Iterable[Image]) -> Image:
    """Samples in color (H', W', 3): those of a row side by side, rows below each other.

    Each row is uint8 (n, C, H, W), or (n, C, T, H, W) of clips, which are drawn as some frames; n may be 0. Channels
    other than 3 are drawn as their mean.
    """
    strips = [_strip(row) for row in rows]
    width = max(strip.shape[1] for strip in strips)
    sides = [((0, GAP), (0, width - strip.shape[1]), (0, 0)) for strip in strips]
    return np.concatenate([np.pad(s, side, constant_values=255) for s, side in zip(strips, sides, strict=True)])


def _strip(samples: Image) -> Image:
    if samples.ndim == CLIP_AXES:
        frames = np.linspace(0, samples.shape[2] - 1, FRAMES).round().astype(int)
        samples = np.concatenate(list(samples[:, :, frames].transpose(2, 0, 1, 3, 4)), axis=3)
    if samples.shape[1] != 3:  # noqa: PLR2004 colors
        samples = samples.mean(axis=1, keepdims=True).astype(np.uint8).repeat(3, axis=1)
    n, _, height, width = samples.shape
    return samples.transpose(2, 0, 3, 1).reshape(height, n * width, 3)
