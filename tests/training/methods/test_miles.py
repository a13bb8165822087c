"""MILES against a plain loop; its rates by hand."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
from torch.nn.functional import cross_entropy

from greedymm.models.network import Pass
from greedymm.training.methods.miles import Settings, rates, utilization

TAU, MU, GAMMA = 0.05, 0.4, 0.7


def plain_rates(run: tiny.Run) -> list[float]:
    """Rates of all branches, from the accuracies of the network as it is."""
    model, val = run.fit.model.eval(), run.val
    evidence = getattr(run.fit.method.settings, "evidence", "full")
    hears = torch.eye(len(model.branches), dtype=torch.bool) if evidence == "cut" else None
    logits = [model(val.inputs).logits, *model(val.inputs, Pass(hears=hears)).branches]
    joint, *alone = [Fraction(int((y.argmax(dim=1) == val.labels).sum())) for y in logits]
    model.train()
    used = []
    for k in range(len(alone)):
        others = [(joint - alone[j]) / joint for j in range(len(alone)) if j != k]
        used.append(sum(others) / len(others))
    found = [1.0] * len(alone)
    if max(used) - min(used) > TAU and not all(u < 0 for u in used):
        found = [MU if u == max(used) else 1.0 for u in used]
    return found


@pytest.mark.parametrize(
    ("clarity", "evidence"),
    [((2.0, 0.1), "full"), ((2.0, 0.1), "cut"), ((1.0, 0.3, 2.0), "full")],
    ids=["two modalities", "cut", "three modalities"],
)
def test_training_is_that_of_a_plain_loop(tmp_path: Path, clarity: tuple[float, ...], evidence: Any) -> None:
    settings = Settings(tau=TAU, mu=MU, gamma=GAMMA, evidence=evidence)
    run, bare = (
        tiny.run(tmp_path / f"{i}.pt", "miles", settings, clarity=clarity, training=tiny.STEADY) for i in range(2)
    )
    found = [1.0] * len(clarity)

    def differentiate(step: tiny.BareStep) -> tiny.Row:
        if step.number == 0 and step.epoch > 0:
            found[:] = plain_rates(bare)
        output = step.model(step.inputs)
        unimodal = torch.stack([cross_entropy(y, step.labels) for y in output.branches]).sum()
        loss = cross_entropy(output.logits, step.labels) + GAMMA * unimodal
        loss.backward()  # type: ignore[no-untyped-call]
        for name, p in step.model.named_parameters():
            for k, rate in enumerate(found):
                if name.startswith((f"branches.{k}.", f"head.linears.{k}.")) and p.grad is not None:
                    p.grad *= rate
        return {f"rate_{k}": rate for k, rate in enumerate(found)}

    rows = tiny.bare_loop(bare, differentiate)
    run.go()

    tiny.assert_agree(run, bare, rows)
    assert any(MU in row.values() for row in rows)


def test_the_quicker_branch_is_slowed(tmp_path: Path) -> None:
    training = tiny.TRAINING.model_copy(update={"learning_rate": 0.03})
    run = tiny.run(
        tmp_path / "r.pt", "miles", Settings(evidence="cut"), clarity=(5.0, 0.1), training=training, samples=60
    )
    steps = run.go().steps

    slowed = [sum(bool((s.log[f"rate_{k}"] < 1).any()) for s in steps) for k in range(2)]
    assert slowed[0] > 0
    assert slowed[1] == 0


def test_utilization_is_what_a_modality_adds_to_the_others() -> None:
    assert utilization(0.8, [0.6, 0.4, 0.8]) == pytest.approx([0.25, 0.125, 0.375])


@pytest.mark.parametrize(
    ("utilizations", "expected"),
    [
        ([0.5, 0.0], [0.5, 1]),
        ([0.2, 0.0], [1, 1]),  # not above tau
        ([-0.1, -0.9], [1, 1]),  # every modality misleads
        ([0.4, 0.4, 0.0], [0.5, 0.5, 1]),  # a tie slows both
        (utilization(0.0, [0.3, 0.0]), [1, 1]),  # the network is right on no sample
    ],
    ids=["unbalanced", "balanced", "negative", "tie", "no sample"],
)
def test_the_branch_with_the_largest_utilization_is_slowed(utilizations: list[float], expected: list[float]) -> None:
    assert rates(utilizations, tau=0.2, mu=0.5) == expected
