"""DI-MML against a plain loop, written from the formulas; its measurements and its decision rule by hand."""

import math
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
from torch import Tensor

from greedymm.errors import GreedymmError
from greedymm.models.network import Output, Pass
from greedymm.training.methods.di_mml import Settings, count_right
from greedymm.training.networks import make_method
from greedymm.training.step import Steps

SETTINGS = Settings(weight=0.5, contrast=2.0, temperature=3.0, contrast_after=0.25, second_stage=0.25)


def plain_counts(features: Tensor, labels: list[int]) -> list[int]:
    """Number of samples nearest to the mean of their class, dimension by dimension and sample by sample."""
    counts = []
    for column in features.double().T.tolist():
        members = {c: [x for x, y in zip(column, labels, strict=True) if y == c] for c in set(labels)}
        means = {c: sum(xs) / len(xs) for c, xs in members.items()}
        nearest = [min(sorted(means), key=lambda c: abs(x - means[c])) for x in column]
        counts.append(sum(n == y for n, y in zip(nearest, labels, strict=True)))
    return counts


class Plain:
    """A plain step: contrast from epoch 1 on, the second stage in epoch 3."""

    def __init__(self, run: tiny.Run) -> None:
        self.run, self.only = run, dict[tuple[int, int], list[int]]()

    def __call__(self, step: tiny.BareStep) -> tiny.Row:
        if step.number == 0 and step.epoch == 1:
            self.measure()
        model, labels = step.model.train(step.epoch < 3), step.labels.tolist()
        features, branches = (list(x) for x in model(step.inputs, Pass(detach=True))[2:0:-1])
        if step.epoch == 3:
            self.loss(self.head("all", torch.cat([z.detach() for z in features], dim=1)), labels).backward()  # type: ignore[no-untyped-call]
            return {"contrast": 0.0, "joined": 1.0}
        total, contrast = torch.zeros(()), torch.zeros(())
        for y, z in zip(branches, features, strict=True):
            total = total + self.loss(y, labels) + 0.5 * self.loss(self.head("shared", z), labels)
        for (j, k), dimensions in self.only.items():
            own, other = features[k][:, dimensions], features[j][:, dimensions].detach()
            for i in range(len(labels) if dimensions else 0):
                scores = torch.stack([(own[i] * other[n]).sum() / 3 for n in range(len(labels))])
                contrast = contrast - scores.log_softmax(dim=0)[i] / len(labels)
        (total + 2 * contrast).backward()  # type: ignore[no-untyped-call]
        return {"contrast": float(contrast.detach()), "joined": 0.0}

    def loss(self, logits: Tensor, labels: list[int]) -> Tensor:
        return -torch.stack([y.log_softmax(dim=0)[c] for y, c in zip(logits, labels, strict=True)]).mean()

    def head(self, name: str, features: Tensor) -> Tensor:
        weight, bias = (self.run.fit.model.get_parameter(f"method.{name}.{p}") for p in ("weight", "bias"))
        return features @ weight.T + bias

    def measure(self) -> None:
        model, train = self.run.fit.model.eval(), self.run.train
        with torch.no_grad():
            counts = [plain_counts(z, train.labels.tolist()) for z in model(train.inputs).features]
        top = [{d for d, x in enumerate(own) if x * len(own) > sum(own)} for own in counts]
        pairs = [(j, k) for j in range(len(top)) for k in range(len(top)) if j != k]
        self.only = {(j, k): sorted(top[j] - top[k]) for j, k in pairs}


@pytest.mark.parametrize("clarity", [(2.0, 0.1), (1.0, 0.3, 2.0)], ids=["two modalities", "three modalities"])
def test_training_is_that_of_a_plain_loop(tmp_path: Path, clarity: tuple[float, ...]) -> None:
    run, bare = (
        tiny.run(tmp_path / f"{i}.pt", settings=SETTINGS, clarity=clarity, training=tiny.STEADY) for i in range(2)
    )

    rows = tiny.bare_loop(bare, Plain(bare))
    run.go()

    tiny.assert_agree(run, bare, rows)
    assert rows[5]["contrast"] > 0


def test_in_the_second_stage_branches_and_statistics_are_fixed(tmp_path: Path) -> None:
    run = tiny.run(tmp_path / "r.pt", settings=SETTINGS)
    states: list[dict[str, Tensor]] = []

    run.fit.run(run.train, run.val, lambda _: states.append(run.fit.weights()))

    moved = {name for name, x in states[2].items() if not torch.equal(x.nan_to_num(), states[3][name].nan_to_num())}
    assert moved == {"method.all.weight", "method.all.bias", "method.joined"}


def test_only_the_slower_branch_gets_a_gradient_on_dimensions_of_the_quicker_one(tmp_path: Path) -> None:
    method: Any = tiny.run(tmp_path / "r.pt", settings=SETTINGS).fit.method
    method.parts.only[0, 1, :3] = 1  # branch 0 is effective in three dimensions, and branch 1 is not
    features = [torch.randn(6, 8, requires_grad=True) for _ in range(2)]

    losses = method.contrasts(features)
    quick, slow = torch.autograd.grad(torch.stack(losses).sum(), features, allow_unused=True)

    assert (quick == 0).all()
    assert (slow[:, :3] != 0).all()
    assert (slow[:, 3:] == 0).all()
    assert losses[0] == 0  # no dimensions: not log B


def test_a_quicker_branch_has_more_effective_dimensions_of_its_own(tmp_path: Path) -> None:
    run = tiny.run(tmp_path / "r.pt", settings=SETTINGS, clarity=(5.0, 0.1), samples=60)
    method: Any = run.fit.method

    run.go()

    features = run.fit.model.eval()(run.train.inputs).features
    quick, slow = (count_right(z, run.train.labels, 3).sum() for z in features)
    assert quick > slow
    assert method.parts.only.any()
    assert not (method.parts.only[0, 1] * method.parts.only[1, 0]).any()


def test_the_nearest_mean_is_never_that_of_a_class_without_samples() -> None:
    features = torch.tensor([[0.0, 5.0], [0.1, 4.0], [1.0, 5.0], [1.1, 4.0]])

    found = count_right(features, torch.tensor([1, 1, 2, 2]), classes=4)

    assert found.tolist() == [4, 2]


def by_hand(heads: list[list[float]]) -> list[float]:
    """Logits of one sample: those of its heads, weighted by softmax of the largest probability."""
    certainties = [max(math.exp(x) / sum(map(math.exp, y)) for x in y) for y in heads]
    weights = [math.exp(c) / sum(map(math.exp, certainties)) for c in certainties]
    return [sum(w * y[c] for w, y in zip(weights, heads, strict=True)) for c in range(len(heads[0]))]


@pytest.mark.parametrize("joined", [False, True], ids=["first stage", "second stage"])
def test_predictions_are_weighted_by_the_certainty_of_heads_that_are_trained(tmp_path: Path, *, joined: bool) -> None:
    method: Any = tiny.run(tmp_path / "r.pt", settings=SETTINGS).fit.method
    method.parts.joined.fill_(joined)
    branches, features = ([torch.randn(4, n) for _ in range(2)] for n in (3, 8))
    heads = [*branches, method.parts.all(torch.cat(features, dim=1)).detach()][: 2 + joined]

    found = method.decide(Output(branches[0], branches, features))

    expected = [by_hand([y[i].tolist() for y in heads]) for i in range(4)]
    torch.testing.assert_close(found.detach(), torch.tensor(expected))


def test_an_absent_modality_has_no_part_in_the_prediction(tmp_path: Path) -> None:
    method: Any = tiny.run(tmp_path / "r.pt", settings=SETTINGS).fit.method
    branches, features = ([torch.randn(4, n) for _ in range(2)] for n in (3, 8))
    present = torch.tensor([True, False])

    method.parts.joined.fill_(False)
    torch.testing.assert_close(method.decide(Output(branches[0], branches, features, present)), branches[0])
    method.parts.joined.fill_(True)
    others = [features[0], torch.randn(4, 8)]
    found = [method.decide(Output(branches[0], branches, z, present)) for z in (features, others)]
    torch.testing.assert_close(*found)


def test_stages_share_the_epochs_of_the_run() -> None:
    method: Any = make_method(Settings(), tiny.network(), torch.Generator())
    found = {}
    for method.epochs in (1, 2, 6, 170):
        found[method.epochs] = method.stages

    assert found == {1: (1, 1), 2: (1, 1), 6: (1, 5), 170: (20, 150)}


def test_branches_whose_logits_are_added_are_served() -> None:
    make_method(Settings(), tiny.fused("sum"), torch.Generator())


def test_a_joint_head_is_refused() -> None:
    with pytest.raises(GreedymmError, match="use head own"):
        make_method(Settings(), tiny.network(joint=True), torch.Generator())


@pytest.mark.parametrize(
    ("epochs", "changes"),
    [(2, {}), (1, {"contrast": 0}), (4, {"contrast_after": 0.8}), (1, {"second_stage": 0})],
)
def test_a_training_without_an_epoch_for_a_part_of_it_is_refused(
    tmp_path: Path, epochs: int, changes: dict[str, float]
) -> None:
    training = tiny.TRAINING.model_copy(update={"epochs": epochs, "snapshots": ()})
    run = tiny.run(tmp_path / "r.pt", settings=Settings.model_validate(changes), training=training)

    with pytest.raises(GreedymmError, match=rf"{epochs} epochs have none .* Three epochs and the default shares"):
        run.go()


@pytest.mark.parametrize("epochs", [1, 2, 3])
def test_parts_that_are_switched_off_need_no_epoch(tmp_path: Path, epochs: int) -> None:
    training = tiny.TRAINING.model_copy(update={"epochs": epochs, "snapshots": ()})
    settings = Settings() if epochs == 3 else Settings(contrast=0, second_stage=0)

    assert len(tiny.run(tmp_path / "r.pt", settings=settings, training=training).go().history) == epochs


def test_the_rule_counts_what_was_trained_when_the_best_weights_were_kept(tmp_path: Path) -> None:
    run = tiny.run(tmp_path / "r.pt", settings=SETTINGS)

    progress = run.go()

    assert bool(progress.best["model"]["method.joined"]) == (progress.best["epoch"] == 4)
    assert Steps.joined(progress.steps).log["joined"].tolist() == [0] * 15 + [1] * 5
