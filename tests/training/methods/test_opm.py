"""OPM against plain loops, written from the formulas."""

import math
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
from torch import Tensor

from greedymm.models.network import Pass
from greedymm.training.methods.opm import Settings, probabilities
from greedymm.training.step import Steps


def plain_probabilities(logits: list[Tensor], labels: list[int], q: float, strength: float) -> list[float]:
    """q_k of each branch, sample by sample."""
    scores = []
    for of_branch in logits:
        rows = of_branch.double().tolist()
        own = [math.exp(y[c]) / sum(map(math.exp, y)) for y, c in zip(rows, labels, strict=True)]
        scores.append(sum(own) / len(own))
    found = []
    for k, own_score in enumerate(scores):
        others = [s for j, s in enumerate(scores) if j != k]
        rho = own_score / (sum(others) / len(others))
        found.append(min(q * (1 + strength * math.tanh(rho - 1)), 1) if rho > 1 else 0.0)
    return found


class Plain:
    """A plain step; the draws are those of the method's generator."""

    def __init__(self, settings: Settings, generator: torch.Generator) -> None:
        self.settings, self.generator = settings, generator

    def __call__(self, step: tiny.BareStep) -> tiny.Row:
        model, labels, settings = step.model, step.labels.tolist(), self.settings
        branches = range(len(model.branches))
        if step.number == 0:
            self.acts = (torch.rand(5, generator=self.generator) < settings.share).tolist()
            self.draws = torch.rand(5, len(labels), len(model.branches), generator=self.generator)
        q, kept, how = [0.0 for _ in branches], [[True for _ in branches] for _ in labels], Pass()
        if self.acts[step.number] and step.epoch >= settings.active.start - 1:
            with torch.no_grad():
                q = plain_probabilities(model.eval()(step.inputs).branches, labels, settings.q, settings.strength)
            draws = self.draws[step.number].tolist()
            kept = [[draws[i][k] >= q[k] for k in branches] for i in range(len(labels))]
            how = Pass(present=torch.tensor(kept))
        output = model.train()(step.inputs, how)
        loss = torch.zeros(())
        for i, label in enumerate(labels):
            votes = torch.stack([output.branches[k][i] * kept[i][k] for k in branches])
            loss = loss - (votes.sum(dim=0) / sum(kept[i])).log_softmax(dim=0)[label] / len(labels)
        loss.backward()  # type: ignore[no-untyped-call]
        return {f"drop_{k}": q[k] for k in branches}


@pytest.mark.parametrize("clarity", [(2.0, 0.1), (1.0, 0.3, 2.0)], ids=["two modalities", "three modalities"])
def test_training_is_that_of_a_plain_loop(tmp_path: Path, clarity: tuple[float, ...]) -> None:
    settings = Settings.model_validate({"active": {"start": 2}})
    run, bare = (
        tiny.run(tmp_path / f"{i}.pt", settings=settings, clarity=clarity, training=tiny.STEADY) for i in range(2)
    )

    rows = tiny.bare_loop(bare, Plain(settings, bare.streams["method"]))
    run.go()

    tiny.assert_agree(run, bare, rows)
    assert any(row["drop_0"] > 0 for row in rows)


def test_the_quicker_branch_is_dropped(tmp_path: Path) -> None:
    settings = Settings.model_validate({"share": 1, "active": {"start": 2}})
    steps = Steps.joined(tiny.run(tmp_path / "r.pt", settings=settings, clarity=(5.0, 0.1)).go().steps)

    quick, slow = steps.log["drop_0"][5:], steps.log["drop_1"][5:]

    assert (quick >= 0.5).sum() > 12
    assert quick.mean() > 3 * slow.mean()


def test_equal_scores_and_scores_that_are_no_numbers_drop_nothing() -> None:
    for scores in ([0.3, 0.3], [0.2, 0.2, 0.2], [math.nan, 0.2], [0.0, 0.0]):
        assert not probabilities(torch.tensor(scores), 0.5, 0.5).any()


def test_one_branch_of_each_sample_is_never_dropped() -> None:
    scores = torch.rand(100, 3, generator=torch.Generator().manual_seed(0))

    assert all((probabilities(s, q=1.0, strength=1.0) == 0).any() for s in scores)


def test_a_branch_without_any_probability_is_no_division_by_zero() -> None:
    assert probabilities(torch.tensor([0.5, 0.0]), q=0.9, strength=1.0).tolist() == [1, 0]


@pytest.mark.parametrize("evidence", ["full", "cut"])
def test_the_pass_for_the_scores_leaves_norms_and_running_means_as_they_were(tmp_path: Path, evidence: str) -> None:
    settings = Settings.model_validate({"share": 1, "evidence": evidence})
    run = tiny.run(tmp_path / "r.pt", settings=settings)
    method: Any = run.fit.method
    checked, scores = [], method.scores

    def watched(step: Any) -> Any:
        before = {name: x.clone() for name, x in step.network.named_buffers()}
        found = scores(step)
        for name, x in step.network.named_buffers():
            torch.testing.assert_close(x, before[name], rtol=0, atol=0, equal_nan=True, msg=name)
        checked.append(step.network.training)
        return found

    method.settings = settings.model_copy(update={"active": settings.active.model_copy(update={"start": 1})})
    method.scores = watched
    run.go()

    assert checked == [True] * 20


@pytest.mark.parametrize("wrong", [{"q": 1.1}, {"share": -0.1}, {"strength": -1}])
def test_a_probability_outside_of_its_range_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Settings.model_validate(wrong)
