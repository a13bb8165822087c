"""MMCosine against a plain loop; its head in evaluation."""

from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from greedymm.errors import GreedymmError
from greedymm.models.network import Pass
from greedymm.training.methods.mmcosine import CosineHead, Settings
from greedymm.training.networks import make_method

CLARITY = (1.0, 0.3, 0.7)
CALM = tiny.STEADY.model_copy(update={"learning_rate": 0.02})  # rounding errors do not grow


def plain_logits(model: torch.nn.Module, features: list[Tensor], scale: float) -> list[Tensor]:
    """Logits of each branch."""
    found = []
    for k, h in enumerate(features):
        w = model.head.linears[k].weight  # type: ignore[union-attr, index]
        found.append(scale * (h @ w.T) / h.norm(dim=1, keepdim=True) / w.norm(dim=1))
    return found


@pytest.mark.parametrize(("objective", "joint"), [("branch", False), ("joint", True), ("multi", False)])
def test_training_agrees_with_a_plain_loop(tmp_path: Path, objective: str, *, joint: bool) -> None:
    settings = Settings.model_validate({"objective": objective, "scale": 5.0})
    run, bare = (
        tiny.run(tmp_path / f"{i}.pt", settings=settings, clarity=CLARITY, training=CALM, joint=joint) for i in range(2)
    )

    def differentiate(step: tiny.BareStep) -> tiny.Row:
        logits = plain_logits(step.model, step.model(step.inputs).features, 5.0)
        losses = [cross_entropy(y, step.labels) for y in logits] if objective != "joint" else []
        if objective != "branch":
            losses.append(cross_entropy(logits[0] + logits[1] + logits[2], step.labels))
        torch.stack(losses).sum().backward()  # type: ignore[no-untyped-call]
        return {}

    run.go()

    tiny.assert_agree(run, bare, tiny.bare_loop(bare, differentiate))


def test_evaluation_uses_the_same_cosines(tmp_path: Path) -> None:
    run = tiny.run(tmp_path / "r.pt", settings=Settings(), joint=True)
    run.go()
    model, (inputs, _) = run.fit.model.eval(), next(iter(run.val))

    output = model(inputs)

    torch.testing.assert_close(output.branches, plain_logits(model, output.features, 10.0))
    torch.testing.assert_close(output.logits, output.branches[0] + output.branches[1])
    alone = model(inputs, Pass(present=torch.tensor([True, False])))
    torch.testing.assert_close(alone.logits, alone.branches[0])
    assert output.logits.abs().max() <= 20


def test_a_modality_with_larger_features_or_weights_has_no_larger_part() -> None:
    head, features = CosineHead((4, 6), 3, 10.0, averages=False), [torch.randn(5, 4), torch.randn(5, 6)]
    before = head(features)[0]
    with torch.no_grad():
        head.linears[0].weight.mul_(100)  # type: ignore[operator]

    torch.testing.assert_close(head([100 * features[0], features[1]])[0], before)


def test_features_of_zeros_give_finite_logits_and_gradients() -> None:
    head, features = CosineHead((4, 6), 3, 10.0, averages=True), [torch.zeros(2, 4, requires_grad=True)] * 1
    features.append(torch.randn(2, 6))

    logits, branches = head(features)
    cross_entropy(logits, torch.tensor([0, 1])).backward()  # type: ignore[no-untyped-call]

    assert np.array_equal(branches[0].detach().numpy(), np.zeros((2, 3)))
    assert all(p.grad is not None and p.grad.isfinite().all() for p in [features[0], *head.parameters()])


def test_a_joint_head_without_weights_of_each_modality_is_refused() -> None:
    with pytest.raises(GreedymmError, match="'mmcosine' needs logits that are a sum over branches; use the head `own`"):
        make_method(Settings(), tiny.fused("film"), torch.Generator())


def test_the_sum_of_own_logits_is_served() -> None:
    model = tiny.fused("sum")

    make_method(Settings(), model, torch.Generator())

    output = model([torch.randn(2, 3, 8, 8), torch.randn(2, 1, 8, 8)])
    torch.testing.assert_close(output.logits, output.branches[0] + output.branches[1])
