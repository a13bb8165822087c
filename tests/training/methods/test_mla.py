"""MLA against a plain loop, and its projection and decision rule by hand."""

import copy
import math
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from greedymm.errors import GreedymmError
from greedymm.models.branches.cnn import Settings as Cnn
from greedymm.models.build import build
from greedymm.models.fusions.mmtm import Settings as Mmtm
from greedymm.models.heads.own import Settings as Own
from greedymm.models.network import Output, Pass
from greedymm.training.methods.mla import Settings, predict, projected
from greedymm.training.networks import make_method


class Plain:
    """Epochs of a bare loop; notes the loss of each step and the trace of P."""

    def __init__(self, run: tiny.Run, *, projection: bool) -> None:
        self.run, self.projection, self.losses, self.traces = run, projection, list[float](), list[float]()

    def train(self) -> None:
        model, settings, train = self.run.fit.model.train(), self.run.fit.settings, self.run.train
        count, weight = len(model.branches), model.get_parameter("head.linear.weight")
        optimizer = torch.optim.SGD(model.parameters(), lr=settings.learning_rate, momentum=settings.momentum)
        p = np.eye(weight.shape[1])
        for _ in range(settings.epochs):
            for step, (inputs, labels) in enumerate(train):
                self.losses.append(0)
                for k in range(count):
                    output = model(inputs, Pass(hears=torch.eye(count, dtype=torch.bool)))
                    loss = cross_entropy(output.branches[k], labels)
                    optimizer.zero_grad()
                    loss.backward()  # type: ignore[no-untyped-call]
                    self.losses[-1] += float(loss.detach())
                    if self.projection:
                        assert weight.grad is not None
                        weight.grad = torch.from_numpy(weight.grad.double().numpy() @ p).float()
                        r = output.features[k].detach().double().numpy().mean(axis=0)
                        q = p @ r
                        p = p - np.outer(q, q) / (0.1 ** (1 + step / len(train)) + r @ q)
                    optimizer.step()
                self.traces.append(float(np.trace(p)))


@pytest.mark.parametrize("projection", [False, True], ids=["plain", "projected"])
@pytest.mark.parametrize("clarity", [(1.0, 0.3), (1.0, 0.3, 0.7)], ids=["two modalities", "three modalities"])
def test_training_is_that_of_a_bare_loop(tmp_path: Path, clarity: tuple[float, ...], *, projection: bool) -> None:
    training = tiny.STEADY.model_copy(update={"learning_rate": 0.02})  # rounding errors do not grow
    settings = Settings(projection=projection)
    run, bare = (tiny.run(tmp_path / f"{i}.pt", "mla", settings, clarity=clarity, training=training) for i in range(2))

    plain = Plain(bare, projection=projection)
    plain.train()
    losses = torch.cat([steps.loss for steps in run.go().steps])

    torch.testing.assert_close(losses, torch.tensor(plain.losses), rtol=1e-5, atol=1e-5)
    tiny.assert_agree(run, bare, [{"trace": trace} for trace in plain.traces])


def test_a_direction_is_hardly_left_once_its_features_were_seen() -> None:
    r = torch.randn(6, dtype=torch.float64)
    p = projected(torch.eye(6, dtype=torch.float64), r, alpha=1e-6)

    assert (p @ r).norm() < 1e-5 * r.norm()
    torch.testing.assert_close(p, p.T)
    assert torch.linalg.eigvalsh(p).min() > -1e-9


def test_the_shared_heads_gradient_is_projected(tmp_path: Path) -> None:
    run = tiny.run(tmp_path / "r.pt", "mla", Settings())
    run.go()

    projection = run.fit.model.head.projection
    assert isinstance(projection, Tensor)
    assert not torch.equal(projection, torch.eye(len(projection)))


def by_hand(logits: list[list[float]]) -> list[float]:
    """Logits of one sample, of the branches' weighted by exp(max entropy - entropy)."""
    entropies = []
    for y in logits:
        p = [math.exp(x) / sum(map(math.exp, y)) for x in y]
        entropies.append(-sum(x * math.log(x) for x in p))
    weights = [math.exp(max(entropies) - e) for e in entropies]
    return [sum(w * y[c] for w, y in zip(weights, logits, strict=True)) / sum(weights) for c in range(len(logits[0]))]


def test_predictions_are_weighted_by_the_certainty_of_each_branch_in_each_sample() -> None:
    logits = [torch.tensor([[4.0, 0.0, 0.0], [0.1, 0.0, 0.2]]), torch.tensor([[0.0, 0.3, 0.1], [0.0, 5.0, 0.0]])]
    output = Output(logits[0], logits, logits)

    found = predict(output)

    expected = [by_hand([y[i].tolist() for y in logits]) for i in range(2)]
    torch.testing.assert_close(found, torch.tensor(expected))
    alone = predict(Output(logits[0][:1], [y[:1] for y in logits], logits))
    torch.testing.assert_close(found[:1], alone)  # whoever else is in the batch


def test_an_absent_modality_has_no_part_in_the_prediction() -> None:
    logits = [torch.randn(3, 4), torch.randn(3, 4)]

    found = predict(Output(logits[0], logits, logits, torch.tensor([[True, False], [False, True], [True, True]])))

    torch.testing.assert_close(found[0], logits[0][0])
    torch.testing.assert_close(found[1], logits[1][1])


def test_the_decision_rule_is_a_setting(tmp_path: Path) -> None:
    inputs = tiny.split(5, (1.0, 0.3), 5).inputs
    models = []
    for entropy in (True, False):
        run = tiny.run(tmp_path / f"{entropy}.pt", "mla", Settings(entropy=entropy))
        run.go()
        models.append(run.fit.model.eval())

    weighted, mean = (model(inputs) for model in models)

    torch.testing.assert_close(weighted.branches, mean.branches)
    torch.testing.assert_close(weighted.logits, predict(mean))
    torch.testing.assert_close(mean.logits, torch.stack(mean.branches).mean(dim=0))


def test_branches_of_unequal_width_are_refused() -> None:
    branches = [Cnn(name="cnn", widths=(4, w)) for w in (6, 8)]
    model = build(branches, Mmtm(name="mmtm"), [(2,), (2,)], Own(name="own"), (3, 1), 3)

    with pytest.raises(GreedymmError, match=r"widths \[6, 8\] must agree"):
        make_method(Settings(), model, torch.Generator())


def test_its_head_is_drawn_from_the_methods_own_stream() -> None:
    torch.manual_seed(0)
    first, before = tiny.network(), torch.get_rng_state()
    second = copy.deepcopy(first)
    for model, seed in ((first, 0), (second, 1)):
        make_method(Settings(), model, torch.Generator().manual_seed(seed))

    assert torch.equal(torch.get_rng_state(), before)
    assert not torch.equal(first.head.linear.weight, second.head.linear.weight)  # type: ignore[union-attr, arg-type]
