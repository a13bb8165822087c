"""Conditional utilization rate: what a branch owes to the other modalities. Source: Wu et al., ICML 2022."""

import numpy as np
import numpy.typing as npt


def conditional_utilization_rate(correct: npt.NDArray[np.bool_], correct_cut: npt.NDArray[np.bool_]) -> float:
    """Share of one branch's accuracy that it owes to the other modalities.

        u(m1 | m0) = (A(f0) - A(f0')) / A(f0)        Wu et al. 2022

    Args:
        correct: shape (N,), bool: whether branch 0 is right on each of N samples.
        correct_cut: shape (N,), bool: the same samples, with the cross-modal flow cut.

    Returns:
        A number in (-inf, 1]. 0: the branch makes no use of the others; 1: without them it gets nothing
        right; negative: they mislead it.

    Raises:
        ValueError: if the branch is right on no sample, where the rate is undefined.

    Example:
        >>> conditional_utilization_rate(np.array([True, True]), np.array([True, False]))
        0.5
    """
    accuracy, accuracy_cut = correct.mean(), correct_cut.mean()
    if accuracy == 0:
        raise ValueError("the rate divides by the accuracy, and the branch is right on no sample")
    return float((accuracy - accuracy_cut) / accuracy)
