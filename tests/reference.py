"""The quantities of Wu et al. 2022 a second time: plain loops over NumPy arrays, written from the formulas alone.

Nothing here imports the package. Where the two agree on random networks, both have read the formulas alike.
"""

# B samples; C_k channels of branch k; *s_k any axes of space and time; M modalities.

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.floating]


# -- Conditional learning speed -----------------------------------------------------------------------------


class Mu(NamedTuple):
    """mu of one step, for each of M modalities."""

    branch: list[float]  # of theta_k
    fusion: list[float]  # of theta_k'


def mu(gradients: Sequence[Array], weights: Sequence[Array]) -> float:
    """||dL/dtheta||^2 / ||theta||^2, both over all parameters of a group."""
    return _square_sum(gradients) / _square_sum(weights)


def _square_sum(arrays: Sequence[Array]) -> float:
    return sum(float(np.square(a.astype(np.float64)).sum()) for a in arrays)


def learning_speeds(mus: Sequence[Mu], modes: Sequence[int]) -> list[list[float]]:
    """s of each modality after every step; the sums take regular steps only and are never reset."""
    modalities = len(mus[0].branch)
    branch, fusion = [0.0] * modalities, [0.0] * modalities
    speeds = []
    for step, mode in zip(mus, modes, strict=True):
        if mode == 0:
            for k in range(modalities):
                branch[k] += step.branch[k]
                fusion[k] += step.fusion[k]
        speeds.append([math.log10(f / b) for f, b in zip(fusion, branch, strict=True)])
    return speeds


def difference(values: Sequence[float]) -> float:
    """d_speed or d_util: m0's value less m1's; for more modalities the largest less the smallest."""
    if len(values) == 2:
        return values[0] - values[1]
    return max(values) - min(values)


# -- Training methods ---------------------------------------------------------------------------------------


def balanced_modes(speeds: Sequence[Sequence[float]], steps_per_epoch: int, tolerance: float, window: int) -> list[int]:
    """Mode of every step, given s after every step; 0: regular, k + 1: re-balancing for modality k."""
    modes = []
    to_come: list[int] = []  # what is left of the open window
    for step, speed in enumerate(speeds):
        if to_come:
            modes.append(to_come.pop())
            continue
        modes.append(0)
        warming_up = step < steps_per_epoch
        if not warming_up and abs(difference(speed)) > tolerance:
            to_come = [1 + _accelerated(speed)] * window
    return modes


def _accelerated(speed: Sequence[float]) -> int:
    if len(speed) == 2:
        return 0 if difference(speed) > 0 else 1
    return list(speed).index(max(speed))


# -- MMTM ---------------------------------------------------------------------------------------------------


def squeezed(feature: Array) -> Array:
    """Mean over space and time: (B, C, *s) -> (B, C)."""
    mean: Array = feature.astype(np.float64).mean(axis=tuple(range(2, feature.ndim)))
    return mean


def gates(heard: Sequence[Array], squeeze: Mapping[str, Array], excite: Sequence[Mapping[str, Array]]) -> list[Array]:
    """Gate of every branch, (B, C_k), from squeezed vectors (B, C_k) and the layers' weights and biases."""
    joint = np.maximum(np.concatenate(heard, axis=1) @ squeeze["weight"].T + squeeze["bias"], 0)
    return [1 / (1 + np.exp(-(joint @ e["weight"].T + e["bias"]))) for e in excite]


def running_means(of_steps: Sequence[Array]) -> list[Array]:
    """After every step, the plain average of the batch means (B, C) -> (C,) of all steps so far."""
    means = [gate.mean(axis=0) for gate in of_steps]
    return [np.stack(means[: i + 1]).mean(axis=0) for i in range(len(means))]


def gated(feature: Array, gate: Array) -> Array:
    """Multiply (B, C, *s) by (B, C), channel by channel."""
    return np.stack(
        [[channel * w for channel, w in zip(x, g, strict=True)] for x, g in zip(feature, gate, strict=True)]
    )


# -- Conditional utilization rate ---------------------------------------------------------------------------


def accuracy(labels: Sequence[int], predicted: Sequence[int]) -> float:
    """Share of samples whose class is predicted."""
    right = 0
    for label, guess in zip(labels, predicted, strict=True):
        if label == guess:
            right += 1
    return right / len(labels)


def utilization(labels: Sequence[int], predicted: Sequence[int], predicted_cut: Sequence[int]) -> float | None:
    """(A(f_k) - A(f_k')) / A(f_k), or None where A(f_k) is 0."""
    whole, cut = accuracy(labels, predicted), accuracy(labels, predicted_cut)
    return None if whole == 0 else (whole - cut) / whole
