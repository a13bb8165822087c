from collections.abc import Sequence
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import reference
import tiny
import torch

from greedymm.training.methods.balanced import Balanced, Settings, build


def method(modalities: int = 2, tolerance: float = 0.1, window: int = 2) -> Balanced:
    balanced = build(Settings(tolerance=tolerance, window=window))
    balanced.setup(tiny.network(modalities), torch.Generator())
    return balanced


def modes(balanced: Balanced, speeds: Sequence[Sequence[float]], steps_per_epoch: int) -> list[int]:
    """Mode of every step, where the speeds after every step are given."""
    found = []
    for number, of_step in enumerate(speeds):
        step: Any = SimpleNamespace(epoch=number // steps_per_epoch, present=None)
        step.mode = balanced.plan(step).mode
        step.speeds = torch.tensor(of_step, dtype=torch.float64)
        balanced.after_backward(step)
        found.append(int(step.mode))
    return found


FAR, NEAR, FAR_BELOW = (0.5, 0.0), (0.05, 0.0), (0.0, 0.5)


@pytest.mark.parametrize(
    ("speeds", "expected"),
    [
        ([FAR] * 9, [0, 0, 0, 0, 1, 1, 0, 1, 1]),
        ([FAR_BELOW] * 9, [0, 0, 0, 0, 2, 2, 0, 2, 2]),
        ([NEAR] * 9, [0] * 9),
        ([NEAR] * 5 + [FAR] + [NEAR] * 4, [0] * 6 + [1, 1, 0, 0]),
        ([FAR] * 3 + [NEAR] * 4, [0] * 7),
        ([NEAR] * 3 + [FAR, FAR_BELOW, FAR_BELOW, FAR_BELOW, FAR], [0, 0, 0, 0, 1, 1, 0, 2]),
        ([(0.1, 0.0)] * 9, [0] * 9),
        ([(float("nan"), float("nan"))] * 9, [0] * 9),
    ],
    ids=[
        "m0 leans more on m1: accelerate m0",
        "m1 leans more on m0: accelerate m1",
        "within the tolerance",
        "one step far off opens one window",
        "far off in the warm-up epoch only",
        "no decision within a window, one regular step after it",
        "just at the tolerance",
        "no speeds yet",
    ],
)
def test_windows_open_and_close_as_by_hand(speeds: list[tuple[float, ...]], expected: list[int]) -> None:
    assert modes(method(), speeds, steps_per_epoch=3) == expected


def test_the_warm_up_epoch_and_the_first_step_of_the_second_are_regular() -> None:
    found = modes(method(window=1), [FAR] * 10, steps_per_epoch=4)

    assert found[: 4 + 1] == [0] * 5
    assert found[4 + 1] == 1


def test_an_open_window_goes_on_into_the_next_epoch() -> None:
    assert modes(method(window=4), [FAR] * 10, steps_per_epoch=3) == [0, 0, 0, 0, 1, 1, 1, 1, 0, 1]


def test_with_three_modalities_the_one_with_the_largest_speed_is_accelerated() -> None:
    speeds = [(0.0, 0.2, 0.1)] * 5 + [(0.0, 0.05, 0.09)] * 2 + [(0.3, 0.2, 0.5)] * 3

    assert modes(method(3, window=1), speeds, steps_per_epoch=3) == [0, 0, 0, 0, 2, 0, 0, 0, 3, 0]


@pytest.mark.parametrize("window", [1, 2, 5], ids="window of {}".format)
@pytest.mark.parametrize("modalities", [2, 3], ids=["two modalities", "three modalities"])
def test_modes_are_those_of_the_plain_state_machine_for_random_speeds(modalities: int, window: int) -> None:
    speeds = np.random.default_rng(0).normal(scale=0.2, size=(400, modalities)).tolist()

    found = modes(method(modalities, 0.3, window), speeds, steps_per_epoch=17)

    assert found == reference.balanced_modes(speeds, 17, 0.3, window)
    assert set(found) == set(range(modalities + 1))
    regular = [step for step, mode in enumerate(found) if mode == 0]
    assert any(after - before == 1 for before, after in pairwise(regular[17:]))  # no window


def test_an_open_window_is_saved_and_goes_on_from_there() -> None:
    first, other = method(window=3), method(window=3)
    modes(first, [FAR] * 5, steps_per_epoch=3)  # a window is open, one step of it is done

    other.load_state_dict(first.state_dict())

    assert [modes(m, [NEAR] * 6, steps_per_epoch=6)[:4] for m in (first, other)] == [[1, 1, 0, 0]] * 2
