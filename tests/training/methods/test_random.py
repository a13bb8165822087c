from collections import Counter
from itertools import pairwise

import pytest
import torch

from greedymm.params import Random as Settings
from greedymm.training.methods.random import Random, build

STEPS = 300


def method(modalities: int, seed: int = 0) -> Random:
    return build(Settings(), modalities, torch.device("cpu"), torch.Generator().manual_seed(seed))


def modes(random: Random, epochs: range) -> list[int]:
    found = []
    for epoch in epochs:
        random.start_epoch(epoch, STEPS)
        for _ in range(STEPS):
            found.append(int(random.mode()))
            random.after_backward(torch.tensor(found[-1]), torch.tensor([0.5, 0.0]))
    return found


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
    before = torch.get_rng_state()
    first = modes(method(2), range(3))
    torch.rand(7)  # someone else draws
    second, other = modes(method(2), range(3)), modes(method(2, seed=1), range(3))

    torch.set_rng_state(before)
    modes(method(2), range(3))
    assert torch.equal(torch.get_rng_state(), before)
    assert first == second
    assert first != other
