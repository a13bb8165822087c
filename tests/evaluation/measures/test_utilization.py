import numpy as np
import pytest
import reference

from greedymm.evaluation.measures.utilization import conditional_utilization_rate


@pytest.mark.parametrize(
    ("right", "right_cut", "rate"),
    [(4, 4, 0.0), (4, 1, 0.75), (4, 0, 1.0), (2, 5, -1.5), (1, 8, -7.0)],
    ids=["no use of the others", "three quarters", "nothing without them", "misled", "far below -1"],
)
def test_rate_is_as_counted_by_hand(right: int, right_cut: int, rate: float) -> None:
    correct, correct_cut = (np.arange(8) < n for n in (right, right_cut))

    assert conditional_utilization_rate(correct, correct_cut) == pytest.approx(rate)


def test_rate_is_undefined_where_the_branch_is_right_on_no_sample() -> None:
    with pytest.raises(ValueError, match="correct on no sample"):
        conditional_utilization_rate(np.zeros(4, dtype=bool), np.ones(4, dtype=bool))


def test_rate_equals_the_counting_loops_on_random_predictions() -> None:
    draws = np.random.default_rng(0)
    for _ in range(20):
        labels, whole, cut = draws.integers(3, size=(3, 25))

        rate = conditional_utilization_rate(whole == labels, cut == labels)

        assert rate == pytest.approx(reference.utilization(labels.tolist(), whole.tolist(), cut.tolist()))
