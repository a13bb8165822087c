"""G-Blend: weights by hand, and probes that leave no trace."""

import copy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import tiny
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from greedymm.errors import GreedymmError
from greedymm.models.network import Output, Pass
from greedymm.training.methods.g_blend import Losses, Settings, blend

SETTINGS = Settings(super_epoch=2, probe=1)


class Plain:
    """A plain step; before epochs 0 and 2, a copy of the network is trained for one epoch for each head."""

    def __init__(self, run: tiny.Run) -> None:
        self.run, self.weights = run, list[float]()

    def __call__(self, step: tiny.BareStep) -> tiny.Row:
        heads = range(len(step.model.branches) + 1)
        if step.number == 0 and step.epoch % 2 == 0:
            ratios = [self.ratio(step.model, head) for head in heads]
            self.weights = [r / sum(ratios) for r in ratios]
        output = step.model.train()(step.inputs)
        losses = [mean_loss(y, step.labels) for y in (*output.branches, output.logits)]
        torch.stack([w * loss for w, loss in zip(self.weights, losses, strict=True)]).sum().backward()  # type: ignore[no-untyped-call]
        *branches, joint = self.weights
        return {f"weight_{k}": w for k, w in enumerate(branches)} | {"weight_joint": joint}

    def ratio(self, model: Any, head: int) -> float:
        """G / O^2 of one head."""
        alone = Pass(hears=torch.eye(len(model.branches), dtype=torch.bool) if head < len(model.branches) else None)
        trained, generator = copy.deepcopy(model).train(), self.run.streams["method"]
        order, _ = (torch.Generator().manual_seed(int(torch.randint(2**31, (), generator=generator))) for _ in range(2))
        optimizer = torch.optim.SGD(trained.parameters(), lr=0.1, momentum=0.9)
        for inputs, labels in self.run.train.view(order):
            optimizer.zero_grad()
            mean_loss(head_of(trained(inputs, alone), head), labels).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        (train, val), (new_train, new_val) = (self.losses(m, head, alone) for m in (copy.deepcopy(model), trained))
        return max(val - new_val, 0) / max(abs((new_val - new_train) - (val - train)), 1e-4) ** 2

    def losses(self, model: Any, head: int, alone: Pass) -> list[float]:
        model.record_means(self.run.train.view())
        with torch.no_grad():
            splits = [self.run.train, self.run.val]
            return [float(mean_loss(head_of(model(s.inputs, alone), head), s.labels)) for s in splits]


def head_of(output: Output, head: int) -> Tensor:
    return [*output.branches, output.logits][head]


def mean_loss(logits: Tensor, labels: Tensor) -> Tensor:
    return -torch.stack([y.log_softmax(dim=0)[c] for y, c in zip(logits, labels.tolist(), strict=True)]).mean()


def test_training_is_that_of_a_plain_loop(tmp_path: Path) -> None:
    run, bare = (
        tiny.run(tmp_path / f"{i}.pt", settings=SETTINGS, clarity=(3.0, 1.0), training=tiny.STEADY) for i in range(2)
    )

    rows = tiny.bare_loop(bare, Plain(bare))
    run.go()

    tiny.assert_agree(run, bare, rows)
    assert len({row["weight_0"] for row in rows}) == 2


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


def test_a_validation_split_with_too_few_samples_is_refused(tmp_path: Path) -> None:
    run = tiny.run(tmp_path / "r.pt", "g_blend", SETTINGS)

    with pytest.raises(GreedymmError, match=r"method 'g_blend' .* has 5 samples for 3 classes; it needs 6"):
        run.fit.run(run.train, tiny.split(5, (1.0, 0.3), 4), lambda _row: None)


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
