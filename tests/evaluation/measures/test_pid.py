"""The decomposition of gates, against dit, and against a certificate that the optimum is reached."""

from collections.abc import Callable

import measured
import numpy as np
import pandas as pd
import pytest
from scipy.optimize import linprog

from greedymm.errors import GreedymmError
from greedymm.evaluation.evaluate import required_passes
from greedymm.evaluation.measures.pid import (
    Array,
    Settings,
    compute,
    decompose,
    information,
    joint_distribution,
    least_informative,
)

SETTINGS = Settings(name="pid")
AND = 0.31127812  # I(X0; Y) = I(X1; Y)
# R, U0, U1, S in bits, as dit 2.3 (PID_BROJA) gives them to 1e-6, except for the copy, whose X0 and X1 are equal.
GATES: dict[str, tuple[Callable[[int, int], int], tuple[float, float, float, float]]] = {
    "xor": (lambda a, b: a ^ b, (0, 0, 0, 1)),
    "only x0": (lambda a, _: a, (0, 1, 0, 0)),
    "only x1": (lambda _, b: b, (0, 0, 1, 0)),
    "and": (lambda a, b: a & b, (AND, 0, 0, 0.5)),
    "or": (lambda a, b: a | b, (AND, 0, 0, 0.5)),
    "sum": (lambda a, b: a + b, (0.5, 0, 0, 1)),
    "both": (lambda a, b: 2 * a + b, (0, 1, 1, 0)),
}
# p[y, x0, x1] in hundredths, and R, U0, U1, S of dit 2.3: BROJABivariateOptimizer with 20 starts; last: PID_BROJA.
DIT = [
    ((5, 2, 3, 56, 14, 3, 1, 16), (0.089743, 0.043271, 0.0, 0.002598)),
    ((8, 0, 25, 3, 7, 17, 21, 19), (0.018430, 0.0, 0.164627, 0.026199)),
    ((24, 1, 31, 8, 0, 18, 4, 14), (0.008086, 0.0, 0.412282, 0.078302)),
]
INPUTS = np.array([(a, b) for a in (0, 1) for b in (0, 1)])


@pytest.mark.parametrize(("gate", "parts"), GATES.values(), ids=GATES)
def test_gates(gate: Callable[[int, int], int], parts: tuple[float, ...]) -> None:
    y = [gate(int(a), int(b)) for a, b in INPUTS]

    assert decompose(joint_distribution(y, *INPUTS.T)) == pytest.approx(parts, abs=1e-5)


def test_a_copy_is_redundant() -> None:
    x = [0, 1, 2, 3]

    assert decompose(joint_distribution(x, x, x)) == pytest.approx((2, 0, 0, 0))


@pytest.mark.parametrize(("hundredths", "parts"), DIT)
def test_decomposition_is_that_of_dit(hundredths: tuple[int, ...], parts: tuple[float, ...]) -> None:
    p = np.array(hundredths).reshape(2, 2, 2) / 100

    assert decompose(p) == pytest.approx(parts, abs=1e-5)


def duality_gap(p: Array, q: Array) -> float:
    """Upper limit of how much more information q has than the optimum, in bits: a linear program for each y."""
    gap = 0.0
    for q_y, p_y in zip(q, p, strict=True):
        slope = np.log2(np.maximum(q_y, 1e-300) / q.sum(axis=0))
        rows = [np.kron(np.eye(p_y.shape[0])[i], np.ones(p_y.shape[1])) for i in range(p_y.shape[0])]
        columns = [np.kron(np.ones(p_y.shape[0]), np.eye(p_y.shape[1])[j]) for j in range(p_y.shape[1])]
        margins = np.concatenate([p_y.sum(axis=1), p_y.sum(axis=0)])
        least = linprog(slope.ravel(), A_eq=np.array(rows + columns), b_eq=margins, bounds=(0, None))
        gap += float((slope * q_y).sum() - least.fun)
    return gap


@pytest.mark.parametrize("shape", [(2, 3, 4), (4, 4, 4), (3, 5, 2)])
def test_the_optimum_is_reached(shape: tuple[int, int, int]) -> None:
    p = np.random.default_rng(0).dirichlet(np.full(np.prod(shape), 0.3)).reshape(shape)

    q = least_informative(p)

    np.testing.assert_allclose(q.sum(axis=2), p.sum(axis=2), atol=1e-6)
    np.testing.assert_allclose(q.sum(axis=1), p.sum(axis=1), atol=1e-6)
    assert duality_gap(p, q) < 1e-4


def test_a_nearly_empty_cell_has_no_information() -> None:
    assert information(np.diag([1e-200, 1.0])) == pytest.approx(0)  # the product of its margins is 0 in floating point


def test_two_readings_of_a_network_and_the_bias() -> None:
    draws = np.random.default_rng(0)
    label, x1 = draws.integers(2, size=(2, 4000))
    columns = {"label": label, "mean": x1, "m0_cut": label, "m1_cut": x1}  # m0 knows it, and the network follows m1

    found = compute(SETTINGS, pd.DataFrame(columns), ("m0", "m1"))

    assert found["pid_label_unique_m0"] == pytest.approx(1, abs=0.01)
    assert found["pid_network_unique_m1"] == pytest.approx(1, abs=0.01)
    rest = [v for n, v in found.items() if n not in {"pid_label_unique_m0", "pid_network_unique_m1"}]
    assert rest == pytest.approx([0] * 8, abs=0.01)


def test_the_null_is_the_information_that_few_samples_seem_to_have() -> None:
    label, mean, x0, x1 = np.random.default_rng(0).integers(5, size=(4, 100))  # independent

    found = compute(SETTINGS, pd.DataFrame({"label": label, "mean": mean, "m0_cut": x0, "m1_cut": x1}), ("m0", "m1"))

    parts = ("redundant", "unique_m0", "unique_m1", "synergy")
    for reading in ("label", "network"):
        total = sum(found[f"pid_{reading}_{part}"] or 0 for part in parts)
        assert total > 0.5
        assert found[f"pid_{reading}_null"] == pytest.approx(total, rel=0.2)


def test_three_modalities_are_refused_before_training() -> None:
    with pytest.raises(GreedymmError, match=r"measure 'pid' needs two modalities, not 3: m0, m1, m2\. Delete it"):
        required_passes(measured.network(3), [SETTINGS])
