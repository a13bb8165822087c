"""Samples -> pictures."""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
CLIP_AXES = 5  # (n, C, T, H, W); images have (n, C, H, W)
FRAMES = 5  # of a clip, from its first to its last
GAP = 2  # white pixels below a row


def stack(rows: Iterable[Pixels]) -> Pixels:
    """Samples in color (H', W', 3): those of a row side by side, rows below each other.

    Channels other than 1 or 3 are drawn as their mean. A clip is drawn as its frames.

    Args:
        rows: for each row uint8 (n, C, H, W) or (n, C, T, H, W); n may be 0.
    """
    strips = [_strip(row) for row in rows]
    width = max(strip.shape[1] for strip in strips)
    sides = [((0, GAP), (0, width - strip.shape[1]), (0, 0)) for strip in strips]
    return np.concatenate([np.pad(s, side, constant_values=255) for s, side in zip(strips, sides, strict=True)])


def _strip(samples: Pixels) -> Pixels:
    if samples.ndim == CLIP_AXES:
        frames = np.linspace(0, samples.shape[2] - 1, FRAMES).round().astype(int)
        samples = np.concatenate(list(samples[:, :, frames].transpose(2, 0, 1, 3, 4)), axis=3)
    if samples.shape[1] != 3:  # noqa: PLR2004 colors
        samples = samples.mean(axis=1, keepdims=True).astype(np.uint8).repeat(3, axis=1)
    n, _, height, width = samples.shape
    return samples.transpose(2, 0, 3, 1).reshape(height, n * width, 3)
