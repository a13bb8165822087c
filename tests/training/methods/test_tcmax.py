"""TCMax against f of all combinations of the modalities of a batch."""

import math
from pathlib import Path
from typing import Literal

import pytest
import tiny
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from greedymm.errors import GreedymmError
from greedymm.training.methods.tcmax import Settings, total_correlation_loss
from greedymm.training.networks import make_method


def plain_loss(shares: list[Tensor], labels: Tensor) -> Tensor:
    """The loss, from f of every combination of samples and every label."""
    shares = [f.double() for f in shares]
    chosen = torch.cartesian_prod(*[torch.arange(len(labels))] * len(shares))  # (B^M, M)
    drawn = torch.stack([f[rows] for f, rows in zip(shares, chosen.T, strict=True)]).sum(dim=0)
    observed = [sum(f[i, label] for f in shares) for i, label in enumerate(labels)]
    return drawn.exp().mean().log() - sum(observed) / len(observed)


@pytest.mark.parametrize(
    ("clarity", "scale"),
    [((2.0, 0.1), "sum"), ((2.0, 0.1), "mean"), ((1.0, 0.3, 2.0), "sum")],
    ids=["two modalities", "mean", "three modalities"],
)
def test_training_is_that_of_a_plain_loop(
    tmp_path: Path, clarity: tuple[float, ...], scale: Literal["sum", "mean"]
) -> None:
    run, bare = (
        tiny.run(tmp_path / f"{i}.pt", "tcmax", Settings(scale=scale), clarity=clarity, training=tiny.STEADY)
        for i in range(2)
    )
    losses = []

    def differentiate(step: tiny.BareStep) -> tiny.Row:
        factor = 1 if scale == "sum" else 1 / len(clarity)
        loss = plain_loss([factor * y for y in step.model(step.inputs).branches], step.labels)
        loss.backward()  # type: ignore[no-untyped-call]
        losses.append(float(loss.detach()))
        return {}

    rows = tiny.bare_loop(bare, differentiate)
    steps = run.go().steps

    tiny.assert_agree(run, bare, rows)
    torch.testing.assert_close(torch.cat([s.loss for s in steps]), torch.tensor(losses), rtol=1e-5, atol=1e-5)


def test_large_logits_neither_overflow_nor_give_nan() -> None:
    shares = 1e4 * torch.randn(2, 5, 3)
    shares.requires_grad_()

    loss = total_correlation_loss(shares, torch.tensor([0, 1, 2, 0, 1]))
    loss.backward()  # type: ignore[no-untyped-call]

    assert loss.isfinite()
    assert shares.grad is not None
    assert shares.grad.isfinite().all()


def test_equal_logits_have_no_correlation_and_a_constant_changes_nothing() -> None:
    labels = torch.tensor([0, 1, 2, 0])
    shares = torch.randn(2, 4, 3)

    assert abs(float(total_correlation_loss(torch.ones(2, 4, 3), labels))) < 1e-6
    torch.testing.assert_close(
        total_correlation_loss(shares, labels),
        total_correlation_loss(shares + torch.tensor([5.0, -1])[:, None, None], labels),
    )


def test_for_one_sample_it_is_the_cross_entropy_up_to_a_constant() -> None:
    shares, label = torch.randn(2, 1, 3), torch.tensor([1])

    expected = cross_entropy(shares.sum(dim=0), label) - math.log(3)
    torch.testing.assert_close(total_correlation_loss(shares, label), expected)


@pytest.mark.parametrize("fusion", ["film", "gated", "gmu", "lmf", "centralnet"])
def test_logits_that_are_no_sum_over_branches_are_refused(fusion: str) -> None:
    with pytest.raises(GreedymmError, match="'tcmax' needs logits that are a sum over branches; use the head `own`"):
        make_method(Settings(), tiny.fused(fusion), torch.Generator())


@pytest.mark.parametrize("fusion", ["sum", "mean", "concat", "mmtm"])
def test_sums_and_means_of_branches_are_served(fusion: str) -> None:
    make_method(Settings(), tiny.fused(fusion), torch.Generator())
