"""G-Blend: weights by hand, and probes that leave no trace."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import tiny
import torch
from torch.nn.functional import cross_entropy

from greedymm.training.methods.g_blend import Losses, Settings, blend

SETTINGS = Settings(super_epoch=2, probe=1)


def test_weights_are_gain_over_squared_overfitting() -> None:
    before = [Losses(1.0, 1.2), Losses(1.0, 1.0)]
    after = [Losses(0.5, 0.9), Losses(0.2, 0.8)]
    # G: 0.3, 0.2. O: (0.9 - 0.5) - (1.2 - 1.0) = 0.2, (0.8 - 0.2) - 0 = 0.6
    ratios = [0.3 / 0.2**2, 0.2 / 0.6**2]

    assert blend(before, after) == pytest.approx([r / sum(ratios) for r in ratios])


def test_a_head_that_does_not_generalize_has_no_weight() -> None:
    before, after = [Losses(1.0, 1.0)] * 2, [Losses(0.5, 0.9), Losses(0.5, 1.1)]

    assert blend(before, after) == [1.0, 0.0]


def test_where_no_head_generalizes_the_weights_are_equal() -> None:
    assert blend([Losses(1.0, 1.0)] * 3, [Losses(0.5, 1.5)] * 3) == pytest.approx([1 / 3] * 3)


def test_a_gap_that_stays_as_it_is_is_no_division_by_zero() -> None:
    weights = blend([Losses(1.0, 1.0)] * 2, [Losses(0.5, 0.5), Losses(0.5, 0.9)])

    assert sum(weights) == pytest.approx(1)
    assert weights[0] > 0.99


@pytest.mark.parametrize("clarity", [(1.0, 0.3), (1.0, 0.3, 0.7)], ids=["two modalities", "three modalities"])
def test_weights_are_estimated_once_in_each_super_epoch(tmp_path: Path, clarity: tuple[float, ...]) -> None:
    steps = tiny.run(tmp_path / "r.pt", "g_blend", SETTINGS, clarity=clarity).go().steps

    by_epoch = [torch.stack(list(s.log.values()), dim=1) for s in steps]
    for weights in by_epoch:
        assert (weights == weights[0]).all()
        assert float(weights[0].sum()) == pytest.approx(1)
    first, second, third, _ = (weights[0] for weights in by_epoch)
    assert torch.equal(first, second)
    assert not torch.equal(second, third)


def test_off_line_weights_are_estimated_at_the_start_alone(tmp_path: Path) -> None:
    steps = tiny.run(tmp_path / "r.pt", "g_blend", SETTINGS.model_copy(update={"online": False})).go().steps

    weights = torch.cat([torch.stack(list(s.log.values()), dim=1) for s in steps])
    assert (weights == weights[0]).all()


def test_a_head_that_learns_nothing_new_gets_less_weight(tmp_path: Path) -> None:
    run = tiny.run(tmp_path / "r.pt", "g_blend", SETTINGS, clarity=(5.0, 0.0), samples=60)

    first = run.go().steps[0].log

    assert first["weight_0"][0] > first["weight_1"][0]


def test_probes_leave_the_network_and_torchs_generator_as_they_were(tmp_path: Path) -> None:
    run = tiny.run(tmp_path / "r.pt", "g_blend", SETTINGS)
    method: Any = run.fit.method
    before = {name: value.clone() for name, value in run.fit.model.state_dict().items()}
    generator, order = torch.get_rng_state(), run.streams["order"].get_state()

    method.start_epoch(0, run.train, run.val, run.fit.optimizer)

    for name, value in run.fit.model.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0, equal_nan=True)
    assert torch.equal(torch.get_rng_state(), generator)
    assert torch.equal(run.streams["order"].get_state(), order)
    assert not torch.equal(method.weights, torch.full((3,), 1 / 3))


def test_the_loss_is_the_weighted_sum_over_all_heads(tmp_path: Path) -> None:
    run = tiny.run(tmp_path / "r.pt", "g_blend", SETTINGS)
    method: Any = run.fit.method
    method.weights = torch.tensor([0.5, 0.2, 0.3])
    model, (inputs, labels) = run.fit.model, next(iter(run.train))
    output = model(inputs)

    step: Any = SimpleNamespace(output=output, labels=labels)
    losses = method.loss(step)

    heads = [*output.branches, output.logits]
    expected = [w * cross_entropy(y, labels) for w, y in zip((0.5, 0.2, 0.3), heads, strict=True)]
    torch.testing.assert_close(list(losses.values()), expected)
