"""LFM against a plain loop with entropies; properties of its divergence."""

import math
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from greedymm.training.methods.lfm import Settings, jensen_shannon

RATE = 1.5


def entropy(p: Tensor) -> Tensor:
    return -(p * p.log()).sum(dim=1).mean()


@pytest.mark.parametrize(
    ("clarity", "objective"),
    [((2.0, 0.1), "joint"), ((2.0, 0.1), "multi"), ((1.0, 0.3, 2.0), "joint")],
    ids=["two modalities", "multi", "three modalities"],
)
def test_training_is_that_of_a_plain_loop(tmp_path: Path, clarity: tuple[float, ...], objective: Any) -> None:
    run, bare = (
        tiny.run(
            tmp_path / f"{i}.pt",
            "lfm",
            Settings(rate=RATE, objective=objective),
            clarity=clarity,
            training=tiny.STEADY,
        )
        for i in range(2)
    )

    def differentiate(step: tiny.BareStep) -> tiny.Row:
        output = step.model(step.inputs)
        p = [y.double().softmax(dim=1) for y in output.branches]
        divergence = entropy(torch.stack(p).mean(dim=0)) - sum(map(entropy, p)) / len(p)
        loss = cross_entropy(output.logits, step.labels)
        if objective == "multi":
            loss = loss + sum(cross_entropy(y, step.labels) for y in output.branches)
        a = 1 - math.exp(-RATE / (step.epoch + 1))
        loss = 2 * ((1 - a) * loss + a * divergence)
        loss.backward()  # type: ignore[no-untyped-call]
        return {"alignment": a}

    rows = tiny.bare_loop(bare, differentiate)
    run.go()

    tiny.assert_agree(run, bare, rows)


def test_by_default_the_weight_is_that_of_the_paper_and_zero_outside_the_window(tmp_path: Path) -> None:
    settings = Settings.model_validate({"active": {"stop": 2, "every": 2}})
    steps = tiny.run(tmp_path / "r.pt", "lfm", settings).go().steps

    weights = [s.log["alignment"].tolist() for s in steps]
    first, second = 1 - math.exp(-1), 1 - math.exp(-0.5)
    expected = [[first, 0, first, 0, first], [second, 0, second, 0, second], [0] * 5, [0] * 5]
    assert weights == [pytest.approx(row) for row in expected]


ALL = torch.ones(2, 1, 1)


def test_the_divergence_is_symmetric_zero_for_equal_predictions_and_at_most_log_m() -> None:
    logits = torch.randn(2, 6, 3)

    assert jensen_shannon(logits, ALL) > 0.01
    torch.testing.assert_close(jensen_shannon(logits, ALL), jensen_shannon(logits.flip(0), ALL))
    assert abs(float(jensen_shannon(logits[:1].expand(2, 6, 3), ALL))) < 1e-6
    certain = torch.tensor([[[1e4, 0.0, 0.0]], [[0.0, 1e4, 0.0]]], requires_grad=True)
    divergence = jensen_shannon(certain, ALL)
    assert float(divergence.detach()) == pytest.approx(math.log(2))
    divergence.backward()  # type: ignore[no-untyped-call]
    assert certain.grad is not None
    assert certain.grad.isfinite().all()


def test_an_absent_modality_is_not_aligned() -> None:
    logits = torch.randn(3, 2, 4, requires_grad=True)
    present = torch.tensor([[1.0, 1], [1, 1], [0, 1]])[:, :, None]  # the third modality of the first sample is absent

    divergence = jensen_shannon(logits, present)
    divergence.backward()  # type: ignore[no-untyped-call]

    apart = jensen_shannon(logits[:2, :1], ALL) + jensen_shannon(logits[:, 1:], torch.ones(3, 1, 1))
    torch.testing.assert_close(divergence, apart / 2)
    assert logits.grad is not None
    assert logits.grad.isfinite().all()
    assert not logits.grad[2, 0].any()
