"""Names beside the markers of a scatter plot, without overlap."""

import numpy as np
from matplotlib.axes import Axes

from greedymm.analysis.claims.statistics import Floats

FONT, WIDTH, HEIGHT = 6.5, 4.0, 8.5  # of a label, in points: size, and space for a letter and a line


def name_points(ax: Axes) -> None:
    """Write the label of each marker beside it, where no other label or marker is, with a line to it if it is far."""
    scale = ax.figure.dpi / 72
    lines = [line for line in ax.get_lines() if not str(line.get_label()).startswith("_")]
    points = np.array([line.get_xydata() for line in lines])[:, 0]  # (markers, 2)
    centers = ax.transData.transform(points) / scale
    inside = np.asarray(ax.get_window_extent().extents) / scale
    taken = [*np.hstack([centers - 4, centers + 4])]
    for k in np.argsort(-centers[:, 1], kind="stable"):
        text = str(lines[k].get_label())
        size = np.array([WIDTH * len(text), HEIGHT])
        offset, far = place(centers[k], size, np.array(taken), inside)
        taken.append(np.concatenate([centers[k] + offset - size / 2, centers[k] + offset + size / 2]))
        arrow = {"arrowstyle": "-", "color": "#777777", "linewidth": 0.5, "shrinkA": 0, "shrinkB": 2} if far else None
        ax.annotate(
            text, tuple(points[k]), tuple(offset), textcoords="offset points", ha="center", va="center",
            fontsize=FONT, arrowprops=arrow,
        ).set_in_layout(False)  # fmt: skip


def place(center: Floats, size: Floats, taken: Floats, inside: Floats) -> tuple[Floats, bool]:
    """Offset of a box from its point, so that it is inside and overlaps nothing, and whether it is far from the point.

    The nearest of rings of offsets; without space, the box is to the right. All in points; `taken` (boxes, 4) and
    `inside` (4) are x0, y0, x1, y1.
    """
    angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    for radius in range(0, 300, 6):
        ring = np.column_stack([np.cos(angles), np.sin(angles)]) * (size / 2 + 5 + radius)
        low, high = center + ring - size / 2, center + ring + size / 2
        apart = np.concatenate([high[:, None] <= taken[:, :2], low[:, None] >= taken[:, 2:]], axis=2)
        contained = np.concatenate([low >= inside[:2], high <= inside[2:]], axis=1)
        free = np.flatnonzero(np.all(np.any(apart, axis=2), axis=1) & np.all(contained, axis=1))
        if len(free):
            return np.asarray(ring[free[0]]), radius > 0
    return np.array([size[0] / 2 + 5, 0]), False
