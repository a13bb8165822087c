"""SMV: its table against plain loops over all orders of joining, and the epochs that follow from it."""

from itertools import permutations, product
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
from torch import Tensor

from greedymm.errors import GreedymmError
from greedymm.models.network import Pass
from greedymm.training.methods.composition import Settings as Composition
from greedymm.training.methods.smv import Settings, copies, shares, with_copies
from greedymm.training.step import Steps

SETTINGS = Settings.model_validate({"active": {"start": 2}})
MODALITY = Settings.model_validate({"level": "modality", "part": 1.0, "active": {"start": 2}})


def plain_contributions(model: Any, inputs: list[Tensor], label: int) -> list[float]:
    """phi of one sample: its mean gain over all orders in which the modalities join."""
    count = len(inputs)
    values: dict[tuple[int, ...], int] = {(0,) * count: 0}
    for joined in list(product((0, 1), repeat=count))[1:]:
        right = int(model(inputs, Pass(present=torch.tensor(joined).bool())).logits.argmax()) == label
        values[joined] = sum(joined) if right else 0
    found, orders = [0.0] * count, list(permutations(range(count)))
    for order in orders:
        for i, k in enumerate(order):
            before, after = (tuple(int(j in order[:n]) for j in range(count)) for n in (i, i + 1))
            found[k] += (values[after] - values[before]) / len(orders)
    return found


class PlainEpochs:
    """Follows a plain loop; notes the copies of each epoch, and gives the rows and masks of its steps."""

    def __init__(self, run: tiny.Run) -> None:
        self.run, self.generator, self.rows = run, run.streams["method"], list[tiny.Row]()

    def train(self) -> None:
        model, optimizer = self.run.fit.model, torch.optim.SGD(self.run.fit.model.parameters(), lr=0.1, momentum=0.9)
        for epoch in range(4):
            counts = [[0, 0] for _ in range(26)] if epoch == 0 else self.counts()
            order = list(self.epoch(counts)) if epoch else None
            batches = list(self.run.train.of(order[0])) if order else list(self.run.train)
            masks = torch.split(order[1], 6) if order else [None] * len(batches)
            model.train()
            for (inputs, labels), present in zip(
                batches, masks, strict=False
            ):  # a last batch of one sample is left out
                optimizer.zero_grad()
                logits = model(inputs, Pass(present=present)).logits
                (-logits.log_softmax(dim=1)[torch.arange(len(labels)), labels].mean()).backward()
                optimizer.step()
                self.rows.append({f"copies_{k}": sum(c[k] for c in counts) / 26 for k in range(2)})

    def counts(self) -> list[list[int]]:
        model, train = self.run.fit.model.eval(), self.run.train
        table = {1.5: 0, 1.0: 0, 0.5: 1, 0.0: 2, -0.5: 3}
        samples = [[x[i : i + 1] for x in train.inputs] for i in range(26)]
        with torch.no_grad():
            phi = [plain_contributions(model, x, int(y)) for x, y in zip(samples, train.labels, strict=True)]
        return [[table[p] for p in of_sample] for of_sample in phi]

    def epoch(self, counts: list[list[int]]) -> tuple[Tensor, Tensor]:
        rows, masks = list(range(26)), [[True, True] for _ in range(26)]
        for k in range(2):
            again = [i for i in range(26) for _ in range(counts[i][k])]
            rows, masks = rows + again, masks + [[k == 0, k == 1] for _ in again]
        shuffled = torch.randperm(len(rows), generator=self.generator)
        return torch.tensor(rows)[shuffled], torch.tensor(masks)[shuffled]


def test_training_is_that_of_a_plain_loop(tmp_path: Path) -> None:
    run, bare = (
        tiny.run(tmp_path / f"{i}.pt", settings=SETTINGS, clarity=(2.0, 0.1), training=tiny.STEADY) for i in range(2)
    )

    plain = PlainEpochs(bare)
    plain.train()
    run.go()

    tiny.assert_agree(run, bare, plain.rows)
    assert plain.rows[-1]["copies_1"] > plain.rows[-1]["copies_0"]  # the branch that is slower gets more


def test_contributions_of_three_modalities_are_those_of_all_orders_of_joining(tmp_path: Path) -> None:
    run = tiny.run(tmp_path / "r.pt", settings=SETTINGS, clarity=(2.0, 0.1, 1.0), samples=8)
    method: Any = run.fit.method
    method.start_epoch(0, run.train, run.val, run.fit.optimizer)
    run.fit.train_epoch(0, run.train)

    rows = torch.tensor([5, 0, 3])
    found = method.contributions(run.train, rows)

    model = run.fit.model.eval()
    for i, of_sample in zip(rows, found, strict=True):
        inputs = [x[i : i + 1] for x in run.train.inputs]
        expected = plain_contributions(model, inputs, int(run.train.labels[i]))
        torch.testing.assert_close(of_sample, torch.tensor(expected, dtype=torch.float64))


def test_a_sample_that_is_learned_with_each_modality_has_no_copies() -> None:
    """In a known re-implementation, all modalities together are worth 1, and such samples are repeated for ever."""
    phi = torch.tensor([[1.0, 1.0], [1.5, 0.5], [0.5, -0.5], [0.0, 0.0]])

    assert copies(phi).tolist() == [[0, 0], [0, 1], [1, 3], [2, 2]]


def test_shares_of_copies_are_by_hand_and_never_above_one() -> None:
    torch.testing.assert_close(shares(torch.tensor([0.9, 0.3]), alpha=1.0), torch.tensor([0.0, 0.4]))
    torch.testing.assert_close(shares(torch.tensor([0.9, 0.3, 0.6]), alpha=1.0), torch.tensor([0.0, 0.4, 0.2]))
    assert shares(torch.tensor([1.5, -0.5]), alpha=3.0).tolist() == [0, 1]
    assert shares(torch.tensor([0.5, 0.5]), alpha=1.0).tolist() == [0, 0]


def test_the_modality_is_valued_on_a_part_of_the_samples_and_repeated_for_others_at_random(tmp_path: Path) -> None:
    run = tiny.run(tmp_path / "r.pt", settings=MODALITY.model_copy(update={"part": 0.2}), samples=100)
    method: Any = run.fit.method
    valued = []

    def contributions(_train: Any, rows: Tensor) -> Tensor:
        valued.append(set(rows.tolist()))
        return torch.tensor([[0.75, 0.0]]).expand(len(rows), 2)

    method.contributions = contributions
    chosen = []
    for epoch in (1, 2):
        method.start_epoch(epoch, run.train, run.val, run.fit.optimizer)
        assert method.copies.sum(dim=0).tolist() == [0, 50]  # 2 / 3 of the gap, 0.75
        chosen.append(set(method.copies[:, 1].nonzero()[:, 0].tolist()))

    assert [len(rows) for rows in valued] == [20, 20]
    assert valued[0] != valued[1]
    assert chosen[0] != chosen[1]


def test_each_sample_is_there_once_with_all_modalities_and_its_copies_with_one() -> None:
    rows, present = with_copies(torch.tensor([[0, 2], [1, 0], [0, 0]]))

    assert rows.tolist() == [0, 1, 2, 1, 0, 0]
    assert present.tolist() == [[True, True]] * 3 + [[True, False]] + [[False, True]] * 2


@pytest.mark.parametrize("settings", [SETTINGS, MODALITY], ids=["sample", "modality"])
def test_the_slower_modality_is_repeated_within_the_window(tmp_path: Path, settings: Settings) -> None:
    progress = tiny.run(tmp_path / "r.pt", settings=settings, clarity=(5.0, 0.1)).go()

    first, *later = progress.steps
    assert first.samples.sum() == 26
    assert not first.log["copies_1"].any()
    assert all(steps.samples.sum() > 26 for steps in later)
    log = Steps.joined(later).log
    assert (log["copies_1"] > log["copies_0"]).all()


def test_the_valuation_leaves_norms_running_means_and_orders_as_they_were(tmp_path: Path) -> None:
    tiny.assert_start_epoch_changes_nothing(tiny.run(tmp_path / "r.pt", settings=SETTINGS))


def test_a_composition_with_a_method_that_plans_passes_is_refused(tmp_path: Path) -> None:
    parts = ["smv", {"method": "modality_dropout", "objective": "joint"}]

    with pytest.raises(GreedymmError, match="smv and modality_dropout both define `plan`"):
        tiny.run(tmp_path / "r.pt", settings=Composition.model_validate({"parts": parts}))
