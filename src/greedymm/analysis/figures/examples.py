"""Samples of a dataset."""

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

IMAGES = 4  # axes of a stack of pictures
COLUMNS, WIDTH = 10, 1.2  # most classes side by side in a figure of samples, and inches of each
CLIP_COLUMNS, CLIP_WIDTH = 3, 3.0  # the same for clips,
CLIP_FRAMES = 5  # of which so many frames are shown, one after the other


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
    size = (width * columns, 0.55 * shape[0] + 0.4 * len(bands))
    figure, axes = plt.subplots(*shape, figsize=size, squeeze=False)
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
            ax.set_title(classes[k].replace("_", " "), fontsize="medium")
    figure.suptitle(title)
    figure.tight_layout(w_pad=0.2, h_pad=0.2 if len(bands) == 1 else 0.8)
    return figure


def batched(items: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    """The items, so many at a time."""
    return (items[start : start + size] for start in range(0, len(items), size))


def _strip(pictures: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Pictures (n, C, H, W), or of clips (n, C, T, H, W) frames of the first, side by side: (H, W', 3) or (H, W')."""
    if pictures.ndim > IMAGES:
        chosen = np.linspace(0, pictures.shape[2] - 1, CLIP_FRAMES).round().astype(int)
        pictures = pictures[0, :, chosen]
    if pictures.shape[1] not in {1, 3}:  # no colours: what the channels have in common
        pictures = pictures.mean(axis=1, keepdims=True).astype(np.uint8)
    strip = np.concatenate(list(pictures.transpose(0, 2, 3, 1)), axis=1)
    return strip[..., 0] if strip.shape[2] == 1 else strip
