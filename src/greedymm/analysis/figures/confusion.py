"""Confusion matrix of each method."""

import math

import numpy as np
from matplotlib.figure import Figure

from greedymm.analysis.figures.style import WIDEST, class_label, grid, label
from greedymm.analysis.study import Study

CAPTION = "Predicted classes of the test samples of each true class, over all seeds. Off the diagonal: errors."
SMALLEST, LARGEST = 4.5, 7.0  # points of class names; where smaller ones were needed, only some classes are named


def draw(study: Study, dataset: str) -> Figure:
    """Draw a panel for each method, a row for each true class."""
    counts = study.results.confusion.query("dataset == @dataset")
    classes, methods = study.info[dataset].classes, list(counts["method"].unique())
    side = 1.0 + min(max(1.6, 0.2 * len(classes)), 3.5)  # at most: two panels beside each other
    side = min(side, max(1.4, WIDEST / len(methods) ** 0.5))  # of many methods as many rows as columns
    font_size = 72 * (side - 0.6) / len(classes) * 0.85  # at most: names do not overlap
    named = range(0, len(classes), math.ceil(SMALLEST / font_size))
    names = [class_label(classes[k]) for k in named]
    font_size = min(LARGEST, max(SMALLEST, font_size))
    figure, axes = grid(len(methods), side, side, sharex=True, sharey=True)
    for ax, method in zip(axes, methods, strict=True):
        matrix = np.zeros((len(classes), len(classes)))
        part = counts[counts["method"] == method]
        matrix[part["label"], part["predicted"]] = part["count"]
        percent = 100 * matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
        image = ax.imshow(percent, cmap="cividis", vmin=0, vmax=100)
        ax.set_xticks(named, names, rotation=90, fontsize=font_size)
        ax.set_yticks(named, names, fontsize=font_size)
        ax.grid(visible=False)
        ax.set_title(label(method))
    figure.supxlabel("predicted class")
    figure.supylabel("true class")
    figure.colorbar(image, ax=axes, label="% of the class", shrink=0.6)
    return figure
