"""Partial information decomposition: what two modalities say of Y together, each alone, and only in combination.

    R + U0 + U1 + S = I(X0, X1; Y), in bits
    q* = argmax H_q(Y | X0, X1) over all q with q(x0, y) = p(x0, y) and q(x1, y) = p(x1, y)
    U0 = I_q*(X0; Y | X1)    U1 = I_q*(X1; Y | X0)    R = I(X0; Y) - U0    S = I(X0, X1; Y) - I_q*(X0, X1; Y)

X_k: the class that branch k predicts, cut from the other. Two readings: Y is the label (what the branches' predictions
say of it), or the prediction of the network (what the network uses). Cost: the cut pass.

The maximum is found by alternating minimization of sum_y p(y) KL(q(. | y) || r) over q and r: r is the mean of q, and q
is r scaled to the margins (Sinkhorn). Both problems together are convex, so the minimum is global.

Pitfalls: X0 and X1 are classes, so what confidence says is lost. The estimate from N samples is biased upward, most of
all S, unless N is far above classes^3. `pid_<reading>_null` names the size of the bias: the information about Y after Y
is permuted over the samples. It is an upper limit where predictions are nearly all correct, as most cells are then
empty.

Source: Bertschinger et al., Entropy 2014 (BROJA); for modalities Liang et al., NeurIPS 2023, in nats.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field

from greedymm.errors import GreedymmError
from greedymm.evaluation.evaluate import NETWORK, column
from greedymm.evaluation.measures.common import CUT, cut_pass
from greedymm.modalities import TWO_MODALITIES
from greedymm.models.network import Pass
from greedymm.settings import MeasureSettings

READINGS = {"label": "label", "network": NETWORK}  # name of a reading -> column of Y
TOLERANCE, ITERATIONS = 1e-7, 5000
Array = npt.NDArray[np.float64]


class Settings(MeasureSettings):
    """Measure `pid`: redundant, unique and synergistic information of two branches' predictions (Liang et al. 2023)."""

    during_training = False
    permutations: int = Field(default=20, ge=1, description="of Y, to estimate the bias")
    seed: int = Field(default=0, ge=0, description="of the permutations")


def passes(_settings: Settings, modalities: Sequence[str]) -> dict[str, Pass]:
    """The cut pass.

    Raises:
        GreedymmError: if there are not two modalities.
    """
    if len(modalities) != TWO_MODALITIES:
        raise GreedymmError(
            f"measure 'pid' needs two modalities, not {len(modalities)}: {', '.join(modalities)}. Delete it from"
            " `measures`; shapley and permutation work for any number"
        )
    return cut_pass(modalities)


def compute(settings: Settings, table: pd.DataFrame, modalities: Sequence[str]) -> dict[str, float | None]:
    """Values of one split, in bits, for each reading: `label` and `network`.

    Returns:
        `pid_<reading>_redundant`, `pid_<reading>_unique_<m>`, `pid_<reading>_synergy`: at least 0, and together the
        mutual information, at most log2(classes). `pid_<reading>_null`: the mutual information of permuted labels.
    """
    rng = np.random.default_rng(settings.seed)
    x0, x1 = (table[column(m, CUT)].to_numpy() for m in modalities)
    result: dict[str, float | None] = {}
    for reading, name in READINGS.items():
        y = table[name].to_numpy()
        parts = decompose(joint_distribution(y, x0, x1))
        names = ("redundant", *(f"unique_{m}" for m in modalities), "synergy")
        result |= {f"pid_{reading}_{part}": value for part, value in zip(names, parts, strict=True)}
        null = [information(joint_distribution(rng.permutation(y), x0, x1)) for _ in range(settings.permutations)]
        result[f"pid_{reading}_null"] = float(np.mean(null))
    return result


def joint_distribution(y: npt.ArrayLike, x0: npt.ArrayLike, x1: npt.ArrayLike) -> Array:
    """Shares of samples (Y, X0, X1), over the values that occur."""
    indices = [np.unique(each, return_inverse=True)[1] for each in (y, x0, x1)]
    counts = np.zeros([index.max() + 1 for index in indices])
    np.add.at(counts, tuple(indices), 1)
    return counts / len(np.asarray(y))


def decompose(p: Array) -> tuple[float, float, float, float]:
    """Redundant information, unique information of X0 and of X1, and synergy, in bits.

    Args:
        p: joint distribution, shape (Y, X0, X1), where each y has a positive probability.

    Example:
        >>> xor = np.array([[[0.25, 0], [0, 0.25]], [[0, 0.25], [0.25, 0]]])
        >>> decompose(xor)
        (0.0, 0.0, 0.0, 1.0)
    """
    total, only0, only1 = information(p), information(p.sum(axis=2)), information(p.sum(axis=1))
    least = min(max(information(least_informative(p)), only0, only1), total)  # its bounds, but for rounding
    return only0 + only1 - least, least - only1, least - only0, total - least


def information(p: Array) -> float:
    """I(Y; X) in bits, of a joint distribution (Y, *X)."""
    p = p.reshape(len(p), -1)
    y, x = np.nonzero(p)
    bits = np.log2(p[y, x]) - np.log2(p.sum(axis=1)[y]) - np.log2(p.sum(axis=0)[x])  # of tiny p, no product is 0
    return float((p[y, x] * bits).sum())


def least_informative(p: Array) -> Array:
    """The distribution (Y, X0, X1) with the least I(X0, X1; Y) that has the margins (Y, X0) and (Y, X1) of p."""
    p0, p1 = p.sum(axis=2), p.sum(axis=1)
    v = np.ones_like(p1)
    r = np.einsum("ya,yb,y->ab", p0, p1, 1 / p.sum(axis=(1, 2)))  # independent given y
    for _ in range(ITERATIONS):
        u = divide(p0, v @ r.T)
        v = divide(p1, u @ r)
        q: Array = r * u[:, :, None] * v[:, None, :]
        change = np.abs(q.sum(axis=0) - r).sum()
        r = q.sum(axis=0)
        if change < TOLERANCE:
            break
    return q


def divide(a: Array, b: Array) -> Array:
    """Quotient a / b, and 0 where a is 0."""
    quotient: Array = np.divide(a, b, out=np.zeros_like(a), where=a > 0)
    return quotient
