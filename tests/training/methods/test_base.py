"""The hooks that no method of the project overrides yet, and what is refused before training."""

from collections.abc import Collection
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
from torch import Tensor, nn

from greedymm.errors import GreedymmError
from greedymm.models.network import MultimodalNetwork, Pass
from greedymm.settings import MethodSettings
from greedymm.training import networks
from greedymm.training.methods.balanced import Settings as Balanced
from greedymm.training.methods.base import Method, Order, branch_losses
from greedymm.training.methods.ogm_ge import Settings as OgmGe
from greedymm.training.methods.random import Settings as Random


def run_of(method: type[Method], state: Path, monkeypatch: pytest.MonkeyPatch, **options: Any) -> tiny.Run:
    """A run with a method that is no plug-in."""

    class Plugin:
        build: Any = staticmethod(method)
        __file__ = "own.py"

    monkeypatch.setattr(networks, "module_of", lambda _: Plugin)
    return tiny.run(state, "own", MethodSettings(), **options)


class Alternating(Method):
    """The branches learn in turns of an epoch."""

    def active(self, epoch: int) -> Collection[int]:
        return {epoch % 2}


def test_branches_that_are_not_active_do_not_learn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = run_of(Alternating, tmp_path / "r.pt", monkeypatch)
    groups = [run.fit.model.group(f"branch_{k}.body", f"branch_{k}.head", f"fusion.side_{k}") for k in range(2)]
    frozen = groups[0].pop(0).requires_grad_(False)  # by a plug-in: it stays frozen
    before_training = frozen.clone()
    seen: list[list[list[Tensor]]] = []

    def copy(*_: Any) -> None:
        seen.append([[p.detach().clone() for p in group] for group in groups])

    copy()
    run.fit.run(run.train, run.val, copy)

    for epoch, (before, after) in enumerate(pairwise(seen)):
        for k in range(2):
            moved = [not torch.equal(a, b) for a, b in zip(before[k], after[k], strict=True)]
            assert all(moved) if k == epoch % 2 else not any(moved)
    assert [p for p in run.fit.model.parameters() if not p.requires_grad] == [frozen]
    assert torch.equal(frozen, before_training)


class Chosen(Method):
    """Few samples, from the last to the first, each with one of its modalities."""

    def passes(self) -> frozenset[str]:
        return frozenset({"present"})

    def order(self, epoch: int, samples: int) -> Order:
        rows = torch.arange(samples).flip(0)[: 8 + epoch]
        return Order(rows, torch.stack([rows % 2 == 0, rows % 2 == 1], dim=1))


def test_an_epoch_trains_on_the_samples_and_modalities_of_the_methods_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_of(Chosen, tmp_path / "r.pt", monkeypatch)
    seen: list[tuple[Tensor, Any]] = []
    plan = run.fit.method.plan

    def watched(step: Any) -> Any:
        seen.append((step.labels, plan(step).present))
        return plan(step)

    monkeypatch.setattr(run.fit.method, "plan", watched)
    progress = run.go()

    assert [steps.samples.tolist() for steps in progress.steps] == [[6, 2], [6, 3], [6, 4], [6, 5]]
    rows = torch.arange(26).flip(0)[:6]
    assert torch.equal(seen[0][0], run.train.labels[rows])
    assert torch.equal(seen[0][1], torch.stack([rows % 2 == 0, rows % 2 == 1], dim=1))


class Adding(Method):
    """Has a layer of its own, and several losses."""

    def setup(self, network: MultimodalNetwork, generator: torch.Generator) -> nn.Module:
        super().setup(network, generator)
        self.own_head = nn.Linear(8, 3)
        return self.own_head

    def loss(self, step: Any) -> dict[str, Tensor]:
        own = self.own_head(step.output.features[0])
        return {
            "own": nn.functional.cross_entropy(own, step.labels),
            "branch": sum(branch_losses(step.output, step.labels), torch.zeros(())),
        }


def test_modules_of_a_method_learn_and_are_kept_with_the_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_of(Adding, tmp_path / "r.pt", monkeypatch)
    before = run.fit.model.state_dict()["method.weight"].clone()

    progress = run.go()

    assert progress.best is not None
    assert not torch.equal(progress.best["model"]["method.weight"], before)


def test_a_plug_in_that_builds_no_method_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build: Any = lambda _: "a string"  # noqa: E731
    with pytest.raises(GreedymmError, match=r"own\.py: build must return a Method, not 'a string'"):
        run_of(build, tmp_path / "r.pt", monkeypatch)


NOT_JOINT: dict[str, tuple[MethodSettings, str]] = {
    "balanced": (Balanced(), r"no parameters fusion\.side_0, fusion\.side_1; it has: branch_0\.body"),
    "random": (Random(), "needs passes with mode.*it can: alone, detach, hears, present"),
    "ogm_ge": (OgmGe(), "with a joint head, objective branch"),
}


@pytest.mark.parametrize("name", NOT_JOINT)
def test_a_method_that_does_not_fit_the_network_is_refused_by_name(name: str) -> None:
    settings, message = NOT_JOINT[name]

    with pytest.raises(GreedymmError, match=rf"method '{name}'.*{message}"):
        networks.make_method(settings, tiny.network(joint=True), torch.Generator())


def test_a_pass_that_the_fusion_cannot_make_is_an_error_and_not_ignored() -> None:
    network = tiny.network(joint=True)

    with pytest.raises(GreedymmError, match="needs passes with mode, which the fusion cannot make"):
        network(tiny.split(4, (1.0, 0.3), 4).inputs, Pass(mode=torch.tensor(1)))
