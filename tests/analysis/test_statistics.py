import math

import numpy as np
import pytest
from scipy import stats

from greedymm.analysis.statistics import estimate


@pytest.mark.parametrize("n", [2, 3, 5, 30])
def test_interval_is_students_t(n: int) -> None:
    values = np.random.default_rng(n).normal(0.7, 0.1, size=n)

    found = estimate(values.tolist())

    low, high = stats.t.interval(0.95, n - 1, loc=values.mean(), scale=stats.sem(values))
    assert found == pytest.approx((n, values.mean(), values.std(ddof=1), low, high))


def test_interval_of_three_values_is_as_by_hand() -> None:
    found = estimate([1.0, 2.0, 3.0])

    half = 4.302653 / math.sqrt(3)  # t(0.975; 2 degrees of freedom), sd 1
    assert found == pytest.approx((3, 2.0, 1.0, 2 - half, 2 + half), rel=1e-6)


def test_a_single_value_has_no_interval() -> None:
    found = estimate([0.7])

    assert (found.n, found.mean) == (1, 0.7)
    assert all(math.isnan(x) for x in (found.sd, found.low, found.high))


def test_equal_values_have_an_interval_of_no_width() -> None:
    assert estimate([0.5] * 4) == (4, 0.5, 0.0, 0.5, 0.5)


def test_no_value_at_all_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least one value"):
        estimate([])
