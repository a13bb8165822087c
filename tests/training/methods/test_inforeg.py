"""InfoReg against a plain loop; its coefficients by hand."""

import math
from pathlib import Path

import pytest
import tiny
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from greedymm.training.methods.inforeg import Settings, in_window, pulls

BETA, THRESHOLD = 1.2, 0.01


class Plain:
    """The plain loop, with one list for each quantity and epoch."""

    def __init__(self, modalities: int) -> None:
        self.fisher: list[list[list[float]]] = []  # of each epoch, step and branch
        self.scores: list[list[list[float]]] = []
        self.modalities = modalities
        self.start: list[list[Tensor]] = []

    def coefficient(self, k: int) -> float:
        """a_k in the current epoch."""
        if len(self.fisher) < 2:
            return 0.0

        def mean(steps: list[list[float]], of: int) -> float:
            return sum(step[of] for step in steps) / len(steps)

        before = mean(self.fisher[-3], k) if len(self.fisher) > 2 else 0.0
        last, own = mean(self.fisher[-2], k), mean(self.scores[-2], k)
        gaps = [own - mean(self.scores[-2], j) for j in range(self.modalities)]
        gaps = [gap for gap in gaps if gap > 0]
        if (last - before) / last <= THRESHOLD or not gaps:
            return 0.0
        return math.exp(BETA * math.tanh(sum(gaps) / len(gaps)))

    def __call__(self, step: tiny.BareStep) -> tiny.Row:
        model, rows = step.model, {}
        own = [
            [p for name, p in model.named_parameters() if name.startswith((f"branches.{k}.", f"head.linears.{k}."))]
            for k in range(self.modalities)
        ]
        if step.number == 0:
            self.start = [[p.detach().clone() for p in parameters] for parameters in own]
            self.fisher.append([])
            self.scores.append([])
        output = model(step.inputs)
        cross_entropy(output.logits, step.labels).backward()  # type: ignore[no-untyped-call]
        norms = [sum(float((p.grad.double() ** 2).sum()) for p in ps if p.grad is not None) for ps in own]
        self.fisher[-1].append([norm * len(step.labels) for norm in norms])
        rights = [y.detach().softmax(dim=1)[range(len(step.labels)), step.labels] for y in output.branches]
        self.scores[-1].append([float(right.mean()) for right in rights])
        for k, parameters in enumerate(own):
            rows[f"pull_{k}"] = self.coefficient(k)
            for p, old in zip(parameters, self.start[k], strict=True):
                assert p.grad is not None
                p.grad += rows[f"pull_{k}"] * (p.detach() - old)
        return rows


@pytest.mark.parametrize("clarity", [(2.0, 0.1), (1.0, 0.3, 2.0)], ids=["two modalities", "three modalities"])
def test_training_is_that_of_a_plain_loop(tmp_path: Path, clarity: tuple[float, ...]) -> None:
    settings = Settings(beta=BETA, threshold=THRESHOLD)
    run, bare = (
        tiny.run(tmp_path / f"{i}.pt", "inforeg", settings, clarity=clarity, training=tiny.STEADY) for i in range(2)
    )

    plain = Plain(len(clarity))
    rows = tiny.bare_loop(bare, plain)
    run.go()

    tiny.assert_agree(run, bare, rows)
    fisher = torch.tensor(plain.fisher[-1]).sum(dim=0)  # the last batch is smaller
    torch.testing.assert_close(run.fit.method.state_dict()["sums"][0], fisher, rtol=1e-3, atol=1e-5)
    held = [any(row.values()) for row in rows]
    assert any(held)
    assert not all(held[5:])


def test_the_quicker_branch_is_held(tmp_path: Path) -> None:
    steps = tiny.run(tmp_path / "r.pt", "inforeg", clarity=(5.0, 0.1)).go().steps

    assert max(float(s.log["pull_0"].max()) for s in steps) > 1
    assert not any(s.log["pull_1"].any() for s in steps)


def test_a_branch_is_held_by_its_mean_lead_over_those_that_are_worse() -> None:
    found = pulls(torch.tensor([0.6, 0.5, 0.2]), beta=0.9)

    expected = [math.exp(0.9 * math.tanh(0.25)), math.exp(0.9 * math.tanh(0.3)), 0.0]
    torch.testing.assert_close(found, torch.tensor(expected))


def test_a_tie_holds_no_branch() -> None:
    assert pulls(torch.tensor([0.4, 0.4]), beta=0.9).tolist() == [0, 0]


def test_each_branch_has_its_own_window_and_no_gradient_is_no_division_by_zero() -> None:
    found = in_window(torch.tensor([1.0, 1.0, 0.0]), torch.tensor([0.9, 0.99, 0.0]), threshold=0.04)

    assert found.tolist() == [True, False, False]
