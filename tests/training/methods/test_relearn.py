"""Re-learning against a plain loop; purity and clusters by hand."""

import math
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
from torch import Tensor

from greedymm.errors import GreedymmError
from greedymm.models.network import Pass
from greedymm.training.methods.relearn import Settings, k_means, purity, scaled

SETTINGS = Settings(every=1, times=2)


def plain_purity(clusters: Tensor, labels: Tensor) -> float:
    right = 0
    for c in set(clusters.tolist()):
        members = [int(y) for y, own in zip(labels, clusters, strict=True) if own == c]
        right += max(members.count(label) for label in members)
    return right / len(labels)


class Plain:
    """A plain step; before the first one of epochs 1 and 2, the branches return."""

    def __init__(self, run: tiny.Run) -> None:
        self.run, model = run, run.fit.model
        self.bodies = [[model.get_parameter(n) for n, _ in model.named_parameters() if n.startswith(f"branches.{k}.")]
                       for k in range(2)]  # fmt: skip
        self.initial = [[p.detach().clone() for p in body] for body in self.bodies]
        self.shares, self.velocity = [0.0, 0.0], {p: torch.zeros_like(p) for p in model.parameters()}

    def __call__(self, step: tiny.BareStep) -> tiny.Row:
        if step.number == 0:
            self.shares = [self.share(k) if step.epoch in (1, 2) else 0.0 for k in range(2)]
            for body, initial, share in zip(self.bodies, self.initial, self.shares, strict=True):
                for p, start in zip(body, initial, strict=True):
                    p.data = share * start + (1 - share) * p.data
                    self.velocity[p] = self.velocity[p] * (share == 0)
        logits = step.model.train()(step.inputs).logits
        (-logits.log_softmax(dim=1)[torch.arange(len(logits)), step.labels].mean()).backward()
        for p in step.model.parameters():  # SGD by hand: its momentum is visible here
            if p.grad is not None:
                self.velocity[p] = 0.9 * self.velocity[p] + p.grad
                p.data = p.data - 0.1 * self.velocity[p]
                p.grad = None
        return {f"return_{k}": share for k, share in enumerate(self.shares)}

    def share(self, k: int) -> float:
        with torch.no_grad():
            how, model = Pass(hears=torch.eye(2, dtype=torch.bool)), self.run.fit.model.eval()
            splits = [self.run.train, self.run.val]
            train, val = (model(s.inputs, how).features[k].double() for s in splits)
        low, high = train.min(dim=0).values, train.max(dim=0).values
        both = [-1 + 2 * (h - low) / (high - low) for h in (train, val)]
        purities = [plain_purity(k_means(h, 3), s.labels) for h, s in zip(both, splits, strict=True)]
        return math.tanh(3 * abs(purities[0] - purities[1]))


def test_training_is_that_of_a_plain_loop(tmp_path: Path) -> None:
    run, bare = (tiny.run(tmp_path / f"{i}.pt", settings=SETTINGS, training=tiny.STEADY) for i in range(2))

    rows = tiny.bare_loop(bare, Plain(bare))
    run.go()

    tiny.assert_agree(run, bare, rows)
    assert {row["return_0"] > 0 for row in rows} == {True, False}


def test_a_branch_that_only_remembers_the_training_split_returns_further(tmp_path: Path) -> None:
    run = tiny.run(tmp_path / "r.pt", settings=Settings(every=3), clarity=(5.0, 0.1), samples=60)

    last = run.go().steps[-1].log

    assert last["return_1"][0] > last["return_0"][0]


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_a_return_is_a_share_of_the_way_and_resets_the_momentum(tmp_path: Path, share: float) -> None:
    run = tiny.run(tmp_path / "r.pt", settings=SETTINGS)
    method: Any = run.fit.method
    run.go()
    body, other = (run.fit.model.group(f"branch_{k}.body") for k in range(2))
    before = [[p.detach().clone() for p in group] for group in (body, other)]
    buffers = {name: x.clone() for name, x in run.fit.model.named_buffers()}

    method.move(0, share, run.fit.optimizer)

    for p, old, start in zip(body, before[0], method.initial[0], strict=True):
        torch.testing.assert_close(p, share * start + (1 - share) * old)
        assert share not in (0, 1) or torch.equal(p, start if share else old)
        assert bool(run.fit.optimizer.state[p]["momentum_buffer"].any()) == (share == 0)
    for p, old in zip(other, before[1], strict=True):
        assert torch.equal(p, old)
        assert run.fit.optimizer.state[p]["momentum_buffer"].any()
    assert all(torch.equal(x, buffers[name]) for name, x in run.fit.model.named_buffers())


def test_clear_clusters_are_found_and_pure() -> None:
    labels = torch.arange(30) % 3
    points = torch.eye(3, dtype=torch.float64)[labels] * 10 + torch.rand(30, 3, dtype=torch.float64)

    clusters = k_means(points, 3)

    assert purity(clusters, labels) == 1
    assert torch.equal(clusters, k_means(points, 3))


def test_the_clusters_of_few_points_are_those_of_the_best_of_all_partitions() -> None:
    points = torch.rand(7, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)

    def spread(clusters: tuple[int, ...]) -> float:
        """Sum of squared distances to the means."""
        groups = [points[torch.tensor(clusters) == c] for c in set(clusters)]
        return sum(float(((group - group.mean(dim=0)) ** 2).sum()) for group in groups)

    best = min(spread(clusters) for clusters in product(range(3), repeat=7))
    assert spread(tuple(k_means(points, 3).tolist())) == pytest.approx(best)


def test_purity_is_the_share_of_the_most_frequent_labels() -> None:
    clusters, labels = torch.tensor([0, 0, 0, 2, 2, 2]), torch.tensor([1, 1, 0, 2, 2, 0])

    assert purity(clusters, labels) == pytest.approx(4 / 6) == plain_purity(clusters, labels)


def test_features_that_are_all_the_same_are_clustered_without_numbers_that_are_not_finite() -> None:
    points = torch.zeros(9, 4, dtype=torch.float64)

    assert scaled(points, points[0], points[0]).isfinite().all()
    assert purity(k_means(points, 3), torch.arange(9) % 3) == pytest.approx(1 / 3)


def test_a_validation_split_with_too_few_samples_is_refused(tmp_path: Path) -> None:
    run = tiny.run(tmp_path / "r.pt", settings=SETTINGS)

    with pytest.raises(GreedymmError, match=r"method 'relearn' .* has 5 samples for 3 classes; it needs 6"):
        run.fit.run(run.train, tiny.split(5, (1.0, 0.3), 4), lambda _row: None)


def test_a_training_that_ends_before_the_first_return_is_refused(tmp_path: Path) -> None:
    with pytest.raises(GreedymmError, match=r"no branch returns within 4 epochs, with `every: 4`; train at least 5"):
        tiny.run(tmp_path / "r.pt", settings=Settings(every=4)).go()
