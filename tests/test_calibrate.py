import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

sys.path.append(str(Path(__file__).resolve().parents[1] / "benchmarks"))
calibrate: Any = pytest.importorskip("calibrate")


def shares(values: NDArray[np.float64], n: int, margin: float = 0.01) -> Any:
    return calibrate.measure(values, n, np.inf, margin, np.random.default_rng(0))


def test_made_up_methods_are_disjoint_runs() -> None:
    for groups in calibrate.split(np.arange(40.0), 3, np.random.default_rng(0)):
        assert (groups.shape, len(set(groups.ravel()))) == ((13, 3), 39)
    assert [calibrate.size_of(40, n) for n in (3, 5, 10)] == [5, 5, 3]


@pytest.mark.parametrize("skewed", [False, True], ids=["normal", "skewed as accuracies near their limit"])
def test_equal_runs_have_false_verdicts_as_seldom_as_the_level_says(skewed: bool) -> None:  # noqa: FBT001
    rng = np.random.default_rng(0)
    values = 1 - rng.gamma(2, 0.02, size=400) if skewed else rng.normal(0.5, 0.05, size=400)

    for n in (3, 5):
        measured = shares(values[: 40 * n], n)
        assert 0.005 < measured.false < 0.075
        assert measured.family < 0.12
        assert np.isnan(measured.sign_flips)


def test_runs_that_differ_by_less_than_the_margin_are_practically_equal() -> None:
    measured = shares(np.random.default_rng(0).normal(0.9, 0.001, size=20), 5)

    assert measured.equal > 0.9


def test_methods_that_differ_would_be_seen() -> None:
    values = np.repeat([0.3, 0.9], 10) + np.random.default_rng(0).normal(0, 0.01, size=20)

    assert calibrate.judge([calibrate.mean_evidence(values[:3] - values[-3:], 1)])[0].verdict == "contradicted"
