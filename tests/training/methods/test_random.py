from collections import Counter
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest
import tiny
import torch

from greedymm.training.methods.random import Random, Settings, build

STEPS = 300


def method(modalities: int, seed: int = 0) -> Random:
    random = build(Settings())
    random.setup(tiny.network(modalities), torch.Generator().manual_seed(seed))
    return random


def modes(random: Random, epochs: range) -> list[int]:
    steps: list[Any] = [
        SimpleNamespace(epoch=epoch, number=number, count=STEPS, present=None)
        for epoch in epochs
        for number in range(STEPS)
    ]
    return [int(mode) for step in steps if (mode := random.plan(step).mode) is not None]


@pytest.mark.parametrize("modalities", [2, 3], ids=["two modalities", "three modalities"])
def test_the_warm_up_epoch_is_regular_and_then_all_modes_are_equally_likely(modalities: int) -> None:
    warm_up, later = (modes(method(modalities), range(a, b)) for a, b in ((0, 1), (1, 5)))

    assert set(warm_up) == {0}
    counts = Counter(later)
    assert set(counts) == set(range(modalities + 1))
    expected = len(later) / (modalities + 1)
    assert all(abs(n - expected) < 5 * expected**0.5 for n in counts.values())


def test_modes_are_drawn_step_by_step_without_a_window() -> None:
    later = modes(method(2), range(1, 5))

    stays = sum(a == b for a, b in pairwise(later)) / (len(later) - 1)

    assert stays == pytest.approx(1 / 3, abs=0.07)


def test_modes_come_from_the_methods_own_generator_alone() -> None:
    one, two, three = method(2), method(2), method(2, seed=1)
    before = torch.get_rng_state()
    first = modes(one, range(3))
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(7)  # someone else draws
    second, other = modes(two, range(3)), modes(three, range(3))

    assert first == second
    assert first != other
