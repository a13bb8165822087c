"""Samples of each class."""

import textwrap

import numpy as np
from matplotlib.figure import Figure

from greedymm.analysis.figures import confusion
from greedymm.analysis.figures.images import CLIP_AXES, GAP, stack
from greedymm.analysis.figures.style import grid
from greedymm.analysis.study import Study

CAPTION = "Samples of each class, training and test. Of clips: frames from the first to the last."
SIZE, CLIP_SIZE = (0.9, 0.33), (3.0, 0.48)  # inches: width of a class, height of a row

datasets = confusion.datasets


def draw(study: Study, dataset: str) -> Figure:
    """Draw a panel for each class, in it a row for each split and modality."""
    examples, classes = study.images[dataset].examples, study.info[dataset].classes
    first = [np.asarray(row[0]) for row in examples.values()]
    width, height = CLIP_SIZE if any(row.ndim == CLIP_AXES for row in first) else SIZE
    heights = np.array([row.shape[-2] + GAP for row in first])
    figure, axes = grid(len(classes), width, height * len(examples) + 0.3, sharey=True)
    for k, (ax, name) in enumerate(zip(axes, classes, strict=True)):
        ax.imshow(stack(np.asarray(row[k]) for row in examples.values()), interpolation="nearest")
        ax.set_title(textwrap.fill(name.replace("_", " "), int(12 * width)), fontsize="small")
        ax.set_xticks([])
        ax.set_yticks(heights.cumsum() - heights / 2, examples, fontsize="x-small")
        ax.tick_params(length=0)
        ax.grid(visible=False)
        ax.spines[:].set_visible(False)
    figure.suptitle(study.names[dataset])
    return figure
