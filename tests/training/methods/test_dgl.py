"""DGL against a plain loop with two backward passes."""

from pathlib import Path

import pytest
import tiny
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from greedymm.models.network import Pass
from greedymm.training.methods.dgl import Settings
from greedymm.training.methods.greedy import Settings as Greedy

ALPHA = 1.5


def differentiate(step: tiny.BareStep) -> tiny.Row:
    """Keep the branches' gradients of their own losses, and all others of the network's loss."""
    output = step.model(step.inputs, Pass(detach=True))
    losses = [ALPHA * cross_entropy(y, step.labels) for y in output.branches]
    torch.stack(losses).sum().backward(retain_graph=True)  # type: ignore[no-untyped-call]
    own = [p for name, p in step.model.named_parameters() if name.startswith(("branches.", "head.linears."))]
    kept = [p.grad.clone() for p in own if p.grad is not None]
    step.model.zero_grad()
    cross_entropy(output.logits, step.labels).backward()  # type: ignore[no-untyped-call]
    for p, grad in zip(own, kept, strict=True):
        p.grad = grad
    return {}


@pytest.mark.parametrize("clarity", [(1.0, 0.3), (1.0, 0.3, 0.7)], ids=["two modalities", "three modalities"])
@pytest.mark.parametrize("joint", [False, True], ids=["own heads", "joint head"])
def test_training_is_that_of_a_plain_loop(tmp_path: Path, clarity: tuple[float, ...], *, joint: bool) -> None:
    run, bare = (
        tiny.run(tmp_path / f"{i}.pt", "dgl", Settings(alpha=ALPHA), clarity=clarity, training=tiny.STEADY, joint=joint)
        for i in range(2)
    )

    rows = tiny.bare_loop(bare, differentiate)
    run.go()

    tiny.assert_agree(run, bare, rows)


def gradient(run: tiny.Run, quicker: float) -> Tensor:
    """Gradient of the slower branch, with the other modality multiplied by a factor."""
    (first, second), labels = next(iter(run.train.view()))
    run.fit.train_batches(0, [([quicker * first, second], labels)], 1)
    return torch.cat([p.grad.flatten() for p in run.fit.model.branches[1].parameters() if p.grad is not None])


def test_a_quick_branch_does_not_suppress_the_gradient_of_a_slow_one(tmp_path: Path) -> None:
    found = {
        name: [
            gradient(tiny.run(tmp_path / "r.pt", settings=settings, clarity=(5.0, 0.1), joint=True), quicker)
            for quicker in (1, 100)
        ]
        for name, settings in (("dgl", Settings()), ("greedy", Greedy(objective="joint")))
    }

    assert torch.equal(*found["dgl"])
    assert not torch.equal(*found["greedy"])
